//! Packets that come back: a translation that stops, and goes on with another look at the packet.
//!
//! What is still to be done is kept under an identity, which the datapath's `recirc` action or a
//! controller's continuation names. It lives as long as a flow names it, and a moment longer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Duration;

use datapath::Action;
use foldhash::HashMap;
use openflow::action::Controller;
use openflow::{Action as OfAction, Field, Fields, OfPort};
use parking_lot::Mutex;
use wire::Time;

use crate::trace::NodeKind;

use super::Learning;
use super::actions::hex;
use super::context::Translator;
use super::output::pipeline;

/// A step that is still to be done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum FrozenStep {
    /// What follows is part of a rule of this table, with this cookie.
    From {
        table: u8,
        cookie: u64,
    },
    Do(OfAction),
}

/// A translation that is about to stop.
#[derive(Debug)]
pub(super) struct PendingFreeze {
    /// The controller that is to say when to go on.
    pause: Option<Controller>,
    steps: Vec<FrozenStep>,
    from: Option<(u8, u64)>,
}

/// What a packet brings along when it comes back.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct FrozenState {
    bridge: String,
    table: u8,
    pipeline: Fields,
    stack: Vec<(u128, u16)>,
    action_set: Vec<OfAction>,
    steps: Vec<FrozenStep>,
    userdata: Vec<u8>,
    mirrors: u32,
}

/// A translation that stopped.
#[derive(Debug)]
pub(crate) struct RecircNode {
    pub(crate) id: u32,
    pub(crate) bridge: String,
    state: Arc<FrozenState>,
}

impl RecircNode {
    /// Where the packet first came in.
    pub(crate) fn in_port(&self) -> OfPort {
        self.state.pipeline.in_port
    }
}

/// How long an identity that no flow names stays: for packets on their way, and for somebody who
/// has just been shown it.
const GRACE: Duration = Duration::from_secs(1);

/// Old states that are looked at when one comes. More than one, so that they go at least as fast
/// as they come.
const PER_PUT: usize = 4;

/// All translations that stopped, by identity.
#[derive(Default)]
pub(crate) struct RecircTable {
    /// The identity given last.
    last: AtomicU32,
    /// Locked by the threads that translate, which are the datapath's and the revalidator's, for
    /// a bounded number of steps.
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    by_id: HashMap<u32, Weak<RecircNode>>,
    by_state: HashMap<Arc<FrozenState>, Weak<RecircNode>>,
    /// SavedState for [`GRACE`], whether or not a flow names them.
    recent: VecDeque<(Time, Arc<RecircNode>)>,
    /// What is in the maps, in the order in which it is looked at.
    known: VecDeque<(u32, Arc<FrozenState>)>,
}

impl RecircTable {
    /// An identity that has not been given before (in the last 2^32 times). Takes no lock.
    pub(crate) fn new_id(&self) -> u32 {
        loop {
            let id = self.last.fetch_add(1, Relaxed).wrapping_add(1);
            if id != 0 {
                return id;
            }
        }
    }

    #[cfg(test)]
    pub(crate) fn hold(&self) -> impl Drop {
        self.inner.lock()
    }

    pub(crate) fn get(&self, id: u32) -> Option<Arc<RecircNode>> {
        self.inner.lock().by_id.get(&id)?.upgrade()
    }

    fn put(&self, now: Time, state: FrozenState) -> Arc<RecircNode> {
        let mut inner = self.inner.lock();
        inner.forget(now, PER_PUT);
        let state = Arc::new(state);
        if let Some(same) = inner.by_state.get(&state).and_then(Weak::upgrade) {
            return same;
        }
        let mut id = self.new_id();
        while inner.by_id.contains_key(&id) {
            id = self.new_id();
        }
        let frozen =
            Arc::new(RecircNode { id, bridge: state.bridge.clone(), state: state.clone() });
        inner.by_id.insert(id, Arc::downgrade(&frozen));
        inner.by_state.insert(state.clone(), Arc::downgrade(&frozen));
        inner.recent.push_back((now, frozen.clone()));
        inner.known.push_back((id, state));
        frozen
    }

    /// Forgets all states that no flow names and whose time is over; looks at up to `slice` of
    /// them while the table is locked.
    pub(crate) fn forget(&self, now: Time, slice: usize) {
        let mut left = self.inner.lock().known.len();
        while left > 0 {
            self.inner.lock().forget(now, slice);
            left = left.saturating_sub(slice);
        }
    }
}

impl Inner {
    /// Lets up to `max` states go whose time is over, and looks at up to `max` others whether a
    /// flow still names them.
    fn forget(&mut self, now: Time, max: usize) {
        for _ in 0..max {
            if self.recent.front().is_none_or(|(at, _)| now.since(*at) <= GRACE) {
                break;
            }
            self.recent.pop_front();
        }
        for _ in 0..max.min(self.known.len()) {
            let Some((id, state)) = self.known.pop_front() else { break };
            if self.by_id.get(&id).is_some_and(|f| f.strong_count() > 0) {
                self.known.push_back((id, state));
                continue;
            }
            self.by_id.remove(&id);
            // The same state may have got another identity since.
            if self.by_state.get(&state).is_some_and(|f| f.strong_count() == 0) {
                self.by_state.remove(&state);
            }
        }
    }
}

impl Translator<'_> {
    /// Stops here; with `pause` until a controller says to go on.
    pub(super) fn start_freezing(&mut self, pause: Option<Controller>) {
        self.exit = true;
        self.freeze = Some(PendingFreeze { pause, steps: Vec::new(), from: None });
    }

    /// Whether the translation stops, and what is still to be done has not been kept yet.
    pub(super) fn freezes_first(&self) -> bool {
        self.freeze.as_ref().is_some_and(|f| f.steps.is_empty())
    }

    /// Keeps actions for when the packet comes back, if it does.
    pub(super) fn freeze_rest(&mut self, actions: &[OfAction]) {
        let (table, cookie) = (self.table, self.cookie);
        let Some(freeze) = &mut self.freeze else { return };
        for a in actions {
            let needs_place = match a {
                OfAction::OutputReg { .. }
                | OfAction::OutputTrunc { .. }
                | OfAction::Group(_)
                | OfAction::Output { .. }
                | OfAction::Controller(_)
                | OfAction::DecMplsTtl
                | OfAction::DecTtl(_) => true,
                OfAction::Resubmit { table, .. } => *table == 255,
                _ => false,
            };
            if needs_place && freeze.from != Some((table, cookie)) {
                freeze.from = Some((table, cookie));
                freeze.steps.push(FrozenStep::From { table, cookie });
            }
            let kept = match a {
                OfAction::Note(_) | OfAction::Conjunction { .. } => continue,
                // Instructions become actions that do the same.
                OfAction::GotoTable(table) => OfAction::Resubmit {
                    in_port: OfPort::IN_PORT,
                    table: *table,
                    ct: false,
                    short: false,
                },
                OfAction::WriteMetadata { value, mask } => OfAction::SetField {
                    field: Field::Metadata,
                    value: (*value).into(),
                    mask: (*mask).into(),
                    form: openflow::action::SetForm::SetField,
                },
                other => other.clone(),
            };
            freeze.steps.push(FrozenStep::Do(kept));
        }
    }

    fn state(&self, table: u8, steps: Vec<FrozenStep>, userdata: Vec<u8>) -> FrozenState {
        FrozenState {
            bridge: self.here().name.clone(),
            table,
            pipeline: Fields { actset_output: OfPort::UNSET, ..pipeline(&self.flow) },
            stack: self.stack.clone(),
            action_set: self.action_set.clone(),
            steps,
            userdata,
            mirrors: self.mirrors,
        }
    }

    fn keep_frozen(&mut self, state: FrozenState) -> u32 {
        let frozen = self.frozen.put(self.now, state);
        let id = frozen.id;
        self.deps.frozen.push(frozen);
        id
    }

    /// An identity for the packet as it is here, for a controller.
    pub(super) fn freeze_here(&mut self, userdata: &[u8]) -> u32 {
        let mut state = self.state(self.table, Vec::new(), userdata.to_vec());
        state.action_set.clear();
        self.keep_frozen(state)
    }

    /// The packet goes round, or to a controller that may hand it back.
    pub(super) fn finish_freezing(&mut self) {
        self.commit();
        let Some(freeze) = self.freeze.take() else { return };
        let userdata = freeze.pause.as_ref().map_or_else(Vec::new, |c| c.userdata.clone());
        let state = self.state(0, freeze.steps, userdata);
        let id = self.keep_frozen(state);
        match freeze.pause {
            // Nobody is there to go on: only somebody asks what would happen.
            Some(_) if self.is_traced() && self.learning == Learning::No => {}
            Some(c) => self.push_controller(c.max_len, c.reason, c.id, &c.userdata, id, true),
            None => self.push_action(Action::Recirc(id)),
        }
    }

    /// Goes on with a packet that came back.
    pub(super) fn resume(&mut self, frozen: &RecircNode) {
        let state = frozen.state.clone();
        let at = self.trace_depth();
        self.enter(NodeKind::Thaw, || "thaw".to_owned());
        self.note(NodeKind::Thaw, format!("Resuming from table {}", state.table));
        self.table = state.table;
        let key = self.flow.key;
        self.flow = state.pipeline;
        self.flow.key = wire::FlowKey { pkt_mark: key.pkt_mark, ..key };
        self.stack.clone_from(&state.stack);
        self.stack_size =
            state.stack.iter().map(|(_, bits)| usize::from(bits.div_ceil(8)) + 1).sum();
        self.mirrors = state.mirrors;
        if !state.action_set.is_empty() {
            let text =
                self.with_names(|names| openflow::text::print_actions(&state.action_set, names));
            self.note(NodeKind::Thaw, format!("Restoring action set: {text}"));
            for a in &state.action_set {
                match a {
                    OfAction::Output { port, .. } if !self.set_has_group => {
                        self.flow.actset_output = *port;
                    }
                    OfAction::Group(_) => self.set_has_group = true,
                    _ => {}
                }
            }
            self.action_set.clone_from(&state.action_set);
        }
        if !state.steps.is_empty() && self.is_traced() {
            let text: Vec<String> = state.steps.iter().map(|s| self.step_text(s)).collect();
            self.note(NodeKind::Thaw, format!("Restoring actions: {}", text.join(",")));
        }
        self.leave_to(at);
        let found = if state.steps.is_empty() {
            let found = self.find(self.flow.in_port, true, true);
            self.credit(&found);
            self.enter_table(&found, self.table);
            Some(found)
        } else {
            None
        };
        if self.in_place().is_some() && !self.may_receive() {
            return;
        }
        self.mirror_ingress();
        match &found {
            Some(found) => self.run_first(found),
            None => self.run_steps(&state.steps),
        }
        self.end_of_pipeline();
    }

    fn step_text(&self, step: &FrozenStep) -> String {
        match step {
            FrozenStep::From { table, cookie } => {
                format!("unroll_xlate(table={table}, cookie={})", hex(*cookie))
            }
            FrozenStep::Do(a) => {
                let one = std::slice::from_ref(a);
                self.with_names(|names| openflow::text::print_actions(one, names))
            }
        }
    }

    fn run_steps(&mut self, steps: &[FrozenStep]) {
        let mut rest = steps;
        while !rest.is_empty() {
            let from = |s: &FrozenStep| matches!(s, FrozenStep::From { .. });
            if let [FrozenStep::From { table, cookie }, after @ ..] = rest {
                if self.exit {
                    return;
                }
                (self.table, self.cookie) = (*table, *cookie);
                if self.is_traced() {
                    let text = self.step_text(&rest[0]);
                    self.note(NodeKind::Action, text);
                    let text = format!("restored state: table={table}, cookie={}", hex(*cookie));
                    self.note(NodeKind::Thaw, text);
                }
                rest = after;
                continue;
            }
            let n = rest.iter().position(from).unwrap_or(rest.len());
            let (now, after) = rest.split_at(n);
            let list: Vec<OfAction> = now
                .iter()
                .filter_map(|s| match s {
                    FrozenStep::Do(a) => Some(a.clone()),
                    FrozenStep::From { .. } => None,
                })
                .collect();
            self.run(&list, after.is_empty());
            rest = after;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(table: u8, mirrors: u32) -> FrozenState {
        FrozenState {
            bridge: "br0".to_owned(),
            table,
            pipeline: Fields::default(),
            stack: Vec::new(),
            action_set: Vec::new(),
            steps: Vec::new(),
            userdata: Vec::new(),
            mirrors,
        }
    }

    #[test]
    fn a_packet_sweeps_over_a_few_states_only() {
        let table = RecircTable::default();
        let start = Time::from_millis(1);
        let named = table.put(start, state(1, 0));
        for n in 0..1000 {
            table.put(start, state(0, n));
        }
        let len = || {
            let inner = table.inner.lock();
            assert_eq!(inner.by_id.len(), inner.known.len());
            assert_eq!(inner.by_id.len(), inner.by_state.len());
            inner.by_id.len()
        };
        assert_eq!(len(), 1001);
        let later = start + GRACE * 2;
        table.put(later, state(2, 0));
        assert!(len() >= 1002 - PER_PUT, "{} of 1002 are left", len());
        // They go faster than others come.
        for n in 0..2000 {
            table.put(later + Duration::from_millis(n) * 10, state(3, n as u32));
        }
        assert!(len() < 500, "{} are left", len());
        assert_eq!(table.get(named.id).map(|f| f.id), Some(named.id), "a flow names it");
        table.forget(later + Duration::from_secs(100), 7);
        table.forget(later + Duration::from_secs(100), 7);
        assert_eq!(len(), 1);
        let same = table.put(later + Duration::from_secs(100), state(1, 0));
        assert_eq!(same.id, named.id);
    }
}
