//! The server is killed under load: every transaction that it acknowledged is there afterwards, and
//! none is half there.
//!
//! `CRASHES=5000 SEED=7 cargo test -p braid-ovsdb-server --test crash` does so more often.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use ovsdb_server::{Database, RowIds, schema::Schema};
use serde_json::{Value, json};

/// Two tables whose rows a transaction always changes together.
const SCHEMA: &str = r#"{"name":"db","version":"1.0.0","tables":{
  "A":{"isRoot":true,"columns":{"client":{"type":"integer"},"n":{"type":"integer"},
    "text":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}}}},
  "B":{"isRoot":true,"columns":{"client":{"type":"integer"},"n":{"type":"integer"}}}}}"#;

const CLIENTS: usize = 4;

fn below(state: &mut u64, n: u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) % n
}

fn start(directory: &Path) -> Child {
    let path = |name: &str| directory.join(name).to_str().unwrap().to_owned();
    let _ = std::fs::remove_file(path("socket"));
    Command::new(env!("CARGO_BIN_EXE_ovsdb-server"))
        .arg(path("db"))
        .arg(format!("--remote=punix:{}", path("socket")))
        .arg(format!("--unixctl={}", path("ctl")))
        .args(["--no-chdir", "-vconsole:off"])
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

fn connect(directory: &Path) -> UnixStream {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match UnixStream::connect(directory.join("socket")) {
            Ok(stream) => return stream,
            Err(error) => assert!(Instant::now() < deadline, "{error}"),
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The next message, or `None` when the server has gone.
fn receive(stream: &mut UnixStream, buffer: &mut Vec<u8>) -> Option<Value> {
    loop {
        let mut messages = serde_json::Deserializer::from_slice(buffer).into_iter::<Value>();
        if let Some(Ok(message)) = messages.next() {
            let end = messages.byte_offset();
            buffer.drain(..end);
            return Some(message);
        }
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(0) | Err(_) => return None,
            Ok(read) => buffer.extend_from_slice(&bytes[..read]),
        }
    }
}

/// Makes transactions until the server has gone. Gives the number of the last that was acknowledged.
fn load(mut stream: UnixStream, client: usize, first: u64) -> u64 {
    let mut buffer = Vec::new();
    let mut acknowledged = first;
    loop {
        let n = acknowledged + 1;
        let row = |own: bool| match own {
            true => json!({"n": n, "text": ["map", [["k", "x".repeat((n % 50 * 40) as usize)]]]}),
            false => json!({"n": n}),
        };
        let filter = json!([["client", "==", client]]);
        let request = json!({"id": n, "method": "transact", "params": ["db",
            {"op":"update","table":"A","where":filter,"row":row(true)},
            {"op":"update","table":"B","where":filter,"row":row(false)},
            {"op":"commit","durable": n % 3 == 0}]});
        if stream.write_all(request.to_string().as_bytes()).is_err() {
            return acknowledged;
        }
        match receive(&mut stream, &mut buffer) {
            None => return acknowledged,
            Some(answer) => {
                assert_eq!(answer["result"], json!([{"count":1},{"count":1},{}]), "{answer}");
                acknowledged = n;
            }
        }
    }
}

/// `n` of each client, in one table.
fn numbers(database: &Database, table: &str) -> BTreeMap<i64, i64> {
    let schema = database.schema();
    let table_schema = &schema.tables[schema.table(table).unwrap()];
    let column = |name: &str| table_schema.column(name).unwrap();
    let integer = |datum: &ovsdb_server::value::Datum| match datum.single() {
        Some(ovsdb_server::value::Atom::Integer(value)) => *value,
        other => panic!("{other:?}"),
    };
    let (client, n) = (column("client"), column("n"));
    database.rows(table).map(|(_, row)| (integer(&row[client]), integer(&row[n]))).collect()
}

struct Dir(PathBuf);

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn nothing_acknowledged_is_lost() {
    let number = |name: &str, default: u64| {
        std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
    };
    let (crashes, mut seed) = (number("CRASHES", 12), number("SEED", 1));
    println!("CRASHES={crashes} SEED={seed}");
    let directory = std::env::temp_dir().join(format!("braid-ovsdb-crash-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let guard = Dir(directory.clone());
    let file = directory.join("db");
    Database::create_file(&file, &Schema::parse(SCHEMA).unwrap()).unwrap();
    let mut acknowledged = [0_u64; CLIENTS];
    {
        let (database, _) = Database::open(&file, RowIds::random()).unwrap();
        let mut server = ovsdb_server::Server::new(RowIds::random()).unwrap();
        server.add_database(database).unwrap();
        for client in 0..CLIENTS {
            let insert = |table: &str| json!({"op":"insert","table":table,"row":{"client":client}});
            let operations = json!([insert("A"), insert("B")]).to_string();
            server.transact_internal("db", &operations, ovsdb_server::Now::default()).unwrap();
        }
    }
    for crash in 0..crashes {
        let mut child = start(&directory);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (stream, first) = (connect(&directory), acknowledged[client]);
                std::thread::spawn(move || load(stream, client, first))
            })
            .collect();
        std::thread::sleep(Duration::from_micros(below(&mut seed, 60_000)));
        child.kill().unwrap();
        child.wait().unwrap();
        let told: Vec<u64> = clients.into_iter().map(|client| client.join().unwrap()).collect();
        let (mut database, warnings) = Database::open(&file, RowIds::random()).unwrap();
        assert!(warnings.len() <= 1, "{warnings:?}");
        let (a, b) = (numbers(&database, "A"), numbers(&database, "B"));
        assert_eq!(a, b, "crash {crash}: a transaction is half there");
        for (client, told) in told.iter().enumerate() {
            let kept = u64::try_from(a[&(client as i64)]).unwrap();
            // One more may have been committed than was told.
            assert!(kept == *told || kept == told + 1, "crash {crash}: {kept} kept, {told} told");
            acknowledged[client] = kept;
        }
        if crash % 50 == 49 {
            database.compact(ovsdb_server::Now::default()).unwrap();
        }
    }
    println!("{acknowledged:?} transactions");
    assert!(acknowledged.iter().sum::<u64>() > crashes);
    drop(guard);
}
