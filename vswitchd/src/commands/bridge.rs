//! `fdb/*`, `bridge/*`, `ofproto/list`.

use wire::EthAddr;

use super::context::{Answer, Call, Context};

/// `ofproto/list`.
pub fn list(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    call.show(&c.ofproto.list(), |names| names.iter().map(|n| format!("{n}\n")).collect())
}

/// `fdb/show`.
pub fn fdb_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let bridges: Vec<&str> = call.args.iter().map(String::as_str).collect();
    let known = c.ofproto.list();
    if let Some(unknown) = bridges.iter().find(|b| !known.iter().any(|k| k == *b)) {
        return Err(format!("no such bridge {unknown}"));
    }
    let shown = c.ofproto.fdb_show(c.clock.now(), &bridges).map_err(|e| e.to_string())?;
    call.show(&shown, ToString::to_string)
}

/// `fdb/flush`.
pub fn fdb_flush(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    Answer::text(c.ofproto.fdb_flush(call.arg(0)).map_err(|e| e.to_string())?)
}

/// `fdb/stats-show`.
pub fn fdb_stats(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let bridge = call.arg(0).unwrap_or_default();
    let shown = c.ofproto.fdb_stats(bridge).map_err(|e| e.to_string())?;
    call.show(&shown, ToString::to_string)
}

/// `fdb/stats-clear`.
pub fn fdb_stats_clear(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    Answer::text(c.ofproto.fdb_stats_clear(call.arg(0)).map_err(|e| e.to_string())?)
}

/// `fdb/add`.
pub fn fdb_add(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let (bridge, port) = (call.arg(0).unwrap_or_default(), call.arg(1).unwrap_or_default());
    if !c.ofproto.list().iter().any(|b| b == bridge) {
        return Err("no such bridge".to_owned());
    }
    let vlan = vlan(call.arg(2))?;
    let mac = mac(call.arg(3))?;
    let done = c.ofproto.fdb_add(c.clock.now(), bridge, port, vlan, mac);
    Answer::text(done.map_err(|e| e.to_string())?)
}

/// `fdb/del`.
pub fn fdb_del(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let bridge = call.arg(0).unwrap_or_default();
    if !c.ofproto.list().iter().any(|b| b == bridge) {
        return Err("no such bridge".to_owned());
    }
    let vlan = vlan(call.arg(1))?;
    let mac = mac(call.arg(2))?;
    c.ofproto.fdb_del(bridge, vlan, mac).map_err(|e| e.to_string())?;
    Answer::text("")
}

/// A VLAN. Open vSwitch takes what is no number for 0; a wrong entry in the table helps nobody.
fn vlan(text: Option<&str>) -> Result<u16, String> {
    let text = text.unwrap_or_default();
    text.parse()
        .ok()
        .filter(|v| *v <= 4095)
        .ok_or_else(|| format!("bad VLAN {text:?} (expected 0 to 4095)"))
}

fn mac(text: Option<&str>) -> Result<EthAddr, String> {
    text.unwrap_or_default().parse().map_err(|_| "bad MAC address".to_owned())
}

/// `bridge/dump-flows`.
pub fn dump_flows(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let bridge = call.args.last().map(String::as_str).unwrap_or_default();
    let rules =
        c.ofproto.dump_rules(c.clock.now(), bridge).map_err(|_| "Unknown bridge".to_owned())?;
    call.show(&rules, ToString::to_string)
}
