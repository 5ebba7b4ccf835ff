//! Who owns which bucket, and how buckets follow their loads.

mod common;

use bond::{
    Admission, BUCKETS, BondConfig, Command, CommandError, Event, MemberId, Mode, OutputRule,
    RevalidateReason,
};
use common::{Rig, config, learns, member, ms, reasons, texts};

fn load(rig: &mut Rig, bytes: impl Fn(usize) -> u64) {
    let bytes: [u64; BUCKETS] = std::array::from_fn(bytes);
    rig.handle(Event::Load { bytes: Box::new(bytes) });
}

fn loads_kb(rig: &Rig) -> Vec<u64> {
    let sum = |loads: &[(u8, u64)]| loads.iter().map(|l| l.1).sum::<u64>() / 1024;
    rig.status().members.iter().map(|m| sum(&m.loads)).collect()
}

#[test]
fn buckets_after_member_changes_are_even_and_move_minimally() {
    let mut rig = Rig::up(config(Mode::BalanceSlb, 3));
    let mut counts = rig.counts(3);
    counts.sort_unstable();
    assert_eq!(counts, [85, 85, 86]);

    // Only the buckets of the member that went move, evenly to those that stay.
    let before = rig.table();
    let effects = rig.carrier(2, false);
    let after = rig.table();
    assert_eq!(rig.counts(3), [128, 0, 128]);
    for (b, a) in before.buckets.iter().zip(&after.buckets) {
        assert!(a == b || *b == Some(MemberId(2)));
    }
    assert!(learns(&effects));

    // It takes a fair share back when it returns.
    rig.carrier(2, true);
    let mut counts = rig.counts(3);
    counts.sort_unstable();
    assert_eq!(counts, [85, 85, 86]);

    rig.carrier(1, false);
    rig.carrier(2, false);
    rig.carrier(3, false);
    assert!(rig.table().buckets.iter().all(Option::is_none));
    rig.carrier(3, true);
    assert_eq!(rig.counts(3), [0, 0, 256]);
}

#[test]
fn loads_after_member_flap_are_balanced() {
    // Busy buckets must not all stay where they fled to, with rebalancing or without.
    for interval in [0, 10_000] {
        let interval = ms(interval);
        let mut rig =
            Rig::up(BondConfig { rebalance_interval: interval, ..config(Mode::BalanceSlb, 2) });
        load(&mut rig, |b| if b < 32 { 10_000_000 } else { 1000 });
        rig.carrier(1, false);
        load(&mut rig, |b| if b < 32 { 20_000_000 } else { 2000 });
        rig.carrier(1, true);
        assert_eq!(rig.counts(2), [128, 128]);
        let busy = |n| {
            let table = rig.table();
            (0..32).filter(|&b| table.buckets[b] == Some(MemberId(n))).count()
        };
        assert_eq!((busy(1), busy(2)), (16, 16), "{interval:?}");
    }
}

#[test]
fn rebalance_of_unequal_loads_moves_buckets_and_logs() {
    let mut rig = Rig::up(config(Mode::BalanceSlb, 2));
    let table = rig.table();
    let owner = |b: usize| table.buckets[b].unwrap().0;
    // 40 MB on member 1, nothing on member 2.
    let busy: Vec<usize> = (0..BUCKETS).filter(|&b| owner(b) == 1).take(4).collect();
    load(&mut rig, |b| if busy.contains(&b) { 10 << 20 } else { 0 });
    assert_eq!(loads_kb(&rig), [40 << 10, 0]);

    let effects = rig.wait(10_000);
    assert!(
        texts(&effects).contains(
            &"bond bond0: rebalanced (now carrying: p1:20480kB and p2:20480kB)".to_owned()
        ),
        "{:?}",
        texts(&effects)
    );
    assert_eq!(reasons(&effects), [RevalidateReason::Rebalanced]);
    // Half of what was, since it is a moving average.
    assert_eq!(loads_kb(&rig), [10 << 10, 10 << 10]);
    assert_eq!(rig.counts(2), [126, 130]);
    assert!(rig.wait(10_000).is_empty(), "even is even");
}

#[test]
fn rebalance_of_small_difference_moves_nothing() {
    let mut rig = Rig::up(config(Mode::BalanceSlb, 2));
    let table = rig.table();
    let owner = |b: usize| table.buckets[b].unwrap().0;
    let first: Vec<usize> = (0..BUCKETS).filter(|&b| owner(b) == 1).take(2).collect();
    load(&mut rig, |b| if first.contains(&b) { 49_000 } else { 0 });
    assert!(rig.wait(10_000).is_empty(), "less than 100 kB");
    // A single busy bucket would only take its load elsewhere.
    load(&mut rig, |b| if b == first[0] { 1 << 40 } else { 0 });
    load(&mut rig, |b| if b == first[0] { 2 << 40 } else { 0 });
    let before = rig.table();
    for _ in 0..5 {
        rig.wait(10_000);
    }
    assert_eq!(rig.table().buckets[first[0]], before.buckets[first[0]]);
}

#[test]
fn load_counter_decrease_counts_as_zero() {
    let mut rig = Rig::up(config(Mode::BalanceSlb, 2));
    load(&mut rig, |_| 1 << 20);
    load(&mut rig, |_| 1000);
    load(&mut rig, |_| 2000);
    assert_eq!(loads_kb(&rig).iter().sum::<u64>(), (256 * ((1 << 20) + 1000)) / 1024);
    load(&mut rig, |_| u64::MAX);
    load(&mut rig, |_| 0);
    load(&mut rig, |_| u64::MAX);
    rig.wait(60_000);
    rig.carrier(1, false);
    rig.carrier(1, true);
}

#[test]
fn load_before_buckets_in_use_is_ignored() {
    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    rig.configure(config(Mode::BalanceSlb, 2));
    // All that the active member ever sent, in the one bucket that it used.
    load(&mut rig, |b| if b == 0 { 1 << 30 } else { 0 });
    assert_eq!(loads_kb(&rig), [0, 0]);
    load(&mut rig, |b| if b == 0 { (1 << 30) + (1 << 20) } else { 0 });
    assert_eq!(loads_kb(&rig).iter().sum::<u64>(), 1024);
}

#[test]
fn rebalance_interval_zero_disables_rebalancing() {
    let mut rig = Rig::up(BondConfig { rebalance_interval: ms(0), ..config(Mode::BalanceSlb, 2) });
    assert_eq!(rig.counts(2), [128, 128]);
    load(&mut rig, |b| if b == 0 { 1 << 40 } else { 0 });
    assert_eq!(loads_kb(&rig), [0, 0]);
    assert_eq!(rig.bond.next_deadline(), None);
    assert_eq!(rig.status().next_rebalance_ms, None);
}

#[test]
fn rebalance_interval_change_counts_from_last_run() {
    let mut rig = Rig::up(config(Mode::BalanceSlb, 2));
    rig.wait(4000);
    assert_eq!(rig.status().next_rebalance_ms, Some(6000));
    rig.configure(BondConfig { rebalance_interval: ms(5000), ..config(Mode::BalanceSlb, 2) });
    assert_eq!(rig.status().next_rebalance_ms, Some(1000));
}

#[test]
fn hash_basis_change_moves_no_bucket() {
    let mut rig = Rig::up(config(Mode::BalanceSlb, 3));
    let before = rig.table();
    let effects = rig.configure(BondConfig { hash_basis: 5, ..config(Mode::BalanceSlb, 3) });
    assert_eq!(rig.table().buckets, before.buckets);
    assert_eq!(rig.table().output, OutputRule::Slb { basis: 5 });
    assert_eq!(reasons(&effects), [RevalidateReason::Reconfigured]);
}

#[test]
fn migrate_command_moves_bucket() {
    let mut rig = Rig::up(config(Mode::BalanceSlb, 2));
    let migrate = |bucket, m: &str| Command::Migrate { bucket, member: m.to_owned() };
    for (bucket, to) in [(0, "p1"), (0, "p2"), (255, "p2"), (255, "p1")] {
        assert_eq!(rig.command(migrate(bucket, to)), Ok("migrated".into()));
        let id = MemberId(to[1..].parse().unwrap());
        assert_eq!(rig.table().buckets[usize::from(bucket)], Some(id));
    }
    assert_eq!(rig.command(migrate(0, "p9")), Err(CommandError::NoSuchMember));
    rig.carrier(2, false);
    assert_eq!(rig.command(migrate(0, "p2")), Err(CommandError::MigrateToDisabled));
}

#[test]
fn admission_balance_slb_depends_on_active_member() {
    let admission = |config| Rig::up(config).table().admission;
    let (one, two) = (MemberId(1), MemberId(2));
    let slb = config(Mode::BalanceSlb, 2);
    assert_eq!(admission(slb.clone()), [(one, Admission::UnlessMoved), (two, Admission::Unicast)]);
    assert_eq!(
        admission(BondConfig { all_members_active: true, ..slb }),
        [(one, Admission::UnlessMoved), (two, Admission::UnlessMoved)]
    );
    assert_eq!(
        admission(config(Mode::ActiveBackup, 2)),
        [(one, Admission::Open), (two, Admission::Closed)]
    );
    assert_eq!(
        admission(config(Mode::BalanceTcp, 2)),
        [(one, Admission::Closed), (two, Admission::Closed)]
    );
}

#[test]
fn output_balance_tcp_without_lacp_drops() {
    let mut rig = Rig::up(config(Mode::BalanceTcp, 2));
    assert_eq!(rig.table().output, OutputRule::Drop);
    assert!(rig.table().buckets.iter().all(Option::is_none));
    // And learns nothing.
    assert!(!learns(&rig.carrier(1, false)));
}

#[test]
fn mode_change_keeps_members() {
    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    rig.carrier(1, false);
    rig.carrier(1, true);
    rig.configure(config(Mode::BalanceSlb, 2));
    assert_eq!(rig.active().as_deref(), Some("p2"));
    assert_eq!(rig.counts(2), [128, 128]);
    rig.configure(config(Mode::ActiveBackup, 2));
    assert_eq!(rig.active().as_deref(), Some("p2"));
    assert_eq!(rig.counts(2), [0, 256]);
}

#[test]
fn members_with_equal_id_count_once() {
    let twice = BondConfig { members: vec![member(1), member(1)], ..config(Mode::BalanceSlb, 0) };
    let rig = Rig::up(twice);
    assert_eq!(rig.status().members.len(), 1);
    assert_eq!(rig.counts(1), [256]);
}

/// Plans for two or more members with these bucket loads each.
fn plan_of(members: &[&[u64]]) -> (Vec<(u8, u32, u32)>, Vec<u64>) {
    let mut loads = [0; BUCKETS];
    let mut owners = [None; BUCKETS];
    let mut bucket = 0;
    for (i, buckets) in members.iter().enumerate() {
        for &bytes in *buckets {
            loads[bucket] = bytes;
            owners[bucket] = Some(MemberId(i as u32 + 1));
            bucket += 1;
        }
    }
    let enabled: Vec<MemberId> = (1..=members.len() as u32).map(MemberId).collect();
    let plan = bond::rebalance::plan(&loads, &owners, &enabled);
    let moves = plan.moves.iter().map(|m| (m.bucket, m.from.0, m.to.0)).collect();
    (moves, plan.carries.iter().map(|c| c.1).collect())
}

#[test]
fn plan_known_loads_gives_expected_moves() {
    const M: u64 = 1_000_000;
    // Exactly the ideal amount is taken, from the busiest bucket on.
    assert_eq!(plan_of(&[&[M, M], &[]]), (vec![(0, 1, 2)], vec![M, M]));
    assert_eq!(
        plan_of(&[&[4 * M, 3 * M, 2 * M, M], &[]]),
        (vec![(0, 1, 2), (3, 1, 2)], vec![5 * M, 5 * M])
    );
    // What is too much for the ideal is passed over.
    assert_eq!(
        plan_of(&[&[6 * M, 2 * M, M], &[]]),
        (vec![(1, 1, 2), (2, 1, 2)], vec![6 * M, 3 * M])
    );
    // If all are, the lightest goes, where that brings both nearer to their mean.
    assert_eq!(plan_of(&[&[5 * M, 4 * M], &[2 * M]]), (vec![(1, 1, 2)], vec![5 * M, 6 * M]));
    assert_eq!(plan_of(&[&[5 * M, 4 * M], &[6 * M]]).0, vec![]);
    // Less than 3 %, or less than 100 kB, is left alone.
    assert_eq!(plan_of(&[&[52 * M, 50 * M], &[100 * M]]).0, vec![]);
    assert_eq!(plan_of(&[&[50_000, 49_999], &[]]).0, vec![]);
    assert_eq!(plan_of(&[&[50_000, 50_000], &[]]).0, vec![(0, 1, 2)]);
    // A member with one busy bucket cannot be helped; the next busiest can.
    assert_eq!(
        plan_of(&[&[90 * M], &[2 * M, 2 * M], &[]]),
        (vec![(1, 2, 3)], vec![90 * M, 2 * M, 2 * M])
    );
    assert_eq!(plan_of(&[&[7 * M]]).0, vec![]);
}
