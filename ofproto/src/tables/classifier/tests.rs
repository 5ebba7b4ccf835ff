//! The classifier against a list that is searched from one end to the other.

use std::sync::Arc;

use openflow::msg::FlowFlags;
use openflow::{Action, Field, Fields, Match, OfPort};
use proptest::prelude::*;
use wire::Time;

use super::Classifier;
use crate::tables::packed::{PackedFlow, PackedMask};
use crate::tables::rule::{Rule, RuleStats};

fn rule(m: &Match, priority: i32, order: u64, actions: Vec<Action>) -> Arc<Rule> {
    let mask = PackedMask::of(&m.mask);
    Arc::new(Rule {
        values: mask.values(&PackedFlow::of(&m.value)),
        mask: Arc::new(mask),
        priority,
        table: 0,
        cookie: 0,
        actions: actions.into(),
        idle: 0,
        hard: 0,
        importance: 0,
        flags: FlowFlags::default(),
        created: Time::ZERO,
        modified: Time::ZERO,
        hidden: false,
        stats: Arc::new(RuleStats::default()),
        order,
        added_at: order,
        changed_at: order,
    })
}

/// What is looked at: few values, so that rules meet packets.
const LOOKS: [(Field, &[u128]); 12] = [
    (Field::InPort, &[0xffff]),
    (Field::Reg(3), &[0xffff_ffff, 0xff]),
    (Field::Metadata, &[0xff]),
    (Field::EthSrc, &[0xffff_ffff_ffff]),
    (Field::VlanTci, &[0x1fff, 0x1000]),
    (Field::EthType, &[0xffff]),
    (Field::Ipv4Src, &[0xffff_ffff, 0xffff_ff00, 0xff00_0000, 0x0000_00ff]),
    (Field::Ipv4Dst, &[0xffff_ffff, 0xffff_0000, 0xfff0_0000]),
    (Field::Ipv6Src, &[u128::MAX, u128::MAX << 64, u128::MAX << 100]),
    (Field::IpProto, &[0xff]),
    (Field::TcpSrc, &[0xffff, 0xfff0, 0x000f]),
    (Field::TcpDst, &[0xffff, 0xff00]),
];

fn value(field: Field, n: u8) -> u128 {
    let n = u128::from(n % 4);
    match field {
        Field::EthType => [0x800, 0x86dd, 0x806, 0x800][n as usize],
        Field::IpProto => [6, 17, 6, 6][n as usize],
        Field::VlanTci => [0, 0x1001, 0x1002, 0x1001][n as usize],
        Field::Ipv4Src => 0x0a01_0200 | n << 20 | n,
        Field::Ipv4Dst => 0xc0a8_0000 | n << 19 | n,
        Field::Ipv6Src => 0x2001 << 112 | n << 90 | n << 50 | n,
        Field::TcpSrc | Field::TcpDst => n << 10 | n << 3 | n,
        _ => n,
    }
}

fn packet(picks: &[u8; 12]) -> Fields {
    let mut f = Fields::default();
    for ((field, _), n) in LOOKS.iter().zip(picks) {
        let v6 = f.key.eth_type == 0x86dd;
        if *field == Field::Ipv6Src && !v6 || *field == Field::Ipv4Src && v6 {
            continue;
        }
        f.set(*field, value(*field, *n));
    }
    f
}

fn matching() -> impl Strategy<Value = Match> {
    prop::collection::vec((0..LOOKS.len(), any::<u8>(), any::<prop::sample::Index>()), 0..4)
        .prop_map(|looks| {
            let mut m = Match::default();
            for (i, n, mask) in looks {
                let (field, masks) = LOOKS[i];
                // Addresses are only looked at in packets that have them.
                match field {
                    Field::Ipv4Src | Field::Ipv4Dst => m.set(Field::EthType, 0x800),
                    Field::Ipv6Src => m.set(Field::EthType, 0x86dd),
                    _ => {}
                }
                m.set_masked(field, value(field, n), masks[mask.index(masks.len())]);
            }
            m
        })
}

fn best<'a>(rules: &'a [(Arc<Rule>, Match)], f: &Fields) -> Option<&'a Arc<Rule>> {
    let met = rules.iter().filter(|(_, m)| m.matches(f)).map(|(r, _)| r);
    met.max_by_key(|r| r.priority)
}

/// `f` with its bits outside `wc` from `other`.
fn elsewhere(f: &Fields, wc: &PackedFlow, other: &PackedFlow) -> Fields {
    let mut all = PackedFlow::of(f);
    for ((a, w), o) in all.0.iter_mut().zip(wc.0).zip(other.0) {
        *a = (*a & w) | (o & !w);
    }
    all.fields()
}

proptest! {
    /// The rule found has the highest priority of those that match, and every packet that agrees
    /// in the bits looked at finds the same.
    #[test]
    fn lookup_finds_highest_priority_for_all_packets_of_its_mask(
        rules in prop::collection::vec((matching(), 0i32..8), 1..40),
        packets in prop::collection::vec(any::<[u8; 12]>(), 1..12),
        gone in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        noise in any::<[u64; 8]>(),
        tries in prop::sample::subsequence(super::DEFAULT_TRIES.to_vec(), 0..=4),
    ) {
        let mut c = Classifier::default();
        let mut model: Vec<(Arc<Rule>, Match)> = Vec::new();
        for (i, (m, priority)) in rules.iter().enumerate() {
            let r = rule(m, *priority, i as u64, Vec::new());
            let at = model.iter().position(|(o, n)| n == m && o.priority == *priority);
            let old = c.insert(r.clone());
            prop_assert_eq!(old.is_some(), at.is_some());
            if let Some(at) = at {
                model.remove(at);
            }
            model.push((r, *m));
        }
        let before = c.clone();
        let kept = model.clone();
        for i in gone {
            if !model.is_empty() {
                let (r, _) = model.remove(i.index(model.len()));
                prop_assert!(c.remove(&r).is_some());
                prop_assert!(c.remove(&r).is_none());
            }
        }
        c.set_tries(&tries);
        c.settle();
        for (c, model) in [(&c, &model), (&before, &kept)] {
            prop_assert_eq!(c.len(), model.len());
            prop_assert_eq!(c.rules().len(), model.len());
            for picks in &packets {
                let f = packet(picks);
                let mut wc = PackedFlow::ZERO;
                let found = find(c, &f, &mut wc);
                let expected = best(model, &f);
                prop_assert_eq!(found.map(|r| r.priority), expected.map(|r| r.priority));
                for (i, other) in packets.iter().enumerate() {
                    let mut other = PackedFlow::of(&packet(other));
                    if i % 2 == 0 {
                        for (n, w) in other.0.iter_mut().enumerate() {
                            *w ^= noise[n % 8].rotate_left(n as u32);
                        }
                    }
                    // Whether a packet has an address at all is always known.
                    wc.0[32] |= 0xffff;
                    let f = elsewhere(&f, &wc, &other);
                    let again = find(c, &f, &mut PackedFlow::ZERO.clone());
                    prop_assert_eq!(again.map(|r| r.order), found.map(|r| r.order));
                }
            }
        }
    }

    /// Which rules a loose request means, and which overlap, is as the matches themselves say.
    #[test]
    fn covered_and_overlapping_rules_are_as_their_matches_say(rules in prop::collection::vec(matching(), 2..20)) {
        let mut c = Classifier::default();
        let made: Vec<_> = rules.iter().enumerate().map(|(i, m)| rule(m, i as i32, i as u64, vec![])).collect();
        for r in &made {
            c.insert(r.clone());
        }
        for (a, m) in made.iter().zip(&rules) {
            prop_assert_eq!(a.matching(), *m);
            let mask = PackedMask::of(&m.mask);
            let mut within: Vec<u64> = c.rules_within(&mask, &a.values).iter().map(|r| r.order).collect();
            within.sort();
            let expected: Vec<u64> = made.iter().zip(&rules)
                .filter(|(_, n)| n.is_narrower(m)).map(|(r, _)| r.order).collect();
            prop_assert_eq!(within, expected);
            for (b, n) in made.iter().zip(&rules) {
                prop_assert_eq!(a.overlaps(b), m.overlaps(n));
            }
        }
    }
}

fn ip(src: u128, bits: u32) -> Match {
    let mut m = Match::default();
    m.set(Field::EthType, 0x800);
    m.set_masked(Field::Ipv4Src, src, u128::from(u32::MAX << (32 - bits)));
    m
}

fn find<'a>(c: &'a Classifier, f: &Fields, wc: &mut PackedFlow) -> Option<&'a Arc<Rule>> {
    c.lookup(f, wc, &mut Vec::new())
}

fn looked_at(c: &Classifier, f: &Fields) -> Match {
    let mut wc = PackedFlow::ZERO;
    find(c, f, &mut wc);
    let mask = wc.fields();
    Match { value: f.masked(&mask), mask }
}

#[test]
fn lookup_does_not_unmask_segments_after_a_mismatch() {
    let mut c = Classifier::default();
    let mut m = ip(0x0a00_0001, 32);
    m.set(Field::InPort, 1);
    c.insert(rule(&m, 1, 0, vec![]));
    let mut f = Fields { in_port: OfPort(2), ..Fields::default() };
    f.set(Field::EthType, 0x800);
    f.set(Field::Ipv4Src, 0x0a00_0001);
    let seen = looked_at(&c, &f);
    assert!(!seen.is_wild(Field::InPort));
    assert!(seen.is_wild(Field::EthType) && seen.is_wild(Field::Ipv4Src));
    f.in_port = OfPort(1);
    f.set(Field::EthType, 0x806);
    let seen = looked_at(&c, &f);
    assert!(!seen.is_wild(Field::EthType) && seen.is_wild(Field::Ipv4Src));
}

#[test]
fn prefix_trie_limits_unmasked_address_bits() {
    let mut c = Classifier::default();
    c.insert(rule(&ip(0x0a01_0203, 32), 2, 0, vec![]));
    c.insert(rule(&ip(0x0b00_0000, 8), 1, 1, vec![]));
    let mut f = Fields::default();
    f.set(Field::EthType, 0x800);
    f.set(Field::Ipv4Src, 0x0a81_0203);
    // 10.129 parts from 10.1 in the ninth bit, which the /8 does not look at.
    assert_eq!(looked_at(&c, &f).get(Field::Ipv4Src).1, 0xff80_0000);
    f.set(Field::Ipv4Src, 0xc000_0001);
    assert_eq!(looked_at(&c, &f).get(Field::Ipv4Src).1, 0x8000_0000);
    let mut emptied = c.emptied();
    c.set_tries(&[]);
    assert_eq!(looked_at(&c, &f).get(Field::Ipv4Src).1, 0xffff_ffff);
    // One without rules has the same tries, and nothing in them.
    emptied.insert(rule(&ip(0x0a01_0203, 32), 1, 0, vec![]));
    assert_eq!(looked_at(&emptied, &f).get(Field::Ipv4Src).1, 0x8000_0000);
    f.set(Field::Ipv4Src, 0x0b00_0001);
    assert_eq!(looked_at(&emptied, &f).get(Field::Ipv4Src).1, 0xff00_0000);
    let mut plain = c.emptied();
    plain.insert(rule(&ip(0x0a01_0203, 32), 1, 0, vec![]));
    assert_eq!(looked_at(&plain, &f).get(Field::Ipv4Src).1, 0xffff_ffff);
}

#[test]
fn port_trie_limits_unmasked_port_bits() {
    let mut c = Classifier::default();
    let mut m = Match::default();
    m.set(Field::EthType, 0x800);
    m.set(Field::IpProto, 6);
    m.set(Field::TcpDst, 80);
    c.insert(rule(&m, 1, 0, vec![]));
    let mut f = m.value;
    f.set(Field::TcpDst, 0xf000);
    assert_eq!(looked_at(&c, &f).get(Field::TcpDst).1, 0x8000);
    f.set(Field::TcpDst, 80);
    assert_eq!(looked_at(&c, &f).get(Field::TcpDst).1, 0xffff);
}

/// Two clauses of two rules each; both met lead on to the rule with the conjunction's number.
#[test]
fn conjunction_matches_when_all_clauses_do() {
    let part = |id, clause, n_clauses| vec![Action::Conjunction { id, clause, n_clauses }];
    let mut c = Classifier::default();
    let mut order = 0;
    let mut add = |c: &mut Classifier, m: &Match, priority, actions| {
        order += 1;
        c.insert(rule(m, priority, order, actions));
        order
    };
    for src in [1, 2] {
        add(&mut c, &ip(src, 32), 10, part(7, 0, 2));
    }
    let to = |port: u128| {
        let mut m = Match::default();
        m.set(Field::EthType, 0x800);
        m.set(Field::IpProto, 6);
        m.set(Field::TcpDst, port);
        m
    };
    for port in [80, 443] {
        add(&mut c, &to(port), 10, part(7, 1, 2));
    }
    let mut by_id = Match::default();
    by_id.set(Field::ConjId, 7);
    let both = add(&mut c, &by_id, 5, vec![]);
    let other = add(&mut c, &Match::default(), 1, vec![]);
    let below = add(&mut c, &ip(2, 32), 3, vec![]);
    let found = |src: u128, port: u128| {
        let mut f = to(port).value;
        f.set(Field::Ipv4Src, src);
        let mut parts = Vec::new();
        let rule = c.lookup(&f, &mut PackedFlow::ZERO.clone(), &mut parts);
        (rule.map(|r| r.order), parts.iter().map(|r| r.order).collect::<Vec<_>>())
    };
    assert_eq!(found(1, 80), (Some(both), vec![1, 3]));
    assert_eq!(found(2, 443), (Some(both), vec![2, 4]));
    assert_eq!(found(3, 80), (Some(other), vec![]));
    assert_eq!(found(1, 22), (Some(other), vec![]));
    // The rule of the same match and a lower priority.
    assert_eq!(found(2, 22), (Some(below), vec![]));
}

#[test]
fn rules_are_listed_in_a_fixed_order() {
    let mut c = Classifier::default();
    for (i, src) in [3, 1, 2].into_iter().enumerate() {
        c.insert(rule(&ip(src, 32), 5, i as u64, vec![]));
    }
    c.insert(rule(&Match::default(), 9, 3, vec![]));
    // One that replaces another counts as new.
    c.insert(rule(&ip(3, 32), 5, 4, vec![]));
    let order: Vec<u64> = c.rules().iter().map(|r| r.order).collect();
    assert_eq!(order, [3, 1, 2, 4]);
}
