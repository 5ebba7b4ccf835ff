//! One port with an engine: a bond, or a single interface with LACP.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bond::lacp::status::LacpStatus;
use bond::lacp::{self, Lacp, MemberSettings, Settings};
use bond::monitor::probe::Evidence;
use bond::proc::ProcStatus;
use bond::{
    Admission, Bond, BondStatus, Command, CommandError, Effect, Event, Forwarding, LacpConfig,
    LacpMemberConfig, MemberId, Monitor, OutputRule, Speed,
};
use datapath::{
    BucketTable, Datapath, Ingress, PortLink, PortNo, Selection, Standby, StandbyPort, TableId,
};
use ofproto::BondHandle;
use serde::Serialize;
use wire::neighbour::Neighbour;
use wire::{EthAddr, Time};

use crate::device::{Device, LinkView};
use crate::log_limits::LogLimits;
use crate::queries::Purpose;
use crate::settings::{LinkMember, LinkPort, LinkPortKind};
use crate::sockets::BoundTo;

/// A bond's status, and what its driver knows besides.
#[derive(Clone, Debug, Serialize)]
pub struct BondView {
    /// The status of the bond.
    pub status: BondStatus,
    /// The bond as `bond/proc` shows it.
    #[serde(skip)]
    pub proc: ProcStatus,
    /// The bridge of the port.
    pub bridge: String,
    /// The identity that recirculated packets carry; 0 = none.
    pub recirc_id: u32,
    /// Its buckets in the datapath.
    #[serde(skip)]
    pub table: TableId,
    /// Each member's link and who told of it.
    pub links: Vec<LinkView>,
    /// Microseconds from reading the latest event that moved traffic to the store of the table.
    pub last_move_us: Option<u64>,
    /// The longest of those.
    pub longest_move_us: Option<u64>,
}

/// LACP of one port.
#[derive(Clone, Debug, Serialize)]
pub struct LacpView {
    /// The status of LACP.
    pub status: LacpStatus,
    /// The bridge of the port.
    pub bridge: String,
}

enum Engine {
    Bond { bond: Box<Bond>, handle: Arc<BondHandle> },
    Single(Box<Lacp>),
}

/// What follows when traffic has moved.
#[derive(Default)]
pub(crate) struct Later {
    /// Effects of engines, by port.
    pub(crate) effects: Vec<(String, Effect)>,
    /// Ports whose engine has had an event.
    pub(crate) touched: BTreeSet<String>,
}

/// A port as it runs.
pub(crate) struct PortDriver {
    pub(crate) name: String,
    pub(crate) bridge: String,
    engine: Engine,
    /// LACP runs.
    lacp: bool,
    /// What may be logged of it.
    pub(crate) limits: LogLimits,
    /// In the order of the configuration.
    pub(crate) devices: Vec<Device>,
    /// When it last sent learning packets.
    pub(crate) announced: Option<Time>,
    last_move: Option<Duration>,
    longest_move: Option<Duration>,
    /// The table that was published last.
    published: Option<Arc<BucketTable>>,
    /// What stands by for it is to be worked out anew.
    standby_due: bool,
}

impl PortDriver {
    /// Starts the port's engine. Devices and their link state follow.
    pub(crate) fn new(wanted: &LinkPort, now: Time) -> PortDriver {
        let engine = match &wanted.kind {
            LinkPortKind::Bond { config, handle } => {
                Engine::Bond { bond: Box::new(Bond::new(&config.name)), handle: handle.clone() }
            }
            LinkPortKind::Single { lacp, member } => {
                let settings = single(wanted, lacp, *member);
                Engine::Single(Box::new(Lacp::new(now, settings)))
            }
        };
        PortDriver {
            name: wanted.name.clone(),
            bridge: wanted.bridge.clone(),
            engine,
            lacp: false,
            limits: LogLimits::default(),
            devices: Vec::new(),
            announced: None,
            last_move: None,
            longest_move: None,
            published: None,
            standby_due: false,
        }
    }

    /// Whether the running engine can take the new configuration over: the same kind, and for a
    /// bond the same table.
    pub(crate) fn fits(&self, wanted: &LinkPort) -> bool {
        match (&self.engine, &wanted.kind) {
            (Engine::Bond { handle, .. }, LinkPortKind::Bond { handle: new, .. }) => {
                Arc::ptr_eq(handle, new)
            }
            (Engine::Single(_), LinkPortKind::Single { .. }) => true,
            (Engine::Bond { .. }, LinkPortKind::Single { .. })
            | (Engine::Single(_), LinkPortKind::Bond { .. }) => false,
        }
    }

    /// Hands the configuration to the engine, which works out the difference.
    pub(crate) fn configure(&mut self, wanted: &LinkPort, now: Time) {
        self.bridge.clone_from(&wanted.bridge);
        self.standby_due = true;
        match (&mut self.engine, &wanted.kind) {
            (Engine::Bond { bond, .. }, LinkPortKind::Bond { config, .. }) => {
                bond.handle(now, Event::Configure(config.clone()));
            }
            (Engine::Single(engine), LinkPortKind::Single { lacp, member }) => {
                let settings = single(wanted, lacp, *member);
                engine.handle(now, lacp::Event::Configure(Box::new(settings)));
            }
            (Engine::Bond { .. }, LinkPortKind::Single { .. })
            | (Engine::Single(_), LinkPortKind::Bond { .. }) => {}
        }
    }

    /// Replaces the members' devices; those that stay keep their link state.
    pub(crate) fn set_devices(&mut self, wanted: &LinkPort, now: Time) {
        self.lacp = match &wanted.kind {
            LinkPortKind::Bond { config, .. } => config.lacp.is_some(),
            LinkPortKind::Single { .. } => true,
        };
        let mut old = std::mem::take(&mut self.devices);
        for member in &wanted.members {
            let same = |d: &Device| d.member.id == member.id && same_device(&d.member, member);
            self.devices.push(match old.iter().position(same) {
                Some(i) => {
                    let mut device = old.swap_remove(i);
                    device.update(member.clone(), wanted.detect, now);
                    device
                }
                None => Device::new(member.clone(), wanted.detect, now),
            });
        }
    }

    /// The sockets for LACPDUs, and for probes, of members on kernel devices.
    pub(crate) fn wanted_sockets(&self) -> impl Iterator<Item = (Purpose, BoundTo)> {
        self.devices.iter().flat_map(|d| {
            let (port, member) = (self.name.clone(), d.member.id);
            let lacp = self.lacp.then_some(Purpose::Lacp { port, member });
            // What the switch sends to the host by a tap is not what a socket on it would.
            let probe = self.probe_purpose(member).filter(|_| d.member.on_wire);
            lacp.into_iter().chain(probe).filter_map(|purpose| {
                let (name, port_no) = (d.member.name.clone(), d.member.port_no);
                Some((purpose, BoundTo { name, ifindex: d.ifindex()?, port_no }))
            })
        })
    }

    /// The socket for a member's probes, if it is probed.
    pub(crate) fn probe_purpose(&self, member: MemberId) -> Option<Purpose> {
        let Engine::Bond { bond, .. } = &self.engine else { return None };
        let probes = bond.probes()?;
        let requests = match probes.validate.least() {
            Evidence::Traffic | Evidence::Answers => false,
            Evidence::Neighbours => true,
        };
        let (port, vid) = (self.name.clone(), probes.vid.unwrap_or(0));
        Some(Purpose::Probe { port, member, vid, requests })
    }

    /// An ARP or neighbour discovery frame that a member has received; `vid` is what its tag was if
    /// the kernel has taken that out.
    pub(crate) fn neighbour(
        &mut self,
        now: Time,
        member: MemberId,
        frame: &[u8],
        vid: Option<u16>,
    ) {
        let Engine::Bond { bond, .. } = &mut self.engine else { return };
        let packet = Neighbour::of(&wire::extract(frame, 0));
        if let Some(packet) = packet.map(|p| Neighbour { vid: vid.unwrap_or(p.vid), ..p }) {
            bond.handle(now, Event::Neighbour { member, packet });
        }
    }

    /// Which member's link should be reported first: the one that carried traffic last time.
    pub(crate) fn preferred(&self, wanted: &LinkPort) -> Option<EthAddr> {
        match &wanted.kind {
            LinkPortKind::Bond { config, .. } => config.active_member_mac,
            LinkPortKind::Single { .. } => None,
        }
    }

    pub(crate) fn carrier(&mut self, now: Time, member: MemberId, up: bool) {
        self.standby_due = true;
        match &mut self.engine {
            Engine::Bond { bond, .. } => bond.handle(now, Event::Carrier { member, up }),
            Engine::Single(lacp) => lacp.handle(now, lacp::Event::Carrier { member, up }),
        }
    }

    /// What the engine takes a member's link for; `None` if it has not been told yet.
    pub(crate) fn believes(&self, member: MemberId) -> Option<bool> {
        match &self.engine {
            Engine::Bond { bond, .. } => bond.carrier(member),
            Engine::Single(lacp) => lacp.carrier(member),
        }
    }

    pub(crate) fn lacpdu(&mut self, now: Time, member: MemberId, pdu: Vec<u8>) {
        match &mut self.engine {
            Engine::Bond { bond, .. } => bond.handle(now, Event::Lacpdu { member, pdu }),
            Engine::Single(lacp) => lacp.handle(now, lacp::Event::Lacpdu { member, pdu }),
        }
    }

    /// How fast a member's link is; `None` = its device does not say.
    pub(crate) fn params(&mut self, now: Time, member: MemberId, speed: Option<Speed>) {
        if let Engine::Bond { bond, .. } = &mut self.engine {
            bond.handle(now, Event::LinkParams { member, speed });
        }
    }

    /// It makes a loop with the port `with`; `None` = that one answers for it.
    pub(crate) fn looped(&mut self, now: Time, with: Option<&str>) {
        if let Engine::Bond { bond, .. } = &mut self.engine {
            bond.handle(now, Event::Loop { with: with.map(str::to_owned) });
        }
    }

    pub(crate) fn is_bond(&self) -> bool {
        match &self.engine {
            Engine::Bond { .. } => true,
            Engine::Single(_) => false,
        }
    }

    /// The port that it makes a loop with.
    pub(crate) fn looped_with(&self) -> Option<&str> {
        match &self.engine {
            Engine::Bond { bond, .. } => bond.looped_with(),
            Engine::Single(_) => None,
        }
    }

    /// `bond-loop-protect`.
    pub(crate) fn protects(&self) -> bool {
        match &self.engine {
            Engine::Bond { bond, .. } => bond.protects_from_loops(),
            Engine::Single(_) => false,
        }
    }

    pub(crate) fn mac(&mut self, now: Time, member: MemberId, mac: EthAddr) {
        if let Engine::Bond { bond, .. } = &mut self.engine {
            bond.handle(now, Event::Mac { member, mac });
        }
    }

    pub(crate) fn monitor(&mut self, now: Time, member: MemberId, of: Monitor, up: Option<bool>) {
        if let Engine::Bond { bond, .. } = &mut self.engine {
            bond.handle(now, Event::Monitor { member, monitor: of, up });
        }
    }

    /// Handles a deadline that has come; false if none has.
    pub(crate) fn tick(&mut self, now: Time, datapath: &dyn Datapath) -> bool {
        if self.deadline().is_none_or(|t| t > now) {
            return false;
        }
        self.count_traffic(now, datapath);
        match &mut self.engine {
            Engine::Bond { bond, .. } => bond.handle(now, Event::Deadline),
            Engine::Single(lacp) => lacp.handle(now, lacp::Event::Deadline),
        }
        true
    }

    /// Tells a bond whose probes take any packet for a sign of life how many there were.
    fn count_traffic(&mut self, now: Time, datapath: &dyn Datapath) {
        let Engine::Bond { bond, .. } = &mut self.engine else { return };
        if !bond.wants_traffic() {
            return;
        }
        for d in &self.devices {
            let counters = d.member.port_no.and_then(|p| datapath.port_counters(p));
            if let Some(rx_packets) = counters.map(|c| c.rx_packets) {
                bond.handle(now, Event::Traffic { member: d.member.id, rx_packets });
            }
        }
    }

    /// Tells a balanced bond how much each bucket has carried.
    pub(crate) fn load(&mut self, now: Time, datapath: &dyn Datapath) {
        if let Engine::Bond { bond, handle } = &mut self.engine {
            let balanced = match handle.forwarding.load().output {
                OutputRule::Slb { .. }
                | OutputRule::Recirc { .. }
                | OutputRule::LbOutput { .. } => true,
                OutputRule::Select { how, .. } => match how {
                    bond::Selection::Tlb { .. } => true,
                    bond::Selection::Hash { .. }
                    | bond::Selection::RoundRobin { .. }
                    | bond::Selection::Broadcast { .. } => false,
                },
                OutputRule::Drop | OutputRule::Active => false,
            };
            if balanced && let Some(bytes) = datapath.table_bytes(handle.table) {
                bond.handle(now, Event::Load { bytes });
            }
        }
    }

    pub(crate) fn command(
        &mut self,
        now: Time,
        command: Command,
    ) -> Option<Result<Cow<'static, str>, CommandError>> {
        self.standby_due = true;
        match &mut self.engine {
            Engine::Bond { bond, .. } => Some(bond.command(now, command)),
            Engine::Single(_) => None,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Time> {
        match &self.engine {
            Engine::Bond { bond, .. } => bond.next_deadline(),
            Engine::Single(lacp) => lacp.next_deadline(),
        }
    }

    /// Publishes at once what the engine wants published; everything else goes to `later`.
    ///
    /// `since` is when the event was read, if one that may move traffic.
    pub(crate) fn drain(&mut self, datapath: &dyn Datapath, since: Instant, later: &mut Later) {
        if !later.touched.contains(&self.name) {
            later.touched.insert(self.name.clone());
        }
        let mut published = false;
        loop {
            let effect = match &mut self.engine {
                Engine::Bond { bond, .. } => bond.poll_effect(),
                Engine::Single(lacp) => lacp.poll_effect(),
            };
            match (effect, &self.engine) {
                (None, _) => break,
                (Some(Effect::Publish(forwarding)), Engine::Bond { handle, .. }) => {
                    let table = Arc::new(self.table(&forwarding));
                    datapath.table_publish(handle.table, table.clone());
                    handle.forwarding.store(forwarding);
                    self.published = Some(table);
                    self.standby_due = true;
                    published = true;
                }
                (Some(effect), _) => later.effects.push((self.name.clone(), effect)),
            }
        }
        if published {
            let took = since.elapsed();
            self.last_move = Some(took);
            self.longest_move = self.longest_move.max(Some(took));
        }
    }

    /// Whether something has happened since the last call that may change what stands by.
    pub(crate) fn take_standby_due(&mut self) -> bool {
        std::mem::take(&mut self.standby_due)
    }

    /// What is to replace the bond's table if a member that carries traffic loses its carrier.
    /// `link` gives the packet thread's view of a member's link, if it has one.
    pub(crate) fn standby(
        &self,
        now: Time,
        mut link: impl FnMut(&Device) -> Option<Arc<dyn PortLink>>,
    ) -> Option<(TableId, Standby)> {
        let Engine::Bond { bond, handle } = &self.engine else { return None };
        let of = self.published.clone()?;
        let mut ports = Vec::new();
        for device in self.devices.iter().filter(|d| d.follows_carrier()) {
            let Some(port) = device.member.port_no else { continue };
            if !of.buckets.contains(&Some(port)) {
                continue;
            }
            let Some(link) = link(device) else { continue };
            // None with a downdelay: the member carries traffic until its end.
            let Some(without) = bond.forwarding_without(now, device.member.id) else { continue };
            ports.push(StandbyPort { port, link, table: Arc::new(self.table(&without)) });
        }
        Some((handle.table, Standby { of, ports }))
    }

    /// Publishes the engine's last table again if the packet thread has replaced it, which the
    /// engine would have answered with a table of its own if it agreed.
    pub(crate) fn undo_standby(&mut self, datapath: &dyn Datapath) -> bool {
        let (Engine::Bond { handle, .. }, Some(own)) = (&self.engine, &self.published) else {
            return false;
        };
        let in_force = datapath.table(handle.table);
        let replaced = in_force.is_some_and(|t| !Arc::ptr_eq(&t, own));
        if replaced {
            // A copy, so that the same standby does not replace it again.
            let copy = Arc::new((**own).clone());
            datapath.table_publish(handle.table, copy.clone());
            self.published = Some(copy);
        }
        replaced
    }

    /// Publishes the table again if it is not what follows from the engine's state and the members'
    /// ports, for example because a member has another port. True if it was not.
    pub(crate) fn renew_table(&mut self, datapath: &dyn Datapath) -> bool {
        let Engine::Bond { bond, handle } = &self.engine else { return false };
        let Some(forwarding) = bond.forwarding() else { return false };
        let table = self.table(forwarding);
        let seen = handle.forwarding.load();
        if self.published.as_deref() == Some(&table) && **seen == **forwarding {
            return false;
        }
        let table = Arc::new(table);
        datapath.table_publish(handle.table, table.clone());
        handle.forwarding.store(forwarding.clone());
        self.published = Some(table);
        self.standby_due = true;
        true
    }

    /// Members become datapath ports.
    fn table(&self, forwarding: &Forwarding) -> BucketTable {
        let port = |id: MemberId| {
            self.devices.iter().find(|d| d.member.id == id).and_then(|d| d.member.port_no)
        };
        let mut ingress: Vec<(PortNo, Ingress)> = forwarding
            .admission
            .iter()
            .filter_map(|(id, admission)| {
                let ingress = match admission {
                    Admission::Closed => Ingress::Closed,
                    Admission::Unicast => Ingress::Unicast,
                    // Translation looks at where the source was learned.
                    Admission::Once => Ingress::Once,
                    Admission::UnlessMoved | Admission::Open => Ingress::Open,
                };
                Some((port(*id)?, ingress))
            })
            .collect();
        ingress.sort_by_key(|i| i.0);
        let selection = match forwarding.output {
            OutputRule::Drop
            | OutputRule::Active
            | OutputRule::Slb { .. }
            | OutputRule::Recirc { .. }
            | OutputRule::LbOutput { .. } => Selection::DpHash,
            OutputRule::Select { how, .. } => match how {
                bond::Selection::Hash { policy, in_use } => Selection::Xmit { policy, in_use },
                bond::Selection::RoundRobin { packets, in_use, igmp } => {
                    Selection::RoundRobin { packets, in_use, igmp: igmp.and_then(port) }
                }
                bond::Selection::Tlb { policy, in_use, active } => {
                    Selection::Tlb { policy, in_use, rest: active.and_then(port) }
                }
                bond::Selection::Broadcast { members } => Selection::Broadcast { buckets: members },
            },
        };
        BucketTable {
            generation: forwarding.generation,
            buckets: std::array::from_fn(|b| forwarding.buckets[b].and_then(port)),
            ingress,
            selection,
            sources: forwarding
                .sources
                .iter()
                .filter_map(|(id, mac)| Some((port(*id)?, *mac)))
                .collect(),
        }
    }

    pub(crate) fn bond_view(&self, now: Time) -> Option<BondView> {
        let Engine::Bond { bond, handle } = &self.engine else { return None };
        let us = |d: Option<Duration>| d.map(|d| d.as_micros() as u64);
        let status = bond.status(now);
        let miimon = self.devices.iter().map(Device::miimon_ms).max().unwrap_or(0);
        Some(BondView {
            proc: ProcStatus::new(&status, bond.lacp_status().as_ref(), miimon),
            status,
            bridge: self.bridge.clone(),
            recirc_id: handle.recirc_id,
            table: handle.table,
            links: self.devices.iter().map(Device::view).collect(),
            last_move_us: us(self.last_move),
            longest_move_us: us(self.longest_move),
        })
    }

    pub(crate) fn lacp_view(&self) -> Option<LacpView> {
        let status = match &self.engine {
            Engine::Bond { bond, .. } => bond.lacp_status()?,
            Engine::Single(lacp) => lacp.status(),
        };
        Some(LacpView { status, bridge: self.bridge.clone() })
    }

    /// Whether LACP lets each interface carry traffic; nothing without LACP.
    pub(crate) fn lacp_may_enable(&self) -> impl Iterator<Item = (&str, bool)> {
        self.devices.iter().filter_map(|d| {
            let lets = match &self.engine {
                Engine::Bond { bond, .. } => bond.lacp_may_enable(d.member.id)?,
                Engine::Single(lacp) => lacp.may_enable(d.member.id),
            };
            Some((d.member.name.as_str(), lets))
        })
    }

    pub(crate) fn device(&self, member: MemberId) -> Option<&Device> {
        self.devices.iter().find(|d| d.member.id == member)
    }

    pub(crate) fn device_mut(&mut self, member: MemberId) -> Option<&mut Device> {
        self.devices.iter_mut().find(|d| d.member.id == member)
    }
}

fn single(port: &LinkPort, lacp: &LacpConfig, member: LacpMemberConfig) -> Settings {
    Settings {
        name: port.name.clone(),
        config: lacp.clone(),
        fallback_ab: false,
        members: port
            .members
            .iter()
            .map(|m| MemberSettings { id: m.id, name: m.name.clone(), config: member })
            .collect(),
    }
}

/// The same device, and not one that was made anew under the same name.
fn same_device(a: &LinkMember, b: &LinkMember) -> bool {
    use crate::settings::LinkDevice::{Dummy, Kernel, Patch};
    a.name == b.name
        && match (&a.device, &b.device) {
            (Kernel { ifindex: a }, Kernel { ifindex: b }) => a == b,
            (Dummy(_), Dummy(_)) | (Patch { .. }, Patch { .. }) => true,
            (Kernel { .. } | Dummy(_) | Patch { .. }, _) => false,
        }
}

#[cfg(test)]
mod tests;
