//! `bfd/*` and `cfm/*`.

use bond::Monitor;

use super::context::{Answer, Call, Context};

/// `bfd/show`.
pub fn bfd_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let mut all = c.links.bfds().map_err(|e| e.to_string())?;
    let Some(name) = call.arg(0) else {
        return call.show(&all, |all| all.iter().map(|s| s.render_show()).collect());
    };
    all.retain(|s| s.name == name);
    if all.is_empty() {
        return Err("no such bfd object".to_owned());
    }
    call.show(&all, |all| all.iter().map(|s| s.render_details()).collect())
}

/// `cfm/show`.
pub fn cfm_show(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let mut all = c.links.cfms().map_err(|e| e.to_string())?;
    if let Some(name) = call.arg(0) {
        all.retain(|s| s.name == name);
        if all.is_empty() {
            return Err("no such CFM object".to_owned());
        }
    }
    call.show(&all, |all| all.iter().map(|s| s.render_show()).collect())
}

/// `bfd/set-forwarding`.
pub fn bfd_set_forwarding(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    force(c, call, Monitor::Bfd, "no such BFD object")
}

/// `cfm/set-fault`.
pub fn cfm_set_fault(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    force(c, call, Monitor::Cfm, "no such CFM object")
}

/// `[INTERFACE] normal|false|true`.
fn force(c: &Context, call: &Call<'_>, monitor: Monitor, unknown: &str) -> Result<Answer, String> {
    let (link, what) = match (call.arg(0), call.arg(1)) {
        (Some(link), Some(what)) => (Some(link), what),
        (what, _) => (None, what.unwrap_or_default()),
    };
    let forced = match what.to_ascii_lowercase().as_str() {
        "true" => Some(true),
        "false" => Some(false),
        "normal" => None,
        _ => return Err("unknown fault string".to_owned()),
    };
    match c.links.force(monitor, link, forced) {
        Ok(true) => Answer::text("OK"),
        Ok(false) => Err(unknown.to_owned()),
        Err(e) => Err(e.to_string()),
    }
}
