//! The switch: all bridges of the daemon, over one datapath.
//!
//! ```text
//!   main thread ── configure ──▶ Snapshot (ArcSwap) ──▶ datapath threads: miss()
//!        │                                      └─────▶ revalidator: run()
//!        └── queries on MAC tables ── jobs ──▶ a datapath thread
//! ```

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak, mpsc};
use std::time::Duration;

use arc_swap::ArcSwap;
use datapath::{Datapath, Job};
use parking_lot::Mutex;
use wire::Time;

use crate::bridge_state::BridgeState;
use crate::config::{OfPort, OfprotoConfig};
use crate::counter::Count;
use crate::datapath_link::DatapathLink;
use crate::hooks::{FlowWatcher, Hooks, Reporter};
use crate::mac_table::{MacCoverage, MacTable};
use crate::mask;
use crate::packet_in::PacketInSink;
use crate::recirc::RecircTable;
use crate::reconfigure::{ConfigChange, ConfigState};
use crate::revalidator_calls::RevalidatorCalls;
use crate::slow_path::SlowPathSink;
use crate::snapshot::Snapshot;
use crate::tables::FlowTables;
use crate::totals::{OfprotoStats, Totals};
use crate::trace::TraceTree;
use crate::translate::{Learning, Source, XlateIn, XlateOut, translate};

/// Why a query about a bridge fails; the text is what `ovs-appctl` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No bridge has this name.
    #[error("no such bridge")]
    NoSuchBridge,
    /// No datapath thread answered in time.
    #[error("the datapath does not answer")]
    Busy,
}

/// How long a query waits for a datapath thread, which is free between any two batches.
const PATIENCE: Duration = Duration::from_secs(5);

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
    pub(crate) hooks: Hooks,
    calls: RevalidatorCalls,
    /// Frozen translations, by recirculation identity.
    pub(crate) frozen: RecircTable,
    /// Packets that no flow of the datapath knows are dropped ([`Ofproto::hold`]).
    pub(crate) held: AtomicBool,
    pub(crate) totals: Totals,
    /// Taken by the control side only.
    config_state: Mutex<ConfigState>,
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
            hooks: Hooks::default(),
            calls: RevalidatorCalls::default(),
            frozen: RecircTable::default(),
            held: AtomicBool::new(false),
            totals: Totals::default(),
            config_state: Mutex::default(),
        })
    }

    /// Names the datapath, once; a second call is ignored. Until then jobs run in place.
    /// The caller keeps the datapath alive; once it is dropped, queries fail.
    pub fn attach(&self, datapath: Arc<dyn Datapath>) {
        self.datapath.attach(&datapath);
    }

    /// Sets the sink of LACP, BFD and CFM frames, once; a second call is ignored. Without one they
    /// are dropped.
    pub fn set_slow_path(&self, sink: Arc<dyn SlowPathSink>) {
        self.hooks.set_slow_path(sink);
    }

    /// Sets how the revalidator's thread is woken, once. Called on any thread; must not wait.
    pub fn set_waker(&self, waker: Box<dyn Fn() + Send + Sync>) {
        self.calls.set_waker(waker);
    }

    /// Sets the watcher of flows, once: for logs. Called on a datapath thread and on the
    /// revalidator's; must not wait.
    pub fn set_flow_watcher(&self, watcher: FlowWatcher) {
        self.hooks.set_watcher(watcher);
    }

    /// Sets the sink of packets for controllers, once; a second call is ignored. Without one they
    /// are dropped.
    pub fn set_packet_in_sink(&self, sink: Arc<dyn PacketInSink>) {
        self.hooks.set_packet_in_sink(sink);
    }

    /// Sets the receiver of lines for the log, once; it limits their rate. Called on a datapath
    /// thread; must not wait.
    pub fn set_reporter(&self, reporter: Reporter) {
        self.hooks.set_reporter(reporter);
    }

    /// An unused identity for recirculation, for example for a bond.
    pub fn new_recirc_id(&self) -> u32 {
        self.frozen.new_id()
    }

    #[cfg(test)]
    pub(crate) fn hold_control(&self) -> impl Drop {
        self.config_state.lock()
    }

    pub(crate) fn datapath(&self) -> Option<Arc<dyn Datapath>> {
        self.datapath.get()
    }

    /// Calls the revalidator unless it has been called already.
    pub fn call_revalidator(&self) {
        self.calls.call();
    }

    /// A round begins; its number.
    pub(crate) fn revalidator_starts(&self) -> u64 {
        self.calls.begin()
    }

    /// The round of this number has looked at every flow.
    pub(crate) fn revalidator_ends(&self, round: u64) {
        self.calls.end(round);
    }

    /// Rounds of the revalidator that have begun so far. A round that begins after this call has a
    /// greater number.
    pub fn rounds_begun(&self) -> u64 {
        self.calls.begun()
    }

    /// The number of the latest round that has looked at every flow.
    pub fn rounds_ended(&self) -> u64 {
        self.calls.ended()
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

    /// Calls `ask` with the MAC table of a bridge on a datapath thread and waits for the result.
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
            // It fails once the caller has stopped waiting.
            let _ = tx.send(ask(&mut state.macs.lock()));
        }));
        rx.recv_timeout(PATIENCE).map_err(|_| QueryError::Busy)
    }

    /// Works on the flow tables of a bridge. Packets see all that `change` did from one moment to
    /// the next, when it has returned; the revalidator updates the flows made before, later. For
    /// the control side only.
    ///
    /// # Errors
    ///
    /// [`QueryError::NoSuchBridge`].
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
    ///
    /// # Errors
    ///
    /// [`QueryError::NoSuchBridge`].
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

    /// Sets whether packets that no rule of a bridge matches go to a controller, where the table's
    /// own setting leaves it open.
    ///
    /// # Errors
    ///
    /// [`QueryError::NoSuchBridge`].
    pub fn set_packet_in_on_miss(&self, bridge: &str, on: bool) -> Result<(), QueryError> {
        if self.bridge_state(bridge)?.packet_in_on_miss.swap(on, Ordering::AcqRel) != on {
            self.tables_changed();
        }
        Ok(())
    }

    /// Sets what a bridge does with IP fragments (`OFPC_FRAG_*`).
    ///
    /// # Errors
    ///
    /// [`QueryError::NoSuchBridge`].
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

    /// Flow tables or their settings changed: flows have to be translated again.
    pub(crate) fn tables_changed(&self) {
        self.table_changes.fetch_add(1, Ordering::AcqRel);
        self.call_revalidator();
    }

    /// Takes over a whole new configuration. Packets see all of it at once; the revalidator updates
    /// the flows made before, later.
    pub fn configure(&self, now: Time, config: OfprotoConfig) -> ConfigChange {
        let mut state = self.config_state.lock();
        let new_macs =
            || MacTable::new(self.mac_changes.clone()).counting_in(self.mac_coverage.clone());
        let rebuilt = state.rebuild(now, &config, &self.datapath, &new_macs);
        self.snapshot.store(Arc::new(rebuilt.snapshot));
        drop(state);
        for job in rebuilt.jobs {
            self.run(job);
        }
        self.call_revalidator();
        rebuilt.change
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
        self.config_state.lock().patch_counts(iface)
    }

    /// What a mirror has copied, by [`MirrorConfig::id`](crate::config::MirrorConfig::id).
    pub fn mirror_count(&self, id: u128) -> Option<Count> {
        self.config_state.lock().mirror_count(id)
    }

    /// Events of all MAC tables so far, for `coverage/show`.
    pub fn mac_coverage(&self) -> &MacCoverage {
        &self.mac_coverage
    }

    /// Translations so far.
    pub fn stats(&self) -> OfprotoStats {
        self.totals.stats()
    }

    /// Translates for a flow or a packet.
    pub(crate) fn translate(&self, now: Time, source: Source<'_>, learning: Learning) -> XlateOut {
        self.translate_told(now, source, learning, None, false)
    }

    /// As [`Ofproto::translate`]; reports each step to `trace`, with names of ports if `names`.
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
        self.totals.translated(&answer);
        answer
    }
}
