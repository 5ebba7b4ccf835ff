//! OpenFlow connections over the configured switch.

use connmgr::ConnectionManager;
use wire::Time;

use super::forwarding::Forwarding;
use super::revision::Revision;
use crate::commands::Context;
use crate::openflow_host;

/// The connections, and which ports they know.
pub(super) struct OpenFlow {
    pub(super) connections: ConnectionManager,
    /// The revision of ports that controllers know.
    ports: Revision,
}

impl OpenFlow {
    pub(super) fn new(connections: ConnectionManager) -> OpenFlow {
        OpenFlow { connections, ports: Revision::default() }
    }

    /// Applies the configuration. To be called once the switch itself is configured.
    pub(super) fn configure(&mut self, now: Time, forwarding: &mut Forwarding, context: &Context) {
        self.ports = forwarding.ports();
        let ports = openflow_host::ports(&forwarding.switch, &mut forwarding.status);
        let desired = std::mem::take(&mut forwarding.desired);
        let config = openflow_host::config(&desired, &forwarding.switch, forwarding.is_restoring());
        forwarding
            .with_hosts(context, |hosts| self.connections.configure(now, &config, ports, hosts));
        forwarding.desired = desired;
    }

    /// Does all work that is due. True if other threads may have work.
    pub(super) fn run(
        &mut self,
        now: Time,
        forwarding: &mut Forwarding,
        context: &Context,
    ) -> bool {
        self.send_ports(now, forwarding, context);
        let busy = forwarding.with_hosts(context, |hosts| self.connections.run(now, hosts));
        // A controller may have changed a port's administrative state.
        self.send_ports(now, forwarding, context);
        if self.connections.take_status_changed() {
            forwarding.show_again();
        }
        busy
    }

    fn send_ports(&mut self, now: Time, forwarding: &mut Forwarding, context: &Context) {
        if self.ports == forwarding.ports() {
            return;
        }
        self.ports = forwarding.ports();
        let ports = openflow_host::ports(&forwarding.switch, &mut forwarding.status);
        forwarding.with_hosts(context, |hosts| self.connections.ports_changed(now, ports, hosts));
    }

    /// `bridge/reconnect`: drops the connections of one bridge, or of all.
    pub(super) fn reconnect(
        &mut self,
        now: Time,
        only: Option<&str>,
        forwarding: &mut Forwarding,
        context: &Context,
    ) {
        forwarding.with_hosts(context, |hosts| self.connections.reconnect(now, only, hosts));
    }
}
