//! The mux machine: whether the port collects and distributes frames.

use serde::Serialize;
use wire::lacp::state;

/// IEEE 802.1AX-2014 figure 6-22 (coupled control) and figure 6-21 (independent control), without
/// WAITING: ports join the aggregate one by one without an interruption, so there is no reason to
/// wait for the others.
///
/// ```text
///   +----------+  selected   +----------+  partner in sync   +--------------------------+
///   | DETACHED | ----------> | ATTACHED | -----------------> | COLLECTING_DISTRIBUTING  |
///   +----------+             +----------+ <----------------- +--------------------------+
///        ^                    |  |    ^  partner not in sync            |
///        |      unselected    |  |    |                                 |
///        +--------------------+--|----|---------------------------------+
///                                |    |            independent control:
///              partner in sync   v    | partner not in sync
///                            +------------+  partner collects  +--------------+
///                            | COLLECTING | -----------------> | DISTRIBUTING |
///                            +------------+ <----------------- +--------------+
///                                             it does not
/// ```
///
/// A port whose partner collects already passes from ATTACHED to DISTRIBUTING at once. A port that is
/// not selected any more is DETACHED from any state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mux {
    /// Not part of the aggregate.
    Detached,
    /// Part of the aggregate; the partner is out of sync.
    Attached,
    /// Part of the aggregate, and carries traffic.
    CollectingDistributing,
    /// Independent control: frames are accepted; none is sent because the partner does not collect.
    Collecting,
    /// Independent control: carries traffic.
    Distributing,
}

/// What the machine reacts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// The port was selected for the aggregate.
    Selected,
    /// The port was not selected.
    Unselected,
    /// Coupled control: the partner is in sync, or there is no partner and the bond falls back to
    /// active-backup.
    PartnerInSync,
    /// Independent control: the partner is in sync and does not collect.
    PartnerNotCollecting,
    /// Independent control: the partner is in sync and collects, or there is no partner and the
    /// bond falls back to active-backup.
    PartnerCollecting,
    /// The partner is out of sync.
    PartnerNotInSync,
}

impl Mux {
    /// The state that follows.
    pub fn next(self, input: Input) -> Mux {
        use Mux::{Attached, Collecting, CollectingDistributing, Detached, Distributing};
        match (self, input) {
            (Detached, Input::Selected) => Attached,
            (Attached | CollectingDistributing | Collecting | Distributing, Input::Selected) => {
                self
            }

            (
                Detached | Attached | CollectingDistributing | Collecting | Distributing,
                Input::Unselected,
            ) => Detached,

            (
                Attached | CollectingDistributing | Collecting | Distributing,
                Input::PartnerInSync,
            ) => CollectingDistributing,
            (
                Attached | CollectingDistributing | Collecting | Distributing,
                Input::PartnerNotCollecting,
            ) => Collecting,
            (
                Attached | CollectingDistributing | Collecting | Distributing,
                Input::PartnerCollecting,
            ) => Distributing,
            (
                Attached | CollectingDistributing | Collecting | Distributing,
                Input::PartnerNotInSync,
            ) => Attached,
            (
                Detached,
                Input::PartnerInSync
                | Input::PartnerNotCollecting
                | Input::PartnerCollecting
                | Input::PartnerNotInSync,
            ) => Detached,
        }
    }

    /// Part of the aggregate.
    pub fn is_attached(self) -> bool {
        match self {
            Mux::Detached => false,
            Mux::Attached | Mux::CollectingDistributing | Mux::Collecting | Mux::Distributing => {
                true
            }
        }
    }

    /// Frames are accepted.
    pub fn collects(self) -> bool {
        match self {
            Mux::Detached | Mux::Attached => false,
            Mux::CollectingDistributing | Mux::Collecting | Mux::Distributing => true,
        }
    }

    /// Frames are sent.
    pub fn distributes(self) -> bool {
        match self {
            Mux::Detached | Mux::Attached | Mux::Collecting => false,
            Mux::CollectingDistributing | Mux::Distributing => true,
        }
    }

    /// The bits of the actor's state that follow from the machine.
    ///
    /// With coupled control, as in Open vSwitch, an attached port sets COLLECTING and DISTRIBUTING
    /// even while the partner is out of sync, and every port does while nothing is `negotiated`.
    /// With independent control they say what the port does.
    pub fn actor_bits(self, coupled: bool, negotiated: bool) -> u8 {
        let flows = state::COLLECTING | state::DISTRIBUTING;
        match (self, coupled) {
            (Mux::Detached, true) if !negotiated => flows,
            (Mux::Detached, true | false) => 0,
            (
                Mux::Attached | Mux::CollectingDistributing | Mux::Collecting | Mux::Distributing,
                true,
            )
            | (Mux::CollectingDistributing | Mux::Distributing, false) => {
                state::SYNCHRONIZATION | flows
            }
            (Mux::Attached, false) => state::SYNCHRONIZATION,
            (Mux::Collecting, false) => state::SYNCHRONIZATION | state::COLLECTING,
        }
    }
}
