//! Bundles: messages that take effect together when the controller says so (1.4 clause 6.9).

use std::time::Duration;

use openflow::OfError;
use openflow::codec;
use openflow::msg::{
    Body, BundleAdd, BundleControl, BundleOp, FlowMod, PacketOut, PortMod, bundle_flags,
};
use wire::Time;

use super::packets::{check_existing, check_packet_out};
use super::shaping::group_mod;
use super::types::{Class, ConnId, LogLevel};
use super::{Agent, Request};
use crate::tables::{FlowTables, INTERNAL_TABLE, RuleChanges};

/// How long a bundle that nobody touches is kept; also how often that is looked at.
const IDLE: Duration = Duration::from_secs(10);
const CHECK: Duration = Duration::from_secs(1);

/// Bundles of one connection, and messages of one bundle: beyond that it is no controller's work.
const MAX_BUNDLES: usize = 1024;
const MAX_MESSAGES: usize = 1 << 20;

/// What a bundle may hold.
enum Entry {
    Flow(FlowMod),
    Port(PortMod),
    Packet(PacketOut),
    /// Groups are deleted, of which there are none.
    Nothing,
}

struct Item {
    entry: Entry,
    /// The message that brought it, for errors.
    frame: Vec<u8>,
}

/// Messages that wait for their common effect.
pub(super) struct Bundle {
    flags: u16,
    closed: bool,
    used: Time,
    idle: Duration,
    /// The message that opened it, for errors.
    frame: Vec<u8>,
    items: Vec<Item>,
}

impl Bundle {
    fn new(now: Time, flags: u16, idle: Duration, frame: &[u8]) -> Bundle {
        let frame = frame.to_vec();
        Bundle { flags, closed: false, used: now, idle, frame, items: Vec::new() }
    }

    /// When it is given up.
    pub(super) fn deadline(&self) -> Time {
        self.used + self.idle
    }
}

impl Agent {
    /// How long bundles are kept that nobody touches
    /// (`Open_vSwitch.other_config:bundle-idle-timeout`, at least 1 s); by default 10 s.
    pub fn set_bundle_timeout(&mut self, idle: Option<Duration>) {
        self.bundle_idle = idle.unwrap_or(IDLE).max(CHECK);
        for b in self.conns.values_mut().flat_map(|c| c.bundles.values_mut()) {
            b.idle = self.bundle_idle;
        }
    }

    pub(super) const DEFAULT_BUNDLE_IDLE: Duration = IDLE;

    pub(super) fn bundle_control(
        &mut self,
        r: &Request<'_>,
        b: BundleControl,
    ) -> Result<(), OfError> {
        self.not_secondary(r)?;
        let Some((op, false)) = BundleOp::from_wire(b.typ) else {
            return Err(OfError::BfcBadType);
        };
        match op {
            BundleOp::Open => self.bundle_open(r, b)?,
            BundleOp::Close => self.bundle_close(r, b)?,
            BundleOp::Commit => self.bundle_commit(r, b)?,
            BundleOp::Discard => {
                self.conn(r)?.bundles.remove(&b.id).ok_or(OfError::BfcBadId)?;
            }
        }
        let reply = BundleControl { id: b.id, typ: op.wire(true), flags: 0 };
        self.reply(r, Body::BundleControl(reply));
        Ok(())
    }

    fn bundle_open(&mut self, r: &Request<'_>, b: BundleControl) -> Result<(), OfError> {
        let idle = self.bundle_idle;
        let bundles = &mut self.conn(r)?.bundles;
        // One that is open already is lost by this.
        if bundles.remove(&b.id).is_some() {
            let text = format!("Bundle {:x} already exists.", b.id);
            self.log(LogLevel::Info, "bundles", text, None);
            return Err(OfError::BfcBadId);
        }
        if bundles.len() == MAX_BUNDLES {
            return Err(OfError::BfcOutOfBundles);
        }
        bundles.insert(b.id, Bundle::new(r.now, b.flags, idle, r.frame));
        Ok(())
    }

    fn bundle_close(&mut self, r: &Request<'_>, b: BundleControl) -> Result<(), OfError> {
        let bundles = &mut self.conn(r)?.bundles;
        let bundle = bundles.get_mut(&b.id).ok_or(OfError::BfcBadId)?;
        let error = match bundle {
            Bundle { closed: true, .. } => OfError::BfcBundleClosed,
            Bundle { flags, .. } if *flags != b.flags => OfError::BfcBadFlags,
            Bundle { closed: false, .. } => {
                bundle.used = r.now;
                bundle.closed = true;
                return Ok(());
            }
        };
        bundles.remove(&b.id);
        Err(error)
    }

    pub(super) fn bundle_add(&mut self, r: &Request<'_>, b: BundleAdd) -> Result<(), OfError> {
        self.not_secondary(r)?;
        let protocol = self.conn(r)?.protocol;
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
            Body::FlowMod(m) => Entry::Flow(m),
            Body::PortMod(m) => Entry::Port(m),
            Body::PacketOut(p) => {
                check_packet_out(&p, r.version)?;
                Entry::Packet(p)
            }
            Body::Raw { kind: Kind::GroupMod, body } => {
                group_mod(&body)?;
                Entry::Nothing
            }
            _ => return Err(OfError::BfcMsgUnsup),
        };
        let item = Item { entry, frame: r.frame.to_vec() };
        let idle = self.bundle_idle;
        let bundles = &mut self.conn(r)?.bundles;
        if bundles.len() == MAX_BUNDLES && !bundles.contains_key(&b.id) {
            return Err(OfError::BfcOutOfBundles);
        }
        // A message for a bundle that is not there opens it.
        let new = || Bundle::new(r.now, b.flags, idle, r.frame);
        let bundle = bundles.entry(b.id).or_insert_with(new);
        let error = match bundle {
            Bundle { closed: true, .. } => OfError::BfcBundleClosed,
            Bundle { flags, .. } if *flags != b.flags => OfError::BfcBadFlags,
            Bundle { items, .. } if items.len() == MAX_MESSAGES => OfError::BfcMsgTooMany,
            Bundle { closed: false, .. } => {
                bundle.used = r.now;
                bundle.items.push(item);
                return Ok(());
            }
        };
        bundles.remove(&b.id);
        Err(error)
    }

    fn not_for_bundles(&mut self, why: String) -> OfError {
        let text = format!("a bundle was given a message that it cannot hold: {why}");
        self.log(LogLevel::Warn, "ofp_bundle", text, Some((1, 5)));
        OfError::BfcMsgUnsup
    }

    /// Whatever comes of it, the bundle is gone afterwards.
    fn bundle_commit(&mut self, r: &Request<'_>, b: BundleControl) -> Result<(), OfError> {
        let bundle = self.conn(r)?.bundles.remove(&b.id).ok_or(OfError::BfcBadId)?;
        if bundle.flags != b.flags {
            return Err(OfError::BfcBadFlags);
        }
        self.commit(r, &bundle).map_err(|(n, e)| {
            // The message that failed first, then the commit.
            self.refuse_message(r.conn, e, &bundle.items[n].frame);
            OfError::BfcMsgFailed
        })
    }

    /// All of it, or nothing: the flow tables are put back as they were when a message fails, and
    /// ports and packets only follow when all messages are known to be well. The error comes with
    /// the place of the message that is at fault.
    fn commit(&mut self, r: &Request<'_>, bundle: &Bundle) -> Result<(), (usize, OfError)> {
        if bundle.items.iter().any(|i| !matches!(i.entry, Entry::Flow(_))) {
            self.rehearse(r, bundle)?;
        }
        let changes = self.change_tables(r, bundle)?;
        let mut changes = changes.into_iter();
        for item in &bundle.items {
            match &item.entry {
                Entry::Flow(m) => {
                    if let Some(c) = self.conns.get_mut(&r.conn) {
                        c.flow_log.count(r.now, m.command);
                    }
                    if let Some(c) = changes.next() {
                        self.report(r.now, &c);
                    }
                }
                Entry::Port(m) => self.apply_port_mod(r, m),
                Entry::Packet(_) | Entry::Nothing => {}
            }
        }
        self.flush_monitors(r.ops);
        Ok(())
    }

    /// Looks for the first message at fault, and changes nothing.
    fn rehearse(&self, r: &Request<'_>, bundle: &Bundle) -> Result<(), (usize, OfError)> {
        let atomic = bundle.flags & bundle_flags::ATOMIC != 0;
        let check = |t: &mut FlowTables, item: &Item| match &item.entry {
            Entry::Flow(m) => t.flow_mod(r.now, m, &r.requester()).map(|_| ()),
            // Devices do not change at once.
            Entry::Port(_) if atomic => Err(OfError::BfcMsgFailed),
            Entry::Port(m) => self.check_port_mod(m),
            Entry::Packet(p) => check_existing(&p.actions),
            Entry::Nothing => Ok(()),
        };
        let rehearsal = self.with_tables(r.ops, |t| {
            let before = t.clone();
            let mut items = bundle.items.iter().enumerate();
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
        bundle: &Bundle,
    ) -> Result<Vec<RuleChanges>, (usize, OfError)> {
        let requester = r.requester();
        let before = self.with_tables(r.ops, |t| t.clone()).map_err(|e| (0, e))?;
        let mut done = Vec::new();
        let mut at = 0;
        let fault = loop {
            // As far as the next packet: what it passes must be in effect.
            let rest = &bundle.items[at..];
            let packet = rest.iter().position(|i| matches!(i.entry, Entry::Packet(_)));
            let batch = &rest[..packet.unwrap_or(rest.len())];
            let work = self.with_tables(r.ops, |t| {
                for (n, item) in batch.iter().enumerate() {
                    if let Entry::Flow(m) = &item.entry {
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
            let Some(Item { entry: Entry::Packet(p), .. }) = bundle.items.get(at) else {
                return Ok(done);
            };
            if let Err(e) = self.send_packet(r, p) {
                break (at, e);
            }
            self.settle_packets(r.ops);
            at += 1;
        };
        // The bridge was there a moment ago; if it is not, neither are its tables.
        let _ = self.with_tables(r.ops, |t| t.restore(before));
        Err(fault)
    }

    /// Gives up bundles that nobody has touched for long.
    pub(super) fn expire_bundles(&mut self, now: Time, id: ConnId) {
        let Some(c) = self.conns.get_mut(&id) else { return };
        let late: Vec<u32> =
            c.bundles.iter().filter(|(_, b)| b.deadline() <= now).map(|(id, _)| *id).collect();
        let gone: Vec<Bundle> = late.iter().filter_map(|n| c.bundles.remove(n)).collect();
        for bundle in gone {
            self.send_error(id, OfError::BfcTimeout, &bundle.frame, Class::Reply);
        }
    }
}
