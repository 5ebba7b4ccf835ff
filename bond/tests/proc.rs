//! `bond/proc`: the text of `/proc/net/bonding/NAME`, and what programs that read that file make of
//! it.

mod common;

use std::collections::BTreeMap;

use bond::proc::{ProcProbes, ProcStatus};
use bond::{BondConfig, Event, LacpTime, MemberId, Mode, Speed};
use common::{Rig, config, lacp, ms, partner_pdu, receive_pdu, tcp};

fn proc(rig: &Rig) -> ProcStatus {
    ProcStatus::new(&rig.status(), rig.bond.lacp_status().as_ref(), 0)
}

fn text(rig: &Rig) -> String {
    proc(rig).render("0.1.0-braid")
}

fn speeds(rig: &mut Rig, mbps: u64) {
    for n in [1, 2] {
        let speed = Some(Speed { mbps, full_duplex: true });
        rig.handle(Event::LinkParams { member: MemberId(n), speed });
    }
}

#[test]
fn active_backup_matches_linux() {
    let mut rig = Rig::up(BondConfig {
        primary: Some("p1".to_owned()),
        updelay: ms(200),
        downdelay: ms(100),
        ..config(Mode::ActiveBackup, 2)
    });
    speeds(&mut rig, 10_000);
    rig.carrier(1, false);
    rig.wait(1000);
    assert_eq!(
        text(&rig),
        "\
Ethernet Channel Bonding Driver: v0.1.0-braid

Bonding Mode: fault-tolerance (active-backup)
Primary Slave: p1 (primary_reselect always)
Currently Active Slave: p2
MII Status: up
MII Polling Interval (ms): 0
Up Delay (ms): 200
Down Delay (ms): 100
Peer Notification Delay (ms): 0

Slave Interface: p1
MII Status: down
Speed: Unknown
Duplex: Unknown
Link Failure Count: 1
Permanent HW addr: 02:00:00:00:00:01
Slave queue ID: 0

Slave Interface: p2
MII Status: up
Speed: 10000 Mbps
Duplex: full
Link Failure Count: 0
Permanent HW addr: 02:00:00:00:00:02
Slave queue ID: 0
"
    );
    rig.carrier(2, false);
    assert!(text(&rig).contains("Slave Interface: p2\nMII Status: going down\n"));
    rig.wait(50);
    rig.carrier(2, true);
    assert!(text(&rig).contains("Link Failure Count: 0\nPermanent HW addr: 02:00:00:00:00:02\n"));
    rig.carrier(1, true);
    assert!(text(&rig).contains("Slave Interface: p1\nMII Status: going back\n"));
    rig.carrier(2, false);
    rig.carrier(1, false);
    rig.wait(1000);
    let none = text(&rig);
    assert!(none.contains("Currently Active Slave: None\nMII Status: down\n"), "{none}");
    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    assert!(text(&rig).contains("Primary Slave: None\nCurrently Active Slave: p1\n"));
    rig.configure(BondConfig {
        primary: Some("other".to_owned()),
        ..config(Mode::ActiveBackup, 2)
    });
    assert!(text(&rig).contains("Primary Slave: None\n"), "no member");
}

/// A negotiated bond of two members with LACP.
fn negotiated() -> Rig {
    let mut rig = Rig::up(tcp(LacpTime::Fast));
    speeds(&mut rig, 1000);
    for n in [1, 2] {
        receive_pdu(&mut rig, u32::from(n), &partner_pdu("02:aa:00:00:00:01", 5, n));
    }
    rig
}

#[test]
fn lacp_matches_linux() {
    assert_eq!(
        text(&negotiated()),
        "\
Ethernet Channel Bonding Driver: v0.1.0-braid

Bonding Mode: IEEE 802.3ad Dynamic link aggregation
Transmit Hash Policy: layer3+4 (1)
MII Status: up
MII Polling Interval (ms): 0
Up Delay (ms): 0
Down Delay (ms): 0
Peer Notification Delay (ms): 0

802.3ad info
LACP active: on
LACP rate: fast
Min links: 0
Aggregator selection policy (ad_select): stable
System priority: 65534
System MAC address: aa:55:aa:55:00:00
Active Aggregator Info:
\tAggregator ID: 1
\tNumber of ports: 2
\tActor Key: 1
\tPartner Key: 5
\tPartner Mac Address: 02:aa:00:00:00:01

Slave Interface: p1
MII Status: up
Speed: 1000 Mbps
Duplex: full
Link Failure Count: 0
Permanent HW addr: 02:00:00:00:00:01
Slave queue ID: 0
Aggregator ID: 1
Actor Churn State: none
Partner Churn State: none
Actor Churned Count: 0
Partner Churned Count: 0
details actor lacp pdu:
    system priority: 65534
    system mac address: aa:55:aa:55:00:00
    port key: 1
    port priority: 65535
    port number: 1
    port state: 63
details partner lacp pdu:
    system priority: 100
    system mac address: 02:aa:00:00:00:01
    oper key: 5
    port priority: 1
    port number: 1
    port state: 63

Slave Interface: p2
MII Status: up
Speed: 1000 Mbps
Duplex: full
Link Failure Count: 0
Permanent HW addr: 02:00:00:00:00:02
Slave queue ID: 0
Aggregator ID: 1
Actor Churn State: none
Partner Churn State: none
Actor Churned Count: 0
Partner Churned Count: 0
details actor lacp pdu:
    system priority: 65534
    system mac address: aa:55:aa:55:00:00
    port key: 1
    port priority: 65535
    port number: 2
    port state: 63
details partner lacp pdu:
    system priority: 100
    system mac address: 02:aa:00:00:00:01
    oper key: 5
    port priority: 1
    port number: 2
    port state: 63
"
    );
}

#[test]
fn lacp_without_partner_matches_linux() {
    let mut rig = Rig::up(BondConfig {
        lacp: Some(lacp(false, LacpTime::Slow)),
        ..config(Mode::BalanceSlb, 2)
    });
    rig.wait(10_000);
    let shown = text(&rig);
    assert!(shown.contains("Bonding Mode: IEEE 802.3ad Dynamic link aggregation\n"), "{shown}");
    assert!(shown.contains("Transmit Hash Policy: vlan+srcmac (5)\nMII Status: down\n"), "{shown}");
    assert!(shown.contains("LACP active: off\nLACP rate: slow\n"), "{shown}");
    assert!(
        shown.contains("bond bond0 has no active aggregator\n\nSlave Interface: p1\n"),
        "{shown}"
    );
    assert!(shown.contains("MII Status: up\nSpeed: Unknown\n"), "the link is, LACP apart: {shown}");
    assert!(shown.contains("\nAggregator ID: 1\n") && shown.contains("\nAggregator ID: 2\n"));
    assert!(shown.contains("Actor Churn State: monitoring\n"), "{shown}");
    rig.wait(60_000);
    assert!(text(&rig).contains("Partner Churn State: churned\nActor Churned Count: 1\n"));
}

#[test]
fn modes_and_policies_have_linuxs_names() {
    for (mode, lines) in [
        (Mode::BalanceRr, "load balancing (round-robin)\nMII"),
        (Mode::BalanceXor, "load balancing (xor)\nTransmit Hash Policy: layer2 (0)\nMII"),
        (Mode::BalanceSlb, "load balancing (xor)\nTransmit Hash Policy: vlan+srcmac (5)\nMII"),
        (Mode::Broadcast, "fault-tolerance (broadcast)\nMII"),
        (Mode::ActiveBackup, "fault-tolerance (active-backup)\nPrimary Slave: None\nCurrently"),
    ] {
        let shown = text(&Rig::up(config(mode, 2)));
        assert!(shown.contains(&format!("Bonding Mode: {lines}")), "{mode:?}: {shown}");
        assert!(!shown.contains("802.3ad"), "{mode:?}");
    }
    let two_to_go = Rig::new(BondConfig { min_links: 2, ..tcp(LacpTime::Fast) });
    assert!(text(&two_to_go).contains("Min links: 2\n"));
}

#[test]
fn probes_are_shown_as_linux_shows_them() {
    let mut shown = proc(&Rig::up(config(Mode::ActiveBackup, 2)));
    shown.fail_over_mac = Some("active");
    shown.probes = Some(ProcProbes {
        interval_ms: 1000,
        missed_max: 2,
        arp_targets: vec!["192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap()],
        ns_targets: Vec::new(),
    });
    let shown = shown.render("1");
    assert!(shown.contains("(active-backup) (fail_over_mac active)\n"), "{shown}");
    assert!(
        shown.contains(
            "Peer Notification Delay (ms): 0\n\
             ARP Polling Interval (ms): 1000\n\
             ARP Missed Max: 2\n\
             ARP IP target/s (n.n.n.n form): 192.0.2.1, 192.0.2.2\n\
             NS IPv6 target/s (xx::xx form):\n\
             \nSlave Interface"
        ),
        "{shown}"
    );
}

#[test]
fn status_is_json_too() {
    let json = serde_json::to_value(proc(&negotiated())).unwrap();
    assert_eq!(json["mode"], "802.3ad");
    assert_eq!(json["ad"]["aggregator"]["ports"], 2);
    assert_eq!(json["members"][1]["ad"]["partner_churn"], "none");
}

/// As Checkmk's `lnx_bonding` reads the file: fields split at colons and stripped, a block for the
/// bond, one for "802.3ad info", one from each "Slave Interface".
fn checkmk(text: &str) -> (Block, Vec<Block>, Block) {
    let (mut main, mut interfaces, mut ad) = (Block::new(), Vec::new(), Block::new());
    enum At {
        Main,
        Ad,
        Interface,
    }
    let mut at = At::Main;
    for line in text.lines().filter(|l| !l.is_empty()) {
        let mut fields = line.split(':').map(str::trim);
        let key = fields.next().unwrap().to_owned();
        let value = fields.collect::<Vec<_>>().join(":");
        if key == "Slave Interface" {
            interfaces.push(Block::new());
            at = At::Interface;
        } else if key == "802.3ad info" {
            at = At::Ad;
        }
        match at {
            At::Main => main.insert(key, value),
            At::Ad => ad.insert(key, value),
            At::Interface => interfaces.last_mut().unwrap().insert(key, value),
        };
    }
    (main, interfaces, ad)
}

type Block = BTreeMap<String, String>;

#[test]
fn checkmk_reads_it() {
    let (main, interfaces, ad) = checkmk(&text(&negotiated()));
    assert_eq!(main["MII Status"], "up");
    assert_eq!(main["Bonding Mode"].split('(').next().unwrap().trim(), main["Bonding Mode"]);
    assert_eq!(ad["Aggregator ID"], "1");
    for (i, name) in interfaces.iter().zip(["p1", "p2"]) {
        assert_eq!((&*i["Slave Interface"], &*i["MII Status"]), (name, "up"));
        assert_eq!(i["Aggregator ID"], ad["Aggregator ID"], "else it says: wrong aggregator");
        assert_eq!(i["Link Failure Count"].parse(), Ok(0));
        assert!(i["Permanent HW addr"].starts_with("02:00:00:00:00:0"));
    }
    let (main, interfaces, ad) = checkmk(&text(&Rig::up(config(Mode::ActiveBackup, 2))));
    assert_eq!(main["Currently Active Slave"], "p1");
    assert_eq!(main["Primary Slave"].split_whitespace().next(), Some("None"));
    assert_eq!((interfaces.len(), ad.len()), (2, 0));
}

/// Name, status, failures, churned counts.
type Slave = (String, bool, u32, Option<u32>);

/// As Telegraf's input `bond` reads it: interface, status, failures, churned counts.
fn telegraf(text: &str) -> (bool, Vec<Slave>) {
    let (bond, slaves) = text.trim().split_at(text.find("Slave Interface:").unwrap());
    let pairs = |part: &str| -> Vec<(String, String)> {
        let fields =
            |l: &str| -> Vec<String> { l.split(':').map(|f| f.trim().to_owned()).collect() };
        let lines = part.lines().map(fields).filter(|f| f.len() > 1);
        lines.map(|f| (f[0].clone(), f[1].clone())).collect()
    };
    let bond = pairs(bond);
    let up = bond.iter().find(|p| p.0.contains("MII Status")).expect("a status").1 == "up";
    let scan_past = bond[1].1 == "IEEE 802.3ad Dynamic link aggregation";
    let (mut all, mut name, mut status) = (Vec::new(), String::new(), false);
    let (mut failures, mut churned) = (0, 0);
    for (key, value) in pairs(slaves) {
        match key.as_str() {
            "Slave Interface" => (name, status) = (value, false),
            "MII Status" => status = value == "up",
            "Link Failure Count" => {
                failures = value.parse().unwrap();
                if !scan_past {
                    all.push((name.clone(), status, failures, None));
                }
            }
            "Actor Churned Count" => churned = value.parse().unwrap(),
            "Partner Churned Count" => {
                let total = churned + value.parse::<u32>().unwrap();
                all.push((name.clone(), status, failures, Some(total)));
            }
            _ => {}
        }
    }
    (up, all)
}

#[test]
fn telegraf_reads_it() {
    let member = |n: &str, up, failures, churned| (n.to_owned(), up, failures, churned);
    let (up, members) = telegraf(&text(&negotiated()));
    assert!(up);
    assert_eq!(members, [member("p1", true, 0, Some(0)), member("p2", true, 0, Some(0))]);
    let mut rig = Rig::up(config(Mode::BalanceSlb, 2));
    for _ in 0..3 {
        rig.carrier(1, true);
        rig.carrier(1, false);
    }
    let (up, members) = telegraf(&text(&rig));
    assert!(up);
    assert_eq!(members, [member("p1", false, 3, None), member("p2", true, 0, None)]);
}

/// As Facter, Ohai and Vyatta find a member's own address: the line after its "Slave Interface".
#[test]
fn facter_finds_permanent_addresses() {
    let shown = text(&negotiated());
    let address = |of: &str| {
        let mut found = false;
        shown.lines().find_map(|l| {
            if l.trim() == format!("Slave Interface: {of}") {
                found = true;
            } else if l.contains("Slave Interface") {
                found = false;
            }
            l.strip_prefix("Permanent HW addr: ").filter(|_| found).map(str::to_owned)
        })
    };
    assert_eq!(address("p1").as_deref(), Some("02:00:00:00:00:01"));
    assert_eq!(address("p2").as_deref(), Some("02:00:00:00:00:02"));
}

/// As Nagios's check_linux_bonding and its like: anchored lines, the first "MII Status" is the
/// bond's.
#[test]
fn nagios_reads_it() {
    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    rig.carrier(2, false);
    let shown = text(&rig);
    let after = |prefix: &str| -> Vec<&str> {
        shown.lines().filter_map(|l| l.strip_prefix(prefix)).collect()
    };
    assert_eq!(after("Bonding Mode: "), ["fault-tolerance (active-backup)"]);
    assert_eq!(after("Currently Active Slave: "), ["p1"]);
    assert_eq!(after("Slave Interface: "), ["p1", "p2"]);
    assert_eq!(after("MII Status: "), ["up", "up", "down"]);
    assert_eq!(after("Link Failure Count: "), ["0", "1"]);
    assert!(shown.starts_with("Ethernet Channel Bonding Driver: v"));
}
