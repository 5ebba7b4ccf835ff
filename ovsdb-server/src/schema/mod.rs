//! Schemas as the engine uses them: tables and columns by number, references resolved.

use std::collections::HashMap;

use ovsdb::schema::{self as wire, AtomicType, DatabaseSchema, RefType};
use ovsdb::value::push_json_string;

use crate::error::{Error, Result};
use crate::table::Row;
use crate::value::{Atom, Datum};

/// The column `_uuid` of every table.
pub const COL_UUID: usize = 0;
/// The column `_version` of every table.
pub const COL_VERSION: usize = 1;

/// A reference to rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The table's number.
    pub table: usize,
    /// True if the reference is removed with the row instead of keeping the row (a weak reference).
    pub weak: bool,
}

/// A single value's type with its constraints.
#[derive(Debug, Clone, PartialEq)]
pub struct Base {
    /// Its type.
    pub kind: AtomicType,
    /// The only values accepted, in order, if there is such a list.
    pub enumeration: Option<Vec<Atom>>,
    /// Smallest and largest integer.
    pub integers: (i64, i64),
    /// Smallest and largest real.
    pub reals: (f64, f64),
    /// Shortest and longest text in characters.
    pub lengths: (u64, u64),
    /// What a UUID refers to.
    pub refers: Option<Reference>,
}

/// What a column takes.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    /// A set's elements or a map's keys.
    pub key: Base,
    /// A map's values.
    pub value: Option<Base>,
    /// Fewest elements, 0 or 1.
    pub min: u32,
    /// Most elements; `u32::MAX` means no bound.
    pub max: u32,
}

/// A column.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// The name as the beginning of a JSON member, `"name":`.
    pub prefix: String,
    /// What it takes.
    pub ty: Type,
    /// Kept on disk.
    pub persistent: bool,
    /// May change after the row is inserted.
    pub mutable: bool,
}

/// A table.
#[derive(Debug, Clone)]
pub struct TableSchema {
    /// Its name.
    pub name: String,
    /// `_uuid`, `_version`, then the others by name.
    pub columns: Vec<Column>,
    by_name: HashMap<String, usize, foldhash::fast::FixedState>,
    /// Most rows; `u32::MAX` means no bound.
    pub max_rows: u32,
    /// Rows stay without being referred to.
    pub is_root: bool,
    /// Sets of columns whose values together are unique.
    pub indexes: Vec<Vec<usize>>,
    /// Columns with strong references.
    pub strong: Vec<usize>,
    /// Columns with weak references.
    pub weak: Vec<usize>,
    /// A row of default values.
    pub default_row: Row,
}

/// A database's schema.
#[derive(Debug, Clone)]
pub struct Schema {
    /// The database's name.
    pub name: String,
    /// `x.y.z`, or empty.
    pub version: String,
    /// By name.
    pub tables: Vec<TableSchema>,
    /// The schema as JSON text, members in alphabetical order.
    pub json: String,
}

impl Base {
    /// A type without constraints.
    pub fn plain(kind: AtomicType) -> Base {
        Base::compile(&wire::BaseType::plain(kind), &[])
    }

    fn compile(base: &wire::BaseType, tables: &[&str]) -> Base {
        let refers = base.refers_to.as_ref().and_then(|(name, how)| {
            let table = tables.binary_search(&name.as_str()).ok()?;
            Some(Reference { table, weak: *how == RefType::Weak })
        });
        Base {
            kind: base.kind,
            enumeration: base
                .enumeration
                .as_ref()
                .map(|values| values.iter().map(Atom::from_wire).collect()),
            integers: base.integers,
            reals: base.reals,
            lengths: base.lengths,
            refers,
        }
    }

    /// The table that values refer to strongly.
    pub fn strong(&self) -> Option<usize> {
        self.refers.filter(|reference| !reference.weak).map(|reference| reference.table)
    }

    /// The table that values refer to weakly.
    pub fn weak(&self) -> Option<usize> {
        self.refers.filter(|reference| reference.weak).map(|reference| reference.table)
    }
}

impl Type {
    /// Exactly one value, without constraints.
    pub fn scalar(kind: AtomicType) -> Type {
        Type { key: Base::plain(kind), value: None, min: 1, max: 1 }
    }

    /// Exactly one value, no map.
    pub fn is_scalar(&self) -> bool {
        self.value.is_none() && self.min == 1 && self.max == 1
    }

    /// None or one value, no map.
    pub fn is_optional_scalar(&self) -> bool {
        self.value.is_none() && self.min == 0 && self.max == 1
    }

    /// A map.
    pub fn is_map(&self) -> bool {
        self.value.is_some()
    }

    /// A set that is not a scalar.
    pub fn is_set(&self) -> bool {
        self.value.is_none() && !self.is_scalar()
    }

    /// May hold more than one element; differences of such columns are made by element.
    pub fn is_composite(&self) -> bool {
        self.max > 1
    }

    /// Key and value.
    pub fn bases(&self) -> impl Iterator<Item = &Base> {
        std::iter::once(&self.key).chain(&self.value)
    }

    /// The type in words, for errors.
    pub fn english(&self) -> String {
        let key = self.key.kind.name();
        if self.is_scalar() {
            return key.to_owned();
        }
        let class = if self.is_map() { "map" } else { "set" };
        let number = match (self.min, self.max) {
            (0, u32::MAX) => " of".to_owned(),
            (min, u32::MAX) => format!(" of {min} or more"),
            (0, max) => format!(" of up to {max}"),
            (min, max) => format!(" of {min} to {max}"),
        };
        match &self.value {
            None => format!("{class}{number} {key}s"),
            Some(value) => format!("{class}{number} ({key}, {}) pairs", value.kind.name()),
        }
    }
}

impl Column {
    fn new(name: &str, ty: Type, persistent: bool, mutable: bool) -> Column {
        let mut prefix = String::new();
        push_json_string(&mut prefix, name);
        prefix.push(':');
        Column { name: name.to_owned(), prefix, ty, persistent, mutable }
    }
}

impl TableSchema {
    /// The column of this name.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }
}

impl Schema {
    /// From the text of an `.ovsschema` file or of a log's first record.
    ///
    /// # Errors
    ///
    /// A `syntax error` that names the place.
    pub fn parse(text: &str) -> Result<Schema> {
        let schema = DatabaseSchema::parse(text)
            .map_err(|error| Error::new("syntax error", error.to_string()))?;
        Schema::compile(&schema)
    }

    /// From a parsed schema.
    ///
    /// # Errors
    ///
    /// If a table cannot be kept as it is declared.
    pub fn compile(schema: &DatabaseSchema) -> Result<Schema> {
        let names: Vec<&str> = schema.tables.keys().map(String::as_str).collect();
        // Schemas from before garbage collection have no "isRoot" at all: then every table is.
        let all_root = !schema.tables.values().any(|table| table.is_root);
        let is_root = |table: &wire::TableSchema| all_root || table.is_root;
        let mut tables = Vec::with_capacity(names.len());
        for (name, table) in &schema.tables {
            let uuid = Type::scalar(AtomicType::Uuid);
            let mut columns = vec![
                Column::new("_uuid", uuid.clone(), true, false),
                Column::new("_version", uuid, false, false),
            ];
            for (name, column) in &table.columns {
                let ty = &column.column_type;
                let ty = Type {
                    key: Base::compile(&ty.key, &names),
                    value: ty.value.as_ref().map(|value| Base::compile(value, &names)),
                    min: ty.min,
                    max: ty.max,
                };
                // A row that only an ephemeral reference keeps would be gone after a restart,
                // while the log goes on to speak of it.
                let keeps = ty.bases().filter_map(Base::strong).any(|target| {
                    schema.tables.values().nth(target).is_some_and(|target| !is_root(target))
                });
                // A weak reference must be able to vanish.
                let weak = ty.bases().any(|base| base.weak().is_some());
                let persistent = !column.ephemeral || keeps;
                columns.push(Column::new(name, ty, persistent, column.mutable || weak));
            }
            let by_name =
                columns.iter().enumerate().map(|(at, column)| (column.name.clone(), at)).collect();
            let having = |what: fn(&Base) -> Option<usize>| -> Vec<usize> {
                let has = |column: &Column| column.ty.bases().any(|base| what(base).is_some());
                (0..columns.len()).filter(|at| has(&columns[*at])).collect()
            };
            let default_row = columns.iter().map(|column| Datum::default_of(&column.ty)).collect();
            let (strong, weak) = (having(Base::strong), having(Base::weak));
            let mut compiled = TableSchema {
                name: name.clone(),
                columns,
                by_name,
                max_rows: table.max_rows,
                is_root: is_root(table),
                indexes: Vec::new(),
                strong,
                weak,
                default_row,
            };
            for index in &table.indexes {
                compiled.indexes.push(compiled.index(index)?);
            }
            tables.push(compiled);
        }
        Ok(Schema {
            name: schema.name.clone(),
            version: schema.version.clone(),
            tables,
            json: schema.to_json(),
        })
    }

    /// The number of the table of this name.
    pub fn table(&self, name: &str) -> Option<usize> {
        self.tables.binary_search_by(|table| table.name.as_str().cmp(name)).ok()
    }
}

impl TableSchema {
    fn index(&self, names: &[String]) -> Result<Vec<usize>> {
        let table = &self.name;
        let mut index = Vec::with_capacity(names.len());
        for name in names {
            let column = self.column(name).filter(|column| !index.contains(column));
            let Some(column) = column else {
                return Err(Error::new(
                    "syntax error",
                    format!("table {table}: an index needs distinct columns, not \"{name}\""),
                ));
            };
            if !self.columns[column].persistent {
                return Err(Error::new(
                    "syntax error",
                    format!("ephemeral columns (such as {name}) may not be indexed"),
                ));
            }
            index.push(column);
        }
        if index.is_empty() {
            return Err(Error::new("syntax error", "index must have at least one column"));
        }
        Ok(index)
    }
}
