//! The datapath as an operator sees it: flows shown, filtered and put in by hand, ports and
//! addresses listed, and what actions make of packets.

use crate::rig::{Bridge, DummyRig, ping};

/// The flows of a dump without identities and times, in order.
fn flows(text: &str) -> Vec<String> {
    let mut all: Vec<String> = text
        .lines()
        .filter(|l| !l.starts_with("flow-dump"))
        .map(|l| match l.strip_prefix("ufid:") {
            Some(rest) => rest.split_once(' ').map_or(rest, |(_, flow)| flow).to_owned(),
            None => l.to_owned(),
        })
        .collect();
    all.sort();
    all
}

#[harness::test]
fn dumps_by_bridge_and_by_datapath() {
    let b = DummyRig::new(Bridge::Secure, 2);
    b.bridge("br1", Bridge::Secure, [3]);
    b.rig.vsctl("set Open_vSwitch . other_config:max-idle=100000");
    for n in 1..=3 {
        b.receive(n, &ping(n));
    }
    let plain = |n: u32| {
        format!(
            "recirc_id(0),in_port({n}),packet_type(ns=0,id=0),eth_type(0x0800),ipv4(frag=no), \
             packets:0, bytes:0, used:never, actions:drop"
        )
    };
    assert_eq!(flows(&b.rig.appctl("dpif/dump-flows br0")), [plain(1), plain(2)]);
    assert_eq!(flows(&b.rig.appctl("dpif/dump-flows br1")), [plain(3)]);
    let all = b.rig.appctl("dpctl/dump-flows");
    assert!(all.starts_with("flow-dump from the main thread:\n"), "{all}");
    assert_eq!(flows(&all), [plain(1), plain(2), plain(3)]);

    // All that a flow could look at, with names. A bridge's dump tells nothing of the datapath.
    let more = flows(&b.rig.appctl("dpif/dump-flows -m br1"));
    let start = "recirc_id(0),dp_hash(0/0),skb_priority(0/0),in_port(p3),skb_mark(0/0),\
                 ct_state(0/0),ct_zone(0/0),ct_mark(0/0),ct_label(0/0),packet_type(ns=0,id=0),\
                 eth(src=50:54:00:00:00:05/00:00:00:00:00:00,";
    assert!(more[0].starts_with(start), "{more:?}");
    assert!(more[0].ends_with(", used:never, actions:drop"), "{more:?}");
    let more = b.rig.appctl("dpctl/dump-flows -m --no-names");
    assert!(more.contains("in_port(3)") && more.contains(", dp:ovs, actions:drop"), "{more}");

    let filtered = |words: &str| flows(&b.rig.appctl(&format!("dpctl/dump-flows {words}")));
    assert_eq!(filtered("filter=in_port=2"), [plain(2)]);
    assert_eq!(filtered("filter=in_port(p3),ip"), [plain(3)]);
    assert_eq!(filtered("filter=in_port=2,tcp"), [""; 0]);
    assert_eq!(filtered("type=ovs").len(), 3);
    assert_eq!(filtered("type=tc,offloaded"), [""; 0]);
    assert_eq!(filtered("pmd=-1").len(), 3);
    assert!(b.fails("dpctl/dump-flows type=what").contains("Failed to parse type (what)"));
    assert!(b.fails("dpctl/dump-flows filter=what").contains("Failed to parse filter"));
    assert!(b.fails("dpctl/dump-flows nothing").contains("datapath not found"));
    assert!(b.fails("dpctl/dump-flows -x").contains("Unrecognized option -x"));
}

#[harness::test]
fn flows_by_hand() {
    let b = DummyRig::new(Bridge::Secure, 2);
    b.rig.appctl("revalidator/pause");
    let key = "in_port(1),eth(src=00:00:00:00:00:01,dst=00:00:00:00:00:02),eth_type(0x1234)";
    let shown = |actions: &str| {
        format!("recirc_id(0),{key}, packets:0, bytes:0, used:never, actions:{actions}")
    };
    let dump = || flows(&b.rig.appctl("dpctl/dump-flows"));
    b.rig.appctl(&format!("dpctl/add-flow {key} 2"));
    assert_eq!(dump(), [shown("2")]);
    assert!(b.fails(&format!("dpctl/add-flow {key} 2")).contains("(File exists)"));
    b.rig.appctl(&format!("dpctl/mod-flow {key} set(eth(dst=00:00:00:00:00:09)),trunc(60),2"));
    assert_eq!(dump(), [shown("set(eth(dst=00:00:00:00:00:09)),trunc(60),2")]);

    // One flow by its identity.
    let more = b.rig.appctl("dpctl/dump-flows -m");
    let ufid = more.lines().last().and_then(|l| l.split(',').next()).expect("a flow");
    assert_eq!(flows(&b.rig.appctl(&format!("dpctl/get-flow {ufid}"))), dump());
    let nobody = "ufid:00000000-0000-0000-0000-000000000000";
    assert!(b.fails(&format!("dpctl/get-flow {nobody}")).contains("getting flow"));
    assert!(b.fails("dpctl/get-flow what").contains("parsing flow ufid"));

    assert_eq!(b.rig.appctl(&format!("dpctl/del-flow {key}")), "");
    assert_eq!(dump(), [""; 0]);
    let gone = b.fails(&format!("dpctl/del-flow {key}"));
    assert!(gone.contains("deleting flow") && gone.contains("specify a UFID"), "{gone}");
    assert!(b.fails("dpctl/add-flow eth_type(0x0800),ipv4() 2").contains("(Invalid argument)"));
    assert!(b.fails(&format!("dpctl/add-flow {key} what")).contains("parsing actions"));
    assert!(b.fails("dpctl/add-flow what 1").contains("parsing flow key"));

    // Many from a file, each with its own verb if it wants.
    let file = b.rig.switch.path("flows.txt");
    let line = |verb: &str, n: u32, actions: &str| {
        format!("{verb}in_port(1),eth(dst=00:00:00:00:00:0{n}),eth_type(0x1234) {actions}\n")
    };
    let text = line("", 2, "2") + "# nothing\n" + &line("add ", 3, "2") + &line("add ", 4, "2");
    std::fs::write(&file, text + &line("modify ", 3, "drop") + &line("delete ", 4, "")).unwrap();
    b.rig.appctl(&format!("dpctl/add-flows {}", file.display()));
    let actions: Vec<String> =
        dump().iter().filter_map(|f| Some(f.split_once("actions:")?.1.to_owned())).collect();
    assert_eq!(actions, ["2", "drop"]);
    b.rig.appctl("dpctl/del-flows");
    assert_eq!(dump(), [""; 0]);
}

#[harness::test]
fn addresses_of_several_bridges() {
    let b = DummyRig::new(Bridge::Secure, 1);
    b.bridge("br-long-name", Bridge::Secure, [7]);
    b.rig.appctl("fdb/add br0 p1 0 50:54:00:00:00:05");
    assert_eq!(
        b.rig.appctl("fdb/show br0 br-long-name"),
        " Bridge        Port  VLAN  MAC                Age\n \
         br0              1     0  50:54:00:00:00:05  static\n \
         br-long-name\n"
    );
    assert_eq!(
        b.rig.appctl("fdb/show br0"),
        " Port  VLAN  MAC                Age\n    1     0  50:54:00:00:00:05  static\n"
    );
    assert!(b.fails("fdb/show br0 nowhere").contains("no such bridge nowhere"));
}

#[harness::test]
fn a_port_gets_another_number() {
    let b = DummyRig::new(Bridge::Standalone, 2);
    assert_eq!(b.outputs("br0 in_port=LOCAL,dl_src=10:20:30:40:50:60"), ["1", "2"]);
    b.rig.appctl("dpif-dummy/change-port-number ovs-dummy p1 5");
    assert_eq!(b.outputs("br0 in_port=LOCAL,dl_src=10:20:30:40:50:60"), ["2", "5"]);
    for (words, why) in [
        ("ovs-system p1 6", "unknown datapath or not a dummy"),
        ("ovs-dummy p9 6", "unknown port"),
        ("ovs-dummy p1 0", "bad port number"),
        ("ovs-dummy p1 2", "port number already in use"),
    ] {
        assert!(b.fails(&format!("dpif-dummy/change-port-number {words}")).contains(why), "{why}");
    }
}

#[harness::test]
fn a_datapath_of_its_own() {
    let b = DummyRig::new(Bridge::Secure, 1);
    b.rig.appctl("dpctl/add-dp dummy@spare");
    assert_eq!(b.rig.appctl("dpctl/dump-dps"), "dummy@ovs-dummy\ndummy@spare\n");
    assert!(b.fails("dpctl/add-dp dummy@spare").contains("add_dp (File exists)"));
    assert!(b.fails("dpctl/add-dp what@spare").contains("add_dp ("));
    // Now it must be said which one is meant.
    assert!(b.fails("dpctl/dump-flows").contains("multiple datapaths, specify one"));

    b.rig.appctl("dpctl/add-if dummy@spare v1,type=dummy,port_no=5");
    let show = b.rig.appctl("dpctl/show dummy@spare");
    assert!(show.ends_with("  port 0: spare (dummy-internal)\n  port 5: v1 (dummy)\n"), "{show}");
    for (words, why) in [
        ("add-if dummy@spare v1,type=dummy", "adding v1 to dummy@spare failed (File exists)"),
        ("add-if dummy@spare v2,type=system", "v2: failed to open network device"),
        ("set-if dummy@spare v1,type=system", "v1: can't change type from dummy to system"),
        ("set-if dummy@spare v1,port_no=6", "v1: can't change port number from 5 to 6"),
        ("del-if dummy@spare v2", "no port named v2"),
        ("del-if dummy@spare spare", "deleting port spare from dummy@spare failed"),
        ("del-if dummy@nowhere v1", "opening datapath ("),
    ] {
        assert!(b.fails(&format!("dpctl/{words}")).contains(why), "{words}");
    }
    b.rig.appctl("dpctl/set-if dummy@spare v1,type=dummy,port_no=5");
    b.rig.appctl("dpctl/add-flow dummy@spare in_port(5),eth(),eth_type(0x1234) 0");
    assert_eq!(
        flows(&b.rig.appctl("dpctl/dump-flows dummy@spare")),
        [
            "recirc_id(0),in_port(5),eth(),eth_type(0x1234), packets:0, bytes:0, used:never, actions:0"
        ]
    );
    assert_eq!(b.rig.appctl("dpctl/dump-flows dummy@ovs-dummy"), "");
    b.rig.appctl("dpctl/del-flows dummy@spare");
    assert_eq!(b.rig.appctl("dpctl/dump-flows dummy@spare"), "");
    b.rig.appctl("dpctl/del-if dummy@spare v1");
    b.rig.appctl("dpctl/del-dp dummy@spare");
    assert!(b.fails("dpctl/del-dp dummy@spare").contains("opening datapath ("));
    assert_eq!(b.rig.appctl("dpctl/dump-dps"), "dummy@ovs-dummy\n");
}

/// The octets of a packet that a bench's port has sent, read from its capture file.
fn captured(pcap: &[u8]) -> Vec<Vec<u8>> {
    // A file header of 24 octets; then records with a header of 16, the third word the length.
    let mut at = 24;
    let mut out = Vec::new();
    while let Some(len) = pcap.get(at + 8..at + 12) {
        let len = u32::from_ne_bytes([len[0], len[1], len[2], len[3]]) as usize;
        let Some(packet) = pcap.get(at + 16..at + 16 + len) else { break };
        out.push(packet.to_vec());
        at += 16 + len;
    }
    out
}

/// What a flow does to headers is done to the packet, its checksums included, for the packet
/// that makes the flow as for those that come after it.
#[harness::test]
fn headers_change_on_the_way() {
    let b = DummyRig::new(Bridge::Secure, 1);
    let file = b.rig.switch.path("p2.pcap");
    b.rig.vsctl(&format!(
        "add-port br0 p2 -- set interface p2 type=dummy ofport_request=2 options:tx_pcap={}",
        file.display()
    ));
    b.flows(
        "br0",
        &["in_port=1,actions=mod_dl_dst:02:00:00:00:00:09,mod_nw_dst:10.9.8.7,mod_tp_dst:99,\
           dec_ttl,2,output(port=2,max_len=20)"],
    );
    let udp = "in_port(1),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),\
               ipv4(src=192.168.0.1,dst=192.168.0.2,proto=17,tos=0,ttl=64,frag=no),\
               udp(src=1,dst=2)";
    for _ in 0..2 {
        b.receive(1, udp);
    }
    let sent = || captured(&std::fs::read(&file).unwrap_or_default());
    b.rig.wait("four packets", || sent().len() == 4);
    let sum = |octets: &[u8]| {
        let words =
            octets.chunks(2).map(|w| u32::from(w[0]) << 8 | w.get(1).map_or(0, |o| u32::from(*o)));
        let sum: u32 = words.sum();
        (sum & 0xffff) + (sum >> 16)
    };
    for pair in sent().chunks(2) {
        let whole = &pair[0];
        assert_eq!(whole[..6], [2, 0, 0, 0, 0, 9]);
        assert_eq!(
            (whole[22], &whole[30..34], &whole[36..38]),
            (63, &[10, 9, 8, 7][..], &[0, 99][..])
        );
        assert_eq!(sum(&whole[14..34]), 0xffff, "IPv4 header");
        assert_eq!(pair[1], whole[..20]);
    }
    let shown = flows(&b.rig.appctl("dpctl/dump-flows"));
    assert!(
        shown[0].ends_with(
            "actions:set(eth(dst=02:00:00:00:00:09)),set(ipv4(dst=10.9.8.7,ttl=63)),\
             set(udp(dst=99)),2,trunc(20),2"
        ),
        "{shown:?}"
    );
}
