//! The expected lines are what Open vSwitch printed for the same packets, rules and masks.

use std::sync::Arc;

use wire::key::{FRAG_ANY, FRAG_LATER};
use wire::{EthAddr, EtherType, FlowKey, FlowMask, Time, VlanTag, ip};

use super::{FlowDump, Show};
use crate::action::{Action, UserspaceReason};
use crate::flow::FlowHandle;
use crate::port::PortNo;
use crate::table::{BucketTable, Ingress, TableId};

const ALL: EthAddr = EthAddr([0xff; 6]);
const GROUP: EthAddr = EthAddr([1, 0, 0, 0, 0, 0]);
const TABLE: TableId = TableId(3);

fn mac(s: &str) -> EthAddr {
    s.parse().expect("an address")
}

fn v4(a: [u8; 4]) -> [u8; 16] {
    let mut out = [0; 16];
    out[12..].copy_from_slice(&a);
    out
}

fn v6(s: &str) -> [u8; 16] {
    s.parse::<std::net::Ipv6Addr>().expect("an address").octets()
}

/// Bucket 7 goes to port 4; port 5 is open, port 6 takes unicast only.
fn table(id: TableId) -> Option<Arc<BucketTable>> {
    let mut buckets = [None; 256];
    buckets[7] = Some(PortNo(4));
    let ingress = vec![(PortNo(5), Ingress::Open), (PortNo(6), Ingress::Unicast)];
    (id == TABLE).then(|| {
        Arc::new(BucketTable {
            generation: 1,
            buckets,
            ingress,
            selection: crate::Selection::DpHash,
            sources: vec![],
        })
    })
}

fn name(port: PortNo) -> Option<String> {
    (port.0 < 100).then(|| format!("p{port}"))
}

const PLAIN: Show<'_> = Show { table: &table, names: None, more: false };
const MORE: Show<'_> = Show { table: &table, names: Some(&name), more: true };

/// What every flow looks at.
fn base() -> FlowMask {
    FlowMask { recirc_id: !0, in_port: !0, eth_type: !0, nw_frag: 3, ..FlowMask::default() }
}

fn tcp(in_port: u32) -> FlowKey {
    FlowKey {
        in_port,
        eth_src: mac("50:54:00:00:00:05"),
        eth_dst: mac("50:54:00:00:00:07"),
        eth_type: EtherType::IPV4,
        nw_proto: ip::TCP,
        nw_src: v4([192, 168, 0, 1]),
        nw_dst: v4([192, 168, 0, 2]),
        nw_ttl: 64,
        tp_src: 1,
        tp_dst: 80,
        tcp_flags: 2,
        ..FlowKey::default()
    }
}

fn flow(key: FlowKey, mask: FlowMask, actions: &[Action]) -> FlowHandle {
    FlowHandle::new(key, mask, actions.to_vec(), None, Time::ZERO)
}

fn line(key: FlowKey, mask: FlowMask, actions: &[Action]) -> String {
    FlowDump::new(&flow(key, mask, actions), Time::ZERO, PLAIN).to_string()
}

/// The match alone.
fn matching(key: FlowKey, mask: FlowMask) -> String {
    let line = line(key, mask, &[]);
    line.strip_suffix(", packets:0, bytes:0, used:never, actions:drop").expect("no traffic").into()
}

#[test]
fn a_learned_flow_with_traffic() {
    let mask = FlowMask { eth_src: ALL, eth_dst: ALL, ..base() };
    let actions = [Action::Output(PortNo(100)), Action::Output(PortNo(2))];
    let f = flow(tcp(1), mask, &actions);
    let text = |now| FlowDump::new(&f, now, PLAIN).to_string();
    let key = "recirc_id(0),in_port(1),packet_type(ns=0,id=0),\
               eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),ipv4(frag=no)";
    assert_eq!(text(Time::ZERO), format!("{key}, packets:0, bytes:0, used:never, actions:100,2"));
    f.count(54, Time::from_millis(1000), 0x02);
    f.count(54, Time::from_millis(2000), 0x10);
    assert_eq!(
        text(Time::from_millis(2052)),
        format!("{key}, packets:2, bytes:108, used:0.052s, flags:S., actions:100,2")
    );
    assert_eq!(
        text(Time::from_millis(14_000)),
        format!("{key}, packets:2, bytes:108, used:12.000s, flags:S., actions:100,2")
    );
}

#[test]
fn masks() {
    let mask = FlowMask {
        nw_src: v4([255, 255, 255, 0]),
        nw_proto: !0,
        tp_dst: 0xfff0,
        tcp_flags: 0x12,
        ..base()
    };
    assert_eq!(
        matching(tcp(1), mask),
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),eth_type(0x0800),\
         ipv4(src=192.168.0.1/255.255.255.0,proto=6,frag=no),tcp(dst=80/0xfff0),\
         tcp_flags(+syn-ack)"
    );
    let gre = FlowKey { nw_proto: 47, nw_frag: FRAG_ANY, tp_src: 0, tp_dst: 0, ..tcp(1) };
    let mask = FlowMask { eth_dst: GROUP, nw_tos: 0xfc, nw_ttl: !0, nw_proto: !0, ..base() };
    assert_eq!(
        matching(gre, mask),
        "recirc_id(0),in_port(1),packet_type(ns=0,id=0),\
         eth(dst=50:54:00:00:00:07/01:00:00:00:00:00),eth_type(0x0800),\
         ipv4(proto=47,tos=0/0xfc,ttl=64,frag=first)"
    );
    let later = FlowKey { nw_frag: FRAG_ANY | FRAG_LATER, ..tcp(1) };
    assert!(matching(later, FlowMask { tp_dst: !0, ..base() }).ends_with(",ipv4(frag=later)"));
    let exact = FlowMask { tcp_flags: 0x0fff, ..base() };
    assert!(matching(tcp(1), exact).ends_with(",tcp_flags(syn)"));
    let none = FlowKey { tcp_flags: 0, ..tcp(1) };
    assert!(matching(none, exact).ends_with(",tcp_flags(0)"));
}

#[test]
fn other_protocols() {
    let icmp = FlowKey { nw_proto: ip::ICMP, tp_src: 8, tp_dst: 0, tcp_flags: 0, ..tcp(1) };
    let mask = FlowMask { nw_proto: !0, tp_src: 0xff, tp_dst: 0xff, ..base() };
    assert!(matching(icmp, mask).ends_with(",ipv4(proto=1,frag=no),icmp(type=8,code=0)"));
    let sctp = FlowKey { nw_proto: ip::SCTP, tp_dst: 9, tcp_flags: 0, ..tcp(1) };
    assert!(matching(sctp, FlowMask { tp_dst: !0, ..base() }).ends_with("),sctp(dst=9)"));

    let arp = FlowKey {
        in_port: 2,
        eth_src: mac("50:54:00:00:00:09"),
        eth_dst: ALL,
        eth_type: EtherType::ARP,
        nw_proto: 1,
        nw_src: v4([1, 2, 3, 4]),
        nw_dst: v4([1, 2, 3, 5]),
        arp_sha: mac("50:54:00:00:00:09"),
        ..FlowKey::default()
    };
    let mask = FlowMask { eth_dst: GROUP, nw_proto: !0, arp_sha: ALL, nw_frag: 0, ..base() };
    assert_eq!(
        matching(arp, mask),
        "recirc_id(0),in_port(2),packet_type(ns=0,id=0),\
         eth(dst=ff:ff:ff:ff:ff:ff/01:00:00:00:00:00),eth_type(0x0806),\
         arp(op=1,sha=50:54:00:00:00:09)"
    );
    let mask = FlowMask { nw_proto: !0, nw_src: v4([255; 4]), nw_dst: v4([255; 4]), ..mask };
    let mask = FlowMask { arp_sha: EthAddr::ZERO, ..mask };
    assert!(matching(arp, mask).ends_with("arp(sip=1.2.3.4,tip=1.2.3.5,op=1)"));

    let udp6 = FlowKey {
        eth_type: EtherType::IPV6,
        nw_src: v6("fe80::1"),
        nw_dst: v6("fe80::2"),
        nw_proto: ip::UDP,
        ipv6_label: 5,
        nw_ttl: 128,
        tp_src: 5,
        tcp_flags: 0,
        ..tcp(3)
    };
    let mask = FlowMask {
        nw_src: v6("ffff:ffff:ffff:ffff::"),
        ipv6_label: 0xf_ffff,
        nw_proto: !0,
        tp_src: !0,
        ..base()
    };
    assert_eq!(
        matching(udp6, mask),
        "recirc_id(0),in_port(3),packet_type(ns=0,id=0),eth_type(0x86dd),\
         ipv6(src=fe80::1/ffff:ffff:ffff:ffff::,label=0x5,proto=17,frag=no),udp(src=5)"
    );
    let nd = FlowKey {
        nw_proto: ip::ICMPV6,
        tp_src: 135,
        tp_dst: 0,
        nd_target: v6("fe80::3"),
        arp_sha: mac("50:54:00:00:00:0a"),
        ..udp6
    };
    let mask = FlowMask { tp_src: 0xff, tp_dst: 0xff, nd_target: [0xff; 16], ..base() };
    assert!(
        matching(nd, mask).ends_with("),icmpv6(type=135,code=0),nd(target=fe80::3)"),
        "{}",
        matching(nd, mask)
    );
    // LACP: nothing but the type.
    let lacp = FlowKey { eth_dst: EthAddr::SLOW_PROTOCOLS, eth_type: EtherType::SLOW, ..tcp(6) };
    assert_eq!(
        line(lacp, FlowMask { nw_frag: 0, ..base() }, &[Action::Userspace(UserspaceReason::Lacp)]),
        "recirc_id(0),in_port(6),packet_type(ns=0,id=0),eth_type(0x8809), packets:0, bytes:0, \
         used:never, actions:userspace(pid=0,slow_path(lacp))"
    );
    // IEEE 802.3 without a type.
    let llc = FlowKey { eth_type: 0x05ff, ..tcp(2) };
    assert!(matching(llc, base()).ends_with("packet_type(ns=0,id=0),eth_type(0/0xffff)"));
}

#[test]
fn tags() {
    let tag = |tpid, tci| VlanTag { tpid, tci: tci | VlanTag::CFI };
    let one = FlowKey { vlan: [tag(0x8100, 0x600a), VlanTag::default()], ..tcp(2) };
    let mut mask = base();
    mask.vlan[0].tci = 0x1fff;
    assert_eq!(
        matching(one, mask),
        "recirc_id(0),in_port(2),packet_type(ns=0,id=0),eth_type(0x8100),\
         vlan(vid=10,pcp=3/0x0),encap(eth_type(0x0800),ipv4(frag=no))"
    );
    mask.vlan[0].tci = 0xffff;
    let two = FlowKey { vlan: [tag(0x88a8, 0x600a), tag(0x8100, 7)], ..tcp(2) };
    assert_eq!(
        matching(two, mask),
        "recirc_id(0),in_port(2),packet_type(ns=0,id=0),eth_type(0x88a8),vlan(vid=10,pcp=3),\
         encap(eth_type(0x8100),encap(eth_type(0x0800),ipv4(frag=no)))"
    );
    let pcp0 = FlowKey { vlan: [tag(0x8100, 10), VlanTag::default()], ..tcp(2) };
    mask.vlan[0].tci = 0x1fff;
    assert!(matching(pcp0, mask).contains(",vlan(vid=10),encap("));
}

#[test]
fn recirculation() {
    let key = FlowKey { recirc_id: 2, dp_hash: 0xda68_dcc1, ..tcp(1) };
    let mask = FlowMask { dp_hash: 0xff, ..base() };
    let bucket = |bucket| Action::OutputBucket { table: TABLE, bucket };
    let start = "recirc_id(0x2),dp_hash(0xda68dcc1/0xff),in_port(1),packet_type(ns=0,id=0),\
                 eth_type(0x0800),ipv4(frag=no), packets:0, bytes:0, used:never, actions:";
    assert_eq!(line(key, mask, &[bucket(7)]), format!("{start}4"));
    assert_eq!(line(key, mask, &[bucket(8)]), format!("{start}drop"));
    let elsewhere = Action::OutputBucket { table: TableId(9), bucket: 7 };
    assert_eq!(line(key, mask, &[elsewhere, Action::Output(PortNo(3))]), format!("{start}3"));
}

#[test]
fn actions() {
    let text = |key: FlowKey, actions: &[Action]| {
        let line = line(key, base(), actions);
        line.split_once(", actions:").map(|(_, a)| a.to_owned()).expect("actions")
    };
    let hash = [
        Action::PushVlan { tpid: 0x8100, tci: 10 },
        Action::Output(PortNo(1)),
        Action::HashL4 { basis: 0 },
        Action::Recirc(2),
    ];
    assert_eq!(text(tcp(8), &hash), "push_vlan(vid=10,pcp=0),1,hash(l4(0)),recirc(0x2)");
    let outer = [Action::PushVlan { tpid: 0x88a8, tci: 0x6007 }, Action::PopVlan];
    assert_eq!(text(tcp(8), &outer), "push_vlan(tpid=0x88a8,vid=7,pcp=3),pop_vlan");
    assert_eq!(text(tcp(8), &[Action::LbOutput { table: TABLE, id: 2 }]), "lb_output(2)");

    let gated = [Action::Gate { table: TABLE }, Action::Output(PortNo(1))];
    let multicast = |port| FlowKey { eth_dst: ALL, ..tcp(port) };
    assert_eq!(text(tcp(5), &gated), "1");
    assert_eq!(text(multicast(5), &gated), "1");
    assert_eq!(text(tcp(6), &gated), "1");
    assert_eq!(text(multicast(6), &gated), "drop");
    assert_eq!(text(tcp(7), &gated), "drop");
}

#[test]
fn more() {
    let mask = FlowMask { eth_src: ALL, eth_dst: ALL, ..base() };
    let f = flow(tcp(1), mask, &[Action::Output(PortNo(2)), Action::Output(PortNo(100))]);
    let text = FlowDump::new(&f, Time::ZERO, MORE).to_string();
    let (ufid, rest) = text.split_once(", ").expect("an identity");
    assert!(ufid.len() == 41 && ufid.starts_with("ufid:"), "{ufid}");
    assert_eq!(
        rest,
        "recirc_id(0),dp_hash(0/0),skb_priority(0/0),in_port(p1),skb_mark(0/0),ct_state(0/0),\
         ct_zone(0/0),ct_mark(0/0),ct_label(0/0),packet_type(ns=0,id=0),\
         eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),\
         ipv4(src=192.168.0.1/0.0.0.0,dst=192.168.0.2/0.0.0.0,proto=6/0,tos=0/0,ttl=64/0,\
         frag=no),tcp(src=1/0,dst=80/0),tcp_flags(0/0), packets:0, bytes:0, used:never, dp:ovs, \
         actions:p2,100"
    );
    let mut dump = FlowDump::new(&f, Time::ZERO, MORE);
    dump.of_bridge = true;
    let text = dump.to_string();
    assert!(text.starts_with(&format!("{ufid} recirc_id(0),")), "{text}");
    assert!(text.ends_with(", used:never, actions:p2,100"), "{text}");
}

#[test]
fn a_flow_written_without_a_packet_type() {
    let shown = |mask| {
        let f = flow(tcp(1), mask, &[]);
        f.notes.store(Arc::new(Some(Arc::new(super::compat::WithoutPacketType))));
        let text = FlowDump::new(&f, Time::ZERO, PLAIN).to_string();
        text.split_once(",eth_type").map(|(start, _)| start.to_owned()).expect("a type")
    };
    assert_eq!(shown(base()), "recirc_id(0),in_port(1),eth()");
    assert_eq!(
        shown(FlowMask { eth_src: ALL, ..base() }),
        "recirc_id(0),in_port(1),eth(src=50:54:00:00:00:05)"
    );
}

#[test]
fn all_of_a_packet() {
    let text = matching(tcp(1), FlowMask { tcp_flags: 0xfff, nw_frag: 3, ..FlowMask::exact() });
    assert!(
        text.starts_with(
            "recirc_id(0),dp_hash(0),skb_priority(0),in_port(1),skb_mark(0),\
             ct_state(-new-est-rel-rpl-inv-trk-snat-dnat),ct_zone(0),ct_mark(0),ct_label(0),\
             packet_type(ns=0,id=0),eth("
        ),
        "{text}"
    );
}

#[test]
fn json() {
    let tag = VlanTag { tpid: 0x8100, tci: 0x100a };
    let key = FlowKey { vlan: [tag, VlanTag::default()], ..tcp(1) };
    let mut mask = FlowMask { eth_src: ALL, ..base() };
    mask.vlan[0].tci = 0xffff;
    let f = flow(key, mask, &[Action::Output(PortNo(2)), Action::PopVlan]);
    f.count(60, Time::from_millis(5), 0);
    let dump = FlowDump::new(&f, Time::from_millis(9), PLAIN);
    assert_eq!(
        serde_json::to_string(&dump).expect("plain data"),
        concat!(
            r#"{"match":{"recirc_id":"0","in_port":"1","packet_type":{"ns":"0","id":"0"},"#,
            r#""eth":{"src":"50:54:00:00:00:05"},"eth_type":"0x8100","vlan":{"vid":"10","pcp":"0"},"#,
            r#""encap":{"eth_type":"0x0800","ipv4":{"frag":"no"}}},"packets":1,"bytes":60,"#,
            r#""used_ms":4,"tcp_flags":"","actions":["2","pop_vlan"]}"#
        )
    );
}
