//! What is asked of a translation and what it answers.

use std::fmt;

use datapath::{Action, UserspaceReason};
use openflow::{Action as OfAction, Fields};
use wire::{FlowKey, FlowMask, Time};

use crate::recirc::RecircTable;
use crate::snapshot::Snapshot;
use crate::trace::TraceTree;
use crate::xlate_cache::Dependencies;

/// What is learned from a translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Learning {
    /// Nothing: no packet has passed.
    No,
    /// A packet, at the time of the translation.
    Packet,
    /// A flow was last used at this time.
    Flow(Time),
}

/// What is translated.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// A packet of the datapath, which knows its bridge by its port.
    Key(&'a FlowKey),
    /// A packet on a bridge, `flow.in_port` an OpenFlow port. If there are actions these run, else
    /// table 0's rules.
    Bridge { bridge: usize, flow: &'a Fields, actions: Option<&'a [OfAction]>, packet_out: bool },
}

/// The input of a translation.
pub(crate) struct XlateIn<'a> {
    pub(crate) snapshot: &'a Snapshot,
    pub(crate) source: Source<'a>,
    pub(crate) now: Time,
    pub(crate) learning: Learning,
    /// The MAC tables' count of changes, read before this.
    pub(crate) macs: u64,
    /// The flow tables' count of changes, read before this.
    pub(crate) tables: u64,
    pub(crate) frozen: &'a RecircTable,
    /// Where to report each step.
    pub(crate) trace: Option<&'a mut TraceTree>,
    /// Name ports in `trace`.
    pub(crate) names: bool,
}

/// Why a translation failed; the text is Open vSwitch's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    BridgeNotFound,
    TooDeep,
    TooManyResubmits,
    StackTooDeep,
    NoRecirculation,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Failure::BridgeNotFound => "Bridge not found",
            Failure::TooDeep => "Recursion too deep",
            Failure::TooManyResubmits => "Too many resubmits",
            Failure::StackTooDeep => "Stack too deep",
            Failure::NoRecirculation => "No recirculation context",
        })
    }
}

/// The level of a line for the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReportLevel {
    /// Something is wrong with a packet or with flow tables.
    Warn,
    /// Something is unusual.
    Info,
}

/// A line for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct XlateReport {
    /// Its level.
    pub level: ReportLevel,
    /// Open vSwitch's name of the module that logs it.
    pub module: &'static str,
    /// Its text.
    pub text: String,
}

/// The output of a translation.
pub(crate) struct XlateOut {
    /// What is done with this packet.
    pub(crate) actions: Vec<Action>,
    /// The megaflow's mask.
    pub(crate) mask: FlowMask,
    /// The part of `mask` that the actions depend on.
    pub(crate) needed: FlowMask,
    /// False: the next such packet may be translated differently, so no flow is installed.
    pub(crate) install: bool,
    /// The packet ran in circles over patch ports and is dropped.
    pub(crate) looped: bool,
    pub(crate) deps: Dependencies,
    /// The packet after the last action.
    pub(crate) flow: Fields,
    /// The wildcards, as `ofproto/trace` shows them.
    pub(crate) wc: Fields,
    /// Why the datapath cannot carry out the flow alone.
    pub(crate) slow: Vec<UserspaceReason>,
    pub(crate) failure: Option<Failure>,
    pub(crate) reports: Vec<XlateReport>,
}

impl XlateOut {
    /// Takes out the actions of the flow that does the same for the next packets.
    pub(crate) fn take_flow_actions(&mut self) -> Vec<Action> {
        let actions = std::mem::take(&mut self.actions);
        match self.slow.first() {
            None => actions,
            // Each packet is translated on its own.
            Some(UserspaceReason::Action) => vec![Action::Userspace(UserspaceReason::Action)],
            Some(reason) => {
                let sent_up = [Action::Userspace(*reason)];
                sent_up.into_iter().chain(actions).collect()
            }
        }
    }
}
