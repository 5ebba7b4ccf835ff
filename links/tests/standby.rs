//! A packet that finds its member's carrier lost goes out by another member, whatever the links
//! thread is doing.
//!
//! Needs a network namespace of its own: as root, or where user namespaces are allowed.

harness::main!();

mod common;

use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bond::{BondConfig, Forwarding, LacpMemberConfig, MemberConfig, MemberId, Mode, OutputRule};
use common::{ip, own_namespace};
use config::Detect;
use datapath::{
    Action, Datapath, PortNo, SlowPath, TableId, ToController, Translation, Upcall, Userspace,
};
use datapath_testing::{MemoryPort, memory};
use links::{LinkDevice, LinkMember, LinkPort, LinkPortKind, Links};
use mio::{Poll, Token, Waker};
use netdev::Packet;
use ofproto::BondHandle;
use runtime::clock::Clock;
use wire::{FlowKey, FlowMask, Time};

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < end, "{what} did not come within 10 s");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Every packet goes to bucket 0 of the bond's table.
struct ToTheBond;

impl Upcall for ToTheBond {
    fn miss(&self, _: Time, _: &Packet, _: &FlowKey) -> Translation {
        Translation {
            actions: [Action::OutputBucket { table: BOND, bucket: 0 }].into(),
            mask: FlowMask::default(),
            install: true,
            notes: None,
        }
    }
    fn slow_path(&self, _: Time, _: SlowPath<'_>) {}
    fn to_controller(&self, _: Time, _: &ToController, _: &Packet, _: &FlowKey) {}
}

const BOND: TableId = TableId(1);
const OTHER: TableId = TableId(2);

fn bond(name: &str, table: TableId, members: [(&str, u32); 2]) -> (LinkPort, Arc<BondHandle>) {
    let handle = Arc::new(BondHandle {
        table,
        forwarding: ArcSwap::from_pointee(Forwarding {
            generation: 0,
            output: OutputRule::Drop,
            buckets: [None; bond::BUCKETS],
            admission: Vec::new(),
            sources: Vec::new(),
        }),
        recirc_id: 0,
    });
    let infos = members.map(|(name, n)| (netdev::link::get(name).expect("a device"), n));
    let config = BondConfig {
        name: name.to_owned(),
        mode: Mode::ActiveBackup,
        members: infos
            .iter()
            .map(|(info, n)| MemberConfig {
                id: MemberId(*n),
                name: info.name.clone(),
                mac: info.mac,
                priority: 0,
                lacp: LacpMemberConfig { port_id: 0, port_priority: 0, key: 0 },
            })
            .collect(),
        ..BondConfig::default()
    };
    let members = infos
        .iter()
        .map(|(info, n)| LinkMember {
            id: MemberId(*n),
            name: info.name.clone(),
            mac: info.mac,
            device: LinkDevice::Kernel { ifindex: info.ifindex },
            port_no: Some(PortNo(*n)),
            on_wire: true,
        })
        .collect();
    let port = LinkPort {
        name: name.to_owned(),
        bridge: "br0".to_owned(),
        kind: LinkPortKind::Bond { config: Box::new(config), handle: handle.clone() },
        detect: Detect::Carrier,
        members,
    };
    (port, handle)
}

/// A links thread over a packet thread whose devices are in memory; only the carriers are real.
struct Rig {
    links: Links,
    datapath: Arc<dyn Datapath>,
    /// Ports 1 to 4 are the members', 5 is where packets come from.
    ports: Vec<MemoryPort>,
    /// The links thread waits in its next request to the revalidator until it is sent something.
    hold: Arc<Mutex<Option<mpsc::Receiver<()>>>>,
    held: mpsc::Receiver<()>,
    _main: Poll,
}

impl Rig {
    fn new() -> Rig {
        let clock = Clock::new();
        let now = clock.clone();
        let (userspace, worker) =
            Userspace::new(Arc::new(ToTheBond), Arc::new(move || now.now()), 1).unwrap();
        std::thread::spawn(|| worker.run());
        let datapath: Arc<dyn Datapath> = Arc::new(userspace);
        let mut ports = Vec::new();
        for n in 1..=5 {
            let (io, port) = memory().unwrap();
            datapath.port_add(&format!("p{n}"), Box::new(io), Some(PortNo(n))).unwrap();
            ports.push(port);
        }
        let ofproto = ofproto::Ofproto::new();
        ofproto.attach(datapath.clone());
        let main = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(main.registry(), Token(0)).unwrap());
        let hold: Arc<Mutex<Option<mpsc::Receiver<()>>>> = Arc::default();
        let (begin, held) = mpsc::channel();
        let revalidate = {
            let hold = hold.clone();
            move |_| {
                let release = hold.lock().unwrap().take();
                if let Some(release) = release {
                    begin.send(()).unwrap();
                    let _ = release.recv_timeout(Duration::from_secs(60));
                }
            }
        };
        let (links, _) = links::spawn(links::Setup {
            clock,
            datapath: datapath.clone(),
            ofproto,
            revalidate: Box::new(revalidate),
            main: waker,
            queries: Box::new(links::KernelQueries),
        })
        .unwrap();
        Rig { links, datapath, ports, hold, held, _main: main }
    }

    /// Sends a packet every millisecond until port `n` has sent one. How many were sent in vain.
    fn send_until(&self, n: usize) -> usize {
        self.ports[n - 1].sent();
        let mut sent = 0;
        until("a packet", || {
            self.ports[4].push(&[2; 60]);
            sent += 1;
            std::thread::sleep(Duration::from_millis(1));
            !self.ports[n - 1].sent().is_empty()
        });
        sent - 1
    }

    /// Returns when the links thread is stuck; it goes on when the value is dropped.
    fn stick(&self, cause: impl FnOnce()) -> mpsc::Sender<()> {
        let (release, wait) = mpsc::channel();
        *self.hold.lock().unwrap() = Some(wait);
        cause();
        self.held.recv_timeout(Duration::from_secs(10)).expect("a failover of the other bond");
        release
    }
}

#[harness::test]
fn traffic_moves_while_the_links_thread_is_stuck() {
    own_namespace();
    for n in 0..4 {
        ip(&format!("link add a{n} type veth peer name b{n}"));
        ip(&format!("link set a{n} up"));
        ip(&format!("link set b{n} up"));
    }
    let rig = Rig::new();
    let (one, handle) = bond("one", BOND, [("a0", 1), ("a1", 2)]);
    let (other, _) = bond("other", OTHER, [("a2", 3), ("a3", 4)]);
    let names = ["a0", "a1", "a2", "a3"].map(str::to_owned);
    assert!(rig.links.follow(names.into()));
    assert!(rig.links.configure(vec![one, other]));
    let leads_to =
        |n: u32| handle.forwarding.load().buckets.iter().all(|b| *b == Some(MemberId(n)));
    until("an active member", || leads_to(1));
    rig.send_until(1);
    // The count is opened and the table that stands by is worked out after the configuration.
    std::thread::sleep(Duration::from_secs(1));

    let release = rig.stick(|| ip("link set b2 down"));
    let before = handle.forwarding.load().generation;
    ip("link set b0 down");
    let lost = rig.send_until(2);
    assert!(lost <= 3, "{lost} packets went nowhere");
    assert_eq!(handle.forwarding.load().generation, before, "the engine has not been told");
    // Back before the engine hears of it: that it was gone counts.
    ip("link set b0 up");
    drop(release);
    until("the engine's own table", || leads_to(2));
    until("the same in the datapath", || {
        rig.datapath.table(BOND).map(|t| t.generation) == Some(handle.forwarding.load().generation)
    });

    // What stands by now is for the other member.
    until("the first member", || {
        let bonds = rig.links.bonds().unwrap();
        let one = bonds.iter().find(|b| b.status.name == "one").unwrap();
        one.status.members.iter().all(|m| m.enabled)
    });
    std::thread::sleep(Duration::from_millis(500));
    rig.send_until(2);
    let release = rig.stick(|| ip("link set b3 down"));
    ip("link set b1 down");
    let lost = rig.send_until(1);
    assert!(lost <= 3, "{lost} packets went nowhere");
    drop(release);
    until("the engine's own table", || leads_to(1));
    rig.links.stop();
}
