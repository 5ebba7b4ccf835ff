//! JSON-RPC 1.0 messages as OVSDB uses them (RFC 7047, section 4), borrowed from the bytes they
//! came in.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// A message that arrived.
#[derive(Debug, Clone)]
pub enum Message<'a> {
    /// Wants a response with the same id.
    Request {
        /// What to do.
        method: Cow<'a, str>,
        /// Its arguments.
        params: &'a RawValue,
        /// Any JSON value but null, to be given back as it is.
        id: &'a RawValue,
    },
    /// Wants no response.
    Notification {
        /// What happened.
        method: Cow<'a, str>,
        /// Its arguments.
        params: &'a RawValue,
    },
    /// Answers a request.
    Response {
        /// The request's id.
        id: &'a RawValue,
        /// The result, or the error object.
        result: Result<&'a RawValue, &'a RawValue>,
    },
}

/// Bytes that are not a JSON-RPC message.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Not JSON, or members of wrong types.
    #[error("not a JSON-RPC message: {0}")]
    Json(#[from] serde_json::Error),
    /// Neither a request nor a response.
    #[error("not a JSON-RPC message: {0}")]
    Form(&'static str),
}

/// The members of a message. Of members with the same name the last one counts, as in Open vSwitch.
#[derive(Default)]
struct Fields<'a> {
    method: Option<&'a RawValue>,
    params: Option<&'a RawValue>,
    result: Option<&'a RawValue>,
    error: Option<&'a RawValue>,
    id: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Fields<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Fields<'de>, D::Error> {
        deserializer.deserialize_map(FieldsVisitor)
    }
}

struct FieldsVisitor;

impl<'de> Visitor<'de> for FieldsVisitor {
    type Value = Fields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields<'de>, A::Error> {
        let mut fields = Fields::default();
        while let Some((name, value)) = map.next_entry::<Cow<'de, str>, &'de RawValue>()? {
            let value = (value.get() != "null").then_some(value);
            match &*name {
                "method" => fields.method = value,
                "params" => fields.params = value,
                "result" => fields.result = value,
                "error" => fields.error = value,
                "id" => fields.id = value,
                _ => {}
            }
        }
        Ok(fields)
    }
}

/// A string of a message, borrowed if it has no escapes.
#[derive(serde::Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

/// Stands before a character that stands for a byte that is not UTF-8; see [`escape_invalid`]. A
/// noncharacter of Unicode, which no text that is interchanged has.
pub const INVALID_BYTE: char = '\u{10ffff}';

/// A message as valid UTF-8: each byte that is not becomes [`INVALID_BYTE`] and the character of
/// the byte's value. Open vSwitch accepts such messages, and refuses only the values that are not
/// UTF-8. `None` if the message is UTF-8.
pub fn escape_invalid(message: &[u8]) -> Option<Vec<u8>> {
    std::str::from_utf8(message).err()?;
    let mut out = String::with_capacity(message.len() + 16);
    for chunk in message.utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.extend([INVALID_BYTE, char::from(*byte)]);
        }
    }
    Some(out.into_bytes())
}

/// Undoes [`escape_invalid`] in an answer that repeats parts of the message.
pub fn restore_invalid(answer: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(answer.len());
    let mut chars = answer.chars();
    let mut buffer = [0; 4];
    while let Some(char) = chars.next() {
        let rest = chars.as_str();
        match rest.chars().next().map(|next| u8::try_from(u32::from(next))) {
            Some(Ok(byte)) if char == INVALID_BYTE && byte >= 0x80 => {
                out.push(byte);
                chars.next();
            }
            _ => out.extend_from_slice(char.encode_utf8(&mut buffer).as_bytes()),
        }
    }
    out
}

/// Parses one message.
///
/// # Errors
///
/// [`MessageError`] if the bytes are not JSON or have neither a method nor an id.
pub fn parse(bytes: &[u8]) -> Result<Message<'_>, MessageError> {
    let fields: Fields<'_> = serde_json::from_slice(bytes)?;
    match (fields.method, fields.id) {
        (Some(method), id) => {
            let Text(method) = serde_json::from_str(method.get())?;
            let params = fields.params.ok_or(MessageError::Form("a method without params"))?;
            Ok(match id {
                Some(id) => Message::Request { method, params, id },
                None => Message::Notification { method, params },
            })
        }
        (None, Some(id)) => {
            let result = match fields.error {
                Some(error) => Err(error),
                None => Ok(fields.result.unwrap_or(RawValue::NULL)),
            };
            Ok(Message::Response { id, result })
        }
        (None, None) => Err(MessageError::Form("neither a method nor an id")),
    }
}

/// Appends a request. `params` must be JSON.
pub fn push_request(out: &mut Vec<u8>, id: u64, method: &str, params: &str) {
    let mut name = String::new();
    crate::value::push_json_string(&mut name, method);
    for part in [r#"{"id":"#, &id.to_string(), r#","method":"#, &name, r#","params":"#, params, "}"]
    {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends a notification. `params` must be JSON.
pub fn push_notification(out: &mut Vec<u8>, method: &str, params: &str) {
    let mut name = String::new();
    crate::value::push_json_string(&mut name, method);
    for part in [r#"{"id":null,"method":"#, &name, r#","params":"#, params, "}"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends a response that succeeded. `id` is the request's, `result` must be JSON.
pub fn push_result(out: &mut Vec<u8>, id: &RawValue, result: &str) {
    for part in [r#"{"error":null,"id":"#, id.get(), r#","result":"#, result, "}"] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends a response that failed. `id` is the request's, `error` must be JSON and not null.
pub fn push_error(out: &mut Vec<u8>, id: &RawValue, error: &str) {
    for part in [r#"{"error":"#, error, r#","id":"#, id.get(), r#","result":null}"#] {
        out.extend_from_slice(part.as_bytes());
    }
}

/// Appends the answer to an `echo` request (RFC 7047, section 4.1.11).
pub fn push_echo_reply(out: &mut Vec<u8>, id: &RawValue, params: &RawValue) {
    push_result(out, id, params.get());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_of_messages_are_recognised() {
        let text = br#"{"method":"ec\u0068o","params":["x"],"id":"echo"}"#;
        let Message::Request { method, params, id } = parse(text).unwrap() else { panic!() };
        assert_eq!((&*method, params.get(), id.get()), ("echo", r#"["x"]"#, r#""echo""#));

        let text = br#"{"id":null,"method":"locked","params":["l"]}"#;
        let Message::Notification { method, .. } = parse(text).unwrap() else { panic!() };
        assert_eq!(method, "locked");

        let text = br#"{"id":7,"result":null,"error":null}"#;
        let Message::Response { id, result } = parse(text).unwrap() else { panic!() };
        assert_eq!((id.get(), result.unwrap().get()), ("7", "null"));

        let text = br#"{"id":7,"result":null,"error":{"error":"unknown method"}}"#;
        let Message::Response { result, .. } = parse(text).unwrap() else { panic!() };
        assert!(result.unwrap_err().get().contains("unknown method"));
    }

    #[test]
    fn written_messages_read_back() {
        let mut out = Vec::new();
        push_request(&mut out, 3, "transact", r#"["db"]"#);
        assert!(matches!(parse(&out).unwrap(), Message::Request { id, .. } if id.get() == "3"));
        let mut out = Vec::new();
        push_notification(&mut out, "update", "[]");
        assert!(matches!(parse(&out).unwrap(), Message::Notification { .. }));
        let mut out = Vec::new();
        push_echo_reply(&mut out, RawValue::TRUE, RawValue::NULL);
        assert!(matches!(parse(&out).unwrap(), Message::Response { result: Ok(_), .. }));
        let mut out = Vec::new();
        push_error(&mut out, RawValue::TRUE, r#"{"error":"canceled"}"#);
        assert!(matches!(parse(&out).unwrap(), Message::Response { result: Err(_), .. }));
    }

    #[test]
    fn last_of_two_members_with_the_same_name_counts() {
        let text = br#"{"method":7,"id":1,"method":"echo","params":{},"id":2,"params":[]}"#;
        let Message::Request { method, params, id } = parse(text).unwrap() else { panic!() };
        assert_eq!((&*method, params.get(), id.get()), ("echo", "[]", "2"));
    }

    #[test]
    fn bytes_that_are_not_utf8_survive() {
        assert_eq!(escape_invalid("e\u{301}".as_bytes()), None);
        for bytes in
            [&b"a\xff\xfeb"[..], b"\xc3", b"\xe2\x82", b"\xc3\xa9\xf0\x9f", b"\xed\xa0\x80"]
        {
            let escaped = String::from_utf8(escape_invalid(bytes).unwrap()).unwrap();
            assert_eq!(restore_invalid(&escaped), bytes);
        }
        assert_eq!(restore_invalid("a\u{10ffff}"), "a\u{10ffff}".as_bytes());
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        for bad in ["{}", "[]", "{\"method\":7}", "{\"method\":\"x\",\"id\":1}", "\u{fffd}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(&[0xff, 0xfe]).is_err());
    }
}
