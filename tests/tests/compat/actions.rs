//! Actions: what they do to a packet, in which order, and where they end.

use crate::rig::{Bridge, DummyRig, ping};

fn rig() -> DummyRig {
    DummyRig::new(Bridge::Secure, 4)
}

/// A copy is undone by setting headers back, and is a copy in the datapath only where that does
/// not help. As Open vSwitch's master; 3.1 copies more often.
#[harness::test]
fn copies_are_undone() {
    tests::ours_only("copies that are undone");
    let b = rig();
    b.flows("br0", &["ip,actions=clone(set_field:192.0.2.4->ip_dst,output:2),output:3"]);
    assert_eq!(b.actions(&ping(1)), "set(ipv4(dst=192.0.2.4)),2,set(ipv4(dst=192.168.0.2)),3");
    b.flows("br0", &["ip,actions=clone(output(port=2,max_len=100)),output:3"]);
    assert_eq!(b.actions(&ping(1)), "clone(trunc(100),2),3");
    b.flows("br0", &["ip,actions=output:3,clone(output(port=2,max_len=100))"]);
    assert_eq!(b.actions(&ping(1)), "3,trunc(100),2");
}

/// The limits of what one packet may cause, each with its own words.
#[harness::test]
fn limits() {
    let b = rig();
    let failed = |what: &str| {
        let said = b.trace("br0 in_port=1");
        let last = said.lines().last().unwrap_or_default().to_owned();
        assert!(said.contains(what), "{said}");
        last
    };
    b.flows("br0", &["actions=resubmit(,0)"]);
    assert_eq!(
        failed("over max translation depth 64"),
        "Translation failed (Recursion too deep), packet is dropped."
    );
    // Twice as many with each table.
    for t in 0..20 {
        let next = t + 1;
        b.flows("br0", &[&format!("table={t},actions=resubmit(,{next}),resubmit(,{next})")]);
    }
    assert_eq!(
        failed("over 4096 resubmit actions"),
        "Translation failed (Too many resubmits), packet is dropped."
    );
    b.flows("br0", &["actions=pop:NXM_NX_REG0[],output:2"]);
    assert_eq!(failed("stack underflow"), "Datapath actions: 2");
}

/// Nested as deep as the limits allow, which is thousands of rules, the daemon goes on.
#[harness::test]
fn deep_nesting() {
    let b = rig();
    for t in 0..254 {
        let next = (t + 1) % 254;
        b.flows("br0", &[&format!("table={t},actions=resubmit(,{next}),output:2")]);
    }
    let said = b.trace("br0 in_port=1");
    assert!(said.contains("over 4096 resubmit actions"));
    b.receive(1, &ping(1));
    b.rig.appctl("version");
    b.rig.assert_no_panic();
}

/// What goes round keeps its registers and goes on where it stopped.
#[harness::test]
fn a_second_look() {
    let b = rig();
    b.flows(
        "br0",
        &[
            "in_port=1,actions=load:5->NXM_NX_REG0[],output:2,resubmit(,1),output:4",
            "table=1,actions=debug_recirc,resubmit(,2)",
            "table=2,reg0=5,actions=output:3",
        ],
    );
    let first = b.actions(&ping(1));
    let id = first.strip_prefix("2,recirc(").and_then(|r| r.strip_suffix(')'));
    let id = id.unwrap_or_else(|| panic!("{first}")).to_owned();
    assert_eq!(b.actions(&format!("recirc_id({id}),{}", ping(1))), "3,4");
}

/// The end of the time to live goes to the controllers, and ends its own list only.
#[harness::test]
fn time_to_live() {
    let b = rig();
    b.flows("br0", &["ip,actions=resubmit(,1),output:3", "table=1,actions=dec_ttl,output:2"]);
    assert_eq!(b.actions(&ping(1)), "set(ipv4(ttl=127)),2,3");
    let said = b.trace(&ping(1).replace("ttl=128", "ttl=1"));
    assert!(said.contains(">> IPv4 decrement TTL exception"), "{said}");
    assert!(said.contains("userspace(pid=0,controller(reason=2,"), "{said}");
    assert!(said.contains("max_len=65535)),3"), "{said}");
}

/// Ports that are set not to take part.
#[harness::test]
fn bits_of_ports() {
    let b = rig();
    b.flows("br0", &["in_port=1,actions=flood", "in_port=2,actions=all"]);
    b.ofctl(&["mod-port", "br0", "p3", "noflood"]);
    b.ofctl(&["mod-port", "br0", "p4", "noforward"]);
    assert_eq!(b.outputs(&ping(1)), ["100", "2"]);
    assert_eq!(b.outputs(&ping(2)), ["1", "100", "3"]);
    b.ofctl(&["mod-port", "br0", "p1", "noreceive"]);
    assert_eq!(b.actions(&ping(1)), "drop");
}
