//! Flow tables: what controllers write and translation reads.
//!
//! [`FlowTables`] belongs to the control side, which changes it. [`FlowTables::publish`] makes a
//! [`TablesSnapshot`], in which packets are looked up. It never changes, and shares what did not
//! change with the one before.

mod changes;
mod classifier;
mod control;
mod flow_mod;
mod internal;
mod monitor;
mod packed;
mod rule;
mod settings;
mod snapshot;
mod state;
mod stats;
#[cfg(test)]
mod tests;

use openflow::Field;

pub(crate) use changes::normal_flow;
pub use changes::{InternalFlow, Requester, RuleChanges, RuleEvent};
pub use control::FlowTables;
pub(crate) use internal::InternalRules;
pub use rule::{Rule, RuleStats};
pub use snapshot::{INTERNAL_TABLE, N_TABLES, TableCounters, TableMiss, TablesSnapshot};
pub use state::{MAX_FLOWS, TableSettings};

use packed::PrefixField;

/// Whether a table can look up a field by prefix, as `Flow_Table.prefixes` asks for.
pub fn has_trie(field: Field) -> bool {
    PrefixField::of(field).is_some()
}
