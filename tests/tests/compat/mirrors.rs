//! Mirrors: what is copied, in which order, how often, and where to.

use crate::rig::{Bridge, DummyRig, ping, tagged_ping, tcp};

/// Three ports; what comes in by 1 goes to 2 and the other way round.
fn crossed() -> DummyRig {
    let b = DummyRig::new(Bridge::Secure, 3);
    b.flows("br0", &["in_port=1,actions=output:2", "in_port=2,actions=output:1"]);
    b
}

/// Gives br0 a mirror with these columns; `@p1` and so on are its ports.
fn mirror(b: &DummyRig, columns: &str) {
    b.rig.vsctl(&format!(
        "--id=@p1 get port p1 -- --id=@p2 get port p2 -- --id=@p3 get port p3 \
         -- --id=@m create mirror name=m {columns} -- set bridge br0 mirrors=@m"
    ));
}

#[harness::test]
fn what_is_selected() {
    let b = crossed();
    // Of arrivals before anything else is done, of departures after it; once for each place.
    for (columns, from_1, from_2) in [
        ("select_all=true output_port=@p3", "3,2", "3,1"),
        ("select_src_port=@p1 output_port=@p3", "3,2", "1"),
        ("select_dst_port=@p2 output_port=@p3", "2,3", "1"),
        ("select_all=true output_port=@p3 snaplen=100", "trunc(100),3,2", "trunc(100),3,1"),
        ("select_all=true output_port=@p3 snaplen=65535", "3,2", "3,1"),
        ("select_all=true select_vlan=11 output_port=@p3", "2", "1"),
    ] {
        mirror(&b, columns);
        let said = [b.actions(&ping(1)), b.actions(&ping(2))];
        assert_eq!(said, [from_1, from_2], "{columns}");
    }
    assert_eq!(b.actions(&tagged_ping(1, 10)), "2");
    assert_eq!(b.actions(&tagged_ping(1, 11)), "3,2");
    // What comes in by the output goes nowhere.
    let said = b.trace(&ping(3));
    assert!(said.contains("received on port p3, which is reserved exclusively for mirroring"));
    assert!(said.ends_with("Datapath actions: drop\n"), "{said}");
}

/// A copy is wanted again once the packet has been changed, not when a register has. As Open
/// vSwitch's master; 3.1 copies once.
#[harness::test]
fn a_changed_packet_is_another() {
    tests::ours_only("copies of changed packets");
    let b = crossed();
    mirror(&b, "select_all=true output_port=@p3");
    b.flows("br0", &["in_port=1,actions=mod_vlan_vid:17,output:2"]);
    assert_eq!(b.actions(&ping(1)), "3,push_vlan(vid=17,pcp=0),2,3");
    b.flows("br0", &["in_port=1,actions=load:5->NXM_NX_REG0[],output:2"]);
    assert_eq!(b.actions(&ping(1)), "3,2");
    // Of a controller's packet there is no arrival.
    assert_eq!(b.actions("br0 icmp"), "drop");
    b.flows("br0", &["in_port=ANY,actions=output:1"]);
    b.flows("br0", &["priority=1,actions=output:1"]);
    assert_eq!(b.actions("br0 icmp"), "1,3");
}

#[harness::test]
fn to_a_vlan() {
    let b = DummyRig::new(Bridge::Standalone, 3);
    b.rig.vsctl(
        "set bridge br0 mirrors=@m1,@m2 \
         -- --id=@m1 create mirror name=m1 select_all=true output_vlan=500 snaplen=200 \
         -- --id=@m2 create mirror name=m2 select_all=true output_vlan=501 snaplen=300 \
         -- set port br0 tag=0 -- set port p1 tag=0 -- set port p2 tag=500 -- set port p3 tag=501",
    );
    // Neither mirror takes the other's copies for packets.
    let said = b.actions("br0 in_port=1");
    let (a, b) = ("trunc(200),2,trunc(300),3,100", "trunc(300),3,trunc(200),2,100");
    assert!(said == a || said == b, "{said}");
}

#[harness::test]
fn filters() {
    let b = crossed();
    mirror(&b, "select_all=true output_port=@p3");
    // Schemas before Open vSwitch 3.4 have no such column.
    if b.rig.switch.vsctl("set mirror m filter=icmp").is_err() {
        harness::not_applicable("the database's schema has no Mirror.filter");
    }
    assert_eq!([b.actions(&ping(1)), b.actions(&tcp(1, 80))], ["3,2", "2"]);
    b.rig.vsctl("set mirror m filter=\"tcp,tcp_dst=80\"");
    let said = [b.actions(&ping(2)), b.actions(&tcp(2, 80)), b.actions(&tcp(2, 443))];
    assert_eq!(said, ["1", "3,1", "1"]);
    for (filter, text) in [
        ("bogus", "filter is invalid: bogus: unknown field bogus"),
        ("\"in_port=p1\"", "filter is invalid due to in_port field."),
    ] {
        b.rig.vsctl(&format!("set mirror m filter={filter}"));
        b.rig.wait(text, || b.rig.switch.log().contains(text));
        assert_eq!(b.actions(&tcp(1, 80)), "2", "an invalid mirror copies nothing");
    }
    b.rig.vsctl("clear mirror m filter");
    assert_eq!(b.actions(&tcp(1, 443)), "3,2");
}

#[harness::test]
fn copies_are_counted() {
    let b = crossed();
    mirror(&b, "select_all=true output_port=@p3");
    b.rig.appctl("time/stop");
    for _ in 0..3 {
        b.receive(1, &ping(1));
    }
    b.rig.appctl("time/warp 11000 500");
    let count = |key: &str| b.rig.get("mirror", "m", &format!("statistics:{key}"));
    assert_eq!((count("tx_packets"), count("tx_bytes")), ("3".into(), "318".into()));
    // Another output is no reason to begin anew; another mirror is.
    b.rig.vsctl("set mirror m snaplen=60");
    b.receive(1, &ping(1));
    b.rig.appctl("time/warp 11000 500");
    assert_eq!(count("tx_packets"), "4");
    mirror(&b, "select_all=true output_port=@p3");
    b.rig.appctl("time/warp 11000 500");
    assert_eq!(count("tx_packets"), "0");
}

/// Flows that were made before follow when a mirror comes or goes. Open vSwitch's master looks at
/// them again; 3.1 leaves them as they are.
#[harness::test]
fn flows_follow_the_mirror() {
    tests::ours_only("flows that follow a new mirror");
    let b = crossed();
    let does = |want: &str| {
        b.rig.wait(want, || {
            b.receive(1, &ping(1));
            b.rig.appctl("revalidator/wait");
            let flows = b.rig.appctl("dpctl/dump-flows");
            let end = format!("actions:{want}");
            flows.lines().any(|l| l.contains("in_port(1)") && l.ends_with(&end))
        })
    };
    does("2");
    mirror(&b, "select_src_port=@p1 output_port=@p3");
    does("3,2");
    b.rig.vsctl("clear bridge br0 mirrors");
    does("2");
}

#[harness::test]
fn rows_that_ask_for_nothing_sensible() {
    let b = crossed();
    mirror(&b, "select_all=true");
    let text = "bridge br0: mirror m does not specify output; ignoring";
    b.rig.wait(text, || b.rig.switch.log().contains(text));
    assert_eq!(b.actions(&ping(1)), "2");
    b.bridge("br1", Bridge::Secure, [7]);
    b.rig.vsctl("--id=@p7 get port p7 -- set mirror m output_port=@p7");
    let text = "bridge br0: mirror m outputs to port not on bridge";
    b.rig.wait(text, || b.rig.switch.log().contains(text));
    assert_eq!(b.actions(&ping(1)), "2");
    b.rig.assert_no_panic();
}
