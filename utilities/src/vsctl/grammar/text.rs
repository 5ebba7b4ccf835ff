//! Values as people read them.

use std::fmt::Write;

use ovsdb::schema::ColumnType;
use ovsdb::value::{push_json_real, push_json_string};
use ovsdb::{Atom, Datum, Uuid};

/// True for a string that another reader could take for something else without quotes.
fn needs_quotes(text: &str) -> bool {
    let mut bytes = text.bytes();
    let begins = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let goes_on =
        bytes.all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.'));
    !begins
        || !goes_on
        || matches!(text, "true" | "false")
        || Uuid::parse_bytes(text.as_bytes()).is_some()
}

/// Appends a single value; a string in quotes where it needs them.
pub fn push_atom(out: &mut String, atom: &Atom) {
    match atom {
        Atom::String(text) if needs_quotes(text) => push_json_string(out, text),
        atom => push_bare_atom(out, atom),
    }
}

/// Appends a single value, a string without quotes.
pub fn push_bare_atom(out: &mut String, atom: &Atom) {
    let _ = match atom {
        Atom::Integer(value) => write!(out, "{value}"),
        Atom::Real(value) => {
            push_json_real(out, *value);
            Ok(())
        }
        Atom::Boolean(value) => write!(out, "{value}"),
        Atom::String(text) | Atom::NamedUuid(text) => out.write_str(text),
        Atom::Uuid(uuid) => write!(out, "{uuid}"),
    };
}

/// A column's value in the form that commands take: `[a, b]`, `{k=v}`, or bare if there is at most
/// one and it is there.
pub fn datum(datum: &Datum, column: &ColumnType) -> String {
    let mut out = String::new();
    let brackets = column.max > 1 || datum.is_empty();
    let (open, close) = if column.value.is_some() { ('{', '}') } else { ('[', ']') };
    if brackets {
        out.push(open);
    }
    push_elements(&mut out, datum, ", ", push_atom);
    if brackets {
        out.push(close);
    }
    out
}

/// A column's value with as little punctuation as possible.
pub fn bare(datum: &Datum) -> String {
    let mut out = String::new();
    push_elements(&mut out, datum, " ", push_bare_atom);
    out
}

fn push_elements(out: &mut String, datum: &Datum, between: &str, push: fn(&mut String, &Atom)) {
    match datum {
        Datum::Set(set) => {
            for (at, atom) in set.iter().enumerate() {
                if at > 0 {
                    out.push_str(between);
                }
                push(out, atom);
            }
        }
        Datum::Map(map) => {
            for (at, (key, value)) in map.iter().enumerate() {
                if at > 0 {
                    out.push_str(between);
                }
                push(out, key);
                out.push('=');
                push(out, value);
            }
        }
    }
}

/// A column's type in words, for messages.
pub fn type_name(column: &ColumnType) -> String {
    let key = column.key.kind.name();
    if column.is_scalar() {
        return key.to_owned();
    }
    let kind = if column.value.is_some() { "map" } else { "set" };
    let number = match (column.min, column.max) {
        (0, u32::MAX) => " of".to_owned(),
        (min, u32::MAX) => format!(" of {min} or more"),
        (0, max) => format!(" of up to {max}"),
        (min, max) => format!(" of {min} to {max}"),
    };
    match &column.value {
        None => format!("{kind}{number} {key}s"),
        Some(value) => format!("{kind}{number} ({key}, {}) pairs", value.kind.name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_where_they_are_needed() {
        for (text, printed) in [
            ("br0", "br0"),
            ("a-b.c_1", "a-b.c_1"),
            ("", "\"\""),
            ("0a", "\"0a\""),
            ("true", "\"true\""),
            ("a b", "\"a b\""),
            ("a\"", "\"a\\\"\""),
            ("é", "\"é\""),
            ("afcd11a1-2ba8-4b38-a358-4bccf2bf3057", "\"afcd11a1-2ba8-4b38-a358-4bccf2bf3057\""),
        ] {
            let mut out = String::new();
            push_atom(&mut out, &Atom::String(text.to_owned()));
            assert_eq!(out, printed);
        }
    }
}
