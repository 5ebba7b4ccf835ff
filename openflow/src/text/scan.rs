//! Words and numbers.

use super::TextError;

/// Takes the next `key`, `key=value`, `key:value` or `key(value)` off the text; `None` at its
/// end. Commas and white space stand between. A value may hold balanced parentheses, and one in
/// parentheses may go on with `->` and a destination.
pub(super) fn key_value<'a>(text: &mut &'a str) -> Option<(&'a str, &'a str)> {
    const SPACE: &[char] = &[',', ' ', '\t', '\r', '\n'];
    let s = text.trim_start_matches(SPACE);
    if s.is_empty() {
        *text = s;
        return None;
    }
    let key_len = s.find([':', '=', '(', ',', ' ', '\t', '\r', '\n']).unwrap_or(s.len());
    let (key, rest) = s.split_at(key_len);
    let Some(delimiter) = rest.chars().next() else {
        *text = rest;
        return Some((key, rest));
    };
    // All delimiters are of one octet.
    let rest = &rest[1..];
    let ends: &[char] = match delimiter {
        ':' | '=' => SPACE,
        '(' => &[')'],
        _ => {
            *text = rest;
            return Some((key, ""));
        }
    };
    let mut len = value_len(rest, ends);
    if delimiter == '(' && rest[len..].starts_with(")->") {
        len += value_len(&rest[len..], SPACE);
    }
    let value = &rest[..len];
    *text = rest[len..].get(1..).unwrap_or("");
    Some((key, value))
}

/// Octets until a delimiter that is not within parentheses.
fn value_len(s: &str, ends: &[char]) -> usize {
    let mut depth = 0usize;
    for (i, c) in s.char_indices() {
        match c {
            _ if depth == 0 && ends.contains(&c) => return i,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    s.len()
}

/// A number as C writes it: decimal, with `0x` hexadecimal, with `0` octal; a minus sign wraps
/// around.
pub(super) fn number(s: &str) -> Option<u64> {
    let (negative, digits) = match s.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, s.strip_prefix('+').unwrap_or(s)),
    };
    if digits.is_empty() {
        return None;
    }
    let lower = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X"));
    let v = match lower {
        Some(hex) if !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit()) => {
            u64::from_str_radix(hex, 16).ok()?
        }
        Some(_) => return None,
        None if !digits.bytes().all(|b| b.is_ascii_digit()) => return None,
        None if digits.len() > 1 && digits.starts_with('0') => {
            u64::from_str_radix(digits, 8).ok()?
        }
        None => digits.parse().ok()?,
    };
    Some(if negative { v.wrapping_neg() } else { v })
}

pub(super) fn u8(s: &str, name: &str) -> Result<u8, TextError> {
    let v = number(s).and_then(|v| u8::try_from(v).ok());
    v.ok_or_else(|| TextError(format!("invalid {name} \"{s}\"")))
}

pub(super) fn u16(s: &str, name: &str) -> Result<u16, TextError> {
    let v = number(s).and_then(|v| u16::try_from(v).ok());
    v.ok_or_else(|| TextError(format!("invalid {name} \"{s}\"")))
}

pub(super) fn u32(s: &str) -> Result<u32, TextError> {
    match u64(s).map(u32::try_from) {
        Ok(Ok(v)) => Ok(v),
        Err(e) if s.is_empty() => Err(e),
        _ => TextError::new(format!("invalid numeric format {s}")),
    }
}

pub(super) fn u64(s: &str) -> Result<u64, TextError> {
    if s.is_empty() {
        return TextError::new("missing required numeric argument");
    }
    number(s).ok_or_else(|| TextError(format!("invalid numeric format {s}")))
}

/// Octets in hexadecimal, in pairs with white space or dots between; the rest of the text at the
/// first that is no such pair.
pub(super) fn hex_octets(mut s: &str) -> (Vec<u8>, &str) {
    let mut out = Vec::new();
    loop {
        s = s.trim_start_matches([' ', '\t', '\r', '\n', '.']);
        let pair = s.get(..2).and_then(|p| {
            p.bytes().all(|b| b.is_ascii_hexdigit()).then(|| u8::from_str_radix(p, 16).ok())?
        });
        let Some(octet) = pair else { return (out, s) };
        out.push(octet);
        s = &s[2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut s: &str) -> Vec<(&str, &str)> {
        std::iter::from_fn(|| key_value(&mut s)).collect()
    }

    #[test]
    fn scanner_splits_keys_and_values() {
        assert_eq!(all("a=1, b:2 c(3,4),d"), [("a", "1"), ("b", "2"), ("c", "3,4"), ("d", "")]);
        assert_eq!(all("set_field:(1)->x,y"), [("set_field", "(1)->x"), ("y", "")]);
        assert_eq!(all("clone(a(1),b(2)),c"), [("clone", "a(1),b(2)"), ("c", "")]);
        assert_eq!(all("a((1,2)->b),c"), [("a", "(1,2)->b"), ("c", "")]);
        assert_eq!(all("move(1)->x y"), [("move", "1)->x"), ("y", "")]);
        assert_eq!(all(" , "), []);
        assert_eq!(all("a(1"), [("a", "1")]);
        assert_eq!(all("é=ü"), [("é", "ü")]);
    }

    #[test]
    fn scanner_reads_decimal_and_hexadecimal_numbers() {
        assert_eq!(number("0x1F"), Some(31));
        assert_eq!(number("017"), Some(15));
        assert_eq!(number("-1"), Some(u64::MAX));
        for bad in ["0x", "", "1x", "09", "18446744073709551616", "0x-1", "-"] {
            assert_eq!(number(bad), None, "{bad}");
        }
        assert_eq!(u16("65536", "priority").unwrap_err().0, "invalid priority \"65536\"");
        assert_eq!(hex_octets("0a.0B c"), (vec![10, 11], "c"));
    }
}
