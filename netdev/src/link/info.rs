//! Link state, counters and settings as plain data.

use wire::EthAddr;

/// A device's state as the kernel reports it by rtnetlink.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LinkInfo {
    /// The device's index, unique in its network namespace.
    pub ifindex: u32,
    /// Its name.
    pub name: String,
    /// Its Ethernet address; zero when its addresses are of another length.
    pub mac: EthAddr,
    /// Octets behind the Ethernet header.
    pub mtu: u32,
    /// `IFF_UP`.
    pub admin_up: bool,
    /// `IFF_LOWER_UP`: the kernel's cached carrier.
    pub carrier: bool,
    /// `IFLA_INFO_KIND`, such as `veth` or `tun`; empty for hardware.
    pub kind: String,
    /// How often the carrier has changed, wrapping. Shows flaps between two reports.
    pub carrier_changes: u32,
    /// `IFLA_MASTER`: the ifindex of the Linux bridge, bond, team or VRF that the device is a port
    /// of; 0 = none.
    pub master: u32,
}

/// A change that the kernel reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LinkEvent {
    /// New or changed. After an overrun the monitor sends one for every device.
    Changed(LinkInfo),
    /// The device has another name. `Changed` with the new name follows.
    Renamed {
        /// Of the device.
        ifindex: u32,
        /// The old name.
        from: String,
    },
    /// Deleted, or moved to another network namespace: sockets on it are dead, even if the same
    /// index comes back.
    Gone {
        /// Of the device.
        ifindex: u32,
        /// Its last name.
        name: String,
    },
}

/// `ethtool`'s view of the link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkSettings {
    /// Mbit/s; 0 = unknown.
    pub speed_mbps: u64,
    /// `None` = unknown.
    pub full_duplex: Option<bool>,
    /// Modes and connector.
    pub modes: LinkModes,
}

/// Link modes and autonegotiation. The words are the first 32 of the `ETHTOOL_LINK_MODE_*` bits of
/// `linux/ethtool.h`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkModes {
    /// What the device supports.
    pub supported: u32,
    /// What the device advertises.
    pub advertised: u32,
    /// What the peer advertises.
    pub peer: u32,
    /// `None` = neither of the two.
    pub medium: Option<Medium>,
    /// Whether autonegotiation is on.
    pub autoneg: bool,
}

impl LinkModes {
    /// Bit number of autonegotiation.
    pub const AUTONEG: u8 = 6;
    /// Bit number of twisted pair.
    pub const TWISTED_PAIR: u8 = 7;
    /// Bit number of fibre.
    pub const FIBRE: u8 = 10;
}

/// The connector in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// `PORT_TP`.
    TwistedPair,
    /// `PORT_FIBRE`.
    Fibre,
}

/// Counters of a device: `struct rtnl_link_stats64` of linux/if_link.h.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LinkStats {
    /// Frames received.
    pub rx_packets: u64,
    /// Frames transmitted.
    pub tx_packets: u64,
    /// Octets received.
    pub rx_bytes: u64,
    /// Octets transmitted.
    pub tx_bytes: u64,
    /// Received frames dropped without an error.
    pub rx_dropped: u64,
    /// Frames to transmit that were dropped.
    pub tx_dropped: u64,
    /// Frames received with errors, of all kinds.
    pub rx_errors: u64,
    /// Frames that could not be transmitted because of errors.
    pub tx_errors: u64,
    /// Frames received with an alignment error.
    pub rx_frame_err: u64,
    /// Frames lost because the receiver's FIFO or ring was full.
    pub rx_over_err: u64,
    /// Frames received with a wrong FCS.
    pub rx_crc_err: u64,
    /// Frames lost because the host had no buffer.
    pub rx_missed_errors: u64,
    /// Collisions on transmit.
    pub collisions: u64,
    /// Multicast frames received.
    pub multicast: u64,
}

impl LinkStats {
    /// The counters as the far side of the device sees them. What the host transmits on a tap, the
    /// switch receives; this is for internal devices.
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
            // The rest are receive errors of the host's side.
            ..LinkStats::default()
        }
    }
}
