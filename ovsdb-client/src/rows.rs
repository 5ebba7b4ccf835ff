//! The rows of the `Open_vSwitch` database that a switch reads and writes, as Rust types.
//!
//! The declaration that makes the schema ([`ovsdb::open_vswitch_tables`]) also makes, for each table:
//! the row's struct, its columns as typed constants (`Interface::COL.link_state`), its place in
//! [`Tables`] and its decoding. The fields are named like the columns of `vswitch.ovsschema`, and
//! `ovs-vswitchd.conf.db(5)` says what they mean.
//!
//! Shapes: a column that must have one value is the bare type, one that may be empty is an
//! `Option`, a set is a sorted `Vec`, a map is a `BTreeMap`. References to rows are their [`Uuid`]s.
//! Enumerations stay text, so that a value of a newer schema reaches the code that can name it in a
//! warning. A column that the server's schema lacks keeps its default: zero, false or empty.
//!
//! `config` columns are the operator's: a change in one raises [`crate::Db::config_seqno`].
//! `status` columns are written by the switch: they are followed, so that only what differs is
//! written, and their changes raise nothing.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::Uuid;
use ovsdb::declare::{Col, Typed, plain_name};
pub use ovsdb::vswitch::{CounterMap, StringMap};

use crate::atom::ValueError;
use crate::column::{Class, Column, ColumnInfo, ColumnValue};

/// A row of one table.
pub trait Row: Default + Clone + PartialEq + std::fmt::Debug + Send + 'static {
    /// The table it belongs to.
    const TABLE: Table;
    /// Its columns in declaration order.
    const COLUMNS: &'static [ColumnInfo];

    /// Replaces one column by a JSON value. `None` if the row has no such column.
    fn set_json(&mut self, column: &str, json: &str) -> Option<Result<(), ValueError>>;

    /// Applies the difference that `update2` and `update3` send. `None` if there is no such column.
    fn apply_json(&mut self, column: &str, json: &str) -> Option<Result<(), ValueError>>;

    /// The columns in which `self` and `new` differ, each with `new`'s value as JSON.
    fn changed(&self, new: &Self) -> Vec<(ColumnInfo, String)>;

    /// The rows of this table in a replica.
    fn rows(tables: &Tables) -> &BTreeMap<Uuid, Self>;

    /// The same, to change them.
    fn rows_mut(tables: &mut Tables) -> &mut BTreeMap<Uuid, Self>;
}

/// Something that is done for a table whose row type is only known when the program runs.
pub trait TableVisitor {
    /// What it gives back.
    type Output;
    /// Does it for the table of `R`.
    fn visit<R: Row>(self) -> Self::Output;
}

macro_rules! class {
    (config) => {
        Class::Config
    };
    (status) => {
        Class::Status
    };
}

macro_rules! rows {
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
        /// The tables that have typed rows.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Table {
            $( #[doc = concat!("`", $table, "`.")] $Row, )*
        }

        impl Table {
            /// Every table, in declaration order.
            pub const ALL: &'static [Table] = &[ $( Table::$Row, )* ];

            /// The table's name in the schema.
            pub const fn name(self) -> &'static str {
                match self { $( Table::$Row => $table, )* }
            }

            /// The table of this name.
            pub fn from_name(name: &str) -> Option<Table> {
                match name { $( $table => Some(Table::$Row), )* _ => None }
            }

            /// The table's columns.
            pub const fn columns(self) -> &'static [ColumnInfo] {
                match self { $( Table::$Row => <$Row as Row>::COLUMNS, )* }
            }
        }

        /// The rows of all tables by UUID.
        #[derive(Debug, Clone, Default, PartialEq)]
        pub struct Tables {
            $( #[doc = concat!("Rows of `", $table, "`.")] pub $rows: BTreeMap<Uuid, $Row>, )*
        }

        impl Tables {
            /// The UUIDs of a table's rows, in order.
            pub fn uuids(&self, table: Table) -> BTreeSet<Uuid> {
                match table { $( Table::$Row => self.$rows.keys().copied().collect(), )* }
            }
        }


        impl Table {
            /// Calls the visitor with the row type that belongs to this table.
            pub fn visit<V: TableVisitor>(self, visitor: V) -> V::Output {
                match self { $( Table::$Row => visitor.visit::<$Row>(), )* }
            }
        }

        $(
            $(#[$row_meta])*
            #[derive(Debug, Clone, Default, PartialEq)]
            pub struct $Row { $( $(#[$meta])* pub $column: $ty, )* }

            #[doc = concat!("The columns of `", $table, "`, typed.")]
            #[derive(Debug, Clone, Copy)]
            pub struct $Columns {
                $( #[doc = concat!("`", stringify!($column), "`.")]
                   pub $column: Column<$Row, $ty>, )*
            }

            impl $Row {
                /// The columns, to write them in a transaction.
                pub const COL: $Columns = $Columns { $( $column: Column::new(
                    ColumnInfo {
                        name: plain_name(stringify!($column)),
                        class: class!($class),
                        takes: <$ty as Typed>::TAKES,
                        later: Col::of::<$ty>("")$($(.$rule($($($arg),*)?))+)?.later,
                    },
                    |row| &row.$column,
                ), )* };
            }

            impl Row for $Row {
                const TABLE: Table = Table::$Row;
                const COLUMNS: &'static [ColumnInfo] = &[ $( $Row::COL.$column.info, )* ];

                fn set_json(&mut self, column: &str, json: &str) -> Option<Result<(), ValueError>> {
                    $( if column == const { plain_name(stringify!($column)) } {
                        return Some(<$ty as ColumnValue>::decode(json).map(|value| self.$column = value));
                    } )*
                    None
                }

                fn apply_json(&mut self, column: &str, json: &str) -> Option<Result<(), ValueError>> {
                    $( if column == const { plain_name(stringify!($column)) } {
                        return Some(self.$column.apply(json));
                    } )*
                    None
                }

                fn changed(&self, new: &Self) -> Vec<(ColumnInfo, String)> {
                    let mut changed = Vec::new();
                    $( if self.$column != new.$column {
                        let mut json = String::new();
                        ColumnValue::encode(&new.$column, &mut json);
                        changed.push(($Row::COL.$column.info, json));
                    } )*
                    changed
                }

                fn rows(tables: &Tables) -> &BTreeMap<Uuid, Self> {
                    &tables.$rows
                }

                fn rows_mut(tables: &mut Tables) -> &mut BTreeMap<Uuid, Self> {
                    &mut tables.$rows
                }
            }
        )*
    };
}

ovsdb::open_vswitch_tables!(rows);
