//! A file of `/proc/net/bonding`.

use std::path::Path;

use crate::options::{self, MODES};
use crate::profile::{Kind, Profile};

pub(super) fn read(path: &Path, text: &str) -> Result<Profile, String> {
    if !text.trim_start().starts_with("Ethernet Channel Bonding Driver") {
        return Err("it does not begin with “Ethernet Channel Bonding Driver”".to_owned());
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut p = Profile { name, kind: Kind::Bond, ..Profile::default() };
    let mut member = false;
    for line in text.lines() {
        let Some((key, value)) = line.split_once(':') else { continue };
        let (key, value) = (key.trim(), value.trim());
        if key == "Slave Interface" {
            member = true;
            p.ports.push(value.to_owned());
        } else if !member {
            bond_line(&mut p, key, value);
        }
    }
    if !p.options.iter().any(|o| o.name == "mode") {
        return Err("it has no line “Bonding Mode”".to_owned());
    }
    Ok(p)
}

/// A line of the part on the bond itself.
fn bond_line(p: &mut Profile, key: &str, value: &str) {
    let first = value.split_whitespace().next().unwrap_or_default();
    let option = match key {
        "Bonding Mode" => {
            if let Some((_, rest)) = value.split_once("(fail_over_mac ") {
                options::add(p, "fail_over_mac", rest.trim_end_matches(')'));
            }
            return match mode(value) {
                Some(mode) => options::add(p, "mode", mode),
                None => p.remarks.push(format!("The mode “{value}” is not known.")),
            };
        }
        "Transmit Hash Policy" => "xmit_hash_policy",
        "Primary Slave" => {
            if let Some((_, rest)) = value.split_once("(primary_reselect ") {
                options::add(p, "primary_reselect", rest.trim_end_matches(')'));
            }
            if first == "None" {
                return;
            }
            "primary"
        }
        "Currently Active Slave" if first != "None" => "active_slave",
        "MII Polling Interval (ms)" => "miimon",
        "Up Delay (ms)" => "updelay",
        "Down Delay (ms)" => "downdelay",
        "Peer Notification Delay (ms)" => "peer_notif_delay",
        "ARP Polling Interval (ms)" => "arp_interval",
        "ARP Missed Max" => "arp_missed_max",
        "ARP IP target/s (n.n.n.n form)" | "NS IPv6 target/s (XX::XX form)" => {
            let option = if key.starts_with("ARP") { "arp_ip_target" } else { "ns_ip6_target" };
            return options::add(p, option, value);
        }
        "LACP active" => "lacp_active",
        "LACP rate" => "lacp_rate",
        "Min links" => "min_links",
        "Aggregator selection policy (ad_select)" => "ad_select",
        "System priority" => "ad_actor_sys_prio",
        _ => return,
    };
    // Some values are followed by their number or by an explanation.
    options::add(p, option, first);
}

/// The mode by the driver's description.
fn mode(text: &str) -> Option<&'static str> {
    let described = [
        ("load balancing (round-robin)", 0),
        ("fault-tolerance (active-backup)", 1),
        ("load balancing (xor)", 2),
        ("fault-tolerance (broadcast)", 3),
        ("IEEE 802.3ad Dynamic link aggregation", 4),
        ("transmit load balancing", 5),
        ("adaptive load balancing", 6),
    ];
    described.iter().find(|(start, _)| text.starts_with(start)).map(|(_, mode)| MODES[*mode])
}
