//! The connections of all bridges.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use mio::Registry;
use ofproto::controller::Settings;
use wire::Time;

use crate::bridge::Bridge;
use crate::config::{BridgeConfig, Bridges, Config, OpenFlowOptions, Ports};
use crate::context::{Ctx, IdAllocator, LogLimits};
use crate::packet_queue::PacketQueue;
use crate::peer::TOKENS;
use crate::status::ControllerStatus;

/// The OpenFlow connections of all bridges.
pub struct ConnectionManager {
    registry: Registry,
    options: OpenFlowOptions,
    ids: IdAllocator,
    log_limits: LogLimits,
    tls: tls::Context,
    bridges: BTreeMap<String, Bridge>,
    packets: Arc<PacketQueue>,
    /// [`ConnectionManager::run`] has work that waits for no event.
    more: bool,
}

impl ConnectionManager {
    /// Without bridges. Packets for controllers come through `packets`.
    ///
    /// # Errors
    ///
    /// The system has no descriptor left.
    pub fn new(
        registry: &Registry,
        options: OpenFlowOptions,
        packets: Arc<PacketQueue>,
    ) -> io::Result<ConnectionManager> {
        Ok(ConnectionManager {
            registry: registry.try_clone()?,
            ids: IdAllocator::default(),
            log_limits: LogLimits::new(),
            tls: tls::Context::new(options.tls.clone()),
            options,
            bridges: BTreeMap::new(),
            packets,
            more: false,
        })
    }

    /// Calls `f` for each bridge.
    fn each(
        &mut self,
        now: Time,
        switch: &dyn Bridges,
        mut f: impl FnMut(&str, &mut Bridge, &mut Ctx<'_>),
    ) {
        for (name, bridge) in &mut self.bridges {
            let host = switch.host(name);
            let mut ctx = Ctx {
                now,
                registry: &self.registry,
                options: &self.options,
                ids: &mut self.ids,
                log_limits: &mut self.log_limits,
                tls: &mut self.tls,
                host: &*host,
                local_mac: switch.local_mac(name),
            };
            f(name, bridge, &mut ctx);
        }
    }

    /// Applies a configuration. To be called once the switch itself is configured.
    pub fn configure(
        &mut self,
        now: Time,
        config: &Config<'_>,
        mut ports: Ports,
        switch: &dyn Bridges,
    ) {
        self.tls.set(config.tls.clone().unwrap_or_else(|| self.options.tls.clone()));
        let wanted: BTreeMap<&str, (&BridgeConfig<'_>, Settings)> =
            config.bridges.iter().map(|b| (b.name, (b, self.settings(b)))).collect();
        self.each(now, switch, |name, bridge, ctx| {
            if !wanted.contains_key(name) {
                bridge.close(ctx);
            }
        });
        self.bridges.retain(|name, _| wanted.contains_key(name.as_str()));
        for (name, (_, settings)) in &wanted {
            let new = || Bridge::new(name, settings.clone());
            self.bridges.entry((*name).to_owned()).or_insert_with(new);
        }
        self.each(now, switch, |name, bridge, ctx| {
            if let Some((want, settings)) = wanted.get(name) {
                bridge.set_ports(ports.remove(name).unwrap_or_default(), ctx);
                bridge.configure(want, settings.clone(), config, ctx);
            }
        });
        self.more = true;
    }

    fn settings(&self, bridge: &BridgeConfig<'_>) -> Settings {
        let mut settings = Settings::new(bridge.datapath_id, &self.options.version);
        if let Some(text) = bridge.description {
            settings.datapath = text.to_owned();
        }
        if let Some(text) = bridge.serial {
            settings.serial = text.to_owned();
        }
        settings
    }

    /// The ports as they are now.
    pub fn ports_changed(&mut self, now: Time, mut ports: Ports, switch: &dyn Bridges) {
        self.each(now, switch, |name, bridge, ctx| {
            bridge.set_ports(ports.remove(name).unwrap_or_default(), ctx);
        });
    }

    /// Handles a poll event whose token is at or above [`TOKENS`].
    pub fn on_event(&mut self, event: &mio::event::Event) {
        let id = (event.token().0 - TOKENS) as u64;
        self.more |= self.bridges.values_mut().any(|b| b.on_event(id, event));
    }

    /// Does all work that is due. True if packets came or something was sent, so that other threads
    /// may have work.
    pub fn run(&mut self, now: Time, switch: &dyn Bridges) -> bool {
        let packets = self.packets.take();
        let busy = !packets.is_empty();
        let mut by_bridge: BTreeMap<Arc<str>, Vec<_>> = BTreeMap::new();
        for packet in packets {
            by_bridge.entry(packet.bridge.clone()).or_default().push(packet);
        }
        let mut more = false;
        self.each(now, switch, |name, bridge, ctx| {
            for packet in by_bridge.remove(name).into_iter().flatten() {
                bridge.packet_in(packet, ctx);
            }
            more |= bridge.run(ctx);
        });
        self.more = more;
        busy || more
    }

    /// When [`ConnectionManager::run`] has work if no event comes before.
    pub fn next_deadline(&self, now: Time) -> Option<Time> {
        if self.more {
            return Some(now);
        }
        self.bridges.values().filter_map(|b| b.next_deadline(now)).min()
    }

    /// True once after [`ConnectionManager::controller_status`] may have changed.
    pub fn take_status_changed(&mut self) -> bool {
        self.bridges.values_mut().fold(false, |any, b| any | b.take_status_changed())
    }

    /// The status of a bridge's controller, by its target; `None` for a listener and for a target
    /// that is not configured.
    pub fn controller_status(
        &self,
        bridge: &str,
        target: &str,
        now: Time,
    ) -> Option<ControllerStatus> {
        self.bridges.get(bridge)?.controller_status(target, now)
    }

    /// `bridge/reconnect`: drops the connections of one bridge, or of all.
    pub fn reconnect(&mut self, now: Time, only: Option<&str>, switch: &dyn Bridges) {
        self.each(now, switch, |name, bridge, ctx| {
            if only.is_none_or(|o| o == name) {
                bridge.reconnect(ctx);
            }
        });
        self.more = true;
    }

    /// The number of connections and of messages that wait to be sent, for `memory/show`.
    pub fn usage(&self) -> (u64, u64) {
        let all = self.bridges.values().map(Bridge::usage);
        all.fold((0, 0), |(c, w), (conns, waiting)| (c + conns, w + waiting))
    }
}
