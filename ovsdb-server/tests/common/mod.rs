//! A server and clients without sockets.

#![allow(dead_code, unreachable_pub, reason = "each test file uses a part")]

pub mod model;

use ovsdb_server::schema::Schema;
use ovsdb_server::{Database, Now, RowIds, Server, SessionId, SessionOptions};
use serde_json::Value;

pub struct World {
    pub server: Server,
    pub now: Now,
    next_id: u64,
}

pub const SMALL: &str = r#"{"name":"db","version":"1.0.0","tables":{
  "Root":{"isRoot":true,"indexes":[["name"]],"columns":{
    "name":{"type":"string"},
    "fixed":{"type":"string","mutable":false},
    "n":{"type":{"key":"integer","min":0,"max":"unlimited"}},
    "opt":{"type":{"key":{"type":"integer","minInteger":0,"maxInteger":10},"min":0,"max":1}},
    "real":{"type":"real"},
    "mode":{"type":{"key":{"type":"string","enum":["set",["a","b",""]]}}},
    "map":{"type":{"key":"string","value":"string","min":0,"max":"unlimited"}},
    "leaf":{"type":{"key":{"type":"uuid","refTable":"Leaf"},"min":0,"max":"unlimited"}},
    "weak":{"type":{"key":{"type":"uuid","refTable":"Leaf","refType":"weak"},"min":0,"max":"unlimited"}},
    "gone":{"type":"integer","ephemeral":true}}},
  "Leaf":{"columns":{
    "k":{"type":"integer"},
    "next":{"type":{"key":{"type":"uuid","refTable":"Leaf"},"min":0,"max":1}}}},
  "Must":{"isRoot":true,"columns":{
    "to":{"type":{"key":{"type":"uuid","refTable":"Leaf","refType":"weak"},"min":1,"max":2}}}},
  "Few":{"isRoot":true,"maxRows":2,"columns":{"n":{"type":"integer"}}}}}"#;

impl World {
    pub fn new() -> World {
        World::with(Database::create(Schema::parse(SMALL).unwrap(), RowIds::seeded(1)))
    }

    pub fn with(database: Database) -> World {
        let mut server = Server::new(RowIds::seeded(2)).unwrap();
        server.add_database(database).unwrap();
        World { server, now: Now { mono_ms: 1000, wall_ms: 1_700_000_000_000 }, next_id: 0 }
    }

    pub fn connect(&mut self) -> SessionId {
        self.server.connect(SessionOptions::default())
    }

    /// Everything that a session is sent now.
    pub fn fetch(&mut self, session: SessionId) -> Vec<Value> {
        let mut chunks = Vec::new();
        self.server.fetch(session, &mut chunks);
        let bytes: Vec<u8> = chunks.iter().flat_map(|chunk| chunk.bytes().to_vec()).collect();
        let stream = serde_json::Deserializer::from_slice(&bytes).into_iter::<Value>();
        stream.map(|message| message.expect("valid JSON")).collect()
    }

    /// Sends a request; gives its identifier.
    pub fn send(&mut self, session: SessionId, method: &str, params: &Value) -> u64 {
        self.next_id += 1;
        let id = self.next_id;
        let message = serde_json::json!({"id": id, "method": method, "params": params});
        self.server.handle(session, message.to_string().as_bytes(), self.now).unwrap();
        id
    }

    /// Sends a request and gives everything that comes, the answer being the last.
    pub fn call(&mut self, session: SessionId, method: &str, params: &Value) -> Vec<Value> {
        let id = self.send(session, method, params);
        let messages = self.fetch(session);
        let answer = messages.last().expect("an answer");
        assert_eq!(answer["id"], id, "{answer}");
        messages
    }

    /// The result of a request.
    pub fn result(&mut self, session: SessionId, method: &str, params: &Value) -> Value {
        let answer = self.call(session, method, params).pop().unwrap();
        assert_eq!(answer["error"], Value::Null, "{answer}");
        answer["result"].clone()
    }

    /// The results of operations.
    pub fn transact(&mut self, operations: &str) -> Value {
        let session = self.connect();
        let mut params: Value = serde_json::from_str(operations).expect(operations);
        params.as_array_mut().unwrap().insert(0, "db".into());
        let result = self.result(session, "transact", &params);
        self.server.disconnect(session);
        result
    }

    /// The results, which must not have an error.
    pub fn ok(&mut self, operations: &str) -> Value {
        let results = self.transact(operations);
        for result in results.as_array().unwrap() {
            assert!(result.get("error").is_none(), "{operations}: {results}");
        }
        results
    }

    /// The first error among the results: its tag and details.
    pub fn err(&mut self, operations: &str) -> (String, String) {
        let results = self.transact(operations);
        let found = results.as_array().unwrap().iter().find(|result| result.get("error").is_some());
        let found = found.unwrap_or_else(|| panic!("no error: {operations}: {results}"));
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        (text("error"), text("details"))
    }

    /// A table's rows, some columns, sorted.
    pub fn rows(&mut self, table: &str, columns: &[&str]) -> Vec<Value> {
        let operation = serde_json::json!([
            {"op": "select", "table": table, "where": [], "columns": columns, "sort": columns}
        ]);
        self.ok(&operation.to_string())[0]["rows"].as_array().unwrap().clone()
    }
}
