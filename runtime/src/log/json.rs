//! `--log-format=json`: a record with all its pairs as one JSON object.

use std::collections::BTreeSet;
use std::fmt::{self, Write};
use std::time::SystemTime;

use slog::{KV, Key, OwnedKVList, Record, Serializer};

use super::pattern::{Fields, strftime};

/// Keys that every object has. A pair with one of these names is left out.
const FIXED: [&str; 5] = ["time", "level", "module", "thread", "message"];

/// Appends the object to `out`, without a newline of its own.
pub(super) fn format(
    fields: &Fields<'_>,
    text: &str,
    record: &Record<'_>,
    values: &OwnedKVList,
    out: &mut String,
) {
    out.push_str("{\"time\":\"");
    time(fields.wall, out);
    out.push('"');
    let mut object = Object { out, seen: FIXED.into_iter().collect() };
    object.string("level", fields.level.name());
    object.string("module", fields.module);
    object.string("thread", if fields.thread.is_empty() { "main" } else { fields.thread });
    object.string("message", text.trim_end_matches('\n'));
    // Writing to a String cannot fail. The record's own pairs come first, so that they win over
    // the logger's of the same name.
    let _ = record.kv().serialize(record, &mut object);
    let _ = values.serialize(record, &mut object);
    out.push('}');
}

/// RFC 3339 in UTC, with microseconds.
fn time(wall: SystemTime, out: &mut String) {
    strftime("%Y-%m-%dT%H:%M:%S.######Z", wall, true, out);
}

struct Object<'a> {
    out: &'a mut String,
    seen: BTreeSet<Key>,
}

impl Object<'_> {
    fn string(&mut self, key: &str, value: &str) {
        self.key(key);
        self.quoted(value);
    }

    fn quoted(&mut self, text: &str) {
        self.out.push_str(&serde_json::Value::from(text).to_string());
    }

    fn key(&mut self, key: &str) {
        self.out.push(',');
        self.quoted(key);
        self.out.push(':');
    }

    /// Writes a pair whose value is JSON already, unless its key was there before.
    fn pair(&mut self, key: Key, value: impl fmt::Display) -> slog::Result {
        if self.seen.insert(key) {
            self.key(key);
            write!(self.out, "{value}")?;
        }
        Ok(())
    }
}

macro_rules! emit_plain {
    ($($name:ident $kind:ty),* $(,)?) => {
        $(fn $name(&mut self, key: Key, value: $kind) -> slog::Result {
            self.pair(key, value)
        })*
    };
}

impl Serializer for Object<'_> {
    emit_plain!(
        emit_usize usize, emit_isize isize, emit_bool bool,
        emit_u8 u8, emit_u16 u16, emit_u32 u32, emit_u64 u64,
        emit_i8 i8, emit_i16 i16, emit_i32 i32, emit_i64 i64,
    );

    // Numbers that are no JSON numbers become null.
    fn emit_f32(&mut self, key: Key, value: f32) -> slog::Result {
        self.pair(key, serde_json::Value::from(value))
    }

    fn emit_f64(&mut self, key: Key, value: f64) -> slog::Result {
        self.pair(key, serde_json::Value::from(value))
    }

    fn emit_none(&mut self, key: Key) -> slog::Result {
        self.pair(key, "null")
    }

    fn emit_unit(&mut self, key: Key) -> slog::Result {
        self.pair(key, "null")
    }

    fn emit_str(&mut self, key: Key, value: &str) -> slog::Result {
        self.pair(key, serde_json::Value::from(value))
    }

    fn emit_arguments(&mut self, key: Key, value: &fmt::Arguments<'_>) -> slog::Result {
        self.pair(key, serde_json::Value::from(value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::log::Level;

    #[test]
    fn pairs_keep_their_types_and_fixed_keys_are_not_repeated() {
        let fields = Fields {
            program: "ovs-vswitchd",
            facility: 0,
            module: "bond",
            level: Level::Warn,
            thread: "",
            number: 1,
            uptime_ms: 0,
            wall: UNIX_EPOCH + Duration::from_micros(1_000_000_000_000_017),
            text: format_args!(""),
        };
        let owned = slog::o!("module" => "other", "member" => "from the logger", "n" => 7).into();
        let mut out = String::new();
        let location =
            slog::RecordLocation { file: "", line: 0, column: 0, function: "", module: "" };
        let meta = slog::RecordStatic { location: &location, tag: "", level: slog::Level::Warning };
        let args = format_args!("unused");
        let pairs = slog::b!("member" => "eth\"0", "up" => false, "ratio" => f64::NAN,
            "why" => None::<u32>, "text" => "1\n2");
        let record = Record::new(&meta, &args, pairs);
        format(&fields, "bond0: a \"member\"\n", &record, &owned, &mut out);
        assert!(!out.contains('\n'));
        let read: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(
            read,
            serde_json::json!({
                "time": "2001-09-09T01:46:40.000017Z", "level": "WARN", "module": "bond",
                "thread": "main", "message": "bond0: a \"member\"", "member": "eth\"0",
                "up": false, "ratio": null, "why": null, "text": "1\n2", "n": 7,
            })
        );
        assert_eq!(out.matches("\"member\":").count(), 1, "{out}");
        assert!(out.starts_with("{\"time\":"), "{out}");
    }
}
