//! ICMP echo, RFC 792 and RFC 4443: does an address answer?

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use pnet_packet::Packet;
use pnet_packet::icmp::echo_request::MutableEchoRequestPacket;
use pnet_packet::icmp::{self, IcmpPacket, IcmpTypes};
use pnet_packet::icmpv6::Icmpv6Types;
use pnet_packet::icmpv6::echo_request::MutableEchoRequestPacket as MutableEchoRequest6;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType, ipproto};

/// Asks one address.
#[derive(Debug)]
pub(super) struct Echo {
    socket: OwnedFd,
    address: IpAddr,
    identifier: u16,
    sequence: u16,
}

impl Echo {
    /// # Errors
    ///
    /// No raw socket may be opened: CAP_NET_RAW is missing.
    pub(super) fn new(address: IpAddr) -> io::Result<Echo> {
        let socket = match address {
            IpAddr::V4(_) => {
                rustix::net::socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP))
            }
            IpAddr::V6(_) => {
                rustix::net::socket(AddressFamily::INET6, SocketType::RAW, Some(ipproto::ICMPV6))
            }
        }?;
        Ok(Echo { socket, address, identifier: std::process::id() as u16, sequence: 0 })
    }

    /// Sends one request and waits for its answer. A request that cannot be sent has none.
    pub(super) fn answered(&mut self, limit: Duration) -> bool {
        self.sequence = self.sequence.wrapping_add(1);
        let end = Instant::now() + limit;
        let sent = self.request().and_then(|request| {
            let to = SocketAddr::new(self.address, 0);
            rustix::net::sendto(&self.socket, &request, SendFlags::empty(), &to).ok()
        });
        if sent.is_none() {
            std::thread::sleep(limit);
            return false;
        }
        let mut buffer = [0; 2048];
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let mut waits = [PollFd::new(&self.socket, PollFlags::IN)];
            let time = left.try_into().ok();
            match poll(&mut waits, time.as_ref()) {
                Ok(0) | Err(_) if left.is_zero() => return false,
                Ok(_) | Err(_) => {}
            }
            let flags = RecvFlags::DONTWAIT;
            if let Ok((length, _)) = rustix::net::recv(&self.socket, &mut buffer[..], flags)
                && self.is_answer(&buffer[..length])
            {
                return true;
            }
        }
    }

    fn request(&self) -> Option<Vec<u8>> {
        let mut buffer = vec![0; 16];
        match self.address {
            IpAddr::V4(_) => {
                let mut p = MutableEchoRequestPacket::new(&mut buffer)?;
                p.set_icmp_type(IcmpTypes::EchoRequest);
                p.set_identifier(self.identifier);
                p.set_sequence_number(self.sequence);
                let checksum = icmp::checksum(&IcmpPacket::new(p.packet())?);
                p.set_checksum(checksum);
            }
            IpAddr::V6(_) => {
                // The kernel fills the checksum in.
                let mut p = MutableEchoRequest6::new(&mut buffer)?;
                p.set_icmpv6_type(Icmpv6Types::EchoRequest);
                p.set_identifier(self.identifier);
                p.set_sequence_number(self.sequence);
            }
        }
        Some(buffer)
    }

    /// Whether this is the answer to the last request. A raw socket of IPv4 receives the IP header
    /// too.
    fn is_answer(&self, packet: &[u8]) -> bool {
        let payload = match self.address {
            IpAddr::V4(_) => {
                let length = packet.first().map_or(0, |b| usize::from(b & 0xf) * 4);
                packet.get(length..).unwrap_or_default()
            }
            IpAddr::V6(_) => packet,
        };
        let reply = match self.address {
            IpAddr::V4(_) => IcmpTypes::EchoReply.0,
            IpAddr::V6(_) => Icmpv6Types::EchoReply.0,
        };
        let [kind, _, _, _, id0, id1, seq0, seq1, ..] = *payload else { return false };
        kind == reply
            && u16::from_be_bytes([id0, id1]) == self.identifier
            && u16::from_be_bytes([seq0, seq1]) == self.sequence
    }
}
