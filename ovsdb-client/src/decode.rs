//! Decoding of column values: straight from JSON text into Rust types, no tree in between.

use std::fmt;
use std::marker::PhantomData;

use ovsdb::Uuid;
use serde::Deserializer as _;
use serde::de::{self, DeserializeSeed, SeqAccess, Visitor};

use crate::atom::{AtomValue, ValueError};

fn value_error(error: serde_json::Error) -> ValueError {
    ValueError { reason: error.to_string() }
}

pub(crate) fn decode_set<T: AtomValue>(json: &str) -> Result<Vec<T>, ValueError> {
    let mut parser = serde_json::Deserializer::from_str(json);
    let values = parser.deserialize_any(SetVisitor(PhantomData)).map_err(value_error)?;
    parser.end().map_err(value_error)?;
    Ok(values)
}

pub(crate) fn decode_map<K: AtomValue, V: AtomValue>(
    json: &str,
    insert: impl FnMut(K, V),
) -> Result<(), ValueError> {
    let mut parser = serde_json::Deserializer::from_str(json);
    parser.deserialize_seq(MapVisitor(insert, PhantomData::<(K, V)>)).map_err(value_error)?;
    parser.end().map_err(value_error)
}

fn no<E: de::Error, T: AtomValue>(found: &dyn fmt::Display) -> E {
    E::custom(format!("{found} where a value of type {} is accepted", T::KIND.name()))
}

/// One atom: a bare scalar or `["uuid", …]`.
struct AtomSeed<T>(PhantomData<T>);

impl<'de, T: AtomValue> DeserializeSeed<'de> for AtomSeed<T> {
    type Value = T;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: AtomValue> Visitor<'de> for AtomSeed<T> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a value of type {}", T::KIND.name())
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<T, E> {
        T::from_boolean(value).ok_or_else(|| no::<E, T>(&value))
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<T, E> {
        T::from_integer(value).ok_or_else(|| no::<E, T>(&value))
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<T, E> {
        i64::try_from(value).ok().and_then(T::from_integer).ok_or_else(|| no::<E, T>(&value))
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<T, E> {
        // `1e2` and `100.0` are integers, as in upstream's parser; 2^63 is the first that does not fit.
        let fits = value.fract() == 0.0 && (-(2f64.powi(63))..2f64.powi(63)).contains(&value);
        fits.then(|| T::from_integer(value as i64)).flatten().ok_or_else(|| no::<E, T>(&value))
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<T, E> {
        T::from_text(value).ok_or_else(|| no::<E, T>(&"a string"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        match seq.next_element_seed(TagSeed)? {
            Some(Tag::Uuid) => uuid_rest(seq),
            Some(Tag::Set | Tag::Map | Tag::Other) | None => Err(no::<A::Error, T>(&"an array")),
        }
    }
}

/// The rest of `["uuid", …]`.
fn uuid_rest<'de, T: AtomValue, A: SeqAccess<'de>>(mut seq: A) -> Result<T, A::Error> {
    let uuid: Uuid =
        seq.next_element()?.ok_or_else(|| de::Error::custom(r#"["uuid"] without a UUID"#))?;
    end_of(&mut seq)?;
    T::from_uuid(uuid).ok_or_else(|| no::<A::Error, T>(&"a UUID"))
}

fn end_of<'de, A: SeqAccess<'de>>(seq: &mut A) -> Result<(), A::Error> {
    match seq.next_element::<de::IgnoredAny>()? {
        None => Ok(()),
        Some(_) => Err(de::Error::custom("an array with an element too many")),
    }
}

/// The first element of a JSON array that stands for a value.
enum Tag {
    Set,
    Map,
    Uuid,
    Other,
}

struct TagSeed;

impl<'de> DeserializeSeed<'de> for TagSeed {
    type Value = Tag;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Tag, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for TagSeed {
    type Value = Tag;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(r#""set", "map" or "uuid""#)
    }
    fn visit_str<E: de::Error>(self, tag: &str) -> Result<Tag, E> {
        Ok(match tag {
            "set" => Tag::Set,
            "map" => Tag::Map,
            "uuid" => Tag::Uuid,
            _ => Tag::Other,
        })
    }
}

/// A set: a bare atom, or `["set", [atom…]]`.
struct SetVisitor<T>(PhantomData<T>);

impl<'de, T: AtomValue> Visitor<'de> for SetVisitor<T> {
    type Value = Vec<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "values of type {}", T::KIND.name())
    }
    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Vec<T>, E> {
        AtomSeed(PhantomData).visit_bool(value).map(|value| vec![value])
    }
    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Vec<T>, E> {
        AtomSeed(PhantomData).visit_i64(value).map(|value| vec![value])
    }
    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Vec<T>, E> {
        AtomSeed(PhantomData).visit_u64(value).map(|value| vec![value])
    }
    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Vec<T>, E> {
        AtomSeed(PhantomData).visit_f64(value).map(|value| vec![value])
    }
    fn visit_str<E: de::Error>(self, value: &str) -> Result<Vec<T>, E> {
        AtomSeed(PhantomData).visit_str(value).map(|value| vec![value])
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        match seq.next_element_seed(TagSeed)? {
            Some(Tag::Uuid) => uuid_rest(seq).map(|value| vec![value]),
            Some(Tag::Set) => {
                let values = seq
                    .next_element_seed(AtomsSeed(PhantomData))?
                    .ok_or_else(|| de::Error::custom(r#"["set"] without its elements"#))?;
                end_of(&mut seq)?;
                Ok(values)
            }
            Some(Tag::Map | Tag::Other) | None => Err(no::<A::Error, T>(&"an array")),
        }
    }
}

/// `[atom…]`.
struct AtomsSeed<T>(PhantomData<T>);

impl<'de, T: AtomValue> DeserializeSeed<'de> for AtomsSeed<T> {
    type Value = Vec<T>;
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Vec<T>, D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, T: AtomValue> Visitor<'de> for AtomsSeed<T> {
    type Value = Vec<T>;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an array of values of type {}", T::KIND.name())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element_seed(AtomSeed(PhantomData))? {
            values.push(value);
        }
        Ok(values)
    }
}

/// `["map", [[key, value]…]]`.
struct MapVisitor<K, V, F>(F, PhantomData<(K, V)>);

impl<'de, K: AtomValue, V: AtomValue, F: FnMut(K, V)> Visitor<'de> for MapVisitor<K, V, F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, r#"["map", […]] from {} to {}"#, K::KIND.name(), V::KIND.name())
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some(Tag::Map) = seq.next_element_seed(TagSeed)? else {
            return Err(de::Error::custom(r#"an array that does not begin with "map""#));
        };
        seq.next_element_seed(PairsSeed(self.0, self.1))?
            .ok_or_else(|| de::Error::custom(r#"["map"] without its pairs"#))?;
        end_of(&mut seq)
    }
}

/// `[[key, value]…]`.
struct PairsSeed<K, V, F>(F, PhantomData<(K, V)>);

impl<'de, K: AtomValue, V: AtomValue, F: FnMut(K, V)> DeserializeSeed<'de> for PairsSeed<K, V, F> {
    type Value = ();
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, K: AtomValue, V: AtomValue, F: FnMut(K, V)> Visitor<'de> for PairsSeed<K, V, F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of pairs")
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<(), A::Error> {
        while let Some((key, value)) = seq.next_element_seed(PairSeed(PhantomData))? {
            (self.0)(key, value);
        }
        Ok(())
    }
}

/// `[key, value]`.
struct PairSeed<K, V>(PhantomData<(K, V)>);

impl<'de, K: AtomValue, V: AtomValue> DeserializeSeed<'de> for PairSeed<K, V> {
    type Value = (K, V);
    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(K, V), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, K: AtomValue, V: AtomValue> Visitor<'de> for PairSeed<K, V> {
    type Value = (K, V);
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a pair [key, value]")
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(K, V), A::Error> {
        let short = || de::Error::custom("a pair with fewer than two elements");
        let key = seq.next_element_seed(AtomSeed(PhantomData))?.ok_or_else(short)?;
        let value = seq.next_element_seed(AtomSeed(PhantomData))?.ok_or_else(short)?;
        end_of(&mut seq)?;
        Ok((key, value))
    }
}
