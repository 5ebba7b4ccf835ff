//! CFM in Ethernet frames.

use bond::monitor::cfm;
use wire::{EthAddr, EtherType, VlanTag, frame};

/// What follows the Ethernet type of a CFM frame, and whether the frame has a tag.
pub(crate) fn cfm_payload(frame: &[u8]) -> Option<(&[u8], bool)> {
    let (key, layers) = wire::extract_layers(frame, 0, wire::extract::MAX_VLANS);
    let payload = frame.get(layers.l3?..)?;
    (key.eth_type == EtherType::CFM).then_some((payload, key.vlan[0].is_present()))
}

pub(crate) fn cfm_event(frame: &[u8], payload: &[u8]) -> cfm::Event {
    let key = wire::extract(frame, 0);
    cfm::Event::Frame { destination: key.eth_dst, source: key.eth_src, payload: payload.to_vec() }
}

pub(crate) fn cfm_frame(
    destination: EthAddr,
    source: EthAddr,
    tci: Option<u16>,
    payload: &[u8],
) -> Vec<u8> {
    let tag = tci.map(|tci| VlanTag { tpid: EtherType::VLAN, tci: tci | VlanTag::CFI });
    frame::ethernet(destination, source, tag.as_slice(), EtherType::CFM, payload)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cfm_frames() {
        let (to, from) = (wire::ccm::DST, EthAddr([2, 0, 0, 0, 0, 1]));
        let plain = cfm_frame(to, from, None, b"payload");
        assert_eq!(cfm_payload(&plain), Some((&b"payload"[..], false)));
        let tagged = cfm_frame(to, from, Some(0xa064), b"payload");
        assert_eq!(cfm_payload(&tagged), Some((&b"payload"[..], true)));
        let key = wire::extract(&tagged, 0);
        assert_eq!((key.vlan[0].vid(), key.vlan[0].pcp()), (100, 5));
        assert_eq!(cfm_payload(&plain[..10]), None);
    }
}
