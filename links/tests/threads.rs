//! The links thread between real veth pairs, with a main thread that does not answer.
//!
//! Needs a network namespace of its own: as root, or where user namespaces are allowed.

harness::main!();

mod common;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bond::{
    BondConfig, Forwarding, LacpConfig, LacpMemberConfig, LacpTime, MemberConfig, MemberId, Mode,
    OutputRule,
};
use common::{ip, own_namespace};
use config::Detect;
use datapath::{Datapath, Execute, Packet, PortNo, TableId, Userspace};
use datapath_testing::Fake;
use links::{DeviceQueries, LinkDevice, LinkMember, LinkPort, LinkPortKind, Links};
use mio::{Poll, Token, Waker};
use netdev::DeviceError;
use netdev::link::mii::LinkSource;
use netdev::link::{LinkInfo, LinkSettings, ProtoSocket};
use ofproto::BondHandle;
use runtime::clock::{Clock, WarpProgress};
use wire::EthAddr;

/// One side: a links thread, its main that never reads, and its bond.
struct Side {
    links: Links,
    handle: Arc<BondHandle>,
    datapath: Arc<dyn Datapath>,
    _main: Poll,
}

fn side(
    clock: &Clock,
    bond: &str,
    members: &[&str],
    mode: Mode,
    lacp: bool,
    detect: Detect,
) -> Side {
    let ofproto = ofproto::Ofproto::new();
    let datapath = Arc::new(Fake::new());
    let side = Side::new(clock, ofproto, datapath, Box::new(links::KernelQueries));
    side.configure(vec![side.bond(bond, members, mode, lacp, detect)]);
    side
}

impl Side {
    fn new(
        clock: &Clock,
        ofproto: Arc<ofproto::Ofproto>,
        datapath: Arc<dyn Datapath>,
        queries: Box<dyn DeviceQueries>,
    ) -> Side {
        let main = Poll::new().unwrap();
        let waker = Arc::new(Waker::new(main.registry(), Token(0)).unwrap());
        ofproto.attach(datapath.clone());
        let (links, _) = links::spawn(links::Setup {
            clock: clock.clone(),
            datapath: datapath.clone(),
            ofproto,
            revalidate: Box::new(|_| {}),
            main: waker,
            queries,
        })
        .unwrap();
        let handle = Arc::new(BondHandle {
            table: TableId(1),
            forwarding: ArcSwap::from_pointee(Forwarding {
                generation: 0,
                output: OutputRule::Drop,
                buckets: [None; bond::BUCKETS],
                admission: Vec::new(),
                sources: Vec::new(),
            }),
            recirc_id: 1,
        });
        Side { links, handle, datapath, _main: main }
    }

    fn configure(&self, ports: Vec<LinkPort>) {
        let names = ports.iter().flat_map(|p| &p.members).map(|m| m.name.clone()).collect();
        assert!(self.links.follow(names), "the links thread answers");
        assert!(self.links.configure(ports), "the links thread answers");
    }

    fn bond(
        &self,
        bond: &str,
        members: &[&str],
        mode: Mode,
        lacp: bool,
        detect: Detect,
    ) -> LinkPort {
        let infos: Vec<netdev::link::LinkInfo> =
            members.iter().map(|m| netdev::link::get(m).unwrap()).collect();
        let config = BondConfig {
            name: bond.to_owned(),
            mode,
            lacp: lacp.then(|| LacpConfig {
                active: true,
                time: LacpTime::Fast,
                system_id: infos[0].mac,
                system_priority: 65_534,
                aggregation: bond::AggregationConfig::default(),
            }),
            recirc_id: 1,
            members: infos
                .iter()
                .zip(1..)
                .map(|(info, n)| MemberConfig {
                    id: MemberId(n),
                    name: info.name.clone(),
                    mac: info.mac,
                    priority: 0,
                    lacp: LacpMemberConfig { port_id: n as u16, port_priority: 65_535, key: 0 },
                })
                .collect(),
            ..BondConfig::default()
        };
        let members = infos
            .iter()
            .zip(1..)
            .map(|(info, n)| LinkMember {
                id: MemberId(n),
                name: info.name.clone(),
                mac: info.mac,
                device: LinkDevice::Kernel { ifindex: info.ifindex },
                port_no: Some(PortNo(n)),
                on_wire: true,
            })
            .collect();
        LinkPort {
            name: bond.to_owned(),
            bridge: "br0".to_owned(),
            kind: LinkPortKind::Bond { config: Box::new(config), handle: self.handle.clone() },
            detect,
            members,
        }
    }
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < end, "{what} did not come within 10 s");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Moves the clock by `total` in small steps, with a little real time for frames to cross.
fn warp(clock: &Clock, total: Duration) {
    clock.start_warp(total, Some(Duration::from_millis(100))).unwrap();
    while clock.poll_warp() != WarpProgress::Done {
        std::thread::sleep(Duration::from_millis(2));
    }
}

impl Side {
    /// Members with a current partner, and how often information about one ran out.
    fn lacp(&self) -> (usize, u32) {
        let all = self.links.lacps().unwrap();
        let members = &all[0].status.members;
        let current = members.iter().filter(|m| m.may_enable).count();
        (current, members.iter().map(|m| m.stats.link_expired).sum())
    }
}

/// LACP with 1 s timers (time-out 3 s) outlives a main thread that is stuck for 10 s: neither
/// side's main reads an update, and the partners stay current all the time.
#[harness::test]
fn lacp_survives_a_main_thread_that_is_stuck() {
    own_namespace();
    pairs(0..2);
    let clock = Clock::new();
    clock.stop();
    let a = side(&clock, "a", &["a0", "a1"], Mode::BalanceTcp, true, Detect::Carrier);
    let b = side(&clock, "b", &["b0", "b1"], Mode::BalanceTcp, true, Detect::Carrier);
    warp(&clock, Duration::from_secs(3));
    until("LACP", || a.lacp().0 == 2 && b.lacp().0 == 2);
    let before = (a.lacp().1, b.lacp().1);
    let published = a.handle.forwarding.load().generation;

    warp(&clock, Duration::from_secs(10));
    assert_eq!((a.lacp().0, b.lacp().0), (2, 2));
    assert_eq!((a.lacp().1, b.lacp().1), before, "a partner's information ran out");
    assert_eq!(a.handle.forwarding.load().generation, published, "the bond flapped");

    // A dead link still moves traffic, and both copies of the table agree.
    ip("link set b0 down");
    until("failover", || {
        let forwarding = a.handle.forwarding.load();
        forwarding.buckets.iter().all(|b| *b == Some(MemberId(2)))
    });
    let table = a.datapath.table(TableId(1)).unwrap();
    assert!(table.buckets.iter().all(|p| *p == Some(PortNo(2))));
    // What main missed is one letter for each thing.
    let updates = a.links.outbox.take();
    assert_eq!(updates.lacp_current.get("a1"), Some(&Some(true)));
    a.links.stop();
    b.links.stop();
}

/// Both ways of detection see a link go and come, and say who told.
#[harness::test]
fn carrier_and_miimon_are_told_apart() {
    own_namespace();
    let clock = Clock::new();
    for (n, detect) in [(4, Detect::Carrier), (6, Detect::Miimon(Duration::from_millis(20)))] {
        for m in [n, n + 1] {
            ip(&format!("link add a{m} type veth peer name b{m}"));
            ip(&format!("link set a{m} up"));
            ip(&format!("link set b{m} up"));
        }
        let (first, second) = (format!("a{n}"), format!("a{}", n + 1));
        let s = side(&clock, "a", &[&first, &second], Mode::ActiveBackup, false, detect);
        let active = || s.handle.forwarding.load().buckets[0];
        until("the first member", || active() == Some(MemberId(1)));
        let view = s.links.links().unwrap().remove(0);
        match detect {
            Detect::Carrier => {
                assert_eq!((view.source, view.polls), (links::Source::Carrier, 0));
            }
            // veth has no MII registers: its driver answers by ethtool.
            Detect::Miimon(_) => {
                assert_eq!(view.source, links::Source::Ethtool);
                until("polls", || s.links.links().unwrap()[0].polls >= 3);
            }
        }
        ip(&format!("link set b{n} down"));
        until("failover", || active() == Some(MemberId(2)));
        ip(&format!("link set b{n} up"));
        until("the link", || s.links.bonds().unwrap()[0].status.members[0].enabled);
        assert_eq!(active(), Some(MemberId(2)), "no failback without a primary");
        let mac: EthAddr = netdev::link::get(&second).unwrap().mac;
        assert_eq!(s.links.outbox.take().active.get("a"), Some(&mac));
        s.links.stop();
    }
}

/// Veth pairs `a<n>` and `b<n>`, up.
fn pairs(numbers: std::ops::Range<usize>) {
    for n in numbers {
        ip(&format!("link add a{n} type veth peer name b{n}"));
        ip(&format!("link set a{n} up"));
        ip(&format!("link set b{n} up"));
    }
}

/// Waits until all buckets lead to one member, at most for `limit`.
fn moved_to(side: &Side, member: u32, limit: Duration) {
    let start = Instant::now();
    let there =
        || side.handle.forwarding.load().buckets.iter().all(|b| *b == Some(MemberId(member)));
    until("the move", there);
    let took = start.elapsed();
    assert!(took < limit, "traffic moved after {took:?}");
}

/// The packet thread hangs in a job, its command queue is full, and a port without a socket has
/// LACPDUs to send by it: a failover and another port's LACPDUs wait for none of that.
#[harness::test]
fn a_stuck_packet_thread_delays_no_failover_and_no_lacpdu() {
    own_namespace();
    pairs(0..2);
    let clock = Clock::new();
    let ofproto = ofproto::Ofproto::new();
    let now = clock.clone();
    let (userspace, worker) =
        Userspace::new(ofproto.clone(), Arc::new(move || now.now()), 1).unwrap();
    let datapath: Arc<dyn Datapath> = Arc::new(userspace);
    let packets = std::thread::spawn(|| worker.run());
    let (dummy, io) = netdev::io::dummy::create("d0").unwrap();
    dummy.set_admin(true);
    let port_no = datapath.port_add("d0", io, None).unwrap();

    let a = Side::new(&clock, ofproto, datapath.clone(), Box::new(links::KernelQueries));
    let b = side(&clock, "b", &["b0", "b1"], Mode::BalanceTcp, true, Detect::Carrier);
    let lacp = LacpConfig {
        active: true,
        time: LacpTime::Fast,
        system_id: EthAddr([2, 0, 0, 0, 0, 9]),
        system_priority: 65_534,
        aggregation: bond::AggregationConfig::default(),
    };
    let single = LinkPort {
        name: "d0".to_owned(),
        bridge: "br0".to_owned(),
        kind: LinkPortKind::Single {
            lacp,
            member: LacpMemberConfig { port_id: 9, port_priority: 65_535, key: 9 },
        },
        detect: Detect::Carrier,
        members: vec![LinkMember {
            id: MemberId(9),
            name: "d0".to_owned(),
            mac: EthAddr([2, 0, 0, 0, 0, 9]),
            device: LinkDevice::Dummy(dummy.clone()),
            port_no: Some(port_no),
            on_wire: false,
        }],
    };
    let bond = a.bond("a", &["a0", "a1"], Mode::BalanceTcp, true, Detect::Carrier);
    a.configure(vec![bond, single]);
    until("LACP", || a.lacp().0 >= 2 && b.lacp().0 == 2);

    let (release, held) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    datapath.run(Box::new(move || {
        begin.send(()).unwrap();
        let _ = held.recv_timeout(Duration::from_secs(60));
    }));
    begun.recv_timeout(Duration::from_secs(10)).unwrap();
    // Twice as much as there is room for, and more.
    let given = Arc::new(AtomicUsize::new(0));
    let filler = {
        let (datapath, given) = (datapath.clone(), given.clone());
        std::thread::spawn(move || {
            for _ in 0..5000 {
                datapath.execute(Execute {
                    packet: Packet::new(&[0; 60]),
                    in_port: PortNo::NONE,
                    actions: Vec::new(),
                });
                given.fetch_add(1, Ordering::Relaxed);
            }
        })
    };
    until("a full queue", || {
        let before = given.load(Ordering::Relaxed);
        std::thread::sleep(Duration::from_millis(50));
        before > 0 && before == given.load(Ordering::Relaxed)
    });

    // A LACPDU is due when a link comes up.
    dummy.take_transmitted();
    dummy.set_carrier(false);
    assert!(a.links.sync());
    dummy.set_carrier(true);
    // Longer than a partner's information is good for.
    let expired = (a.lacp().1, b.lacp().1);
    std::thread::sleep(Duration::from_millis(4500));
    assert_eq!((a.lacp().1, b.lacp().1), expired, "a partner's information ran out");
    ip("link set b0 down");
    moved_to(&a, 2, Duration::from_secs(5));
    ip("link set b0 up");
    until("the link", || a.lacp().0 >= 2);
    ip("link set b1 down");
    moved_to(&a, 1, Duration::from_secs(5));

    release.send(()).unwrap();
    filler.join().unwrap();
    until("the LACPDU", || !dummy.take_transmitted().is_empty());
    assert_eq!(datapath.stats().urgent_dropped, 0);
    a.links.stop();
    b.links.stop();
    drop((a, datapath));
    drop(packets);
}

/// The kernel's answers, late or changed. Sockets are opened as ever.
struct FaultyQueries {
    kernel: links::KernelQueries,
    /// How long every answer takes.
    delay: Duration,
    /// The index of a device that is reported without carrier; 0 = none.
    without_carrier: Arc<AtomicUsize>,
}

impl FaultyQueries {
    fn new(delay: Duration) -> FaultyQueries {
        FaultyQueries { kernel: links::KernelQueries, delay, without_carrier: Arc::default() }
    }

    fn change(&self, mut link: LinkInfo) -> LinkInfo {
        link.carrier &= link.ifindex as usize != self.without_carrier.load(Ordering::SeqCst);
        link
    }
}

impl DeviceQueries for FaultyQueries {
    fn link(&mut self, ifindex: u32) -> Result<LinkInfo, DeviceError> {
        std::thread::sleep(self.delay);
        self.kernel.link(ifindex).map(|l| self.change(l))
    }

    fn links(&mut self) -> Result<Vec<LinkInfo>, DeviceError> {
        std::thread::sleep(self.delay);
        Ok(self.kernel.links()?.into_iter().map(|l| self.change(l)).collect())
    }

    fn settings(&mut self, name: &str) -> Option<LinkSettings> {
        std::thread::sleep(self.delay);
        self.kernel.settings(name)
    }

    fn mii(&mut self, name: &str) -> Result<(bool, LinkSource), DeviceError> {
        std::thread::sleep(self.delay);
        self.kernel.mii(name)
    }

    fn socket(
        &mut self,
        name: &str,
        ethertype: u16,
        group: Option<EthAddr>,
    ) -> Result<ProtoSocket, DeviceError> {
        self.kernel.socket(name, ethertype, group)
    }
}

/// Speed, MII registers and state of devices that answer late are waited for by nobody: a failover,
/// LACPDUs, a reconfiguration and status take as long as ever.
#[harness::test]
fn a_slow_device_delays_no_failover_no_lacpdu_and_no_configuration() {
    own_namespace();
    pairs(0..4);
    let clock = Clock::new();
    let slow = Box::new(FaultyQueries::new(Duration::from_secs(2)));
    let a = Side::new(&clock, ofproto::Ofproto::new(), Arc::new(Fake::new()), slow);
    let b = side(&clock, "b", &["b0", "b1"], Mode::BalanceTcp, true, Detect::Carrier);
    let miimon = Detect::Miimon(Duration::from_millis(100));
    let snapshot = || {
        let bond = a.bond("a", &["a0", "a1"], Mode::BalanceTcp, true, Detect::Carrier);
        let mut polled = a.bond("p", &["a2", "a3"], Mode::ActiveBackup, false, miimon);
        // A table of its own.
        if let LinkPortKind::Bond { handle, .. } = &mut polled.kind {
            let forwarding = ArcSwap::new(handle.forwarding.load_full());
            *handle = Arc::new(BondHandle { table: TableId(2), forwarding, recirc_id: 2 });
        }
        vec![bond, polled]
    };
    let ports = snapshot();
    a.configure(ports.clone());
    until("LACP", || {
        a.links.lacps().unwrap().first().is_some_and(|_| a.lacp().0 == 2) && b.lacp().0 == 2
    });
    until("a slow answer", || a.links.links().unwrap().iter().any(|l| l.polls > 0));

    let expired = (a.lacp().1, b.lacp().1);
    let mut longest = Duration::ZERO;
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(4500) {
        let asked = Instant::now();
        a.configure(ports.clone());
        assert_eq!(a.links.links().unwrap().len(), 4);
        longest = longest.max(asked.elapsed());
        std::thread::sleep(Duration::from_millis(50));
    }
    // A thread that waits for one answer takes two seconds.
    assert!(longest < Duration::from_millis(1500), "configuring took {longest:?}");
    assert_eq!((a.lacp().1, b.lacp().1), expired, "a partner's information ran out");
    ip("link set b0 down");
    moved_to(&a, 2, Duration::from_millis(1500));
    a.links.stop();
    b.links.stop();
}

/// A device whose state is not what its bond believes, without any news, is found by the periodic
/// comparison, and so is the way back.
#[harness::test]
fn a_link_whose_news_were_lost_is_found_by_comparing() {
    own_namespace();
    pairs(0..2);
    let clock = Clock::new();
    let queries = Box::new(FaultyQueries::new(Duration::ZERO));
    let lost = queries.without_carrier.clone();
    let a = Side::new(&clock, ofproto::Ofproto::new(), Arc::new(Fake::new()), queries);
    a.configure(vec![a.bond("a", &["a0", "a1"], Mode::ActiveBackup, false, Detect::Carrier)]);
    let up = |name: &str| a.links.links().unwrap().iter().any(|l| l.name == name && l.up);
    let enabled = |name: &str| {
        let bonds = a.links.bonds().unwrap();
        bonds[0].status.members.iter().any(|m| m.name == name && m.enabled)
    };
    until("both links", || up("a0") && up("a1") && enabled("a0") && enabled("a1"));
    lost.store(netdev::link::get("a0").unwrap().ifindex as usize, Ordering::SeqCst);
    until("the loss", || !up("a0") && !enabled("a0"));
    assert!(enabled("a1"));
    lost.store(0, Ordering::SeqCst);
    until("the return", || up("a0") && enabled("a0") && enabled("a1"));
    a.links.stop();
}

/// Links of others come and go on a host with containers: main is not woken, and has no status to
/// write. A link that the configuration names wakes it, also one that is in no bond.
#[harness::test]
fn foreign_links_do_not_wake_main() {
    own_namespace();
    pairs(0..2);
    let clock = Clock::new();
    let mut a = side(&clock, "a", &["a0", "a1"], Mode::ActiveBackup, false, Detect::Carrier);
    let names = ["a0", "a1", "plain"].map(str::to_owned);
    assert!(a.links.follow(names.into()));
    until("the links", || a.links.links().unwrap().iter().filter(|l| l.up).count() == 2);
    // The number of times that main was woken since the last call.
    let mut events = mio::Events::with_capacity(8);
    let mut woken = |a: &mut Side, patience: Duration| {
        let mut times = 0;
        while a._main.poll(&mut events, Some(patience)).is_ok() && !events.is_empty() {
            times += 1;
            a.links.outbox.take();
        }
        times
    };
    woken(&mut a, Duration::from_millis(300));
    for n in 0..20 {
        ip(&format!("link add x{n} type veth peer name y{n}"));
        ip(&format!("link set x{n} up"));
        ip(&format!("link del x{n}"));
    }
    // The thread has read what the kernel reported by then.
    assert!(a.links.sync());
    assert_eq!(woken(&mut a, Duration::from_millis(300)), 0, "by links of others");
    ip("link add plain type veth peer name other");
    until("an interface's device", || woken(&mut a, Duration::from_millis(10)) > 0);
    ip("link del plain");
    until("its end", || {
        a._main.poll(&mut mio::Events::with_capacity(8), Some(Duration::ZERO)).unwrap();
        let updates = a.links.outbox.take();
        matches!(updates.links.get("plain"), Some(links::LinkChange::Gone { .. }))
            && updates.removed.len() == 1
    });
}
