//! Segmentation: the segments join to the train again, and every checksum holds.

use etherparse::PacketBuilder;
use proptest::prelude::*;
use wire::segment::{
    GSO_ECN, GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_UDP, GSO_UDP_L4, SegmentError, segment,
};
use wire::{checksum, extract, extract_layers};

fn train(v6: bool, tcp: bool, payload: &[u8]) -> Vec<u8> {
    let b = PacketBuilder::ethernet2([2; 6], [4; 6]);
    let b = if v6 { b.ipv6([1; 16], [2; 16], 9) } else { b.ipv4([1; 4], [2; 4], 9) };
    let mut f = Vec::new();
    if tcp {
        let b = b.tcp(1, 2, 0xffff_ff00, 3).ack(7).psh().fin();
        b.write(&mut f, payload).unwrap();
    } else {
        b.udp(1, 2).write(&mut f, payload).unwrap();
    }
    f
}

proptest! {
    #[test]
    fn segment_payloads_join_to_original(
        v6: bool,
        tcp: bool,
        payload in prop::collection::vec(any::<u8>(), 0..4000),
        size in 1u16..1500,
    ) {
        let f = train(v6, tcp, &payload);
        let kind = if !tcp { GSO_UDP_L4 } else if v6 { GSO_TCPV6 } else { GSO_TCPV4 };
        let parts = segment(&f, kind, size).unwrap();
        prop_assert_eq!(parts.len(), payload.len().div_ceil(size.into()).max(1));
        let whole = extract(&f, 0);
        let mut joined: Vec<u8> = Vec::new();
        for (i, p) in parts.iter().enumerate() {
            let (key, layers) = extract_layers(p, 0, 2);
            let last = i + 1 == parts.len();
            prop_assert_eq!(checksum::verify(p), Some(true));
            prop_assert_eq!(layers.l4_end, p.len());
            prop_assert_eq!((key.tp_src, key.tp_dst, key.nw_src), (1, 2, whole.nw_src));
            let l4 = layers.l4.unwrap();
            let header = if tcp { 20 } else { 8 };
            prop_assert!(p.len() - l4 - header <= usize::from(size));
            if tcp {
                let seq = u32::from_be_bytes(p[l4 + 4..l4 + 8].try_into().unwrap());
                prop_assert_eq!(seq, 0xffff_ff00u32.wrapping_add(joined.len() as u32));
                prop_assert_eq!(key.tcp_flags, if last { 0x19 } else { 0x10 });
            }
            if !v6 {
                prop_assert_eq!(checksum::checksum(&p[14..34]), 0);
                prop_assert_eq!(u16::from_be_bytes([p[18], p[19]]), i as u16);
            }
            joined.extend(&p[l4 + header..]);
        }
        prop_assert_eq!(joined, payload);
    }

    /// A sender that leaves the pseudo-header's sum behind gets the checksum it would have had.
    #[test]
    fn complete_partial_checksum_verifies(v6: bool, tcp: bool, payload in prop::collection::vec(any::<u8>(), 0..100)) {
        let full = train(v6, tcp, &payload);
        let (key, layers) = extract_layers(&full, 0, 2);
        let (l4, offset) = (layers.l4.unwrap(), if tcp { 16 } else { 6 });
        let len = (full.len() - l4) as u32;
        let pseudo = if v6 {
            checksum::pseudo_v6(&key.nw_src, &key.nw_dst, key.nw_proto, len)
        } else {
            checksum::pseudo_v4(key.ipv4_src(), key.ipv4_dst(), key.nw_proto, len)
        };
        let mut partial = full.clone();
        partial[l4 + offset..l4 + offset + 2]
            .copy_from_slice(&checksum::fold(pseudo).to_be_bytes());
        checksum::complete(&mut partial, l4 as u16, offset as u16).unwrap();
        prop_assert_eq!(checksum::verify(&partial), Some(true));
        let stored = |f: &[u8]| u16::from_be_bytes([f[l4 + offset], f[l4 + offset + 1]]);
        prop_assert!(stored(&partial) == stored(&full) || stored(&full) == 0);
    }

    /// The sum, against the two-octet loop of RFC 1071.
    #[test]
    fn checksum_agrees_with_16_bit_sum(octets in prop::collection::vec(any::<u8>(), 0..70)) {
        let mut s = 0u32;
        for w in octets.chunks(2) {
            s += u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0));
        }
        while s > 0xffff {
            s = (s & 0xffff) + (s >> 16);
        }
        prop_assert_eq!(checksum::checksum(&octets), !(s as u16));
    }
}

#[test]
fn segment_cwr_is_set_in_first_segment_only() {
    let mut f = train(false, true, &[1; 30]);
    f[47] |= 0x80;
    let flags = |t| {
        segment(&f, t, 10).unwrap().iter().map(|p| extract(p, 0).tcp_flags >> 7).collect::<Vec<_>>()
    };
    assert_eq!(flags(GSO_TCPV4 | GSO_ECN), [1, 0, 0]);
    assert_eq!(flags(GSO_TCPV4), [1, 1, 1]);
}

#[test]
fn segment_invalid_input_returns_error() {
    let tcp = train(false, true, &[1; 30]);
    assert_eq!(segment(&tcp, GSO_TCPV4, 0), Err(SegmentError::ZeroSize));
    assert_eq!(segment(&tcp, GSO_NONE, 10), Err(SegmentError::Type(0)));
    assert_eq!(segment(&tcp, GSO_UDP, 10), Err(SegmentError::Type(3)));
    assert_eq!(segment(&tcp, GSO_TCPV6, 10), Err(SegmentError::Headers));
    assert_eq!(segment(&tcp, GSO_UDP_L4, 10), Err(SegmentError::Headers));
    assert_eq!(segment(&tcp[..40], GSO_TCPV4, 10), Err(SegmentError::Headers));
    assert_eq!(segment(&[], GSO_TCPV4, 10), Err(SegmentError::Headers));
    let mut fragment = tcp.clone();
    fragment[20] |= 0x20;
    assert_eq!(segment(&fragment, GSO_TCPV4, 10), Err(SegmentError::Headers));
}

#[test]
fn complete_outside_frame_returns_error() {
    let mut f = [0; 20];
    assert!(checksum::complete(&mut f, 18, 0).is_ok());
    let e = checksum::complete(&mut f, 18, 1).unwrap_err();
    assert_eq!(e.to_string(), "checksum at 18 + 1 lies outside a frame of 20 octets");
    assert!(checksum::complete(&mut f, 21, 0).is_err());
    assert!(checksum::complete(&mut f, u16::MAX, u16::MAX).is_err());
}
