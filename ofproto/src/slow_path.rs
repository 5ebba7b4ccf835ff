//! Packets that flows send up: LACP, BFD and CFM frames for the links thread.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_queue::ArrayQueue;
use datapath::{PortNo, SlowPath, UserspaceReason};
use wire::{FlowKey, Time};

/// Takes the packets that flows send up. Called on a datapath thread: must not wait.
pub trait SlowPathSink: Send + Sync {
    /// A frame of LACP, BFD or CFM came in.
    fn frame(&self, now: Time, what: SlowPath<'_>);

    /// A RARP packet came in by a datapath port. Called once for each flow of them, when it is
    /// made: bonds announce addresses this way, and what one announces must not come back.
    fn announced(&self, in_port: PortNo);
}

/// A frame that was sent up, with a copy of its bytes.
#[derive(Clone, Debug)]
pub struct SlowFrame {
    /// When it was received.
    pub at: Time,
    /// Its protocol.
    pub reason: UserspaceReason,
    /// The datapath's port that it came in by.
    pub in_port: PortNo,
    /// Its octets.
    pub frame: Vec<u8>,
    /// Its fields.
    pub key: FlowKey,
}

/// Frames that may wait for the links thread. LACP sends at most a few a second for each link,
/// so that 1024 hold seconds of a switch with hundreds of links; more is a flood, and what it
/// loses the protocols send again.
const DEPTH: usize = 1024;

/// RARP packets that may wait: a bond announces as many addresses as it likes, and one that comes
/// back is enough.
const ANNOUNCED: usize = 16;

/// A bounded queue between the datapath's threads and the links thread. When it is full the
/// newest frame is dropped and counted.
pub struct SlowPathQueue {
    queue: ArrayQueue<SlowFrame>,
    /// Ports that RARP packets came in by.
    announced: ArrayQueue<PortNo>,
    dropped: AtomicU64,
    wake: Box<dyn Fn() + Send + Sync>,
}

impl SlowPathQueue {
    /// `wake` is called after each frame, on a datapath thread.
    pub fn new(wake: Box<dyn Fn() + Send + Sync>) -> SlowPathQueue {
        SlowPathQueue {
            queue: ArrayQueue::new(DEPTH),
            announced: ArrayQueue::new(ANNOUNCED),
            dropped: AtomicU64::new(0),
            wake,
        }
    }

    /// The oldest waiting frame.
    pub fn pop(&self) -> Option<SlowFrame> {
        self.queue.pop()
    }

    /// The oldest port that a RARP packet came in by.
    pub fn pop_announced(&self) -> Option<PortNo> {
        self.announced.pop()
    }

    /// Frames lost to a full queue.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

impl SlowPathSink for SlowPathQueue {
    fn frame(&self, now: Time, what: SlowPath<'_>) {
        let frame = SlowFrame {
            at: now,
            reason: what.reason,
            in_port: what.in_port,
            frame: what.packet.data().to_vec(),
            key: *what.key,
        };
        if self.queue.push(frame).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
        (self.wake)();
    }

    fn announced(&self, in_port: PortNo) {
        // A full queue already says that there are announcements.
        if self.announced.push(in_port).is_ok() {
            (self.wake)();
        }
    }
}
