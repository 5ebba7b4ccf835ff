//! The BFD control packet (RFC 5880 section 4.1), and the frame that carries it over one hop
//! (RFC 5881).

use std::net::Ipv4Addr;

use pnet_packet::udp::UdpPacket;
use serde::Serialize;

use crate::extract::MAX_VLANS;
use crate::frame::{Ipv4, ethernet, udp};
use crate::{EthAddr, EtherType, extract_layers, ip};
use format::{ControlPacket, MutableControlPacket};

/// Destination port of control packets over a single hop (RFC 5881 section 4).
pub const PORT: u16 = 3784;
/// Time to live of sent packets, and the only one that is accepted (RFC 5881 section 5).
pub const TTL: u8 = 255;
/// Default destination address of frames: one of Nicira's, as in Open vSwitch.
pub const DEFAULT_DST_MAC: EthAddr = EthAddr([0x00, 0x23, 0x20, 0, 0, 0x01]);
/// Default source address (link-local, RFC 3927).
pub const DEFAULT_SRC_IP: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 1);
/// Default destination address.
pub const DEFAULT_DST_IP: Ipv4Addr = Ipv4Addr::new(169, 254, 1, 0);
/// Precedence "internetwork control" (RFC 791).
const TOS: u8 = 0xc0;

/// Octets of a control packet without authentication.
pub const LEN: usize = 24;
const VERSION: u8 = 1;

// Bits of the flags octet, below the state.
const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const CONTROL_PLANE_INDEPENDENT: u8 = 0x08;
const AUTH: u8 = 0x04;
const DEMAND: u8 = 0x02;
const MULTIPOINT: u8 = 0x01;

/// bfd.SessionState.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// The session is administratively down.
    AdminDown,
    /// No packet was received within the detection time, or the session is new.
    Down,
    /// Packets are received; the remote does not receive ours yet.
    Init,
    /// Both systems receive each other's packets.
    Up,
}

impl State {
    /// As `bfd/show` calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            State::AdminDown => "admin_down",
            State::Down => "down",
            State::Init => "init",
            State::Up => "up",
        }
    }
}

/// bfd.LocalDiag: why the session last changed; 5 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Diag(pub u8);

impl Diag {
    /// No diagnostic.
    pub const NONE: Diag = Diag(0);
    /// Control detection time expired.
    pub const EXPIRED: Diag = Diag(1);
    /// The neighbour signalled that its session is down.
    pub const REMOTE_DOWN: Diag = Diag(3);
    /// Path down.
    pub const PATH_DOWN: Diag = Diag(5);
    /// Concatenated path down.
    pub const CPATH_DOWN: Diag = Diag(6);
    /// Reverse concatenated path down.
    pub const REVERSE_CPATH_DOWN: Diag = Diag(8);

    /// As `bfd/show` calls it.
    pub fn as_str(self) -> &'static str {
        const NAMES: [&str; 9] = [
            "No Diagnostic",
            "Control Detection Time Expired",
            "Echo Function Failed",
            "Neighbor Signaled Session Down",
            "Forwarding Plane Reset",
            "Path Down",
            "Concatenated Path Down",
            "Administratively Down",
            "Reverse Concatenated Path Down",
        ];
        NAMES.get(usize::from(self.0)).copied().unwrap_or("Invalid Diagnostic")
    }

    /// The sender says that the path is of no use although the session may be up.
    pub fn path_is_down(self) -> bool {
        [Diag::PATH_DOWN, Diag::CPATH_DOWN, Diag::REVERSE_CPATH_DOWN].contains(&self)
    }
}

/// One control packet that passed the checks of RFC 5880 section 6.8.6 which need no session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The sender's session state.
    pub state: State,
    /// Why the sender's session last left state Up.
    pub diag: Diag,
    /// Answer at once.
    pub poll: bool,
    /// The answer to a poll.
    pub fin: bool,
    /// The low six bits of the flags' octet, as they came.
    pub flags: u8,
    /// Detection multiplier, at least 1.
    pub mult: u8,
    /// Not 0.
    pub my_discriminator: u32,
    /// 0 = the sender has not heard of us yet.
    pub your_discriminator: u32,
    /// Microseconds.
    pub min_tx: u32,
    /// Microseconds.
    pub min_rx: u32,
}

/// Why a packet is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Shorter than a control packet; the number of octets.
    #[error("{0} octets, fewer than the {LEN} of a control packet")]
    TooShort(usize),
    /// Another protocol version; which.
    #[error("version {0}, not {VERSION}")]
    Version(u8),
    /// The authentication bit is set.
    #[error("authentication, which is not configured")]
    Authenticated,
    /// The length field is below 24 or beyond the datagram; its value.
    #[error("a length field of {0}, not {LEN}")]
    Length(u8),
    /// The detection multiplier is 0.
    #[error("a detection multiplier of 0")]
    ZeroMultiplier,
    /// The multipoint bit is set.
    #[error("the multipoint flag, which is reserved")]
    Multipoint,
    /// My Discriminator is 0.
    #[error("my discriminator is 0")]
    NoDiscriminator,
    /// Your Discriminator is 0 in a state other than Down and AdminDown.
    #[error("your discriminator is 0 although the state is not down")]
    NoYourDiscriminator,
}

impl Packet {
    /// Reads the payload of a datagram.
    pub fn parse(octets: &[u8]) -> Result<Packet, PacketError> {
        let Some(p) = ControlPacket::new(octets) else {
            return Err(PacketError::TooShort(octets.len()));
        };
        let flags = p.get_flags();
        if p.get_version() != VERSION {
            return Err(PacketError::Version(p.get_version()));
        }
        if flags & AUTH != 0 {
            return Err(PacketError::Authenticated);
        }
        let length = p.get_length();
        if usize::from(length) < LEN || usize::from(length) > octets.len() {
            return Err(PacketError::Length(length));
        }
        if p.get_detect_mult() == 0 {
            return Err(PacketError::ZeroMultiplier);
        }
        if flags & MULTIPOINT != 0 {
            return Err(PacketError::Multipoint);
        }
        let state = match p.get_state() {
            0 => State::AdminDown,
            1 => State::Down,
            2 => State::Init,
            _ => State::Up,
        };
        let (my_discriminator, your_discriminator) =
            (p.get_my_discriminator(), p.get_your_discriminator());
        if my_discriminator == 0 {
            return Err(PacketError::NoDiscriminator);
        }
        if your_discriminator == 0 && state > State::Down {
            return Err(PacketError::NoYourDiscriminator);
        }
        Ok(Packet {
            state,
            diag: Diag(p.get_diag()),
            poll: flags & POLL != 0,
            fin: flags & FINAL != 0,
            flags,
            mult: p.get_detect_mult(),
            my_discriminator,
            your_discriminator,
            min_tx: p.get_desired_min_tx(),
            min_rx: p.get_required_min_rx(),
        })
    }

    /// The packet's octets, [`LEN`] of them. Of the flags only `poll` and `fin` are sent; Required
    /// Min Echo RX Interval is 0, which means that echo is not supported.
    pub fn emit(&self) -> Vec<u8> {
        let mut buf = vec![0; LEN];
        if let Some(mut p) = MutableControlPacket::new(&mut buf) {
            p.set_version(VERSION);
            p.set_diag(self.diag.0 & 0x1f);
            p.set_state(match self.state {
                State::AdminDown => 0,
                State::Down => 1,
                State::Init => 2,
                State::Up => 3,
            });
            p.set_flags(flags_of(self.poll, self.fin));
            p.set_detect_mult(self.mult);
            p.set_length(LEN as u8);
            p.set_my_discriminator(self.my_discriminator);
            p.set_your_discriminator(self.your_discriminator);
            p.set_desired_min_tx(self.min_tx);
            p.set_required_min_rx(self.min_rx);
        }
        buf
    }
}

/// The names of a flags' octet, as `bfd/show` prints them.
pub fn flag_names(flags: u8) -> String {
    let names = [
        (MULTIPOINT, "multipoint"),
        (DEMAND, "demand"),
        (AUTH, "auth"),
        (CONTROL_PLANE_INDEPENDENT, "ctl"),
        (FINAL, "final"),
        (POLL, "poll"),
    ];
    let set: Vec<&str> = names.iter().filter(|n| flags & n.0 != 0).map(|n| n.1).collect();
    if set.is_empty() { "none".to_owned() } else { set.join(" ") }
}

/// The flags' octet of what we send.
pub fn flags_of(poll: bool, fin: bool) -> u8 {
    (if poll { POLL } else { 0 }) | (if fin { FINAL } else { 0 })
}

/// The addresses of one session's frames.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Path {
    /// Destination Ethernet address.
    pub dst_mac: EthAddr,
    /// Source Ethernet address.
    pub src_mac: EthAddr,
    /// Source IPv4 address.
    pub src_ip: Ipv4Addr,
    /// Destination IPv4 address.
    pub dst_ip: Ipv4Addr,
    /// 49152 to 65535, another one for each session (RFC 5881 section 4).
    pub src_port: u16,
}

impl Path {
    /// A whole frame around a control packet. UDP's checksum is left out (RFC 768 allows it), as
    /// Open vSwitch does.
    pub fn frame(&self, payload: &[u8]) -> Vec<u8> {
        let header = Ipv4 {
            tos: TOS,
            flags: 0,
            fragment_offset: 0,
            ttl: TTL,
            proto: ip::UDP,
            src: self.src_ip,
            dst: self.dst_ip,
        };
        let packet = header.packet(&udp(self.src_port, PORT, payload));
        ethernet(self.dst_mac, self.src_mac, &[], EtherType::IPV4, &packet)
    }
}

/// A control packet as it arrived, not looked into yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Received<'a> {
    /// Destination Ethernet address.
    pub dst_mac: EthAddr,
    /// Destination IPv4 address.
    pub dst_ip: Ipv4Addr,
    /// Time to live; 255 is required by RFC 5881 section 5.
    pub ttl: u8,
    /// The datagram's payload: the control packet.
    pub payload: &'a [u8],
}

/// Takes a frame apart. `None` if it is no datagram over IPv4 to [`PORT`], or a fragment of one.
pub fn receive(frame: &[u8]) -> Option<Received<'_>> {
    let (key, layers) = extract_layers(frame, 0, MAX_VLANS);
    if key.eth_type != EtherType::IPV4 || key.nw_proto != ip::UDP || key.tp_dst != PORT {
        return None;
    }
    let octets = frame.get(layers.l4?..layers.l4_end)?;
    let length = usize::from(UdpPacket::new(octets)?.get_length());
    let payload = octets.get(UdpPacket::minimum_packet_size()..length)?;
    (key.nw_frag == 0).then(|| Received {
        dst_mac: key.eth_dst,
        dst_ip: key.ipv4_dst().into(),
        ttl: key.nw_ttl,
        payload,
    })
}

// The macro's output is not under our control.
#[allow(unreachable_pub, unused, clippy::all, clippy::undocumented_unsafe_blocks)]
mod format {
    use pnet_macros::packet;
    use pnet_macros_support::types::*;

    /// The mandatory section of a control packet, RFC 5880 section 4.1.
    #[packet]
    pub struct Control {
        pub version: u3,
        pub diag: u5,
        pub state: u2,
        pub flags: u6,
        pub detect_mult: u8,
        pub length: u8,
        pub my_discriminator: u32be,
        pub your_discriminator: u32be,
        pub desired_min_tx: u32be,
        pub required_min_rx: u32be,
        pub required_min_echo_rx: u32be,
        #[payload]
        pub authentication: Vec<u8>,
    }
}
