//! What each bond with probes has to keep, at random.

use std::collections::BTreeMap;

use bond::monitor::probe::{ProbeConfig, Validate};
use bond::{BondConfig, Mode};

use crate::rng::Rng;
use crate::targets::{self, Manner};
use crate::world::{Side, World, ms};
use crate::{delay, member};

const SEEDS: u64 = 12;

fn world(rng: &mut Rng, probe: ProbeConfig) -> World {
    let n = rng.pick(&[2, 2, 3, 4]);
    let near = BondConfig {
        name: "near".to_owned(),
        mode: rng.pick(&[Mode::ActiveBackup, Mode::ActiveBackup, Mode::BalanceSlb]),
        updelay: delay(rng),
        downdelay: delay(rng),
        recirc_id: 1,
        members: (1..=n).map(|i| member(Side::Near, i)).collect(),
        probe,
        ..BondConfig::default()
    };
    let mut world = World::new(near, None);
    world.advance(ms(10_000));
    world
}

fn enabled(world: &World, id: u32) -> bool {
    let status = world.near().bond.status(world.now);
    status.members.iter().any(|m| m.name == format!("p{id}") && m.enabled)
}

fn strict(rng: &mut Rng) -> ProbeConfig {
    ProbeConfig { validate: Validate::All, ..crate::probes(rng) }
}

/// A member with a silent port is disabled within missed-max + 1 intervals and the downdelay, comes
/// back within as many and one more for the answers in a row, and others stay.
#[test]
fn simulation_silent_ports_are_left_and_come_back() {
    for seed in 0..SEEDS {
        let rng = &mut Rng::new(seed);
        let probe = strict(rng);
        let bound = probe.interval * (u32::from(probe.missed_max) + 1);
        let mut world = world(rng, probe);
        let ids: Vec<u32> = world.links.keys().copied().collect();
        for _ in 0..10 {
            let id = rng.pick(&ids);
            let config = world.near().config.clone();
            let at = world.now;
            world.links.get_mut(&id).unwrap().dead = Some(at);
            world.advance(bound + config.downdelay);
            assert!(!enabled(&world, id), "seed {seed}: {}", world.story.join("\n"));
            assert!(ids.iter().all(|i| *i == id || enabled(&world, *i)), "seed {seed}");
            let longer = ms(rng.below(5000));
            world.advance(longer);
            assert!(!enabled(&world, id), "seed {seed}: came back from a dead port");

            world.links.get_mut(&id).unwrap().dead = None;
            world.advance(bound + config.updelay);
            assert!(enabled(&world, id), "seed {seed}: {}", world.story.join("\n"));
            assert!(ids.iter().all(|i| enabled(&world, *i)), "seed {seed}");
            let pause = ms(rng.below(2000));
            world.advance(pause);
        }
        // Each time once down and once up.
        assert_eq!(world.near().verdicts, 20, "seed {seed}: {}", world.story.join("\n"));
    }
}

/// Targets that leave out, or lie in, less than missed-max answers in a row disable no member.
#[test]
fn simulation_targets_below_the_threshold_make_no_member_flap() {
    for seed in 0..SEEDS {
        let rng = &mut Rng::new(seed);
        let probe = strict(rng);
        let interval = probe.interval;
        let (max, all) = (u64::from(probe.missed_max), probe.targets.clone());
        let mut world = world(rng, probe);
        let mut in_a_row = BTreeMap::new();
        for _ in 0..200 {
            for target in &all {
                let missed = in_a_row.entry(*target).or_insert(0);
                let bad = *missed + 1 < max && rng.one_in(2);
                *missed = if bad { *missed + 1 } else { 0 };
                let manner = rng.pick(&[Manner::Silent, Manner::Lies]);
                world.targets.set(*target, if bad { manner } else { Manner::Answers });
            }
            world.advance(interval);
        }
        assert_eq!(world.near().verdicts, 0, "seed {seed}: {}", world.story.join("\n"));
    }
}

/// While one target of a quorum of one answers, the others may do what they like.
#[test]
fn simulation_one_good_target_is_enough() {
    for seed in 0..SEEDS {
        let rng = &mut Rng::new(seed);
        let probe = ProbeConfig {
            targets: (0..3).map(targets::address).collect(),
            quorum: Default::default(),
            ..strict(rng)
        };
        let interval = probe.interval;
        let good = rng.below(3);
        let mut world = world(rng, probe);
        for _ in 0..100 {
            let target = rng.below(3);
            if target != good {
                let manner = rng.pick(&[Manner::Silent, Manner::Lies, Manner::Answers]);
                world.targets.set(targets::address(target), manner);
            }
            world.advance(interval * rng.pick(&[1, 3, 10]));
        }
        assert_eq!(world.near().verdicts, 0, "seed {seed}: {}", world.story.join("\n"));
    }
}
