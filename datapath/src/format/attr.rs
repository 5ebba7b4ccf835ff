//! What every text here is made of: attributes, and how to show ports and bucket tables.

use std::fmt;
use std::sync::Arc;

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::port::PortNo;
use crate::table::{BucketTable, TableId};

/// How to show flows.
#[derive(Clone, Copy)]
pub struct Show<'a> {
    /// The bucket table in force: [`Datapath::table`](crate::Datapath::table).
    pub table: &'a dyn Fn(TableId) -> Option<Arc<BucketTable>>,
    /// A port's name; `None` shows numbers (`--names` and `-m` show names).
    pub names: Option<&'a dyn Fn(PortNo) -> Option<String>>,
    /// `-m`: also what the flow does not look at, and the flow's identity.
    pub more: bool,
}

impl Show<'_> {
    pub(super) fn port(&self, port: PortNo) -> String {
        self.names.and_then(|name| name(port)).unwrap_or_else(|| port.to_string())
    }
}

/// One attribute of a match, such as `eth(src=..,dst=..)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attr {
    /// The attribute's name.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
}

/// What stands between an attribute's parentheses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A single value.
    One(String),
    /// Named fields.
    Fields(Vec<(&'static str, String)>),
    /// What a VLAN tag encapsulates.
    Nested(Vec<Attr>),
}

/// Writes `items` with commas between them.
pub(super) fn commas<T: fmt::Display>(f: &mut fmt::Formatter<'_>, items: &[T]) -> fmt::Result {
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            f.write_str(",")?;
        }
        item.fmt(f)?;
    }
    Ok(())
}

impl fmt::Display for Attr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(", self.name)?;
        match &self.value {
            Value::One(v) => f.write_str(v)?,
            Value::Fields(fields) => {
                for (i, (name, v)) in fields.iter().enumerate() {
                    let comma = if i > 0 { "," } else { "" };
                    write!(f, "{comma}{name}={v}")?;
                }
            }
            Value::Nested(attrs) => commas(f, attrs)?,
        }
        f.write_str(")")
    }
}

/// Attributes as a map.
pub(super) struct Attrs<'a>(pub(super) &'a [Attr]);

impl Serialize for Attrs<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(Some(self.0.len()))?;
        for a in self.0 {
            match &a.value {
                Value::One(v) => map.serialize_entry(a.name, v)?,
                Value::Fields(v) => map.serialize_entry(a.name, &Fields(v))?,
                Value::Nested(v) => map.serialize_entry(a.name, &Attrs(v))?,
            }
        }
        map.end()
    }
}

struct Fields<'a>(&'a [(&'static str, String)]);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_map(self.0.iter().map(|(k, v)| (k, v)))
    }
}
