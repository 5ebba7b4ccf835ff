//! The switch: all bridges of the daemon, over one datapath.
//!
//! ```text
//!   main thread ── configure ──▶ Snapshot (ArcSwap) ──▶ datapath threads: miss()
//!        │                                      └─────▶ revalidator: run()
//!        └── queries on MAC tables ── jobs ──▶ a datapath thread
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak, mpsc};
use std::time::Duration;

use arc_swap::ArcSwap;
use datapath::{Datapath, FlowHandle, Job};
use openflow::{Action, Match};
use parking_lot::Mutex;
use serde::Serialize;
use wire::Time;

use crate::bridge_state::{BridgeState, BundleState, PatchCounters};
use crate::config::{BridgeConfig, BundleConfig, FailMode, IfaceKind, OfPort, OfprotoConfig};
use crate::counter::{Count, Counter};
use crate::datapath_link::DatapathLink;
use crate::ids::BundleId;
use crate::mac_sweep::MacSweep;
use crate::mac_table::{MacCoverage, MacTable};
use crate::mask;
use crate::mirror::{self, Mirrors};
use crate::packet_in::PacketInSink;
use crate::recirc::RecircTable;
use crate::slow_path::SlowPathSink;
use crate::snapshot::{Bridge, Bundle, Snapshot};
use crate::tables::{FlowTables, InternalFlow};
use crate::trace::TraceTree;
use crate::translate::{Learning, Source, XlateIn, XlateOut, XlateReport, translate};
use crate::vlan::PortVlan;

/// Why a question about a bridge has no answer; the text is what `ovs-appctl` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    #[error("no such bridge")]
    NoSuchBridge,
    #[error("the datapath does not answer")]
    Busy,
}

/// How long a query waits for a datapath thread, which is free between any two batches.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a new configuration changed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConfigChange {
    pub bridges_added: Vec<String>,
    pub bridges_removed: Vec<String>,
    /// Bridge and port whose addresses were forgotten, because the port is gone or has other
    /// VLANs.
    pub flushed: Vec<(String, String)>,
}

/// What happens to a flow of the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEvent {
    /// A packet missed and this was made of it.
    Added,
    /// The revalidator looks at it.
    Dumped,
    /// It has other actions now.
    Modified,
}

/// Is shown flows.
pub type FlowWatcher = Box<dyn Fn(FlowEvent, &FlowHandle) + Send + Sync>;

/// Is told what is odd about packets.
pub type Reporter = Box<dyn Fn(&XlateReport) + Send + Sync>;

/// Totals that `coverage/show` can print.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    translated: AtomicU64,
    looped: AtomicU64,
    unknown: AtomicU64,
    pub(crate) learned_wakes: AtomicU64,
    pub(crate) packet_ins_lost: AtomicU64,
    /// When a failed translation was last told at length, in milliseconds; 0: never.
    pub(crate) failure_told: AtomicU64,
}

/// Translations so far, and the odd ones among them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct OfprotoStats {
    pub translated: u64,
    /// Dropped because they ran in circles over patch ports.
    pub looped: u64,
    /// From a port, or with a recirculation identity, that no bridge has.
    pub unknown: u64,
    /// Times that learning called for revalidation.
    pub learned_wakes: u64,
    /// Packets for controllers that a full queue did not take.
    pub packet_ins_lost: u64,
}

/// All bridges. Made first, then the datapath that calls it, then [`Ofproto::attach`].
pub struct Ofproto {
    /// For jobs, which outlive the call that makes them.
    pub(crate) me: Weak<Ofproto>,
    datapath: Arc<DatapathLink>,
    pub(crate) snapshot: ArcSwap<Snapshot>,
    /// Changes of all MAC tables.
    pub(crate) mac_changes: Arc<AtomicU64>,
    mac_coverage: Arc<MacCoverage>,
    /// Snapshots of flow tables published so far, of all bridges.
    pub(crate) table_changes: AtomicU64,
    megaflows: AtomicBool,
    pub(crate) sink: OnceLock<Arc<dyn SlowPathSink>>,
    waker: OnceLock<Box<dyn Fn() + Send + Sync>>,
    pub(crate) watcher: OnceLock<FlowWatcher>,
    pub(crate) packet_ins: OnceLock<Arc<dyn PacketInSink>>,
    pub(crate) reporter: OnceLock<Reporter>,
    /// Translations that stopped and go on with another look at the packet.
    pub(crate) frozen: RecircTable,
    /// The revalidator has been called and has not started yet.
    called: AtomicBool,
    /// Packets that no flow of the datapath knows are dropped ([`Ofproto::hold`]).
    pub(crate) held: AtomicBool,
    /// Rounds of the revalidator that have begun, and the latest that has ended.
    rounds: (AtomicU64, AtomicU64),
    pub(crate) totals: Totals,
    /// Taken by the control side only.
    control: Mutex<Control>,
}

/// What the control side remembers from one configuration to the next.
#[derive(Default)]
struct Control {
    generation: u64,
    last_bundle: u64,
    bridges: BTreeMap<String, KnownBridge>,
    patches: BTreeMap<String, Arc<PatchCounters>>,
}

struct KnownBridge {
    state: Arc<BridgeState>,
    bundles: BTreeMap<String, KnownBundle>,
    mirrors: mirror::KnownMirrors,
}

struct KnownBundle {
    state: Arc<BundleState>,
    vlan: PortVlan,
    protected: bool,
}

impl Ofproto {
    /// A switch without bridges.
    pub fn new() -> Arc<Ofproto> {
        Arc::new_cyclic(|me| Ofproto {
            me: me.clone(),
            datapath: Arc::default(),
            snapshot: ArcSwap::from_pointee(Snapshot::empty()),
            mac_changes: Arc::new(AtomicU64::new(0)),
            mac_coverage: Arc::default(),
            table_changes: AtomicU64::new(0),
            megaflows: AtomicBool::new(true),
            sink: OnceLock::new(),
            waker: OnceLock::new(),
            watcher: OnceLock::new(),
            packet_ins: OnceLock::new(),
            reporter: OnceLock::new(),
            frozen: RecircTable::default(),
            called: AtomicBool::new(false),
            held: AtomicBool::new(false),
            rounds: (AtomicU64::new(0), AtomicU64::new(0)),
            totals: Totals::default(),
            control: Mutex::new(Control::default()),
        })
    }

    /// Names the datapath, once; a second call is ignored. Until then jobs run in place.
    /// The caller keeps the datapath alive; once it is dropped, questions have no answer.
    pub fn attach(&self, datapath: Arc<dyn Datapath>) {
        self.datapath.attach(&datapath);
    }

    /// Says who takes LACP, BFD and CFM frames, once; a second call is ignored. Without one they
    /// are dropped.
    pub fn set_slow_path(&self, sink: Arc<dyn SlowPathSink>) {
        let _ = self.sink.set(sink);
    }

    /// Says how to wake the revalidator's thread, once. Called on any thread; must not wait.
    pub fn set_waker(&self, waker: Box<dyn Fn() + Send + Sync>) {
        let _ = self.waker.set(waker);
    }

    /// Says who is shown flows, once: for logs. Called on a datapath thread and on the
    /// revalidator's; must not wait.
    pub fn set_flow_watcher(&self, watcher: FlowWatcher) {
        let _ = self.watcher.set(watcher);
    }

    /// Says who takes packets for controllers, once; a second call is ignored. Without one they
    /// are dropped.
    pub fn set_packet_in_sink(&self, sink: Arc<dyn PacketInSink>) {
        let _ = self.packet_ins.set(sink);
    }

    /// Says who is told what is odd about packets, once: for logs, which are to keep the number of
    /// lines down. Called on a datapath thread; must not wait.
    pub fn set_reporter(&self, reporter: Reporter) {
        let _ = self.reporter.set(reporter);
    }

    /// An identity for recirculation that nobody has, for example for a bond.
    pub fn new_recirc_id(&self) -> u32 {
        self.frozen.new_id()
    }

    #[cfg(test)]
    pub(crate) fn hold_control(&self) -> impl Drop {
        self.control.lock()
    }

    pub(crate) fn datapath(&self) -> Option<Arc<dyn Datapath>> {
        self.datapath.get()
    }

    /// Calls the revalidator unless it has been called already.
    pub fn call_revalidator(&self) {
        if !self.called.swap(true, Ordering::AcqRel)
            && let Some(wake) = self.waker.get()
        {
            wake();
        }
    }

    /// A round begins; its number.
    pub(crate) fn revalidator_starts(&self) -> u64 {
        self.called.store(false, Ordering::Release);
        self.rounds.0.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// The round of this number has looked at every flow.
    pub(crate) fn revalidator_ends(&self, round: u64) {
        self.rounds.1.store(round, Ordering::Release);
    }

    /// Rounds of the revalidator that have begun so far. A round that begins after this call has a
    /// greater number.
    pub fn rounds_begun(&self) -> u64 {
        self.rounds.0.load(Ordering::Acquire)
    }

    /// The number of the latest round that has looked at every flow.
    pub fn rounds_ended(&self) -> u64 {
        self.rounds.1.load(Ordering::Acquire)
    }

    /// Holds traffic back, or lets it go: while held, packets that no flow of the datapath knows
    /// are dropped, but for frames of LACP, BFD and CFM, which go to the links thread. The datapath
    /// has no flow unless one was installed by hand or before. When traffic is let go, the
    /// datapath's flows are flushed.
    pub fn hold(&self, on: bool) {
        if self.held.swap(on, Ordering::AcqRel)
            && !on
            && let Some(d) = self.datapath()
        {
            d.flow_flush();
        }
    }

    /// Runs `job` where MAC tables may be locked.
    pub(crate) fn run(&self, job: Job) {
        self.datapath.run(job);
    }

    /// Asks the MAC table of a bridge on a datapath thread and waits for the answer.
    pub(crate) fn with_macs<R: Send + 'static>(
        &self,
        bridge: &str,
        ask: impl FnOnce(&mut MacTable) -> R + Send + 'static,
    ) -> Result<R, QueryError> {
        let snap = self.snapshot.load_full();
        let state = &snap.bridge(bridge).ok_or(QueryError::NoSuchBridge)?.state;
        let state = state.clone();
        let (tx, rx) = mpsc::sync_channel(1);
        self.run(Box::new(move || {
            // Nobody waits any more: the answer is not wanted.
            let _ = tx.send(ask(&mut state.macs.lock()));
        }));
        rx.recv_timeout(PATIENCE).map_err(|_| QueryError::Busy)
    }

    /// Works on the flow tables of a bridge. Packets see all that `change` did from one moment to
    /// the next, when it has returned; flows made before follow at the revalidator's leisure. For
    /// the control side only.
    pub fn with_flow_table<R>(
        &self,
        bridge: &str,
        change: impl FnOnce(&mut FlowTables) -> R,
    ) -> Result<R, QueryError> {
        let snap = self.snapshot.load_full();
        let state = &snap.bridge(bridge).ok_or(QueryError::NoSuchBridge)?.state;
        let mut table = state.flow_table.lock();
        let result = change(&mut table);
        if let Some(tables) = table.publish() {
            state.tables.store(tables);
            self.table_changes.fetch_add(1, Ordering::AcqRel);
            self.call_revalidator();
        }
        Ok(result)
    }

    /// Sets the `OFPPC_*` bits of a bridge's ports: all that have some.
    pub fn set_port_config(
        &self,
        bridge: &str,
        config: BTreeMap<OfPort, u32>,
    ) -> Result<(), QueryError> {
        let state = self.bridge_state(bridge)?;
        if **state.port_config.load() != config {
            state.port_config.store(Arc::new(config));
            self.tables_changed();
        }
        Ok(())
    }

    /// Says whether packets that no rule of a bridge matches go to a controller, where the table
    /// itself does not say so.
    pub fn set_packet_in_on_miss(&self, bridge: &str, on: bool) -> Result<(), QueryError> {
        if self.bridge_state(bridge)?.packet_in_on_miss.swap(on, Ordering::AcqRel) != on {
            self.tables_changed();
        }
        Ok(())
    }

    /// Says what a bridge does with IP fragments (`OFPC_FRAG_*`).
    pub fn set_frag(&self, bridge: &str, mode: u8) -> Result<(), QueryError> {
        if self.bridge_state(bridge)?.frag.swap(mode, Ordering::AcqRel) != mode {
            self.tables_changed();
        }
        Ok(())
    }

    pub(crate) fn bridge_state(&self, bridge: &str) -> Result<Arc<BridgeState>, QueryError> {
        let snap = self.snapshot.load();
        Ok(snap.bridge(bridge).ok_or(QueryError::NoSuchBridge)?.state.clone())
    }

    /// What flows rested on is not so any more.
    pub(crate) fn tables_changed(&self) {
        self.table_changes.fetch_add(1, Ordering::AcqRel);
        self.call_revalidator();
    }

    /// Takes over a whole new configuration. Packets see it from one moment to the next; flows
    /// made before follow at the revalidator's leisure.
    pub fn configure(&self, now: Time, config: OfprotoConfig) -> ConfigChange {
        let mut change = ConfigChange::default();
        let mut jobs: Vec<Job> = Vec::new();
        let mut control = self.control.lock();
        let mut old = std::mem::take(&mut control.bridges);
        let old_patches = std::mem::take(&mut control.patches);
        let mut bridges = Vec::with_capacity(config.bridges.len());
        let mut removed_bundles: Vec<(Arc<BridgeState>, BundleId)> = Vec::new();
        let mut configs: Vec<&BridgeConfig> = config.bridges.iter().collect();
        configs.sort_by(|a, b| a.name.cmp(&b.name));
        configs.dedup_by(|b, a| a.name == b.name);
        for c in configs {
            let known = old.remove(&c.name);
            if known.is_none() {
                change.bridges_added.push(c.name.clone());
            }
            let KnownBridge { state, bundles: old_bundles, mut mirrors } =
                known.unwrap_or_else(|| KnownBridge {
                    state: self.new_bridge(now, c),
                    bundles: BTreeMap::new(),
                    mirrors: mirror::KnownMirrors::default(),
                });
            let mut gone = Vec::new();
            let (bundles, known) = control.bundles(now, c, old_bundles, &old_patches, &mut gone);
            let removed = gone.iter().filter(|(name, _)| !known.contains_key(name));
            removed_bundles.extend(removed.map(|(_, id)| (state.clone(), *id)));
            let names: Vec<&str> = bundles.iter().map(|b| b.name.as_str()).collect();
            let resolved_mirrors = Mirrors::new(&c.mirrors, &names, &mut mirrors);
            let known = KnownBridge { state: state.clone(), bundles: known, mirrors };
            control.bridges.insert(c.name.clone(), known);
            change.flushed.extend(gone.iter().map(|(name, _)| (c.name.clone(), name.clone())));
            let (aging, max) = (c.mac_aging, c.mac_table_size);
            let (flood_vlans, s) = (c.flood_vlans.clone(), state.clone());
            let link = self.datapath.clone();
            jobs.push(Box::new(move || {
                let (learned, bundles) = {
                    let mut macs = s.macs.lock();
                    let flood_changed = macs.configure(aging, max, &flood_vlans);
                    let bundles = macs.sweep_bundles(gone.iter().map(|(_, id)| *id));
                    (flood_changed.then(|| macs.sweep_learned()), bundles)
                };
                let bundles = (!gone.is_empty()).then_some(bundles);
                for sweep in learned.into_iter().chain(bundles) {
                    MacSweep::new(&link, &s, sweep).run_slice();
                }
            }));
            bridges.push(Bridge::new(c, state, bundles, resolved_mirrors));
        }
        for bridge in old.values() {
            let bundles = bridge.bundles.values();
            removed_bundles.extend(bundles.map(|b| (bridge.state.clone(), b.state.id)));
        }
        change.bridges_removed = old.into_keys().collect();
        if bridges.len() > 1 {
            let all: Vec<Arc<BridgeState>> = bridges.iter().map(|b| b.state.clone()).collect();
            for (home, removed) in by_bridge(removed_bundles) {
                let link = self.datapath.clone();
                let mut others = all.clone();
                others.retain(|b| !Arc::ptr_eq(b, &home));
                // Before the addresses themselves go.
                jobs.insert(
                    0,
                    Box::new(move || {
                        let sweep = home.macs.lock().sweep_bundles(removed.iter().copied());
                        MacSweep::new(&link, &home, sweep).also_in(others, removed).run_slice();
                    }),
                );
            }
        }
        control.generation += 1;
        let snapshot = Snapshot::new(control.generation, config.vlan_limit, bridges);
        self.snapshot.store(Arc::new(snapshot));
        drop(control);
        for job in jobs {
            self.run(job);
        }
        self.call_revalidator();
        change
    }

    fn new_bridge(&self, now: Time, c: &BridgeConfig) -> Arc<BridgeState> {
        let macs = MacTable::new(self.mac_changes.clone());
        let mut macs = macs.counting_in(self.mac_coverage.clone());
        // Nothing has been learned that would have to be forgotten.
        let _ = macs.configure(c.mac_aging, c.mac_table_size, &c.flood_vlans);
        let state = BridgeState::new(now, macs);
        if c.fail_mode == FailMode::Standalone {
            // Forwards from the first packet on. Once there is an OpenFlow connection's agent it
            // has its own say.
            let mut table = state.flow_table.lock();
            table.add_internal(now, normal_flow());
            if let Some(tables) = table.publish() {
                state.tables.store(tables);
            }
        }
        Arc::new(state)
    }

    /// Turns megaflows on or off (`upcall/enable-megaflows`, `upcall/disable-megaflows`); the
    /// reply. Existing flows go.
    pub fn enable_megaflows(&self, on: bool) -> &'static str {
        self.megaflows.store(on, Ordering::Release);
        if let Some(d) = self.datapath() {
            d.flow_flush();
        }
        if on { "megaflows enabled" } else { "megaflows disabled" }
    }

    /// What a patch port carried; nothing for other interfaces. Received first.
    pub fn patch_counts(&self, iface: &str) -> Option<(Count, Count)> {
        let control = self.control.lock();
        control.patches.get(iface).map(|p| (p.rx.get(), p.tx.get()))
    }

    /// What a mirror has copied, by [`MirrorConfig::id`](crate::config::MirrorConfig::id).
    pub fn mirror_count(&self, id: u128) -> Option<Count> {
        let control = self.control.lock();
        control.bridges.values().find_map(|b| b.mirrors.counter(id)).map(|c| c.get())
    }

    /// Events of all MAC tables so far, for `coverage/show`.
    pub fn mac_coverage(&self) -> &MacCoverage {
        &self.mac_coverage
    }

    pub fn stats(&self) -> OfprotoStats {
        let t = &self.totals;
        let get = |a: &AtomicU64| a.load(Ordering::Relaxed);
        OfprotoStats {
            translated: get(&t.translated),
            looped: get(&t.looped),
            unknown: get(&t.unknown),
            learned_wakes: get(&t.learned_wakes),
            packet_ins_lost: get(&t.packet_ins_lost),
        }
    }

    /// Translates for a flow or a packet.
    pub(crate) fn translate(&self, now: Time, source: Source<'_>, learning: Learning) -> XlateOut {
        self.translate_told(now, source, learning, None, false)
    }

    /// As [`Ofproto::translate`]; tells what happens, ports by name if wanted.
    pub(crate) fn translate_told(
        &self,
        now: Time,
        source: Source<'_>,
        learning: Learning,
        trace: Option<&mut TraceTree>,
        names: bool,
    ) -> XlateOut {
        let macs = self.mac_changes.load(Ordering::Acquire);
        let tables = self.table_changes.load(Ordering::Acquire);
        let snapshot = self.snapshot.load();
        let mut answer = translate(XlateIn {
            snapshot: &snapshot,
            source,
            now,
            learning,
            macs,
            tables,
            frozen: &self.frozen,
            trace,
            names,
        });
        if let Source::Key(key) = source
            && !self.megaflows.load(Ordering::Acquire)
        {
            answer.mask = mask::exact(key);
        }
        self.totals.translated.fetch_add(1, Ordering::Relaxed);
        if answer.looped {
            self.totals.looped.fetch_add(1, Ordering::Relaxed);
        }
        if !answer.install {
            self.totals.unknown.fetch_add(1, Ordering::Relaxed);
        }
        answer
    }
}

impl Control {
    /// The bundles of one bridge, with the state of those that were there before. `gone` gets
    /// those whose addresses are to be forgotten.
    fn bundles(
        &mut self,
        now: Time,
        c: &BridgeConfig,
        mut old: BTreeMap<String, KnownBundle>,
        old_patches: &BTreeMap<String, Arc<PatchCounters>>,
        gone: &mut Vec<(String, BundleId)>,
    ) -> (Vec<Bundle>, BTreeMap<String, KnownBundle>) {
        let mut known = BTreeMap::new();
        let mut bundles: Vec<Bundle> = Vec::with_capacity(c.bundles.len());
        for b in &c.bundles {
            if known.contains_key(&b.name) {
                // The database has no two ports of one name; the first would be meant.
                continue;
            }
            let vlan = PortVlan::new(&b.settings);
            let state = match old.remove(&b.name) {
                Some(k) => {
                    if k.vlan != vlan || k.protected != b.settings.protected {
                        gone.push((b.name.clone(), k.state.id));
                    }
                    if k.state.buckets.is_empty() && b.bond.is_some() {
                        new_state(k.state.id, k.state.created, b)
                    } else {
                        k.state
                    }
                }
                None => {
                    self.last_bundle += 1;
                    new_state(BundleId(self.last_bundle), now, b)
                }
            };
            let patches = b.ifaces.iter().map(|i| match &i.kind {
                IfaceKind::Datapath(_) => None,
                IfaceKind::Patch { .. } => {
                    let counters = old_patches.get(&i.name).cloned().unwrap_or_default();
                    Some(self.patches.entry(i.name.clone()).or_insert(counters).clone())
                }
            });
            let patches = patches.collect();
            let entry = KnownBundle { state: state.clone(), vlan, protected: b.settings.protected };
            known.insert(b.name.clone(), entry);
            bundles.push(Bundle::new(b, state, patches));
        }
        gone.extend(old.into_iter().map(|(name, k)| (name, k.state.id)));
        (bundles, known)
    }
}

/// What makes a bridge a learning switch.
pub(crate) fn normal_flow() -> InternalFlow {
    InternalFlow {
        table: 0,
        matching: Match::default(),
        priority: 0,
        actions: vec![Action::output(OfPort::NORMAL)],
        hidden: false,
    }
}

/// Ports that are gone, by the bridge that they were on.
fn by_bridge(
    removed: Vec<(Arc<BridgeState>, BundleId)>,
) -> Vec<(Arc<BridgeState>, BTreeSet<BundleId>)> {
    let mut found: Vec<(Arc<BridgeState>, BTreeSet<BundleId>)> = Vec::new();
    for (home, id) in removed {
        match found.iter_mut().find(|(b, _)| Arc::ptr_eq(b, &home)) {
            Some((_, ids)) => {
                ids.insert(id);
            }
            None => found.push((home, BTreeSet::from([id]))),
        }
    }
    found
}

fn new_state(id: BundleId, created: Time, b: &BundleConfig) -> Arc<BundleState> {
    let buckets = if b.bond.is_some() { bond::BUCKETS } else { 0 };
    let buckets = (0..buckets).map(|_| Counter::default()).collect();
    Arc::new(BundleState { id, created, buckets })
}
