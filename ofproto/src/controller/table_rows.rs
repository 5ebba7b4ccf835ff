//! Rows of `Flow_Table`.

use std::collections::BTreeMap;

use wire::Time;

use super::agent::Agent;
use super::types::SwitchOps;
use crate::tables::{INTERNAL_TABLE, RuleChanges, TableSettings};

impl Agent {
    /// Takes over the settings of flow tables, by table; a table without any has the default.
    /// Controllers are told of the flows that have to go.
    pub fn configure_tables(
        &mut self,
        now: Time,
        settings: &BTreeMap<u8, TableSettings>,
        ops: &dyn SwitchOps,
    ) {
        let default = TableSettings::default();
        let evicted = self.tables.with(ops, |t| {
            let mut changes = RuleChanges::default();
            for table in 0..=INTERNAL_TABLE {
                changes.extend(t.configure_table(table, settings.get(&table).unwrap_or(&default)));
            }
            changes
        });
        if let Ok(evicted) = evicted {
            self.report(now, &evicted);
            self.flush_monitors(ops);
        }
    }
}
