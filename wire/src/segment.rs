//! Segmentation of GSO packets in software, for devices without segmentation offload.
//!
//! A GSO packet has one header, the payload of many segments, and the payload size of each segment
//! (`gso_size` of `struct virtio_net_hdr`).

use std::mem::offset_of;

use zerocopy::FromBytes;

use crate::checksum::{checksum, complete, fold, pseudo_v4, pseudo_v6};
use crate::extract::{MAX_VLANS, extract_layers};
use crate::header::{Ipv4, Ipv6, Tcp, Udp};
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
    let l4_header = if tcp {
        let (h, _) = Tcp::ref_from_prefix(l4_octets).map_err(|_| SegmentError::Headers)?;
        h.header_len()
    } else {
        size_of::<Udp>()
    };
    if l4_header < if tcp { size_of::<Tcp>() } else { size_of::<Udp>() }
        || l4_header > l4_octets.len()
    {
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

        let ip_len = f.len() - l3;
        let (ip, l4_octets) = f[l3..].split_at_mut(l4 - l3);
        if v6 {
            let (h, _) = Ipv6::mut_from_prefix(ip).map_err(|_| SegmentError::Headers)?;
            h.payload_len.set((ip_len - size_of::<Ipv6>()) as u16);
        } else {
            let (h, _) = Ipv4::mut_from_prefix(ip).map_err(|_| SegmentError::Headers)?;
            h.total_len.set(ip_len as u16);
            h.id.set(h.id.get().wrapping_add(i as u16));
            h.checksum.set(0);
            let sum = checksum(ip);
            let (h, _) = Ipv4::mut_from_prefix(ip).map_err(|_| SegmentError::Headers)?;
            h.checksum.set(sum);
        }

        let l4_len = l4_octets.len() as u32;
        let pseudo = if v6 {
            pseudo_v6(&key.nw_src, &key.nw_dst, key.nw_proto, l4_len)
        } else {
            pseudo_v4(key.ipv4_src(), key.ipv4_dst(), key.nw_proto, l4_len)
        };
        let field = if tcp {
            let (h, _) = Tcp::mut_from_prefix(l4_octets).map_err(|_| SegmentError::Headers)?;
            h.seq.set(h.seq.get().wrapping_add(at as u32));
            let mut clear = 0;
            if i + 1 != count {
                clear |= Tcp::FIN | Tcp::PSH;
            }
            if i != 0 && gso_type & GSO_ECN != 0 {
                clear |= Tcp::CWR;
            }
            h.offset_flags.set(h.offset_flags.get() & !clear);
            h.checksum.set(fold(pseudo));
            offset_of!(Tcp, checksum)
        } else {
            let (h, _) = Udp::mut_from_prefix(l4_octets).map_err(|_| SegmentError::Headers)?;
            h.len.set(l4_len as u16);
            h.checksum.set(fold(pseudo));
            offset_of!(Udp, checksum)
        };
        let start = u16::try_from(l4).map_err(|_| SegmentError::Headers)?;
        complete(&mut f, start, field as u16).map_err(|_| SegmentError::Headers)?;
        out.push(f);
    }
    Ok(out)
}
