//! Bonds: gates, reflected packets, output rules, learning packets, LACP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bond::{Admission, NotifyPackets, OutputRule};
use datapath::{Action, Datapath, PortNo, UserspaceReason};
use ofproto::{Announcement, BfdMatch, HostAddresses};
use wire::EthAddr;
use wire::hash::hash_mac;

use crate::frame::{BROADCAST, arp, gratuitous, other, tags_of, udp, udp_ports};
use crate::lab::{Lab, show};

const BOND: &str = "br0:\n p1 = 1\n p2 = 2\n b = 3+4";

/// The member that balance-slb as `Lab::slb` sets it up sends a station's packets by.
fn slb_member(mac: u64, vlan: u16) -> u32 {
    [3, 4][hash_mac(EthAddr::from_u64(mac), vlan, 0) as usize & 1]
}

/// The only flow's actions.
fn actions(lab: &Lab) -> Vec<Action> {
    let flows = lab.flows();
    assert_eq!(flows.len(), 1);
    (**flows[0].actions.load()).clone()
}

#[test]
fn active_backup_sends_and_admits_on_the_active_member() {
    let lab = Lab::new(BOND);
    lab.active("b", 3, &[3, 4]);
    assert_eq!(lab.send(1, &udp(0xa, 0xb)), "2:- 3:-");
    assert_eq!(lab.send(3, &udp(0xb, 0xa)), "1:-");
    assert_eq!(lab.send(4, &udp(0xc, 0xa)), "", "the backup member hears nothing");
    assert_eq!(lab.fdb("br0"), "a@1/0 b@3/0", "and nothing is learned by it");
}

#[test]
fn failover_needs_no_flow_change() {
    let lab = Lab::new(BOND);
    lab.active("b", 3, &[3, 4]);
    lab.send(3, &udp(0xb, 0xa));
    lab.send(4, &udp(0xb, 0xa));
    lab.send(1, &udp(0xa, 0xb));
    assert_eq!(lab.send(1, &udp(0xa, 0xb)), "3:-");
    let missed = lab.missed();
    lab.active("b", 4, &[3, 4]);
    assert_eq!(lab.send(1, &udp(0xa, 0xb)), "4:-");
    assert_eq!(lab.send(4, &udp(0xb, 0xa)), "1:- 2:-", "as if it had been let in before");
    assert_eq!(lab.send(3, &udp(0xb, 0xa)), "");
    assert_eq!(lab.missed(), missed);
}

#[test]
fn backup_member_is_learned_from_after_failover() {
    let mut lab = Lab::new(BOND);
    lab.active("b", 3, &[3, 4]);
    lab.send(4, &udp(0xb, 0xa));
    lab.active("b", 4, &[3, 4]);
    lab.send(4, &udp(0xb, 0xa));
    lab.revalidate();
    assert_eq!(lab.fdb("br0"), "b@3/0", "the bond's first port stands for it");
}

#[test]
fn closed_gate_lets_nothing_be_refreshed() {
    let mut lab = Lab::new("br0: aging=15\n p1 = 1\n b = 3+4");
    lab.active("b", 3, &[3, 4]);
    lab.send(3, &udp(0xb, BROADCAST));
    lab.revalidate();
    lab.active("b", 4, &[3, 4]);
    for _ in 0..20 {
        lab.send(3, &udp(0xb, BROADCAST));
        lab.advance(Duration::from_secs(1));
        lab.revalidate();
    }
    assert_eq!(lab.fdb("br0"), "");
}

#[test]
fn bond_without_members_drops() {
    let mut lab = Lab::new(BOND);
    assert_eq!(lab.send(1, &udp(0xa, 0xb)), "2:-");
    assert_eq!(lab.send(3, &udp(0xb, 0xa)), "");
    lab.active("b", 4, &[3, 4]);
    assert_eq!(lab.send(1, &udp(0xa, 0xb)), "2:- 4:-", "before any revalidation");
    lab.revalidate();
    assert_eq!(lab.send(1, &udp(0xa, 0xb)), "2:- 4:-");
}

#[test]
fn slb_spreads_by_source() {
    let lab = Lab::new(BOND);
    lab.slb("b", [3, 4]);
    let mut seen = [0; 2];
    for mac in 0x10..0x30 {
        let m = slb_member(mac, 0);
        seen[m as usize - 3] += 1;
        assert_eq!(lab.send(1, &udp(mac, 0xb)), format!("2:- {m}:-"));
        let m = slb_member(mac, 10);
        assert_eq!(lab.send(1, &udp(mac, 0xb).tag(10)), format!("2:10 {m}:10"));
    }
    assert!(seen.iter().all(|n| *n > 4), "{seen:?}");
}

#[test]
fn slb_hashes_the_vlan_that_goes_out() {
    let lab = Lab::new("br0:\n p1 = 1 access=10\n b = 3+4 native-untagged=10\n c = 5+6");
    lab.slb("b", [3, 4]);
    lab.slb("c", [3, 4]);
    for mac in 0x10..0x20 {
        let (b, c) = (slb_member(mac, 0), slb_member(mac, 10));
        assert_eq!(lab.send(1, &udp(mac, 0xb)), format!("{b}:- {c}:10"));
    }
}

#[test]
fn slb_admits_multicast_on_active_member_only() {
    let lab = Lab::new(BOND);
    lab.slb("b", [3, 4]);
    assert_eq!(lab.send(3, &udp(0xb, BROADCAST)), "1:- 2:-", "multicast on the active member");
    assert_eq!(lab.send(4, &udp(0xc, BROADCAST)), "", "not on the other");
    assert_eq!(lab.fdb("br0"), "b@3/0");
    assert_eq!(lab.send(4, &udp(0xc, 0xa)), "1:- 2:-", "unicast on any");
    // Our own packet comes back from outside.
    lab.send(1, &udp(0xa, BROADCAST));
    assert_eq!(lab.send(3, &udp(0xa, BROADCAST)), "");
    assert_eq!(lab.send(4, &udp(0xa, 0xb)), "");
    assert_eq!(lab.fdb("br0"), "a@1/0 b@3/0 c@3/0");
}

#[test]
fn slb_reflection_is_dropped_also_after_failover() {
    let lab = Lab::new(BOND);
    lab.slb("b", [3, 4]);
    lab.send(1, &udp(0xa, BROADCAST));
    assert_eq!(lab.send(4, &udp(0xa, BROADCAST)), "");
    lab.slb("b", [4, 3]);
    assert_eq!(lab.send(4, &udp(0xa, BROADCAST)), "", "the cached flow does not flood it back");
}

#[test]
fn gratuitous_arp_moves_a_station_behind_the_bond() {
    let lab = Lab::new(BOND);
    lab.slb("b", [3, 4]);
    lab.send(1, &udp(0xa, BROADCAST));
    assert_eq!(lab.send(3, &arp(0xa, 1, 1, 2)), "", "an ordinary request does not");
    assert_eq!(lab.send(3, &gratuitous(0xa)), "1:- 2:-");
    assert_eq!(lab.fdb("br0"), "a@3/0");
    // A gratuitous reply does so too.
    lab.send(1, &udp(0xc, BROADCAST));
    assert_eq!(lab.send(3, &arp(0xc, 2, 1, 2)), "1:- 2:-");
    assert_eq!(lab.fdb("br0"), "a@3/0 c@3/0");
}

#[test]
fn gratuitous_arp_of_our_own_is_locked_for_five_seconds() {
    let mut lab = Lab::new(BOND);
    lab.slb("b", [3, 4]);
    lab.send(1, &gratuitous(0xa));
    lab.advance(Duration::from_millis(4999));
    assert_eq!(lab.send(3, &gratuitous(0xa)), "", "our own, reflected");
    assert_eq!(lab.fdb("br0"), "a@1/0");
    lab.advance(Duration::from_millis(1));
    lab.dp.flow_flush();
    assert_eq!(lab.send(3, &gratuitous(0xa)), "1:- 2:-");
    assert_eq!(lab.fdb("br0"), "a@3/0");
    lab.revalidate();
}

#[test]
fn tcp_recirculates() {
    let lab = Lab::new(BOND);
    let recirc_id = lab.bond_id("b");
    lab.tcp("b", [3, 4], OutputRule::Recirc { basis: 7, recirc_id });
    lab.send(3, &udp(0xb, 0xa));
    let mut seen = [0; 2];
    for port in 0..64 {
        let out = lab.send(1, &udp_ports(0xa, 0xb, 5000 + port, 80));
        seen[usize::from(out == "4:-")] += 1;
        assert!(out == "3:-" || out == "4:-", "{out}");
    }
    assert!(seen.iter().all(|n| *n > 8), "{seen:?}");
    let flows = lab.flows();
    let first: Vec<_> = flows.iter().filter(|f| f.key.recirc_id == 0).collect();
    assert_eq!(first.len(), 2, "one flow for each direction");
    assert_eq!(**first[1].actions.load(), [Action::HashL4 { basis: 7 }, Action::Recirc(recirc_id)]);
    let second = flows.iter().find(|f| f.key.recirc_id != 0).unwrap();
    assert_eq!((second.mask.recirc_id, second.mask.dp_hash), (u32::MAX, 0xff));
    assert_eq!(second.mask.eth_src, EthAddr::ZERO);
}

#[test]
fn tcp_in_one_pass() {
    let lab = Lab::new(BOND);
    let recirc_id = lab.bond_id("b");
    lab.tcp("b", [3, 4], OutputRule::LbOutput { basis: 0, recirc_id });
    for port in 0..16 {
        let out = lab.send(1, &udp_ports(0xa, 0xb, 5000 + port, 80));
        assert!(out == "2:- 3:-" || out == "2:- 4:-", "{out}");
    }
    assert!(matches!(
        actions(&lab)[..],
        [Action::Output(_), Action::HashL4 { basis: 0 }, Action::LbOutput { id, .. }]
            if id == recirc_id
    ));
}

#[test]
fn flood_to_two_recirculating_bonds_and_others() {
    let lab = Lab::new(
        "br0:\n b = 3+4 native-untagged=10\n c = 5+6 trunks=10\n p1 = 1 access=10\n p2 = 2\n \
         p7 = 7 access=10",
    );
    for (name, members) in [("b", [3, 4]), ("c", [5, 6])] {
        let recirc_id = lab.bond_id(name);
        lab.tcp(name, members, OutputRule::Recirc { basis: 0, recirc_id });
    }
    let out = lab.send(1, &udp(0xa, 0xb));
    let want = ["2:10 7:- 3:- 5:10", "2:10 7:- 4:- 6:10"];
    assert!(want.contains(&out.as_str()), "{out}");
}

#[test]
fn unknown_recirculation_drops() {
    let lab = Lab::new(BOND);
    let mut key = wire::extract::extract(&udp(1, 2).bytes(), 1);
    key.recirc_id = 99;
    let t = datapath::Upcall::miss(
        &*lab.ofproto,
        wire::Time::ZERO,
        &datapath::Packet::new(&udp(1, 2).bytes()),
        &key,
    );
    assert!(t.actions.is_empty() && !t.install);
}

#[test]
fn removed_bond_leaves_no_recirculation() {
    let mut lab = Lab::new(BOND);
    let recirc_id = lab.bond_id("b");
    lab.tcp("b", [3, 4], OutputRule::Recirc { basis: 0, recirc_id });
    lab.send(1, &udp(0xa, 0xb));
    assert_eq!(lab.flows().len(), 2);
    lab.configure("br0:\n p1 = 1\n p2 = 2");
    lab.revalidate();
    assert_eq!(lab.flows().len(), 1);
    assert_eq!(lab.send(1, &udp(0xa, 0xb)), "2:-");
}

#[test]
fn lacp_bfd_and_cfm_are_consumed() {
    let lab = Lab::new("br0:\n p1 = 1 bfd\n p2 = 2 cfm\n b = 3+4 lacp\n p5 = 5");
    let slow = |src| other(src, 0x0180_c200_0002, 0x8809);
    assert_eq!(lab.send(3, &slow(0xb)), "Lacp");
    assert_eq!(lab.send(5, &slow(0xb)), "", "a reserved address elsewhere");
    assert_eq!(lab.send(1, &udp_ports(0xb, 0xc, 49152, 3784)), "Bfd");
    assert_eq!(lab.send(1, &udp_ports(0xb, 0xc, 49152, 3785)), "2:- 5:-");
    assert_eq!(lab.send(2, &other(0xc, 0x0180_c200_0030, 0x8902)), "Cfm");
    assert_eq!(lab.send(1, &other(0xb, 0x0180_c200_0030, 0x8902)), "2:- 5:-");
    let sent_up = lab.sink.0.lock();
    use UserspaceReason::{Bfd, Cfm, Lacp};
    assert_eq!(*sent_up, [(Lacp, 3), (Bfd, 1), (Cfm, 2)]);
    let flows = lab.flows();
    let m = flows[0].mask;
    assert_eq!((m.eth_type, m.in_port, m.eth_dst), (u16::MAX, u32::MAX, EthAddr::ZERO));
}

#[test]
fn health_checks_of_others_are_traffic() {
    let mut lab = Lab::new("br0:\n p1 = 1 bfd\n p2 = 2 cfm\n p3 = 3");
    let bfd = || udp_ports(0xb, 0xc, 49152, 3784);
    let key = wire::extract::extract(&bfd().bytes(), 1);
    let mac = EthAddr::from_u64(0xc);
    let ip: std::net::Ipv4Addr = key.ipv4_dst().into();
    let other_ip = std::net::Ipv4Addr::new(192, 0, 2, 1);
    for (dst_mac, dst_ip, ours) in [
        (None, None, true),
        (Some(mac), None, true),
        (Some(EthAddr::BROADCAST), None, false),
        (None, Some(ip), true),
        (None, Some(other_ip), false),
        (Some(mac), Some(other_ip), false),
    ] {
        lab.config.bridges[0].bundles[0].ifaces[0].bfd = Some(BfdMatch { dst_mac, dst_ip });
        lab.apply();
        lab.revalidate();
        let want = if ours { "Bfd" } else { "2:- 3:-" };
        assert_eq!(lab.send(1, &bfd()), want, "{dst_mac:?} {dst_ip:?}");
        assert_eq!(lab.send(1, &udp(0xb, 0xc)), "2:- 3:-", "what is no BFD");
    }
    let ccm = |dst| other(0xd, dst, 0x8902);
    assert_eq!(lab.send(2, &ccm(0x0180_c200_0030)), "Cfm");
    assert_eq!(lab.send(2, &ccm(0x0123_2000_0030)), "1:- 3:-", "of the extended mode");
}

#[test]
fn learning_packets_follow_the_table() {
    let lab = Lab::new(
        "br0:\n p1 = 1\n p2 = 2 access=20\n b = 3+4 native-untagged=10 trunks=10,20\n c = 5+6",
    );
    lab.slb("b", [3, 4]);
    lab.active("c", 5, &[5, 6]);
    lab.send(1, &udp(0xa, BROADCAST).tag(10));
    lab.send(1, &udp(0xb, BROADCAST).tag(30));
    lab.send(2, &udp(0xc, BROADCAST));
    lab.send(3, &udp(0xd, BROADCAST));
    lab.ofproto.notify_peers("br0", "b", Announcement::default()).unwrap();
    let sent = lab.dp.sent();
    let rows: Vec<String> = sent
        .iter()
        .map(|(p, bytes)| {
            let key = wire::extract::extract(bytes, 0);
            assert_eq!((key.eth_type, key.eth_dst), (0x8035, EthAddr::BROADCAST));
            assert_eq!((key.arp_sha, key.nw_proto), (key.eth_src, 3));
            format!("{:x}@{p}:{}", key.eth_src.to_u64(), tags_of(bytes))
        })
        .collect();
    let (a, c) = (slb_member(0xa, 0), slb_member(0xc, 20));
    assert_eq!(
        rows,
        [format!("a@{a}:-"), format!("c@{c}:20")],
        "not VLAN 30, which the bond does not carry, nor its own station"
    );
    lab.ofproto.notify_peers("br0", "c", Announcement::default()).unwrap();
    let sent = lab.dp.sent();
    assert_eq!(show(&sent), "5:10 5:30 5:20 5:10");
    assert!(lab.ofproto.notify_peers("br0", "p1", Announcement::default()).is_err());
    assert!(lab.ofproto.notify_peers("br9", "b", Announcement::default()).is_err());
}

/// `hosts` are the host's addresses by the device of an internal port.
fn announcement(words: &str, hosts: &[(u32, HostAddresses)]) -> Announcement {
    let mut by_device: BTreeMap<u32, Vec<HostAddresses>> = BTreeMap::new();
    for (device, host) in hosts {
        by_device.entry(*device).or_default().push(host.clone());
    }
    let packets = NotifyPackets {
        rarp: words.contains("rarp"),
        arp: words.split(' ').any(|w| w == "arp"),
        nd: words.contains("nd"),
        configured: true,
    };
    Announcement { packets, hosts: Arc::new(by_device) }
}

fn host(vlan: u16, mac: u64, addresses: &[&str]) -> HostAddresses {
    let addresses = addresses.iter().map(|a| a.parse().unwrap()).collect();
    HostAddresses { vlan, mac: EthAddr::from_u64(mac), router: false, addresses }
}

/// What was sent out of the bond: `PROTOCOL MAC ADDRESS@PORT:TAGS`, in order.
fn announced(lab: &Lab) -> Vec<String> {
    let row = |(port, bytes): &(PortNo, Vec<u8>)| {
        let key = wire::extract::extract(bytes, 0);
        let what = match (key.eth_type, key.nw_proto) {
            (0x8035, 3) => "rarp".to_owned(),
            (0x0806, 1) => {
                assert_eq!((key.nw_src, key.arp_sha), (key.nw_dst, key.eth_src));
                format!("arp {}", std::net::Ipv4Addr::from(key.ipv4_src()))
            }
            (0x86dd, 58) => format!("nd {}", std::net::Ipv6Addr::from(key.nd_target)),
            other => panic!("{other:x?}"),
        };
        format!("{what} {:x}@{port}:{}", key.eth_src.to_u64(), tags_of(bytes))
    };
    lab.dp.sent().iter().map(row).collect()
}

/// A bridge whose flows come from a controller learns nothing.
#[test]
fn what_is_configured_is_announced_without_learning() {
    let mut lab = Lab::new(
        "br0:\n p1 = 1\n p2 = 2 access=20\n b = 3+4 native-untagged=10 trunks=10,20,30\n \
         p5 = 5 access=40\n br0 = local:9",
    );
    lab.active("b", 3, &[3, 4]);
    for (bundle, mac) in [(0, 0xa), (1, 0xb), (3, 0xc)] {
        lab.config.bridges[0].bundles[bundle].ifaces[0].attached_mac = Some(EthAddr::from_u64(mac));
    }
    lab.config.bridges[0].bundles[4].ifaces[0].host_device = Some(77);
    lab.config.bridges[0].bundles[1].ifaces[0].host_device = Some(78);
    lab.apply();
    let hosts = [
        (77, host(0, 0x9, &["10.0.0.9", "fd00::9"])),
        (77, host(30, 0x9, &["10.0.30.9"])),
        (77, host(50, 0x9, &["10.0.50.9"])),
        (78, host(0, 0x8, &["10.0.20.8", "10.0.20.7"])),
        (78, host(30, 0x8, &["10.0.30.8"])),
        (79, host(0, 0x7, &["10.0.0.7"])),
    ];
    let send = |words: &str| {
        lab.ofproto.notify_peers("br0", "b", announcement(words, &hosts)).unwrap();
        announced(&lab)
    };
    // VLAN 0 is not carried by the bond (its untagged packets are in VLAN 10), 40 and 50 neither;
    // an access port takes no tagged packets.
    assert_eq!(send("rarp"), ["rarp b@3:20", "rarp 8@3:20", "rarp 9@3:30"]);
    assert_eq!(
        send("arp nd"),
        ["arp 10.0.20.8 8@3:20", "arp 10.0.20.7 8@3:20", "arp 10.0.30.9 9@3:30"]
    );
    // Without learned addresses nothing of what is configured, as Open vSwitch.
    lab.ofproto.notify_peers("br0", "b", Announcement::default()).unwrap();
    assert_eq!(announced(&lab), [""; 0]);
}

#[test]
fn announcements_of_one_address_are_not_doubled() {
    let mut lab = Lab::new("br0:\n p1 = 1\n b = 3+4\n br0 = local:9");
    lab.active("b", 3, &[3, 4]);
    lab.config.bridges[0].bundles[0].ifaces[0].attached_mac = Some(EthAddr::from_u64(0xa));
    lab.config.bridges[0].bundles[2].ifaces[0].host_device = Some(77);
    lab.apply();
    lab.send(1, &udp(0xa, BROADCAST));
    lab.send(1, &udp(0xe, BROADCAST).tag(5));
    lab.send(1, &udp(0xa, BROADCAST).tag(5));
    let hosts = [(77, host(0, 0x9, &["10.0.0.9", "fd00::9"]))];
    let send = |lab: &Lab| {
        lab.ofproto.notify_peers("br0", "b", announcement("rarp arp nd", &hosts)).unwrap();
        let mut sent = announced(lab);
        sent.sort();
        sent
    };
    let host = ["arp 10.0.0.9 9@3:-", "nd fd00::9 9@3:-"];
    assert_eq!(
        send(&lab),
        [&host[..], &["rarp 9@3:-", "rarp a@3:-", "rarp a@3:5", "rarp e@3:5"]].concat()
    );
    // The virtual machine has moved to the other side.
    lab.send(3, &udp(0xa, BROADCAST));
    assert_eq!(send(&lab), [&host[..], &["rarp 9@3:-", "rarp a@3:5", "rarp e@3:5"]].concat());
}

#[test]
fn learning_packets_of_a_large_table_go_in_slices() {
    let lab = Lab::new(BOND);
    lab.active("b", 3, &[3, 4]);
    for mac in 0..1000 {
        lab.send(1, &udp(0x1000 + mac, BROADCAST));
        lab.dp.flow_flush();
    }
    lab.jobs();
    lab.ofproto.notify_peers("br0", "b", Announcement::default()).unwrap();
    assert_eq!(lab.dp.sent().len(), 1000);
    let jobs = lab.jobs();
    assert!(jobs >= 10, "{jobs} jobs");
}

#[test]
fn all_members_active_admits_multicast_everywhere() {
    let lab = Lab::new(BOND);
    let both = [(3, Admission::UnlessMoved), (4, Admission::UnlessMoved)];
    lab.bond("b", OutputRule::Slb { basis: 0 }, &both, |b| Some([3, 4][b % 2]));
    assert_eq!(lab.send(4, &udp(0xb, BROADCAST)), "1:- 2:-");
}
