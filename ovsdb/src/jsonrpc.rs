//! JSON-RPC 1.0 messages as OVSDB uses them (RFC 7047, section 4), borrowed from the bytes they
//! came in.

use std::borrow::Cow;

use serde::Deserialize;
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

#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow, default)]
    method: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
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
    fn each_kind_is_told_apart() {
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
    fn what_is_written_reads_back() {
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
    fn other_bytes_are_refused() {
        for bad in ["{}", "[]", "{\"method\":7}", "{\"method\":\"x\",\"id\":1}", "\u{fffd}"] {
            assert!(parse(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(parse(&[0xff, 0xfe]).is_err());
    }
}
