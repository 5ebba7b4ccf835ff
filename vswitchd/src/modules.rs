//! The names under which the daemon's parts log: Open vSwitch's for the same parts.

use std::sync::LazyLock;

use crate::log::Module;

pub use connmgr::modules::{BRIDGE, RCONN};
pub use links::modules::BOND;
pub use runtime::modules::{DAEMON, JSONRPC, RECONNECT, UNIXCTL};

/// The interface to the datapath.
pub static DPIF: Module = Module::new("dpif");
/// Bridges and their ports.
pub static OFPROTO: Module = Module::new("ofproto_dpif");
/// Misses and the revalidator.
pub static UPCALL: Module = Module::new("ofproto_dpif_upcall");
/// Translation.
pub static XLATE: Module = Module::new("ofproto_dpif_xlate");
/// The database session.
pub static OVSDB: Module = Module::new("ovsdb_idl");
/// Start, options and the embedded database.
pub static VSWITCHD: Module = Module::new("vswitchd");
/// Devices.
pub static NETDEV: Module = Module::new("netdev");
/// Dummy devices.
pub static NETDEV_DUMMY: Module = Module::new("netdev_dummy");

/// The userspace datapath.
pub static DPIF_NETDEV: Module = Module::new("dpif_netdev");

/// All of them, for `log::register`.
pub static ALL: &[&Module] = &[
    &DPIF,
    &OFPROTO,
    &UPCALL,
    &XLATE,
    &RECONNECT,
    &OVSDB,
    &VSWITCHD,
    &UNIXCTL,
    &JSONRPC,
    &DAEMON,
    &NETDEV,
    &NETDEV_DUMMY,
    &DPIF_NETDEV,
];

/// Modules of Open vSwitch's daemon that this one does not log under. Service files, scripts and
/// operators set their levels, so that `-v` must accept them.
pub static FOREIGN: LazyLock<Vec<Module>> =
    LazyLock::new(|| NAMES.iter().copied().map(Module::new).collect());

const NAMES: &[&str] = &[
    "backtrace",
    "bundle",
    "bundles",
    "collectors",
    "command_line",
    "conntrack",
    "conntrack_tp",
    "cooperative_multitasking",
    "coverage",
    "ct_dpif",
    "daemon_unix",
    "dns_resolve",
    "dp_packet_gso",
    "dpdk",
    "dpif_netdev_dpcls",
    "dpif_netlink",
    "dpif_netlink_rtnl",
    "dpif_offload",
    "dpif_offload_dummy",
    "dpif_offload_tc",
    "dpif_offload_tc_netdev",
    "entropy",
    "fatal_signal",
    "flow",
    "hmap",
    "in_band",
    "ipf",
    "ipfix",
    "lldp",
    "lldpd",
    "lldpd_structs",
    "lockfile",
    "memory",
    "meta_flow",
    "native_tnl",
    "netdev",
    "netdev_linux",
    "netdev_vport",
    "netflow",
    "netlink",
    "netlink_conntrack",
    "netlink_notifier",
    "netlink_socket",
    "nx_match",
    "odp_execute",
    "odp_util",
    "ofp_actions",
    "ofp_bundle",
    "ofp_connection",
    "ofp_ct",
    "ofp_errors",
    "ofp_flow",
    "ofp_group",
    "ofp_match",
    "ofp_meter",
    "ofp_monitor",
    "ofp_msgs",
    "ofp_packet",
    "ofp_port",
    "ofp_protocol",
    "ofp_queue",
    "ofp_table",
    "ofp_util",
    "ofproto",
    "ofproto_dpif_mirror",
    "ofproto_dpif_monitor",
    "ofproto_dpif_rid",
    "ofproto_xlate_cache",
    "ovs_lldp",
    "ovs_numa",
    "ovs_rcu",
    "ovs_replay",
    "ovs_router",
    "ovs_thread",
    "ovsdb_cs",
    "ovsdb_error",
    "ox_stat",
    "pcap",
    "pmd_perf",
    "poll_loop",
    "process",
    "route_table",
    "rstp",
    "rstp_sm",
    "sflow",
    "sha1",
    "signals",
    "socket_util_unix",
    "stp",
    "stream",
    "stream_fd",
    "stream_replay",
    "stream_tcp",
    "stream_unix",
    "svec",
    "system_stats",
    "tc",
    "timeval",
    "tunnel",
    "userspace_tso",
    "util",
    "uuid",
    "vconn",
    "vlog",
];

/// The module of this name.
pub fn by_name(name: &str) -> Option<&'static Module> {
    ALL.iter()
        .chain(connmgr::modules::ALL)
        .chain(links::modules::ALL)
        .copied()
        .chain(FOREIGN.iter())
        .find(|m| m.name() == name)
}

/// Makes all names known to `-v` and `vlog/*`.
pub fn register() {
    crate::log::register(ALL);
    crate::log::register(connmgr::modules::ALL);
    crate::log::register(links::modules::ALL);
    crate::log::register(ovsdb_server::net::MODULES);
    let foreign: Vec<&'static Module> = FOREIGN.iter().collect();
    crate::log::register(&foreign);
}
