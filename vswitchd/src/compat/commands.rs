//! Commands that Open vSwitch's test suite calls and operators have no use for.

use datapath::PortNo;

use super::user_datapaths::UserDatapath;
use crate::commands::{Answer, Call, Context};

/// `upcall/enable-ufid`: answers as Open vSwitch and changes nothing. The setting says whether flows
/// of a kernel datapath are dumped without their keys; flows of this datapath are read in memory.
pub fn enable_ufid(_: &Context, _: &Call<'_>) -> Result<Answer, String> {
    Answer::text("Datapath dumping tersely using UFID enabled for supported datapaths")
}

/// `upcall/disable-ufid`: as [`enable_ufid`].
pub fn disable_ufid(_: &Context, _: &Call<'_>) -> Result<Answer, String> {
    Answer::text("Datapath dumping tersely using UFID disabled")
}

fn open(c: &Context, name: &str) -> Result<UserDatapath, String> {
    let found = c.user_datapaths.get(name);
    found.ok_or_else(|| "ovs-vswitchd: opening datapath (No such device)\n".to_owned())
}

/// `dpctl/add-dp`
pub fn add_dp(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let name = call.arg(0).unwrap_or_default();
    let failed = |why: String| format!("ovs-vswitchd: add_dp ({why})\n");
    if c.datapaths().iter().any(|d| d == name) {
        return Err(failed("File exists".to_owned()));
    }
    c.user_datapaths.add(name, c.clock.clone()).map_err(failed)?;
    if call.args.len() > 1 { add_if(c, call) } else { Answer::text("") }
}

/// `dpctl/del-dp`
pub fn del_dp(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let name = call.arg(0).unwrap_or_default();
    if !c.user_datapaths.remove(name) {
        let used = c.datapaths().iter().any(|d| d == name);
        let why = if used {
            "del_dp (Device or resource busy)"
        } else {
            "opening datapath (No such device)"
        };
        return Err(format!("ovs-vswitchd: {why}\n"));
    }
    Answer::text("")
}

/// A port's name and its options, `name,key=value,..`.
fn options(arg: &str) -> (&str, impl Iterator<Item = (&str, &str)>) {
    let mut parts = arg.split(',');
    let name = parts.next().unwrap_or_default();
    (name, parts.map(|p| p.split_once('=').unwrap_or((p, ""))))
}

/// `dpctl/add-if`
pub fn add_if(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let (datapath, ports) = call.args.split_first().ok_or("no datapath is named")?;
    let dp = open(c, datapath)?;
    let mut errors = String::new();
    for port in ports {
        let (name, options) = options(port);
        let (mut kind, mut wanted) = ("system", None);
        for (key, value) in options {
            match key {
                "type" => kind = value,
                "port_no" => wanted = Some(PortNo(value.parse().unwrap_or(0))),
                _ => {}
            }
        }
        if !matches!(kind, "dummy" | "dummy-pmd" | "dummy-internal") {
            errors += &format!(
                "ovs-vswitchd: {name}: failed to open network device \
                 (Address family not supported by protocol)\n"
            );
        } else if let Err(why) = dp.add(name, kind, wanted) {
            errors += &format!("ovs-vswitchd: adding {name} to {datapath} failed ({why})\n");
        }
    }
    if errors.is_empty() { Answer::text("") } else { Err(errors) }
}

/// `dpctl/set-if`: a dummy device has nothing to change; what is asked for must be what it has.
pub fn set_if(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let (datapath, ports) = call.args.split_first().ok_or("no datapath is named")?;
    let dp = open(c, datapath)?;
    let mut errors = String::new();
    for port in ports {
        let (name, options) = options(port);
        let Some(number) = dp.number(name) else {
            errors += &format!(
                "ovs-vswitchd: {name}: failed to query port in {datapath} (No such device)\n"
            );
            continue;
        };
        let kind = dp.view.lock().ports.get(&number).map(|(_, k)| k.clone()).unwrap_or_default();
        for (key, value) in options {
            if key == "type" && value != kind {
                errors +=
                    &format!("ovs-vswitchd: {name}: can't change type from {kind} to {value}\n");
            } else if key == "port_no" && value.parse().ok() != Some(number.0) {
                errors += &format!(
                    "ovs-vswitchd: {name}: can't change port number from {number} to {value}\n"
                );
            }
        }
    }
    if errors.is_empty() { Answer::text("") } else { Err(errors) }
}
