//! The revalidator: updates flows after changes of configuration, MAC tables, flow tables and
//! bonds, attributes their statistics and removes idle ones.
//!
//! Failover does not depend on it: a bond's traffic moves by its bucket table. It may lag behind,
//! and it never makes a packet wait.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bond::RevalidateReason;
use datapath::{Datapath, FlowHandle, FlowStats};
use hashbrown::HashMap;
use serde::Serialize;
use wire::Time;

use crate::hooks::FlowEvent;
use crate::mac_table::ExpireCursor;
use crate::ofproto::Ofproto;
use crate::translate::{Learning, Source};
use crate::xlate_cache::XlateCache;

/// The idle time-out of flows while there are more than the limit.
const MAX_IDLE_FULL: Duration = Duration::from_millis(100);
/// The least time from the begin of a round to the begin of the next.
const MIN_INTERVAL: Duration = Duration::from_millis(5);
/// The reciprocal of the largest duty cycle: a round begins at the earliest this many times the
/// length of the round before it after the begin of that one.
const DUTY: u32 = 10;
/// MAC addresses looked at while their table is locked.
const EXPIRE_SLICE: usize = 64;
/// Frozen states looked at while their table is locked.
const FROZEN_SLICE: usize = 64;

/// `other_config:flow-limit`'s default.
pub const DEFAULT_FLOW_LIMIT: usize = 200_000;

/// The options of rounds, from `Open_vSwitch.other_config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RevalidatorOptions {
    /// `flow-limit`: the most that the limit of flows adapts to; at least 1000.
    pub flow_limit: usize,
    /// `max-idle`: the idle time-out of flows.
    pub max_idle: Duration,
    /// `max-revalidator`: between rounds when nothing happens, unless `max_idle` is shorter.
    pub max_revalidator: Duration,
    /// `min-revalidate-pps`: while a round takes half of `max_revalidator` or longer, a flow with
    /// fewer packets in a second goes, rather than being translated again; 0: never.
    pub min_pps: u64,
}

impl Default for RevalidatorOptions {
    fn default() -> RevalidatorOptions {
        RevalidatorOptions {
            flow_limit: DEFAULT_FLOW_LIMIT,
            max_idle: Duration::from_secs(10),
            max_revalidator: Duration::from_millis(500),
            min_pps: 5,
        }
    }
}

/// When to call [`Revalidator::run`] again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Next {
    /// Not earlier, also when called for.
    pub not_before: Time,
    /// Then, also when not called for.
    pub at: Time,
}

/// What `upcall/show` prints, and what the rounds have done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RevalidatorStatus {
    /// Flows at the begin of the last round.
    pub flows: usize,
    /// Learned addresses of all bridges at the end of the last round.
    pub addresses: usize,
    /// A running average of `flows`: each round it moves half-way to the new number.
    pub avg_flows: usize,
    /// The largest `flows` so far.
    pub max_flows: usize,
    /// The limit of flows that the rounds have adapted to.
    pub flow_limit: usize,
    /// How long the last round took, in milliseconds.
    pub dump_duration_ms: u64,
    /// Rounds so far.
    pub rounds: u64,
    /// Flows translated again so far.
    pub translated: u64,
    /// Flows whose actions changed so far.
    pub changed: u64,
    /// Flows removed so far.
    pub removed: u64,
    /// Rounds that a bond called for.
    pub bond_reasons: u64,
}

/// Driven by one thread: waits until [`Next::at`], or until it is called
/// ([`Ofproto::set_waker`], [`Effect::Revalidate`](bond::Effect::Revalidate)) and
/// [`Next::not_before`] has come; runs; waits again.
pub struct Revalidator {
    ofproto: Arc<Ofproto>,
    datapath: Arc<dyn Datapath>,
    options: RevalidatorOptions,
    status: RevalidatorStatus,
    /// Flows removed by the last rounds, by address. Packets may have hit them between the reading
    /// of their counters and the removal: those are counted in the next round. The datapath marks a
    /// flow as dead when `flow_remove` returns, so that entries stay for one round.
    removed: HashMap<usize, Arc<FlowHandle>>,
}

impl Revalidator {
    /// A revalidator that has run no round.
    pub fn new(ofproto: Arc<Ofproto>, datapath: Arc<dyn Datapath>) -> Revalidator {
        datapath.set_flow_limit(DEFAULT_FLOW_LIMIT);
        let status =
            RevalidatorStatus { flow_limit: DEFAULT_FLOW_LIMIT, ..RevalidatorStatus::default() };
        let options = RevalidatorOptions::default();
        Revalidator { ofproto, datapath, options, status, removed: HashMap::new() }
    }

    /// What the rounds have done so far.
    pub fn status(&self) -> RevalidatorStatus {
        self.status
    }

    /// `upcall/set-flow-limit`: from now on, until the next round adapts it; the reply.
    pub fn set_flow_limit(&mut self, limit: usize) -> String {
        self.status.flow_limit = limit;
        self.datapath.set_flow_limit(limit);
        format!("set flow_limit to {limit}\n")
    }

    /// From the next round on. The limit of flows falls at once to `flow_limit`.
    pub fn set_options(&mut self, options: RevalidatorOptions) {
        self.options = RevalidatorOptions { flow_limit: options.flow_limit.max(1000), ..options };
        self.status.flow_limit = self.status.flow_limit.min(self.options.flow_limit);
        self.datapath.set_flow_limit(self.status.flow_limit);
    }

    /// Removes every flow after its statistics are attributed (`revalidator/purge`).
    pub fn purge(&mut self) {
        for flow in self.datapath.flows() {
            if let Some(cache) = xlate_cache_of(&flow) {
                cache.push(flow.stats());
            }
            self.remove(&flow);
        }
    }

    /// One round over all flows and MAC tables. `now` is the datapath's clock.
    pub fn run(&mut self, now: Time, reasons: &[RevalidateReason]) -> Next {
        let round = self.ofproto.revalidator_starts();
        let macs = self.ofproto.mac_changes.load(Ordering::Acquire);
        if !reasons.is_empty() {
            self.status.bond_reasons += 1;
        }

        self.count_removed();
        let flows = self.datapath.flows();
        self.status.rounds += 1;
        self.status.flows = flows.len();
        self.status.max_flows = self.status.max_flows.max(flows.len());
        self.status.avg_flows = (self.status.avg_flows + flows.len()) / 2;
        let limit = self.status.flow_limit;
        let mut left = flows.len();
        for flow in flows.iter().filter(|f| !f.is_dead()) {
            let max_idle = if left > limit { MAX_IDLE_FULL } else { self.options.max_idle };
            // At twice the limit flows go regardless of use.
            let far_too_many = left > limit.saturating_mul(2);
            if !self.flow(now, flow, max_idle) || far_too_many {
                self.remove(flow);
                self.status.removed += 1;
                left -= 1;
            }
        }
        self.ofproto.revalidator_ends(round);
        self.expire(now);

        let end = self.datapath.now().max(now);
        let took = end.since(now);
        self.adapt(took, flows.len());
        let not_before = now + MIN_INTERVAL.max(took * DUTY);
        // What changed on the way is for the next round, soon.
        let calm = self.ofproto.mac_changes.load(Ordering::Acquire) == macs;
        let interval = self.options.max_revalidator.min(self.options.max_idle);
        let at = if calm { (now + interval).max(not_before) } else { not_before };
        Next { not_before, at }
    }

    fn remove(&mut self, flow: &Arc<FlowHandle>) {
        self.datapath.flow_remove(flow);
        self.removed.insert(Arc::as_ptr(flow) as usize, flow.clone());
    }

    /// Counts the packets that hit removed flows after the last reading of their counters.
    fn count_removed(&mut self) {
        self.removed.retain(|_, flow| {
            let dead = flow.is_dead();
            if dead && let Some(cache) = xlate_cache_of(flow) {
                cache.push(flow.stats());
            }
            !dead
        });
        self.removed.shrink_to_fit();
    }

    /// One flow; false when it must go.
    fn flow(&mut self, now: Time, flow: &Arc<FlowHandle>, max_idle: Duration) -> bool {
        let Some(cache) = xlate_cache_of(flow) else { return false };
        self.show(FlowEvent::Dumped, flow);
        let stats = flow.stats();
        let used = stats.used.unwrap_or(flow.created);
        let before = cache.used();
        let packets = cache.push(stats);
        let deps = cache.deps();
        let bonds_changed = deps.bonds_changed();
        if packets > 0 && !bonds_changed {
            deps.touch_learned(used);
        }
        if now.since(used) > max_idle {
            return false;
        }
        let snapshot = self.ofproto.snapshot.load().generation;
        let macs = self.ofproto.mac_changes.load(Ordering::Acquire);
        let tables = self.ofproto.table_changes.load(Ordering::Acquire);
        let current = !bonds_changed && deps.are_current(snapshot, macs, tables, packets);
        current
            || (self.is_worth_it(now, before, packets)
                && self.again(now, flow, &cache, stats, packets))
    }

    /// Whether a flow is to be translated again: it is, unless the last round took long and the
    /// flow has had few packets since the round before saw its last one.
    fn is_worth_it(&self, now: Time, used: Option<Time>, packets: u64) -> bool {
        let RevalidatorOptions { min_pps, max_revalidator, .. } = self.options;
        let took = Duration::from_millis(self.status.dump_duration_ms);
        let Some(used) = used.filter(|_| min_pps != 0 && took >= max_revalidator / 2) else {
            return true;
        };
        let between = now.since(used).as_millis() as u64 / packets.max(1);
        between < 1000 / min_pps
    }

    /// Translates a flow again; false when it must go.
    fn again(
        &mut self,
        now: Time,
        flow: &Arc<FlowHandle>,
        cache: &XlateCache,
        stats: FlowStats,
        packets: u64,
    ) -> bool {
        self.status.translated += 1;
        let learning = match stats.used {
            Some(used) if packets > 0 => Learning::Flow(used),
            _ => Learning::No,
        };
        let mut answer = self.ofproto.translate(now, Source::Key(&flow.packet_key), learning);
        let looked = answer.needed.words().iter().zip(flow.mask.words());
        if !answer.install || looked.into_iter().any(|(new, old)| new & !old != 0) {
            return false;
        }
        let actions = answer.take_flow_actions();
        if **flow.actions.load() != actions {
            self.status.changed += 1;
            flow.actions.store(Arc::new(actions));
            self.show(FlowEvent::Modified, flow);
        }
        flow.notes.store(Arc::new(Some(Arc::new(cache.with_deps(answer.deps)))));
        true
    }

    fn show(&self, event: FlowEvent, flow: &FlowHandle) {
        self.ofproto.hooks.flow(event, flow);
    }

    /// Lets old addresses and frozen states go, a few at a time.
    fn expire(&mut self, now: Time) {
        let mut addresses = 0;
        for bridge in &self.ofproto.snapshot.load().bridges {
            let macs = &bridge.state.macs;
            let mut cursor = ExpireCursor::default();
            while macs.lock().expire(now, EXPIRE_SLICE, &mut cursor) {}
            let unused = macs.lock().take_unused();
            drop(unused);
            addresses += macs.lock().len();
        }
        self.status.addresses = addresses;
        self.ofproto.frozen.forget(now, FROZEN_SLICE);
    }

    /// Fewer flows when a round takes long, more when it is quick.
    fn adapt(&mut self, took: Duration, flows: usize) {
        let ms = took.as_millis() as u64;
        self.status.dump_duration_ms = ms.max(1);
        let mut limit = self.status.flow_limit;
        if ms > 2000 {
            limit /= (ms / 1000) as usize;
        } else if ms > 1300 {
            limit = limit / 4 * 3;
        } else if ms < 1000 && limit < flows.saturating_mul(1000) / ms.max(1) as usize {
            limit += 1000;
        }
        let limit = limit.max(1000).min(self.options.flow_limit);
        if limit != self.status.flow_limit {
            self.status.flow_limit = limit;
            self.datapath.set_flow_limit(limit);
        }
    }
}

/// The cache that the translation left with a flow; nothing for a flow that was installed by
/// hand.
fn xlate_cache_of(flow: &FlowHandle) -> Option<Arc<XlateCache>> {
    let cache = (**flow.notes.load()).clone()?;
    cache.downcast::<XlateCache>().ok()
}
