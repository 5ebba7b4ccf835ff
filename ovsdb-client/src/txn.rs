//! Transactions.

use ovsdb::Uuid;

/// Appends `text` as a JSON string.
pub(crate) fn push_json_string(out: &mut String, text: &str) {
    ovsdb::value::push_json_string(out, text);
}

/// Appends a UUID as `["uuid", …]`.
pub(crate) fn push_json_uuid(out: &mut String, uuid: Uuid) {
    use std::fmt::Write;
    let _ = write!(out, r#"["uuid","{uuid}"]"#);
}
