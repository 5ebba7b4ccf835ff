//! The other end of an LACP link, as small as it can be: active, short time-outs, and content
//! with whatever partner it hears. Reads no clock.

use std::time::Duration;

use wire::Time;
use wire::lacp::{Lacpdu, PortInfo, state};

/// A partner that has been silent for this long is gone (IEEE 802.1AX, short time-out).
const SILENCE: Duration = Duration::from_secs(3);
/// Between two LACPDUs when nothing changes (fast periodic time).
const PERIOD: Duration = Duration::from_secs(1);

/// One port's LACP.
pub struct Partner {
    actor: PortInfo,
    /// What the switch under test last said of itself, and when.
    heard: Option<(PortInfo, Time)>,
    /// When to send next; `None` = now.
    next: Option<Time>,
}

impl Partner {
    /// A port that has heard nothing yet; `actor.state` is not looked at.
    pub fn new(actor: PortInfo) -> Partner {
        Partner { actor, heard: None, next: None }
    }

    /// The link went away: forget the other end.
    pub fn link_down(&mut self) {
        self.heard = None;
        self.next = None;
    }

    /// An LACPDU has arrived.
    pub fn receive(&mut self, now: Time, pdu: &Lacpdu) {
        let before = self.actor(now);
        self.heard = Some((pdu.actor, now));
        // The other end must hear from us at once if it does not know what we are.
        if self.actor(now) != before || pdu.partner != self.actor(now) {
            self.next = None;
        }
    }

    /// The LACPDU to send now, if it is time.
    pub fn poll(&mut self, now: Time) -> Option<Lacpdu> {
        if self.next.is_some_and(|t| t > now) {
            return None;
        }
        self.next = Some(now + PERIOD);
        Some(Lacpdu {
            actor: self.actor(now),
            partner: self.partner(now).unwrap_or_default(),
            collector_max_delay: 0,
        })
    }

    /// Whether the port may carry frames, both ways.
    pub fn carrying(&self, now: Time) -> bool {
        let ready = state::SYNCHRONIZATION | state::COLLECTING;
        self.partner(now).is_some_and(|p| p.state & ready == ready)
    }

    fn partner(&self, now: Time) -> Option<PortInfo> {
        self.heard.filter(|(_, at)| now.since(*at) < SILENCE).map(|(p, _)| p)
    }

    fn actor(&self, now: Time) -> PortInfo {
        let mut s = state::ACTIVITY | state::TIMEOUT | state::AGGREGATION;
        match self.partner(now) {
            None => s |= state::DEFAULTED | state::EXPIRED,
            Some(p) => {
                s |= state::SYNCHRONIZATION;
                if p.state & state::SYNCHRONIZATION != 0 {
                    s |= state::COLLECTING | state::DISTRIBUTING;
                }
            }
        }
        PortInfo { state: s, ..self.actor }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_them_come_together_and_part_on_silence() {
        let port = |n| Partner::new(PortInfo { port: n, key: n, ..PortInfo::default() });
        let (mut a, mut b) = (port(1), port(2));
        let mut now = Time::from_millis(1);
        for _ in 0..4 {
            if let Some(p) = a.poll(now) {
                b.receive(now, &p);
            }
            if let Some(p) = b.poll(now) {
                a.receive(now, &p);
            }
            now = now + Duration::from_millis(1);
        }
        assert!(a.carrying(now) && b.carrying(now));
        assert!(a.poll(now).is_none(), "nothing changed, so nothing is due for a second");
        let later = now + Duration::from_secs(4);
        assert!(!a.carrying(later));
        assert_ne!(a.poll(later).unwrap().actor.state & state::DEFAULTED, 0);
    }
}
