//! Writes one message of each kind and version into a folder, to begin fuzzing with:
//! `cargo run -p openflow --example seeds -- fuzz/seeds/openflow`.
//!
//! Each file begins with an octet that the fuzz target takes for the way to speak.

use std::path::Path;

use openflow::action::{Controller, PacketInReason, SetForm};
use openflow::codec::encode;
use openflow::error::ErrorCode;
use openflow::msg::*;
use openflow::{Action, Field, Match, OfError, OfPort, Protocol, Subfield, Version, VersionSet};
use wire::EthAddr;

fn a_match() -> Match {
    let mut m = Match::default();
    m.set(Field::InPort, 3);
    m.set(Field::EthType, 0x800);
    m.set(Field::IpProto, 6);
    m.set_masked(Field::Ipv4Src, 0x0a00_0000, 0xff00_0000);
    m.set(Field::TcpDst, 80);
    m
}

fn actions() -> Vec<Action> {
    let reg = |n, ofs, n_bits| Subfield { field: Field::Reg(n), ofs, n_bits };
    vec![
        Action::SetField { field: Field::Reg(1), value: 5, mask: 0xff, form: SetForm::Load },
        Action::SetField {
            field: Field::Ipv4Dst,
            value: 7,
            mask: 0xffff_ffff,
            form: SetForm::SetField,
        },
        Action::Move { src: reg(0, 0, 16), dst: reg(1, 16, 16), onf: false },
        Action::Push(reg(2, 0, 32)),
        Action::Pop(reg(3, 0, 32)),
        Action::SetEthSrc(EthAddr([2; 6])),
        Action::DecTtl(None),
        Action::DecTtl(Some(vec![1, 2])),
        Action::Resubmit { in_port: OfPort::IN_PORT, table: 4, ct: false, short: false },
        Action::OutputReg { src: reg(0, 0, 16), max_len: 9, form2: false },
        Action::OutputTrunc { port: OfPort(1), max_len: 64 },
        Action::Controller(Controller {
            userdata: vec![1, 2, 3],
            extended: true,
            ..Controller::default()
        }),
        Action::Clone(vec![Action::output(OfPort(2))]),
        Action::Note(vec![1; 6]),
        Action::Enqueue { port: OfPort(1), queue: 2 },
        Action::output(OfPort::NORMAL),
    ]
}

fn instructions() -> Vec<Action> {
    let mut all = actions();
    all.push(Action::WriteActions(vec![Action::output(OfPort(3))]));
    all.push(Action::WriteMetadata { value: 1, mask: 3 });
    all.push(Action::GotoTable(9));
    all
}

fn port() -> PortDesc {
    PortDesc {
        port: OfPort(2),
        hw_addr: EthAddr([2; 6]),
        name: "bond0".into(),
        ..PortDesc::default()
    }
}

fn flow_stats() -> FlowStats {
    FlowStats {
        matching: a_match(),
        cookie: 1,
        table_id: 3,
        priority: 5,
        duration_sec: 1,
        duration_nsec: 2,
        idle_timeout: 3,
        hard_timeout: 4,
        idle_age: Some(5),
        hard_age: Some(6),
        packets: 7,
        bytes: 8,
        importance: 9,
        flags: FlowFlags::SEND_FLOW_REM,
        actions: actions(),
    }
}

fn requests(v: Version, nxm: bool) -> Vec<(&'static str, Body)> {
    let q = FlowStatsRequest {
        nxm,
        matching: a_match(),
        cookie: 1,
        cookie_mask: 3,
        out_port: OfPort::ANY,
        out_group: GROUP_ANY,
        table_id: 255,
    };
    let m = FlowMod {
        matching: a_match(),
        table_id: 3,
        actions: instructions(),
        flags: FlowFlags::SEND_FLOW_REM,
        ..FlowMod::new(FlowModCommand::Add)
    };
    let mut metadata = Match::default();
    metadata.set(Field::InPort, 1);
    let masks = AsyncMasks { packet_in: [3, 4], named: 0x3f, ..AsyncMasks::default() };
    let inner = encode(&Message::new(v, 0x77, Body::FlowMod(m.clone())), Protocol::new(v));
    let queue = QueueRequest { port: OfPort(1), queue: ALL };
    let control = BundleControl { id: 1, typ: BundleOp::Open.wire(false), flags: 3 };
    let monitor = FlowMonitorRequest {
        id: 1,
        command: MonitorCommand::Add,
        flags: monitor_flags::ALL & !monitor_flags::NO_ABBREV,
        out_port: OfPort::ANY,
        out_group: GROUP_ANY,
        table_id: 255,
        matching: a_match(),
    };
    vec![
        ("hello", Body::Hello { versions: VersionSet::ALL, ok: true }),
        ("echo", Body::EchoRequest(vec![1, 2])),
        ("features", Body::FeaturesRequest),
        ("get_config", Body::GetConfigRequest),
        ("set_config", Body::SetConfig(Config { flags: 1, miss_send_len: 128 })),
        ("barrier", Body::BarrierRequest),
        (
            "packet_out",
            Body::PacketOut(PacketOut {
                buffer_id: None,
                metadata,
                actions: actions(),
                packet: vec![1; 60],
            }),
        ),
        ("flow_mod", Body::FlowMod(m)),
        (
            "port_mod",
            Body::PortMod(PortMod {
                port: OfPort(2),
                hw_addr: EthAddr([2; 6]),
                config: 1,
                mask: 1,
                advertise: 2,
            }),
        ),
        (
            "table_mod",
            Body::TableMod(TableMod {
                table_id: 3,
                config: 4,
                eviction: Some(7),
                vacancy: Some(Vacancy { down: 1, up: 2, now: 0 }),
            }),
        ),
        (
            "role",
            Body::RoleRequest(RoleRequest { role: Role::Primary, generation: Some(1), nx: false }),
        ),
        (
            "nx_role",
            Body::RoleRequest(RoleRequest { role: Role::Secondary, generation: None, nx: true }),
        ),
        ("get_async", Body::GetAsyncRequest),
        ("set_async", Body::SetAsync(masks)),
        ("nx_set_async", Body::SetAsync(AsyncMasks { nx: true, ..masks })),
        ("desc", Body::DescRequest),
        ("flow_stats", Body::FlowStatsRequest(q.clone())),
        ("aggregate", Body::AggregateRequest(q)),
        ("table_stats", Body::TableStatsRequest),
        ("table_features", Body::TableFeaturesRequest(vec![])),
        ("table_desc", Body::TableDescRequest),
        ("port_stats", Body::PortStatsRequest(OfPort::ANY)),
        ("port_desc", Body::PortDescRequest(OfPort::ANY)),
        ("monitor", Body::FlowMonitorRequest(vec![monitor])),
        ("monitor_cancel", Body::FlowMonitorCancel(1)),
        ("queue_stats", Body::QueueStatsRequest(queue)),
        ("queue_config", Body::QueueConfigRequest(queue)),
        ("group_stats", Body::GroupStatsRequest(1)),
        ("group_desc", Body::GroupDescRequest(GROUP_ALL)),
        ("group_features", Body::GroupFeaturesRequest),
        ("meter_stats", Body::MeterStatsRequest(METER_ALL)),
        ("meter_config", Body::MeterConfigRequest(1)),
        ("meter_features", Body::MeterFeaturesRequest),
        ("flow_format", Body::SetFlowFormat { nxm: true }),
        ("table_id", Body::FlowModTableId(true)),
        ("packet_in_format", Body::SetPacketInFormat(PacketInFormat::Nxt2)),
        ("flow_age", Body::FlowAge),
        ("controller_id", Body::SetControllerId(5)),
        ("bundle_control", Body::BundleControl(control)),
        (
            "bundle_add",
            Body::BundleAdd(BundleAdd {
                id: 1,
                flags: 3,
                message: inner.map_or(vec![], |mut f| f.remove(0)),
            }),
        ),
    ]
}

fn replies(nxm: bool) -> Vec<(&'static str, Body)> {
    let removed = FlowRemoved {
        nxm,
        matching: a_match(),
        cookie: 1,
        priority: 2,
        reason: FlowRemovedReason::IdleTimeout,
        table_id: 3,
        duration_sec: 4,
        duration_nsec: 5,
        idle_timeout: 6,
        hard_timeout: 7,
        packets: 8,
        bytes: 9,
    };
    let packet = |format| PacketIn {
        format,
        reason: PacketInReason::ACTION,
        table_id: 1,
        cookie: Some(2),
        metadata: a_match(),
        packet: vec![1; 60],
        total_len: 60,
        buffer_id: None,
        userdata: vec![1, 2],
        continuation: vec![3],
    };
    let update = |event| FlowUpdate::Full {
        event,
        table_id: 1,
        priority: 2,
        idle_timeout: 3,
        hard_timeout: 4,
        cookie: 5,
        matching: a_match(),
        actions: actions(),
    };
    let desc =
        TableDesc { table_id: 3, config: 4, eviction: Some(7), vacancy: Some(Vacancy::default()) };
    let error = ErrorMsg {
        error: Some(OfError::BrcBadType),
        code: ErrorCode { vendor: 0, typ: 1, code: 1 },
        data: vec![1; 12],
    };
    let table = TableFeatures {
        table_id: 1,
        command: 0,
        features: 0,
        name: "one".into(),
        metadata_match: 1,
        metadata_write: 2,
        capabilities: 4,
        max_entries: 9,
        properties: vec![(0, vec![0, 1, 0, 4]), (8, vec![])],
    };
    vec![
        ("error", Body::Error(error)),
        ("echo_reply", Body::EchoReply(vec![])),
        (
            "features_reply",
            Body::FeaturesReply(Features {
                datapath_id: 1,
                n_buffers: 0,
                n_tables: 254,
                auxiliary_id: 0,
                capabilities: 0xc7,
                actions: 0xfff,
                ports: vec![port()],
            }),
        ),
        ("config_reply", Body::GetConfigReply(Config::default())),
        ("barrier_reply", Body::BarrierReply),
        ("packet_in", Body::PacketIn(packet(PacketInFormat::Standard))),
        ("packet_in_nxt", Body::PacketIn(packet(PacketInFormat::Nxt))),
        ("packet_in_nxt2", Body::PacketIn(packet(PacketInFormat::Nxt2))),
        ("flow_removed", Body::FlowRemoved(removed)),
        ("port_status", Body::PortStatus(PortStatus { reason: PortReason::Modify, desc: port() })),
        ("table_status", Body::TableStatus(TableStatus { reason: 3, desc })),
        (
            "role_status",
            Body::RoleStatus(RoleStatus { role: Role::Secondary, reason: 0, generation: 1 }),
        ),
        ("desc_reply", Body::DescReply(Desc::default())),
        ("flow_stats_reply", Body::FlowStatsReply { nxm, flows: vec![flow_stats()] }),
        (
            "aggregate_reply",
            Body::AggregateReply { nxm, stats: Aggregate { packets: 1, bytes: 2, flows: 3 } },
        ),
        (
            "table_stats_reply",
            Body::TableStatsReply(vec![TableStats {
                table_id: 1,
                active: 2,
                ..TableStats::default()
            }]),
        ),
        ("table_features_reply", Body::TableFeaturesReply(vec![table])),
        ("table_desc_reply", Body::TableDescReply(vec![desc])),
        ("port_stats_reply", Body::PortStatsReply(vec![PortStats::unknown(OfPort(1))])),
        ("port_desc_reply", Body::PortDescReply(vec![port()])),
        (
            "monitor_reply",
            Body::FlowMonitorReply(vec![
                update(FlowUpdateEvent::Added),
                FlowUpdate::Abbreviated { xid: 1 },
            ]),
        ),
        ("paused", Body::FlowMonitorPaused),
        ("queue_stats_reply", Body::QueueStatsReply(vec![QueueStats::unknown(OfPort(1), 2)])),
        (
            "queue_config_reply",
            Body::QueueConfigReply { port: OfPort(1), queues: vec![(OfPort(1), 2)] },
        ),
        ("group_features_reply", Body::GroupFeaturesReply(GroupFeatures::default())),
        ("meter_features_reply", Body::MeterFeaturesReply(MeterFeatures::default())),
    ]
}

fn main() -> std::io::Result<()> {
    let Some(dir) = std::env::args().nth(1) else {
        eprintln!("usage: seeds FOLDER");
        std::process::exit(2);
    };
    let dir = Path::new(&dir);
    std::fs::create_dir_all(dir)?;
    let plain = Version::ALL.into_iter().map(|v| (Protocol::new(v), 0));
    for (p, choice) in plain.chain([(Protocol::NXM_TID, 3)]) {
        let all = requests(p.version, p.nxm).into_iter().chain(replies(p.nxm));
        for (name, body) in all {
            // What a version cannot say is left out.
            let Ok(parts) = encode(&Message::new(p.version, 0x77, body), p) else { continue };
            let nxm = if p.nxm { "-nxm" } else { "" };
            let file = dir.join(format!("{}{nxm}-{name}", p.version));
            std::fs::write(file, [&[choice][..], &parts[0]].concat())?;
        }
    }
    Ok(())
}
