//! JSON that borrows from the bytes it came in.
//!
//! A transaction is looked at from several sides (which operation, which members, which error text)
//! so it is kept as a tree; but one whose strings are slices of the message.

use std::borrow::Cow;
use std::fmt;

use ovsdb::value::{push_json_real, push_json_string};
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor,
};
use serde_json::value::RawValue;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json<'a> {
    /// `null`.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A number without a fraction that fits.
    Integer(i64),
    /// Any other number; never negative zero.
    Real(f64),
    /// Text without NUL characters.
    String(Cow<'a, str>),
    /// An array.
    Array(Vec<Json<'a>>),
    /// An object, members by name; of members with the same name the last one counts.
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

impl<'a> Json<'a> {
    /// From text.
    ///
    /// # Errors
    ///
    /// If it is not one JSON value, nests deeper than 1000 or has a NUL character in a string.
    pub fn parse(text: &'a str) -> Result<Json<'a>, serde_json::Error> {
        serde_json::from_str(text)
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Json::String(text) => Some(text),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Json<'a>]> {
        match self {
            Json::Array(elements) => Some(elements),
            _ => None,
        }
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&[(Cow<'a, str>, Json<'a>)]> {
        match self {
            Json::Object(members) => Some(members),
            _ => None,
        }
    }

    /// Appends the value as text, members in alphabetical order.
    pub fn push(&self, out: &mut String) {
        match self {
            Json::Null => out.push_str("null"),
            Json::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Json::Integer(value) => out.push_str(&value.to_string()),
            Json::Real(value) => push_json_real(out, *value),
            Json::String(text) => push_json_string(out, text),
            Json::Array(elements) => {
                out.push('[');
                for (at, element) in elements.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    element.push(out);
                }
                out.push(']');
            }
            Json::Object(members) => {
                out.push('{');
                for (at, (name, value)) in members.iter().enumerate() {
                    if at > 0 {
                        out.push(',');
                    }
                    push_json_string(out, name);
                    out.push(':');
                    value.push(out);
                }
                out.push('}');
            }
        }
    }

    /// The value as text.
    pub fn to_text(&self) -> String {
        let mut out = String::new();
        self.push(&mut out);
        out
    }
}

/// A member of an object's members.
pub fn member<'j, 'a>(members: &'j [(Cow<'a, str>, Json<'a>)], name: &str) -> Option<&'j Json<'a>> {
    let at = members.binary_search_by(|(known, _)| (**known).cmp(name)).ok()?;
    Some(&members[at].1)
}

/// A number as the reference's parser takes it: `1e2` and `100.0` are integers.
pub(crate) fn number(value: f64) -> Json<'static> {
    // 2^63 is exact as f64; anything at or above does not fit.
    const LIMIT: f64 = 9_223_372_036_854_775_808.0;
    if value.fract() == 0.0 && (-LIMIT..LIMIT).contains(&value) {
        Json::Integer(value as i64)
    } else {
        Json::Real(value)
    }
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Json<'de>, D::Error> {
        Tree { depth: 0 }.deserialize(deserializer)
    }
}

/// Most open braces and brackets, as in Open vSwitch.
const MAX_DEPTH: usize = 1000;
/// Levels that one parser of `serde_json`'s is used for; it stops at 128.
const LEVELS: usize = 100;

/// How deep a value is nested in others.
#[derive(Clone, Copy)]
struct Tree {
    depth: usize,
}

impl Tree {
    fn inner(self) -> Tree {
        Tree { depth: self.depth + 1 }
    }
}

impl<'de> DeserializeSeed<'de> for Tree {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        if self.depth == 0 || !self.depth.is_multiple_of(LEVELS) {
            return deserializer.deserialize_any(self);
        }
        if self.depth >= MAX_DEPTH {
            return Err(D::Error::custom("input exceeds maximum nesting depth 1000"));
        }
        // Skipped without recursion, and read by a parser that counts anew.
        let text = <&RawValue>::deserialize(deserializer)?.get();
        serde_json::Deserializer::from_str(text).deserialize_any(self).map_err(D::Error::custom)
    }
}

impl<'de> Visitor<'de> for Tree {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Integer(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(i64::try_from(value).map_or(Json::Real(value as f64), Json::Integer))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(number(value))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::String(Cow::Borrowed(text)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Json<'de>, E> {
        // Only an escape can bring a NUL in, and text with escapes always comes this way.
        if text.contains('\0') {
            return Err(E::custom("null bytes not supported in quoted strings"));
        }
        Ok(Json::String(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json<'de>, A::Error> {
        let mut elements = Vec::new();
        while let Some(element) = seq.next_element_seed(self.inner())? {
            elements.push(element);
        }
        Ok(Json::Array(elements))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json<'de>, A::Error> {
        let mut members: Vec<(Cow<'de, str>, Json<'de>)> = Vec::new();
        while let Some(name) = map.next_key::<Json<'de>>()? {
            let value = map.next_value_seed(self.inner())?;
            let Json::String(name) = name else {
                return Err(A::Error::custom("a member's name that is not a string"));
            };
            members.push((name, value));
        }
        // Stable, so that of equal names the last stays last.
        members.sort_by(|a, b| a.0.cmp(&b.0));
        if members.windows(2).any(|pair| pair[0].0 == pair[1].0) {
            members.reverse();
            members.dedup_by(|a, b| a.0 == b.0);
            members.reverse();
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_parse_as_by_the_reference() {
        for (text, json) in [
            ("1e2", Json::Integer(100)),
            ("-0", Json::Integer(0)),
            ("-0.0", Json::Integer(0)),
            ("9223372036854775807", Json::Integer(i64::MAX)),
            ("9223372036854775808", Json::Real(9_223_372_036_854_775_808.0)),
            ("0.5", Json::Real(0.5)),
        ] {
            assert_eq!(Json::parse(text).unwrap(), json, "{text}");
        }
    }

    #[test]
    fn members_are_sorted_and_the_last_of_a_name_counts() {
        let json = Json::parse(r#"{"b":1,"a":2,"b":3,"a":4,"c\n":"\u00e9"}"#).unwrap();
        assert_eq!(json.to_text(), "{\"a\":4,\"b\":3,\"c\\n\":\"é\"}");
        assert_eq!(member(json.as_object().unwrap(), "b"), Some(&Json::Integer(3)));
    }

    #[test]
    fn malformed_json_is_refused() {
        for bad in ["", "{", "[1,]", "\"\\u0000\"", "{\"\\u0000\":1}", "1 2", "1e999", "nul"] {
            assert!(Json::parse(bad).is_err(), "{bad}");
        }
        let nested = |levels| "[".repeat(levels) + &"]".repeat(levels);
        for levels in [127, 128, 129, 999, 1000] {
            assert_eq!(Json::parse(&nested(levels)).unwrap().to_text(), nested(levels));
        }
        assert!(Json::parse(&nested(1100)).is_err());
    }
}
