//! Everything as text.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datapath::format::{self, Show};
use datapath::{Action, Execute, Packet, PortNo, UserspaceReason};
use openflow::action_check::{self, Limits};
use openflow::text::{self, Names, NoNames};
use openflow::{Fields, Match, OfError, Version};
use wire::{FlowKey, Time};

use super::args::{self, Args};
use super::target::{self, BridgeNames, PortNames, Target};
use super::{TraceTree, render};
use crate::ofproto::Ofproto;
use crate::snapshot::Bridge;
use crate::translate::{Learning, Source, XlateOut};

impl Ofproto {
    /// `ofproto/trace`: the arguments as given on the command line, the text as Open vSwitch
    /// prints it. With a packet everything that the packet would cause happens, except that it is
    /// not sent anywhere. For the revalidator's thread, which may lock MAC tables; the packet
    /// thread has packets to forward.
    ///
    /// # Errors
    ///
    /// The text that is printed instead.
    pub fn trace(&self, now: Time, argv: &[&str], ports: &dyn PortNames) -> Result<String, String> {
        let args = args::parse(argv, false)?;
        self.trace_with(now, args, None, ports)
    }

    /// `ofproto/trace-packet-out`: the same for actions that a controller sends with the packet.
    /// They are the last argument.
    ///
    /// # Errors
    ///
    /// The text that is printed instead.
    pub fn trace_packet_out(
        &self,
        now: Time,
        argv: &[&str],
        ports: &dyn PortNames,
    ) -> Result<String, String> {
        let Some((actions, argv)) = argv.split_last() else {
            return Err("Syntax error".to_owned());
        };
        let actions = text::parse_actions(actions, &NoNames).map_err(|e| e.to_string())?;
        let args = args::parse(argv, true)?;
        self.trace_with(now, args, Some(actions), ports)
    }

    fn trace_with(
        &self,
        now: Time,
        args: Args<'_>,
        actions: Option<Vec<openflow::Action>>,
        ports: &dyn PortNames,
    ) -> Result<String, String> {
        let snap = self.snapshot.load_full();
        let target = target::find(&snap, &self.frozen, args.place, args.flow, args.packet, ports)?;
        if let Some(actions) = &actions {
            check(actions, &target.flow, args.consistent)
                .map_err(|e| format!("Bad actions: {e}"))?;
        }
        let (answer, tree) = self.translate_for_trace(now, &target, actions, args.names);
        let report = TraceOutput { ofproto: self, ports, names: args.names, target: &target };
        let bridge = &snap.bridges[target.bridge];
        Ok(report.text(bridge, &answer, &tree))
    }

    fn translate_for_trace(
        &self,
        now: Time,
        target: &Target,
        actions: Option<Vec<openflow::Action>>,
        names: bool,
    ) -> (XlateOut, TraceTree) {
        // A packet leaves what any packet leaves: what is learned from it.
        let learning = if target.packet.is_some() { Learning::Packet } else { Learning::No };
        let actions = actions.as_deref();
        let source = Source::Bridge {
            bridge: target.bridge,
            flow: &target.flow,
            actions,
            packet_out: false,
        };
        let mut tree = TraceTree::default();
        let answer = self.translate_told(now, source, learning, Some(&mut tree), names);
        if !answer.deps.macs_are(self.mac_changes.load(Ordering::Acquire)) {
            self.call_revalidator();
        }
        (answer, tree)
    }
}

impl Ofproto {
    /// The trace of a packet whose translation failed, for the log. To be called only where MAC
    /// tables may be locked.
    pub(crate) fn failed_way(&self, now: Time, key: &FlowKey) -> Option<String> {
        let snap = self.snapshot.load_full();
        let place = snap.port(PortNo(key.in_port))?;
        let flow = Fields { key: *key, in_port: snap.iface(place).of_port, ..Fields::default() };
        let mut tree = TraceTree::default();
        let answer =
            self.translate_told(now, Source::Key(key), Learning::No, Some(&mut tree), false);
        let target = Target { bridge: place.bridge, flow, packet: None };
        let report =
            TraceOutput { ofproto: self, ports: &NoPortNames, names: false, target: &target };
        Some(report.text(&snap.bridges[place.bridge], &answer, &tree))
    }
}

struct NoPortNames;

impl PortNames for NoPortNames {
    fn number(&self, _: &str) -> Option<PortNo> {
        None
    }

    fn name(&self, _: PortNo) -> Option<String> {
        None
    }
}

/// What would be checked of a packet-out. `consistent` holds the actions to the rules of
/// OpenFlow 1.1 and later.
fn check(actions: &[openflow::Action], flow: &Fields, consistent: bool) -> Result<(), OfError> {
    let matching = Match { value: *flow, mask: text::packet_mask(flow) };
    let version = if consistent { Version::V13 } else { Version::V10 };
    action_check::check(actions, &matching, version, Limits { table: 0, ..Limits::NONE })
}

struct TraceOutput<'a> {
    ofproto: &'a Ofproto,
    ports: &'a dyn PortNames,
    names: bool,
    target: &'a Target,
}

impl TraceOutput<'_> {
    fn text(&self, bridge: &Bridge, answer: &XlateOut, tree: &TraceTree) -> String {
        let mut out = String::new();
        let bridge_names = BridgeNames(bridge);
        let names: &dyn Names = if self.names { &bridge_names } else { &NoNames };
        let flow = &self.target.flow;
        out += &format!("Flow: {}\n", text::print_fields(flow, names));
        render::nodes(tree, &mut out);

        out += "\nFinal flow: ";
        if answer.flow == *flow {
            out += "unchanged";
        } else {
            out += &text::print_fields(&answer.flow, names);
        }
        let megaflow = Match { value: flow.masked(&answer.wc), mask: answer.wc };
        out += &format!("\nMegaflow: {}\n", text::print_match(&megaflow, 0x8000, names));
        out += &format!("Datapath actions: {}", self.shown(&answer.actions, &flow.key));
        match answer.failure {
            Some(e) => out += &format!("\nTranslation failed ({e}), packet is dropped.\n"),
            None => {
                explain(&answer.slow, &mut out);
                if let Some(packet) = &self.target.packet {
                    self.carry_out(packet, flow, &answer.actions);
                }
            }
        }
        out
    }

    fn shown(&self, actions: &[Action], key: &FlowKey) -> String {
        let datapath = self.ofproto.datapath();
        let table = |id| datapath.as_ref().and_then(|d| d.table(id));
        let name = |port: PortNo| self.ports.name(port);
        let names = self.names.then_some(&name as _);
        format::shown_actions(actions, key, Show { table: &table, names, more: false })
    }

    /// Does what the packet causes, but sends it nowhere.
    fn carry_out(&self, packet: &Packet, flow: &Fields, actions: &[Action]) {
        let actions = without_outputs(actions);
        if let (Some(datapath), false) = (self.ofproto.datapath(), actions.is_empty()) {
            let in_port = PortNo(flow.key.in_port);
            datapath.execute(Execute { packet: packet.to_owned_packet(), in_port, actions });
        }
    }
}

/// Why the packet's way is not one that the datapath goes alone.
fn explain(slow: &[UserspaceReason], out: &mut String) {
    if slow.is_empty() {
        return;
    }
    *out += "\nThis flow is handled by the userspace slow path because it:";
    for reason in slow {
        let text = match reason {
            UserspaceReason::Cfm => "Consists of CFM packets",
            UserspaceReason::Bfd => "Consists of BFD packets",
            UserspaceReason::Lacp => "Consists of LACP packets",
            UserspaceReason::Probe => "Consists of answers to probes",
            UserspaceReason::Stp => "Consists of STP packets",
            UserspaceReason::Lldp => "Consists of LLDP packets",
            UserspaceReason::Controller => {
                "Sends \"packet-in\" messages to the OpenFlow controller"
            }
            UserspaceReason::Action => "Uses action(s) not supported by datapath",
            UserspaceReason::Match => "Datapath can't match specifically enough",
        };
        *out += &format!("\n  - {text}.");
    }
}

/// The actions but for those that send the packet somewhere.
fn without_outputs(actions: &[Action]) -> Vec<Action> {
    let mut left = Vec::new();
    for action in actions {
        match action {
            Action::Output(_)
            | Action::OutputBucket { .. }
            | Action::LbOutput { .. }
            | Action::Recirc(_) => {}
            Action::Clone(inner) => {
                left.push(Action::Clone(Arc::new(without_outputs(inner))));
            }
            other => left.push(other.clone()),
        }
    }
    left
}
