//! The switch over a datapath that refuses, delays and drops operations.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use datapath::format::{self, FlowDump, Show};
use datapath::{Action, Datapath, Execute, FlowHandle, Packet, PortNo};
use datapath_testing::{Chaos, Fake, Faults};
use ofproto::tables::Requester;
use ofproto::trace::PortNames;
use ofproto::{Ofproto, OfprotoConfig, Revalidator};
use openflow::Version;
use openflow::msg::FlowModCommand;
use openflow::text::{FlowText, NoNames, parse_flow};
use wire::{FlowMask, Time};

use crate::frame::{BROADCAST, other, udp_ports};
use crate::lab::{NoDevice, bridges};

/// Seeds that run by default, from `BRAID_SEED` on.
const RUNS: u64 = 12;
/// Random operations per run.
const STEPS: usize = 300;
/// Revalidation rounds that must suffice to converge. A round's removals fail with a chance of 20 %.
const ROUNDS: usize = 60;

/// What is configured with and without port 3.
const TOPOLOGIES: [[&str; 2]; 2] = [
    ["br0:\n p1 = 1\n p2 = 2 access=10\n p3 = 3", "br0:\n p1 = 1\n p2 = 2 access=10"],
    ["br0:\n p1 = 1 protected\n p2 = 2\n p3 = 3", "br0:\n p1 = 1\n p2 = 2 trunks=10,20"],
];

/// Rules that come and go, above the permanent one.
const RULES: [&str; 4] = [
    "priority=10,udp,tp_dst=2001,actions=drop",
    "priority=11,in_port=1,actions=normal",
    "priority=12,udp,tp_dst=2002,actions=output:2,normal",
    "priority=13,dl_type=0x88b5,actions=output:1",
];

struct NoPortNames;

impl PortNames for NoPortNames {
    fn number(&self, _: &str) -> Option<PortNo> {
        None
    }

    fn name(&self, _: PortNo) -> Option<String> {
        None
    }
}

/// SplitMix64 (Steele, Lea and Flood, 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }
}

struct Fixture {
    ofproto: Arc<Ofproto>,
    fake: Arc<Fake>,
    chaos: Arc<Chaos<Arc<Fake>>>,
    revalidator: Revalidator,
    random: Random,
    /// Index in `TOPOLOGIES`, and whether port 3 is configured.
    topology: usize,
    third: bool,
    /// Frames received on configured ports.
    received: u64,
    /// Counters last seen, by flow and by table.
    counters: BTreeMap<String, u64>,
    /// Keeps flows, so that no two have one address.
    flows: Vec<Arc<FlowHandle>>,
}

impl Fixture {
    fn new(seed: u64) -> Fixture {
        let (ofproto, fake) = (Ofproto::new(), Arc::new(Fake::new()));
        let faults = Faults { fail: 200, drop: 200, delay: 300, longest: 6 };
        let chaos = Arc::new(Chaos::new(fake.clone(), seed, faults));
        fake.set_now(Time::from_millis(1_000_000));
        for n in 1..=3 {
            fake.port_add(&n.to_string(), Box::new(NoDevice), Some(PortNo(n))).unwrap();
        }
        let datapath: Arc<dyn Datapath> = chaos.clone();
        ofproto.attach(datapath.clone());
        fake.set_upcall(chaos.upcall(ofproto.clone(), seed));
        let revalidator = Revalidator::new(ofproto.clone(), datapath);
        let mut f = Fixture {
            ofproto,
            fake,
            chaos,
            revalidator,
            random: Random(seed),
            topology: 0,
            third: true,
            received: 0,
            counters: BTreeMap::new(),
            flows: Vec::new(),
        };
        f.configure();
        f.flow_mod(FlowModCommand::Add, "priority=1,actions=normal");
        f
    }

    fn configure(&mut self) {
        let topology = TOPOLOGIES[self.topology][usize::from(!self.third)];
        let config = OfprotoConfig { vlan_limit: 1, bridges: bridges(topology) };
        self.ofproto.configure(self.fake.now(), config);
    }

    fn flow_mod(&self, command: FlowModCommand, rule: &str) {
        let flow = parse_flow(rule, FlowText::Command(command), &NoNames).unwrap();
        let by = Requester { conn: None, version: Version::V10 };
        let now = self.fake.now();
        self.ofproto
            .with_flow_table("br0", |t| t.flow_mod(now, &flow, &by).map(|_| ()))
            .unwrap()
            .unwrap();
    }

    /// One random operation.
    fn step(&mut self) {
        match self.random.below(20) {
            0..=9 => self.receive(),
            10 | 11 => {
                let by = Duration::from_millis(1 + self.random.below(4000));
                self.fake.set_now(self.fake.now() + by);
            }
            12 => {
                self.topology = self.random.below(2) as usize;
                self.configure();
            }
            13 => self.add_or_remove_port(),
            14 | 15 => {
                let rule = RULES[self.random.below(4) as usize];
                self.flow_mod(FlowModCommand::Add, rule);
            }
            16 => {
                let rule = RULES[self.random.below(4) as usize];
                let rule = rule.split_once(",actions").unwrap().0.split_once(',').unwrap().1;
                self.flow_mod(FlowModCommand::Delete, rule);
            }
            17 => self.chaos.execute(Execute {
                packet: Packet::new(&udp_ports(1, 2, 1, 2).bytes()),
                in_port: PortNo::NONE,
                actions: vec![Action::Output(PortNo(1))],
            }),
            _ => {
                self.revalidator.run(self.fake.now(), &[]);
            }
        }
    }

    fn receive(&mut self) {
        let port = 1 + self.random.below(if self.third { 3 } else { 2 });
        let src = 1 + self.random.below(6);
        let dst = [1 + self.random.below(6), BROADCAST][usize::from(self.random.below(4) == 0)];
        let frame = match self.random.below(5) {
            0 => other(src, dst, 0x88b5),
            n => udp_ports(src, dst, 1000, 1999 + n as u16),
        };
        let frame = if self.random.below(3) == 0 { frame.tag(10) } else { frame };
        self.fake.receive(PortNo(port as u32), &frame.bytes());
        self.received += 1;
    }

    /// Removes port 3 or adds it again. As in the daemon, a number is given again only after the
    /// flows of the old port are gone.
    fn add_or_remove_port(&mut self) {
        if self.third {
            self.third = false;
            self.configure();
            self.chaos.port_del(PortNo(3)).expect("port 3 is there");
        } else {
            self.converge();
            let added = self.chaos.port_add("3", Box::new(NoDevice), Some(PortNo(3)));
            self.third = added.is_ok();
            self.configure();
        }
    }

    /// Revalidates until a round changes nothing.
    fn converge(&mut self) {
        for _ in 0..ROUNDS {
            // Whatever is still delayed takes effect between two rounds.
            self.chaos.settle();
            let before = self.revalidator.status();
            self.revalidator.run(self.fake.now(), &[]);
            let after = self.revalidator.status();
            self.check_counters();
            if (before.changed, before.removed) == (after.changed, after.removed) {
                self.check_converged();
                return;
            }
        }
        panic!("the flow table does not converge in {ROUNDS} rounds");
    }

    fn check_converged(&mut self) {
        // Idle flows are looked at by the next round that is due.
        for flow in self.fake.flows() {
            let shown = self.shown(&flow);
            let ports = |a: &Action| *a == Action::Output(PortNo(3));
            let of_third = flow.key.in_port == 3 || flow.actions.load().iter().any(ports);
            assert!(self.third || !of_third, "a flow of the removed port: {shown}");
            assert_eq!(self.translated(&flow), self.actions(&flow), "{shown}");
        }
        // Every frame was looked up once in table 0, either itself or by the flow that it hit.
        let tables = self.ofproto.with_flow_table("br0", |t| t.table_stats()).unwrap();
        let lookups = tables.iter().find(|t| t.table_id == 0).expect("table 0").lookups;
        assert_eq!(lookups, self.received, "packets counted and packets received");
    }

    /// No counter of a flow or a table goes backwards.
    fn check_counters(&mut self) {
        self.flows.extend(self.fake.flows());
        self.flows.sort_by_key(Arc::as_ptr);
        self.flows.dedup_by_key(|f| Arc::as_ptr(f));
        let mut now = Vec::new();
        for flow in &self.flows {
            let stats = flow.stats();
            now.push((format!("packets of flow {:p}", Arc::as_ptr(flow)), stats.packets));
            now.push((format!("bytes of flow {:p}", Arc::as_ptr(flow)), stats.bytes));
        }
        for t in self.ofproto.with_flow_table("br0", |t| t.table_stats()).unwrap() {
            now.push((format!("lookups in table {}", t.table_id), t.lookups));
            now.push((format!("matches in table {}", t.table_id), t.matched));
        }
        let rules = self.ofproto.dump_rules(self.fake.now(), "br0").unwrap();
        let permanent = rules.0.iter().find(|r| r.priority == 1).expect("the permanent rule");
        now.push(("packets of the permanent rule".to_owned(), permanent.count.packets));
        for (name, value) in now {
            let before = self.counters.insert(name.clone(), value).unwrap_or(0);
            assert!(value >= before, "{name}: {before}, then {value}");
        }
    }

    fn show() -> Show<'static> {
        Show { table: &|_| None, names: None, more: false }
    }

    fn shown(&self, flow: &FlowHandle) -> String {
        FlowDump::new(flow, self.fake.now(), Fixture::show()).to_string()
    }

    fn actions(&self, flow: &FlowHandle) -> String {
        format::shown_actions(&flow.actions.load(), &flow.packet_key, Fixture::show())
    }

    /// The actions that translation gives now to the packet that the flow was made for.
    fn translated(&self, flow: &FlowHandle) -> String {
        let exact = FlowHandle::new(flow.packet_key, FlowMask::exact(), vec![], None, Time::ZERO);
        let shown = self.shown(&exact);
        let (key, _) = shown.split_once(", packets:").expect("statistics follow the key");
        let said = self.ofproto.trace(self.fake.now(), &[key], &NoPortNames).unwrap();
        let actions = said.lines().find_map(|l| l.strip_prefix("Datapath actions: "));
        actions.expect("a trace ends with the actions").to_owned()
    }
}

/// Over a datapath that refuses ports, packets and flows and that delays and drops removals, the
/// flow table converges to what translation gives, no flow of a removed port stays, and statistics
/// neither go backwards nor lose a packet.
#[test]
fn flow_table_converges_over_a_failing_datapath() {
    let given = std::env::var("BRAID_SEED").ok().and_then(|s| s.parse::<u64>().ok());
    let seeds = given.map_or(1..1 + RUNS, |seed| seed..seed + 1);
    let mut faults = (0, 0);
    for seed in seeds {
        println!("BRAID_SEED={seed}");
        let mut f = Fixture::new(seed);
        for _ in 0..STEPS {
            f.step();
            f.check_counters();
        }
        f.converge();
        let (failed, delayed) = f.chaos.faults_injected();
        faults = (faults.0 + failed, faults.1 + delayed);
    }
    assert!(given.is_some() || (faults.0 > 100 && faults.1 > 100), "{faults:?}");
}
