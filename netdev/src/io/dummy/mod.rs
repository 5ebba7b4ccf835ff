//! Devices in memory, for tests and for `type=dummy`.
//!
//! | file | what |
//! |---|---|
//! | `stream` | a stream socket in place of the device's link |
//! | `pcap` | files of what the device received and sent |

mod pcap;
mod stream;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use rustix::event::{EventfdFlags, epoll, eventfd};

pub use self::stream::{Connection, StreamEndpoint};

use self::pcap::Pcap;
use self::stream::{StreamLink, watch};
use crate::packet::Packet;
use crate::{DeviceError, IoCounters, PacketIo};

/// Frames in each queue. When the receive queue is full, new frames are lost, as from a full ring;
/// when the queue of transmitted frames is full, the oldest is lost.
pub const DEPTH: usize = 4096;

/// Octets of an Ethernet header, and of one VLAN tag.
const HEADER: usize = 14;
const TAG: usize = 4;

/// Options that can be changed while the device is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DummyOptions {
    /// The stream socket in place of the link; `None` = no link, frames are injected only.
    pub endpoint: Option<StreamEndpoint>,
    /// Capture file of received frames; may be the same as `tx_pcap`.
    pub rx_pcap: Option<PathBuf>,
    /// Capture file of transmitted frames.
    pub tx_pcap: Option<PathBuf>,
    /// Octets behind the Ethernet header (and one VLAN tag) that may be sent; `None` = any number.
    pub mtu: Option<u32>,
}

type Hook = Arc<dyn Fn() + Send + Sync>;

struct State {
    options: DummyOptions,
    link: StreamLink,
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
    /// `event` and the link's sockets: what the receiver waits for.
    epoll: OwnedFd,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// The far side of a dummy device, for tests and control commands. Clones are of the same device.
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
    let descriptors = || {
        let event = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        watch(&epoll, &event)?;
        Ok((event, epoll))
    };
    let (event, epoll) = descriptors().map_err(failed)?;
    let state = State {
        options: DummyOptions::default(),
        link: StreamLink::default(),
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

impl DummyPort {
    /// The frame arrives on the device, also when the device is down, as in Open vSwitch. False when
    /// the receive queue is full; the frame is then lost.
    pub fn inject(&self, packet: Packet) -> bool {
        self.0.lock().receive(packet, &self.0.event)
    }

    /// Takes the frames that were transmitted since the last call, at most [`DEPTH`].
    pub fn take_transmitted(&self) -> Vec<Packet> {
        std::mem::take(&mut self.0.lock().tx).into()
    }

    /// Sets the device's options. One that has not changed is not set again, also when it failed
    /// before.
    ///
    /// # Errors
    ///
    /// The option and the system's reason, for each that failed. The others are set.
    pub fn configure(&self, options: &DummyOptions) -> Result<(), Vec<(&'static str, io::Error)>> {
        let mut s = self.0.lock();
        let mut errors = Vec::new();
        let old = std::mem::replace(&mut s.options, options.clone());
        if old.endpoint != options.endpoint
            && let Err(e) = s.link.set(options.endpoint.clone(), &self.0.epoll)
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

    /// The endpoint in use; `None` also when it could not be set.
    pub fn endpoint(&self) -> Option<StreamEndpoint> {
        self.0.lock().link.endpoint().cloned()
    }

    /// Whether the device has a peer.
    pub fn connection(&self) -> Connection {
        self.0.lock().link.connection()
    }

    /// Sets the hook that is called after each change of carrier or administrative state, on the
    /// thread that changed it. It must not block. It replaces the one before.
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

    /// Whether the device has carrier.
    pub fn carrier(&self) -> bool {
        self.0.lock().carrier
    }

    /// Sets the administrative state that is reported. Frames pass in either state.
    pub fn set_admin(&self, up: bool) {
        self.change(|s| s.admin = up);
    }

    /// The administrative state that is reported.
    pub fn admin_up(&self) -> bool {
        self.0.lock().admin
    }

    /// Counters since the device was made.
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
        // Within the lock, so that it cannot come after a `recv` that found the queue empty. It
        // cannot fail: the count is far below its limit.
        let _ = rustix::io::write(event, &1u64.to_ne_bytes());
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
        if s.link.endpoint().is_some() {
            let mut link = std::mem::take(&mut s.link);
            link.run(&self.shared.epoll, |frame| {
                s.receive(Packet::new(frame), &self.shared.event);
            });
            s.link = link;
        }
        let n = max.min(s.rx.len());
        for p in s.rx.drain(..n) {
            out.push(p);
        }
        let from = out.len() - n;
        s.counters.rx_packets += n as u64;
        s.counters.rx_bytes += out[from..].iter().map(|p| p.len() as u64).sum::<u64>();
        if n > 0 && s.rx.is_empty() {
            // An error means that the event was not set, which is what is wanted.
            let _ = rustix::io::read(&self.shared.event, &mut [0; 8]);
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
            s.link.send(&self.shared.epoll, p.data());
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
