//! Ours beside the installed `ovsdb-server`, over Unix sockets, as ratios.
//!
//! ```text
//! cargo bench -p ovsdb-server --bench beside --
//!     [--seconds N] [--rows N] [--theirs PATH] [WORD]...
//! ```
//!
//! A WORD picks the measurements whose name has it. Each line says what ours and theirs need or do,
//! and how many times better ours is: above 1 is ahead.

#[path = "../tests/program/mod.rs"]
mod program;

use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, Instant};

use program::{Client, Program, installed, open_vswitch, simple};
use serde_json::{Value, json};

const THEIRS: &str = "/usr/sbin/ovsdb-server";

struct Wanted {
    seconds: f64,
    rows: i64,
    /// The server that ours is measured beside.
    theirs: String,
    words: Vec<String>,
}

impl Wanted {
    fn has(&self, name: &str) -> bool {
        self.words.is_empty() || self.words.iter().any(|word| name.contains(word.as_str()))
    }
}

/// Which way is better.
#[derive(Clone, Copy, PartialEq)]
enum Better {
    More,
    Less,
}

fn report(name: &str, unit: &str, better: Better, ours: f64, theirs: Option<f64>) {
    let number = |value: f64| match value {
        v if v >= 1000.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.3}"),
    };
    match theirs {
        None => println!("{name:<46} {:>10} {unit}", number(ours)),
        Some(theirs) => {
            let ratio = if better == Better::More { ours / theirs } else { theirs / ours };
            println!(
                "{name:<46} ours {:>9} theirs {:>9} {unit:<8} ratio {ratio:.2}",
                number(ours),
                number(theirs)
            );
        }
    }
}

fn main() {
    let mut wanted =
        Wanted { seconds: 3.0, rows: 100_000, theirs: THEIRS.to_owned(), words: Vec::new() };
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let mut text = || args.next().expect("a value");
        match arg.as_str() {
            "--seconds" => wanted.seconds = text().parse().expect("a number"),
            "--rows" => wanted.rows = text().parse().expect("a number"),
            "--theirs" => wanted.theirs = text(),
            // What cargo passes on.
            "--bench" => {}
            _ => wanted.words.push(arg),
        }
    }
    let servers: Vec<&str> = match installed("ovsdb-server") && Path::new(&wanted.theirs).exists() {
        true => vec![program::OURS, &wanted.theirs],
        false => vec![program::OURS],
    };
    for (clients, durable) in [(1, false), (1, true), (16, false), (16, true)] {
        let kind = if durable { "durable" } else { "not durable" };
        let name = format!("transactions, {clients} clients, {kind}");
        if wanted.has(&name) {
            // Best of two: others use the machine as well.
            let both: Vec<(f64, f64)> = servers
                .iter()
                .map(|server| {
                    let run = || transactions(server, clients, durable, wanted.seconds);
                    let (a, b) = (run(), run());
                    (a.0.max(b.0), a.1.min(b.1))
                })
                .collect();
            let theirs = both.get(1);
            report(&name, "/s", Better::More, both[0].0, theirs.map(|theirs| theirs.0));
            let name = "  processor time of the server for each";
            report(name, "us", Better::Less, both[0].1, theirs.map(|theirs| theirs.1));
        }
    }
    if wanted.has("first monitor") || wanted.has("start") || wanted.has("memory") {
        big(&servers, &wanted);
    }
    if wanted.has("fan-out") {
        // One after the other and several times, the best of each: others use the machine as well.
        let mut both = vec![(0.0, f64::MAX); servers.len()];
        for _ in 0..3 {
            for (server, best) in servers.iter().zip(&mut both) {
                let (rate, used) = fan_out(server, wanted.seconds);
                *best = (f64::max(best.0, rate), f64::min(best.1, used));
            }
        }
        let theirs = both.get(1);
        let name = "fan-out to 100 monitors, updates delivered";
        report(name, "/s", Better::More, both[0].0, theirs.map(|theirs| theirs.0));
        let name = "  processor time of the server for each";
        report(name, "us", Better::Less, both[0].1, theirs.map(|theirs| theirs.1));
    }
}

fn start(what: &str, schema: &str, server: &str) -> Program {
    let mut p = Program::start(what, schema, &[]);
    if server != program::OURS {
        p.kill();
        p.run(server, &[]);
    }
    p
}

/// Microseconds of processor time that a process has used.
fn processor_time(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    // Behind the name, which is in parentheses: utime and stime, in hundredths of a second.
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) * 1e4
}

/// Transactions that each change one row, per second, and processor time for each; each client
/// waits for its answer.
fn transactions(server: &str, clients: usize, durable: bool, seconds: f64) -> (f64, f64) {
    let p = start("bench", &open_vswitch(), server);
    let mut first = p.client();
    let name = |n: usize| format!("br{n}");
    let mut rows: Vec<Value> = (0..clients)
        .map(|n| {
            json!({"op": "insert", "table": "Bridge", "uuid-name": format!("b{n}"),
                   "row": {"name": name(n)}})
        })
        .collect();
    let bridges: Vec<Value> =
        (0..clients).map(|n| json!(["named-uuid", format!("b{n}")])).collect();
    rows.insert(0, json!("Open_vSwitch"));
    rows.push(json!({"op": "insert", "table": "Open_vSwitch",
                     "row": {"bridges": ["set", bridges]}}));
    first.transact(Value::Array(rows));

    let used = processor_time(p.pid());
    let barrier = Barrier::new(clients);
    let done: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..clients)
            .map(|n| {
                let (barrier, p) = (&barrier, &p);
                scope.spawn(move || {
                    let mut client = p.client();
                    barrier.wait();
                    let end = Instant::now() + Duration::from_secs_f64(seconds);
                    let mut done = 0;
                    while Instant::now() < end {
                        // As text: the client shares the processors with the server.
                        let commit = match durable {
                            true => r#",{"op":"commit","durable":true}"#,
                            false => "",
                        };
                        let request = format!(
                            r#"{{"id":{done},"method":"transact","params":["Open_vSwitch",{{"op":"update","table":"Bridge","where":[["name","==","br{n}"]],"row":{{"external_ids":["map",[["n","{done}"]]]}}}}{commit}]}}"#
                        );
                        client.send(request.as_bytes()).unwrap();
                        let answer = client.receive_bytes().unwrap();
                        assert!(answer.windows(9).any(|part| part == b"\"count\":1"));
                        done += 1;
                    }
                    done
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    (done as f64 / seconds, (processor_time(p.pid()) - used) / done as f64)
}

/// A database with many rows: a first monitor, memory, start.
fn big(servers: &[&str], wanted: &Wanted) {
    // About 1 kB a row makes a file of 100 MB; it is written in many transactions, as life does.
    let text = "0123456789abcdef".repeat(60);
    let p = Program::start("bench-big", &simple(), &[]);
    let mut client = p.client();
    let per = 500;
    for from in (0..wanted.rows).step_by(per) {
        let mut operations = vec![json!("simple")];
        operations.extend((from..(from + per as i64).min(wanted.rows)).map(|n| {
            json!({"op": "insert", "table": "t", "row": {"n": n, "text": format!("{n} {text}")}})
        }));
        client.transact(Value::Array(operations));
    }
    drop(client);
    let file = std::fs::read(p.dir.path("conf.db")).unwrap();
    println!("{} rows in a file of {:.1} MB", wanted.rows, file.len() as f64 / 1e6);
    drop(p);

    let mut starts = Vec::new();
    let mut monitors = Vec::new();
    let mut loaded = Vec::new();
    let mut after = Vec::new();
    for server in servers {
        let mut p = Program::start("bench-start", &simple(), &[]);
        p.kill();
        std::fs::write(p.dir.path("conf.db"), &file).unwrap();
        let mut best = f64::MAX;
        for _ in 0..3 {
            p.kill();
            let begin = Instant::now();
            p.run(server, &[]);
            // The socket may be there before the data is.
            p.client().call("get_schema", json!(["simple"]));
            best = best.min(begin.elapsed().as_secs_f64());
        }
        starts.push(best);
        loaded.push(p.memory() as f64 / 1e3);
        let mut best = f64::MAX;
        for _ in 0..3 {
            let mut client = p.client();
            let begin = Instant::now();
            client.ask("monitor", &json!(["simple", null, {"t": {}}])).unwrap();
            let answer = client.receive_bytes().unwrap();
            best = best.min(begin.elapsed().as_secs_f64());
            assert!(answer.len() > file.len() / 2);
        }
        monitors.push(best);
        after.push(p.memory() as f64 / 1e3);
    }
    let both = |all: &[f64]| (all[0], all.get(1).copied());
    for (name, unit, all) in [
        ("start on that file", "s", &starts),
        ("memory after the start", "MB", &loaded),
        ("first monitor of all rows", "s", &monitors),
        ("memory after three such monitors", "MB", &after),
    ] {
        let (ours, theirs) = both(all);
        report(name, unit, Better::Less, ours, theirs);
    }
}

/// One client changes a row as fast as 100 others are told; updates that reach them, per second,
/// and processor time for each.
fn fan_out(server: &str, seconds: f64) -> (f64, f64) {
    const MONITORS: usize = 100;
    let p = start("bench-fan", &simple(), server);
    let mut writer = p.client();
    writer.transact(json!(["simple",
        {"op": "insert", "table": "t", "row": {"n": 0, "text": "x".repeat(200)}}]));
    let mut monitors: Vec<Client> = (0..MONITORS).map(|_| p.client()).collect();
    for monitor in &mut monitors {
        monitor.call("monitor_cond", json!(["simple", null, {"t": [{}]}]));
    }
    let used = processor_time(p.pid());
    let begin = Instant::now();
    let mut told = 0;
    let mut n = 0;
    while begin.elapsed().as_secs_f64() < seconds {
        n += 1;
        writer.transact(json!(["simple", {"op": "update", "table": "t", "where": [],
                                          "row": {"n": n, "text": format!("{n}").repeat(40)}}]));
        for monitor in &mut monitors {
            monitor.receive_bytes().unwrap();
            told += 1;
        }
    }
    let rate = f64::from(told) / begin.elapsed().as_secs_f64();
    (rate, (processor_time(p.pid()) - used) / f64::from(told))
}
