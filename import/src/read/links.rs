//! The output of `ip -d -j link`.

use serde_json::{Map, Value};

use crate::options;
use crate::profile::{Kind, Profile};

/// Keys of a bond's `info_data` that are not options.
const STATE: &[&str] = &["ad_info", "active_slave"];

pub(super) fn read(text: &str) -> Result<Vec<Profile>, String> {
    let links: Vec<Value> = serde_json::from_str(text).map_err(|e| e.to_string())?;
    Ok(links.iter().filter_map(Value::as_object).filter_map(link).collect())
}

fn link(link: &Map<String, Value>) -> Option<Profile> {
    let text = |key: &str| link.get(key).and_then(Value::as_str);
    let mut p = Profile { name: text("ifname")?.to_owned(), ..Profile::default() };
    p.source = "ip -d -j link".to_owned();
    p.master = text("master").map(str::to_owned);
    p.network.mtu = link.get("mtu").and_then(Value::as_u64).and_then(|m| m.try_into().ok());
    p.network.mac = text("address").filter(|m| m.len() == 17).map(str::to_owned);
    let info = link.get("linkinfo");
    let part = |key: &str| info.and_then(|i| i.get(key));
    let data = part("info_data").and_then(Value::as_object);
    match part("info_kind").and_then(Value::as_str) {
        Some("bond") => {
            p.kind = Kind::Bond;
            for (key, value) in data.into_iter().flatten() {
                bond_option(&mut p, key, value);
            }
        }
        Some("team") => {
            p.kind = Kind::Bond;
            p.remarks.push(format!(
                "The kernel does not tell how the team {name} works: give the output of \
                 “teamdctl {name} config dump” as a file.",
                name = p.name
            ));
        }
        Some("bridge") => p.kind = Kind::Bridge,
        Some("vlan") => {
            let id = data.and_then(|d| d.get("id")).and_then(Value::as_u64)?;
            p.kind = Kind::Vlan { parent: text("link")?.to_owned(), id: id.try_into().ok()? };
        }
        Some(_) | None => {}
    }
    let slave = part("info_slave_data").and_then(|d| d.get("prio")).and_then(Value::as_i64);
    p.port.priority = slave.and_then(|n| n.try_into().ok()).filter(|n: &i32| *n != 0);
    Some(p)
}

fn bond_option(p: &mut Profile, key: &str, value: &Value) {
    if STATE.contains(&key) {
        return;
    }
    let value = match value {
        Value::String(s) => s.clone(),
        Value::Number(n) => n.to_string(),
        Value::Bool(b) => b.to_string(),
        Value::Array(a) => {
            let words: Vec<String> =
                a.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            words.join(",")
        }
        Value::Null | Value::Object(_) => return,
    };
    // Newer versions of the program print options that this one does not know.
    if let Ok(option) = options::parse(key, &value) {
        p.options.push(option);
    }
}
