//! The mux machine: may frames flow through this port?

use serde::Serialize;
use wire::lacp::state;

/// IEEE 802.1AX-2014 figure 6-22 (coupled control), without WAITING: nothing is gained by holding
/// a port back for its siblings, since they join the aggregate one by one without harm.
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
    Detached,
    Attached,
    CollectingDistributing,
}

/// What the machine reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The port belongs to the aggregate.
    Selected,
    /// It does not.
    Unselected,
    /// The partner has attached its end, or is excused: none is known, and the bond falls back.
    PartnerInSync,
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

    /// In the aggregate, whatever the partner says.
    pub fn is_attached(self) -> bool {
        match self {
            Mux::Detached => false,
            Mux::Attached | Mux::CollectingDistributing => true,
        }
    }

    /// The bits of the actor's state that follow from the machine.
    ///
    /// As Open vSwitch, an attached port says that it collects and distributes even while the
    /// partner is out of sync, and so does every port while nothing is `negotiated`.
    pub fn actor_bits(self, negotiated: bool) -> u8 {
        let flows = state::COLLECTING | state::DISTRIBUTING;
        match (self, negotiated) {
            (Mux::Attached | Mux::CollectingDistributing, _) => state::SYNCHRONIZATION | flows,
            (Mux::Detached, false) => flows,
            (Mux::Detached, true) => 0,
        }
    }
}
