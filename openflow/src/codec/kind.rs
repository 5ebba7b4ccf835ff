//! Which message it is: the many ways in which versions and vendors number them.
//!
//! One line for each message, with the numbers of Open vSwitch's `ofp-msgs.h`.

use super::buf::{Reader, Writer};
use crate::error::{NX_VENDOR, ONF_VENDOR, OfError};
use crate::version::Version;

/// Where a message's number stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Space {
    /// The header's type.
    Msg,
    /// A vendor's message.
    Nx,
    Onf,
    /// A multipart message's type.
    Request,
    Reply,
    NxRequest,
    NxReply,
    OnfRequest,
    OnfReply,
}

struct Row {
    kind: Kind,
    space: Space,
    first: u8,
    last: u8,
    number: u32,
    /// Octets after the headers: at least, and then a multiple of (0: nothing more).
    min: usize,
    step: usize,
}

macro_rules! kinds {
    ($($kind:ident: $($space:ident $first:literal-$last:literal ($number:literal) $min:literal
        $(+ $step:literal)?),+;)+) => {
        /// The type of a message, independent of the version.
        #[expect(missing_docs, reason = "the variants have the specification's names")]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind { $($kind),+ }

        const ROWS: &[Row] = &[$($(Row {
            kind: Kind::$kind,
            space: Space::$space,
            first: $first + 1,
            last: $last + 1,
            number: $number,
            min: $min,
            step: 0 $(+ $step)?,
        }),+),+];
    };
}

kinds! {
    Hello: Msg 0-5 (0) 0+1;
    Error: Msg 0-5 (1) 4+1;
    EchoRequest: Msg 0-5 (2) 0+1;
    EchoReply: Msg 0-5 (3) 0+1;
    FeaturesRequest: Msg 0-5 (5) 0;
    FeaturesReply: Msg 0-0 (6) 24+48, Msg 1-2 (6) 24+64, Msg 3-5 (6) 24;
    GetConfigRequest: Msg 0-5 (7) 0;
    GetConfigReply: Msg 0-5 (8) 4;
    SetConfig: Msg 0-5 (9) 4;
    PacketIn: Msg 0-0 (10) 10+1, Msg 1-1 (10) 16+1, Msg 2-2 (10) 8+1, Msg 3-5 (10) 16+1;
    NxPacketIn: Nx 0-5 (17) 24+1;
    NxPacketIn2: Nx 0-5 (30) 0+8;
    FlowRemoved: Msg 0-0 (11) 80, Msg 1-4 (11) 40+8, Msg 5-5 (11) 16+8;
    NxFlowRemoved: Nx 0-5 (14) 40+8;
    PortStatus: Msg 0-0 (12) 56, Msg 1-3 (12) 72, Msg 4-5 (12) 48+8;
    PacketOut: Msg 0-0 (13) 8+1, Msg 1-4 (13) 16+1, Msg 5-5 (13) 8+1;
    FlowMod: Msg 0-0 (14) 64+8, Msg 1-5 (14) 40+8;
    NxFlowMod: Nx 0-5 (13) 32+8;
    GroupMod: Nx 0-0 (31) 16+8, Msg 1-4 (15) 8+8, Msg 5-5 (15) 16+8;
    PortMod: Msg 0-0 (15) 24, Msg 1-3 (16) 32, Msg 4-5 (16) 24+8;
    TableMod: Msg 1-3 (17) 8, Msg 4-5 (17) 8+8;
    BarrierRequest: Msg 0-0 (18) 0, Msg 1-5 (20) 0;
    BarrierReply: Msg 0-0 (19) 0, Msg 1-5 (21) 0;
    QueueGetConfigRequest: Msg 0-0 (20) 4, Msg 1-3 (22) 8;
    QueueGetConfigReply: Msg 0-0 (21) 8+8, Msg 1-3 (23) 8+8;
    RoleRequest: Msg 2-5 (24) 16;
    NxRoleRequest: Nx 0-5 (10) 4;
    RoleReply: Msg 2-5 (25) 16;
    NxRoleReply: Nx 0-5 (11) 4;
    GetAsyncRequest: Msg 3-5 (26) 0;
    GetAsyncReply: Msg 3-3 (27) 24, Msg 4-5 (27) 0+8;
    SetAsync: Msg 3-3 (28) 24, Msg 4-5 (28) 0+8;
    NxSetAsync: Nx 0-5 (19) 24;
    NxSetAsync2: Nx 0-3 (27) 0+8;
    MeterMod: Msg 3-5 (29) 8+8;
    RoleStatus: Onf 3-3 (1911) 16+8, Msg 4-5 (30) 16+8;
    TableStatus: Msg 4-5 (31) 8+8;
    RequestForward: Nx 0-2 (132) 8+8, Onf 3-3 (2350) 8+8, Msg 4-5 (32) 8+8;
    BundleControl: Onf 3-3 (2300) 8+8, Msg 4-5 (33) 8+8;
    BundleAdd: Onf 3-3 (2301) 8+1, Msg 4-5 (34) 8+1;

    DescRequest: Request 0-5 (0) 0;
    DescReply: Reply 0-5 (0) 1056;
    FlowStatsRequest: Request 0-0 (1) 44, Request 1-5 (1) 32+8;
    NxFlowStatsRequest: NxRequest 0-0 (0) 8+8;
    FlowStatsReply: Reply 0-5 (1) 0+1;
    NxFlowStatsReply: NxReply 0-0 (0) 0+1;
    AggregateRequest: Request 0-0 (2) 44, Request 1-5 (2) 32+8;
    NxAggregateRequest: NxRequest 0-0 (1) 8+8;
    AggregateReply: Reply 0-4 (2) 24, Reply 5-5 (2) 0+1;
    NxAggregateReply: NxReply 0-0 (1) 24;
    TableStatsRequest: Request 0-5 (3) 0;
    TableStatsReply: Reply 0-0 (3) 0+64, Reply 1-1 (3) 0+88, Reply 2-2 (3) 0+128,
        Reply 3-5 (3) 0+24;
    PortStatsRequest: Request 0-5 (4) 8;
    PortStatsReply: Reply 0-2 (4) 0+104, Reply 3-3 (4) 0+112, Reply 4-5 (4) 0+8;
    QueueStatsRequest: Request 0-5 (5) 8;
    QueueStatsReply: Reply 0-2 (5) 0+32, Reply 3-3 (5) 0+40, Reply 4-5 (5) 0+8;
    GroupStatsRequest: NxRequest 0-0 (7) 8, Request 1-5 (6) 8;
    GroupStatsReply: NxReply 0-0 (7) 0+8, Reply 1-5 (6) 0+8;
    GroupDescRequest: NxRequest 0-0 (8) 8, Request 1-4 (7) 0, Request 5-5 (7) 8;
    GroupDescReply: NxReply 0-0 (8) 0+8, Reply 1-5 (7) 0+8;
    GroupFeaturesRequest: NxRequest 0-1 (9) 0, Request 2-5 (8) 0;
    GroupFeaturesReply: NxReply 0-1 (9) 40, Reply 2-5 (8) 40;
    MeterStatsRequest: Request 3-5 (9) 8;
    MeterStatsReply: Reply 3-5 (9) 0+8;
    MeterConfigRequest: Request 3-5 (10) 8;
    MeterConfigReply: Reply 3-5 (10) 0+8;
    MeterFeaturesRequest: Request 3-5 (11) 0;
    MeterFeaturesReply: Reply 3-5 (11) 16;
    TableFeaturesRequest: Request 3-5 (12) 0+8;
    TableFeaturesReply: Reply 3-5 (12) 64+8;
    TableDescRequest: Request 4-5 (14) 0;
    TableDescReply: Reply 4-5 (14) 8+8;
    PortDescRequest: Request 0-4 (13) 0, Request 5-5 (13) 8;
    PortDescReply: Reply 0-0 (13) 0+48, Reply 1-3 (13) 0+64, Reply 4-5 (13) 0+8;
    QueueDescRequest: Request 4-5 (15) 8;
    QueueDescReply: Reply 4-5 (15) 0+8;
    FlowMonitorRequest: NxRequest 0-2 (2) 0+8, OnfRequest 3-3 (1870) 0+8, Request 4-5 (16) 0+8;
    FlowMonitorReply: NxReply 0-2 (2) 0+8, OnfReply 3-3 (1870) 0+8, Reply 4-5 (16) 0+8;
    FlowMonitorCancel: Nx 0-2 (21) 4, Onf 3-3 (1870) 4;
    FlowMonitorPaused: Nx 0-2 (22) 0, Onf 3-3 (1871) 0;
    FlowMonitorResumed: Nx 0-2 (23) 0, Onf 3-3 (1872) 0;

    SetFlowFormat: Nx 0-0 (12) 4;
    FlowModTableId: Nx 0-5 (15) 8;
    SetPacketInFormat: Nx 0-5 (16) 4;
    FlowAge: Nx 0-5 (18) 0;
    SetControllerId: Nx 0-5 (20) 8;
    TlvTableMod: Nx 0-5 (24) 8+8;
    TlvTableRequest: Nx 0-5 (25) 0;
    TlvTableReply: Nx 0-5 (26) 16+8;
    Resume: Nx 0-5 (28) 0+8;
    CtFlushZone: Nx 0-5 (29) 8;
    CtFlush: Nx 0-5 (32) 8+8;
    IpfixBridgeRequest: NxRequest 0-5 (3) 0;
    IpfixBridgeReply: NxReply 0-5 (3) 104;
    IpfixFlowRequest: NxRequest 0-5 (4) 0;
    IpfixFlowReply: NxReply 0-5 (4) 0+104;
}

const VENDOR_MSG: u8 = 4;
const VENDOR_STATS: u16 = 0xffff;

/// The header's type of a multipart message.
fn stats_type(v: Version, reply: bool) -> u8 {
    let request = if v == Version::V10 { 16 } else { 18 };
    request + u8::from(reply)
}

/// A message taken apart as far as its headers go.
pub(super) struct Parts<'a> {
    pub(super) kind: Kind,
    pub(super) more: bool,
    pub(super) body: &'a [u8],
}

/// What the headers of a message say of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peek {
    /// The message type.
    pub kind: Kind,
    /// Of a multipart message: more parts follow.
    pub more: bool,
    /// Octets after the headers.
    pub body: usize,
    /// Whether that is a length which such a message can have.
    pub fits: bool,
}

/// Whether a message with this type in its header is a multipart (before 1.1: statistics) request.
pub fn is_multipart_request(typ: u8, version: Version) -> bool {
    typ == stats_type(version, false)
}

/// Looks at the headers of one whole message only.
pub fn peek(octets: &[u8], version: Version) -> Result<Peek, OfError> {
    look(octets, version).map(|(p, fits)| Peek {
        kind: p.kind,
        more: p.more,
        body: p.body.len(),
        fits,
    })
}

/// Takes the headers off a message. `octets` is one whole message.
pub(super) fn split(octets: &[u8], version: Version) -> Result<Parts<'_>, OfError> {
    match look(octets, version)? {
        (parts, true) => Ok(parts),
        (_, false) => Err(OfError::BrcBadLen),
    }
}

/// The same, with whether the body's length is right.
fn look(octets: &[u8], version: Version) -> Result<(Parts<'_>, bool), OfError> {
    let bad = OfError::BrcBadLen;
    let mut r = Reader::new(octets, bad);
    r.skip(1)?;
    let typ = r.u8()?;
    r.skip(6)?;
    let mut more = false;
    let vendor_space = |vendor: u32, nx: Space, onf: Space| match vendor {
        NX_VENDOR => Ok(nx),
        ONF_VENDOR => Ok(onf),
        _ => Err(OfError::BrcBadVendor),
    };
    let reply = typ == stats_type(version, true);
    let (space, number, unknown) = if typ == VENDOR_MSG {
        let vendor = r.u32()?;
        // The subtype is there before the vendor is looked at.
        let subtype = r.u32()?;
        (vendor_space(vendor, Space::Nx, Space::Onf)?, subtype, OfError::BrcBadSubtype)
    } else if reply || typ == stats_type(version, false) {
        let stat = r.u16()?;
        more = r.u16()? & 1 != 0;
        if version > Version::V10 {
            r.skip(4)?;
        }
        if stat == VENDOR_STATS {
            let vendor = r.u32()?;
            let (nx, onf) = match reply {
                false => (Space::NxRequest, Space::OnfRequest),
                true => (Space::NxReply, Space::OnfReply),
            };
            let space = vendor_space(vendor, nx, onf)?;
            if version == Version::V10 && vendor == ONF_VENDOR {
                return Err(OfError::BrcBadVendor);
            }
            let subtype = r.u32()?;
            if version == Version::V10 {
                r.skip(4)?;
            }
            (space, subtype, OfError::BrcBadSubtype)
        } else {
            let space = if reply { Space::Reply } else { Space::Request };
            (space, stat.into(), OfError::BrcBadStat)
        }
    } else {
        (Space::Msg, typ.into(), OfError::BrcBadType)
    };
    let v = version.wire();
    let row = ROWS
        .iter()
        .find(|row| {
            row.space == space && row.number == number && (row.first..=row.last).contains(&v)
        })
        .ok_or(unknown)?;
    let n = r.len();
    let fits = match row.step {
        0 => n == row.min,
        step => n >= row.min && (n - row.min).is_multiple_of(step),
    };
    Ok((Parts { kind: row.kind, more, body: r.rest() }, fits))
}

/// Writes the headers of a message of `kind`; the length is not set yet. `None` if the version
/// has no such message.
pub(super) fn headers(kind: Kind, version: Version, xid: u32) -> Option<Writer> {
    let v = version.wire();
    let row = ROWS.iter().find(|r| r.kind == kind && (r.first..=r.last).contains(&v))?;
    let mut w = Writer::default();
    let mut start = |typ: u8| {
        w.u8(v).u8(typ).u16(0).u32(xid);
    };
    let number = row.number;
    match row.space {
        Space::Msg => start(number as u8),
        Space::Nx | Space::Onf => {
            start(VENDOR_MSG);
            w.u32(if row.space == Space::Nx { NX_VENDOR } else { ONF_VENDOR }).u32(number);
        }
        _ => {
            let reply = matches!(row.space, Space::Reply | Space::NxReply | Space::OnfReply);
            start(stats_type(version, reply));
            let vendor = match row.space {
                Space::NxRequest | Space::NxReply => Some(NX_VENDOR),
                Space::OnfRequest | Space::OnfReply => Some(ONF_VENDOR),
                _ => None,
            };
            w.u16(vendor.map_or(number as u16, |_| VENDOR_STATS)).u16(0);
            if version > Version::V10 {
                w.zeros(4);
            }
            if let Some(vendor) = vendor {
                w.u32(vendor).u32(number);
                if version == Version::V10 {
                    w.zeros(4);
                }
            }
        }
    }
    Some(w)
}

/// Where a multipart message's flags stand.
pub(super) const FLAGS_AT: usize = 10;
