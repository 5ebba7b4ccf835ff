//! Probes: what lies beyond the first cable.
//!
//! The experiment of every document on Linux's ARP monitor: the switch's port is dead, and its
//! carrier stays up. By the carrier alone the bond goes on sending into it.

use std::net::IpAddr;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use testbed::fabric::Fabric;
use testbed::station::Manner;
use testbed::traffic::Traffic;
use testbed::{Members, PacketSocket, debian, process};
use tests::rig::{HOST_IP, HOST_MAC, Rig, nic_mac, talk};
use wire::neighbour::Neighbour;
use wire::{EthAddr, EtherType, FlowKey};

const MS: Duration = Duration::from_millis(1);
const RATE: u32 = 500;
const OTHER_MAC: EthAddr = EthAddr([0x02, 0, 0, 0, 0xfa, 0x02]);

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn options(more: &str) -> String {
    let set = |o: &str| format!("other_config:bond-{o} ");
    ["primary=nic0", "probe-interval=100", "probe-targets=10.0.0.254", "probe-validate=all"]
        .into_iter()
        .chain(more.split_whitespace())
        .map(set)
        .collect()
}

/// A bond whose traffic goes by nic0, to a host that answers.
fn start(members: Members, options: &str) -> (Rig, Arc<Fabric>, Traffic) {
    tests::ours_only("bond-probe-interval");
    let rig = Rig::of(members, 2);
    rig.bond_down(options);
    let (fabric, traffic) = rig.traffic(vec![talk(1, 40_000)], RATE, false);
    fabric.set_station(HOST_IP.into(), HOST_MAC, Manner::Answers);
    for nic in 0..2 {
        rig.await_member(nic, true);
    }
    rig.await_active(0);
    rig.await_calm(&traffic);
    (rig, fabric, traffic)
}

/// How often a member was disabled.
fn disabled(rig: &Rig) -> usize {
    rig.switch.log().matches(": disabled").count()
}

fn a_dead_port(members: Members) {
    let (rig, fabric, traffic) = start(members, &options(""));
    for _ in 0..3 {
        let dead = Instant::now();
        fabric.set_silent(0, true);
        rig.await_active(1);
        let took = dead.elapsed();
        // Two and a half intervals, and what the busy machine and `ovs-appctl` take.
        assert!(took < 800 * MS, "moved after {took:?}");
        rig.await_calm(&traffic);
        let show = rig.appctl("bond/show bond0");
        assert!(show.contains("  probe: down, by answers"), "{show}");

        // Nothing came back: it stays where it is.
        std::thread::sleep(500 * MS);
        assert_eq!(rig.active(), Some(1));
        fabric.set_silent(0, false);
        rig.await_active(0);
        rig.await_calm(&traffic);
    }
    let log = rig.switch.log();
    assert!(log.contains("member nic0: no answer to 2 probes from 10.0.0.254"), "{log}");
    assert!(log.contains("member nic0: probe answered by 10.0.0.254"), "{log}");
    assert!(!log.contains("member nic1: disabled"), "{log}");
    rig.assert_clean_log();
}

#[harness::test]
fn traffic_leaves_a_dead_port_whose_carrier_is_up() {
    a_dead_port(Members::Veth);
}

#[harness::test]
fn traffic_of_taps_leaves_a_dead_port_whose_carrier_is_up() {
    a_dead_port(Members::Tap);
}

#[harness::test]
fn without_probes_traffic_stays_on_a_dead_port() {
    let (rig, fabric, traffic) = start(Members::Veth, "other_config:bond-primary=nic0");
    fabric.set_silent(0, true);
    std::thread::sleep(1500 * MS);
    assert_eq!(rig.active(), Some(0));
    let to = traffic.now() - 100 * MS;
    let lost = traffic.up.stretch(to - 1000 * MS, to);
    assert!(lost.sent > 100 && lost.lost == lost.sent, "{lost:?}");
    // Probes that are switched on find it.
    rig.vsctl(&format!("set port bond0 {}", options("")));
    rig.await_active(1);
    rig.await_calm(&traffic);
    rig.assert_clean_log();
}

/// By any traffic, as in Linux: a dead port receives nothing.
#[harness::test]
fn without_validation_whatever_is_received_counts() {
    let more = "probe-validate=none";
    let (rig, fabric, traffic) = start(Members::Veth, &options(more));
    // The host's packets count, though its address is not answered for.
    fabric.set_station(HOST_IP.into(), HOST_MAC, Manner::Silent);
    std::thread::sleep(1000 * MS);
    assert_eq!(rig.active(), Some(0));
    fabric.set_station(HOST_IP.into(), HOST_MAC, Manner::Answers);
    fabric.set_silent(0, true);
    rig.await_active(1);
    rig.await_calm(&traffic);
    rig.assert_clean_log();
}

#[harness::test]
fn a_failback_delay_holds_for_probes() {
    let (rig, fabric, traffic) = start(Members::Veth, &options("failback-delay=1500"));
    fabric.set_silent(0, true);
    rig.await_active(1);
    rig.await_calm(&traffic);
    fabric.set_silent(0, false);
    rig.await_member(0, true);
    let back = Instant::now();
    std::thread::sleep(1000 * MS);
    assert_eq!(rig.active(), Some(1));
    rig.await_active(0);
    assert!(back.elapsed() >= 1400 * MS, "{:?}", back.elapsed());
}

#[harness::test]
fn a_target_that_answers_on_and_off_makes_no_member_flap() {
    let (rig, fabric, traffic) = start(Members::Veth, &options("probe-missed-max=4"));
    let before = disabled(&rig);
    fabric.set_station(HOST_IP.into(), HOST_MAC, Manner::OneOf(3));
    std::thread::sleep(4000 * MS);
    assert_eq!(disabled(&rig), before, "{}", rig.switch.log());

    // A target that is gone takes the bond down, as in Linux; with another one it does not.
    fabric.set_station(HOST_IP.into(), HOST_MAC, Manner::Silent);
    rig.wait("no active member", || rig.active().is_none());
    let other = ip("10.0.0.253");
    fabric.set_station(other, OTHER_MAC, Manner::Answers);
    rig.vsctl("set port bond0 other_config:bond-probe-targets=\"10.0.0.254,10.0.0.253\"");
    rig.await_active(0);
    let before = disabled(&rig);
    for manner in [Manner::Answers, Manner::Silent, Manner::Lies(ip("10.0.0.9"))].repeat(2) {
        fabric.set_station(HOST_IP.into(), HOST_MAC, manner);
        std::thread::sleep(700 * MS);
        assert_eq!(rig.active(), Some(0));
    }
    assert_eq!(disabled(&rig), before, "{}", rig.switch.log());
    rig.await_calm(&traffic);
    // All of them: a target that lies is one that does not answer.
    rig.vsctl("set port bond0 other_config:bond-probe-quorum=all");
    rig.wait("no active member", || rig.active().is_none());
    rig.assert_no_panic();
}

fn keys(socket: &PacketSocket, wanted: impl Fn(&FlowKey) -> bool) -> Vec<FlowKey> {
    let key = |f: &[u8]| wire::extract(f, 0);
    socket.drain(|f| wanted(&key(f))).iter().map(|f| key(f)).collect()
}

/// The VM sees neither the probes nor their answers, but all other ARP.
#[harness::test]
fn probes_reach_nobody_behind_the_bond() {
    tests::ours_only("bond-probe-interval");
    let rig = Rig::new(2);
    rig.bond_down(&options(""));
    let (fabric, _traffic) = rig.traffic(vec![talk(1, 40_000)], 20, false);
    fabric.set_station(HOST_IP.into(), HOST_MAC, Manner::Answers);
    let vm = rig.vm_socket();
    rig.await_active(0);
    vm.drain(|_| true);
    std::thread::sleep(1500 * MS);
    let neighbours = keys(&vm, |k| Neighbour::of(k).is_some());
    let ours =
        |k: &FlowKey| [k.eth_src, k.eth_dst].iter().any(|m| (0..2).any(|n| *m == nic_mac(n)));
    let seen: Vec<&FlowKey> = neighbours.iter().filter(|k| ours(k)).collect();
    assert!(seen.is_empty(), "{seen:?}");
    for nic in 0..2 {
        let show = rig.appctl("bond/show bond0");
        assert!(show.contains("  probe target 10.0.0.254: answered "), "nic{nic}: {show}");
    }

    // ARP of others passes, to the members' addresses too.
    let arp = |from: [u8; 4], dst: EthAddr, to: [u8; 4]| {
        let mut key = FlowKey {
            eth_src: OTHER_MAC,
            eth_dst: dst,
            eth_type: EtherType::ARP,
            nw_proto: 2,
            arp_sha: OTHER_MAC,
            arp_tha: dst,
            ..FlowKey::default()
        };
        key.nw_src[12..].copy_from_slice(&from);
        key.nw_dst[12..].copy_from_slice(&to);
        wire::compose::compose(&key, &[], wire::compose::Payload::Octets(&[]))
    };
    vm.drain(|_| true);
    let passing = [
        arp([10, 0, 0, 253], nic_mac(0), [0; 4]),
        arp([10, 0, 0, 254], nic_mac(0), [10, 0, 0, 77]),
        arp([10, 0, 0, 254], EthAddr::BROADCAST, [0; 4]),
    ];
    let tor = rig.tor_socket(0);
    for frame in &passing {
        tor.send(frame).expect("it is sent");
    }
    tor.send(&arp([10, 0, 0, 254], nic_mac(0), [0; 4])).expect("it is sent");
    let mut got = Vec::new();
    rig.wait("three packets", || {
        got.extend(keys(&vm, |k| k.eth_src == OTHER_MAC));
        got.len() >= 3
    });
    std::thread::sleep(200 * MS);
    got.extend(keys(&vm, |k| k.eth_src == OTHER_MAC));
    assert_eq!(got.len(), 3, "{got:?}");
    rig.assert_clean_log();
}

#[harness::test]
fn a_vlan_that_the_port_does_not_carry_is_not_sent_on() {
    tests::ours_only("bond-probe-vlan");
    let rig = Rig::new(2);
    let more = "probe-vlan=30 probe-validate=all";
    rig.bond_down(&format!("trunks=10,20 {}", options(more)));
    rig.wait("two members", || rig.enabled() == 2);
    let tor = rig.tor_socket(0);
    tor.drain(|_| true);
    std::thread::sleep(500 * MS);
    let probe = |k: &FlowKey| k.eth_src == nic_mac(0) && k.eth_type == EtherType::ARP;
    assert_eq!(keys(&tor, probe), []);
    let log = rig.switch.log();
    let text = "port bond0: other_config:bond-probe-vlan=30: nothing is probed, since the port does \
                not carry VLAN 30; accepted in bond-probe-vlan is 10, 20";
    assert!(log.contains(text), "{log}");

    // Mended: tagged probes, whose answers count.
    let (fabric, _traffic) = rig.traffic(vec![talk(1, 40_000)], 20, false);
    fabric.set_station(HOST_IP.into(), HOST_MAC, Manner::Answers);
    rig.vsctl("set port bond0 other_config:bond-probe-vlan=20");
    let mut sent = Vec::new();
    rig.wait("probes", || {
        sent.extend(keys(&tor, probe));
        sent.len() > 5
    });
    assert!(sent.iter().all(|k| k.vlan[0].vid() == 20), "{sent:?}");
    std::thread::sleep(1000 * MS);
    assert_eq!(rig.enabled(), 2, "{}", rig.appctl("bond/show"));
    let show = rig.appctl("bond/show bond0");
    assert_eq!(show.matches("  probe: up, by answers").count(), 2, "{show}");
    fabric.set_silent(1, true);
    rig.await_member(1, false);
}

/// A Linux bridge with an address of its own is the switch, and the kernel answers, by ARP and by
/// neighbour advertisements.
#[harness::test]
fn a_linux_bridge_answers() {
    tests::ours_only("bond-probe-interval");
    tests::tool("ip");
    tests::tool("bridge");
    let rig = Rig::new(2);
    let tool = |program: &str, words: &str| {
        let mut c: Command = rig.tor.command(debian::tool(program).expect("iproute2"));
        process::output(c.args(words.split(' ')), Duration::from_secs(20))
            .unwrap_or_else(|e| panic!("{e}"))
    };
    tool("ip", "link add sw0 type bridge forward_delay 0");
    for nic in 0..2 {
        tool("ip", &format!("link set tor{nic} master sw0"));
    }
    tool("ip", "link set sw0 up");
    tool("ip", "addr add 10.0.0.254/24 dev sw0");
    // The testbed's namespaces have IPv6 off.
    let on = || std::fs::write("/proc/sys/net/ipv6/conf/sw0/disable_ipv6", "0");
    let ipv6 = rig.tor.run(on).is_ok();
    if ipv6 {
        tool("ip", "addr add fd00::254/64 dev sw0 nodad");
    }
    for target in ["10.0.0.254", "fd00::254"].into_iter().take(if ipv6 { 2 } else { 1 }) {
        // A target of IPv6 that is no neighbour by the kernel's routes answers link-local sources.
        let more = format!("probe-targets=\"{target}\" probe-quorum=all");
        let set = options(&more);
        if target == "10.0.0.254" {
            rig.bond(&set);
        } else {
            rig.vsctl(&format!("set port bond0 {set}"));
        }
        rig.await_active(0);
        std::thread::sleep(1000 * MS);
        assert_eq!(rig.enabled(), 2, "{target}: {}", rig.switch.log());

        // The port is disabled in the bridge; its carrier stays.
        tool("bridge", "link set dev tor0 state 0");
        rig.await_active(1);
        let carrier = rig.get("Interface", "nic0", "link_state");
        assert_eq!(carrier, "up");
        assert!(rig.switch.log().contains(&format!("no answer to 2 probes from {target}")));
        tool("bridge", "link set dev tor0 state 3");
        rig.await_active(0);
    }
    rig.assert_clean_log();
    if !ipv6 {
        harness::skip("IPv6 cannot be switched on in a namespace; ARP was tested");
    }
}
