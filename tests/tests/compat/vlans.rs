//! VLANs of ports up to QinQ, and how deep tags are looked into.

use crate::rig::{Bridge, DummyRig};

/// A broadcast frame of an unknown type, with these tags (type and VLAN), the outer first.
fn frame(port: u32, tags: &[(u16, u16)]) -> String {
    let (mut head, mut tail) = (String::new(), String::new());
    for (tpid, vid) in tags {
        head += &format!("eth_type({tpid:#06x}),vlan(vid={vid},pcp=0),encap(");
        tail += ")";
    }
    format!(
        "in_port({port}),eth(src=50:54:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),{head}eth_type(0xabcd){tail}"
    )
}

const C: u16 = 0x8100;
const S: u16 = 0x88a8;

/// What becomes of the tags of the copy that leaves by `port`; nothing if none does. What is
/// pushed and popped again is left out.
fn until(actions: &str, port: &str) -> Option<String> {
    // Within parentheses a comma divides nothing.
    let apart = actions.replace(",vid", ";vid").replace(",pcp", ";pcp");
    let mut done: Vec<&str> = Vec::new();
    for word in apart.split(',') {
        match word {
            _ if word == port => return Some(done.join(" ").replace(';', ",")),
            "pop_vlan" if done.last().is_some_and(|w| w.starts_with("push")) => drop(done.pop()),
            _ if word.contains("vlan") => done.push(word),
            _ => {}
        }
    }
    None
}

#[harness::test]
fn customers_in_a_tunnel() {
    let b = DummyRig::new(Bridge::Standalone, 4);
    b.rig.vsctl(
        "set open_vswitch . other_config:vlan-limit=0 \
         -- set port p1 vlan_mode=dot1q-tunnel tag=100 \
         -- set port p2 vlan_mode=dot1q-tunnel tag=100 cvlans=10,12 \
         -- set port p3 trunks=100 \
         -- set port p4 vlan_mode=dot1q-tunnel tag=200 other_config:qinq-ethtype=802.1q",
    );
    // A customer's frame gets the provider's tag, of the service type unless told otherwise.
    let said = b.actions(&frame(1, &[(C, 10)]));
    assert_eq!(until(&said, "3").unwrap(), "push_vlan(tpid=0x88a8,vid=100,pcp=0)", "{said}");
    assert_eq!(until(&said, "2").as_deref(), Some(""), "{said}");
    assert_eq!(until(&said, "4"), None, "{said}");
    // Of some VLANs only, in both directions.
    let said = b.actions(&frame(1, &[(C, 11)]));
    assert!(until(&said, "3").is_some() && until(&said, "2").is_none(), "{said}");
    assert_eq!(b.actions(&frame(2, &[(C, 11)])), "drop");
    assert_eq!(b.actions(&frame(2, &[])), "drop", "an untagged frame is in no VLAN of theirs");
    // And back.
    let said = b.actions(&frame(3, &[(S, 100), (C, 12)]));
    assert_eq!(until(&said, "1").as_deref(), Some("pop_vlan"), "{said}");
    assert_eq!(until(&said, "2").as_deref(), Some("pop_vlan"), "{said}");
    assert_eq!(b.actions(&frame(3, &[(S, 200), (C, 12)])), "drop", "not trunked");
    let said = b.actions(&frame(4, &[(C, 7)]));
    assert_eq!(until(&said, "100").as_deref(), Some("push_vlan(vid=200,pcp=0)"), "{said}");
}

/// By default one tag is looked into: what stands under it is the type of the next.
#[harness::test]
fn how_deep_tags_are_seen() {
    let b = DummyRig::new(Bridge::Secure, 3);
    b.flows(
        "br0",
        &[
            "in_port=1,dl_type=0x8100,vlan_tci=0x0010/0x01ff,actions=output:2",
            "in_port=1,dl_type=0xabcd,vlan_tci=0x0010/0x01ff,actions=output:3",
        ],
    );
    let two = frame(1, &[(C, 16), (C, 17)]);
    assert_eq!(b.actions(&two), "2");
    b.rig.vsctl("set open_vswitch . other_config:vlan-limit=0");
    assert_eq!(b.actions(&two), "3");
    b.rig.vsctl("set open_vswitch . other_config:vlan-limit=1");
    assert_eq!(b.actions(&two), "2");
}

/// A tag that OpenFlow pushes stands over the one that is there; the type is said only where it
/// is not the common one.
#[harness::test]
fn tags_of_actions() {
    let b = DummyRig::new(Bridge::Secure, 2);
    b.rig.vsctl("set open_vswitch . other_config:vlan-limit=0");
    let flow = "in_port=1,dl_vlan=5,actions=push_vlan:0x88a8,set_field:4103->vlan_vid,output:2";
    b.ofctl(&["-O", "OpenFlow13", "add-flow", "br0", flow]);
    let said = b.actions(&frame(1, &[(C, 5)]));
    assert_eq!(said, "push_vlan(tpid=0x88a8,vid=7,pcp=0),2");
    b.flows("br0", &["in_port=2,dl_vlan=5,actions=strip_vlan,strip_vlan,output:1"]);
    assert_eq!(b.actions(&frame(2, &[(S, 5), (C, 6)])), "pop_vlan,pop_vlan,1");
}

#[harness::test]
fn priority_tags() {
    let b = DummyRig::new(Bridge::Standalone, 2);
    b.rig.vsctl(
        "set port br0 tag=10 -- set port p1 trunks=10 \
         -- set port p2 tag=10 other_config:priority-tags=if-nonzero",
    );
    let tagged = |pcp: u8| {
        format!(
            "in_port(1),eth(src=50:54:00:00:00:01,dst=ff:ff:ff:ff:ff:ff),eth_type(0x8100),\
             vlan(vid=10,pcp={pcp}),encap(eth_type(0xabcd))"
        )
    };
    assert_eq!(until(&b.actions(&tagged(0)), "2").as_deref(), Some("pop_vlan"));
    let said = b.actions(&tagged(3));
    assert!(until(&said, "2").unwrap().ends_with("push_vlan(vid=0,pcp=3)"), "{said}");
    assert_eq!(until(&said, "100").as_deref(), Some("pop_vlan"), "{said}");
}
