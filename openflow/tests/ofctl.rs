//! The same flows through Open vSwitch's `ovs-ofctl`: it must read from our messages, and make of
//! the texts, what we do. Without that program the tests say so and pass.

harness::main!();

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use openflow::codec::{decode, encode};
use openflow::msg::{Body, FlowMod, Message};
use openflow::text::{FlowText, NoNames, parse_flow, print_flow_mod};
use openflow::{Protocol, Version};

/// Flows of all kinds, one a line.
const FLOWS: &str = include_str!("flows.txt");

fn flows() -> impl Iterator<Item = &'static str> {
    FLOWS.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'))
}

/// Runs `ovs-ofctl` on a file with this content; `None` if there is no such program.
fn ofctl(args: &[&str], content: &[u8]) -> String {
    if Command::new("ovs-ofctl").arg("--version").output().is_err() {
        harness::skip("ovs-ofctl is not installed (Debian package openvswitch-common)");
    }
    let mut path: PathBuf = std::env::temp_dir();
    static RUNS: AtomicU32 = AtomicU32::new(0);
    let run = RUNS.fetch_add(1, Ordering::Relaxed);
    path.push(format!("braid-openflow-{}-{run}", std::process::id()));
    std::fs::File::create(&path).and_then(|mut f| f.write_all(content)).unwrap();
    let out = Command::new("ovs-ofctl").args(args).arg(&path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap()
}

/// What follows the name, the version and the number of a flow_mod.
fn body(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, b)| b)
}

#[harness::test]
fn flow_text_encodes_as_ovs_ofctl_does() {
    // The tool's command only reads additions. One run for each, since all flows of a run must go
    // with one version.
    let additions = || flows().filter(|f| !f.starts_with("delete") && !f.starts_with("modify"));
    let mut wrong = 0;
    for text in additions() {
        let args = ["-OOpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14", "parse-flows"];
        let out = ofctl(&args, text.as_bytes());
        // The tool shows the message that it would send, in the version that it chose.
        let chosen = out.lines().find_map(|l| l.strip_prefix("chosen protocol: ")).unwrap();
        let p = protocol(chosen);
        let line = out.lines().find(|l| l.contains("FLOW_MOD")).unwrap_or_default();
        let theirs = body(line);
        let ours = match parse_flow(text, FlowText::WithCommand, &NoNames) {
            Ok(f) => sent(f, p).1,
            Err(e) => e.to_string(),
        };
        if ours != theirs {
            wrong += 1;
            eprintln!("{chosen}: {text}\n  theirs {theirs}\n  ours   {ours}");
        }
    }
    assert_eq!(wrong, 0);
}

/// A way to speak by the tool's name for it.
fn protocol(name: &str) -> Protocol {
    match name {
        "OpenFlow10-table_id" => Protocol::new(Version::V10),
        "OpenFlow10+table_id" => Protocol { table_id: true, ..Protocol::new(Version::V10) },
        "NXM-table_id" => Protocol { nxm: true, ..Protocol::new(Version::V10) },
        "NXM+table_id" => Protocol::NXM_TID,
        "OpenFlow11" => Protocol::new(Version::V11),
        "OXM-OpenFlow12" => Protocol::new(Version::V12),
        "OXM-OpenFlow13" => Protocol::new(Version::V13),
        "OXM-OpenFlow14" => Protocol::new(Version::V14),
        other => panic!("unknown protocol {other}"),
    }
}

/// The message for a flow, and what is in it as the tool shows it.
fn sent(flow: FlowMod, p: Protocol) -> (Vec<u8>, String) {
    let octets = encode(&Message::new(p.version, 7, Body::FlowMod(flow)), p).unwrap().remove(0);
    // The tool always reads the table in the command.
    let shown = match decode(&octets, Protocol { table_id: true, ..p }).map(|m| m.body) {
        Ok(Body::FlowMod(f)) => print_flow_mod(&f, p.version, &NoNames),
        Ok(other) => panic!("{other:?}"),
        Err(e) => format!("***decode error: {e}***"),
    };
    (octets, shown)
}

#[harness::test]
fn encoded_flow_mod_prints_alike_in_ovs_ofctl() {
    let mut protocols: Vec<Protocol> = Version::ALL.into_iter().map(Protocol::new).collect();
    protocols.push(Protocol { nxm: true, ..Protocol::new(Version::V10) });
    protocols.push(Protocol::NXM_TID);
    for p in protocols {
        let mut content = Vec::new();
        let mut ours = Vec::new();
        for text in flows() {
            let flow = parse_flow(text, FlowText::WithCommand, &NoNames).unwrap();
            let (octets, shown) = sent(flow, p);
            ours.push(shown);
            content.extend(octets);
        }
        let out = ofctl(&["ofp-parse"], &content);
        let theirs: Vec<&str> = out.lines().filter(|l| l.contains("FLOW_MOD")).map(body).collect();
        assert_eq!(theirs.len(), ours.len(), "{p:?} {out}");
        let mut wrong = 0;
        for ((text, theirs), ours) in flows().zip(theirs).zip(ours) {
            if ours != theirs {
                wrong += 1;
                eprintln!("{p:?} {text}\n  theirs {theirs}\n  ours   {ours}");
            }
        }
        assert_eq!(wrong, 0);
    }
}

/// Messages with some octets changed are refused for the same reason, or mean the same.
#[harness::test]
fn damaged_message_is_refused_as_by_ovs_ofctl() {
    const SEED: u64 = 0x5eed_0f10;
    const EACH: usize = 20;
    println!("seed {SEED:#x}");
    let mut state = SEED;
    let mut random = move |n: usize| {
        // Knuth's linear congruential generator; its high bits are good enough.
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % n
    };
    let mut wrong = Vec::new();
    let mut total = 0;
    let mut protocols: Vec<Protocol> = Version::ALL.into_iter().map(Protocol::new).collect();
    protocols.push(Protocol::NXM_TID);
    for p in protocols {
        let mut content = Vec::new();
        let mut ours = Vec::new();
        for text in flows() {
            let flow = parse_flow(text, FlowText::WithCommand, &NoNames).unwrap();
            let (good, _) = sent(flow, p);
            for _ in 0..EACH {
                let mut octets = good.clone();
                let start = if p.nxm { 16 } else { 8 };
                for _ in 0..=random(2) {
                    let at = start + random(octets.len() - start);
                    octets[at] = match random(4) {
                        0 => octets[at] ^ 1 << random(8),
                        1 => octets[at].wrapping_add(8),
                        2 => 0,
                        _ => random(256) as u8,
                    };
                }
                let reader = Protocol { table_id: true, ..p };
                let shown = match decode(&octets, reader).map(|m| m.body) {
                    Ok(Body::FlowMod(f)) => print_flow_mod(&f, p.version, &NoNames),
                    Ok(other) => panic!("{other:?}"),
                    Err(e) => format!("***decode error: {e}***"),
                };
                ours.push((octets.clone(), shown));
                content.extend(octets);
            }
        }
        let out = ofctl(&["ofp-parse"], &content);
        let theirs: Vec<&str> = out.lines().filter(|l| l.contains("FLOW_MOD")).map(body).collect();
        assert_eq!(theirs.len(), ours.len());
        total += ours.len();
        for ((octets, ours), theirs) in ours.into_iter().zip(theirs) {
            if ours != theirs && !is_known_difference(&ours, theirs) {
                let hex: String = octets.iter().map(|o| format!("{o:02x}")).collect();
                wrong.push(format!("{p:?} {hex}\n  theirs {theirs}\n  ours   {ours}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {total}:\n{}", wrong.len(), wrong.join("\n"));
}

/// What we do not read yet, and what depends on the tool's version or on chance.
fn is_known_difference(ours: &str, theirs: &str) -> bool {
    // Tunnel metadata, NSH and the original direction of connections are no fields of ours.
    let no_field = ours.contains("OFPBMC_BAD_FIELD") || ours.contains("OFPBAC_BAD_SET_TYPE");
    let such = ["tun_metadata", "TUN_METADATA", "nsh", "***", "tun_gbp", "ct_nw"];
    // Actions that are none of ours.
    let no_action = ours.contains("OFPBAC_BAD_VENDOR_TYPE");
    // Which of two errors a name gets there depends on what else is in the same hash bucket.
    let bucket = ours.contains("OFPBAC_BAD_SET_") && theirs.contains("OFPBAC_BAD_SET_");
    // Registers that came after Debian's version.
    let new = (16..32).any(|n| ours.contains(&format!("reg{n}=")));
    (no_field && such.iter().any(|s| theirs.contains(s))) || no_action || bucket || new
}

/// Every other kind of message, as a switch sends it, is one that the tool can read.
#[harness::test]
fn encoded_message_is_read_by_ovs_ofctl() {
    for version in Version::ALL {
        let p = Protocol::new(version);
        let mut content = Vec::new();
        let mut wanted = Vec::new();
        for (body, fragments) in samples(version) {
            for part in encode(&Message::new(version, 7, body), p).unwrap() {
                content.extend(part);
            }
            wanted.extend(fragments);
        }
        let out = ofctl(&["ofp-parse"], &content);
        assert!(!out.contains("decode error") && !out.contains("***"), "{version}: {out}");
        for fragment in wanted {
            assert!(out.contains(fragment), "{version}: no {fragment:?} in {out}");
        }
    }
}

/// Messages of a version, and what the tool must say of each.
fn samples(v: Version) -> Vec<(Body, Vec<&'static str>)> {
    use openflow::action::PacketInReason;
    use openflow::msg::*;
    use openflow::{Action, Field, Match, OfPort};

    let mut matching = Match::default();
    matching.set(Field::InPort, 3);
    matching.set(Field::EthType, 0x800);
    matching.set(Field::IpProto, 6);
    let desc = PortDesc {
        port: OfPort(3),
        hw_addr: "50:54:00:00:00:01".parse().unwrap(),
        name: "p3".into(),
        config: config::PORT_DOWN,
        state: state::LINK_DOWN | if v > Version::V10 { state::LIVE } else { 0 },
        curr: features::TEN_GB_FD | features::FIBER,
        curr_speed: 10_000_000,
        max_speed: 10_000_000,
        ..PortDesc::default()
    };
    let mut stats = PortStats::unknown(OfPort(3));
    stats.rx_packets = 12;
    stats.tx_bytes = 34;
    stats.duration = Some((5, 6_000_000));
    let flow = FlowStats {
        matching,
        cookie: 0x1234,
        table_id: 2,
        priority: 7,
        duration_sec: 5,
        duration_nsec: 250_000_000,
        idle_timeout: 10,
        hard_timeout: 0,
        idle_age: None,
        hard_age: None,
        packets: 3,
        bytes: 180,
        importance: 0,
        flags: FlowFlags::default(),
        actions: vec![Action::output(OfPort(4))],
    };
    let removed = FlowRemoved {
        nxm: false,
        matching,
        cookie: 0x77,
        priority: 9,
        reason: FlowRemovedReason::IdleTimeout,
        table_id: 1,
        duration_sec: 8,
        duration_nsec: 0,
        idle_timeout: 60,
        hard_timeout: 0,
        packets: 1,
        bytes: 60,
    };
    let mut metadata = Match::default();
    metadata.set(Field::InPort, 3);
    let packet = wire::compose::compose(
        &wire::FlowKey { eth_type: 0x800, nw_proto: 6, nw_ttl: 64, ..wire::FlowKey::default() },
        &[0; 3],
        wire::compose::Payload::UpTo(60),
    );
    let packet_in = |format| PacketIn {
        format,
        reason: PacketInReason::ACTION,
        table_id: 1,
        cookie: Some(0x99),
        metadata,
        packet: packet.clone(),
        total_len: 60,
        buffer_id: None,
        userdata: vec![],
        continuation: vec![],
    };
    let mut out = vec![
        (
            Body::FeaturesReply(Features {
                datapath_id: 0xabc,
                n_buffers: 0,
                n_tables: 254,
                auxiliary_id: 0,
                capabilities: 0x7,
                actions: 0xfff,
                ports: vec![desc.clone()],
            }),
            vec!["dpid:0000000000000abc", "n_tables:254"],
        ),
        (Body::GetConfigReply(Config { flags: 0, miss_send_len: 128 }), vec!["miss_send_len=128"]),
        (Body::BarrierReply, vec!["OFPT_BARRIER_REPLY"]),
        (
            Body::PortStatus(PortStatus { reason: PortReason::Modify, desc: desc.clone() }),
            vec!["MOD: 3(p3): addr:50:54:00:00:00:01", "PORT_DOWN", "LINK_DOWN", "10GB-FD FIBER"],
        ),
        (Body::PortDescReply(vec![desc.clone(), desc]), vec!["OFPST_PORT_DESC reply"]),
        (Body::PortStatsReply(vec![stats.clone(), stats]), vec!["rx pkts=12", "bytes=34"]),
        (
            Body::FlowStatsReply { nxm: false, flows: vec![flow.clone(), flow] },
            vec![
                "cookie=0x1234, duration=5.250s, table=2, n_packets=3, n_bytes=180, \
                 idle_timeout=10, priority=7,tcp,in_port=3 actions=output:4",
            ],
        ),
        (
            Body::AggregateReply {
                nxm: false,
                stats: Aggregate { packets: 5, bytes: 300, flows: 2 },
            },
            vec!["packet_count=5 byte_count=300 flow_count=2"],
        ),
        (Body::FlowRemoved(removed), vec!["tcp,in_port=3 reason=idle", "cookie:0x77"]),
        (
            Body::PacketIn(packet_in(PacketInFormat::Standard)),
            vec!["OFPT_PACKET_IN", "total_len=60", "in_port=3 (via action)"],
        ),
        (Body::PacketIn(packet_in(PacketInFormat::Nxt)), vec!["NXT_PACKET_IN", "cookie=0x99"]),
        (Body::PacketIn(packet_in(PacketInFormat::Nxt2)), vec!["NXT_PACKET_IN2"]),
        (
            Body::PacketOut(PacketOut {
                buffer_id: None,
                metadata,
                actions: vec![Action::output(OfPort::FLOOD)],
                packet: packet.clone(),
            }),
            vec!["in_port=3 actions=FLOOD data_len=60"],
        ),
        (
            Body::DescReply(Desc { manufacturer: "Nicira, Inc.".into(), ..Desc::default() }),
            vec!["Manufacturer: Nicira, Inc."],
        ),
        (
            Body::TableStatsReply(vec![TableStats {
                table_id: 3,
                name: "classifier".into(),
                active: 4,
                lookups: 5,
                matched: 6,
                max_entries: 1_000_000,
                ..TableStats::default()
            }]),
            vec!["active=4, lookup=5, matched=6"],
        ),
        (
            Body::Error(ErrorMsg::reply(openflow::OfError::BacBadOutPort, &[])),
            vec!["OFPBAC_BAD_OUT_PORT"],
        ),
        (
            Body::PortMod(PortMod {
                port: OfPort(3),
                hw_addr: "50:54:00:00:00:01".parse().unwrap(),
                config: config::PORT_DOWN,
                mask: config::PORT_DOWN,
                advertise: 0,
            }),
            vec!["port: 3: addr:50:54:00:00:00:01", "config: PORT_DOWN", "mask:   PORT_DOWN"],
        ),
        (
            Body::RoleReply(RoleRequest { role: Role::Primary, generation: None, nx: true }),
            vec!["NXT_ROLE_REPLY"],
        ),
        (Body::SetControllerId(5), vec!["id=5"]),
    ];
    if v >= Version::V13 {
        let masks = AsyncMasks { packet_in: [7, 0], named: 0x3f, ..AsyncMasks::default() };
        out.push((Body::GetAsyncReply(masks), vec!["PACKET_IN"]));
    }
    if v >= Version::V12 {
        let role = RoleRequest { role: Role::Secondary, generation: Some(3), nx: false };
        out.push((Body::RoleReply(role), vec!["generation_id=3"]));
    }
    if v <= Version::V12 {
        out.push((
            Body::FlowMonitorReply(vec![
                FlowUpdate::Abbreviated { xid: 0x99 },
                FlowUpdate::Full {
                    event: FlowUpdateEvent::Deleted(FlowRemovedReason::Delete),
                    table_id: 1,
                    priority: 0x8000,
                    idle_timeout: 0,
                    hard_timeout: 0,
                    cookie: 5,
                    matching,
                    actions: vec![],
                },
            ]),
            vec!["event=ABBREV xid=0x99", "event=DELETED reason=delete table=1 cookie=0x5"],
        ));
    }
    out
}
