//! System devices: an existing NIC, veth or tap, by a packet socket (packet(7)).
//!
//! The socket is promiscuous, does not see what we transmit, and carries offload state
//! (`PACKET_VNET_HDR`), so that trains of segments and unfinished checksums of a local peer pass
//! through whole. Tags that the kernel takes off on receipt are put back.
//!
//! Receive is a ring shared with the kernel (`ring`) while the process has few ports, and batches
//! of `recvmmsg` (`batch`) beyond, since a ring is resident memory.
//!
//! Transmit is `sendmmsg` on the same socket. Measured on veth, a second socket without offload
//! headers for ordinary frames gains nothing, and neither does a transmit ring; the kernel would
//! also hand a ring's slots back when a frame changes owner, not when it was read, so behind veth
//! and tap the peer could see a later frame's bytes.

mod batch;
mod ring;
mod tx;

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};

use rustix::net::{AddressFamily, SocketType};

use crate::packet::Packet;
use crate::sys;
use crate::{DeviceError, IoCounters, PacketIo};
use batch::Batch;
use ring::{Ring, RingPermit};
use tx::Tx;

/// Room for bursts, in octets of kernel memory; used only when a burst comes.
const SOCKET_BUFFER: usize = 4 << 20;
/// `ARPHRD_ETHER`: the type of devices whose frames have an Ethernet header.
const ETHERNET: u16 = 1;

/// Every 256th `recv` that finds nothing reads the socket's error.
const ERROR_POLL_INTERVAL: u32 = 256;

/// How to receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RxMode {
    /// A ring for the first [`MAX_RINGS`] ports of the process, batches beyond.
    #[default]
    Auto,
    /// A ring, or an error.
    Ring,
    /// Batches.
    Batch,
}

/// How to open a system device.
#[derive(Clone, Debug)]
pub struct SystemOptions {
    /// How to receive.
    pub rx: RxMode,
    /// Transmit past the device's queueing discipline (`PACKET_QDISC_BYPASS`): neither `tc` nor a
    /// capture on the device sees those frames then. Off by default, as in Open vSwitch.
    pub qdisc_bypass: bool,
}

impl Default for SystemOptions {
    fn default() -> Self {
        SystemOptions { rx: RxMode::Auto, qdisc_bypass: false }
    }
}

pub use ring::MAX_RINGS;

/// Opens an existing device of the current network namespace. The device stays open when the
/// thread changes its namespace, or the device goes down and comes up again.
///
/// # Errors
///
/// No such device, a loopback device ([`DeviceError::Add`] with `EINVAL`), not an Ethernet device, no
/// permission (`CAP_NET_RAW`), no memory.
pub fn open(name: &str, opts: &SystemOptions) -> Result<Box<dyn PacketIo>, DeviceError> {
    let failed = |source| DeviceError::Open { name: name.to_owned(), source };
    // A loopback device returns each frame that is sent to the host, and so to the switch.
    if is_loopback(name).map_err(failed)? {
        let source = io::Error::from_raw_os_error(libc::EINVAL);
        return Err(DeviceError::Add { name: name.to_owned(), source });
    }
    let io = System::open(name, opts).map_err(failed)?;
    Ok(Box::new(io))
}

/// Whether the device has `IFF_LOOPBACK`.
fn is_loopback(name: &str) -> io::Result<bool> {
    let flags = sys::Ifreq::new(name)?.ioctl(sys::Request::GetFlags)?.u16_at(0);
    Ok(flags & libc::IFF_LOOPBACK as u16 != 0)
}

enum Rx {
    Ring(Ring),
    Batch(Batch),
}

struct System {
    fd: OwnedFd,
    ifindex: u32,
    rx: Rx,
    tx: Tx,
    rx_packets: u64,
    rx_bytes: u64,
    /// Frames that were malformed.
    rx_bad: u64,
    /// Sum of the kernel's counts of lost frames; reading a count resets it.
    rx_lost: std::cell::Cell<u64>,
    /// Calls of `recv` that found nothing, wrapping.
    empty: u32,
    gone: bool,
}

impl System {
    fn open(name: &str, opts: &SystemOptions) -> io::Result<System> {
        let ifindex = sys::ifindex(name)?;
        let kind = sys::Ifreq::new(name)?.ioctl(sys::Request::GetHwaddr)?.u16_at(0);
        if kind != ETHERNET {
            return Err(io::Error::other("not an Ethernet device"));
        }
        let permit = match opts.rx {
            RxMode::Ring => Some(RingPermit::beyond()),
            RxMode::Batch => None,
            RxMode::Auto => RingPermit::take(),
        };
        let ring = |permit| socket().and_then(|fd| Ring::new(fd, permit));
        let (fd, rx) = match permit.map(ring) {
            Some(Ok((fd, ring))) => (fd, Rx::Ring(ring)),
            Some(Err(e)) if opts.rx == RxMode::Ring => return Err(e),
            Some(Err(_)) | None => (socket()?, Rx::Batch(Batch::default())),
        };
        if opts.qdisc_bypass {
            sys::set_packet_option(&fd, libc::PACKET_QDISC_BYPASS, &1)?;
        }
        sys::packet_membership(&fd, ifindex, libc::PACKET_MR_PROMISC, None)?;
        // Frames arrive after this, so that it is the last setting.
        sys::bind_packet(&fd, ifindex, libc::ETH_P_ALL as u16)?;
        Ok(System {
            fd,
            ifindex,
            rx,
            tx: Tx::default(),
            rx_packets: 0,
            rx_bytes: 0,
            rx_bad: 0,
            rx_lost: std::cell::Cell::new(0),
            empty: 0,
            gone: false,
        })
    }

    /// A device that went down leaves an error on its socket, which makes the socket readable until
    /// the error is read. A busy thread calls this millions of times a second, so that only one call
    /// in [`ERROR_POLL_INTERVAL`] makes the system calls.
    fn clear_error(&mut self) {
        self.empty = self.empty.wrapping_add(1);
        if self.empty.is_multiple_of(ERROR_POLL_INTERVAL) {
            let _ = rustix::net::sockopt::socket_error(&self.fd);
            self.gone = matches!(sys::bound_device(&self.fd), Ok(None));
        }
    }
}

/// A packet socket that receives nothing yet.
fn socket() -> io::Result<OwnedFd> {
    let fd = sys::socket(AddressFamily::PACKET, SocketType::RAW, None)?;
    for opt in [libc::PACKET_VNET_HDR, libc::PACKET_AUXDATA, libc::PACKET_IGNORE_OUTGOING] {
        sys::set_packet_option(&fd, opt, &1)?;
    }
    sys::set_receive_buffer(&fd, SOCKET_BUFFER);
    sys::set_send_buffer(&fd, SOCKET_BUFFER);
    Ok(fd)
}

impl PacketIo for System {
    fn fd(&self) -> Option<RawFd> {
        Some(self.fd.as_raw_fd())
    }

    fn recv(&mut self, out: &mut Vec<Packet>, max: usize) -> usize {
        let from = out.len();
        let fd = self.fd.as_fd();
        self.rx_bad += match &mut self.rx {
            Rx::Ring(r) => r.recv(fd, out, max),
            Rx::Batch(b) => b.recv(fd, out, max),
        };
        let n = out.len() - from;
        if n == 0 {
            self.clear_error();
        } else {
            self.rx_packets += n as u64;
            self.rx_bytes += out[from..].iter().map(|p| p.len() as u64).sum::<u64>();
        }
        n
    }

    unsafe fn release(&mut self) {
        // SAFETY: the contract is the same.
        unsafe {
            match &mut self.rx {
                Rx::Ring(r) => r.release(),
                Rx::Batch(b) => b.release(),
            }
        }
    }

    unsafe fn send(&mut self, packet: &Packet) {
        // SAFETY: the caller keeps the packet's bytes until `flush`.
        unsafe { self.tx.queue(self.fd.as_fd(), packet) }
    }

    fn flush(&mut self) {
        self.tx.flush(self.fd.as_fd());
    }

    fn counters(&self) -> IoCounters {
        if let Ok((_, lost)) = sys::take_packet_statistics(&self.fd) {
            self.rx_lost.set(self.rx_lost.get() + u64::from(lost));
        }
        IoCounters {
            rx_packets: self.rx_packets,
            rx_bytes: self.rx_bytes,
            rx_dropped: self.rx_bad + self.rx_lost.get(),
            ..self.tx.counters()
        }
    }

    fn ifindex(&self) -> Option<u32> {
        Some(self.ifindex)
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}
