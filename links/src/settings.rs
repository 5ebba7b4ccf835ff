//! What the thread is configured with.

use std::sync::Arc;

use bond::monitor::cfm;
use bond::{BondConfig, LacpConfig, LacpMemberConfig, MemberId};
use config::{Detect, WantBfd};
use datapath::PortNo;
use netdev::io::dummy::DummyPort;
use ofproto::BondHandle;
use wire::EthAddr;

/// A port that needs the links thread: a bond, or a single interface with LACP.
#[derive(Clone, Debug)]
pub struct LinkPort {
    /// `Port.name`.
    pub name: String,
    /// The bridge of the port.
    pub bridge: String,
    /// A bond or a single interface.
    pub kind: LinkPortKind,
    /// How a member's link state is found out.
    pub detect: Detect,
    /// Interfaces that work.
    pub members: Vec<LinkMember>,
}

/// What runs on a port.
#[derive(Clone, Debug)]
pub enum LinkPortKind {
    /// Several interfaces; the engine does its LACP.
    Bond {
        /// The bond, with all that depends on devices.
        config: Box<BondConfig>,
        /// Where its forwarding is published.
        handle: Arc<BondHandle>,
    },
    /// One interface with LACP: its own little protocol machine.
    Single {
        /// LACP of the port.
        lacp: LacpConfig,
        /// LACP of the interface.
        member: LacpMemberConfig,
    },
}

/// A member's device, as this thread needs it.
#[derive(Clone, Debug)]
pub struct LinkMember {
    /// Unique in the port.
    pub id: MemberId,
    /// `Interface.name`, or `Port.name` of a port.
    pub name: String,
    /// The device's hardware address.
    pub mac: EthAddr,
    /// The device.
    pub device: LinkDevice,
    /// `None` for a patch port.
    pub port_no: Option<PortNo>,
    /// A kernel device that leads to a wire: its probes need not pass the datapath.
    pub on_wire: bool,
}

/// Where link state and slow-protocol frames come from.
#[derive(Clone)]
pub enum LinkDevice {
    /// A device of the kernel's.
    Kernel {
        /// Its index in the network namespace.
        ifindex: u32,
    },
    /// A device in memory, whose test sets its carrier.
    Dummy(DummyPort),
    /// Always up. What it sends arrives at the interface `peer`, if that is its peer in turn.
    Patch {
        /// The interface at the other end.
        peer: Option<String>,
    },
}

impl std::fmt::Debug for LinkDevice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            LinkDevice::Kernel { ifindex } => write!(f, "Kernel({ifindex})"),
            LinkDevice::Dummy(_) => f.write_str("Dummy"),
            LinkDevice::Patch { peer } => write!(f, "Patch({peer:?})"),
        }
    }
}

/// An interface with health checks.
#[derive(Clone, Debug)]
pub struct WatchedLink {
    /// `Interface.name`.
    pub name: String,
    /// The device's hardware address.
    pub mac: EthAddr,
    /// A kernel device that leads to a wire: its frames need not pass the datapath.
    pub ifindex: Option<u32>,
    /// `None` for a patch port.
    pub port_no: Option<PortNo>,
    /// Of a patch port: the one at the other end, if that names this one in turn.
    pub peer: Option<String>,
    /// BFD, if it is to run.
    pub bfd: Option<WantBfd>,
    /// CFM, if it is to run.
    pub cfm: Option<cfm::Config>,
}
