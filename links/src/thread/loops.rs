//! Two ports of one bridge that lead to the same network: what one sends comes in by the other.

use std::time::{Duration, Instant};

use super::Thread;
use crate::port_driver::PortDriver;

/// How long after a bond's learning packets a RARP packet may be one of them.
const ECHO: Duration = Duration::from_secs(2);

impl Thread {
    /// RARP packets that made a flow: if another bond of the bridge has just announced its
    /// stations, one that comes in by a bond is its own.
    pub(super) fn loops_by_rarp(&mut self) {
        let now = self.now();
        while let Some(port_no) = self.slow.pop_announced() {
            let place = self.members.by_port_no(port_no);
            let receiver = place.and_then(|p| self.ports.get(&p.port)).filter(|p| p.is_bond());
            let Some(receiver) = receiver else { continue };
            let recently = |p: &PortDriver| p.announced.is_some_and(|t| now.since(t) < ECHO);
            let sender = self.ports.values().find(|p| {
                p.is_bond() && p.name != receiver.name && p.bridge == receiver.bridge && recently(p)
            });
            if let Some(sender) = sender {
                let (receiver, sender) = (receiver.name.clone(), sender.name.clone());
                self.looped(&receiver, &sender);
            }
        }
    }

    /// An LACPDU of our own system came in by `receiver`. One that its own bond sent is LACP's to
    /// complain of.
    pub(super) fn loop_by_lacp(&mut self, receiver: &str, port: u16) {
        let Some(bridge) = self.ports.get(receiver).map(|p| &p.bridge) else { return };
        let sends = |p: &PortDriver| {
            p.lacp_view().is_some_and(|v| v.status.members.iter().any(|m| m.port_id == port))
        };
        let sender = self
            .ports
            .values()
            .find(|p| p.name != receiver && p.bridge == *bridge && p.is_bond() && sends(p));
        if let Some(sender) = sender.map(|p| p.name.clone()) {
            self.looped(receiver, &sender);
        }
    }

    /// An option was set: another one of the two may have to answer for a loop now.
    pub(super) fn hand_loops_over(&mut self) {
        let pair = |p: &PortDriver| Some((p.name.clone(), p.looped_with()?.to_owned()));
        let pairs: Vec<(String, String)> = self.ports.values().filter_map(pair).collect();
        for (of, with) in pairs {
            if self.answers(&of, &with) != of && self.ports.contains_key(&with) {
                self.looped(&of, &with);
            }
        }
    }

    /// The one of two bonds that is held down: by its option, or the last by name if both have it,
    /// or none.
    fn answers<'a>(&self, a: &'a str, b: &'a str) -> &'a str {
        let protects = |name: &str| self.ports.get(name).is_some_and(PortDriver::protects);
        match (protects(a), protects(b)) {
            (true, false) => a,
            (false, true) => b,
            (true, true) | (false, false) => a.max(b),
        }
    }

    /// They make a loop.
    fn looped(&mut self, a: &str, b: &str) {
        let (now, since) = (self.now(), Instant::now());
        let told = self.answers(a, b);
        let other = if told == a { b } else { a };
        for (name, with) in [(told, Some(other)), (other, None)] {
            let Some(port) = self.ports.get_mut(name) else { continue };
            if with.is_some() || port.looped_with() == Some(told) {
                port.looped(now, with);
                port.drain(&*self.datapath, since, &mut self.later);
            }
        }
    }
}
