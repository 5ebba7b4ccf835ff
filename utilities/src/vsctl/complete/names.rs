//! Names of rows and devices.

use std::time::{Duration, Instant};

use ovsdb_client::{Caller, TlsSettings};
use serde_json::{Value, json};
use stream::target::split_list;

use super::super::db::link;

/// Longest that a shell waits for names.
const PATIENCE: Duration = Duration::from_secs(1);

/// Where names come from.
pub(super) trait Source {
    /// The values of a column of texts, or `_uuid`; empty if the database cannot be reached.
    fn column(&mut self, table: &str, column: &str) -> Vec<String>;

    /// The keys of a map column in the row whose column `name` is `record`, or in all rows without
    /// `name`.
    fn keys(&mut self, table: &str, name: Option<&str>, record: &str, column: &str) -> Vec<String>;

    /// The host's network devices.
    fn devices(&mut self) -> Vec<String>;
}

/// The database, and the host. Nothing takes longer than a second in all.
pub(super) struct Live {
    database: String,
    deadline: Instant,
    link: Option<Caller>,
}

impl Live {
    /// `database`: addresses with commas between.
    pub(super) fn new(database: String) -> Live {
        Live { database, deadline: Instant::now() + PATIENCE, link: None }
    }

    fn select(&mut self, table: &str, condition: Value, column: &str) -> Vec<Value> {
        let operation = json!({
            "op": "select", "table": table, "where": condition, "columns": [column],
        });
        let params = json!(["Open_vSwitch", operation]).to_string();
        if self.link.is_none() {
            // What needs keys or comes to us is not tried.
            let usable =
                |address: &&&str| address.starts_with("unix:") || address.starts_with("tcp:");
            let addresses = split_list(&self.database);
            self.link = addresses.iter().filter(usable).find_map(|address| {
                link::open(address, &TlsSettings::default(), Some(self.deadline)).ok()
            });
        }
        let answer = self.link.as_mut().and_then(|link| link.call("transact", &params).ok());
        let Some(Ok(answer)) = answer else { return Vec::new() };
        let answer: Value = serde_json::from_str(answer.get()).unwrap_or_default();
        let rows = answer[0]["rows"].as_array().cloned().unwrap_or_default();
        rows.into_iter().map(|mut row| row[column].take()).collect()
    }
}

impl Source for Live {
    fn column(&mut self, table: &str, column: &str) -> Vec<String> {
        let text = |value: Value| match value {
            Value::String(text) => Some(text),
            // `["uuid", "…"]`.
            value => value[1].as_str().map(str::to_owned),
        };
        self.select(table, json!([]), column).into_iter().filter_map(text).collect()
    }

    fn keys(&mut self, table: &str, name: Option<&str>, record: &str, column: &str) -> Vec<String> {
        let condition = name.map_or(json!([]), |name| json!([[name, "==", record]]));
        let maps = self.select(table, condition, column);
        // `["map", [[key, value], ...]]`.
        let pairs = maps.iter().filter_map(|map| map[1].as_array()).flatten();
        pairs.filter_map(|pair| pair[0].as_str().map(str::to_owned)).collect()
    }

    fn devices(&mut self) -> Vec<String> {
        let Ok(entries) = std::fs::read_dir("/sys/class/net") else { return Vec::new() };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        names.filter(|name| name != "lo" && name != "ovs-system").collect()
    }
}
