//! The packet thread against the plain one of `fake`: any frames, any actions, the same results.

mod support;

use std::sync::Arc;

use datapath::{
    Action, Datapath, Layer, Notes, PortNo, SetHeader, TableId, ToController, Upcall,
    UserspaceReason,
};
use datapath_testing::{Fake, memory};
use proptest::prelude::*;
use support::*;
use wire::{EthAddr, FlowKey, FlowMask};

const PORTS: u32 = 4;

fn change() -> impl Strategy<Value = Action> {
    let layers = [Layer::Eth, Layer::Ipv4, Layer::Tcp, Layer::Udp, Layer::SkbMark];
    (prop::sample::select(layers.to_vec()), any::<[u8; 4]>(), 0..4u16, any::<bool>()).prop_map(
        |(layer, address, port, whole)| {
            let mut value =
                FlowKey { tp_dst: port, nw_ttl: port as u8, pkt_mark: 1, ..FlowKey::default() };
            value.eth_dst.0[0] = address[0];
            value.nw_dst[12..].copy_from_slice(&address);
            let none = FlowMask::default();
            let mut mask = match layer {
                Layer::Eth => FlowMask { eth_dst: EthAddr([0xff; 6]), ..none },
                Layer::Ipv4 => FlowMask { nw_ttl: !0, ..none },
                Layer::SkbMark => FlowMask { pkt_mark: !0, ..none },
                _ => FlowMask { tp_dst: !0, ..none },
            };
            if layer == Layer::Ipv4 && whole {
                mask.nw_dst[12..].fill(0xff);
            }
            Action::Set(Box::new(SetHeader { layer, value, mask }))
        },
    )
}

fn to_controller(id: u16) -> Action {
    Action::Controller(Box::new(ToController {
        reason: 1,
        max_len: 0xffff,
        controller_id: id,
        cookie: 0,
        table: 0,
        dont_send: false,
        continuation: false,
        recirc_id: 0,
        userdata: Vec::new(),
        notes: Notes::new(()),
    }))
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => plain(),
        1 => prop::collection::vec(plain(), 0..4).prop_map(|inner| Action::Clone(inner.into())),
    ]
}

fn plain() -> impl Strategy<Value = Action> {
    prop_oneof![
        2 => change(),
        1 => (0..70u32).prop_map(Action::Trunc),
        1 => Just(Action::Drop(0)),
        1 => (0..3u16).prop_map(to_controller),
        4 => (1..=PORTS + 1).prop_map(out),
        2 => any::<u8>().prop_map(|bucket| Action::OutputBucket { table: TABLE, bucket }),
        1 => Just(Action::Gate { table: TABLE }),
        1 => Just(Action::Gate { table: TableId(99) }),
        2 => (prop_oneof![Just(0x8100), Just(0x88a8)], any::<u16>())
            .prop_map(|(tpid, tci)| Action::PushVlan { tpid, tci }),
        2 => Just(Action::PopVlan),
        1 => any::<u32>().prop_map(|basis| Action::HashL4 { basis }),
        1 => (1..4u32).prop_map(Action::Recirc),
        1 => Just(Action::LbOutput { table: TABLE, id: 1 }),
        1 => Just(Action::Userspace(UserspaceReason::Action)),
    ]
}

/// Frames: some well formed, some cut, some with octets changed, some random.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let whole = (0..6u32, 0..40usize, any::<[bool; 4]>()).prop_map(|(n, payload, [a, b, c, d])| {
        let mut f = udp(n, payload);
        if a {
            f = tagged(&f, 0x8100, 0x2005);
        }
        if a && b {
            f = tagged(&f, 0x88a8, 7);
        }
        if c {
            f[0] |= 1;
        }
        if d && !a {
            f[23] = 6;
        }
        f
    });
    let mangled = (whole.clone(), any::<prop::sample::Index>(), any::<u8>(), any::<bool>())
        .prop_map(|(mut f, at, octet, cut)| {
            let at = at.index(f.len());
            if cut {
                // No device hands up less than an Ethernet header.
                f.truncate(at.max(14));
            } else {
                f[at] = octet;
            }
            f
        });
    prop_oneof![3 => whole, 2 => mangled, 1 => prop::collection::vec(any::<u8>(), 0..80)]
}

/// Masks that depend only on what all of them look at, so that flows agree where they overlap.
fn mask(key: &FlowKey) -> FlowMask {
    let all = EthAddr([0xff; 6]);
    match (key.recirc_id, key.in_port) {
        (0, 1) => exact(),
        (0, 2) => FlowMask { eth_src: all, eth_dst: all, ..base() },
        (0, _) => FlowMask { nw_proto: !0, tp_src: !0, ..base() },
        (1, _) => FlowMask { dp_hash: 0xff, ..base() },
        _ => base(),
    }
}

/// Leaves only the first `Recirc`, wherever it is.
fn once(actions: &mut Vec<Action>, seen: &mut bool) {
    actions.retain_mut(|a| match a {
        Action::Recirc(_) => !std::mem::replace(seen, true),
        Action::Clone(inner) => {
            once(Arc::make_mut(inner), seen);
            true
        }
        _ => true,
    });
}

/// What both switches count. The figures of the packet thread's work are the real one's alone.
fn totals(s: &datapath::DatapathStats) -> [u64; 7] {
    [s.hit, s.missed, s.lost, s.flows, s.masks, s.over_limit, s.no_port]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn same_as_the_plain_one(
        lists in prop::collection::vec(prop::collection::vec(action(), 0..6), 1..8),
        frames in prop::collection::vec((1..=PORTS as usize, frame()), 1..150),
        buckets in prop::collection::vec(prop::option::of(1..=PORTS + 1), 256),
        closed in 1..=PORTS,
    ) {
        let translate = move |key: &FlowKey| {
            let mask = mask(key);
            // What a flow does follows from what it matches.
            let sum = key.masked(&mask).words().iter().fold(0u64, |a, w| {
                (a ^ w).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
            });
            // A way through recirculation that grows with every copy would never end.
            let mut actions = lists[(sum % lists.len() as u64) as usize].clone();
            let mut seen = false;
            once(&mut actions, &mut seen);
            translation(&actions, mask)
        };
        let s = Switch::new(PORTS, translate.clone());
        // The same frames all at once: then packets of different flows may change places.
        let bulk = Switch::new(PORTS, translate);
        let fake = Fake::new();
        let plain: Arc<Closure> = Arc::new(Closure {
            translate: Box::new({
                let real = s.upcall.clone();
                move |key| (real.translate)(key)
            }),
            misses: Default::default(),
            up: Default::default(),
            controllers: Default::default(),
        });
        let upcall: Arc<dyn Upcall> = plain.clone();
        fake.set_upcall(upcall);
        for n in 1..=PORTS {
            let (io, _) = memory().expect("an eventfd");
            prop_assert_eq!(fake.port_add("p", Box::new(io), None), Ok(PortNo(n)));
        }
        let mut t = (*table(1, 1)).clone();
        t.buckets = std::array::from_fn(|i| buckets[i].map(PortNo));
        t.ingress = (1..=PORTS)
            .filter(|p| *p != closed)
            .map(|p| (PortNo(p), if p == 2 { datapath::Ingress::Unicast } else { datapath::Ingress::Open }))
            .collect();
        let t = Arc::new(t);
        s.table_publish(TABLE, t.clone());
        bulk.table_publish(TABLE, t.clone());
        fake.table_publish(TABLE, t);

        for (port, f) in &frames {
            fake.receive(PortNo(*port as u32), f);
            s.inject(*port, f);
        }
        for n in 1..=PORTS as usize {
            let mine = frames.iter().filter(|(p, _)| *p == n).map(|(_, f)| f.as_slice());
            bulk.port(n).push_all(mine);
        }
        bulk.settle();
        let mut expected = vec![Vec::new(); PORTS as usize];
        for (port, f) in fake.sent() {
            expected[port.0 as usize - 1].push(f);
        }
        for n in 1..=PORTS as usize {
            let expected = &mut expected[n - 1];
            prop_assert_eq!(&s.sent(n), &*expected, "port {}", n);
            let mut at_once = bulk.sent(n);
            at_once.sort_unstable();
            expected.sort_unstable();
            prop_assert_eq!(&at_once, &*expected, "port {}, all at once", n);
        }
        prop_assert_eq!(&*s.upcall.up.lock().unwrap(), &*plain.up.lock().unwrap());
        prop_assert_eq!(&*s.upcall.controllers.lock().unwrap(), &*plain.controllers.lock().unwrap());
        prop_assert_eq!(s.table_bytes(TABLE), fake.table_bytes(TABLE));
        prop_assert_eq!(bulk.table_bytes(TABLE), fake.table_bytes(TABLE));
        let told = |f: &datapath::FlowHandle| (f.key, f.stats().packets, f.stats().bytes, f.stats().tcp_flags);
        let ours: Vec<_> = s.flows().iter().map(|f| told(f)).collect();
        let theirs: Vec<_> = fake.flows().iter().map(|f| told(f)).collect();
        prop_assert_eq!(ours, theirs);
        // Counters are told every few rounds, and always before sleep.
        wait("counters", || totals(&s.stats()) == totals(&fake.stats()));
    }
}
