//! What the links thread tells main: the latest value of each thing.
//!
//! There is one slot for each thing that can change, so a main thread that is stuck for minutes
//! costs no memory and loses nothing that it would still need. The lock is held for a map
//! operation by either side, never over a call.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bond::monitor::bfd::BfdColumn;
use bond::monitor::cfm::CfmColumns;
use netdev::link::{LinkInfo, LinkSettings};
use parking_lot::Mutex;
use wire::EthAddr;

use crate::device::Source;

/// What became of a kernel device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkChange {
    /// It is new, or something of it has changed.
    Changed(LinkInfo),
    /// It was deleted, renamed, or has left the network namespace.
    Gone {
        /// The index that it had.
        ifindex: u32,
    },
}

/// A member's link, as its bond sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberLink {
    /// Whether the link is up.
    pub up: bool,
    /// The source of that.
    pub source: Source,
    /// Speed and duplex, if the device has told them.
    pub settings: Option<LinkSettings>,
}

/// The latest value of each thing since the last call of [`Outbox::take`].
#[derive(Debug, Default)]
pub struct Updates {
    /// By device name.
    pub links: BTreeMap<String, LinkChange>,
    /// Indices of devices that were deleted or left the network namespace. A socket on one is
    /// dead, although `links` may hold a newer device of the same name and index.
    pub removed: BTreeSet<u32>,
    /// How often each device's carrier has changed since the daemon started.
    pub resets: BTreeMap<String, u64>,
    /// Link state of watched members, by interface name.
    pub members: BTreeMap<String, MemberLink>,
    /// `Port.bond_active_slave`, by port name.
    pub active: BTreeMap<String, EthAddr>,
    /// `Interface.lacp_current`, by interface name.
    pub lacp_current: BTreeMap<String, Option<bool>>,
    /// Whether LACP lets an interface carry traffic: all those that run it, if any has changed.
    pub lacp_enable: Option<BTreeMap<String, bool>>,
    /// `Interface.bfd_status`, by interface name.
    pub bfd: BTreeMap<String, Option<BfdColumn>>,
    /// `Interface.cfm_*`, by interface name.
    pub cfm: BTreeMap<String, Option<CfmColumns>>,
}

impl Updates {
    /// Whether nothing has changed.
    pub fn is_empty(&self) -> bool {
        self.links.is_empty()
            && self.removed.is_empty()
            && self.resets.is_empty()
            && self.members.is_empty()
            && self.active.is_empty()
            && self.lacp_current.is_empty()
            && self.lacp_enable.is_none()
            && self.bfd.is_empty()
            && self.cfm.is_empty()
    }
}

/// Shared between the two threads.
pub struct Outbox {
    updates: Mutex<Updates>,
    waker: Arc<mio::Waker>,
}

impl Outbox {
    /// `waker` wakes main.
    pub fn new(waker: Arc<mio::Waker>) -> Outbox {
        Outbox { updates: Mutex::default(), waker }
    }

    /// Everything since the last call.
    pub fn take(&self) -> Updates {
        std::mem::take(&mut *self.updates.lock())
    }

    pub(crate) fn put(&self, write: impl FnOnce(&mut Updates)) {
        write(&mut self.updates.lock());
        // Fails only when main has gone.
        let _ = self.waker.wake();
    }
}
