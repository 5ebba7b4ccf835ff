//! The MAC table against a simple model.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use ofproto::mac_table::{BundleId, ExpireCursor, GRATUITOUS_ARP_LOCK, Learn, MacTable, Sweep};
use proptest::prelude::*;
use wire::{EthAddr, Time};

const MAX: usize = 10;
const AGING: Duration = Duration::from_secs(15);

#[derive(Clone, Debug)]
enum Op {
    Learn { mac: u64, vlan: u16, bundle: u64, gratuitous: bool, bond: bool },
    Fix { mac: u64, vlan: u16, bundle: u64 },
    Unfix { mac: u64, vlan: u16 },
    Pass { ms: u64 },
    Expire,
    Flush,
    FlushBundle { bundle: u64 },
}

fn op() -> impl Strategy<Value = Op> {
    let (mac, vlan, bundle) = (0u64..24, 0u16..2, 1u64..5);
    prop_oneof![
        20 => (mac.clone(), vlan.clone(), bundle.clone(), any::<bool>(), any::<bool>()).prop_map(
            |(mac, vlan, bundle, gratuitous, bond)| Op::Learn { mac, vlan, bundle, gratuitous, bond }
        ),
        1 => (mac.clone(), vlan.clone(), bundle.clone())
            .prop_map(|(mac, vlan, bundle)| Op::Fix { mac, vlan, bundle }),
        1 => (mac, vlan).prop_map(|(mac, vlan)| Op::Unfix { mac, vlan }),
        4 => (1u64..6000).prop_map(|ms| Op::Pass { ms }),
        2 => Just(Op::Expire),
        1 => Just(Op::Flush),
        1 => bundle.prop_map(|bundle| Op::FlushBundle { bundle }),
    ]
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Entry {
    bundle: u64,
    used: Time,
    /// Order of the last use.
    turn: usize,
    fixed: bool,
    locked: Time,
}

/// Where everyone is: port by address and VLAN.
type Places = BTreeMap<(u64, u16), u64>;

#[derive(Default)]
struct Model {
    entries: BTreeMap<(u64, u16), Entry>,
    turn: usize,
}

impl Model {
    /// Of the port with most learned addresses, the oldest. Among several such ports the model
    /// has no choice of its own: `after` is where everyone is afterwards.
    fn evict(&mut self, after: &Places) -> bool {
        let mut count: BTreeMap<u64, usize> = BTreeMap::new();
        for e in self.entries.values().filter(|e| !e.fixed) {
            *count.entry(e.bundle).or_default() += 1;
        }
        let Some(most) = count.values().max().copied() else { return false };
        let fullest = count.iter().filter(|(_, n)| **n == most).map(|(b, _)| *b);
        let oldest = |bundle: u64| {
            let here = self.entries.iter().filter(|(_, e)| !e.fixed && e.bundle == bundle);
            here.min_by_key(|(_, e)| e.turn).map(|(k, _)| *k)
        };
        let victims: Vec<_> = fullest.filter_map(oldest).collect();
        let victim = victims.iter().find(|k| !after.contains_key(k)).unwrap_or(&victims[0]);
        self.entries.remove(victim);
        true
    }

    fn apply(&mut self, now: Time, op: &Op, after: &Places) {
        self.turn += 1;
        let turn = self.turn;
        match *op {
            Op::Learn { mac, vlan, bundle, gratuitous, bond } => {
                let lock = gratuitous && !bond;
                let until = now + GRATUITOUS_ARP_LOCK;
                match self.entries.get_mut(&(mac, vlan)) {
                    Some(e) if e.fixed => {}
                    Some(e) => {
                        e.used = now;
                        e.turn = turn;
                        if gratuitous && bond && now < e.locked {
                            return;
                        }
                        if lock {
                            e.locked = until;
                        }
                        e.bundle = bundle;
                    }
                    None => {
                        if self.entries.len() >= MAX && !self.evict(after) {
                            return;
                        }
                        let locked = if lock { until } else { Time::ZERO };
                        let e = Entry { bundle, used: now, turn, fixed: false, locked };
                        self.entries.insert((mac, vlan), e);
                    }
                }
            }
            Op::Fix { mac, vlan, bundle } => {
                if self.entries.remove(&(mac, vlan)).is_none() && self.entries.len() >= MAX {
                    self.evict(after);
                }
                let e = Entry { bundle, used: now, turn, fixed: true, locked: Time::ZERO };
                self.entries.insert((mac, vlan), e);
            }
            Op::Unfix { mac, vlan } => {
                self.entries.retain(|k, e| *k != (mac, vlan) || !e.fixed);
            }
            Op::Pass { .. } => {}
            Op::Expire => {
                while self.entries.len() > MAX && self.evict(after) {}
                self.entries.retain(|_, e| e.fixed || now.since(e.used) < AGING);
            }
            Op::Flush => self.entries.retain(|_, e| e.fixed),
            Op::FlushBundle { bundle } => self.entries.retain(|_, e| e.bundle != bundle),
        }
    }
}

fn run(now: Time, t: &mut MacTable, op: &Op) {
    match *op {
        Op::Learn { mac, vlan, bundle, gratuitous, bond } => {
            let (mac, bundle) = (EthAddr::from_u64(mac << 8), BundleId(bundle));
            t.learn(now, Learn { mac, vlan, bundle, gratuitous, bond, late: false });
        }
        Op::Fix { mac, vlan, bundle } => {
            t.add_fixed(now, EthAddr::from_u64(mac << 8), vlan, BundleId(bundle));
        }
        Op::Unfix { mac, vlan } => {
            t.del_fixed(EthAddr::from_u64(mac << 8), vlan);
        }
        Op::Pass { .. } => {}
        Op::Expire => {
            let mut cursor = ExpireCursor::default();
            while t.expire(now, 3, &mut cursor) {}
        }
        Op::Flush => sweep(t, t.sweep_learned()),
        Op::FlushBundle { bundle } => sweep(t, t.sweep_bundles([BundleId(bundle)])),
    }
}

fn sweep(t: &mut MacTable, mut sweep: Sweep) {
    loop {
        let len = t.len();
        let (gone, more) = t.sweep(&mut sweep, 3);
        assert!(gone.len() <= 3 && t.len() == len - gone.len());
        if !more {
            return;
        }
    }
}

fn table() -> (MacTable, Arc<AtomicU64>) {
    let changes = Arc::new(AtomicU64::new(0));
    let mut t = MacTable::new(changes.clone());
    assert!(!t.configure(AGING, MAX, &BTreeSet::new()), "nothing is to be forgotten");
    (t, changes)
}

fn places(t: &MacTable) -> Places {
    t.slice(0, usize::MAX).0.iter().map(|r| ((r.mac.to_u64() >> 8, r.vlan), r.bundle.0)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn mac_table_behaves_as_the_model(ops in prop::collection::vec(op(), 1..150)) {
        let (mut t, changes) = table();
        let mut model = Model::default();
        let mut now = Time::from_millis(1);
        for op in &ops {
            let before = (places(&t), changes.load(Relaxed));
            run(now, &mut t, op);
            model.apply(now, op, &places(&t));
            if let Op::Pass { ms } = op {
                now = now + Duration::from_millis(*ms);
            }
            let want = model.entries.iter().map(|(k, e)| (*k, e.bundle)).collect();
            prop_assert_eq!(places(&t), want, "after {:?}", op);
            prop_assert_eq!(t.fixed(), model.entries.values().filter(|e| e.fixed).count());
            prop_assert_eq!(t.len(), model.entries.len());
            if places(&t) != before.0 {
                prop_assert!(changes.load(Relaxed) > before.1, "a change goes unnoticed");
            }
            for ((mac, vlan), e) in &model.entries {
                let mac = EthAddr::from_u64(mac << 8);
                prop_assert_eq!(t.lookup(mac, *vlan), Some(BundleId(e.bundle)));
                prop_assert_eq!(t.is_locked(now, mac, *vlan), now < e.locked);
            }
        }
    }
}

fn learn(t: &mut MacTable, now: Time, mac: u64, bundle: u64) {
    let (mac, bundle) = (EthAddr::from_u64(mac << 8), BundleId(bundle));
    let l = Learn { mac, vlan: 0, bundle, gratuitous: false, bond: false, late: false };
    t.learn(now, l);
}

#[test]
fn entry_in_use_outlives_a_flood_on_its_own_port() {
    let (mut t, _) = table();
    let now = Time::from_millis(1000);
    learn(&mut t, now, 0, 1);
    let busy = t.entry(EthAddr::ZERO, 0, BundleId(1)).unwrap();
    for n in 1..1000 {
        let now = now + Duration::from_millis(n);
        busy.touch(now);
        learn(&mut t, now, n, 1);
    }
    assert_eq!(t.lookup(EthAddr::ZERO, 0), Some(BundleId(1)));
    assert_eq!(t.len(), MAX);
    assert_eq!(t.stats().evicted, 1000 - MAX as u64);
}

#[test]
fn late_learning_does_not_move_an_address() {
    let (mut t, _) = table();
    let at = Time::from_millis;
    let mac = EthAddr::from_u64(0xa);
    let l = |bundle, late| Learn {
        mac,
        vlan: 0,
        bundle: BundleId(bundle),
        gratuitous: false,
        bond: false,
        late,
    };
    t.learn(at(100), l(1, false));
    assert!(t.learn(at(90), l(2, true)).is_none());
    assert_eq!(t.lookup(mac, 0), Some(BundleId(1)));
    assert!(t.learn(at(101), l(2, true)).is_some());
    assert_eq!(t.lookup(mac, 0), Some(BundleId(2)));
    assert!(t.learn(at(95), l(1, false)).is_some(), "a packet itself always does");
    assert_eq!(t.lookup(mac, 0), Some(BundleId(1)));
}

#[test]
fn table_full_of_static_addresses_learns_nothing() {
    let (mut t, _) = table();
    for n in 0..MAX as u64 {
        t.add_fixed(Time::ZERO, EthAddr::from_u64(n << 8), 0, BundleId(1));
    }
    learn(&mut t, Time::ZERO, 99, 1);
    assert_eq!((t.len(), t.stats().learned), (MAX, 0));
    t.add_fixed(Time::ZERO, EthAddr::from_u64(0xff00), 0, BundleId(1));
    assert_eq!(t.len(), MAX + 1, "the operator's word counts more than the size");
}
