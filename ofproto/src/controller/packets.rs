//! Packets to and from controllers.

use openflow::action_check::{self, Limits};
use openflow::codec;
use openflow::msg::{Body, Message, PacketIn, PacketOut};
use openflow::{Action, Match, OfError};
use wire::Time;

use super::async_config::AsyncKind;
use super::conn::Barrier;
use super::types::{Class, ConnId, LogLevel, QueuedPacketIn, SwitchOps};
use super::{Agent, Request};

/// Calls of [`Agent::run`] until what a packet makes the switch say has been handed over: that of
/// the turn in which it was sent, and that of the next, which begins with the packets.
const RUNS: u8 = 2;

/// Reasons that stand for a miss: plain, by a flow for it, without one.
const MISSES: [u8; 3] = [0, 6, 7];

impl Agent {
    /// A packet for the controllers. Each is sent it in the form that it chose, whole: nothing is
    /// kept here, so there is nothing to fetch later.
    pub fn packet_in(&mut self, now: Time, packet: QueuedPacketIn) {
        let reason = packet.packet.reason.0;
        let port = packet.packet.metadata.value.in_port;
        let is_miss = usize::from(MISSES.contains(&reason));
        let ids: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, c)| {
                c.controller_id == packet.controller_id && c.wants(AsyncKind::PacketIn, reason)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let Some(c) = self.conns.get_mut(&id) else { continue };
            let body = PacketIn { format: c.format, buffer_id: None, ..packet.packet.clone() };
            let message = Message::new(c.protocol.version, 0, Body::PacketIn(body));
            let frames = match codec::encode(&message, c.protocol) {
                Ok(frames) => frames,
                Err(e) => {
                    let text = format!("{}: {e}", c.settings.name);
                    self.log(LogLevel::Warn, "connmgr", text, Some((1, 5)));
                    continue;
                }
            };
            for frame in frames {
                let Some(c) = self.conns.get_mut(&id) else { break };
                let now_due = match &mut c.limiters[is_miss] {
                    Some(l) => l.offer(now, port, frame),
                    None => Some(frame),
                };
                if let Some(frame) = now_due {
                    self.push_packet(id, frame);
                }
            }
        }
    }

    /// Sends what a rate limit held back and lets go now.
    pub(super) fn release_packets(&mut self, now: Time, id: ConnId) {
        for kind in 0..2 {
            while let Some(frame) = self
                .conns
                .get_mut(&id)
                .and_then(|c| c.limiters[kind].as_mut())
                .and_then(|l| l.next(now))
            {
                self.push_packet(id, frame);
            }
        }
    }

    /// A controller that is slow to read misses packets, not answers.
    fn push_packet(&mut self, id: ConnId, frame: Vec<u8>) {
        let Some(c) = self.conns.get(&id) else { return };
        if c.backlog(Class::PacketIn).frames >= c.settings.queue_size {
            let text = format!("{}: dropping packet-in due to queue overflow", c.settings.name);
            self.log(LogLevel::Info, "connmgr", text, Some((5, 5)));
        } else {
            self.push(id, Class::PacketIn, frame);
        }
    }

    pub(super) fn packet_out(&mut self, r: &Request<'_>, p: PacketOut) -> Result<(), OfError> {
        self.not_secondary(r)?;
        check_packet_out(&p, r.version)?;
        self.send_packet(r, &p)
    }

    pub(super) fn send_packet(&mut self, r: &Request<'_>, p: &PacketOut) -> Result<(), OfError> {
        check_existing(&p.actions)?;
        r.ops.ofproto().packet_out(r.now, &self.bridge, p, r.version)?;
        self.packets_out = true;
        self.packets_fresh = RUNS;
        Ok(())
    }

    /// Waits until the packets are on their way that controllers sent: what is changed after them
    /// must not change what becomes of them.
    pub(super) fn settle_packets(&mut self, ops: &dyn SwitchOps) {
        if std::mem::take(&mut self.packets_out) {
            // The datapath's jobs run in order. When it does not answer there is nothing to do.
            let _ = ops.ofproto().with_macs(&self.bridge, |_| ());
        }
    }

    /// Everything before it has been done, and is told before it.
    pub(super) fn barrier(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        if self.packets_fresh > 0 {
            let barrier = Barrier { version: r.version, xid: r.xid, runs: RUNS };
            self.conn(r)?.barrier = Some(barrier);
        } else {
            self.reply(r, Body::BarrierReply);
        }
        Ok(())
    }

    /// Answers barriers whose packets have come. True: there are some, or were; the agent is to
    /// be run again at once, and connections that waited can be read.
    pub(super) fn run_barriers(&mut self) -> bool {
        self.packets_fresh = self.packets_fresh.saturating_sub(1);
        let mut due = Vec::new();
        let mut any = false;
        for (id, c) in &mut self.conns {
            let Some(b) = &mut c.barrier else { continue };
            any = true;
            b.runs -= 1;
            if b.runs == 0 {
                due.extend(c.barrier.take().map(|b| (*id, b)));
            }
        }
        for (id, b) in due {
            let reply = Message::new(b.version, b.xid, Body::BarrierReply);
            // Every version has it, and it always fits.
            let protocol = openflow::Protocol::new(b.version);
            for frame in codec::encode(&reply, protocol).unwrap_or_default() {
                self.push(id, Class::Reply, frame);
            }
        }
        any
    }
}

/// Whether a packet and its actions go together.
pub(super) fn check_packet_out(p: &PacketOut, version: openflow::Version) -> Result<(), OfError> {
    if p.buffer_id.is_some() {
        return Err(OfError::BrcBufferUnknown);
    }
    // The actions are held against the packet as it is: everything is known of it.
    let mut flow = p.metadata.value;
    flow.key = wire::extract(&p.packet, 0);
    let mut exact = Match { value: flow, mask: p.metadata.mask };
    exact.mask.key.eth_type = 0xffff;
    exact.mask.key.nw_proto = 0xff;
    exact.mask.key.vlan[0].tci = 0xffff;
    exact.mask.key.tp_src = 0xffff;
    action_check::check(&p.actions, &exact, version, Limits { table: 0, ..Limits::NONE })
}

/// Groups and meters that there are not.
pub(super) fn check_existing(actions: &[Action]) -> Result<(), OfError> {
    actions.iter().try_for_each(|a| match a {
        Action::Group(_) => Err(OfError::BacBadOutGroup),
        Action::Meter(_) => Err(OfError::MmfcInvalidMeter),
        Action::Clone(inner) | Action::WriteActions(inner) => check_existing(inner),
        _ => Ok(()),
    })
}
