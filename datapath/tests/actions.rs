//! What each action does to packets, through the real packet thread.

mod support;

use std::sync::Arc;

use datapath::{
    Action, BucketTable, Datapath, Execute, Ingress, Layer, Notes, Packet, PortNo, SetHeader,
    TableId, ToController, Translation, UserspaceReason,
};
use support::*;
use wire::{FlowKey, FlowMask, hash};

/// A switch whose packets from port 1 get `actions`.
fn always(ports: u32, actions: Vec<Action>) -> Switch {
    Switch::new(ports, move |_| translation(&actions, base()))
}

#[test]
fn output_to_several_ports_and_back() {
    let s = always(3, vec![out(2), out(3), out(1)]);
    let frame = udp(1, 20);
    s.inject(1, &frame);
    for port in 1..=3 {
        assert_eq!(s.sent(port), std::slice::from_ref(&frame), "port {port}");
    }
    // Counters are told when the packet thread comes to rest, which is after it answers.
    let sent = Some(frame.len() as u64);
    wait("counters", || s.port_counters(PortNo(2)).map(|c| c.tx_bytes) == sent);
}

#[test]
fn nothing_is_a_drop_and_a_missing_port_is_counted() {
    let s = always(2, vec![]);
    s.inject(1, &udp(1, 20));
    assert_eq!(s.sent(2).len(), 0);
    let s = always(2, vec![out(9), out(2)]);
    s.inject(1, &udp(1, 20));
    assert_eq!(s.sent(2).len(), 1);
    wait("counters", || s.stats().no_port == 1);
}

#[test]
fn a_change_after_output_leaves_what_was_sent_alone() {
    let push = Action::PushVlan { tpid: 0x8100, tci: 0x600a };
    let outer = Action::PushVlan { tpid: 0x88a8, tci: 7 };
    let s = always(
        3,
        vec![out(2), push, out(3), out(2), Action::PopVlan, out(3), outer, out(2), out(3)],
    );
    let plain = udp(1, 20);
    let (tag, stag) = (tagged(&plain, 0x8100, 0x600a), tagged(&plain, 0x88a8, 7));
    s.inject(1, &plain);
    assert_eq!(s.sent(2), [plain.clone(), tag.clone(), stag.clone()]);
    assert_eq!(s.sent(3), [tag, plain, stag]);
}

#[test]
fn pop_without_a_tag_does_nothing() {
    let s = always(2, vec![Action::PopVlan, out(2)]);
    let plain = udp(1, 20);
    s.inject(1, &plain);
    s.inject(1, &tagged(&tagged(&plain, 0x8100, 5), 0x88a8, 6));
    assert_eq!(s.sent(2), [plain.clone(), tagged(&plain, 0x8100, 5)]);
}

#[test]
fn gate_admits_by_port_and_destination() {
    let s = Switch::new(4, |_| {
        let mut mask = base();
        mask.eth_dst = wire::EthAddr([1, 0, 0, 0, 0, 0]);
        translation(&[Action::Gate { table: TABLE }, out(4)], mask)
    });
    let ingress = vec![(PortNo(1), Ingress::Open), (PortNo(2), Ingress::Unicast)];
    let t = BucketTable {
        generation: 1,
        buckets: [None; 256],
        ingress,
        selection: datapath::Selection::DpHash,
        sources: vec![],
    };
    s.table_publish(TABLE, Arc::new(t));
    let unicast = udp(1, 20);
    let mut multicast = unicast.clone();
    multicast[0] |= 1;
    let passed = |port: usize| {
        s.inject(port, &unicast);
        s.inject(port, &multicast);
        s.sent(4).len()
    };
    assert_eq!((passed(1), passed(2), passed(3)), (2, 1, 0));
    s.table_remove(TABLE);
    assert_eq!(passed(1), 0, "a table that is gone admits nothing");
}

#[test]
fn userspace_gets_the_packet_as_it_is_then() {
    let push = Action::PushVlan { tpid: 0x8100, tci: 9 };
    let lacp = Action::Userspace(UserspaceReason::Lacp);
    let s = always(2, vec![push, lacp, out(2)]);
    let frame = udp(1, 20);
    s.inject(1, &frame);
    let tag = tagged(&frame, 0x8100, 9);
    assert_eq!(s.sent(2), std::slice::from_ref(&tag));
    let up = s.upcall.up.lock().unwrap();
    assert_eq!(*up, [(UserspaceReason::Lacp, PortNo(1), tag)]);
}

/// balance-tcp as it is by default: hash, recirculate, one flow for each bucket after that.
fn recirculating(key: &FlowKey) -> Translation {
    if key.recirc_id == 0 {
        return translation(&[Action::HashL4 { basis: 3 }, Action::Recirc(17)], l2());
    }
    let bucket = key.dp_hash as u8;
    let mask = FlowMask { dp_hash: 0xff, ..base() };
    translation(&[Action::OutputBucket { table: TABLE, bucket }], mask)
}

#[test]
fn recirculation_makes_two_flows_with_counters_of_their_own() {
    let s = Switch::new(2, recirculating);
    s.table_publish(TABLE, table(1, 2));
    let frame = udp(1, 20);
    for _ in 0..4 {
        s.inject(1, &frame);
    }
    assert_eq!(s.sent(2).len(), 4);
    let flows = s.flows();
    let what: Vec<_> =
        flows.iter().map(|f| (f.key.recirc_id, f.stats().packets, f.stats().bytes)).collect();
    // The packet that missed is not counted, as in Open vSwitch.
    assert_eq!(what, [(0, 3, 3 * 62), (17, 3, 3 * 62)]);
    let expected = hash::dp_hash_l4(&wire::extract(&frame, 1), 3);
    assert_eq!((flows[1].packet_key.dp_hash, flows[1].key.dp_hash), (expected, expected & 0xff));
    assert_eq!(s.misses(), 2);
    wait("counters", || (s.stats().hit, s.stats().missed) == (6, 2));
    let bytes = s.table_bytes(TABLE).expect("published");
    assert_eq!(bytes[(expected & 0xff) as usize], 4 * 62);
    assert_eq!(bytes.iter().sum::<u64>(), 4 * 62);
}

#[test]
fn lb_output_takes_the_bucket_of_open_vswitch_in_one_pass() {
    let lb = Action::LbOutput { table: TABLE, id: 1 };
    let s = always(2, vec![lb]);
    s.table_publish(TABLE, table(1, 2));
    let mut expected = [0u64; 256];
    for n in 0..300 {
        let frame = udp(n, 20);
        expected[(hash::flow_hash_5tuple(&wire::extract(&frame, 1), 0) & 0xff) as usize] += 62;
        s.port(1).push(&frame);
    }
    s.settle();
    assert_eq!(*s.table_bytes(TABLE).expect("published"), expected);
    assert_eq!((s.sent(2).len(), s.flows().len()), (300, 1));
}

#[test]
fn an_empty_bucket_drops_and_counts_nothing() {
    let s = always(2, vec![Action::OutputBucket { table: TABLE, bucket: 3 }]);
    let mut t = (*table(1, 2)).clone();
    t.buckets[3] = None;
    s.table_publish(TABLE, Arc::new(t));
    s.inject(1, &udp(1, 20));
    assert_eq!((s.sent(2).len(), s.table_bytes(TABLE).expect("published")[3]), (0, 0));
}

#[test]
fn recirculation_ends() {
    let s = always(2, vec![Action::Recirc(5)]);
    s.inject(1, &udp(1, 20));
    wait("counters", || s.stats().lost == 1);
    assert_eq!(s.misses(), 2, "fresh, and with the id that never changes");
}

#[test]
fn actions_after_a_recirculation_see_the_packet_from_before() {
    let s = Switch::new(3, |key| match key.recirc_id {
        0 => translation(&[Action::Recirc(1), out(2)], base()),
        _ => {
            assert_eq!(key.vlan[0].tci, 0);
            let push = Action::PushVlan { tpid: 0x8100, tci: 5 };
            translation(&[push, out(3)], base())
        }
    });
    let frame = udp(1, 20);
    s.inject(1, &frame);
    assert_eq!(s.sent(2), std::slice::from_ref(&frame));
    assert_eq!(s.sent(3), [tagged(&frame, 0x8100, 5)]);
}

#[test]
fn recirculation_looks_at_the_changed_packet() {
    let s = Switch::new(2, |key| match key.recirc_id {
        0 => {
            let push = Action::PushVlan { tpid: 0x8100, tci: 5 };
            translation(&[out(2), push, Action::Recirc(1)], base())
        }
        _ => {
            assert_eq!((key.vlan[0].vid(), key.in_port), (5, 1));
            translation(&[Action::PopVlan, out(2)], base())
        }
    });
    let frame = udp(1, 20);
    s.inject(1, &frame);
    assert_eq!(s.sent(2), [frame.clone(), frame]);
}

#[test]
fn execute_runs_a_packet_of_our_own() {
    let s = Switch::new(2, recirculating);
    s.table_publish(TABLE, table(1, 2));
    let frame = udp(1, 20);
    let hash = [Action::HashL4 { basis: 0 }, Action::Recirc(17)];
    for actions in [vec![out(2)], vec![Action::PushVlan { tpid: 0x8100, tci: 1 }, out(2)]] {
        s.execute(Execute { packet: Packet::new(&frame), in_port: PortNo::NONE, actions });
    }
    let packet = Packet::new(&frame);
    s.execute(Execute { packet, in_port: PortNo(1), actions: hash.to_vec() });
    s.barrier();
    // The barrier is a command of the same round; the flush comes after it.
    s.barrier();
    wait("three frames", || s.port(2).sent_len() == 3);
    assert_eq!(s.sent(2), [frame.clone(), tagged(&frame, 0x8100, 1), frame]);
}

#[test]
fn tables_are_told_apart() {
    let other = TableId(70_000);
    let s = always(
        3,
        vec![
            Action::OutputBucket { table: TABLE, bucket: 0 },
            Action::OutputBucket { table: other, bucket: 0 },
        ],
    );
    s.table_publish(TABLE, table(1, 2));
    s.table_publish(other, table(1, 3));
    s.inject(1, &udp(1, 20));
    assert_eq!((s.sent(2).len(), s.sent(3).len()), (1, 1));
    s.table_publish(other, table(2, 2));
    s.inject(1, &udp(1, 20));
    assert_eq!((s.sent(2).len(), s.sent(3).len()), (2, 0));
    assert_eq!(s.table_bytes(other).map(|b| b[0]), Some(124), "counters outlive a generation");
    assert_eq!(s.table(other).map(|t| t.generation), Some(2));
}

/// `set(ipv4(ttl=..))`.
fn ttl(ttl: u8) -> Action {
    let value = FlowKey { nw_ttl: ttl, ..FlowKey::default() };
    let mask = FlowMask { nw_ttl: !0, ..FlowMask::default() };
    Action::Set(Box::new(SetHeader { layer: Layer::Ipv4, value, mask }))
}

fn controller(id: u16) -> Action {
    Action::Controller(Box::new(ToController {
        reason: 1,
        max_len: 128,
        controller_id: id,
        cookie: 7,
        table: 0,
        dont_send: false,
        continuation: false,
        recirc_id: 0,
        userdata: Vec::new(),
        notes: Notes::new(id),
    }))
}

#[test]
fn a_set_changes_what_comes_after_it() {
    let s = always(3, vec![out(2), ttl(9), out(2), out(3), ttl(8), out(3)]);
    let frame = udp(1, 20);
    s.inject(1, &frame);
    let hops = |port| s.sent(port).iter().map(|f| f[22]).collect::<Vec<u8>>();
    assert_eq!((hops(2), hops(3)), (vec![64, 9], vec![9, 8]));
}

#[test]
fn a_second_look_and_hashes_see_new_headers() {
    let dst = FlowKey { tp_dst: 4242, ..FlowKey::default() };
    let mask = FlowMask { tp_dst: !0, ..FlowMask::default() };
    let change = SetHeader { layer: Layer::Udp, value: dst, mask };
    let mark = SetHeader {
        layer: Layer::SkbMark,
        value: FlowKey { pkt_mark: 5, ..FlowKey::default() },
        mask: FlowMask { pkt_mark: !0, ..FlowMask::default() },
    };
    let (change, mark) = (Action::Set(Box::new(change)), Action::Set(Box::new(mark)));
    let s = Switch::new(2, move |key| match key.recirc_id {
        0 => {
            let hash = Action::HashL4 { basis: 0 };
            translation(&[change.clone(), mark.clone(), hash, Action::Recirc(1)], base())
        }
        _ => {
            assert_eq!((key.tp_dst, key.pkt_mark), (4242, 5));
            translation(&[out(2)], FlowMask { dp_hash: !0, ..base() })
        }
    });
    s.inject(1, &udp(1, 20));
    let sent = s.sent(2);
    let now = wire::extract(&sent[0], 1);
    assert_eq!(now.tp_dst, 4242);
    assert_eq!(s.flows()[1].packet_key.dp_hash, hash::dp_hash_l4(&now, 0));
}

#[test]
fn trunc_cuts_the_next_copy_only() {
    let s = always(3, vec![Action::Trunc(20), out(2), out(3), Action::Trunc(5), out(2)]);
    let frame = udp(1, 50);
    s.inject(1, &frame);
    assert_eq!(s.sent(2), [frame[..20].to_vec(), frame[..14].to_vec()]);
    assert_eq!(s.sent(3), std::slice::from_ref(&frame));
    // A bucket's bytes are those that leave.
    let bucket = Action::OutputBucket { table: TABLE, bucket: 3 };
    let s = always(2, vec![Action::Trunc(30), bucket]);
    s.table_publish(TABLE, table(1, 2));
    s.inject(1, &frame);
    s.inject(1, &udp(1, 0)[..28]);
    assert_eq!(s.table_bytes(TABLE).expect("published")[3], 30 + 28);
}

#[test]
fn a_clone_leaves_the_packet_as_it_was() {
    let push = Action::PushVlan { tpid: 0x8100, tci: 0x1005 };
    let inner = vec![push, ttl(3), out(2), Action::Clone(vec![Action::PopVlan, out(2)].into())];
    let s = always(3, vec![Action::Clone(inner.into()), out(3), Action::Drop(0), out(3)]);
    let frame = udp(1, 20);
    s.inject(1, &frame);
    let sent = s.sent(2);
    assert_eq!((sent[0][12..16].to_vec(), sent[0][26]), (vec![0x81, 0, 0x10, 5], 3));
    assert_eq!((sent[1].len(), sent[1][22]), (frame.len(), 3));
    assert_eq!(s.sent(3), [frame]);
}

#[test]
fn a_controller_gets_the_packet_as_it_is_then() {
    let s = always(2, vec![ttl(7), controller(3), Action::Trunc(24), controller(4), out(2)]);
    let frame = udp(1, 20);
    s.inject(1, &frame);
    let got = s.upcall.controllers.lock().unwrap();
    let told: Vec<_> = got.iter().map(|(id, f, key)| (*id, f.len(), f[22], key.nw_ttl)).collect();
    // Of a packet that is cut in its header, nothing is known beyond Ethernet.
    assert_eq!(told, [(3, frame.len(), 7, 7), (4, 24, 7, 0)]);
    assert_eq!(s.sent(2)[0].len(), frame.len());
}
