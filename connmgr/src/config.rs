//! What the daemon configures, and how the switch is reached.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::time::Duration;

use ofproto::FailMode;
use ofproto::controller::{ControllerConfig, Port, SwitchOps};
use ofproto::tables::TableSettings;
use openflow::VersionSet;
use runtime::log::Module;
use wire::EthAddr;

/// Options from the command line.
#[derive(Clone, Debug)]
pub struct OpenFlowOptions {
    /// Directory of the bridges' sockets, and of relative paths in `unix:` and `punix:` targets.
    pub rundir: PathBuf,
    /// The switch's version, for its description.
    pub version: String,
    /// The files for `ssl:` where the database names none.
    pub tls: tls::Settings,
    /// Rows may name Unix sockets outside of `rundir` (`--no-self-confinement`).
    pub unconfined: bool,
    /// Finds the log module that one of the agent's lines names.
    pub log_module: fn(&str) -> Option<&'static Module>,
}

/// OpenFlow configuration of one bridge.
#[derive(Clone, Debug)]
pub struct BridgeConfig<'a> {
    /// The bridge's name.
    pub name: &'a str,
    /// The datapath ID in use.
    pub datapath_id: u64,
    /// `Bridge.fail_mode`.
    pub fail_mode: FailMode,
    /// Versions that may be agreed on.
    pub versions: VersionSet,
    /// Controllers and listeners; their targets are unique.
    pub controllers: Vec<&'a ControllerConfig>,
    /// `other_config:dp-desc`.
    pub description: Option<&'a str>,
    /// `other_config:dp-sn`.
    pub serial: Option<&'a str>,
    /// Packets that may wait for a peer of `BRIDGE.mgmt`; 1 to 512.
    pub queue_size: usize,
    /// Managers that must be reached through the bridge's ports.
    pub managers: &'a BTreeSet<SocketAddrV4>,
    /// `other_config:in-band-queue`.
    pub in_band_queue: Option<u32>,
    /// Settings of flow tables, by table number.
    pub tables: &'a BTreeMap<u8, TableSettings>,
    /// Errors in rows of `Flow_Table`; logged when they change.
    pub table_complaints: &'a [String],
}

/// OpenFlow configuration of all bridges.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    /// The bridges that exist.
    pub bridges: Vec<BridgeConfig<'a>>,
    /// The files for `ssl:`, if the database names them.
    pub tls: Option<tls::Settings>,
    /// `other_config:bundle-idle-timeout`.
    pub bundle_idle: Duration,
    /// Flows are being restored (`flow-restore-wait`): no controller is connected.
    pub restoring: bool,
}

/// Each bridge's ports, by the bridge's name.
pub type Ports = BTreeMap<String, Vec<Port>>;

/// The switch that the connections control.
pub trait Bridges {
    /// The operations on one bridge.
    fn host<'a>(&'a self, bridge: &'a str) -> Box<dyn SwitchOps + 'a>;
    /// The MAC address of a bridge's local port; `None` if there is no such bridge.
    fn local_mac(&self, bridge: &str) -> Option<EthAddr>;
}
