//! `ifcfg-*` of Red Hat's initscripts and NetworkManager's plug-in, and `route-*` beside them.

use std::collections::BTreeMap;
use std::path::Path;

use super::text::{address, vlan_by_name};
use crate::options;
use crate::profile::{Kind, Profile, Route};

pub(super) fn read(path: &Path, text: &str) -> Result<Vec<Profile>, String> {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    if let Some(device) = file.strip_prefix("route-").or_else(|| file.strip_prefix("route6-")) {
        return Ok(vec![routes(device, text)?]);
    }
    let values = variables(text)?;
    let get = |key: &str| values.get(key).map(String::as_str).filter(|v| !v.is_empty());
    let yes = |key: &str| get(key).and_then(options::boolean) == Some(true);
    let from_file = file.strip_prefix("ifcfg-").unwrap_or(&file).to_owned();
    let mut p = Profile {
        name: get("DEVICE").map_or_else(|| from_file.clone(), str::to_owned),
        ..Profile::default()
    };
    p.aliases.extend(["UUID", "NAME"].iter().filter_map(|key| get(key)).map(str::to_owned));
    let kind = get("TYPE").unwrap_or_default().to_lowercase();
    let device_kind = get("DEVICETYPE").unwrap_or_default().to_lowercase();
    if kind == "bond" || yes("BONDING_MASTER") || get("BONDING_OPTS").is_some() {
        p.kind = Kind::Bond;
        for word in get("BONDING_OPTS").unwrap_or_default().split_whitespace() {
            match word.split_once('=') {
                Some((name, value)) => options::add(&mut p, name, value),
                None => {
                    p.remarks.push(format!("BONDING_OPTS: {word} is not of the form option=value."))
                }
            }
        }
    } else if kind == "team" || device_kind == "team" {
        p.kind = Kind::Bond;
        super::teamd::configure(&mut p, get("TEAM_CONFIG").unwrap_or("{}"))?;
    } else if kind == "bridge" {
        p.kind = Kind::Bridge;
    } else if yes("VLAN") || kind == "vlan" {
        p.kind = vlan(&p.name, get("PHYSDEV"), get("VLAN_ID"))
            .ok_or("a VLAN without PHYSDEV and VLAN_ID, or a name PARENT.ID")?;
    }
    p.master = ["MASTER", "MASTER_UUID", "TEAM_MASTER", "TEAM_MASTER_UUID", "BRIDGE"]
        .iter()
        .find_map(|key| get(key))
        .map(str::to_owned);
    if let Some(text) = get("TEAM_PORT_CONFIG") {
        let value = serde_json::from_str(text).map_err(|e| format!("TEAM_PORT_CONFIG: {e}"))?;
        let name = p.name.clone();
        p.port = super::teamd::port(&name, &value, &mut p.remarks);
    }
    if let Some(prio) = get("BOND_PORT_PRIO") {
        p.port.priority = Some(prio.parse().map_err(|_| format!("BOND_PORT_PRIO={prio}"))?);
    }
    network(&mut p, &values);
    Ok(vec![p])
}

fn vlan(name: &str, parent: Option<&str>, id: Option<&str>) -> Option<Kind> {
    let (by_name, id_by_name) = vlan_by_name(name).unzip();
    let parent = parent.map(str::to_owned).or(by_name)?;
    let from_vlan = || name.strip_prefix("vlan")?.parse().ok();
    let id = id.and_then(|i| i.parse().ok()).or(id_by_name).or_else(from_vlan)?;
    Some(Kind::Vlan { parent, id })
}

/// `KEY=VALUE` in the shell's syntax.
fn variables(text: &str) -> Result<BTreeMap<String, String>, String> {
    let mut values = BTreeMap::new();
    // A quoted text may span lines; `shlex` knows no end of a command.
    let words = shlex::split(text).ok_or("a quotation mark is not closed")?;
    for word in words {
        if let Some((key, value)) = word.split_once('=') {
            values.insert(key.to_owned(), value.to_owned());
        }
    }
    Ok(values)
}

fn network(p: &mut Profile, values: &BTreeMap<String, String>) {
    let get = |key: &str| values.get(key).map(String::as_str).filter(|v| !v.is_empty());
    for (key, ip) in values.iter().filter(|(k, v)| k.starts_with("IPADDR") && !v.is_empty()) {
        let number = &key["IPADDR".len()..];
        let mask = get(&format!("PREFIX{number}")).or_else(|| get(&format!("NETMASK{number}")));
        match address(ip, mask) {
            Some(net) => p.network.addresses.push(net),
            None => p.remarks.push(format!("{key}={ip} is not an address.")),
        }
    }
    let v6 = get("IPV6ADDR_SECONDARIES").unwrap_or_default();
    for ip in get("IPV6ADDR").into_iter().chain(v6.split_whitespace()) {
        let ip = if ip.contains('/') { ip.to_owned() } else { format!("{ip}/64") };
        match address(&ip, None) {
            Some(net) => p.network.addresses.push(net),
            None => p.remarks.push(format!("IPV6ADDR={ip} is not an address.")),
        }
    }
    if let Some(via) = get("GATEWAY") {
        p.network.gateway(via);
    }
    if let Some(via) = get("IPV6_DEFAULTGW") {
        p.network.gateway(via.split('%').next().unwrap_or(via));
    }
    let boot = get("BOOTPROTO").unwrap_or_default().to_lowercase();
    p.network.dhcp = boot == "dhcp"
        || boot == "bootp"
        || get("DHCPV6C").and_then(options::boolean) == Some(true);
    p.network.dns.extend((1..=3).filter_map(|n| get(&format!("DNS{n}"))).map(str::to_owned));
    p.network.mtu = get("MTU").and_then(|m| m.parse().ok());
    p.network.mac = get("MACADDR").map(str::to_lowercase);
}

/// `route-NAME`: lines of `ip route`, or numbered variables.
fn routes(device: &str, text: &str) -> Result<Profile, String> {
    let mut p = Profile { name: device.to_owned(), ..Profile::default() };
    let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
    if text.contains("ADDRESS0=") {
        let values = variables(text)?;
        for (key, to) in values.iter().filter(|(k, _)| k.starts_with("ADDRESS")) {
            let number = &key["ADDRESS".len()..];
            let mask = values.get(&format!("NETMASK{number}")).map(String::as_str);
            let to = address(to, mask).ok_or_else(|| format!("{key}={to} is not an address"))?;
            p.network.routes.push(Route {
                to: to.trunc().to_string(),
                via: values.get(&format!("GATEWAY{number}")).cloned(),
                metric: values.get(&format!("METRIC{number}")).and_then(|m| m.parse().ok()),
                ..Route::default()
            });
        }
        return Ok(p);
    }
    for line in lines {
        let mut words = line.split_whitespace();
        let mut route = Route { to: words.next().unwrap_or_default().into(), ..Route::default() };
        while let Some(word) = words.next() {
            let mut value = || words.next().unwrap_or_default().to_owned();
            match word {
                "via" => route.via = Some(value()),
                "dev" => drop(value()),
                "metric" => route.metric = value().parse().ok(),
                "table" => route.table = Some(value()),
                "src" => route.source = Some(value()),
                "onlink" => route.onlink = true,
                other => p.remarks.push(format!("route {line}: {other} is not carried over.")),
            }
        }
        p.network.routes.push(route);
    }
    Ok(p)
}
