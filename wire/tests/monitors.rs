//! BFD and CFM frames, against octets as Open vSwitch sends them.

use std::net::Ipv4Addr;

use proptest::prelude::*;
use wire::bfd::{self, Diag, Packet, Path, State};
use wire::ccm::{self, Ccm, CcmError};
use wire::{EthAddr, EtherType};

fn path() -> Path {
    Path {
        dst_mac: bfd::DEFAULT_DST_MAC,
        src_mac: EthAddr([2, 0, 0, 0, 0, 1]),
        src_ip: bfd::DEFAULT_SRC_IP,
        dst_ip: bfd::DEFAULT_DST_IP,
        src_port: 49152,
    }
}

#[test]
fn bfd_frame_matches_ovs_and_reads_back() {
    let packet = Packet {
        state: State::Down,
        diag: Diag::NONE,
        poll: false,
        fin: false,
        flags: 0,
        mult: 3,
        my_discriminator: 0x01020304,
        your_discriminator: 0,
        min_tx: 1_000_000,
        min_rx: 1_000_000,
    };
    let frame = path().frame(&packet.emit());
    assert_eq!(frame.len(), 14 + 20 + 8 + 24);
    let parsed = etherparse::SlicedPacket::from_ethernet(&frame).unwrap();
    let Some(etherparse::NetSlice::Ipv4(v4)) = parsed.net else { panic!("{parsed:?}") };
    let header = v4.header().to_header();
    assert_eq!(header.header_checksum, header.calc_header_checksum());
    assert_eq!((header.time_to_live, header.source), (255, [169, 254, 1, 1]));
    let got = bfd::receive(&frame).unwrap();
    assert_eq!((got.ttl, got.dst_mac), (255, "00:23:20:00:00:01".parse().unwrap()));
    assert_eq!(got.dst_ip, Ipv4Addr::new(169, 254, 1, 0));
    assert_eq!(Packet::parse(got.payload), Ok(packet));
    // Ethernet padding is not part of it.
    let mut padded = frame.clone();
    padded.extend([0; 20]);
    assert_eq!(bfd::receive(&padded).unwrap().payload.len(), 24);
    // A datagram that states more than there is.
    let mut longer = frame.clone();
    longer[14 + 20 + 5] = 200;
    assert_eq!(bfd::receive(&longer), None);
    let mut other = frame.clone();
    other[14 + 20 + 3] = 0;
    assert_eq!(bfd::receive(&other), None, "another port");
}

#[test]
fn ccm_octets_match_ovs() {
    let ccm = Ccm {
        interval: 4,
        rdi: true,
        seq: 0x01020304,
        mpid: 0x0506,
        maid: ccm::MAID,
        interval_ms: 0x0708,
        mpid64: 0x1112131415161718,
        opdown: true,
    };
    let octets = ccm.emit();
    let mut want = vec![0, 1, 0x84, 70, 1, 2, 3, 4, 5, 6];
    want.extend(b"\x04\x03ovs\x02\x03ovs");
    want.resize(10 + 48, 0);
    want.extend([7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18, 1, 0, 0, 0, 0, 0, 0]);
    assert_eq!(octets, want);
    assert_eq!(Ccm::parse(&octets), Ok(ccm.clone()));
    assert_eq!(Ccm::parse(&octets[..74]), Ok(ccm), "of an old release");
    assert_eq!(Ccm::parse(&octets[..73]), Err(CcmError::TooShort(73)));
    let mut other = octets;
    other[1] = 3;
    assert_eq!(Ccm::parse(&other), Err(CcmError::Opcode(3)));
    assert_eq!(EtherType::CFM, 0x8902);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parse_any_octets_round_trips_or_fails(octets in prop::collection::vec(any::<u8>(), 0..120)) {
        if let Ok(ccm) = Ccm::parse(&octets) {
            prop_assert_eq!(Ccm::parse(&ccm.emit()), Ok(ccm));
        }
        if let Ok(packet) = Packet::parse(&octets) {
            let again = Packet { flags: bfd::flags_of(packet.poll, packet.fin), ..packet };
            prop_assert_eq!(Packet::parse(&again.emit()), Ok(again));
        }
        // Nearly a frame.
        let mut frame = path().frame(&octets);
        for (i, o) in octets.iter().enumerate().take(6) {
            let at = usize::from(*o) % frame.len();
            frame[at] ^= 1 << i;
        }
        if let Some(got) = bfd::receive(&frame) {
            prop_assert!(got.payload.len() <= frame.len());
        }
    }
}
