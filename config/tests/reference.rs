//! The list of options.

use config::reference::{self, Values};

/// `docs/options.md` is made from the tables: `BRAID_BLESS=1` writes it anew.
#[test]
fn options_file_is_current() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/options.md");
    let text = reference::markdown();
    if std::env::var_os("BRAID_BLESS").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let is = std::fs::read_to_string(path).unwrap_or_default();
    assert!(is == text, "docs/options.md is out of date: BRAID_BLESS=1 cargo test -p config");
}

#[test]
fn every_option_says_since_when_and_in_which_unit() {
    const UNITS: &[&str] =
        &["", "ms", "s", "flows", "tags", "packets", "packets in a second", "per hour", "members"];
    let mut keys = std::collections::BTreeSet::new();
    for e in reference::entries() {
        let name = format!("{}.{}:{}", e.table, e.column, e.key);
        assert!(keys.insert(name.clone()), "{name} is there twice");
        let version = e.since.split('.').map(str::parse::<u32>).filter(Result::is_ok).count() == 3;
        let since = e.since == "Open vSwitch" || version;
        assert!(since, "{name}: .since(OVS), or .since(\"0.1.0\") of Braid's own");
        assert!(!e.about.is_empty() && !e.about.ends_with('.') && !e.about.contains('|'), "{name}");
        match e.values {
            Values::Number { min, max, zero, unit, note } => {
                assert!(UNITS.contains(&unit), "{name}: {unit} is no unit: .note(..), or UNITS");
                let default: i64 = e.default.parse().unwrap();
                let accepted = (min..=max).contains(&default) || (zero && default == 0);
                assert!(accepted, "{name}: default {default}");
                assert!(!note.contains('|'), "{name}");
            }
            Values::Words(words) => assert!(words.contains(&e.default.as_str()), "{name}"),
            Values::Flag | Values::Address | Values::Text(_) => {}
        }
    }
}

#[test]
fn options_are_found_by_table_by_column_and_by_key() {
    let names = |name: &str| -> Vec<String> {
        reference::find(name).unwrap().iter().map(reference::Entry::name).collect()
    };
    assert!(names("port").len() > 10);
    assert!(names("Interface.bfd").iter().all(|name| name.starts_with("Interface.bfd:")));
    for name in ["dscp", "other_config:dscp", "Controller.other_config:dscp"] {
        assert_eq!(names(name), ["Controller.other_config:dscp"], "{name}");
    }
    let refused = |name| reference::find(name).unwrap_err();
    assert_eq!(
        refused("bond-primry"),
        "bond-primry: no such table, column or option; did you mean bond-primary?"
    );
    assert_eq!(refused("\n"), "\\n: no such table, column or option");
}

#[test]
fn an_option_as_json_says_all_of_its_row() {
    let find = |key: &str| {
        let found = reference::entries().into_iter().find(|e| e.key == key).unwrap();
        found.to_json()
    };
    assert_eq!(
        find("bond-failback-limit"),
        serde_json::json!({
            "table": "Port", "column": "other_config", "key": "bond-failback-limit",
            "type": "integer", "minimum": 1, "maximum": 1_000_000, "zero": true,
            "unit": "per hour", "note": "0 = no limit", "default": 0,
            "modes": ["active-backup", "balance-tlb"], "since": "Braid 0.1.0",
            "description": "how often in an hour a better member takes over",
        })
    );
    let word = find("bond-primary-reselect");
    assert_eq!(word["words"], serde_json::json!(["always", "better", "failure"]));
    assert_eq!((&word["type"], &word["default"]), (&"word".into(), &"always".into()));
    assert_eq!(find("lb-output-action")["default"], false);
    assert_eq!(find("lb-output-action")["since"], "Open vSwitch");
    assert_eq!(find("hwaddr")["default"], serde_json::Value::Null);
}
