//! balance-tlb: who sends what by load and speed, and who receives.

mod common;

use bond::{
    Admission, BUCKETS, BondConfig, Effect, Event, MemberId, Mode, OutputRule, PolicyConfig,
    PrimaryReselect, Selection, Speed, tlb,
};
use common::{Rig, config, mac, ms};
use wire::{EthAddr, HashPolicy};

fn speed(rig: &mut Rig, member: u32, mbps: u64) -> Vec<Effect> {
    let speed = Some(Speed { mbps, full_duplex: true });
    rig.handle(Event::LinkParams { member: MemberId(member), speed })
}

fn how(rig: &Rig) -> Selection {
    match rig.table().output {
        OutputRule::Select { how, .. } => how,
        other => panic!("{other:?}"),
    }
}

/// Sends `bytes` through each bucket, reports them, and waits for the rebalancing.
fn load(rig: &mut Rig, sum: &mut Box<[u64; BUCKETS]>, bytes: impl Fn(usize) -> u64) {
    for (b, sum) in sum.iter_mut().enumerate() {
        *sum += bytes(b);
    }
    rig.handle(Event::Load { bytes: sum.clone() });
    rig.wait(10_000);
}

/// What each member of the table carries of these loads.
fn carried(rig: &Rig, n: u32, bytes: impl Fn(usize) -> u64) -> Vec<u64> {
    let table = rig.table();
    let of =
        |id| (0..BUCKETS).filter(|&b| table.buckets[b] == Some(MemberId(id))).map(&bytes).sum();
    (1..=n).map(of).collect()
}

#[test]
fn the_active_member_receives_and_sends_what_is_not_unicast_ip() {
    let mut rig = Rig::up(config(Mode::BalanceTlb, 3));
    let l2 = HashPolicy::L2;
    let active = |n| Selection::Tlb { policy: l2, in_use: 256, active: Some(MemberId(n)) };
    assert_eq!(how(&rig), active(1));
    let admission = |rig: &Rig| rig.table().admission.iter().map(|a| a.1).collect::<Vec<_>>();
    assert_eq!(admission(&rig), [Admission::UnlessMoved, Admission::Closed, Admission::Closed]);
    assert_eq!(rig.table().sources, [(MemberId(2), mac(2)), (MemberId(3), mac(3))]);

    // It fails: one table, and the network is told.
    let effects = rig.carrier(1, false);
    assert!(matches!(&effects[0], Effect::Publish(_)));
    assert_eq!(effects.iter().filter(|e| matches!(e, Effect::Publish(_))).count(), 1);
    assert!(effects.iter().any(|e| matches!(e, Effect::NotifyPeers(_))));
    assert_eq!(how(&rig), active(2));
    assert_eq!(admission(&rig), [Admission::Closed, Admission::UnlessMoved, Admission::Closed]);
    assert_eq!(rig.counts(3), [0, 128, 128]);

    let all = BondConfig { all_members_active: true, ..config(Mode::BalanceTlb, 3) };
    assert_eq!(admission(&Rig::up(all)), [Admission::UnlessMoved; 3]);
}

#[test]
fn nobody_else_sends_from_the_address_of_the_bridge() {
    let own = BondConfig { bridge_mac: mac(2), ..config(Mode::BalanceTlb, 3) };
    let mut rig = Rig::up(own);
    assert_eq!(rig.table().sources, [(MemberId(2), mac(1)), (MemberId(3), mac(3))]);
    rig.carrier(1, false);
    assert_eq!(rig.table().sources, [(MemberId(1), mac(1)), (MemberId(3), mac(3))]);
    // Its new address is in the table at once.
    let new = EthAddr::from_u64(0x0200_0000_0077);
    rig.handle(Event::Mac { member: MemberId(3), mac: new });
    assert_eq!(rig.table().sources, [(MemberId(1), mac(1)), (MemberId(3), new)]);
}

#[test]
fn a_primary_takes_over_as_in_active_backup() {
    let primary = BondConfig { primary: Some("p2".to_owned()), ..config(Mode::BalanceTlb, 2) };
    let mut rig = Rig::up(primary.clone());
    assert_eq!(rig.active().as_deref(), Some("p2"));
    rig.carrier(2, false);
    assert_eq!(rig.active().as_deref(), Some("p1"));
    rig.carrier(2, true);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    let failure = PrimaryReselect::Failure;
    rig.configure(BondConfig { primary_reselect: failure, ..primary });
    rig.carrier(2, false);
    rig.carrier(2, true);
    assert_eq!(rig.active().as_deref(), Some("p1"));
}

#[test]
fn buckets_are_in_proportion_to_speed() {
    let mut rig = Rig::up(config(Mode::BalanceTlb, 3));
    assert_eq!(rig.counts(3), [86, 85, 85]);
    speed(&mut rig, 1, 10_000);
    // The others count as the slowest known one until they answer.
    assert_eq!(rig.counts(3), [86, 85, 85]);
    speed(&mut rig, 2, 1_000);
    speed(&mut rig, 3, 1_000);
    assert_eq!(rig.counts(3), [214, 21, 21]);
    rig.carrier(1, false);
    assert_eq!(rig.counts(3), [0, 128, 128]);
    let neighbours = rig.table().buckets;
    assert!(neighbours.windows(2).filter(|w| w[0] != w[1]).count() > 64, "{neighbours:?}");
}

#[test]
fn loads_move_until_they_are_in_proportion_to_speed() {
    let mut rig = Rig::up(config(Mode::BalanceTlb, 3));
    for (member, mbps) in [(1, 1_000), (2, 1_000), (3, 2_000)] {
        speed(&mut rig, member, mbps);
    }
    // A few heavy flows and many light ones.
    let bytes = |b: usize| if b < 12 { 4_000_000 } else { 30_000 * (b as u64 % 5) };
    let mut sum = Box::new([0; BUCKETS]);
    for _ in 0..8 {
        load(&mut rig, &mut sum, bytes);
    }
    let carries = carried(&rig, 3, bytes);
    let total: u64 = carries.iter().sum();
    for (got, weight) in carries.iter().zip([1, 1, 2]) {
        let fair = total * weight / 4;
        assert!(got.abs_diff(fair) < fair / 10, "{carries:?}");
    }
    // In balance, nothing moves any more.
    let generation = rig.table().generation;
    for _ in 0..4 {
        load(&mut rig, &mut sum, bytes);
    }
    assert_eq!(rig.table().generation, generation);
}

#[test]
fn without_rebalancing_the_numbers_stay() {
    let off = BondConfig { rebalance_interval: ms(0), ..config(Mode::BalanceTlb, 2) };
    let mut rig = Rig::up(off);
    let before = rig.table();
    let mut sum = Box::new([0; BUCKETS]);
    for _ in 0..4 {
        load(&mut rig, &mut sum, |b| (b as u64) << 20);
    }
    assert_eq!(rig.table(), before);
}

#[test]
fn static_balancing_is_linux_s_hash() {
    let policy = PolicyConfig { tlb_dynamic: false, hash: HashPolicy::L34, ..Default::default() };
    let mut rig = Rig::up(BondConfig { policy, ..config(Mode::BalanceTlb, 3) });
    let l34 = HashPolicy::L34;
    assert_eq!(how(&rig), Selection::Tlb { policy: l34, in_use: 255, active: Some(MemberId(1)) });
    for (b, member) in rig.table().buckets.iter().enumerate() {
        assert_eq!(*member, Some(MemberId(1 + b as u32 % 3)));
    }
    assert_eq!(rig.bond.next_deadline(), None);
    speed(&mut rig, 1, 10_000);
    assert_eq!(rig.counts(3), [86, 85, 85]);
}

#[test]
fn mode_changes_keep_the_table_total() {
    let mut rig = Rig::up(config(Mode::BalanceTlb, 3));
    for mode in [Mode::BalanceSlb, Mode::BalanceTlb, Mode::ActiveBackup, Mode::BalanceTlb] {
        rig.carrier(2, false);
        rig.configure(config(mode, 3));
        rig.carrier(2, true);
        assert_eq!(rig.counts(3).iter().sum::<usize>(), BUCKETS, "{mode:?}");
    }
    assert_eq!(rig.counts(3), [86, 85, 85]);
}

#[test]
fn quotas_add_up() {
    let of = |weights: &[u64]| {
        let members: Vec<_> = (1..).map(MemberId).zip(weights.iter().copied()).collect();
        tlb::quotas(&members, BUCKETS)
    };
    assert_eq!(of(&[]), [0; 0]);
    assert_eq!(of(&[1]), [256]);
    assert_eq!(of(&[1, 1, 1]), [86, 85, 85]);
    assert_eq!(of(&[10_000, 1_000]), [233, 23]);
    assert_eq!(of(&[u64::from(u32::MAX), 1]), [256, 0]);
    for n in 1..300u64 {
        let weights: Vec<u64> = (1..=n).map(|i| 1 + i * i % 97).collect();
        assert_eq!(of(&weights).iter().sum::<usize>(), BUCKETS);
    }
}

#[test]
fn show_names_what_is_configured() {
    let rig = Rig::up(BondConfig { primary: Some("p1".to_owned()), ..config(Mode::BalanceTlb, 2) });
    let show = rig.status().render_show();
    for line in [
        "bond_mode: balance-tlb\n",
        "\nnext rebalance: ",
        "\nactive-backup primary: p1\n",
        "\nbond-hash-policy: l2\nbond-tlb-dynamic: true\n",
    ] {
        assert!(show.contains(line), "{line:?} in {show}");
    }
}
