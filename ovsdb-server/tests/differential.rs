//! Random transactions, run by the reference and by us: the same answers, the same rows.

harness::main!();

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use common::{SMALL, World};
use serde_json::{Value, json};

/// The reference's server, ended with the test.
struct Reference {
    child: Option<Child>,
    stream: UnixStream,
    directory: PathBuf,
    buffer: Vec<u8>,
}

impl Reference {
    /// Skips the test if it is not installed.
    fn start() -> Reference {
        let directory =
            std::env::temp_dir().join(format!("braid-ovsdb-differential-{}", std::process::id()));
        std::fs::create_dir_all(&directory).unwrap();
        let file = |name: &str| directory.join(name).to_str().unwrap().to_owned();
        std::fs::write(file("schema"), SMALL).unwrap();
        let created =
            Command::new("ovsdb-tool").args(["create", &file("db"), &file("schema")]).status();
        if !created.is_ok_and(|status| status.success()) {
            harness::skip("ovsdb-tool is not installed");
        }
        let socket = file("socket");
        let child = Command::new("ovsdb-server")
            .args([&file("db"), &format!("--remote=punix:{socket}")])
            .arg(format!("--unixctl={}", file("ctl")))
            .args(["--no-chdir", "-vconsole:off"])
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        let stream = loop {
            match UnixStream::connect(&socket) {
                Ok(stream) => break stream,
                Err(error) => assert!(Instant::now() < deadline, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Reference { child: Some(child), stream, directory, buffer: Vec::new() }
    }

    fn transact(&mut self, operations: &Value) -> Value {
        let mut params = operations.clone();
        params.as_array_mut().unwrap().insert(0, "db".into());
        self.call("transact", &params).pop().unwrap()["result"].clone()
    }

    /// Sends a request; gives everything that comes, the answer being the last.
    fn call(&mut self, method: &str, params: &Value) -> Vec<Value> {
        let request = json!({"id": 1, "method": method, "params": params});
        self.stream.write_all(request.to_string().as_bytes()).unwrap();
        let mut messages = Vec::new();
        loop {
            let mut stream =
                serde_json::Deserializer::from_slice(&self.buffer).into_iter::<Value>();
            if let Some(Ok(message)) = stream.next() {
                let end = stream.byte_offset();
                self.buffer.drain(..end);
                let answer = message["id"] == 1;
                messages.push(message);
                if answer {
                    return messages;
                }
                continue;
            }
            let mut bytes = [0; 65536];
            let read = self.stream.read(&mut bytes).unwrap();
            assert!(read > 0, "the reference has gone: {request}");
            self.buffer.extend_from_slice(&bytes[..read]);
        }
    }
}

impl Reference {
    /// Another client of the same server.
    fn another(&self) -> Reference {
        let stream = UnixStream::connect(self.directory.join("socket")).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Reference { child: None, stream, directory: self.directory.clone(), buffer: Vec::new() }
    }
}

impl Drop for Reference {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
            let _ = std::fs::remove_dir_all(&self.directory);
        }
    }
}

/// Chooses at random, the same way for the same seed.
struct Choice {
    state: u64,
    rows: u64,
}

impl Choice {
    fn below(&mut self, n: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    fn of(&mut self, values: &[&str]) -> Value {
        let at = self.below(values.len() as u64) as usize;
        serde_json::from_str(values[at]).unwrap()
    }

    fn id(n: u64) -> String {
        format!("{n:08x}-0000-4000-8000-000000000000")
    }

    /// A row that there may be, or one that this transaction names.
    fn reference(&mut self) -> Value {
        match self.below(8) {
            0..3 => json!(["named-uuid", format!("n{}", self.below(3))]),
            3 => json!(["uuid", "00000000-0000-0000-0000-000000000000"]),
            _ => {
                // Not the newest: the reference takes one to a row of another table with the
                // identifier of the row itself for one to itself, and does not check it.
                let near = self.rows.saturating_sub(1 + self.below(25));
                json!(["uuid", Choice::id(near)])
            }
        }
    }

    fn references(&mut self) -> Value {
        let n = self.below(4);
        let mut set: Vec<Value> = (0..n).map(|_| self.reference()).collect();
        set.sort_by_key(Value::to_string);
        set.dedup();
        json!(["set", set])
    }

    fn condition(&mut self) -> Value {
        match self.below(9) {
            0 => json!([]),
            1 => json!([["_uuid", "==", self.reference()]]),
            2 => json!([["n", "includes", self.below(4)]]),
            3 => json!([["n", "excludes", ["set", [self.below(4), 9]]]]),
            4 => {
                json!([["opt", self.of(&["\"<\"", "\">=\"", "\"==\"", "\"!=\""]), self.below(10)]])
            }
            5 => json!([["map", "includes", ["map", [["a", "1"]]]]]),
            6 => json!([["name", "!=", self.of(&["\"a\"", "\"b\""])], ["real", "<", 2]]),
            _ => json!([["name", "==", self.of(&["\"a\"", "\"b\"", "\"c\"", "\"d\""])]]),
        }
    }

    fn columns(&mut self) -> Value {
        let mut row = json!({});
        for _ in 0..=self.below(4) {
            match self.below(10) {
                0 => {
                    row["n"] = self.of(&["[\"set\",[]]", "1", "[\"set\",[1,2,3]]", "[\"set\",[2]]"])
                }
                1 => row["opt"] = self.of(&["[\"set\",[]]", "0", "7", "11", "1e0"]),
                2 => row["real"] = self.of(&["0", "1.5", "-1e-7", "2"]),
                3 => row["mode"] = self.of(&["\"a\"", "\"b\"", "\"x\""]),
                4 => {
                    row["map"] =
                        self.of(&["[\"map\",[]]", "[\"map\",[[\"a\",\"1\"],[\"b\",\"2\"]]]"])
                }
                5 => row["leaf"] = self.references(),
                6 => row["weak"] = self.references(),
                7 => row["gone"] = self.below(3).into(),
                _ => row["name"] = self.of(&["\"a\"", "\"b\"", "\"c\"", "\"d\"", "\"e\\n\""]),
            }
        }
        row
    }

    fn mutation(&mut self) -> Value {
        match self.below(10) {
            0 => json!(["n", "insert", self.of(&["1", "[\"set\",[5,6]]"])]),
            1 => json!(["n", "delete", self.of(&["1", "[\"set\",[2,5]]"])]),
            2 => json!([
                "n",
                self.of(&["\"+=\"", "\"-=\"", "\"*=\"", "\"/=\"", "\"%=\""]),
                self.below(3)
            ]),
            3 => json!(["real", self.of(&["\"+=\"", "\"*=\"", "\"/=\""]), 1.5]),
            4 => json!(["map", "insert", ["map", [["a", "9"], ["c", "3"]]]]),
            5 => json!([
                "map",
                "delete",
                self.of(&["[\"set\",[\"a\",\"z\"]]", "[\"map\",[[\"b\",\"2\"],[\"c\",\"4\"]]]"])
            ]),
            6 => json!(["leaf", self.of(&["\"insert\"", "\"delete\""]), self.references()]),
            7 => json!(["weak", self.of(&["\"insert\"", "\"delete\""]), self.references()]),
            8 => json!(["opt", self.of(&["\"insert\"", "\"delete\"", "\"+=\""]), 3]),
            _ => json!(["gone", "+=", 1]),
        }
    }

    fn operation(&mut self, at: u64) -> Value {
        match self.below(16) {
            0..4 => {
                self.rows += 1;
                let mut row = json!({"k": self.below(5)});
                if self.below(3) == 0 {
                    row["next"] = self.reference();
                }
                json!({"op":"insert","table":"Leaf","uuid":Choice::id(self.rows),
                    "uuid-name":format!("n{}", at % 3),"row":row})
            }
            4..6 => {
                self.rows += 1;
                json!({"op":"insert","table":"Root","uuid":Choice::id(self.rows),"row":self.columns()})
            }
            6 => {
                self.rows += 1;
                json!({"op":"insert","table":"Must","uuid":Choice::id(self.rows),"row":{"to":self.reference()}})
            }
            7 => match self.below(3) {
                0 => json!({"op":"delete","table":"Few","where":[]}),
                _ => {
                    self.rows += 1;
                    json!({"op":"insert","table":"Few","uuid":Choice::id(self.rows),"row":{}})
                }
            },
            8..10 => {
                json!({"op":"update","table":"Root","where":self.condition(),"row":self.columns()})
            }
            10..12 => {
                let mutations: Vec<Value> = (0..=self.below(2)).map(|_| self.mutation()).collect();
                json!({"op":"mutate","table":"Root","where":self.condition(),"mutations":mutations})
            }
            12 => json!({"op":"delete","table":"Root","where":self.condition()}),
            13 => json!({"op":"delete","table":"Leaf","where":[["k","==",self.below(5)]]}),
            14 => {
                json!({"op":"update","table":"Leaf","where":[["k","==",self.below(5)]],"row":{"next":self.references()}})
            }
            _ => {
                json!({"op":"select","table":"Root","where":self.condition(),"columns":["n","name","opt"],"sort":["name","n","opt"]})
            }
        }
    }
}

fn everything() -> Value {
    let select = |table: &str, columns: &[&str]| json!({"op":"select","table":table,"where":[],"columns":columns,"sort":["_uuid"]});
    json!([
        select(
            "Root",
            &["_uuid", "name", "n", "opt", "real", "mode", "map", "leaf", "weak", "gone"]
        ),
        select("Leaf", &["_uuid", "k", "next"]),
        select("Must", &["_uuid", "to"]),
        select("Few", &["_uuid"]),
    ])
}

/// Takes out of an update what tells nothing: the reference tells of rows in which only columns
/// changed that conditions look at and that nobody asked for. False if nothing is left.
fn says_something(update: &mut Value) -> bool {
    let Some(tables) = update["params"][1].as_object_mut() else { return true };
    for rows in tables.values_mut() {
        rows.as_object_mut().unwrap().retain(|_, row| *row != json!({"modify": {}}));
    }
    tables.retain(|_, rows| rows != &json!({}));
    !tables.is_empty()
}

/// Monitors of a client, of each kind.
fn monitors() -> [(&'static str, Value); 3] {
    let columns = ["name", "n", "opt", "map", "leaf", "weak", "gone"];
    [
        (
            "monitor",
            json!(["db", "whole", {"Root": [{"columns": columns}], "Leaf": [{"columns": ["k", "next"]}]}]),
        ),
        (
            "monitor",
            json!(["db", "some", {"Root": [
            {"columns": ["name"], "select": {"insert": false}},
            {"columns": ["n"], "select": {"modify": false}}]}]),
        ),
        (
            "monitor_cond",
            json!(["db", "cond", {
            "Root": [{"columns": columns, "where": [["name", "==", "a"]]}],
            "Leaf": [{"columns": ["k"], "where": [["k", ">", 2]]}]}]),
        ),
    ]
}

#[harness::test]
fn random_requests_get_the_references_answers() {
    let mut reference = Reference::start();
    let rounds = std::env::var("ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(800);
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(20_261_121);
    println!("SEED={seed} ROUNDS={rounds}");
    let mut choice = Choice { state: seed, rows: 0 };
    let mut world = World::new();
    let (mut failed, mut changed, mut told) = (0, 0, 0);
    let mut their_watcher = reference.another();
    let our_watcher = world.connect();
    for (method, params) in monitors() {
        let theirs = their_watcher.call(method, &params).pop().unwrap();
        let ours = world.call(our_watcher, method, &params).pop().unwrap();
        assert_eq!(ours["result"], theirs["result"], "{method} {params}");
    }
    for round in 0..rounds {
        let operations: Vec<Value> = (0..=choice.below(4)).map(|at| choice.operation(at)).collect();
        let operations = Value::Array(operations);
        let (theirs, ours) =
            (reference.transact(&operations), world.transact(&operations.to_string()));
        // Which of several errors is found first, and which of several rows it names, is by chance.
        let tags = |results: &Value| -> Vec<Value> {
            let results = results.as_array().unwrap().iter();
            let tag = |result: &Value| match result.get("error") {
                Some(tag) if tag == "ovsdb error" => json!("constraint violation"),
                Some(tag) => tag.clone(),
                None => result.clone(),
            };
            results.map(tag).collect()
        };
        assert_eq!(tags(&ours), tags(&theirs), "round {round}: {operations}\n{ours}\n{theirs}");
        let error = |results: &Value| {
            let results = results.as_array().unwrap();
            results.iter().find(|result| result.get("error").is_some()).cloned()
        };
        match (error(&ours), error(&theirs)) {
            (Some(ours), Some(theirs)) => {
                failed += 1;
                let by_chance =
                    ["referential integrity violation", "constraint violation", "ovsdb error"];
                if !by_chance.iter().any(|tag| theirs["error"] == *tag) {
                    assert_eq!(ours, theirs, "round {round}: {operations}");
                }
            }
            _ => changed += 1,
        }
        let (theirs, ours) =
            (reference.transact(&everything()), world.transact(&everything().to_string()));
        assert_eq!(ours, theirs, "round {round}: {operations}");
        // Now and then the watcher wants other rows; it is told of everything in any case.
        let (method, params) = match choice.below(5) {
            0 => (
                "monitor_cond_change",
                json!(["cond", "cond", {"Root": [{"where": choice.condition()}]}]),
            ),
            _ => ("echo", json!([])),
        };
        let mut theirs = their_watcher.call(method, &params);
        let mut ours = world.call(our_watcher, method, &params);
        theirs.pop();
        ours.pop();
        theirs.retain_mut(says_something);
        told += ours.len();
        // Of several monitors, which is told first is by chance.
        ours.sort_by_key(Value::to_string);
        theirs.sort_by_key(Value::to_string);
        assert_eq!(ours, theirs, "round {round}: {operations} {method} {params}");
    }
    println!("{failed} failed alike, {changed} succeeded alike, {told} updates alike");
    assert!(failed > rounds / 10 && changed > rounds / 10, "{failed} {changed}");
}
