//! NetworkManager's keyfiles, nm-settings-keyfile(5).

use super::ini::File;
use super::text::{address, vlan_by_name};
use crate::options;
use crate::profile::{Kind, Profile, Route};

pub(super) fn read(text: &str) -> Result<Vec<Profile>, String> {
    let file = File::parse(text)?;
    let connection = |key| file.get("connection", key).filter(|v| !v.is_empty());
    let id = connection("id").unwrap_or_default();
    let mut p = Profile {
        name: connection("interface-name").unwrap_or(id).to_owned(),
        ..Profile::default()
    };
    p.aliases.extend(["uuid", "id"].iter().filter_map(|k| connection(k)).map(str::to_owned));
    p.master = connection("controller").or(connection("master")).map(str::to_owned);
    match connection("type").unwrap_or_default() {
        "bond" => {
            p.kind = Kind::Bond;
            for section in file.sections("bond") {
                for (key, value) in section.iter() {
                    // Older versions wrote the name here.
                    if key != "interface-name" {
                        options::add(&mut p, key, value);
                    }
                }
            }
        }
        "team" => {
            p.kind = Kind::Bond;
            let config = file.get("team", "config").unwrap_or("{}");
            super::teamd::configure(&mut p, &unescaped(config))?;
        }
        "bridge" => p.kind = Kind::Bridge,
        "vlan" => {
            let by_name = vlan_by_name(&p.name).unzip();
            let parent = file.get("vlan", "parent").map(str::to_owned).or(by_name.0);
            let id = file.get("vlan", "id").and_then(|i| i.parse().ok()).or(by_name.1);
            let (parent, id) =
                parent.zip(id).ok_or("a VLAN without parent and id in section [vlan]")?;
            p.kind = Kind::Vlan { parent, id };
        }
        _ => {}
    }
    if let Some(prio) = file.get("bond-port", "prio") {
        p.port.priority = Some(prio.parse().map_err(|_| format!("[bond-port] prio={prio}"))?);
    }
    if file.get("bond-port", "queue-id").is_some_and(|id| id != "0") {
        p.remarks.push(format!("{}: queue-id has no equal; it is left out.", p.name));
    }
    if let Some(config) = file.get("team-port", "config") {
        let value =
            serde_json::from_str(&unescaped(config)).map_err(|e| format!("[team-port] {e}"))?;
        let name = p.name.clone();
        p.port = super::teamd::port(&name, &value, &mut p.remarks);
    }
    for section in ["ethernet", "802-3-ethernet"] {
        let get = |key| file.get(section, key);
        p.network.mtu = p.network.mtu.or(get("mtu").and_then(|m| m.parse().ok()));
        let mac = get("cloned-mac-address").filter(|m| m.contains(':'));
        p.network.mac = p.network.mac.or(mac.map(str::to_lowercase));
    }
    for section in ["ipv4", "ipv6"] {
        ip(&mut p, &file, section);
    }
    Ok(vec![p])
}

/// Section `[ipv4]` or `[ipv6]`.
fn ip(p: &mut Profile, file: &File, section: &str) {
    let method = file.get(section, "method").unwrap_or_default();
    p.network.dhcp |= method == "dhcp" || (section == "ipv4" && method == "auto");
    for properties in file.sections(section) {
        for (key, value) in properties.iter() {
            let parts = || value.split([',', ';']).map(str::trim).filter(|v| !v.is_empty());
            let numbered = |stem: &str| {
                key.strip_prefix(stem).is_some_and(|n| n.chars().all(|c| c.is_ascii_digit()))
            };
            if key == "addresses" {
                p.network.addresses.extend(parts().filter_map(|a| address(a, None)));
            } else if numbered("address") {
                let mut words = parts();
                match words.next().and_then(|a| address(a, None)) {
                    Some(net) => p.network.addresses.push(net),
                    None => p.remarks.push(format!("[{section}] {key}={value}: no address.")),
                }
                // The older form has the gateway in the same line.
                if let Some(via) = words.next() {
                    p.network.gateway(via);
                }
            } else if key == "gateway" {
                p.network.gateway(value);
            } else if key == "dns" {
                p.network.dns.extend(parts().map(str::to_owned));
            } else if numbered("route") {
                let mut words = parts();
                let to = words.next().unwrap_or_default();
                let to = if to == "0.0.0.0/0" || to == "::/0" { "default" } else { to };
                p.network.routes.push(Route {
                    to: to.to_owned(),
                    via: words.next().filter(|v| *v != "0.0.0.0" && *v != "::").map(str::to_owned),
                    metric: words.next().and_then(|m| m.parse().ok()),
                    ..Route::default()
                });
            } else if key.starts_with("route") && key.ends_with("_options") {
                p.remarks.push(format!("[{section}] {key}={value} is not carried over."));
            }
        }
    }
}

/// A keyfile's string: `\n`, `\t`, `\s` and `\\` are escapes.
fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some('t') => out.push('\t'),
            Some('s') => out.push(' '),
            Some('r') => out.push('\r'),
            Some(other) => out.push(other),
            None => {}
        }
    }
    out
}
