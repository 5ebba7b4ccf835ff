//! Devices in memory, for tests and for `type=dummy`.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::packet::Packet;
use crate::sys;
use crate::{DeviceError, IoCounters, PacketIo};

/// Frames that wait on either side. More arriving ones are lost, as from a full ring; of the
/// transmitted ones, the latest are kept.
pub const DEPTH: usize = 4096;

struct State {
    rx: VecDeque<Packet>,
    tx: VecDeque<Packet>,
    carrier: bool,
    admin: bool,
    counters: IoCounters,
}

struct Shared {
    state: Mutex<State>,
    /// Readable while frames wait to be received.
    event: OwnedFd,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(|e| e.into_inner())
    }
}

/// The hand of a test, or of a control command, on a dummy device. Clones hold the same device.
#[derive(Clone)]
pub struct DummyPort(Arc<Shared>);

/// Makes a device in memory: up, with carrier.
///
/// # Errors
///
/// No descriptor is left for its event.
pub fn create(name: &str) -> Result<(DummyPort, Box<dyn PacketIo>), DeviceError> {
    // SAFETY: no memory is passed.
    let fd = sys::cvt(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })
        .map_err(|source| DeviceError::Open { name: name.to_owned(), source })?;
    // SAFETY: the kernel has just made this descriptor for us.
    let event = unsafe { OwnedFd::from_raw_fd(fd) };
    let state = State {
        rx: VecDeque::new(),
        tx: VecDeque::new(),
        carrier: true,
        admin: true,
        counters: IoCounters::default(),
    };
    let shared = Arc::new(Shared { state: Mutex::new(state), event });
    Ok((DummyPort(shared.clone()), Box::new(Dummy { shared, queue: Vec::new() })))
}

impl DummyPort {
    /// The frame arrives on the device. False, and lost, when the device is down or full.
    pub fn inject(&self, packet: Packet) -> bool {
        let mut s = self.0.lock();
        if !s.admin {
            return false;
        }
        if s.rx.len() >= DEPTH {
            s.counters.rx_dropped += 1;
            return false;
        }
        s.rx.push_back(packet);
        let one = 1u64.to_ne_bytes();
        // Within the lock, so that it cannot come after a `recv` that found the queue empty.
        // SAFETY: the kernel reads 8 octets of `one`. It cannot fail: the count is far below its
        // limit.
        unsafe { libc::write(self.0.event.as_raw_fd(), one.as_ptr().cast(), 8) };
        true
    }

    /// Takes the frames that were transmitted since the last call, at most [`DEPTH`].
    pub fn take_transmitted(&self) -> Vec<Packet> {
        std::mem::take(&mut self.0.lock().tx).into()
    }

    pub fn set_carrier(&self, up: bool) {
        self.0.lock().carrier = up;
    }

    pub fn carrier(&self) -> bool {
        self.0.lock().carrier
    }

    /// A device that is down neither receives nor transmits.
    pub fn set_admin(&self, up: bool) {
        self.0.lock().admin = up;
    }

    pub fn admin_up(&self) -> bool {
        self.0.lock().admin
    }

    pub fn counters(&self) -> IoCounters {
        self.0.lock().counters
    }
}

struct Dummy {
    shared: Arc<Shared>,
    queue: Vec<Packet>,
}

impl PacketIo for Dummy {
    fn fd(&self) -> Option<RawFd> {
        Some(self.shared.event.as_raw_fd())
    }

    fn recv(&mut self, out: &mut Vec<Packet>, max: usize) -> usize {
        let mut s = self.shared.lock();
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
            if !s.admin || !s.carrier {
                s.counters.tx_dropped += 1;
                continue;
            }
            s.counters.tx_packets += 1;
            s.counters.tx_bytes += p.len() as u64;
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
