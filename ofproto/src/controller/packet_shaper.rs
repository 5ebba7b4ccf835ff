//! Packet-ins to one connection, held to its rate limits: one for packets that an action sent, one
//! for packets that missed.

use openflow::OfPort;
use wire::Time;

use super::limit::Limiter;
use super::types::ConnSettings;

/// Reasons that stand for a miss: plain, by a flow for it, without one.
const MISSES: [u8; 3] = [0, 6, 7];

/// See the module.
pub(super) struct PacketShaper {
    limiters: [Option<Limiter>; 2],
}

impl PacketShaper {
    /// With the limits of a connection.
    pub(super) fn new(now: Time, c: &ConnSettings) -> PacketShaper {
        let limiter = || Limiter::new(now, c.rate_limit, c.burst_limit);
        PacketShaper { limiters: [limiter(), limiter()] }
    }

    /// Takes other limits; packets that wait go on waiting.
    pub(super) fn set_limits(&mut self, now: Time, c: &ConnSettings) {
        for l in &mut self.limiters {
            let fresh = Limiter::new(now, c.rate_limit, c.burst_limit);
            *l = match (l.take(), fresh) {
                (Some(old), Some(fresh)) => Some(fresh.with_queues_of(old)),
                (_, fresh) => fresh,
            };
        }
    }

    /// The packet-in of a packet that came by `port`, if it may be sent now; else it waits.
    pub(super) fn offer(
        &mut self,
        now: Time,
        reason: u8,
        port: OfPort,
        frame: Vec<u8>,
    ) -> Option<Vec<u8>> {
        match &mut self.limiters[usize::from(MISSES.contains(&reason))] {
            Some(l) => l.offer(now, port, frame),
            None => Some(frame),
        }
    }

    /// A packet-in that waited and may be sent now.
    pub(super) fn next(&mut self, now: Time) -> Option<Vec<u8>> {
        self.limiters.iter_mut().flatten().find_map(|l| l.next(now))
    }

    /// When a packet-in may be sent that waits.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.limiters.iter().flatten().filter_map(Limiter::deadline).min()
    }
}
