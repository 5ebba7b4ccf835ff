//! Sending a packet out: to ports, to all of them, to controllers.

use std::sync::Arc;

use datapath::{Action, ToController};
use openflow::action::PacketInReason;
use openflow::msg::config;
use openflow::{Fields, OfPort};

use crate::config::IfaceKind;
use crate::snapshot::Place;
use crate::trace::NodeKind;

use super::context::Translator;
use super::options::{OnMiss, OutputOpts, RunOn, TableVisit};
use super::position::CurrentRule;
use super::xlate::Learning;

/// What a packet-in says of the pipeline, beside the packet itself.
#[derive(Clone, Debug, PartialEq)]
pub struct PacketInContext {
    /// The bridge whose controllers it is for.
    pub bridge: Arc<str>,
    /// Port, registers, metadata and tunnel; the packet's own fields are not of interest.
    pub pipeline: Fields,
}

impl Translator<'_> {
    /// The `output` action.
    pub(super) fn output_action(&mut self, port: OfPort, max_len: u16, to: OutputOpts) {
        match port {
            OfPort::IN_PORT => self.output_port(self.flow.in_port(), to),
            OfPort::TABLE => self.visit_table(TableVisit {
                table: 0,
                in_port: self.flow.in_port(),
                on_miss: if to.may_packet_in { OnMiss::PacketIn } else { OnMiss::NoPacketIn },
                last: false,
                run_on: RunOn::Packet,
            }),
            OfPort::NORMAL => self.normal(to.last),
            OfPort::FLOOD => self.flood(config::NO_FLOOD, to.last),
            OfPort::ALL => self.flood(0, to.last),
            OfPort::CONTROLLER => {
                let reason = if self.input.packet_out {
                    PacketInReason::PACKET_OUT
                } else if self.progress.in_action_set() {
                    PacketInReason::ACTION_SET
                } else {
                    PacketInReason::ACTION
                };
                self.output_controller(max_len, reason, 0, &[]);
            }
            OfPort::NONE => {}
            port if port == self.flow.in_port() => self.info("skipping output to input port"),
            port => self.output_port(port, to),
        }
    }

    /// To every port but the one it came in by and those with one of the bits `without`.
    fn flood(&mut self, without: u32, last: bool) {
        let bridge = self.here();
        let mut ports: Vec<OfPort> =
            bridge.bundles.iter().flat_map(|b| &b.ifaces).map(|i| i.of_port).collect();
        ports.retain(|p| *p != self.flow.in_port() && self.at.port_config(*p) & without == 0);
        ports.sort_unstable();
        let final_one = ports.len().saturating_sub(1);
        for (i, port) in ports.into_iter().enumerate() {
            self.output_port(port, OutputOpts::last(last && i == final_one));
        }
    }

    /// To one port of this bridge.
    pub(super) fn output_port(&mut self, port: OfPort, to: OutputOpts) {
        let Some(place) = self.at.place(port) else {
            self.note(NodeKind::Warning, "Nonexistent output port");
            return;
        };
        if self.at.port_config(port) & config::NO_FWD != 0 {
            self.note(NodeKind::Detail, "OFPPC_NO_FWD set, skipping output");
            return;
        }
        self.output_place(place, to);
    }

    /// To an interface of this bridge whose configuration lets packets out.
    pub(super) fn output_place(&mut self, place: Place, opts: OutputOpts) {
        let bundle = &self.at.snap().bridges[place.bridge].bundles[place.bundle];
        let iface = &bundle.ifaces[place.iface];
        let to = match &iface.kind {
            IfaceKind::Datapath(port) => Some(*port),
            IfaceKind::Patch { .. } => None,
        };
        if self.mirroring.snaplen().is_some() && to.is_none() {
            self.note(NodeKind::Warning, "Mirror truncate to ODPP_NONE, skipping output");
            return;
        }
        if self.between_protected(place.bundle) {
            self.note(NodeKind::Warning, "Flow is between protected ports, skipping output.");
            return;
        }
        match to {
            Some(port) => {
                self.commit();
                self.cut_for_mirror();
                self.out.push(Action::Output(port));
                self.mirror_egress(place.bundle);
            }
            None => {
                if opts.truncate {
                    self.error("Cannot truncate output to patch port");
                }
                self.output_patch(place, opts.last);
            }
        }
    }

    /// Whether the packet came in by a protected port and `bundle` is one too.
    pub(super) fn between_protected(&self, bundle: usize) -> bool {
        let bundles = &self.here().bundles;
        bundles[bundle].protected && self.in_place().is_some_and(|p| bundles[p.bundle].protected)
    }

    pub(super) fn output_trunc(&mut self, port: OfPort, max_len: u32, last: bool) {
        match port {
            OfPort::TABLE
            | OfPort::NORMAL
            | OfPort::FLOOD
            | OfPort::ALL
            | OfPort::CONTROLLER
            | OfPort::NONE => {
                let text = format!("output_trunc does not support port: {port}");
                self.note(NodeKind::Warning, text);
            }
            port if port == self.flow.in_port() => self.info("skipping output to input port"),
            port => {
                let real = self.at.place(port).and_then(|p| self.at.snap().datapath_port(p));
                // As upstream has it, `in_port` is taken as a number here: no port has it.
                if real.is_none() {
                    self.error(format!("output_trunc does not support patch port {port}"));
                    return;
                }
                self.out.push(Action::Trunc(max_len));
                self.output_action(
                    port,
                    0,
                    OutputOpts { last, may_packet_in: false, truncate: true },
                );
            }
        }
    }

    pub(super) fn enqueue(&mut self, port: OfPort, queue: u32, last: bool) {
        self.flow.look_at_queue();
        let port = match port {
            OfPort::IN_PORT => self.flow.in_port(),
            port if port == self.flow.in_port() => return,
            port => port,
        };
        let before = self.flow.set_queue(queue);
        self.output_port(port, OutputOpts::last(last));
        self.flow.set_queue(before);
    }

    /// Sends the packet as it is now to controllers.
    pub(super) fn output_controller(
        &mut self,
        max_len: u16,
        reason: PacketInReason,
        controller_id: u16,
        userdata: &[u8],
    ) {
        self.commit();
        // A rule that matches everything, of the lowest priority, is a table's miss entry.
        let reason = match self.at.rule() {
            Some(CurrentRule::Rule(r))
                if reason == PacketInReason::ACTION && r.priority == 0 && r.matches_all() =>
            {
                PacketInReason::EXPLICIT_MISS
            }
            _ => reason,
        };
        let recirc_id = self.freeze_here(userdata);
        self.push_controller(max_len, reason, controller_id, userdata, recirc_id, false);
    }

    pub(super) fn push_controller(
        &mut self,
        max_len: u16,
        reason: PacketInReason,
        controller_id: u16,
        userdata: &[u8],
        recirc_id: u32,
        continuation: bool,
    ) {
        let notes = PacketInContext {
            bridge: Arc::from(self.here().name.as_str()),
            pipeline: self.flow.pipeline(),
        };
        self.out.push(Action::Controller(Box::new(ToController {
            reason: reason.0,
            max_len,
            controller_id,
            cookie: self.at.cookie(),
            table: self.at.table(),
            // A trace without a packet sends nothing.
            dont_send: self.trace.is_on() && self.input.learning == Learning::No,
            continuation,
            recirc_id,
            userdata: userdata.to_vec(),
            notes: datapath::Notes::new(notes),
        })));
    }

    /// Shorter time-outs for the rule, now that its connection ends.
    pub(super) fn fin_timeout(&mut self, idle: u16, hard: u16) {
        if let Some(CurrentRule::Rule(rule)) = self.at.rule() {
            self.deps.shorten_at_fin(rule.stats.clone(), idle, hard);
        }
    }
}
