//! What main writes to the database: status at each change, statistics at intervals.
//!
//! One transaction of each kind is under way at a time; the next one holds what has changed since.

use std::time::Duration;

use ovsdb_client::rows::OpenVSwitch;
use ovsdb_client::{Session, Txn, TxnError, TxnId};
use wire::Time;

use super::forwarding::Forwarding;
use super::openflow::OpenFlow;
use super::revision::Revision;
use crate::commands::Context;
use crate::identity::Identity;
use crate::modules::OVSDB;
use crate::status::{self, controllers};

/// The time between a refused transaction and the next attempt.
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// What the database says of the switch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Written {
    /// These revisions; nothing before the first transaction.
    UpTo(Revisions),
    /// A transaction with these is under way.
    InFlight { id: TxnId, revisions: Revisions },
    /// A transaction was refused: all is written again at this time.
    Refused { retry_at: Time },
}

/// Revisions of [`Forwarding::revisions`]; `None`: nothing is written yet, or all must be again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Revisions {
    shown: Option<Revision>,
    configured: Option<Revision>,
}

/// Writes status and statistics.
pub(super) struct StatusWriter {
    written: Written,
    /// Status was written for the first time.
    ready: bool,
    next_statistics: Option<Time>,
    statistics_in_flight: Option<TxnId>,
    /// `Open_vSwitch.ovs_version`, if the column is empty.
    version: String,
    /// Keys of `Open_vSwitch.external_ids`, if they are missing.
    identity: Identity,
}

impl StatusWriter {
    pub(super) fn new(version: String, identity: Identity) -> StatusWriter {
        StatusWriter {
            written: Written::UpTo(Revisions {
                shown: None,
                configured: Some(Revision::default()),
            }),
            ready: false,
            next_statistics: None,
            statistics_in_flight: None,
            version,
            identity,
        }
    }

    /// The first configuration is in force and written back.
    pub(super) fn is_ready(&self) -> bool {
        self.ready
    }

    /// Transactions that are under way.
    pub(super) fn in_flight(&self) -> usize {
        let status = matches!(self.written, Written::InFlight { .. });
        usize::from(status) + usize::from(self.statistics_in_flight.is_some())
    }

    /// The system's identity has become known: it is written with the next status.
    pub(super) fn identity_known(&mut self) -> bool {
        self.identity.named()
    }

    /// Statistics are written at the next opportunity: their interval has changed.
    pub(super) fn restart_statistics(&mut self) {
        self.next_statistics = None;
    }

    /// The answer to a transaction.
    pub(super) fn reply(&mut self, id: TxnId, result: Result<(), TxnError>, now: Time) {
        if self.statistics_in_flight == Some(id) {
            self.statistics_in_flight = None;
            return;
        }
        let Written::InFlight { id: mine, revisions } = self.written else { return };
        if mine != id {
            return;
        }
        match result {
            Ok(()) => {
                self.written = Written::UpTo(revisions);
                self.ready = true;
            }
            Err(e) => {
                crate::dbg!(OVSDB, "transaction failed ({e}); writing status again");
                self.written = Written::Refused { retry_at: now + RETRY_AFTER };
            }
        }
    }

    /// When [`StatusWriter::run`] has work if nothing changes before.
    pub(super) fn next_deadline(&self) -> Option<Time> {
        let retry = match self.written {
            Written::Refused { retry_at } => Some(retry_at),
            Written::UpTo(_) | Written::InFlight { .. } => None,
        };
        let statistics = self.next_statistics.filter(|_| self.statistics_in_flight.is_none());
        retry.into_iter().chain(statistics).min()
    }

    /// Writes what is due. A configuration must be in force. `writable`: the database is connected
    /// and its lock is held; otherwise nothing is written.
    pub(super) fn run(
        &mut self,
        writable: bool,
        session: &mut Session,
        forwarding: &mut Forwarding,
        openflow: &OpenFlow,
        context: &Context,
    ) {
        let now = context.clock.now();
        if writable {
            self.write_status(session, forwarding, openflow, context, now);
        }
        if self.statistics_in_flight.is_none() && self.next_statistics.is_none_or(|t| now >= t) {
            self.next_statistics = Some(now + forwarding.desired.switch.stats_interval);
            if writable {
                self.write_statistics(session, forwarding, openflow, context, now);
            }
        }
    }

    fn write_status(
        &mut self,
        session: &mut Session,
        forwarding: &mut Forwarding,
        openflow: &OpenFlow,
        context: &Context,
        now: Time,
    ) {
        let (shown, configured) = forwarding.revisions();
        let revisions = Revisions { shown: Some(shown), configured: Some(configured) };
        let root = match self.written {
            Written::UpTo(written) if written == revisions => return,
            Written::UpTo(written) => written.configured != revisions.configured,
            Written::InFlight { .. } => return,
            Written::Refused { retry_at } if now < retry_at => return,
            Written::Refused { .. } => true,
        };
        let mut txn = Txn::new();
        let db = session.db();
        forwarding.status.write(
            &mut txn,
            db,
            &forwarding.desired,
            &forwarding.switch,
            &*context.datapath,
            &context.ofproto,
        );
        controllers::write(&mut txn, db, &forwarding.desired, &openflow.connections, now);
        if root {
            status::write_root(&mut txn, db, &self.version, session.schema_version());
        }
        if let Some((uuid, root)) = db.open_vswitch.iter().next() {
            let missing = self.identity.missing(&root.external_ids);
            if !missing.is_empty() {
                txn.add_keys(*uuid, OpenVSwitch::COL.external_ids, &missing);
            }
        }
        if txn.is_empty() {
            self.written = Written::UpTo(revisions);
            self.ready = true;
        } else {
            self.written = Written::InFlight { id: session.transact(&txn), revisions };
        }
    }

    fn write_statistics(
        &mut self,
        session: &mut Session,
        forwarding: &Forwarding,
        openflow: &OpenFlow,
        context: &Context,
        now: Time,
    ) {
        let mut txn = Txn::new();
        let db = session.db();
        status::write_statistics(
            &mut txn,
            db,
            &forwarding.desired,
            &forwarding.switch,
            &*context.datapath,
            &context.ofproto,
        );
        controllers::write(&mut txn, db, &forwarding.desired, &openflow.connections, now);
        if !txn.is_empty() {
            self.statistics_in_flight = Some(session.transact(&txn));
        }
    }
}
