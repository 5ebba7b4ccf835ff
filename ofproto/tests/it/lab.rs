//! A switch built from a few lines:
//!
//! ```text
//! br0: forward-bpdu flood-vlans=30
//!   p1 = 1 access=10
//!   p2 = 2 trunks=10,20 protected
//!   bond0 = 3+4 native-untagged=10 lacp
//!   pa = patch:pb
//!   br0 = local:9
//! ```
//!
//! Interface numbers are datapath and OpenFlow ports alike, and the members' names in a bond.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bond::{Admission, Forwarding, MemberId, OutputRule};
use datapath::{
    BucketTable, Datapath, FlowHandle, Ingress, Packet, PortNo, Selection, SlowPath, TableId,
    UserspaceReason,
};
use datapath_testing::{Call, Fake};
use netdev::{IoCounters, PacketIo};
use ofproto::tables::{FlowTables, Requester};
use ofproto::{
    BfdMatch, BondHandle, BridgeConfig, BundleConfig, FailMode, IfaceConfig, IfaceKind, Next,
    OfPort, Ofproto, OfprotoConfig, PriorityTags, Revalidator, VlanMode,
};
use openflow::Version;
use openflow::msg::FlowModCommand;
use openflow::text::{FlowText, NoNames, parse_flow};
use parking_lot::Mutex;
use wire::{EthAddr, Time};

use crate::frame::{Frame, tags_of};

/// A device that keeps nothing: the datapath itself records what is sent.
pub(crate) struct NoDevice;

impl PacketIo for NoDevice {
    fn fd(&self) -> Option<std::os::fd::RawFd> {
        None
    }

    fn recv(&mut self, _: &mut Vec<Packet>, _: usize) -> usize {
        0
    }

    unsafe fn release(&mut self) {}

    unsafe fn send(&mut self, _: &Packet) {}

    fn flush(&mut self) {}

    fn counters(&self) -> IoCounters {
        IoCounters::default()
    }
}

/// Keeps what was sent up.
#[derive(Default)]
pub(crate) struct Sink(pub(crate) Mutex<Vec<(UserspaceReason, u32)>>);

impl ofproto::SlowPathSink for Sink {
    fn frame(&self, _: Time, what: SlowPath<'_>) {
        self.0.lock().push((what.reason, what.in_port.0));
    }

    fn announced(&self, _: PortNo) {}
}

/// Ports of the datapath, used or not.
const PORTS: u32 = 16;

pub(crate) struct Lab {
    pub(crate) ofproto: Arc<Ofproto>,
    pub(crate) dp: Arc<Fake>,
    pub(crate) sink: Arc<Sink>,
    pub(crate) revalidator: Revalidator,
    pub(crate) config: OfprotoConfig,
    bonds: BTreeMap<String, Arc<BondHandle>>,
}

impl Lab {
    pub(crate) fn new(topology: &str) -> Lab {
        let (ofproto, dp, sink) =
            (Ofproto::new(), Arc::new(Fake::new()), Arc::new(Sink::default()));
        dp.set_now(Time::from_millis(1_000_000));
        for n in 1..=PORTS {
            dp.port_add(&n.to_string(), Box::new(NoDevice), Some(PortNo(n))).unwrap();
        }
        let datapath: Arc<dyn Datapath> = dp.clone();
        ofproto.attach(datapath.clone());
        dp.set_upcall(ofproto.clone());
        ofproto.set_slow_path(sink.clone());
        let revalidator = Revalidator::new(ofproto.clone(), datapath);
        let config = OfprotoConfig::default();
        let mut lab = Lab { ofproto, dp, sink, revalidator, config, bonds: BTreeMap::new() };
        lab.configure(topology);
        lab
    }

    /// Takes over another topology. Bonds keep what they were told.
    pub(crate) fn configure(&mut self, topology: &str) {
        let bridges = parse(topology, &mut self.bonds);
        self.config = OfprotoConfig { vlan_limit: self.config.vlan_limit, bridges };
        self.apply();
    }

    pub(crate) fn apply(&mut self) -> ofproto::ConfigChange {
        self.ofproto.configure(self.dp.now(), self.config.clone())
    }

    /// Adds a rule, if it is one.
    pub(crate) fn try_rule(&self, bridge: &str, rule: &str) -> bool {
        let how = FlowText::Command(FlowModCommand::Add);
        let Ok(fm) = parse_flow(rule, how, &NoNames) else { return false };
        let who = Requester { conn: None, version: Version::V10 };
        let now = self.dp.now();
        self.ofproto.with_flow_table(bridge, |t| t.flow_mod(now, &fm, &who).is_ok()).unwrap()
    }

    /// Adds rules, written as for `ovs-ofctl add-flow`.
    pub(crate) fn rules(&self, bridge: &str, rules: &[&str]) {
        let now = self.dp.now();
        let change = |t: &mut FlowTables| {
            for rule in rules {
                let how = FlowText::Command(FlowModCommand::Add);
                let fm = parse_flow(rule, how, &NoNames).unwrap_or_else(|e| panic!("{rule}: {e}"));
                t.flow_mod(now, &fm, &Requester { conn: None, version: Version::V15 })
                    .unwrap_or_else(|e| panic!("{rule}: {e:?}"));
            }
        };
        self.ofproto.with_flow_table(bridge, change).unwrap();
    }

    /// Sends a frame in; where it went: `2:10 3:-`, in order, and last why it was sent up.
    pub(crate) fn send(&self, in_port: u32, frame: &Frame) -> String {
        let before = self.sink.0.lock().len();
        let sent = self.outs(in_port, frame);
        let mut words = vec![show(&sent)];
        words.extend(self.sink.0.lock()[before..].iter().map(|(reason, _)| format!("{reason:?}")));
        words.retain(|w| !w.is_empty());
        words.join(" ")
    }

    /// Sends a frame in; what went out.
    pub(crate) fn outs(&self, in_port: u32, frame: &Frame) -> Vec<(PortNo, Vec<u8>)> {
        self.dp.receive(PortNo(in_port), &frame.bytes());
        self.dp.sent()
    }

    pub(crate) fn flows(&self) -> Vec<Arc<FlowHandle>> {
        self.dp.flows()
    }

    pub(crate) fn missed(&self) -> u64 {
        self.dp.stats().missed
    }

    /// Jobs that the switch had run since this was last asked.
    pub(crate) fn jobs(&self) -> usize {
        self.dp.calls().iter().filter(|c| **c == Call::Run).count()
    }

    pub(crate) fn advance(&self, by: Duration) {
        self.dp.set_now(self.dp.now() + by);
    }

    pub(crate) fn revalidate(&mut self) -> Next {
        self.revalidator.run(self.dp.now(), &[])
    }

    /// The addresses that a bridge knows, without ages: `1@2/10` is station 1 at port 2, VLAN 10.
    pub(crate) fn fdb(&self, bridge: &str) -> String {
        let shown = self.ofproto.fdb_show(self.dp.now(), &[bridge]).unwrap();
        let mut rows: Vec<String> = shown.0[0]
            .rows
            .iter()
            .map(|r| format!("{:x}@{}/{}", r.mac.to_u64(), r.port, r.vlan))
            .collect();
        rows.sort();
        rows.join(" ")
    }

    /// Tells a bond what to do, as the links thread would.
    pub(crate) fn bond(
        &self,
        name: &str,
        output: OutputRule,
        admission: &[(u32, Admission)],
        bucket: impl Fn(usize) -> Option<u32>,
    ) {
        let handle = &self.bonds[name];
        let generation = handle.forwarding.load().generation + 1;
        let buckets: [Option<u32>; 256] = std::array::from_fn(bucket);
        let admission: Vec<_> = admission.iter().map(|(m, a)| (MemberId(*m), *a)).collect();
        let ingress = admission.iter().map(|(m, a)| {
            let i = match a {
                Admission::Closed => Ingress::Closed,
                Admission::Unicast => Ingress::Unicast,
                Admission::Once => Ingress::Once,
                Admission::UnlessMoved | Admission::Open => Ingress::Open,
            };
            (PortNo(m.0), i)
        });
        let table = BucketTable {
            generation,
            buckets: buckets.map(|b| b.map(PortNo)),
            ingress: ingress.collect(),
            selection: match output {
                OutputRule::Select { how: bond::Selection::Hash { policy, in_use }, .. } => {
                    Selection::Xmit { policy, in_use }
                }
                OutputRule::Select { how: bond::Selection::Broadcast { members }, .. } => {
                    Selection::Broadcast { buckets: members }
                }
                OutputRule::Select {
                    how: bond::Selection::RoundRobin { packets, in_use, igmp },
                    ..
                } => {
                    let igmp = igmp.map(|m| PortNo(m.0));
                    Selection::RoundRobin { packets, in_use, igmp }
                }
                _ => Selection::DpHash,
            },
            sources: Vec::new(),
        };
        let buckets = buckets.map(|b| b.map(MemberId));
        let sources = Vec::new();
        let forwarding = Forwarding { generation, output, buckets, admission, sources };
        handle.forwarding.store(Arc::new(forwarding));
        self.dp.table_publish(handle.table, Arc::new(table));
    }

    /// Active-backup: `active` of `members`.
    pub(crate) fn active(&self, name: &str, active: u32, members: &[u32]) {
        let admission: Vec<_> = members
            .iter()
            .map(|m| (*m, if *m == active { Admission::Open } else { Admission::Closed }))
            .collect();
        self.bond(name, OutputRule::Active, &admission, |_| Some(active));
    }

    /// Balance-slb: even buckets to the first member, which is active, odd to the second.
    pub(crate) fn slb(&self, name: &str, members: [u32; 2]) {
        let admission = [(members[0], Admission::UnlessMoved), (members[1], Admission::Unicast)];
        self.bond(name, OutputRule::Slb { basis: 0 }, &admission, |b| Some(members[b % 2]));
    }

    /// Balance-slb over members that are no ports of the datapath.
    pub(crate) fn slb_of(&self, name: &str, members: [u32; 2]) {
        let handle = &self.bonds[name];
        let generation = handle.forwarding.load().generation + 1;
        let buckets = std::array::from_fn(|b| Some(MemberId(members[b % 2])));
        let admission = members.map(|m| (MemberId(m), Admission::Open)).to_vec();
        let output = OutputRule::Slb { basis: 0 };
        let sources = Vec::new();
        let forwarding = Forwarding { generation, output, buckets, admission, sources };
        handle.forwarding.store(Arc::new(forwarding));
    }

    /// Balance-tcp, the same way.
    pub(crate) fn tcp(&self, name: &str, members: [u32; 2], output: OutputRule) {
        let admission = members.map(|m| (m, Admission::Open));
        self.bond(name, output, &admission, |b| Some(members[b % 2]));
    }

    pub(crate) fn bond_id(&self, name: &str) -> u32 {
        self.bonds[name].recirc_id
    }
}

pub(crate) fn show(sent: &[(PortNo, Vec<u8>)]) -> String {
    let outs: Vec<String> = sent.iter().map(|(p, b)| format!("{p}:{}", tags_of(b))).collect();
    outs.join(" ")
}

/// The bridges of a topology without bonds.
pub(crate) fn bridges(topology: &str) -> Vec<BridgeConfig> {
    parse(topology, &mut BTreeMap::new())
}

fn parse(topology: &str, bonds: &mut BTreeMap<String, Arc<BondHandle>>) -> Vec<BridgeConfig> {
    let mut bridges: Vec<BridgeConfig> = Vec::new();
    for line in topology.lines().map(str::trim).filter(|l| !l.is_empty()) {
        if let Some((name, port)) = line.split_once(" = ") {
            let bundle = bundle(name.trim(), port, bonds);
            bridges.last_mut().expect("a bridge comes first").bundles.push(bundle);
            continue;
        }
        let (name, options) =
            line.split_once(':').expect("BRIDGE: OPTIONS or PORT = WHERE OPTIONS");
        let mut b = BridgeConfig::new(name, EthAddr::from_u64(0xb0 + bridges.len() as u64));
        for o in options.split_whitespace() {
            match o.split_once('=').unwrap_or((o, "")) {
                ("secure", _) => b.fail_mode = FailMode::Secure,
                ("forward-bpdu", _) => b.forward_bpdu = true,
                ("flood-vlans", v) => b.flood_vlans = vids(v),
                ("macs", v) => b.mac_table_size = v.parse().unwrap(),
                ("aging", v) => b.mac_aging = Duration::from_secs(v.parse().unwrap()),
                _ => panic!("unknown bridge option {o}"),
            }
        }
        bridges.push(b);
    }
    bridges
}

fn bundle(name: &str, port: &str, bonds: &mut BTreeMap<String, Arc<BondHandle>>) -> BundleConfig {
    let mut words = port.split_whitespace();
    let place = words.next().expect("where the port is");
    let number = |n: &str| n.parse::<u32>().expect("a port number");
    let iface =
        |name: &str, n: u32, of: OfPort| IfaceConfig::new(name, of, IfaceKind::Datapath(PortNo(n)));
    let patch = |name: &str, peer: &str| {
        let n = name.bytes().fold(200, |n, b| n + u16::from(b));
        IfaceConfig::new(name, OfPort(n), IfaceKind::Patch { peer: peer.to_owned() })
    };
    let ifaces = if place.starts_with("patch:") && place.contains('+') {
        let members = place.split('+').enumerate().map(|(m, peer)| {
            let peer = peer.strip_prefix("patch:").expect("patch ports only");
            let mut i = patch(&format!("{name}-{peer}"), peer);
            i.member = Some(MemberId(m as u32));
            i
        });
        members.collect()
    } else if let Some(peer) = place.strip_prefix("patch:") {
        vec![patch(name, peer)]
    } else if let Some(n) = place.strip_prefix("local:") {
        vec![iface(name, number(n), OfPort::LOCAL)]
    } else if place.contains('+') {
        let members = place.split('+').map(|m| {
            let n = number(m);
            let mut i = iface(&format!("{name}-{n}"), n, OfPort(n as u16));
            i.member = Some(MemberId(n));
            i
        });
        members.collect()
    } else {
        vec![iface(name, number(place), OfPort(number(place) as u16))]
    };
    let mut c = BundleConfig::new(name, ifaces[0].clone());
    if ifaces.len() > 1 {
        let id = bonds.len() as u32 + 1;
        let handle = bonds.entry(name.to_owned()).or_insert_with(|| {
            Arc::new(BondHandle {
                table: TableId(id),
                recirc_id: id,
                forwarding: ArcSwap::from_pointee(Forwarding {
                    generation: 0,
                    output: OutputRule::Drop,
                    buckets: [None; 256],
                    admission: Vec::new(),
                    sources: Vec::new(),
                }),
            })
        });
        c.bond = Some(handle.clone());
    }
    c.ifaces = ifaces;
    for o in words {
        let s = &mut c.settings;
        let (key, v) = o.split_once('=').unwrap_or((o, ""));
        let vid = || v.split(':').next().unwrap().parse::<u16>().expect("a VLAN ID");
        match key {
            "access" => (s.vlan_mode, s.vlan) = (VlanMode::Access, vid()),
            "native-tagged" => (s.vlan_mode, s.vlan) = (VlanMode::NativeTagged, vid()),
            "native-untagged" => (s.vlan_mode, s.vlan) = (VlanMode::NativeUntagged, vid()),
            "tunnel" => {
                let tpid = if v.ends_with(":ad") { 0x88a8 } else { 0x8100 };
                (s.vlan_mode, s.vlan) = (VlanMode::Dot1qTunnel { tpid }, vid());
            }
            "trunks" => s.trunks = vids(v),
            "cvlans" => s.cvlans = vids(v),
            "priority-tags" => {
                s.priority_tags = match v {
                    "if-nonzero" => PriorityTags::IfNonzero,
                    "always" => PriorityTags::Always,
                    _ => panic!("unknown priority-tags {v}"),
                }
            }
            "protected" => s.protected = true,
            "lacp" => c.lacp = true,
            "bfd" => c.ifaces.iter_mut().for_each(|i| i.bfd = Some(BfdMatch::default())),
            "cfm" => c.ifaces.iter_mut().for_each(|i| i.cfm = Some(wire::ccm::DST)),
            _ => panic!("unknown port option {o}"),
        }
    }
    c
}

fn vids(list: &str) -> BTreeSet<u16> {
    list.split(',').map(|v| v.parse().expect("a VLAN ID")).collect()
}
