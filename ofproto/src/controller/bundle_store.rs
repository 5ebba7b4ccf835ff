//! The OpenFlow bundles of one connection: messages that wait for their common effect (1.4 clause
//! 6.9).

use std::collections::BTreeMap;
use std::time::Duration;

use openflow::OfError;
use openflow::msg::{FlowMod, PacketOut, PortMod};
use wire::Time;

/// Bundles of one connection, and messages of one bundle.
const MAX_BUNDLES: usize = 1024;
const MAX_MESSAGES: usize = 1 << 20;

/// What a bundle may hold.
pub(super) enum BundleEntry {
    Flow(FlowMod),
    Port(PortMod),
    Packet(PacketOut),
    /// Deletes groups, of which there are none.
    Nothing,
}

/// A message of a bundle.
pub(super) struct BundleItem {
    pub(super) entry: BundleEntry,
    /// The message that brought it, for errors.
    pub(super) frame: Vec<u8>,
}

/// Messages that wait for their common effect.
pub(super) struct OfpBundle {
    flags: u16,
    closed: bool,
    used: Time,
    /// The message that opened it, for errors.
    frame: Vec<u8>,
    items: Vec<BundleItem>,
}

impl OfpBundle {
    fn new(now: Time, flags: u16, frame: &[u8]) -> OfpBundle {
        OfpBundle { flags, closed: false, used: now, frame: frame.to_vec(), items: Vec::new() }
    }

    /// `OFPBF_*`.
    pub(super) fn flags(&self) -> u16 {
        self.flags
    }

    /// The messages, in order.
    pub(super) fn items(&self) -> &[BundleItem] {
        &self.items
    }
}

/// See the module.
pub(super) struct BundleStore {
    bundles: BTreeMap<u32, OfpBundle>,
    /// A bundle that was not used for this long is given up.
    idle: Duration,
}

impl BundleStore {
    /// No bundles; those to come are given up when they are not used for `idle`.
    pub(super) fn new(idle: Duration) -> BundleStore {
        BundleStore { bundles: BTreeMap::new(), idle }
    }

    /// For all bundles, present ones included.
    pub(super) fn set_idle(&mut self, idle: Duration) {
        self.idle = idle;
    }

    /// Opens a bundle; `frame` is the message that does. `BfcBadId`: one of this number was open,
    /// and is lost.
    pub(super) fn open(
        &mut self,
        now: Time,
        id: u32,
        flags: u16,
        frame: &[u8],
    ) -> Result<(), OfError> {
        if self.bundles.remove(&id).is_some() {
            return Err(OfError::BfcBadId);
        }
        if self.bundles.len() == MAX_BUNDLES {
            return Err(OfError::BfcOutOfBundles);
        }
        self.bundles.insert(id, OfpBundle::new(now, flags, frame));
        Ok(())
    }

    /// Closes a bundle: it takes no more messages. On an error it is lost.
    pub(super) fn close(&mut self, now: Time, id: u32, flags: u16) -> Result<(), OfError> {
        let bundle = self.bundles.get_mut(&id).ok_or(OfError::BfcBadId)?;
        let error = match bundle {
            OfpBundle { closed: true, .. } => OfError::BfcBundleClosed,
            OfpBundle { flags: opened, .. } if *opened != flags => OfError::BfcBadFlags,
            OfpBundle { closed: false, .. } => {
                bundle.used = now;
                bundle.closed = true;
                return Ok(());
            }
        };
        self.bundles.remove(&id);
        Err(error)
    }

    /// Adds a message to a bundle, which it opens if it is not there. On an error the bundle is
    /// lost.
    pub(super) fn add(
        &mut self,
        now: Time,
        id: u32,
        flags: u16,
        item: BundleItem,
    ) -> Result<(), OfError> {
        if self.bundles.len() == MAX_BUNDLES && !self.bundles.contains_key(&id) {
            return Err(OfError::BfcOutOfBundles);
        }
        let new = || OfpBundle::new(now, flags, &item.frame);
        let bundle = self.bundles.entry(id).or_insert_with(new);
        let error = match bundle {
            OfpBundle { closed: true, .. } => OfError::BfcBundleClosed,
            OfpBundle { flags: opened, .. } if *opened != flags => OfError::BfcBadFlags,
            OfpBundle { items, .. } if items.len() == MAX_MESSAGES => OfError::BfcMsgTooMany,
            OfpBundle { closed: false, .. } => {
                bundle.used = now;
                bundle.items.push(item);
                return Ok(());
            }
        };
        self.bundles.remove(&id);
        Err(error)
    }

    /// Takes a bundle out.
    pub(super) fn take(&mut self, id: u32) -> Result<OfpBundle, OfError> {
        self.bundles.remove(&id).ok_or(OfError::BfcBadId)
    }

    /// Gives up bundles that were not used for long; returns the messages that opened them.
    pub(super) fn expire(&mut self, now: Time) -> Vec<Vec<u8>> {
        let idle = self.idle;
        let late = self.bundles.extract_if(.., |_, b| b.used + idle <= now);
        late.map(|(_, b)| b.frame).collect()
    }

    /// When the next bundle is given up.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.bundles.values().map(|b| b.used + self.idle).min()
    }
}
