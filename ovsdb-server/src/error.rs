//! The errors a client gets (RFC 7047, section 3.1 `<error>`).

use std::borrow::Cow;

use ovsdb::value::push_json_string;

use crate::json::Json;

/// An error as it goes to the client.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.text())]
pub struct Error {
    /// What went wrong, from the list in RFC 7047 or an extension of the reference server.
    pub tag: Cow<'static, str>,
    /// In a sentence.
    pub details: Option<String>,
    /// The JSON that is not accepted.
    pub syntax: Option<String>,
    /// The system's own words, for errors of input and output.
    pub io: Option<String>,
}

/// What most of the engine gives back.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// With details.
    pub fn new(tag: &'static str, details: impl Into<String>) -> Error {
        Error { tag: tag.into(), details: Some(details.into()), syntax: None, io: None }
    }

    /// A `syntax error` about this JSON.
    pub fn syntax(json: &Json<'_>, details: impl Into<String>) -> Error {
        Error::tagged(json, "syntax error", details)
    }

    /// An error about this JSON.
    pub fn tagged(json: &Json<'_>, tag: &'static str, details: impl Into<String>) -> Error {
        Error { syntax: Some(json.to_text()), ..Error::new(tag, details) }
    }

    /// A `constraint violation`.
    pub fn constraint(details: impl Into<String>) -> Error {
        Error::new("constraint violation", details)
    }

    /// An error of the file system.
    pub fn io(details: impl Into<String>, error: &std::io::Error) -> Error {
        Error { io: Some(posix::text(error)), ..Error::new("I/O error", details) }
    }

    /// Appends the error as JSON, members in alphabetical order.
    pub fn push_json(&self, out: &mut String) {
        out.push('{');
        if let Some(details) = &self.details {
            out.push_str("\"details\":");
            push_json_string(out, details);
            out.push(',');
        }
        out.push_str("\"error\":");
        push_json_string(out, &self.tag);
        for (name, value) in [("io-error", &self.io), ("syntax", &self.syntax)] {
            if let Some(value) = value {
                out.push(',');
                push_json_string(out, name);
                out.push(':');
                push_json_string(out, value);
            }
        }
        out.push('}');
    }

    /// The error as JSON.
    pub fn to_json(&self) -> String {
        let mut out = String::new();
        self.push_json(&mut out);
        out
    }

    /// The error in one line, for logs.
    pub fn text(&self) -> String {
        let mut out = String::new();
        if let Some(syntax) = &self.syntax {
            out.push_str(&format!("syntax \"{syntax}\": "));
        }
        out.push_str(&self.tag);
        if let Some(details) = &self.details {
            out.push_str(&format!(": {details}"));
        }
        if let Some(io) = &self.io {
            out.push_str(&format!(" ({io})"));
        }
        out
    }
}
