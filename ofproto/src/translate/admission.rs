//! Whether a bond admits the packet that came in by it.

use std::sync::Arc;

use bond::Admission;
use datapath::TableId;

use crate::config::BondHandle;

/// What a bond says of a packet that came in by one of its members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// It is admitted now.
    pub(super) open: bool,
    /// Only unless its sender is known to be on another port: then the packet is one that this
    /// bond sent out by one member and the switch beyond reflected to another.
    pub(super) unless_moved: bool,
}

impl Verdict {
    /// A port that is no bond admits everything.
    pub(super) const OPEN: Verdict = Verdict { open: true, unless_moved: false };

    /// What the admission of a member says of a packet. `any_restricted`: some member of the bond
    /// admits only what has not moved, so that this one would, too, if it were open.
    pub(super) fn of(
        admission: Admission,
        multicast: bool,
        any_restricted: impl FnOnce() -> bool,
    ) -> Verdict {
        match admission {
            Admission::Open => Verdict::OPEN,
            Admission::UnlessMoved | Admission::Once => Verdict { open: true, unless_moved: true },
            Admission::Unicast => Verdict { open: !multicast, unless_moved: true },
            Admission::Closed => Verdict { open: false, unless_moved: any_restricted() },
        }
    }
}

/// The bond that a packet came in by. Its gate may decide in the datapath, packet by packet, so
/// that a change of the bond changes no flow.
#[derive(Default)]
pub(super) struct AdmissionGate {
    bond: Option<Arc<BondHandle>>,
    not_admitted: bool,
}

impl AdmissionGate {
    /// The packet came in by this bond, or by none.
    pub(super) fn set(&mut self, bond: Option<Arc<BondHandle>>) {
        self.bond = bond;
    }

    /// The table of the bond's gate.
    pub(super) fn table(&self) -> Option<TableId> {
        self.bond.as_ref().map(|b| b.table)
    }

    /// The bond does not admit the packet now: nothing is learned from it, in no bridge.
    pub(super) fn refuse(&mut self) {
        self.not_admitted = true;
    }

    /// Whether the bond does not admit the packet now.
    pub(super) fn is_refused(&self) -> bool {
        self.not_admitted
    }
}
