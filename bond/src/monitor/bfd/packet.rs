//! The BFD control packet, RFC 5880 section 4.1.
//!
//! What is parsed and emitted here is the payload of the UDP datagram (RFC 5881: port 3784).

use serde::Serialize;

/// Octets of a control packet without authentication.
pub const LEN: usize = 24;
const VERSION: u8 = 1;

const POLL: u8 = 0x20;
const FINAL: u8 = 0x10;
const AUTH: u8 = 0x04;
const MULTIPOINT: u8 = 0x01;

/// bfd.SessionState.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    AdminDown,
    Down,
    Init,
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
    pub const NONE: Diag = Diag(0);
    pub const EXPIRED: Diag = Diag(1);
    pub const REMOTE_DOWN: Diag = Diag(3);
    pub const PATH_DOWN: Diag = Diag(5);
    pub const CPATH_DOWN: Diag = Diag(6);
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
    pub state: State,
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
    #[error("{0} octets, fewer than the {LEN} of a control packet")]
    TooShort(usize),
    #[error("version {0}, not {VERSION}")]
    Version(u8),
    #[error("authentication, which is not configured")]
    Authenticated,
    #[error("a length field of {0}, not {LEN}")]
    Length(u8),
    #[error("a detection multiplier of 0")]
    ZeroMultiplier,
    #[error("the multipoint flag, which is reserved")]
    Multipoint,
    #[error("my discriminator is 0")]
    NoDiscriminator,
    #[error("your discriminator is 0 although the state is not down")]
    NoYourDiscriminator,
}

impl Packet {
    /// Reads the payload of a datagram.
    pub fn parse(octets: &[u8]) -> Result<Packet, PacketError> {
        let too_short = PacketError::TooShort(octets.len());
        let p: &[u8; LEN] = octets.first_chunk().ok_or(too_short)?;
        let word = |i: usize| u32::from_be_bytes([p[i], p[i + 1], p[i + 2], p[i + 3]]);
        let flags = p[1] & 0x3f;
        if p[0] >> 5 != VERSION {
            return Err(PacketError::Version(p[0] >> 5));
        }
        if flags & AUTH != 0 {
            return Err(PacketError::Authenticated);
        }
        if usize::from(p[3]) < LEN || usize::from(p[3]) > octets.len() {
            return Err(PacketError::Length(p[3]));
        }
        if p[2] == 0 {
            return Err(PacketError::ZeroMultiplier);
        }
        if flags & MULTIPOINT != 0 {
            return Err(PacketError::Multipoint);
        }
        let state = [State::AdminDown, State::Down, State::Init, State::Up][usize::from(p[1] >> 6)];
        let (my_discriminator, your_discriminator) = (word(4), word(8));
        if my_discriminator == 0 {
            return Err(PacketError::NoDiscriminator);
        }
        if your_discriminator == 0 && state > State::Down {
            return Err(PacketError::NoYourDiscriminator);
        }
        Ok(Packet {
            state,
            diag: Diag(p[0] & 0x1f),
            poll: flags & POLL != 0,
            fin: flags & FINAL != 0,
            flags,
            mult: p[2],
            my_discriminator,
            your_discriminator,
            min_tx: word(12),
            min_rx: word(16),
        })
    }

    /// The packet's octets. `flags` is not looked at; no echo is offered.
    pub fn emit(&self) -> Vec<u8> {
        let state = match self.state {
            State::AdminDown => 0,
            State::Down => 1,
            State::Init => 2,
            State::Up => 3,
        };
        let bit = |on: bool, bit: u8| if on { bit } else { 0 };
        let flags = bit(self.poll, POLL) | bit(self.fin, FINAL);
        let mut out = vec![VERSION << 5 | self.diag.0 & 0x1f, state << 6 | flags, self.mult, 24];
        let words = [self.my_discriminator, self.your_discriminator, self.min_tx, self.min_rx, 0];
        out.extend(words.iter().flat_map(|w| w.to_be_bytes()));
        out
    }
}

/// The names of a flags' octet, as `bfd/show` prints them.
pub fn flag_names(flags: u8) -> String {
    let names = [
        (MULTIPOINT, "multipoint"),
        (0x02, "demand"),
        (AUTH, "auth"),
        (0x08, "ctl"),
        (FINAL, "final"),
        (POLL, "poll"),
    ];
    let set: Vec<&str> = names.iter().filter(|n| flags & n.0 != 0).map(|n| n.1).collect();
    if set.is_empty() { "none".to_owned() } else { set.join(" ") }
}

/// The flags' octet of what we send.
pub(super) fn flags_of(poll: bool, fin: bool) -> u8 {
    (if poll { POLL } else { 0 }) | (if fin { FINAL } else { 0 })
}
