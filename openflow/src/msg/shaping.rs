//! Queues, groups and meters, as far as their requests and limits go.

use crate::ofport::OfPort;

/// All queues of a port; all groups.
pub const ALL: u32 = 0xffff_ffff;
/// Any group, in a description's request of 1.4 and before.
pub const GROUP_ALL: u32 = 0xffff_fffc;
/// All meters.
pub const METER_ALL: u32 = 0xffff_ffff;

/// Which queues to tell about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueRequest {
    /// [`OfPort::ANY`]: of all ports.
    pub port: OfPort,
    /// [`ALL`]: all. Before 1.4 the configuration is always asked of all.
    pub queue: u32,
}

/// A queue's counters; `u64::MAX`: not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QueueStats {
    /// The port.
    pub port: OfPort,
    /// The queue's identity within the port.
    pub queue: u32,
    /// Sent octets.
    pub tx_bytes: u64,
    /// Sent packets.
    pub tx_packets: u64,
    /// Packets dropped because the queue was full.
    pub tx_errors: u64,
    /// How long it exists; `None`: not told (before 1.3).
    pub duration: Option<(u32, u32)>,
}

impl QueueStats {
    /// Nothing known.
    pub const fn unknown(port: OfPort, queue: u32) -> QueueStats {
        let n = u64::MAX;
        QueueStats { port, queue, tx_bytes: n, tx_packets: n, tx_errors: n, duration: None }
    }
}

/// What groups there can be, by type: all, select, indirect, fast failover.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GroupFeatures {
    /// Bit by type.
    pub types: u32,
    /// 1 weights, 2 liveness, 4 chains, 8 checks of chains.
    pub capabilities: u32,
    /// Most groups of each type.
    pub max_groups: [u32; 4],
    /// Bits of the version's action numbers.
    pub actions: [u32; 4],
}

/// What meters there can be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MeterFeatures {
    /// Most meters.
    pub max_meters: u32,
    /// Bits: 2 drop, 4 remark.
    pub band_types: u32,
    /// Bits of `OFPMF_*`: 1 kbit/s, 2 packets per second, 4 burst size, 8 statistics.
    pub capabilities: u32,
    /// Most bands of a meter.
    pub max_bands: u8,
    /// Highest colour value.
    pub max_color: u8,
}
