//! The links thread between real veth pairs, with a main thread that does not answer.
//!
//! Needs a network namespace of its own: as root, or where user namespaces are allowed.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use bond::{
    BondConfig, Forwarding, LacpConfig, LacpMemberConfig, LacpTime, MemberConfig, MemberId, Mode,
    OutputRule, PrimaryReselect,
};
use datapath::fake::Fake;
use datapath::{PortNo, TableId};
use mio::{Poll, Token, Waker};
use ofproto::BondHandle;
use vswitchd::clock::{Clock, WarpProgress};
use vswitchd::config::Detect;
use vswitchd::links::{self, LinkDevice, LinkMember, LinkPort, LinkPortKind, Links};
use vswitchd::revalidator::Queue;
use wire::EthAddr;

/// Puts the calling thread, and threads that it starts, into a network namespace of its own.
/// False, said loudly, where that is not allowed.
fn own_namespace() -> bool {
    // SAFETY: takes flags only; this thread alone moves to new namespaces.
    let done = unsafe {
        libc::unshare(libc::CLONE_NEWNET) == 0
            || libc::unshare(libc::CLONE_NEWUSER | libc::CLONE_NEWNET) == 0
    };
    if !done {
        eprintln!("NOT RUN: no network namespace can be made here; run as root");
    }
    done
}

fn ip(args: &str) {
    let out = Command::new("ip").args(args.split(' ')).output().expect("ip is installed");
    assert!(out.status.success(), "ip {args}: {}", String::from_utf8_lossy(&out.stderr));
}

/// One side: a links thread, its main that never reads, and its bond.
struct Side {
    links: Links,
    handle: Arc<BondHandle>,
    datapath: Arc<Fake>,
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
    let main = Poll::new().unwrap();
    let waker = Arc::new(Waker::new(main.registry(), Token(0)).unwrap());
    let datapath = Arc::new(Fake::new());
    let ofproto = ofproto::Switch::new();
    ofproto.attach(datapath.clone());
    let (links, _) = links::spawn(links::Setup {
        clock: clock.clone(),
        datapath: datapath.clone(),
        ofproto,
        revalidator: Queue::default(),
        main: waker,
        queries: Box::new(links::KernelQueries),
    })
    .unwrap();
    let handle = Arc::new(BondHandle {
        table: TableId(1),
        forwarding: ArcSwap::from_pointee(Forwarding {
            generation: 0,
            output: OutputRule::Drop,
            buckets: [None; bond::BUCKETS],
            admission: Vec::new(),
        }),
        recirc_id: 1,
    });
    let infos: Vec<netdev::link::LinkInfo> =
        members.iter().map(|m| netdev::link::get(m).unwrap()).collect();
    let config = BondConfig {
        name: bond.to_owned(),
        mode,
        updelay: Duration::ZERO,
        downdelay: Duration::ZERO,
        hash_basis: 0,
        primary: None,
        primary_reselect: PrimaryReselect::Always,
        failback_delay: Duration::ZERO,
        failback_limit: 0,
        all_members_active: false,
        lb_output: false,
        rebalance_interval: Duration::from_secs(10),
        lacp: lacp.then(|| LacpConfig {
            active: true,
            time: LacpTime::Fast,
            system_id: infos[0].mac,
            system_priority: 65_534,
        }),
        lacp_fallback_ab: false,
        recirc_id: 1,
        active_member_mac: None,
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
        })
        .collect();
    let done = links.configure(vec![LinkPort {
        name: bond.to_owned(),
        bridge: "br0".to_owned(),
        kind: LinkPortKind::Bond { config: Box::new(config), handle: handle.clone() },
        detect,
        members,
    }]);
    assert!(done, "the links thread answers");
    Side { links, handle, datapath, _main: main }
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
        let all = self.links.lacps();
        let members = &all[0].status.members;
        let current = members.iter().filter(|m| m.may_enable).count();
        (current, members.iter().map(|m| m.stats.link_expired).sum())
    }
}

/// LACP with 1 s timers (time-out 3 s) outlives a main thread that is stuck for 10 s: neither
/// side's main reads a letter, and the partners stay current all the time.
#[test]
fn lacp_survives_a_main_thread_that_is_stuck() {
    if !own_namespace() {
        return;
    }
    for n in 0..2 {
        ip(&format!("link add a{n} type veth peer name b{n}"));
        ip(&format!("link set a{n} up"));
        ip(&format!("link set b{n} up"));
    }
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
    let table = datapath::Datapath::table(&*a.datapath, TableId(1)).unwrap();
    assert!(table.buckets.iter().all(|p| *p == Some(PortNo(2))));
    // What main missed is one letter for each thing.
    let letters = a.links.outbox.take();
    assert_eq!(letters.lacp_current.get("a1"), Some(&Some(true)));
    a.links.stop();
    b.links.stop();
}

/// Both ways of detection see a link go and come, and say who told.
#[test]
fn carrier_and_miimon_are_told_apart() {
    if !own_namespace() {
        return;
    }
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
        let view = s.links.links().remove(0);
        match detect {
            Detect::Carrier => {
                assert_eq!((view.source, view.polls), (links::Source::Carrier, 0));
            }
            // veth has no MII registers: its driver answers by ethtool.
            Detect::Miimon(_) => {
                assert_eq!(view.source, links::Source::Ethtool);
                until("polls", || s.links.links()[0].polls >= 3);
            }
        }
        ip(&format!("link set b{n} down"));
        until("failover", || active() == Some(MemberId(2)));
        ip(&format!("link set b{n} up"));
        until("the link", || s.links.bonds()[0].status.members[0].enabled);
        assert_eq!(active(), Some(MemberId(2)), "no failback without a primary");
        let mac: EthAddr = netdev::link::get(&second).unwrap().mac;
        assert_eq!(s.links.outbox.take().active.get("a"), Some(&mac));
        s.links.stop();
    }
}
