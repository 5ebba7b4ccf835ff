//! Control packets that are cut off or hold any octets: readers return an error and never panic.

use proptest::prelude::*;
use wire::bfd::{self, Diag, Packet, Path, State};
use wire::ccm::{self, Ccm};
use wire::lacp::{self, Lacpdu, PortInfo};
use wire::{EthAddr, arp, extract};

fn lacpdu() -> Lacpdu {
    let port =
        PortInfo { system_priority: 1, system: EthAddr([2; 6]), key: 3, ..PortInfo::default() };
    Lacpdu { actor: port, partner: port, collector_max_delay: 0 }
}

fn ccm() -> Ccm {
    Ccm {
        interval: 4,
        rdi: false,
        seq: 1,
        mpid: 2,
        maid: ccm::MAID,
        interval_ms: 0,
        mpid64: 0,
        opdown: false,
    }
}

fn control() -> Packet {
    Packet {
        state: State::Up,
        diag: Diag::NONE,
        poll: false,
        fin: true,
        flags: bfd::flags_of(false, true),
        mult: 3,
        my_discriminator: 1,
        your_discriminator: 2,
        min_tx: 1000,
        min_rx: 1000,
    }
}

fn bfd_frame() -> Vec<u8> {
    let (dst_mac, src_mac) = (bfd::DEFAULT_DST_MAC, EthAddr([2; 6]));
    let (src_ip, dst_ip) = (bfd::DEFAULT_SRC_IP, bfd::DEFAULT_DST_IP);
    Path { dst_mac, src_mac, src_ip, dst_ip, src_port: 49152 }.frame(&control().emit())
}

#[test]
fn parse_truncated_pdu_returns_error() {
    let octets = lacpdu().emit();
    for len in 0..octets.len() {
        assert_eq!(Lacpdu::parse(&octets[..len]), Err(lacp::LacpError::TooShort { len }));
    }
    let octets = ccm().emit();
    for len in 0..ccm::LEN - 1 {
        assert_eq!(Ccm::parse(&octets[..len]), Err(ccm::CcmError::TooShort(len)));
    }
    let octets = control().emit();
    for len in 0..bfd::LEN {
        assert_eq!(Packet::parse(&octets[..len]), Err(bfd::PacketError::TooShort(len)));
    }
}

#[test]
fn receive_truncated_bfd_frame_returns_none() {
    let frame = bfd_frame();
    assert!(bfd::receive(&frame).is_some());
    for len in 0..frame.len() {
        assert_eq!(bfd::receive(&frame[..len]), None, "{len} octets");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn parse_any_octets_never_panics(octets in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Lacpdu::parse(&octets);
        let _ = Ccm::parse(&octets);
        let _ = Packet::parse(&octets);
        let _ = bfd::receive(&octets);
    }

    /// A valid PDU with some octets replaced and cut anywhere parses or not, and never panics.
    #[test]
    fn parse_damaged_pdu_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mac = EthAddr([2; 6]);
        let frames = [lacpdu().emit(), ccm().emit(), control().emit(), bfd_frame(), arp::learning_packet(mac)];
        for mut octets in frames {
            for (at, value) in &changes {
                let at = at.index(octets.len());
                octets[at] = *value;
            }
            let octets = &octets[..cut.index(octets.len() + 1)];
            if let Ok(pdu) = Lacpdu::parse(octets) {
                prop_assert_eq!(Lacpdu::parse(&pdu.emit()), Ok(pdu));
            }
            if let Ok(ccm) = Ccm::parse(octets) {
                prop_assert_eq!(Ccm::parse(&ccm.emit()), Ok(ccm));
            }
            let _ = Packet::parse(octets);
            if let Some(received) = bfd::receive(octets) {
                prop_assert!(received.payload.len() <= octets.len());
            }
            arp::is_gratuitous(&extract(octets, 0));
        }
    }
}
