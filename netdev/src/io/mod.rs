//! How a datapath thread moves frames: one trait, whatever the device.

use std::os::fd::RawFd;

use crate::packet::{Packet, VnetHdr};

mod arena;
pub mod dummy;
pub mod internal;
pub mod system;

/// Counters of a device's queues, since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoCounters {
    /// Frames that `recv` gave.
    pub rx_packets: u64,
    /// Their octets.
    pub rx_bytes: u64,
    /// Frames that arrived and that `recv` did not give: the ring was full, or they were malformed.
    pub rx_dropped: u64,
    /// Frames that the device took.
    pub tx_packets: u64,
    /// Their octets.
    pub tx_bytes: u64,
    /// Frames that the device refused: it is down, its queue is full, or they are too long.
    pub tx_dropped: u64,
}

/// The receive and transmit queues of one open device, used by one datapath thread.
///
/// | kind | opened by |
/// |---|---|
/// | `system` | [`system::open`] |
/// | `internal` | [`internal::open`] |
/// | `dummy` | [`dummy::create`] |
/// | `patch` | nothing: the translation joins the two ports of a pair, so that no frame is queued in them |
///
/// Per round: `recv`, work on the packets, `send` to this and other devices, `flush` those, and
/// last `release` the device that they came from.
///
/// Packets stay valid when their device is dropped before it is released. That memory is then never
/// unmapped, and a ring keeps its socket open: release a device before dropping it.
pub trait PacketIo: Send {
    /// Readable when `recv` has frames. `None` for a device that receives nothing.
    fn fd(&self) -> Option<RawFd>;

    /// Appends at most `max` frames to `out`; returns how many. Never blocks.
    fn recv(&mut self, out: &mut Vec<Packet>, max: usize) -> usize;

    /// Takes back the receive memory of every packet that `recv` has given.
    ///
    /// # Safety
    ///
    /// No packet of an earlier `recv` of this device is used after this, and every device that
    /// one was sent to has been flushed.
    unsafe fn release(&mut self);

    /// Queues a frame for transmission; it goes out at `flush` at the latest. Never blocks.
    ///
    /// # Safety
    ///
    /// The packet's bytes stay valid and unchanged until `flush` returns.
    unsafe fn send(&mut self, packet: &Packet);

    /// Hands all queued frames to the device. What it refuses is dropped and counted.
    fn flush(&mut self);

    /// Counters since the device was opened.
    fn counters(&self) -> IoCounters;

    /// The index of the kernel device that frames pass through; `None` if there is none or it is not
    /// known. The device's name may change, its index does not.
    fn ifindex(&self) -> Option<u32> {
        None
    }

    /// Whether `recv` has found that the device was removed. The descriptor of a removed tap stays
    /// readable: stop waiting for it.
    fn is_gone(&self) -> bool {
        false
    }
}

/// The offload state to send with a frame: only what is still to be done.
fn outgoing(vnet: &VnetHdr) -> VnetHdr {
    if vnet.flags & VnetHdr::NEEDS_CSUM != 0 {
        VnetHdr { flags: VnetHdr::NEEDS_CSUM, ..*vnet }
    } else if vnet.gso_type != 0 {
        VnetHdr { flags: 0, ..*vnet }
    } else {
        VnetHdr::default()
    }
}

/// Why a device could not be opened, read or changed; `Display` is what goes to `Interface.error`.
#[derive(Debug, thiserror::Error)]
// The messages show what the fields are.
#[allow(missing_docs)]
pub enum DeviceError {
    /// The device could not be opened. The text is Open vSwitch's.
    #[error("could not open network device {name} ({})", posix::text(source))]
    Open { name: String, source: std::io::Error },
    /// As `Open`, with a reason that is more precise than the system's error.
    #[error("could not open network device {name} ({}): {why}", posix::text(source))]
    Unfit { name: String, source: std::io::Error, why: String },
    /// The device is of a kind that a bridge does not take. The text is Open vSwitch's.
    #[error("could not add network device {name} to ofproto ({})", posix::text(source))]
    Add { name: String, source: std::io::Error },
    /// A parameter could not be changed.
    #[error("could not set {what} of network device {name} ({})", posix::text(source))]
    Set { name: String, what: &'static str, source: std::io::Error },
    /// A parameter could not be read.
    #[error("could not read {what} of network device {name} ({})", posix::text(source))]
    Get { name: String, what: &'static str, source: std::io::Error },
}

impl DeviceError {
    /// [`DeviceError::Get`].
    pub(crate) fn get(name: &str, what: &'static str, source: std::io::Error) -> DeviceError {
        DeviceError::Get { name: name.to_owned(), what, source }
    }

    /// Whether there is no such device.
    pub fn is_absent(&self) -> bool {
        let (DeviceError::Open { source, .. }
        | DeviceError::Unfit { source, .. }
        | DeviceError::Add { source, .. }
        | DeviceError::Set { source, .. }
        | DeviceError::Get { source, .. }) = self;
        source.raw_os_error() == Some(libc::ENODEV)
    }
}
