//! Devices in memory, for tests and for `type=dummy`.
//!
//! | file | what |
//! |---|---|
//! | `stream` | a socket as the device's cable |
//! | `pcap` | files of what the device received and sent |

mod pcap;
mod stream;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};

pub use self::stream::{Connection, Plug};

use self::pcap::Pcap;
use self::stream::Cable;
use crate::packet::Packet;
use crate::sys;
use crate::{DeviceError, IoCounters, PacketIo};

/// Frames that wait on either side. More arriving ones are lost, as from a full ring; of the
/// transmitted ones, the latest are kept.
pub const DEPTH: usize = 4096;

/// Octets of an Ethernet header, and of one VLAN tag.
const HEADER: usize = 14;
const TAG: usize = 4;

/// What can be changed while the device is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DummyOptions {
    pub plug: Option<Plug>,
    /// Capture file of received frames; may be the same as `tx_pcap`.
    pub rx_pcap: Option<PathBuf>,
    pub tx_pcap: Option<PathBuf>,
    /// Octets behind the Ethernet header (and one VLAN tag) that may be sent; `None` = any number.
    pub mtu: Option<u32>,
}

type Hook = Arc<dyn Fn() + Send + Sync>;

struct State {
    options: DummyOptions,
    cable: Cable,
    rx_pcap: Option<Pcap>,
    tx_pcap: Option<Pcap>,
    rx: VecDeque<Packet>,
    tx: VecDeque<Packet>,
    carrier: bool,
    admin: bool,
    counters: IoCounters,
    hook: Option<Hook>,
}

struct Shared {
    state: Mutex<State>,
    /// Readable while frames wait to be received.
    event: OwnedFd,
    /// `event` and the cable's sockets: what the receiver waits for.
    epoll: OwnedFd,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The hand of a test, or of a control command, on a dummy device. Clones hold the same device.
#[derive(Clone)]
pub struct DummyPort(Arc<Shared>);

impl std::fmt::Debug for DummyPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DummyPort")
    }
}

/// Makes a device in memory: up, with carrier.
///
/// # Errors
///
/// No descriptor is left for its events.
pub fn create(name: &str) -> Result<(DummyPort, Box<dyn PacketIo>), DeviceError> {
    let failed = |source| DeviceError::Open { name: name.to_owned(), source };
    // SAFETY: no memory is passed.
    let event = unsafe { own(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)) };
    let event = event.map_err(failed)?;
    // SAFETY: no memory is passed.
    let epoll = unsafe { own(libc::epoll_create1(libc::EPOLL_CLOEXEC)) }.map_err(failed)?;
    let mut watch = libc::epoll_event { events: libc::EPOLLIN as u32, u64: 0 };
    let (add, fd) = (libc::EPOLL_CTL_ADD, event.as_raw_fd());
    // SAFETY: the kernel reads one event.
    sys::cvt(unsafe { libc::epoll_ctl(epoll.as_raw_fd(), add, fd, &mut watch) }).map_err(failed)?;
    let state = State {
        options: DummyOptions::default(),
        cable: Cable::default(),
        rx_pcap: None,
        tx_pcap: None,
        rx: VecDeque::new(),
        tx: VecDeque::new(),
        carrier: true,
        admin: true,
        counters: IoCounters::default(),
        hook: None,
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), event, epoll });
    Ok((DummyPort(shared.clone()), Box::new(Dummy { shared, queue: Vec::new() })))
}

/// # Safety
///
/// `fd` is -1, or a descriptor that the kernel has just made for the caller.
unsafe fn own(fd: i32) -> io::Result<OwnedFd> {
    let fd = sys::cvt(fd)?;
    // SAFETY: the caller says so.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

impl DummyPort {
    /// The frame arrives on the device, whether it is up or not: who is down is for others to
    /// heed, as in Open vSwitch. False, and lost, when the device is full.
    pub fn inject(&self, packet: Packet) -> bool {
        self.0.lock().receive(packet, &self.0.event)
    }

    /// Takes the frames that were transmitted since the last call, at most [`DEPTH`].
    pub fn take_transmitted(&self) -> Vec<Packet> {
        std::mem::take(&mut self.0.lock().tx).into()
    }

    /// Changes the device's options; what is as before is left alone. What fails is tried again
    /// only when the option changes.
    ///
    /// # Errors
    ///
    /// The option and the system's reason, for each that could not be done; the others are.
    pub fn configure(&self, options: &DummyOptions) -> Result<(), Vec<(&'static str, io::Error)>> {
        let mut s = self.0.lock();
        let mut errors = Vec::new();
        let old = std::mem::replace(&mut s.options, options.clone());
        if old.plug != options.plug
            && let Err(e) = s.cable.set(options.plug.clone(), self.0.epoll.as_raw_fd())
        {
            errors.push(("stream", e));
        }
        let mut file = |path: &Option<PathBuf>| {
            let opened = path.as_ref().map(|p| Pcap::append(p)).transpose();
            opened.map_err(|e| errors.push(("pcap", e))).ok().flatten()
        };
        if old.rx_pcap != options.rx_pcap {
            s.rx_pcap = file(&options.rx_pcap);
        }
        if old.tx_pcap != options.tx_pcap {
            s.tx_pcap = file(&options.tx_pcap);
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// Where it is plugged in; `None` also when that failed.
    pub fn plug(&self) -> Option<Plug> {
        self.0.lock().cable.plug().cloned()
    }

    pub fn connection(&self) -> Connection {
        self.0.lock().cable.connection()
    }

    /// `hook` is called after each change of carrier or administrative state, on the thread that
    /// changed it. It must not wait. There is one; a new one takes its place.
    pub fn on_change(&self, hook: Hook) {
        self.0.lock().hook = Some(hook);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let hook = {
            let mut s = self.0.lock();
            let before = (s.carrier, s.admin);
            change(&mut s);
            if before == (s.carrier, s.admin) {
                return;
            }
            s.hook.clone()
        };
        if let Some(hook) = hook {
            hook();
        }
    }

    /// A device without carrier transmits nothing.
    pub fn set_carrier(&self, up: bool) {
        self.change(|s| s.carrier = up);
    }

    pub fn carrier(&self) -> bool {
        self.0.lock().carrier
    }

    /// Whether the device is up: what it tells, not what it does.
    pub fn set_admin(&self, up: bool) {
        self.change(|s| s.admin = up);
    }

    pub fn admin_up(&self) -> bool {
        self.0.lock().admin
    }

    pub fn counters(&self) -> IoCounters {
        self.0.lock().counters
    }
}

impl State {
    fn receive(&mut self, packet: Packet, event: &OwnedFd) -> bool {
        if let Some(pcap) = &mut self.rx_pcap {
            pcap.write(packet.data());
        }
        if self.rx.len() >= DEPTH {
            self.counters.rx_dropped += 1;
            return false;
        }
        self.rx.push_back(packet);
        let one = 1u64.to_ne_bytes();
        // Within the lock, so that it cannot come after a `recv` that found the queue empty.
        // SAFETY: the kernel reads 8 octets of `one`. It cannot fail: the count is far below its
        // limit.
        unsafe { libc::write(event.as_raw_fd(), one.as_ptr().cast(), 8) };
        true
    }

    fn fits(&self, frame: &[u8]) -> bool {
        let tagged = frame.get(12..14).is_some_and(|t| t == [0x81, 0]);
        let room = HEADER + if tagged { TAG } else { 0 };
        self.options.mtu.is_none_or(|mtu| frame.len() <= mtu as usize + room)
    }
}

struct Dummy {
    shared: Arc<Shared>,
    queue: Vec<Packet>,
}

impl PacketIo for Dummy {
    fn fd(&self) -> Option<RawFd> {
        Some(self.shared.epoll.as_raw_fd())
    }

    fn recv(&mut self, out: &mut Vec<Packet>, max: usize) -> usize {
        let mut s = self.shared.lock();
        if s.cable.plug().is_some() {
            let mut cable = std::mem::take(&mut s.cable);
            cable.run(self.shared.epoll.as_raw_fd(), |frame| {
                s.receive(Packet::new(frame), &self.shared.event);
            });
            s.cable = cable;
        }
        let n = max.min(s.rx.len());
        for p in s.rx.drain(..n) {
            out.push(p);
        }
        let from = out.len() - n;
        s.counters.rx_packets += n as u64;
        s.counters.rx_bytes += out[from..].iter().map(|p| p.len() as u64).sum::<u64>();
        if n > 0 && s.rx.is_empty() {
            let mut count = [0u8; 8];
            // SAFETY: the kernel writes at most 8 octets to `count`. An error means that the
            // event was not set, which is what is wanted.
            unsafe { libc::read(self.shared.event.as_raw_fd(), count.as_mut_ptr().cast(), 8) };
        }
        n
    }

    unsafe fn release(&mut self) {}

    unsafe fn send(&mut self, packet: &Packet) {
        self.queue.push(packet.to_owned_packet());
    }

    fn flush(&mut self) {
        if self.queue.is_empty() {
            return;
        }
        let mut s = self.shared.lock();
        for p in self.queue.drain(..) {
            if !s.carrier || !s.fits(p.data()) {
                s.counters.tx_dropped += 1;
                continue;
            }
            s.counters.tx_packets += 1;
            s.counters.tx_bytes += p.len() as u64;
            s.cable.send(self.shared.epoll.as_raw_fd(), p.data());
            if let Some(pcap) = &mut s.tx_pcap {
                pcap.write(p.data());
            }
            if s.tx.len() >= DEPTH {
                s.tx.pop_front();
            }
            s.tx.push_back(p);
        }
    }

    fn counters(&self) -> IoCounters {
        self.shared.lock().counters
    }
}
