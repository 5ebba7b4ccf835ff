//! `dpif/*`, `dpctl/*`, `upcall/*`, `revalidator/*`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use datapath::PortNo;
use ofproto::show::{DpifShow, UpcallShow};
use serde::Serialize;

use super::context::{Answer, Call, Context};
use super::dpctl_options::Options;
use super::flow_dump::{dumps, lines};
use crate::unixctl::{Format, Reply, Request};

/// `dpif/show`.
pub fn dpif_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let all = c.ofproto.dpif_show();
    let by_name: BTreeMap<&str, &DpifShow> = all.iter().map(|d| (d.name.as_str(), d)).collect();
    call.show(&by_name, |_| all.iter().map(ToString::to_string).collect())
}

/// `dpif/dump-dps`.
pub fn dump_dps_of_bridges(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let mut names = Vec::new();
    for datapath in c.ofproto.dpif_show() {
        let kind = datapath.name.split('@').next().unwrap_or_default().to_owned();
        names.extend(datapath.bridges.iter().map(|b| format!("{kind}@{}", b.name)));
    }
    call.show(&names, |names| names.iter().map(|n| format!("{n}\n")).collect())
}

/// `dpctl/dump-dps`.
pub fn dump_dps(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    call.show(&c.datapaths(), |names| names.iter().map(|n| format!("{n}\n")).collect())
}

#[derive(Serialize)]
struct DpctlShow {
    name: String,
    hit: u64,
    missed: u64,
    lost: u64,
    flows: u64,
    ports: Vec<DpctlPort>,
}

#[derive(Serialize)]
struct DpctlPort {
    number: u32,
    name: String,
    #[serde(rename = "type")]
    kind: String,
}

impl DpctlShow {
    fn text(&self) -> String {
        let mut out = format!(
            "{}:\n  lookups: hit:{} missed:{} lost:{}\n  flows: {}\n",
            self.name, self.hit, self.missed, self.lost, self.flows
        );
        for p in &self.ports {
            // Writing to a string cannot fail.
            let _ = if p.kind == "system" {
                writeln!(out, "  port {}: {}", p.number, p.name)
            } else {
                writeln!(out, "  port {}: {} ({})", p.number, p.name, p.kind)
            };
        }
        out
    }
}

/// `dpctl/show`.
pub fn dpctl_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let known = c.datapaths();
    let mut asked: Vec<String> = Vec::new();
    for arg in call.args.iter().filter(|a| !a.starts_with('-')) {
        if !known.contains(arg) {
            return Err(format!(
                "ovs-vswitchd: opening datapath {arg} failed (No such file or directory)\n"
            ));
        }
        asked.push(arg.clone());
    }
    // Where bridges of both types share it, it is shown once under each name.
    let shown: Vec<DpctlShow> = if asked.is_empty() { known } else { asked }
        .into_iter()
        .map(|name| {
            let other = c.with_user_datapath(&name);
            let at = other.as_ref().unwrap_or(c);
            let (stats, view) = (at.datapath.stats(), at.view.lock().clone());
            let local = other.is_none().then(|| DpctlPort {
                number: 0,
                name: name.split('@').nth(1).unwrap_or(&name).to_owned(),
                kind: "tap".to_owned(),
            });
            let others = view.ports.iter().map(|(number, (name, kind))| DpctlPort {
                number: number.0,
                name: name.clone(),
                kind: kind.clone(),
            });
            DpctlShow {
                ports: local.into_iter().chain(others).collect(),
                name,
                hit: stats.hit,
                missed: stats.missed,
                lost: stats.lost,
                flows: stats.flows,
            }
        })
        .collect();
    call.show(&shown, |all| all.iter().map(DpctlShow::text).collect())
}

/// `dpif/dump-flows`.
pub fn dump_bridge(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let bridge = call.args.last().map(String::as_str).unwrap_or_default();
    let view = c.view.lock().clone();
    if !c.ofproto.list().iter().any(|b| b == bridge) {
        return Err("no such bridge".to_owned());
    }
    let ports: BTreeSet<u32> =
        view.bridges.get(bridge).into_iter().flatten().map(|p| p.0).collect();
    let mut flows = c.datapath.flows();
    flows.retain(|f| ports.contains(&f.key.in_port));
    // Words that are no option are overlooked, as they are there.
    let has = |word: &str| call.args.iter().rposition(|a| a == word);
    let more = has("-m").is_some();
    let names = match (has("--names"), has("--no-names")) {
        (None, None) => more,
        (yes, no) => yes > no,
    };
    let mut dumps = dumps(c, Options { more, names, ..Options::default() }, &flows, &view);
    for d in &mut dumps {
        d.of_bridge = true;
    }
    call.show(&dumps, |d| lines(d))
}

/// `upcall/show`.
pub fn upcall_show(c: &Context, req: &Request<'_>) -> Reply {
    let (pending, reply) = req.defer();
    let names = c.datapaths();
    c.revalidator.run(move |r| {
        let status = r.status();
        let shown: Vec<UpcallShow> =
            names.into_iter().map(|name| UpcallShow { name, status }).collect();
        let format = pending.format();
        pending.complete(match format {
            Format::Text => Reply::Text(shown.iter().map(ToString::to_string).collect()),
            Format::Json => serde_json::to_value(&shown)
                .map_or_else(|e| Reply::Error(e.to_string()), Reply::Json),
        });
    });
    reply
}

/// Text that is no number counts as 0, as it does there.
pub fn set_flow_limit(c: &Context, req: &Request<'_>) -> Reply {
    let text = req.args.first().map(String::as_str).unwrap_or_default();
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    let limit = digits.parse().unwrap_or(0);
    let (pending, reply) = req.defer();
    c.revalidator.run(move |r| pending.complete(Reply::Text(r.set_flow_limit(limit))));
    reply
}

/// `upcall/enable-megaflows`.
pub fn enable_megaflows(c: &Context, _: &Call<'_>) -> Result<Answer, String> {
    Answer::text(c.ofproto.enable_megaflows(true))
}

/// `upcall/disable-megaflows`.
pub fn disable_megaflows(c: &Context, _: &Call<'_>) -> Result<Answer, String> {
    Answer::text(c.ofproto.enable_megaflows(false))
}

/// `revalidator/wait`.
pub fn revalidator_wait(c: &Context, req: &Request<'_>) -> Reply {
    let (pending, reply) = req.defer();
    c.revalidator.after_round(move || pending.complete(Reply::Text(String::new())));
    reply
}

/// `revalidator/purge`.
pub fn revalidator_purge(c: &Context, req: &Request<'_>) -> Reply {
    let (pending, reply) = req.defer();
    c.revalidator.run(move |r| {
        r.purge();
        pending.complete(Reply::Text(String::new()));
    });
    reply
}

/// `revalidator/pause`.
pub fn revalidator_pause(c: &Context, req: &Request<'_>) -> Reply {
    let (pending, reply) = req.defer();
    c.revalidator.pause(move || pending.complete(Reply::Text(String::new())));
    reply
}

/// `revalidator/resume`.
pub fn revalidator_resume(c: &Context, _: &Call<'_>) -> Result<Answer, String> {
    c.revalidator.resume();
    Answer::text("")
}

/// The bucket tables of bonds whose flows go through them in one pass (`lb-output-action`).
pub fn bond_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let known = c.datapaths();
    let asked = |dp: &str| known.iter().any(|k| k == dp || k.split('@').nth(1) == Some(dp));
    if known.is_empty() || call.arg(0).is_some_and(|dp| !asked(dp)) {
        return Err("please specify an existing datapath".to_owned());
    }
    let bonds: BTreeMap<u32, Vec<u32>> = c
        .links
        .bonds()
        .map_err(|e| e.to_string())?
        .iter()
        .filter(|b| b.status.lb_output)
        .filter_map(|b| {
            let table = c.datapath.table(b.table)?;
            let port = |p: &Option<PortNo>| p.map_or(u32::MAX, |p| p.0);
            Some((b.recirc_id, table.buckets.iter().map(port).collect()))
        })
        .collect();
    call.show(&bonds, |bonds| {
        let mut out = String::new();
        if !bonds.is_empty() {
            out += "Bonds:\n";
        }
        for (id, buckets) in bonds {
            out += &format!("  bond-id {id}:\n");
            for (bucket, member) in buckets.iter().enumerate() {
                out += &format!("    bucket {bucket} - member {member}\n");
            }
        }
        out
    })
}
