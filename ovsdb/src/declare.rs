//! Schemas declared in Rust: one source for the schema's text and for all that is derived from it.

use std::collections::{BTreeMap, BTreeSet};

use crate::schema::{
    AtomicType, BaseType, ColumnSchema, ColumnType, DatabaseSchema, RefType, TableSchema,
};
use crate::uuid::Uuid;
use crate::value::Atom;

/// A database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tab {
    /// Its name.
    pub name: &'static str,
    /// Its columns.
    pub columns: &'static [Col],
    /// Rows stay without being referred to.
    pub is_root: bool,
    /// Most rows; `u32::MAX` means no bound.
    pub max_rows: u32,
    /// Columns whose values together are unique; empty = none.
    pub index: &'static [&'static str],
}

/// A column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Col {
    /// Its name.
    pub name: &'static str,
    /// What it takes.
    pub takes: Takes,
    /// Not kept on disk.
    pub ephemeral: bool,
    /// May change after the row is inserted.
    pub mutable: bool,
    /// Only schemas of later versions have it: it is not in the declared one's text.
    pub later: bool,
}

/// A single value's type with its constraints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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

/// A Rust type of single values.
pub trait Atomic {
    /// Its type in a schema.
    const KIND: AtomicType;
}

/// A Rust type of a column's values: the bare type where there must be one, `Option` where there
/// may be none, a sorted `Vec` for a set, a `BTreeMap` for a map.
pub trait Typed {
    /// The type in a schema, without constraints.
    const TAKES: Takes;
}

impl Single {
    const fn of<T: Atomic>() -> Single {
        Single { kind: T::KIND, texts: &[], integers: (i64::MIN, i64::MAX), refers_to: None }
    }
}

macro_rules! atomic {
    ($($ty:ty: $kind:ident,)*) => { $(
        impl Atomic for $ty {
            const KIND: AtomicType = AtomicType::$kind;
        }
        impl Typed for $ty {
            const TAKES: Takes = Takes { key: Single::of::<$ty>(), value: None, min: 1, max: 1 };
        }
    )* };
}
atomic! { i64: Integer, f64: Real, bool: Boolean, String: String, Uuid: Uuid, }

impl<T: Atomic> Typed for Option<T> {
    const TAKES: Takes = Takes { key: Single::of::<T>(), value: None, min: 0, max: 1 };
}

impl<T: Atomic> Typed for Vec<T> {
    const TAKES: Takes = Takes { key: Single::of::<T>(), value: None, min: 0, max: u32::MAX };
}

impl<K: Atomic, V: Atomic> Typed for BTreeMap<K, V> {
    const TAKES: Takes =
        Takes { key: Single::of::<K>(), value: Some(Single::of::<V>()), min: 0, max: u32::MAX };
}

impl Takes {
    /// True if values of a server's column are of this Rust type, and its differences apply.
    /// Constraints may be others.
    pub fn fits(&self, server: &ColumnType) -> bool {
        let value = self.value.as_ref().map(|value| value.kind);
        self.key.kind == server.key.kind
            && value == server.value.as_ref().map(|value| value.kind)
            && (self.max > 1) == (server.max > 1)
    }
}

/// A field's name without the `r#` that a keyword needs in Rust.
pub const fn plain_name(field: &'static str) -> &'static str {
    match field.as_bytes() {
        [b'r', b'#', ..] => field.split_at(2).1,
        _ => field,
    }
}

impl Col {
    /// A column of this type that may change and is kept on disk.
    pub const fn of<T: Typed>(name: &'static str) -> Col {
        Col { name, takes: T::TAKES, ephemeral: false, mutable: true, later: false }
    }

    /// It is not kept on disk.
    pub const fn ephemeral(mut self) -> Col {
        self.ephemeral = true;
        self
    }

    /// A server of a later version may have it; the declared schema does not.
    pub const fn later(mut self) -> Col {
        self.later = true;
        self
    }

    /// It does not change.
    pub const fn fixed(mut self) -> Col {
        self.mutable = false;
        self
    }

    /// At most so many elements.
    pub const fn up_to(mut self, max: u32) -> Col {
        self.takes.max = max;
        self
    }

    /// At least one element.
    pub const fn some(mut self) -> Col {
        self.takes.min = 1;
        self
    }

    /// Integers, or a map's keys, of a range.
    pub const fn range(mut self, min: i64, max: i64) -> Col {
        self.takes.key.integers = (min, max);
        self
    }

    /// Only these texts, or keys.
    pub const fn one_of(mut self, texts: &'static [&'static str]) -> Col {
        self.takes.key.texts = texts;
        self
    }

    /// Rows of a table, which are kept by being referred to.
    pub const fn strong(mut self, table: &'static str) -> Col {
        self.takes.key.refers_to = Some((table, RefType::Strong));
        self
    }

    /// Rows of a table; a reference goes when the row goes.
    pub const fn weak(mut self, table: &'static str) -> Col {
        self.takes.key.refers_to = Some((table, RefType::Weak));
        self
    }

    /// A map's values: integers of a range.
    pub const fn value_range(mut self, min: i64, max: i64) -> Col {
        if let Some(value) = &mut self.takes.value {
            value.integers = (min, max);
        }
        self
    }

    /// A map's values: rows of a table, which are kept by being referred to.
    pub const fn value_strong(mut self, table: &'static str) -> Col {
        if let Some(value) = &mut self.takes.value {
            value.refers_to = Some((table, RefType::Strong));
        }
        self
    }
}

impl Tab {
    /// A table whose rows are kept by being referred to.
    pub const fn new(name: &'static str, columns: &'static [Col]) -> Tab {
        Tab { name, columns, is_root: false, max_rows: u32::MAX, index: &[] }
    }

    /// Its rows stay.
    pub const fn root(mut self) -> Tab {
        self.is_root = true;
        self
    }

    /// With a bound on the number of rows.
    pub const fn max_rows(mut self, max: u32) -> Tab {
        self.max_rows = max;
        self
    }

    /// With an index.
    pub const fn index(mut self, columns: &'static [&'static str]) -> Tab {
        self.index = columns;
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
        let table = |table: &Tab| TableSchema {
            columns: table
                .columns
                .iter()
                .filter(|declared| !declared.later)
                .map(|declared| (declared.name.to_owned(), column(declared)))
                .collect::<BTreeMap<_, _>>(),
            max_rows: table.max_rows,
            is_root: table.is_root,
            indexes: match table.index {
                [] => Vec::new(),
                names => vec![names.iter().map(|name| (*name).to_owned()).collect()],
            },
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
