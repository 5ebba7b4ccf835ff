//! Options of Linux bonding as columns and keys of the database.

use crate::bond::Bond;

/// The settings of a bond.
#[derive(Debug, Default)]
pub(super) struct Settings {
    /// Columns of the `Port` row, or `other_config:KEY`.
    pub(super) port: Vec<(String, String)>,
    /// The same of `Interface` rows, by member.
    pub(super) members: Vec<(String, Vec<(String, String)>)>,
    /// What has no equal.
    pub(super) remarks: Vec<String>,
}

impl Settings {
    fn column(&mut self, name: &str, value: &str) {
        self.port.push((name.to_owned(), value.to_owned()));
    }

    fn config(&mut self, key: &str, value: &str) {
        self.port.push((format!("other_config:{key}"), value.to_owned()));
    }

    fn remark(&mut self, sentence: impl Into<String>) {
        self.remarks.push(sentence.into());
    }

    fn member(&mut self, name: &str, key: &str, value: &str) {
        let entry = (key.to_owned(), value.to_owned());
        match self.members.iter_mut().find(|m| m.0 == name) {
            Some((_, entries)) => entries.push(entry),
            None => self.members.push((name.to_owned(), vec![entry])),
        }
    }
}

/// Translates the options. Values that are the default here are left out.
pub(super) fn translate(bond: &Bond) -> Settings {
    let mut s = Settings::default();
    mode(&mut s, bond);
    detection(&mut s, bond);
    for option in &bond.options {
        option_of(&mut s, bond, option.name, &option.value);
    }
    notification(&mut s, bond);
    for (key, value) in &bond.extra {
        s.config(key, value);
    }
    for member in &bond.members {
        let port = &member.port;
        if let Some(priority) = port.priority.filter(|p| *p != 0) {
            s.member(&member.name, "other_config:bond-member-priority", &priority.to_string());
        }
        if bond.mode() == "802.3ad" {
            for (key, value) in [
                ("lacp-port-priority", port.lacp_priority),
                ("lacp-aggregation-key", port.lacp_key),
            ] {
                if let Some(value) = value {
                    s.member(&member.name, &format!("other_config:{key}"), &value.to_string());
                }
            }
        }
    }
    s
}

/// Mode, LACP and hash.
fn mode(s: &mut Settings, bond: &Bond) {
    let mode = bond.mode();
    if bond.option("mode").is_none() {
        s.remark("No mode is set: Linux uses balance-rr.");
    }
    match mode {
        "active-backup" => s.column("bond_mode", "active-backup"),
        "802.3ad" => {
            let passive = bond.option("lacp_active") == Some("0");
            s.column("lacp", if passive { "passive" } else { "active" });
            s.config("bond-policy", "802.3ad");
            // Without a partner Linux uses one member by itself.
            if bond.option("lacp_strict") != Some("1") {
                s.config("lacp-fallback-ab", "true");
            }
        }
        "balance-alb" => {
            s.config("bond-policy", "balance-tlb");
            s.remark(
                "balance-alb: receiving is not balanced here; balance-tlb, which sends in the same \
                 way, takes its place.",
            );
        }
        policy => s.config("bond-policy", policy),
    }
    if matches!(mode, "balance-xor" | "802.3ad") || (mode == "balance-tlb" && !dynamic(bond)) {
        let linux = bond.option("xmit_hash_policy").unwrap_or("layer2");
        s.config("bond-hash-policy", &linux.replace("layer", "l"));
    }
}

/// Whether balance-tlb moves traffic by load.
fn dynamic(bond: &Bond) -> bool {
    bond.option("tlb_dynamic_lb") != Some("0")
}

fn number(bond: &Bond, option: &str) -> u64 {
    bond.option(option).and_then(|v| v.parse().ok()).unwrap_or(0)
}

/// Link detection: carrier, MII or probes.
fn detection(s: &mut Settings, bond: &Bond) {
    let (miimon, arp) = (number(bond, "miimon"), number(bond, "arp_interval"));
    let lacp = matches!(bond.mode(), "802.3ad" | "balance-tlb" | "balance-alb");
    if miimon > 0 {
        if bond.option("use_carrier") == Some("0") {
            s.config("bond-detect-mode", "miimon");
            s.config("bond-miimon-interval", &miimon.to_string());
        } else {
            s.remark(format!(
                "miimon={miimon} needs nothing here: a lost carrier is noticed at once, without an \
                 interval."
            ));
        }
    } else if arp == 0 && !lacp {
        s.remark(
            "Neither miimon nor arp_interval is set: Linux would never notice a dead link. Here the \
             carrier is followed.",
        );
    }
    if arp > 0 && lacp {
        s.remark(format!("arp_interval has no effect in mode {}; it is left out.", bond.mode()));
        return;
    }
    if arp == 0 {
        return;
    }
    let targets: Vec<&str> = ["arp_ip_target", "ns_ip6_target"]
        .iter()
        .filter_map(|o| bond.option(o))
        .filter(|t| !t.is_empty())
        .collect();
    if targets.is_empty() {
        s.remark("arp_interval without arp_ip_target checks nothing; it is left out.");
        return;
    }
    s.config("bond-probe-interval", &arp.to_string());
    s.config("bond-probe-targets", &targets.join(","));
    let keys = [
        ("arp_validate", "bond-probe-validate", "none"),
        ("arp_all_targets", "bond-probe-quorum", "any"),
        ("arp_missed_max", "bond-probe-missed-max", "2"),
    ];
    for (option, key, default) in keys {
        if let Some(value) = bond.option(option).filter(|v| *v != default) {
            s.config(key, value);
        }
    }
}

/// Options that do not depend on each other. Those of [`mode`], [`detection`] and [`notification`]
/// are done there.
fn option_of(s: &mut Settings, bond: &Bond, name: &str, value: &str) {
    let mode = bond.mode();
    let one_active = matches!(mode, "active-backup" | "balance-tlb" | "balance-alb");
    match name {
        "updelay" | "downdelay" if value != "0" => {
            if number(bond, "miimon") == 0 {
                s.remark(format!("{name} has no effect in Linux without miimon; here it has."));
            }
            s.column(&format!("bond_{name}"), value);
        }
        "primary" if one_active => s.config("bond-primary", value),
        "primary_reselect" if one_active && value != "always" => {
            s.config("bond-primary-reselect", value);
        }
        "primary" | "primary_reselect" if value != "always" => {
            s.remark(format!("{name}={value} has no effect in mode {mode}; it is left out."));
        }
        "active_slave" if one_active && bond.option("primary").is_none() => s.remark(format!(
            "{value} is active now: ovs-appctl bond/set-active-member {} {value}.",
            bond.name
        )),
        "fail_over_mac" if value != "none" => s.remark(format!(
            "fail_over_mac={value} has no equal: members keep their addresses, and frames of the \
             host carry the bridge's. A port that drops other source addresses than its own needs \
             the bridge's address to be allowed."
        )),
        "packets_per_slave" if mode == "balance-rr" && value != "1" => {
            s.config("bond-packets-per-member", value);
        }
        "tlb_dynamic_lb" if mode == "balance-tlb" && value == "0" => {
            s.config("bond-tlb-dynamic", "false");
        }
        "all_slaves_active" if value == "1" => s.config("all-members-active", "true"),
        "min_links" if value != "0" => s.config("bond-min-links", value),
        "lp_interval" if value != "1" => s.remark(format!(
            "lp_interval={value} has no equal: learning packets follow each change instead of an \
             interval."
        )),
        "resend_igmp" if value != "1" => s.remark(format!(
            "resend_igmp={value} has no equal: there is no IGMP snooping. Membership reports are \
             flooded, and hosts answer the next query."
        )),
        "xmit_hash_policy"
            if matches!(mode, "balance-rr" | "active-backup" | "broadcast")
                && value != "layer2" =>
        {
            s.remark(format!("{name}={value} has no effect in mode {mode}; it is left out."));
        }
        _ if mode == "802.3ad" => lacp_option(s, bond, name, value),
        _ => {}
    }
}

/// Options of mode 802.3ad.
fn lacp_option(s: &mut Settings, bond: &Bond, name: &str, value: &str) {
    match name {
        "lacp_rate" if value != "slow" => s.config("lacp-time", value),
        "lacp_strict" if value == "1" => s.config("lacp-strict", "true"),
        "coupled_control" if value == "0" => s.config("lacp-coupled-control", "false"),
        "broadcast_neighbor" if value == "1" => {
            s.remark("broadcast_neighbor has no equal: ARP and ND leave by one member.");
        }
        "ad_select" if value != "stable" => {
            s.config("lacp-selection", &value.replace("actor_port_prio", "actor-port-priority"));
        }
        "ad_actor_sys_prio" => s.config("lacp-system-priority", value),
        "ad_actor_system" if value != "00:00:00:00:00:00" => s.config("lacp-system-id", value),
        "ad_user_port_key" if value != "0" => {
            // In Linux the low six bits of the key hold speed and duplex mode.
            let key = value.parse::<u32>().map_or(0, |k| k << 6);
            for member in &bond.members {
                if (1..=65_535).contains(&key) && member.port.lacp_key.is_none() {
                    s.member(&member.name, "other_config:lacp-aggregation-key", &key.to_string());
                }
            }
            s.remark(format!(
                "ad_user_port_key={value}: Linux adds speed and duplex mode in the key's low six \
                 bits; here the key is the same at every speed."
            ));
        }
        _ => {}
    }
}

/// What the network is told after a failover.
fn notification(s: &mut Settings, bond: &Bond) {
    if bond.mode() != "active-backup" {
        return;
    }
    // Two names of one option.
    let count =
        bond.option("num_grat_arp").or(bond.option("num_unsol_na")).unwrap_or("1").to_owned();
    if count == "0" {
        s.remark(
            "num_grat_arp=0: Linux tells nobody of a failover. Here switches are always told, by \
             RARP.",
        );
        return;
    }
    s.config("bond-notify", "rarp,arp,nd");
    if count != "1" {
        s.config("bond-notify-count", &count);
    }
    let delay = number(bond, "peer_notif_delay");
    if delay > 0 {
        s.config("bond-notify-interval", &delay.to_string());
    }
}
