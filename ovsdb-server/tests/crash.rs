//! Nothing acknowledged is lost, and nothing is half there: the server is killed at random points
//! under load, started again, and asked what it knows.
//!
//! ```text
//! cargo test -p ovsdb-server --test crash -- [--kills N] [--seed N] [--seconds N]
//! ```
//!
//! The default is a few dozen kills. A `kill -9` loses nothing that was written, so it shows what
//! happens at every point of a transaction, not what a disk forgets: for that, the file is also cut
//! at every byte of its last records and opened again.

mod program;

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ovsdb_server::value::{Atom, Datum};
use ovsdb_server::{Database, RowIds};
use program::{Client, Program, Scratch, simple};
use serde_json::{Value, json};

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
}

struct Wanted {
    kills: u64,
    seed: u64,
    seconds: u64,
}

fn main() -> ExitCode {
    let mut wanted = Wanted { kills: 30, seed: 0, seconds: u64::MAX };
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    wanted.seed = now.as_nanos() as u64;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        let field = match arg.as_str() {
            "--kills" => &mut wanted.kills,
            "--seed" => &mut wanted.seed,
            "--seconds" => &mut wanted.seconds,
            // What `cargo test` passes on to harnesses.
            _ => continue,
        };
        *field = args.next().and_then(|text| text.parse().ok()).expect("a number");
    }
    println!("seed {} ({} kills)", wanted.seed, wanted.kills);
    kills(&wanted);
    cuts(wanted.seed);
    ExitCode::SUCCESS
}

/// What a client knows: the transactions it sent, and how many were acknowledged. Each puts the
/// same number into its two rows.
#[derive(Default, Clone, Copy)]
struct Known {
    sent: i64,
    acknowledged: i64,
}

const CLIENTS: i64 = 4;

fn kills(wanted: &Wanted) {
    let start = Instant::now();
    let mut random = Random(wanted.seed);
    let mut p = Program::start("crash", &simple(), &[]);
    let mut known = [Known::default(); CLIENTS as usize];
    let mut rows = Vec::new();
    for client in 0..CLIENTS {
        // Negative texts name the owner; "n" counts.
        for half in ["a", "b"] {
            rows.push(json!({"op": "insert", "table": "t",
                             "row": {"n": 0, "text": format!("{client}{half}")}}));
        }
    }
    rows.insert(0, json!("simple"));
    rows.push(json!({"op": "commit", "durable": true}));
    p.client().transact(Value::Array(rows));

    let mut acknowledged = 0;
    let mut compacted = 0;
    let mut done = 0;
    for kill in 0..wanted.kills {
        if start.elapsed() > Duration::from_secs(wanted.seconds) {
            break;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let client = p.client();
                let (stop, known) = (Arc::clone(&stop), known[n as usize]);
                std::thread::spawn(move || load(client, n, known, &stop))
            })
            .collect();
        let pause = Duration::from_micros(random.below(40_000));
        std::thread::sleep(pause);
        if random.below(4) == 0 {
            // In the middle of writing the file anew.
            let target = p.dir.text("ctl");
            let mut compact = std::process::Command::new("ovs-appctl")
                .args(["-t", &target, "ovsdb-server/compact"])
                .stderr(std::process::Stdio::null())
                .spawn();
            std::thread::sleep(Duration::from_micros(random.below(12_000)));
            p.kill();
            if let Ok(child) = &mut compact {
                let _ = child.wait();
                compacted += 1;
            }
        } else {
            p.kill();
        }
        stop.store(true, Ordering::Relaxed);
        for (thread, known) in threads.into_iter().zip(&mut known) {
            *known = thread.join().unwrap();
        }
        p.run(program::OURS, &[]);
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        let found = p.client().transact(json!(["simple",
            {"op": "select", "table": "t", "where": [], "columns": ["n", "text"]}]));
        for row in found[0]["rows"].as_array().unwrap() {
            counts.insert(row["text"].as_str().unwrap().to_owned(), row["n"].as_i64().unwrap());
        }
        assert_eq!(counts.len(), CLIENTS as usize * 2);
        for (client, known) in known.iter_mut().enumerate() {
            let (a, b) = (counts[&format!("{client}a")], counts[&format!("{client}b")]);
            let context = format!(
                "seed {}, kill {kill}, client {client}: rows {a} and {b}, sent {}, acknowledged \
                 {}: {}",
                wanted.seed,
                known.sent,
                known.acknowledged,
                p.log()
            );
            assert_eq!(a, b, "half a transaction: {context}");
            assert!(a >= known.acknowledged, "lost what was acknowledged: {context}");
            assert!(a <= known.sent, "more than was sent: {context}");
            acknowledged += a;
            *known = Known { sent: a, acknowledged: a };
        }
        done += 1;
    }
    assert!(acknowledged > 0, "nothing was ever acknowledged");
    println!(
        "{done} kills ({compacted} while compacting) in {:.1} s, {} transactions kept",
        start.elapsed().as_secs_f64(),
        known.iter().map(|known| known.acknowledged).sum::<i64>()
    );
}

/// Counts up, a few requests ahead of the answers, until the server is gone.
fn load(mut client: Client, n: i64, mut known: Known, stop: &AtomicBool) -> Known {
    let mut waiting = 0;
    while !stop.load(Ordering::Relaxed) {
        while waiting < 3 {
            let value = known.sent + 1;
            let half = |half: &str| {
                json!({"op": "update", "table": "t", "row": {"n": value},
                       "where": [["text", "==", format!("{n}{half}")]]})
            };
            // Half of the clients want to be sure of the disk.
            let commit = json!({"op": "commit", "durable": n % 2 == 0});
            // Counted before it goes out: it may get there even if the write says it failed.
            known.sent = value;
            let params = json!(["simple", half("a"), half("b"), commit]);
            if client.ask("transact", &params).is_err() {
                return known;
            }
            waiting += 1;
        }
        let Some(answer) = client.receive() else { return known };
        let results = answer["result"].as_array().expect("results");
        assert!(results.iter().all(|r| r.get("error").is_none()), "{answer}");
        known.acknowledged += 1;
        waiting -= 1;
    }
    known
}

/// Cuts a file at every byte of its last records: all whole records are there, and no part of the
/// one that is cut.
fn cuts(seed: u64) {
    const RECORDS: i64 = 12;
    const LAST: usize = 3;
    let dir = Scratch::new("cuts");
    let file = dir.path("conf.db");
    program::create(&file, &simple());
    let mut ends = Vec::new();
    {
        let mut p =
            Program { socket: dir.path("db.sock"), dir: Scratch::new("cutter"), child: None };
        std::fs::copy(&file, p.dir.path("conf.db")).unwrap();
        p.socket = p.dir.path("db.sock");
        p.run(program::OURS, &[]);
        let mut client = p.client();
        for n in 0..RECORDS {
            client.transact(json!(["simple",
                {"op": "insert", "table": "t", "row": {"n": n, "text": "one"}},
                {"op": "insert", "table": "t", "row": {"n": n, "text": "two"}},
                {"op": "commit", "durable": true}]));
            ends.push(std::fs::metadata(p.dir.path("conf.db")).unwrap().len() as usize);
        }
        p.kill();
        std::fs::copy(p.dir.path("conf.db"), &file).unwrap();
    }
    let whole = std::fs::read(&file).unwrap();
    assert_eq!(Some(&whole.len()), ends.last());
    let from = ends[ends.len() - 1 - LAST];
    for cut in from..=whole.len() {
        std::fs::write(&file, &whole[..cut]).unwrap();
        let (database, warnings) = Database::open(&file, RowIds::seeded(seed)).unwrap();
        let records = ends.iter().filter(|end| **end <= cut).count();
        let mut halves: BTreeMap<i64, usize> = BTreeMap::new();
        for (_, row) in database.rows("t") {
            let table = &database.schema().tables[0];
            let Some(Atom::Integer(n)) = row[table.column("n").unwrap()].single() else { panic!() };
            assert!(!Datum::is_empty(&row[table.column("text").unwrap()]));
            *halves.entry(*n).or_default() += 1;
        }
        assert_eq!(halves.len(), records, "cut at {cut} of {}", whole.len());
        assert!(halves.values().all(|halves| *halves == 2), "cut at {cut}: {halves:?}");
        let at_an_end = ends.contains(&cut);
        assert_eq!(warnings.is_empty(), at_an_end, "cut at {cut}: {warnings:?}");
    }
    println!("{} cuts", whole.len() + 1 - from);
}
