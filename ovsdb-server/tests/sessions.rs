//! Sessions: monitors, waiting transactions, locks, and databases that come and go.

mod common;

use common::{SMALL, World};
use ovsdb_server::schema::Schema;
use ovsdb_server::{Database, RowIds, SessionId, SessionOptions};
use serde_json::{Value, json};

const ID: &str = "01234567-89ab-4def-8123-456789abcdef";

fn insert(world: &mut World, name: &str) {
    world.ok(&format!(r#"[{{"op":"insert","table":"Root","row":{{"name":"{name}","n":1}}}}]"#));
}

fn insert_known(world: &mut World) {
    world.ok(&format!(
        r#"[{{"op":"insert","table":"Root","uuid":"{ID}","row":{{"name":"a","n":["set",[1,2]]}}}}]"#
    ));
}

fn only(messages: Vec<Value>) -> Value {
    assert_eq!(messages.len(), 1, "{messages:?}");
    messages.into_iter().next().unwrap()
}

#[test]
fn monitor_sends_whole_values() {
    let mut world = World::new();
    insert_known(&mut world);
    let session = world.connect();
    let request = json!(["db", "m", {"Root": [{"columns": ["name", "n"]}]}]);
    let initial = world.result(session, "monitor", &request);
    assert_eq!(initial, json!({"Root":{ID:{"new":{"name":"a","n":["set",[1,2]]}}}}));
    // Columns that nobody asked for are not told.
    world.ok(r#"[{"op":"update","table":"Root","where":[],"row":{"real":1}}]"#);
    assert!(world.fetch(session).is_empty());
    world.ok(r#"[{"op":"mutate","table":"Root","where":[],"mutations":[["n","insert",3]]}]"#);
    assert_eq!(
        only(world.fetch(session)),
        json!({"id":null,"method":"update","params":["m",{"Root":{ID:{
            "old":{"n":["set",[1,2]]},"new":{"name":"a","n":["set",[1,2,3]]}}}}]})
    );
    world.ok(r#"[{"op":"delete","table":"Root","where":[]}]"#);
    assert_eq!(
        only(world.fetch(session))["params"][1],
        json!({"Root":{ID:{"old":{"name":"a","n":["set",[1,2,3]]}}}})
    );
    assert_eq!(world.result(session, "monitor_cancel", &json!(["m"])), json!({}));
    insert(&mut world, "b");
    assert!(world.fetch(session).is_empty());
    let answer = world.call(session, "monitor_cancel", &json!(["m"])).pop().unwrap();
    assert_eq!(answer["error"], "unknown monitor");
}

#[test]
fn monitor_select_limits_the_kinds_of_changes() {
    let mut world = World::new();
    insert_known(&mut world);
    let session = world.connect();
    let request = json!(["db", null, {
        "Root": [
            {"columns": ["name"], "select": {"initial": false, "insert": false, "delete": false}},
            {"columns": ["n"], "select": {"modify": false, "delete": false}}]}]);
    let initial = world.result(session, "monitor", &request);
    assert_eq!(initial, json!({"Root":{ID:{"new":{"n":["set",[1,2]]}}}}));
    world.ok(r#"[{"op":"update","table":"Root","where":[],"row":{"name":"b"}}]"#);
    assert_eq!(
        only(world.fetch(session))["params"],
        json!([null, {"Root":{ID:{"old":{"name":"a"},"new":{"name":"b"}}}}])
    );
    world.ok(r#"[{"op":"delete","table":"Root","where":[]}]"#);
    assert!(world.fetch(session).is_empty());
}

#[test]
fn monitor_cond_sends_differences_of_rows_that_meet_a_condition() {
    let mut world = World::new();
    insert_known(&mut world);
    insert(&mut world, "b");
    let session = world.connect();
    let request = json!(["db", "m", {"Root": [{"columns": ["name", "n", "map"], "where": [["name", "==", "a"]]}]}]);
    let initial = world.result(session, "monitor_cond", &request);
    assert_eq!(initial, json!({"Root":{ID:{"initial":{"name":"a","n":["set",[1,2]]}}}}));
    let mutate = |world: &mut World, mutation: &str| {
        world.ok(&format!(
            r#"[{{"op":"mutate","table":"Root","where":[["_uuid","==",["uuid","{ID}"]]],"mutations":[{mutation}]}}]"#
        ));
    };
    mutate(&mut world, r#"["n","insert",["set",[3,4]]],["n","delete",1]"#);
    assert_eq!(
        only(world.fetch(session)),
        json!({"id":null,"method":"update2","params":["m",{"Root":{ID:{
            "modify":{"n":["set",[1,3,4]]}}}}]})
    );
    // A row that meets the condition no more is gone for this client.
    world.ok(r#"[{"op":"update","table":"Root","where":[["name","==","a"]],"row":{"name":"z"}}]"#);
    assert_eq!(only(world.fetch(session))["params"][1], json!({"Root":{ID:{"delete":null}}}));
    mutate(&mut world, r#"["n","insert",5]"#);
    assert!(world.fetch(session).is_empty());
    world.ok(r#"[{"op":"update","table":"Root","where":[["name","==","z"]],"row":{"name":"a"}}]"#);
    assert_eq!(
        only(world.fetch(session))["params"][1],
        json!({"Root":{ID:{"insert":{"name":"a","n":["set",[2,3,4,5]]}}}})
    );
    // Another condition: what it adds and takes away comes before the answer.
    let change = json!(["m", "m2", {"Root": [{"where": [["name", "==", "b"]]}]}]);
    let messages = world.call(session, "monitor_cond_change", &change);
    assert_eq!(messages.len(), 2);
    assert_eq!(messages[0]["params"][0], "m2");
    let rows = messages[0]["params"][1]["Root"].as_object().unwrap();
    assert_eq!(rows.len(), 2);
    assert_eq!(rows[ID], json!({"delete":null}));
    insert(&mut world, "c");
    assert!(world.fetch(session).is_empty());
    let change = json!(["m2", "m2", {"Root": [{"where": [true]}]}]);
    let messages = world.call(session, "monitor_cond_change", &change);
    assert_eq!(messages[0]["params"][1]["Root"].as_object().unwrap().len(), 2);
    for (change, details) in [
        (json!(["m", "m", {}]), "unknown monitor session"),
        (json!(["m2", "m2", {"Few": []}]), "no table named Few in monitor session"),
        (json!(["m2", "m2", {"No": []}]), "no table named No"),
        (json!(["m2", "m2", {"Root": {}}]), "table Root no monitor-cond-change JSON array"),
        (json!(["m2", "m2", {"Root": [{"columns": []}]}]), "changing columns is unsupported"),
        (json!(["m2"]), "invalid parameters"),
    ] {
        let answer = world.call(session, "monitor_cond_change", &change).pop().unwrap();
        assert_eq!(answer["error"]["details"], details, "{change}");
    }
}

#[test]
fn monitor_cond_since_begins_anew() {
    let mut world = World::new();
    let zero = "00000000-0000-0000-0000-000000000000";
    insert_known(&mut world);
    let request = |last: &Value| json!(["db", "m", {"Root": [{"columns": ["name"]}]}, last]);
    let mut session = world.connect();
    let mut last = json!(zero);
    let mut name = "a";
    for next in ["b", "c"] {
        let initial = world.result(session, "monitor_cond_since", &request(&last));
        assert_eq!(initial, json!([false, zero, {"Root": {ID: {"initial": {"name": name}}}}]));
        let update =
            format!(r#"[{{"op":"update","table":"Root","where":[],"row":{{"name":"{next}"}}}}]"#);
        world.ok(&update);
        let update = only(world.fetch(session));
        assert_eq!((&update["method"], &update["params"][1]), (&json!("update3"), &json!(zero)));
        last = update["params"][1].clone();
        let change = json!(["m", "m", {"Root": [{"where": [false]}]}]);
        let answers = world.call(session, "monitor_cond_change", &change);
        let update = answers.iter().find(|answer| answer["method"] == "update3").unwrap();
        assert_eq!(update["params"][1], zero);
        // The client loses its connection and comes back with the identifier that it was told.
        world.server.disconnect(session);
        session = world.connect();
        name = next;
    }
    let answer = world.result(session, "monitor_cond_since", &request(&json!(ID)));
    assert_eq!(answer, json!([false, zero, {"Root": {ID: {"initial": {"name": "c"}}}}]));
}

#[test]
fn invalid_monitor_requests_are_refused() {
    let mut world = World::new();
    let session = world.connect();
    world.result(session, "monitor", &json!(["db", "known", {}]));
    for (method, params, details) in [
        ("monitor", json!(["db", "m", 7]), "monitor-requests must be object"),
        ("monitor", json!(["db", "known", {}]), "duplicate monitor ID"),
        ("monitor", json!(["db", "m", {"No": {}}]), "no table named No"),
        (
            "monitor",
            json!(["db", "m", {"Root": {"columns": ["x"]}}]),
            "x is not a valid column name",
        ),
        (
            "monitor",
            json!(["db", "m", {"Root": {"columns": ["n", "n"]}}]),
            "column n mentioned more than once",
        ),
        (
            "monitor",
            json!(["db", "m", {"Root": {"where": []}}]),
            "Parsing table Root failed: Member 'where' is present but not allowed here.",
        ),
        ("monitor_cond", json!(["db", "m"]), "invalid parameters"),
        ("monitor_cond_since", json!(["db", "m", {}, 7]), "last-txn-id must be string"),
        ("monitor_cond_since", json!(["db", "m", {}, "7"]), "last-txn-id must be UUID format."),
        ("monitor", json!(["no", "m", {}]), "monitor request specifies unknown database no"),
        ("transact", json!([]), "transact request params must begin with <db-name>"),
    ] {
        let answer = world.call(session, method, &params).pop().unwrap();
        assert_eq!(answer["error"]["details"], details, "{params}");
    }
}

#[test]
fn a_slow_client_sees_several_transactions_as_one_and_order_is_kept() {
    let mut world = World::new();
    insert_known(&mut world);
    let request = json!(["db", "m", {"Root": [{"columns": ["name"]}]}]);
    let (slow, fast) = (world.connect(), world.connect());
    world.result(slow, "monitor", &request);
    world.result(fast, "monitor", &request);
    for n in 0..300 {
        world.ok(&format!(
            r#"[{{"op":"update","table":"Root","where":[],"row":{{"name":"{n}"}}}}]"#
        ));
        assert_eq!(world.server.take_ready().len(), 2);
        assert_eq!(only(world.fetch(fast))["params"][1]["Root"][ID]["new"]["name"], n.to_string());
    }
    let update = only(world.fetch(slow));
    assert_eq!(update["params"][1]["Root"][ID], json!({"old":{"name":"a"},"new":{"name":"299"}}));
    // The update comes before the answer to the transaction that made it.
    let params = json!(["db", {"op":"update","table":"Root","where":[],"row":{"name":"x"}}]);
    let messages = world.call(slow, "transact", &params);
    assert_eq!((messages.len(), &messages[0]["method"]), (2, &json!("update")));
    // And after the answer to the monitor that it is for.
    let late = world.connect();
    world.send(late, "monitor", &request);
    world.ok(r#"[{"op":"delete","table":"Root","where":[]}]"#);
    let messages = world.fetch(late);
    assert!(messages[0].get("result").is_some(), "{messages:?}");
    assert_eq!(messages[1]["method"], "update");
}

#[test]
fn wait_operation_delays_a_transaction_until_its_condition_holds() {
    let mut world = World::new();
    let session = world.connect();
    let wait = |timeout: Option<u64>, name: &str| {
        let mut operation = json!({"op":"wait","table":"Root","where":[],"columns":["name"],
            "until":"==","rows":[{"name":name}]});
        if let Some(timeout) = timeout {
            operation["timeout"] = timeout.into();
        }
        json!(["db", operation, {"op":"insert","table":"Few","row":{}}])
    };
    let forever = world.send(session, "transact", &wait(None, "x"));
    let soon = world.send(session, "transact", &wait(Some(500), "never"));
    assert!(world.fetch(session).is_empty());
    assert_eq!(world.server.next_deadline(), Some(1500));
    world.now.mono_ms += 499;
    world.server.run(world.now);
    assert!(world.fetch(session).is_empty());
    world.now.mono_ms += 1;
    world.server.run(world.now);
    let answer = only(world.fetch(session));
    assert_eq!(answer["id"], soon);
    assert_eq!(
        answer["result"],
        json!([{"error":"timed out","details":"\"wait\" timed out after 500 ms"}, null])
    );
    insert(&mut world, "x");
    assert_eq!(world.server.take_ready(), [session]);
    let answer = only(world.fetch(session));
    assert_eq!((&answer["id"], &answer["result"][0]), (&json!(forever), &json!({})));
    assert_eq!(world.rows("Few", &["n"]).len(), 1);
    // One that waits can be called off, and goes with its session.
    let canceled = world.send(session, "transact", &wait(None, "y"));
    let message = json!({"id":null,"method":"cancel","params":[canceled]}).to_string();
    world.server.handle(session, message.as_bytes(), world.now).unwrap();
    assert_eq!(only(world.fetch(session)), json!({"id":canceled,"error":"canceled","result":null}));
    world.send(session, "transact", &wait(Some(1), "y"));
    world.server.disconnect(session);
    assert_eq!(world.server.next_deadline(), None);
}

#[test]
fn one_commit_completes_a_chain_of_waiting_transactions() {
    let mut world = World::new();
    let session = world.connect();
    for n in (0..5).rev() {
        let params = json!(["db",
            {"op":"wait","table":"Root","where":[["name","==",n.to_string()]],"columns":["name"],"until":"==","rows":[{"name":n.to_string()}]},
            {"op":"insert","table":"Root","row":{"name":(n + 1).to_string()}}]);
        world.send(session, "transact", &params);
    }
    insert(&mut world, "0");
    assert_eq!(world.fetch(session).len(), 5);
    assert_eq!(world.rows("Root", &["name"]).len(), 6);
}

#[test]
fn locks_are_owned_stolen_and_asserted() {
    let mut world = World::new();
    let (a, b) = (world.connect(), world.connect());
    assert_eq!(world.result(a, "lock", &json!(["l"])), json!({"locked":true}));
    assert_eq!(world.result(b, "lock", &json!(["l"])), json!({"locked":false}));
    let assert = json!(["db", {"op":"assert","lock":"l"}]);
    assert_eq!(world.result(a, "transact", &assert), json!([{}]));
    assert_eq!(world.result(b, "transact", &assert)[0]["error"], "not owner");
    let answer = world.call(a, "lock", &json!(["l"])).pop().unwrap();
    assert_eq!(answer["error"]["details"], "must issue \"unlock\" before new \"lock\"");
    assert_eq!(world.result(a, "unlock", &json!(["l"])), json!({}));
    assert_eq!(only(world.fetch(b)), json!({"id":null,"method":"locked","params":["l"]}));
    assert_eq!(world.result(a, "steal", &json!(["l"])), json!({"locked":true}));
    assert_eq!(only(world.fetch(b)), json!({"id":null,"method":"stolen","params":["l"]}));
    world.server.disconnect(a);
    assert_eq!(only(world.fetch(b))["method"], "locked");
    let reader = world.server.connect(SessionOptions { read_only: true });
    let answer = world.call(reader, "lock", &json!(["m"])).pop().unwrap();
    assert_eq!(answer["error"], "lock and unlock methods not allowed, DB server is read only.");
    let change = json!(["db", {"op":"delete","table":"Root","where":[]}]);
    assert_eq!(
        world.result(reader, "transact", &change)[0]["details"],
        "delete operation not allowed when database server is in read only mode"
    );
}

#[test]
fn list_dbs_get_schema_and_echo_are_answered() {
    let mut world = World::new();
    let session = world.connect();
    assert_eq!(world.result(session, "echo", &json!([1, {"a": "é"}])), json!([1, {"a": "é"}]));
    assert_eq!(world.result(session, "list_dbs", &json!([])), json!(["_Server", "db"]));
    let schema: Value = serde_json::from_str(SMALL).unwrap();
    let ours = world.result(session, "get_schema", &json!(["db"]));
    assert_eq!(
        ours["tables"]["Root"]["columns"]["weak"],
        schema["tables"]["Root"]["columns"]["weak"]
    );
    assert_eq!(world.result(session, "get_server_id", &json!([])), world.server.id().to_string());
    let answer = world.call(session, "nonsense", &json!([])).pop().unwrap();
    assert_eq!(answer["error"], "unknown method");
    for bad in ["[]", "{\"id\":1}x", "{}", "{\"method\":\"echo\",\"params\":7,\"id\":1}", "\u{0}"] {
        assert!(world.server.handle(session, bad.as_bytes(), world.now).is_err(), "{bad}");
    }
    let deep = format!(
        "{{\"method\":\"echo\",\"id\":1,\"params\":[{}{}]}}",
        "[".repeat(1100),
        "]".repeat(1100)
    );
    assert!(world.server.handle(session, deep.as_bytes(), world.now).is_err());
}

fn aware(world: &mut World) -> SessionId {
    let session = world.connect();
    assert_eq!(world.result(session, "set_db_change_aware", &json!([true])), json!({}));
    session
}

#[test]
fn removed_database_cancels_monitors_and_transactions() {
    let mut world = World::new();
    let (aware, unaware) = (aware(&mut world), world.connect());
    let request = json!(["_Server", "s", {"Database": [{"columns": ["name", "connected", "leader", "model"]}]}]);
    let initial = world.result(aware, "monitor", &request);
    let rows: Vec<&Value> = initial["Database"].as_object().unwrap().values().collect();
    assert_eq!(rows.len(), 2);
    assert!(rows.contains(
        &&json!({"new":{"name":"db","connected":true,"leader":true,"model":"standalone"}})
    ));
    world.result(aware, "monitor", &json!(["db", "m", {"Root": {}}]));
    let waiting = json!(["db", {"op":"wait","table":"Root","where":[],"until":"!=","rows":[]}]);
    let waits = world.send(aware, "transact", &waiting);
    let params = json!(["_Server", {"op":"delete","table":"Database","where":[]}]);
    assert_eq!(
        world.result(unaware, "transact", &params)[0]["details"],
        "delete operation not allowed on table in reserved database _Server"
    );
    assert!(world.server.remove_database("db").is_some());
    assert!(world.server.remove_database("db").is_none());
    let messages = world.fetch(aware);
    let told = |method: &str| messages.iter().any(|message| message["method"] == method);
    assert!(told("update") && told("monitor_canceled"), "{messages:?}");
    assert!(messages.contains(&json!({"id":waits,"error":"canceled","result":null})));
    assert!(world.server.must_close(aware).is_none());
    assert!(world.server.must_close(unaware).is_some());
    assert!(world.server.take_ready().contains(&unaware));
    let database = Database::create(Schema::parse(SMALL).unwrap(), RowIds::seeded(9));
    world.server.add_database(database).unwrap();
    assert_eq!(world.fetch(aware).len(), 1);
    let again = Database::create(Schema::parse(SMALL).unwrap(), RowIds::seeded(9));
    assert_eq!(
        world.server.add_database(again).unwrap_err().details.unwrap(),
        "db: duplicate database name"
    );
}

#[test]
fn identical_monitors_share_their_text() {
    let mut world = World::new();
    let request = json!(["db", "m", {"Root": [{"columns": ["map"]}]}]);
    let sessions: Vec<SessionId> = (0..3).map(|_| world.connect()).collect();
    for session in &sessions {
        world.result(*session, "monitor_cond", &request);
    }
    let value = "x".repeat(100_000);
    world.ok(&format!(
        r#"[{{"op":"insert","table":"Root","row":{{"map":["map",[["k","{value}"]]]}}}}]"#
    ));
    let mut addresses = Vec::new();
    for session in &sessions {
        let mut chunks = Vec::new();
        world.server.fetch(*session, &mut chunks);
        let large = chunks.iter().find(|chunk| chunk.bytes().len() > 50_000).unwrap();
        addresses.push(large.bytes().as_ptr());
    }
    assert!(addresses.windows(2).all(|pair| pair[0] == pair[1]));
    // So do the first answers, while one of them is still to be sent.
    let mut held = Vec::new();
    for n in 0..3 {
        let session = world.connect();
        world.send(session, "monitor_cond", &json!(["db", n, {"Root": [{"columns": ["map"]}]}]));
        world.server.fetch(session, &mut held);
    }
    let large = held.iter().filter(|chunk| chunk.bytes().len() > 50_000);
    let addresses: Vec<_> = large.map(|chunk| chunk.bytes().as_ptr()).collect();
    assert!(addresses.len() == 3 && addresses.windows(2).all(|pair| pair[0] == pair[1]));
    // But not when there was a change that those before are not told of.
    let quiet = json!(["db", "q", {"Root": [{"columns": ["map"], "select": {"insert": false}}]}]);
    let first = world.connect();
    world.send(first, "monitor_cond", &quiet);
    world.server.fetch(first, &mut held);
    insert(&mut world, "more");
    let second = world.connect();
    let rows = world.result(second, "monitor_cond", &quiet);
    assert_eq!(rows["Root"].as_object().unwrap().len(), 2);
}
