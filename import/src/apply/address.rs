//! Addresses and routes of a device, as `ip` shows them and takes them.

use std::process::Command;

use serde_json::Value;

use crate::profile::Route;

/// Why the state of a device cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("ip {0}: {1}")]
pub struct Error(String, String);

/// An address with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    /// The address and its prefix length.
    pub net: ipnet::IpNet,
    /// Further arguments of `ip address add`.
    pub arguments: Vec<String>,
}

/// Addresses and routes of one device.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// The device exists.
    pub exists: bool,
    /// The device that it is a port of.
    pub master: Option<String>,
    /// Without link-local ones that the kernel made.
    pub addresses: Vec<Address>,
    /// Without those that the kernel makes of the addresses.
    pub routes: Vec<Route>,
    /// What cannot be moved.
    pub remarks: Vec<String>,
}

impl State {
    /// Asks `ip`.
    ///
    /// # Errors
    ///
    /// `ip` cannot be run, or its answer is no JSON. A device that does not exist is no error.
    pub fn of(device: &str) -> Result<State, Error> {
        let Some(links) = ip(&["-d", "address", "show", "dev", device])? else {
            return Ok(State::default());
        };
        let link = links.as_array().and_then(|l| l.first()).cloned().unwrap_or_default();
        let mut state = State { exists: true, ..State::default() };
        state.master = link.get("master").and_then(Value::as_str).map(str::to_owned);
        let infos = link.get("addr_info").and_then(Value::as_array).cloned().unwrap_or_default();
        state.addresses.extend(infos.iter().filter_map(address));
        for family in ["-4", "-6"] {
            let routes = ip(&[family, "route", "show", "table", "all", "dev", device])?;
            for route in routes.iter().filter_map(Value::as_array).flatten() {
                match self::route(route) {
                    Ok(Some(route)) => state.routes.push(route),
                    Ok(None) => {}
                    Err(sentence) => state.remarks.push(sentence),
                }
            }
        }
        // Gateways must be reachable before routes through them.
        state.routes.sort_by_key(|r| r.via.is_some());
        Ok(state)
    }
}

/// Runs `ip -j`; `None` = it does not know the device.
fn ip(arguments: &[&str]) -> Result<Option<Value>, Error> {
    let what = || arguments.join(" ");
    let out = Command::new("ip").arg("-j").args(arguments).output();
    let out = out.map_err(|e| Error(what(), e.to_string()))?;
    if !out.status.success() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&out.stdout);
    if text.trim().is_empty() {
        return Ok(Some(Value::Array(Vec::new())));
    }
    serde_json::from_str(&text).map(Some).map_err(|e| Error(what(), e.to_string()))
}

/// One entry of `addr_info`.
fn address(info: &Value) -> Option<Address> {
    let text = |key: &str| info.get(key).and_then(Value::as_str);
    let flag = |key: &str| info.get(key).and_then(Value::as_bool) == Some(true);
    let local = text("local")?;
    // The kernel makes these itself of the hardware address, or for privacy.
    let made_by_kernel = text("family") == Some("inet6") && text("scope") == Some("link");
    if made_by_kernel || flag("temporary") || flag("tentative") && flag("dadfailed") {
        return None;
    }
    let prefix = info.get("prefixlen").and_then(Value::as_u64)?;
    let net = format!("{local}/{prefix}").parse().ok()?;
    let mut arguments = Vec::new();
    let mut pair = |word: &str, value: String| arguments.extend([word.to_owned(), value]);
    if let Some(peer) = text("address") {
        pair("peer", peer.to_owned());
    }
    if let Some(broadcast) = text("broadcast") {
        pair("broadcast", broadcast.to_owned());
    }
    if let Some(scope) = text("scope").filter(|s| *s != "global") {
        pair("scope", scope.to_owned());
    }
    // u32::MAX is how long an address without a limit lives.
    for (key, word) in [("valid_life_time", "valid_lft"), ("preferred_life_time", "preferred_lft")]
    {
        if let Some(seconds) =
            info.get(key).and_then(Value::as_u64).filter(|s| *s != u64::from(u32::MAX))
        {
            pair(word, seconds.to_string());
        }
    }
    for word in ["noprefixroute", "nodad", "home", "mngtmpaddr"] {
        if flag(word) {
            arguments.push(word.to_owned());
        }
    }
    Some(Address { net, arguments })
}

/// One route; `Ok(None)` = the kernel makes it itself.
fn route(route: &Value) -> Result<Option<Route>, String> {
    let text = |key: &str| route.get(key).and_then(Value::as_str);
    let to = text("dst").unwrap_or_default();
    let local = ["local", "broadcast", "multicast", "anycast"];
    if text("protocol") == Some("kernel") || text("type").is_some_and(|t| local.contains(&t)) {
        return Ok(None);
    }
    if route.get("nexthops").is_some() {
        return Err(format!("The route to {to} has several next hops; it is not moved."));
    }
    let has_flag = |word: &str| {
        route.get("flags").and_then(Value::as_array).into_iter().flatten().any(|f| f == word)
    };
    Ok(Some(Route {
        to: to.to_owned(),
        via: text("gateway").map(str::to_owned).or_else(|| {
            route.get("via").and_then(|v| v.get("host")).and_then(Value::as_str).map(str::to_owned)
        }),
        metric: route.get("metric").and_then(Value::as_u64).and_then(|m| m.try_into().ok()),
        table: text("table").filter(|t| *t != "main").map(str::to_owned),
        source: text("prefsrc").map(str::to_owned),
        onlink: has_flag("onlink"),
    }))
}
