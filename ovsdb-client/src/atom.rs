//! Single values of columns.

use std::fmt;

use ovsdb::Uuid;
use ovsdb::declare::Atomic;

use crate::reference::push_reference;

/// A column's value that is not what the column takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct ValueError {
    /// What is wrong, and what is accepted.
    pub reason: String,
}

/// A single value of a column.
pub trait AtomValue:
    Atomic + Clone + Default + PartialEq + Ord + fmt::Debug + Send + 'static
{
    /// From a JSON integer.
    fn from_integer(_value: i64) -> Option<Self> {
        None
    }
    /// From a JSON boolean.
    fn from_boolean(_value: bool) -> Option<Self> {
        None
    }
    /// From a JSON string.
    fn from_text(_value: &str) -> Option<Self> {
        None
    }
    /// From the second element of `["uuid", …]`.
    fn from_uuid(_value: Uuid) -> Option<Self> {
        None
    }
    /// Appends the value as JSON.
    fn encode(&self, out: &mut String);
}

impl AtomValue for i64 {
    fn from_integer(value: i64) -> Option<i64> {
        Some(value)
    }
    fn encode(&self, out: &mut String) {
        use fmt::Write;
        let _ = write!(out, "{self}");
    }
}

impl AtomValue for bool {
    fn from_boolean(value: bool) -> Option<bool> {
        Some(value)
    }
    fn encode(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl AtomValue for String {
    fn from_text(value: &str) -> Option<String> {
        Some(value.to_owned())
    }
    fn encode(&self, out: &mut String) {
        ovsdb::value::push_json_string(out, self);
    }
}

impl AtomValue for Uuid {
    fn from_uuid(value: Uuid) -> Option<Uuid> {
        Some(value)
    }
    fn encode(&self, out: &mut String) {
        push_reference(out, *self);
    }
}
