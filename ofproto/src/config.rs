//! The configuration of bridges and ports: a whole new snapshot each time.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bond::{Forwarding, MemberId};
use datapath::{PortNo, TableId};
use openflow::Match;
pub use openflow::OfPort;
use wire::EthAddr;
use wire::neighbour::Asker;

/// Every bridge; what is not in it any more goes away.
#[derive(Clone, Debug, Default)]
pub struct OfprotoConfig {
    /// `other_config:vlan-limit`: how many VLAN tags are looked at, 1 or 2; 0 = as many as can be.
    /// Open vSwitch's default is 1.
    pub vlan_limit: u8,
    /// All bridges; of two with one name the first counts.
    pub bridges: Vec<BridgeConfig>,
}

/// `Bridge.fail_mode` while no controller is connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FailMode {
    /// Forward as a learning switch.
    #[default]
    Standalone,
    /// Forward nothing that no flow says.
    Secure,
}

/// A bridge, from its `Bridge` row.
#[derive(Clone, Debug)]
pub struct BridgeConfig {
    /// `Bridge.name`.
    pub name: String,
    /// `datapath_type`, never empty: `system`, `netdev` or `dummy`. Shown, not acted upon.
    pub datapath_type: String,
    /// The bridge's own address.
    pub mac: EthAddr,
    /// `Bridge.datapath_id`, or the one that follows from the address of the bridge.
    pub datapath_id: u64,
    /// `Bridge.fail_mode`.
    pub fail_mode: FailMode,
    /// `mac-aging-time`, 15 s to 3600 s, by default 300 s.
    pub mac_aging: Duration,
    /// `mac-table-size`, 10 to 1,000,000, by default 8192.
    pub mac_table_size: usize,
    /// `forward-bpdu`.
    pub forward_bpdu: bool,
    /// `flood_vlans`: VLANs in which learning is off and everything floods.
    pub flood_vlans: BTreeSet<u16>,
    /// The bridge's ports.
    pub bundles: Vec<BundleConfig>,
    /// At most [`MAX_MIRRORS`](crate::mirror::MAX_MIRRORS); what is beyond has no effect.
    pub mirrors: Vec<MirrorConfig>,
}

/// A mirror: packets of the bridge that are copied to a port or into a VLAN.
#[derive(Clone, Debug, PartialEq)]
pub struct MirrorConfig {
    /// Of its row in the database: what has the same keeps its counters.
    pub id: u128,
    /// `Mirror.name`, for people.
    pub name: String,
    /// Ports by name; what arrives there is copied.
    pub sources: BTreeSet<String>,
    /// Ports by name; what leaves there is copied.
    pub destinations: BTreeSet<String>,
    /// Only packets in these VLANs; empty = all.
    pub vlans: BTreeSet<u16>,
    /// Only packets that fit this; it does not look at the port.
    pub filter: Option<Box<Match>>,
    /// Where the copies go.
    pub output: MirrorOutput,
    /// Octets kept of each copy; 0 = all.
    pub snaplen: u16,
}

/// Where a mirror's copies go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MirrorOutput {
    /// The port of this name, which is then for nothing else.
    Port(String),
    /// All ports of this VLAN, with its tag (RSPAN).
    Vlan(u16),
}

/// `Port.vlan_mode`, the database's default already worked out from `tag` and `trunks`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VlanMode {
    /// `access`: one VLAN, untagged on the wire.
    Access,
    /// `trunk`: all tags stay as they are.
    #[default]
    Trunk,
    /// `native-tagged`: a trunk whose untagged packets are in the native VLAN; it sends them
    /// tagged.
    NativeTagged,
    /// `native-untagged`: as `native-tagged`, but it sends packets of the native VLAN untagged.
    NativeUntagged,
    /// QinQ with this outer TPID (0x8100 or 0x88a8).
    Dot1qTunnel {
        /// The type of the tag that is pushed on what comes in.
        tpid: u16,
    },
}

/// What a `Port` row says of VLANs and protection; no device is needed to know it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleSettings {
    /// `vlan_mode`.
    pub vlan_mode: VlanMode,
    /// `tag`: the access or native VLAN; 0 = none.
    pub vlan: u16,
    /// `trunks`; empty = all.
    pub trunks: BTreeSet<u16>,
    /// `cvlans` of a dot1q-tunnel port: the customer's VLANs let through; empty = all.
    pub cvlans: BTreeSet<u16>,
    /// `other_config:priority-tags`.
    pub priority_tags: PriorityTags,
    /// `protected`: no traffic between two protected ports.
    pub protected: bool,
}

/// A port of the database: one interface, or a bond of several.
#[derive(Clone, Debug)]
pub struct BundleConfig {
    /// `Port.name`.
    pub name: String,
    /// VLANs and protection.
    pub settings: BundleSettings,
    /// Interfaces that work.
    pub ifaces: Vec<IfaceConfig>,
    /// `None` for an ordinary port.
    pub bond: Option<Arc<BondHandle>>,
    /// LACP runs here: slow-protocol frames are consumed.
    pub lacp: bool,
}

/// `Port.other_config:priority-tags`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PriorityTags {
    /// Never.
    #[default]
    No,
    /// If their priority is not 0.
    IfNonzero,
    /// Also with priority 0.
    Always,
}

/// One interface.
#[derive(Clone, Debug)]
pub struct IfaceConfig {
    /// `Interface.name`.
    pub name: String,
    /// The OpenFlow port number.
    pub of_port: OfPort,
    /// Within a bond, the engine's name for it.
    pub member: Option<MemberId>,
    /// The device's address.
    pub mac: EthAddr,
    /// What is behind it.
    pub kind: IfaceKind,
    /// `Interface.type`, never empty: `system`, `internal`, `patch`, `dummy`. Shown by `dpif/show`.
    pub type_name: String,
    /// What `dpif/show` prints after the type, for example `peer=p1` of a patch port.
    pub shown: BTreeMap<String, String>,
    /// BFD packets that arrive here and are the session's own are consumed; `None` = no session.
    pub bfd: Option<BfdMatch>,
    /// CFM frames that arrive here for this address are consumed; `None` = no session.
    pub cfm: Option<EthAddr>,
    /// `Interface.external_ids:attached-mac`: the address of the station behind it.
    pub attached_mac: Option<EthAddr>,
    /// The index of an internal port's device: the host's addresses on it are its stations.
    pub host_device: Option<u32>,
    /// Answers to probes that arrive here are consumed; `None` = the member is not probed.
    pub probe: Option<Arc<ProbeMatch>>,
}

/// Which ARP and neighbour discovery packets belong to the probes of a bond's member; others are
/// traffic like any.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeMatch {
    /// Where the member's probes come from.
    pub asker: Asker,
    /// Whose answers are consumed.
    pub targets: Vec<IpAddr>,
    /// The VLAN of the tag; 0 = untagged.
    pub vid: u16,
    /// Where all members' probes come from, whose requests a switch may flood to this one.
    pub siblings: Vec<EthAddr>,
}

/// Which BFD control packets are for a session; others are traffic like any.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BfdMatch {
    /// Only those to this address; `None` = to any.
    pub dst_mac: Option<EthAddr>,
    /// Only those to this address; `None` = to any.
    pub dst_ip: Option<Ipv4Addr>,
}

/// What is behind an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IfaceKind {
    /// A port of the datapath.
    Datapath(PortNo),
    /// No datapath port: packets continue at the interface of this name (a patch port of this or
    /// another bridge). An unmatched peer drops.
    Patch {
        /// The interface at the other end, by name.
        peer: String,
    },
}

/// A bond, as translation sees it: the links thread stores, everyone reads.
#[derive(Debug)]
pub struct BondHandle {
    /// The bond's bucket table in the datapath.
    pub table: TableId,
    /// The engine's latest word. Stored together with the datapath's table.
    pub forwarding: ArcSwap<Forwarding>,
    /// 0 for none; recirculated packets of this bond carry it.
    pub recirc_id: u32,
}

impl BridgeConfig {
    /// A bridge with the database's defaults and no ports.
    pub fn new(name: &str, mac: EthAddr) -> BridgeConfig {
        BridgeConfig {
            name: name.to_owned(),
            datapath_type: "system".to_owned(),
            mac,
            datapath_id: mac.to_u64(),
            fail_mode: FailMode::Standalone,
            mac_aging: Duration::from_secs(300),
            mac_table_size: 8192,
            forward_bpdu: false,
            flood_vlans: BTreeSet::new(),
            bundles: Vec::new(),
            mirrors: Vec::new(),
        }
    }
}

impl BundleConfig {
    /// A trunk port of all VLANs with one interface.
    pub fn new(name: &str, iface: IfaceConfig) -> BundleConfig {
        BundleConfig {
            name: name.to_owned(),
            settings: BundleSettings::default(),
            ifaces: vec![iface],
            bond: None,
            lacp: false,
        }
    }
}

impl IfaceConfig {
    /// An interface without health checks, of type `system`, or `patch` for a patch port.
    pub fn new(name: &str, of_port: OfPort, kind: IfaceKind) -> IfaceConfig {
        let (type_name, shown) = match &kind {
            IfaceKind::Datapath(_) => ("system", BTreeMap::new()),
            IfaceKind::Patch { peer } => {
                ("patch", BTreeMap::from([("peer".to_owned(), peer.clone())]))
            }
        };
        IfaceConfig {
            name: name.to_owned(),
            of_port,
            member: None,
            mac: EthAddr::ZERO,
            kind,
            type_name: type_name.to_owned(),
            shown,
            bfd: None,
            cfm: None,
            attached_mac: None,
            host_device: None,
            probe: None,
        }
    }
}
