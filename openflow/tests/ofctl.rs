//! The same flows through Open vSwitch's `ovs-ofctl`: it must read from our messages, and make of
//! the texts, what we do. Without that program the tests say so and pass.

use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

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
fn ofctl(args: &[&str], content: &[u8]) -> Option<String> {
    if Command::new("ovs-ofctl").arg("--version").output().is_err() {
        eprintln!("SKIPPED: ovs-ofctl is not installed (Debian package openvswitch-common)");
        return None;
    }
    let mut path: PathBuf = std::env::temp_dir();
    path.push(format!("braid-openflow-{}-{}", std::process::id(), args.join("-")));
    std::fs::File::create(&path).and_then(|mut f| f.write_all(content)).unwrap();
    let out = Command::new("ovs-ofctl").args(args).arg(&path).output().unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    Some(String::from_utf8(out.stdout).unwrap())
}

/// What follows the name, the version and the number of a flow_mod.
fn body(line: &str) -> &str {
    line.split_once(": ").map_or(line, |(_, b)| b)
}

#[test]
fn texts_mean_the_same() {
    // The tool's command only reads additions. One run for each, since all flows of a run must go
    // with one version.
    let additions = || flows().filter(|f| !f.starts_with("delete") && !f.starts_with("modify"));
    let mut wrong = 0;
    for text in additions() {
        let args = ["-OOpenFlow10,OpenFlow11,OpenFlow12,OpenFlow13,OpenFlow14", "parse-flows"];
        let Some(out) = ofctl(&args, text.as_bytes()) else { return };
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

#[test]
fn messages_read_the_same() {
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
        let Some(out) = ofctl(&["ofp-parse"], &content) else { return };
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
