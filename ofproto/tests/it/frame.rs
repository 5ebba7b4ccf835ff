//! Frames for tests, written down as values.

use wire::EthAddr;

pub(crate) const BROADCAST: u64 = 0xffff_ffff_ffff;

/// One Ethernet frame.
#[derive(Clone, Debug)]
pub(crate) struct Frame {
    pub(crate) dst: u64,
    pub(crate) src: u64,
    /// TPID and TCI, outer first.
    pub(crate) tags: Vec<(u16, u16)>,
    pub(crate) eth_type: u16,
    pub(crate) payload: Vec<u8>,
}

/// A UDP packet between two addresses (stations are small numbers).
pub(crate) fn udp(src: u64, dst: u64) -> Frame {
    udp_ports(src, dst, 1000, 2000)
}

pub(crate) fn udp_ports(src: u64, dst: u64, sport: u16, dport: u16) -> Frame {
    let mut p = vec![0x45, 0, 0, 28, 0, 0, 0, 0, 64, 17, 0, 0];
    p.extend([10, 0, 0, src as u8, 10, 0, 0, dst as u8]);
    p.extend(sport.to_be_bytes());
    p.extend(dport.to_be_bytes());
    p.extend([0, 8, 0, 0]);
    Frame { dst, src, tags: Vec::new(), eth_type: 0x0800, payload: p }
}

/// A broadcast ARP request or reply from `src`, sender and target address as given.
pub(crate) fn arp(src: u64, op: u8, spa: u8, tpa: u8) -> Frame {
    let mut p = vec![0, 1, 8, 0, 6, 4, 0, op];
    p.extend(EthAddr::from_u64(src).0);
    p.extend([10, 0, 0, spa]);
    p.extend([0; 6]);
    p.extend([10, 0, 0, tpa]);
    Frame { dst: BROADCAST, src, tags: Vec::new(), eth_type: 0x0806, payload: p }
}

/// A gratuitous ARP request.
pub(crate) fn gratuitous(src: u64) -> Frame {
    arp(src, 1, src as u8, src as u8)
}

/// Some other protocol.
pub(crate) fn other(src: u64, dst: u64, eth_type: u16) -> Frame {
    Frame { dst, src, tags: Vec::new(), eth_type, payload: vec![1; 46] }
}

impl Frame {
    /// With one more tag outside.
    pub(crate) fn tag(self, vid: u16) -> Frame {
        self.tci(0x8100, vid)
    }

    pub(crate) fn tci(mut self, tpid: u16, tci: u16) -> Frame {
        self.tags.insert(0, (tpid, tci));
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut b = Vec::new();
        b.extend(EthAddr::from_u64(self.dst).0);
        b.extend(EthAddr::from_u64(self.src).0);
        for (tpid, tci) in &self.tags {
            b.extend(tpid.to_be_bytes());
            b.extend(tci.to_be_bytes());
        }
        b.extend(self.eth_type.to_be_bytes());
        b.extend(&self.payload);
        b
    }
}

/// The tags of a frame: `-` for none, `10` for VLAN 10, `100.10` for two, `p3` for a priority
/// other than 0, `s100` for an S-tag.
pub(crate) fn tags_of(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    let mut at = 12;
    while let Some(&[t0, t1, c0, c1]) = bytes.get(at..at + 4) {
        let (tpid, tci) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([c0, c1]));
        if tpid != 0x8100 && tpid != 0x88a8 {
            break;
        }
        let s = if tpid == 0x88a8 { "s" } else { "" };
        let p = if tci >> 13 != 0 { format!("p{}", tci >> 13) } else { String::new() };
        out.push(format!("{s}{}{p}", tci & 0xfff));
        at += 4;
    }
    if out.is_empty() { "-".to_owned() } else { out.join(".") }
}
