//! `bond/*` and `lacp/*`.

use bond::proc::ProcStatus;
use bond::{BondStatus, Command, Mode};
use serde::Serialize;
use std::collections::BTreeMap;
use wire::EthAddr;

use crate::proc_files::VERSION;

use super::context::{Answer, Call, Context};
use links::{BondError, BondView, LacpView};

/// `bond/list`: the header also where there is no bond.
pub fn list(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    call.show(&c.links.bonds().map_err(|e| e.to_string())?, |bonds| {
        let lines: String = bonds.iter().map(|b| b.status.render_list()).collect();
        format!("{}{lines}", BondStatus::LIST_HEADER)
    })
}

/// What JSON says of a bond: its status, how links are detected, and what is wrong in the rows.
#[derive(Serialize)]
struct Show<'a> {
    #[serde(flatten)]
    view: &'a BondView,
    warnings: Vec<String>,
}

/// `bond/show`.
pub fn show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let mut bonds = c.links.bonds().map_err(|e| e.to_string())?;
    if let Some(port) = call.arg(0) {
        bonds.retain(|b| b.status.name == port);
        if bonds.is_empty() {
            return Err("no such bond".to_owned());
        }
    }
    if !call.json {
        return Answer::text(bonds.iter().map(|b| b.status.render_show()).collect::<String>());
    }
    let warnings = c.view.lock().warnings.clone();
    let all: BTreeMap<&str, Show<'_>> = bonds
        .iter()
        .map(|view| {
            let names =
                |row: &str| view.status.name == row || view.links.iter().any(|l| l.name == row);
            let of_it = warnings
                .iter()
                .filter(|w| matches!(w.table, "port" | "interface") && names(&w.row))
                .map(ToString::to_string)
                .collect();
            (view.status.name.as_str(), Show { view, warnings: of_it })
        })
        .collect();
    call.show(&all, |_| String::new())
}

/// `bond/proc`: the text of `/proc/net/bonding/PORT`. Of several bonds, each has a line before it as
/// from `head -v`.
pub fn proc(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let mut bonds = c.links.bonds().map_err(|e| e.to_string())?;
    if let Some(port) = call.arg(0) {
        bonds.retain(|b| b.status.name == port);
        if bonds.is_empty() {
            return Err("no such bond".to_owned());
        }
    }
    let all: BTreeMap<&str, &ProcStatus> =
        bonds.iter().map(|b| (b.proc.name.as_str(), &b.proc)).collect();
    call.show(&all, |all| {
        let several = all.len() > 1;
        let one = |(name, proc): (&&str, &&ProcStatus)| {
            let head = if several { format!("==> {name} <==\n") } else { String::new() };
            head + &proc.render(VERSION)
        };
        all.iter().map(one).collect::<Vec<_>>().join("\n")
    })
}

fn run(c: &Context, call: &Call<'_>, command: Command) -> Result<Answer, String> {
    let port = call.arg(0).unwrap_or_default();
    let done = c.links.command(port, command).map_err(|e| e.to_string())?;
    Answer::text(done)
}

fn member(call: &Call<'_>) -> String {
    call.arg(1).unwrap_or_default().to_owned()
}

/// `bond/set-active-member`.
pub fn set_active(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    run(c, call, Command::SetActiveMember { member: member(call) })
}

/// `bond/enable-member`.
pub fn enable(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    run(c, call, Command::EnableMember { member: member(call) })
}

/// `bond/disable-member`.
pub fn disable(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    run(c, call, Command::DisableMember { member: member(call) })
}

/// `bond/failback`.
pub fn failback(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    run(c, call, Command::Failback)
}

/// `bond/migrate`.
pub fn migrate(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let member = call.arg(2).unwrap_or_default().to_owned();
    let hash = call.arg(1).unwrap_or_default();
    match bucket(hash) {
        Some(bucket) => run(c, call, Command::Migrate { bucket, member }),
        None => {
            let port = call.arg(0).unwrap_or_default();
            let bonds = c.links.bonds().map_err(|e| e.to_string())?;
            let bond = bonds
                .iter()
                .find(|b| b.status.name == port)
                .ok_or_else(|| BondError::NoSuchBond.to_string())?;
            Err(match bond.status.mode {
                Mode::BalanceSlb => "bad hash",
                Mode::ActiveBackup
                | Mode::BalanceTcp
                | Mode::BalanceRr
                | Mode::BalanceXor
                | Mode::Broadcast
                | Mode::BalanceTlb
                | Mode::Ieee8023ad => "not an SLB bond",
            }
            .to_owned())
        }
    }
}

/// Digits only; what is above 255 is cut to the low 8 bits, as Open vSwitch does.
fn bucket(text: &str) -> Option<u8> {
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    // No digits at all are a 0 there.
    let n = text.bytes().fold(0u64, |n, b| n.wrapping_mul(10).wrapping_add(u64::from(b - b'0')));
    Some(n as u8)
}

/// A number as Open vSwitch scans it: white space, a sign, digits; what follows is not looked at,
/// and only the low 32 bits count.
fn scan_u32(text: &str) -> Option<u32> {
    let text = text.trim_start();
    let (minus, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let digit = |b: u8| u32::from(b - b'0');
    let n = digits
        .bytes()
        .take_while(u8::is_ascii_digit)
        .fold(0u32, |n, b| n.wrapping_mul(10).wrapping_add(digit(b)));
    Some(if minus { n.wrapping_neg() } else { n })
}

/// `bond/hash MAC [VLAN] [BASIS]`: the bucket of a source in balance-slb.
pub fn hash(_: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let number = |at: usize, bad: &str| match call.arg(at) {
        None => Ok(0),
        Some(text) => scan_u32(text).ok_or_else(|| bad.to_owned()),
    };
    let vlan = number(1, "invalid vlan")?;
    let basis = number(2, "invalid basis")?;
    let mac: EthAddr =
        call.arg(0).unwrap_or_default().parse().map_err(|_| "invalid mac".to_owned())?;
    let bucket = wire::hash::hash_mac(mac, vlan as u16, basis) & 0xff;
    call.show(&bucket, |b| b.to_string())
}

fn lacps(c: &Context, call: &Call<'_>) -> Result<Vec<LacpView>, String> {
    let mut all = c.links.lacps().map_err(|e| e.to_string())?;
    if let Some(port) = call.arg(0) {
        all.retain(|l| l.status.name == port);
        if all.is_empty() {
            return Err("no such lacp object".to_owned());
        }
    }
    Ok(all)
}

/// `lacp/show`.
pub fn lacp_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    call.show(&lacps(c, call)?, |all| all.iter().map(|l| l.status.render_show()).collect())
}

/// `lacp/show-stats`.
pub fn lacp_stats(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    call.show(&lacps(c, call)?, |all| all.iter().map(|l| l.status.render_stats()).collect())
}

#[cfg(test)]
mod tests {
    use super::scan_u32;

    /// Seen with Open vSwitch 3.1.
    #[test]
    fn numbers_as_they_are_scanned() {
        for (text, number) in [
            ("5", Some(5)),
            (" 5", Some(5)),
            ("+5", Some(5)),
            ("-1", Some(u32::MAX)),
            ("0x10", Some(0)),
            ("99999999999", Some(99_999_999_999_u64 as u32)),
            ("5x", Some(5)),
            ("", None),
            ("x", None),
            ("+-5", None),
        ] {
            assert_eq!(scan_u32(text), number, "{text:?}");
        }
    }

    #[test]
    fn buckets() {
        for (text, bucket) in [
            ("0", Some(0)),
            ("255", Some(255)),
            ("256", Some(0)),
            ("", Some(0)),
            ("x", None),
            ("-1", None),
        ] {
            assert_eq!(super::bucket(text), bucket, "{text}");
        }
    }
}
