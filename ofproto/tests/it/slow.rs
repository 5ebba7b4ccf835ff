//! The queue between packet threads and the links thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use datapath::{Packet, PortNo, SlowPath, UserspaceReason};
use ofproto::{SlowPathQueue, SlowPathSink};
use wire::{FlowKey, Time};

#[test]
fn slow_path_queue_is_bounded_ordered_and_counts_drops() {
    let wakes = Arc::new(AtomicUsize::new(0));
    let w = wakes.clone();
    let queue = SlowPathQueue::new(Box::new(move || {
        w.fetch_add(1, Relaxed);
    }));
    let packet = Packet::new(&[7; 60]);
    let key = FlowKey::default();
    for n in 0..1030 {
        let in_port = PortNo(n);
        let what = SlowPath { reason: UserspaceReason::Lacp, in_port, packet: &packet, key: &key };
        queue.frame(Time::from_millis(u64::from(n)), what);
    }
    assert_eq!((wakes.load(Relaxed), queue.dropped()), (1030, 6));
    let first = queue.pop().unwrap();
    assert_eq!((first.in_port, first.at, first.frame.len()), (PortNo(0), Time::ZERO, 60));
    let last = std::iter::from_fn(|| queue.pop()).last().unwrap();
    assert_eq!(last.in_port, PortNo(1023), "the oldest stay");
}
