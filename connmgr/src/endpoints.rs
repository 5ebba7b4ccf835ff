//! All controllers and listeners of a bridge.

use std::collections::BTreeMap;
use std::net::SocketAddrV4;
use std::time::Duration;

use mio::Registry;
use wire::Time;

use crate::context::{Ctx, IdAllocator};
use crate::endpoint::{ConnectStep, ControllerEndpoint, EndpointKind, timing};
use stream::Stream;
use stream::reconnect::{Reconnect, Rules};

/// Endpoints by target.
#[derive(Debug, Default)]
pub(crate) struct Endpoints(BTreeMap<String, ControllerEndpoint>);

/// A connection that a listener has accepted.
pub(crate) struct Accepted {
    /// The listener's target.
    pub(crate) target: String,
    pub(crate) stream: Stream,
    /// The peer's name.
    pub(crate) peer: String,
    pub(crate) reconnect: Reconnect,
}

impl Endpoints {
    pub(crate) fn get(&self, target: &str) -> Option<&ControllerEndpoint> {
        self.0.get(target)
    }

    pub(crate) fn get_mut(&mut self, target: &str) -> Option<&mut ControllerEndpoint> {
        self.0.get_mut(target)
    }

    pub(crate) fn insert(&mut self, endpoint: ControllerEndpoint) {
        self.0.insert(endpoint.config.target.clone(), endpoint);
    }

    pub(crate) fn remove(&mut self, target: &str) {
        self.0.remove(target);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn targets(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Targets that the switch connects to.
    pub(crate) fn active_targets(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, e)| e.reconnect().is_some()).map(|(t, _)| t.as_str())
    }

    /// True if the poll event is for one of the listeners.
    pub(crate) fn on_event(&mut self, id: u64) -> bool {
        self.0.values_mut().any(|e| match &mut e.kind {
            EndpointKind::Passive(listener) => listener.on_event(id),
            EndpointKind::Active { .. } => false,
        })
    }

    /// What attempts to connect need next, by target.
    pub(crate) fn poll_connect(
        &mut self,
        bridge: &str,
        now: Time,
        registry: &Registry,
        ids: &mut IdAllocator,
    ) -> Vec<(String, ConnectStep)> {
        let step = |(target, e): (&String, &mut ControllerEndpoint)| {
            let name = format!("{bridge}<->{target}");
            Some((target.clone(), e.poll_connect(&name, now, registry, ids)?))
        };
        self.0.iter_mut().filter_map(step).collect()
    }

    /// Accepts the connections that wait at the listeners.
    pub(crate) fn accept(&mut self, ctx: &mut Ctx<'_>) -> Vec<Accepted> {
        let mut accepted = Vec::new();
        for (target, e) in &mut self.0 {
            let EndpointKind::Passive(listener) = &mut e.kind else { continue };
            while let Some((stream, peer)) = listener.accept(ctx) {
                let reconnect =
                    Reconnect::accepted(ctx.now, Rules::OpenFlow, timing(e.config.timing));
                accepted.push(Accepted { target: target.clone(), stream, peer, reconnect });
            }
        }
        accepted
    }

    /// Reconnection of each active endpoint.
    pub(crate) fn reconnects(&self) -> impl Iterator<Item = &Reconnect> {
        self.0.values().filter_map(ControllerEndpoint::reconnect)
    }

    /// A primary controller or listener is configured.
    pub(crate) fn has_primary(&self) -> bool {
        self.0.values().any(|e| e.config.primary)
    }

    /// Reconnection of each primary controller that the switch connects to.
    pub(crate) fn primaries(&self) -> impl Iterator<Item = &Reconnect> {
        let primary = self.0.values().filter(|e| e.config.primary);
        primary.filter_map(ControllerEndpoint::reconnect)
    }

    /// The longest probe interval of a primary controller; zero if none is probed.
    pub(crate) fn longest_probe(&self) -> Duration {
        let primary = self.0.values().filter(|e| e.config.primary);
        primary.map(|e| e.config.probe).max().unwrap_or_default()
    }

    /// Addresses of controllers that in-band control keeps the path to open.
    pub(crate) fn in_band_addresses(&self) -> impl Iterator<Item = SocketAddrV4> {
        self.0.values().filter_map(ControllerEndpoint::in_band_address)
    }
}
