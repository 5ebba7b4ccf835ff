//! Main's side of the thread: requests and their answers.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use bond::monitor::bfd::BfdStatus;
use bond::monitor::cfm::CfmStatus;
use bond::{CommandError, Monitor};

use crate::device::LinkView;
use crate::port_driver::{BondView, LacpView};
use crate::settings::{LinkPort, WatchedLink};
use crate::updates::Outbox;

/// What main asks. Each carries where the answer goes; a full or closed answer is dropped.
pub(crate) enum Request {
    /// The whole snapshot; ports that are not in it go away.
    Configure {
        ports: Vec<LinkPort>,
        done: SyncSender<()>,
    },
    /// Main is to be told of devices with these names only.
    Follow {
        names: BTreeSet<String>,
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
    /// Has no effect of its own. The answer means that the thread has processed every earlier request.
    Sync {
        done: SyncSender<()>,
    },
    Stop,
}

/// Why a bond's command was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BondError {
    /// There is no bond of this name.
    #[error("no such bond")]
    NoSuchBond,
    /// The bond refused it.
    #[error(transparent)]
    Refused(#[from] CommandError),
    /// The thread has not answered in time.
    #[error(transparent)]
    NoAnswer(#[from] NoAnswer),
}

/// The links thread did not answer within 5 s, or has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the links thread does not answer")]
pub struct NoAnswer;

/// How long main waits for an answer of the links thread. That thread never waits, so that only a
/// machine without free processor time exceeds it.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Requests that may wait. Each caller waits for its answer, so that there are more than one for
/// each of main's callers only when the thread has not answered for `ANSWER_TIMEOUT`; a
/// request beyond that is dropped, and its caller gets `NoAnswer`.
const REQUESTS: usize = 16;

/// Main's hand on the thread. Cheap to clone.
#[derive(Clone)]
pub struct Links {
    requests: SyncSender<Request>,
    waker: Arc<mio::Waker>,
    /// What the thread reports.
    pub outbox: Arc<Outbox>,
}

impl Links {
    pub(crate) fn new(waker: Arc<mio::Waker>, outbox: Arc<Outbox>) -> (Links, Receiver<Request>) {
        let (requests, inbox) = sync_channel(REQUESTS);
        (Links { requests, waker, outbox }, inbox)
    }

    fn send(&self, request: Request) {
        // Fails when the thread has gone, at exit, or when the queue is full: the request is
        // dropped, and with it the place for its answer.
        let _ = self.requests.try_send(request);
        let _ = self.waker.wake();
    }

    fn ask<T>(&self, request: impl FnOnce(SyncSender<T>) -> Request) -> Result<T, NoAnswer> {
        let (done, answer) = sync_channel(1);
        self.send(request(done));
        answer.recv_timeout(ANSWER_TIMEOUT).map_err(|_| NoAnswer)
    }

    /// Replaces the snapshot; returns when tables for it are published.
    pub fn configure(&self, ports: Vec<LinkPort>) -> bool {
        self.ask(|done| Request::Configure { ports, done }).is_ok()
    }

    /// Main is told, and woken, of devices with these names only. `names` are all interfaces of the
    /// configuration, whether this thread serves their ports or not, and whether their devices exist
    /// or not. To come before a device is opened, so that its end is not missed.
    pub fn follow(&self, names: BTreeSet<String>) -> bool {
        self.ask(|done| Request::Follow { names, done }).is_ok()
    }

    /// Runs an operator's command on a bond.
    pub fn command(
        &self,
        port: &str,
        command: bond::Command,
    ) -> Result<Cow<'static, str>, BondError> {
        self.ask(|done| Request::Bond { port: port.to_owned(), command, done })
            .unwrap_or_else(|e| Err(e.into()))
    }

    /// Every bond's status, by port name.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]
    pub fn bonds(&self) -> Result<Vec<BondView>, NoAnswer> {
        self.ask(|done| Request::Bonds { done })
    }

    /// LACP of every port that runs it, by port name.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]
    pub fn lacps(&self) -> Result<Vec<LacpView>, NoAnswer> {
        self.ask(|done| Request::Lacps { done })
    }

    /// What is known of every member's link, by name.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]
    pub fn links(&self) -> Result<Vec<LinkView>, NoAnswer> {
        self.ask(|done| Request::Links { done })
    }

    /// Replaces the set of interfaces with health checks. To come before [`Links::configure`]:
    /// a bond then knows of them before it hears of a member's link.
    pub fn watch(&self, links: Vec<WatchedLink>) -> bool {
        self.ask(|done| Request::Watch { links, done }).is_ok()
    }

    /// Every BFD session, by interface.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]
    pub fn bfds(&self) -> Result<Vec<BfdStatus>, NoAnswer> {
        self.ask(|done| Request::Bfds { done })
    }

    /// Every CFM maintenance point, by interface.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]
    pub fn cfms(&self) -> Result<Vec<CfmStatus>, NoAnswer> {
        self.ask(|done| Request::Cfms { done })
    }

    /// Overrides what the sessions of one interface, or of all, find out: BFD's forwarding, CFM's
    /// fault. False if the one has no such session.
    ///
    /// # Errors
    ///
    /// [`NoAnswer`]
    pub fn force(
        &self,
        monitor: Monitor,
        link: Option<&str>,
        forced: Option<bool>,
    ) -> Result<bool, NoAnswer> {
        let link = link.map(str::to_owned);
        self.ask(|done| Request::Force { monitor, link, forced, done })
    }

    /// Returns when the thread has heeded what was done to devices before.
    pub fn sync(&self) -> bool {
        self.ask(|done| Request::Sync { done }).is_ok()
    }

    /// Ends the thread.
    pub fn stop(&self) {
        self.send(Request::Stop);
    }
}
