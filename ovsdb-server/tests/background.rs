//! Transactions of many operations run beside the other clients'.

harness::main!();

mod common;
#[allow(unreachable_pub, reason = "each test uses its part")]
mod program;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use common::World;
use ovsdb_server::SessionId;
use program::{PATIENCE, Program, simple};
use serde_json::{Value, json};

/// Requests of so many bytes are long ones here.
const LONG: usize = 1000;

fn world() -> World {
    let mut world = World::new();
    world.server.run_long_transactions_in_background(LONG);
    world
}

fn insert(name: &str) -> Value {
    json!({"op": "insert", "table": "Root", "row": {"name": name}})
}

/// A long one: 100 rows named by a prefix, after other operations.
fn long(prefix: &str, first: &[Value]) -> Value {
    let mut params = vec![json!("db")];
    params.extend_from_slice(first);
    params.extend((0..100).map(|n| insert(&format!("{prefix}{n}"))));
    Value::Array(params)
}

fn short(operation: Value) -> Value {
    json!(["db", operation])
}

/// Runs the server until a session has its answer.
fn answer(world: &mut World, session: SessionId) -> Value {
    let begin = Instant::now();
    loop {
        world.server.run(world.now);
        if let Some(answer) = world.fetch(session).pop() {
            return answer;
        }
        assert!(begin.elapsed() < PATIENCE, "no answer");
        std::thread::sleep(Duration::from_millis(1));
    }
}

fn names(world: &mut World) -> usize {
    let session = world.connect();
    let select = json!({"op": "select", "table": "Root", "where": [], "columns": ["name"]});
    let rows = world.result(session, "transact", &short(select));
    world.server.disconnect(session);
    rows[0]["rows"].as_array().unwrap().len()
}

/// Until [`Server::run`] is called nothing is committed, so that these do not depend on time.
#[harness::test]
fn reads_are_answered_during_a_long_transaction_and_writes_keep_their_order() {
    let mut world = world();
    let [long_one, reader, first, second, watcher] = [(); 5].map(|()| world.connect());
    let monitor = json!(["db", "m", {"Root": [{"columns": ["name"]}]}]);
    world.result(watcher, "monitor", &monitor);
    let id = world.send(long_one, "transact", &long("a", &[]));
    assert!(world.server.is_busy(long_one));
    assert!(world.fetch(long_one).is_empty());
    assert_eq!(world.result(reader, "echo", &json!([1])), json!([1]));
    assert_eq!(names(&mut world), 0);
    // One that fails is answered, too.
    let failed = world.result(reader, "transact", &short(json!({"op": "abort"})));
    assert_eq!(failed[0]["error"], "aborted");
    world.send(first, "transact", &short(insert("first")));
    // It sees what is before it.
    let update = json!({"op": "update", "table": "Root", "where": [["name", "==", "first"]],
        "row": {"name": "second"}});
    let both = json!(["db", update, insert("third")]);
    world.send(second, "transact", &both);
    assert!(world.server.is_busy(first) && world.server.is_busy(second));
    assert!(world.fetch(first).is_empty() && world.fetch(watcher).is_empty());
    let deadline = world.server.next_deadline().expect("it is to be called again soon");
    assert!(deadline <= world.now.mono_ms + 10);

    let answered = answer(&mut world, long_one);
    assert_eq!(answered["id"], id);
    assert_eq!(answered["result"].as_array().unwrap().len(), 100);
    assert!(answer(&mut world, first)["result"][0]["uuid"].is_array());
    assert_eq!(answer(&mut world, second)["result"][0], json!({"count": 1}));
    assert!([long_one, first, second].iter().all(|session| !world.server.is_busy(*session)));
    assert_eq!(names(&mut world), 102);
    let told = world.fetch(watcher).pop().unwrap();
    assert_eq!(told["params"][1]["Root"].as_object().unwrap().len(), 102);
    assert_eq!(world.server.next_deadline(), None);
}

#[harness::test]
fn a_lock_that_is_stolen_meanwhile_is_not_owned() {
    let mut world = world();
    let [owner, thief] = [(); 2].map(|()| world.connect());
    let assert = json!({"op": "assert", "lock": "l"});
    world.result(owner, "lock", &json!(["l"]));
    world.send(owner, "transact", &long("a", std::slice::from_ref(&assert)));
    world.result(thief, "steal", &json!(["l"]));
    let stolen = world.fetch(owner);
    assert_eq!(stolen[0]["method"], "stolen");
    assert_eq!(answer(&mut world, owner)["result"][0]["error"], "not owner");
    assert_eq!(names(&mut world), 0);
    world.send(thief, "transact", &long("a", &[assert]));
    assert_eq!(answer(&mut world, thief)["result"][0], json!({}));
    assert_eq!(names(&mut world), 100);
}

#[harness::test]
fn long_transaction_runs_again_after_a_write_of_the_server() {
    let mut world = world();
    let session = world.connect();
    world.send(session, "transact", &long("a", &[]));
    let own = Value::Array(vec![insert("a7")]).to_string();
    world.server.transact_internal("db", &own, world.now).unwrap();
    let result = answer(&mut world, session);
    let last = result["result"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(last["error"], "constraint violation");
    assert_eq!(names(&mut world), 1);
}

#[harness::test]
fn long_transaction_commits_after_its_client_has_disconnected() {
    let mut world = world();
    let [gone, other] = [(); 2].map(|()| world.connect());
    world.send(gone, "transact", &long("a", &[]));
    world.send(other, "transact", &short(insert("other")));
    world.server.disconnect(gone);
    assert!(answer(&mut world, other)["result"][0]["uuid"].is_array());
    assert_eq!(names(&mut world), 101);
}

#[harness::test]
fn waiting_transaction_is_tried_again_in_the_background() {
    let mut world = world();
    let [waiter, other] = [(); 2].map(|()| world.connect());
    let wait = |timeout: u64| {
        json!({"op": "wait", "table": "Root", "where": [["name", "==", "go"]], "columns": ["name"],
            "until": "==", "rows": [{"name": "go"}], "timeout": timeout})
    };
    world.send(waiter, "transact", &long("a", &[wait(60_000)]));
    while world.server.is_busy(waiter) {
        world.server.run(world.now);
    }
    // It waits, and its client is served meanwhile.
    assert!(world.fetch(waiter).is_empty());
    assert_eq!(world.result(waiter, "echo", &json!([])), json!([]));
    world.result(other, "transact", &short(insert("go")));
    let answered = answer(&mut world, waiter);
    assert_eq!(answered["result"][0], json!({}));
    assert_eq!(names(&mut world), 101);

    let stop = json!({"op": "wait", "table": "Root", "where": [["name", "==", "no"]],
        "columns": ["name"], "until": "==", "rows": [{"name": "no"}], "timeout": 50});
    world.send(waiter, "transact", &long("b", &[stop]));
    while world.server.is_busy(waiter) {
        world.server.run(world.now);
    }
    world.now.mono_ms += 100;
    assert_eq!(answer(&mut world, waiter)["result"][0]["error"], "timed out");
}

#[harness::test]
fn removed_database_cancels_a_long_transaction() {
    let mut world = world();
    let [session, writer] = [(); 2].map(|()| world.connect());
    for session in [session, writer] {
        world.result(session, "set_db_change_aware", &json!([true]));
    }
    world.send(session, "transact", &long("a", &[]));
    world.send(writer, "transact", &short(insert("b")));
    world.server.remove_database("db").unwrap();
    for session in [session, writer] {
        assert_eq!(world.fetch(session).pop().unwrap()["error"], "canceled");
        assert!(!world.server.is_busy(session));
    }
}

#[harness::test]
fn malformed_json_closes_the_session() {
    let mut world = world();
    let session = world.connect();
    world.send(session, "transact", &long("\u{0}", &[]));
    let begin = Instant::now();
    while world.server.must_close(session).is_none() {
        world.server.run(world.now);
        assert!(begin.elapsed() < PATIENCE);
    }
    assert_eq!(names(&mut world), 0);
    // Other mistakes are named as for short ones.
    let session = world.connect();
    for (first, error) in [("no", "unknown database"), ("db", "syntax error")] {
        let mut params = long("a", &[json!({"op": "insert"})]);
        params[0] = json!(first);
        world.send(session, "transact", &params);
        let answer = answer(&mut world, session);
        let found = [&answer["error"]["error"], &answer["result"][0]["error"]];
        assert!(found.contains(&&json!(error)), "{answer}");
    }
}

#[harness::test]
fn transaction_that_scans_many_rows_runs_in_the_background() {
    let mut world = World::new();
    let rows: Vec<Value> = (0..300).map(|n| insert(&format!("r{n}"))).collect();
    world.ok(&Value::Array(rows).to_string());
    world.server.run_long_transactions_in_background(1 << 20);
    let session = world.connect();
    let params = |n: usize, condition: &Value| {
        let one = json!({"op": "update", "table": "Root", "where": condition, "row": {"real": 1}});
        Value::Array([json!("db")].into_iter().chain(vec![one; n]).collect())
    };
    world.send(session, "transact", &params(100, &json!([])));
    assert!(world.server.is_busy(session));
    answer(&mut world, session);
    world.result(session, "transact", &params(100, &json!([["name", "==", "r1"]])));
    world.result(session, "transact", &params(10, &json!([])));
}

fn many(n: i64) -> Value {
    let one = |n| json!({"op": "insert", "table": "t", "row": {"n": n, "text": "x"}});
    Value::Array([json!("simple")].into_iter().chain((0..n).map(one)).collect())
}

/// Others are answered many times before the long one is, also by the server in another program.
#[harness::test]
fn other_clients_are_answered_during_a_long_transaction() {
    let p = Program::start("beside", &simple(), &[]);
    let mut client = p.client();
    let mut long = UnixStream::connect(&p.socket).unwrap();
    let request = json!({"id": 1, "method": "transact", "params": many(30_000)});
    // When this returns the server has read all but what the socket holds.
    long.write_all(request.to_string().as_bytes()).unwrap();
    long.set_nonblocking(true).unwrap();
    let mut answers = 0;
    while long.read(&mut [0]).is_err() {
        assert_eq!(client.call("echo", json!([answers]))["result"], json!([answers]));
        answers += 1;
    }
    // A server that runs it at once answers two or three.
    assert!(answers > 30, "{answers}");
}

/// After a kill in the middle all of it is there or nothing, and what was answered before is.
#[harness::test]
fn kill_during_a_long_transaction_leaves_all_or_nothing() {
    let count =
        json!(["simple", {"op": "select", "table": "t", "where": [], "columns": ["_uuid"]}]);
    for milliseconds in [20, 60, 150, 400] {
        let mut p = Program::start("killed", &simple(), &[]);
        let durable = json!(["simple",
            {"op": "insert", "table": "t", "row": {"n": -1}}, {"op": "commit", "durable": true}]);
        p.client().transact(durable);
        let mut client = p.client();
        client.ask("transact", &many(10_000)).unwrap();
        std::thread::sleep(Duration::from_millis(milliseconds));
        p.kill();
        p.run(program::OURS, &[]);
        let rows = p.client().transact(count.clone())[0]["rows"].as_array().unwrap().len();
        assert!(rows == 1 || rows == 10_001, "{rows}");
    }
}

/// The file is compacted while a long transaction runs: nothing of either is lost.
#[harness::test]
fn compaction_continues_during_a_long_transaction() {
    program::needs("ovs-appctl");
    let mut p = Program::start("compacted", &simple(), &[]);
    let mut client = p.client();
    client.transact(many(3_000));
    client.ask("transact", &many(20_000)).unwrap();
    for _ in 0..3 {
        let out = p.appctl(&["ovsdb-server/compact"]);
        assert!(out.status.success(), "{out:?}");
    }
    let results = client.receive().unwrap()["result"].as_array().unwrap().len();
    assert_eq!(results, 20_000);
    p.kill();
    p.run(program::OURS, &[]);
    let count =
        json!(["simple", {"op": "select", "table": "t", "where": [], "columns": ["_uuid"]}]);
    assert_eq!(p.client().transact(count)[0]["rows"].as_array().unwrap().len(), 23_000);
}

/// Large commits are made on the thread; they come to the same as those that are made in place.
#[harness::test]
fn large_commits_give_the_same_contents_and_updates() {
    let rows = 1500;
    let name = |n: i64| json!([["name", "==", format!("r{n}")]]);
    let begin = |n: i64| {
        [
            json!({"op": "insert", "table": "Leaf", "row": {"k": n}, "uuid-name": format!("l{n}")}),
            json!({"op": "insert", "table": "Root", "row": {"name": format!("r{n}"),
                "leaf": ["named-uuid", format!("l{n}")], "weak": ["named-uuid", format!("l{n}")]}}),
        ]
    };
    let steps: Vec<Vec<Value>> = vec![
        (0..rows).flat_map(begin).collect(),
        (0..rows)
            .map(|n| json!({"op": "update", "table": "Root", "where": name(n), "row": {"real": n}}))
            .collect(),
        // Their leaves go, and with these the weak references.
        (0..rows / 2)
            .map(|n| {
                json!({"op": "update", "table": "Root", "where": name(n),
                    "row": {"leaf": ["set", []]}})
            })
            .collect(),
        (rows / 4..rows)
            .map(|n| json!({"op": "delete", "table": "Root", "where": name(n)}))
            .collect(),
        // The index does not know the old ones any more.
        (rows / 2..rows).flat_map(begin).collect(),
    ];
    let mut worlds = [World::new(), world()];
    for step in steps {
        let params: Vec<Value> = [json!("db")].into_iter().chain(step).collect();
        let seen = worlds.each_mut().map(|world| {
            let session = world.connect();
            let monitor = json!(["db", "m", {"Root": [{"columns": ["name"]}]}]);
            world.result(session, "monitor", &monitor);
            // Others: of the same group, of another, and one that has missed something before.
            let watchers = [(); 3].map(|()| world.connect());
            let all = json!(["db", "m", {"Root": [{}], "Leaf": [{}]}]);
            world.result(watchers[0], "monitor", &monitor);
            for watcher in &watchers[1..] {
                world.result(*watcher, "monitor_cond", &all);
            }
            world.ok(r#"[{"op":"insert","table":"Few","row":{}}]"#);
            world.ok(r#"[{"op":"insert","table":"Root","row":{"name":"new"}}]"#);
            let before = [session, watchers[0], watchers[1]].map(|one| world.fetch(one).len());
            assert_eq!(before, [1, 1, 1]);
            world.send(session, "transact", &json!(params));
            let begin = Instant::now();
            let mut told = Vec::new();
            while told.is_empty() || world.server.is_busy(session) {
                world.server.run(world.now);
                told.extend(world.fetch(session));
                assert!(begin.elapsed() < PATIENCE);
            }
            let last = told.pop().unwrap();
            let results = last["result"].as_array().unwrap();
            assert!(results.iter().all(|result| result.get("error").is_none()), "{last}");
            let rows = |news: &Value| -> Vec<(String, usize)> {
                let tables = news["params"][1].as_object().unwrap().iter();
                tables.map(|(name, rows)| (name.clone(), rows.as_object().unwrap().len())).collect()
            };
            let mut news: Vec<_> = told.iter().map(rows).collect();
            for watcher in watchers {
                news.extend(world.fetch(watcher).iter().map(rows));
                world.server.disconnect(watcher);
            }
            world.server.disconnect(session);
            world.ok(r#"[{"op":"delete","table":"Root","where":[["name","==","new"]]},
                {"op":"delete","table":"Few","where":[]}]"#);
            let left = (world.rows("Root", &["name", "real"]), world.rows("Leaf", &["k"]));
            (news, left, world.server.memory())
        });
        let [inline, beside] = seen;
        assert_eq!(inline.0, beside.0);
        assert!(inline == beside, "{:?} {:?}", inline.2, beside.2);
    }
}
