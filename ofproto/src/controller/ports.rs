//! Ports: what they are, what they count, and what controllers change of them.

use std::collections::BTreeMap;

use openflow::codec;
use openflow::msg::{Body, Message, PortDesc, PortMod, PortReason, PortStats, PortStatus};
use openflow::msg::{config, state};
use openflow::{OfError, OfPort, Version};
use wire::Time;

use super::async_config::AsyncKind;
use super::types::{Class, ConnId, Port, SwitchOps};
use super::{Agent, Request};

/// A port as OpenFlow shows it.
pub(super) struct PortEntry {
    port: Port,
    /// `OFPPC_*` bits that controllers set, without `PORT_DOWN`, which is the device's.
    config: u32,
}

impl PortEntry {
    pub(super) fn desc(&self) -> PortDesc {
        let p = &self.port;
        let down = if p.admin_up { 0 } else { config::PORT_DOWN };
        let mut st = p.stp;
        if !p.link_up {
            st |= state::LINK_DOWN;
        }
        // A port that is down is not live, whatever else there is to say.
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

impl Agent {
    /// All ports of the bridge as they are now; differences are told to controllers. A port whose
    /// name or address is another is taken for changed, one whose number is another for gone.
    pub fn set_ports(&mut self, _now: Time, ports: Vec<Port>, ops: &dyn SwitchOps) {
        // A device that is down has no carrier.
        let new = ports.into_iter().map(|p| Port { link_up: p.link_up && p.admin_up, ..p });
        let new: BTreeMap<OfPort, Port> = new.map(|p| (p.of_port, p)).collect();
        // Another device at the same number is another port.
        let same = |entry: &PortEntry| {
            new.get(&entry.port.of_port).is_some_and(|p| p.name == entry.port.name)
        };
        let gone: Vec<OfPort> =
            self.ports.iter().filter(|(_, e)| !same(e)).map(|(n, _)| *n).collect();
        for number in gone {
            if let Some(entry) = self.ports.remove(&number) {
                self.send_port_status(None, PortReason::Delete, None, &entry.desc());
            }
        }
        for (number, port) in new {
            match self.ports.get_mut(&number) {
                None => self.add_port(port),
                Some(entry) if entry.port == port => {}
                Some(entry) => {
                    let before = entry.desc();
                    entry.port = port;
                    let after = entry.desc();
                    self.send_port_status(None, PortReason::Modify, Some(&before), &after);
                }
            }
        }
        self.publish_port_config(ops);
    }

    /// A new port is announced before anything is known of its health.
    fn add_port(&mut self, port: Port) {
        let number = port.of_port;
        let entry = PortEntry { port, config: 0 };
        let after = entry.desc();
        self.ports.insert(number, entry);
        let before = PortDesc { state: after.state & !state::LIVE, ..after.clone() };
        self.send_port_status(None, PortReason::Add, None, &before);
        self.send_port_status(None, PortReason::Modify, Some(&before), &after);
    }

    fn publish_port_config(&mut self, ops: &dyn SwitchOps) {
        let bits = |e: &PortEntry| e.desc().config;
        let all = self.ports.iter().map(|(n, e)| (*n, bits(e))).filter(|(_, c)| *c != 0);
        // The bridge is gone when this fails, and so are its packets.
        let _ = ops.ofproto().set_port_config(&self.bridge, all.collect());
    }

    /// Tells controllers of a port. `source` asked for it: before 1.5 it is not told what it
    /// knows. A change that a version cannot show is not shown.
    fn send_port_status(
        &mut self,
        source: Option<ConnId>,
        reason: PortReason,
        before: Option<&PortDesc>,
        after: &PortDesc,
    ) {
        let ids: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(id, c)| {
                c.wants(AsyncKind::PortStatus, reason.wire())
                    && (source != Some(**id) || c.protocol.version >= Version::V15)
            })
            .map(|(id, _)| *id)
            .collect();
        for id in ids {
            let Some(protocol) = self.conns.get(&id).map(|c| c.protocol) else { continue };
            let write = |desc: &PortDesc| {
                let body = Body::PortStatus(PortStatus { reason, desc: desc.clone() });
                // One port always fits.
                codec::encode(&Message::new(protocol.version, 0, body), protocol)
                    .unwrap_or_default()
            };
            let frames = write(after);
            if before.is_some_and(|b| write(b) == frames) {
                continue;
            }
            for frame in frames {
                self.push(id, Class::Other, frame);
            }
        }
    }

    pub(super) fn port_mod(&mut self, r: &Request<'_>, m: &PortMod) -> Result<(), OfError> {
        self.not_secondary(r)?;
        self.check_port_mod(m)?;
        self.apply_port_mod(r, m);
        Ok(())
    }

    /// Whether a command is for a port that is there.
    pub(super) fn check_port_mod(&self, m: &PortMod) -> Result<(), OfError> {
        let entry = self.ports.get(&m.port).ok_or(OfError::PmfcBadPort)?;
        if entry.port.hw_addr != m.hw_addr {
            return Err(OfError::PmfcBadHwAddr);
        }
        Ok(())
    }

    pub(super) fn apply_port_mod(&mut self, r: &Request<'_>, m: &PortMod) {
        let Some(entry) = self.ports.get_mut(&m.port) else { return };
        let before = entry.desc();
        let toggle = (before.config ^ m.config) & m.mask;
        if toggle & config::PORT_DOWN != 0 {
            let up = m.config & config::PORT_DOWN == 0;
            // A device that does not obey keeps its bit.
            if r.ops.set_admin(m.port, up) {
                entry.port.admin_up = up;
            }
        }
        entry.config ^= toggle & !config::PORT_DOWN;
        let after = entry.desc();
        if before != after {
            self.publish_port_config(r.ops);
            self.send_port_status(Some(r.conn), PortReason::Modify, Some(&before), &after);
        }
        if m.advertise != 0 {
            r.ops.advertise(m.port, m.advertise);
        }
    }

    /// The ports that a request means: [`OfPort::ANY`] all of them.
    fn asked_ports(&self, port: OfPort) -> impl Iterator<Item = &PortEntry> {
        self.ports.iter().filter(move |(n, _)| port == OfPort::ANY || **n == port).map(|(_, e)| e)
    }

    pub(super) fn port_stats(&mut self, r: &Request<'_>, port: OfPort) -> Result<(), OfError> {
        let stats = |e: &PortEntry| {
            let number = e.port.of_port;
            let counters = r.ops.port_counters(number);
            let counters = counters.unwrap_or_else(|| PortStats::unknown(number));
            let age = r.now.since(e.port.created);
            let sec = u32::try_from(age.as_secs()).unwrap_or(u32::MAX);
            // Whole milliseconds.
            let duration = Some((sec, age.subsec_millis() * 1_000_000));
            PortStats { port: number, duration, ..counters }
        };
        let all = self.asked_ports(port).map(stats).collect();
        self.reply(r, Body::PortStatsReply(all));
        Ok(())
    }

    pub(super) fn port_desc(&mut self, r: &Request<'_>, port: OfPort) -> Result<(), OfError> {
        let all = self.asked_ports(port).map(PortEntry::desc).collect();
        self.reply(r, Body::PortDescReply(all));
        Ok(())
    }

    pub(super) fn has_port(&self, port: OfPort) -> bool {
        self.ports.contains_key(&port)
    }

    /// Numbers of the ports, in order.
    pub(super) fn port_numbers(&self) -> Vec<OfPort> {
        self.ports.keys().copied().collect()
    }
}
