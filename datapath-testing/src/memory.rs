//! A device in memory: the test pushes frames that the switch receives, and reads back those that
//! it sends.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;

use netdev::{IoCounters, Packet, PacketIo};
use parking_lot::Mutex;
use rustix::event::{EventfdFlags, eventfd};

/// The state that both ends share.
struct Wire {
    to_switch: Mutex<VecDeque<Packet>>,
    from_switch: Mutex<Vec<Packet>>,
    ready: OwnedFd,
}

/// The switch's end.
pub struct MemoryIo {
    wire: Arc<Wire>,
    /// Sent, but not flushed: address and length, as a device would keep them.
    queued: Vec<(*const u8, usize, netdev::VnetHdr)>,
    counters: IoCounters,
}

// SAFETY: the pointers are read only by `flush`, on the thread that called `send`, while `send`'s
// caller keeps the bytes.
unsafe impl Send for MemoryIo {}

/// The outside end.
#[derive(Clone)]
pub struct MemoryPort(Arc<Wire>);

/// A new device in memory.
///
/// # Errors
///
/// When the kernel gives no eventfd descriptor.
pub fn memory() -> std::io::Result<(MemoryIo, MemoryPort)> {
    let ready = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
    let wire = Arc::new(Wire { to_switch: Mutex::default(), from_switch: Mutex::default(), ready });
    let io = MemoryIo { wire: wire.clone(), queued: Vec::new(), counters: IoCounters::default() };
    Ok((io, MemoryPort(wire)))
}

impl MemoryPort {
    /// Queues a frame for the switch to receive.
    pub fn push(&self, frame: &[u8]) {
        self.push_all([frame]);
    }

    /// Queues frames for the switch to receive, in this order.
    pub fn push_all<'a>(&self, frames: impl IntoIterator<Item = &'a [u8]>) {
        self.0.to_switch.lock().extend(frames.into_iter().map(Packet::new));
        // Fails only when it is readable already.
        let _ = rustix::io::write(&self.0.ready, &1u64.to_ne_bytes());
    }

    /// The number of frames that the switch has not received yet.
    pub fn waiting(&self) -> usize {
        self.0.to_switch.lock().len()
    }

    /// Takes the frames that the switch has sent since the last call.
    pub fn sent(&self) -> Vec<Packet> {
        std::mem::take(&mut *self.0.from_switch.lock())
    }

    /// The number of frames that `sent` would return.
    pub fn sent_len(&self) -> usize {
        self.0.from_switch.lock().len()
    }
}

impl PacketIo for MemoryIo {
    fn fd(&self) -> Option<RawFd> {
        Some(self.wire.ready.as_raw_fd())
    }

    fn recv(&mut self, out: &mut Vec<Packet>, max: usize) -> usize {
        let mut waiting = self.wire.to_switch.lock();
        let n = waiting.len().min(max);
        for p in waiting.drain(..n) {
            self.counters.rx_packets += 1;
            self.counters.rx_bytes += p.len() as u64;
            out.push(p);
        }
        if waiting.is_empty() {
            let mut count = [0u8; 8];
            // Fails when it is not readable, which is what is wanted.
            let _ = rustix::io::read(&self.wire.ready, &mut count);
        }
        n
    }

    unsafe fn release(&mut self) {}

    unsafe fn send(&mut self, packet: &Packet) {
        self.queued.push((packet.data().as_ptr(), packet.len(), packet.vnet));
    }

    fn flush(&mut self) {
        let mut sent = self.wire.from_switch.lock();
        for (at, len, vnet) in self.queued.drain(..) {
            // SAFETY: `send`'s contract: the bytes are valid and unchanged until now.
            let bytes = unsafe { std::slice::from_raw_parts(at, len) };
            let mut p = Packet::new(bytes);
            p.vnet = vnet;
            self.counters.tx_packets += 1;
            self.counters.tx_bytes += len as u64;
            sent.push(p);
        }
    }

    fn counters(&self) -> IoCounters {
        self.counters
    }
}
