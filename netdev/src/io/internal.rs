//! Internal devices: taps (tun(4)) that the switch makes for the host itself.
//!
//! A tap is persistent once [`TapHandle::persist`] has been called: it keeps its address, state,
//! IP addresses and routes when the process ends or is killed, and the next process attaches to it
//! again. Open vSwitch's userspace datapath does so too; each can take over the other's taps.
//!
//! The tap carries offload state both ways (`IFF_VNET_HDR`), so the host's own TCP passes trains
//! of segments to the switch and takes them from it. It may be moved to another network
//! namespace and keeps working there: everything here goes through the descriptor.

use std::ffi::c_int;
use std::io::{self, IoSlice};
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::time::{Duration, Instant};

use zerocopy::IntoBytes;

use super::arena::Arena;
use crate::link::tun::{self, Holder, Tun, TunInfo};
use crate::packet::{Packet, VnetHdr};
use crate::sys::{self, Ifreq, TunFd};
use crate::{DeviceError, IoCounters, PacketIo};

/// An internal device that has been opened. A new one ends when `io` and `tap` are dropped, unless
/// it has been made persistent.
pub struct Internal {
    /// The device's name when it was opened.
    pub name: String,
    /// Its index.
    pub ifindex: u32,
    /// The device existed: a persistent tap that no process had open.
    pub found: bool,
    /// Its queues.
    pub io: Box<dyn PacketIo>,
    /// The device, apart from its queues.
    pub tap: TapHandle,
}

/// An internal device, apart from its queues.
#[derive(Debug)]
pub struct TapHandle(TunFd);

impl TapHandle {
    /// Whether the device exists, in whatever network namespace it is by now.
    pub fn exists(&self) -> bool {
        self.0.is_attached()
    }

    /// Whether the device outlives the last process that has it open (`TUNSETPERSIST`).
    ///
    /// # Errors
    ///
    /// The device has been removed.
    pub fn persist(&self, stay: bool) -> io::Result<()> {
        self.0.set_persist(stay)
    }

    /// Withdraws the offloads that were offered to the kernel, before another program attaches. Open
    /// vSwitch 3.1 does not set them, and would get segment trains and frames without checksums.
    ///
    /// # Errors
    ///
    /// The device has been removed.
    pub fn withdraw_offloads(&self) -> io::Result<()> {
        self.0.set_offload(0)
    }
}

/// How long to wait until an ending process has closed its descriptors.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);
/// Time between two attempts.
const RETRY_INTERVAL: Duration = Duration::from_millis(10);

/// Opens the tap device `name` of the current network namespace: a persistent one that no process
/// has open, as it is, or else a new one, which starts down
/// ([`link::set_up`](crate::link::set_up)). Its carrier is on as long as it is open.
///
/// With `patient`, waits half a second at most for a process that has just ended.
///
/// # Errors
///
/// `File exists`: there is a device of that name that is no tap. `Device or resource busy`: a
/// process, which is named, has the tap open, or it belongs to a user other than root and the
/// caller. No permission (`CAP_NET_ADMIN`).
pub fn open(name: &str, patient: bool) -> Result<Internal, DeviceError> {
    let fail = |e: Refused| match e.why {
        None => DeviceError::Open { name: name.into(), source: e.source },
        Some(why) => DeviceError::Unfit { name: name.into(), source: e.source, why },
    };
    let deadline = Instant::now() + if patient { CLOSE_TIMEOUT } else { Duration::ZERO };
    let (tap, found) = loop {
        match Tap::open(name) {
            // The descriptors of an ending process are no longer in /proc while the kernel still
            // closes them.
            Err(e) if e.why.is_none() && e.is_busy() && Instant::now() < deadline => {
                std::thread::sleep(RETRY_INTERVAL);
            }
            result => break result.map_err(fail)?,
        }
    };
    let set = |what| move |source| DeviceError::Set { name: name.into(), what, source };
    let ifindex = sys::ifindex(name).map_err(set("index"))?;
    let handle = TapHandle(tap.fd.try_clone().map_err(set("handle"))?);
    Ok(Internal { name: name.to_owned(), ifindex, found, io: Box::new(tap), tap: handle })
}

/// Removes a persistent tap that no process has open. False if there is none of this name and
/// index in the current network namespace.
///
/// # Errors
///
/// As [`open`].
pub fn remove(name: &str, ifindex: u32) -> Result<bool, DeviceError> {
    let fits = |t: &TunInfo| {
        t.name == name && t.ifindex == ifindex && t.tun.is_none_or(|t| t.tap && t.persist)
    };
    if !tun::get(name).is_ok_and(|t| fits(&t)) {
        return Ok(false);
    }
    let tap = open(name, false)?;
    // Another one may have taken its place in between.
    if tap.ifindex != ifindex {
        return Ok(false);
    }
    let set = |source| DeviceError::Set { name: name.into(), what: "persistence", source };
    tap.tap.persist(false).map_err(set)?;
    Ok(true)
}

/// Why a tap cannot be opened.
struct Refused {
    source: io::Error,
    /// More than the error says.
    why: Option<String>,
}

impl Refused {
    fn new(errno: c_int, why: impl Into<String>) -> Refused {
        Refused { source: io::Error::from_raw_os_error(errno), why: Some(why.into()) }
    }

    fn is_busy(&self) -> bool {
        self.source.raw_os_error() == Some(libc::EBUSY)
    }
}

impl From<io::Error> for Refused {
    fn from(source: io::Error) -> Refused {
        Refused { source, why: None }
    }
}

struct Tap {
    fd: TunFd,
    arena: Option<Arena>,
    counters: IoCounters,
    gone: bool,
}

impl Tap {
    /// The tap, and whether it was there before.
    fn open(name: &str) -> Result<(Tap, bool), Refused> {
        Ifreq::new(name)?;
        // To the kernel, a pattern is a request to find a name.
        if name.contains('%') {
            return Err(io::Error::from_raw_os_error(libc::EINVAL).into());
        }
        // /proc/sys/net has directories of these names. The kernel would announce the device
        // before it fails, and each announcement is a reason to try again.
        if matches!(name, "all" | "default") {
            return Err(Refused::new(libc::EINVAL, "Linux forbids network device with this name"));
        }
        let there = tun::get(name).ok();
        let mut flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_VNET_HDR;
        match &there {
            // Fails when another process has made the device since.
            None => flags |= libc::IFF_TUN_EXCL,
            Some(device) => {
                let tun = fit(name, device)?;
                if tun.multi_queue {
                    flags |= libc::IFF_MULTI_QUEUE;
                }
            }
        }
        let fd = TunFd::open()?;
        if let Err(e) = fd.attach(name, flags) {
            let busy = e.raw_os_error() == Some(libc::EBUSY);
            return Err(if busy { held(name) } else { e.into() });
        }
        prepare(&fd)?;
        let tap = Tap { fd, arena: None, counters: IoCounters::default(), gone: false };
        Ok((tap, there.is_some()))
    }
}

/// The kernel's information of a device that can be attached to.
fn fit(name: &str, device: &TunInfo) -> Result<Tun, Refused> {
    if device.name != name {
        let why = format!("it is an alternative name of {}", device.name);
        return Err(Refused::new(libc::EEXIST, why));
    }
    if device.kind != "tun" {
        let kind = if device.kind.is_empty() { "another kind of" } else { &device.kind };
        return Err(Refused::new(libc::EEXIST, format!("there is a device of this name ({kind})")));
    }
    let Some(tun) = device.tun else {
        return Ok(Tun::default());
    };
    if !tun.tap {
        let why = "there is a TUN device of this name, which has no Ethernet frames";
        return Err(Refused::new(libc::EEXIST, why));
    }
    // The frames of a multi-queue device are divided among the processes that have it open.
    if tun.multi_queue && tun.queues > 0 {
        return Err(held(name));
    }
    let us = rustix::process::geteuid().as_raw();
    match tun.owner {
        Some(uid) if uid != 0 && uid != us => {
            let why = format!("it belongs to the user {uid} (ip tuntap), for a program of theirs");
            Err(Refused::new(libc::EBUSY, why))
        }
        Some(_) | None => Ok(tun),
    }
}

/// The error for a tap that another process has open.
fn held(name: &str) -> Refused {
    match tun::holder(name) {
        Some(Holder { pid, program }) => {
            Refused::new(libc::EBUSY, format!("{program} (pid {pid}) has it open"))
        }
        None => io::Error::from_raw_os_error(libc::EBUSY).into(),
    }
}

/// Sets everything that an earlier process may have changed on a persistent tap.
fn prepare(fd: &TunFd) -> io::Result<()> {
    // While no process has the tap open, only this user may attach to it. Without an owner,
    // everyone who can open /dev/net/tun may. A user namespace may have no user 0.
    if fd.set_owner(0).is_err() {
        fd.set_owner(rustix::process::geteuid().as_raw())?;
    }
    fd.set_vnet_hdr_size(size_of::<VnetHdr>() as c_int)?;
    // Kernels do not have all of these; then there is nothing to put back. In order: octets of the
    // header in host order, no limit on frames on their way in, no filters, no choice of queues.
    let _ = fd.set_vnet_host_order();
    let _ = fd.set_send_buffer(c_int::MAX);
    let _ = fd.detach_filter();
    let _ = fd.clear_address_filter();
    let _ = fd.clear_programs();
    fd.set_offload(libc::TUN_F_CSUM | libc::TUN_F_TSO4 | libc::TUN_F_TSO6)
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
            match arena.read(self.fd.as_fd()) {
                Ok(Some(p)) => {
                    self.counters.rx_bytes += p.len() as u64;
                    out.push(p);
                    n += 1;
                }
                Ok(None) => self.counters.rx_dropped += 1,
                Err(e) => {
                    // The error of a tap that was removed.
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
            // SAFETY: the caller no longer uses the packets.
            unsafe { a.put() };
        }
    }

    unsafe fn send(&mut self, packet: &Packet) {
        let d = packet.data();
        let vnet = super::outgoing(&packet.vnet);
        // A tap takes one frame per call, so nothing is gained by waiting for `flush`.
        let iov = [IoSlice::new(vnet.as_bytes()), IoSlice::new(d)];
        if rustix::io::writev(&self.fd, &iov).is_err() {
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
