//! Whole transactions against a model that knows no indexes, no counts and no shortcuts.

mod common;

use std::collections::BTreeMap;

use common::World;
use common::model::{Model, Op, ROWS, state};
use proptest::prelude::*;
use serde_json::{Value, json};

fn op() -> impl Strategy<Value = Op> {
    let row = || 0..ROWS;
    let small = || 0..3_u8;
    let set = || prop::collection::btree_set(0..ROWS, 0..4);
    prop_oneof![
        3 => (row(), small(), set(), set())
            .prop_map(|(id, name, leaf, weak)| Op::Root { id, name, leaf, weak }),
        6 => (row(), small(), prop::option::of(row())).prop_map(|(id, k, next)| Op::Leaf { id, k, next }),
        1 => row().prop_map(|id| Op::Few { id }),
        4 => (small(), set()).prop_map(|(name, leaf)| Op::SetLeaf { name, leaf }),
        3 => (row(), set()).prop_map(|(id, weak)| Op::AddWeak { id, weak }),
        2 => (small(), small()).prop_map(|(from, to)| Op::Rename { from, to }),
        2 => (small(), prop::option::of(row())).prop_map(|(k, next)| Op::SetNext { k, next }),
        1 => small().prop_map(|name| Op::DeleteRoot { name }),
        2 => small().prop_map(|k| Op::DeleteLeaf { k }),
        1 => Just(Op::DeleteFew),
        1 => Just(Op::Abort),
    ]
}

/// What a client knows from the updates of a monitor: rows by table.
#[derive(Debug, Default)]
struct Replica(BTreeMap<String, BTreeMap<String, Value>>);

impl Replica {
    /// Takes the rows of an initial answer or of an `update`.
    fn apply(&mut self, updates: &Value) {
        for (table, rows) in updates.as_object().unwrap() {
            let known = self.0.entry(table.clone()).or_default();
            for (id, row) in rows.as_object().unwrap() {
                match (row.get("old"), row.get("new")) {
                    (old, Some(new)) => {
                        // What is told of before must be what was told then.
                        for (column, value) in old.and_then(Value::as_object).into_iter().flatten()
                        {
                            assert_eq!(&known[id][column], value);
                        }
                        assert_eq!(known.insert(id.clone(), new.clone()).is_some(), old.is_some());
                    }
                    (_, None) => assert!(known.remove(id).is_some()),
                }
            }
        }
    }

    fn rows(&self, table: &str, columns: &[&str]) -> Vec<Value> {
        let rows = self.0.get(table).into_iter().flatten();
        rows.map(|(id, row)| {
            let column = |name: &&str| match *name {
                "_uuid" => ((*name).to_owned(), json!(["uuid", id])),
                name => (name.to_owned(), row[name].clone()),
            };
            Value::Object(columns.iter().map(column).collect())
        })
        .collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn random_transactions_agree_with_a_model(
        transactions in prop::collection::vec(prop::collection::vec(op(), 1..6), 1..24)
    ) {
        let mut world = World::new();
        let mut model = Model::default();
        let (watcher, slow) = (world.connect(), world.connect());
        let request = json!(["db", "m", {"Root": {}, "Leaf": {}, "Few": {}}]);
        let mut replica = Replica::default();
        world.result(watcher, "monitor", &request);
        world.result(slow, "monitor", &request);
        for (round, ops) in transactions.into_iter().enumerate() {
            let operations: Vec<Value> = ops.iter().map(Op::json).collect();
            let results = world.transact(&Value::Array(operations).to_string());
            let failed = results.as_array().unwrap().iter().find_map(|result| result.get("error"));
            let before = model.clone();
            match model.run(&ops) {
                Ok(after) => {
                    prop_assert_eq!(failed, None, "{:?}", &ops);
                    model = after;
                }
                Err(tag) => prop_assert_eq!(failed, Some(&json!(tag)), "{:?}", &ops),
            }
            prop_assert_eq!(state(&mut world), model.json(), "{:?}", &ops);
            // A watcher is told if and only if something changed.
            prop_assert_eq!(world.fetch(watcher).is_empty(), before == model, "{:?}", &ops);
            // One that comes now and then knows the same in the end.
            if round % 3 == 2 {
                world.fetch(slow).iter().for_each(|update| replica.apply(&update["params"][1]));
                for (table, columns) in [
                    ("Root", &["_uuid", "name", "leaf", "weak"][..]),
                    ("Leaf", &["_uuid", "k", "next", "_version"]),
                    ("Few", &["_uuid"]),
                ] {
                    prop_assert_eq!(replica.rows(table, columns), world.rows(table, columns));
                }
            }
        }
    }
}
