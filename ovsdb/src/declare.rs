//! Schemas declared in Rust: one source for the schema's text and for whatever is derived from it.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::{
    AtomicType, BaseType, ColumnSchema, ColumnType, DatabaseSchema, RefType, TableSchema,
};
use crate::value::Atom;

/// A database.
#[derive(Debug, Clone, Copy)]
pub struct Db {
    /// Its name.
    pub name: &'static str,
    /// `x.y.z`.
    pub version: &'static str,
    /// Checksum of the text that clients know the schema by.
    pub cksum: &'static str,
    /// Its tables.
    pub tables: &'static [Tab],
}

/// A table.
#[derive(Debug, Clone, Copy)]
pub struct Tab {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [Col],
    /// Rows stay without being referred to.
    pub is_root: bool,
    /// Most rows; `u32::MAX` means no bound.
    pub max_rows: u32,
    /// Sets of columns whose values together are unique.
    pub indexes: &'static [&'static [&'static str]],
}

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Col {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// Not kept on disk.
    pub ephemeral: bool,
    /// May change after the row is inserted.
    pub mutable: bool,
}

/// A single value's type with its constraints.
#[derive(Debug, Clone, Copy)]
pub struct Single {
    /// Its type.
    pub kind: AtomicType,
    /// The only texts accepted, if there are any.
    pub texts: &'static [&'static str],
    /// Smallest and largest integer.
    pub integers: (i64, i64),
    /// The table that a UUID refers to, and how.
    pub refers_to: Option<(&'static str, RefType)>,
}

/// What a column takes.
#[derive(Debug, Clone, Copy)]
pub struct Takes {
    /// A set's elements or a map's keys.
    pub key: Single,
    /// A map's values.
    pub value: Option<Single>,
    /// Fewest elements: 0 or 1.
    pub min: u32,
    /// Most elements; `u32::MAX` means no bound.
    pub max: u32,
}

const fn one(kind: AtomicType) -> Takes {
    let key = Single { kind, texts: &[], integers: (i64::MIN, i64::MAX), refers_to: None };
    Takes { key, value: None, min: 1, max: 1 }
}

/// One integer.
pub const fn integer() -> Takes {
    one(AtomicType::Integer)
}

/// One integer of a range.
pub const fn range(min: i64, max: i64) -> Takes {
    let mut takes = one(AtomicType::Integer);
    takes.key.integers = (min, max);
    takes
}

/// One real.
pub const fn real() -> Takes {
    one(AtomicType::Real)
}

/// True or false.
pub const fn boolean() -> Takes {
    one(AtomicType::Boolean)
}

/// One text.
pub const fn string() -> Takes {
    one(AtomicType::String)
}

/// One of these texts.
pub const fn one_of(texts: &'static [&'static str]) -> Takes {
    let mut takes = one(AtomicType::String);
    takes.key.texts = texts;
    takes
}

/// One row identifier.
pub const fn uuid() -> Takes {
    one(AtomicType::Uuid)
}

/// A row of a table, which is kept by being referred to.
pub const fn strong(table: &'static str) -> Takes {
    let mut takes = one(AtomicType::Uuid);
    takes.key.refers_to = Some((table, RefType::Strong));
    takes
}

/// A row of a table; the reference goes when the row goes.
pub const fn weak(table: &'static str) -> Takes {
    let mut takes = one(AtomicType::Uuid);
    takes.key.refers_to = Some((table, RefType::Weak));
    takes
}

impl Takes {
    /// None or one.
    pub const fn optional(self) -> Takes {
        self.up_to(1)
    }

    /// None, or as many as this.
    pub const fn up_to(mut self, max: u32) -> Takes {
        self.min = 0;
        self.max = max;
        self
    }

    /// Any number.
    pub const fn set(self) -> Takes {
        self.up_to(u32::MAX)
    }

    /// Any number but none.
    pub const fn some(mut self) -> Takes {
        self.max = u32::MAX;
        self
    }

    /// A map of any number from values like this one to values like another.
    pub const fn to(mut self, value: Takes) -> Takes {
        self.value = Some(value.key);
        self.set()
    }
}

impl Col {
    /// A column that may change and is kept on disk.
    pub const fn new(name: &'static str, takes: Takes) -> Col {
        Col { name, takes, ephemeral: false, mutable: true }
    }

    /// It is not kept on disk.
    pub const fn ephemeral(mut self) -> Col {
        self.ephemeral = true;
        self
    }

    /// It does not change.
    pub const fn fixed(mut self) -> Col {
        self.mutable = false;
        self
    }
}

impl Tab {
    /// A table whose rows are kept by being referred to.
    pub const fn new(name: &'static str, columns: &'static [Col]) -> Tab {
        Tab { name, columns, is_root: false, max_rows: u32::MAX, indexes: &[] }
    }

    /// A table whose rows stay.
    pub const fn root(name: &'static str, columns: &'static [Col]) -> Tab {
        let mut table = Tab::new(name, columns);
        table.is_root = true;
        table
    }

    /// With a bound on the number of rows.
    pub const fn max_rows(mut self, max: u32) -> Tab {
        self.max_rows = max;
        self
    }

    /// With indexes.
    pub const fn indexes(mut self, indexes: &'static [&'static [&'static str]]) -> Tab {
        self.indexes = indexes;
        self
    }
}

impl Single {
    fn schema(&self) -> BaseType {
        let texts: BTreeSet<Atom> =
            self.texts.iter().map(|text| Atom::String((*text).to_owned())).collect();
        BaseType {
            enumeration: (!texts.is_empty()).then_some(texts),
            integers: self.integers,
            refers_to: self.refers_to.map(|(table, how)| (table.to_owned(), how)),
            ..BaseType::plain(self.kind)
        }
    }
}

impl Db {
    /// The declared schema.
    pub fn schema(&self) -> DatabaseSchema {
        let column = |column: &Col| ColumnSchema {
            column_type: ColumnType {
                key: column.takes.key.schema(),
                value: column.takes.value.as_ref().map(Single::schema),
                min: column.takes.min,
                max: column.takes.max,
            },
            ephemeral: column.ephemeral,
            mutable: column.mutable,
        };
        let strings = |names: &&[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let table = |table: &Tab| TableSchema {
            columns: table
                .columns
                .iter()
                .map(|declared| (declared.name.to_owned(), column(declared)))
                .collect::<BTreeMap<_, _>>(),
            max_rows: table.max_rows,
            is_root: table.is_root,
            indexes: table.indexes.iter().map(strings).collect(),
        };
        DatabaseSchema {
            name: self.name.to_owned(),
            version: self.version.to_owned(),
            cksum: Some(self.cksum.to_owned()),
            tables: self
                .tables
                .iter()
                .map(|declared| (declared.name.to_owned(), table(declared)))
                .collect(),
        }
    }
}
