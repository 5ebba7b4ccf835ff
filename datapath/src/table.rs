//! Bucket tables: the one indirection between flows and the ports of a bond.

use std::sync::Arc;

use wire::{EthAddr, EtherType, FlowKey, HashPolicy, hash, ip, xmit_hash};

use crate::port::PortNo;

/// Names a bucket table in the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

/// 0 to 255.
pub type Bucket = u8;

/// Which packets a port of the table lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// No packets.
    Closed,
    /// Ethernet unicast only.
    Unicast,
    /// All packets, but only the first of several equal ones that arrive at different ports of the
    /// table within a moment: copies of one packet that took different ways.
    Once,
    /// All packets.
    Open,
}

/// How [`Action::LbOutput`](crate::Action::LbOutput) chooses a bucket of the table.
///
/// It is a part of the table and read for each packet, so that a change of it is one store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// `dp_hash & 0xff`.
    #[default]
    DpHash,
    /// `xmit_hash % in_use`.
    Xmit {
        /// What is hashed.
        policy: HashPolicy,
        /// The buckets below this number are used, at most 256; 0 drops.
        in_use: u16,
    },
    /// Buckets take turns.
    RoundRobin {
        /// Packets of one turn; 0 = a random bucket for each packet.
        packets: u16,
        /// The buckets below this number are used, at most 256; 0 drops.
        in_use: u16,
        /// Where IGMP goes; `None` = as all packets.
        igmp: Option<PortNo>,
    },
    /// Unicast IP: `xmit_hash % in_use`. All else goes to the port `rest`.
    Tlb {
        /// What is hashed.
        policy: HashPolicy,
        /// The buckets below this number are used, at most 256; 0 drops.
        in_use: u16,
        /// `None` drops.
        rest: Option<PortNo>,
    },
    /// A copy to each of the buckets below `buckets`, at most 256.
    Broadcast {
        /// The number of buckets.
        buckets: u16,
    },
}

/// What a [`Selection`] has chosen for one packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Selected {
    /// No bucket: the packet is dropped.
    Nothing,
    /// One bucket.
    Bucket(Bucket),
    /// All buckets up to this one.
    UpTo(Bucket),
    /// A port, whatever the buckets say.
    Port(PortNo),
}

impl Selection {
    /// Chooses for one packet. `key` is its flow key and `frame` its octets, both as it leaves;
    /// `dp_hash` is what a `hash` action left. `turn` counts the packets that have asked for it.
    pub fn select(
        self,
        frame: &[u8],
        key: &FlowKey,
        dp_hash: Option<u32>,
        turn: impl FnOnce() -> u64,
    ) -> Selected {
        let of = |n: u64, in_use: u16| match in_use.min(256) {
            0 => Selected::Nothing,
            in_use => Selected::Bucket((n % u64::from(in_use)) as u8),
        };
        match self {
            // Without a `hash` action before it, Open vSwitch hashes the packet's 5-tuple.
            Selection::DpHash => {
                let hash = dp_hash.unwrap_or_else(|| hash::flow_hash_5tuple(key, 0));
                Selected::Bucket(hash as u8)
            }
            Selection::Xmit { policy, in_use } => of(u64::from(xmit_hash(policy, frame)), in_use),
            Selection::RoundRobin { igmp: Some(port), .. }
                if key.eth_type == EtherType::IPV4 && key.nw_proto == ip::IGMP =>
            {
                Selected::Port(port)
            }
            Selection::RoundRobin { packets: 0, in_use, .. } => of(scatter(turn()), in_use),
            Selection::RoundRobin { packets, in_use, .. } => {
                of(turn() / u64::from(packets), in_use)
            }
            Selection::Tlb { policy, in_use, .. }
                if !key.eth_dst.is_multicast()
                    && matches!(key.eth_type, EtherType::IPV4 | EtherType::IPV6) =>
            {
                of(u64::from(xmit_hash(policy, frame)), in_use)
            }
            Selection::Tlb { rest, .. } => rest.map_or(Selected::Nothing, Selected::Port),
            Selection::Broadcast { buckets: 0 } => Selected::Nothing,
            Selection::Broadcast { buckets } => Selected::UpTo((buckets - 1).min(255) as u8),
        }
    }
}

/// A number that looks random, from a counter (SplitMix64, Steele and others 2014).
fn scatter(n: u64) -> u64 {
    let z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// Where each bucket goes, and what each port lets in. Immutable: a change is a new table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketTable {
    /// Incremented by the publisher with each table.
    pub generation: u64,
    /// `None` drops.
    pub buckets: [Option<PortNo>; 256],
    /// Ascending by port. A port that is not listed is closed.
    pub ingress: Vec<(PortNo, Ingress)>,
    /// How `lb_output` chooses a bucket.
    pub selection: Selection,
    /// Packets of a bucket of `lb_output` leave these ports with these source addresses. A packet
    /// that comes in with one of them was sent by another port of the table: it is not admitted.
    pub sources: Vec<(PortNo, EthAddr)>,
}

impl BucketTable {
    /// What `port` lets in.
    pub fn ingress(&self, port: PortNo) -> Ingress {
        // Bonds have few members: a scan beats a search.
        self.ingress.iter().find(|(p, _)| *p == port).map_or(Ingress::Closed, |(_, i)| *i)
    }

    /// The source address that packets of `lb_output` get at `port`; `None` = they keep theirs.
    pub fn source(&self, port: PortNo) -> Option<EthAddr> {
        self.sources.iter().find(|(p, _)| *p == port).map(|s| s.1)
    }

    /// Whether packets from `mac` are the table's own, which another port has sent.
    pub fn is_own(&self, mac: EthAddr) -> bool {
        self.sources.iter().any(|s| s.1 == mac)
    }

    /// Whether `port` admits a packet with this kind of destination, copies of others aside.
    pub fn admits(&self, port: PortNo, multicast: bool) -> bool {
        match self.ingress(port) {
            Ingress::Closed => false,
            Ingress::Unicast => !multicast,
            Ingress::Once | Ingress::Open => true,
        }
    }
}

/// A port's link, as a packet thread sees it. Neither call may wait.
pub trait PortLink: Send + Sync {
    /// Whether the link has been lost since this value was made. Called from time to time before a
    /// packet is sent; should take no more than a microsecond or two.
    fn is_lost(&self) -> bool;

    /// Called after `is_lost`, and after the table was replaced if the link was lost: tells the
    /// control side if something has changed.
    fn report(&self);
}

/// What replaces a table at once when a port of it loses its link.
///
/// The control side hears of a lost link by a thread of its own and publishes a new table. That
/// takes several hundred microseconds, and longer on a busy machine; packets sent meanwhile are
/// lost. So it says in advance what it would publish, and a packet thread that finds the link lost
/// publishes that.
#[derive(Clone)]
pub struct Standby {
    /// The table that is replaced. Nothing happens while another one is in force.
    pub of: Arc<BucketTable>,
    /// The ports whose links are looked at.
    pub ports: Vec<StandbyPort>,
}

/// One port of a [`Standby`].
#[derive(Clone)]
pub struct StandbyPort {
    /// The port.
    pub port: PortNo,
    /// Its link.
    pub link: Arc<dyn PortLink>,
    /// The table without the port.
    pub table: Arc<BucketTable>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn buckets(s: Selection, packets: u64) -> Vec<Selected> {
        let key = FlowKey::default();
        (0..packets).map(|n| s.select(&[0; 60], &key, None, || n)).collect()
    }

    #[test]
    fn round_robin_takes_turns() {
        let by = |packets, in_use| {
            let s = Selection::RoundRobin { packets, in_use, igmp: None };
            buckets(s, 7).into_iter().map(|b| match b {
                Selected::Bucket(b) => b,
                other => panic!("{other:?}"),
            })
        };
        assert!(by(1, 3).eq([0, 1, 2, 0, 1, 2, 0]));
        assert!(by(3, 255).eq([0, 0, 0, 1, 1, 1, 2]));
        let s = Selection::RoundRobin { packets: 1, in_use: 0, igmp: None };
        assert_eq!(buckets(s, 1), [Selected::Nothing]);
    }

    #[test]
    fn random_turns_are_even_and_not_in_order() {
        let s = Selection::RoundRobin { packets: 0, in_use: 4, igmp: None };
        let by = buckets(s, 40_000);
        for b in 0..4 {
            let n = by.iter().filter(|s| **s == Selected::Bucket(b)).count();
            assert!((9_700..10_300).contains(&n), "bucket {b}: {n}");
        }
        let repeats = by.windows(2).filter(|w| w[0] == w[1]).count();
        assert!((9_500..10_500).contains(&repeats), "{repeats}");
    }

    #[test]
    fn igmp_keeps_its_port() {
        let s = Selection::RoundRobin { packets: 1, in_use: 4, igmp: Some(PortNo(9)) };
        let mut key =
            FlowKey { eth_type: EtherType::IPV4, nw_proto: ip::IGMP, ..FlowKey::default() };
        assert_eq!(s.select(&[], &key, None, || 0), Selected::Port(PortNo(9)));
        key.nw_proto = ip::UDP;
        assert_eq!(s.select(&[], &key, None, || 0), Selected::Bucket(0));
    }

    #[test]
    fn a_hash_is_taken_modulo_the_buckets_in_use() {
        let mut frame = [0; 60];
        frame[12..14].copy_from_slice(&[0x88, 0xb5]);
        for (last, in_use, bucket) in [(0, 255, 0x88b5 % 255), (3, 256, 0xb6), (7, 10, 0x88b2 % 10)]
        {
            frame[5] = last;
            let s = Selection::Xmit { policy: HashPolicy::L2, in_use };
            let found = s.select(&frame, &FlowKey::default(), None, || 0);
            assert_eq!(found, Selected::Bucket(bucket as u8));
        }
    }

    #[test]
    fn broadcast_is_all_buckets_in_use() {
        for (n, selected) in
            [(0, Selected::Nothing), (1, Selected::UpTo(0)), (256, Selected::UpTo(255))]
        {
            assert_eq!(buckets(Selection::Broadcast { buckets: n }, 1), [selected]);
        }
    }
}
