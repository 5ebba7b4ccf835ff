//! Transactions that are built anew until they are done. No connection here: the session sends what
//! is due and reports the replies.

use std::fmt;
use std::time::Duration;

use crate::db::Db;
use crate::txn::{Txn, TxnError, TxnId, TxnReply};

/// The transactions of a session that are not done yet.
#[derive(Debug, Default)]
pub(super) struct Repeats(Vec<Repeat>);

struct Repeat {
    id: TxnId,
    build: Box<dyn FnMut(&Db) -> Txn + Send>,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// To be built and sent as soon as possible.
    Ready,
    /// Sent as this request, built from the replica at this [`Db::seqno`].
    Sent { request: u64, seqno: u64 },
    /// To be built again when the replica has changed or at a time.
    Waiting { seqno: u64, until: Duration },
}

impl fmt::Debug for Repeat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Repeat").field("id", &self.id).field("state", &self.state).finish()
    }
}

impl Repeat {
    fn is_due(&self, seqno: u64, now: Duration) -> bool {
        match self.state {
            State::Ready => true,
            State::Sent { .. } => false,
            State::Waiting { seqno: seen, until } => seen != seqno || now >= until,
        }
    }
}

/// What the reply to a request means.
pub(super) enum Outcome {
    /// It is the last reply to this transaction.
    Done(TxnId),
    /// The transaction is built again.
    Again,
    /// The request is of no transaction here.
    Unknown,
}

impl Repeats {
    /// Adds a transaction, which is due at once.
    pub(super) fn add(&mut self, id: TxnId, build: Box<dyn FnMut(&Db) -> Txn + Send>) {
        self.0.push(Repeat { id, build, state: State::Ready });
    }

    /// Removes a transaction; false if there is none of this identifier.
    pub(super) fn remove(&mut self, id: TxnId) -> bool {
        let before = self.0.len();
        self.0.retain(|repeat| repeat.id != id);
        self.0.len() < before
    }

    /// When the first transaction is due, with the replica at `seqno`.
    pub(super) fn next_deadline(&self, seqno: u64) -> Option<Duration> {
        let times = self.0.iter().filter_map(|repeat| match repeat.state {
            State::Ready => Some(Duration::ZERO),
            State::Sent { .. } => None,
            State::Waiting { seqno: seen, .. } if seen != seqno => Some(Duration::ZERO),
            State::Waiting { until, .. } => Some(until),
        });
        times.min()
    }

    /// Builds the transactions that are due. An empty one has nothing left to do.
    pub(super) fn build_due(&mut self, db: &Db, now: Duration) -> Vec<(TxnId, Txn)> {
        let due = self.0.iter_mut().filter(|repeat| repeat.is_due(db.seqno(), now));
        due.map(|repeat| (repeat.id, (repeat.build)(db))).collect()
    }

    /// A transaction was sent as `request`, built from the replica at `seqno`.
    pub(super) fn sent(&mut self, id: TxnId, request: u64, seqno: u64) {
        if let Some(repeat) = self.0.iter_mut().find(|repeat| repeat.id == id) {
            repeat.state = State::Sent { request, seqno };
        }
    }

    /// A request was answered; what has failed for a transient reason is due again at `retry_at`,
    /// or when the replica changes.
    pub(super) fn replied(
        &mut self,
        request: u64,
        result: &Result<TxnReply, TxnError>,
        retry_at: Duration,
    ) -> Outcome {
        let sent = self.0.iter().enumerate().find_map(|(at, repeat)| match repeat.state {
            State::Sent { request: of, seqno } if of == request => Some((at, seqno)),
            State::Sent { .. } | State::Ready | State::Waiting { .. } => None,
        });
        let Some((at, seqno)) = sent else { return Outcome::Unknown };
        if let Err(error) = result
            && error.is_transient()
        {
            // The contents in conflict are in the replica before the reply, or soon after.
            self.0[at].state = State::Waiting { seqno, until: retry_at };
            return Outcome::Again;
        }
        Outcome::Done(self.0.remove(at).id)
    }
}
