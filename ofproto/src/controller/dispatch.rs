//! Requests by type: which handler answers.

use openflow::codec::{self, Header};
use openflow::msg::{Body, Message};
use openflow::{OfError, Version};
use wire::Time;

use super::agent::Agent;
use super::request::Request;
use super::types::{Class, ConnId, LogLevel, SwitchOps};

/// Errors that are logged in a minute, and at once.
const ERRORS: Option<(u32, u32)> = Some((10, 10));

impl Agent {
    /// A message of a connection that is up.
    pub(super) fn receive_message(
        &mut self,
        now: Time,
        id: ConnId,
        frame: &[u8],
        ops: &dyn SwitchOps,
    ) {
        let (Some(c), Some(header)) = (self.conns.get(id), Header::peek(frame)) else { return };
        let version = c.version();
        if header.version != version.wire() && !self.is_versionless(&header, frame) {
            return self.refuse_version(id, &header, frame);
        }
        // What may be of another version is read as that.
        let version = Version::from_wire(header.version).unwrap_or(version);
        let Some(c) = self.conns.get_mut(id) else { return };
        match c.assembler.add(now, frame, version) {
            Err(e) => self.refuse_message(id, e, frame),
            Ok(None) => {}
            Ok(Some(frames)) => {
                let first = frames.first().map_or(frame, Vec::as_slice);
                let r = Request { now, conn: id, version, xid: header.xid, frame: first, ops };
                if let Err(e) = self.handle_all(&r, &frames) {
                    self.refuse_message(id, e, first);
                }
            }
        }
    }

    /// Whether a message may be of another version than the one agreed on.
    fn is_versionless(&self, header: &Header, frame: &[u8]) -> bool {
        let any = matches!(header.typ, 0..=3);
        let known = Version::from_wire(header.version);
        any && known.is_some_and(|v| codec::peek(frame, v).is_ok_and(|p| p.fits))
    }

    fn refuse_version(&mut self, id: ConnId, header: &Header, frame: &[u8]) {
        let Some(c) = self.conns.get(id) else { return };
        let text = format!(
            "{}: received OpenFlow version 0x{:02x} != expected {:02x}",
            c.name(),
            header.version,
            c.version().wire()
        );
        self.conns.log(LogLevel::Err, "vconn", text, Some((1, 5)));
        self.conns.send_error(id, OfError::BrcBadVersion, frame, Class::Other);
    }

    pub(super) fn refuse_message(&mut self, id: ConnId, error: OfError, frame: &[u8]) {
        if let Some(c) = self.conns.get(id) {
            let header = Header::peek(frame);
            let version = header.and_then(|h| Version::from_wire(h.version));
            let what = version.and_then(|v| codec::peek(frame, v).ok());
            let what = what.map_or("invalid".to_owned(), |p| format!("{:?}", p.kind));
            let text = format!("{}: sending {error} error reply to {what} message", c.name());
            self.conns.log(LogLevel::Info, "connmgr", text, ERRORS);
        }
        self.conns.send_error(id, error, frame, Class::Reply);
    }

    /// One request, of one message or several.
    fn handle_all(&mut self, r: &Request<'_>, frames: &[Vec<u8>]) -> Result<(), OfError> {
        let Some(c) = self.conns.get(r.conn) else { return Ok(()) };
        let protocol = c.protocol();
        let read = |frame: &Vec<u8>| codec::decode(frame, protocol).map(|m| m.body);
        let [one] = frames else {
            let mut tables = Vec::new();
            let mut monitors = Vec::new();
            for frame in frames {
                match read(frame)? {
                    Body::TableFeaturesRequest(t) => tables.extend(t),
                    Body::FlowMonitorRequest(m) => monitors.extend(m),
                    _ => return Err(OfError::BrcBadStat),
                }
            }
            return if monitors.is_empty() {
                self.table_features(r, tables)
            } else {
                self.flow_monitors(r, monitors)
            };
        };
        let message = codec::decode(one, protocol)?;
        self.handle(r, message)
    }

    fn handle(&mut self, r: &Request<'_>, message: Message) -> Result<(), OfError> {
        // Many commands of a kind make one change; what comes after them finds it done.
        if !matches!(message.body, Body::FlowMod(_)) {
            self.tables.publish(r.ops);
        }
        if !matches!(message.body, Body::PacketOut(_)) {
            self.packet_outs.settle(&self.bridge, r.ops);
        }
        match message.body {
            Body::EchoRequest(data) => {
                self.conns.reply(r, Body::EchoReply(data));
                Ok(())
            }
            Body::EchoReply(_) => Ok(()),
            Body::FeaturesRequest => self.features(r),
            Body::GetConfigRequest => self.get_config(r),
            Body::SetConfig(c) => self.set_config(r, c),
            Body::BarrierRequest => self.barrier(r),
            Body::RoleRequest(q) => self.role(r, q),
            Body::GetAsyncRequest => self.get_async(r),
            Body::SetAsync(a) => self.set_async(r, a),
            Body::SetFlowFormat { nxm } => self.set_flow_format(r, nxm),
            Body::FlowModTableId(on) => self.flow_mod_table_id(r, on),
            Body::SetPacketInFormat(f) => self.set_packet_in_format(r, f),
            Body::SetControllerId(id) => self.set_controller_id(r, id),
            // Ages are always sent.
            Body::FlowAge => Ok(()),
            Body::DescRequest => self.desc(r),

            Body::PortMod(m) => self.port_mod(r, &m),
            Body::PortStatsRequest(port) => self.port_stats(r, port),
            Body::PortDescRequest(port) => self.port_desc(r, port),
            Body::PacketOut(p) => self.packet_out(r, p),

            Body::FlowMod(m) => self.flow_mod(r, &m),
            Body::FlowStatsRequest(q) => self.flow_stats(r, &q),
            Body::AggregateRequest(q) => self.aggregate(r, &q),
            Body::TableMod(m) => self.table_mod(r, &m),
            Body::TableStatsRequest => self.table_stats(r),
            Body::TableDescRequest => self.table_desc(r),
            Body::TableFeaturesRequest(t) => self.table_features(r, t),
            Body::FlowMonitorRequest(m) => self.flow_monitors(r, m),
            Body::FlowMonitorCancel(id) => self.flow_monitor_cancel(r, id),
            Body::BundleControl(b) => self.bundle_control(r, b),
            Body::BundleAdd(b) => self.bundle_add(r, b),

            Body::QueueStatsRequest(q) => self.queue_stats(r, q),
            Body::QueueConfigRequest(q) => self.queue_config(r, q),
            Body::GroupStatsRequest(_) => self.group_stats(r),
            Body::GroupDescRequest(_) => self.group_desc(r),
            Body::GroupFeaturesRequest => self.group_features(r),
            Body::MeterStatsRequest(id) => self.meter_stats(r, id),
            Body::MeterConfigRequest(id) => self.meter_config(r, id),
            Body::MeterFeaturesRequest => self.meter_features(r),
            Body::Raw { kind, body } => self.other(r, kind, &body),

            // What only a switch says.
            Body::Hello { .. }
            | Body::Error(_)
            | Body::FeaturesReply(_)
            | Body::GetConfigReply(_)
            | Body::BarrierReply
            | Body::PacketIn(_)
            | Body::FlowRemoved(_)
            | Body::PortStatus(_)
            | Body::TableStatus(_)
            | Body::RoleReply(_)
            | Body::RoleStatus(_)
            | Body::GetAsyncReply(_)
            | Body::DescReply(_)
            | Body::FlowStatsReply { .. }
            | Body::AggregateReply { .. }
            | Body::TableStatsReply(_)
            | Body::TableFeaturesReply(_)
            | Body::TableDescReply(_)
            | Body::PortStatsReply(_)
            | Body::PortDescReply(_)
            | Body::FlowMonitorReply(_)
            | Body::FlowMonitorPaused
            | Body::FlowMonitorResumed
            | Body::QueueStatsReply(_)
            | Body::QueueConfigReply { .. }
            | Body::GroupFeaturesReply(_)
            | Body::MeterFeaturesReply(_) => Err(OfError::BrcBadType),
        }
    }
}
