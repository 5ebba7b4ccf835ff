//! Attributes, fields and values of the notation, as text.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use wire::EthAddr;
use wire::key::{FRAG_ANY, FRAG_LATER};

/// The text cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// The text from the attribute on that is wrong; the words are Open vSwitch's.
    #[error("syntax error at {0}")]
    Syntax(String),
    /// A field that this datapath does not match, or an action that it does not implement.
    #[error("{0}: not supported by this datapath")]
    Unsupported(String),
}

pub(super) const DELIMITERS: [char; 5] = [',', ' ', '\t', '\r', '\n'];

/// A field's name, empty for an attribute without fields, and its value and mask as text.
pub(super) struct Field<'a> {
    pub(super) name: &'a str,
    pub(super) value: &'a str,
    pub(super) mask: Option<&'a str>,
}

impl<'a> Field<'a> {
    pub(super) fn new(name: &'a str, text: &'a str) -> Field<'a> {
        // White space before a value or a mask is ignored.
        match text.split_once('/') {
            Some((value, mask)) => {
                Field { name, value: value.trim_start(), mask: Some(mask.trim_start()) }
            }
            None => Field { name, value: text.trim_start(), mask: None },
        }
    }

    pub(super) fn error(&self) -> ParseError {
        let mask = self.mask.map(|m| format!("/{m}")).unwrap_or_default();
        let equals = if self.name.is_empty() { "" } else { "=" };
        ParseError::Syntax(format!("{}{equals}{}{mask}", self.name, self.value))
    }

    /// Reads value and mask with `read`; without a mask it is `full`.
    pub(super) fn read<T>(
        &self,
        full: T,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<(T, T), ParseError> {
        let value = read(self.value).ok_or_else(|| self.error())?;
        let mask = match self.mask {
            Some(text) => read(text).ok_or_else(|| self.error())?,
            None => full,
        };
        Ok((value, mask))
    }

    pub(super) fn number<T: TryFrom<u64>>(&self, full: T) -> Result<(T, T), ParseError> {
        self.read(full, number)
    }

    pub(super) fn parsed<T: FromStr>(&self, full: T) -> Result<(T, T), ParseError> {
        self.read(full, |text| text.parse().ok())
    }

    pub(super) fn eth(&self) -> Result<(EthAddr, EthAddr), ParseError> {
        self.parsed(EthAddr::BROADCAST)
    }

    pub(super) fn ipv4(&self) -> Result<([u8; 16], [u8; 16]), ParseError> {
        let (v, m) = self.parsed(Ipv4Addr::BROADCAST)?;
        let wide = |a: Ipv4Addr| {
            let mut w = [0; 16];
            w[12..].copy_from_slice(&a.octets());
            w
        };
        Ok((wide(v), wide(m)))
    }

    pub(super) fn ipv6(&self) -> Result<([u8; 16], [u8; 16]), ParseError> {
        let (v, m) = self.parsed(Ipv6Addr::from([0xff; 16]))?;
        Ok((v.octets(), m.octets()))
    }

    /// `no`, `first` or `later`; the mask is a number.
    pub(super) fn frag(&self) -> Result<(u8, u8), ParseError> {
        let value = match self.value {
            "no" => 0,
            "first" => FRAG_ANY,
            "later" => FRAG_ANY | FRAG_LATER,
            _ => return Err(self.error()),
        };
        let mask = match self.mask {
            None => FRAG_ANY | FRAG_LATER,
            Some(text) => match number::<u8>(text).ok_or_else(|| self.error())? {
                0 => 0,
                _ => FRAG_ANY | FRAG_LATER,
            },
        };
        Ok((value, mask))
    }

    /// A number, names joined by `|`, or names behind `+` and `-`, which then are the mask. Bit `n`
    /// is `names[n]`; `full` is the mask of a number or of joined names.
    pub(super) fn flags(&self, names: &[&str], full: u32) -> Result<(u32, u32), ParseError> {
        let bit = |name: &str| names.iter().position(|n| *n == name).map(|n| 1u32 << n);
        let text = self.value;
        if text.starts_with(['+', '-']) {
            let (mut value, mut mask, mut rest) = (0, 0, text);
            while let Some(sign) = rest.get(..1) {
                let end = rest[1..].find(['+', '-']).map_or(rest.len(), |n| n + 1);
                let b = bit(&rest[1..end]).ok_or_else(|| self.error())?;
                mask |= b;
                value |= if sign == "+" { b } else { 0 };
                rest = &rest[end..];
            }
            return Ok((value, mask));
        }
        if text.starts_with(|c: char| c.is_ascii_digit()) {
            return self.number(full);
        }
        let all: Option<Vec<u32>> = text.split('|').map(bit).collect();
        Ok((all.ok_or_else(|| self.error())?.iter().fold(0, |v, b| v | b), full))
    }
}

/// A number as C's `%i` reads it: decimal, hexadecimal behind `0x`, octal behind `0`. White space
/// in front is skipped.
pub(super) fn number<T: TryFrom<u64>>(text: &str) -> Option<T> {
    let text = text.trim_start();
    let n = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16),
        None if text.len() > 1 && text.starts_with('0') => u64::from_str_radix(text, 8),
        None => text.parse(),
    };
    T::try_from(n.ok()?).ok()
}

/// The text in the parentheses that open at the start, and what follows them.
pub(super) fn parentheses(text: &str) -> Option<(&str, &str)> {
    let inner = text.strip_prefix('(')?;
    let mut depth = 1;
    for (at, c) in inner.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some((&inner[..at], &inner[at + 1..]));
        }
    }
    None
}

/// The parts between commas that stand outside nested parentheses; empty ones are left out.
pub(super) fn parts(body: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0usize;
    body.split(move |c| {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    })
    .map(str::trim)
    .filter(|part| !part.is_empty())
}
