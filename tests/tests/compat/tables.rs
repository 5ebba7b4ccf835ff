//! Flow tables: which bits of a packet decide, what counters do when flows change, and what
//! happens when a table is full.

use testbed::process;

use crate::rig::{Bridge, DummyRig, tcp};

/// The megaflow that `ofproto/trace` tells of.
fn megaflow(b: &DummyRig, flow: &str) -> String {
    let said = b.trace(&format!("br0 {flow}"));
    let line = said.lines().find_map(|l| l.strip_prefix("Megaflow: "));
    line.unwrap_or_else(|| panic!("no megaflow in\n{said}")).to_owned()
}

/// Flows and their counters as `dump-flows` has them, without the cookie and parts of seconds.
fn dump(b: &DummyRig, args: &[&str]) -> Vec<String> {
    let words: Vec<&str> = ["dump-flows", "br0"].iter().chain(args).copied().collect();
    let text = b.ofctl(&words);
    let flow = |l: &str| {
        let rest = l.trim().strip_prefix("cookie=0x0, duration=")?.to_owned();
        let (seconds, rest) = rest.split_once("s, ")?;
        let seconds = seconds.split('.').next()?;
        Some(format!("{seconds} {}", rest.strip_prefix("table=0, ").unwrap_or(rest)))
    };
    text.lines().filter_map(flow).collect()
}

/// The flows alone.
fn bare(b: &DummyRig) -> Vec<String> {
    let text = b.ofctl(&["--no-stats", "dump-flows", "br0"]);
    let mut flows: Vec<String> = text.lines().map(|l| l.trim().to_owned()).collect();
    flows.sort();
    flows
}

/// A flow that cannot be added, and the error's name.
fn refused(b: &DummyRig, args: &[&str], error: &str) {
    let mut c = b.rig.switch.command("ovs-ofctl");
    c.args(args);
    let said = process::output(&mut c, tests::rig::SOON).expect_err("it was accepted");
    assert!(said.to_string().contains(error), "{said}");
}

/// Only as many layers of a packet are looked at as it takes to say that a flow does not match.
#[harness::test]
fn a_megaflow_is_as_narrow_as_the_lookup() {
    let b = DummyRig::new(Bridge::Secure, 3);
    b.flows(
        "br0",
        &[
            "in_port=1,dl_src=50:54:00:00:00:09,actions=output:2",
            "in_port=2,icmp,nw_src=192.168.7.0/24,actions=output:1",
            "in_port=3,udp,tp_dst=53,actions=output:1",
        ],
    );
    let eth = "dl_src=50:54:00:00:00:05,dl_dst=50:54:00:00:00:07";
    let packet = |port: &str, rest: &str| megaflow(&b, &format!("in_port={port},{eth},{rest}"));
    // The port alone rules out all but the first flow, which the Ethernet address rules out.
    assert_eq!(
        packet("1", "tcp,nw_src=192.168.7.1,tcp_dst=53"),
        "recirc_id=0,eth,ip,in_port=1,dl_src=50:54:00:00:00:05,nw_frag=no"
    );
    // Of the address as many bits as differ, and then nothing of the protocol.
    assert_eq!(
        packet("2", "icmp,nw_src=10.0.0.1"),
        "recirc_id=0,eth,ip,in_port=2,nw_src=0.0.0.0/1,nw_frag=no"
    );
    assert_eq!(
        packet("2", "icmp,nw_src=192.168.6.1"),
        "recirc_id=0,eth,ip,in_port=2,nw_src=192.168.6.0/24,nw_frag=no"
    );
    assert_eq!(
        packet("2", "icmp,nw_src=192.168.7.9"),
        "recirc_id=0,eth,icmp,in_port=2,nw_src=192.168.7.0/24,nw_frag=no"
    );
    // And of the transport port: 53 and 80 part in the tenth bit.
    assert_eq!(
        packet("3", "udp,nw_src=10.0.0.1,udp_dst=80"),
        "recirc_id=0,eth,udp,in_port=3,nw_frag=no,tp_dst=0x40/0xffc0"
    );
    // A port that no flow has: nothing else is looked at.
    assert_eq!(
        packet("LOCAL", "udp,nw_src=192.168.7.1,udp_dst=53"),
        "recirc_id=0,eth,ip,in_port=LOCAL,nw_frag=no"
    );
    // IPv6 addresses by their prefixes, too: master does so, 3.1 only when asked to.
    b.ofctl(&["del-flows", "br0"]);
    b.flows("br0", &["ipv6,ipv6_src=2001:db8:3c4d:1::/64,actions=output:2"]);
    assert_eq!(
        packet("1", "tcp6,ipv6_src=2001:db8:ffff::1,ipv6_dst=::2"),
        "recirc_id=0,eth,ipv6,in_port=1,ipv6_src=2001:db8:8000::/33,nw_frag=no"
    );
}

/// Without tries every bit of an address counts that some flow looks at.
#[harness::test]
fn prefixes_can_be_turned_off() {
    let b = DummyRig::new(Bridge::Secure, 2);
    b.flows(
        "br0",
        &["priority=2,ip,nw_dst=10.1.3.16,actions=2", "priority=1,ip,nw_dst=10.1.0.0/16,actions=1"],
    );
    let flow = "in_port=1,tcp,nw_src=192.168.0.1,nw_dst=10.1.6.16";
    assert_eq!(megaflow(&b, flow), "recirc_id=0,eth,ip,in_port=1,nw_dst=10.1.4.0/22,nw_frag=no");
    b.rig.vsctl("--id=@t create Flow_Table prefixes=none -- set bridge br0 flow_tables:0=@t");
    let exact = "recirc_id=0,eth,ip,in_port=1,nw_dst=10.1.6.16,nw_frag=no";
    b.rig.wait("the tries to go", || megaflow(&b, flow) == exact);
    b.rig.vsctl("clear bridge br0 flow_tables");
    b.rig.wait("the tries to come back", || megaflow(&b, flow) != exact);
}

#[harness::test]
fn parts_of_a_conjunction_come_together() {
    let b = DummyRig::new(Bridge::Secure, 3);
    b.flows(
        "br0",
        &[
            "conj_id=7,actions=output:3",
            "priority=100,ip,nw_src=10.0.0.1,actions=conjunction(7,1/2)",
            "priority=100,ip,nw_src=10.0.0.2,actions=conjunction(7,1/2)",
            "priority=100,tcp,tp_dst=80,actions=conjunction(7,2/2)",
            "priority=1,ip,actions=output:2",
        ],
    );
    let actions = |src: &str, port: u32| {
        b.actions(&format!("br0 in_port=1,tcp,nw_src={src},nw_dst=10.0.0.9,tp_dst={port}"))
    };
    assert_eq!(actions("10.0.0.1", 80), "3");
    assert_eq!(actions("10.0.0.2", 80), "3");
    assert_eq!(actions("10.0.0.2", 81), "2");
    assert_eq!(actions("10.0.0.3", 80), "2");
}

/// Before OpenFlow 1.2 an addition starts the counters anew, from 1.2 on only one that says so;
/// a modification keeps time and counters; the age of the last packet always stays.
#[harness::test]
fn counters_when_flows_change() {
    let b = DummyRig::new(Bridge::Standalone, 1);
    b.rig.appctl("time/stop");
    let flow = "tcp,actions=NORMAL";
    b.ofctl(&["add-flow", "br0", flow]);
    let packet = || b.receive(1, &tcp(1, 80));
    let later = || {
        b.rig.appctl("time/warp 1000");
        b.rig.appctl("revalidator/purge");
    };
    let shown = || dump(&b, &["tcp"]);
    packet();
    later();
    let packets = |n: u32| format!("n_packets={n}, n_bytes={}", n * 118);
    assert_eq!(shown(), [format!("1 {}, idle_age=1, tcp actions=NORMAL", packets(1))]);
    let change = |version: &str, command: &str, flow: &str| {
        b.ofctl(&["-O", version, command, "br0", flow]);
        later();
    };
    change("OpenFlow10", "add-flow", flow);
    assert_eq!(shown(), [format!("1 {}, idle_age=2, tcp actions=NORMAL", packets(0))]);
    packet();
    later();
    change("OpenFlow10", "mod-flows", flow);
    let modified = format!("3 {}, idle_age=2, hard_age=1, tcp actions=NORMAL", packets(1));
    assert_eq!(shown(), [modified]);
    change("OpenFlow13", "add-flow", flow);
    assert_eq!(shown(), [format!("1 {}, idle_age=3, tcp actions=NORMAL", packets(1))]);
    change("OpenFlow13", "add-flow", "reset_counts,tcp,actions=NORMAL");
    assert_eq!(shown(), [format!("1 {}, idle_age=4, tcp actions=NORMAL", packets(0))]);
    // The flag stays with the flow; 1.0 cannot say so.
    let text = b.ofctl(&["-O", "OpenFlow13", "--no-stats", "dump-flows", "br0", "tcp"]);
    assert_eq!(text.trim(), "reset_counts tcp actions=NORMAL");
}

/// What replaces a flow needs no room; one more does, and gets it by the policy.
#[harness::test]
fn a_full_table_refuses_or_evicts() {
    let b = DummyRig::new(Bridge::Secure, 1);
    b.rig.vsctl("--id=@t create Flow_Table flow-limit=3 -- set bridge br0 flow_tables:0=@t");
    let limited = || b.ofctl(&["dump-tables", "br0"]).contains("max_entries=3\n");
    b.rig.wait("the limit", limited);
    let flow = |n: u32, more: &str| format!("in_port={n}{more},actions=drop");
    for (n, timeout) in [(1, ""), (2, ",idle_timeout=90"), (3, ",hard_timeout=60")] {
        b.ofctl(&["add-flow", "br0", &flow(n, timeout)]);
    }
    refused(&b, &["add-flow", "br0", &flow(4, "")], "OFPFMFC_TABLE_FULL");
    b.ofctl(&["add-flow", "br0", &flow(1, "")]);
    b.rig.vsctl("set Flow_Table . overflow_policy=evict");
    let evicts = || {
        let mut c = b.rig.switch.command("ovs-ofctl");
        c.args(["add-flow", "br0", &flow(4, ",idle_timeout=300")]);
        process::output(&mut c, tests::rig::SOON).is_ok()
    };
    b.rig.wait("the policy", evicts);
    // The one that would have gone first by itself.
    let (one, two, four) = (
        "in_port=1 actions=drop",
        "idle_timeout=90, in_port=2 actions=drop",
        "idle_timeout=300, in_port=4 actions=drop",
    );
    assert_eq!(bare(&b), [four, two, one]);
    b.ofctl(&["add-flow", "br0", &flow(5, "")]);
    b.ofctl(&["add-flow", "br0", &flow(6, "")]);
    // Those without time-out never have to go.
    refused(&b, &["add-flow", "br0", &flow(7, "")], "OFPFMFC_TABLE_FULL");
    assert_eq!(bare(&b), [one, "in_port=5 actions=drop", "in_port=6 actions=drop"]);
}

#[harness::test]
fn overlaps_and_tables_that_cannot_be() {
    let b = DummyRig::new(Bridge::Secure, 1);
    b.flows("br0", &["priority=5,in_port=1,actions=drop"]);
    let add = |flow: &str| ["-O", "OpenFlow13", "add-flow", "br0", flow].map(str::to_owned);
    let refused = |flow: &str, error: &str| {
        let args = add(flow);
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        refused(&b, &args, error);
    };
    refused("check_overlap,priority=5,ip,actions=drop", "OFPFMFC_OVERLAP");
    b.ofctl(&["add-flow", "br0", "check_overlap,priority=6,ip,actions=drop"]);
    b.ofctl(&["add-flow", "br0", "check_overlap,priority=5,in_port=2,actions=drop"]);
    refused("table=254,actions=drop", "OFPBRC_EPERM");
    refused("actions=group:1", "OFPBAC_BAD_OUT_GROUP");
    assert_eq!(bare(&b).len(), 3);
}

/// Lookups of each table count the packets that came to it, matches those that met a flow.
#[harness::test]
fn tables_count_packets() {
    let b = DummyRig::new(Bridge::Secure, 2);
    b.flows(
        "br0",
        &["in_port=1,actions=resubmit(,1),output:2", "table=1,tcp,tp_dst=80,actions=output:2"],
    );
    for port in [80, 80, 443] {
        b.receive(1, &tcp(1, port));
    }
    b.receive(2, &tcp(2, 80));
    let counted = || {
        b.rig.appctl("revalidator/wait");
        let text = b.ofctl(&["dump-tables", "br0"]);
        let of = |s: &str| text.contains(s);
        of("table 0:\n    active=1, lookup=4, matched=3")
            && of("table 1:\n    active=1, lookup=3, matched=2")
    };
    b.rig.wait("the counters", counted);
    let counts: Vec<String> = dump(&b, &["tcp,table=1"]);
    assert!(counts[0].contains("n_packets=2, n_bytes=236"), "{counts:?}");
}
