//! Rows of `Flow_Table`.

use std::collections::BTreeMap;

use wire::Time;

use super::Agent;
use super::types::Host;
use crate::tables::{Changes, INTERNAL_TABLE, TableSettings};

impl Agent {
    /// Takes over the settings of flow tables, by table; a table without any has the default.
    /// Controllers are told of the flows that have to go.
    pub fn configure_tables(
        &mut self,
        now: Time,
        settings: &BTreeMap<u8, TableSettings>,
        host: &dyn Host,
    ) {
        let default = TableSettings::default();
        let evicted = self.with_tables(host, |t| {
            let mut changes = Changes::default();
            for table in 0..=INTERNAL_TABLE {
                changes.extend(t.configure_table(table, settings.get(&table).unwrap_or(&default)));
            }
            changes
        });
        if let Ok(evicted) = evicted {
            self.report(now, &evicted);
            self.flush_monitors(host);
        }
    }
}
