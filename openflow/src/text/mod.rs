//! Matches, actions and flows as `ovs-ofctl` writes and reads them, and the datapath's notation.
//!
//! Printing gives exactly the text of Open vSwitch's tools; parsing takes what they take.

mod action_parse;
mod action_print;
mod fields_print;
mod flow;
mod flow_parse;
mod match_print;
mod scan;
#[cfg(test)]
mod tests;
mod value;

pub use action_parse::{parse_actions, parse_instructions};
pub use action_print::print_actions;
pub use fields_print::{packet_mask, print_fields};
pub use flow::{print_flow_mod, print_flow_stats};
pub use flow_parse::{FlowText, parse_exact_flow, parse_exact_match, parse_flow, parse_match};
pub use match_print::print_match;
pub use value::{parse_field, parse_subfield, parse_subfield_prefix, print_subfield, print_value};

use crate::ofport::OfPort;

/// Why a text cannot be read: a sentence for the author of the text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct TextError(pub String);

impl TextError {
    pub(crate) fn new<T>(text: impl Into<String>) -> Result<T, TextError> {
        Err(TextError(text.into()))
    }
}

/// The names of ports and tables, where they have some.
pub trait Names {
    /// The name of a port.
    fn port_name(&self, _port: OfPort) -> Option<String> {
        None
    }

    /// The number of a port.
    fn port_number(&self, _name: &str) -> Option<OfPort> {
        None
    }

    /// The name of a table.
    fn table_name(&self, _table: u8) -> Option<String> {
        None
    }

    /// The number of a table.
    fn table_number(&self, _name: &str) -> Option<u8> {
        None
    }
}

/// Numbers only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {}

/// A name as it is printed: with quotes unless it is a letter and then letters and digits.
fn quoted(name: &str) -> String {
    let mut chars = name.chars();
    let plain = chars.next().is_some_and(|c| c.is_ascii_alphabetic())
        && chars.all(|c| c.is_ascii_alphanumeric());
    if plain {
        return name.to_owned();
    }
    let mut out = String::from("\"");
    for c in name.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            c if c < ' ' => out.push_str(&format!("\\u{:04x}", c as u32)),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// The name between quotes, or as it stands.
fn unquoted(s: &str) -> Option<String> {
    let Some(inner) = s.strip_prefix('"') else { return Some(s.to_owned()) };
    let inner = inner.strip_suffix('"')?;
    let mut out = String::new();
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => match chars.next()? {
                'n' => '\n',
                'r' => '\r',
                't' => '\t',
                'b' => '\u{8}',
                'f' => '\u{c}',
                'u' => {
                    let hex: String = chars.by_ref().take(4).collect();
                    char::from_u32(u32::from_str_radix(&hex, 16).ok()?)?
                }
                c => c,
            },
            c => c,
        });
    }
    Some(out)
}

/// A port: reserved name, its own name, or number.
pub fn print_port(port: OfPort, names: &dyn Names) -> String {
    match (port.reserved_name(), names.port_name(port)) {
        (Some(name), _) => name.to_owned(),
        (None, Some(name)) => quoted(&name),
        (None, None) => port.0.to_string(),
    }
}

/// A port by number (16 bits, or the 32 of later versions), reserved name or its own name.
pub fn parse_port(s: &str, names: &dyn Names) -> Option<OfPort> {
    if s.starts_with(|c: char| c.is_ascii_digit())
        && let Ok(n) = s.parse::<u32>()
    {
        return match u16::try_from(n) {
            Ok(n) => Some(OfPort(n)),
            Err(_) => OfPort::from_wire32(n).ok(),
        };
    }
    OfPort::from_reserved_name(s).or_else(|| names.port_number(&unquoted(s)?))
}

/// A table's name, or its number.
pub fn print_table(table: u8, names: &dyn Names) -> String {
    names.table_name(table).map_or_else(|| table.to_string(), |n| quoted(&n))
}

/// A table by number or name.
pub fn parse_table(s: &str, names: &dyn Names) -> Option<u8> {
    match s.parse::<u32>() {
        Ok(n) => u8::try_from(n).ok(),
        Err(_) => names.table_number(&unquoted(s)?),
    }
}

/// Seconds and their fraction, with as many digits as it needs.
pub fn print_duration(sec: u32, nsec: u32) -> String {
    match nsec {
        0 => format!("{sec}s"),
        n if n.is_multiple_of(1_000_000) => format!("{sec}.{:03}s", n / 1_000_000),
        n => format!("{sec}.{}s", format!("{n:09}").trim_end_matches('0')),
    }
}
