//! Packets that come back: a translation that stops, and resumes with another look at the packet.

use std::sync::Arc;

use datapath::Action;
use openflow::{Action as OfAction, Fields, OfPort};

use crate::recirc::{FrozenState, FrozenStep};
use crate::trace::NodeKind;

use super::context::Translator;
use super::mirroring::Mirroring;
use super::options::hex;
use super::pipeline_state::RegisterStack;
use super::xlate::Learning;

impl Translator<'_> {
    /// Keeps the actions of the current rule that are left, if the translation stops to resume.
    pub(super) fn freeze_rest(&mut self, actions: &[OfAction]) {
        self.progress.freeze_rest(actions, self.at.table(), self.at.cookie());
    }

    fn frozen_state(&self, table: u8, steps: Vec<FrozenStep>, userdata: Vec<u8>) -> FrozenState {
        FrozenState {
            bridge: self.here().name.clone(),
            table,
            pipeline: Fields { actset_output: OfPort::UNSET, ..self.flow.pipeline() },
            stack: self.stack.values().to_vec(),
            action_set: self.action_set.written().to_vec(),
            steps,
            userdata,
            mirrors: self.mirroring.copied(),
        }
    }

    /// The identity of a state, which lives as long as the flow that is translated.
    fn recirc_id(&mut self, state: FrozenState) -> u32 {
        let node = self.input.frozen.put(self.input.now, state);
        let id = node.id();
        self.deps.hold(node);
        id
    }

    /// An identity for the packet as it is here, for a controller.
    pub(super) fn freeze_here(&mut self, userdata: &[u8]) -> u32 {
        let mut state = self.frozen_state(self.at.table(), Vec::new(), userdata.to_vec());
        state.action_set.clear();
        self.recirc_id(state)
    }

    /// The packet goes round, or to a controller that may hand it back.
    pub(super) fn finish_freezing(&mut self) {
        self.commit();
        let Some(freeze) = self.progress.take_freeze() else { return };
        let (pause, steps) = freeze.into_parts();
        let userdata = pause.as_ref().map_or_else(Vec::new, |c| c.userdata.clone());
        let state = self.frozen_state(0, steps, userdata);
        let id = self.recirc_id(state);
        match pause {
            // No packet is there, so no controller can hand it back.
            Some(_) if self.trace.is_on() && self.input.learning == Learning::No => {}
            Some(c) => self.push_controller(c.max_len, c.reason, c.id, &c.userdata, id, true),
            None => self.out.push(Action::Recirc(id)),
        }
    }

    /// Takes over the state of a packet that came back.
    pub(super) fn restore_frozen(&mut self, state: &Arc<FrozenState>) {
        let at = self.trace.depth();
        self.trace.enter(NodeKind::Thaw, || "thaw".to_owned());
        self.note(NodeKind::Thaw, format!("Resuming from table {}", state.table));
        self.at.set_table(state.table);
        self.flow.resume(&state.pipeline);
        self.stack = RegisterStack::of(&state.stack);
        self.mirroring = Mirroring::of(state.mirrors);
        if !state.action_set.is_empty() {
            let text =
                self.with_names(|names| openflow::text::print_actions(&state.action_set, names));
            self.note(NodeKind::Thaw, format!("Restoring action set: {text}"));
            if let Some(port) = self.action_set.write(&state.action_set) {
                self.flow.set_actset_output(port);
            }
        }
        if !state.steps.is_empty() && self.trace.is_on() {
            let text: Vec<String> = state.steps.iter().map(|s| self.step_text(s)).collect();
            self.note(NodeKind::Thaw, format!("Restoring actions: {}", text.join(",")));
        }
        self.trace.leave_to(at);
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

    /// Carries out what a frozen state has left.
    pub(super) fn run_steps(&mut self, steps: &[FrozenStep]) {
        let mut rest = steps;
        while !rest.is_empty() {
            let from = |s: &FrozenStep| matches!(s, FrozenStep::From { .. });
            if let [FrozenStep::From { table, cookie }, after @ ..] = rest {
                if self.progress.exits() {
                    return;
                }
                self.at.resume_in(*table, *cookie);
                if self.trace.is_on() {
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
