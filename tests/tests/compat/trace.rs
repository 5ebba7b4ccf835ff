//! `ofproto/trace`: its arguments, its text, what it leaves behind.

use crate::rig::{Bridge, DummyRig};

#[harness::test]
fn the_whole_text() {
    let b = DummyRig::new(Bridge::Secure, 3);
    b.bridge("br1", Bridge::Standalone, [4]);
    b.patch(("br0", 10), ("br1", 11));
    b.flows(
        "br0",
        &[
            "in_port=1,actions=load:1->NXM_NX_REG0[],resubmit(,1),mod_vlan_vid:9,output:2",
            "table=1,reg0=1,actions=output:10",
        ],
    );
    let said = b.trace("br0 in_port=1,tcp,nw_src=10.0.0.1,tp_dst=80");
    let packet = "vlan_tci=0x0000,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,\
                  nw_src=10.0.0.1,nw_dst=0.0.0.0,nw_tos=0,nw_ecn=0,nw_ttl=0,nw_frag=no,tp_src=0,\
                  tp_dst=80,tcp_flags=0";
    let tagged = packet.replacen("vlan_tci=0x0000", "dl_vlan=9,dl_vlan_pcp=0,vlan_tci1=0x0000", 1);
    let want = format!(
        r#"Flow: tcp,in_port=1,{packet}

bridge("br0")
-------------
 0. in_port=1, priority 32768
    load:0x1->NXM_NX_REG0[]
    resubmit(,1)
     1. reg0=0x1, priority 32768
            output:10

        bridge("br1")
        -------------
         0. priority 0
            NORMAL
             -> no learned MAC for destination, flooding
    mod_vlan_vid:9
    output:2

Final flow: tcp,reg0=0x1,in_port=1,{tagged}
Megaflow: recirc_id=0,eth,ip,in_port=1,dl_src=00:00:00:00:00:00,dl_dst=00:00:00:00:00:00,nw_frag=no
Datapath actions: 101,4,push_vlan(vid=9,pcp=0),2
"#
    );
    // The order of a flood is the order of ports.
    assert_eq!(said.replace("actions: 4,101,", "actions: 101,4,"), want);
}

#[harness::test]
fn what_is_accepted() {
    let b = DummyRig::new(Bridge::Secure, 2);
    b.flows("br0", &["in_port=1,actions=output:2", "in_port=2,actions=output:1"]);
    for words in [
        "in_port(1)",
        "in_port(p1)",
        "ovs-dummy in_port(1)",
        "dummy in_port(1)",
        "br0 in_port=1",
        "br0 in_port=p1",
        "br0 in_port=1 -generate",
        "br0 in_port=1 --generate --l7-len 100",
        "in_port(1) 5054000000025054000000010800",
    ] {
        assert_eq!(b.actions(words), "2", "{words}");
    }
    assert_eq!(b.actions("--names br0 in_port=p1"), "p2");
    let said = b.trace("br0 in_port=2 -names");
    assert!(said.starts_with("Flow: in_port=p2,") && said.contains("output:p1"), "{said}");
}

#[harness::test]
fn what_is_refused_and_how() {
    let b = DummyRig::new(Bridge::Secure, 2);
    for (words, text) in [
        ("wrong in_port(1)", "Cannot find the datapath"),
        ("br0 in_port(1)", "Cannot find the datapath"),
        ("ovs-system in_port(1)", "Cannot find the datapath"),
        ("ovs-dummy in_port=1", "ovs-dummy: unknown bridge"),
        ("in_port=1", "syntax error at in_port=1 (or the bridge name was omitted)"),
        ("br0 in_port=x", "Bad openflow flow syntax: in_port=x: bad value for in_port"),
        ("ovs-dummy in_port(1) garbage", "Trailing garbage in packet data"),
        ("ovs-dummy in_port(1) 0011", "Packet data too short for Ethernet"),
        ("ovs-dummy in_port(42)", "no OpenFlow port for datapath port 42"),
        ("ovs-dummy recirc_id(0x42)", "no recirculation data for recirc_id 0x42"),
        ("br0 in_port=1 -consistent", "-consistent: unknown option"),
        ("br0 in_port=1 --l7", "Missing argument for option --l7"),
        ("", "\"ofproto/trace\" command requires at least 1 arguments"),
    ] {
        let said = b.fails(&format!("ofproto/trace {words}"));
        assert!(said.contains(text), "{words}: {said}");
    }
    b.rig.assert_no_panic();
}

/// A packet is learned from, what only looks like one is not.
#[harness::test]
fn a_packet_leaves_traces() {
    let b = DummyRig::new(Bridge::Standalone, 3);
    let flow = "br0 in_port=3,dl_src=50:54:00:00:00:05,dl_dst=ff:ff:ff:ff:ff:ff";
    assert_eq!(b.outputs(flow), ["1", "100", "2"]);
    assert_eq!(b.fdb("br0"), [""; 0]);
    assert_eq!(b.outputs(&format!("{flow} -generate")), ["1", "100", "2"]);
    assert_eq!(b.fdb("br0"), ["3 0 50:54:00:00:00:05"]);
    // The frame counts, not the flow that stands beside it.
    let frame = "5054000000055054000000060800";
    assert_eq!(b.actions(&format!("in_port(1),eth(src=02:00:00:00:00:01) {frame}")), "3");
    assert_eq!(b.fdb("br0"), ["1 0 50:54:00:00:00:06", "3 0 50:54:00:00:00:05"]);
}

#[harness::test]
fn actions_of_a_controller() {
    let b = DummyRig::new(Bridge::Secure, 2);
    b.flows("br0", &["in_port=1,actions=output:2"]);
    let said = b.rig.appctl("ofproto/trace-packet-out br0 in_port=1 mod_vlan_vid:123,resubmit(,0)");
    assert!(said.ends_with("Datapath actions: push_vlan(vid=123,pcp=0),2\n"), "{said}");
    let out = "ofproto/trace-packet-out";
    for (words, text) in [
        ("br0 in_port=1 bogus", "unknown action bogus"),
        ("-consistent br0 in_port=1 mod_nw_ttl:3", "Bad actions: OFPBAC_MATCH_INCONSISTENT"),
        ("br0 output:1", "syntax error at br0 (or the bridge name was omitted)"),
    ] {
        let said = b.fails(&format!("{out} {words}"));
        assert!(said.contains(text), "{words}: {said}");
    }
}
