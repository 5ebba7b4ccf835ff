//! What the switch tells of itself.

use openflow::codec::Kind;
use openflow::msg::{
    ALL, Config, Desc, Features, GROUP_ALL, METER_ALL, PortDesc, QueueRequest, QueueStats,
    TableFeatures, TableMod, table_config,
};

use super::*;

#[test]
fn features_request_is_answered_for_each_version() {
    for v in Version::ALL {
        let mut s = Script::up(v, ConnKind::Service);
        let ports = vec![s.port(1), Port { live: false, ..s.port(0xfffe) }];
        s.set_ports(ports);
        let Body::FeaturesReply(f) = s.ask(Body::FeaturesRequest) else { panic!() };
        assert_eq!((f.datapath_id, f.n_buffers, f.n_tables), (0xfedc_ba98_7654_3210, 0, 254));
        let names: Vec<&str> = f.ports.iter().map(|p| p.name.as_str()).collect();
        match v {
            Version::V10 => assert_eq!((f.capabilities, f.actions), (0xc7, 0xfff)),
            Version::V11 => assert_eq!(f.capabilities, 0xcf),
            Version::V12 | Version::V13 => assert_eq!(f.capabilities, 0x4f),
            Version::V14 | Version::V15 => assert_eq!(f.capabilities, 0x24f),
        }
        let shown = if v < Version::V13 { vec!["p1", "p65534"] } else { vec![] };
        assert_eq!(names, shown);
        assert_eq!(f.capabilities & Features::FLOW_STATS, 1);
    }
}

#[test]
fn switch_config_is_set_and_read_back() {
    let mut s = Script::up(Version::V10, ConnKind::Service);
    let get = |s: &mut Script| match s.ask(Body::GetConfigRequest) {
        Body::GetConfigReply(c) => (c.flags, c.miss_send_len),
        other => panic!("{other:?}"),
    };
    assert_eq!(get(&mut s), (0, 0));
    s.silent(Body::SetConfig(Config { flags: 1, miss_send_len: 128 }));
    assert_eq!(get(&mut s), (1, 128));
    // Nobody puts fragments together: that stays as it was.
    s.silent(Body::SetConfig(Config { flags: 2, miss_send_len: 64 }));
    assert_eq!(get(&mut s), (1, 64));
    assert_eq!(get(&mut Script::up(Version::V10, ConnKind::Primary)), (0, 128));
    let mut s = Script::up(Version::V12, ConnKind::Primary);
    s.silent(Body::SetConfig(Config { flags: 4, miss_send_len: 9 }));
    assert_eq!(get(&mut s), (4, 9));
}

#[test]
fn description_request_gives_the_configured_texts() {
    let mut s = Script::up(Version::V14, ConnKind::Service);
    let desc = Desc {
        manufacturer: "Nicira, Inc.".into(),
        hardware: "Open vSwitch".into(),
        software: "9.9.9".into(),
        serial: "None".into(),
        datapath: "None".into(),
    };
    assert_eq!(s.ask(Body::DescRequest), Body::DescReply(desc));
}

#[test]
fn port_requests_list_ports_and_counters() {
    for v in Version::ALL {
        let mut s = Script::up(v, ConnKind::Service);
        let ports = vec![s.port(1), s.port(2)];
        s.set_ports(ports);
        let mut known = PortStats::unknown(OfPort(1));
        known.rx_packets = 5;
        s.lab.counters.insert(OfPort(1), known.clone());
        s.wait(1500);
        let Body::PortStatsReply(all) = s.ask(Body::PortStatsRequest(OfPort::ANY)) else {
            panic!()
        };
        assert_eq!(all.len(), 2);
        assert_eq!((all[0].port, all[0].rx_packets), (OfPort(1), 5));
        assert_eq!(all[1].rx_packets, u64::MAX);
        let told = if v >= Version::V13 { Some((1, 500_000_000)) } else { None };
        assert_eq!(all[0].duration, told);
        let Body::PortStatsReply(one) = s.ask(Body::PortStatsRequest(OfPort(2))) else { panic!() };
        assert_eq!(one.len(), 1);
        let Body::PortStatsReply(none) = s.ask(Body::PortStatsRequest(OfPort(9))) else { panic!() };
        assert_eq!(none, []);
        let Body::PortDescReply(all) = s.ask(Body::PortDescRequest(OfPort::ANY)) else { panic!() };
        let names: Vec<&str> = all.iter().map(|p: &PortDesc| p.name.as_str()).collect();
        assert_eq!(names, ["p1", "p2"]);
    }
}

#[test]
fn queue_group_and_meter_requests_give_empty_answers() {
    for v in Version::ALL {
        let mut s = Script::up(v, ConnKind::Service);
        let ports = vec![s.port(1)];
        s.set_ports(ports);
        let q = |port, queue| QueueRequest { port: OfPort(port), queue };
        let any = OfPort::ANY.0;
        assert_eq!(s.ask(Body::QueueStatsRequest(q(any, ALL))), Body::QueueStatsReply(vec![]));
        assert_eq!(s.ask(Body::QueueStatsRequest(q(1, ALL))), Body::QueueStatsReply(vec![]));
        assert_eq!(s.refused(Body::QueueStatsRequest(q(1, 7))), OfError::QofcBadQueue);
        assert_eq!(s.refused(Body::QueueStatsRequest(q(any, 7))), OfError::QofcBadQueue);
        assert_eq!(s.refused(Body::QueueStatsRequest(q(9, ALL))), OfError::QofcBadPort);
        let Body::QueueConfigReply { queues, .. } = s.ask(Body::QueueConfigRequest(q(1, ALL)))
        else {
            panic!()
        };
        assert_eq!(queues, []);
        assert_eq!(s.refused(Body::QueueConfigRequest(q(9, ALL))), OfError::QofcBadPort);
        assert!(matches!(s.ask(Body::GroupStatsRequest(GROUP_ALL)), Body::Raw { .. }));
        assert!(matches!(s.ask(Body::GroupDescRequest(GROUP_ALL)), Body::Raw { .. }));
        assert!(matches!(s.ask(Body::GroupFeaturesRequest), Body::GroupFeaturesReply(_)));
        if v >= Version::V13 {
            assert!(matches!(s.ask(Body::MeterStatsRequest(METER_ALL)), Body::Raw { .. }));
            assert_eq!(s.refused(Body::MeterStatsRequest(3)), OfError::MmfcUnknownMeter);
            assert!(matches!(s.ask(Body::MeterFeaturesRequest), Body::MeterFeaturesReply(_)));
        }
    }
}

#[test]
fn queue_requests_list_configured_queues() {
    for v in Version::ALL {
        let mut s = Script::up(v, ConnKind::Service);
        s.lab.queues = vec![0];
        let ports = vec![s.port(1), s.port(2)];
        s.set_ports(ports);
        let q = |port, queue| QueueRequest { port: OfPort(port), queue };
        let unknown = |port| QueueStats::unknown(OfPort(port), 0);
        let all = s.ask(Body::QueueStatsRequest(q(OfPort::ANY.0, ALL)));
        assert_eq!(all, Body::QueueStatsReply(vec![unknown(1), unknown(2)]));
        let one = s.ask(Body::QueueStatsRequest(q(2, 0)));
        assert_eq!(one, Body::QueueStatsReply(vec![unknown(2)]));
        assert_eq!(s.refused(Body::QueueStatsRequest(q(2, 1))), OfError::QofcBadQueue);
        let Body::QueueConfigReply { queues, .. } = s.ask(Body::QueueConfigRequest(q(1, ALL)))
        else {
            panic!()
        };
        assert_eq!(queues, [(OfPort(1), 0)]);
    }
}

#[test]
fn table_requests_list_all_tables() {
    for v in Version::ALL {
        let mut s = Script::up(v, ConnKind::Service);
        let sent = s.tell(ME, Body::TableStatsRequest);
        let all: Vec<_> = sent
            .into_iter()
            .flat_map(|(_, _, m)| match m.body {
                Body::TableStatsReply(t) => t,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(all.len(), 254);
        assert_eq!(all[253].table_id, 253);
        match v {
            Version::V10 => assert_eq!(all[0].wildcards, 0x3f_ffff),
            Version::V11 => assert_eq!(all[0].supported.len(), 24),
            Version::V12 => assert_eq!(all[0].supported.len(), 64),
            _ => {}
        }
    }
}

fn table_features(s: &mut Script, body: Body) -> Result<Vec<TableFeatures>, OfError> {
    let mut all = Vec::new();
    for (_, _, m) in s.tell(ME, body) {
        match m.body {
            Body::TableFeaturesReply(t) => all.extend(t),
            Body::Error(e) => return Err(e.error.unwrap()),
            other => panic!("{other:?}"),
        }
    }
    Ok(all)
}

#[test]
fn table_names_are_set_by_table_features() {
    let mut s = Script::up(Version::V13, ConnKind::Service);
    let all = table_features(&mut s, Body::TableFeaturesRequest(vec![])).unwrap();
    assert_eq!(all.len(), 254);
    // 1.3 replaces all of them, in as many messages as it takes.
    let mut named = all.clone();
    named[3].name = "three".into();
    let p = s.protocols[&ME];
    let parts = encode(&Message::new(p.version, 0x77, Body::TableFeaturesRequest(named)), p);
    let parts = parts.unwrap();
    assert!(parts.len() > 1);
    let mut sent = Vec::new();
    for part in parts {
        assert_eq!(sent, []);
        sent = s.raw(ME, &part);
    }
    assert!(sent.iter().all(|(_, _, m)| matches!(m.body, Body::TableFeaturesReply(_))));
    // One table alone is not all of them.
    let one = Body::TableFeaturesRequest(vec![all[3].clone()]);
    assert_eq!(table_features(&mut s, one), Err(OfError::TffcEperm));
    // 1.5 can change one.
    let mut s = Script::up(Version::V15, ConnKind::Service);
    let all = table_features(&mut s, Body::TableFeaturesRequest(vec![])).unwrap();
    let one = TableFeatures { command: 1, name: "five".into(), ..all[5].clone() };
    let all = table_features(&mut s, Body::TableFeaturesRequest(vec![one.clone()])).unwrap();
    assert_eq!(all[5].name, "five");
    let twice = Body::TableFeaturesRequest(vec![one.clone(), one.clone()]);
    assert_eq!(table_features(&mut s, twice), Err(OfError::NxTffcDupTable));
    let larger = TableFeatures { max_entries: 7, ..one.clone() };
    let larger = Body::TableFeaturesRequest(vec![larger]);
    assert_eq!(table_features(&mut s, larger), Err(OfError::TffcEperm));
    // An instruction that there is not.
    let mut able = one;
    able.properties[0].1.extend([0, 99, 0, 4]);
    let able = Body::TableFeaturesRequest(vec![able]);
    assert_eq!(table_features(&mut s, able), Err(OfError::TffcEperm));
}

#[test]
fn table_mod_is_read_back_by_table_desc() {
    let mut s = Script::up(Version::V14, ConnKind::Service);
    let m = TableMod { table_id: 3, config: table_config::EVICTION, ..TableMod::default() };
    s.silent(Body::TableMod(m));
    let Body::TableDescReply(all) = s.ask(Body::TableDescRequest) else { panic!() };
    assert_eq!((all[2].config, all[3].config), (0, table_config::EVICTION));
    assert_eq!(all[3].vacancy, None);
}

/// A request in parts: those without a body may come, others must be of one kind.
#[test]
fn multipart_request_in_parts_is_joined_or_refused() {
    let mut s = Script::up(Version::V13, ConnKind::Service);
    let part = |stat: u8, more: u8, body: &[u8]| {
        let mut f = vec![4, 18, 0, 16 + body.len() as u8, 0, 0, 0, 0x77, 0, stat, 0, more];
        f.extend([0; 4]);
        f.extend(body);
        f
    };
    // Port statistics with an empty part first.
    let any = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];
    assert_eq!(s.raw(ME, &part(4, 1, &[])), []);
    let sent = s.raw(ME, &part(4, 0, &any));
    assert!(matches!(sent[0].2.body, Body::PortStatsReply(_)), "{sent:?}");
    let refused = |sent: Sent| match &sent[0].2.body {
        Body::Error(e) => e.error,
        other => panic!("{other:?}"),
    };
    // Another kind in between.
    assert_eq!(s.raw(ME, &part(4, 1, &any)), []);
    assert_eq!(refused(s.raw(ME, &part(0, 0, &[]))), Some(OfError::BrcBadStat));
    // Two bodies where there can be one.
    assert_eq!(s.raw(ME, &part(4, 1, &any)), []);
    assert_eq!(refused(s.raw(ME, &part(4, 0, &any))), Some(OfError::BrcBadStat));
    // None at all.
    assert_eq!(s.raw(ME, &part(4, 1, &[])), []);
    assert_eq!(refused(s.raw(ME, &part(4, 0, &[]))), Some(OfError::BrcBadLen));
    // One that never ends.
    assert_eq!(s.raw(ME, &part(4, 1, &any)), []);
    let due = s.agent.run(s.now, &s.lab);
    assert_eq!(due, Some(s.now + Duration::from_secs(1)));
    s.wait(1000);
    s.agent.run(s.now, &s.lab);
    assert_eq!(refused(s.sent()), Some(OfError::BrcMultipartRequestTimeout));
    assert_eq!(s.agent.run(s.now, &s.lab), None);
}

/// `ovs-save` adds an empty table of tunnel options to each bridge before it restores flows.
#[test]
fn tunnel_options_can_be_emptied_but_not_mapped() {
    let message = |command: u16, mappings: &[[u8; 8]]| {
        let mut body = command.to_be_bytes().to_vec();
        body.extend([0; 6]);
        body.extend(mappings.iter().flatten());
        Body::Raw { kind: Kind::TlvTableMod, body }
    };
    let mapping = |len, index| [0xff, 0xff, 0, len, 0, index, 0, 0];
    for v in Version::ALL {
        let mut s = Script::up(v, ConnKind::Service);
        for command in [0, 1, 2] {
            s.silent(message(command, &[]));
        }
        s.silent(message(1, &[mapping(4, 0)]));
        s.silent(message(2, &[mapping(4, 63)]));
        for (command, mappings, error) in [
            (0, &[mapping(4, 0)][..], OfError::NxTtmfcTableFull),
            (0, &[mapping(5, 0)], OfError::NxTtmfcBadOptLen),
            (1, &[mapping(128, 0)], OfError::NxTtmfcBadOptLen),
            (0, &[mapping(4, 64)], OfError::NxTtmfcBadFieldIdx),
            (3, &[], OfError::NxTtmfcBadCommand),
        ] {
            assert_eq!(s.refused(message(command, mappings)), error, "{command} {mappings:?}");
        }
        let empty = Body::Raw { kind: Kind::TlvTableRequest, body: vec![] };
        let Body::Raw { kind: Kind::TlvTableReply, body } = s.ask(empty) else { panic!() };
        assert_eq!(body, [0; 16]);
    }
}
