//! The state of one translation: its parts, and what several steps do with more than one of them.
//!
//! The parts keep their fields to themselves; steps (the modules with an `impl Translator`) work by
//! their methods.

use datapath::Action;
use openflow::text::Names;
use wire::Time;

use crate::recirc::RecircTable;
use crate::snapshot::{Bridge, Place};
use crate::trace::NodeKind;
use crate::xlate_cache::Dependencies;

use super::admission::AdmissionGate;
use super::flow_state::{FlowState, SavedFlow};
use super::limits::Limits;
use super::mirroring::Mirroring;
use super::output_list::OutputList;
use super::pipeline_state::{ActionSet, RegisterStack};
use super::position::Position;
use super::progress::Progress;
use super::xlate::Learning;
use super::xlate_trace::XlateTrace;

/// What stays as it is for all of a translation.
pub(super) struct Input<'a> {
    pub(super) now: Time,
    pub(super) learning: Learning,
    pub(super) frozen: &'a RecircTable,
    /// The actions are those of a packet-out.
    pub(super) packet_out: bool,
    /// `in_port` of the key that was asked about.
    pub(super) asked_port: u32,
}

/// One translation.
pub(super) struct Translator<'a> {
    pub(super) input: Input<'a>,
    pub(super) at: Position<'a>,
    pub(super) flow: FlowState,
    pub(super) stack: RegisterStack,
    pub(super) action_set: ActionSet,
    pub(super) out: OutputList,
    pub(super) progress: Progress,
    pub(super) limits: Limits,
    pub(super) admission_gate: AdmissionGate,
    pub(super) mirroring: Mirroring,
    pub(super) deps: Dependencies,
    pub(super) trace: XlateTrace<'a>,
}

/// What a copy of the packet must not change for the packet itself.
pub(super) struct SavedState {
    flow: SavedFlow,
    stack: RegisterStack,
    action_set: Vec<openflow::Action>,
}

impl<'a> Translator<'a> {
    /// The bridge that the packet is in.
    pub(super) fn here(&self) -> &'a Bridge {
        self.at.here()
    }

    /// Where the packet is in its bridge.
    pub(super) fn in_place(&self) -> Option<Place> {
        self.at.place(self.flow.in_port())
    }

    /// Whether the gate of the bond that the packet came in by may decide in the datapath: the
    /// packet is the datapath's, as it came, and nothing else happens to it.
    pub(super) fn is_gated(&self) -> bool {
        self.admission_gate.table().is_some()
            && !self.trace.is_on()
            && !self.progress.is_nested()
            && self.flow.key().eth_dst == self.flow.orig().eth_dst
    }

    /// Saves what belongs to the packet itself; the copy begins with empty stack and action set.
    pub(super) fn save(&mut self) -> SavedState {
        SavedState {
            flow: self.flow.save(),
            stack: std::mem::take(&mut self.stack),
            action_set: self.action_set.take_written(),
        }
    }

    /// Goes back to the packet itself.
    pub(super) fn restore(&mut self, saved: SavedState) {
        self.flow.restore(saved.flow);
        self.stack = saved.stack;
        self.action_set.put_back(saved.action_set);
    }

    /// Makes the packet in the datapath what it is here.
    pub(super) fn commit(&mut self) {
        self.out.commit(&mut self.flow);
    }

    /// Cuts the next copy to what its mirror wants.
    pub(super) fn cut_for_mirror(&mut self) {
        if let Some(len) = self.mirroring.snaplen().filter(|len| *len < u16::MAX) {
            self.out.push(Action::Trunc(len.into()));
        }
    }

    /// Adds a node to the trace.
    pub(super) fn note(&mut self, kind: NodeKind, text: impl Into<String>) {
        self.trace.note(kind, text);
    }

    /// Reports that something is wrong: to the trace, else to the log if a packet is there.
    pub(super) fn error(&mut self, text: impl Into<String>) {
        self.trace.error(self.at.here(), self.out.base(), text.into());
    }

    /// Reports something unusual.
    pub(super) fn info(&mut self, text: impl Into<String>) {
        self.trace.info(self.at.here(), self.out.base(), text.into());
    }

    /// Prints with the names of the bridge's ports, if they are wanted.
    pub(super) fn with_names<R>(&self, print: impl FnOnce(&dyn Names) -> R) -> R {
        self.trace.with_names(self.here(), print)
    }
}
