//! Upcalls of the datapath, and packet-outs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use datapath::{
    Execute, FlowHandle, Packet, PortNo, SlowPath, ToController, Translation, Upcall,
    UserspaceReason,
};
use openflow::action::PacketInReason;
use openflow::msg::{PacketIn, PacketInFormat, PacketOut};
use openflow::{Field, Fields, Match, OfError, Version};
use wire::{EtherType, FlowKey, Time};

use crate::hooks::FlowEvent;
use crate::ofproto::Ofproto;
use crate::packet_in::QueuedPacketIn;
use crate::translate::{
    Failure, Learning, PacketInContext, ReportLevel, Source, XlateOut, XlateReport,
};
use crate::xlate_cache::XlateCache;

impl Upcall for Ofproto {
    fn miss(&self, now: Time, packet: &Packet, key: &FlowKey) -> Translation {
        if self.held.load(Ordering::Acquire) {
            return self.held_back(now, key);
        }
        let mut answer = self.translate(now, Source::Key(key), Learning::Packet);
        if key.eth_type == EtherType::RARP && key.recirc_id == 0 {
            self.hooks.announced(PortNo(key.in_port));
        }
        self.report(&answer);
        self.report_failure(now, key, &answer);
        if !answer.deps.macs_are(self.mac_changes.load(Ordering::Acquire)) {
            self.totals.learned_wake();
            self.call_revalidator();
        }
        // The datapath does not count the packet that missed in the flow that it installs.
        answer.deps.attribute(1, packet.len() as u64, now, key.tcp_flags);
        let mask = answer.mask;
        let install = answer.install;
        Translation {
            actions: answer.take_flow_actions().into(),
            mask,
            install,
            notes: Some(Arc::new(XlateCache::new(answer.deps))),
        }
    }

    fn flow_added(&self, flow: &FlowHandle) {
        self.hooks.flow(FlowEvent::Added, flow);
    }

    fn slow_path(&self, now: Time, what: SlowPath<'_>) {
        if what.reason == UserspaceReason::Action {
            // The datapath cannot carry out the flow: this packet is translated on its own. The flow
            // has counted it.
            let answer = self.translate(now, Source::Key(what.key), Learning::Packet);
            let link = answer.slow.iter().find(|r| **r != UserspaceReason::Action).copied();
            if let Some(reason) = link {
                self.consumed(now, SlowPath { reason, ..what });
            }
            self.execute(what.packet.to_owned_packet(), what.in_port, answer);
            return;
        }
        self.consumed(now, what);
    }

    fn to_controller(&self, now: Time, what: &ToController, packet: &Packet, key: &FlowKey) {
        let _ = now;
        if what.dont_send || !self.hooks.takes_packet_ins() {
            return;
        }
        let Some(context) = what.notes.get::<PacketInContext>() else { return };
        let octets = packet.data().to_vec();
        let to = QueuedPacketIn {
            bridge: context.bridge.clone(),
            controller_id: what.controller_id,
            max_len: what.max_len,
            packet: PacketIn {
                format: PacketInFormat::Standard,
                reason: PacketInReason(what.reason),
                table_id: what.table,
                cookie: (what.cookie != u64::MAX).then_some(what.cookie),
                metadata: metadata(&context.pipeline, key),
                total_len: u32::try_from(octets.len()).unwrap_or(u32::MAX),
                packet: octets,
                buffer_id: None,
                userdata: what.userdata.clone(),
                continuation: continuation(what),
            },
        };
        if !self.hooks.packet_in(to) {
            self.totals.packet_in_lost();
        }
    }
}

impl Ofproto {
    /// A packet that missed while traffic is held ([`Ofproto::hold`]): it is not forwarded and
    /// nothing is learned.
    fn held_back(&self, now: Time, key: &FlowKey) -> Translation {
        let mut answer = self.translate(now, Source::Key(key), Learning::No);
        let link = answer.slow.iter().any(|r| *r != UserspaceReason::Action);
        let actions = if link { answer.take_flow_actions() } else { Vec::new() };
        Translation { actions: actions.into(), mask: answer.mask, install: false, notes: None }
    }

    fn consumed(&self, now: Time, what: SlowPath<'_>) {
        self.hooks.frame(now, what);
    }

    /// Logs what a translation reports.
    fn report(&self, answer: &XlateOut) {
        for r in &answer.reports {
            self.hooks.report(r);
        }
    }

    /// Logs the trace of a packet that ran in circles, at most once a minute: it is long.
    fn report_failure(&self, now: Time, key: &FlowKey, answer: &XlateOut) {
        if !matches!(answer.failure, Some(Failure::TooDeep | Failure::TooManyResubmits)) {
            return;
        }
        if self.hooks.takes_reports()
            && self.totals.may_log_failure(now)
            && let Some(text) = self.failed_way(now, key)
        {
            let module = "ofproto_dpif_upcall";
            self.hooks.report(&XlateReport { level: ReportLevel::Warn, module, text });
        }
    }

    fn execute(&self, packet: Packet, in_port: PortNo, answer: XlateOut) {
        if !answer.actions.is_empty()
            && let Some(datapath) = self.datapath()
        {
            datapath.execute(Execute { packet, in_port, actions: answer.actions });
        }
    }

    /// Carries out a controller's packet-out, soon, on a datapath thread.
    ///
    /// # Errors
    ///
    /// `BrcEperm` when there is no such bridge.
    pub fn packet_out(
        &self,
        now: Time,
        bridge: &str,
        what: &PacketOut,
        _version: Version,
    ) -> Result<(), OfError> {
        self.bridge_state(bridge).map_err(|_| OfError::BrcEperm)?;
        let ofproto = self.me.clone();
        let (bridge, what) = (bridge.to_owned(), what.clone());
        self.run(Box::new(move || {
            if let Some(ofproto) = ofproto.upgrade() {
                ofproto.packet_out_here(now, &bridge, &what);
            }
        }));
        Ok(())
    }

    /// As [`Ofproto::packet_out`], where MAC tables may be locked.
    fn packet_out_here(&self, now: Time, bridge: &str, what: &PacketOut) {
        let snap = self.snapshot.load_full();
        let Some(b) = snap.bridges.iter().position(|b| b.name == bridge) else { return };
        let in_port = what.metadata.value.in_port;
        let place = snap.bridges[b].of_port(in_port);
        let place =
            place.map(|(bundle, iface)| crate::snapshot::Place { bridge: b, bundle, iface });
        let port = place.and_then(|p| snap.datapath_port(p)).unwrap_or(PortNo::NONE);
        let key = wire::extract(&what.packet, port.0);
        let mut flow = Fields { key, ..what.metadata.value };
        flow.key.pkt_mark = what.metadata.value.key.pkt_mark;
        let source = Source::Bridge {
            bridge: b,
            flow: &flow,
            actions: Some(&what.actions),
            packet_out: true,
        };
        let answer = self.translate(now, source, Learning::Packet);
        self.report(&answer);
        answer.deps.attribute(1, what.packet.len() as u64, now, key.tcp_flags);
        let packet = Packet::new(&what.packet);
        let link = answer.slow.iter().find(|r| **r != UserspaceReason::Action).copied();
        if let Some(reason) = link {
            self.consumed(now, SlowPath { reason, in_port: port, packet: &packet, key: &key });
        }
        self.execute(packet, port, answer);
    }
}

/// The metadata of a packet-in: the port, and the fields of the pipeline that are not zero.
fn metadata(pipeline: &Fields, key: &FlowKey) -> Match {
    let mut m = Match::default();
    m.set(Field::InPort, pipeline.in_port.0.into());
    let fields = [
        Field::TunId,
        Field::TunSrc,
        Field::TunDst,
        Field::TunIpv6Src,
        Field::TunIpv6Dst,
        Field::Metadata,
        Field::CtState,
        Field::CtZone,
        Field::CtMark,
        Field::CtLabel,
    ];
    for field in fields.into_iter().chain((0..32).map(Field::Reg)) {
        let v = pipeline.get(field);
        if v != 0 {
            m.set(field, v);
        }
    }
    if key.pkt_mark != 0 {
        m.set(Field::PktMark, key.pkt_mark.into());
    }
    m
}

/// The continuation, which a controller hands back to resume its packet.
fn continuation(what: &ToController) -> Vec<u8> {
    if what.continuation { what.recirc_id.to_be_bytes().to_vec() } else { Vec::new() }
}
