//! Header changes: the key follows the bytes, right checksums stay right, wrong ones wrong.

mod support;

use datapath::{Layer, Packet, SetHeader, VnetHdr, set};
use proptest::prelude::*;
use support::*;
use wire::checksum::{checksum, fold, pseudo_v4, pseudo_v6, sum};
use wire::crc32c::crc32c;
use wire::{EthAddr, EtherType, FlowKey, FlowMask, ip};

/// What a frame is made of.
#[derive(Clone, Copy, Debug)]
struct Shape {
    v6: bool,
    proto: u8,
    tags: usize,
    payload: usize,
    /// Extension headers before the L4 header, IPv6 only.
    options: bool,
}

fn shape() -> impl Strategy<Value = Shape> {
    let proto = prop_oneof![
        Just(ip::TCP),
        Just(ip::UDP),
        Just(ip::SCTP),
        Just(ip::ICMP),
        Just(ip::ICMPV6),
        Just(47)
    ];
    (any::<bool>(), proto, 0..3usize, 0..50usize, any::<bool>())
        .prop_map(|(v6, proto, tags, payload, options)| Shape { v6, proto, tags, payload, options })
}

/// A frame whose checksums are right, and where its L3 and L4 headers are.
fn build(s: Shape) -> (Vec<u8>, usize, usize) {
    let payload: Vec<u8> = (0..s.payload).map(|i| (i * 7) as u8).collect();
    let mut l4 = match s.proto {
        ip::TCP => {
            vec![0x12, 0x34, 0, 80, 0, 0, 0, 1, 0, 0, 0, 2, 0x50, 0x12, 0xff, 0xff, 0, 0, 0, 0]
        }
        ip::UDP => {
            let len = (8 + s.payload) as u16;
            vec![0x12, 0x34, 0, 53, (len >> 8) as u8, len as u8, 0, 0]
        }
        ip::SCTP => vec![0x12, 0x34, 0, 9, 1, 2, 3, 4, 0, 0, 0, 0],
        ip::ICMPV6 => {
            let mut nd = vec![135, 0, 0, 0, 0, 0, 0, 0];
            nd.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9]);
            nd.extend([1, 1, 2, 0, 0, 0, 0, 7]);
            nd
        }
        _ => vec![8, 0, 0, 0, 0, 1, 0, 2],
    };
    l4.extend(payload);
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];
    for n in 0..s.tags {
        f.extend([0x81, 0, 0x20, n as u8 + 1]);
    }
    let l3 = f.len() + 2;
    if s.v6 {
        let ext = if s.options { 8 } else { 0 };
        let len = (l4.len() + ext) as u16;
        let first = if s.options { ip::DSTOPTS } else { s.proto };
        f.extend([0x86, 0xdd, 0x60, 0x0a, 0xbc, 0xde, (len >> 8) as u8, len as u8, first, 64]);
        f.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
        f.extend([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
        if s.options {
            f.extend([s.proto, 0, 1, 4, 0, 0, 0, 0]);
        }
    } else {
        let len = (20 + l4.len()) as u16;
        f.extend([8, 0, 0x45, 0x10, (len >> 8) as u8, len as u8, 1, 2, 0x40, 0, 64, s.proto, 0, 0]);
        f.extend([10, 0, 0, 1, 10, 0, 0, 2]);
        let c = checksum(&f[l3..l3 + 20]);
        f[l3 + 10..l3 + 12].copy_from_slice(&c.to_be_bytes());
    }
    let start = f.len();
    f.extend(l4);
    put_l4_checksum(&mut f, start);
    // Ethernet padding, which belongs to nothing.
    f.extend([0xaa; 5]);
    (f, l3, start)
}

/// Computes the L4 checksum the plain way.
fn put_l4_checksum(f: &mut [u8], start: usize) {
    let (key, layers) = wire::extract_layers(f, 1, 2);
    let end = layers.l4_end.max(start);
    let end = if end == start { f.len() } else { end };
    let len = (end - start) as u32;
    let pseudo = match (key.eth_type, key.nw_proto) {
        (EtherType::IPV4, ip::ICMP) => 0,
        (EtherType::IPV4, _) => pseudo_v4(key.ipv4_src(), key.ipv4_dst(), key.nw_proto, len),
        _ => pseudo_v6(&key.nw_src, &key.nw_dst, key.nw_proto, len),
    };
    let at = match (key.nw_proto, key.eth_type) {
        (ip::TCP, _) => 16,
        (ip::UDP, _) => 6,
        (ip::ICMP, EtherType::IPV4) | (ip::ICMPV6, EtherType::IPV6) => 2,
        (ip::SCTP, _) => {
            f[start + 8..start + 12].fill(0);
            let c = crc32c(&f[start..end]);
            f[start + 8..start + 12].copy_from_slice(&c.to_le_bytes());
            return;
        }
        _ => return,
    };
    f[start + at..start + at + 2].fill(0);
    let c = match !fold(sum(&f[start..end], pseudo)) {
        0 if key.nw_proto == ip::UDP => 0xffff,
        c => c,
    };
    f[start + at..start + at + 2].copy_from_slice(&c.to_be_bytes());
}

const LAYERS: [Layer; 12] = [
    Layer::Eth,
    Layer::Ipv4,
    Layer::Ipv6,
    Layer::Tcp,
    Layer::Udp,
    Layer::Sctp,
    Layer::Icmp,
    Layer::Icmpv6,
    Layer::Arp,
    Layer::Nd,
    Layer::SkbPriority,
    Layer::SkbMark,
];

/// Every bit that a change of this layer may write.
fn settable(layer: Layer) -> FlowMask {
    let none = FlowMask::default();
    let v4 = {
        let mut a = [0; 16];
        a[12..].fill(0xff);
        a
    };
    let all = EthAddr([0xff; 6]);
    match layer {
        Layer::Eth => FlowMask { eth_src: all, eth_dst: all, ..none },
        Layer::Ipv4 => FlowMask { nw_src: v4, nw_dst: v4, nw_tos: !0, nw_ttl: !0, ..none },
        Layer::Ipv6 => FlowMask {
            nw_src: [0xff; 16],
            nw_dst: [0xff; 16],
            nw_tos: !0,
            nw_ttl: !0,
            ipv6_label: 0xf_ffff,
            ..none
        },
        Layer::Tcp | Layer::Udp | Layer::Sctp => FlowMask { tp_src: !0, tp_dst: !0, ..none },
        Layer::Icmp | Layer::Icmpv6 => FlowMask { tp_src: 0xff, tp_dst: 0xff, ..none },
        Layer::Arp => {
            FlowMask { nw_proto: !0, nw_src: v4, nw_dst: v4, arp_sha: all, arp_tha: all, ..none }
        }
        Layer::Nd => FlowMask { nd_target: [0xff; 16], arp_sha: all, arp_tha: all, ..none },
        Layer::SkbPriority => FlowMask { skb_priority: !0, ..none },
        Layer::SkbMark => FlowMask { pkt_mark: !0, ..none },
    }
}

fn from_words(w: [u64; FlowKey::WORDS]) -> FlowKey {
    let mut k = FlowKey::default();
    *k.words_mut() = w;
    k
}

fn change() -> impl Strategy<Value = SetHeader> {
    let words = || any::<[u64; FlowKey::WORDS]>().prop_map(from_words);
    (prop::sample::select(&LAYERS[..]), words(), words(), any::<bool>()).prop_map(
        |(layer, value, mask, whole)| {
            let mask = if whole {
                settable(layer)
            } else {
                FlowMask::from_key(mask.masked(&settable(layer)))
            };
            SetHeader { layer, value, mask }
        },
    )
}

/// The key that a change must give, if the packet has the layer.
fn expected(key: &FlowKey, set: &SetHeader) -> FlowKey {
    let has = match set.layer {
        Layer::Eth | Layer::SkbPriority | Layer::SkbMark => true,
        Layer::Ipv4 => key.eth_type == EtherType::IPV4,
        Layer::Ipv6 => key.eth_type == EtherType::IPV6,
        Layer::Tcp => key.nw_proto == ip::TCP,
        Layer::Udp => key.nw_proto == ip::UDP,
        Layer::Sctp => key.nw_proto == ip::SCTP,
        Layer::Icmp => key.nw_proto == ip::ICMP && key.eth_type == EtherType::IPV4,
        Layer::Icmpv6 => key.nw_proto == ip::ICMPV6 && key.eth_type == EtherType::IPV6,
        Layer::Arp => key.eth_type == EtherType::ARP,
        Layer::Nd => key.nd_target != [0; 16] && key.eth_type == EtherType::IPV6,
    };
    let mut out = *key;
    if has {
        let mut mask = set.mask;
        if set.layer == Layer::Nd {
            // The frames here have a source link-layer option only.
            mask.arp_tha = EthAddr::ZERO;
        }
        let words = out.words_mut().iter_mut().zip(set.value.words()).zip(mask.words());
        for ((o, v), m) in words {
            *o = *o & !m | v & m;
        }
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn right_stays_right(shape in shape(), changes in prop::collection::vec(change(), 1..4)) {
        let (frame, l3, l4) = build(shape);
        let mut packet = Packet::new(&frame);
        let mut key = wire::extract(&frame, 1);
        for c in &changes {
            let want = expected(&key, c);
            set::set_header(&mut packet, &mut key, c);
            if c.layer != Layer::Icmpv6 {
                prop_assert_eq!(key, want);
            }
            let (mark, priority) = (key.pkt_mark, key.skb_priority);
            let seen = wire::extract(packet.data(), 1);
            prop_assert_eq!(key, FlowKey { pkt_mark: mark, skb_priority: priority, ..seen });
        }
        let now = packet.data();
        if !shape.v6 {
            prop_assert_eq!(fold(sum(&now[l3..l3 + 20], 0)), 0xffff, "IPv4 header");
        }
        let mut fresh = now.to_vec();
        put_l4_checksum(&mut fresh, l4);
        // Zero has two forms.
        if !matches!(shape.proto, ip::TCP | ip::ICMP | ip::ICMPV6) || fresh != now {
            let same = |a: &[u8], b: &[u8]| a.iter().zip(b).filter(|(a, b)| a != b).count();
            prop_assert!(same(now, &fresh) == 0 || zero_forms(now, &fresh, shape, l4));
        }
        prop_assert_eq!(&now[now.len() - 5..], [0xaa; 5]);
    }

    #[test]
    fn partial_checksums_stay_partial(tcp in any::<bool>(), v6 in any::<bool>(), c in change()) {
        let shape = Shape { v6, proto: if tcp { ip::TCP } else { ip::UDP }, tags: 1, payload: 30, options: false };
        let (mut frame, _, l4) = build(shape);
        let at = l4 + if tcp { 16 } else { 6 };
        let pseudo = |f: &[u8]| {
            let (key, layers) = wire::extract_layers(f, 1, 2);
            let len = (layers.l4_end - l4) as u32;
            fold(if v6 {
                pseudo_v6(&key.nw_src, &key.nw_dst, key.nw_proto, len)
            } else {
                pseudo_v4(key.ipv4_src(), key.ipv4_dst(), key.nw_proto, len)
            })
        };
        let p = pseudo(&frame);
        frame[at..at + 2].copy_from_slice(&p.to_be_bytes());
        let mut packet = Packet::new(&frame);
        packet.vnet = VnetHdr {
            flags: VnetHdr::NEEDS_CSUM,
            csum_start: l4 as u16,
            csum_offset: (at - l4) as u16,
            ..VnetHdr::default()
        };
        let mut key = wire::extract(&frame, 1);
        set::set_header(&mut packet, &mut key, &c);
        let done = set::with_checksum(&packet);
        prop_assert_eq!(done.vnet, VnetHdr::default());
        prop_assert_eq!(wire::checksum::verify(done.data()), Some(true));
        // A cut copy has it too.
        let cut = set::truncated(&packet, 60);
        prop_assert_eq!(cut.data(), &done.data()[..60]);
    }

    #[test]
    fn nothing_panics(frame in prop::collection::vec(any::<u8>(), 0..120), shape in shape(),
                      at in any::<prop::sample::Index>(), cut in any::<bool>(), changes in prop::collection::vec(change(), 1..5)) {
        let (mut mangled, ..) = build(shape);
        let place = at.index(mangled.len());
        if cut { mangled.truncate(place) } else { mangled[place] ^= 0x55 }
        for f in [frame, mangled] {
            let mut packet = Packet::new(&f);
            packet.vnet = VnetHdr { flags: 1, csum_start: place as u16, csum_offset: 6, ..VnetHdr::default() };
            let mut key = wire::extract(&f, 1);
            for c in &changes {
                set::set_header(&mut packet, &mut key, c);
                let seen = wire::extract(packet.data(), 1);
                let (pkt_mark, skb_priority) = (key.pkt_mark, key.skb_priority);
                prop_assert_eq!(key, FlowKey { pkt_mark, skb_priority, ..seen });
                prop_assert_eq!(packet.len(), f.len());
            }
            let _ = set::truncated(&packet, 14);
        }
    }
}

/// Whether the only difference is a checksum of 0x0000 where the other has 0xffff.
fn zero_forms(a: &[u8], b: &[u8], shape: Shape, l4: usize) -> bool {
    let at = l4
        + match shape.proto {
            ip::TCP => 16,
            ip::UDP => 6,
            _ => 2,
        };
    let mut a = a.to_vec();
    let mut b = b.to_vec();
    let is_zero = |f: &[u8]| matches!(f[at..at + 2], [0, 0] | [0xff, 0xff]);
    let both = is_zero(&a) && is_zero(&b);
    a[at..at + 2].fill(0);
    b[at..at + 2].fill(0);
    both && a == b
}

#[test]
fn wrong_stays_wrong() {
    for proto in [ip::TCP, ip::UDP, ip::SCTP] {
        let shape = Shape { v6: false, proto, tags: 0, payload: 9, options: false };
        let (mut frame, _, l4) = build(shape);
        let last = frame.len() - 6;
        frame[last] ^= 0x40;
        let mut packet = Packet::new(&frame);
        let mut key = wire::extract(&frame, 1);
        let layer = match proto {
            ip::TCP => Layer::Tcp,
            ip::UDP => Layer::Udp,
            _ => Layer::Sctp,
        };
        let value = FlowKey { tp_dst: 4321, ..FlowKey::default() };
        let mask = FlowMask { tp_dst: !0, ..FlowMask::default() };
        set::set_header(&mut packet, &mut key, &SetHeader { layer, value, mask });
        let mut fresh = packet.data().to_vec();
        put_l4_checksum(&mut fresh, l4);
        assert_ne!(fresh, packet.data(), "protocol {proto}");
        // Back again: nothing is left of it.
        let value = wire::extract(&frame, 1);
        set::set_header(&mut packet, &mut key, &SetHeader { layer, value, mask });
        assert_eq!(packet.data(), frame);
    }
}

#[test]
fn udp_without_a_checksum_stays_without() {
    let frame = udp(1, 10);
    assert_eq!(frame[40..42], [0, 0]);
    let mut packet = Packet::new(&frame);
    let mut key = wire::extract(&frame, 1);
    let value = FlowKey { nw_ttl: 3, tp_dst: 7, ..FlowKey::default() };
    let ttl = FlowMask { nw_ttl: !0, nw_dst: [0xff; 16], ..FlowMask::default() };
    set::set_header(&mut packet, &mut key, &SetHeader { layer: Layer::Ipv4, value, mask: ttl });
    let ports = FlowMask { tp_dst: !0, ..FlowMask::default() };
    set::set_header(&mut packet, &mut key, &SetHeader { layer: Layer::Udp, value, mask: ports });
    assert_eq!(packet.data()[40..42], [0, 0]);
    assert_eq!((key.nw_ttl, key.tp_dst, key.ipv4_dst()), (3, 7, [0; 4]));
}

#[test]
fn a_later_fragment_has_no_ports_and_no_checksum() {
    let shape = Shape { v6: false, proto: ip::UDP, tags: 0, payload: 20, options: false };
    let (mut frame, l3, l4) = build(shape);
    frame[l3 + 7] = 5;
    let mut packet = Packet::new(&frame);
    let mut key = wire::extract(&frame, 1);
    let value = FlowKey { nw_dst: [9; 16], tp_dst: 7, ..FlowKey::default() };
    for layer in [Layer::Ipv4, Layer::Udp] {
        let change = SetHeader { layer, value, mask: settable(layer) };
        set::set_header(&mut packet, &mut key, &change);
    }
    assert_eq!(packet.data()[l4..], frame[l4..]);
    assert_eq!(key.ipv4_dst(), [9; 4]);
}

#[test]
fn a_routing_header_that_goes_on_hides_the_destination_from_the_checksum() {
    let shape = Shape { v6: true, proto: ip::UDP, tags: 0, payload: 8, options: true };
    let (mut frame, l3, l4) = build(shape);
    frame[l3 + 6] = ip::ROUTING;
    frame[l3 + 43] = 1;
    let mut packet = Packet::new(&frame);
    let mut key = wire::extract(&frame, 1);
    let value = FlowKey { nw_dst: [9; 16], ..FlowKey::default() };
    let mask = FlowMask { nw_dst: [0xff; 16], ..FlowMask::default() };
    set::set_header(&mut packet, &mut key, &SetHeader { layer: Layer::Ipv6, value, mask });
    assert_eq!(packet.data()[l4..], frame[l4..]);
    frame[l3 + 43] = 0;
    let mut packet = Packet::new(&frame);
    let mut key = wire::extract(&frame, 1);
    set::set_header(&mut packet, &mut key, &SetHeader { layer: Layer::Ipv6, value, mask });
    assert_eq!(wire::checksum::verify(packet.data()), Some(true));
}

#[test]
fn arp_is_rewritten() {
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1, 8, 6, 0, 1, 8, 0, 6, 4, 0, 1]);
    frame.extend([2, 0, 0, 0, 0, 1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2]);
    let mut packet = Packet::new(&frame);
    let mut key = wire::extract(&frame, 1);
    let mac = EthAddr([2, 0, 0, 0, 0, 9]);
    let value = FlowKey { nw_proto: 2, arp_sha: mac, ..FlowKey::default() };
    let mask = FlowMask { nw_proto: 0xff, arp_sha: EthAddr([0xff; 6]), ..FlowMask::default() };
    set::set_header(&mut packet, &mut key, &SetHeader { layer: Layer::Arp, value, mask });
    assert_eq!((key.nw_proto, key.arp_sha), (2, mac));
    assert_eq!(packet.data()[20..32], [0, 2, 2, 0, 0, 0, 0, 9, 10, 0, 0, 1]);
    assert_eq!(key, wire::extract(packet.data(), 1));
}
