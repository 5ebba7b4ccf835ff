//! Packets of controllers that are on their way through the switch.

use super::types::SwitchOps;

/// Calls of [`super::Agent::run`] until the packet-ins that a packet-out causes have been handed
/// over: that of the turn in which it was sent, and that of the next, which begins with packet-ins.
pub(super) const RUNS: u8 = 2;

/// Packet-outs of one bridge.
#[derive(Default)]
pub(super) struct PacketOuts {
    /// Some were sent that the datapath may not have taken yet.
    unsettled: bool,
    /// Calls of [`super::Agent::run`] in which packet-ins that they cause may still come.
    runs: u8,
}

impl PacketOuts {
    /// One was sent.
    pub(super) fn sent(&mut self) {
        self.unsettled = true;
        self.runs = RUNS;
    }

    /// Waits until the datapath has taken all: what is changed after them must not change what
    /// becomes of them.
    pub(super) fn settle(&mut self, bridge: &str, ops: &dyn SwitchOps) {
        if std::mem::take(&mut self.unsettled) {
            // The datapath's jobs run in order. When it does not answer there is nothing to do.
            let _ = ops.ofproto().with_macs(bridge, |_| ());
        }
    }

    /// Whether packet-ins that they cause may still come.
    pub(super) fn may_cause_packet_ins(&self) -> bool {
        self.runs > 0
    }

    /// The agent runs.
    pub(super) fn run(&mut self) {
        self.runs = self.runs.saturating_sub(1);
    }
}
