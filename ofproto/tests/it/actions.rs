//! Each family of OpenFlow's actions: a packet and a rule in, a flow of the datapath out.

use std::sync::Arc;

use datapath::Datapath;
use datapath::format::{FlowDump, Show};

use crate::frame::{BROADCAST, Frame, arp, other, udp};
use crate::lab::Lab;

const PORTS: &str = "br0: secure\n p1 = 1\n p2 = 2\n p3 = 3\n br0 = local:9";

/// The flow that the packet made: what it looks at besides the port and type, and what it does.
fn flow(lab: &Lab, frame: &Frame) -> String {
    lab.dp.flow_flush();
    lab.outs(1, frame);
    shown(lab)
}

/// The only flow.
fn shown(lab: &Lab) -> String {
    let flows = lab.flows();
    assert_eq!(flows.len(), 1, "one flow");
    let table = |id| lab.dp.table(id);
    let show = Show { table: &table, names: None, more: false };
    let dump = FlowDump::new(&flows[0], lab.dp.now(), show).to_string();
    let (key, rest) = dump.split_once(", packets:").unwrap();
    let (_, actions) = rest.split_once("actions:").unwrap();
    let key = key.strip_prefix("recirc_id(0),").unwrap_or(key);
    let key = key.replace("in_port(1),packet_type(ns=0,id=0),", "");
    format!("{key} => {actions}")
}

fn with(rules: &[&str]) -> Lab {
    let lab = Lab::new(PORTS);
    lab.rules("br0", rules);
    lab
}

/// The flow that a UDP packet makes with one rule.
fn udp_flow(rule: &str) -> String {
    flow(&with(&[rule]), &udp(1, 2))
}

#[test]
fn no_rule_drops() {
    let lab = Lab::new(PORTS);
    assert_eq!(flow(&lab, &udp(1, 2)), "eth_type(0x0800),ipv4(frag=no) => drop");
    assert_eq!(flow(&lab, &other(1, 2, 0xabcd)), "eth_type(0xabcd) => drop");
}

#[test]
fn output_actions_give_datapath_outputs() {
    assert_eq!(udp_flow("actions=output:2,output:3"), "eth_type(0x0800),ipv4(frag=no) => 2,3");
    assert_eq!(udp_flow("actions=local"), "eth_type(0x0800),ipv4(frag=no) => 9");
    assert_eq!(udp_flow("actions=1,2"), "eth_type(0x0800),ipv4(frag=no) => 2", "not back");
    assert_eq!(udp_flow("actions=in_port"), "eth_type(0x0800),ipv4(frag=no) => 1");
    assert_eq!(udp_flow("actions=flood"), "eth_type(0x0800),ipv4(frag=no) => 2,3,9");
    assert_eq!(udp_flow("actions=all"), "eth_type(0x0800),ipv4(frag=no) => 2,3,9");
    assert_eq!(udp_flow("actions=77"), "eth_type(0x0800),ipv4(frag=no) => drop", "no such port");
    let enqueue = udp_flow("actions=enqueue:2:5,3");
    assert_eq!(
        enqueue,
        "skb_priority(0),eth_type(0x0800),ipv4(frag=no) => \
         set(skb_priority(0x5)),2,set(skb_priority(0)),3"
    );
    assert_eq!(
        udp_flow("actions=load:2->NXM_NX_REG0[],output:NXM_NX_REG0[]"),
        "eth_type(0x0800),ipv4(frag=no) => 2"
    );
    assert_eq!(
        udp_flow("actions=output(port=2,max_len=100),3"),
        "eth_type(0x0800),ipv4(frag=no) => trunc(100),2,3"
    );
}

#[test]
fn port_config_bits_stop_flood_forward_and_receive() {
    use openflow::msg::config::{NO_FLOOD, NO_FWD, NO_RECV};
    let lab = with(&["in_port=1,actions=flood", "in_port=2,actions=all"]);
    let bits = |p: u16, b| lab.ofproto.set_port_config("br0", [(ofproto::OfPort(p), b)].into());
    bits(3, NO_FLOOD).unwrap();
    assert_eq!(flow(&lab, &udp(1, 2)), "eth_type(0x0800),ipv4(frag=no) => 2,9");
    bits(3, NO_FWD).unwrap();
    assert_eq!(flow(&lab, &udp(1, 2)), "eth_type(0x0800),ipv4(frag=no) => 2,9");
    bits(1, NO_RECV).unwrap();
    assert_eq!(flow(&lab, &udp(1, 2)), "eth_type(0x0800),ipv4(frag=no) => drop");
}

#[test]
fn flows_follow_the_rules() {
    let mut lab = with(&["actions=2"]);
    assert_eq!(lab.send(1, &udp(1, 2)), "2:-");
    lab.rules("br0", &["priority=40000,ip,actions=3"]);
    lab.revalidate();
    assert_eq!(lab.send(1, &udp(1, 2)), "3:-");
    assert_eq!(lab.send(1, &other(1, 2, 0xabcd)), "2:-");
    lab.revalidate();
    let counted = lab.ofproto.dump_rules(lab.dp.now(), "br0").unwrap();
    let of = |actions: &str| {
        let row = counted.0.iter().find(|r| r.actions == actions).expect("the rule");
        row.count.packets
    };
    assert_eq!((of("output:2"), of("output:3")), (2, 1), "a packet is put down to its own rule");
}

#[test]
fn set_field_actions_change_headers() {
    for (rule, want) in [
        (
            "actions=mod_dl_src:00:00:00:00:00:77,2",
            "eth(src=00:00:00:00:00:01),eth_type(0x0800),ipv4(frag=no) => \
             set(eth(src=00:00:00:00:00:77)),2",
        ),
        (
            "actions=mod_dl_src:00:00:00:00:00:77,mod_dl_dst:00:00:00:00:00:78,2",
            "eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x0800),ipv4(frag=no) => \
             set(eth(src=00:00:00:00:00:77,dst=00:00:00:00:00:78)),2",
        ),
        (
            // Nothing to do for this packet, but for others there would be.
            "actions=mod_dl_src:00:00:00:00:00:01,2",
            "eth(src=00:00:00:00:00:01),eth_type(0x0800),ipv4(frag=no) => 2",
        ),
        (
            "ip,actions=mod_nw_src:192.0.2.1,mod_nw_tos:8,2",
            "eth_type(0x0800),ipv4(src=10.0.0.1,proto=17,tos=0/0xfc,frag=no) => \
             set(ipv4(src=192.0.2.1,tos=0x8/0xfc)),2",
        ),
        (
            "udp,actions=mod_tp_dst:53,2",
            "eth_type(0x0800),ipv4(proto=17,frag=no),udp(dst=2000) => set(udp(dst=53)),2",
        ),
        (
            "ip,actions=dec_ttl,2",
            "eth_type(0x0800),ipv4(proto=17,ttl=64,frag=no) => set(ipv4(ttl=63)),2",
        ),
        (
            "ip,actions=set_field:192.0.2.0/255.255.255.0->ip_dst,2",
            "eth_type(0x0800),ipv4(dst=10.0.0.2/255.255.255.0,proto=17,frag=no) => \
             set(ipv4(dst=192.0.2.0/255.255.255.0)),2",
        ),
        (
            // An ARP field of an IP packet: nothing.
            "actions=set_field:1->pkt_mark,2",
            "in_port(1),skb_mark(0),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(frag=no) => \
             set(skb_mark(0x1)),2",
        ),
        (
            "ip,actions=move:NXM_OF_IP_SRC[]->NXM_OF_IP_DST[],2",
            "eth_type(0x0800),ipv4(src=10.0.0.1,dst=10.0.0.2,frag=no) => \
             set(ipv4(dst=10.0.0.1)),2",
        ),
        (
            "ip,actions=push:NXM_OF_IP_SRC[],pop:NXM_NX_REG3[],2",
            "eth_type(0x0800),ipv4(src=10.0.0.1,frag=no) => 2",
        ),
    ] {
        assert_eq!(udp_flow(rule), want, "{rule}");
    }
}

#[test]
fn header_changes_are_made_before_the_output_that_needs_them() {
    assert_eq!(
        udp_flow("actions=2,mod_dl_dst:00:00:00:00:00:77,3,mod_dl_dst:00:00:00:00:00:02,local"),
        "eth(dst=00:00:00:00:00:02),eth_type(0x0800),ipv4(frag=no) => \
         2,set(eth(dst=00:00:00:00:00:77)),3,set(eth(dst=00:00:00:00:00:02)),9"
    );
    let lab = with(&["actions=2,mod_dl_dst:00:00:00:00:00:77,3"]);
    let outs = lab.outs(1, &udp(1, 2));
    assert_eq!((outs[0].1[5], outs[1].1[5]), (2, 0x77));
}

#[test]
fn vlan_actions_push_pop_and_set_tags() {
    let tagged = udp(1, 2).tci(0x8100, 0x2000 | 10);
    for (rule, packet, want) in [
        (
            "actions=mod_vlan_vid:5,2",
            udp(1, 2),
            "eth_type(0x0800),ipv4(frag=no) => push_vlan(vid=5,pcp=0),2",
        ),
        (
            "actions=mod_vlan_vid:5,2",
            tagged.clone(),
            "eth_type(0x8100),vlan(vid=10,pcp=1),encap(eth_type(0x0800),ipv4(frag=no)) => \
             pop_vlan,push_vlan(vid=5,pcp=1),2",
        ),
        (
            "actions=strip_vlan,2",
            tagged.clone(),
            "eth_type(0x8100),vlan(vid=10,pcp=1),encap(eth_type(0x0800),ipv4(frag=no)) => \
             pop_vlan,2",
        ),
        ("actions=strip_vlan,2", udp(1, 2), "eth_type(0x0800),ipv4(frag=no) => 2"),
        (
            "actions=push_vlan:0x88a8,set_field:4196->vlan_vid,2",
            tagged,
            "eth_type(0x8100),vlan(vid=10,pcp=1),encap(eth_type(0x0800),ipv4(frag=no)) => \
             push_vlan(tpid=0x88a8,vid=100,pcp=0),2",
        ),
    ] {
        let lab = with(&[rule]);
        assert_eq!(flow(&lab, &packet), want, "{rule}");
    }
}

#[test]
fn resubmit_and_registers_select_flows() {
    let lab = with(&[
        "table=0,in_port=1,actions=load:7->NXM_NX_REG1[],write_metadata:5,goto_table:3",
        "table=3,reg1=7,metadata=5,actions=resubmit(,4),resubmit(2,5)",
        "table=4,udp,tp_dst=2000,actions=2",
        "table=5,in_port=2,actions=3",
        "table=5,in_port=1,actions=local",
    ]);
    assert_eq!(
        flow(&lab, &udp(1, 2)),
        "eth_type(0x0800),ipv4(proto=17,frag=no),udp(dst=2000) => 2,3"
    );
    assert_eq!(flow(&lab, &other(1, 2, 0xabcd)), "eth_type(0xabcd) => 3");
}

#[test]
fn resubmit_circle_is_an_error() {
    let lab = with(&["actions=resubmit(,0)"]);
    assert_eq!(flow(&lab, &udp(1, 2)), "eth_type(0x0800),ipv4(frag=no) => drop");
}

/// As deep as rules can nest: every table resubmits to the next, the last to the first.
#[test]
fn deep_nesting_ends() {
    let lab = Lab::new(PORTS);
    let rules: Vec<String> = (0..254)
        .map(|t| {
            format!(
                "table={t},actions=resubmit(,{}),clone(resubmit(,{})),2",
                (t + 1) % 254,
                (t + 1) % 254
            )
        })
        .collect();
    let rules: Vec<&str> = rules.iter().map(String::as_str).collect();
    lab.rules("br0", &rules);
    assert_eq!(flow(&lab, &udp(1, 2)), "eth_type(0x0800),ipv4(frag=no) => drop");
}

#[test]
fn action_set_runs_at_the_end_of_the_pipeline() {
    let lab = with(&[
        "table=0,actions=write_actions(output:2,mod_dl_dst:00:00:00:00:00:77),goto_table:1",
        "table=1,udp,actions=write_actions(output:3)",
        "table=1,arp,actions=clear_actions",
        "table=1,priority=1,actions=local",
    ]);
    assert_eq!(
        flow(&lab, &udp(1, 2)),
        "eth(dst=00:00:00:00:00:02),eth_type(0x0800),ipv4(proto=17,frag=no) => \
         set(eth(dst=00:00:00:00:00:77)),3"
    );
    assert_eq!(flow(&lab, &arp(1, 1, 1, 2)), "eth_type(0x0806) => drop");
    assert_eq!(
        flow(&lab, &other(1, 2, 0xabcd)),
        "eth(dst=00:00:00:00:00:02),eth_type(0xabcd) => 9,set(eth(dst=00:00:00:00:00:77)),2"
    );
}

#[test]
fn clone_leaves_the_packet_unchanged() {
    assert_eq!(
        udp_flow("ip,actions=clone(mod_nw_dst:192.0.2.4,output:2),output:3"),
        "eth_type(0x0800),ipv4(dst=10.0.0.2,proto=17,frag=no) => \
         set(ipv4(dst=192.0.2.4)),2,set(ipv4(dst=10.0.0.2)),3"
    );
    assert_eq!(
        udp_flow("ip,actions=clone(output(port=2,max_len=64)),output:3"),
        "eth_type(0x0800),ipv4(frag=no) => clone(trunc(64),2),3"
    );
    assert_eq!(
        udp_flow("ip,actions=3,clone(output(port=2,max_len=64))"),
        "eth_type(0x0800),ipv4(frag=no) => 3,trunc(64),2",
        "the last copy may be the packet itself"
    );
}

#[test]
fn exit_ends_the_pipeline() {
    assert_eq!(udp_flow("actions=2,exit,3"), "eth_type(0x0800),ipv4(frag=no) => 2");
    assert_eq!(udp_flow("actions=note:01.02,2"), "eth_type(0x0800),ipv4(frag=no) => 2");
    let lab = with(&["table=0,actions=resubmit(,1),3", "table=1,actions=2,exit"]);
    assert_eq!(flow(&lab, &udp(1, 2)), "eth_type(0x0800),ipv4(frag=no) => 2");
}

#[test]
fn normal_works_on_the_changed_packet() {
    let lab = Lab::new("br0: secure\n p1 = 1\n p2 = 2 access=10\n p3 = 3 access=20");
    lab.rules("br0", &["actions=mod_vlan_vid:10,mod_dl_src:00:00:00:00:00:77,NORMAL"]);
    assert_eq!(lab.send(1, &udp(1, BROADCAST)), "2:-");
    assert_eq!(lab.fdb("br0"), "77@1/10");
}

#[test]
fn slow_changes_are_made_packet_by_packet() {
    let lab = with(&["arp,actions=set_field:2->arp_op,2"]);
    for _ in 0..3 {
        let outs = lab.outs(1, &arp(1, 1, 1, 2));
        assert_eq!(outs.len(), 1);
        assert_eq!(outs[0].1[21], 2, "a reply now");
    }
    assert_eq!(shown(&lab), "eth_type(0x0806),arp(op=1) => userspace(pid=0,slow_path(action))");
}

#[test]
fn recirculated_packet_resumes_with_its_registers() {
    let lab = with(&[
        "table=0,in_port=1,actions=load:9->NXM_NX_REG4[],2,resubmit(,1),local",
        "table=1,actions=debug_recirc,resubmit(,2)",
        "table=2,reg4=9,udp,actions=3",
    ]);
    assert_eq!(lab.send(1, &udp(1, 2)), "2:- 3:- 9:-");
    assert_eq!(lab.flows().len(), 2);
    assert_eq!(lab.send(1, &udp(1, 2)), "2:- 3:- 9:-", "by the flows");
    assert_eq!(lab.missed(), 2);
}

#[test]
fn gates_stand_only_before_the_switch() {
    let lab = Lab::new("br0: secure\n p1 = 1\n b = 3+4\n p2 = 2");
    lab.active("b", 3, &[3, 4]);
    lab.rules("br0", &["in_port=3,actions=2,NORMAL", "in_port=4,actions=2,NORMAL,1"]);
    assert_eq!(lab.send(3, &udp(1, 9)), "2:- 1:- 2:-");
    assert_eq!(lab.send(4, &udp(7, 9)), "2:- 1:-", "what the bond refuses, rules still get");
    lab.active("b", 4, &[3, 4]);
    assert_eq!(lab.send(3, &udp(1, 9)), "2:-", "before any revalidation");
}

#[test]
fn bonds_of_patch_ports_choose_a_member_here() {
    let lab = Lab::new(
        "br0:\n p1 = 1\n b = patch:x1+patch:x2\nbr1: secure\n x1 = patch:b-x1\n x2 = patch:b-x2\n p2 = 2",
    );
    lab.rules("br1", &["actions=2"]);
    lab.slb_of("b", [0, 1]);
    let mut by = [0; 2];
    for mac in 0x10..0x30 {
        lab.dp.flow_flush();
        assert_eq!(lab.send(1, &udp(mac, BROADCAST)), "2:-");
        let (rx, _) = lab.ofproto.patch_counts("x1").unwrap();
        by[0] = rx.packets;
        let (rx, _) = lab.ofproto.patch_counts("x2").unwrap();
        by[1] = rx.packets;
    }
    assert_eq!(by[0] + by[1], 32);
    assert!(by.iter().all(|n| *n > 4), "{by:?}");
}

#[test]
fn packets_of_controllers() {
    let lab = with(&["in_port=2,actions=3"]);
    let mut what = openflow::msg::PacketOut {
        buffer_id: None,
        metadata: openflow::Match::default(),
        actions: openflow::text::parse_actions(
            "mod_dl_dst:00:00:00:00:00:55,1,table",
            &openflow::text::NoNames,
        )
        .unwrap(),
        packet: udp(1, 2).bytes(),
    };
    what.metadata.set(openflow::Field::InPort, 2);
    let now = lab.dp.now();
    lab.ofproto.packet_out(now, "br0", &what, openflow::Version::V13).unwrap();
    let outs = lab.dp.sent();
    assert_eq!(crate::lab::show(&outs), "1:- 3:-");
    assert!(outs.iter().all(|(_, b)| b[5] == 0x55));
    assert_eq!(lab.flows().len(), 0, "nothing is kept");
    assert!(lab.ofproto.packet_out(now, "br9", &what, openflow::Version::V13).is_err());
}

/// Keeps what goes to controllers.
#[derive(Default)]
struct Controllers(parking_lot::Mutex<Vec<ofproto::controller::QueuedPacketIn>>);

impl ofproto::controller::PacketInSink for Controllers {
    fn packet_in(&self, packet: ofproto::controller::QueuedPacketIn) -> bool {
        self.0.lock().push(packet);
        true
    }
}

#[test]
fn packets_for_controllers() {
    use openflow::Field;
    use openflow::action::PacketInReason;
    let lab = with(&[
        "udp,cookie=0x77,actions=mod_dl_dst:00:00:00:00:00:66,load:3->NXM_NX_REG2[],CONTROLLER:60",
        "priority=0,actions=CONTROLLER",
        "arp,actions=write_actions(CONTROLLER)",
        "tcp,actions=dec_ttl,2",
    ]);
    let sink = Arc::new(Controllers::default());
    lab.ofproto.set_packet_in_sink(sink.clone());
    lab.send(1, &udp(1, 2));
    lab.send(1, &udp(1, 2));
    lab.send(1, &arp(1, 1, 1, 2));
    lab.send(1, &other(1, 2, 0xabcd));
    let got = sink.0.lock();
    assert_eq!(got.len(), 4);
    let p = &got[1];
    assert_eq!((&*p.bridge, p.max_len, p.packet.cookie), ("br0", 60, Some(0x77)));
    assert_eq!(p.packet.reason, PacketInReason::ACTION);
    assert_eq!((p.packet.packet[5], p.packet.total_len), (0x66, 42));
    assert_eq!(p.packet.metadata.get(Field::InPort).0, 1);
    assert_eq!(p.packet.metadata.get(Field::Reg(2)).0, 3);
    assert_eq!(got[2].packet.reason, PacketInReason::ACTION_SET);
    assert_eq!(got[3].packet.reason, PacketInReason::EXPLICIT_MISS);
    assert_eq!(got[3].packet.packet[5], 2);
}

#[test]
fn misses_go_to_old_controllers() {
    let lab = Lab::new(PORTS);
    let sink = Arc::new(Controllers::default());
    lab.ofproto.set_packet_in_sink(sink.clone());
    lab.send(1, &udp(1, 2));
    assert_eq!(sink.0.lock().len(), 0);
    lab.ofproto.set_packet_in_on_miss("br0", true).unwrap();
    lab.dp.flow_flush();
    lab.send(1, &udp(1, 2));
    let got = sink.0.lock();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].packet.reason, openflow::action::PacketInReason::IMPLICIT_MISS);
}

#[test]
fn fragment_handling_follows_the_switch_config() {
    let mut first = udp(1, 2);
    first.payload[6] = 0x20;
    let lab = with(&["priority=2,udp,tp_dst=2000,actions=2", "priority=1,actions=3"]);
    assert_eq!(lab.send(1, &first), "3:-", "ports of fragments count as not being there");
    lab.ofproto.set_frag("br0", 3).unwrap();
    lab.dp.flow_flush();
    assert_eq!(lab.send(1, &first), "2:-");
    lab.ofproto.set_frag("br0", 1).unwrap();
    lab.dp.flow_flush();
    assert_eq!(lab.send(1, &first), "");
}

#[test]
fn tcp_fin_shortens_the_flow_s_timeouts() {
    let mut tcp = udp(1, 2);
    tcp.payload[9] = 6;
    tcp.payload.resize(40, 0);
    tcp.payload[3] = 40;
    tcp.payload[32] = 0x50;
    let lab = with(&["tcp,idle_timeout=600,actions=fin_timeout(idle_timeout=5),2"]);
    let idle = || {
        let all = openflow::msg::FlowStatsRequest {
            nxm: false,
            matching: openflow::Match::default(),
            cookie: 0,
            cookie_mask: 0,
            out_port: ofproto::OfPort::ANY,
            out_group: openflow::msg::GROUP_ANY,
            table_id: 255,
        };
        let get = |t: &mut ofproto::tables::FlowTables| t.flow_stats(lab.dp.now(), &all);
        let rules = lab.ofproto.with_flow_table("br0", get).unwrap().unwrap();
        rules.first().map(|r| r.idle_timeout)
    };
    lab.send(1, &tcp);
    assert_eq!(idle(), Some(600));
    tcp.payload[33] = 1;
    lab.dp.flow_flush();
    lab.send(1, &tcp);
    assert_eq!(idle(), Some(5));
}
