//! Extraction: against `etherparse` on packets that it builds, against hand-made broken ones, and
//! on arbitrary octets.

use etherparse::{PacketBuilder, PacketBuilderStep, TcpOptionElement, VlanId};
use proptest::prelude::*;
use wire::key::{FRAG_ANY, FRAG_LATER};
use wire::{EthAddr, EtherType, FlowKey, Layers, VlanTag, extract, extract_layers, ip};

#[derive(Clone, Debug)]
enum L3 {
    V4 { src: [u8; 4], dst: [u8; 4], ttl: u8, options: usize },
    V6 { src: [u8; 16], dst: [u8; 16], ttl: u8, label: u32, class: u8 },
}

#[derive(Clone, Debug)]
enum L4 {
    Tcp { src: u16, dst: u16, flags: u8, options: bool },
    Udp { src: u16, dst: u16 },
    Echo { id: u16 },
}

#[derive(Clone, Debug)]
struct Spec {
    src: [u8; 6],
    dst: [u8; 6],
    vlans: Vec<u16>,
    l3: L3,
    l4: L4,
    payload: Vec<u8>,
    padding: usize,
}

fn spec() -> impl Strategy<Value = Spec> {
    let l3 = prop_oneof![
        (any::<[u8; 4]>(), any::<[u8; 4]>(), any::<u8>(), 0usize..11)
            .prop_map(|(src, dst, ttl, options)| L3::V4 { src, dst, ttl, options }),
        (any::<[u8; 16]>(), any::<[u8; 16]>(), any::<u8>(), 0u32..1 << 20, any::<u8>())
            .prop_map(|(src, dst, ttl, label, class)| L3::V6 { src, dst, ttl, label, class }),
    ];
    let l4 = prop_oneof![
        (any::<u16>(), any::<u16>(), 0u8..64, any::<bool>())
            .prop_map(|(src, dst, flags, options)| L4::Tcp { src, dst, flags, options }),
        (any::<u16>(), any::<u16>()).prop_map(|(src, dst)| L4::Udp { src, dst }),
        any::<u16>().prop_map(|id| L4::Echo { id }),
    ];
    (
        any::<[u8; 6]>(),
        any::<[u8; 6]>(),
        prop::collection::vec(0u16..4096, 0..3),
        l3,
        l4,
        prop::collection::vec(any::<u8>(), 0..80),
        0usize..40,
    )
        .prop_map(|(src, dst, vlans, l3, l4, payload, padding)| Spec {
            src,
            dst,
            vlans,
            l3,
            l4,
            payload,
            padding,
        })
}

fn build(s: &Spec) -> Vec<u8> {
    let id = |v: u16| VlanId::try_new(v).unwrap();
    let eth = PacketBuilder::ethernet2(s.src, s.dst);
    let ip = ip_headers(&s.l3);
    let b = match s.vlans[..] {
        [] => eth.ip(ip),
        [v] => eth.single_vlan(id(v)).ip(ip),
        [outer, inner] => eth.double_vlan(id(outer), id(inner)).ip(ip),
        _ => unreachable!("at most two tags"),
    };
    let mut out = l4(b, s);
    out.resize(out.len() + s.padding, 0xee);
    out
}

fn ip_headers(l3: &L3) -> etherparse::IpHeaders {
    match l3 {
        L3::V4 { src, dst, ttl, options } => {
            let mut h = etherparse::Ipv4Header::new(0, *ttl, etherparse::IpNumber::TCP, *src, *dst)
                .unwrap();
            h.options = vec![1u8; options * 4].as_slice().try_into().unwrap();
            etherparse::IpHeaders::Ipv4(h, Default::default())
        }
        L3::V6 { src, dst, ttl, label, class } => {
            let h = etherparse::Ipv6Header {
                traffic_class: *class,
                flow_label: (*label).try_into().unwrap(),
                hop_limit: *ttl,
                source: *src,
                destination: *dst,
                ..Default::default()
            };
            etherparse::IpHeaders::Ipv6(h, Default::default())
        }
    }
}

fn l4(b: PacketBuilderStep<etherparse::IpHeaders>, s: &Spec) -> Vec<u8> {
    let mut out = Vec::new();
    match s.l4 {
        L4::Tcp { src, dst, flags, options } => {
            let mut t = b.tcp(src, dst, 1, 1);
            for (bit, set) in [
                (1u8, etherparse::PacketBuilderStep::<etherparse::TcpHeader>::fin as fn(_) -> _),
                (2, PacketBuilderStep::<etherparse::TcpHeader>::syn),
                (4, PacketBuilderStep::<etherparse::TcpHeader>::rst),
                (8, PacketBuilderStep::<etherparse::TcpHeader>::psh),
            ] {
                if flags & bit != 0 {
                    t = set(t);
                }
            }
            if flags & 16 != 0 {
                t = t.ack(9);
            }
            if flags & 32 != 0 {
                t = t.urg(9);
            }
            if options {
                t = t.options(&[TcpOptionElement::MaximumSegmentSize(1460)]).unwrap();
            }
            t.write(&mut out, &s.payload).unwrap();
        }
        L4::Udp { src, dst } => b.udp(src, dst).write(&mut out, &s.payload).unwrap(),
        L4::Echo { id } => match s.l3 {
            L3::V4 { .. } => b.icmpv4_echo_request(id, 1).write(&mut out, &s.payload).unwrap(),
            L3::V6 { .. } => b.icmpv6_echo_request(id, 1).write(&mut out, &s.payload).unwrap(),
        },
    }
    out
}

fn v4(a: [u8; 4]) -> [u8; 16] {
    let mut out = [0; 16];
    out[12..].copy_from_slice(&a);
    out
}

/// What the key of a well-formed packet must be.
fn expected(s: &Spec, in_port: u32) -> FlowKey {
    let mut k =
        FlowKey { in_port, eth_src: EthAddr(s.src), eth_dst: EthAddr(s.dst), ..FlowKey::default() };
    for (i, &v) in s.vlans.iter().enumerate() {
        let tpid = if i + 1 < s.vlans.len() { EtherType::VLAN_8021AD } else { EtherType::VLAN };
        k.vlan[i] = VlanTag { tpid, tci: v | VlanTag::CFI };
    }
    let is_v4 = match s.l3 {
        L3::V4 { src, dst, ttl, .. } => {
            (k.eth_type, k.nw_src, k.nw_dst, k.nw_ttl) = (EtherType::IPV4, v4(src), v4(dst), ttl);
            true
        }
        L3::V6 { src, dst, ttl, label, class } => {
            (k.eth_type, k.nw_src, k.nw_dst, k.nw_ttl) = (EtherType::IPV6, src, dst, ttl);
            (k.ipv6_label, k.nw_tos) = (label, class);
            false
        }
    };
    match s.l4 {
        L4::Tcp { src, dst, flags, .. } => {
            (k.nw_proto, k.tp_src, k.tp_dst, k.tcp_flags) = (ip::TCP, src, dst, flags.into());
        }
        L4::Udp { src, dst } => (k.nw_proto, k.tp_src, k.tp_dst) = (ip::UDP, src, dst),
        L4::Echo { .. } if is_v4 => (k.nw_proto, k.tp_src) = (ip::ICMP, 8),
        L4::Echo { .. } => (k.nw_proto, k.tp_src) = (ip::ICMPV6, 128),
    }
    k
}

proptest! {
    #[test]
    fn extract_built_packet_agrees_with_etherparse(s in spec(), in_port: u32) {
        let frame = build(&s);
        let (key, layers) = extract_layers(&frame, in_port, 2);
        prop_assert_eq!(key, expected(&s, in_port));
        prop_assert_eq!(key, extract(&frame, in_port));

        // Offsets, against etherparse's parser.
        let sliced = etherparse::SlicedPacket::from_ethernet(&frame).unwrap();
        let transport = match sliced.transport.unwrap() {
            etherparse::TransportSlice::Tcp(t) => t.slice().as_ptr(),
            etherparse::TransportSlice::Udp(t) => t.slice().as_ptr(),
            etherparse::TransportSlice::Icmpv4(t) => t.slice().as_ptr(),
            etherparse::TransportSlice::Icmpv6(t) => t.slice().as_ptr(),
            other => panic!("{other:?}"),
        };
        let l4 = transport as usize - frame.as_ptr() as usize;
        let l3 = 14 + 4 * s.vlans.len();
        prop_assert_eq!(
            layers,
            Layers { l3: Some(l3), l4: Some(l4), l4_end: frame.len() - s.padding }
        );
        // The sender's checksums hold, and stop holding when a payload bit flips.
        if !matches!(s.l4, L4::Echo { .. }) {
            prop_assert_eq!(wire::checksum::verify(&frame), Some(true));
            if !s.payload.is_empty() {
                let mut bad = frame.clone();
                bad[layers.l4_end - 1] ^= 4;
                prop_assert_eq!(wire::checksum::verify(&bad), Some(false));
            }
        }
    }

    /// A cut or damaged packet never panics, keeps its L2 fields, and what is cut off inside the
    /// IP packet leaves all L3 fields zero.
    #[test]
    fn extract_damaged_packet_never_panics(s in spec(), cut: prop::sample::Index, at: prop::sample::Index, bit in 0u8..8) {
        let mut frame = build(&s);
        let ip_end = frame.len() - s.padding;
        let len = cut.index(frame.len() + 1);
        let key = extract(&frame[..len], 1);
        let l2 = 14 + 4 * s.vlans.len();
        if len >= l2 && len < ip_end {
            let e = expected(&s, 1);
            let l2_only = FlowKey {
                in_port: 1,
                eth_src: e.eth_src,
                eth_dst: e.eth_dst,
                vlan: e.vlan,
                eth_type: e.eth_type,
                ..FlowKey::default()
            };
            prop_assert_eq!(key, l2_only);
        }
        if len < 14 {
            prop_assert_eq!(key, FlowKey { in_port: 1, ..FlowKey::default() });
        }
        let i = at.index(frame.len());
        frame[i] ^= 1 << bit;
        let (key, layers) = extract_layers(&frame, 1, 2);
        prop_assert!(layers.l4_end <= frame.len());
        prop_assert_eq!(key.eth_type, if (l2 - 2..l2).contains(&i) { key.eth_type } else { extract(&frame, 1).eth_type });
        let _ = wire::checksum::verify(&frame);
    }

    #[test]
    fn extract_any_octets_never_panics(
        octets in prop::collection::vec(any::<u8>(), 0..200),
        head in prop::sample::select(vec![
            &[0x08, 0x00, 0x45][..], &[0x08, 0x00], &[0x86, 0xdd, 0x60], &[0x86, 0xdd],
            &[0x81, 0x00], &[0x88, 0xa8], &[0x08, 0x06, 0, 1, 8, 0, 6, 4], &[0x00, 0x40],
            &[0x00, 0x40, 0xaa, 0xaa, 3, 0, 0, 0], &[],
        ]),
        start: u16, offset: u16, gso_type: u8, gso_size: u16,
    ) {
        let mut frame = vec![2; 12];
        frame.extend(head);
        frame.extend(&octets);
        for n in 0..4 {
            let (_, l) = extract_layers(&frame, 0, n);
            prop_assert_eq!(l.l3.is_some(), frame.len() >= 14);
            prop_assert!(l.l4.is_none_or(|o| o <= l.l4_end && l.l4_end <= frame.len()));
        }
        let _ = extract(&octets, 0);
        let _ = wire::lacp::Lacpdu::parse(&octets);
        let _ = wire::checksum::verify(&frame);
        let _ = wire::segment::segment(&frame, gso_type, gso_size);
        for t in [1, 4, 5, 0x81] {
            let _ = wire::segment::segment(&frame, t, gso_size | 1);
        }
        let _ = wire::checksum::complete(&mut frame, start, offset);
        let _ = wire::checksum::complete(&mut frame, start % 64, offset % 64);
    }

    #[test]
    fn lacpdu_emitted_parses_to_same_value(octets in prop::collection::vec(any::<u8>(), 110..130)) {
        let mut b = octets;
        b[0] = 1;
        (b[2], b[3], b[22], b[23]) = (1, 20, 2, 20);
        let pdu = wire::Lacpdu::parse(&b).unwrap();
        prop_assert_eq!(wire::Lacpdu::parse(&pdu.emit()), Ok(pdu));
    }
}

fn frame(hex: &str) -> Vec<u8> {
    let hex: String = hex.split_whitespace().collect();
    (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).unwrap()).collect()
}

const MACS: &str = "020000000001 020000000002";

#[test]
fn extract_vlan_limit_leaves_inner_tags() {
    let f = frame(&format!("{MACS} 88a8 e064 8100 a00a 88b5 0000"));
    let k = extract(&f, 0);
    assert_eq!(k.vlan[0], VlanTag { tpid: 0x88a8, tci: 0xf064 });
    assert_eq!(k.vlan[1], VlanTag { tpid: 0x8100, tci: 0xb00a });
    assert_eq!(k.eth_type, 0x88b5);
    let k = extract_layers(&f, 0, 1).0;
    assert_eq!((k.vlan[0].vid(), k.vlan[1], k.eth_type), (0x64, VlanTag::default(), 0x8100));
    let k = extract_layers(&f, 0, 0).0;
    assert_eq!((k.vlan[0], k.eth_type), (VlanTag::default(), 0x88a8));
    // A tag without a type after it is not one.
    let k = extract(&frame(&format!("{MACS} 8100 a00a")), 0);
    assert_eq!((k.vlan[0], k.eth_type), (VlanTag::default(), 0x8100));
}

#[test]
fn extract_ieee_802_2_reads_snap_type() {
    let typ = |rest: &str| extract(&frame(&format!("{MACS} {rest}")), 0).eth_type;
    assert_eq!(typ("0026 424203 0000000000"), 0x05ff);
    assert_eq!(typ("0026"), 0x05ff);
    assert_eq!(typ("0026 aaaa03 000000 88b5 00"), 0x88b5);
    assert_eq!(typ("0026 aaaa03 000000 0100 00"), 0x05ff);
    assert_eq!(typ("0026 aaaa03 00000c 2000 00"), 0x05ff);
    // IPv4 in SNAP is parsed.
    let k = extract(
        &frame(&format!(
            "{MACS} 0026 aaaa03 000000 0800 4500001c 00000000 40110000 0a000001 0a000002 \
             00350036 00080000"
        )),
        0,
    );
    assert_eq!((k.eth_type, k.tp_src, k.tp_dst), (0x0800, 0x35, 0x36));
}

#[test]
fn extract_ipv4_fragment_or_bad_length_zeroes_l4() {
    let udp = |flags: &str, head: &str| {
        let f = frame(&format!(
            "{MACS} 0800 {head}00001c 0000{flags} 40110000 0a000001 0a000002 00350036 00080000"
        ));
        extract(&f, 0)
    };
    let whole = udp("4000", "45");
    assert_eq!((whole.nw_frag, whole.tp_src), (0, 0x35));
    let first = udp("2000", "45");
    assert_eq!((first.nw_frag, first.tp_src), (FRAG_ANY, 0x35));
    let later = udp("0001", "45");
    assert_eq!((later.nw_frag, later.tp_src, later.nw_proto), (FRAG_ANY | FRAG_LATER, 0, 17));
    // Header of 16 octets; header longer than the packet.
    assert_eq!(udp("0000", "44").nw_proto, 0);
    assert_eq!(udp("0000", "4f").nw_proto, 0);
    // The version is not looked at, as upstream.
    assert_eq!(udp("0000", "55").nw_proto, 17);
}

#[test]
fn extract_ipv6_extension_headers_are_skipped() {
    // Length, first header, what follows the addresses.
    let v6 = |len: u16, next: u8, rest: &str| {
        let a = "fd000000000000000000000000000001";
        extract(&frame(&format!("{MACS} 86dd 6aa12345 {len:04x}{next:02x}40 {a}{a} {rest}")), 0)
    };
    let udp = "0035003600080000";
    let k = v6(8, 17, udp);
    assert_eq!((k.nw_tos, k.ipv6_label, k.tp_dst), (0xaa, 0x12345, 0x36));
    // Hop-by-hop, destination options, routing, AH (its length counts otherwise).
    let k = v6(
        48,
        0,
        &format!("3c00000000000000 2b00000000000000 3300000000000000 1102{:0>28} {udp}", 0),
    );
    assert_eq!((k.nw_proto, k.tp_src, k.nw_frag), (17, 0x35, 0));
    // An atomic fragment (offset 0, no more) is no fragment; first and later ones are.
    let k = v6(16, 44, &format!("1100000000000000 {udp}"));
    assert_eq!((k.nw_proto, k.nw_frag, k.tp_src), (17, 0, 0x35));
    let k = v6(16, 44, &format!("1100000100000000 {udp}"));
    assert_eq!((k.nw_proto, k.nw_frag, k.tp_src), (17, FRAG_ANY, 0x35));
    let k = v6(16, 44, &format!("1100000800000000 {udp}"));
    assert_eq!((k.nw_proto, k.nw_frag, k.tp_src), (44, FRAG_ANY | FRAG_LATER, 0));
    // A chain that leaves the packet: only the addresses count.
    let k = v6(8, 0, "11ff000000000000");
    assert_eq!((k.nw_proto, k.ipv6_label, k.nw_ttl), (0, 0, 0));
    assert_eq!(k.nw_src[0], 0xfd);
    // A payload longer than the frame: nothing counts.
    assert_eq!(v6(9, 17, udp).nw_src, [0; 16]);
}

#[test]
fn extract_neighbour_discovery_reads_options() {
    let nd = |len: u16, code: &str, rest: &str| {
        let a = "fd000000000000000000000000000001";
        extract(
            &frame(&format!(
                "{MACS} 86dd 60000000 {len:04x}3aff {a}{a} {code}0000 00000000 {rest}"
            )),
            0,
        )
    };
    let target = "fd0000000000000000000000000000aa";
    let sll = "0101020304050607";
    let tll = "0201020304050608";
    let k = nd(40, "8700", &format!("{target} {sll} {tll}"));
    assert_eq!((k.tp_src, k.tp_dst, k.nd_target[15]), (135, 0, 0xaa));
    assert_eq!(k.arp_sha, EthAddr([2, 3, 4, 5, 6, 7]));
    assert_eq!(k.arp_tha, EthAddr([2, 3, 4, 5, 6, 8]));
    // An option of an unknown type is passed over; one of length 0 ends the list.
    let k = nd(40, "8800", &format!("{target} 0e01000000000000 {tll}"));
    assert_eq!((k.arp_sha, k.arp_tha.is_zero(), k.nd_target[0]), (EthAddr::ZERO, false, 0xfd));
    let k = nd(40, "8800", &format!("{target} 0e00000000000000 {tll}"));
    assert_eq!((k.arp_tha, k.nd_target[0]), (EthAddr::ZERO, 0xfd));
    // The same option twice.
    let k = nd(40, "8700", &format!("{target} {sll} {sll}"));
    assert_eq!((k.nd_target, k.arp_sha, k.tp_src), ([0; 16], EthAddr::ZERO, 135));
    // Another code is not neighbour discovery; a cut target is none.
    assert_eq!(nd(40, "8701", &format!("{target} {sll} {tll}")).nd_target, [0; 16]);
    assert_eq!(nd(12, "8700", "fd000000").nd_target, [0; 16]);
}

#[test]
fn extract_arp_reads_addresses() {
    let arp = |typ: &str, head: &str, op: &str| {
        extract(
            &frame(&format!(
                "{MACS} {typ} {head} {op} 020000000003 0a000001 020000000004 0a000002"
            )),
            0,
        )
    };
    for typ in ["0806", "8035"] {
        let k = arp(typ, "000108000604", "0002");
        assert_eq!((k.nw_proto, k.ipv4_src(), k.ipv4_dst()), (2, [10, 0, 0, 1], [10, 0, 0, 2]));
        assert_eq!((k.arp_sha.0[5], k.arp_tha.0[5]), (3, 4));
    }
    let k = arp("0806", "000108000604", "0102");
    assert_eq!((k.nw_proto, k.ipv4_src()), (0, [10, 0, 0, 1]));
    assert_eq!(arp("0806", "000608000604", "0002").ipv4_src(), [0; 4]);
}
