//! References to rows in transactions.

use ovsdb::Uuid;

/// A row that a transaction inserts has a stand-in UUID until the server assigns one: this prefix
/// with a number. The version field is zero, which no UUID of a server has.
pub(crate) const STAND_IN: u128 = 0x6272_6169_645f_0000_0000_0000_0000_0000;
pub(crate) const STAND_IN_MASK: u128 = !0xffff_ffff;

/// The stand-in UUID of the row with this number.
pub(crate) fn stand_in(number: u32) -> Uuid {
    Uuid::from_u128(STAND_IN | u128::from(number))
}

/// Appends `["uuid", …]`, or `["named-uuid", …]` for the stand-in of a row being inserted.
pub(crate) fn push_reference(out: &mut String, uuid: Uuid) {
    use std::fmt::Write;
    let _ = if uuid.as_u128() & STAND_IN_MASK == STAND_IN {
        write!(out, r#"["named-uuid","row{}"]"#, uuid.as_u128() & !STAND_IN_MASK)
    } else {
        write!(out, r#"["uuid","{uuid}"]"#)
    };
}
