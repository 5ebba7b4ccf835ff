//! Values from JSON, with the reference's error texts.

use std::collections::HashMap;
use std::sync::Arc;

use ovsdb::schema::AtomicType;
use ovsdb::value::is_identifier;

use crate::error::{Error, Result};
use crate::json::Json;
use crate::rowid::RowIds;
use crate::schema::{Base, Type};
use crate::value::{Atom, Datum};
use ovsdb::Uuid;

/// The rows that a transaction names (`uuid-name`).
#[derive(Debug)]
pub struct Symbols<'a> {
    ids: &'a mut RowIds,
    names: HashMap<String, Symbol>,
}

#[derive(Debug)]
struct Symbol {
    id: Uuid,
    created: bool,
}

impl<'a> Symbols<'a> {
    /// None yet.
    pub fn new(ids: &'a mut RowIds) -> Symbols<'a> {
        Symbols { ids, names: HashMap::new() }
    }

    /// A new identifier.
    pub fn draw(&mut self) -> Uuid {
        self.ids.draw()
    }

    fn symbol(&mut self, name: &str) -> &mut Symbol {
        let ids = &mut *self.ids;
        self.names
            .entry(name.to_owned())
            .or_insert_with(|| Symbol { id: ids.draw(), created: false })
    }

    /// The identifier of a name, before or after its row is inserted.
    pub fn id_of(&mut self, name: &str) -> Uuid {
        self.symbol(name).id
    }

    /// Gives a row its name and, if it has none, its identifier. `None` if the name is taken.
    pub fn create(&mut self, name: &str, id: Option<Uuid>) -> Option<Uuid> {
        let symbol = self.symbol(name);
        if symbol.created {
            return None;
        }
        symbol.created = true;
        if let Some(id) = id {
            symbol.id = id;
        }
        Some(symbol.id)
    }
}

fn unwrap<'j, 'a>(json: &'j Json<'a>, tag: &str, string: bool) -> Option<&'j Json<'a>> {
    match json.as_array()? {
        [Json::String(name), value] if name == tag => match (string, value) {
            (true, Json::String(_)) | (false, Json::Array(_)) => Some(value),
            _ => None,
        },
        _ => None,
    }
}

impl Atom {
    /// From JSON. Named UUIDs are accepted where there are symbols.
    ///
    /// # Errors
    ///
    /// A `syntax error`, or a `constraint violation`.
    pub fn from_json(
        base: &Base,
        json: &Json<'_>,
        symbols: Option<&mut Symbols<'_>>,
    ) -> Result<Atom> {
        let atom = match (base.kind, json) {
            (AtomicType::Integer, Json::Integer(value)) => Atom::Integer(*value),
            (AtomicType::Real, Json::Integer(value)) => Atom::Real(*value as f64),
            (AtomicType::Real, Json::Real(value)) => Atom::Real(*value),
            (AtomicType::Boolean, Json::Bool(value)) => Atom::Boolean(*value),
            (AtomicType::String, Json::String(text)) => {
                if let Some((_, rest)) = text.split_once(ovsdb::jsonrpc::INVALID_BYTE)
                    && let Some(byte) = rest.chars().next()
                {
                    return Err(Error::constraint(format!(
                        "not a valid UTF-8 string: invalid UTF-8 sequence 0x{:02x}",
                        u32::from(byte)
                    )));
                }
                Atom::String(Arc::from(&**text))
            }
            (AtomicType::Uuid, json) => Atom::Uuid(uuid_from_json(json, symbols)?),
            (kind, json) => {
                return Err(Error::syntax(json, format!("expected {}", kind.name())));
            }
        };
        atom.check(base)?;
        Ok(atom)
    }
}

fn uuid_from_json(json: &Json<'_>, symbols: Option<&mut Symbols<'_>>) -> Result<Uuid> {
    if let Some(Json::String(text)) = unwrap(json, "uuid", true) {
        return Uuid::parse_bytes(text.as_bytes())
            .ok_or_else(|| Error::syntax(json, format!("\"{text}\" is not a valid UUID")));
    }
    if let Some(symbols) = symbols
        && let Some(Json::String(name)) = unwrap(json, "named-uuid", true)
    {
        if !is_identifier(name) {
            return Err(Error::syntax(json, "named-uuid string is not a valid <id>"));
        }
        return Ok(symbols.id_of(name));
    }
    Err(Error::syntax(json, "expected [\"uuid\", <string>]"))
}

impl Datum {
    /// From JSON, all constraints checked.
    ///
    /// # Errors
    ///
    /// A `syntax error`, or a `constraint violation`.
    pub fn from_json(
        ty: &Type,
        json: &Json<'_>,
        mut symbols: Option<&mut Symbols<'_>>,
    ) -> Result<Datum> {
        let class = if ty.is_map() { "map" } else { "set" };
        let is_set = matches!(json.as_array(), Some([Json::String(tag), ..]) if tag == "set");
        if !ty.is_map() && !is_set {
            return Ok(Datum::One(Atom::from_json(&ty.key, json, symbols)?));
        }
        let Some(Json::Array(inner)) = unwrap(json, class, false) else {
            return Err(Error::syntax(json, format!("expected [\"{class}\", <array>]")));
        };
        let n = inner.len() as u64;
        if n < u64::from(ty.min) || n > u64::from(ty.max) {
            return Err(Error::syntax(
                json,
                if ty.min == 1 && ty.max == 1 {
                    format!("{class} must have exactly one member but {n} are present")
                } else {
                    let (min, max) = (ty.min, ty.max);
                    format!("{class} must have {min} to {max} members but {n} are present")
                },
            ));
        }
        let Some(value_type) = &ty.value else {
            let mut atoms = Vec::with_capacity(inner.len());
            for element in inner {
                atoms.push(Atom::from_json(&ty.key, element, symbols.as_deref_mut())?);
            }
            atoms.sort_unstable();
            if atoms.windows(2).any(|pair| pair[0] == pair[1]) {
                return Err(Error::new("ovsdb error", "set contains duplicate"));
            }
            return Ok(Datum::from_sorted_set(atoms));
        };
        let mut pairs = Vec::with_capacity(inner.len());
        for element in inner {
            let Some([key, value]) = element.as_array() else {
                return Err(Error::syntax(element, "expected 2-element array"));
            };
            let key = Atom::from_json(&ty.key, key, symbols.as_deref_mut())?;
            pairs.push((key, Atom::from_json(value_type, value, symbols.as_deref_mut())?));
        }
        pairs.sort_unstable();
        if pairs.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::new("ovsdb error", "map contains duplicate key"));
        }
        Ok(Datum::from_sorted_map(pairs))
    }
}
