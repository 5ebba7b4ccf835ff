//! `.netdev` and `.network` of systemd-networkd, systemd.netdev(5) and systemd.network(5).

use std::path::Path;

use super::ini::File;
use super::text::address;
use crate::options;
use crate::profile::{Kind, Profile, Route};

/// Keys of section `[Bond]` whose name is not the kernel's without capitals: the kernel's name, and
/// in a time how many milliseconds a number without a unit is.
const KEYS: &[(&str, &str, Option<f64>)] = &[
    ("Mode", "mode", None),
    ("TransmitHashPolicy", "xmit_hash_policy", None),
    ("LACPTransmitRate", "lacp_rate", None),
    ("MIIMonitorSec", "miimon", Some(1000.0)),
    ("UpDelaySec", "updelay", Some(1000.0)),
    ("DownDelaySec", "downdelay", Some(1000.0)),
    ("PeerNotifyDelaySec", "peer_notif_delay", Some(1000.0)),
    ("AdSelect", "ad_select", None),
    ("AdActorSystemPriority", "ad_actor_sys_prio", None),
    ("AdUserPortKey", "ad_user_port_key", None),
    ("AdActorSystem", "ad_actor_system", None),
    ("FailOverMACPolicy", "fail_over_mac", None),
    ("ARPValidate", "arp_validate", None),
    ("ARPIntervalSec", "arp_interval", Some(1000.0)),
    ("ARPIPTargets", "arp_ip_target", None),
    ("ARPAllTargets", "arp_all_targets", None),
    ("ARPMissedMax", "arp_missed_max", None),
    ("PrimaryReselectPolicy", "primary_reselect", None),
    ("ResendIGMP", "resend_igmp", None),
    ("PacketsPerSlave", "packets_per_slave", None),
    ("GratuitousARP", "num_grat_arp", None),
    ("AllSlavesActive", "all_slaves_active", None),
    ("DynamicTransmitLoadBalancing", "tlb_dynamic_lb", None),
    ("MinLinks", "min_links", None),
];

pub(super) fn read(path: &Path, text: &str) -> Result<Vec<Profile>, String> {
    let file = File::parse(text)?;
    if file.sections("NetDev").next().is_some() {
        return netdev(&file).map(|p| vec![p]);
    }
    Ok(network(path, &file))
}

/// A `.netdev`: a device that is made.
fn netdev(file: &File) -> Result<Profile, String> {
    let name = file.get("NetDev", "Name").ok_or("section [NetDev] has no Name")?;
    let mut p = Profile { name: name.to_owned(), ..Profile::default() };
    match file.get("NetDev", "Kind").unwrap_or_default() {
        "bond" => {
            p.kind = Kind::Bond;
            for (key, value) in file.sections("Bond").flat_map(|s| s.iter()) {
                bond_key(&mut p, key, value);
            }
        }
        "vlan" => {
            let id = file.get("VLAN", "Id").and_then(|i| i.parse().ok());
            let id = id.ok_or_else(|| format!("{name}: section [VLAN] has no Id"))?;
            // The network file of the device below names this one.
            p.kind = Kind::Vlan { parent: String::new(), id };
        }
        "bridge" => p.kind = Kind::Bridge,
        _ => {}
    }
    p.network.mac = file.get("NetDev", "MACAddress").map(str::to_lowercase);
    p.network.mtu = file.get("NetDev", "MTUBytes").and_then(octets);
    Ok(p)
}

fn bond_key(p: &mut Profile, key: &str, value: &str) {
    if key == "LearnPacketIntervalSec" {
        let seconds = options::milliseconds(value, 1000.0).map(|ms| ms / 1000);
        return options::add(p, "lp_interval", &seconds.unwrap_or(1).to_string());
    }
    match KEYS.iter().find(|k| k.0 == key) {
        Some((_, name, Some(unit))) => match options::milliseconds(value, *unit) {
            Some(ms) => options::add(p, name, &ms.to_string()),
            None => p.remarks.push(format!("{key}={value} is not a time.")),
        },
        Some((_, name, None)) => options::add(p, name, value),
        None => p.remarks.push(format!("[Bond] {key}={value} is not known; it is left out.")),
    }
}

/// A `.network`: what devices of some names belong to. One profile for each name, and one for each
/// VLAN on top.
fn network(path: &Path, file: &File) -> Vec<Profile> {
    let names: Vec<&str> =
        file.all("Match", "Name").into_iter().flat_map(str::split_whitespace).collect();
    let mut template = Profile {
        master: file.get("Network", "Bond").or(file.get("Network", "Bridge")).map(str::to_owned),
        ..Profile::default()
    };
    settings(&mut template, file);
    let vlans = file.all("Network", "VLAN");
    let mut profiles = Vec::new();
    for name in &names {
        if name.contains(['*', '?', '[', '!']) {
            if let Some(master) = &template.master {
                template.remarks.push(format!(
                    "{}: Name={name} is a pattern; name the members of {master} in its place.",
                    path.display()
                ));
                // Only the bond's own profile shows it.
                profiles.push(Profile {
                    name: master.clone(),
                    remarks: template.remarks.clone(),
                    ..Profile::default()
                });
            }
            continue;
        }
        let mut p = template.clone();
        p.name = (*name).to_owned();
        for (key, option) in [("PrimarySlave", "primary"), ("ActiveSlave", "active_slave")] {
            if file.get("Network", key).and_then(options::boolean) == Some(true) {
                options::add(&mut p, option, name);
            }
        }
        profiles.push(p);
        profiles.extend(vlans.iter().flat_map(|v| v.split_whitespace()).map(|vlan| Profile {
            name: vlan.to_owned(),
            // The ID stands in the VLAN's own file.
            kind: Kind::Vlan { parent: (*name).to_owned(), id: 0 },
            ..Profile::default()
        }));
    }
    profiles
}

fn settings(p: &mut Profile, file: &File) {
    let addresses =
        file.all("Network", "Address").into_iter().chain(file.all("Address", "Address"));
    for text in addresses {
        match address(text, None) {
            Some(net) => p.network.addresses.push(net),
            None => p.remarks.push(format!("Address={text} is not an address.")),
        }
    }
    for via in file.all("Network", "Gateway") {
        p.network.gateway(via);
    }
    for section in file.sections("Route") {
        let to = section.get("Destination").unwrap_or("default");
        p.network.routes.push(Route {
            to: if to == "0.0.0.0/0" || to == "::/0" { "default" } else { to }.to_owned(),
            via: section.get("Gateway").map(str::to_owned),
            metric: section.get("Metric").and_then(|m| m.parse().ok()),
            table: section.get("Table").map(str::to_owned),
            source: section.get("PreferredSource").map(str::to_owned),
            onlink: section.get("GatewayOnLink").and_then(options::boolean) == Some(true),
        });
    }
    let dhcp = file.get("Network", "DHCP").unwrap_or("no").to_lowercase();
    p.network.dhcp = ["yes", "true", "1", "on", "ipv4", "ipv6", "v4", "both"].contains(&&*dhcp);
    p.network.dns.extend(
        file.all("Network", "DNS").into_iter().flat_map(str::split_whitespace).map(str::to_owned),
    );
    p.network.mtu = file.get("Link", "MTUBytes").and_then(octets);
    p.network.mac = file.get("Link", "MACAddress").map(str::to_lowercase);
}

/// A number of octets with an optional K, M or G.
fn octets(text: &str) -> Option<u32> {
    let (digits, factor) = match text.trim().char_indices().last()? {
        (at, 'K' | 'k') => (&text.trim()[..at], 1 << 10),
        (at, 'M') => (&text.trim()[..at], 1 << 20),
        (at, 'G') => (&text.trim()[..at], 1 << 30),
        _ => (text.trim(), 1),
    };
    digits.parse::<u32>().ok()?.checked_mul(factor)
}
