//! Continuity check messages: IEEE 802.1ag-2007 clause 21.6, with the fields that Open vSwitch
//! adds for its extended mode where ITU-T Y.1731 has others.
//!
//! What is parsed and emitted here starts after the Ethernet type 0x8902.

use crate::EthAddr;

/// Octets of a message, the end TLV included.
pub const LEN: usize = 75;
/// What is accepted: old releases of Open vSwitch left the end TLV out.
const ACCEPTED: usize = 74;

/// Where messages of maintenance level 0 go (clause 8.13.8).
pub const DST: EthAddr = EthAddr([0x01, 0x80, 0xc2, 0, 0, 0x30]);
/// Where they go in Open vSwitch's extended mode.
pub const DST_EXTENDED: EthAddr = EthAddr([0x01, 0x23, 0x20, 0, 0, 0x30]);

const OPCODE: u8 = 1;
/// From the sequence number to the TLVs.
const TLV_OFFSET: u8 = 70;
const RDI: u8 = 0x80;
const INTERVAL: u8 = 0x07;

/// Octets of a maintenance association's identifier.
pub const MAID_LEN: usize = 48;

/// The association that every Open vSwitch is in: domain `ovs` and short name `ovs`, both as
/// character strings (clauses 21.6.5.1 and 21.6.5.4).
pub const MAID: [u8; MAID_LEN] = {
    let mut maid = [0; MAID_LEN];
    let head = [4, 3, b'o', b'v', b's', 2, 3, b'o', b'v', b's'];
    let mut i = 0;
    while i < head.len() {
        maid[i] = head[i];
        i += 1;
    }
    maid
};

/// One continuity check message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ccm {
    /// Code of the transmission interval, 0 to 7 (table 21-16); 0 = see `interval_ms`.
    pub interval: u8,
    /// Remote defect indication: the sender misses at least one remote maintenance point.
    pub rdi: bool,
    /// The sender's sequence number.
    pub seq: u32,
    /// Maintenance point's identifier, 1 to 8191.
    pub mpid: u16,
    /// Maintenance association identifier.
    pub maid: [u8; MAID_LEN],
    /// Extended mode: the interval in ms.
    pub interval_ms: u16,
    /// Extended mode: the maintenance point's identifier.
    pub mpid64: u64,
    /// Extended mode: the sender is not fit for traffic.
    pub opdown: bool,
}

/// Why a message is discarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CcmError {
    /// Too short; the number of octets.
    #[error("{0} octets, fewer than the {ACCEPTED} of a continuity check")]
    TooShort(usize),
    /// Another CFM message; its opcode.
    #[error("opcode {0}, not {OPCODE}")]
    Opcode(u8),
}

impl Ccm {
    /// Reads a frame's payload. Level, version and TLVs are not looked at, as in Open vSwitch.
    pub fn parse(octets: &[u8]) -> Result<Ccm, CcmError> {
        let p: &[u8; ACCEPTED] = octets.first_chunk().ok_or(CcmError::TooShort(octets.len()))?;
        if p[1] != OPCODE {
            return Err(CcmError::Opcode(p[1]));
        }
        let half = |i: usize| u16::from_be_bytes([p[i], p[i + 1]]);
        Ok(Ccm {
            interval: p[2] & INTERVAL,
            rdi: p[2] & RDI != 0,
            seq: u32::from(half(4)) << 16 | u32::from(half(6)),
            mpid: half(8),
            maid: std::array::from_fn(|i| p[10 + i]),
            interval_ms: half(58),
            mpid64: (60..68).fold(0, |v, i| v << 8 | u64::from(p[i])),
            opdown: p[68] != 0,
        })
    }

    /// The message's octets.
    pub fn emit(&self) -> Vec<u8> {
        let flags = if self.rdi { RDI } else { 0 } | self.interval & INTERVAL;
        let mut out = vec![0, OPCODE, flags, TLV_OFFSET];
        out.extend(self.seq.to_be_bytes());
        out.extend(self.mpid.to_be_bytes());
        out.extend(self.maid);
        out.extend(self.interval_ms.to_be_bytes());
        out.extend(self.mpid64.to_be_bytes());
        out.push(u8::from(self.opdown));
        // Five octets of zeros and the end TLV.
        out.resize(LEN, 0);
        out
    }
}
