//! The internet checksum (RFC 1071), and completion of checksums that a sender left to hardware.
//!
//! A frame from a veth or tap peer may carry only the pseudo-header's sum in its L4 checksum
//! field (`VIRTIO_NET_HDR_F_NEEDS_CSUM`, Virtual I/O Device 1.2 clause 5.1.6), or hold many
//! segments (GSO). [`complete`] and [`crate::segment`] turn it into frames that a link can carry.

use zerocopy::FromBytes;

use crate::header::{Tcp, Udp};
use crate::ip;

/// One's complement sum of 16-bit words, not yet folded or inverted. An odd last octet counts as
/// the high half of a word.
#[inline]
pub fn sum(octets: &[u8], initial: u32) -> u32 {
    // 64-bit accumulation of 32-bit words: no carry is lost below 2^32 words.
    let mut acc = u64::from(initial);
    let (words, rest) = octets.as_chunks::<4>();
    for w in words {
        acc += u64::from(u32::from_be_bytes(*w));
    }
    let mut last = [0; 4];
    last[..rest.len()].copy_from_slice(rest);
    acc += u64::from(u32::from_be_bytes(last));
    let acc = (acc & 0xffff_ffff) + (acc >> 32);
    let acc = (acc & 0xffff_ffff) + (acc >> 32);
    ((acc & 0xffff) + (acc >> 16)) as u32
}

/// Folds a sum to 16 bits.
#[inline]
pub const fn fold(sum: u32) -> u16 {
    let s = (sum & 0xffff) + (sum >> 16);
    ((s & 0xffff) + (s >> 16)) as u16
}

/// The internet checksum: folded and inverted.
#[inline]
pub fn checksum(octets: &[u8]) -> u16 {
    !fold(sum(octets, 0))
}

/// A checksum after octets that it covers were changed from `old` to `new` (RFC 1624, equation
/// 3). Both have the same even length and begin at an even offset of what is summed.
#[inline]
pub fn replace(field: u16, old: &[u8], new: &[u8]) -> u16 {
    !fold(sum(new, u32::from(!fold(sum(old, 0))) + u32::from(!field)))
}

/// Sum of the IPv4 pseudo-header (RFC 793 section 3.1).
pub fn pseudo_v4(src: [u8; 4], dst: [u8; 4], proto: u8, len: u32) -> u32 {
    sum(&src, sum(&dst, u32::from(proto) + (len >> 16) + (len & 0xffff)))
}

/// Sum of the IPv6 pseudo-header (RFC 8200 section 8.1).
pub fn pseudo_v6(src: &[u8; 16], dst: &[u8; 16], proto: u8, len: u32) -> u32 {
    sum(src, sum(dst, u32::from(proto) + (len >> 16) + (len & 0xffff)))
}

/// Why a checksum cannot be completed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("checksum at {start} + {offset} lies outside a frame of {len} octets")]
pub struct ChecksumError {
    /// `csum_start`.
    pub start: usize,
    /// `csum_offset`.
    pub offset: usize,
    /// The frame's length, in octets.
    pub len: usize,
}

/// Completes a partial checksum: sums the frame from `start` to its end, the field's present
/// content included, and stores the result `offset` octets after `start`.
///
/// The frame must end where the IP packet does; `start` and `offset` come from the sender and are
/// checked.
pub fn complete(frame: &mut [u8], start: u16, offset: u16) -> Result<(), ChecksumError> {
    let (s, o) = (usize::from(start), usize::from(offset));
    let len = frame.len();
    let Some(part) = frame.get_mut(s..).filter(|p| p.len() >= o + 2) else {
        return Err(ChecksumError { start: s, offset: o, len });
    };
    let c = checksum(part);
    // An all-zero UDP checksum means "none" (RFC 768); its other representation does not. For
    // every other protocol both forms verify.
    let c = if c == 0 { 0xffff } else { c };
    part[o..o + 2].copy_from_slice(&c.to_be_bytes());
    Ok(())
}

/// True if the L4 checksum of an unfragmented TCP or UDP packet verifies (or a UDP packet over
/// IPv4 has none), `None` if the frame has no such checksum.
pub fn verify(frame: &[u8]) -> Option<bool> {
    let (key, layers) = crate::extract_layers(frame, 0, crate::extract::MAX_VLANS);
    let l4 = frame.get(layers.l4?..layers.l4_end)?;
    if key.nw_frag != 0 {
        return None;
    }
    let v6 = key.eth_type == crate::EtherType::IPV6;
    match key.nw_proto {
        ip::TCP => {
            Tcp::ref_from_prefix(l4).ok()?;
        }
        ip::UDP => {
            let (h, _) = Udp::ref_from_prefix(l4).ok()?;
            if h.checksum.get() == 0 {
                return Some(!v6);
            }
        }
        _ => return None,
    }
    let len = l4.len() as u32;
    let pseudo = if v6 {
        pseudo_v6(&key.nw_src, &key.nw_dst, key.nw_proto, len)
    } else {
        pseudo_v4(key.ipv4_src(), key.ipv4_dst(), key.nw_proto, len)
    };
    Some(fold(sum(l4, pseudo)) == 0xffff)
}
