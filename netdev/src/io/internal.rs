//! Internal devices: a tap that exists as long as the switch has it open.
//!
//! The tap carries offload state both ways (`IFF_VNET_HDR`), so the host's own TCP passes trains
//! of segments to the switch and takes them from it. It may be moved to another network
//! namespace and keeps working there: everything here goes through the descriptor.

use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use wire::EthAddr;

use super::arena::Arena;
use crate::packet::{Packet, VnetHdr};
use crate::sys::{self, Ifreq};
use crate::{DeviceError, IoCounters, PacketIo};

/// What to give a new internal device.
#[derive(Clone, Debug, Default)]
pub struct InternalOptions {
    /// A random local address when `None`.
    pub mac: Option<EthAddr>,
    /// 68 to 65521 octets; 1500 when `None`.
    pub mtu: Option<u32>,
}

/// A new internal device; the kernel removes it when `io` and `tap` are dropped.
pub struct Internal {
    pub name: String,
    pub ifindex: u32,
    pub io: Box<dyn PacketIo>,
    pub tap: TapHandle,
}

/// Asks after an internal device that the network namespace does not show any more.
#[derive(Debug)]
pub struct TapHandle(OwnedFd);

impl TapHandle {
    /// Whether the device exists: here, or in the namespace that somebody has moved it to.
    pub fn exists(&self) -> bool {
        // SAFETY: TUNGETIFF fills in a struct ifreq.
        unsafe { Ifreq::blank().ioctl_on(self.0.as_raw_fd(), libc::TUNGETIFF as _) }.is_ok()
    }
}

/// Makes a tap device in the current network namespace. It starts down
/// ([`link::set_up`](crate::link::set_up)), with its carrier on.
///
/// # Errors
///
/// `File exists` when the name is taken, whatever by; no permission (`CAP_NET_ADMIN`); a value
/// that the kernel refuses.
pub fn create(name: &str, opts: &InternalOptions) -> Result<Internal, DeviceError> {
    let tap = Tap::open(name).map_err(|source| DeviceError::Open { name: name.into(), source })?;
    let set = |what| move |source| DeviceError::Set { name: name.into(), what, source };
    if let Some(mac) = opts.mac {
        crate::link::set_mac(name, mac)?;
    }
    if let Some(mtu) = opts.mtu {
        crate::link::set_mtu(name, mtu)?;
    }
    let ifindex = sys::ifindex(name).map_err(set("index"))?;
    let handle = TapHandle(tap.fd.try_clone().map_err(set("handle"))?);
    Ok(Internal { name: name.to_owned(), ifindex, io: Box::new(tap), tap: handle })
}

struct Tap {
    fd: OwnedFd,
    arena: Option<Arena>,
    counters: IoCounters,
    gone: bool,
}

impl Tap {
    fn open(name: &str) -> io::Result<Tap> {
        let mut req = Ifreq::new(name)?;
        // Attaching to a persistent tap, or filling in a pattern, is not what we are asked for.
        if sys::ifindex(name).is_ok() {
            return Err(io::Error::from_raw_os_error(libc::EEXIST));
        }
        if name.contains('%') {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        let fd: OwnedFd = std::fs::OpenOptions::new()
            .read(true)
            .write(true)
            .custom_flags(libc::O_NONBLOCK)
            .open("/dev/net/tun")?
            .into();
        let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR | libc::IFF_TUN_EXCL;
        req.put(0, &(flags as u16).to_ne_bytes());
        let raw = fd.as_raw_fd();
        // SAFETY: TUNSETIFF takes a struct ifreq; no pointer in it.
        unsafe { req.ioctl_on(raw, libc::TUNSETIFF as _) }.map_err(|e| {
            // What the kernel says when somebody else was faster.
            match e.raw_os_error() {
                Some(libc::EBUSY) => io::Error::from_raw_os_error(libc::EEXIST),
                _ => e,
            }
        })?;
        let offload = libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6;
        // SAFETY: the argument of TUNSETOFFLOAD is a number, not a pointer.
        sys::cvt(unsafe {
            libc::ioctl(raw, libc::TUNSETOFFLOAD as _, libc::c_ulong::from(offload))
        })?;
        Ok(Tap { fd, arena: None, counters: IoCounters::default(), gone: false })
    }
}

impl PacketIo for Tap {
    fn fd(&self) -> Option<RawFd> {
        Some(self.fd.as_raw_fd())
    }

    fn recv(&mut self, out: &mut Vec<Packet>, max: usize) -> usize {
        if self.arena.is_none() {
            self.arena = Arena::take();
        }
        let Some(arena) = &mut self.arena else { return 0 };
        let mut n = 0;
        while n < max && arena.room() > 0 {
            match arena.read(self.fd.as_raw_fd()) {
                Ok(Some(p)) => {
                    self.counters.rx_bytes += p.len() as u64;
                    out.push(p);
                    n += 1;
                }
                Ok(None) => self.counters.rx_dropped += 1,
                Err(e) => {
                    // What a tap says after `ip link del`.
                    self.gone |= e.raw_os_error() == Some(libc::EBADFD);
                    break;
                }
            }
        }
        self.counters.rx_packets += n as u64;
        if arena.room() == super::arena::SLOTS {
            // SAFETY: no frame has been given out.
            unsafe { self.release() };
        }
        n
    }

    unsafe fn release(&mut self) {
        if let Some(a) = self.arena.take() {
            a.put();
        }
    }

    unsafe fn send(&mut self, packet: &Packet) {
        let d = packet.data();
        let vnet = super::outgoing(&packet.vnet);
        let iov = [
            libc::iovec {
                iov_base: (&raw const vnet).cast_mut().cast(),
                iov_len: size_of::<VnetHdr>(),
            },
            libc::iovec { iov_base: d.as_ptr().cast_mut().cast(), iov_len: d.len() },
        ];
        // A tap takes one frame per call, so nothing is gained by waiting for `flush`.
        // SAFETY: the kernel reads what the two vectors describe, both alive here.
        let r = unsafe { libc::writev(self.fd.as_raw_fd(), iov.as_ptr(), 2) };
        if r < 0 {
            self.counters.tx_dropped += 1;
        } else {
            self.counters.tx_packets += 1;
            self.counters.tx_bytes += d.len() as u64;
        }
    }

    fn flush(&mut self) {}

    fn counters(&self) -> IoCounters {
        self.counters
    }

    fn is_gone(&self) -> bool {
        self.gone
    }
}
