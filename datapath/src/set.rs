//! Writing header fields into a frame, with the checksums that cover them.

use netdev::Packet;
use wire::FlowKey;

use crate::action::{Layer, SetHeader};

/// Writes the bits of `new`, as they are in `set.mask`, into `packet`, whose key is `key`, and
/// into `key`. A packet without the header stays as it is.
pub fn header(packet: &mut Packet, key: &mut FlowKey, set: &SetHeader) {
    let new = |field: fn(&FlowKey) -> u32, old: u32| {
        let (v, m) = (field(&set.value), field(&set.mask));
        old & !m | v & m
    };
    match set.layer {
        Layer::SkbPriority => key.skb_priority = new(|k| k.skb_priority, key.skb_priority),
        Layer::SkbMark => key.pkt_mark = new(|k| k.pkt_mark, key.pkt_mark),
        Layer::Eth => {
            if let Some(at) = packet.data_mut().first_chunk_mut::<12>() {
                let side = |octets: &mut [u8], v: [u8; 6], m: [u8; 6]| {
                    for (o, (v, m)) in octets.iter_mut().zip(v.into_iter().zip(m)) {
                        *o = *o & !m | v & m;
                    }
                };
                side(&mut at[..6], set.value.eth_dst.0, set.mask.eth_dst.0);
                side(&mut at[6..], set.value.eth_src.0, set.mask.eth_src.0);
                key.eth_dst.0.copy_from_slice(&at[..6]);
                key.eth_src.0.copy_from_slice(&at[6..]);
            }
        }
        _ => {}
    }
}

/// The first `len` octets of a packet, complete in themselves: what the device would still have
/// done to the whole is no longer to be done.
pub fn cut(packet: &Packet, len: usize) -> Packet {
    let mut copy = packet.to_owned_packet();
    copy.truncate(len);
    copy.vnet = netdev::VnetHdr::default();
    copy
}
