//! Segmentation of GSO packets in software, for devices without segmentation offload.
//!
//! A GSO packet has one header, the payload of many segments, and the payload size of each segment
//! (`gso_size` of `struct virtio_net_hdr`).

use crate::checksum::{checksum, complete, fold, pseudo_v4, pseudo_v6};
use crate::extract::{MAX_VLANS, extract_layers};
use crate::{EtherType, ip};

/// `gso_type` of `struct virtio_net_hdr`, without [`GSO_ECN`].
pub const GSO_NONE: u8 = 0;
/// TCP over IPv4.
pub const GSO_TCPV4: u8 = 1;
/// UDP fragmentation offload: the datagram is to be cut into IP fragments.
pub const GSO_UDP: u8 = 3;
/// TCP over IPv6.
pub const GSO_TCPV6: u8 = 4;
/// UDP segmentation offload: a GSO packet of datagrams.
pub const GSO_UDP_L4: u8 = 5;
/// Bit in `gso_type`: only the first segment may carry CWR (RFC 3168 section 6.1.2).
pub const GSO_ECN: u8 = 0x80;

/// Why a frame cannot be segmented.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The segment size is 0.
    #[error("segment size 0")]
    ZeroSize,
    /// An offload type that is not known; its number.
    #[error("offload type {0:#04x} (TCPv4 1, TCPv6 4 and UDP 5 are known)")]
    Type(u8),
    /// Neither TCP nor UDP, a fragment, or a malformed header.
    #[error("the frame's headers do not fit its offload type")]
    Headers,
}

const FIN: u8 = 0x01;
const PSH: u8 = 0x08;
const CWR: u8 = 0x80;

/// Splits a GSO packet into frames of at most `gso_size` octets of payload, each with complete
/// headers and checksums. `gso_type` and `gso_size` are those of `struct virtio_net_hdr`. A payload
/// of at most `gso_size` octets gives one frame with its checksums computed.
pub fn segment(frame: &[u8], gso_type: u8, gso_size: u16) -> Result<Vec<Vec<u8>>, SegmentError> {
    let (key, layers) = extract_layers(frame, 0, MAX_VLANS);
    let size = usize::from(gso_size);
    if size == 0 {
        return Err(SegmentError::ZeroSize);
    }
    let (Some(l3), Some(l4)) = (layers.l3, layers.l4) else {
        return Err(SegmentError::Headers);
    };
    let want = match gso_type & !GSO_ECN {
        GSO_TCPV4 => (Some(EtherType::IPV4), ip::TCP),
        GSO_TCPV6 => (Some(EtherType::IPV6), ip::TCP),
        GSO_UDP_L4 => (None, ip::UDP),
        _ => return Err(SegmentError::Type(gso_type)),
    };
    let fits = want.0.is_none_or(|t| t == key.eth_type) && want.1 == key.nw_proto;
    let l4_octets = &frame[l4..layers.l4_end];
    if !fits || key.nw_frag != 0 {
        return Err(SegmentError::Headers);
    }
    let tcp = key.nw_proto == ip::TCP;
    let l4_header = if tcp { l4_octets.get(12).map_or(0, |o| usize::from(o >> 4) * 4) } else { 8 };
    if l4_header < if tcp { 20 } else { 8 } || l4_header > l4_octets.len() {
        return Err(SegmentError::Headers);
    }
    let headers = &frame[..l4 + l4_header];
    let payload = &l4_octets[l4_header..];
    let v6 = key.eth_type == EtherType::IPV6;
    let count = payload.len().div_ceil(size).max(1);

    let mut out = Vec::with_capacity(count);
    for i in 0..count {
        let at = i * size;
        let part = &payload[at..payload.len().min(at + size)];
        let mut f = Vec::with_capacity(headers.len() + part.len());
        f.extend_from_slice(headers);
        f.extend_from_slice(part);

        let l3_len = f.len() - l3;
        if v6 {
            let plen = (l3_len - 40) as u16;
            f[l3 + 4..l3 + 6].copy_from_slice(&plen.to_be_bytes());
        } else {
            let id = u16::from_be_bytes([f[l3 + 4], f[l3 + 5]]).wrapping_add(i as u16);
            f[l3 + 2..l3 + 4].copy_from_slice(&(l3_len as u16).to_be_bytes());
            f[l3 + 4..l3 + 6].copy_from_slice(&id.to_be_bytes());
            f[l3 + 10..l3 + 12].fill(0);
            let c = checksum(&f[l3..l3 + usize::from(f[l3] & 0x0f) * 4]);
            f[l3 + 10..l3 + 12].copy_from_slice(&c.to_be_bytes());
        }

        let l4_len = (f.len() - l4) as u32;
        let field = if tcp {
            let seq = u32::from_be_bytes([f[l4 + 4], f[l4 + 5], f[l4 + 6], f[l4 + 7]]);
            f[l4 + 4..l4 + 8].copy_from_slice(&seq.wrapping_add(at as u32).to_be_bytes());
            if i + 1 != count {
                f[l4 + 13] &= !(FIN | PSH);
            }
            if i != 0 && gso_type & GSO_ECN != 0 {
                f[l4 + 13] &= !CWR;
            }
            16
        } else {
            f[l4 + 4..l4 + 6].copy_from_slice(&(l4_len as u16).to_be_bytes());
            6
        };
        let pseudo = if v6 {
            pseudo_v6(&key.nw_src, &key.nw_dst, key.nw_proto, l4_len)
        } else {
            pseudo_v4(key.ipv4_src(), key.ipv4_dst(), key.nw_proto, l4_len)
        };
        f[l4 + field..l4 + field + 2].copy_from_slice(&fold(pseudo).to_be_bytes());
        let start = u16::try_from(l4).map_err(|_| SegmentError::Headers)?;
        complete(&mut f, start, field as u16).map_err(|_| SegmentError::Headers)?;
        out.push(f);
    }
    Ok(out)
}
