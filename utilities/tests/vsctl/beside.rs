//! The same command lines for our program and for the installed one, each with a database of its
//! own: what they print, how they end and what is in the databases must be equal.

use std::collections::BTreeMap;
use std::process::Command;

use crate::rig::{Ran, Rig, sorted, words};

fn theirs(rig: &Rig, line: &str) -> Ran {
    rig.command("ovs-vsctl", &words(line)).output().unwrap().into()
}

fn rigs() -> (Rig, Rig) {
    if Command::new("ovs-vsctl").arg("--version").output().is_err() {
        harness::skip("ovs-vsctl is not installed");
    }
    (Rig::new(), Rig::new())
}

/// UUIDs as `<0>`, `<1>`... in the order in which they appear, times away.
fn anonymous(text: &str) -> String {
    let mut names: BTreeMap<String, usize> = BTreeMap::new();
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let uuid = rest.get(..36).filter(|t| {
            t.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            })
        });
        if let Some(uuid) = uuid {
            let next = names.len();
            let number = *names.entry(uuid.to_owned()).or_insert(next);
            out.push_str(&format!("<{number}>"));
            rest = &rest[36..];
        } else {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        }
    }
    // HTML has short forms of them too.
    for (uuid, number) in &names {
        out = out.replace(&uuid[..8], &format!("<{number} short>"));
    }
    // 2026-01-02T03:04:05Z|00001|...
    let lines = out.lines().map(|line| match line.split_once("Z|0") {
        Some((time, rest)) if time.starts_with("20") => format!("T|0{rest}"),
        _ => line.to_owned(),
    });
    lines.map(|line| line + "\n").collect()
}

/// What differs, if anything does.
fn difference(ours: &Rig, other: &Rig, line: &str) -> Option<String> {
    let line = format!("--no-wait -t 20 {line}");
    let (a, b) = (ours.ours(&line), theirs(other, &line));
    let plain = |ran: &Ran| {
        let (mut out, err) = (anonymous(&ran.out), anonymous(&ran.err));
        if line.ends_with(" show") {
            // Rows come in the order of their UUIDs.
            out = sorted(&out).join("\n");
        }
        Ran { status: ran.status, out, err }
    };
    let (a, b) = (plain(&a), plain(&b));
    (a != b).then(|| format!("{line}\n  ours:   {a:?}\n  theirs: {b:?}\n"))
}

#[harness::test]
fn lines_that_succeed_and_lines_that_fail() {
    let (ours, other) = rigs();
    let mut differences = String::new();
    for line in [
        "add-br br0 -- add-port br0 p1 tag=3 trunks=1,2,3 -- set-controller br0 tcp:1.2.3.4:5",
        "set bridge br0 other_config:a='\"b c\"' external_ids={x=y,z=\"1\"} flood_vlans=5",
        "show",
        "list bridge",
        "list controller",
        "list port p1",
        "--format=table list bridge",
        "--format=table --no-headings --columns=name,flood_vlans,other_config list bridge",
        "--format=table --max-column-width=3 --columns=name,trunks,tag list port p1",
        "--format=csv list bridge",
        "--format=html list bridge",
        "--format=json list bridge",
        "--format=json --pretty list port p1",
        "--format=csv --data=json list bridge",
        "--format=table --data=bare list bridge",
        "--bare list bridge",
        "--bare --columns=name,_uuid list bridge -- --columns=target list controller -- list-br",
        "--oneline list-br -- list-ports br0 -- get bridge br0 other_config",
        "--columns=name,name find bridge name=br0",
        "get bridge br0 _uuid name other_config:a",
        "--if-exists get bridge br0 other_config:none",
        "list interface br0",
        "find interface type=internal name!=x",
        "list qos -- list queue",
        "comment hello world",
        "--all destroy qos",
        "destroy qos",
        "init",
        // Each of these fails. A map without "=" is not among them: theirs cuts its message short.
        "",
        "--",
        "--may-exist",
        "nonsense",
        "add-br",
        "add-br a b c d",
        "list-br -- --all",
        "--id list-br",
        "--all list-br",
        "list-br x",
        "list-br --x",
        "add-br br0",
        "add-br ''",
        "add-port br0 ''",
        "add-br p1",
        "add-br v p1 9",
        "add-br v br0 x5000",
        "br-exists nobr",
        "list nonsense",
        "list c",
        "list bridge br9",
        "get bridge br0 d",
        "get bridge br0 nonsense",
        "get bridge br0 ''",
        "get bridge br0 name:x",
        "get bridge br0 other_config:x",
        "get bridge br0 other_config:x=y",
        "get bridge br0 other_config:\"x",
        "set bridge br0 name=br1",
        "set bridge br0 other_config",
        "set bridge br0 other_config:a",
        "set bridge br0 other_config:a=",
        "set bridge br0 other_config={a=b",
        "set bridge br0 other_config={a=b}c",
        "set bridge br0 other_config={a=b,a=c}",
        "set bridge br0 other_config=,",
        "set bridge br0 flood_vlans=4096",
        "set bridge br0 flood_vlans=1,1",
        "set bridge br0 flood_vlans=x",
        "set bridge br0 flood_vlans=[",
        "set bridge br0 fail_mode=x",
        "set bridge br0 stp_enable=maybe",
        "set bridge br0 ports=x",
        "set bridge br0 datapath_type=",
        "set bridge br0 datapath_type=a,b",
        "set bridge br0 datapath_type=[]",
        "set bridge br0 'datapath_type=\"a\"b'",
        "set bridge br0 'datapath_type=\"\\x\"'",
        "set bridge br0 'datapath_type=\"\\u12\"'",
        "set bridge br0 'datapath_type=a\\'",
        "set interface p1 ofport_request=0",
        "set port p1 bond_mode=x",
        "add bridge br0 name x",
        "remove port p1 interfaces x",
        "remove bridge br0 flood-vlans true",
        "clear bridge br0 name",
        "clear interface p1 type",
        "clear port p1 nonsense",
        "find bridge name",
        "find bridge name:x=y",
        "find bridge name~x",
        "find bridge other_config:x",
        "wait-until bridge br0 name",
        "create nonsense x=y",
        "create qos nonsense=y",
        "--id=x create qos type=y",
        "--id=@x get bridge br0 -- --id=@x get bridge br0",
        "--id=@x --if-exists get bridge br0",
        "set bridge br0 mirrors=@x",
        "set bridge br0 mirrors=@x -- --id=@x get mirror m",
        "--all destroy qos x",
        "--all --if-exists destroy qos",
        "--columns=, list bridge",
        "--columns=nonsense list bridge",
        "--format=x list bridge",
        "--data=x list bridge",
        "-t 0 list-br",
        "--nonsense list-br",
        "--no list-br",
        "--dry-run=1 list-br",
        "--db",
        "-Z list-br",
        "del-br br9",
        "del-port br0",
        "del-port br9 p1",
        "del-port br0 p9",
        "port-to-br p9",
        "iface-to-br p9",
        "br-to-vlan br9",
        "list-ports br9",
        "set-fail-mode br0 x",
        "set-controller br9 tcp:1.2.3.4",
        "add-zone-tp netdev zone=1 a=1",
        "list-zone-tp netdev",
        "list-dp-cap netdev",
        "set-ssl a b",
    ] {
        differences.extend(difference(&ours, &other, line));
    }
    assert!(differences.is_empty(), "{differences}");
}

/// A small generator of numbers (splitmix64): the same seed, the same lines.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % bound as u64) as usize
    }

    fn of<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.below(words.len())]
    }
}

/// A command of the kind that people and programs run, often one that cannot be done.
fn command(dice: &mut Dice) -> String {
    let bridge = dice.of(&["b0", "b1", "v0"]);
    let port = dice.of(&["p0", "p1", "p2", "b1"]);
    let other = dice.of(&["e0", "e1", "p0"]);
    let may = dice.of(&["", "--may-exist "]);
    let gone = dice.of(&["", "--if-exists "]);
    let key = dice.of(&["a", "b", "\"c d\""]);
    let value = dice.of(&["1", "x", "\"y z\"", "true"]);
    let vlan = dice.of(&["0", "9", "10"]);
    match dice.below(23) {
        0 | 1 => format!("{may}add-br {bridge}"),
        2 => format!("{may}add-br v0 b0 {vlan}"),
        3 => format!("{gone}del-br {bridge}"),
        4..=6 => format!("{may}add-port {bridge} {port}"),
        7 => format!("{may}add-port {bridge} {port} tag={vlan}"),
        8 => format!("{may}add-bond {bridge} {port} {other} e2 lacp=active"),
        9 => format!("{may}add-bond-iface {port} {other}"),
        10 => format!("{gone}del-bond-iface {other}"),
        11 => format!("{gone}del-port {bridge} {port}"),
        12 => format!("{gone}--with-iface del-port {other}"),
        13 => {
            format!("br-set-external-id {bridge} {} {}", dice.of(&["a", "b"]), dice.of(&["1", "x"]))
        }
        14 => format!("br-set-external-id {bridge} a"),
        15 => format!("{gone}set port {port} other_config:{key}={value}"),
        16 => format!("{gone}add port {port} external_ids {key}={value}"),
        17 => format!("{gone}remove port {port} other_config {key}"),
        18 => format!("{gone}clear port {port} tag other_config"),
        19 => format!("{gone}set port {port} trunks={} tag={vlan}", dice.of(&["1,2", "[]", "5-7"])),
        20 => {
            let kind = dice.of(&["add-port", "add-bond"]);
            let bad = dice.of(&["nonsense=1", "tag=x", "bond_mode=x", "=1", "tag"]);
            format!("{may}{kind} {bridge} {port} {other} e2 {bad}")
        }
        21 => format!("set-controller {bridge} {}", dice.of(&["tcp:1.2.3.4", "unix:x tcp:h"])),
        _ => dice.of(&["list-br", "del-manager", "emer-reset", "--fake list-br"]).to_owned(),
    }
}

#[harness::test]
fn random_lines() {
    let (ours, other) = rigs();
    let seed = match std::env::var("BRAID_SEED").map(|text| text.parse()) {
        Ok(Ok(seed)) => seed,
        _ => u64::from(std::process::id()) << 32 | 7,
    };
    eprintln!("seed: BRAID_SEED={seed}");
    let mut dice = Dice(seed);
    for _ in 0..16 {
        let chain: Vec<String> = (0..=dice.below(4)).map(|_| command(&mut dice)).collect();
        let line = format!("-- {}", chain.join(" -- "));
        assert_eq!(difference(&ours, &other, &line), None);
        for line in [
            "list-br -- --bare --columns=name,tag,trunks,other_config,external_ids list port",
            "--bare --columns=name,external_ids,other_config,fail_mode list bridge",
            "--bare --columns=name,type list interface -- --bare --columns=target list controller",
        ] {
            let line = format!("--no-wait {line}");
            let (a, b) = (ours.ours(&line), theirs(&other, &line));
            assert_eq!(sorted(&a.out), sorted(&b.out), "after {chain:?}");
        }
        for bridge in ours.ok("list-br").lines() {
            let line = format!(
                "list-ports {bridge} -- list-ifaces {bridge} -- br-to-vlan {bridge} \
                 -- br-get-external-id {bridge}"
            );
            assert_eq!(difference(&ours, &other, &line), None);
        }
    }
}
