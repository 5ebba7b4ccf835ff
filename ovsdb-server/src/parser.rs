//! Takes objects apart member by member, with the reference's error texts.

use std::borrow::Cow;
use std::cell::{Cell, RefCell};

use ovsdb::value::is_identifier;

use crate::error::{Error, Result};
use crate::json::{Json, member};

/// What a member may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A string that is an `<id>`.
    Id,
    /// Any string.
    String,
    /// An integer.
    Integer,
    /// `true` or `false`.
    Boolean,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    fn takes(self, json: &Json<'_>) -> bool {
        match (self, json) {
            (Kind::Id, Json::String(text)) => is_identifier(text),
            (Kind::String, Json::String(_))
            | (Kind::Integer, Json::Integer(_))
            | (Kind::Boolean, Json::Bool(_))
            | (Kind::Array, Json::Array(_))
            | (Kind::Object, Json::Object(_)) => true,
            _ => false,
        }
    }
}

/// The members of an object that is being read. The first error stays; members that were not read are
/// an error when it is finished.
pub struct Members<'j, 'a> {
    what: &'j dyn Fn() -> String,
    json: &'j Json<'a>,
    members: &'j [(Cow<'a, str>, Json<'a>)],
    used: Cell<usize>,
    names: RefCell<Vec<&'static str>>,
    error: RefCell<Option<Error>>,
}

impl<'j, 'a> Members<'j, 'a> {
    /// Begins. `what` names the object in errors.
    pub fn new(json: &'j Json<'a>, what: &'j dyn Fn() -> String) -> Members<'j, 'a> {
        let parser = Members {
            what,
            json,
            members: json.as_object().unwrap_or_default(),
            used: Cell::new(0),
            names: RefCell::new(Vec::new()),
            error: RefCell::new(None),
        };
        if json.as_object().is_none() {
            parser.raise("Object expected.");
        }
        parser
    }

    /// The object itself.
    pub fn json(&self) -> &'j Json<'a> {
        self.json
    }

    /// A member that may be absent.
    pub fn optional(&self, name: &'static str, kind: Kind) -> Option<&'j Json<'a>> {
        let value = member(self.members, name)?;
        if !kind.takes(value) {
            self.raise(format!("Type mismatch for member '{name}'."));
            return None;
        }
        self.used.set(self.used.get() + 1);
        self.names.borrow_mut().push(name);
        Some(value)
    }

    /// A member that must be there.
    pub fn required(&self, name: &'static str, kind: Kind) -> Option<&'j Json<'a>> {
        if self.json.as_object().is_some() && member(self.members, name).is_none() {
            self.raise(format!("Required '{name}' member is missing."));
        }
        self.optional(name, kind)
    }

    /// Sets the error, if there is none yet.
    pub fn raise(&self, message: impl AsRef<str>) {
        let mut error = self.error.borrow_mut();
        if error.is_none() {
            let details = format!("Parsing {} failed: {}", (self.what)(), message.as_ref());
            *error = Some(match self.json {
                Json::Object(_) => Error::syntax(self.json, details),
                _ => Error::new("syntax error", details),
            });
        }
    }

    /// The error so far.
    ///
    /// # Errors
    ///
    /// That one.
    pub fn check(&self) -> Result<()> {
        match &*self.error.borrow() {
            None => Ok(()),
            Some(error) => Err(error.clone()),
        }
    }

    /// Ends: a member that was not read is an error.
    ///
    /// # Errors
    ///
    /// The first one.
    pub fn finish(&self) -> Result<()> {
        self.check()?;
        let unused = self.members.len() - self.used.get();
        if unused > 0 {
            let names = self.names.borrow();
            let found = self.members.iter().find(|(name, _)| !names.contains(&&**name));
            let name = found.map_or("", |(name, _)| name);
            self.raise(match unused {
                1 => format!("Member '{name}' is present but not allowed here."),
                n => format!(
                    "Member '{name}' and {} other member{} are present but not allowed here.",
                    n - 1,
                    if n > 2 { "s" } else { "" }
                ),
            });
        }
        self.check()
    }
}
