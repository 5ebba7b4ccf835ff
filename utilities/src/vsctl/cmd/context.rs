//! What commands work on.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::{Atom, DatabaseSchema, Datum, Uuid};

use super::symbols::{SymbolTable, fresh_uuid};
use super::topology::Topology;
use super::{Done, Stop};
use crate::vsctl::console::Console;
use crate::vsctl::db::{RowId, Txn, Wants};
use crate::vsctl::grammar::words::{self, Column, Table};
use crate::vsctl::output;

/// What a command looks at before it runs.
pub struct Before<'a, 's> {
    /// The server's schema.
    pub schema: &'s DatabaseSchema,
    /// What to ask the server for.
    pub wants: &'a mut Wants,
    /// For warnings.
    pub console: &'a mut Console,
}

/// The state of one attempt to run all commands.
pub struct Context<'s, 'c> {
    /// The transaction that they make together.
    pub txn: Txn<'s>,
    /// The row of `Open_vSwitch`.
    pub root: RowId<'s>,
    /// For warnings.
    pub console: &'c mut Console,
    /// Names of rows.
    pub symbols: SymbolTable,
    /// What the current command prints.
    pub out: String,
    /// Or the table that it prints.
    pub table: Option<output::Table>,
    /// Or the row that it creates.
    pub created: Option<Uuid>,
    /// No command comes after the current one.
    pub last: bool,
    /// Interfaces that were added, to be looked at when the switch has taken them up.
    pub new_interfaces: Vec<Uuid>,
    pub(super) topology: Option<Topology<'s>>,
    pub(super) ports_verified: bool,
}

impl<'s, 'c> Context<'s, 'c> {
    /// Nothing done yet. The row of `Open_vSwitch` is inserted if it is missing.
    ///
    /// # Errors
    ///
    /// Not a switch's database.
    pub fn new(mut txn: Txn<'s>, console: &'c mut Console) -> Result<Context<'s, 'c>, Stop> {
        if !txn.schema().tables.contains_key("Open_vSwitch") {
            return Stop::fatal(format!(
                "database {} has no table Open_vSwitch",
                txn.schema().name
            ));
        }
        let root = match txn.rows("Open_vSwitch").first() {
            Some(root) => *root,
            None => txn.insert("Open_vSwitch", fresh_uuid()?, false),
        };
        Ok(Context {
            txn,
            root,
            console,
            symbols: SymbolTable::default(),
            out: String::new(),
            table: None,
            created: None,
            last: false,
            new_interfaces: Vec::new(),
            topology: None,
            ports_verified: false,
        })
    }

    /// The table that was meant.
    ///
    /// # Errors
    ///
    /// None or several.
    pub fn table_named(&self, typed: &str) -> Result<Table<'s>, Stop> {
        Ok(words::table(self.txn.schema(), typed)?)
    }

    /// A column by its full name.
    fn column(&self, row: RowId<'s>, column: &str) -> Result<Column<'s>, Stop> {
        let found = self.txn.schema().tables.get_key_value(row.table).and_then(|(name, schema)| {
            let (column, found) = schema.columns.get_key_value(column)?;
            Some(Column { table: Table { name, schema }, name: column, schema: found })
        });
        found.ok_or_else(|| {
            let table = row.table;
            Stop::from(format!("this server's schema has no column {column} in table {table}"))
        })
    }

    /// A column of text; empty if it is not there.
    pub fn text(&self, row: RowId<'s>, column: &str) -> String {
        match self.first(row, column) {
            Some(Atom::String(text)) => text,
            _ => String::new(),
        }
    }

    /// A column of at most one integer.
    pub fn integer(&self, row: RowId<'s>, column: &str) -> Option<i64> {
        match self.first(row, column) {
            Some(Atom::Integer(value)) => Some(value),
            _ => None,
        }
    }

    /// A column of a truth value; false if it is not there.
    pub fn flag(&self, row: RowId<'s>, column: &str) -> bool {
        matches!(self.first(row, column), Some(Atom::Boolean(true)))
    }

    /// A column of references, by UUID.
    pub fn refs(&self, row: RowId<'s>, column: &str) -> Vec<Uuid> {
        match &*self.txn.read(row, column) {
            Datum::Set(set) => set.iter().filter_map(uuid_of).collect(),
            Datum::Map(map) => map.values().filter_map(uuid_of).collect(),
        }
    }

    /// A column of a map.
    pub fn map(&self, row: RowId<'s>, column: &str) -> BTreeMap<Atom, Atom> {
        match self.txn.read(row, column).into_owned() {
            Datum::Map(map) => map,
            Datum::Set(_) => BTreeMap::new(),
        }
    }

    fn first(&self, row: RowId<'s>, column: &str) -> Option<Atom> {
        match &*self.txn.read(row, column) {
            Datum::Set(set) => set.first().cloned(),
            Datum::Map(_) => None,
        }
    }

    /// Makes the transaction depend on a column, if the schema has it.
    pub fn verify(&mut self, row: RowId<'s>, column: &str) {
        if let Ok(column) = self.column(row, column) {
            self.txn.verify(row, column.name);
        }
    }

    /// Writes a column.
    ///
    /// # Errors
    ///
    /// The schema has no such column.
    pub fn set(&mut self, row: RowId<'s>, column: &str, datum: Datum) -> Done {
        let column = self.column(row, column)?;
        self.txn.write(row, column.name, datum);
        Ok(())
    }

    /// Writes a column of text.
    ///
    /// # Errors
    ///
    /// As [`Context::set`].
    pub fn set_text(&mut self, row: RowId<'s>, column: &str, text: &str) -> Done {
        self.set(row, column, Datum::scalar(Atom::String(text.to_owned())))
    }

    /// Writes a column of references.
    ///
    /// # Errors
    ///
    /// As [`Context::set`].
    pub fn set_refs(&mut self, row: RowId<'s>, column: &str, refs: &[Uuid]) -> Done {
        self.set(row, column, Datum::Set(refs.iter().copied().map(Atom::Uuid).collect()))
    }

    /// Empties a column.
    ///
    /// # Errors
    ///
    /// As [`Context::set`].
    pub fn clear(&mut self, row: RowId<'s>, column: &str) -> Done {
        let column = self.column(row, column)?;
        let empty = match column.schema.column_type.value {
            None => Datum::Set(BTreeSet::new()),
            Some(_) => Datum::Map(BTreeMap::new()),
        };
        self.txn.write(row, column.name, empty);
        Ok(())
    }

    /// Inserts a row.
    ///
    /// # Errors
    ///
    /// The schema has no such table.
    pub fn insert(&mut self, table: &str) -> Result<RowId<'s>, Stop> {
        let Some((name, _)) = self.txn.schema().tables.get_key_value(table) else {
            return Stop::fatal(format!("this server's schema has no table {table}"));
        };
        Ok(self.txn.insert(name, fresh_uuid()?, false))
    }

    /// Forgets what is known about bridges and ports: the database was changed under it.
    pub fn forget_topology(&mut self) {
        self.topology = None;
    }
}

fn uuid_of(atom: &Atom) -> Option<Uuid> {
    match atom {
        Atom::Uuid(uuid) => Some(*uuid),
        _ => None,
    }
}
