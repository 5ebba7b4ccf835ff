//! Counters that other crates keep, for `coverage/show` and `coverage/read-counter`.

use datapath::{DatapathStats, URGENT_DEPTH};

use crate::coverage::{Counter, register};
use crate::log::RateLimit;
use crate::modules::DPIF;

/// In the order of [`ofproto::mac_table::MacCoverage::counters`].
static MAC_LEARNING: [Counter; 5] = [
    Counter::new("mac_learning_learned"),
    Counter::new("mac_learning_expired"),
    Counter::new("mac_learning_evicted"),
    Counter::new("mac_learning_moved"),
    Counter::new("mac_learning_static_none_move"),
];

/// Frames and jobs of the links thread (LACPDUs, BFD and CFM messages of devices without a socket,
/// learning packets) that the packet thread's urgent queue had no room for.
static URGENT_DROPPED: Counter = Counter::new("links_urgent_dropped");

/// Reallocations of packet batches. Open vSwitch's test suite reads it at the end of each test.
pub static BATCH_GROWN: Counter = Counter::new("dp_packet_batch_grow");

/// Adds the counters to the table.
pub fn register_all() {
    register(&MAC_LEARNING.each_ref());
    register(&[&URGENT_DROPPED]);
}

/// Copies the present counts, and warns of frames that were dropped since the last call; at most
/// once in 60 seconds.
pub fn update(ofproto: &ofproto::Ofproto, datapath: &DatapathStats) {
    for (counter, (_, total)) in MAC_LEARNING.iter().zip(ofproto.mac_coverage().counters()) {
        counter.set(total);
    }
    BATCH_GROWN.set(datapath.batches_grown);
    let dropped = new_drops(datapath.urgent_dropped, &URGENT_DROPPED);
    if dropped > 0 {
        static LIMIT: RateLimit = RateLimit::new(1, 1);
        crate::warn_rl!(
            DPIF,
            LIMIT,
            "{dropped} control frames of the links thread were dropped: the packet thread has not \
             taken the last {URGENT_DEPTH}"
        );
    }
}

/// Sets `counter` to `total`; by how much it has grown.
fn new_drops(total: u64, counter: &Counter) -> u64 {
    let new = total.saturating_sub(counter.total());
    counter.set(total);
    new
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_counters_have_the_names_and_order_of_ofproto() {
        let theirs = ofproto::mac_table::MacCoverage::default();
        for (ours, (name, _)) in MAC_LEARNING.iter().zip(theirs.counters()) {
            assert_eq!(ours.name(), name);
        }
    }

    #[test]
    fn urgent_drops_each_is_reported_once() {
        static COUNTER: Counter = Counter::new("test");
        assert_eq!(new_drops(0, &COUNTER), 0);
        assert_eq!(new_drops(3, &COUNTER), 3);
        assert_eq!(new_drops(3, &COUNTER), 0);
        assert_eq!(new_drops(5, &COUNTER), 2);
        assert_eq!(COUNTER.total(), 5);
    }
}
