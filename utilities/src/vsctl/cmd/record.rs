//! Which row of a table is meant: by UUID, by a part of it, by name, or `.` for the only one.

use ovsdb::{Atom, Uuid};

use super::{Context, Stop};
use crate::vsctl::db::{RowId, Wants};
use crate::vsctl::grammar::words::{Table, nearest};

/// A way to name rows.
#[derive(Debug, Clone, Copy)]
pub struct RowName {
    /// The table whose rows are named.
    pub table: &'static str,
    /// The table that has the name, and the column.
    pub name: (&'static str, &'static str),
    /// If that is another table: its column that refers to the row.
    pub via: Option<&'static str>,
}

const fn own(table: &'static str, column: &'static str) -> RowName {
    RowName { table, name: (table, column), via: None }
}

const fn of_bridge(table: &'static str, via: &'static str) -> RowName {
    RowName { table, name: ("Bridge", "name"), via: Some(via) }
}

/// The ways there are.
pub const ROW_NAMES: &[RowName] = &[
    of_bridge("AutoAttach", "auto_attach"),
    own("Bridge", "name"),
    of_bridge("Controller", "controller"),
    own("Flow_Sample_Collector_Set", "id"),
    own("Flow_Table", "name"),
    of_bridge("IPFIX", "ipfix"),
    own("Interface", "name"),
    own("Manager", "target"),
    own("Mirror", "name"),
    of_bridge("NetFlow", "netflow"),
    own("Port", "name"),
    RowName { table: "QoS", name: ("Port", "name"), via: Some("qos") },
    of_bridge("sFlow", "sflow"),
];

fn row_name(table: &str) -> Option<&'static RowName> {
    ROW_NAMES.iter().find(|way| way.table == table)
}

/// What finding a row looks at.
pub(super) fn want(wants: &mut Wants, table: Table<'_>) {
    wants.table(table.name);
    if let Some(way) = row_name(table.name) {
        wants.column(way.name.0, way.name.1);
        if let Some(via) = way.via {
            wants.column(way.name.0, via);
        }
    }
}

/// True for at least four leading characters of a UUID's text.
fn is_partial_uuid(text: &str) -> bool {
    let form = |(at, byte): (usize, u8)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    (4..=36).contains(&text.len()) && text.bytes().enumerate().all(form)
}

impl<'s> Context<'s, '_> {
    /// The row that was meant, if there is one.
    ///
    /// # Errors
    ///
    /// Several.
    pub fn find_row(&mut self, table: Table<'s>, typed: &str) -> Result<Option<RowId<'s>>, Stop> {
        if let Some(uuid) = Uuid::parse_bytes(typed.as_bytes()) {
            let row = RowId { table: table.name, uuid };
            if self.txn.exists(row) {
                return Ok(Some(row));
            }
        }
        let rows = self.txn.rows(table.name);
        if let ([only], ".") = (rows.as_slice(), typed) {
            return Ok(Some(*only));
        }
        if let Some(way) = row_name(table.name)
            && let Some(row) = self.row_named(way, typed)?
        {
            return Ok(Some(row));
        }
        if !is_partial_uuid(typed) {
            return Ok(None);
        }
        let mut begin = rows.iter().filter(|row| row.uuid.to_string().starts_with(typed));
        match (begin.next(), begin.next()) {
            (Some(one), Some(two)) => Stop::fatal(format!(
                "{} contains 2 or more rows whose UUIDs begin with {typed}: at least {} and {}",
                table.name, one.uuid, two.uuid
            )),
            (found, _) => Ok(found.copied()),
        }
    }

    /// The row that was meant.
    ///
    /// # Errors
    ///
    /// None or several.
    pub fn row(&mut self, table: Table<'s>, typed: &str) -> Result<RowId<'s>, Stop> {
        match self.find_row(table, typed)? {
            Some(row) => Ok(row),
            None => {
                let names: Vec<String> = match row_name(table.name) {
                    Some(RowName { name: (owner, column), .. }) => {
                        self.txn.rows(owner).into_iter().map(|row| self.text(row, column)).collect()
                    }
                    None => Vec::new(),
                };
                Err(Stop::Fatal {
                    text: format!("no row \"{typed}\" in table {}", table.name),
                    nearest: nearest(typed, names.iter().map(String::as_str)),
                })
            }
        }
    }

    /// The same, or `None` with `--if-exists`.
    ///
    /// # Errors
    ///
    /// None or several.
    pub fn maybe_row(
        &mut self,
        table: Table<'s>,
        typed: &str,
        must_exist: bool,
    ) -> Result<Option<RowId<'s>>, Stop> {
        if must_exist { self.row(table, typed).map(Some) } else { self.find_row(table, typed) }
    }

    fn row_named(&mut self, way: &'static RowName, typed: &str) -> Result<Option<RowId<'s>>, Stop> {
        let (owner, column) = way.name;
        let matches = |atom: &Atom| match atom {
            Atom::String(name) => {
                // A name that is itself a UUID may be cut short like one.
                name == typed
                    || (typed.len() >= 4
                        && name.starts_with(typed)
                        && Uuid::parse_bytes(name.as_bytes()).is_some())
            }
            Atom::Integer(number) => typed.parse() == Ok(*number),
            Atom::Real(_) | Atom::Boolean(_) | Atom::Uuid(_) | Atom::NamedUuid(_) => false,
        };
        let mut found = None;
        for row in self.txn.rows(owner) {
            let named = match &*self.txn.read(row, column) {
                ovsdb::Datum::Set(set) => set.len() == 1 && set.first().is_some_and(matches),
                ovsdb::Datum::Map(_) => false,
            };
            if named && found.replace(row).is_some() {
                return Stop::fatal(format!("multiple rows in {owner} match \"{typed}\""));
            }
        }
        let (Some(row), Some(via)) = (found, way.via) else { return Ok(found) };
        self.verify(row, via);
        match self.refs(row, via)[..] {
            [uuid] => {
                Ok(Some(RowId { table: way.table, uuid }).filter(|row| self.txn.exists(*row)))
            }
            _ => Ok(None),
        }
    }
}
