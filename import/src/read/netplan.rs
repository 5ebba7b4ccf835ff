//! netplan's YAML, netplan(5).

use serde_json::{Map, Value};

use super::text::address;
use crate::options;
use crate::profile::{Kind, Profile, Route};

pub(super) fn read(text: &str) -> Result<Vec<Profile>, String> {
    let value: Value = serde_norway::from_str(text).map_err(|e| e.to_string())?;
    let network = value
        .get("network")
        .and_then(Value::as_object)
        .ok_or("no mapping “network” at the top level")?;
    let mut profiles = Vec::new();
    for (section, devices) in network {
        let Some(devices) = devices.as_object() else { continue };
        for (name, settings) in devices {
            let empty = Map::new();
            let settings = settings.as_object().unwrap_or(&empty);
            profiles.push(device(section, name, settings)?);
        }
    }
    Ok(profiles)
}

/// A number or a text as text.
fn plain(value: &Value) -> Option<String> {
    match value {
        Value::String(s) => Some(s.clone()),
        Value::Number(n) => Some(n.to_string()),
        Value::Bool(b) => Some(b.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

/// A list of texts.
fn list(value: Option<&Value>) -> Vec<String> {
    value.and_then(Value::as_array).map_or_else(Vec::new, |a| a.iter().filter_map(plain).collect())
}

fn device(section: &str, name: &str, settings: &Map<String, Value>) -> Result<Profile, String> {
    let mut p = Profile { name: name.to_owned(), ..Profile::default() };
    match section {
        "bonds" => {
            p.kind = Kind::Bond;
            p.ports = list(settings.get("interfaces"));
            if let Some(parameters) = settings.get("parameters").and_then(Value::as_object) {
                for (key, value) in parameters {
                    parameter(&mut p, key, value);
                }
            }
        }
        "bridges" => {
            p.kind = Kind::Bridge;
            p.ports = list(settings.get("interfaces"));
        }
        "vlans" => {
            let id = settings.get("id").and_then(Value::as_u64).and_then(|i| u16::try_from(i).ok());
            let parent = settings.get("link").and_then(plain);
            let (parent, id) =
                parent.zip(id).ok_or_else(|| format!("vlans: {name} needs id and link"))?;
            p.kind = Kind::Vlan { parent, id };
        }
        _ => {
            // Others refer to the device by its name in the file.
            if let Some(set_name) = settings.get("set-name").and_then(plain) {
                p.aliases.push(std::mem::replace(&mut p.name, set_name));
            } else if settings.contains_key("match") {
                p.remarks.push(format!(
                    "{name} is chosen by “match” without “set-name”; put the device's name in its \
                     place."
                ));
            }
        }
    }
    network(&mut p, settings);
    Ok(p)
}

fn parameter(p: &mut Profile, key: &str, value: &Value) {
    let values = match value {
        Value::Array(_) => list(Some(value)).join(","),
        _ => plain(value).unwrap_or_default(),
    };
    // Times carry units as in systemd; without one they are milliseconds, the learning packets'
    // are seconds.
    let timed = ["mii-monitor-interval", "arp-interval", "up-delay", "down-delay"];
    if timed.contains(&key) {
        match options::milliseconds(&values, 1.0) {
            Some(ms) => options::add(p, key, &ms.to_string()),
            None => p.remarks.push(format!("{key}: {values} is not a time.")),
        }
        return;
    }
    options::add(p, key, &values);
}

fn network(p: &mut Profile, settings: &Map<String, Value>) {
    for entry in settings.get("addresses").and_then(Value::as_array).into_iter().flatten() {
        let text = match entry {
            // An address with options is a mapping of one key.
            Value::Object(map) => map.keys().next().cloned(),
            other => plain(other),
        };
        match text.as_deref().and_then(|t| address(t, None)) {
            Some(net) => p.network.addresses.push(net),
            None => p.remarks.push(format!("addresses: {entry} is not an address.")),
        }
    }
    for key in ["gateway4", "gateway6"] {
        if let Some(via) = settings.get(key).and_then(plain) {
            p.network.gateway(&via);
        }
    }
    for route in settings.get("routes").and_then(Value::as_array).into_iter().flatten() {
        let get = |key: &str| route.get(key).and_then(plain);
        let to = get("to").unwrap_or_default();
        p.network.routes.push(Route {
            to: if to == "0.0.0.0/0" || to == "::/0" { "default".into() } else { to },
            via: get("via"),
            metric: get("metric").and_then(|m| m.parse().ok()),
            table: get("table"),
            source: get("from"),
            onlink: route.get("on-link") == Some(&Value::Bool(true)),
        });
    }
    let yes = |key: &str| {
        settings.get(key).and_then(plain).and_then(|v| options::boolean(&v)) == Some(true)
    };
    p.network.dhcp = yes("dhcp4") || yes("dhcp6");
    p.network.dns = list(settings.get("nameservers").and_then(|n| n.get("addresses")));
    p.network.mtu = settings.get("mtu").and_then(Value::as_u64).and_then(|m| m.try_into().ok());
    p.network.mac = settings.get("macaddress").and_then(plain).map(|m| m.to_lowercase());
    if settings.contains_key("routing-policy") {
        p.remarks.push(format!("{}: routing-policy is not carried over.", p.name));
    }
}
