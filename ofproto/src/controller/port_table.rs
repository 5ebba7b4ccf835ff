//! The ports of a bridge as OpenFlow shows them.

use std::collections::BTreeMap;

use openflow::msg::{PortDesc, PortMod, PortReason, PortStats, config, state};
use openflow::{OfError, OfPort};
use wire::Time;

use super::types::{Port, SwitchOps};

/// A port as OpenFlow shows it.
struct PortEntry {
    port: Port,
    /// `OFPPC_*` bits that controllers set, without `PORT_DOWN`, which is the device's.
    config: u32,
}

impl PortEntry {
    fn desc(&self) -> PortDesc {
        let p = &self.port;
        let down = if p.admin_up { 0 } else { config::PORT_DOWN };
        let mut st = p.stp;
        if !p.link_up {
            st |= state::LINK_DOWN;
        }
        // A port that is down is not live.
        if p.live && p.link_up && p.admin_up {
            st |= state::LIVE;
        }
        PortDesc {
            port: p.of_port,
            hw_addr: p.hw_addr,
            name: p.name.clone(),
            config: self.config | down,
            state: st,
            curr: p.curr,
            advertised: p.advertised,
            supported: p.supported,
            peer: p.peer,
            curr_speed: p.curr_speed,
            max_speed: p.max_speed,
        }
    }
}

/// A change to be sent as port_status.
pub(super) struct PortChange {
    pub(super) reason: PortReason,
    /// Of a port that changed: how it was.
    pub(super) before: Option<PortDesc>,
    pub(super) after: PortDesc,
}

/// See the module.
#[derive(Default)]
pub(super) struct PortTable {
    ports: BTreeMap<OfPort, PortEntry>,
}

impl PortTable {
    /// Takes over all ports as they are now; returns what changed. A port of another name at the
    /// same number is another port.
    pub(super) fn replace(&mut self, ports: Vec<Port>) -> Vec<PortChange> {
        // A device that is down has no carrier.
        let new = ports.into_iter().map(|p| Port { link_up: p.link_up && p.admin_up, ..p });
        let new: BTreeMap<OfPort, Port> = new.map(|p| (p.of_port, p)).collect();
        let same = |entry: &PortEntry| {
            new.get(&entry.port.of_port).is_some_and(|p| p.name == entry.port.name)
        };
        let gone: Vec<OfPort> =
            self.ports.iter().filter(|(_, e)| !same(e)).map(|(n, _)| *n).collect();
        let mut changes = Vec::new();
        for number in gone {
            if let Some(entry) = self.ports.remove(&number) {
                let after = entry.desc();
                changes.push(PortChange { reason: PortReason::Delete, before: None, after });
            }
        }
        for (number, port) in new {
            match self.ports.get_mut(&number) {
                None => self.add(port, &mut changes),
                Some(entry) if entry.port == port => {}
                Some(entry) => {
                    let before = Some(entry.desc());
                    entry.port = port;
                    let after = entry.desc();
                    changes.push(PortChange { reason: PortReason::Modify, before, after });
                }
            }
        }
        changes
    }

    /// A new port is announced before anything is known of its health.
    fn add(&mut self, port: Port, changes: &mut Vec<PortChange>) {
        let number = port.of_port;
        let entry = PortEntry { port, config: 0 };
        let after = entry.desc();
        self.ports.insert(number, entry);
        let first = PortDesc { state: after.state & !state::LIVE, ..after.clone() };
        let before = Some(first.clone());
        changes.push(PortChange { reason: PortReason::Add, before: None, after: first });
        changes.push(PortChange { reason: PortReason::Modify, before, after });
    }

    /// The `OFPPC_*` bits of the ports that have some.
    pub(super) fn config_bits(&self) -> BTreeMap<OfPort, u32> {
        self.ports.iter().map(|(n, e)| (*n, e.desc().config)).filter(|(_, c)| *c != 0).collect()
    }

    /// Whether a command is for a port that is there.
    pub(super) fn check_mod(&self, m: &PortMod) -> Result<(), OfError> {
        let entry = self.ports.get(&m.port).ok_or(OfError::PmfcBadPort)?;
        if entry.port.hw_addr != m.hw_addr {
            return Err(OfError::PmfcBadHwAddr);
        }
        Ok(())
    }

    /// Carries out a command; returns the change, if there was any.
    pub(super) fn apply_mod(&mut self, m: &PortMod, ops: &dyn SwitchOps) -> Option<PortChange> {
        let entry = self.ports.get_mut(&m.port)?;
        let before = entry.desc();
        let toggle = (before.config ^ m.config) & m.mask;
        if toggle & config::PORT_DOWN != 0 {
            let up = m.config & config::PORT_DOWN == 0;
            // The bit of a device that could not be changed stays.
            if ops.set_admin(m.port, up) {
                entry.port.admin_up = up;
            }
        }
        entry.config ^= toggle & !config::PORT_DOWN;
        let after = entry.desc();
        (before != after).then_some(PortChange {
            reason: PortReason::Modify,
            before: Some(before),
            after,
        })
    }

    /// The ports that a request means: [`OfPort::ANY`] all of them.
    fn asked(&self, port: OfPort) -> impl Iterator<Item = &PortEntry> {
        self.ports.iter().filter(move |(n, _)| port == OfPort::ANY || **n == port).map(|(_, e)| e)
    }

    /// Counters of the ports that a request means.
    pub(super) fn stats(&self, now: Time, port: OfPort, ops: &dyn SwitchOps) -> Vec<PortStats> {
        let stats = |e: &PortEntry| {
            let number = e.port.of_port;
            let counters = ops.port_counters(number);
            let counters = counters.unwrap_or_else(|| PortStats::unknown(number));
            let age = now.since(e.port.created);
            let sec = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
            // Whole milliseconds.
            let duration = Some((sec, age.subsec_millis() * 1_000_000));
            PortStats { port: number, duration, ..counters }
        };
        self.asked(port).map(stats).collect()
    }

    /// Descriptions of the ports that a request means.
    pub(super) fn descs(&self, port: OfPort) -> Vec<PortDesc> {
        self.asked(port).map(PortEntry::desc).collect()
    }

    /// Whether there is a port of this number.
    pub(super) fn has(&self, port: OfPort) -> bool {
        self.ports.contains_key(&port)
    }

    /// Numbers of the ports, in order.
    pub(super) fn numbers(&self) -> Vec<OfPort> {
        self.ports.keys().copied().collect()
    }
}
