//! The queue of packets from datapath threads to controllers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crossbeam_queue::ArrayQueue;
use ofproto::controller::{PACKET_IN_DEPTH, PacketInSink, QueuedPacketIn};

/// Packets taken in one call, so that a flood does not keep main from its other work.
const AT_ONCE: usize = 256;

/// Holds up to [`PACKET_IN_DEPTH`] packets and drops those that come while it is full, so that a
/// flood of packets for controllers uses no more memory than that.
pub struct PacketQueue {
    queue: ArrayQueue<QueuedPacketIn>,
    dropped: AtomicU64,
    main: Arc<mio::Waker>,
}

impl PacketQueue {
    /// `main` wakes the poll of the thread that takes the packets.
    pub fn new(main: Arc<mio::Waker>) -> Arc<PacketQueue> {
        let queue = ArrayQueue::new(PACKET_IN_DEPTH);
        Arc::new(PacketQueue { queue, dropped: AtomicU64::new(0), main })
    }

    /// The oldest packets, in order.
    pub(crate) fn take(&self) -> Vec<QueuedPacketIn> {
        let packets: Vec<_> = std::iter::from_fn(|| self.queue.pop()).take(AT_ONCE).collect();
        if !self.queue.is_empty() {
            let _ = self.main.wake();
        }
        packets
    }

    /// Packets that found the queue full.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

impl PacketInSink for PacketQueue {
    fn packet_in(&self, packet: QueuedPacketIn) -> bool {
        let taken = self.queue.push(packet).is_ok();
        if !taken {
            self.dropped.fetch_add(1, Relaxed);
        }
        // Fails only after the poll has been dropped.
        let _ = self.main.wake();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_queue_drops_and_counts() {
        let poll = mio::Poll::new().unwrap();
        let main = Arc::new(mio::Waker::new(poll.registry(), mio::Token(0)).unwrap());
        let queue = PacketQueue::new(main);
        for n in 0..PACKET_IN_DEPTH + 3 {
            let mut packet = crate::probe_packet_in::packet("br0");
            packet.controller_id = n as u16;
            assert_eq!(queue.packet_in(packet), n < PACKET_IN_DEPTH);
        }
        assert_eq!(queue.dropped(), 3);
        let first = queue.take();
        assert_eq!((first.len(), first[0].controller_id), (AT_ONCE, 0));
        let mut rest = 0;
        while let n @ 1.. = queue.take().len() {
            rest += n;
        }
        assert_eq!(rest, PACKET_IN_DEPTH - AT_ONCE);
    }
}
