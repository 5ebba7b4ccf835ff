//! How a datapath thread moves frames: one trait, whatever the device.

use std::os::fd::RawFd;

use crate::packet::{Packet, VnetHdr};

mod arena;
pub mod dummy;
pub mod internal;
pub mod system;

/// Frames that the queues themselves counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IoCounters {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    /// Lost before we saw them: a full ring.
    pub rx_dropped: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
    /// Refused by the device (down, full queue, too long).
    pub tx_dropped: u64,
}

/// The receive and transmit queues of one open device, used by one datapath thread.
///
/// | kind | opened by |
/// |---|---|
/// | `system` | [`system::open`] |
/// | `internal` | [`internal::open`] |
/// | `dummy` | [`dummy::create`] |
/// | `patch` | nothing: a patch port is a pair of ports that the translation joins; no frame ever waits in one, so it has no queue |
///
/// Per round: `recv`, work on the packets, `send` to this and other devices, `flush` those, and
/// last `release` the device that they came from.
///
/// Packets stay valid when their device is dropped before it is released. That memory is then never
/// unmapped, and a ring keeps its socket open: release a device before dropping it.
pub trait PacketIo: Send {
    /// Readable when `recv` has something to give. `None` for a device without receive side.
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

    fn counters(&self) -> IoCounters;

    /// The kernel device that frames pass through, under whatever name; `None` if there is none or
    /// it is not known.
    fn ifindex(&self) -> Option<u32> {
        None
    }

    /// True once a `recv` has found that the device was removed under us. A tap's descriptor then
    /// stays readable for good: stop waiting for it.
    fn is_gone(&self) -> bool {
        false
    }
}

/// What the kernel is told of an outgoing frame's offload state: only what is still to be done.
fn outgoing(vnet: &VnetHdr) -> VnetHdr {
    if vnet.flags & VnetHdr::NEEDS_CSUM != 0 {
        VnetHdr { flags: VnetHdr::NEEDS_CSUM, ..*vnet }
    } else if vnet.gso_type != 0 {
        VnetHdr { flags: 0, ..*vnet }
    } else {
        VnetHdr::default()
    }
}

/// Why a device could not be opened or changed; `Display` is what goes to `Interface.error`.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The same sentence that Open vSwitch prints.
    #[error("could not open network device {name} ({})", posix::text(source))]
    Open { name: String, source: std::io::Error },
    /// The same, with more than the system's error says.
    #[error("could not open network device {name} ({}): {why}", posix::text(source))]
    Unfit { name: String, source: std::io::Error, why: String },
    #[error("could not add network device {name} to ofproto ({})", posix::text(source))]
    Add { name: String, source: std::io::Error },
    #[error("could not set {what} of network device {name} ({})", posix::text(source))]
    Set { name: String, what: &'static str, source: std::io::Error },
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
