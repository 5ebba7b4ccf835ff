//! What an operator is shown.

use std::time::Duration;

use bond::OutputRule;
use datapath::Datapath;
use ofproto::QueryError;
use ofproto::show::UpcallShow;
use wire::EthAddr;

use crate::frame::{BROADCAST, udp, udp_ports};
use crate::lab::Lab;

const TWO: &str = "
br0:
  p1 = 1
  p2 = 2
  br0 = local:9
  pa = patch:pb
br1:
  p3 = 3
  pb = patch:pa
br2:
";

#[test]
fn fdb_commands_print_and_change_addresses() {
    let lab = Lab::new(TWO);
    lab.send(1, &udp(0x5054_0000_0005, BROADCAST).tag(10));
    lab.advance(Duration::from_secs(7));
    lab.send(9, &udp(0x5054_0000_0006, BROADCAST));
    lab.advance(Duration::from_secs(150));
    let now = lab.dp.now();
    lab.ofproto.fdb_add(now, "br0", "p2", 4095, EthAddr::from_u64(1)).unwrap();
    let shown = lab.ofproto.fdb_show(now, &["br0"]).unwrap();
    assert_eq!(
        shown.to_string(),
        " Port  VLAN  MAC                Age\n    \
             1    10  50:54:00:00:00:05  157\n\
         LOCAL     0  50:54:00:00:00:06  150\n    \
             2  4095  00:00:00:00:00:01  static\n"
    );
    assert_eq!(
        serde_json::to_string(&shown).unwrap(),
        r#"{"br0":[{"port":1,"vlan":10,"mac":"50:54:00:00:00:05","age":157},{"port":65534,"vlan":0,"mac":"50:54:00:00:00:06","age":150},{"port":2,"vlan":4095,"mac":"00:00:00:00:00:01","static":true}]}"#
    );
    let all = lab.ofproto.fdb_show(now, &[]).unwrap();
    assert_eq!(
        all.to_string(),
        [
            " Bridge  Port  VLAN  MAC                Age\n",
            " br0        1    10  50:54:00:00:00:05  157\n",
            "        LOCAL     0  50:54:00:00:00:06  150\n",
            "            2  4095  00:00:00:00:00:01  static\n",
            " br1      410    10  50:54:00:00:00:05  157\n",
            "          410     0  50:54:00:00:00:06  150\n",
            " br2\n",
        ]
        .concat()
    );
    assert_eq!(lab.ofproto.fdb_show(now, &["br0", "nope"]), Err(QueryError::NoSuchBridge));
    assert_eq!(QueryError::NoSuchBridge.to_string(), "no such bridge");
}

#[test]
fn fdb_statistics_are_shown_and_cleared() {
    let lab = Lab::new(TWO);
    lab.send(1, &udp(1, BROADCAST));
    lab.send(2, &udp(1, BROADCAST));
    let shown = lab.ofproto.fdb_stats("br0").unwrap();
    assert_eq!(
        shown.to_string(),
        "Statistics for bridge \"br0\":
  Current/maximum MAC entries in the table: 1/8192
  Current static MAC entries in the table : 0
  Total number of learned MAC entries     : 1
  Total number of expired MAC entries     : 0
  Total number of evicted MAC entries     : 0
  Total number of port moved MAC entries  : 1
"
    );
    assert_eq!(lab.ofproto.fdb_stats_clear(None), Ok("statistics successfully cleared"));
    assert_eq!(lab.ofproto.fdb_stats("br0").unwrap().totals.moved, 0);
    assert_eq!(lab.ofproto.fdb_flush(Some("br0")), Ok("table successfully flushed"));
    assert_eq!(lab.ofproto.fdb_flush(Some("nope")), Err(QueryError::NoSuchBridge));
}

#[test]
fn dpif_show_lists_bridges_and_ports() {
    let mut lab = Lab::new(TWO);
    lab.config.bridges[1].datapath_type = "netdev".to_owned();
    lab.apply();
    lab.send(1, &udp(1, BROADCAST));
    lab.send(1, &udp(1, BROADCAST));
    assert_eq!(lab.ofproto.list(), ["br0", "br1", "br2"]);
    let shown = lab.ofproto.dpif_show();
    let text: String = shown.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        "netdev@ovs-netdev: hit:1 missed:1
  br1:
    p3 3/3: (system)
    pb 410/none: (patch: peer=pa)
system@ovs-system: hit:1 missed:1
  br0:
    br0 65534/9: (system)
    p1 1/1: (system)
    p2 2/2: (system)
    pa 409/none: (patch: peer=pb)
  br2:
"
    );
    assert_eq!(
        serde_json::to_string(&shown[0]).unwrap(),
        r#"{"stats":{"hit":"1","missed":"1"},"bridges":{"br1":{"p3":{"ofport":"3","port_no":"3","type":"system"},"pb":{"ofport":"410","port_no":"none","type":"patch","config":{"peer":"pa"}}}}}"#
    );
}

#[test]
fn bridge_dump_flows_lists_internal_rules() {
    let mut lab = Lab::new("br0:\n p1 = 1\n b = 3+4");
    let recirc_id = lab.bond_id("b");
    lab.tcp("b", [3, 4], OutputRule::Recirc { basis: 0, recirc_id });
    lab.advance(Duration::from_millis(7999));
    for _ in 0..3 {
        lab.send(1, &udp_ports(1, 2, 3, 4));
    }
    lab.revalidate();
    let rules = lab.ofproto.dump_rules(lab.dp.now(), "br0").unwrap();
    let text = rules.to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 1 + 256 + 4);
    assert_eq!(lines[0], "duration=7s, n_packets=3, n_bytes=126, priority=0,actions=NORMAL");
    assert_eq!(rules.0[1].matches, "recirc_id=0x1,dp_hash=0/0xff");
    let row = rules.0.iter().find(|r| r.priority == 20 && r.count.packets != 0).unwrap();
    assert_eq!(row.count.packets, 3);
    let unused = rules.0.iter().position(|r| r.priority == 20 && r.count.packets == 0);
    let n = unused.unwrap();
    assert_eq!(
        lines[n].split(",recirc_id").next().unwrap(),
        "table_id=254, duration=7s, n_packets=0, n_bytes=0, priority=20"
    );
    assert!(lines[n].ends_with("/0xff,actions=output:3") || lines[n].ends_with("output:4"));
    assert_eq!(
        lines[257],
        "table_id=254, duration=7s, n_packets=0, n_bytes=0, priority=2,recirc_id=0,actions=drop"
    );
    let mut lab = Lab::new("br0: secure\n p1 = 1");
    let rules = lab.ofproto.dump_rules(lab.dp.now(), "br0").unwrap();
    assert_eq!(rules.0[0].table, 254);
    for _ in 0..2 {
        lab.send(1, &udp(1, 2));
    }
    lab.revalidate();
    let text = lab.ofproto.dump_rules(lab.dp.now(), "br0").unwrap().to_string();
    let counted: Vec<&str> = text.lines().filter(|l| l.contains("n_packets=2,")).collect();
    assert_eq!(counted.len(), 1, "{text}");
    assert!(counted[0].ends_with("priority=0,reg0=0x2,actions=drop"), "{text}");
}

#[test]
fn upcall_show_prints_the_flow_limit() {
    let mut lab = Lab::new(TWO);
    lab.send(1, &udp(1, BROADCAST));
    lab.revalidate();
    let shown =
        UpcallShow { name: "system@ovs-system".to_owned(), status: lab.revalidator.status() };
    assert_eq!(
        shown.to_string(),
        "system@ovs-system:
  flows         : (current 1) (avg 0) (max 1) (limit 200000)
  dump duration : 1ms
  ufid enabled : true

  1: (keys 1)
"
    );
}
