//! What other crates count, brought in for `coverage/show` and `coverage/read-counter`.

use crate::coverage::{Counter, register};

/// In the order in which [`ofproto::mac_table::MacCoverage::counters`] has them.
static MAC_LEARNING: [Counter; 5] = [
    Counter::new("mac_learning_learned"),
    Counter::new("mac_learning_expired"),
    Counter::new("mac_learning_evicted"),
    Counter::new("mac_learning_moved"),
    Counter::new("mac_learning_static_none_move"),
];

/// Makes them known.
pub fn start() {
    register(&MAC_LEARNING.each_ref());
}

/// Takes over what has been counted until now.
pub fn update(switch: &ofproto::Ofproto) {
    for (counter, (_, total)) in MAC_LEARNING.iter().zip(switch.mac_coverage().counters()) {
        counter.set(total);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_order_are_the_same() {
        let theirs = ofproto::mac_table::MacCoverage::default();
        for (ours, (name, _)) in MAC_LEARNING.iter().zip(theirs.counters()) {
            assert_eq!(ours.name(), name);
        }
    }
}
