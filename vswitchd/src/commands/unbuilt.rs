//! Commands on what this switch does not have: spanning trees, multicast snooping, tunnels and
//! their routes, connection tracking, quality of service, offloading. They answer as Open vSwitch
//! does where nothing of the kind is in use: with an empty list, or with the reason why there is
//! none. Commands that would change something are not there.

use super::context::{Answer, Call, Context};
use super::dpctl;

/// An empty list.
pub fn nothing(_: &Context, _: &Call<'_>) -> Result<Answer, String> {
    Answer::text("")
}

fn bridge(c: &Context, name: &str) -> Result<(), String> {
    if c.ofproto.list().iter().any(|b| b == name) {
        Ok(())
    } else {
        Err("no such bridge".to_owned())
    }
}

/// `mdb/show`.
pub fn mdb_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    bridge(c, call.arg(0).unwrap_or_default())?;
    Err("multicast snooping is disabled".to_owned())
}

/// `mdb/flush`.
pub fn mdb_flush(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    match call.arg(0) {
        Some(_) => mdb_show(c, call),
        None => Answer::text("table successfully flushed"),
    }
}

/// `stp/show`.
pub fn stp_show(_: &Context, call: &Call<'_>) -> Result<Answer, String> {
    of_all(call, "no such stp object", "")
}

/// `stp/tcn`.
pub fn stp_tcn(_: &Context, call: &Call<'_>) -> Result<Answer, String> {
    of_all(call, "no such stp object", "OK")
}

/// `rstp/show`.
pub fn rstp_show(_: &Context, call: &Call<'_>) -> Result<Answer, String> {
    of_all(call, "No such RSTP object", "")
}

/// `rstp/tcn`.
pub fn rstp_tcn(_: &Context, call: &Call<'_>) -> Result<Answer, String> {
    of_all(call, "No such RSTP object", "OK")
}

/// There is no object by any name, and none altogether.
fn of_all(call: &Call<'_>, none: &str, all: &str) -> Result<Answer, String> {
    if call.arg(0).is_some() { Err(none.to_owned()) } else { Answer::text(all) }
}

/// `tnl/arp/show`, `tnl/neigh/show`.
pub fn neighbours(_: &Context, _: &Call<'_>) -> Result<Answer, String> {
    Answer::text(format!("{:46}{:20}Bridge\n{}\n", "IP", "MAC", "=".repeat(74)))
}

/// `tnl/arp/flush`, `tnl/neigh/flush`.
pub fn ok(_: &Context, _: &Call<'_>) -> Result<Answer, String> {
    Answer::text("OK")
}

/// `tnl/ports/show`.
pub fn tunnel_ports(_: &Context, _: &Call<'_>) -> Result<Answer, String> {
    Answer::text("Listening ports:\n")
}

/// Routes are looked up for tunnels alone; none are read.
pub fn routes(_: &Context, call: &Call<'_>) -> Result<Answer, String> {
    match call.arg(0) {
        None => Answer::text("Route Table:\n"),
        Some("table=all") => Answer::text(""),
        Some(table) if table.strip_prefix("table=").is_some_and(|t| t.parse::<u32>().is_ok()) => {
            Err(format!("Table '{table}' not found"))
        }
        Some(_) => Err("Invalid table format".to_owned()),
    }
}

/// `ovs/route/lookup`.
pub fn route_lookup(_: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let address = call.arg(0).unwrap_or_default();
    if address.parse::<std::net::IpAddr>().is_err() {
        return Err("Invalid 'ip/plen' parameter".to_owned());
    }
    Err("Not found".to_owned())
}

/// The settings of a port's queues are not applied to its device.
pub fn qos_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    Answer::text(format!("QoS not configured on {}\n", interface(c, call)?))
}

/// `qos/show-types`.
pub fn qos_types(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    Answer::text(format!("No QoS types supported for interface: {}\n", interface(c, call)?))
}

fn interface<'a>(c: &Context, call: &'a Call<'_>) -> Result<&'a str, String> {
    let name = call.arg(0).unwrap_or_default();
    let datapaths = c.ofproto.dpif_show();
    let mut ports = datapaths.iter().flat_map(|d| &d.bridges).flat_map(|b| &b.ports);
    if ports.any(|p| p.name == name) { Ok(name) } else { Err("no such interface".to_owned()) }
}

/// What the datapath can do, in the order and words of Open vSwitch.
const FEATURES: &[(&str, &str)] = &[
    ("Masked set action", "Yes"),
    ("Tunnel push pop", "No"),
    ("Ufid", "Yes"),
    ("Truncate action", "Yes"),
    ("Clone action", "Yes"),
    ("Sample nesting", "0"),
    ("Conntrack eventmask", "No"),
    ("Conntrack clear", "No"),
    ("Max dp_hash algorithm", "0"),
    ("Check pkt length action", "No"),
    ("Conntrack timeout policy", "No"),
    ("Explicit Drop action", "Yes"),
    ("Optimized Balance TCP mode", "Yes"),
    ("Conntrack all-zero IP SNAT", "No"),
    ("MPLS Label add", "No"),
    ("psample action", "No"),
    ("Max VLAN headers", "2"),
    ("Max MPLS depth", "0"),
    ("Recirc", "Yes"),
    ("CT state", "No"),
    ("CT zone", "No"),
    ("CT mark", "No"),
    ("CT label", "No"),
    ("CT state NAT", "No"),
    ("CT orig tuple", "No"),
    ("CT orig tuple for IPv6", "No"),
    ("IPv6 ND Extension", "No"),
];

/// `dpif/show-dp-features`.
pub fn features(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    bridge(c, call.arg(0).unwrap_or_default())?;
    Answer::text(
        FEATURES.iter().map(|(name, value)| format!("{name}: {value}\n")).collect::<String>(),
    )
}

/// Of a datapath without connection tracking.
fn conntrack(c: &Context, call: &Call<'_>, most: usize, text: &str) -> Result<Answer, String> {
    let mut args = call.args;
    while let Some((last, before)) = args.split_last()
        && (last.starts_with("zone=") || last == "verbose" || last.starts_with("gt="))
    {
        args = before;
    }
    dpctl::open(c, args, most)?;
    Answer::text(text)
}

/// `dpctl/dump-conntrack`, `dpctl/dump-conntrack-exp`.
pub fn connections(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    conntrack(c, call, 1, "")
}

/// `dpctl/ct-stats-show`.
pub fn connection_stats(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    conntrack(c, call, 1, "Connections Stats:\n    Total: 0\n")
}

/// `dpctl/ct-get-nconns`.
pub fn connection_count(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    conntrack(c, call, 1, "0\n")
}

/// Fragments are never put together.
pub fn fragments(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let mut lines = vec![
        "Fragmentation Module Status".to_owned(),
        "---------------------------".to_owned(),
        "v4 enabled: 0".to_owned(),
        "v6 enabled: 0".to_owned(),
        "max num frags (v4/v6): 0".to_owned(),
        "num frag: 0".to_owned(),
    ];
    for v in ["v4", "v6"] {
        lines.push(format!("min {v} frag size: 0"));
        for what in ["accepted", "completed", "expired", "too small", "overlapped", "purged"] {
            lines.push(format!("{v} frags {what}: 0"));
        }
    }
    let out: String = lines.iter().map(|line| format!("        {line}\n")).collect();
    conntrack(c, call, 1, &out)
}

/// `dpctl/offload-stats-show`.
pub fn offload_stats(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    conntrack(c, call, 1, "HW Offload stats:\n")
}

/// The caches of the kernel's datapath, which have a size to set. Ours have none.
pub fn caches(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let known = c.datapaths();
    let asked: Vec<String> = match call.arg(0) {
        None => known,
        Some(dp) if known.iter().any(|k| k == dp) => vec![dp.to_owned()],
        Some(dp) => {
            return Err(format!("ovs-vswitchd: Opening datapath {dp} failed (No such device)\n"));
        }
    };
    Answer::text(asked.iter().map(|dp| format!("{dp}:\n")).collect::<String>())
}
