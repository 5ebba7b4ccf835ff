//! Continuity check messages: IEEE 802.1ag-2007 clause 21.6, with the fields that Open vSwitch
//! adds for its extended mode where ITU-T Y.1731 has others.
//!
//! What is parsed and emitted here starts after the Ethernet type 0x8902.

use crate::EthAddr;
use format::{CcmPacket, MutableCcmPacket};

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
        let header = octets.get(..ACCEPTED).and_then(CcmPacket::new);
        let Some(p) = header else { return Err(CcmError::TooShort(octets.len())) };
        if p.get_opcode() != OPCODE {
            return Err(CcmError::Opcode(p.get_opcode()));
        }
        let mut maid = [0; MAID_LEN];
        maid.copy_from_slice(p.get_maid_raw());
        Ok(Ccm {
            interval: p.get_interval(),
            rdi: p.get_rdi() != 0,
            seq: p.get_seq(),
            mpid: p.get_mpid(),
            maid,
            interval_ms: p.get_interval_ms(),
            mpid64: p.get_mpid64(),
            opdown: p.get_opdown() != 0,
        })
    }

    /// The message's octets, [`LEN`] of them. Maintenance level, version and reserved octets are
    /// zero.
    pub fn emit(&self) -> Vec<u8> {
        let mut buf = vec![0; LEN];
        if let Some(mut p) = MutableCcmPacket::new(&mut buf) {
            p.set_opcode(OPCODE);
            p.set_rdi(u8::from(self.rdi));
            p.set_interval(self.interval & 0x07);
            p.set_tlv_offset(TLV_OFFSET);
            p.set_seq(self.seq);
            p.set_mpid(self.mpid);
            p.set_maid(&self.maid);
            p.set_interval_ms(self.interval_ms);
            p.set_mpid64(self.mpid64);
            p.set_opdown(u8::from(self.opdown));
        }
        buf
    }
}

// The macro's output is not under our control.
#[allow(unreachable_pub, unused, clippy::all, clippy::undocumented_unsafe_blocks)]
mod format {
    use pnet_macros::packet;
    use pnet_macros_support::types::*;

    /// Figure 21-5 up to the MAID; then Open vSwitch's fields in place of those of Y.1731.
    #[packet]
    pub struct Ccm {
        pub level: u3,
        pub version: u5,
        pub opcode: u8,
        pub rdi: u1,
        pub flags_reserved: u4,
        pub interval: u3,
        pub tlv_offset: u8,
        pub seq: u32be,
        pub mpid: u16be,
        #[length = "48"]
        pub maid: Vec<u8>,
        pub interval_ms: u16be,
        pub mpid64: u64be,
        pub opdown: u8,
        #[length = "5"]
        pub reserved: Vec<u8>,
        #[payload]
        pub tlvs: Vec<u8>,
    }
}
