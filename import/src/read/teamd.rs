//! teamd's JSON, teamd.conf(5): runners become modes and options of Linux bonding.

use serde_json::{Map, Value};

use crate::options;
use crate::profile::{Kind, Port, Profile};

pub(super) fn read(text: &str) -> Result<Profile, String> {
    let mut p = Profile { kind: Kind::Bond, ..Profile::default() };
    configure(&mut p, text)?;
    if p.name.is_empty() {
        return Err("“device” is missing".to_owned());
    }
    Ok(p)
}

/// Takes a configuration into the profile of its device.
pub(super) fn configure(p: &mut Profile, text: &str) -> Result<(), String> {
    let value: Value = serde_json::from_str(text).map_err(|e| e.to_string())?;
    if let Some(device) = value.get("device").and_then(Value::as_str)
        && p.name.is_empty()
    {
        p.name = device.to_owned();
    }
    if let Some(mac) = value.get("hwaddr").and_then(Value::as_str) {
        p.network.mac = Some(mac.to_lowercase());
    }
    let empty = Map::new();
    let runner = value.get("runner").and_then(Value::as_object).unwrap_or(&empty);
    let name = runner.get("name").and_then(Value::as_str).unwrap_or("roundrobin");
    self::runner(p, name, runner);
    match value.get("link_watch") {
        Some(Value::Array(watches)) => watches.iter().for_each(|w| link_watch(p, w)),
        Some(watch) => link_watch(p, watch),
        None => {}
    }
    notify(p, &value);
    for (port_name, settings) in value.get("ports").and_then(Value::as_object).into_iter().flatten()
    {
        p.ports.push(port_name.clone());
        let port = port(port_name, settings, &mut p.remarks);
        p.port_settings.push((port_name.clone(), port));
    }
    Ok(())
}

fn number(map: &Map<String, Value>, key: &str) -> Option<u64> {
    map.get(key).and_then(Value::as_u64)
}

fn runner(p: &mut Profile, name: &str, runner: &Map<String, Value>) {
    let text = |key: &str| runner.get(key).and_then(Value::as_str);
    let mode = match name {
        "broadcast" => "broadcast",
        "roundrobin" | "random" => "balance-rr",
        "activebackup" => "active-backup",
        "loadbalance" => "balance-xor",
        "lacp" => "802.3ad",
        other => {
            p.remarks.push(format!("The runner {other} is not known; active-backup is used."));
            "active-backup"
        }
    };
    options::add(p, "mode", mode);
    if name == "random" {
        // Linux bonding's value for a member drawn for each packet.
        options::add(p, "packets_per_slave", "0");
    }
    match text("hwaddr_policy") {
        Some("by_active") => options::add(p, "fail_over_mac", "active"),
        Some("only_active") => options::add(p, "fail_over_mac", "follow"),
        Some(_) | None => {}
    }
    if let Some(active) = runner.get("active").and_then(Value::as_bool) {
        options::add(p, "lacp_active", if active { "1" } else { "0" });
    }
    if runner.get("fast_rate").and_then(Value::as_bool) == Some(true) {
        options::add(p, "lacp_rate", "fast");
    }
    if let Some(priority) = number(runner, "sys_prio") {
        options::add(p, "ad_actor_sys_prio", &priority.to_string());
    }
    if let Some(ports) = number(runner, "min_ports") {
        options::add(p, "min_links", &ports.to_string());
    }
    match text("agg_select_policy") {
        Some("bandwidth") => options::add(p, "ad_select", "bandwidth"),
        Some("count") => options::add(p, "ad_select", "count"),
        Some("port_config" | "lacp_prio") => options::add(p, "ad_select", "actor_port_prio"),
        Some(_) | None => {}
    }
    if let Some(fields) = runner.get("tx_hash").and_then(Value::as_array) {
        let fields: Vec<&str> = fields.iter().filter_map(Value::as_str).collect();
        tx_hash(p, &fields);
    } else if name == "loadbalance" || name == "lacp" {
        options::add(p, "xmit_hash_policy", "layer2+3");
    }
    if runner.contains_key("tx_balancer") {
        p.remarks.push(
            "tx_balancer moves hashes by load; bond_mode=balance-slb does that here, by source \
             address."
                .to_owned(),
        );
    }
}

/// The policy that looks at the named header fields.
fn tx_hash(p: &mut Profile, fields: &[&str]) {
    let any = |names: &[&str]| fields.iter().any(|f| names.contains(f));
    let l4 = any(&["l4", "tcp", "udp", "sctp"]);
    let l3 = any(&["l3", "ip", "ipv4", "ipv6"]);
    let policy = match (l3 || l4, l4) {
        (_, true) => "layer3+4",
        (true, false) => "layer2+3",
        (false, false) => "layer2",
    };
    options::add(p, "xmit_hash_policy", policy);
}

fn link_watch(p: &mut Profile, watch: &Value) {
    let Some(watch) = watch.as_object() else { return };
    match watch.get("name").and_then(Value::as_str).unwrap_or("ethtool") {
        "ethtool" => {
            options::add(p, "miimon", "100");
            for (key, option) in [("delay_up", "updelay"), ("delay_down", "downdelay")] {
                if let Some(ms) = number(watch, key) {
                    options::add(p, option, &ms.to_string());
                }
            }
        }
        kind @ ("arp_ping" | "nsna_ping") => {
            let interval = number(watch, "interval").unwrap_or(1000);
            options::add(p, "arp_interval", &interval.to_string());
            if let Some(missed) = number(watch, "missed_max") {
                options::add(p, "arp_missed_max", &missed.to_string());
            }
            let option = if kind == "arp_ping" { "arp_ip_target" } else { "ns_ip6_target" };
            if let Some(target) = watch.get("target_host").and_then(Value::as_str) {
                options::add(p, option, target);
            }
            let yes = |key: &str| watch.get(key).and_then(Value::as_bool) == Some(true);
            match (yes("validate_active"), yes("validate_inactive")) {
                (true, true) => options::add(p, "arp_validate", "all"),
                (true, false) => options::add(p, "arp_validate", "active"),
                (false, true) => options::add(p, "arp_validate", "backup"),
                (false, false) => {}
            }
            for (key, extra) in
                [("source_host", "bond-probe-source"), ("vlanid", "bond-probe-vlan")]
            {
                if let Some(value) = watch.get(key) {
                    let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    p.extra.push((extra, value));
                }
            }
        }
        other => p.remarks.push(format!("The link watch {other} is not known; it is left out.")),
    }
}

fn notify(p: &mut Profile, value: &Value) {
    if let Some(peers) = value.get("notify_peers").and_then(Value::as_object) {
        if let Some(count) = number(peers, "count") {
            options::add(p, "num_grat_arp", &count.to_string());
        }
        if let Some(interval) = number(peers, "interval").filter(|i| *i > 0) {
            options::add(p, "peer_notif_delay", &interval.to_string());
        }
    }
    if let Some(count) =
        value.get("mcast_rejoin").and_then(|m| m.get("count")).and_then(Value::as_u64)
    {
        options::add(p, "resend_igmp", &count.min(255).to_string());
    }
}

/// Settings of one port.
pub(super) fn port(name: &str, settings: &Value, remarks: &mut Vec<String>) -> Port {
    let get = |key: &str| settings.get(key).and_then(Value::as_i64);
    if settings.get("sticky").and_then(Value::as_bool) == Some(true) {
        remarks.push(format!(
            "{name}: “sticky” holds for one port; other_config:bond-primary-reselect=failure keeps \
             any active member."
        ));
    }
    if settings.get("queue_id").is_some() {
        remarks.push(format!("{name}: queue_id has no equal; it is left out."));
    }
    if settings.get("link_watch").is_some() {
        remarks.push(format!("{name}: link_watch of one port has no equal; the bond's is used."));
    }
    Port {
        priority: get("prio").and_then(|n| n.try_into().ok()),
        lacp_priority: get("lacp_prio").and_then(|n| n.try_into().ok()),
        lacp_key: get("lacp_key").and_then(|n| n.try_into().ok()).filter(|k| *k != 0),
    }
}
