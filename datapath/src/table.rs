//! Bucket tables: the one indirection between flows and the ports of a bond.

use crate::port::PortNo;

/// Names a bucket table in the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableId(pub u32);

/// 0 to 255.
pub type Bucket = u8;

/// Which packets a port of the table lets in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ingress {
    /// No packets.
    Closed,
    /// Ethernet unicast only.
    Unicast,
    /// All packets.
    Open,
}

/// Where each bucket goes, and what each port lets in. Immutable: a change is a new table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketTable {
    /// Incremented by the publisher with each table.
    pub generation: u64,
    /// `None` drops.
    pub buckets: [Option<PortNo>; 256],
    /// Ascending by port. A port that is not listed is closed.
    pub ingress: Vec<(PortNo, Ingress)>,
}

impl BucketTable {
    /// What `port` lets in.
    pub fn ingress(&self, port: PortNo) -> Ingress {
        // Bonds have few members: a scan beats a search.
        self.ingress.iter().find(|(p, _)| *p == port).map_or(Ingress::Closed, |(_, i)| *i)
    }

    /// Whether `port` admits a packet with this kind of destination.
    pub fn admits(&self, port: PortNo, multicast: bool) -> bool {
        match self.ingress(port) {
            Ingress::Closed => false,
            Ingress::Unicast => !multicast,
            Ingress::Open => true,
        }
    }
}
