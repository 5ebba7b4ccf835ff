//! The links thread: every `Bond`, stand-alone LACP, link detection, and nothing else.
//!
//! ```text
//!              Request (queue + waker)           rtnetlink, slow-protocol sockets, deadlines
//!   main ───────────────────────────┐                          │
//!    ▲                              ▼                          ▼
//!    │  Outbox (latest values)   ┌──────────────── thread ────────────────┐ ◀─ counts ── carrier
//!    └───────────────────────────┤ device: link state    port: the engine │
//!                                └──┬───────────────┬───────────────┬─────┘ ◀─ answers ─ device
//!               Datapath::table_publish   BondHandle::forwarding   Work queue  ─ queries ▶ queries
//!                                   ▼               ▼               ▼
//!                              packet path      translation     revalidator
//! ```
//!
//! Nothing here waits for another thread: main asks by a queue and reads an [`Outbox`] that keeps
//! only the latest value of each thing, so it cannot fill up while main is busy; the revalidator
//! gets work by a queue that merges equal items; frames for the datapath have a queue of their own
//! that drops and counts when it is full; the log drops lines rather than wait.
//!
//! Nor for the kernel's lock for network configuration (RTNL) or a driver: messages of rtnetlink
//! are received without it; the members' carriers are read without it on a thread of their own
//! (`prober`); all that needs it is asked on another (`queries`): the list of links, state by
//! index, speed, MII, opening and closing of sockets. `known` decides which of these sources is
//! the newest.
//!
//! A dead link moves traffic in one turn of the thread: the event, the engine, one store of the
//! table. Logging, the database and flows come after.

mod device;
mod known;
mod monitors;
mod outbox;
mod port;
mod prober;
mod queries;
mod sockets;
mod thread;

use std::borrow::Cow;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::time::Duration;

use bond::monitor::bfd::BfdStatus;
use bond::monitor::cfm::CfmStatus;
use bond::{BondConfig, CommandError, LacpConfig, LacpMemberConfig, MemberId, Monitor};
use datapath::PortNo;
use netdev::io::dummy::DummyPort;
use ofproto::BondHandle;
use wire::EthAddr;

use config::Detect;

pub use self::device::{LinkView, Source};
pub use self::monitors::WatchedLink;
pub use self::outbox::{Letters, LinkNews, MemberLink, Outbox};
pub use self::port::{BondView, LacpView};
pub use self::queries::{DeviceQueries, KernelQueries};
pub use self::thread::{Setup, spawn};

/// A port that needs the links thread: a bond, or a single interface with LACP.
#[derive(Clone, Debug)]
pub struct LinkPort {
    /// `Port.name`.
    pub name: String,
    pub bridge: String,
    pub kind: LinkPortKind,
    pub detect: Detect,
    pub members: Vec<LinkMember>,
}

#[derive(Clone, Debug)]
pub enum LinkPortKind {
    /// Several interfaces; the engine does its LACP.
    Bond { config: Box<BondConfig>, handle: Arc<BondHandle> },
    /// One interface with LACP: its own little protocol machine.
    Single { lacp: LacpConfig, member: LacpMemberConfig },
}

/// A member's device, as this thread needs it.
#[derive(Clone, Debug)]
pub struct LinkMember {
    pub id: MemberId,
    pub name: String,
    pub mac: EthAddr,
    pub device: LinkDevice,
    /// `None` for a patch port.
    pub port_no: Option<PortNo>,
}

/// Where link state and slow-protocol frames come from.
#[derive(Clone)]
pub enum LinkDevice {
    /// A device of the kernel's.
    Kernel { ifindex: u32 },
    /// A device in memory, whose test sets its carrier.
    Dummy(DummyPort),
    /// Always up. What it sends arrives at the interface `peer`, if that is its peer in turn.
    Patch { peer: Option<String> },
}

impl std::fmt::Debug for LinkDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LinkDevice::Kernel { ifindex } => write!(f, "Kernel({ifindex})"),
            LinkDevice::Dummy(_) => f.write_str("Dummy"),
            LinkDevice::Patch { peer } => write!(f, "Patch({peer:?})"),
        }
    }
}

/// What main asks. Each carries where the answer goes; a full or closed answer is dropped.
pub(crate) enum Request {
    /// The whole snapshot; ports that are not in it go away.
    Configure {
        ports: Vec<LinkPort>,
        done: SyncSender<()>,
    },
    Bond {
        port: String,
        command: bond::Command,
        done: SyncSender<Result<Cow<'static, str>, BondError>>,
    },
    Bonds {
        done: SyncSender<Vec<BondView>>,
    },
    Lacps {
        done: SyncSender<Vec<LacpView>>,
    },
    Links {
        done: SyncSender<Vec<LinkView>>,
    },
    /// All interfaces with health checks; those that are not in it any more have none.
    Watch {
        links: Vec<WatchedLink>,
        done: SyncSender<()>,
    },
    Bfds {
        done: SyncSender<Vec<BfdStatus>>,
    },
    Cfms {
        done: SyncSender<Vec<CfmStatus>>,
    },
    Force {
        monitor: Monitor,
        link: Option<String>,
        forced: Option<bool>,
        done: SyncSender<bool>,
    },
    /// Nothing: whoever asks knows by the answer that earlier news have been heeded.
    Heed {
        done: SyncSender<()>,
    },
    Stop,
}

/// Why a bond's command was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BondError {
    #[error("no such bond")]
    NoSuchBond,
    #[error(transparent)]
    Refused(#[from] CommandError),
    #[error("the links thread does not answer")]
    NoAnswer,
}

/// How long main waits for the links thread, which itself never waits: only a machine without
/// processor time to give can use this up.
const PATIENCE: Duration = Duration::from_secs(5);

/// Main's hand on the thread. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    requests: Sender<Request>,
    waker: Arc<mio::Waker>,
    pub outbox: Arc<Outbox>,
}

impl Links {
    pub(crate) fn new(waker: Arc<mio::Waker>, outbox: Arc<Outbox>) -> (Links, Receiver<Request>) {
        let (requests, inbox) = channel();
        (Links { requests, waker, outbox }, inbox)
    }

    fn send(&self, request: Request) {
        // Both fail only when the thread has gone, at exit.
        let _ = self.requests.send(request);
        let _ = self.waker.wake();
    }

    fn ask<T>(&self, request: impl FnOnce(SyncSender<T>) -> Request) -> Option<T> {
        let (done, answer) = sync_channel(1);
        self.send(request(done));
        answer.recv_timeout(PATIENCE).ok()
    }

    /// Replaces the snapshot; returns when tables for it are published.
    pub fn configure(&self, ports: Vec<LinkPort>) -> bool {
        self.ask(|done| Request::Configure { ports, done }).is_some()
    }

    /// Runs an operator's command on a bond.
    pub fn command(
        &self,
        port: &str,
        command: bond::Command,
    ) -> Result<Cow<'static, str>, BondError> {
        self.ask(|done| Request::Bond { port: port.to_owned(), command, done })
            .unwrap_or(Err(BondError::NoAnswer))
    }

    /// Every bond's status, by port name.
    pub fn bonds(&self) -> Vec<BondView> {
        self.ask(|done| Request::Bonds { done }).unwrap_or_default()
    }

    /// LACP of every port that runs it, by port name.
    pub fn lacps(&self) -> Vec<LacpView> {
        self.ask(|done| Request::Lacps { done }).unwrap_or_default()
    }

    /// What is known of every member's link, by name.
    pub fn links(&self) -> Vec<LinkView> {
        self.ask(|done| Request::Links { done }).unwrap_or_default()
    }

    /// Replaces the set of interfaces with health checks. To come before [`Links::configure`]:
    /// a bond then knows of them before it hears of a member's link.
    pub fn watch(&self, links: Vec<WatchedLink>) -> bool {
        self.ask(|done| Request::Watch { links, done }).is_some()
    }

    /// Every BFD session, by interface.
    pub fn bfds(&self) -> Vec<BfdStatus> {
        self.ask(|done| Request::Bfds { done }).unwrap_or_default()
    }

    /// Every CFM maintenance point, by interface.
    pub fn cfms(&self) -> Vec<CfmStatus> {
        self.ask(|done| Request::Cfms { done }).unwrap_or_default()
    }

    /// Overrides what the sessions of one interface, or of all, find out: BFD's forwarding, CFM's
    /// fault. `Some(false)` if the one has no such session, `None` if nobody answers.
    pub fn force(
        &self,
        monitor: Monitor,
        link: Option<&str>,
        forced: Option<bool>,
    ) -> Option<bool> {
        let link = link.map(str::to_owned);
        self.ask(|done| Request::Force { monitor, link, forced, done })
    }

    /// Returns when the thread has heeded what was done to devices before.
    pub fn heed(&self) -> bool {
        self.ask(|done| Request::Heed { done }).is_some()
    }

    pub fn stop(&self) {
        self.send(Request::Stop);
    }
}
