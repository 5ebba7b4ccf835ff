//! The modes of Linux bonding: which member sends what, and what comes in.

mod common;

use bond::{
    Admission, BUCKETS, BondConfig, Effect, Event, Forwarding, LacpTime, MemberId, Mode,
    OutputRule, PolicyConfig, Selection, policy,
};
use common::{Rig, config, lacp};
use wire::HashPolicy;

fn with(mode: Mode, n: u32, policy: PolicyConfig) -> BondConfig {
    BondConfig { policy, ..config(mode, n) }
}

fn how(table: &Forwarding) -> Selection {
    match table.output {
        OutputRule::Select { recirc_id: 7, how } => how,
        other => panic!("{other:?}"),
    }
}

/// The member that the table has for a hash.
fn member_for(table: &Forwarding, hash: u32) -> Option<MemberId> {
    match how(table).in_use() {
        0 => None,
        n => table.buckets[hash as usize % n],
    }
}

/// Some small hashes, and some of all sizes.
fn hashes() -> impl Iterator<Item = u32> {
    let large = (0..2000u32).map(|i| i.wrapping_mul(0x9e37_79b9) ^ i << 7);
    (0..1000).chain(large).chain([u32::MAX, u32::MAX - 1, 255, 256, 257])
}

#[test]
fn xor_sends_by_the_member_that_linux_takes() {
    for n in [1, 2, 3, 4, 5, 6, 7, 8, 11, 100] {
        for hash in HashPolicy::ALL {
            let policy = PolicyConfig { hash, ..PolicyConfig::default() };
            let mut rig = Rig::up(with(Mode::BalanceXor, n, policy));
            let table = rig.table();
            assert!(matches!(how(&table), Selection::Hash { policy, .. } if policy == hash));
            for h in hashes() {
                assert_eq!(member_for(&table, h), Some(MemberId(1 + h % n)), "{h:#x} of {n}");
            }
            // A member fails: Linux numbers those that are left.
            let dead = 1 + n / 2;
            rig.carrier(dead, false);
            let table = rig.table();
            let left: Vec<u32> = (1..=n).filter(|m| *m != dead).collect();
            for h in hashes() {
                let linux = (!left.is_empty()).then(|| MemberId(left[h as usize % left.len()]));
                assert_eq!(member_for(&table, h), linux, "{h:#x} of {left:?}");
            }
            rig.carrier(dead, true);
            assert_eq!(
                rig.table().buckets,
                Rig::up(with(Mode::BalanceXor, n, policy)).table().buckets
            );
        }
    }
}

#[test]
fn buckets_in_use_are_the_largest_multiple() {
    for (count, buckets) in [(0, 0), (1, 256), (2, 256), (3, 255), (5, 255), (7, 252), (100, 200)] {
        assert_eq!(policy::in_use(count), buckets);
    }
    assert_eq!(policy::in_use(256), 256);
    assert_eq!(policy::in_use(300), 256);
}

#[test]
fn a_failover_is_one_table_and_comes_first() {
    for mode in [Mode::BalanceXor, Mode::BalanceRr, Mode::Broadcast] {
        let mut rig = Rig::up(config(mode, 3));
        let effects = rig.carrier(2, false);
        assert!(
            matches!(&effects[0], Effect::Publish(t) if !t.buckets.contains(&Some(MemberId(2))))
        );
        let tables = effects.iter().filter(|e| matches!(e, Effect::Publish(_))).count();
        assert_eq!(tables, 1, "{mode:?}");
        assert_eq!(rig.table().admission[1], (MemberId(2), Admission::Closed));
    }
}

#[test]
fn round_robin_gives_each_member_as_many_turns() {
    let policy = PolicyConfig { packets_per_member: 5, ..PolicyConfig::default() };
    let mut rig = Rig::up(with(Mode::BalanceRr, 3, policy));
    let selection = how(&rig.table());
    assert_eq!(
        selection,
        Selection::RoundRobin { packets: 5, in_use: 255, igmp: Some(MemberId(1)) }
    );
    assert_eq!(rig.counts(3), [86, 85, 85]);
    assert_eq!(rig.status().members.iter().map(|m| m.buckets).collect::<Vec<_>>(), [85, 85, 85]);
    // IGMP follows the active member.
    rig.carrier(1, false);
    assert!(matches!(how(&rig.table()), Selection::RoundRobin { igmp: Some(MemberId(2)), .. }));
    rig.carrier(2, false);
    rig.carrier(3, false);
    assert_eq!(how(&rig.table()).in_use(), 0);
    assert_eq!(rig.table().buckets, [None; BUCKETS]);
}

#[test]
fn broadcast_copies_to_each_usable_member_once() {
    let mut rig = Rig::up(config(Mode::Broadcast, 3));
    let members = |rig: &Rig| {
        let table = rig.table();
        let n = how(&table).in_use();
        table.buckets[..n].iter().map(|m| m.unwrap().0).collect::<Vec<_>>()
    };
    assert_eq!(members(&rig), [1, 2, 3]);
    rig.carrier(2, false);
    assert_eq!(members(&rig), [1, 3]);
    let open: Vec<_> = rig.table().admission.iter().map(|a| a.1).collect();
    assert_eq!(open, [Admission::Once, Admission::Closed, Admission::Once]);
    // Its packets leave by every member already: no announcement is needed.
    assert!(!rig.effects.iter().any(|e| matches!(e, Effect::NotifyPeers(_))));
}

#[test]
fn what_comes_in_is_let_in_on_each_usable_member() {
    for mode in [Mode::BalanceXor, Mode::BalanceRr] {
        let mut rig = Rig::up(config(mode, 2));
        let admission = |rig: &Rig| rig.table().admission.iter().map(|a| a.1).collect::<Vec<_>>();
        assert_eq!(admission(&rig), [Admission::UnlessMoved; 2]);
        rig.carrier(1, false);
        assert_eq!(admission(&rig), [Admission::Closed, Admission::UnlessMoved]);
    }
}

#[test]
fn ieee_8023ad_drops_without_lacp_and_without_a_partner() {
    let rig = Rig::up(config(Mode::Ieee8023ad, 2));
    assert_eq!(rig.table().output, OutputRule::Drop);
    let lacp = Some(lacp(true, LacpTime::Fast));
    let alone = BondConfig { lacp, ..config(Mode::Ieee8023ad, 2) };
    let mut rig = Rig::up(alone.clone());
    rig.wait(10_000);
    assert_eq!(rig.table().output, OutputRule::Drop);
    assert!(rig.table().admission.iter().all(|a| a.1 == Admission::Closed));
    // As active-backup, if the fallback is wanted.
    let mut rig = Rig::up(BondConfig { lacp_fallback_ab: true, ..alone });
    rig.wait(10_000);
    assert_eq!(rig.table().output, OutputRule::Active);
}

#[test]
fn a_change_of_the_policy_changes_the_table_and_no_flow() {
    let mut rig = Rig::up(config(Mode::BalanceXor, 2));
    let policy = PolicyConfig { hash: HashPolicy::L34, ..PolicyConfig::default() };
    let effects = rig.configure(with(Mode::BalanceXor, 2, policy));
    assert!(matches!(effects[..], [Effect::Publish(_)]), "{effects:?}");
}

#[test]
fn loads_move_nothing() {
    let mut rig = Rig::up(config(Mode::BalanceXor, 2));
    let before = rig.table();
    let mut bytes = Box::new([0; BUCKETS]);
    bytes[0] = 1 << 40;
    rig.handle(Event::Load { bytes });
    rig.wait(60_000);
    assert_eq!(rig.table(), before);
}

#[test]
fn show_names_mode_and_policy() {
    let policy = PolicyConfig { hash: HashPolicy::L23, ..PolicyConfig::default() };
    let rig = Rig::up(with(Mode::BalanceXor, 2, policy));
    assert_eq!(
        rig.status().render_show(),
        "\
---- bond0 ----
bond_mode: balance-xor
bond may use recirculation: no, Recirc-ID : -1
bond-hash-basis: 0
lb_output action: enabled, bond-id: 7
updelay: 0 ms
downdelay: 0 ms
lacp_status: off
lacp_fallback_ab: false
active-backup primary: <none>
active member mac: 02:00:00:00:00:01(p1)
bond-hash-policy: l2+3

member p1: enabled
  active member
  may_enable: true

member p2: enabled
  may_enable: true

"
    );
    assert_eq!(rig.status().render_list(), "bond0\tbalance-xor\t7\tp1, p2\n");

    let packets = |n| {
        let policy = PolicyConfig { packets_per_member: n, ..PolicyConfig::default() };
        Rig::up(with(Mode::BalanceRr, 2, policy)).status().render_show()
    };
    assert!(packets(3).contains("bond_mode: balance-rr\n"));
    assert!(packets(3).contains("\nbond-packets-per-member: 3\n"));
    assert!(packets(0).contains("\nbond-packets-per-member: 0 (a random member for each)\n"));
    let show = Rig::up(config(Mode::Broadcast, 2)).status().render_show();
    assert!(show.contains("bond_mode: broadcast\n") && !show.contains("bond-hash-policy"));
}
