//! Copies of one packet that come in by several ports of a table.
//!
//! A partner that sends every packet on every link, or a switch that floods to all of them,
//! delivers a copy by each. The first one is let in, and the port that brought it is remembered for
//! [`WINDOW`] by a hash of the packet's octets; the same octets from another port are dropped within
//! that time. The same octets from the same port are a packet of their own, such as a repeated ARP
//! request.

use std::hash::{BuildHasher, Hasher};

use wire::Time;

use crate::port::PortNo;
use crate::table::TableId;

/// How far apart two copies of a packet arrive at most, in milliseconds.
const WINDOW: u64 = 200;

/// Packets that are remembered; a later one takes the place of an earlier one with the same low bits.
/// 8192 packets are 8 ms at a million packets a second.
const PLACES: usize = 8192;

/// The packet that a place remembers.
#[derive(Clone, Copy)]
struct Seen {
    hash: u64,
    at: Time,
    table: TableId,
    port: PortNo,
}

/// What one packet thread remembers of the packets that it has let in, for tables with
/// [`Ingress::Once`](crate::Ingress::Once).
#[derive(Default)]
pub struct Duplicates {
    /// Empty until the first packet.
    places: Box<[Option<Seen>]>,
    hasher: foldhash::fast::RandomState,
}

impl Duplicates {
    /// Whether `frame`, which `port` of `table` receives at `now`, is a copy of one that another port
    /// of the table has let in. If not, it is remembered.
    pub fn is_copy(&mut self, now: Time, table: TableId, port: PortNo, frame: &[u8]) -> bool {
        if self.places.is_empty() {
            self.places = vec![None; PLACES].into_boxed_slice();
        }
        let mut hasher = self.hasher.build_hasher();
        hasher.write(frame);
        let hash = hasher.finish();
        let place = &mut self.places[hash as usize % PLACES];
        if let Some(seen) = place
            && (seen.hash, seen.table) == (hash, table)
            && seen.port != port
            && now.since(seen.at).as_millis() <= u128::from(WINDOW)
        {
            return true;
        }
        *place = Some(Seen { hash, at: now, table, port });
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const T: TableId = TableId(1);
    const A: PortNo = PortNo(1);
    const B: PortNo = PortNo(2);

    #[test]
    fn a_copy_from_another_port_is_known() {
        let mut d = Duplicates::default();
        let at = Time::from_millis;
        assert!(!d.is_copy(at(0), T, A, b"one"));
        assert!(d.is_copy(at(0), T, B, b"one"));
        assert!(!d.is_copy(at(1), T, B, b"two"));
        assert!(d.is_copy(at(2), T, A, b"two"));
        // Of three ports.
        assert!(d.is_copy(at(2), T, PortNo(3), b"two"));
        // Another table has packets of its own.
        assert!(!d.is_copy(at(2), TableId(2), A, b"two"));
    }

    #[test]
    fn the_same_octets_from_the_same_port_are_another_packet() {
        let mut d = Duplicates::default();
        for ms in 0..5 {
            assert!(!d.is_copy(Time::from_millis(ms), T, A, b"again"));
            assert!(d.is_copy(Time::from_millis(ms), T, B, b"again"));
        }
    }

    #[test]
    fn after_the_window_another_port_may_bring_it() {
        let mut d = Duplicates::default();
        assert!(!d.is_copy(Time::from_millis(0), T, A, b"a"));
        assert!(d.is_copy(Time::from_millis(WINDOW), T, B, b"a"));
        assert!(!d.is_copy(Time::from_millis(WINDOW + 1), T, B, b"a"));
        assert!(d.is_copy(Time::from_millis(WINDOW + 1), T, A, b"a"));
    }
}
