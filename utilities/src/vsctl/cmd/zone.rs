//! Connection tracking zones of a datapath: timeout policies and limits; datapath capabilities.

use std::collections::BTreeMap;

use ovsdb::{Atom, Datum};

use super::bridge::leading_number;
use super::{Before, Context, Done, Stop};
use crate::vsctl::db::RowId;
use crate::vsctl::grammar::command::Command;
use crate::vsctl::grammar::text;

pub(super) fn before(before: &mut Before<'_, '_>, command: &Command) -> Done {
    let wants = &mut *before.wants;
    wants.column("Open_vSwitch", "datapaths");
    if command.syntax.name == "list-dp-cap" {
        wants.column("Datapath", "capabilities");
        return Ok(());
    }
    wants.columns("Datapath", &["ct_zones", "ct_zone_default_limit"]);
    wants.columns("CT_Zone", &["timeout_policy", "limit"]);
    wants.column("CT_Timeout_Policy", "timeouts");
    Ok(())
}

fn find_datapath<'s>(ctx: &Context<'s, '_>, name: &str) -> Option<RowId<'s>> {
    let datapaths = ctx.map(ctx.root, "datapaths");
    match datapaths.get(&Atom::String(name.to_owned())) {
        Some(Atom::Uuid(uuid)) => {
            Some(RowId { table: "Datapath", uuid: *uuid }).filter(|row| ctx.txn.exists(*row))
        }
        _ => None,
    }
}

fn datapath<'s>(ctx: &Context<'s, '_>, name: &str) -> Result<RowId<'s>, Stop> {
    match find_datapath(ctx, name) {
        Some(row) => Ok(row),
        None => Stop::fatal(format!("datapath {name} does not exist")),
    }
}

fn listed_datapath<'s>(ctx: &Context<'s, '_>, name: &str) -> Result<RowId<'s>, Stop> {
    match find_datapath(ctx, name) {
        Some(row) => Ok(row),
        None => Stop::fatal(format!("datapath: {name} record not found")),
    }
}

/// Zones by number.
fn zones<'s>(ctx: &Context<'s, '_>, datapath: RowId<'s>) -> BTreeMap<i64, RowId<'s>> {
    let pairs = ctx.map(datapath, "ct_zones").into_iter().filter_map(|pair| match pair {
        (Atom::Integer(zone), Atom::Uuid(uuid)) => Some((zone, RowId { table: "CT_Zone", uuid })),
        _ => None,
    });
    pairs.filter(|(_, row)| ctx.txn.exists(*row)).collect()
}

fn set_zones<'s>(
    ctx: &mut Context<'s, '_>,
    datapath: RowId<'s>,
    zones: &BTreeMap<i64, RowId<'s>>,
) -> Done {
    let map = zones.iter().map(|(zone, row)| (Atom::Integer(*zone), Atom::Uuid(row.uuid)));
    ctx.verify(datapath, "ct_zones");
    ctx.set(datapath, "ct_zones", Datum::Map(map.collect()))
}

/// The zone of `zone=N`.
fn zone_argument(text: &str) -> Result<i64, Stop> {
    let number = text.strip_prefix("zone=").and_then(|number| number.parse().ok());
    number.map_or_else(|| Stop::fatal(format!("invalid zone argument, {text}")), Ok)
}

fn policy<'s>(ctx: &Context<'s, '_>, zone: RowId<'s>) -> Option<RowId<'s>> {
    let uuid = ctx.refs(zone, "timeout_policy").first().copied()?;
    Some(RowId { table: "CT_Timeout_Policy", uuid }).filter(|row| ctx.txn.exists(*row))
}

/// The timeouts of arguments like `icmp_first=1`.
fn timeouts(arguments: &[String]) -> Result<BTreeMap<Atom, Atom>, Stop> {
    let mut timeouts = BTreeMap::new();
    for argument in arguments {
        let Some((name, seconds)) = argument.split_once(['=', ':']) else {
            return Stop::fatal(format!("{argument}: TIMEOUT=SECONDS is accepted"));
        };
        let seconds = Atom::Integer(leading_number(seconds));
        timeouts.insert(Atom::String(name.to_owned()), seconds);
    }
    Ok(timeouts)
}

pub(super) fn add_policy(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let number = zone_argument(command.arg(2))?;
    let datapath = datapath(ctx, command.arg(1))?;
    let mut zones = zones(ctx, datapath);
    let zone = zones.get(&number).copied();
    if let Some(zone) = zone
        && policy(ctx, zone).is_some()
        && !command.has("--may-exist")
    {
        return Stop::fatal(format!("zone id {number} already has a policy"));
    }
    let wanted = timeouts(command.args_from(3))?;
    let mut known = ctx.txn.rows("CT_Timeout_Policy").into_iter();
    let row = match known.find(|row| ctx.map(*row, "timeouts") == wanted) {
        Some(row) => row,
        None => {
            let row = ctx.insert("CT_Timeout_Policy")?;
            ctx.set(row, "timeouts", Datum::Map(wanted))?;
            row
        }
    };
    let zone = match zone {
        Some(zone) => zone,
        None => {
            let zone = ctx.insert("CT_Zone")?;
            zones.insert(number, zone);
            set_zones(ctx, datapath, &zones)?;
            zone
        }
    };
    ctx.set_refs(zone, "timeout_policy", &[row.uuid])
}

pub(super) fn delete_policy(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let number = zone_argument(command.arg(2))?;
    let datapath = datapath(ctx, command.arg(1))?;
    let mut zones = zones(ctx, datapath);
    let zone = zones.get(&number).copied();
    if !command.has("--if-exists") && zone.and_then(|zone| policy(ctx, zone)).is_none() {
        return Stop::fatal(format!("zone id {number} does not have a policy"));
    }
    let Some(zone) = zone else { return Ok(()) };
    if ctx.integer(zone, "limit").is_some() {
        return ctx.clear(zone, "timeout_policy");
    }
    zones.remove(&number);
    set_zones(ctx, datapath, &zones)
}

pub(super) fn list_policies(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let datapath = listed_datapath(ctx, command.arg(1))?;
    for (number, zone) in zones(ctx, datapath) {
        let text = match policy(ctx, zone) {
            None => "system default".to_owned(),
            Some(policy) => text::bare(&ctx.txn.read(policy, "timeouts")),
        };
        ctx.out.push_str(&format!("Zone:{number}, Timeout Policies: {text}\n"));
    }
    Ok(())
}

/// A zone's number, or `None` for the default.
fn limit_zone(text: &str) -> Result<Option<i64>, Stop> {
    match text.parse() {
        Ok(zone) => Ok(Some(zone)),
        Err(_) if text == "default" => Ok(None),
        Err(_) => Stop::fatal(format!("invalid zone id, {text}")),
    }
}

pub(super) fn set_limit(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let number = limit_zone(command.arg(2))?;
    let Ok(limit) = command.arg(3).parse::<i64>() else {
        return Stop::fatal(format!("invalid limit, {}", command.arg(3)));
    };
    let datapath = datapath(ctx, command.arg(1))?;
    if !(0..=i64::from(u32::MAX)).contains(&limit) {
        return Stop::fatal(format!("limit ({limit}) out of range"));
    }
    let value = Datum::scalar(Atom::Integer(limit));
    let Some(number) = number else {
        return ctx.set(datapath, "ct_zone_default_limit", value);
    };
    if !(0..=i64::from(u16::MAX)).contains(&number) {
        return Stop::fatal(format!("zone_id ({number}) out of range"));
    }
    let mut zones = zones(ctx, datapath);
    let zone = match zones.get(&number) {
        Some(zone) => *zone,
        None => {
            let zone = ctx.insert("CT_Zone")?;
            zones.insert(number, zone);
            set_zones(ctx, datapath, &zones)?;
            zone
        }
    };
    ctx.set(zone, "limit", value)
}

pub(super) fn delete_limit(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let number = limit_zone(command.arg(2))?;
    let name = command.arg(1);
    let datapath = datapath(ctx, name)?;
    let must_exist = !command.has("--if-exists");
    let Some(number) = number else {
        if must_exist && ctx.integer(datapath, "ct_zone_default_limit").is_none() {
            return Stop::fatal(format!("datapath {name} does not have a limit"));
        }
        return ctx.clear(datapath, "ct_zone_default_limit");
    };
    let mut zones = zones(ctx, datapath);
    let zone = zones.get(&number).copied();
    if must_exist && zone.and_then(|zone| ctx.integer(zone, "limit")).is_none() {
        return Stop::fatal(format!("zone_id {number} does not have a limit"));
    }
    let Some(zone) = zone else { return Ok(()) };
    if policy(ctx, zone).is_some() {
        return ctx.clear(zone, "limit");
    }
    zones.remove(&number);
    set_zones(ctx, datapath, &zones)
}

pub(super) fn list_limits(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let datapath = listed_datapath(ctx, command.arg(1))?;
    if let Some(limit) = ctx.integer(datapath, "ct_zone_default_limit") {
        ctx.out.push_str(&format!("Default, Limit: {limit}\n"));
    }
    for (number, zone) in zones(ctx, datapath) {
        if let Some(limit) = ctx.integer(zone, "limit") {
            ctx.out.push_str(&format!("Zone: {number}, Limit: {limit}\n"));
        }
    }
    Ok(())
}

pub(super) fn list_capabilities(ctx: &mut Context<'_, '_>, command: &Command) -> Done {
    let name = command.arg(1);
    let Some(datapath) = find_datapath(ctx, name) else {
        return Stop::fatal(format!("datapath \"{name}\" record not found"));
    };
    let capabilities = text::bare(&ctx.txn.read(datapath, "capabilities"));
    ctx.out.push_str(&format!("{capabilities}\n"));
    Ok(())
}
