//! What is known of a link: plain data.

use wire::EthAddr;

/// What the kernel says of a device (rtnetlink).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkInfo {
    pub ifindex: u32,
    pub name: String,
    pub mac: EthAddr,
    pub mtu: u32,
    /// `IFF_UP`.
    pub admin_up: bool,
    /// `IFF_LOWER_UP`: the kernel's cached carrier.
    pub carrier: bool,
    /// `IFLA_INFO_KIND`, such as `veth` or `tun`; empty for hardware.
    pub kind: String,
    /// How often the carrier has changed, wrapping: tells of flaps that nobody saw.
    pub carrier_changes: u32,
    /// `IFLA_MASTER`: the ifindex of the Linux bridge, bond, team or VRF that the device is a port
    /// of; 0 = none.
    pub master: u32,
}

/// News from the kernel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// New or changed. After an overrun the monitor sends one for every device.
    Changed(LinkInfo),
    /// The device has given its name up; `Changed` with the new one follows.
    Renamed { ifindex: u32, from: String },
    /// Deleted, or moved to another network namespace: sockets on it are dead, even if the same
    /// index comes back.
    Gone { ifindex: u32, name: String },
}

/// `ethtool`'s view of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// Mbit/s; 0 = unknown.
    pub speed_mbps: u64,
    /// `None` = unknown.
    pub full_duplex: Option<bool>,
    pub modes: LinkModes,
}

/// What the link could be and what was agreed on: bits as `linux/ethtool.h` numbers them, of which
/// the first 32 are told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkModes {
    pub supported: u32,
    pub advertised: u32,
    /// What the peer advertises.
    pub peer: u32,
    /// `None` = neither of the two.
    pub medium: Option<Medium>,
    pub autoneg: bool,
}

impl LinkModes {
    /// Bits of media and of autonegotiation.
    pub const AUTONEG: u8 = 6;
    pub const TWISTED_PAIR: u8 = 7;
    pub const FIBRE: u8 = 10;
}

/// The connector in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    TwistedPair,
    Fibre,
}

/// Counters of a device, from the view of the switch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_frame_err: u64,
    pub rx_over_err: u64,
    pub rx_crc_err: u64,
    pub rx_missed_errors: u64,
    pub collisions: u64,
    pub multicast: u64,
}

impl LinkStats {
    /// The same counters from the other side of the device. What the host transmits on a tap, the
    /// switch receives, so the counters of an internal device are read this way.
    pub fn swapped(self) -> LinkStats {
        LinkStats {
            rx_packets: self.tx_packets,
            tx_packets: self.rx_packets,
            rx_bytes: self.tx_bytes,
            tx_bytes: self.rx_bytes,
            rx_dropped: self.tx_dropped,
            tx_dropped: self.rx_dropped,
            rx_errors: self.tx_errors,
            tx_errors: self.rx_errors,
            // These say why a receiver failed, and nobody failed on this side.
            ..LinkStats::default()
        }
    }
}
