//! Values as people type them.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::schema::{AtomicType, BaseType, ColumnType};
use ovsdb::value::push_json_real;
use ovsdb::{Atom, Datum, Uuid};

use super::text;

/// What looks up `@name`: a row's stand-in.
pub trait Symbols {
    /// The UUID of a name that is used in a column of this type.
    ///
    /// # Errors
    ///
    /// A text that says why there is none.
    fn refer(&mut self, name: &str, base: &BaseType) -> Result<Uuid, String>;
}

/// Most integers that a range like `1-100` may stand for.
const MAX_RANGE: u64 = 4096;

fn is_delimiter(byte: u8) -> bool {
    b":=, []{}!<>".contains(&byte)
}

/// Cuts a token off `text`: up to a delimiter that is neither in double quotes nor after a
/// backslash. Quotes stay, a backslash outside of them goes.
///
/// # Errors
///
/// A text that says what is not closed.
pub fn token(text: &str) -> Result<(String, &str), String> {
    let mut out = String::new();
    let mut quoted = false;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        if c == '\\' {
            if quoted {
                out.push('\\');
            }
            match chars.next() {
                Some((_, escaped)) => out.push(escaped),
                None => return Err(format!("{text}: backslash at end of argument")),
            }
        } else if !quoted && c.is_ascii() && is_delimiter(c as u8) {
            return Ok((out, &text[at..]));
        } else {
            out.push(c);
            quoted ^= c == '"';
        }
    }
    if quoted {
        return Err(format!("{text}: quoted string extends past end of argument"));
    }
    Ok((out, ""))
}

/// An integer with an optional sign, nothing else.
fn integer(text: &str) -> Option<i64> {
    text.trim_start_matches([' ', '\t', '\n']).parse().ok()
}

/// `1-5`, with signs where wanted.
fn integer_range(text: &str) -> Option<(i64, i64)> {
    let digits = text.trim_start_matches(['-', '+']);
    let sign = text.len() - digits.len();
    let dash = sign + digits.find('-')?;
    Some((integer(&text[..dash])?, integer(&text[dash + 1..])?))
}

/// The inside of a quoted string without its escapes (those of JSON).
fn unescape(text: &str) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    let four = |chars: &mut std::str::Chars<'_>| -> Result<u32, &'static str> {
        let digits: String = chars.by_ref().take(4).collect();
        if digits.len() < 4 {
            return Err("quoted string ends within \\u escape");
        }
        match u32::from_str_radix(&digits, 16) {
            Ok(0) => Err("null bytes not supported in quoted strings"),
            Ok(unit) if !digits.starts_with('+') => Ok(unit),
            _ => Err("malformed \\u escape"),
        }
    };
    while let Some(c) = chars.next() {
        match c {
            '"' => return Err("quoted string may not include unescaped \"".to_owned()),
            '\\' => match chars.next() {
                None => return Err("quoted string may not end with backslash".to_owned()),
                Some(c @ ('"' | '\\' | '/')) => out.push(c),
                Some('b') => out.push('\x08'),
                Some('f') => out.push('\x0c'),
                Some('n') => out.push('\n'),
                Some('r') => out.push('\r'),
                Some('t') => out.push('\t'),
                Some('u') => {
                    let mut code = four(&mut chars)?;
                    if (0xd800..0xdc00).contains(&code) {
                        if (chars.next(), chars.next()) != (Some('\\'), Some('u')) {
                            return Err("malformed escaped surrogate pair".to_owned());
                        }
                        let low = four(&mut chars)?;
                        if !(0xdc00..0xe000).contains(&low) {
                            return Err("second half of escaped surrogate pair is not trailing \
                                        surrogate"
                                .to_owned());
                        }
                        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
                    }
                    match char::from_u32(code) {
                        Some(c) => out.push(c),
                        None => return Err("malformed \\u escape".to_owned()),
                    }
                }
                Some(c) => return Err(format!("bad escape \\{c}")),
            },
            c => out.push(c),
        }
    }
    Ok(out)
}

/// A single value; its constraints are checked.
///
/// # Errors
///
/// What is wrong and what is accepted.
pub fn atom(base: &BaseType, text: &str, symbols: &mut dyn Symbols) -> Result<Atom, String> {
    let atom = plain_atom(base, text, symbols)?;
    check(base, &atom)?;
    Ok(atom)
}

fn plain_atom(base: &BaseType, text: &str, symbols: &mut dyn Symbols) -> Result<Atom, String> {
    match base.kind {
        AtomicType::Integer => match integer(text) {
            Some(value) => Ok(Atom::Integer(value)),
            None => Err(format!("\"{text}\" is not a valid integer or range")),
        },
        AtomicType::Real => match text.parse::<f64>() {
            // Adding zero makes a negative zero positive, as JSON's reader does.
            Ok(value) if value.is_finite() => Ok(Atom::Real(value + 0.0)),
            _ => Err(format!("\"{text}\" is not a valid real number")),
        },
        AtomicType::Boolean => match text {
            "true" | "yes" | "on" | "1" => Ok(Atom::Boolean(true)),
            "false" | "no" | "off" | "0" => Ok(Atom::Boolean(false)),
            _ => Err(format!("\"{text}\" is not a valid boolean (use \"true\" or \"false\")")),
        },
        AtomicType::String => match text.strip_prefix('"') {
            None if text.is_empty() => Err("An empty string is not valid as input; \
                                            use \"\" to represent the empty string"
                .to_owned()),
            None => Ok(Atom::String(text.to_owned())),
            Some(rest) => match rest.strip_suffix('"') {
                None => Err(format!("{text}: missing quote at end of quoted string")),
                Some(inner) => match unescape(inner) {
                    Ok(value) => Ok(Atom::String(value)),
                    Err(problem) => Err(format!("{text}: {problem}")),
                },
            },
        },
        AtomicType::Uuid if text.starts_with('@') => symbols.refer(text, base).map(Atom::Uuid),
        AtomicType::Uuid => match Uuid::parse_bytes(text.as_bytes()) {
            Some(uuid) => Ok(Atom::Uuid(uuid)),
            None => Err(format!("\"{text}\" is not a valid UUID")),
        },
    }
}

/// Checks a value's constraints, in upstream's words.
fn check(base: &BaseType, atom: &Atom) -> Result<(), String> {
    let violation = |what: String| Err(format!("constraint violation: {what}"));
    let printed = || {
        let mut out = String::new();
        text::push_atom(&mut out, atom);
        out
    };
    if let Some(values) = &base.enumeration
        && !values.contains(atom)
    {
        let many =
            ColumnType { key: BaseType::plain(base.kind), value: None, min: 1, max: u32::MAX };
        let allowed = text::datum(&Datum::Set(values.clone()), &many);
        return violation(format!("{} is not one of the allowed values ({allowed})", printed()));
    }
    // Below and above, and whether there is such a bound at all.
    let bounds = match atom {
        Atom::Integer(value) => {
            let (low, high) = base.integers;
            let words = (low.to_string(), high.to_string());
            (*value < low || *value > high, low > i64::MIN, high < i64::MAX, words)
        }
        Atom::Real(value) => {
            let (low, high) = base.reals;
            let word = |real| {
                let mut out = String::new();
                push_json_real(&mut out, real);
                out
            };
            (
                *value < low || *value > high,
                low > f64::MIN,
                high < f64::MAX,
                (word(low), word(high)),
            )
        }
        Atom::String(text) => {
            let length = text.chars().count() as u64;
            let (short, long) = base.lengths;
            if length < short {
                return violation(format!(
                    "\"{text}\" length {length} is less than minimum allowed length {short}"
                ));
            }
            if length > long {
                return violation(format!(
                    "\"{text}\" length {length} is greater than maximum allowed length {long}"
                ));
            }
            return Ok(());
        }
        Atom::Boolean(_) | Atom::Uuid(_) | Atom::NamedUuid(_) => return Ok(()),
    };
    let (outside, has_low, has_high, (low, high)) = bounds;
    let value = printed();
    match (outside, has_low, has_high) {
        (false, _, _) => Ok(()),
        (true, true, true) => {
            violation(format!("{value} is not in the valid range {low} to {high} (inclusive)"))
        }
        (true, true, false) => {
            violation(format!("{value} is less than minimum allowed value {low}"))
        }
        (true, false, _) => {
            violation(format!("{value} is greater than maximum allowed value {high}"))
        }
    }
}

/// The values that a token of a set or a map's key stands for: one, or a range of integers.
fn atoms(base: &BaseType, text: &str, symbols: &mut dyn Symbols) -> Result<Vec<Atom>, String> {
    if base.kind != AtomicType::Integer || integer(text).is_some() {
        return atom(base, text, symbols).map(|atom| vec![atom]);
    }
    let Some((from, to)) = integer_range(text) else {
        return atom(base, text, symbols).map(|atom| vec![atom]);
    };
    if to < from {
        return Err(format!("\"{text}\" is not a valid range. Range end cannot be before start."));
    }
    check(base, &Atom::Integer(from))?;
    check(base, &Atom::Integer(to))?;
    if to.abs_diff(from) >= MAX_RANGE {
        return Err(format!(
            "constraint violation: Range \"{from}-{to}\" is too big. \
             Maximum allowed size is {MAX_RANGE}."
        ));
    }
    let all: Vec<Atom> = (from..=to).map(Atom::Integer).collect();
    all.iter().try_for_each(|atom| check(base, atom))?;
    Ok(all)
}

/// A column's value: atoms, or pairs `key=value`, between blanks or commas, `[]` or `{}` around
/// them if one likes.
///
/// # Errors
///
/// What is wrong and what is accepted.
pub fn datum(column: &ColumnType, text: &str, symbols: &mut dyn Symbols) -> Result<Datum, String> {
    let (open, close) = if column.value.is_some() { ('{', '}') } else { ('[', ']') };
    let mut rest = text.trim_start_matches(' ');
    let end = rest.strip_prefix(open).is_some().then_some(close);
    if end.is_some() {
        rest = rest[1..].trim_start_matches(' ');
    } else if rest.is_empty() {
        let what = if column.value.is_some() { "map" } else { "set" };
        return Err(format!("use \"{open}{close}\" to specify the empty {what}"));
    }
    let mut set = BTreeSet::new();
    let mut map = BTreeMap::new();
    let (mut number, mut duplicate) = (0_u64, false);
    while let Some(first) = rest.chars().next().filter(|c| Some(*c) != end) {
        if first.is_ascii() && is_delimiter(first as u8) {
            let kind = text::type_name(column);
            return Err(format!("{text}: unexpected \"{first}\" parsing {kind}"));
        }
        let pair = rest;
        let (word, after) = token(rest)?;
        let keys = atoms(&column.key, &word, symbols)?;
        rest = after;
        number += keys.len() as u64;
        match &column.value {
            None => keys.into_iter().for_each(|key| duplicate |= !set.insert(key)),
            Some(base) => {
                rest = rest.trim_start_matches(' ');
                let Some(after) = rest.strip_prefix('=') else {
                    let at = rest.chars().next().map(String::from).unwrap_or_default();
                    return Err(format!("{pair}: syntax error at \"{at}\" expecting \"=\""));
                };
                let (word, after) = token(after.trim_start_matches(' '))?;
                let value = atom(base, &word, symbols)?;
                rest = after;
                for key in keys {
                    duplicate |= map.insert(key, value.clone()).is_some();
                }
            }
        }
        rest = rest.trim_start_matches(' ');
        if let Some(after) = rest.strip_prefix(',') {
            rest = after.trim_start_matches(' ');
        }
    }
    if let Some(end) = end {
        let Some(after) = rest.strip_prefix(end) else {
            return Err(format!("{text}: missing \"{end}\" at end of data"));
        };
        if !after.trim_start_matches(' ').is_empty() {
            return Err(format!("{text}: trailing garbage after \"{end}\""));
        }
    }
    let what = if column.value.is_some() { "pair(s)" } else { "value(s)" };
    let (min, max) = (column.min, column.max);
    if number < u64::from(min) {
        return Err(format!("{text}: {number} {what} specified but the minimum number is {min}"));
    }
    if number > u64::from(max) {
        return Err(format!("{text}: {number} {what} specified but the maximum number is {max}"));
    }
    match (duplicate, column.value.is_some()) {
        (true, true) => Err(format!("{text}: map contains duplicate key")),
        (true, false) => Err(format!("{text}: set contains duplicate value")),
        (false, true) => Ok(Datum::Map(map)),
        (false, false) => Ok(Datum::Set(set)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    struct NoSymbols;

    impl Symbols for NoSymbols {
        fn refer(&mut self, name: &str, _: &BaseType) -> Result<Uuid, String> {
            Err(format!("no {name}"))
        }
    }

    fn column(json: &str) -> ColumnType {
        ColumnType::from_json(&serde_json::from_str(json).unwrap()).unwrap()
    }

    fn read(column: &ColumnType, typed: &str) -> Result<String, String> {
        datum(column, typed, &mut NoSymbols).map(|datum| text::datum(&datum, column))
    }

    #[test]
    fn sets_and_maps() {
        let set = column(
            r#"{"key":{"type":"integer","minInteger":0,"maxInteger":4095},"min":0,"max":4096}"#,
        );
        for (typed, printed) in [
            ("3,1 2", "[1, 2, 3]"),
            ("[]", "[]"),
            (" [ 5 ] ", "[5]"),
            ("1-3", "[1, 2, 3]"),
            ("+4", "[4]"),
        ] {
            assert_eq!(read(&set, typed).as_deref(), Ok(printed));
        }
        let map = column(r#"{"key":"string","value":"string","min":0,"max":"unlimited"}"#);
        for (typed, printed) in [
            ("a=b", "{a=b}"),
            ("{b=1, a=\"x y\"}", "{a=\"x y\", b=\"1\"}"),
            ("{}", "{}"),
            (r"a\=b=c", "{\"a=b\"=c}"),
            (r#""k\u00e9"=v"#, "{\"ké\"=v}"),
        ] {
            assert_eq!(read(&map, typed).as_deref(), Ok(printed), "{typed}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let set = column(
            r#"{"key":{"type":"integer","minInteger":0,"maxInteger":4095},"min":0,"max":2}"#,
        );
        let optional = column(r#"{"key":"string","min":1,"max":1}"#);
        let map = column(r#"{"key":"string","value":"integer","min":0,"max":2}"#);
        let word = column(
            r#"{"key":{"type":"string","enum":["set",["in-band","out-of-band"]]},"min":0,"max":1}"#,
        );
        for (column, typed, says) in [
            (
                &set,
                "-1",
                "constraint violation: -1 is not in the valid range 0 to 4095 (inclusive)",
            ),
            (&set, "true", "\"true\" is not a valid integer or range"),
            (&set, "3-1", "\"3-1\" is not a valid range. Range end cannot be before start."),
            (&set, "1,2,3", "1,2,3: 3 value(s) specified but the maximum number is 2"),
            (&set, "1,1", "1,1: set contains duplicate value"),
            (&set, "[1", "[1: missing \"]\" at end of data"),
            (&set, "[1]2", "[1]2: trailing garbage after \"]\""),
            (&set, "=", "=: unexpected \"=\" parsing set of up to 2 integers"),
            (&set, "", "use \"[]\" to specify the empty set"),
            (&optional, "\"a", "\"a: quoted string extends past end of argument"),
            (&optional, "a\\", "a\\: backslash at end of argument"),
            (&optional, "\"\\x\"", "\"\\x\": bad escape \\x"),
            (&optional, "[]", "[]: 0 value(s) specified but the minimum number is 1"),
            (&map, "a", "a: syntax error at \"\" expecting \"=\""),
            (&map, "a=1,a=2", "a=1,a=2: map contains duplicate key"),
            (&map, "a=", "\"\" is not a valid integer or range"),
            (
                &word,
                "xyz",
                "constraint violation: xyz is not one of the allowed values ([in-band, out-of-band])",
            ),
        ] {
            assert_eq!(read(column, typed), Err(says.to_owned()), "{typed}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(typed in "\\PC*", odd in "[0-9a\\-+=,\\[\\]{}\"\\\\@u ]*") {
            for json in [
                r#"{"key":"integer","min":0,"max":"unlimited"}"#,
                r#"{"key":"string","value":"real","min":0,"max":"unlimited"}"#,
                r#"{"key":"uuid","value":"boolean","min":0,"max":"unlimited"}"#,
            ] {
                let column = column(json);
                let _ = read(&column, &typed);
                let _ = read(&column, &odd);
            }
        }

        #[test]
        fn what_is_printed_reads_back(
            pairs in prop::collection::btree_map("\\PC*", any::<i64>(), 0..4)
        ) {
            let column = column(r#"{"key":"string","value":"integer","min":0,"max":"unlimited"}"#);
            let before = Datum::Map(
                pairs.into_iter().map(|(k, v)| (Atom::String(k), Atom::Integer(v))).collect(),
            );
            let printed = text::datum(&before, &column);
            prop_assert_eq!(datum(&column, &printed, &mut NoSymbols), Ok(before));
        }
    }
}
