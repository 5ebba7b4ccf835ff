//! The modes of Linux bonding (`bond-policy`) on real devices.

use std::net::Ipv4Addr;
use std::time::Duration;

use testbed::frame::{self, Header, Udp};
use testbed::{Members, PacketSocket};
use tests::Rig;
use tests::rig::{HOST_IP, HOST_MAC, hello, nic_mac, talk};
use wire::{EthAddr, EtherType, HashPolicy, xmit_hash};

const MS: Duration = Duration::from_millis(1);
/// How long frames on their way may take on a busy machine.
const SETTLE: Duration = Duration::from_millis(300);
const MARK: &[u8] = b"a frame of this test";

fn sockets(rig: &Rig) -> Vec<PacketSocket> {
    (0..rig.nics).map(|i| rig.tor_socket(i)).collect()
}

/// The marked frames that each member has sent, in order.
fn arrived(tor: &[PacketSocket]) -> Vec<Vec<Vec<u8>>> {
    std::thread::sleep(SETTLE);
    tor.iter().map(|s| s.drain(|f| f.ends_with(MARK))).collect()
}

/// Flows of several machines, VLANs and ports.
fn flows() -> Vec<Vec<u8>> {
    let flow = |i: u8| {
        let n = u16::from(i);
        Udp {
            src_mac: EthAddr([0x02, 0, i % 3, 0, 0x55, i]),
            vlan: i.is_multiple_of(4).then_some(100 + n),
            src_ip: Ipv4Addr::new(10, i % 7, 0, i),
            src_port: 40_000 + 3 * n,
            dst_port: 5000 + n % 2,
            ..talk(1, 0)
        }
    };
    (1..=60).map(|i| flow(i).frame(MARK)).collect()
}

/// Each flow leaves by the member that Linux would take; also when one member has failed.
fn xor_on(nics: usize) {
    let rig = Rig::new(nics);
    rig.bond("other_config:bond-policy=balance-xor");
    let (vm, tor) = (rig.vm_socket(), sockets(&rig));
    let check = |policy: HashPolicy, usable: &[usize]| {
        for f in flows() {
            vm.send(&f).unwrap();
        }
        let mut used = 0;
        for (nic, frames) in arrived(&tor).iter().enumerate() {
            for f in frames {
                let linux = usable[xmit_hash(policy, f) as usize % usable.len()];
                assert_eq!(nic, linux, "{} of {usable:?}: {f:02x?}", policy.as_str());
            }
            used += usize::from(!frames.is_empty());
        }
        assert_eq!(used, usable.len(), "{}: members in use", policy.as_str());
    };
    let all: Vec<usize> = (0..nics).collect();
    for policy in HashPolicy::ALL {
        let key = format!("other_config:bond-hash-policy={}", policy.as_str());
        rig.vsctl(&format!("set port bond0 {key}"));
        let line = format!("bond-hash-policy: {}", policy.as_str());
        assert!(rig.appctl("bond/show bond0").contains(&line));
        check(policy, &all);
    }
    rig.link(1, false);
    rig.await_member(1, false);
    let left: Vec<usize> = all.iter().copied().filter(|n| *n != 1).collect();
    check(HashPolicy::VlanSrcMac, &left);
    rig.link(1, true);
    rig.await_member(1, true);
    check(HashPolicy::VlanSrcMac, &all);
    rig.assert_clean_log();
}

#[harness::test]
fn balance_xor_of_two_sends_by_linux_s_member() {
    xor_on(2);
}

#[harness::test]
fn balance_xor_of_three_sends_by_linux_s_member() {
    xor_on(3);
}

#[harness::test]
fn balance_xor_of_five_sends_by_linux_s_member() {
    xor_on(5);
}

#[harness::test]
fn balance_rr_gives_each_member_its_turn() {
    let rig = Rig::new(3);
    rig.bond("other_config:bond-policy=balance-rr");
    let (vm, tor) = (rig.vm_socket(), sockets(&rig));
    let f = talk(1, 40_000).frame(MARK);
    let send = |n| {
        for _ in 0..n {
            vm.send(&f).unwrap();
        }
        arrived(&tor).iter().map(Vec::len).collect::<Vec<_>>()
    };
    let sent = send(300);
    assert!(sent.iter().all(|n| (99..=101).contains(n)), "{sent:?}");

    // A member fails: the others share evenly.
    rig.link(0, false);
    rig.await_member(0, false);
    let sent = send(300);
    assert_eq!(sent[0], 0);
    assert!(sent[1..].iter().all(|n| (149..=151).contains(n)), "{sent:?}");
    rig.link(0, true);
    rig.await_member(0, true);

    // At random: each gets its share, but not in turns.
    rig.vsctl("set port bond0 other_config:bond-packets-per-member=0");
    let sent = send(900);
    assert_eq!(sent.iter().sum::<usize>(), 900);
    assert!(sent.iter().all(|n| (200..=400).contains(n)), "{sent:?}");

    // IGMP by the active member only.
    let mut igmp = talk(1, 0).frame(MARK);
    igmp[23] = 2;
    for _ in 0..9 {
        vm.send(&igmp).unwrap();
    }
    let by: Vec<usize> = arrived(&tor).iter().map(Vec::len).collect();
    let active = rig.active().unwrap();
    assert_eq!((by[active], by.iter().sum::<usize>()), (9, 9), "{by:?}");
    rig.assert_clean_log();
}

#[harness::test]
fn balance_rr_sends_as_many_packets_in_a_turn_as_configured() {
    let rig = Rig::new(2);
    rig.bond("other_config:bond-policy=balance-rr other_config:bond-packets-per-member=10");
    let (vm, tor) = (rig.vm_socket(), sockets(&rig));
    for n in 0..200u16 {
        vm.send(&talk(1, n).frame(MARK)).unwrap();
    }
    let frames = arrived(&tor);
    let ports = |frames: &[Vec<u8>]| {
        let port = |f: &Vec<u8>| u16::from_be_bytes([f[34], f[35]]);
        frames.iter().map(port).collect::<Vec<_>>()
    };
    for sent in frames.iter().map(|f| ports(f)) {
        assert!((90..=110).contains(&sent.len()), "{sent:?}");
        // Runs of ten, but for the first and the last.
        let mut runs: Vec<usize> = Vec::new();
        for (i, n) in sent.iter().enumerate() {
            match i.checked_sub(1).is_some_and(|b| sent[b] + 1 == *n) {
                true => *runs.last_mut().unwrap() += 1,
                false => runs.push(1),
            }
        }
        let inner = &runs[1..runs.len() - 1];
        assert!(inner.iter().all(|n| *n == 10), "{runs:?}");
    }
}

#[harness::test]
fn broadcast_sends_by_every_member_and_lets_one_copy_in() {
    let rig = Rig::new(3);
    rig.bond("other_config:bond-policy=broadcast");
    let (vm, tor) = (rig.vm_socket(), sockets(&rig));
    let send = |tor: &[PacketSocket]| {
        for n in 0..20 {
            vm.send(&talk(1, 40_000 + n).frame(MARK)).unwrap();
        }
        arrived(tor).iter().map(Vec::len).collect::<Vec<_>>()
    };
    assert_eq!(send(&tor), [20, 20, 20]);

    // What comes in by all members is let in once, whichever is first.
    let answer = |n: u16| {
        let mut t = talk(1, 40_000 + n).reversed();
        t.src_port = 5000 + n;
        t.frame(MARK)
    };
    let marked = |f: &[u8]| f.ends_with(MARK);
    for n in 0..30 {
        let f = answer(n);
        for i in 0..3 {
            tor[(usize::from(n) + i) % 3].send(&f).unwrap();
        }
    }
    std::thread::sleep(SETTLE);
    assert_eq!(vm.drain(marked).len(), 30);
    // By one only: whichever it is.
    for (n, s) in tor.iter().enumerate() {
        s.send(&answer(100 + n as u16)).unwrap();
    }
    // The same octets again on the same link are a packet of their own.
    for _ in 0..3 {
        tor[1].send(&answer(200)).unwrap();
    }
    std::thread::sleep(SETTLE);
    assert_eq!(vm.drain(marked).len(), 6);

    // Broadcasts, too: and what the bond sent does not come back in.
    let arp = frame::gratuitous_arp(HOST_MAC, HOST_IP, None);
    let is_arp = |f: &[u8]| Header::parse(f).is_some_and(|(h, _)| h.eth_type == EtherType::ARP);
    for s in &tor {
        s.send(&arp).unwrap();
    }
    std::thread::sleep(SETTLE);
    assert_eq!(vm.drain(is_arp).len(), 1);
    vm.send(&hello(1)).unwrap();
    std::thread::sleep(SETTLE);
    let copies: Vec<usize> = tor.iter().map(|s| s.drain(is_arp).len()).collect();
    assert_eq!(copies, [1, 1, 1]);
    for s in &tor {
        s.send(&hello(1)).unwrap();
    }
    std::thread::sleep(SETTLE);
    assert_eq!(vm.drain(is_arp).len(), 0, "our own broadcast came back");

    // A member fails.
    rig.link(0, false);
    rig.await_member(0, false);
    assert_eq!(send(&tor), [0, 20, 20]);
    rig.assert_clean_log();
}

/// Puts two members' far ends into one Linux bridge, which floods what it gets by one of them to the
/// other, with a host behind it. `None` where the kernel has no bridges.
fn linux_bridge(rig: &Rig) -> Option<(testbed::Netns, PacketSocket)> {
    let ip = |words: &str| {
        let out = rig.tor.command("ip").args(words.split(' ')).output().expect("ip");
        (out.status.success(), String::from_utf8_lossy(&out.stderr).into_owned())
    };
    let (made, said) = ip("link add lan0 type bridge stp_state 0 forward_delay 0");
    if !made {
        println!("skipped: this kernel makes no Linux bridge: {said}");
        return None;
    }
    let peer = testbed::Netns::new().expect("a namespace");
    peer.veth("eth0", &rig.tor, "host0").expect("a veth pair");
    for words in [
        "link set tor0 master lan0",
        "link set tor1 master lan0",
        "link set host0 master lan0",
        "link set lan0 up",
    ] {
        assert!(ip(words).0, "{words}");
    }
    let host = PacketSocket::open(&peer, "eth0").expect("a packet socket");
    Some((peer, host))
}

#[harness::test]
fn broadcast_into_a_linux_bridge_makes_no_loop() {
    let rig = Rig::new(2);
    let Some((_peer, host)) = linux_bridge(&rig) else { return };
    rig.bond("other_config:bond-policy=broadcast");
    let vm = rig.vm_socket();
    let marked = |f: &[u8]| f.ends_with(MARK);
    let is_arp = |f: &[u8]| Header::parse(f).is_some_and(|(h, _)| h.eth_type == EtherType::ARP);

    // A broadcast of the machine: a copy by each link, none comes back, nothing circles.
    vm.send(&hello(1)).unwrap();
    std::thread::sleep(SETTLE);
    assert_eq!(host.drain(is_arp).len(), 2);
    assert_eq!(vm.drain(is_arp).len(), 0, "our own broadcast came back");
    // The bridge floods the host's broadcast to both links: one copy comes in.
    host.send(&frame::gratuitous_arp(HOST_MAC, HOST_IP, None)).unwrap();
    std::thread::sleep(SETTLE);
    assert_eq!(vm.drain(is_arp).len(), 1);
    assert_eq!(host.drain(is_arp).len(), 0, "the host's own broadcast came back");
    // A conversation: every answer arrives once, by whichever link the bridge learned last.
    for n in 0..50 {
        let t = talk(1, 40_000 + n);
        vm.send(&t.frame(MARK)).unwrap();
        std::thread::sleep(2 * MS);
        host.send(&t.reversed().frame(MARK)).unwrap();
    }
    std::thread::sleep(SETTLE);
    assert_eq!(host.drain(marked).len(), 100);
    assert_eq!(vm.drain(marked).len(), 50);
    rig.assert_clean_log();
}

/// A carrier is lost under traffic: what is left carries all of it at once.
fn fails_over(members: Members, settings: &str) {
    let rig = Rig::of(members, 2);
    rig.bond(settings);
    let talks = (0..64).map(|p| talk(1, 40_000 + 3 * p)).collect();
    let (fabric, traffic) = rig.traffic(talks, 2000, false);
    rig.await_calm(&traffic);
    let both = || {
        // A copy that arrives second is not counted.
        if settings.contains("broadcast") {
            return;
        }
        let from = traffic.now();
        rig.wait("traffic on both links", || {
            traffic.up.spread(from, traffic.now(), 2).iter().all(|n| *n > 50)
        });
    };
    both();
    for dead in [0, 1] {
        let at = traffic.now();
        fabric.set_link(dead, false).unwrap();
        rig.await_member(dead, false);
        rig.await_calm(&traffic);
        let s = traffic.up.stretch(at - 50 * MS, traffic.now() - 150 * MS);
        assert!(s.gap.unwrap_or_default() < 400 * MS, "{s:?}\n{}", rig.switch.log());
        fabric.set_link(dead, true).unwrap();
        rig.await_member(dead, true);
        both();
    }
    rig.assert_clean_log();
}

#[harness::test]
fn balance_xor_of_taps_fails_over() {
    fails_over(
        Members::Tap,
        "other_config:bond-policy=balance-xor other_config:bond-hash-policy=l3+4",
    );
}

#[harness::test]
fn balance_rr_of_taps_fails_over() {
    fails_over(Members::Tap, "other_config:bond-policy=balance-rr");
}

#[harness::test]
fn broadcast_of_taps_fails_over() {
    fails_over(Members::Tap, "other_config:bond-policy=broadcast");
}

#[harness::test]
fn balance_tlb_of_taps_fails_over() {
    let hash = "other_config:bond-hash-policy=l3+4";
    fails_over(Members::Tap, &format!("other_config:bond-policy=balance-tlb {hash}"));
}

const TLB: &str = "other_config:bond-policy=balance-tlb other_config:bond-hash-policy=l3+4";

#[harness::test]
fn balance_tlb_sends_by_all_and_receives_by_the_active_member() {
    let rig = Rig::new(3);
    rig.bond(TLB);
    let (vm, tor) = (rig.vm_socket(), sockets(&rig));
    let marked = |f: &[u8]| f.ends_with(MARK);
    let is_arp = |f: &[u8]| Header::parse(f).is_some_and(|(h, _)| h.eth_type == EtherType::ARP);
    let vm_mac = talk(1, 0).src_mac;
    let check = |active: usize, usable: &[usize]| {
        vm.send(&hello(1)).unwrap();
        for n in 0..90 {
            vm.send(&talk(1, 40_000 + 3 * n).frame(MARK)).unwrap();
        }
        std::thread::sleep(SETTLE);
        let mut all = 0;
        for (nic, s) in tor.iter().enumerate() {
            let frames = s.drain(|_| true);
            let arps = frames.iter().filter(|f| is_arp(f)).count();
            assert_eq!(arps, usize::from(nic == active), "ARP by nic{nic}");
            // As it is by the active member; from the others' own addresses.
            let source = if nic == active { vm_mac } else { nic_mac(nic) };
            let sent: Vec<_> = frames.iter().filter(|f| marked(f)).collect();
            assert!(sent.iter().all(|f| f[6..12] == source.0), "nic{nic}");
            assert_eq!(sent.len() > 10, usable.contains(&nic), "nic{nic}: {}", sent.len());
            all += sent.len();
        }
        assert_eq!(all, 90);

        // In by the active member only; what another member sent does not come back.
        let answer = talk(1, 40_000).reversed().frame(MARK);
        for &nic in usable {
            tor[nic].send(&answer).unwrap();
        }
        let mut reflected = talk(1, 40_000);
        for &nic in usable {
            reflected.src_mac = nic_mac(nic);
            if nic != active {
                tor[active].send(&reflected.frame(MARK)).unwrap();
            }
        }
        tor[active].send(&hello(1)).unwrap();
        std::thread::sleep(SETTLE);
        assert_eq!(vm.drain(marked).len(), 1);
        assert_eq!(vm.drain(is_arp).len(), 0);
    };
    let active = rig.active().unwrap();
    check(active, &[0, 1, 2]);

    rig.link(active, false);
    rig.await_member(active, false);
    let next = rig.active().unwrap();
    std::thread::sleep(SETTLE);
    for s in &tor {
        s.drain(|_| true);
    }
    let left: Vec<usize> = (0..3).filter(|n| *n != active).collect();
    check(next, &left);
    rig.assert_clean_log();
}

/// The switch learns the machine at the active member's port, whichever member sends.
#[harness::test]
fn balance_tlb_talks_through_a_linux_bridge() {
    let rig = Rig::new(2);
    let Some((_peer, host)) = linux_bridge(&rig) else { return };
    rig.bond(TLB);
    let vm = rig.vm_socket();
    let marked = |f: &[u8]| f.ends_with(MARK);
    vm.send(&hello(1)).unwrap();
    host.send(&frame::gratuitous_arp(HOST_MAC, HOST_IP, None)).unwrap();
    std::thread::sleep(SETTLE);
    let before = [rig.arrived(0), rig.arrived(1)];
    for n in 0..200 {
        let t = talk(1, 40_000 + 3 * n);
        vm.send(&t.frame(MARK)).unwrap();
        std::thread::sleep(MS);
        host.send(&t.reversed().frame(MARK)).unwrap();
    }
    std::thread::sleep(SETTLE);
    assert_eq!((host.drain(marked).len(), vm.drain(marked).len()), (200, 200));
    for (nic, before) in before.iter().enumerate() {
        let sent = rig.arrived(nic) - before;
        assert!(sent > 40, "nic{nic} has sent {sent}");
    }
}

/// Flows whose buckets are all on one member at first: buckets move to the other.
#[harness::test]
fn balance_tlb_moves_load_to_the_idle_member() {
    let rig = Rig::new(2);
    rig.bond(&format!("{TLB} other_config:bond-rebalance-interval=1000"));
    let (vm, tor) = (rig.vm_socket(), sockets(&rig));
    let flows: Vec<Vec<u8>> =
        (0..200).map(|n| [&talk(1, 30_000 + 7 * n).frame(&[0; 1300])[..], MARK].concat()).collect();
    for f in &flows {
        vm.send(f).unwrap();
    }
    let crowded: Vec<Vec<u8>> = arrived(&tor)[1].iter().take(12).cloned().collect();
    let port = |f: &[u8]| [f[34], f[35]];
    let mine: Vec<&Vec<u8>> =
        flows.iter().filter(|f| crowded.iter().any(|c| port(c) == port(f))).collect();
    assert_eq!(mine.len(), 12);
    rig.wait_at_most(Duration::from_secs(20), "load on both members", || {
        for f in mine.iter().cycle().take(600) {
            vm.send(f).unwrap();
        }
        let by: Vec<usize> = arrived(&tor).iter().map(Vec::len).collect();
        by[0] >= 200 && by[1] >= 200
    });
    assert!(rig.switch.log().contains("rebalanced (now carrying:"), "{}", rig.switch.log());
}

#[harness::test]
fn ieee_8023ad_spreads_by_linux_s_hash() {
    let rig = Rig::new(2);
    let policy = "other_config:bond-policy=802.3ad other_config:bond-hash-policy=l3+4";
    rig.bond_down(&format!("lacp=active other_config:lacp-time=fast {policy}"));
    let talks = (0..64).map(|p| talk(1, 40_000 + 3 * p)).collect();
    let (fabric, traffic) = rig.traffic(talks, 2000, true);
    rig.wait("agreement on two links", || fabric.live().len() == 2);
    rig.await_calm(&traffic);
    let show = rig.appctl("bond/show bond0");
    assert!(show.contains("bond_mode: 802.3ad\n") && show.contains("lacp_status: negotiated\n"));
    let from = traffic.now();
    rig.wait("traffic on both links", || {
        traffic.up.spread(from, traffic.now(), 2).iter().all(|n| *n > 50)
    });
    fabric.set_link(0, false).unwrap();
    rig.await_member(0, false);
    rig.await_calm(&traffic);
    assert_eq!(traffic.up.totals().duplicates, 0);
}

#[harness::test]
fn a_policy_that_contradicts_the_mode_is_warned_of_until_it_is_mended() {
    let rig = Rig::new(2);
    rig.bond("bond_mode=balance-slb other_config:bond-policy=balance-rr");
    let warning = "port bond0: other_config:bond-policy=balance-rr: contradicts \
                   bond_mode=balance-slb";
    assert!(rig.switch.log().contains(warning), "{}", rig.switch.log());
    assert!(rig.appctl("bond/show bond0").contains("bond_mode: balance-slb\n"));
    rig.vsctl("clear port bond0 bond_mode");
    assert!(rig.appctl("bond/show bond0").contains("bond_mode: balance-rr\n"));
    // After a restart the policy is the same, and nothing is warned of.
    let warned = rig.switch.log().matches("contradicts").count();
    let mut rig = rig;
    rig.switch.stop_vswitchd();
    rig.switch.start_vswitchd().unwrap();
    // The bond is not there until the database has been read.
    rig.wait("the bond", || rig.switch.appctl("bond/show bond0").is_ok());
    rig.await_member(0, true);
    assert!(rig.appctl("bond/list").contains("bond0\tbalance-rr\t"));
    assert_eq!(rig.switch.log().matches("contradicts").count(), warned);
}
