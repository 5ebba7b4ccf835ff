//! Changes of single tables in the log, to find out which client changes what.

use crate::database::Commit;
use crate::schema::{COL_VERSION, Schema};
use crate::server::{Event, Server};

impl Server {
    /// Logs the changes of a table from now on, or no more.
    ///
    /// # Errors
    ///
    /// What there is not: the database or the table.
    pub fn log_table(&mut self, database: &str, table: &str, on: bool) -> Result<(), &'static str> {
        let hosted = self.databases.get_mut(database).ok_or("no such database")?;
        hosted.database.schema().table(table).ok_or("no such table")?;
        match on {
            true => hosted.logged.insert(table.to_owned()),
            false => hosted.logged.remove(table),
        };
        Ok(())
    }

    /// All databases with their tables, and whether these are logged.
    pub fn logged_tables(&self) -> impl Iterator<Item = (&str, Vec<(&str, bool)>)> {
        self.databases.iter().map(|(name, hosted)| {
            let tables = hosted.database.schema().tables.iter();
            let mut tables: Vec<(&str, bool)> =
                tables.map(|table| (&*table.name, hosted.logged.contains(&*table.name))).collect();
            tables.sort_unstable();
            (name.as_str(), tables)
        })
    }

    /// Notes what a transaction changed in tables that are logged.
    pub(super) fn log_rows(&mut self, name: &str, commit: &Commit) {
        let Some(hosted) = self.databases.get(name).filter(|hosted| !hosted.logged.is_empty())
        else {
            return;
        };
        let lines = lines(hosted.database.schema(), commit, |table| hosted.logged.contains(table));
        let events = lines.map(|text| Event { warning: false, frequent: true, text });
        // A bound on the memory between two calls.
        let room = 1000_usize.saturating_sub(self.events.len());
        self.events.extend(events.take(room));
    }
}

fn lines<'c>(
    schema: &'c Schema,
    commit: &'c Commit,
    logged: impl Fn(&str) -> bool + 'c,
) -> impl Iterator<Item = String> + 'c {
    commit.changes.iter().filter_map(move |change| {
        let table = &schema.tables[change.table];
        let (row, what) = match (&change.old, &change.new) {
            (None, Some(new)) => (new, "inserted"),
            (Some(_), Some(new)) => (new, "updated"),
            (Some(old), None) => (old, "deleted"),
            (None, None) => return None,
        };
        logged(&table.name).then(|| {
            let columns = table.columns.iter().zip(row.iter()).enumerate();
            let columns: Vec<String> = columns
                .filter(|(at, _)| *at != COL_VERSION)
                .map(|(_, (column, datum))| {
                    format!("{}:{}", column.name, datum.plain_text(&column.ty))
                })
                .collect();
            format!("table:{},op:{what},{}", table.name, columns.join(","))
        })
    })
}
