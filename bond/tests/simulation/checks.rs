//! What has to hold, after every call and in the end.

use std::collections::BTreeSet;

use bond::monitor::probe::Validate;
use bond::{Admission, BUCKETS, LacpState, MemberId, Mode, OutputRule, PrimaryReselect, Selection};

use crate::world::{DETECTION, Link, Side, World, ms};

/// Holds whatever happens.
pub(crate) fn after_each_call(world: &World, side: Side) {
    let end = &world.ends[&side];
    let Some(table) = end.bond.forwarding() else { return };
    let status = end.bond.status(world.now);
    let id_of = |name: &str| end.config.members.iter().find(|m| m.name == name).map(|m| m.id);
    let enabled: BTreeSet<MemberId> =
        status.members.iter().filter(|m| m.enabled).filter_map(|m| id_of(&m.name)).collect();
    let mut owners: BTreeSet<MemberId> = BTreeSet::new();
    for owner in table.buckets.iter().flatten() {
        if !owners.contains(owner) {
            owners.insert(*owner);
        }
    }

    // Too few members carry nothing.
    if end.config.min_links > 1 && enabled.len() < end.config.min_links as usize {
        assert_eq!(owners.len(), 0, "{side:?}: fewer than bond-min-links");
        assert!(table.admission.iter().all(|a| a.1 == Admission::Closed), "{side:?}");
    }

    // The table is total, and names only those who may send.
    assert!(owners.is_subset(&enabled), "{side:?}: owners {owners:?}, enabled {enabled:?}");
    let owned = table.buckets.iter().flatten().count();
    match table.output {
        OutputRule::Drop => assert_eq!(owned, 0),
        OutputRule::Active => assert_eq!(owned, if enabled.is_empty() { 0 } else { BUCKETS }),
        OutputRule::Slb { .. } | OutputRule::Recirc { .. } | OutputRule::LbOutput { .. } => {
            assert_eq!(owned, if enabled.is_empty() { 0 } else { BUCKETS });
        }
        OutputRule::Select { how, .. } => {
            assert_eq!(owned, if enabled.is_empty() { 0 } else { BUCKETS });
            as_linux_has_it(world, side, how);
        }
    }
    if table.output == OutputRule::Active {
        assert!(owners.len() <= 1, "one active member at most");
    }
    let ids: BTreeSet<u32> = end.ids().into_iter().collect();
    assert_eq!(table.admission.iter().map(|a| a.0.0).collect::<BTreeSet<_>>(), ids);

    // There is an active member if there is an enabled one, and it is enabled.
    let active: Vec<_> = status.members.iter().filter(|m| m.active).collect();
    assert_eq!(active.len(), usize::from(!enabled.is_empty()));
    assert!(active.iter().all(|m| m.enabled));

    for owner in &owners {
        not_dead_too_long(world, side, owner.0, status.lacp_status);
    }
    if status.lacp_status != LacpState::Negotiated && !world.has_partner() {
        at_most_once(world, side);
    }
    if world.calls.is_multiple_of(64) {
        // Neither face may panic, and neither may change anything.
        assert!(status.render_show().starts_with("---- "));
        assert_eq!(end.bond.status(world.now), status);
    }
}

/// The usable members in their order, each with as many of the buckets in use as any other.
fn as_linux_has_it(world: &World, side: Side, how: Selection) {
    let end = &world.ends[&side];
    let status = end.bond.status(world.now);
    let usable: Vec<MemberId> = end
        .config
        .members
        .iter()
        .filter(|m| status.members.iter().any(|s| s.name == m.name && s.enabled))
        .map(|m| m.id)
        .collect();
    let in_use = &end.table().buckets[..how.in_use()];
    match how {
        Selection::Hash { .. } | Selection::RoundRobin { .. } => {
            assert!(usable.is_empty() == in_use.is_empty());
            assert!(usable.is_empty() || in_use.len().is_multiple_of(usable.len()));
        }
        Selection::Tlb { active, .. } => {
            assert!(active.is_none_or(|m| usable.contains(&m)), "{side:?}: rest by {active:?}");
            let own = |(id, mac): &(MemberId, _)| {
                Some(*id) != active
                    && end.config.members.iter().any(|m| m.id == *id && m.mac == *mac)
            };
            assert!(end.table().sources.iter().all(own), "{side:?}: {:?}", end.table().sources);
            if end.config.policy.tlb_dynamic {
                // Any member has any bucket, by load.
                return;
            }
        }
        // One copy by each.
        Selection::Broadcast { .. } => assert_eq!(in_use.len(), usable.len()),
    }
    for (b, member) in in_use.iter().enumerate() {
        assert_eq!(*member, Some(usable[b % usable.len()]), "{side:?}: bucket {b}");
    }
    if let Selection::RoundRobin { igmp, .. } = how {
        assert!(igmp.is_none_or(|m| usable.contains(&m)), "{side:?}: IGMP by {igmp:?}");
    }
}

/// No packet leaves by a member that has been dead for longer than detection and delay allow.
fn not_dead_too_long(world: &World, side: Side, id: u32, lacp: LacpState) {
    let end = &world.ends[&side];
    let by_command = end.by_command.get(&id).map(|&t| t + end.downdelay);
    let excused = |t| by_command.is_some_and(|b| b >= t);
    let Some(link) = world.links.get(&id) else { return };
    if let Some(since) = link.cut {
        let bound = since + ms(DETECTION) + end.downdelay;
        assert!(
            world.now <= bound || excused(world.now),
            "{side:?}: p{id} has had no carrier since {since:?}, and still sends at {:?}",
            world.now
        );
    }
    let probe = &end.config.probe;
    if let Some(since) = link.dead
        && probe.is_on()
        && probe.validate == Validate::All
    {
        // One interval more than the probes that may be missed.
        let silent = probe.interval * (u32::from(probe.missed_max) + 1);
        let bound = since.max(end.probing_since) + silent + end.downdelay;
        assert!(
            world.now <= bound || excused(world.now),
            "{side:?}: the port of p{id} has been dead since {since:?}, and it still sends at {:?}",
            world.now
        );
    }
    if lacp == LacpState::Negotiated {
        // A member that the fallback had enabled may use its downdelay when the fallback ends.
        let heard = end.heard_until.get(&id).copied().max(end.negotiated_since);
        let heard = heard.unwrap_or_default() + end.downdelay;
        assert!(
            world.now <= heard || excused(world.now),
            "{side:?}: p{id} is silent, and still sends at {:?}",
            world.now
        );
    }
}

/// A switch floods a multicast to all members, and one that a member sent back to all others.
fn at_most_once(world: &World, side: Side) {
    let end = &world.ends[&side];
    let table = end.table();
    let hears = |l: &Link| l.cut.is_none() && !l.deaf.contains(&side);
    let hearing = table.admission.iter().filter(|a| world.links.get(&a.0.0).is_some_and(hears));
    let accepts = |a: Admission| match a {
        Admission::Closed | Admission::Unicast | Admission::Once => false,
        Admission::UnlessMoved | Admission::Open => true,
    };
    // The first of the copies that come in by these is the only one.
    let first = hearing.clone().any(|a| a.1 == Admission::Once);
    let once = hearing.clone().filter(|a| accepts(a.1)).count() + usize::from(first);
    // These modes are for switches that group their ports and send a packet once.
    let grouped = matches!(end.config.mode, Mode::BalanceRr | Mode::BalanceXor);
    let several = grouped || end.config.all_members_active && !first;
    assert!(once <= 1 || several, "{side:?}: {once} copies of a multicast");
    // What comes back is dropped by the member's rule, or by the MAC table (`UnlessMoved`).
    for sender in table.buckets.iter().flatten() {
        for (id, admission) in hearing.clone() {
            assert!(
                id == sender || *admission != Admission::Open,
                "{side:?}: sent by {sender:?}, let in again by {id:?}"
            );
        }
    }
}

/// Holds once the faults have stopped and all timers have run.
pub(crate) fn after_it_calmed_down(world: &World) {
    let live = world.live();
    for side in world.sides() {
        let end = &world.ends[&side];
        let status = end.bond.status(world.now);
        let enabled: Vec<String> =
            status.members.iter().filter(|m| m.enabled).map(|m| m.name.clone()).collect();
        let uncut = |id: &u32| end.ids().contains(id) && world.links[id].cut.is_none();
        let expected: Vec<u32> = match (&end.config.lacp, world.has_partner()) {
            (None, _) => world.links.keys().copied().filter(uncut).collect(),
            (Some(_), true) if !live.is_empty() => live.clone(),
            (Some(lacp), _) if end.config.lacp_fallback_ab && !lacp.aggregation.strict => {
                world.links.keys().copied().filter(uncut).collect()
            }
            (Some(_), _) => Vec::new(),
        };
        let names: Vec<String> = expected.iter().map(|id| format!("p{id}")).collect();
        assert_eq!(enabled, names, "{side:?}: who is enabled in the end");

        let in_use = match end.table().output {
            OutputRule::Select { how, .. } => how.in_use(),
            _ => BUCKETS,
        };
        let buckets = &end.table().buckets[..in_use];
        let counts: Vec<usize> = expected
            .iter()
            .map(|&id| buckets.iter().filter(|&&b| b == Some(MemberId(id))).count())
            .collect();
        let (least, most) = (counts.iter().min(), counts.iter().max());
        match end.table().output {
            OutputRule::Drop | OutputRule::Active => {}
            OutputRule::Select { how: Selection::Tlb { .. }, .. } => {
                if !end.moved && counts.len() > 1 {
                    assert!(most <= least.map(|n| n + 1).as_ref(), "{side:?}: uneven {counts:?}");
                }
            }
            OutputRule::Select { .. } => assert_eq!(least, most, "{side:?}: uneven {counts:?}"),
            OutputRule::Slb { .. } | OutputRule::Recirc { .. } | OutputRule::LbOutput { .. } => {
                if !end.moved && counts.len() > 1 {
                    assert!(most <= least.map(|n| n + 1).as_ref(), "{side:?}: uneven {counts:?}");
                }
            }
        }

        if end.config.mode == Mode::ActiveBackup
            && end.config.primary_reselect == PrimaryReselect::Always
            && end.config.failback_limit == 0
            && let Some(primary) = &end.config.primary
            && names.contains(primary)
        {
            let active = status.members.iter().find(|m| m.active).map(|m| &m.name);
            assert_eq!(active, Some(primary), "{side:?}: the primary is back");
        }
    }
}

/// Every member that can carries its part of even traffic.
pub(crate) fn loads_are_spread(world: &World, side: Side) {
    let status = world.ends[&side].bond.status(world.now);
    if status.next_rebalance_ms.is_none() {
        return;
    }
    let loads: Vec<u64> = status
        .members
        .iter()
        .filter(|m| m.enabled)
        .map(|m| m.loads.iter().map(|l| l.1).sum())
        .collect();
    let (Some(&least), Some(&most)) = (loads.iter().min(), loads.iter().max()) else { return };
    assert!(most <= least + least / 8 + 300_000, "{side:?}: loads {loads:?}");
}
