//! The mux machine: whether the port collects and distributes frames.

use serde::Serialize;
use wire::lacp::state;

/// IEEE 802.1AX-2014 figure 6-22 (coupled control), without WAITING: ports join the aggregate
/// one by one without an interruption, so there is no reason to wait for the others.
///
/// ```text
///   +----------+  selected   +----------+  partner in sync   +--------------------------+
///   | DETACHED | ----------> | ATTACHED | -----------------> | COLLECTING_DISTRIBUTING  |
///   +----------+             +----------+ <----------------- +--------------------------+
///        ^                        |        partner not in sync            |
///        |      unselected        |                                       |
///        +------------------------+---------------------------------------+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mux {
    /// Not part of the aggregate.
    Detached,
    /// Part of the aggregate; the partner is out of sync.
    Attached,
    /// Part of the aggregate, and carries traffic.
    CollectingDistributing,
}

/// What the machine reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The port was selected for the aggregate.
    Selected,
    /// The port was not selected.
    Unselected,
    /// The partner is in sync, or there is no partner and the bond falls back to active-backup.
    PartnerInSync,
    /// The partner is out of sync.
    PartnerNotInSync,
}

impl Mux {
    /// The state that follows.
    pub fn next(self, input: Input) -> Mux {
        use Mux::{Attached, CollectingDistributing, Detached};
        match (self, input) {
            (Detached, Input::Selected) => Attached,
            (Attached | CollectingDistributing, Input::Selected) => self,

            (Detached | Attached | CollectingDistributing, Input::Unselected) => Detached,

            (Attached | CollectingDistributing, Input::PartnerInSync) => CollectingDistributing,
            (Attached | CollectingDistributing, Input::PartnerNotInSync) => Attached,
            (Detached, Input::PartnerInSync | Input::PartnerNotInSync) => Detached,
        }
    }

    /// Part of the aggregate.
    pub fn is_attached(self) -> bool {
        match self {
            Mux::Detached => false,
            Mux::Attached | Mux::CollectingDistributing => true,
        }
    }

    /// The bits of the actor's state that follow from the machine.
    ///
    /// As in Open vSwitch, an attached port sets COLLECTING and DISTRIBUTING even while the partner
    /// is out of sync, and every port does while nothing is `negotiated`.
    pub fn actor_bits(self, negotiated: bool) -> u8 {
        let flows = state::COLLECTING | state::DISTRIBUTING;
        match (self, negotiated) {
            (Mux::Attached | Mux::CollectingDistributing, _) => state::SYNCHRONIZATION | flows,
            (Mux::Detached, false) => flows,
            (Mux::Detached, true) => 0,
        }
    }
}
