//! The codec as a whole: what is written reads back, and nothing that is read can do harm.

mod arbitrary;
mod errors;

use proptest::prelude::*;

use super::{Header, decode, decode_hello, encode};
use crate::action::Action;
use crate::error::OfError;
use crate::field::{Field, Match};
use crate::msg::*;
use crate::ofport::OfPort;
use crate::version::{Protocol, Version, VersionSet};

pub(super) fn round(body: Body, p: Protocol) -> Body {
    let m = Message::new(p.version, 0x1234_5678, body);
    let parts = encode(&m, p).unwrap();
    assert_eq!(parts.len(), 1);
    let header = Header::peek(&parts[0]).unwrap();
    assert_eq!(usize::from(header.len), parts[0].len());
    let back = decode(&parts[0], p).unwrap_or_else(|e| panic!("{e}: {m:?} {:02x?}", parts[0]));
    assert_eq!((back.version, back.xid, back.more), (m.version, m.xid, false));
    back.body
}

fn same(body: Body, p: Protocol) {
    assert_eq!(round(body.clone(), p), body, "{p:?}");
}

/// Every way to speak.
pub(super) fn protocols() -> Vec<Protocol> {
    let mut all: Vec<Protocol> = Version::ALL.into_iter().map(Protocol::new).collect();
    all.push(Protocol { table_id: true, ..Protocol::new(Version::V10) });
    all.push(Protocol { nxm: true, ..Protocol::new(Version::V10) });
    all.push(Protocol::NXM_TID);
    all
}

#[test]
fn plain_message_reads_back() {
    for p in protocols() {
        let v = p.version;
        for body in [
            Body::EchoRequest(vec![1, 2, 3]),
            Body::EchoReply(vec![]),
            Body::FeaturesRequest,
            Body::GetConfigRequest,
            Body::GetConfigReply(Config { flags: 2, miss_send_len: 128 }),
            Body::SetConfig(Config { flags: 0, miss_send_len: 0xffff }),
            Body::BarrierRequest,
            Body::BarrierReply,
            Body::DescRequest,
            Body::TableStatsRequest,
            Body::PortStatsRequest(OfPort::NONE),
            Body::PortStatsRequest(OfPort(3)),
            Body::PortDescRequest(OfPort::ANY),
            Body::FlowModTableId(true),
            Body::SetPacketInFormat(PacketInFormat::Nxt2),
            Body::FlowAge,
            Body::SetControllerId(7),
            Body::RoleRequest(RoleRequest { role: Role::Primary, generation: None, nx: true }),
            Body::RoleReply(RoleRequest { role: Role::Equal, generation: None, nx: true }),
        ] {
            same(body, p);
        }
        if v == Version::V10 {
            same(Body::SetFlowFormat { nxm: true }, p);
        }
        if v >= Version::V12 {
            let q = RoleRequest { role: Role::Secondary, generation: Some(9), nx: false };
            same(Body::RoleRequest(q), p);
            let q = RoleRequest { role: Role::NoChange, generation: None, nx: false };
            same(Body::RoleRequest(q), p);
            same(Body::RoleReply(RoleRequest { generation: None, ..q }), p);
        }
        if v >= Version::V14 {
            let s = RoleStatus { role: Role::Secondary, reason: 0, generation: 4 };
            same(Body::RoleStatus(s), p);
            let desc = TableDesc {
                table_id: 3,
                config: table_config::EVICTION,
                eviction: Some(5),
                vacancy: Some(Vacancy { down: 10, up: 20, now: 30 }),
            };
            same(Body::TableDescReply(vec![desc, TableDesc { eviction: None, ..desc }]), p);
            same(Body::TableStatus(TableStatus { reason: 3, desc }), p);
        }
        let d = Desc {
            manufacturer: "Nicira, Inc.".into(),
            hardware: "x".repeat(255),
            software: String::new(),
            serial: "None".into(),
            datapath: "br0".into(),
        };
        same(Body::DescReply(d), p);
    }
}

#[test]
fn async_config_reads_back() {
    let fixed = AsyncMasks {
        packet_in: [3, 4],
        port_status: [7, 7],
        flow_removed: [15, 0],
        named: 0x3f,
        ..AsyncMasks::default()
    };
    same(Body::SetAsync(AsyncMasks { nx: true, ..fixed }), Protocol::new(Version::V10));
    same(Body::GetAsyncReply(fixed), Protocol::new(Version::V13));
    let some = AsyncMasks {
        packet_in: [1, 2],
        role_status: [0, 3],
        named: 0b1000_0011,
        ..AsyncMasks::default()
    };
    same(Body::SetAsync(some), Protocol::new(Version::V14));
}

fn a_port() -> PortDesc {
    PortDesc {
        port: OfPort(2),
        hw_addr: wire::EthAddr([2, 0, 0, 0, 0, 1]),
        name: "bond0-long-name".into(),
        config: config::PORT_DOWN | config::NO_FWD,
        state: state::LINK_DOWN,
        curr: features::TEN_GB_FD | features::FIBER,
        advertised: features::AUTONEG,
        supported: features::ONE_GB_FD | features::TEN_GB_FD,
        peer: 0,
        curr_speed: 10_000_000,
        max_speed: 10_000_000,
    }
}

#[test]
fn port_message_reads_back() {
    for p in protocols() {
        let mut d = a_port();
        same(
            Body::PortDescReply(vec![d.clone(), PortDesc { port: OfPort::LOCAL, ..d.clone() }]),
            p,
        );
        if p.version > Version::V10 {
            d.state |= state::LIVE;
        }
        same(Body::PortStatus(PortStatus { reason: PortReason::Modify, desc: d.clone() }), p);
        let (ports, actions) = match p.version {
            Version::V10 => (vec![d.clone()], 0xfff),
            Version::V11 | Version::V12 => (vec![d.clone()], 0),
            _ => (vec![], 0),
        };
        same(
            Body::FeaturesReply(Features {
                datapath_id: 0xfedc_ba98_7654_3210,
                n_buffers: 0,
                n_tables: 254,
                auxiliary_id: 0,
                capabilities: Features::FLOW_STATS | Features::PORT_STATS,
                actions,
                ports,
            }),
            p,
        );
        same(
            Body::PortMod(PortMod {
                port: OfPort(2),
                hw_addr: d.hw_addr,
                config: config::PORT_DOWN,
                mask: config::PORT_DOWN | config::NO_FWD,
                advertise: features::ONE_GB_FD,
            }),
            p,
        );
        let mut s = PortStats::unknown(OfPort(2));
        s.rx_packets = 5;
        s.tx_bytes = 7;
        s.collisions = 0;
        if p.version >= Version::V13 {
            s.duration = Some((10, 5_000_000));
        }
        if p.version >= Version::V14 {
            s.custom = vec![("rx_crc".into(), 3), ("x".repeat(255), 4)];
        }
        same(Body::PortStatsReply(vec![s.clone(), s]), p);
    }
}

#[test]
fn table_message_reads_back() {
    for p in protocols() {
        let mut t =
            TableStats { table_id: 254, active: 3, lookups: 4, matched: 5, ..Default::default() };
        if p.version < Version::V13 {
            t.name = "classifier".into();
            t.max_entries = 1_000_000;
        }
        match p.version {
            Version::V10 => t.wildcards = 0x3f_ffff,
            Version::V11 => t.supported = vec![1; 24],
            Version::V12 => t.supported = vec![2; 64],
            _ => {}
        }
        same(Body::TableStatsReply(vec![t.clone(), t]), p);
        if p.version >= Version::V13 {
            same(
                Body::TableFeaturesReply(vec![TableFeatures {
                    table_id: 1,
                    command: 0,
                    features: 0,
                    name: "one".into(),
                    metadata_match: u64::MAX,
                    metadata_write: 1,
                    capabilities: 4,
                    max_entries: 9,
                    properties: vec![(0, vec![0, 1, 0, 4]), (8, vec![])],
                }]),
                p,
            );
        }
        if p.version > Version::V10 {
            let m = TableMod { table_id: 255, config: 2, ..TableMod::default() };
            same(Body::TableMod(m), p);
            if p.version >= Version::V14 {
                let vacancy = Some(Vacancy { down: 10, up: 20, now: 0 });
                same(Body::TableMod(TableMod { eviction: Some(1), vacancy, ..m }), p);
                let upside_down = Some(Vacancy { down: 20, up: 10, now: 0 });
                let m = Message::new(
                    p.version,
                    1,
                    Body::TableMod(TableMod { vacancy: upside_down, ..m }),
                );
                let octets = encode(&m, p).unwrap().remove(0);
                assert_eq!(decode(&octets, p), Err(OfError::BpcBadValue));
            }
        }
    }
}

#[test]
fn bundle_message_reads_back() {
    for v in [Version::V13, Version::V14, Version::V15] {
        let p = Protocol::new(v);
        let typ = BundleOp::Commit.wire(false);
        assert_eq!(BundleOp::from_wire(typ + 1), Some((BundleOp::Commit, true)));
        same(Body::BundleControl(BundleControl { id: 7, typ, flags: bundle_flags::ATOMIC }), p);
        let inner = encode(&Message::new(v, 0x1234_5678, Body::BarrierRequest), p).unwrap();
        let add = BundleAdd { id: 7, flags: bundle_flags::ORDERED, message: inner[0].clone() };
        let octets =
            encode(&Message::new(v, 0x1234_5678, Body::BundleAdd(add.clone())), p).unwrap();
        assert_eq!(decode(&octets[0], p).unwrap().body, Body::BundleAdd(add));
        // The inner message's version, length and number.
        let at = octets[0].len() - 8;
        for (offset, error) in
            [(0, OfError::BfcBadVersion), (2, OfError::BfcMsgBadLen), (7, OfError::BfcMsgBadXid)]
        {
            let mut bad = octets[0].clone();
            bad[at + offset] ^= 0x40;
            assert_eq!(decode(&bad, p), Err(error));
        }
    }
}

#[test]
fn flow_monitor_message_reads_back() {
    use monitor_flags::{ADD, DELETE, INITIAL, OWN};
    for p in protocols() {
        let mut matching = Match::default();
        matching.set(Field::InPort, 3);
        let mut q = FlowMonitorRequest {
            id: 9,
            command: MonitorCommand::Add,
            flags: INITIAL | ADD | DELETE | OWN,
            out_port: OfPort(4),
            out_group: GROUP_ANY,
            table_id: 255,
            matching,
        };
        let full = |event| FlowUpdate::Full {
            event,
            table_id: 3,
            priority: 7,
            idle_timeout: 1,
            hard_timeout: 2,
            cookie: 5,
            matching,
            actions: vec![Action::output(OfPort(1))],
        };
        let mut updates = vec![
            full(FlowUpdateEvent::Added),
            full(FlowUpdateEvent::Deleted(FlowRemovedReason::Delete)),
            full(FlowUpdateEvent::Modified),
            FlowUpdate::Abbreviated { xid: 77 },
        ];
        same(Body::FlowMonitorRequest(vec![q.clone()]), p);
        if p.version >= Version::V14 {
            q.command = MonitorCommand::Modify;
            q.out_group = 3;
            same(Body::FlowMonitorRequest(vec![q.clone()]), p);
            updates.extend([
                full(FlowUpdateEvent::Initial),
                FlowUpdate::Paused,
                FlowUpdate::Resumed,
            ]);
        } else {
            same(Body::FlowMonitorCancel(8), p);
            same(Body::FlowMonitorPaused, p);
        }
        same(Body::FlowMonitorReply(updates), p);
        // Instructions only where there is a place for them.
        let FlowUpdate::Full { actions, .. } = full(FlowUpdateEvent::Added) else { panic!() };
        let more = [&actions[..], &[Action::WriteMetadata { value: 1, mask: 1 }]].concat();
        let update = FlowUpdate::Full {
            event: FlowUpdateEvent::Added,
            table_id: 3,
            priority: 7,
            idle_timeout: 1,
            hard_timeout: 2,
            cookie: 5,
            matching,
            actions: more.clone(),
        };
        if p.version > Version::V10 {
            let Body::FlowMonitorReply(back) = round(Body::FlowMonitorReply(vec![update]), p)
            else {
                panic!()
            };
            let FlowUpdate::Full { actions: back, .. } = &back[0] else { panic!() };
            assert_eq!(*back, if p.version >= Version::V13 { more } else { actions });
        }
        q.flags = INITIAL;
        let octets = encode(&Message::new(p.version, 1, Body::FlowMonitorRequest(vec![q])), p);
        assert_eq!(decode(&octets.unwrap()[0], p), Err(OfError::MofcBadFlags));
    }
}

#[test]
fn queue_group_and_meter_message_reads_back() {
    for p in protocols() {
        let q = QueueRequest { port: OfPort::ANY, queue: ALL };
        same(Body::QueueStatsRequest(q), p);
        same(Body::QueueStatsRequest(QueueRequest { port: OfPort(3), queue: 7 }), p);
        same(Body::QueueConfigRequest(QueueRequest { port: OfPort(3), queue: ALL }), p);
        let mut stats = QueueStats::unknown(OfPort(3), 7);
        stats.tx_packets = 5;
        if p.version >= Version::V13 {
            stats.duration = Some((3, 4));
        }
        same(Body::QueueStatsReply(vec![stats, stats]), p);
        let port = if p.version >= Version::V14 { OfPort::ANY } else { OfPort(3) };
        let queues = vec![(OfPort(3), 0), (OfPort(3), 9)];
        same(Body::QueueConfigReply { port, queues }, p);
        same(Body::GroupStatsRequest(5), p);
        same(Body::GroupDescRequest(GROUP_ALL), p);
        same(Body::GroupFeaturesRequest, p);
        let f =
            GroupFeatures { types: 15, capabilities: 7, max_groups: [1, 2, 3, 4], actions: [5; 4] };
        same(Body::GroupFeaturesReply(f), p);
        if p.version >= Version::V13 {
            same(Body::MeterStatsRequest(METER_ALL), p);
            same(Body::MeterConfigRequest(3), p);
            same(Body::MeterFeaturesRequest, p);
            let m = MeterFeatures {
                max_meters: 1,
                band_types: 2,
                capabilities: 15,
                max_bands: 8,
                max_color: 0,
            };
            same(Body::MeterFeaturesReply(m), p);
        }
    }
}

/// More flows than fit into one message become several, of which all but the last say so.
#[test]
fn long_multipart_reply_is_split() {
    let flow = FlowStats {
        matching: Match::default(),
        cookie: 1,
        table_id: 0,
        priority: 5,
        duration_sec: 1,
        duration_nsec: 0,
        idle_timeout: 0,
        hard_timeout: 0,
        idle_age: None,
        hard_age: None,
        packets: 1,
        bytes: 60,
        importance: 0,
        flags: FlowFlags::default(),
        actions: vec![Action::output(OfPort(1))],
    };
    for p in protocols() {
        let flows: Vec<FlowStats> =
            (0..2000).map(|cookie| FlowStats { cookie, ..flow.clone() }).collect();
        let nxm = p.nxm;
        let body = Body::FlowStatsReply { nxm, flows: flows.clone() };
        let parts = encode(&Message::new(p.version, 1, body), p).unwrap();
        assert!(parts.len() > 1);
        let mut got = Vec::new();
        for (i, part) in parts.iter().enumerate() {
            let m = decode(part, p).unwrap();
            assert_eq!(m.more, i + 1 < parts.len());
            let Body::FlowStatsReply { flows, .. } = m.body else { panic!("{:?}", m.body) };
            got.extend(flows);
        }
        assert_eq!(got, flows);
        same(Body::FlowStatsReply { nxm, flows: vec![] }, p);
    }
}

#[test]
fn message_beyond_65535_octets_is_not_encoded() {
    let p = Protocol::new(Version::V13);
    let m = Message::new(p.version, 1, Body::EchoRequest(vec![0; 65528]));
    assert!(encode(&m, p).is_err());
    let m = Message::new(p.version, 1, Body::EchoRequest(vec![0; 65527]));
    assert_eq!(encode(&m, p).unwrap()[0].len(), 65535);
    let m = Message::new(Version::V10, 1, Body::GetAsyncRequest);
    assert!(encode(&m, p).is_err());
}

#[test]
fn hello_names_versions_as_bitmap() {
    let us: VersionSet = [Version::V10, Version::V13].into_iter().collect();
    let p = Protocol::new(Version::V13);
    let body = Body::Hello { versions: us, ok: true };
    same(body.clone(), p);
    // A version that nobody knows can still be spoken down to.
    let mut octets = encode(&Message::new(Version::V13, 1, body), p).unwrap().remove(0);
    octets[0] = 0x63;
    assert_eq!(decode_hello(&octets), Ok((us, true)));
    assert_eq!(decode_hello(&octets[..8]), Ok((VersionSet::up_to(0x63), true)));
    // Broken elements: the version counts.
    octets[10] = 0xff;
    assert_eq!(decode_hello(&octets), Ok((VersionSet::up_to(0x63), false)));
    octets[10] = 0;
    octets[9] = 2;
    assert_eq!(decode_hello(&octets), Ok((VersionSet::up_to(0x63), false)));
    octets[9] = 1;
    octets[12..].fill(0);
    assert_eq!(decode_hello(&octets), Ok((VersionSet::up_to(0x63), false)));
    // 1.0 alone needs no bitmap.
    let old = Body::Hello { versions: VersionSet::one(Version::V10), ok: true };
    let old = encode(&Message::new(Version::V10, 1, old), p).unwrap().remove(0);
    assert_eq!(old.len(), 8);
}

#[test]
fn error_message_reads_back() {
    for p in protocols() {
        for e in OfError::ALL {
            let msg = ErrorMsg::reply(*e, &[1, 2, 3]);
            let Body::Error(back) = round(Body::Error(msg), p) else { panic!() };
            let sent = e.sendable(p.version);
            assert_eq!(back.code, sent.code(p.version).unwrap());
            assert_eq!(back.data, [1, 2, 3]);
        }
    }
    assert_eq!(ErrorMsg::reply(OfError::BrcBadType, &[0; 100]).data.len(), 100);
    assert_eq!(ErrorMsg::reply(OfError::BrcBadType, &[0; 65535]).data.len(), 65511);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// A match reads back as it was written, wherever it can be written.
    #[test]
    fn any_match_reads_back(m in arbitrary::matching(), p in arbitrary::protocol()) {
        if arbitrary::expressible(&m, p) {
            let q = FlowStatsRequest {
                nxm: p.nxm,
                matching: m,
                cookie: 0,
                cookie_mask: 0,
                out_port: OfPort::ANY,
                out_group: GROUP_ANY,
                table_id: 255,
            };
            same(Body::FlowStatsRequest(q.clone()), p);
            same(Body::AggregateRequest(q), p);
        }
    }

    /// An action that a version has reads back; any other becomes something that stays the same
    /// from then on.
    #[test]
    fn any_actions_read_back_or_become_stable(actions in prop::collection::vec(arbitrary::action(), 0..5), p in arbitrary::protocol()) {
        let body = |actions| Body::PacketOut(PacketOut {
            buffer_id: None,
            metadata: arbitrary::in_port(OfPort(1)),
            actions,
            packet: vec![1; 20],
        });
        if actions.iter().all(|a| arbitrary::native(a, p.version)) {
            same(body(actions), p);
        } else {
            let Body::PacketOut(once) = round(body(actions), p) else { panic!() };
            same(Body::PacketOut(once), p);
        }
    }

    #[test]
    fn any_flow_mod_reads_back(mut f in arbitrary::flow_mod(), p in arbitrary::protocol()) {
        // What 1.0 makes of "goto_table" may not stand after it.
        if p.version == Version::V10 {
            f.actions.retain(|a| !matches!(a, Action::WriteMetadata { .. }));
        }
        let Body::FlowMod(once) = round(Body::FlowMod(f), p) else { panic!() };
        same(Body::FlowMod(once), p);
    }

    /// Whatever comes is read or refused.
    #[test]
    fn random_octets_are_read_or_refused(mut octets in prop::collection::vec(any::<u8>(), 8..300), p in arbitrary::protocol(), v in 1u8..7, t in 0u8..36) {
        octets[0] = v;
        octets[1] = t;
        let len = octets.len() as u16;
        octets[2..4].copy_from_slice(&len.to_be_bytes());
        let _ = decode(&octets, p);
        let _ = decode_hello(&octets);
    }

    /// So is a message in which some octets are others, or which ends too soon.
    #[test]
    fn damaged_message_is_read_or_refused(
        f in arbitrary::flow_mod(),
        p in arbitrary::protocol(),
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let m = Message::new(p.version, 1, Body::FlowMod(f));
        let mut octets = encode(&m, p).unwrap().remove(0);
        for (at, v) in hits {
            let at = 8 + at.index(octets.len() - 8);
            octets[at] = v;
        }
        let _ = decode(&octets, p);
        octets.truncate(8 + cut.index(octets.len() - 8));
        let len = octets.len() as u16;
        octets[2..4].copy_from_slice(&len.to_be_bytes());
        let _ = decode(&octets, p);
    }
}
