//! Each kind of bad message gets the error that the standard and Open vSwitch have for it.

use super::{Protocol, decode};
use crate::error::OfError;
use crate::msg::Body;
use crate::version::Version;

/// A message: version, type, body.
fn message(v: Version, typ: u8, body: &[u8]) -> Vec<u8> {
    let len = (body.len() + 8) as u16;
    let mut out = vec![v.wire(), typ];
    out.extend(len.to_be_bytes());
    out.extend([0, 0, 0, 1]);
    out.extend(body);
    out
}

fn refused(v: Version, typ: u8, body: &[u8]) -> OfError {
    match decode(&message(v, typ, body), Protocol::new(v)) {
        Err(e) => e,
        Ok(m) => panic!("{m:?}"),
    }
}

const V10: Version = Version::V10;
const V13: Version = Version::V13;

#[test]
fn header_with_bad_version_type_or_length_is_refused() {
    let p = Protocol::new(V10);
    assert_eq!(decode(&[1, 2, 0, 8], p), Err(OfError::BrcBadLen));
    assert_eq!(decode(&[1, 2, 0, 9, 0, 0, 0, 0], p), Err(OfError::BrcBadLen));
    assert_eq!(decode(&[9, 2, 0, 8, 0, 0, 0, 0], p), Err(OfError::BrcBadVersion));
    assert_eq!(refused(V10, 40, &[]), OfError::BrcBadType);
    // A barrier has another number in 1.1 and later.
    assert_eq!(refused(V13, 18, &[]), OfError::BrcBadLen);
    assert_eq!(refused(V10, 18, &[0]), OfError::BrcBadLen);
    assert_eq!(refused(V10, 4, &[0; 4]), OfError::BrcBadLen);
    assert_eq!(refused(V10, 4, &[0, 0, 0, 9, 0, 0, 0, 0]), OfError::BrcBadVendor);
    assert_eq!(refused(V10, 4, &[0, 0, 0x23, 0x20, 0, 0, 9, 9]), OfError::BrcBadSubtype);
    assert_eq!(refused(V10, 16, &[0, 99, 0, 0]), OfError::BrcBadStat);
    assert_eq!(refused(V13, 18, &[0, 99, 0, 0, 0, 0, 0, 0]), OfError::BrcBadStat);
    let vendor = [0xff, 0xff, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0];
    assert_eq!(refused(V13, 18, &vendor), OfError::BrcBadVendor);
}

/// A packet-out of 1.0 with these actions.
fn out10(actions: &[u8]) -> Result<Body, OfError> {
    let mut b = vec![0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    b.extend((actions.len() as u16).to_be_bytes());
    b.extend(actions);
    decode(&message(V10, 13, &b), Protocol::new(V10)).map(|m| m.body)
}

#[test]
fn malformed_action_gives_its_openflow_error() {
    let e = |a: &[u8]| out10(a).unwrap_err();
    assert!(out10(&[0, 0, 0, 8, 0, 1, 0, 0]).is_ok());
    assert_eq!(e(&[0, 99, 0, 8, 0, 0, 0, 0]), OfError::BacBadType);
    assert_eq!(e(&[0, 0, 0, 8, 0, 1]), OfError::BrcBadLen);
    assert_eq!(e(&[0, 0, 0, 16, 0, 1, 0, 0]), OfError::BacBadLen);
    assert_eq!(e(&[0, 0, 0, 0, 0, 1, 0, 0]), OfError::BacBadLen);
    assert_eq!(e(&[0, 0, 0, 8, 0xff, 0xff, 0, 0]), OfError::BacBadOutPort);
    assert_eq!(e(&[0, 0, 0, 8, 0xff, 0, 0, 0]), OfError::BacBadOutPort);
    assert_eq!(e(&[0, 1, 0, 8, 0x10, 0, 0, 0]), OfError::BacBadArgument);
    assert_eq!(e(&[0, 2, 0, 8, 8, 0, 0, 0]), OfError::BacBadArgument);
    assert_eq!(e(&[0, 8, 0, 8, 1, 0, 0, 0]), OfError::BacBadArgument);
    assert_eq!(e(&[0xff, 0xff, 0, 8, 0, 0, 0, 1]), OfError::BacBadVendor);
    assert_eq!(e(&[0xff, 0xff, 0, 8, 0, 0, 0x23, 0x20]), OfError::BacBadLen);
    let nx = |subtype: u16, rest: &[u8]| {
        let len = (rest.len() + 10) as u8;
        let mut a = vec![0xff, 0xff, 0, len, 0, 0, 0x23, 0x20];
        a.extend(subtype.to_be_bytes());
        a.extend(rest);
        a
    };
    assert_eq!(e(&nx(999, &[0; 6])), OfError::BacBadVendorType);
    assert_eq!(e(&nx(14, &[0, 1, 2, 0, 0, 1])), OfError::BacBadArgument);
    // Loads to read-only, unknown and too narrow fields, and with too large a value.
    let load = |ofs: [u8; 2], dst: [u8; 4], v: u8| {
        nx(7, &[&ofs[..], &dst, &[0, 0, 0, 0, 0, 0, 0, v]].concat())
    };
    assert_eq!(e(&load([0, 15], [0, 0, 6, 2], 1)), OfError::BacBadSetArgument);
    assert_eq!(e(&load([0, 15], [0, 99, 6, 2], 1)), OfError::BacBadSetType);
    assert_eq!(e(&load([0, 31], [0, 0, 8, 2], 1)), OfError::BacBadSetLen);
    assert_eq!(e(&load([0, 0], [0, 0, 8, 2], 2)), OfError::BacBadArgument);
    assert!(out10(&load([0, 0], [0, 0, 8, 2], 1)).is_ok());
    assert_eq!(e(&nx(34, &[0, 1, 0, 0, 0, 0])), OfError::NxBacBadConjunction);
    assert_eq!(e(&nx(37, &[1, 0, 0, 0, 0, 0])), OfError::NxBrcMustBeZero);
    let unknown_property = [0, 0, 0, 0, 0, 0, 0, 99, 0, 8, 0, 0, 0, 0];
    assert_eq!(e(&nx(37, &unknown_property)), OfError::BpcBadType);
}

#[test]
fn nested_actions_beyond_limit_are_refused() {
    let mut a: Vec<u8> = Vec::new();
    for _ in 0..4000 {
        let len = (a.len() + 16) as u16;
        let mut outer = vec![0xff, 0xff];
        outer.extend(len.to_be_bytes());
        outer.extend([0, 0, 0x23, 0x20, 0, 42, 0, 0, 0, 0, 0, 0]);
        outer.extend(&a);
        a = outer;
    }
    assert_eq!(out10(&a).unwrap_err(), OfError::BacTooMany);
}

/// A flow_mod of 1.3 that adds to table 0 with an empty match and these instructions.
fn flow13(instructions: &[u8]) -> Result<Body, OfError> {
    let mut b = vec![0; 40];
    b[24..28].fill(0xff);
    b[28..36].fill(0xff);
    b.extend([0, 1, 0, 4, 0, 0, 0, 0]);
    b.extend(instructions);
    decode(&message(V13, 14, &b), Protocol::new(V13)).map(|m| m.body)
}

#[test]
fn malformed_instruction_gives_its_openflow_error() {
    let e = |i: &[u8]| flow13(i).unwrap_err();
    assert!(flow13(&[0, 1, 0, 8, 3, 0, 0, 0]).is_ok());
    assert_eq!(e(&[0, 1, 0, 8, 0, 0, 0, 0]), OfError::BicBadTableId);
    assert_eq!(e(&[0, 1, 0, 16, 3, 0, 0, 0]), OfError::BicBadLen);
    assert_eq!(e(&[0, 1, 0, 16, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]), OfError::BicBadLen);
    assert_eq!(e(&[0, 9, 0, 8, 3, 0, 0, 0]), OfError::BicUnknownInst);
    assert_eq!(e(&[0xff, 0xff, 0, 8, 0, 0, 0, 1]), OfError::BicBadExperimenter);
    let goto = [0, 1, 0, 8, 3, 0, 0, 0];
    assert_eq!(e(&[goto, goto].concat()), OfError::BicDupInst);
    // A set of actions takes no "exit".
    let exit =
        [0, 3, 0, 24, 0, 0, 0, 0, 0xff, 0xff, 0, 16, 0, 0, 0x23, 0x20, 0, 17, 0, 0, 0, 0, 0, 0];
    assert_eq!(e(&exit), OfError::BacBadType);
    // A TTL can only be decremented where there is one.
    let dec = [0, 4, 0, 16, 0, 0, 0, 0, 0, 24, 0, 8, 0, 0, 0, 0];
    assert_eq!(e(&dec), OfError::BacMatchInconsistent);
    assert_eq!(e(&[0, 6, 0, 8, 0, 0, 0, 0]), OfError::MmfcInvalidMeter);
}

#[test]
fn malformed_flow_mod_gives_its_openflow_error() {
    let mut b = vec![0; 48];
    b[24..36].fill(0xff);
    b[40..44].copy_from_slice(&[0, 1, 0, 4]);
    let e = |at: usize, v: u8| {
        let mut b = b.clone();
        b[at] = v;
        refused(V13, 14, &b)
    };
    assert_eq!(e(16, 255), OfError::FmfcBadTableId);
    assert_eq!(e(17, 5), OfError::FmfcBadCommand);
    assert_eq!(e(36, 1), OfError::FmfcBadFlags);
    assert_eq!(e(28, 0), OfError::BacBadOutPort);
    assert_eq!(e(41, 2), OfError::BmcBadType);
    assert_eq!(e(43, 3), OfError::BmcBadLen);
    assert_eq!(e(43, 12), OfError::BmcBadLen);
    assert_eq!(refused(V13, 14, &b[..40]), OfError::BmcBadLen);
    // 1.0's emergency flows.
    let mut b = vec![0; 64];
    b[56..62].fill(0xff);
    b[63] = 4;
    assert_eq!(refused(V10, 14, &b), OfError::FmfcTableFull);
    b[51] = 1;
    assert_eq!(refused(V10, 14, &b), OfError::FmfcBadEmergTimeout);
    b[63] = 8;
    assert_eq!(refused(V10, 14, &b), OfError::FmfcBadFlags);
}

#[test]
fn malformed_message_of_other_types_gives_its_openflow_error() {
    let role = [0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(refused(V13, 24, &role), OfError::RrfcBadRole);
    assert_eq!(refused(V13, 9, &[0, 8, 0, 0]), OfError::ScfcBadFlags);
    let mut status = [0; 72];
    status[0] = 7;
    assert_eq!(refused(V13, 12, &status), OfError::NxBrcBadReason);
    // A packet-out from a port that cannot be.
    let out = [0xff, 0xff, 0xff, 0xff, 0xff, 0xfb, 0, 0];
    assert_eq!(refused(V10, 13, &out), OfError::BrcBadPort);
    let props = [0, 0, 0, 3, 0, 0, 0, 0];
    assert_eq!(refused(Version::V14, 28, &props), OfError::BpcBadLen);
    let props = [0, 99, 0, 8, 0, 0, 0, 0];
    assert_eq!(refused(Version::V14, 28, &props), OfError::AcfcUnsupported);
}

/// The second form of `load` names the field right after its number, without padding between.
#[test]
fn load2_has_no_padding_after_its_number() {
    let a = [0xff, 0xff, 0, 24, 0, 0, 0x23, 0x20, 0, 33, 0, 1, 0, 4, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0];
    let Ok(Body::PacketOut(po)) = out10(&a) else { panic!("{:?}", out10(&a)) };
    assert!(format!("{:?}", po.actions[0]).contains("field: Reg(0), value: 5"));
}
