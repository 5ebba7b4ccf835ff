//! Ports: descriptions, statistics, changes.

use wire::EthAddr;

use crate::ofport::OfPort;

/// Bits of [`PortDesc::config`] (`OFPPC_*`; the numbers are the same in all versions).
pub mod config {
    /// Administratively down.
    pub const PORT_DOWN: u32 = 1;
    /// 1.0 only.
    pub const NO_STP: u32 = 1 << 1;
    /// Drop received packets, except for those of spanning tree.
    pub const NO_RECV: u32 = 1 << 2;
    /// 1.0 only.
    pub const NO_RECV_STP: u32 = 1 << 3;
    /// 1.0 only.
    pub const NO_FLOOD: u32 = 1 << 4;
    /// Send nothing to the port.
    pub const NO_FWD: u32 = 1 << 5;
    /// Send no packet-in messages for packets received on it.
    pub const NO_PACKET_IN: u32 = 1 << 6;
    /// What 1.0 and later versions know.
    pub const ALL10: u32 = 0x7f;
    /// What 1.1 and later versions know.
    pub const ALL11: u32 = PORT_DOWN | NO_RECV | NO_FWD | NO_PACKET_IN;
    /// With their names in output.
    pub const NAMES: [(u32, &str); 7] = [
        (PORT_DOWN, "PORT_DOWN"),
        (NO_STP, "NO_STP"),
        (NO_RECV, "NO_RECV"),
        (NO_RECV_STP, "NO_RECV_STP"),
        (NO_FLOOD, "NO_FLOOD"),
        (NO_FWD, "NO_FWD"),
        (NO_PACKET_IN, "NO_PACKET_IN"),
    ];
}

/// Bits of [`PortDesc::state`] (`OFPPS_*`).
pub mod state {
    /// No carrier.
    pub const LINK_DOWN: u32 = 1;
    /// 1.1 and later.
    pub const BLOCKED: u32 = 1 << 1;
    /// 1.1 and later: the port can carry traffic now.
    pub const LIVE: u32 = 1 << 2;
    /// 1.0: the spanning tree's state, two bits of number.
    pub const STP_LISTEN: u32 = 0;
    /// 1.0: learning.
    pub const STP_LEARN: u32 = 1 << 8;
    /// 1.0: forwarding.
    pub const STP_FORWARD: u32 = 2 << 8;
    /// 1.0: blocking.
    pub const STP_BLOCK: u32 = 3 << 8;
    /// 1.0: the bits of the spanning tree's state.
    pub const STP_MASK: u32 = 3 << 8;
    /// What 1.0 and later versions know.
    pub const ALL10: u32 = LINK_DOWN | STP_MASK;
    /// What 1.1 and later versions know.
    pub const ALL11: u32 = LINK_DOWN | BLOCKED | LIVE;
}

/// Bits of the port features, as in 1.1 and later (`OFPPF_*`).
pub mod features {
    /// 10 Mbit/s, half duplex.
    pub const TEN_MB_HD: u32 = 1;
    /// 10 Mbit/s, full duplex.
    pub const TEN_MB_FD: u32 = 1 << 1;
    /// 100 Mbit/s, half duplex.
    pub const HUNDRED_MB_HD: u32 = 1 << 2;
    /// 100 Mbit/s, full duplex.
    pub const HUNDRED_MB_FD: u32 = 1 << 3;
    /// 1 Gbit/s, half duplex.
    pub const ONE_GB_HD: u32 = 1 << 4;
    /// 1 Gbit/s, full duplex.
    pub const ONE_GB_FD: u32 = 1 << 5;
    /// 10 Gbit/s, full duplex.
    pub const TEN_GB_FD: u32 = 1 << 6;
    /// 40 Gbit/s, full duplex.
    pub const FORTY_GB_FD: u32 = 1 << 7;
    /// 100 Gbit/s, full duplex.
    pub const HUNDRED_GB_FD: u32 = 1 << 8;
    /// 1 Tbit/s, full duplex.
    pub const ONE_TB_FD: u32 = 1 << 9;
    /// Another speed.
    pub const OTHER: u32 = 1 << 10;
    /// Copper medium.
    pub const COPPER: u32 = 1 << 11;
    /// Fibre medium.
    pub const FIBER: u32 = 1 << 12;
    /// Autonegotiation.
    pub const AUTONEG: u32 = 1 << 13;
    /// Pause frames.
    pub const PAUSE: u32 = 1 << 14;
    /// Asymmetric pause frames.
    pub const PAUSE_ASYM: u32 = 1 << 15;
    /// With their names in output.
    pub const NAMES: [(u32, &str); 16] = [
        (TEN_MB_HD, "10MB-HD"),
        (TEN_MB_FD, "10MB-FD"),
        (HUNDRED_MB_HD, "100MB-HD"),
        (HUNDRED_MB_FD, "100MB-FD"),
        (ONE_GB_HD, "1GB-HD"),
        (ONE_GB_FD, "1GB-FD"),
        (TEN_GB_FD, "10GB-FD"),
        (FORTY_GB_FD, "40GB-FD"),
        (HUNDRED_GB_FD, "100GB-FD"),
        (ONE_TB_FD, "1TB-FD"),
        (OTHER, "OTHER"),
        (COPPER, "COPPER"),
        (FIBER, "FIBER"),
        (AUTONEG, "AUTO_NEG"),
        (PAUSE, "AUTO_PAUSE"),
        (PAUSE_ASYM, "AUTO_PAUSE_ASYM"),
    ];
}

/// A port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PortDesc {
    /// The port's number.
    pub port: OfPort,
    /// Its Ethernet address.
    pub hw_addr: EthAddr,
    /// At most 15 octets before 1.1, 15 or, since 1.4, 63 with the long form; cut when sent.
    pub name: String,
    /// Bits of [`config`].
    pub config: u32,
    /// Bits of [`state`].
    pub state: u32,
    /// Bits of [`features`].
    pub curr: u32,
    /// Bits of [`features`] that the port advertises.
    pub advertised: u32,
    /// Bits of [`features`] that the port can have.
    pub supported: u32,
    /// Bits of [`features`] that the link partner advertises.
    pub peer: u32,
    /// kbit/s.
    pub curr_speed: u32,
    /// Highest possible speed in kbit/s (1.1).
    pub max_speed: u32,
}

/// A port's counters; `u64::MAX`: not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortStats {
    /// The port's number.
    pub port: OfPort,
    /// Received packets.
    pub rx_packets: u64,
    /// Sent packets.
    pub tx_packets: u64,
    /// Received octets.
    pub rx_bytes: u64,
    /// Sent octets.
    pub tx_bytes: u64,
    /// Packets dropped on reception.
    pub rx_dropped: u64,
    /// Packets dropped on transmission.
    pub tx_dropped: u64,
    /// Reception errors, all kinds.
    pub rx_errors: u64,
    /// Transmission errors, all kinds.
    pub tx_errors: u64,
    /// Frame alignment errors.
    pub rx_frame_err: u64,
    /// Overruns of the receiver.
    pub rx_over_err: u64,
    /// Frames with a wrong check sequence.
    pub rx_crc_err: u64,
    /// Collisions.
    pub collisions: u64,
    /// How long the port exists; `None`: not told (before 1.3).
    pub duration: Option<(u32, u32)>,
    /// Counters of its own, by name, in order (1.4 and later).
    pub custom: Vec<(String, u64)>,
}

impl PortStats {
    /// Nothing known.
    pub fn unknown(port: OfPort) -> PortStats {
        let n = u64::MAX;
        PortStats {
            port,
            rx_packets: n,
            tx_packets: n,
            rx_bytes: n,
            tx_bytes: n,
            rx_dropped: n,
            tx_dropped: n,
            rx_errors: n,
            tx_errors: n,
            rx_frame_err: n,
            rx_over_err: n,
            rx_crc_err: n,
            collisions: n,
            duration: None,
            custom: Vec::new(),
        }
    }

    /// The counters in the order of the messages of 1.0 to 1.3.
    pub(crate) fn counters(&self) -> [u64; 12] {
        [
            self.rx_packets,
            self.tx_packets,
            self.rx_bytes,
            self.tx_bytes,
            self.rx_dropped,
            self.tx_dropped,
            self.rx_errors,
            self.tx_errors,
            self.rx_frame_err,
            self.rx_over_err,
            self.rx_crc_err,
            self.collisions,
        ]
    }

    pub(crate) fn set_counters(&mut self, c: [u64; 12]) {
        [
            self.rx_packets,
            self.tx_packets,
            self.rx_bytes,
            self.tx_bytes,
            self.rx_dropped,
            self.tx_dropped,
            self.rx_errors,
            self.tx_errors,
            self.rx_frame_err,
            self.rx_over_err,
            self.rx_crc_err,
            self.collisions,
        ] = c;
    }
}

/// A command to change a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortMod {
    /// The port's number.
    pub port: OfPort,
    /// Must be the port's; guards against numbers that have moved.
    pub hw_addr: EthAddr,
    /// New values for the bits of [`config`] in `mask`.
    pub config: u32,
    /// The bits of `config` to change.
    pub mask: u32,
    /// Bits of [`features`]; 0: no change.
    pub advertise: u32,
}

/// What happened to a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortReason {
    /// The port was added (`OFPPR_ADD`).
    Add,
    /// The port was removed (`OFPPR_DELETE`).
    Delete,
    /// An attribute changed (`OFPPR_MODIFY`).
    Modify,
}

impl PortReason {
    /// The number on the wire.
    pub const fn wire(self) -> u8 {
        self as u8
    }

    /// The reason with this number.
    pub fn from_wire(v: u8) -> Option<PortReason> {
        [PortReason::Add, PortReason::Delete, PortReason::Modify].get(usize::from(v)).copied()
    }
}

/// A port came, went or changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortStatus {
    /// What happened.
    pub reason: PortReason,
    /// The port, as it is or was.
    pub desc: PortDesc,
}
