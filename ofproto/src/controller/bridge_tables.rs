//! The flow tables of an agent's bridge.

use openflow::OfError;

use super::types::SwitchOps;
use crate::tables::FlowTables;

/// Changes the flow tables of one bridge; remembers whether packets see all changes.
pub(super) struct BridgeTables {
    bridge: String,
    /// There are changes that packets do not see yet.
    unseen: bool,
}

impl BridgeTables {
    /// The tables of a bridge.
    pub(super) fn new(bridge: &str) -> BridgeTables {
        BridgeTables { bridge: bridge.to_owned(), unseen: false }
    }

    /// Works on the tables; packets see all of it at once.
    pub(super) fn with<R>(
        &self,
        ops: &dyn SwitchOps,
        work: impl FnOnce(&mut FlowTables) -> R,
    ) -> Result<R, OfError> {
        // The bridge goes with its connections; a message may still be in between.
        ops.ofproto().with_flow_table(&self.bridge, work).map_err(|_| OfError::BrcEperm)
    }

    /// As [`BridgeTables::with`], but packets see it only after [`BridgeTables::publish`]: one new
    /// snapshot for many commands.
    pub(super) fn with_unseen<R>(
        &mut self,
        ops: &dyn SwitchOps,
        work: impl FnOnce(&mut FlowTables) -> R,
    ) -> Result<R, OfError> {
        let state = ops.ofproto().bridge_state(&self.bridge).map_err(|_| OfError::BrcEperm)?;
        self.unseen = true;
        let mut tables = state.flow_table.lock();
        Ok(work(&mut tables))
    }

    /// Lets packets see all changes so far.
    pub(super) fn publish(&mut self, ops: &dyn SwitchOps) {
        if std::mem::take(&mut self.unseen) {
            // The bridge is gone when this fails, and so are its packets.
            let _ = self.with(ops, |_| ());
        }
    }
}
