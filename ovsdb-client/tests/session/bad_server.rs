//! Against servers that lie, are old, are silent or go mad: every connection ends in an error that
//! says why, and the session tries again.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::time::Duration;

use crate::common::{Driver, TempDir};
use ovsdb::Framer;
use ovsdb::jsonrpc::{self, Message};
use ovsdb_client::{Cluster, LinkError, Options, SessionEvent, Txn, TxnError};

const SCHEMA: &str = r#"{"name":"Open_vSwitch","version":"1.0.0","tables":{"Port":{"columns":{
    "name":{"type":"string"},
    "trunks":{"type":{"key":"integer","min":0,"max":4096}},
    "tag":{"type":{"key":"integer","min":0,"max":1}}}}}}"#;
const ID: &str = "00000000-0000-0000-0000-000000000001";

const ZERO: &str = "00000000-0000-0000-0000-000000000000";

/// Options with short waits; these servers know nothing of `_Server`.
fn quick() -> Options {
    Options { cluster: Cluster::Any, ..crate::common::quick() }
}

/// What a fake server sends for a method: bytes, or nothing.
type Script = Box<dyn Fn(&str, &str) -> Option<Vec<u8>> + Send>;

/// Serves one connection for each script, in order, then ends.
fn serve(scripts: Vec<Script>) -> (TempDir, String, std::thread::JoinHandle<()>) {
    let dir = TempDir::new();
    let path: PathBuf = dir.0.join("db.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        for script in scripts {
            let (stream, _) = listener.accept().unwrap();
            talk(stream, &script);
        }
    });
    (dir, format!("unix:{}", path.display()), thread)
}

fn talk(mut stream: UnixStream, script: &Script) {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut framer = Framer::default();
    let mut chunk = [0; 4096];
    loop {
        while let Ok(Some(bytes)) = framer.next_message() {
            let (method, id) = match jsonrpc::parse(bytes).unwrap() {
                Message::Request { method, params, id } => {
                    // A server that is asked for what came after a transaction must know which.
                    let last = params.get().rsplit('"').nth(1).unwrap_or_default();
                    match &*method {
                        "monitor_cond_since" if last != ZERO => (format!("since {last}"), id.get()),
                        _ => (method.into_owned(), id.get()),
                    }
                }
                Message::Response { id, result } => match result {
                    Ok(_) => ("reply".to_owned(), id.get()),
                    Err(_) => ("refusal".to_owned(), id.get()),
                },
                Message::Notification { .. } => continue,
            };
            let Some(answer) = script(&method, id) else { continue };
            if answer.is_empty() || stream.write_all(&answer).is_err() {
                return;
            }
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return,
            Ok(number) => framer.push(&chunk[..number]),
        }
    }
}

fn answer(id: &str, result: &str) -> Vec<u8> {
    format!(r#"{{"id":{id},"result":{result},"error":null}}"#).into_bytes()
}

/// A good server up to the contents, which are followed by `then`.
fn good(method: &str, id: &str, then: &[u8]) -> Option<Vec<u8>> {
    match method {
        "get_schema" => Some(answer(id, SCHEMA)),
        "monitor_cond_since" => {
            let row = format!(r#"{{"Port":{{"{ID}":{{"initial":{{"name":"p0"}}}}}}}}"#);
            let mut bytes = answer(id, &format!(r#"[false,"{ZERO}",{row}]"#));
            bytes.extend_from_slice(then);
            Some(bytes)
        }
        _ => None,
    }
}

fn disconnects(driver: &Driver) -> usize {
    driver.count(|event| matches!(event, SessionEvent::Disconnected { .. }))
}

/// The reason of the only connection's end.
fn reason_of(script: Script) -> (String, Driver) {
    let (_dir, remote, thread) = serve(vec![script]);
    let mut driver = Driver::new(&remote, quick());
    driver.until("disconnect", |driver| disconnects(driver) == 1);
    let reason = driver
        .seen
        .iter()
        .find_map(|event| match event {
            SessionEvent::Disconnected { reason, .. } => Some(reason.to_string()),
            _ => None,
        })
        .unwrap();
    thread.join().unwrap();
    (reason, driver)
}

#[harness::test]
fn protocol_violation_ends_the_connection_with_its_reason() {
    let update = |params: &str| {
        format!(r#"{{"method":"update3","params":{params},"id":null}}"#).into_bytes()
    };
    let cases: Vec<(Script, &str)> = vec![
        (Box::new(|_, _| Some(b"hello".to_vec())), "byte 0x68 at offset 0"),
        (Box::new(|_, _| Some(vec![b'['; 10])), "byte 0x5b at offset 0"),
        (
            Box::new(|_, _| Some([b"{\"a\":".as_slice(), &[b'['; 5000]].concat())),
            "nested deeper than 100",
        ),
        (Box::new(|_, _| Some(b"{nonsense}".to_vec())), "not a JSON-RPC message"),
        (Box::new(|_, _| Some(b"{}".to_vec())), "neither a method nor an id"),
        (Box::new(|_, _| Some(b"{\"a\":\"\xff\"}".to_vec())), "not a JSON-RPC message"),
        (Box::new(|_, id| Some(answer(id, "7"))), "schema: database: an object"),
        (Box::new(|_, id| Some(answer(id, "null"))), "schema: database: an object"),
        (
            Box::new(|_, id| {
                Some(
                    format!(r#"{{"id":{id},"result":null,"error":"unknown database"}}"#)
                        .into_bytes(),
                )
            }),
            "database Open_vSwitch: \"unknown database\"",
        ),
        (
            Box::new(move |method, id| match method {
                "monitor_cond_since" => Some(answer(id, "{}")),
                _ => good(method, id, b""),
            }),
            "update: ",
        ),
        (
            {
                let bytes = update("[]");
                Box::new(move |method, id| good(method, id, &bytes))
            },
            "too few parameters",
        ),
        (
            {
                let bytes = update(&format!(r#"["m","{ZERO}",{{"Port":{{"x":{{}}}}}}]"#));
                Box::new(move |method, id| good(method, id, &bytes))
            },
            "\"x\" is not a UUID",
        ),
        (
            {
                let bytes = update(&format!(
                    r#"["m","{ZERO}",{{"Port":{{"{ZERO}":{{"modify":{{"tag":1}}}}}}}}]"#
                ));
                Box::new(move |method, id| good(method, id, &bytes))
            },
            "is unknown",
        ),
        (
            Box::new(|method, id| {
                good(method, id, br#"{"method":"monitor_canceled","params":["m"],"id":null}"#)
            }),
            "the server ended the monitor",
        ),
        (
            Box::new(|_, _| Some(br#"{"method":"update3","params":[],"id":null}"#.to_vec())),
            "an update before the contents",
        ),
        (Box::new(|_, _| Some(Vec::new())), "closed by peer"),
    ];
    for (script, says) in cases {
        let (reason, _) = reason_of(script);
        assert!(reason.contains(says), "{reason} (wanted: {says})");
    }
}

#[harness::test]
fn bad_value_does_not_end_the_connection() {
    let update = format!(
        r#"{{"method":"update3","id":null,"params":["m","{ZERO}",
            {{"Port":{{"{ID}":{{"modify":{{"tag":"seven","trunks":["set",[4,2]]}}}}}}}}]}}"#
    );
    let (_dir, remote, _thread) =
        serve(vec![Box::new(move |method, id| good(method, id, update.as_bytes()))]);
    let mut driver = Driver::new(&remote, quick());
    driver.until("bad value", |driver| {
        driver.count(|event| matches!(event, SessionEvent::BadValue(_))) == 1
    });
    let port = driver.session.db().ports.values().next().unwrap();
    assert_eq!((port.tag, port.trunks.as_slice()), (None, &[2, 4][..]));
    assert_eq!(disconnects(&driver), 0);
    // Columns that this old schema lacks.
    assert!(driver.count(|event| matches!(event, SessionEvent::SchemaGap(_))) > 10);
}

#[harness::test]
fn random_bytes_never_stop_the_session() {
    let seed: u64 = 0x5eed_0001;
    println!("seed {seed:#x}");
    let mut state = seed;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let mut scripts: Vec<Script> = Vec::new();
    for round in 0..60 {
        // Good bytes, with some of them spoilt, or noise alone; then the end.
        let flips: Vec<(usize, u8)> =
            (0..1 + random() % 6).map(|_| (random() as usize, random() as u8)).collect();
        let noise: Vec<u8> = (0..random() % 2000).map(|_| random() as u8).collect();
        scripts.push(Box::new(move |method, id| {
            let update = format!(
                r#"{{"method":"update3","id":null,"params":["m","{ID}",
                    {{"Port":{{"{ID}":{{"modify":{{"tag":7,"trunks":["set",[4,2]]}}}}}}}}]}}"#
            );
            let mut bytes = match good(method, id, update.as_bytes()) {
                Some(bytes) if round % 3 != 0 => bytes,
                _ => noise.clone(),
            };
            // A third of the connections are only cut off.
            if round % 3 == 1 {
                let number = bytes.len().max(1);
                for (at, with) in &flips {
                    if let Some(byte) = bytes.get_mut(at % number) {
                        *byte ^= with;
                    }
                }
            }
            if method == "monitor_cond_since" && round % 3 == 2 {
                bytes.truncate(flips[0].0 % bytes.len());
            }
            (!bytes.is_empty()).then_some(bytes)
        }));
    }
    let dir = TempDir::new();
    let path = dir.0.join("db.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let thread = std::thread::spawn(move || {
        for script in scripts {
            let (stream, _) = listener.accept().unwrap();
            // Whatever it did not end by then, the server ends.
            let ender = stream.try_clone().unwrap();
            let timer = std::thread::spawn(move || {
                std::thread::sleep(Duration::from_millis(20));
                let _ = ender.shutdown(std::net::Shutdown::Both);
            });
            talk(stream, &script);
            timer.join().unwrap();
        }
        // And at last a good one.
        let (stream, _) = listener.accept().unwrap();
        talk(stream, &(Box::new(|method: &str, id: &str| good(method, id, b"")) as Script));
    });
    let mut options = quick();
    (options.min_backoff, options.max_backoff) =
        (Duration::from_millis(1), Duration::from_millis(2));
    let mut driver = Driver::new(&format!("unix:{}", path.display()), options);
    driver.until("all connections", |driver| disconnects(driver) >= 60);
    driver.until("a good server", |driver| driver.session.is_following());
    assert_eq!(driver.session.db().ports.values().next().unwrap().name, "p0");
    drop(driver);
    thread.join().unwrap();
}

#[harness::test]
fn older_servers_are_followed_by_older_methods() {
    for knows in ["monitor_cond", "monitor"] {
        let script: Script = Box::new(move |method, id| match method {
            "get_schema" => Some(answer(id, SCHEMA)),
            "monitor_cond" | "monitor" if method == knows => {
                let (row, update) = match knows {
                    "monitor" => ("new", r#"{"old":{"tag":5},"new":{"name":"p0","tag":7}}"#),
                    _ => ("initial", r#"{"modify":{"tag":7}}"#),
                };
                let name = if knows == "monitor" { "update" } else { "update2" };
                let rows = format!(r#"{{"Port":{{"{ID}":{{"{row}":{{"name":"p0","tag":5}}}}}}}}"#);
                let mut bytes = answer(id, &rows);
                let update = format!(
                    r#"{{"method":"{name}","id":null,"params":["m",{{"Port":{{"{ID}":{update}}}}}]}}"#
                );
                bytes.extend_from_slice(update.as_bytes());
                Some(bytes)
            }
            "monitor_cond_since" | "monitor_cond" => Some(
                format!(r#"{{"id":{id},"result":null,"error":{{"error":"unknown method"}}}}"#)
                    .into_bytes(),
            ),
            _ => None,
        });
        let (_dir, remote, _thread) = serve(vec![script]);
        let mut driver = Driver::new(&remote, quick());
        driver.until("update", |driver| {
            driver.session.db().ports.values().next().is_some_and(|port| port.tag == Some(7))
        });
        assert_eq!(driver.session.db().ports.values().next().unwrap().name, "p0");
    }
}

#[harness::test]
fn echoes_are_answered_and_other_requests_refused() {
    // The session is only ended by the server once both answers came.
    let answers = std::sync::atomic::AtomicU32::new(0);
    let script: Script = Box::new(move |method, id| match (method, id) {
        ("get_schema", _) => Some(
            br#"{"method":"echo","params":["x"],"id":"e"}{"method":"y","params":[],"id":"f"}"#
                .to_vec(),
        ),
        ("reply", "\"e\"") | ("refusal", "\"f\"") => {
            let number = answers.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
            (number == 2).then(Vec::new)
        }
        _ => None,
    });
    let (reason, _) = reason_of(script);
    assert_eq!(reason, "connection closed by peer");
}

#[harness::test]
fn unanswered_probe_ends_the_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let remote = format!("tcp:{}", listener.local_addr().unwrap());
    let options = Options { probe_interval: Some(Duration::from_millis(40)), ..quick() };
    let mut driver = Driver::new(&remote, options);
    driver.until("disconnect", |driver| disconnects(driver) == 1);
    assert!(driver.seen.iter().any(|event| matches!(
        event,
        SessionEvent::Disconnected { reason: LinkError::Silent(_), .. }
    )));
    let (mut stream, _) = listener.accept().unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(text.contains("get_schema") && text.contains(r#""id":"echo""#), "{text}");
}

#[harness::test]
fn transactions_under_way_are_canceled_by_a_disconnect() {
    let script: Script = Box::new(|method, id| match method {
        "transact" => Some(Vec::new()),
        _ => good(method, id, b""),
    });
    let (_dir, remote, _thread) = serve(vec![script]);
    let mut driver = Driver::new(&remote, quick());
    driver.until("contents", |driver| driver.session.is_following());
    let id = driver.session.transact(&Txn::new());
    driver.until("reply", |driver| disconnects(driver) == 1);
    let replies: Vec<_> = driver
        .seen
        .iter()
        .filter_map(|event| match event {
            SessionEvent::TxnReply(of, result) => Some((*of, result.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(replies, [(id, Err(TxnError::Disconnected))]);
}

#[harness::test]
fn waits_double_up_to_the_longest() {
    let options = Options {
        min_backoff: Duration::from_millis(10),
        max_backoff: Duration::from_millis(50),
        ..Options::default()
    };
    let mut driver = Driver::new("unix:/nonexistent/db.sock", options);
    let failures = |driver: &Driver| -> Vec<u128> {
        let waits = driver.seen.iter().filter_map(|event| match event {
            SessionEvent::ConnectFailed { retry_in, .. } => Some(retry_in.as_millis()),
            _ => None,
        });
        waits.collect()
    };
    driver.until("attempts", |driver| failures(driver).len() >= 5);
    assert_eq!(failures(&driver)[..5], [10, 20, 40, 50, 50]);
}

#[harness::test]
fn monitor_cond_since_fetches_only_later_changes() {
    let [first, second] = [1, 2].map(|n| format!("00000000-0000-4000-8000-00000000000{n}"));
    let asked = format!("since {first}");
    let scripts: Vec<Script> = vec![
        Box::new(move |method, id| match method {
            "monitor_cond_since" => Some(answer(
                id,
                &format!(
                    r#"[false,"{first}",{{"Port":{{"{ID}":{{"initial":{{"name":"p0","tag":1}}}}}}}}]"#
                ),
            )),
            "transact" => Some(Vec::new()),
            _ => good(method, id, b""),
        }),
        Box::new(move |method, id| match method {
            since if since == asked => Some(answer(
                id,
                &format!(r#"[true,"{second}",{{"Port":{{"{ID}":{{"modify":{{"tag":2}}}}}}}}]"#),
            )),
            "get_schema" => good(method, id, b""),
            other => panic!("{other}"),
        }),
    ];
    let (_dir, remote, _thread) = serve(scripts);
    let mut driver = Driver::new(&remote, quick());
    driver.until("contents", |driver| driver.session.is_following());
    assert_eq!(driver.session.take_changes().len(), 1);
    driver.session.transact(&Txn::new());
    driver.until("second contents", |driver| {
        driver.count(|event| matches!(event, SessionEvent::InitialData)) == 2
    });
    let port = driver.session.db().ports.values().next().unwrap();
    assert_eq!((port.name.as_str(), port.tag), ("p0", Some(2)));
    assert_eq!(driver.session.take_changes().len(), 1);
}
