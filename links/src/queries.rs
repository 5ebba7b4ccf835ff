//! The device query thread: whatever must ask the kernel or a driver and may have to wait for it.
//!
//! rtnetlink requests, ethtool and MII are served under the kernel's lock for network
//! configuration (RTNL), and a driver may take seconds over its answer. The links thread posts a
//! query and goes on; the answer wakes it. A query that is under way is not posted a second time,
//! so that the queue is never longer than there are things to ask.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};

use bond::MemberId;
use netdev::DeviceError;
use netdev::link::mii::{self, LinkSource};
use netdev::link::{self, LinkInfo, LinkSettings, ProtoSocket, ethtool};
use wire::{EthAddr, EtherType};

/// What can be asked of the kernel's devices. Every call may take as long as it likes.
pub trait DeviceQueries: Send {
    /// One device, by index.
    fn link(&mut self, ifindex: u32) -> Result<LinkInfo, DeviceError>;

    /// Every device, by index.
    fn links(&mut self) -> Result<Vec<LinkInfo>, DeviceError>;

    /// Speed and duplex; `None` for a device that does not tell.
    fn settings(&mut self, name: &str) -> Option<LinkSettings>;

    /// The device's own link state and what told it.
    fn mii(&mut self, name: &str) -> Result<(bool, LinkSource), DeviceError>;

    /// A socket on a device that receives `ethertype` to `group`.
    fn socket(
        &mut self,
        name: &str,
        ethertype: u16,
        group: Option<EthAddr>,
    ) -> Result<ProtoSocket, DeviceError>;
}

/// The kernel's answers, of the calling thread's network namespace.
#[derive(Clone, Copy, Debug, Default)]
pub struct KernelQueries;

impl DeviceQueries for KernelQueries {
    fn link(&mut self, ifindex: u32) -> Result<LinkInfo, DeviceError> {
        link::get_by_index(ifindex)
    }

    fn links(&mut self) -> Result<Vec<LinkInfo>, DeviceError> {
        link::get_all()
    }

    fn settings(&mut self, name: &str) -> Option<LinkSettings> {
        ethtool::settings(name).ok()
    }

    fn mii(&mut self, name: &str) -> Result<(bool, LinkSource), DeviceError> {
        mii::link(name)
    }

    fn socket(
        &mut self,
        name: &str,
        ethertype: u16,
        group: Option<EthAddr>,
    ) -> Result<ProtoSocket, DeviceError> {
        ProtoSocket::open(name, ethertype, group)
    }
}

/// What a socket is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Purpose {
    /// LACPDUs of a member.
    Lacp { port: String, member: MemberId },
    /// Untagged CFM messages of an interface, to this group.
    Cfm { link: String, group: EthAddr },
    /// Health checks sent out of an interface; nothing is received.
    Send { link: String },
}

impl Purpose {
    /// What is received: Ethernet type, 0 for nothing at all, and group.
    pub(crate) fn protocol(&self) -> (u16, Option<EthAddr>) {
        match self {
            Purpose::Lacp { .. } => (EtherType::SLOW, Some(EthAddr::SLOW_PROTOCOLS)),
            Purpose::Cfm { group, .. } => (EtherType::CFM, Some(*group)),
            Purpose::Send { .. } => (0, None),
        }
    }
}

/// A question to the thread.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Query {
    Link {
        ifindex: u32,
    },
    /// The same, for the periodic comparison.
    Compare {
        ifindex: u32,
    },
    Links,
    Settings {
        port: String,
        member: MemberId,
        name: String,
    },
    Mii {
        port: String,
        member: MemberId,
        name: String,
    },
    Socket {
        purpose: Purpose,
        name: String,
        ifindex: u32,
    },
}

/// What the thread is told to do.
enum Order {
    Ask(Query),
    /// Closing waits for RTNL too.
    Close(ProtoSocket),
}

/// Closes sockets on the query thread.
#[derive(Clone)]
pub(crate) struct Closer(Sender<Order>);

impl Closer {
    pub(crate) fn close(&self, socket: ProtoSocket) {
        // Fails at exit; the socket is then closed here.
        let _ = self.0.send(Order::Close(socket));
    }
}

/// What came back.
pub(crate) enum Answer {
    Link(Result<LinkInfo, DeviceError>),
    Links(Result<Vec<LinkInfo>, DeviceError>),
    Settings(Option<LinkSettings>),
    /// `None`: the device answers neither MII nor ethtool.
    Mii(Option<(bool, LinkSource)>),
    Socket(Result<ProtoSocket, DeviceError>),
}

/// The links thread's hand on the query thread, which ends with it.
pub(crate) struct Queries {
    orders: Sender<Order>,
    answers: Receiver<(Query, Answer)>,
    /// Each with whether its answer is out of date already, so that it is posted once more.
    under_way: BTreeMap<Query, bool>,
}

impl Queries {
    /// Starts the thread; `waker` wakes the links thread.
    pub(crate) fn spawn(
        mut devices: Box<dyn DeviceQueries>,
        waker: Arc<mio::Waker>,
    ) -> std::io::Result<Queries> {
        let (orders, inbox) = channel();
        let (outbox, answers) = channel();
        std::thread::Builder::new().name("device_queries".to_owned()).spawn(move || {
            while let Ok(order) = inbox.recv() {
                let query = match order {
                    Order::Ask(query) => query,
                    Order::Close(socket) => {
                        drop(socket);
                        continue;
                    }
                };
                let answer = match &query {
                    Query::Link { ifindex } | Query::Compare { ifindex } => {
                        Answer::Link(devices.link(*ifindex))
                    }
                    Query::Links => Answer::Links(devices.links()),
                    Query::Settings { name, .. } => Answer::Settings(devices.settings(name)),
                    Query::Mii { name, .. } => Answer::Mii(devices.mii(name).ok()),
                    Query::Socket { purpose, name, .. } => {
                        let (ethertype, group) = purpose.protocol();
                        Answer::Socket(devices.socket(name, ethertype, group))
                    }
                };
                if outbox.send((query, answer)).is_err() {
                    return;
                }
                // Fails only when the links thread has gone.
                let _ = waker.wake();
            }
        })?;
        Ok(Queries { orders, answers, under_way: BTreeMap::new() })
    }

    /// Closes sockets on the query thread.
    pub(crate) fn closer(&self) -> Closer {
        Closer(self.orders.clone())
    }

    /// Posts a query. False if the same is under way: its answer may be older than this call.
    pub(crate) fn ask(&mut self, query: Query) -> bool {
        if self.under_way.contains_key(&query) {
            return false;
        }
        self.post(query);
        true
    }

    /// Posts a query whose answer is to be newer than this call.
    pub(crate) fn ask_anew(&mut self, query: Query) {
        match self.under_way.get_mut(&query) {
            Some(again) => *again = true,
            None => self.post(query),
        }
    }

    fn post(&mut self, query: Query) {
        self.under_way.insert(query.clone(), false);
        // Fails only when the thread has gone, at exit.
        let _ = self.orders.send(Order::Ask(query));
    }

    /// The next answer, if one has come.
    pub(crate) fn answer(&mut self) -> Option<(Query, Answer)> {
        loop {
            let (query, answer) = self.answers.try_recv().ok()?;
            match self.under_way.remove(&query) {
                Some(true) => self.post(query),
                Some(false) | None => return Some((query, answer)),
            }
        }
    }
}
