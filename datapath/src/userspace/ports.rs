//! The devices of one packet thread, and what must stay alive until they are flushed.

use std::sync::Arc;

use netdev::{Packet, PacketIo};

use super::shared::PortCounters;
use crate::port::PortNo;

/// Packets in flight after which a round is ended early, so that rings are given back.
pub(crate) const ROUND: usize = 1024;

struct Port {
    io: Box<dyn PacketIo>,
    counters: Arc<PortCounters>,
    /// Has unflushed packets.
    touched: bool,
    /// Gave packets that it has not got back.
    lent: bool,
    /// Its counters changed since they were last told.
    counted: bool,
}

#[derive(Default)]
pub(crate) struct Ports {
    /// Index: port number.
    ports: Vec<Option<Port>>,
    /// Numbers of the ports, ascending.
    numbers: Vec<u32>,
    touched: Vec<u32>,
    /// Received and not yet given back.
    received: Vec<Packet>,
    /// Sent by us and not yet flushed: copies, and originals that were changed after.
    held: Vec<Packet>,
    /// Packets for a port that is not there.
    pub(crate) no_port: u64,
    /// Packets given to ports.
    pub(crate) sent: u64,
    /// Flushes of ports that had some.
    pub(crate) sent_batches: u64,
}

impl Ports {
    pub(crate) fn numbers(&self) -> &[u32] {
        &self.numbers
    }

    pub(crate) fn add(&mut self, no: PortNo, io: Box<dyn PacketIo>, counters: Arc<PortCounters>) {
        let i = no.0 as usize;
        if self.ports.len() <= i {
            self.ports.resize_with(i + 1, || None);
        }
        self.ports[i] = Some(Port { io, counters, touched: false, lent: false, counted: true });
        if let Err(at) = self.numbers.binary_search(&no.0) {
            self.numbers.insert(at, no.0);
        }
    }

    /// Gives a device back. To be called between rounds.
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

    /// Receives at most `max` packets; returns them, to be given back by `keep`.
    #[inline]
    pub(crate) fn recv(&mut self, no: u32, max: usize) -> Option<(Vec<Packet>, usize)> {
        let port = self.ports.get_mut(no as usize)?.as_mut()?;
        let from = self.received.len();
        if port.io.recv(&mut self.received, max) == 0 {
            return None;
        }
        port.lent = true;
        port.counted = true;
        Some((std::mem::take(&mut self.received), from))
    }

    /// Keeps received packets until the next flush. True: enough for this round.
    #[inline]
    pub(crate) fn keep(&mut self, packets: Vec<Packet>) -> bool {
        self.received = packets;
        self.received.len() >= ROUND
    }

    /// Keeps a packet that may have been sent until the next flush.
    pub(crate) fn hold(&mut self, packet: Packet) {
        self.held.push(packet);
    }

    /// Queues a packet; whether there was a port. The packet's bytes must stay as they are until
    /// `flush`: it is among the received, or goes to `hold` before that.
    #[inline]
    pub(crate) fn output(&mut self, no: PortNo, packet: &Packet) -> bool {
        let Some(Some(port)) = self.ports.get_mut(no.0 as usize) else {
            self.no_port += 1;
            return false;
        };
        // SAFETY: received packets are in `received` and copies in `held`; both are cleared only
        // by `flush`, after every touched device has flushed. `Journey::change` never changes
        // bytes that were sent.
        unsafe { port.io.send(packet) };
        self.sent += 1;
        if !port.touched {
            port.touched = true;
            port.counted = true;
            self.touched.push(no.0);
        }
        true
    }

    /// Sends what is queued, forgets the packets and gives receive memory back.
    pub(crate) fn flush(&mut self) {
        for no in self.touched.drain(..) {
            if let Some(Some(port)) = self.ports.get_mut(no as usize) {
                port.touched = false;
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
                && port.lent
            {
                port.lent = false;
                // SAFETY: every packet that it gave was in `received`, which is empty now, and
                // all devices were flushed above.
                unsafe { port.io.release() };
            }
        }
    }

    /// Tells the counters of the ports that moved packets. Whether a device has refused to send.
    pub(crate) fn tell_counters(&mut self) -> bool {
        let mut refused = false;
        for &no in &self.numbers {
            if let Some(Some(port)) = self.ports.get_mut(no as usize)
                && port.counted
            {
                port.counted = false;
                refused |= port.counters.store(port.io.counters());
            }
        }
        refused
    }
}
