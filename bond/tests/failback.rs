//! When a preferred member takes over from an active member that works.

mod common;

use bond::{
    BondConfig, Command, CommandError, Effect, Event, MemberId, Mode, PrimaryReselect, Speed,
};
use common::{Rig, config, member, ms};

fn with_primary() -> BondConfig {
    BondConfig { primary: Some("p1".to_owned()), ..config(Mode::ActiveBackup, 2) }
}

/// Down and up again: traffic has failed over.
fn fail_over(rig: &mut Rig) {
    rig.carrier(1, false);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    rig.wait(10_000);
}

#[test]
fn primary_returning_by_default_takes_over_at_once() {
    let mut rig = Rig::up(with_primary());
    fail_over(&mut rig);
    rig.carrier(1, true);
    assert_eq!(rig.active().as_deref(), Some("p1"));
}

#[test]
fn primary_returning_with_delay_waits_until_stable() {
    let mut rig = Rig::up(BondConfig { failback_delay: ms(2000), ..with_primary() });
    assert_eq!(rig.active().as_deref(), Some("p1"), "no hold-down at the start");
    fail_over(&mut rig);

    rig.carrier(1, true);
    rig.wait(1500);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    let waiting = rig.status().failback.waiting.unwrap();
    assert_eq!((waiting.member.as_str(), waiting.left_ms), ("p1", Some(500)));

    // A flap starts the wait anew.
    rig.carrier(1, false);
    assert_eq!(rig.status().failback.waiting, None);
    rig.carrier(1, true);
    rig.wait(1999);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    rig.wait(1);
    assert_eq!(rig.active().as_deref(), Some("p1"));
    assert_eq!(rig.status().failback.waiting, None);
}

#[test]
fn flap_within_downdelay_restarts_failback_delay() {
    let delays = BondConfig { failback_delay: ms(2000), downdelay: ms(500), ..with_primary() };
    let mut rig = Rig::up(delays);
    rig.carrier(1, false);
    rig.wait(500);
    rig.carrier(1, true);
    rig.wait(1000);
    rig.carrier(1, false);
    rig.wait(300);
    rig.carrier(1, true);
    rig.wait(1999);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    rig.wait(1);
    assert_eq!(rig.active().as_deref(), Some("p1"));
}

#[test]
fn failover_ignores_failback_options() {
    let mut rig = Rig::up(BondConfig { failback_delay: ms(60_000), ..with_primary() });
    fail_over(&mut rig);
    rig.carrier(1, true);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    rig.carrier(2, false);
    assert_eq!(rig.active().as_deref(), Some("p1"));
}

#[test]
fn failback_limit_bounds_failbacks_per_hour() {
    let mut rig = Rig::up(BondConfig { failback_limit: 2, ..with_primary() });
    for _ in 0..2 {
        fail_over(&mut rig);
        rig.carrier(1, true);
        assert_eq!(rig.active().as_deref(), Some("p1"));
    }
    assert_eq!(rig.status().failback.used, 2);
    fail_over(&mut rig);
    rig.carrier(1, true);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    // The first was 20 s ago: an hour after it there is room for one.
    let left = rig.status().failback.waiting.unwrap().left_ms;
    assert_eq!(left, Some(3_600_000 - 20_000));
    rig.wait(3_600_000 - 20_001);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    rig.wait(1);
    assert_eq!(rig.active().as_deref(), Some("p1"));
    assert_eq!(rig.status().failback.used, 2);
}

#[test]
fn failback_command_ignores_delay_and_limit() {
    let held = BondConfig { failback_delay: ms(60_000), failback_limit: 1, ..with_primary() };
    let mut rig = Rig::up(held);
    assert_eq!(rig.command(Command::Failback), Ok("no change".into()));
    fail_over(&mut rig);
    assert_eq!(rig.command(Command::Failback), Err(CommandError::NoPreferredMember));
    rig.carrier(1, true);
    assert_eq!(rig.command(Command::Failback), Ok("done".into()));
    assert_eq!(rig.active().as_deref(), Some("p1"));
    assert_eq!(rig.status().failback.used, 0);

    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    assert_eq!(rig.command(Command::Failback), Err(CommandError::NoPreferredMember));
    let mut rig = Rig::up(config(Mode::BalanceSlb, 2));
    assert_eq!(rig.command(Command::Failback), Err(CommandError::NotActiveBackup));
}

#[test]
fn primary_reselect_failure_and_better_restrict_failback() {
    let failure = PrimaryReselect::Failure;
    let mut rig = Rig::up(BondConfig { primary_reselect: failure, ..with_primary() });
    fail_over(&mut rig);
    rig.carrier(1, true);
    rig.wait(3_600_000);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    rig.carrier(2, false);
    assert_eq!(rig.active().as_deref(), Some("p1"));

    let better = PrimaryReselect::Better;
    let mut rig = Rig::up(BondConfig { primary_reselect: better, ..with_primary() });
    fail_over(&mut rig);
    rig.carrier(1, true);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    rig.handle(link(2, 100, true));
    rig.handle(link(1, 1000, true));
    assert_eq!(rig.active().as_deref(), Some("p1"));
    fail_over(&mut rig);
    rig.handle(link(2, 1000, true));
    rig.carrier(1, true);
    rig.handle(link(1, 1000, true));
    assert_eq!(rig.active().as_deref(), Some("p2"), "as fast, as full duplex");
    rig.handle(link(2, 1000, false));
    assert_eq!(rig.active().as_deref(), Some("p1"));
}

fn link(n: u32, mbps: u64, full_duplex: bool) -> Event {
    Event::LinkParams { member: MemberId(n), speed: Some(Speed { mbps, full_duplex }) }
}

/// The members whose devices are to be asked for their speed.
fn queried(effects: &[Effect]) -> Vec<u32> {
    let one = |e: &Effect| match e {
        Effect::QueryLink { member } => Some(member.0),
        _ => None,
    };
    effects.iter().filter_map(one).collect()
}

/// With the primary `p1`, or with `p1` of the higher priority.
fn both_preferences(reselect: PrimaryReselect) -> [BondConfig; 2] {
    let mut by_priority = config(Mode::ActiveBackup, 2);
    by_priority.members[0].priority = 5;
    [with_primary(), by_priority].map(|c| BondConfig { primary_reselect: reselect, ..c })
}

#[test]
fn reselect_better_needs_both_speeds_known() {
    for config in both_preferences(PrimaryReselect::Better) {
        // A restart: `p2` was active, and is as fast.
        for order in [[1, 2], [2, 1]] {
            let restarted =
                BondConfig { active_member_mac: Some(common::mac(2)), ..config.clone() };
            let mut rig = Rig::new(restarted);
            for id in order {
                assert_eq!(queried(&rig.carrier(id, true)), [id]);
            }
            let generation = rig.table().generation;
            for id in order {
                rig.handle(link(id, 1000, true));
                assert_eq!(rig.active().as_deref(), Some("p2"), "asked in the order {order:?}");
            }
            assert_eq!(rig.table().generation, generation, "traffic has moved");
        }

        // A bond of one gets its second member back, which is faster or is not.
        for (mbps, active) in [(1000, "p2"), (10_000, "p1")] {
            let mut rig = Rig::up(config.clone());
            let mut alone = config.clone();
            alone.members.remove(0);
            rig.configure(alone);
            rig.handle(link(2, 1000, true));
            assert_eq!(rig.active().as_deref(), Some("p2"));
            rig.configure(config.clone());
            rig.carrier(1, true);
            rig.wait(60_000);
            assert_eq!(rig.active().as_deref(), Some("p2"), "its speed is not known yet");
            rig.handle(link(1, mbps, true));
            assert_eq!(rig.active().as_deref(), Some(active));
        }

        // A link comes back slower than it was: its old speed does not count.
        let mut rig = Rig::up(config.clone());
        rig.handle(link(1, 10_000, true));
        rig.handle(link(2, 1000, true));
        fail_over(&mut rig);
        assert_eq!(queried(&rig.carrier(1, true)), [1]);
        assert_eq!(rig.active().as_deref(), Some("p2"));
        rig.handle(link(1, 100, true));
        rig.wait(60_000);
        assert_eq!(rig.active().as_deref(), Some("p2"));
    }
}

#[test]
fn reselect_better_with_unknown_speed_waits() {
    for config in both_preferences(PrimaryReselect::Better) {
        for silent in [1, 2] {
            let mut rig = Rig::up(config.clone());
            fail_over(&mut rig);
            rig.carrier(1, true);
            rig.handle(link(3 - silent, 1000, true));
            rig.handle(Event::LinkParams { member: MemberId(silent), speed: None });
            rig.wait(60_000);
            assert_eq!(rig.active().as_deref(), Some("p2"), "p{silent} does not report it");
            rig.carrier(2, false);
            assert_eq!(rig.active().as_deref(), Some("p1"), "a failover does not wait");
        }
    }
}

#[test]
fn higher_priority_member_wins_and_fails_back() {
    let mut members: Vec<_> = (1..=3).map(member).collect();
    members[1].priority = 5;
    members[2].priority = 10;
    let mut rig = Rig::up(BondConfig { members: members.clone(), ..with_primary() });
    assert_eq!(rig.active().as_deref(), Some("p1"), "the primary is above all priorities");
    rig.carrier(1, false);
    assert_eq!(rig.active().as_deref(), Some("p3"));
    rig.carrier(3, false);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    rig.carrier(3, true);
    assert_eq!(rig.active().as_deref(), Some("p3"));
    rig.carrier(1, true);
    assert_eq!(rig.active().as_deref(), Some("p1"));

    let mut rig = Rig::up(BondConfig { members, ..config(Mode::ActiveBackup, 3) });
    assert_eq!(rig.active().as_deref(), Some("p3"));
    assert_eq!(rig.command(Command::Failback), Ok("no change".into()));
}

#[test]
fn primary_set_before_member_exists_takes_over_later() {
    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    let later = |n| BondConfig { primary: Some("p3".to_owned()), ..config(Mode::ActiveBackup, n) };
    rig.configure(later(2));
    assert_eq!(rig.active().as_deref(), Some("p1"));
    rig.configure(later(3));
    rig.carrier(3, true);
    assert_eq!(rig.active().as_deref(), Some("p3"));
}

#[test]
fn primary_at_start_is_active_in_any_event_order() {
    for reselect in [PrimaryReselect::Always, PrimaryReselect::Better, PrimaryReselect::Failure] {
        let mut rig = Rig::new(BondConfig {
            primary_reselect: reselect,
            failback_delay: ms(2000),
            failback_limit: 1,
            ..with_primary()
        });
        rig.carrier(2, true);
        rig.carrier(1, true);
        assert_eq!(rig.active().as_deref(), Some("p1"), "{reselect:?}");
        assert_eq!(rig.status().failback.used, 0);
    }
    // Later an operator's choice holds, where the policy lets it.
    let failure = PrimaryReselect::Failure;
    let mut rig = Rig::up(BondConfig { primary_reselect: failure, ..with_primary() });
    assert_eq!(
        rig.command(Command::SetActiveMember { member: "p2".to_owned() }),
        Ok("done".into())
    );
    rig.wait(60_000);
    assert_eq!(rig.active().as_deref(), Some("p2"));
}

#[test]
fn restart_keeps_last_active_member() {
    let restarted = |reselect, delay| BondConfig {
        primary_reselect: reselect,
        failback_delay: ms(delay),
        active_member_mac: Some(common::mac(2)),
        ..with_primary()
    };
    for order in [[1, 2], [2, 1]] {
        let start = |config| {
            let mut rig = Rig::new(config);
            for id in order {
                rig.carrier(id, true);
            }
            rig
        };
        let mut rig = start(restarted(PrimaryReselect::Failure, 0));
        rig.wait(60_000);
        assert_eq!(rig.active().as_deref(), Some("p2"), "{order:?}");

        let mut rig = start(restarted(PrimaryReselect::Always, 2000));
        assert_eq!(rig.active().as_deref(), Some("p2"), "{order:?}");
        rig.wait(2000);
        assert_eq!(rig.active().as_deref(), Some("p1"), "{order:?}");

        // As Open vSwitch.
        let rig = start(restarted(PrimaryReselect::Always, 0));
        assert_eq!(rig.active().as_deref(), Some("p1"), "{order:?}");
    }
}

fn choose(rig: &mut Rig, member: &str) -> Result<String, CommandError> {
    rig.command(Command::SetActiveMember { member: member.to_owned() }).map(Into::into)
}

#[test]
fn set_active_member_restarts_delay_and_reports_it() {
    for config in both_preferences(PrimaryReselect::Always) {
        let mut rig = Rig::up(BondConfig { failback_delay: ms(2000), ..config });
        rig.wait(60_000);
        let until = |ms| Ok(format!("done, until p1 takes over in {ms} ms (bond-failback-delay)"));
        assert_eq!(choose(&mut rig, "p2"), until(2000));
        assert_eq!(rig.active().as_deref(), Some("p2"));
        rig.wait(1500);
        // Again: it counts from the last order on.
        let again = "no change, until p1 takes over in 2000 ms (bond-failback-delay)";
        assert_eq!(choose(&mut rig, "p2"), Ok(again.to_owned()));
        rig.wait(1999);
        assert_eq!(rig.active().as_deref(), Some("p2"));
        rig.wait(1);
        assert_eq!(rig.active().as_deref(), Some("p1"));
        assert_eq!(rig.status().failback.used, 1);
        assert_eq!(choose(&mut rig, "p1"), Ok("no change".to_owned()));

        // A flap of the preferred member starts it anew, too; a failover ends the order.
        assert_eq!(choose(&mut rig, "p2"), until(2000));
        rig.wait(1000);
        rig.carrier(1, false);
        rig.carrier(1, true);
        rig.wait(1999);
        assert_eq!(rig.active().as_deref(), Some("p2"));
        rig.wait(1);
        assert_eq!(rig.active().as_deref(), Some("p1"));
        assert_eq!(choose(&mut rig, "p2"), until(2000));
        rig.carrier(2, false);
        assert_eq!(rig.active().as_deref(), Some("p1"));
    }
}

#[test]
fn set_active_member_reverted_at_once_moves_nothing() {
    for config in both_preferences(PrimaryReselect::Always) {
        let mut rig = Rig::up(config.clone());
        rig.wait(60_000);
        rig.effects.clear();
        let generation = rig.table().generation;
        // Open vSwitch's text.
        assert_eq!(choose(&mut rig, "p2"), Ok("done".to_owned()));
        assert_eq!(rig.active().as_deref(), Some("p1"));
        assert_eq!(rig.table().generation, generation);
        assert_eq!(rig.status().failback.used, 0);
        let only = "bond bond0: active member p2 was asked for, but p1 is preferred and \
                    bond-failback-delay is 0";
        assert_eq!(common::texts(&rig.effects), [only]);
        assert_eq!(rig.effects.len(), 1, "{:?}", rig.effects);

        // The limit is used up: the order holds until there is room.
        let mut rig = Rig::up(BondConfig { failback_limit: 1, ..config.clone() });
        fail_over(&mut rig);
        rig.carrier(1, true);
        assert_eq!(rig.active().as_deref(), Some("p1"));
        rig.wait(600_000);
        let until = "done, until p1 takes over in 3000000 ms (bond-failback-limit)";
        assert_eq!(choose(&mut rig, "p2"), Ok(until.to_owned()));
        assert_eq!(rig.active().as_deref(), Some("p2"));
        rig.wait(3_000_000);
        assert_eq!(rig.active().as_deref(), Some("p1"));

        // Nothing would undo it: the policy, a slower link, a speed that is not known.
        for reselect in [PrimaryReselect::Failure, PrimaryReselect::Better] {
            for speed in [Some(100), Some(1000), None] {
                let mut rig = Rig::up(BondConfig { primary_reselect: reselect, ..config.clone() });
                rig.handle(link(2, 1000, true));
                if let Some(mbps) = speed {
                    rig.handle(link(1, mbps, true));
                }
                assert_eq!(choose(&mut rig, "p2"), Ok("done".to_owned()));
                rig.wait(60_000);
                assert_eq!(rig.active().as_deref(), Some("p2"), "{reselect:?} {speed:?}");
            }
        }
        let better = PrimaryReselect::Better;
        let mut rig = Rig::up(BondConfig { primary_reselect: better, ..config.clone() });
        rig.handle(link(2, 1000, true));
        rig.handle(link(1, 10_000, true));
        assert_eq!(choose(&mut rig, "p2"), Ok("done".to_owned()));
        assert_eq!(rig.active().as_deref(), Some("p1"), "faster, and preferred");
    }
}
