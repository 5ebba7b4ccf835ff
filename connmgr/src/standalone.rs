//! What a bridge with `fail_mode=standalone` does when none of its controllers is there.

use std::time::Duration;

use ofproto::FailMode;
use ofproto::tables::InternalFlow;
use openflow::{Action, Match, OfPort};
use wire::Time;

use crate::Env;
use crate::bridge::Connections;
use crate::fail_open::{self, Act};
use crate::modules::FAIL_OPEN;
use crate::reconnect::Reconnect;
use crate::service::Service;

impl Connections {
    pub(crate) fn primaries(&self) -> impl Iterator<Item = (&Service, &Reconnect)> {
        let primary = self.services.values().filter(|s| s.want.primary);
        primary.filter_map(|s| Some((s, s.life()?)))
    }

    pub(crate) fn any_admitted(&self) -> bool {
        self.primaries().any(|(_, life)| life.is_admitted())
    }

    pub(crate) fn longest_probe(&self) -> Duration {
        let primary = self.services.values().filter(|s| s.want.primary);
        primary.map(|s| s.want.probe).max().unwrap_or_default()
    }

    pub(crate) fn fail_open(&mut self, env: &mut Env<'_>) {
        if self.fail_mode != FailMode::Standalone || self.has_controllers != Some(true) {
            return;
        }
        let failing = self.primaries().map(|(_, life)| life.failing_for(env.now)).min();
        let connected = self.primaries().any(|(_, life)| life.is_connected());
        let probe = self.longest_probe();
        let acts = self.fail_open.run(env.now, failing.unwrap_or_default(), probe, connected);
        for act in acts {
            match act {
                Act::Open(without) => {
                    runtime::warn!(
                        FAIL_OPEN,
                        "Could not connect to controller (or switch failed controller's \
                         post-connection admission control policy) for {} seconds, failing open",
                        without.as_secs()
                    );
                    self.flush_flows(false, env);
                    let flow = InternalFlow {
                        table: 0,
                        matching: Match::default(),
                        priority: i32::from(fail_open::PRIORITY),
                        actions: vec![Action::output(OfPort::NORMAL)],
                        hidden: false,
                    };
                    let now = env.now;
                    // The bridge is there: its flows were just flushed.
                    let _ = env
                        .host
                        .ofproto()
                        .with_flow_table(&self.name, |t| t.add_internal(now, flow));
                    self.settle(env);
                }
                Act::Still(without) => runtime::info!(
                    FAIL_OPEN,
                    "Still in fail-open mode after {} seconds disconnected from controller",
                    without.as_secs()
                ),
                Act::Bogus => {
                    self.agent.packet_in(env.now, crate::bogus::packet(&self.name));
                    self.settle(env);
                }
            }
        }
    }

    /// A controller is there again.
    pub(crate) fn recover(&mut self, env: &mut Env<'_>) {
        runtime::warn!(FAIL_OPEN, "No longer in fail-open mode");
        self.fail_open.recover();
        let priority = i32::from(fail_open::PRIORITY);
        let remove = |t: &mut ofproto::tables::FlowTables| {
            t.remove_internal(0, &Match::default(), priority);
        };
        // A bridge that has gone has no flows.
        let _ = env.host.ofproto().with_flow_table(&self.name, remove);
    }

    /// When the bridge helps itself if no controller comes.
    pub(crate) fn fails_at(&self, now: Time) -> Option<Time> {
        if self.fail_mode != FailMode::Standalone || self.fail_open.is_open() {
            return None;
        }
        let failing = self.primaries().map(|(_, life)| life.failing_for(now)).min()?;
        let limit = (self.longest_probe() * 3).max(Duration::from_secs(1));
        (!failing.is_zero()).then(|| now + limit.saturating_sub(failing))
    }
}
