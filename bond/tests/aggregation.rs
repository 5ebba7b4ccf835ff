//! How members form an aggregate: minimum of members, strict mode, independent control, selection of
//! the aggregate, churn detection and markers.

mod common;

use bond::lacp::churn::Churn;
use bond::lacp::mux::Mux;
use bond::{
    Admission, AggregationConfig, BondConfig, Effect, Event, LacpConfig, LacpTime, MemberConfig,
    MemberId, Mode, OutputRule, SelectionPolicy, Speed,
};
use common::{Rig, config, enabled, lacp, learns, member, partner_pdu, receive_pdu, tcp, texts};
use wire::EthAddr;
use wire::lacp::{Lacpdu, state};
use wire::marker::{Marker, MarkerKind};

const PARTNER: &str = "02:aa:00:00:00:01";
const OTHER: &str = "02:bb:00:00:00:02";

/// A balance-tcp bond of `n` members with fast LACP.
fn aggregate(n: u32, aggregation: AggregationConfig) -> BondConfig {
    BondConfig {
        lacp: Some(LacpConfig { aggregation, ..lacp(true, LacpTime::Fast) }),
        members: config(Mode::BalanceTcp, n).members,
        ..tcp(LacpTime::Fast)
    }
}

fn muxes(rig: &Rig) -> Vec<Mux> {
    rig.bond.lacp_status().unwrap().members.iter().map(|m| m.mux).collect()
}

fn actor_states(rig: &Rig) -> Vec<u8> {
    rig.bond.lacp_status().unwrap().members.iter().map(|m| m.actor.state).collect()
}

// bond-min-links.

#[test]
fn too_few_members_carry_nothing_in_any_mode() {
    for mode in [Mode::ActiveBackup, Mode::BalanceSlb] {
        let mut rig = Rig::up(BondConfig { min_links: 2, ..config(mode, 3) });
        assert!(rig.table().buckets.iter().all(Option::is_some), "{mode:?}");
        rig.carrier(3, false);
        assert!(rig.table().buckets.iter().all(Option::is_some), "{mode:?}");

        let effects = rig.carrier(2, false);
        let Some(Effect::Publish(_)) = effects.first() else { panic!("{effects:?}") };
        assert!(rig.table().buckets.iter().all(Option::is_none), "{mode:?}");
        assert_eq!(rig.table().output, OutputRule::Drop);
        assert!(rig.table().admission.iter().all(|a| a.1 == Admission::Closed));
        assert!(!learns(&effects), "nothing to announce");
        let text = texts(&effects).join("\n");
        assert!(text.contains("1 members are enabled, fewer than bond-min-links=2"), "{text}");
        assert_eq!(enabled(&rig), [true, false, false], "members keep their state");
        let show = rig.status().render_show();
        assert!(show.contains("bond-min-links: 2 (carries nothing)\n"), "{show}");

        let effects = rig.carrier(3, true);
        assert!(rig.table().buckets.iter().all(Option::is_some), "{mode:?}");
        assert!(learns(&effects), "{mode:?}");
        assert!(rig.status().render_show().contains("bond-min-links: 2\n"));
    }
}

#[test]
fn min_links_of_an_aggregate_counts_usable_members() {
    let mut rig =
        Rig::up(BondConfig { min_links: 2, ..aggregate(2, AggregationConfig::default()) });
    receive_pdu(&mut rig, 1, &partner_pdu(PARTNER, 5, 1));
    assert_eq!(rig.table().output, OutputRule::Drop, "one of two");
    receive_pdu(&mut rig, 2, &partner_pdu(PARTNER, 5, 2));
    assert_eq!(rig.counts(2), [128, 128]);
    // The partner falls silent on one link, whose carrier stays.
    for _ in 0..4 {
        rig.wait(1000);
        receive_pdu(&mut rig, 1, &partner_pdu(PARTNER, 5, 1));
    }
    assert_eq!(enabled(&rig), [true, false]);
    assert_eq!(rig.counts(2), [0, 0]);
    let own = rig.bond.lacp_status().unwrap().members[0].actor;
    assert_ne!(own.state & state::DISTRIBUTING, 0, "the partner is told nothing, as by Linux");
    receive_pdu(&mut rig, 2, &partner_pdu(PARTNER, 5, 2));
    assert_eq!(rig.counts(2), [128, 128]);
}

#[test]
fn min_links_of_zero_and_one_change_nothing() {
    for min_links in [0, 1] {
        let mut rig = Rig::up(BondConfig { min_links, ..config(Mode::BalanceSlb, 2) });
        for (id, up) in [(1, false), (2, false), (1, true)] {
            assert!(texts(&rig.carrier(id, up)).iter().all(|t| !t.contains("min-links")));
            assert!(!rig.status().below_min_links);
        }
        assert_eq!(rig.counts(2), [256, 0]);
    }
}

#[test]
fn min_links_takes_effect_when_it_is_configured() {
    let with = |min_links| BondConfig { min_links, ..config(Mode::BalanceSlb, 2) };
    let mut rig = Rig::up(with(0));
    rig.carrier(2, false);
    assert_eq!(rig.counts(2), [256, 0]);
    rig.configure(with(2));
    assert_eq!(rig.counts(2), [0, 0]);
    rig.configure(with(0));
    assert_eq!(rig.counts(2), [256, 0]);
}

// lacp-strict.

#[test]
fn strict_lacp_without_a_partner_uses_no_member() {
    let strict = AggregationConfig { strict: true, ..AggregationConfig::default() };
    for mode in [Mode::ActiveBackup, Mode::BalanceSlb, Mode::BalanceTcp] {
        let wanted =
            |aggregation| BondConfig { mode, lacp_fallback_ab: true, ..aggregate(2, aggregation) };
        let mut rig = Rig::up(wanted(strict));
        rig.wait(10_000);
        assert_eq!(enabled(&rig), [false, false], "{mode:?}");
        assert_eq!(rig.counts(2), [0, 0]);
        receive_pdu(&mut rig, 1, &partner_pdu(PARTNER, 5, 1));
        assert_eq!(enabled(&rig), [true, false], "{mode:?}");
        // Lost again, and configured off and on.
        rig.wait(20_000);
        assert_eq!(rig.counts(2), [0, 0]);
        rig.configure(wanted(AggregationConfig::default()));
        assert_eq!(rig.counts(2), [256, 0], "{mode:?} falls back");
        rig.configure(wanted(strict));
        assert_eq!(rig.counts(2), [0, 0], "{mode:?}");
    }
}

// lacp-coupled-control.

#[test]
fn independent_control_collects_before_it_distributes() {
    let independent = AggregationConfig { coupled_control: false, ..AggregationConfig::default() };
    let mut rig = Rig::up(aggregate(2, independent));
    let with = |n, off: u8| {
        let mut pdu = partner_pdu(PARTNER, 5, n);
        pdu.actor.state &= !off;
        pdu
    };
    let flows = state::COLLECTING | state::DISTRIBUTING;
    let bits = |rig: &Rig| actor_states(rig).iter().map(|s| s & flows).collect::<Vec<_>>();

    receive_pdu(&mut rig, 1, &with(1, state::SYNCHRONIZATION | flows));
    receive_pdu(&mut rig, 2, &with(2, 0));
    assert_eq!(muxes(&rig), [Mux::Attached, Mux::Distributing]);
    assert_eq!(bits(&rig), [0, flows]);
    assert_eq!(rig.counts(2), [0, 256]);

    let effects = receive_pdu(&mut rig, 1, &with(1, flows));
    assert_eq!(muxes(&rig)[0], Mux::Collecting);
    assert_eq!(bits(&rig)[0], state::COLLECTING);
    assert_eq!(rig.table().admission(MemberId(1)), Admission::Open);
    assert_eq!(rig.counts(2), [0, 256], "it does not send yet");
    assert!(effects.iter().any(|e| matches!(e, Effect::SendLacpdu { .. })), "NTT is set");

    receive_pdu(&mut rig, 1, &with(1, state::DISTRIBUTING));
    assert_eq!(muxes(&rig)[0], Mux::Distributing);
    assert_eq!(rig.counts(2), [128, 128]);

    receive_pdu(&mut rig, 1, &with(1, state::COLLECTING));
    assert_eq!(muxes(&rig)[0], Mux::Collecting);
    assert_eq!(rig.counts(2), [0, 256]);
    receive_pdu(&mut rig, 1, &with(1, state::SYNCHRONIZATION));
    assert_eq!(muxes(&rig)[0], Mux::Attached);
    assert_eq!(rig.table().admission(MemberId(1)), Admission::Closed);

    // Nothing is let in on a dead link, and back to coupled control without an interruption.
    receive_pdu(&mut rig, 1, &with(1, state::DISTRIBUTING));
    rig.configure(aggregate(2, AggregationConfig::default()));
    assert_eq!(muxes(&rig), [Mux::CollectingDistributing; 2]);
    assert_eq!(rig.counts(2), [128, 128]);
    rig.configure(aggregate(2, independent));
    rig.carrier(1, false);
    assert_eq!(rig.table().admission(MemberId(1)), Admission::Closed);
}

/// Two bonds with independent control, and one of each kind, get all members into use.
#[test]
fn independent_control_works_with_either_partner() {
    let independent = AggregationConfig { coupled_control: false, ..AggregationConfig::default() };
    for far in [independent, AggregationConfig::default()] {
        let mut ends = [aggregate(2, independent), aggregate(2, far)];
        ends[1].lacp.as_mut().unwrap().system_id = PARTNER.parse().unwrap();
        let mut rigs = ends.map(Rig::up);
        for _ in 0..20 {
            for (from, to) in [(0, 1), (1, 0)] {
                let effects = rigs[from].wait(100);
                for effect in effects.into_iter().chain(std::mem::take(&mut rigs[from].effects)) {
                    if let Effect::SendLacpdu { member, pdu } = effect {
                        rigs[to].handle(Event::Lacpdu { member, pdu });
                    }
                }
            }
        }
        for rig in &rigs {
            assert_eq!(rig.counts(2), [128, 128], "{far:?}");
        }
    }
}

// lacp-selection.

/// Members 1 and 2 lead to one switch, 3 and 4 to another; with speeds in Mbit/s and priorities.
fn two_switches(policy: SelectionPolicy, members: [(u64, u16); 4]) -> Rig {
    let aggregation = AggregationConfig { selection: policy, ..AggregationConfig::default() };
    let with = |(n, &(_, port_priority)): (u32, &(u64, u16))| {
        let plain = member(n);
        MemberConfig { lacp: bond::LacpMemberConfig { port_priority, ..plain.lacp }, ..plain }
    };
    let mut rig = Rig::up(BondConfig {
        members: (1..).zip(&members).map(with).collect(),
        ..aggregate(4, aggregation)
    });
    for (n, (mbps, _)) in (1..).zip(members) {
        speed(&mut rig, n, mbps);
    }
    talk(&mut rig, &[1, 2, 3, 4]);
    rig
}

fn speed(rig: &mut Rig, n: u32, mbps: u64) {
    let speed = (mbps > 0).then_some(Speed { mbps, full_duplex: true });
    rig.handle(Event::LinkParams { member: MemberId(n), speed });
}

/// The partners of these members say that they are there.
fn talk(rig: &mut Rig, members: &[u32]) {
    for &n in members {
        let system = if n <= 2 { PARTNER } else { OTHER };
        receive_pdu(rig, n, &partner_pdu(system, 5, u16::try_from(n).unwrap()));
    }
}

fn used(rig: &Rig) -> Vec<u32> {
    let status = rig.status();
    (1..).zip(&status.members).filter(|(_, m)| m.enabled).map(|(n, _)| n).collect()
}

#[test]
fn selection_compares_what_its_policy_says() {
    let plain = 100;
    for (policy, members, chosen) in [
        // As heard first.
        (SelectionPolicy::Stable, [(1, plain), (1, plain), (9, plain), (9, plain)], [1, 2]),
        (SelectionPolicy::Bandwidth, [(1, plain), (1, plain), (9, plain), (9, plain)], [3, 4]),
        (SelectionPolicy::Bandwidth, [(9, plain), (9, plain), (9, plain), (9, plain)], [1, 2]),
        (SelectionPolicy::Count, [(1, plain), (1, plain), (9, plain), (9, plain)], [3, 4]),
        // The sum of the values, the higher the better, as in Linux.
        (SelectionPolicy::ActorPortPriority, [(9, 10), (9, 10), (1, 10), (1, 11)], [3, 4]),
        (SelectionPolicy::ActorPortPriority, [(1, 10), (1, 10), (9, 10), (9, 10)], [3, 4]),
    ] {
        let rig = two_switches(policy, members);
        assert_eq!(used(&rig), chosen, "{policy:?} {members:?}");
    }
}

#[test]
fn selection_is_made_anew_at_each_change_unless_stable() {
    let same = [(10, 100); 4];
    for (policy, when_one_is_cut) in [
        (SelectionPolicy::Stable, vec![2]),
        (SelectionPolicy::Bandwidth, vec![3, 4]),
        (SelectionPolicy::Count, vec![3, 4]),
        (SelectionPolicy::ActorPortPriority, vec![3, 4]),
    ] {
        let mut rig = two_switches(policy, same);
        assert_eq!(used(&rig), [1, 2], "{policy:?}");
        rig.carrier(1, false);
        assert_eq!(used(&rig), when_one_is_cut, "{policy:?}");
        // It comes back: as good as the one in use, which is kept.
        rig.carrier(1, true);
        speed(&mut rig, 1, 10);
        talk(&mut rig, &[1, 2, 3, 4]);
        let kept = if policy == SelectionPolicy::Stable { [1, 2] } else { [3, 4] };
        assert_eq!(used(&rig), kept, "{policy:?}");
    }
    // A speed changes; a partner expires.
    let mut rig = two_switches(SelectionPolicy::Bandwidth, same);
    speed(&mut rig, 3, 11);
    assert_eq!(used(&rig), [3, 4]);
    for _ in 0..4 {
        rig.wait(1000);
        talk(&mut rig, &[1, 2, 4]);
    }
    assert_eq!(used(&rig), [1, 2]);
    // The last of the others is better than none.
    for n in [1, 2] {
        rig.carrier(n, false);
    }
    assert_eq!(used(&rig), [4]);
}

#[test]
fn selection_prefers_links_that_can_be_aggregated() {
    let mut rig = two_switches(SelectionPolicy::Bandwidth, [(1, 1), (1, 1), (99, 1), (99, 1)]);
    assert_eq!(used(&rig), [3, 4]);
    for n in [3, 4] {
        let mut pdu = partner_pdu(OTHER, 5, n);
        pdu.actor.state &= !state::AGGREGATION;
        receive_pdu(&mut rig, u32::from(n), &pdu);
    }
    assert_eq!(used(&rig), [1, 2]);
    for n in [1, 2] {
        rig.carrier(n, false);
    }
    assert_eq!(used(&rig).len(), 1, "individual links are used alone");
}

// Churn detection.

fn churns(rig: &Rig) -> Vec<(&'static str, u32, &'static str, u32)> {
    let status = rig.bond.lacp_status().unwrap();
    let of = |m: &bond::lacp::status::LacpMemberStatus| {
        let (a, p) = (m.actor_churn, m.partner_churn);
        (a.churn.as_str(), a.count, p.churn.as_str(), p.count)
    };
    status.members.iter().map(of).collect()
}

#[test]
fn churn_is_found_after_60_s_out_of_sync() {
    let mut rig = Rig::new(aggregate(2, AggregationConfig::default()));
    assert_eq!(churns(&rig)[0], ("monitoring", 0, "monitoring", 0));
    rig.carrier(1, true);
    let mut deaf = partner_pdu(PARTNER, 5, 1);
    deaf.actor.state &= !state::SYNCHRONIZATION;
    for _ in 0..59 {
        receive_pdu(&mut rig, 1, &deaf);
        rig.wait(1000);
    }
    assert_eq!(churns(&rig)[0], ("none", 0, "monitoring", 0));
    receive_pdu(&mut rig, 1, &deaf);
    rig.wait(1000);
    assert_eq!(churns(&rig)[0], ("none", 0, "churned", 1));
    assert_eq!(churns(&rig)[1], ("monitoring", 0, "monitoring", 0), "its link is down");
    receive_pdu(&mut rig, 1, &partner_pdu(PARTNER, 5, 1));
    assert_eq!(churns(&rig)[0], ("none", 0, "none", 1));
    rig.carrier(1, false);
    assert_eq!(churns(&rig)[0], ("monitoring", 0, "monitoring", 1));
    let members = rig.bond.lacp_status().unwrap().members;
    assert_eq!(members[0].partner_churn.churn, Churn::Down);

    // The actor's: the port is outside of the aggregate.
    let mut rig = Rig::up(aggregate(2, AggregationConfig::default()));
    for _ in 0..61 {
        receive_pdu(&mut rig, 1, &partner_pdu(PARTNER, 5, 1));
        receive_pdu(&mut rig, 2, &partner_pdu(OTHER, 5, 1));
        rig.wait(1000);
    }
    assert_eq!(churns(&rig), [("none", 0, "none", 0), ("churned", 1, "none", 0)]);
}

// Markers.

#[test]
fn marker_is_answered_on_its_member_at_a_limited_rate() {
    let mut rig = Rig::up(aggregate(2, AggregationConfig::default()));
    let question = Marker {
        kind: MarkerKind::Information,
        requester_port: 7,
        requester_system: PARTNER.parse().unwrap(),
        transaction: 99,
    };
    let ask = |rig: &mut Rig, n: u32, marker: Marker| {
        let effects = rig.handle(Event::Lacpdu { member: MemberId(n), pdu: marker.emit() });
        effects.into_iter().find_map(|e| match e {
            Effect::SendMarker { member, pdu } => Some((member.0, Marker::parse(&pdu).unwrap())),
            _ => None,
        })
    };
    let answer = Marker { kind: MarkerKind::Response, ..question };
    assert_eq!(ask(&mut rig, 2, question), Some((2, answer)));
    assert_eq!(ask(&mut rig, 2, answer), None, "an answer is not answered");

    let answered = (0..1000).filter(|_| ask(&mut rig, 2, question).is_some()).count();
    assert_eq!(answered, 4, "five in a second");
    assert_eq!(ask(&mut rig, 1, question), Some((1, answer)), "each member has its own limit");
    rig.wait(1000);
    assert_eq!(ask(&mut rig, 2, question), Some((2, answer)));
    let stats = rig.bond.lacp_status().unwrap().members[1].stats;
    assert_eq!((stats.rx_marker_pdus, stats.tx_marker_responses), (1003, 6));
    assert_eq!((stats.rx_pdus, stats.rx_bad_pdus), (1003, 0));

    rig.wait(1000);
    rig.carrier(1, false);
    assert_eq!(ask(&mut rig, 1, question), None, "its link is down");
    // No question at all: type 3.
    let mut odd = question.emit();
    odd[2] = 3;
    let effects = rig.handle(Event::Lacpdu { member: MemberId(2), pdu: odd });
    assert!(effects.iter().all(|e| !matches!(e, Effect::SendMarker { .. })));
}

#[test]
fn defaults_are_open_vswitchs() {
    let defaults = AggregationConfig::default();
    assert!(!defaults.strict && defaults.coupled_control);
    assert_eq!(defaults.selection, SelectionPolicy::Stable);
    let rig = Rig::up(config(Mode::ActiveBackup, 2));
    assert!(!rig.status().render_show().contains("min-links"));
    let mut rig = Rig::up(aggregate(1, defaults));
    receive_pdu(&mut rig, 1, &Lacpdu { ..partner_pdu(PARTNER, 5, 1) });
    let show = rig.bond.lacp_status().unwrap().render_show();
    assert!(!show.contains("churn") && !show.contains("selection"), "{show}");
    assert_eq!(
        rig.bond.lacp_status().unwrap().members[0].partner.system,
        PARTNER.parse::<EthAddr>().unwrap()
    );
}
