//! Dummy devices and virtual time, as Open vSwitch's own tests use them.

use tests::Rig;

/// A daemon with dummies, and an empty bridge of them.
fn start() -> Rig {
    tests::able();
    let rig = Rig::with(0, tests::daemon(), &["--enable-dummy"]);
    rig.vsctl("del-br br0 -- add-br br0 -- set bridge br0 datapath_type=dummy");
    rig
}

/// The options that plug a dummy into a socket: as the one who listens, and as the other.
fn socket(rig: &Rig, name: &str) -> (String, String) {
    let path = rig.switch.path(name);
    let path = path.display();
    (format!("options:pstream=punix:{path}"), format!("options:stream=unix:{path}"))
}

fn ping(from: u8, to: u8) -> String {
    format!(
        "in_port(1),eth(src=50:54:00:00:00:{from:02x},dst=50:54:00:00:00:{to:02x}),\
         eth_type(0x0800),ipv4(src=10.0.0.{from},dst=10.0.0.{to},proto=1,tos=0,ttl=64,frag=no),\
         icmp(type=8,code=0)"
    )
}

#[harness::test]
fn numbers_come_from_names() {
    let rig = start();
    rig.vsctl(
        "add-port br0 p10 -- set interface p10 type=dummy ofport_request=3 \
         -- add-port br0 p2 -- set interface p2 type=dummy-pmd ofport_request=4 \
         -- add-port br0 int5 -- set interface int5 type=internal ofport_request=5",
    );
    let show = rig.appctl("dpif/show");
    for line in [
        "dummy@ovs-dummy: hit:0 missed:0",
        "    br0 65534/100: (dummy-internal)",
        "    p10 3/10: (dummy)",
        "    int5 5/5: (dummy-internal)",
    ] {
        assert!(show.lines().any(|l| l == line), "{line}\n{show}");
    }
    assert!(show.contains("    p2 4/2: (dummy-pmd"), "{show}");
    // A number is free again at once.
    rig.vsctl("del-port p10 -- add-port br0 q10 -- set interface q10 type=dummy");
    assert!(rig.appctl("dpif/show").contains("/10: (dummy)"));
}

#[harness::test]
fn what_a_packet_does_is_done_when_the_command_returns() {
    let rig = start();
    let (listens, connects) = socket(&rig, "cable");
    let pcap = rig.switch.path("tx.pcap");
    rig.vsctl(&format!(
        "add-port br0 p1 -- set interface p1 type=dummy \
         -- add-port br0 p2 -- set interface p2 type=dummy {listens} \
         -- add-br br1 -- set bridge br1 datapath_type=dummy \
         -- add-port br1 p3 -- set interface p3 type=dummy {connects} \
         -- add-port br1 p4 -- set interface p4 type=dummy options:tx_pcap={}",
        pcap.display()
    ));
    rig.wait("a connection", || rig.appctl("netdev-dummy/conn-state p3") == "p3: connected\n");
    assert_eq!(rig.appctl("netdev-dummy/conn-state p1"), "p1: unknown\n");
    for n in 1..=20 {
        rig.appctl(&format!("netdev-dummy/receive p1 {}", ping(n, 99)));
        let flows = rig.appctl("dpctl/dump-flows");
        let flow = format!("in_port(1),packet_type(ns=0,id=0),eth(src=50:54:00:00:00:{n:02x},");
        assert!(flows.contains(&flow), "round {n}\n{flows}");
        if tests::daemon().is_ours() {
            // Through both bridges: a header of 24 octets, then records of 16 and the frame.
            let size = std::fs::metadata(&pcap).unwrap().len();
            assert_eq!(size, 24 + u64::from(n) * (16 + 106), "round {n}");
        }
    }
    // Hexadecimal digits are a packet, too; several go in one command.
    let frame = format!("{}0800{}", "505400000001505400000002", "00".repeat(46));
    rig.appctl(&format!("netdev-dummy/receive p1 {frame} {frame}"));
    rig.appctl(&format!("netdev-dummy/receive p1 {} --len 200", ping(3, 98)));
    for (words, text) in [
        ("netdev-dummy/receive p9 00", "no such dummy netdev"),
        ("netdev-dummy/receive p1 --qid 7 00", "bad rx queue id."),
        ("netdev-dummy/receive p1 nonsense(1)", "syntax error at nonsense(1)"),
        ("netdev-dummy/receive p1 in_port(1),eth() --len 20", "too small packet len"),
        ("netdev-dummy/set-admin-state p1 sideways", "Invalid Admin State"),
        ("netdev-dummy/set-admin-state p9 up", "Unknown Dummy Interface"),
    ] {
        let said = rig.switch.appctl(words).unwrap_err().to_string();
        assert!(said.contains(text), "{words}: {said}");
    }
}

#[harness::test]
fn admin_state_is_heeded_without_the_clock() {
    let rig = start();
    rig.vsctl(
        "add-bond br0 bond0 p1 p2 bond_mode=active-backup other_config:bond-primary=p1 \
         -- set interface p1 type=dummy -- set interface p2 type=dummy",
    );
    rig.wait("the primary", || active(&rig, "p1"));
    rig.appctl("time/stop");
    for _ in 0..5 {
        assert_eq!(rig.appctl("netdev-dummy/set-admin-state p1 down").trim(), "OK");
        rig.appctl("time/warp 100");
        assert!(active(&rig, "p2"), "{}", rig.appctl("bond/show"));
        rig.appctl("netdev-dummy/set-admin-state up");
        rig.appctl("time/warp 100");
        assert!(active(&rig, "p1"), "{}", rig.appctl("bond/show"));
    }
}

fn active(rig: &Rig, member: &str) -> bool {
    rig.appctl("bond/show bond0").contains(&format!("member {member}: enabled\n  active member\n"))
}

/// Two bonds whose members are patched to each other: nobody else sends them LACPDUs, and no time
/// passes but what the test lets pass.
#[harness::test]
fn lacp_over_patch_ports_in_virtual_time() {
    let rig = start();
    rig.vsctl(
        "add-br br1 -- set bridge br1 datapath_type=dummy other_config:hwaddr=aa:66:aa:66:00:00 \
         -- add-bond br0 bond0 a0 a1 bond_mode=balance-tcp lacp=active \
         other_config:lacp-time=fast \
         -- set interface a0 type=patch options:peer=b0 \
         -- set interface a1 type=patch options:peer=b1 \
         -- add-bond br1 bond1 b0 b1 bond_mode=balance-tcp lacp=active \
         other_config:lacp-time=fast \
         -- set interface b0 type=patch options:peer=a0 \
         -- set interface b1 type=patch options:peer=a1",
    );
    rig.appctl("time/stop");
    assert_eq!(rig.appctl("time/warp 5000 100").trim(), "warped");
    let state = |member: &str| {
        let show = rig.appctl("lacp/show");
        let head = format!("member: {member}: ");
        let line = show.lines().find_map(|l| l.strip_prefix(&head)).unwrap_or_default();
        line.to_owned()
    };
    for member in ["a0", "a1", "b0", "b1"] {
        assert_eq!(state(member), "current attached", "{member}");
    }
    // a0 and b0 now lead elsewhere: three seconds without a LACPDU, and three more.
    rig.vsctl(
        "add-port br0 x0 -- set interface x0 type=patch options:peer=b0 \
         -- add-port br1 x1 -- set interface x1 type=patch options:peer=a0 \
         -- set interface b0 options:peer=x0 -- set interface a0 options:peer=x1",
    );
    rig.appctl("time/warp 4100 100");
    assert_eq!((state("a0"), state("a1")), ("expired attached".into(), "current attached".into()));
    let show = rig.appctl("bond/show bond1");
    assert!(show.contains("member b0: disabled") && show.contains("member b1: enabled"), "{show}");
    rig.appctl("time/warp 4100 100");
    assert_eq!(state("b0"), "defaulted detached");
    rig.vsctl(
        "del-port x0 -- del-port x1 \
         -- set interface a0 options:peer=b0 -- set interface b0 options:peer=a0",
    );
    rig.appctl("time/warp 30100 100");
    for member in ["a0", "a1", "b0", "b1"] {
        assert_eq!(state(member), "current attached", "{member}");
    }
}

#[harness::test]
fn statistics_follow_the_interval_in_virtual_time() {
    let rig = start();
    rig.vsctl("add-port br0 p1 -- set interface p1 type=dummy");
    rig.appctl("time/stop");
    let received = || rig.get("interface", "p1", "statistics:rx_packets");
    let packet = || rig.appctl(&format!("netdev-dummy/receive p1 {}", ping(1, 2)));
    packet();
    rig.appctl("time/warp 11000 1000");
    assert_eq!(received(), "1");
    rig.vsctl("set open_vswitch . other_config:stats-update-interval=100000");
    rig.appctl("time/warp 50000 1000");
    packet();
    rig.appctl("time/warp 20000 1000");
    assert_eq!(received(), "1", "not yet");
    rig.appctl("time/warp 100000 1000");
    assert_eq!(received(), "2");
    packet();
    rig.vsctl("clear open_vswitch . other_config");
    rig.appctl("time/warp 11000 1000");
    assert_eq!(received(), "3", "the old interval is not waited for");
}

#[harness::test]
fn a_port_that_was_taken_out_comes_back_with_the_next_change() {
    let rig = start();
    rig.vsctl(
        "add-port br0 p1 -- set interface p1 type=dummy \
         -- add-port br0 p2 -- set interface p2 type=dummy",
    );
    rig.appctl("dpctl/del-if dummy@ovs-dummy p1");
    let show = rig.appctl("dpif/show");
    assert!(!show.contains("p1 ") && show.contains("p2 "), "{show}");
    rig.vsctl("del-port p2");
    assert!(rig.appctl("dpif/show").contains("p1 "));
    let said = rig.switch.appctl("dpctl/del-if dummy@ovs-dummy p7").unwrap_err().to_string();
    assert!(said.contains("no port named p7"), "{said}");
}

#[harness::test]
fn buckets_and_a_revalidator_that_pauses() {
    let rig = start();
    rig.vsctl(
        "add-bond br0 bond0 p1 p2 bond_mode=balance-tcp lacp=active \
         other_config:lb-output-action=true other_config:lacp-fallback-ab=true \
         -- set interface p1 type=dummy -- set interface p2 type=dummy",
    );
    rig.appctl("revalidator/pause");
    rig.vsctl("add-port br0 p3 -- set interface p3 type=dummy");
    rig.appctl("revalidator/resume");
    rig.appctl("revalidator/wait");
    rig.vsctl("set port bond0 lacp=off bond_mode=balance-slb");
    assert_eq!(rig.appctl("dpif-netdev/bond-show").matches("bucket").count(), 0);
    let said = rig.switch.appctl("dpif-netdev/bond-show nowhere").unwrap_err().to_string();
    assert!(said.contains("please specify an existing datapath"), "{said}");
}

/// As Open vSwitch's master; Debian's 3.1 waits for the new interval from the change on.
#[harness::test]
fn a_shorter_rebalance_interval_is_seen_before_it_acts() {
    tests::ours_only("rebalancing that is overdue");
    let rig = start();
    rig.appctl("time/stop");
    rig.vsctl(
        "add-bond br0 bond0 p1 p2 bond_mode=balance-slb \
         other_config:bond-rebalance-interval=60000 \
         -- set interface p1 type=dummy -- set interface p2 type=dummy",
    );
    let next = |ms: i64| {
        let show = rig.appctl("bond/show bond0");
        assert!(show.contains(&format!("next rebalance: {ms} ms\n")), "{ms}\n{show}");
    };
    next(60_000);
    rig.appctl("time/warp 50000");
    next(10_000);
    rig.vsctl("set port bond0 other_config:bond-rebalance-interval=10000");
    next(-40_000);
    rig.appctl("time/warp 1");
    next(10_000);
}
