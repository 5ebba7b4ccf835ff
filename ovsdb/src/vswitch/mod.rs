//! The schema of the switch's database, `Open_vSwitch` (`ovs-vswitchd.conf.db(5)`).
//!
//! Tables and columns are declared in one place, [`crate::open_vswitch_tables`]: the text that
//! `get_schema` answers and the typed rows of `ovsdb-client` come from it.

mod tables;

use std::collections::BTreeMap;

use crate::declare::{Col, Db, Tab, plain_name};
use crate::uuid::Uuid;

/// Names and values of `other_config` and the like.
pub type StringMap = BTreeMap<String, String>;
/// Names and counters.
pub type CounterMap = BTreeMap<String, i64>;

macro_rules! schema {
    ($(
        $(#[$row_meta:meta])*
        $Row:ident $Columns:ident $table:literal $rows:ident
        $(: $($table_rule:ident $(($($table_arg:expr),*))?),+)? {
            $(
                $(#[$meta:meta])*
                $class:ident $column:ident : $ty:ty
                $(where $($rule:ident $(($($arg:expr),*))?),+)?;
            )*
        }
    )*) => {
        &[$(
            Tab::new($table, &[$(
                Col::of::<$ty>(plain_name(stringify!($column)))
                    $($(.$rule($($($arg),*)?))+)?,
            )*])
            $($(.$table_rule($($($table_arg),*)?))+)?,
        )*]
    };
}

/// The schema of `Open_vSwitch`.
pub const DATABASE: Db = Db {
    name: "Open_vSwitch",
    version: "8.3.1",
    cksum: "3012963480 26720",
    tables: crate::open_vswitch_tables!(schema),
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DatabaseSchema;

    /// Where Debian's `openvswitch-common` has it.
    const INSTALLED: &str = "/usr/share/openvswitch/vswitch.ovsschema";

    #[test]
    fn schema_equals_the_references_in_every_table_and_column() {
        let ours = DATABASE.schema();
        let text = match std::fs::read_to_string(INSTALLED) {
            Ok(text) => text,
            Err(error) => {
                // Loud, but no failure: the package need not be there to build this.
                eprintln!("NOT COMPARED: {INSTALLED}: {error}");
                return;
            }
        };
        let theirs = DatabaseSchema::parse(&text).unwrap();
        assert_eq!(
            (&ours.name, &ours.version, &ours.cksum),
            (&theirs.name, &theirs.version, &theirs.cksum)
        );
        let names = |schema: &DatabaseSchema| schema.tables.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&ours), names(&theirs));
        for (name, table) in &theirs.tables {
            let own = &ours.tables[name];
            let columns = table.columns.keys().collect::<Vec<_>>();
            assert_eq!(own.columns.keys().collect::<Vec<_>>(), columns, "{name}");
            for (column, schema) in &table.columns {
                assert_eq!(&own.columns[column], schema, "{name}.{column}");
            }
            assert_eq!(own, table, "{name}");
        }
    }

    #[test]
    fn schema_text_reads_back() {
        let schema = DATABASE.schema();
        assert_eq!(DatabaseSchema::parse(&schema.to_json()).unwrap(), schema);
    }
}
