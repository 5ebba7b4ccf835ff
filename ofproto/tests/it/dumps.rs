//! Flows as `dpctl/dump-flows` prints them: what is looked at shows, as in Open vSwitch.

use bond::OutputRule;
use datapath::Datapath;
use datapath::format::{FlowDump, Show};

use crate::frame::{gratuitous, other, udp_ports};
use crate::lab::Lab;

fn dump(lab: &Lab) -> Vec<String> {
    let table = |id| lab.dp.table(id);
    let show = Show { table: &table, names: None, more: false };
    lab.flows().iter().map(|f| FlowDump::new(f, lab.dp.now(), show).to_string()).collect()
}

#[test]
fn flow_dump_prints_as_dpctl_does() {
    let lab = Lab::new("br0:\n b = 1+2 lacp\n p3 = 3\n br0 = local:9\n a4 = 4 access=10");
    let recirc_id = lab.bond_id("b");
    lab.tcp("b", [1, 2], OutputRule::Recirc { basis: 0, recirc_id });
    lab.send(1, &other(5, 0x0180_c200_0002, 0x8809));
    lab.send(3, &udp_ports(0x5054_0000_0005, 0x5054_0000_0007, 8, 9));
    lab.send(3, &gratuitous(0x5054_0000_0009));
    lab.send(1, &udp_ports(0x5054_0000_0007, 0x5054_0000_0005, 9, 8));
    lab.send(4, &other(0x5054_0000_000a, 0x5054_0000_0005, 0xabcd));
    let lines = dump(&lab);
    let tail = ", packets:0, bytes:0, used:never, actions:";
    let got: Vec<String> = lines
        .iter()
        .map(|l| l.replace("packet_type(ns=0,id=0),", "").replace(tail, " -> "))
        .filter(|l| l.starts_with("recirc_id(0),"))
        .collect();
    assert_eq!(
        got,
        [
            "recirc_id(0),in_port(1),eth_type(0x8809) -> userspace(pid=0,slow_path(lacp))",
            "recirc_id(0),in_port(3),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),\
             eth_type(0x0800),ipv4(frag=no) -> 9,hash(l4(0)),recirc(0x1)",
            "recirc_id(0),in_port(3),eth(src=50:54:00:00:00:09,dst=ff:ff:ff:ff:ff:ff),\
             eth_type(0x0806),arp(sip=10.0.0.9,tip=10.0.0.9,op=1) -> 9,hash(l4(0)),recirc(0x1)",
            "recirc_id(0),in_port(1),eth(src=50:54:00:00:00:07,dst=50:54:00:00:00:05),\
             eth_type(0x0800),ipv4(frag=no) -> 3",
            "recirc_id(0),in_port(4),eth(src=50:54:00:00:00:0a,dst=50:54:00:00:00:05),\
             eth_type(0xabcd) -> push_vlan(vid=10,pcp=0),3,9,hash(l4(0)),recirc(0x1)",
        ]
    );
    let again: Vec<&String> = lines.iter().filter(|l| l.starts_with("recirc_id(0x1)")).collect();
    assert!(!again.is_empty());
    for l in again {
        assert!(l.contains("/0xff),in_port("), "{l}");
        assert!(!l.contains("eth(src"), "{l}");
    }
}
