//! Ports: port_status, port_mod, statistics and descriptions.

use openflow::codec;
use openflow::msg::{Body, Message, PortDesc, PortMod, PortStatus};
use openflow::{OfError, OfPort, Version};
use wire::Time;

use super::agent::Agent;
use super::async_config::AsyncKind;
use super::conn_table::ConnTable;
use super::port_table::PortChange;
use super::request::Request;
use super::types::{Class, ConnId, Port, SwitchOps};

impl Agent {
    /// All ports of the bridge as they are now; differences are told to controllers. A port of
    /// another name or number is another port; one of another address has changed.
    pub fn set_ports(&mut self, _now: Time, ports: Vec<Port>, ops: &dyn SwitchOps) {
        for change in self.ports.replace(ports) {
            announce(&mut self.conns, None, &change);
        }
        self.publish_port_config(ops);
    }

    fn publish_port_config(&self, ops: &dyn SwitchOps) {
        // The bridge is gone when this fails, and so are its packets.
        let _ = ops.ofproto().set_port_config(&self.bridge, self.ports.config_bits());
    }

    pub(super) fn port_mod(&mut self, r: &Request<'_>, m: &PortMod) -> Result<(), OfError> {
        self.conns.not_secondary(r)?;
        self.ports.check_mod(m)?;
        self.apply_port_mod(r, m);
        Ok(())
    }

    pub(super) fn apply_port_mod(&mut self, r: &Request<'_>, m: &PortMod) {
        if let Some(change) = self.ports.apply_mod(m, r.ops) {
            self.publish_port_config(r.ops);
            announce(&mut self.conns, Some(r.conn), &change);
        }
        if m.advertise != 0 && self.ports.has(m.port) {
            r.ops.advertise(m.port, m.advertise);
        }
    }

    pub(super) fn port_stats(&mut self, r: &Request<'_>, port: OfPort) -> Result<(), OfError> {
        self.conns.reply(r, Body::PortStatsReply(self.ports.stats(r.now, port, r.ops)));
        Ok(())
    }

    pub(super) fn port_desc(&mut self, r: &Request<'_>, port: OfPort) -> Result<(), OfError> {
        self.conns.reply(r, Body::PortDescReply(self.ports.descs(port)));
        Ok(())
    }
}

/// Sends port_status. `source` asked for the change: before 1.5 it gets none. A change that a
/// version cannot express is not sent.
fn announce(conns: &mut ConnTable, source: Option<ConnId>, change: &PortChange) {
    let reason = change.reason;
    let wanted = conns.ids(|id, c| {
        c.wants(AsyncKind::PortStatus, reason.wire())
            && (source != Some(id) || c.version() >= Version::V15)
    });
    for id in wanted {
        let Some(protocol) = conns.get(id).map(|c| c.protocol()) else { continue };
        let write = |desc: &PortDesc| {
            let body = Body::PortStatus(PortStatus { reason, desc: desc.clone() });
            // One port always fits.
            codec::encode(&Message::new(protocol.version, 0, body), protocol).unwrap_or_default()
        };
        let frames = write(&change.after);
        if change.before.as_ref().is_some_and(|b| write(b) == frames) {
            continue;
        }
        for frame in frames {
            conns.push(id, Class::Other, frame);
        }
    }
}
