//! Slow-protocol frames (IEEE 802.3 annex 57A): LACP's clothes.

use wire::lacp::LACPDU_LEN;
use wire::{EthAddr, EtherType};

/// The payload of an untagged slow-protocol frame (IEEE 802.3 annex 57A).
pub(super) fn slow_payload(frame: &[u8]) -> Option<&[u8]> {
    let ethertype = frame.get(12..14)?;
    (ethertype == EtherType::SLOW.to_be_bytes()).then(|| &frame[14..])
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
        assert_eq!(slow_payload(&frame[..13]), None);
        assert_eq!(slow_payload(&[0; 60]), None);
        assert_eq!(slow_payload(&[]), None);
    }
}
