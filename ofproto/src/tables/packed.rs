//! Fields as a row of words, in the order in which a lookup looks at them.
//!
//! A lookup goes by segments: what comes with the packet, then Ethernet, then the network layer,
//! then what is above it. A flow that differs in an early segment keeps the megaflow free of the
//! later ones.

use openflow::{Field, Fields, Match, OfPort};
use wire::EthAddr;

/// How many words there are.
pub(crate) const WORDS: usize = 47;

/// Where each segment but the last ends.
pub(crate) const SEGMENTS: [usize; 3] = [32, 37, 42];

/// Every field, in words.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct PackedFlow(pub(crate) [u64; WORDS]);

const TUN_ID: usize = 0;
const TUN_V4: usize = 1;
const TUN_SRC6: usize = 2;
const TUN_DST6: usize = 4;
const TUN_FLAGS: usize = 6;
const METADATA: usize = 7;
const REGS: usize = 8;
const MARKS: usize = 24;
const HASH_PORT: usize = 25;
const RECIRC: usize = 26;
const CT: usize = 27;
const TYPE_CONJ: usize = 28;
const ACTSET: usize = 29;
const CT_LABEL: usize = 30;
const ETH_DST: usize = 32;
const ETH_SRC: usize = 33;
const VLAN: usize = 34;
const MPLS: usize = 35;
const NW_SRC: usize = 37;
const NW_DST: usize = 39;
const NW_REST: usize = 41;
const ND_TARGET: usize = 42;
const ARP_SHA: usize = 44;
const ARP_THA: usize = 45;
/// Flags, source port and destination port, 16 bits each.
pub(crate) const PORTS: usize = 46;

fn pair(high: u32, low: u32) -> u64 {
    u64::from(high) << 32 | u64::from(low)
}

fn halves(v: u128) -> [u64; 2] {
    [(v >> 64) as u64, v as u64]
}

impl PackedFlow {
    pub(crate) const ZERO: PackedFlow = PackedFlow([0; WORDS]);

    pub(crate) fn of(f: &Fields) -> PackedFlow {
        let k = &f.key;
        let mut w = [0; WORDS];
        let mut wide = |at: usize, v: u128| {
            [w[at], w[at + 1]] = halves(v);
        };
        wide(TUN_SRC6, f.tun_ipv6_src);
        wide(TUN_DST6, f.tun_ipv6_dst);
        wide(CT_LABEL, f.ct_label);
        wide(NW_SRC, u128::from_be_bytes(k.nw_src));
        wide(NW_DST, u128::from_be_bytes(k.nw_dst));
        wide(ND_TARGET, u128::from_be_bytes(k.nd_target));
        w[TUN_ID] = f.tun_id;
        w[TUN_V4] = pair(f.tun_src, f.tun_dst);
        w[TUN_FLAGS] =
            u64::from(f.tun_flags) << 16 | u64::from(f.tun_ttl) << 8 | u64::from(f.tun_tos);
        w[METADATA] = f.metadata;
        for (to, regs) in w[REGS..MARKS].iter_mut().zip(f.regs.chunks_exact(2)) {
            *to = pair(regs[0], regs[1]);
        }
        w[MARKS] = pair(k.skb_priority, k.pkt_mark);
        w[HASH_PORT] = pair(k.dp_hash, f.in_port.0.into());
        w[RECIRC] = pair(k.recirc_id, f.ct_state);
        w[CT] = pair(f.ct_zone.into(), f.ct_mark);
        w[TYPE_CONJ] = pair(f.packet_type, f.conj_id);
        w[ACTSET] = f.actset_output.0.into();
        w[ETH_DST] = k.eth_dst.to_u64() << 16 | u64::from(k.eth_type);
        w[ETH_SRC] = k.eth_src.to_u64();
        let [outer, inner] = k.vlan.map(|t| u32::from(t.tpid) << 16 | u32::from(t.tci));
        w[VLAN] = pair(outer, inner);
        w[MPLS] = pair(f.mpls[0], f.mpls[1]);
        w[MPLS + 1] = f.mpls[2].into();
        w[NW_REST] =
            pair(k.ipv6_label, u32::from_be_bytes([k.nw_frag, k.nw_tos, k.nw_ttl, k.nw_proto]));
        w[ARP_SHA] = k.arp_sha.to_u64();
        w[ARP_THA] = k.arp_tha.to_u64();
        w[PORTS] = u64::from(k.tcp_flags) << 32 | u64::from(k.tp_src) << 16 | u64::from(k.tp_dst);
        PackedFlow(w)
    }

    pub(crate) fn fields(&self) -> Fields {
        let w = &self.0;
        let high = |at: usize| (w[at] >> 32) as u32;
        let low = |at: usize| w[at] as u32;
        let wide = |at: usize| u128::from(w[at]) << 64 | u128::from(w[at + 1]);
        let mut f = Fields {
            in_port: OfPort(low(HASH_PORT) as u16),
            actset_output: OfPort(low(ACTSET) as u16),
            packet_type: high(TYPE_CONJ),
            metadata: w[METADATA],
            regs: std::array::from_fn(|i| (w[REGS + i / 2] >> (32 * (1 - i % 2))) as u32),
            conj_id: low(TYPE_CONJ),
            tun_id: w[TUN_ID],
            tun_src: high(TUN_V4),
            tun_dst: low(TUN_V4),
            tun_ipv6_src: wide(TUN_SRC6),
            tun_ipv6_dst: wide(TUN_DST6),
            tun_flags: (w[TUN_FLAGS] >> 16) as u16,
            tun_ttl: (w[TUN_FLAGS] >> 8) as u8,
            tun_tos: w[TUN_FLAGS] as u8,
            ct_state: low(RECIRC),
            ct_zone: high(CT) as u16,
            ct_mark: low(CT),
            ct_label: wide(CT_LABEL),
            mpls: [high(MPLS), low(MPLS), low(MPLS + 1)],
            ..Fields::default()
        };
        let k = &mut f.key;
        k.recirc_id = high(RECIRC);
        k.dp_hash = high(HASH_PORT);
        k.skb_priority = high(MARKS);
        k.pkt_mark = low(MARKS);
        k.eth_dst = EthAddr::from_u64(w[ETH_DST] >> 16);
        k.eth_type = w[ETH_DST] as u16;
        k.eth_src = EthAddr::from_u64(w[ETH_SRC]);
        for (tag, v) in k.vlan.iter_mut().zip([high(VLAN), low(VLAN)]) {
            (tag.tpid, tag.tci) = ((v >> 16) as u16, v as u16);
        }
        k.nw_src = wide(NW_SRC).to_be_bytes();
        k.nw_dst = wide(NW_DST).to_be_bytes();
        k.ipv6_label = high(NW_REST);
        [k.nw_frag, k.nw_tos, k.nw_ttl, k.nw_proto] = low(NW_REST).to_be_bytes();
        k.nd_target = wide(ND_TARGET).to_be_bytes();
        k.arp_sha = EthAddr::from_u64(w[ARP_SHA]);
        k.arp_tha = EthAddr::from_u64(w[ARP_THA]);
        k.tcp_flags = high(PORTS) as u16;
        k.tp_src = (w[PORTS] >> 16) as u16;
        k.tp_dst = w[PORTS] as u16;
        f
    }
}

/// Where to look: the words in which a mask has bits, and those bits. Shared by all rules of a
/// subtable.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct PackedMask {
    /// Which words, ascending.
    pub(crate) at: Box<[u8]>,
    /// Their bits; none is 0.
    pub(crate) bits: Box<[u64]>,
}

impl PackedMask {
    pub(crate) fn of(mask: &Fields) -> PackedMask {
        let words = PackedFlow::of(mask).0;
        let set = || words.iter().enumerate().filter(|(_, w)| **w != 0);
        PackedMask {
            at: set().map(|(i, _)| i as u8).collect(),
            bits: set().map(|(_, w)| *w).collect(),
        }
    }

    /// The words of `f`, masked.
    pub(crate) fn values(&self, f: &PackedFlow) -> Box<[u64]> {
        self.iter().map(|(at, bits)| f.0[at] & bits).collect()
    }

    /// Each word's place and bits.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (usize, u64)> {
        self.at.iter().map(|at| usize::from(*at)).zip(self.bits.iter().copied())
    }

    /// The bits of one word.
    pub(crate) fn word(&self, at: usize) -> u64 {
        self.at.iter().position(|a| usize::from(*a) == at).map_or(0, |i| self.bits[i])
    }

    /// All words: `values` here, 0 elsewhere.
    pub(crate) fn flat(&self, values: &[u64]) -> PackedFlow {
        let mut flat = PackedFlow::ZERO;
        for (at, v) in self.at.iter().zip(values) {
            flat.0[usize::from(*at)] = *v;
        }
        flat
    }

    /// The match that has `values` here.
    pub(crate) fn to_match(&self, values: &[u64]) -> Match {
        Match { value: self.flat(values).fields(), mask: self.flat(&self.bits).fields() }
    }

    /// Whether it looks wherever `other` does.
    pub(crate) fn covers(&self, other: &PackedMask) -> bool {
        let own = self.flat(&self.bits);
        other.iter().all(|(at, bits)| own.0[at] & bits == bits)
    }
}

/// A field whose prefixes a trie can hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrefixField {
    pub(crate) field: Field,
    /// The word of its lowest bits.
    at: usize,
    /// How far up in that word it begins.
    shift: u32,
    /// 32, 64 or 128.
    pub(crate) bits: u32,
}

impl PrefixField {
    /// [`None`] for a field that is not looked up by prefix.
    pub(crate) fn of(field: Field) -> Option<PrefixField> {
        let (at, shift) = match field {
            Field::TunId => (TUN_ID, 0),
            Field::TunSrc => (TUN_V4, 32),
            Field::TunDst => (TUN_V4, 0),
            Field::TunIpv6Src => (TUN_SRC6 + 1, 0),
            Field::TunIpv6Dst => (TUN_DST6 + 1, 0),
            Field::Ipv4Src | Field::Ipv6Src => (NW_SRC + 1, 0),
            Field::Ipv4Dst | Field::Ipv6Dst => (NW_DST + 1, 0),
            _ => return None,
        };
        Some(PrefixField { field, at, shift, bits: u32::from(field.info().bits) })
    }

    /// The word of its uppermost bits.
    pub(crate) fn first_word(&self) -> usize {
        if self.bits == 128 { self.at - 1 } else { self.at }
    }

    /// Its value, in the uppermost bits.
    pub(crate) fn value(&self, f: &PackedFlow) -> u128 {
        let low = u128::from(f.0[self.at] >> self.shift);
        match self.bits {
            128 => u128::from(f.0[self.at - 1]) << 64 | low,
            bits => low << (128 - bits),
        }
    }

    /// The length of the prefix that `mask` looks at; 0 if it is no prefix.
    pub(crate) fn length(&self, mask: &PackedMask) -> u32 {
        let flat = mask.flat(&mask.bits);
        let is_v4 = matches!(self.field, Field::Ipv4Src | Field::Ipv4Dst);
        if is_v4 && (flat.0[self.at - 1] != 0 || flat.0[self.at] >> 32 != 0) {
            // It looks at an IPv6 address.
            return 0;
        }
        let v = self.value(&flat);
        let len = v.leading_ones();
        if prefix_bits(len) == v { len } else { 0 }
    }

    /// Adds the first `n` of its bits to a mask.
    pub(crate) fn look_at(&self, wc: &mut PackedFlow, n: u32) {
        let m = prefix_bits(n);
        if self.bits == 128 {
            wc.0[self.at - 1] |= (m >> 64) as u64;
            wc.0[self.at] |= m as u64;
        } else {
            wc.0[self.at] |= ((m >> (128 - self.bits)) as u64) << self.shift;
        }
    }

    /// Whether a mask already has the first `n` of its bits.
    pub(crate) fn is_looked_at(&self, wc: &PackedFlow, n: u32) -> bool {
        let m = prefix_bits(n);
        self.value(wc) & m == m
    }
}

/// The first `n` of 128 bits.
fn prefix_bits(n: u32) -> u128 {
    if n == 0 { 0 } else { u128::MAX << (128 - n.min(128)) }
}
