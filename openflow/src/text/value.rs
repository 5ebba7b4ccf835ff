//! Values of fields.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use wire::EthAddr;

use super::{Names, TextError, parse_port, print_port, scan};
use crate::field::{Field, Format, Subfield, ones};
use crate::ofport::OfPort;

/// TCP flags, lowest bit first (RFC 9293, RFC 3168, RFC 3540; three more are reserved).
pub(super) const TCP_FLAGS: [&str; 12] =
    ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr", "ns", "[200]", "[400]", "[800]"];

/// States of connection tracking.
pub(super) const CT_STATES: [&str; 8] = ["new", "est", "rel", "rpl", "inv", "trk", "snat", "dnat"];

pub(super) const TUN_FLAGS: [&str; 1] = ["oam"];

/// Ways to match fragments: name, mask, value.
const FRAGS: [(&str, u8, u8); 6] = [
    ("no", 3, 0),
    ("first", 3, 1),
    ("later", 3, 3),
    ("no", 1, 0),
    ("yes", 1, 1),
    ("not_later", 2, 0),
];

/// Hexadecimal as C's `%#x`: no prefix for zero.
pub(super) fn hex(v: impl Into<u128>) -> String {
    match v.into() {
        0 => "0".to_owned(),
        v => format!("{v:#x}"),
    }
}

/// Flags by name: all that are set if the mask is full, else each in the mask with its sign.
pub(super) fn flags(value: u32, mask: u32, full: u32, names: &[&str]) -> String {
    let name = |bit: usize| names.get(bit).copied();
    let bits = |v: u32| (0..32usize).filter(move |b| v & 1 << b != 0);
    if mask == full {
        if value == 0 {
            return "0".to_owned();
        }
        let mut words: Vec<String> =
            bits(value).filter_map(|b| name(b).map(str::to_owned)).collect();
        let unnamed: u32 = bits(value).filter(|b| name(*b).is_none()).map(|b| 1 << b).sum();
        if unnamed != 0 {
            words.push(format!("{unnamed:#x}"));
        }
        return words.join("|");
    }
    if mask == 0 {
        return "0/0".to_owned();
    }
    bits(mask)
        .map(|b| {
            let sign = if value & 1 << b != 0 { '+' } else { '-' };
            format!("{sign}{}", name(b).unwrap_or("[Unknown]"))
        })
        .collect()
}

pub(super) fn ipv4(value: u32, mask: u32) -> String {
    let addr = Ipv4Addr::from(value);
    match mask {
        u32::MAX => addr.to_string(),
        m if m.leading_ones() + m.trailing_zeros() == 32 => format!("{addr}/{}", m.leading_ones()),
        m => format!("{addr}/{}", Ipv4Addr::from(m)),
    }
}

/// An IPv6 address as the C library writes it: unlike Rust's it takes `::4:1` for an IPv4 address
/// in disguise.
fn ipv6_address(v: u128) -> String {
    match u32::try_from(v) {
        Ok(low @ 0x1_0000..) => format!("::{}", Ipv4Addr::from(low)),
        _ => Ipv6Addr::from(v).to_string(),
    }
}

pub(super) fn ipv6(value: u128, mask: u128) -> String {
    let addr = ipv6_address(value);
    match mask {
        u128::MAX => addr,
        m if m.leading_ones() + m.trailing_zeros() == 128 => {
            format!("{addr}/{}", m.leading_ones())
        }
        m => format!("{addr}/{}", ipv6_address(m)),
    }
}

pub(super) fn eth(value: EthAddr, mask: EthAddr) -> String {
    if mask == EthAddr::BROADCAST { value.to_string() } else { format!("{value}/{mask}") }
}

/// A field's value with its mask, as `set_field` shows it.
pub fn print_value(field: Field, value: u128, mask: u128, names: &dyn Names) -> String {
    if mask == 0 {
        return "ANY".to_owned();
    }
    let whole = mask == field.ones();
    // Octets of a field's mask that its bits do not fill count as set.
    let shown_mask = if whole { u128::MAX } else { mask };
    let number = |text: String| if whole { text } else { format!("{text}/{}", hex(mask)) };
    match field.info().format {
        Format::Dec => number(value.to_string()),
        Format::Hex => number(hex(value)),
        Format::Port => print_port(OfPort(value as u16), names),
        Format::Port32 => {
            let port = OfPort::from_wire32(value as u32).unwrap_or(OfPort::NONE);
            print_port(port, names)
        }
        Format::Ipv4 => ipv4(value as u32, shown_mask as u32),
        Format::Ipv6 => ipv6(value, shown_mask),
        Format::Eth => eth(EthAddr::from_u64(value as u64), EthAddr::from_u64(shown_mask as u64)),
        Format::Frag => {
            let (v, m) = (value as u8 & 3, mask as u8 & 3);
            let found = FRAGS.iter().find(|(_, fm, fv)| (*fm, *fv) == (m, v & m));
            found.map_or("<error>", |(name, _, _)| name).to_owned()
        }
        Format::TcpFlags => flags(value as u32, mask as u32, 0xfff, &TCP_FLAGS),
        Format::TunFlags => flags(value as u32, mask as u32, 1, &TUN_FLAGS),
        // Upstream takes only a mask of 16 bits for full here, and none has that.
        Format::CtState => flags(value as u32, mask as u32 & 0xff, 0xffff, &CT_STATES),
        Format::PacketType => packet_type(value as u32, mask as u32),
    }
}

/// `eth`, or name space and type.
pub(super) fn packet_type(value: u32, mask: u32) -> String {
    if value == 0 && mask == u32::MAX {
        return "eth".to_owned();
    }
    let part = |v: u32, m: u32| {
        let number = if v > 9 { format!("{v:#x}") } else { v.to_string() };
        match m {
            0 => "*".to_owned(),
            0xffff => number,
            m => format!("{number}/{m:#x}"),
        }
    };
    let (ns, typ) = (part(value >> 16, mask >> 16), part(value & 0xffff, mask & 0xffff));
    format!("packet_type=({ns},{typ})")
}

/// A number of up to 128 bits; hexadecimal digits may have white space between.
fn wide(s: &str) -> Option<u128> {
    match s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")) {
        Some(hex) => {
            let digits: String = hex.split_ascii_whitespace().collect();
            let ok = digits.bytes().all(|b| b.is_ascii_hexdigit());
            if digits.is_empty() {
                return Some(0);
            }
            ok.then(|| u128::from_str_radix(&digits, 16).ok())?
        }
        None => scan::number(s).map(u128::from),
    }
}

/// A number that fits into `field`'s octets.
pub(super) fn integer(s: &str, field: Field, what: &str) -> Result<u128, TextError> {
    let (name, bytes) = (field.info().name, field.info().bytes);
    match wide(s) {
        None => TextError::new(format!("{s}: bad syntax for {name} {what}")),
        Some(v) if v & !ones(u16::from(bytes) * 8) != 0 => {
            TextError::new(format!("{s}: {what} too large for {bytes}-byte field {name}"))
        }
        Some(v) => Ok(v),
    }
}

/// Flags by name: `syn|ack`, `+syn-ack`, or numbers with an optional mask.
fn parse_flags(s: &str, what: &str, names: &[&str], allowed: u32) -> Result<(u32, u32), TextError> {
    let unknown = || TextError(format!("{s}: unknown {what} flag(s)"));
    if let Some((v, m)) = s.split_once('/')
        && let (Some(v), Some(m)) = (scan::number(v), scan::number(m))
    {
        let (v, m) = (v as u32, m as u32);
        return if (v | m) & !allowed == 0 { Ok((v, m)) } else { Err(unknown()) };
    }
    let bit = |name: &str| -> Result<u32, TextError> {
        let at = names.iter().position(|n| *n == name).ok_or_else(unknown)?;
        if allowed & 1 << at != 0 { Ok(1 << at) } else { Err(unknown()) }
    };
    if s.starts_with(['+', '-']) {
        let (mut value, mut mask) = (0, 0);
        let mut rest = s;
        while !rest.is_empty() {
            let Some(after) = rest.strip_prefix(['+', '-']) else {
                return TextError::new(format!(
                    "{rest}: {what} must be preceded by '+' (for SET) or '-' (NOT SET)"
                ));
            };
            let end = after.find(['+', '-']).unwrap_or(after.len());
            let b = bit(&after[..end])?;
            if mask & b != 0 {
                return TextError::new(format!(
                    "{after}: Each {what} flag can be specified only once"
                ));
            }
            mask |= b;
            if rest.starts_with('+') {
                value |= b;
            }
            rest = &after[end..];
        }
        return Ok((value, mask));
    }
    let mut value = 0;
    for word in s.split('|') {
        value |= match scan::number(word) {
            Some(n) if n & !u64::from(allowed) == 0 => n as u32,
            Some(_) => return Err(unknown()),
            None => bit(word)?,
        };
    }
    Ok((value, u32::MAX))
}

/// An address with an optional mask or prefix length; `host` reads the address.
fn masked<T>(
    s: &str,
    bits: u32,
    kind: &str,
    to_number: impl Fn(T) -> u128,
) -> Result<(u128, u128), TextError>
where
    T: std::str::FromStr,
{
    let bad = || TextError(format!("{s}: invalid {kind} address"));
    let full = ones(bits as u16);
    let parse = |s: &str| s.parse::<T>().map(&to_number).map_err(|_| bad());
    let Some((addr, mask)) = s.split_once('/') else { return Ok((parse(s)?, full)) };
    let addr = parse(addr)?;
    let mask = match mask.parse::<u32>() {
        Ok(n) if n <= bits => {
            if n == 0 {
                0
            } else {
                full << (bits - n) & full
            }
        }
        Ok(n) => {
            return TextError::new(format!(
                "{s}: {kind} network prefix bits {n} not between 0 and {bits}"
            ));
        }
        Err(_) => parse(mask)?,
    };
    Ok((addr, mask))
}

/// A value and mask of `field`; `*` is a mask of zero.
pub fn parse_field(field: Field, s: &str, names: &dyn Names) -> Result<(u128, u128), TextError> {
    if s == "*" {
        return Ok((0, 0));
    }
    let info = field.info();
    let full = field.ones();
    let (value, mask) = match info.format {
        Format::Dec | Format::Hex => match s.split_once('/') {
            Some((v, m)) => (integer(v, field, "value")?, integer(m, field, "mask")?),
            None => (integer(s, field, "value")?, u128::MAX),
        },
        Format::Ipv4 => masked::<Ipv4Addr>(s, 32, "IP", |a| u32::from(a).into())?,
        Format::Ipv6 => masked::<Ipv6Addr>(s, 128, "IPv6", u128::from)?,
        Format::Eth => {
            let bad = |_| TextError(format!("{s}: invalid Ethernet address"));
            let (v, m) = s.split_once('/').unwrap_or((s, "ff:ff:ff:ff:ff:ff"));
            let (v, m): (EthAddr, EthAddr) = (v.parse().map_err(bad)?, m.parse().map_err(bad)?);
            (v.to_u64().into(), m.to_u64().into())
        }
        Format::Port => match parse_port(s, names) {
            Some(p) => (p.0.into(), full),
            None => {
                return TextError::new(format!("{s}: invalid or unknown port for {}", info.name));
            }
        },
        Format::Port32 => match parse_port(s, names) {
            Some(p) => (p.to_wire32().into(), full),
            None => {
                return TextError::new(format!("{s}: port value out of range for {}", info.name));
            }
        },
        Format::Frag => match FRAGS.iter().find(|(n, _, _)| n.eq_ignore_ascii_case(s)) {
            Some((_, mask, value)) => ((*value).into(), (*mask).into()),
            None => {
                return TextError::new(format!(
                    "{s}: unknown fragment type (valid types are \"no\", \"yes\", \"first\", \
                     \"later\", \"not_later\""
                ));
            }
        },
        Format::TcpFlags => both(parse_flags(s, "TCP", &TCP_FLAGS, 0xfff)?),
        Format::TunFlags => both(parse_flags(s, "tunnel", &TUN_FLAGS, 1)?),
        Format::CtState => both(parse_flags(s, "ct_state", &CT_STATES, 0xff)?),
        Format::PacketType => (parse_packet_type(s)?, u128::MAX),
    };
    let all = ones(u16::from(info.bytes) * 8);
    let mask = mask & all;
    if !info.maskable && mask != 0 && mask & full != full {
        return TextError::new(format!("{s}: invalid mask for field {}", info.name));
    }
    Ok((value, mask & full))
}

fn both((a, b): (u32, u32)) -> (u128, u128) {
    (a.into(), b.into())
}

fn parse_packet_type(s: &str) -> Result<u128, TextError> {
    let bad = |what: &str| TextError(format!("{s}: bad syntax for packet type {what}"));
    let inner = s.strip_prefix('(').ok_or_else(|| bad("missing '('"))?;
    let (ns, rest) = inner.split_once(',').ok_or_else(|| bad("missing ','"))?;
    let typ = rest.strip_suffix(')').ok_or_else(|| bad("missing ')'"))?;
    let part = |s: &str, what: &str| {
        scan::number(s).and_then(|n| u16::try_from(n).ok()).ok_or_else(|| bad(what))
    };
    Ok(u128::from(part(ns, "ns")?) << 16 | u128::from(part(typ, "ns_type")?))
}

/// `FIELD[]`, `FIELD[bit]`, `FIELD[first..last]`.
pub fn print_subfield(s: Subfield) -> String {
    let mut out = s.field.header_name().to_owned();
    if s.ofs == 0 && s.n_bits == s.field.info().bits {
        out.push_str("[]");
    } else if s.n_bits == 1 {
        let _ = write!(out, "[{}]", s.ofs);
    } else {
        let _ = write!(out, "[{}..{}]", s.ofs, s.ofs + s.n_bits - 1);
    }
    out
}

/// Takes a subfield off the beginning of the text.
pub(super) fn take_subfield(text: &mut &str) -> Result<Subfield, TextError> {
    let s = *text;
    let len = s.find(['[', '-']).unwrap_or(s.len());
    let (name, mut rest) = s.split_at(len);
    let plain = name.strip_suffix("_W").unwrap_or(name);
    let field = Field::from_header_name(plain).or_else(|| Field::from_name(name));
    let Some(field) = field else {
        return TextError::new(format!("{s}: unknown field `{name}'"));
    };
    let bits = field.info().bits;
    let (mut first, mut last) = (0, bits - 1);
    if let Some(inner) = rest.strip_prefix('[') {
        let bad =
            || TextError(format!("{s}: syntax error expecting [] or [<bit>] or [<start>..<end>]"));
        let (range, after) = inner.split_once(']').ok_or_else(bad)?;
        let bit = |s: &str| s.trim().parse::<u16>().map_err(|_| bad());
        match range.split_once("..") {
            Some((a, b)) => (first, last) = (bit(a)?, bit(b)?),
            None if range.is_empty() => {}
            None => {
                first = bit(range)?;
                last = first;
            }
        }
        rest = after;
    }
    if first > last {
        return TextError::new(format!("{s}: starting bit {first} is after ending bit {last}"));
    }
    for (bit, what) in [(first, "starting"), (last, "ending")] {
        if bit >= bits {
            return TextError::new(format!(
                "{s}: {what} bit {bit} is not valid because field is only {bits} bits wide"
            ));
        }
    }
    *text = rest;
    Ok(Subfield { field, ofs: first, n_bits: last - first + 1 })
}

/// A subfield at the beginning of the text, and the text after it.
///
/// # Errors
///
/// The text does not begin with one.
pub fn parse_subfield_prefix(mut s: &str) -> Result<(Subfield, &str), TextError> {
    let sub = take_subfield(&mut s)?;
    Ok((sub, s))
}

/// A subfield that is all of the text.
pub fn parse_subfield(s: &str) -> Result<Subfield, TextError> {
    match parse_subfield_prefix(s)? {
        (sub, "") => Ok(sub),
        _ => TextError::new("unexpected input following field syntax"),
    }
}
