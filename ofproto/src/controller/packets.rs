//! Packets to and from controllers.

use openflow::OfError;
use openflow::codec;
use openflow::msg::{Body, Message, PacketIn, PacketOut};
use wire::Time;

use super::agent::Agent;
use super::conn::Barrier;
use super::packet_check::{check_existing, check_packet_out};
use super::packet_outs::RUNS;
use super::request::Request;
use super::types::{Class, ConnId, LogLevel, QueuedPacketIn};

impl Agent {
    /// Sends a packet-in to the controllers that want it, each in the form that it chose. The whole
    /// packet is sent: the switch buffers none.
    pub fn packet_in(&mut self, now: Time, packet: QueuedPacketIn) {
        let reason = packet.packet.reason.0;
        let port = packet.packet.metadata.value.in_port;
        for id in self.conns.ids(|_, c| c.wants_packet(packet.controller_id, reason)) {
            let Some(c) = self.conns.get(id) else { continue };
            let body =
                PacketIn { format: c.packet_in_format(), buffer_id: None, ..packet.packet.clone() };
            let message = Message::new(c.version(), 0, Body::PacketIn(body));
            let frames = match codec::encode(&message, c.protocol()) {
                Ok(frames) => frames,
                Err(e) => {
                    let text = format!("{}: {e}", c.name());
                    self.conns.log(LogLevel::Warn, "connmgr", text, Some((1, 5)));
                    continue;
                }
            };
            for frame in frames {
                let Some(c) = self.conns.get_mut(id) else { break };
                if let Some(frame) = c.packets.offer(now, reason, port, frame) {
                    self.push_packet(id, frame);
                }
            }
        }
    }

    /// Sends what a rate limit held back and lets go now.
    pub(super) fn release_packets(&mut self, now: Time, id: ConnId) {
        while let Some(frame) = self.conns.get_mut(id).and_then(|c| c.packets.next(now)) {
            self.push_packet(id, frame);
        }
    }

    /// A controller that is slow to read misses packets, not answers.
    fn push_packet(&mut self, id: ConnId, frame: Vec<u8>) {
        let Some(c) = self.conns.get(id) else { return };
        if c.packet_queue_is_full() {
            let text = format!("{}: dropping packet-in due to queue overflow", c.name());
            self.conns.log(LogLevel::Info, "connmgr", text, Some((5, 5)));
        } else {
            self.conns.push(id, Class::PacketIn, frame);
        }
    }

    pub(super) fn packet_out(&mut self, r: &Request<'_>, p: PacketOut) -> Result<(), OfError> {
        self.conns.not_secondary(r)?;
        check_packet_out(&p, r.version)?;
        self.send_packet(r, &p)
    }

    pub(super) fn send_packet(&mut self, r: &Request<'_>, p: &PacketOut) -> Result<(), OfError> {
        check_existing(&p.actions)?;
        r.ops.ofproto().packet_out(r.now, &self.bridge, p, r.version)?;
        self.packet_outs.sent();
        Ok(())
    }

    /// Replies once every request before it has been handled and answered.
    pub(super) fn barrier(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        if self.packet_outs.may_cause_packet_ins() {
            self.conns.of(r)?.wait_for(Barrier::new(r.version, r.xid, RUNS));
        } else {
            self.conns.reply(r, Body::BarrierReply);
        }
        Ok(())
    }

    /// Answers the barriers whose packet-ins have been sent. True: barriers waited, so that the
    /// agent is to be run again at once.
    pub(super) fn run_barriers(&mut self) -> bool {
        self.packet_outs.run();
        let mut due = Vec::new();
        let mut any = false;
        for (id, c) in self.conns.iter_mut() {
            let Some(barrier) = c.run_barrier() else { continue };
            any = true;
            due.extend(barrier.map(|b| (id, b)));
        }
        for (id, b) in due {
            let reply = Message::new(b.version, b.xid, Body::BarrierReply);
            // Every version has it, and it always fits.
            let protocol = openflow::Protocol::new(b.version);
            for frame in codec::encode(&reply, protocol).unwrap_or_default() {
                self.conns.push(id, Class::Reply, frame);
            }
        }
        any
    }
}
