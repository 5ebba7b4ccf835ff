//! The device query thread: whatever must ask the kernel or a driver and may have to wait for it.
//!
//! rtnetlink requests, ethtool and MII are served under the kernel's lock for network
//! configuration (RTNL), and a driver may take seconds over its answer. The links thread posts a
//! query and goes on; the answer wakes it. Nothing is dropped, and nothing grows without a limit:
//!
//! - At most [`DEPTH`] queries are with the thread. Neither of the two channels can be full then, so
//!   that neither thread waits for the other.
//! - A query beyond that waits on the links thread. One that waits or is with the thread is not
//!   taken a second time, so that no more wait than there are things to ask.
//! - Sockets to be closed are closed before the next query is looked at, so that no more wait than
//!   were open.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::Thread;

use bond::MemberId;
use netdev::DeviceError;
use netdev::link::mii::{self, LinkSource};
use netdev::link::{self, LinkInfo, LinkSettings, ProtoSocket, ethtool};
use parking_lot::Mutex;
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

    /// A socket on a device for ARP and neighbour discovery, see [`ProtoSocket::open_neighbours`].
    fn neighbour_socket(
        &mut self,
        name: &str,
        vid: u16,
        requests: bool,
    ) -> Result<ProtoSocket, DeviceError> {
        ProtoSocket::open_neighbours(name, vid, requests)
    }
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
    /// Probes of a member and the answers to them, in this VLAN (0 = untagged); with `requests` also
    /// the ARP requests and neighbour solicitations of other stations.
    Probe { port: String, member: MemberId, vid: u16, requests: bool },
    /// Untagged CFM messages of an interface, to this group.
    Cfm { link: String, group: EthAddr },
    /// Health checks sent out of an interface; nothing is received.
    Send { link: String },
}

impl Purpose {
    /// Opens the socket.
    fn open(
        &self,
        devices: &mut dyn DeviceQueries,
        name: &str,
    ) -> Result<ProtoSocket, DeviceError> {
        match self {
            Purpose::Lacp { .. } => {
                devices.socket(name, EtherType::SLOW, Some(EthAddr::SLOW_PROTOCOLS))
            }
            Purpose::Probe { vid, requests, .. } => devices.neighbour_socket(name, *vid, *requests),
            Purpose::Cfm { group, .. } => devices.socket(name, EtherType::CFM, Some(*group)),
            // Nothing is received.
            Purpose::Send { .. } => devices.socket(name, 0, None),
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

/// Queries that may be with the thread at a time. It works on one at a time; the others save it a
/// round trip through the links thread for each.
const DEPTH: usize = 64;

/// Closes sockets on the query thread: closing waits for RTNL too.
#[derive(Clone)]
pub(crate) struct Closer {
    sockets: Arc<Mutex<Vec<ProtoSocket>>>,
    thread: Thread,
}

impl Closer {
    pub(crate) fn close(&self, socket: ProtoSocket) {
        // At exit the thread may have ended; the socket is then closed with the last `Closer`.
        self.sockets.lock().push(socket);
        self.thread.unpark();
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

/// Where a query is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// On the links thread, until fewer are posted.
    Waiting,
    /// With the query thread.
    Posted,
    /// With the query thread, and its answer is out of date already: it is posted once more.
    PostedStale,
}

/// The links thread's hand on the query thread, which ends with it.
pub(crate) struct Queries {
    orders: SyncSender<Query>,
    answers: Receiver<(Query, Answer)>,
    closer: Closer,
    under_way: BTreeMap<Query, Stage>,
    /// Those in [`Stage::Waiting`], in the order in which they came.
    waiting: VecDeque<Query>,
    /// Queries posted whose answers have not been taken: at most [`DEPTH`].
    posted: usize,
}

impl Queries {
    /// Starts the thread; `waker` wakes the links thread.
    pub(crate) fn spawn(
        mut devices: Box<dyn DeviceQueries>,
        waker: Arc<mio::Waker>,
    ) -> std::io::Result<Queries> {
        let (orders, inbox) = sync_channel(DEPTH);
        let (outbox, answers) = sync_channel(DEPTH);
        let sockets: Arc<Mutex<Vec<ProtoSocket>>> = Arc::default();
        let to_close = sockets.clone();
        let handle =
            std::thread::Builder::new().name("device_queries".to_owned()).spawn(move || {
                loop {
                    // Taken out first: the lock is not held while they are closed.
                    let closing = std::mem::take(&mut *to_close.lock());
                    drop(closing);
                    let query = match inbox.try_recv() {
                        Ok(query) => query,
                        // A wake-up that came since the look at the channel ends this at once.
                        Err(TryRecvError::Empty) => {
                            std::thread::park();
                            continue;
                        }
                        Err(TryRecvError::Disconnected) => return,
                    };
                    let answer = ask(&mut *devices, &query);
                    // Never full: `DEPTH` includes the answers that were not taken.
                    if outbox.send((query, answer)).is_err() {
                        return;
                    }
                    // Fails only when the links thread has gone.
                    let _ = waker.wake();
                }
            })?;
        Ok(Queries {
            orders,
            answers,
            closer: Closer { sockets, thread: handle.thread().clone() },
            under_way: BTreeMap::new(),
            waiting: VecDeque::new(),
            posted: 0,
        })
    }

    /// Closes sockets on the query thread.
    pub(crate) fn closer(&self) -> Closer {
        self.closer.clone()
    }

    /// Takes a query. False if the same is under way: its answer may be older than this call.
    pub(crate) fn ask(&mut self, query: Query) -> bool {
        if self.under_way.contains_key(&query) {
            return false;
        }
        self.enqueue(query);
        true
    }

    /// Takes a query whose answer is to be newer than this call.
    pub(crate) fn ask_anew(&mut self, query: Query) {
        match self.under_way.get_mut(&query) {
            Some(stage @ Stage::Posted) => *stage = Stage::PostedStale,
            Some(Stage::PostedStale | Stage::Waiting) => {}
            None => self.enqueue(query),
        }
    }

    fn enqueue(&mut self, query: Query) {
        self.under_way.insert(query.clone(), Stage::Waiting);
        self.waiting.push_back(query);
        self.post();
    }

    /// Posts as many of those that wait as the limit permits.
    fn post(&mut self) {
        while self.posted < DEPTH
            && let Some(query) = self.waiting.pop_front()
        {
            self.under_way.insert(query.clone(), Stage::Posted);
            self.posted += 1;
            // Never full; fails only when the thread has gone, at exit.
            let _ = self.orders.try_send(query);
            self.closer.thread.unpark();
        }
    }

    /// The next answer, if one has come.
    pub(crate) fn answer(&mut self) -> Option<(Query, Answer)> {
        loop {
            let (query, answer) = self.answers.try_recv().ok()?;
            self.posted -= 1;
            let stage = self.under_way.remove(&query);
            if stage == Some(Stage::PostedStale) {
                self.enqueue(query);
            } else {
                self.post();
                return Some((query, answer));
            }
        }
    }
}

impl Drop for Queries {
    fn drop(&mut self) {
        // The thread ends when the channel has closed.
        self.orders = sync_channel(1).0;
        self.closer.thread.unpark();
    }
}

fn ask(devices: &mut dyn DeviceQueries, query: &Query) -> Answer {
    match query {
        Query::Link { ifindex } | Query::Compare { ifindex } => {
            Answer::Link(devices.link(*ifindex))
        }
        Query::Links => Answer::Links(devices.links()),
        Query::Settings { name, .. } => Answer::Settings(devices.settings(name)),
        Query::Mii { name, .. } => Answer::Mii(devices.mii(name).ok()),
        Query::Socket { purpose, name, .. } => Answer::Socket(purpose.open(devices, name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, Instant};

    /// Devices that answer when the test lets them, with the number of questions so far as speed.
    struct Held {
        go: Receiver<()>,
        asked: u64,
    }

    fn none<T>() -> Result<T, DeviceError> {
        let source = std::io::ErrorKind::NotFound.into();
        Err(DeviceError::Get { name: "none".to_owned(), what: "anything", source })
    }

    impl DeviceQueries for Held {
        fn link(&mut self, _: u32) -> Result<LinkInfo, DeviceError> {
            none()
        }

        fn links(&mut self) -> Result<Vec<LinkInfo>, DeviceError> {
            Ok(Vec::new())
        }

        fn settings(&mut self, _: &str) -> Option<LinkSettings> {
            self.go.recv().ok()?;
            self.asked += 1;
            Some(LinkSettings {
                speed_mbps: self.asked,
                full_duplex: None,
                modes: Default::default(),
            })
        }

        fn mii(&mut self, _: &str) -> Result<(bool, LinkSource), DeviceError> {
            none()
        }

        fn socket(
            &mut self,
            _: &str,
            _: u16,
            _: Option<EthAddr>,
        ) -> Result<ProtoSocket, DeviceError> {
            none()
        }
    }

    fn settings(n: usize) -> Query {
        Query::Settings { port: "bond0".to_owned(), member: MemberId(0), name: n.to_string() }
    }

    fn start() -> (SyncSender<()>, Queries) {
        let (go, held) = sync_channel(1000);
        let poll = mio::Poll::new().expect("a poll");
        let waker = mio::Waker::new(poll.registry(), mio::Token(0)).expect("a waker");
        let devices = Box::new(Held { go: held, asked: 0 });
        (go, Queries::spawn(devices, Arc::new(waker)).expect("a thread"))
    }

    fn next(queries: &mut Queries) -> (Query, u64) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            match queries.answer() {
                Some((query, Answer::Settings(Some(said)))) => return (query, said.speed_mbps),
                Some(_) => panic!("another answer"),
                None => assert!(Instant::now() < end, "no answer"),
            }
            std::thread::yield_now();
        }
    }

    #[test]
    fn queries_beyond_the_depth_wait_their_turn_and_none_is_lost() {
        let (go, mut queries) = start();
        let all = 5 * DEPTH;
        for n in 0..all {
            assert!(queries.ask(settings(n)));
            assert!(!queries.ask(settings(n)), "{n} is under way");
            assert!(queries.posted <= DEPTH);
        }
        assert_eq!((queries.posted, queries.waiting.len()), (DEPTH, all - DEPTH));
        for _ in 0..all {
            go.send(()).expect("the thread runs");
        }
        for n in 0..all {
            assert_eq!(next(&mut queries).0, settings(n));
        }
        assert_eq!((queries.posted, queries.under_way.len()), (0, 0));
    }

    #[test]
    fn a_query_asked_anew_is_answered_from_after_the_call() {
        let (go, mut queries) = start();
        for n in 0..=DEPTH {
            assert!(queries.ask(settings(n)));
        }
        // With the thread already, and not yet.
        queries.ask_anew(settings(0));
        queries.ask_anew(settings(DEPTH));
        for _ in 0..DEPTH + 2 {
            go.send(()).expect("the thread runs");
        }
        // The first answer of 0 is left out.
        let answers: Vec<(Query, u64)> = (0..=DEPTH).map(|_| next(&mut queries)).collect();
        let of =
            |n| answers.iter().filter(move |(q, _)| *q == settings(n)).map(|(_, asked)| *asked);
        assert_eq!(of(0).collect::<Vec<_>>(), [DEPTH as u64 + 2]);
        assert_eq!(of(DEPTH).collect::<Vec<_>>(), [DEPTH as u64 + 1]);
    }

    #[test]
    fn dropping_the_queries_ends_the_thread() {
        let (go, queries) = start();
        drop(queries);
        let end = Instant::now() + Duration::from_secs(10);
        // The devices go with the thread, and with them the receiver.
        while go.send(()).is_ok() {
            assert!(Instant::now() < end, "the thread has not ended");
            std::thread::yield_now();
        }
    }
}
