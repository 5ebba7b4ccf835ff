//! An installed flow, shared between the thread that runs it and whoever looks at it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use arc_swap::ArcSwap;
use wire::{FlowKey, FlowMask, Time};

use crate::action::Action;

/// A snapshot of a flow's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowStats {
    pub packets: u64,
    pub bytes: u64,
    /// When the last packet passed; `None` before the first.
    pub used: Option<Time>,
    pub tcp_flags: u16,
}

/// A megaflow. The datapath's threads write the counters, the revalidator may replace the
/// actions or mark the flow dead; neither waits for the other.
pub struct FlowHandle {
    /// Already masked.
    pub key: FlowKey,
    pub mask: FlowMask,
    /// Replaced as a whole when re-translation gives others.
    pub actions: ArcSwap<Vec<Action>>,
    /// Translation's notes, replaced together with the actions.
    pub notes: ArcSwap<Option<Arc<dyn Any + Send + Sync>>>,
    pub created: Time,
    pub(crate) packets: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Nanoseconds of `Time`; 0 = never.
    pub(crate) used: AtomicU64,
    pub(crate) tcp_flags: AtomicU64,
    /// Set by `flow_remove`; caches that still hold the flow drop it at the next look.
    pub(crate) dead: AtomicBool,
}

impl FlowHandle {
    pub fn new(
        key: FlowKey,
        mask: FlowMask,
        actions: Vec<Action>,
        notes: Option<Arc<dyn Any + Send + Sync>>,
        created: Time,
    ) -> FlowHandle {
        FlowHandle {
            key,
            mask,
            actions: ArcSwap::from_pointee(actions),
            notes: ArcSwap::from_pointee(notes),
            created,
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            used: AtomicU64::new(0),
            tcp_flags: AtomicU64::new(0),
            dead: AtomicBool::new(false),
        }
    }

    pub fn stats(&self) -> FlowStats {
        let used = self.used.load(Relaxed);
        FlowStats {
            packets: self.packets.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            used: (used != 0).then(|| Time::from_nanos(used)),
            tcp_flags: self.tcp_flags.load(Relaxed) as u16,
        }
    }

    pub fn is_dead(&self) -> bool {
        self.dead.load(Relaxed)
    }
}
