//! Which member is active, and how traffic gets there.

mod common;

use bond::{
    Admission, BondConfig, Command, CommandError, Effect, Event, MemberId, Mode, Monitor,
    OutputRule, RevalidateReason,
};
use common::{Rig, config, learns, mac, member, ms, published, reasons, texts};
use wire::EthAddr;

#[test]
fn failover_publishes_table_first() {
    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    assert_eq!(rig.active().as_deref(), Some("p1"));
    let generation = rig.table().generation;

    let effects = rig.carrier(1, false);
    let Some(Effect::Publish(table)) = effects.first() else { panic!("{effects:?}") };
    assert_eq!(table.generation, generation + 1);
    assert_eq!(table.output, OutputRule::Active);
    assert!(table.buckets.iter().all(|&b| b == Some(MemberId(2))));
    assert_eq!(table.admission, [(MemberId(1), Admission::Closed), (MemberId(2), Admission::Open)]);
    assert!(learns(&effects));
    assert!(effects.iter().any(|e| matches!(e, Effect::PersistActiveMember(m) if *m == mac(2))));
    assert_eq!(
        texts(&effects),
        [
            "member p1: link state down",
            "member p1: disabled",
            "bond bond0: active member is now p2"
        ]
    );
    assert_eq!(reasons(&effects), [RevalidateReason::MemberState, RevalidateReason::ActiveMember]);
}

/// What a driver keeps ready is what the engine publishes later.
#[test]
fn forwarding_without_a_member_is_what_its_failure_publishes() {
    for mode in [Mode::ActiveBackup, Mode::BalanceSlb] {
        let mut rig = Rig::up(config(mode, 3));
        let (now, before) = (rig.now, rig.table());
        let without = rig.bond.forwarding_without(now, MemberId(1)).expect("a table");
        assert!(without.buckets.iter().all(|b| b.is_some_and(|m| m != MemberId(1))));
        assert_eq!(rig.table(), before, "asking changes nothing");
        assert!(rig.wait(0).is_empty());
        let effects = rig.carrier(1, false);
        assert_eq!(published(&effects), Some(&*without));
        // It is down already.
        assert_eq!(rig.bond.forwarding_without(now, MemberId(1)), None);
    }
    let mut delayed = config(Mode::ActiveBackup, 2);
    delayed.downdelay = ms(100);
    let rig = Rig::up(delayed);
    assert_eq!(rig.bond.forwarding_without(rig.now, MemberId(1)), None, "it stays for 100 ms");
    assert_eq!(rig.bond.forwarding_without(rig.now, MemberId(9)), None, "no such member");
}

#[test]
fn failover_without_primary_is_permanent() {
    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    rig.carrier(1, false);
    let effects = rig.carrier(1, true);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    assert_eq!(texts(&effects), ["member p1: link state up", "member p1: enabled"]);
    rig.wait(3_600_000);
    assert_eq!(rig.active().as_deref(), Some("p2"));
}

#[test]
fn all_members_down_then_up_recovers() {
    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    rig.carrier(1, false);
    let effects = rig.carrier(2, false);
    assert!(published(&effects).unwrap().buckets.iter().all(Option::is_none));
    assert_eq!(texts(&effects).last().unwrap(), "bond bond0: all members disabled");
    assert!(
        effects.iter().any(|e| matches!(e, Effect::PersistActiveMember(m) if *m == EthAddr::ZERO))
    );
    rig.carrier(2, true);
    assert_eq!(rig.active().as_deref(), Some("p2"));
}

#[test]
fn updelay_and_downdelay_postpone_state_changes() {
    let mut rig = Rig::up(BondConfig {
        updelay: ms(500),
        downdelay: ms(200),
        ..config(Mode::ActiveBackup, 2)
    });
    // Links that were up before the bond looked are used at once.
    assert_eq!(rig.table().buckets[0], Some(MemberId(1)));

    let effects = rig.carrier(1, false);
    assert_eq!(
        texts(&effects),
        ["member p1: link state down", "member p1: will be disabled if it stays down for 200 ms"]
    );
    rig.wait(199);
    assert_eq!(rig.active().as_deref(), Some("p1"));
    let effects = rig.carrier(1, true);
    assert_eq!(texts(&effects), ["member p1: link state up", "member p1: will not be disabled"]);
    rig.carrier(1, false);
    rig.wait(200);
    assert_eq!(rig.active().as_deref(), Some("p2"));

    let effects = rig.carrier(1, true);
    assert_eq!(
        texts(&effects),
        ["member p1: link state up", "member p1: will be enabled if it stays up for 500 ms"]
    );
    let effects = rig.carrier(1, false);
    assert_eq!(texts(&effects), ["member p1: link state down", "member p1: will not be enabled"]);
}

#[test]
fn updelay_with_no_enabled_member_is_skipped() {
    let mut rig = Rig::new(BondConfig { updelay: ms(5000), ..config(Mode::ActiveBackup, 2) });
    rig.carrier(1, false);
    rig.carrier(2, false);
    rig.wait(100);
    let effects = rig.carrier(2, true);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    assert!(
        texts(&effects).contains(
            &"bond bond0: active member is now p2, skipping remaining 5000 ms updelay (since no \
          member was enabled)"
                .to_owned()
        )
    );
    rig.carrier(1, true);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    assert!(!rig.status().members[0].enabled);
    rig.wait(5000);
    assert!(rig.status().members[0].enabled);
}

#[test]
fn restart_prefers_last_active_member() {
    let with = |n| BondConfig { active_member_mac: Some(mac(n)), ..config(Mode::ActiveBackup, 3) };
    // Whichever reports first.
    for order in [[1, 2, 3], [3, 2, 1], [2, 1, 3]] {
        let mut rig = Rig::new(with(2));
        for id in order {
            rig.carrier(id, true);
        }
        assert_eq!(rig.active().as_deref(), Some("p2"), "{order:?}");
    }
    // If it is down at the start its turn is over.
    let mut rig = Rig::new(with(2));
    rig.carrier(2, false);
    rig.carrier(1, true);
    rig.carrier(3, true);
    rig.carrier(2, true);
    assert_eq!(rig.active().as_deref(), Some("p1"));
    // A stranger's address does no harm, whenever the stranger comes.
    let mut rig = Rig::up(with(4));
    assert_eq!(rig.active().as_deref(), Some("p1"));
    rig.configure(BondConfig { active_member_mac: Some(mac(4)), ..config(Mode::ActiveBackup, 4) });
    rig.carrier(4, true);
    assert_eq!(rig.active().as_deref(), Some("p1"));
}

#[test]
fn reconfiguration_changes_only_differences() {
    let base = config(Mode::ActiveBackup, 2);
    let mut rig = Rig::up(base.clone());
    rig.carrier(1, false);
    rig.carrier(1, true);
    assert_eq!(rig.active().as_deref(), Some("p2"));

    assert!(rig.configure(base.clone()).is_empty(), "the same again is nothing new");

    let mut more = config(Mode::ActiveBackup, 3);
    more.updelay = ms(100);
    let effects = rig.configure(more);
    assert_eq!(rig.active().as_deref(), Some("p2"));
    assert!(!learns(&effects));
    rig.carrier(3, true);
    assert_eq!(rig.active().as_deref(), Some("p2"));

    // A member that is not active goes away.
    rig.configure(BondConfig { members: vec![member(2), member(3)], ..base.clone() });
    assert_eq!(rig.active().as_deref(), Some("p2"));
    // The active one does.
    let effects = rig.configure(BondConfig { members: vec![member(3)], ..base.clone() });
    assert_eq!(rig.active().as_deref(), Some("p3"));
    assert!(matches!(effects.first(), Some(Effect::Publish(_))));
    assert!(learns(&effects));
    assert_eq!(reasons(&effects)[0], RevalidateReason::MemberSet);

    let effects = rig.configure(BondConfig { members: vec![], ..base });
    assert_eq!(rig.active(), None);
    assert!(published(&effects).unwrap().admission.is_empty());
}

#[test]
fn active_member_mac_change_is_persisted() {
    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    let effects = rig.handle(Event::Mac { member: MemberId(1), mac: mac(77) });
    assert!(matches!(effects[..], [Effect::PersistActiveMember(m)] if m == mac(77)));
    assert!(rig.handle(Event::Mac { member: MemberId(2), mac: mac(78) }).is_empty());
    assert_eq!(rig.status().active_member.as_deref(), Some("p1"));
}

#[test]
fn one_monitor_up_of_two_enables_member() {
    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    let monitor = |monitor, up| Event::Monitor { member: MemberId(1), monitor, up };
    rig.handle(monitor(Monitor::Bfd, Some(false)));
    assert_eq!(rig.active().as_deref(), Some("p2"));
    assert!(!rig.status().members[0].may_enable);
    rig.handle(monitor(Monitor::Cfm, Some(true)));
    assert!(rig.status().members[0].may_enable);
    rig.handle(monitor(Monitor::Cfm, None));
    assert!(!rig.status().members[0].may_enable);
    rig.handle(monitor(Monitor::Bfd, None));
    assert!(rig.status().members[0].enabled);
}

#[test]
fn commands_change_state_and_answer_as_ovs() {
    let mut rig = Rig::up(config(Mode::ActiveBackup, 2));
    let set = |m: &str| Command::SetActiveMember { member: m.to_owned() };
    assert_eq!(rig.command(set("p2")), Ok("done".into()));
    assert_eq!(rig.active().as_deref(), Some("p2"));
    assert_eq!(rig.command(set("p2")), Ok("no change".into()));
    assert_eq!(rig.command(set("p9")), Err(CommandError::NoSuchMember));
    rig.carrier(1, false);
    assert_eq!(rig.command(set("p1")), Err(CommandError::ActivateDisabled));
    assert_eq!(
        rig.command(Command::Migrate { bucket: 1, member: "p2".to_owned() }),
        Err(CommandError::NotSlb)
    );

    // The link state has the last word, at once when there is no delay.
    let enable = |m: &str| Command::EnableMember { member: m.to_owned() };
    let disable = |m: &str| Command::DisableMember { member: m.to_owned() };
    assert_eq!(rig.command(enable("p1")), Ok("enabled".into()));
    assert!(!rig.status().members[0].enabled);
    assert_eq!(rig.command(disable("p2")), Ok("disabled".into()));
    assert!(rig.status().members[1].enabled);
    assert_eq!(rig.command(disable("p9")), Err(CommandError::NoSuchMember));

    let mut rig = Rig::up(BondConfig { updelay: ms(1000), ..config(Mode::ActiveBackup, 2) });
    assert_eq!(rig.command(disable("p1")), Ok("disabled".into()));
    assert_eq!(rig.active().as_deref(), Some("p2"));
    rig.wait(1000);
    assert!(rig.status().members[0].enabled);
}

#[test]
fn choose_prefers_primary_then_last_then_priority() {
    use bond::link::Link;
    use bond::select::{Candidate, Choice, choose, preferred};
    use wire::Time;

    let (soon, later) = (Time::from_millis(10), Time::from_millis(20));
    let up = Link::Up { since: Time::ZERO };
    let one = |n: u32, link| Candidate {
        id: MemberId(n),
        mac: mac(n),
        link,
        may_enable: true,
        primary: false,
        priority: 0,
    };
    let nobody = EthAddr::ZERO;
    let chosen = |n| Choice::Enabled(MemberId(n));

    let mut members = [one(1, Link::Down), one(2, up), one(3, up), one(4, up)];
    assert_eq!(choose(&members, nobody), chosen(2), "the first that is enabled");
    members[2].priority = 7;
    assert_eq!(choose(&members, nobody), chosen(3), "the highest priority");
    assert_eq!(choose(&members, mac(4)), chosen(4), "the last active one");
    assert_eq!(choose(&members, mac(1)), chosen(3), "unless it is down");
    members[1].primary = true;
    assert_eq!(choose(&members, mac(4)), chosen(2), "the primary");
    assert_eq!(preferred(&members, MemberId(4)), Some(MemberId(2)));
    assert_eq!(preferred(&members, MemberId(2)), None);

    let coming = |until| Link::ComingUp { until };
    let mut members = [one(1, coming(later)), one(2, coming(soon)), one(3, Link::Down)];
    assert_eq!(choose(&members, nobody), Choice::SkipDelay { id: MemberId(2), until: soon });
    members[1].may_enable = false;
    assert_eq!(choose(&members, nobody), Choice::SkipDelay { id: MemberId(1), until: later });
    assert_eq!(choose(&[one(1, Link::Down)], nobody), Choice::NoMember);
}

#[test]
fn loop_is_logged_once_and_holds_protected_bond_down() {
    for mode in [Mode::ActiveBackup, Mode::BalanceSlb] {
        let seen = |rig: &mut Rig| rig.handle(Event::Loop { with: Some("bond1".to_owned()) });
        let warnings = |effects: &[Effect]| {
            texts(effects).iter().filter(|t| t.contains("makes a loop with port bond1")).count()
        };
        let shown = |rig: &Rig| rig.status().render_show().contains("\nloop: held down for ");
        let protect = |loop_protect| BondConfig { loop_protect, ..config(mode, 2) };
        let enabled = |rig: &Rig| rig.status().members.iter().filter(|m| m.enabled).count();

        let mut rig = Rig::up(protect(false));
        assert_eq!(warnings(&seen(&mut rig)), 1);
        assert_eq!(warnings(&seen(&mut rig)), 0);
        assert_eq!((enabled(&rig), shown(&rig)), (2, false), "off by default");
        assert!(!rig.status().looped.unwrap().held);

        // Asked for while the loop is there; a downdelay would prolong the storm.
        rig.configure(BondConfig { downdelay: ms(5000), ..protect(true) });
        seen(&mut rig);
        assert_eq!((enabled(&rig), shown(&rig)), (0, true));
        assert!(rig.table().buckets.iter().all(Option::is_none));
        assert!(rig.table().admission.iter().all(|a| a.1 == Admission::Closed));
        // Neither a link nor an operator gets round it for longer than a moment.
        rig.carrier(1, true);
        let _ = rig.command(Command::EnableMember { member: "p1".to_owned() });
        rig.wait(5000);
        assert_eq!(enabled(&rig), 0);
        rig.wait(294_999);
        assert_eq!(enabled(&rig), 0);
        rig.wait(1);
        assert_eq!((enabled(&rig), shown(&rig)), (2, false), "its time is over");

        assert_eq!(warnings(&seen(&mut rig)), 1, "another loop, or the same again");
        assert_eq!(enabled(&rig), 0);
        rig.carrier(2, false);
        assert_eq!(enabled(&rig), 1, "a cable was pulled");
        seen(&mut rig);
        rig.handle(Event::Loop { with: None });
        assert_eq!(enabled(&rig), 1, "the other one answers for it");
        seen(&mut rig);
        rig.configure(protect(false));
        assert_eq!(enabled(&rig), 1, "the option was taken away");
    }
}
