//! Transactions that are built anew until they are done.

use std::fmt;
use std::time::Duration;

use super::{Link, Session, SessionEvent, TxnId};
use crate::connection::{LockState, Phase};
use crate::db::Db;
use crate::txn::{Txn, TxnError, TxnReply};

/// A transaction that is not done yet.
pub(super) struct Repeat {
    id: TxnId,
    build: Box<dyn FnMut(&Db) -> Txn + Send>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be built and sent as soon as it can be.
    Ready,
    /// Sent as this request, built from the replica at this [`Db::seqno`].
    Sent { request: u64, seqno: u64 },
    /// Not before the replica is another one or the time has come.
    Waiting { seqno: u64, until: Duration },
}

impl fmt::Debug for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeat").field("id", &self.id).field("state", &self.state).finish()
    }
}

impl Session {
    /// Builds a transaction from the replica and sends it; if it fails because the contents were
    /// other ones by then, or because the connection or the leader was lost, builds it anew from
    /// the new contents, until it is done or fails for another reason
    /// ([`TxnError::is_transient`]). The reply comes as [`SessionEvent::TxnReply`] once.
    ///
    /// What `build` relies on it should read with [`Txn::read`]. After a lost connection the last
    /// attempt may be done already: an empty transaction says that nothing is left to do. Without
    /// a connection (or the lock, if [`super::Options::lock`] is set) it waits for one, so it never
    /// ends by itself; [`Session::cancel`] ends it. To be followed by [`Session::run`].
    pub fn retry(&mut self, build: impl FnMut(&Db) -> Txn + Send + 'static) -> TxnId {
        let id = TxnId(self.next_id());
        self.repeats.push(Repeat { id, build: Box::new(build), state: State::Ready });
        id
    }

    /// Gives up a transaction of [`Session::retry`]; no reply comes. False if it is done already.
    /// One that is on its way may still be done.
    pub fn cancel(&mut self, id: TxnId) -> bool {
        let before = self.repeats.len();
        self.repeats.retain(|repeat| repeat.id != id);
        self.repeats.len() < before
    }

    /// When the first one has to be looked at.
    pub(super) fn next_repeat(&self) -> Option<Duration> {
        if !self.can_transact() {
            return None;
        }
        let times = self.repeats.iter().filter_map(|repeat| match repeat.state {
            State::Ready => Some(Duration::ZERO),
            State::Sent { .. } => None,
            State::Waiting { seqno, .. } if seqno != self.db.seqno() => Some(Duration::ZERO),
            State::Waiting { until, .. } => Some(until),
        });
        times.min()
    }

    fn can_transact(&self) -> bool {
        match &self.link {
            Link::Connected(connection) => {
                connection.phase == Phase::Following
                    && (self.options.lock.is_none() || connection.lock == LockState::Held)
            }
            Link::Backoff { .. }
            | Link::Lookup { .. }
            | Link::Listening
            | Link::Connecting { .. } => false,
        }
    }

    /// Sends what is due.
    pub(super) fn repeat(&mut self, now: Duration) {
        if self.repeats.is_empty() || !self.can_transact() {
            return;
        }
        let seqno = self.db.seqno();
        for mut repeat in std::mem::take(&mut self.repeats) {
            let due = match repeat.state {
                State::Ready => true,
                State::Sent { .. } => false,
                State::Waiting { seqno: seen, until } => seen != seqno || now >= until,
            };
            if due {
                let txn = (repeat.build)(&self.db);
                if txn.is_empty() {
                    let done = SessionEvent::TxnReply(repeat.id, Ok(TxnReply::default()));
                    self.events.push_back(done);
                    continue;
                }
                let request = self.transact(&txn).0;
                repeat.state = State::Sent { request, seqno };
            }
            self.repeats.push(repeat);
        }
    }

    /// A transaction has its reply.
    pub(super) fn txn_done(
        &mut self,
        request: u64,
        result: Result<TxnReply, TxnError>,
        now: Duration,
    ) {
        let sent = self.repeats.iter().enumerate().find_map(|(at, repeat)| match repeat.state {
            State::Sent { request: of, seqno } if of == request => Some((at, seqno)),
            State::Sent { .. } | State::Ready | State::Waiting { .. } => None,
        });
        let Some((at, seqno)) = sent else {
            // No one waits for an attempt that was canceled, but its reply does no harm.
            self.events.push_back(SessionEvent::TxnReply(TxnId(request), result));
            return;
        };
        if let Err(error) = &result
            && error.is_transient()
        {
            // The contents that got in the way are here before the reply, or soon.
            let until = now + self.options.min_backoff;
            self.repeats[at].state = State::Waiting { seqno, until };
            return;
        }
        let id = self.repeats.remove(at).id;
        self.events.push_back(SessionEvent::TxnReply(id, result));
    }
}
