//! `options/list`: the keys of the database's columns that the daemon reads.

use config::reference::{self, Entry};
use serde_json::Value;

use super::context::{Answer, Call, Context};

/// `options/list [TABLE | TABLE.COLUMN | KEY]`.
///
/// # Errors
///
/// There is no such table, column or key.
pub fn list(_: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let found = match call.arg(0) {
        None => reference::entries(),
        Some(name) => reference::find(name)?,
    };
    if call.json {
        return Ok(Answer::Json(Value::Array(found.iter().map(Entry::to_json).collect())));
    }
    Answer::text(found.iter().map(text).collect::<Vec<_>>().join("\n"))
}

fn text(e: &Entry) -> String {
    let mut out = format!("{}\n  {}\n  accepted: {}\n", e.name(), e.about, e.accepted);
    let modes = e.modes.join(", ");
    for (name, value) in [("default", &e.default), ("bond modes", &modes), ("since", &e.origin())] {
        if !value.is_empty() {
            out += &format!("  {name}: {value}\n");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn option_as_text_has_one_line_per_property() {
        let found = reference::find("bond-failback-delay").unwrap();
        assert_eq!(
            text(&found[0]),
            "Port.other_config:bond-failback-delay\n  \
             how long a better member must have been enabled before it takes over\n  \
             accepted: 0 or 1 to 2147483647 (ms, 0 = none)\n  default: 0\n  \
             bond modes: active-backup, balance-tlb\n  since: Braid 0.1.0\n"
        );
        let found = reference::find("hwaddr").unwrap();
        assert!(!text(&found[0]).contains("  default:") && !text(&found[0]).contains("modes"));
    }
}
