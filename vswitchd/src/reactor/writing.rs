//! What main writes to the database: status at each change, statistics at intervals.

use std::time::Duration;

use ovsdb_client::rows::OpenVSwitch;
use ovsdb_client::{Txn, TxnError, TxnId};

use super::{Daemon, Flight};
use crate::modules::OVSDB;
use crate::status::{self, controllers};

/// How long after a refused transaction status is written again.
const STATUS_AGAIN: Duration = Duration::from_millis(100);

impl Daemon {
    pub(super) fn reply(&mut self, id: TxnId, result: Result<(), TxnError>) {
        if self.stats_in_flight == Some(id) {
            self.stats_in_flight = None;
            return;
        }
        let Some(flight) = self.in_flight.take_if(|f| f.id == id) else { return };
        match result {
            Ok(()) => {
                if flight.first {
                    self.ready = true;
                }
            }
            Err(e) => {
                crate::dbg!(OVSDB, "transaction failed ({e}); writing status again");
                self.dirty = true;
                self.applied = true;
                self.retry_at = Some(self.now() + STATUS_AGAIN);
            }
        }
    }

    /// One transaction at a time; the next one holds what has changed since.
    pub(super) fn write_status(&mut self) {
        let ready = self.ours && self.session.is_locked() && self.session.is_following();
        let waits = self.in_flight.is_some() || self.retry_at.is_some_and(|t| self.now() < t);
        if !(self.dirty || self.applied) || !ready || waits || self.seen.is_none() {
            return;
        }
        self.retry_at = None;
        let mut txn = Txn::new();
        let db = self.session.db();
        self.status.write(
            &mut txn,
            db,
            &self.desired,
            &self.switch,
            &*self.context.datapath,
            &self.context.ofproto,
        );
        let now = self.context.clock.now();
        controllers::write(&mut txn, db, &self.desired, &self.openflow, now);
        if self.applied {
            status::write_root(&mut txn, db, &self.version, self.session.schema_version());
        }
        if let Some((uuid, root)) = db.open_vswitch.iter().next() {
            let missing = self.identity.missing(&root.external_ids);
            if !missing.is_empty() {
                txn.add_keys(*uuid, OpenVSwitch::COL.external_ids, &missing);
            }
        }
        self.dirty = false;
        self.applied = false;
        if txn.is_empty() {
            self.ready = true;
            return;
        }
        let first = !self.ready;
        self.in_flight = Some(Flight { id: self.session.transact(&txn), first });
    }

    pub(super) fn write_statistics(&mut self) {
        let now = self.now();
        if self.seen.is_none()
            || self.stats_in_flight.is_some()
            || self.next_stats.is_some_and(|t| now < t)
        {
            return;
        }
        self.next_stats = Some(now + self.desired.switch.stats_interval);
        if !self.ours || !self.session.is_locked() || !self.session.is_following() {
            return;
        }
        let mut txn = Txn::new();
        status::write_statistics(
            &mut txn,
            self.session.db(),
            &self.desired,
            &self.switch,
            &*self.context.datapath,
            &self.context.ofproto,
        );
        let db = self.session.db();
        controllers::write(&mut txn, db, &self.desired, &self.openflow, now);
        if !txn.is_empty() {
            self.stats_in_flight = Some(self.session.transact(&txn));
        }
    }
}
