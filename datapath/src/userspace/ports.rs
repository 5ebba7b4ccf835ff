//! The devices of one packet thread, and the packets that must live until the devices are flushed.

use std::sync::Arc;

use netdev::{Packet, PacketIo};

use super::shared::PortCounters;
use crate::port::PortNo;

/// Received packets held at once, after which the devices are flushed and their rings released.
pub(crate) const ROUND: usize = 1024;

/// Packets received from one port per round, so that a busy port does not starve the others.
pub(crate) const BATCH: usize = 256;

struct Port {
    io: Box<dyn PacketIo>,
    counters: Arc<PortCounters>,
    /// Packets were queued on the device since its last flush.
    unflushed: bool,
    /// Received packets refer to the device's memory; it is released after the flush.
    borrowed: bool,
    /// The device's counters changed since they were last published.
    counters_changed: bool,
}

pub(crate) struct Ports {
    /// Index: port number.
    ports: Vec<Option<Port>>,
    /// Numbers of the ports, ascending.
    numbers: Vec<u32>,
    unflushed: Vec<u32>,
    /// Received packets whose devices are not released yet.
    received: Vec<Packet>,
    /// Packets other than `received` that may be queued on a device: copies, and originals that were
    /// replaced by a changed copy.
    held: Vec<Packet>,
    /// Reallocations of `received`.
    pub(crate) batches_grown: u64,
    /// Packets for a port that does not exist.
    pub(crate) no_port: u64,
    /// Packets queued on ports.
    pub(crate) sent: u64,
    /// Flushes of ports that had queued packets.
    pub(crate) sent_batches: u64,
}

impl Ports {
    pub(crate) fn new() -> Ports {
        Ports {
            ports: Vec::new(),
            numbers: Vec::new(),
            unflushed: Vec::new(),
            // Fewer than `ROUND` are held when a batch is received.
            received: Vec::with_capacity(ROUND + BATCH),
            held: Vec::new(),
            batches_grown: 0,
            no_port: 0,
            sent: 0,
            sent_batches: 0,
        }
    }

    pub(crate) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    pub(crate) fn add(&mut self, no: PortNo, io: Box<dyn PacketIo>, counters: Arc<PortCounters>) {
        let i = no.0 as usize;
        if self.ports.len() <= i {
            self.ports.resize_with(i + 1, || None);
        }
        self.ports[i] =
            Some(Port { io, counters, unflushed: false, borrowed: false, counters_changed: true });
        if let Err(at) = self.numbers.binary_search(&no.0) {
            self.numbers.insert(at, no.0);
        }
    }

    /// Removes a port and returns its device. Called between rounds.
    pub(crate) fn remove(&mut self, no: PortNo) -> Option<Box<dyn PacketIo>> {
        self.flush();
        let port = self.ports.get_mut(no.0 as usize)?.take()?;
        self.numbers.retain(|&n| n != no.0);
        Some(port.io)
    }

    pub(crate) fn fd(&self, no: u32) -> Option<std::os::fd::RawFd> {
        self.ports.get(no as usize)?.as_ref()?.io.fd()
    }

    pub(crate) fn is_gone(&self, no: u32) -> bool {
        let port = self.ports.get(no as usize).and_then(Option::as_ref);
        port.is_some_and(|p| p.io.is_gone())
    }

    /// Receives at most `max` packets. Returns the vector of all received packets and the index of
    /// the first new one; the caller hands the vector to `put_back`.
    #[inline]
    pub(crate) fn recv(&mut self, no: u32, max: usize) -> Option<(Vec<Packet>, usize)> {
        let port = self.ports.get_mut(no as usize)?.as_mut()?;
        let (from, capacity) = (self.received.len(), self.received.capacity());
        if port.io.recv(&mut self.received, max) == 0 {
            return None;
        }
        self.batches_grown += u64::from(self.received.capacity() != capacity);
        port.borrowed = true;
        port.counters_changed = true;
        Some((std::mem::take(&mut self.received), from))
    }

    /// Holds the packets from `recv` until the next flush. True: [`ROUND`] is reached, flush now.
    #[inline]
    pub(crate) fn put_back(&mut self, packets: Vec<Packet>) -> bool {
        self.received = packets;
        self.received.len() >= ROUND
    }

    /// Keeps a packet that may be queued on a device until the next flush.
    pub(crate) fn hold(&mut self, packet: Packet) {
        self.held.push(packet);
    }

    /// Queues a packet on a port; returns whether the port exists. The packet's bytes must stay
    /// unchanged until `flush`: it is one of `received`, or the caller passes it to `hold`.
    #[inline]
    pub(crate) fn output(&mut self, no: PortNo, packet: &Packet) -> bool {
        let Some(Some(port)) = self.ports.get_mut(no.0 as usize) else {
            self.no_port += 1;
            return false;
        };
        // SAFETY: received packets are in `received` and copies in `held`; both are cleared only
        // by `flush`, after every unflushed device has flushed. `PacketContext::data_mut_cow`
        // never changes bytes that are queued.
        unsafe { port.io.send(packet) };
        self.sent += 1;
        if !port.unflushed {
            port.unflushed = true;
            port.counters_changed = true;
            self.unflushed.push(no.0);
        }
        true
    }

    /// Flushes the devices, drops the packets and releases the devices' receive memory.
    pub(crate) fn flush(&mut self) {
        for no in self.unflushed.drain(..) {
            if let Some(Some(port)) = self.ports.get_mut(no as usize) {
                port.unflushed = false;
                port.io.flush();
                self.sent_batches += 1;
            }
        }
        self.held.clear();
        if self.received.is_empty() {
            return;
        }
        self.received.clear();
        for &no in &self.numbers {
            if let Some(Some(port)) = self.ports.get_mut(no as usize)
                && port.borrowed
            {
                port.borrowed = false;
                // SAFETY: every packet received from it was in `received`, which is empty now, and
                // all devices were flushed above.
                unsafe { port.io.release() };
            }
        }
    }

    /// Publishes the counters of the ports that moved packets. Returns whether a device has dropped
    /// packets to send.
    pub(crate) fn publish_counters(&mut self) -> bool {
        let mut refused = false;
        for &no in &self.numbers {
            if let Some(Some(port)) = self.ports.get_mut(no as usize)
                && port.counters_changed
            {
                port.counters_changed = false;
                refused |= port.counters.store(port.io.counters());
            }
        }
        refused
    }
}
