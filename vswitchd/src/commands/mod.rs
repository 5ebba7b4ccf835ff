//! The commands of the control socket: their arguments, answers and errors.
//!
//! An answer is one value in two formats: the text that Open vSwitch prints, and JSON for
//! `--format json`. Commands that exist only for Open vSwitch's test suite are in [`crate::compat`].
//!
//! | file | commands |
//! |---|---|
//! | `bond` | `bond/*`, `lacp/*` |
//! | `bridge` | `fdb/*`, `bridge/*`, `ofproto/list` |
//! | `monitor` | `bfd/*`, `cfm/*` |
//! | `dummy` | `netdev-dummy/*` |
//! | `trace` | `ofproto/trace`, `ofproto/trace-packet-out` |
//! | `datapath` | `dpif/*`, `dpctl/*`, `upcall/*`, `revalidator/*` |
//! | `dpctl` | `dpctl/*` on flows |
//! | `options` | `options/list` |
//! | `pmd` | `dpif-netdev/pmd-*` |
//! | `unbuilt` | those on features that are not built, as where nothing uses them |

pub mod bond;
pub mod bridge;
mod context;
pub mod datapath;
pub mod dpctl;
mod dpctl_options;
pub mod dummy;
mod flow_dump;
pub mod monitor;
pub mod options;
pub mod pmd;
pub mod trace;
pub mod unbuilt;
mod view;

pub use self::context::{Answer, Call, Cleared, Context};
pub use self::view::{Dummy, View};
use crate::compat::commands as compat;
use crate::unixctl::{Commands, Format, Reply, Request};

/// A command.
pub struct Command {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, as `list-commands` prints them.
    pub usage: &'static str,
    /// Fewest and most arguments.
    pub args: (usize, usize),
    /// Answers a call.
    pub run: fn(&Context, &Call<'_>) -> Result<Answer, String>,
}

const fn command(
    name: &'static str,
    usage: &'static str,
    min: usize,
    max: usize,
    run: fn(&Context, &Call<'_>) -> Result<Answer, String>,
) -> Command {
    Command { name, usage, args: (min, max), run }
}

/// A command that another thread answers.
pub struct Deferred {
    /// Its name.
    pub name: &'static str,
    /// Its arguments, as `list-commands` prints them.
    pub usage: &'static str,
    /// Fewest and most arguments.
    pub args: (usize, usize),
    /// Answers a call.
    pub run: fn(&Context, &Request<'_>) -> Reply,
}

const fn deferred(
    name: &'static str,
    usage: &'static str,
    min: usize,
    max: usize,
    run: fn(&Context, &Request<'_>) -> Reply,
) -> Deferred {
    Deferred { name, usage, args: (min, max), run }
}

/// The commands of this folder that the revalidator's thread answers, so that main does not wait
/// for it.
pub const DEFERRED: &[Deferred] = &[
    deferred(
        "ofproto/trace",
        "{[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet]",
        1,
        usize::MAX,
        trace::trace,
    ),
    deferred(
        "ofproto/trace-packet-out",
        "[-consistent] {[dp_name] odp_flow | bridge br_flow} [OPTIONS...] [-generate|packet] \
         actions",
        2,
        usize::MAX,
        trace::packet_out,
    ),
    deferred("upcall/show", "", 0, 0, datapath::upcall_show),
    deferred("upcall/set-flow-limit", "flow-limit-number", 1, 1, datapath::set_flow_limit),
    deferred("revalidator/wait", "", 0, 0, datapath::revalidator_wait),
    deferred("revalidator/purge", "", 0, 0, datapath::revalidator_purge),
    deferred("revalidator/pause", "", 0, 0, datapath::revalidator_pause),
];

/// The other commands of this folder.
pub const ALL: &[Command] = &[
    command("bond/list", "", 0, 0, bond::list),
    command("bond/show", "[port]", 0, 1, bond::show),
    command("bond/proc", "[port]", 0, 1, bond::proc),
    command("bond/migrate", "port hash member", 3, 3, bond::migrate),
    command("bond/set-active-member", "port member", 2, 2, bond::set_active),
    command("bond/enable-member", "port member", 2, 2, bond::enable),
    command("bond/disable-member", "port member", 2, 2, bond::disable),
    command("bond/hash", "mac [vlan] [basis]", 1, 3, bond::hash),
    command("bond/failback", "port", 1, 1, bond::failback),
    command("lacp/show", "[port]", 0, 1, bond::lacp_show),
    command("lacp/show-stats", "[port]", 0, 1, bond::lacp_stats),
    command("bfd/show", "[interface]", 0, 1, monitor::bfd_show),
    command(
        "bfd/set-forwarding",
        "[interface] normal|false|true",
        1,
        2,
        monitor::bfd_set_forwarding,
    ),
    command("cfm/show", "[interface]", 0, 1, monitor::cfm_show),
    command("cfm/set-fault", "[interface] normal|false|true", 1, 2, monitor::cfm_set_fault),
    command("fdb/show", "[bridge...]", 0, usize::MAX, bridge::fdb_show),
    command("fdb/flush", "[bridge]", 0, 1, bridge::fdb_flush),
    command("fdb/stats-show", "bridge", 1, 1, bridge::fdb_stats),
    command("fdb/stats-clear", "[bridge]", 0, 1, bridge::fdb_stats_clear),
    command("fdb/add", "bridge port vlan mac", 4, 4, bridge::fdb_add),
    command("fdb/del", "bridge vlan mac", 3, 3, bridge::fdb_del),
    command("ofproto/list", "", 0, 0, bridge::list),
    command("options/list", "[table | table.column | key]", 0, 1, options::list),
    command("bridge/dump-flows", "[--offload-stats] bridge", 1, 2, bridge::dump_flows),
    command("dpif/show", "", 0, 0, datapath::dpif_show),
    command("dpif/dump-dps", "", 0, 0, datapath::dump_dps_of_bridges),
    command(
        "dpif/dump-flows",
        "[-m] [--names | --no-names] bridge",
        1,
        usize::MAX,
        datapath::dump_bridge,
    ),
    command("dpctl/show", "[-s] [dp...]", 0, usize::MAX, datapath::dpctl_show),
    command("dpctl/add-dp", "dp [iface...]", 1, usize::MAX, compat::add_dp),
    command("dpctl/del-dp", "dp", 1, 1, compat::del_dp),
    command("dpctl/add-if", "dp iface...", 2, usize::MAX, compat::add_if),
    command("dpctl/set-if", "dp iface...", 2, usize::MAX, compat::set_if),
    command("dpctl/dump-dps", "", 0, 0, datapath::dump_dps),
    command(
        "dpctl/dump-flows",
        "[-m] [--names] [dp] [filter=..] [type=..] [pmd=..]",
        0,
        usize::MAX,
        dpctl::dump_flows,
    ),
    command("dpctl/add-flow", "[dp] flow actions", 2, usize::MAX, dpctl::add_flow),
    command("dpctl/mod-flow", "[dp] flow actions", 2, usize::MAX, dpctl::mod_flow),
    command("dpctl/get-flow", "[dp] ufid", 1, usize::MAX, dpctl::get_flow),
    command("dpctl/del-flow", "[dp] flow", 1, usize::MAX, dpctl::del_flow),
    command("dpctl/add-flows", "[dp] file", 1, usize::MAX, dpctl::add_flows),
    command("dpctl/mod-flows", "[dp] file", 1, usize::MAX, dpctl::mod_flows),
    command("dpctl/del-flows", "[dp] [file]", 0, usize::MAX, dpctl::del_flows),
    command("upcall/enable-megaflows", "", 0, 0, datapath::enable_megaflows),
    command("upcall/disable-megaflows", "", 0, 0, datapath::disable_megaflows),
    command("upcall/enable-ufid", "", 0, 0, compat::enable_ufid),
    command("upcall/disable-ufid", "", 0, 0, compat::disable_ufid),
    command("revalidator/resume", "", 0, 0, datapath::revalidator_resume),
    command("dpif-netdev/bond-show", "[dp]", 0, 1, datapath::bond_show),
    command(
        "dpif-netdev/pmd-perf-show",
        "[-nh] [-it iter-history-len] [-ms ms-history-len] [-pmd core] [dp]",
        0,
        8,
        pmd::perf_show,
    ),
    command("dpif-netdev/pmd-rxq-show", "[-pmd core] [-secs secs] [dp]", 0, 5, pmd::rxq_show),
    command("dpif-netdev/pmd-sleep-show", "[dp]", 0, 1, pmd::sleep_show),
    command("dpif-netdev/pmd-stats-clear", "[-pmd core] [dp]", 0, 3, pmd::stats_clear),
    command("dpif/show-dp-features", "bridge", 1, 1, unbuilt::features),
    command("autoattach/show-isid", "[bridge]", 0, 1, unbuilt::nothing),
    command("autoattach/statistics", "[bridge]", 0, 1, unbuilt::nothing),
    command("autoattach/status", "[bridge]", 0, 1, unbuilt::nothing),
    command("mdb/flush", "[bridge]", 0, 1, unbuilt::mdb_flush),
    command("mdb/show", "bridge", 1, 1, unbuilt::mdb_show),
    command("ofproto/list-tunnels", "", 0, 0, unbuilt::nothing),
    command(
        "ovs/route/lookup",
        "ip_addr [pkt_mark=mark] [src=src_ip]",
        1,
        3,
        unbuilt::route_lookup,
    ),
    command("ovs/route/show", "[table=all|id]", 0, 1, unbuilt::routes),
    command("qos/show", "interface", 1, 1, unbuilt::qos_show),
    command("qos/show-types", "interface", 1, 1, unbuilt::qos_types),
    command("rstp/show", "[bridge]", 0, 1, unbuilt::rstp_show),
    command("rstp/tcn", "[bridge]", 0, 1, unbuilt::rstp_tcn),
    command("stp/show", "[bridge]", 0, 1, unbuilt::stp_show),
    command("stp/tcn", "[bridge]", 0, 1, unbuilt::stp_tcn),
    command("tnl/arp/flush", "", 0, 0, unbuilt::ok),
    command("tnl/arp/show", "", 0, 0, unbuilt::neighbours),
    command("tnl/neigh/flush", "", 0, 0, unbuilt::ok),
    command("tnl/neigh/show", "", 0, 0, unbuilt::neighbours),
    command("tnl/ports/show", "-v", 0, 1, unbuilt::tunnel_ports),
    command("dpctl/cache-get-size", "[dp]", 0, 1, unbuilt::caches),
    command("dpctl/ct-get-nconns", "[dp]", 0, 1, unbuilt::connection_count),
    command("dpctl/ct-stats-show", "[dp] [zone=N]", 0, 3, unbuilt::connection_stats),
    command("dpctl/dump-conntrack", "[-m] [-s] [dp] [zone=N]", 0, 4, unbuilt::connections),
    command("dpctl/dump-conntrack-exp", "[dp] [zone=N]", 0, 2, unbuilt::connections),
    command("dpctl/ipf-get-status", "[dp]", 0, 1, unbuilt::fragments),
    command("dpctl/offload-stats-show", "[dp]", 0, 1, unbuilt::offload_stats),
    command("dpctl/list-commands", "", 0, usize::MAX, dpctl_commands),
];

/// `dpctl/list-commands`: the commands of this daemon.
fn dpctl_commands(_: &Context, _: &Call<'_>) -> Result<Answer, String> {
    let mut out = "The available commands are:\n".to_owned();
    for command in ALL.iter().filter(|c| c.name.starts_with("dpctl/")) {
        out += &format!("  {:28} {}\n", command.name, command.usage);
    }
    Answer::text(out)
}

/// Former names, and those of the manual; `list-commands` does not list them, as in Open vSwitch.
const ALIASES: &[(&str, &str)] = &[
    ("bond/set-active-slave", "bond/set-active-member"),
    ("bond/enable-slave", "bond/enable-member"),
    ("bond/disable-slave", "bond/disable-member"),
    ("lacp/stats-show", "lacp/show-stats"),
    ("dpif-netdev/pmd-stats-show", "dpif-netdev/pmd-perf-show"),
];

/// Adds every command of this folder; `context` finds what they work with in the daemon's state.
pub fn register<C: 'static>(commands: &mut Commands<C>, context: fn(&C) -> &Context) {
    for command in ALL {
        let (min, max) = command.args;
        commands.register(command.name, command.usage, min, max, move |c, req| {
            let call = Call { args: req.args, json: req.format == Format::Json };
            match (command.run)(context(c), &call) {
                Ok(Answer::Text(text)) => Reply::Text(text),
                Ok(Answer::Json(value)) => Reply::Json(value),
                Err(text) => Reply::Error(text),
            }
        });
    }
    for command in DEFERRED {
        let (min, max) = command.args;
        commands.register(command.name, command.usage, min, max, move |c, req| {
            (command.run)(context(c), req)
        });
    }
    for (alias, name) in ALIASES {
        commands.alias(alias, name);
    }
}
