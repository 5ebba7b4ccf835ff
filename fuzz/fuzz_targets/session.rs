//! Sessions with the database server: each line is a message. Whatever they ask, the answers are
//! JSON, a message that is taken back changes nothing, and a monitor is told what a `select` finds.
#![no_main]

#[path = "../../ovsdb-server/tests/common/mod.rs"]
mod common;

use std::collections::BTreeMap;

use common::World;
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fuzz_target!(|octets: &[u8]| {
    let mut world = World::new();
    let (watcher, client) = (world.connect(), world.connect());
    let mut known: BTreeMap<String, Value> = BTreeMap::new();
    world.result(watcher, "monitor", &json!(["db", "m", {"Leaf": {"columns": ["k"]}, "Few": {}}]));
    for message in octets.split(|byte| *byte == b'\n') {
        // Refused: a daemon closes the connection.
        if world.server.handle(client, message, world.now).is_err() {
            return;
        }
        world.now.mono_ms += 1;
        world.server.run(world.now);
        let _ = world.fetch(client);
        for update in world.fetch(watcher) {
            // Another message than an update: the schema was converted, so monitors are gone.
            let Some(tables) = update["params"][1].as_object() else { return };
            for (id, row) in tables.values().filter_map(Value::as_object).flatten() {
                match row.get("new") {
                    Some(new) => drop(known.insert(id.clone(), new.clone())),
                    None => assert!(known.remove(id).is_some()),
                }
            }
        }
    }
    let rows = world.rows("Leaf", &["_uuid"]).len() + world.rows("Few", &["_uuid"]).len();
    assert_eq!(rows, known.len());
});
