//! What the datapath asks of translation when no cached flow matches.

use std::any::Any;
use std::sync::Arc;

use netdev::Packet;
use wire::{FlowKey, FlowMask, Time};

use crate::action::{Action, ToController, UserspaceReason};
use crate::flow::FlowHandle;
use crate::port::PortNo;

/// The answer to a miss.
pub struct Translation {
    /// The actions for this packet, and for those that hit the flow.
    pub actions: Arc<[Action]>,
    /// Where translation looked: the megaflow. Never wider than what was looked at.
    pub mask: FlowMask,
    /// False: do it for this packet, install nothing.
    pub install: bool,
    /// Translation's own notes on the flow, handed back at revalidation (`FlowHandle::notes`).
    pub notes: Option<Arc<dyn Any + Send + Sync>>,
}

/// A packet that a flow sent up, not part of forwarding (LACP and such).
pub struct SlowPath<'a> {
    /// Why the flow sent it up.
    pub reason: UserspaceReason,
    /// The port that the packet was received on.
    pub in_port: PortNo,
    /// The packet, as it is at that point of the actions.
    pub packet: &'a Packet,
    /// Its key, likewise.
    pub key: &'a FlowKey,
}

/// Translation, as the datapath's threads call it. Works on immutable snapshots; must not wait
/// for the control side.
pub trait Upcall: Send + Sync {
    /// Translates a packet once, with its side effects (MAC learning). `in_port` is in the key.
    fn miss(&self, now: Time, packet: &Packet, key: &FlowKey) -> Translation;

    /// The translation of a miss was installed. Called on a datapath thread; must not wait.
    fn flow_added(&self, flow: &FlowHandle) {
        let _ = flow;
    }

    /// A flow said `Userspace`.
    fn slow_path(&self, now: Time, what: SlowPath<'_>);

    /// A flow said `Controller`: `packet` as it is then, already cut if the flow says so, and its
    /// key as it is then. Called on a datapath thread; must not wait.
    fn to_controller(&self, now: Time, what: &ToController, packet: &Packet, key: &FlowKey) {
        let _ = (now, what, packet, key);
    }
}
