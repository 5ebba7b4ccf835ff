//! A row by its table and identifier.

use ovsdb::Uuid;

/// A row of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowId<'s> {
    /// Its table's name.
    pub table: &'s str,
    /// Its identifier; a stand-in while it is being inserted.
    pub uuid: Uuid,
}
