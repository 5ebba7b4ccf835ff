//! Bundles: messages that take effect together when the controller says so (1.4 clause 6.9).

use openflow::OfError;
use openflow::codec;
use openflow::msg::{Body, BundleAdd, BundleControl, BundleOp, bundle_flags};

use super::agent::Agent;
use super::bundle_store::{BundleEntry, BundleItem, OfpBundle};
use super::packet_check::{check_existing, check_packet_out};
use super::qos::group_mod;
use super::request::Request;
use super::types::LogLevel;
use crate::tables::{FlowTables, INTERNAL_TABLE, RuleChanges};

impl Agent {
    pub(super) fn bundle_control(
        &mut self,
        r: &Request<'_>,
        b: BundleControl,
    ) -> Result<(), OfError> {
        self.conns.not_secondary(r)?;
        let Some((op, false)) = BundleOp::from_wire(b.typ) else {
            return Err(OfError::BfcBadType);
        };
        match op {
            BundleOp::Open => self.bundle_open(r, b)?,
            BundleOp::Close => self.conns.of(r)?.bundles.close(r.now, b.id, b.flags)?,
            BundleOp::Commit => self.bundle_commit(r, b)?,
            BundleOp::Discard => {
                drop(self.conns.of(r)?.bundles.take(b.id)?);
            }
        }
        let reply = BundleControl { id: b.id, typ: op.wire(true), flags: 0 };
        self.conns.reply(r, Body::BundleControl(reply));
        Ok(())
    }

    fn bundle_open(&mut self, r: &Request<'_>, b: BundleControl) -> Result<(), OfError> {
        let opened = self.conns.of(r)?.bundles.open(r.now, b.id, b.flags, r.frame);
        if opened == Err(OfError::BfcBadId) {
            let text = format!("Bundle {:x} already exists.", b.id);
            self.conns.log(LogLevel::Info, "bundles", text, None);
        }
        opened
    }

    pub(super) fn bundle_add(&mut self, r: &Request<'_>, b: BundleAdd) -> Result<(), OfError> {
        self.conns.not_secondary(r)?;
        let protocol = self.conns.of(r)?.protocol();
        let kind = match codec::peek(&b.message, r.version) {
            Ok(p) if p.fits => p.kind,
            _ => return Err(self.not_for_bundles("it cannot be read".to_owned())),
        };
        use codec::Kind;
        if !matches!(
            kind,
            Kind::FlowMod | Kind::NxFlowMod | Kind::PortMod | Kind::PacketOut | Kind::GroupMod
        ) {
            return Err(self.not_for_bundles(format!("{kind:?} may not be in one")));
        }
        let entry = match codec::decode(&b.message, protocol)?.body {
            // Only what can be known before the commit.
            Body::FlowMod(m) if !m.command.is_delete() && m.table_id == INTERNAL_TABLE => {
                return Err(OfError::BrcEperm);
            }
            Body::FlowMod(m) => BundleEntry::Flow(m),
            Body::PortMod(m) => BundleEntry::Port(m),
            Body::PacketOut(p) => {
                check_packet_out(&p, r.version)?;
                BundleEntry::Packet(p)
            }
            Body::Raw { kind: Kind::GroupMod, body } => {
                group_mod(&body)?;
                BundleEntry::Nothing
            }
            _ => return Err(OfError::BfcMsgUnsup),
        };
        let item = BundleItem { entry, frame: r.frame.to_vec() };
        self.conns.of(r)?.bundles.add(r.now, b.id, b.flags, item)
    }

    fn not_for_bundles(&mut self, why: String) -> OfError {
        let text = format!("a bundle was given a message that it cannot hold: {why}");
        self.conns.log(LogLevel::Warn, "ofp_bundle", text, Some((1, 5)));
        OfError::BfcMsgUnsup
    }

    /// Whatever comes of it, the bundle is gone afterwards.
    fn bundle_commit(&mut self, r: &Request<'_>, b: BundleControl) -> Result<(), OfError> {
        let bundle = self.conns.of(r)?.bundles.take(b.id)?;
        if bundle.flags() != b.flags {
            return Err(OfError::BfcBadFlags);
        }
        self.commit(r, &bundle).map_err(|(n, e)| {
            // The message that failed first, then the commit.
            self.refuse_message(r.conn, e, &bundle.items()[n].frame);
            OfError::BfcMsgFailed
        })
    }

    /// All of it, or nothing: the flow tables are put back as they were when a message fails, and
    /// ports and packets only follow when all messages are known to be well. The error comes with
    /// the place of the message that is at fault.
    fn commit(&mut self, r: &Request<'_>, bundle: &OfpBundle) -> Result<(), (usize, OfError)> {
        if bundle.items().iter().any(|i| !matches!(i.entry, BundleEntry::Flow(_))) {
            self.rehearse(r, bundle)?;
        }
        let changes = self.change_tables(r, bundle)?;
        let mut changes = changes.into_iter();
        for item in bundle.items() {
            match &item.entry {
                BundleEntry::Flow(m) => {
                    if let Some(c) = self.conns.get_mut(r.conn) {
                        c.flow_log.count(r.now, m.command);
                    }
                    if let Some(c) = changes.next() {
                        self.report(r.now, &c);
                    }
                }
                BundleEntry::Port(m) => self.apply_port_mod(r, m),
                BundleEntry::Packet(_) | BundleEntry::Nothing => {}
            }
        }
        self.flush_monitors(r.ops);
        Ok(())
    }

    /// Looks for the first message at fault, and changes nothing.
    fn rehearse(&self, r: &Request<'_>, bundle: &OfpBundle) -> Result<(), (usize, OfError)> {
        let atomic = bundle.flags() & bundle_flags::ATOMIC != 0;
        let check = |t: &mut FlowTables, item: &BundleItem| match &item.entry {
            BundleEntry::Flow(m) => t.flow_mod(r.now, m, &r.requester()).map(|_| ()),
            // Devices do not change at once.
            BundleEntry::Port(_) if atomic => Err(OfError::BfcMsgFailed),
            BundleEntry::Port(m) => self.ports.check_mod(m),
            BundleEntry::Packet(p) => check_existing(&p.actions),
            BundleEntry::Nothing => Ok(()),
        };
        let rehearsal = self.tables.with(r.ops, |t| {
            let before = t.clone();
            let mut items = bundle.items().iter().enumerate();
            let result = items.try_for_each(|(n, i)| check(t, i).map_err(|e| (n, e)));
            *t = before;
            result
        });
        rehearsal.map_err(|e| (0, e))?
    }

    /// Carries out the changes of flows, and sends the packets where they stand between them.
    fn change_tables(
        &mut self,
        r: &Request<'_>,
        bundle: &OfpBundle,
    ) -> Result<Vec<RuleChanges>, (usize, OfError)> {
        let requester = r.requester();
        let before = self.tables.with(r.ops, |t| t.clone()).map_err(|e| (0, e))?;
        let mut done = Vec::new();
        let mut at = 0;
        let fault = loop {
            // As far as the next packet: what it passes must be in effect.
            let rest = &bundle.items()[at..];
            let packet = rest.iter().position(|i| matches!(i.entry, BundleEntry::Packet(_)));
            let batch = &rest[..packet.unwrap_or(rest.len())];
            let work = self.tables.with(r.ops, |t| {
                for (n, item) in batch.iter().enumerate() {
                    if let BundleEntry::Flow(m) = &item.entry {
                        let change = t.flow_mod(r.now, m, &requester);
                        done.push(change.map_err(|e| (at + n, e))?);
                    }
                }
                Ok(())
            });
            match work {
                Ok(Ok(())) => {}
                Ok(Err(fault)) => break fault,
                Err(e) => break (at, e),
            }
            at += batch.len();
            let Some(BundleItem { entry: BundleEntry::Packet(p), .. }) = bundle.items().get(at)
            else {
                return Ok(done);
            };
            if let Err(e) = self.send_packet(r, p) {
                break (at, e);
            }
            self.packet_outs.settle(&self.bridge, r.ops);
            at += 1;
        };
        // The bridge was there a moment ago; if it is not, neither are its tables.
        let _ = self.tables.with(r.ops, |t| t.restore(before));
        Err(fault)
    }
}
