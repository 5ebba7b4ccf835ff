//! The exact text of `bond/show` and `bond/list`.

mod common;

use bond::{BUCKETS, BondConfig, BondStatus, Event, LacpTime, Mode, PrimaryReselect, Speed};
use common::{Rig, config, lacp, ms};

#[test]
fn show_active_backup_matches_ovs() {
    let mut rig = Rig::up(BondConfig {
        updelay: ms(1000),
        downdelay: ms(2000),
        hash_basis: 3,
        primary: Some("p7".to_owned()),
        ..config(Mode::ActiveBackup, 2)
    });
    rig.carrier(1, false);
    rig.wait(500);
    assert_eq!(
        rig.status().render_show(),
        "\
---- bond0 ----
bond_mode: active-backup
bond may use recirculation: no, Recirc-ID : -1
bond-hash-basis: 3
lb_output action: disabled, bond-id: -1
updelay: 1000 ms
downdelay: 2000 ms
lacp_status: off
lacp_fallback_ab: false
active-backup primary: p7 (no such member)
active member mac: 02:00:00:00:00:01(p1)

member p1: enabled
  active member
  downdelay expires in 1500 ms
  may_enable: false

member p2: enabled
  may_enable: true

"
    );
    rig.wait(1500);
    rig.carrier(1, true);
    rig.wait(1);
    let show = rig.status().render_show();
    assert!(
        show.contains("\nmember p1: disabled\n  updelay expires in 999 ms\n  may_enable: true\n")
    );
    assert!(show.contains("active member mac: 02:00:00:00:00:02(p2)\n"));
    assert_eq!(rig.status().render_list(), "bond0\tactive-backup\t0\tp1, p2\n");
    assert_eq!(BondStatus::LIST_HEADER, "bond\ttype\trecircID\tmembers\n");
}

#[test]
fn show_balance_slb_matches_ovs() {
    let mut rig = Rig::up(BondConfig {
        all_members_active: true,
        primary: Some("p1".to_owned()),
        ..config(Mode::BalanceSlb, 2)
    });
    rig.wait(1234);
    let mut bytes = Box::new([0; BUCKETS]);
    (bytes[0], bytes[1], bytes[2], bytes[201]) = (4096, 1023, 2047, 1 << 20);
    rig.handle(Event::Load { bytes });
    assert_eq!(
        rig.status().render_show(),
        "\
---- bond0 ----
bond_mode: balance-slb
bond may use recirculation: no, Recirc-ID : -1
bond-hash-basis: 0
lb_output action: disabled, bond-id: -1
all members active: true
updelay: 0 ms
downdelay: 0 ms
next rebalance: 8766 ms
lacp_status: off
lacp_fallback_ab: false
active-backup primary: <none>
active member mac: 02:00:00:00:00:01(p1)

member p1: enabled
  active member
  may_enable: true
  hash 201: 1024 kB load

member p2: enabled
  may_enable: true
  hash 0: 4 kB load
  hash 2: 1 kB load

"
    );
    assert_eq!(rig.status().render_list(), "bond0\tbalance-slb\t7\tp1, p2\n");
}

#[test]
fn show_balance_tcp_without_partner_matches_ovs() {
    let mut rig = Rig::up(BondConfig {
        lacp: Some(lacp(true, LacpTime::Fast)),
        lb_output: true,
        ..config(Mode::BalanceTcp, 2)
    });
    rig.wait(10_000);
    assert_eq!(
        rig.status().render_show(),
        "\
---- bond0 ----
bond_mode: balance-tcp
bond may use recirculation: yes, Recirc-ID : 7
bond-hash-basis: 0
lb_output action: enabled, bond-id: 7
updelay: 0 ms
downdelay: 0 ms
next rebalance: 10000 ms
lacp_status: configured
lacp_fallback_ab: false
active-backup primary: <none>
active member mac: 00:00:00:00:00:00(none)

member p1: disabled
  may_enable: false

member p2: disabled
  may_enable: false

"
    );
}

#[test]
fn show_balance_tcp_in_fallback_matches_ovs() {
    let mut rig = Rig::up(BondConfig {
        lacp: Some(lacp(true, LacpTime::Fast)),
        lacp_fallback_ab: true,
        primary: Some("p2".to_owned()),
        lb_output: true,
        ..config(Mode::BalanceTcp, 2)
    });
    rig.wait(10_000);
    assert_eq!(
        rig.status().render_show(),
        "\
---- bond0 ----
bond_mode: balance-tcp
bond may use recirculation: no, Recirc-ID : -1
bond-hash-basis: 0
lb_output action: disabled, bond-id: -1
updelay: 0 ms
downdelay: 0 ms
lacp_status: configured
lacp_fallback_ab: true
active-backup primary: p2
active member mac: 02:00:00:00:00:02(p2)

member p1: enabled
  may_enable: true

member p2: enabled
  active member
  may_enable: true

"
    );
}

#[test]
fn show_added_options_print_only_when_set() {
    let mut members = config(Mode::ActiveBackup, 2).members;
    members[0].priority = 9;
    let mut rig = Rig::up(BondConfig {
        primary: Some("p1".to_owned()),
        primary_reselect: PrimaryReselect::Better,
        failback_delay: ms(2000),
        failback_limit: 3,
        members,
        ..config(Mode::ActiveBackup, 2)
    });
    let speed = |rig: &mut Rig, n, mbps| {
        let speed = Some(Speed { mbps, full_duplex: true });
        rig.handle(Event::LinkParams { member: bond::MemberId(n), speed });
    };
    rig.carrier(1, false);
    rig.carrier(1, true);
    let show = rig.status().render_show();
    assert!(show.contains("failback: p1 waits until the speed of both links is known\n"), "{show}");
    rig.handle(Event::LinkParams { member: bond::MemberId(2), speed: None });
    speed(&mut rig, 1, 10_000);
    let show = rig.status().render_show();
    let never = "failback: p1 waits because a device does not report its speed\n";
    assert!(show.contains(never), "{show}");
    speed(&mut rig, 2, 1000);
    rig.wait(500);
    let show = rig.status().render_show();
    assert!(
        show.contains(
            "\
active member mac: 02:00:00:00:00:02(p2)
bond-primary-reselect: better
bond-failback-delay: 2000 ms
bond-failback-limit: 3 per hour, 0 used
failback: p1 waits 1500 ms until it has been stable for bond-failback-delay

member p1: enabled
  may_enable: true
  priority: 9

member p2: enabled
"
        ),
        "{show}"
    );
    speed(&mut rig, 2, 40_000);
    let show = rig.status().render_show();
    assert!(show.contains("failback: p1 waits because its link is no better\n"), "{show}");
}

#[test]
fn show_without_members_matches_ovs() {
    let rig = Rig::new(config(Mode::ActiveBackup, 0));
    let show = rig.status().render_show();
    assert!(show.ends_with("active member mac: 00:00:00:00:00:00(none)\n\n"), "{show}");
    assert_eq!(rig.status().render_list(), "bond0\tactive-backup\t0\t\n");
}

#[test]
fn json_contains_show_values() {
    let rig = Rig::up(config(Mode::BalanceSlb, 2));
    let json = serde_json::to_value(rig.status()).unwrap();
    assert_eq!(json["mode"], "balance-slb");
    assert_eq!(json["lacp_status"], "off");
    assert_eq!(json["active_member_mac"], "02:00:00:00:00:01");
    assert_eq!(json["members"][0]["link"]["state"], "up");
    assert_eq!(json["members"][1]["buckets"], 128);
}
