//! An installed flow, shared between the thread that runs it and whoever looks at it.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, AtomicU64, Ordering};

use Ordering::Relaxed;
use arc_swap::ArcSwap;
use wire::{FlowKey, FlowMask, Time};

use crate::action::Action;
use crate::flow_actions::FlowActions;

/// A snapshot of a flow's counters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FlowStats {
    /// Packets that hit the flow.
    pub packets: u64,
    /// Octets of those packets.
    pub bytes: u64,
    /// When the last packet passed; `None` before the first.
    pub used: Option<Time>,
    /// Union of the TCP flags of those packets.
    pub tcp_flags: u16,
}

/// A megaflow. The datapath's threads write the counters, the revalidator may replace the
/// actions or mark the flow dead; neither waits for the other.
///
/// What every packet touches stands first, in one cache line; the key follows.
#[repr(C, align(64))]
pub struct FlowHandle {
    /// Replaced as a whole when re-translation gives others.
    pub actions: FlowActions,
    pub(crate) packets: AtomicU64,
    pub(crate) bytes: AtomicU64,
    /// Nanoseconds of `Time`; 0 = never.
    pub(crate) used: AtomicU64,
    pub(crate) tcp_flags: AtomicU16,
    /// Set by `flow_remove`; caches that still refer to the flow drop it when they next find it.
    dead: AtomicBool,
    /// Translation's notes, replaced together with the actions.
    pub notes: ArcSwap<Option<Arc<dyn Any + Send + Sync>>>,
    /// When the flow was installed.
    pub created: Time,
    /// Already masked.
    pub key: FlowKey,
    /// The bits of the key that a packet must agree with.
    pub mask: FlowMask,
    /// The key of the packet that the flow was made for, unmasked: what a dump shows.
    pub packet_key: FlowKey,
}

impl FlowHandle {
    /// A flow for packets that agree with `packet_key` where `mask` has bits set.
    pub fn new(
        packet_key: FlowKey,
        mask: FlowMask,
        actions: Vec<Action>,
        notes: Option<Arc<dyn Any + Send + Sync>>,
        created: Time,
    ) -> FlowHandle {
        FlowHandle {
            key: packet_key.masked(&mask),
            mask,
            packet_key,
            actions: FlowActions::new(actions),
            notes: ArcSwap::from_pointee(notes),
            created,
            packets: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            used: AtomicU64::new(0),
            tcp_flags: AtomicU16::new(0),
            dead: AtomicBool::new(false),
        }
    }

    /// The current counters.
    pub fn stats(&self) -> FlowStats {
        let used = self.used.load(Relaxed);
        FlowStats {
            packets: self.packets.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            used: (used != 0).then(|| Time::from_nanos(used)),
            tcp_flags: self.tcp_flags.load(Relaxed),
        }
    }

    /// Counts one packet. Only the flow's own packet thread calls this, so plain loads and stores
    /// do: no other writer can come between.
    #[inline]
    pub fn count(&self, bytes: u64, now: Time, tcp_flags: u16) {
        self.packets.store(self.packets.load(Relaxed) + 1, Relaxed);
        self.bytes.store(self.bytes.load(Relaxed) + bytes, Relaxed);
        // 0 means never; a clock that starts at 0 counts as having used the flow at 1 ns.
        self.used.store(now.as_nanos().max(1), Relaxed);
        let all_flags = self.tcp_flags.load(Relaxed);
        if all_flags | tcp_flags != all_flags {
            self.tcp_flags.store(all_flags | tcp_flags, Relaxed);
        }
    }

    /// Makes the counters what they were at first. A packet that passes meanwhile may undo it.
    pub fn reset_stats(&self) {
        self.packets.store(0, Relaxed);
        self.bytes.store(0, Relaxed);
        self.used.store(0, Relaxed);
        self.tcp_flags.store(0, Relaxed);
    }

    /// Marks the flow as removed; returns whether it was not before. A backend calls this when it
    /// takes the flow out, so that caches that still refer to the flow skip it.
    pub fn mark_dead(&self) -> bool {
        !self.dead.swap(true, Ordering::AcqRel)
    }

    /// Whether the flow was removed.
    pub fn is_dead(&self) -> bool {
        self.dead.load(Relaxed)
    }
}
