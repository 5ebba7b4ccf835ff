//! Slow-protocol frames (IEEE 802.3 annex 57A): LACP's clothes.

use wire::lacp::LACPDU_LEN;
use wire::{EthAddr, EtherType};

/// The payload of an untagged slow-protocol frame (IEEE 802.3 annex 57A). A tag with VID 0 names no
/// VLAN: as the kernel does for sockets, it is passed over.
pub(super) fn slow_payload(frame: &[u8]) -> Option<&[u8]> {
    let is = |at: usize, ethertype: u16| {
        frame.get(at..at + 2).is_some_and(|f| f == ethertype.to_be_bytes())
    };
    let priority = is(12, EtherType::VLAN) && frame.get(14..16)?[0] & 0x0f == 0 && frame[15] == 0;
    let at = if priority { 16 } else { 12 };
    is(at, EtherType::SLOW).then(|| &frame[at + 2..])
}

pub(super) fn slow_frame(source: EthAddr, pdu: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(14 + LACPDU_LEN);
    frame.extend_from_slice(&EthAddr::SLOW_PROTOCOLS.0);
    frame.extend_from_slice(&source.0);
    frame.extend_from_slice(&EtherType::SLOW.to_be_bytes());
    frame.extend_from_slice(pdu);
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_of_slow_protocols() {
        let frame = slow_frame(EthAddr([2, 0, 0, 0, 0, 1]), &[1; LACPDU_LEN]);
        assert_eq!(slow_payload(&frame), Some(&[1; LACPDU_LEN][..]));
        let tagged = |tag: [u8; 4]| [&frame[..12], &tag, &frame[12..]].concat();
        assert_eq!(slow_payload(&tagged([0x81, 0, 0xe0, 0])), Some(&[1; LACPDU_LEN][..]));
        assert_eq!(slow_payload(&tagged([0x81, 0, 0, 5])), None);
        assert_eq!(slow_payload(&tagged([0x81, 0, 1, 0])), None);
        assert_eq!(slow_payload(&tagged([0x88, 0xa8, 0, 5])), None);
        assert_eq!(slow_payload(&tagged([0x81, 0, 0, 0])[..15]), None);
        assert_eq!(slow_payload(&frame[..13]), None);
        assert_eq!(slow_payload(&[0; 60]), None);
        assert_eq!(slow_payload(&[]), None);
    }
}
