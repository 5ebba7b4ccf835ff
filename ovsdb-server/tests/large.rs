//! Transactions of many operations: their results, and that their cost grows with their number.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use common::World;
use proptest::prelude::*;
use serde_json::{Value, json};

/// CPU time of this thread.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// The CPU time of a transaction, after one that prepares it, both of `n` operations or so.
fn cost(n: i64, prepare: &dyn Fn(i64) -> Vec<Value>, work: &dyn Fn(i64) -> Vec<Value>) -> Duration {
    let mut world = World::new();
    world.ok(&Value::Array(prepare(n)).to_string());
    let session = world.connect();
    let mut params = work(n);
    params.insert(0, json!("db"));
    let message = json!({"id": 1, "method": "transact", "params": params}).to_string();
    let begin = cpu();
    world.server.handle(session, message.as_bytes(), world.now).unwrap();
    let spent = cpu() - begin;
    let answer = world.fetch(session).pop().unwrap();
    let results = answer["result"].as_array().unwrap();
    assert!(results.iter().all(|result| result.get("error").is_none()), "{:?}", results.last());
    spent
}

fn root(n: i64) -> Value {
    json!({"op": "insert", "table": "Root", "row": {"name": format!("r{n}"), "real": n}})
}

fn name(n: i64) -> Value {
    json!([["name", "==", format!("r{n}")]])
}

/// Sixteen times as many operations may not cost more than 48 times as much; what is quadratic costs
/// 100 times as much and more.
#[test]
fn many_operations_cost_each_the_same() {
    type Make<'m> = &'m dyn Fn(i64) -> Vec<Value>;
    let nothing: Make<'_> = &|_| Vec::new();
    let one: Make<'_> = &|_| vec![root(0)];
    let all: Make<'_> = &|n| (0..n).map(root).collect();
    let whole: Make<'_> = &|n| {
        let numbers: Vec<i64> = (0..n).collect();
        vec![json!({"op": "insert", "table": "Root", "row": {"name": "r0", "n": ["set", numbers]}})]
    };
    let scattered = |n: i64, at: i64| at * 7919 % n;
    let cases: [(&str, Make<'_>, Make<'_>); 8] = [
        ("insert", nothing, all),
        ("insert elements one at a time", one, &|n| {
            let one = |at| {
                json!({"op": "mutate", "table": "Root", "where": name(0),
                                  "mutations": [["n", "insert", scattered(n, at)]]})
            };
            (0..n).map(one).collect()
        }),
        ("delete elements one at a time", whole, &|n| {
            let one = |at| {
                json!({"op": "mutate", "table": "Root", "where": name(0),
                                  "mutations": [["n", "delete", scattered(n, at)]]})
            };
            (0..n).map(one).collect()
        }),
        ("rows and references to them", one, &|n| {
            let pair = |at| {
                let row = format!("l{at}");
                [
                    json!({"op": "insert", "table": "Leaf", "uuid-name": row, "row": {"k": at}}),
                    json!({"op": "mutate", "table": "Root", "where": name(0),
                           "mutations": [["leaf", "insert", ["named-uuid", row]]]}),
                ]
            };
            (0..n).flat_map(pair).collect()
        }),
        ("update by an index", all, &|n| {
            let one = |at| {
                json!({"op": "update", "table": "Root", "where": name(at),
                                  "row": {"map": ["map", [["k", "v"]]]}})
            };
            (0..n).map(one).collect()
        }),
        ("select by a column without an index", all, &|n| {
            let one = |at| {
                json!({"op": "select", "table": "Root", "columns": ["name"],
                                  "where": [["real", "==", at]]})
            };
            (0..n).map(one).collect()
        }),
        ("wait and delete", all, &|n| {
            let pair = |at| {
                [
                    json!({"op": "wait", "table": "Root", "where": name(at), "columns": ["real"],
                           "until": "==", "rows": [{"real": at}], "timeout": 0}),
                    json!({"op": "delete", "table": "Root", "where": name(at)}),
                ]
            };
            (0..n).flat_map(pair).collect()
        }),
        ("insert and update by an index", nothing, &|n| {
            let pair = |at| {
                [
                    root(at),
                    json!({"op": "update", "table": "Root", "where": name(at),
                                  "row": {"real": 7}}),
                ]
            };
            (0..n).flat_map(pair).collect()
        }),
    ];
    for (what, prepare, work) in cases {
        // CPU time is not quite free of what other processes do, so that a bad result is measured
        // again.
        let measured: Vec<(Duration, Duration)> = (0..3)
            .map(|_| (cost(500, prepare, work), cost(8_000, prepare, work)))
            .scan(false, |done, (few, many)| {
                let again = !*done;
                *done |= many < few * 48;
                again.then_some((few, many))
            })
            .collect();
        let good = measured.last().is_some_and(|(few, many)| *many < *few * 48);
        assert!(good, "{what}: for 500 and 8,000: {measured:?}");
    }
}

/// An operation on the large values of a row, and what it does to a model.
#[derive(Debug, Clone)]
enum Step {
    Insert(Vec<i64>),
    Delete(Vec<i64>),
    Put(i64, i64),
    DropKey(i64),
    DropPair(i64, i64),
    Add,
    Rename,
    Look,
    Replace,
}

fn step() -> impl Strategy<Value = Step> {
    let number = 0..300_i64;
    let numbers = prop::collection::vec(number.clone(), 1..4);
    prop_oneof![
        8 => numbers.clone().prop_map(Step::Insert),
        8 => numbers.prop_map(Step::Delete),
        4 => (number.clone(), 0..3_i64).prop_map(|(key, value)| Step::Put(key, value)),
        2 => number.clone().prop_map(Step::DropKey),
        2 => (number, 0..3_i64).prop_map(|(key, value)| Step::DropPair(key, value)),
        1 => Just(Step::Add),
        1 => Just(Step::Rename),
        2 => Just(Step::Look),
        1 => Just(Step::Replace),
    ]
}

fn map_of(pairs: &BTreeMap<String, String>) -> Value {
    let pairs: Vec<Value> = pairs.iter().map(|(key, value)| json!([key, value])).collect();
    json!(["map", pairs])
}

fn set_of(numbers: &BTreeSet<i64>) -> Value {
    match numbers.len() {
        1 => json!(numbers.first()),
        _ => json!(["set", numbers]),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// Changes of large values one element at a time are those of a set and a map, whatever comes
    /// between them in the transaction.
    #[test]
    fn large_values_change_as_sets_and_maps(steps in prop::collection::vec(step(), 1..80)) {
        let mut world = World::new();
        let mut set: BTreeSet<i64> = (0..200).collect();
        let text = |n: i64| format!("{n:03}");
        let mut map: BTreeMap<String, String> = (0..200).map(|n| (text(n), text(n % 3))).collect();
        world.ok(&json!([{"op": "insert", "table": "Root", "row":
            {"name": "a", "n": set_of(&set), "map": map_of(&map)}}]).to_string());
        let session = world.connect();
        world.result(session, "monitor_cond", &json!(["db", "m", {"Root": {"columns": ["n"]}}]));
        let mut name = "a".to_owned();
        let mut operations = Vec::new();
        let mut expected = Vec::new();
        let before = set.clone();
        for step in steps {
            let mutate = |mutation: Value| json!({"op": "mutate", "table": "Root",
                "where": [["name", "==", name]], "mutations": [mutation]});
            let mut result = json!({"count": 1});
            let operation = match step {
                Step::Insert(numbers) => {
                    set.extend(&numbers);
                    let distinct: BTreeSet<i64> = numbers.into_iter().collect();
                    mutate(json!(["n", "insert", set_of(&distinct)]))
                }
                Step::Delete(numbers) => {
                    set.retain(|n| !numbers.contains(n));
                    let distinct: BTreeSet<i64> = numbers.into_iter().collect();
                    mutate(json!(["n", "delete", set_of(&distinct)]))
                }
                Step::Put(key, value) => {
                    map.entry(text(key)).or_insert_with(|| text(value));
                    mutate(json!(["map", "insert", ["map", [[text(key), text(value)]]]]))
                }
                Step::DropKey(key) => {
                    map.remove(&text(key));
                    mutate(json!(["map", "delete", ["set", [text(key)]]]))
                }
                Step::DropPair(key, value) => {
                    if map.get(&text(key)) == Some(&text(value)) {
                        map.remove(&text(key));
                    }
                    mutate(json!(["map", "delete", ["map", [[text(key), text(value)]]]]))
                }
                Step::Add => {
                    set = set.iter().map(|n| n + 1).collect();
                    mutate(json!(["n", "+=", 1]))
                }
                Step::Rename => {
                    let old = name.clone();
                    name.push('x');
                    json!({"op": "update", "table": "Root", "where": [["name", "==", old]],
                           "row": {"name": name}})
                }
                Step::Look => {
                    result = json!({"rows": [{"map": map_of(&map), "n": set_of(&set)}]});
                    json!({"op": "select", "table": "Root", "columns": ["n", "map"],
                           "where": [["n", "==", set_of(&set)], ["name", "==", name]]})
                }
                Step::Replace => {
                    set = (50..250).collect();
                    json!({"op": "update", "table": "Root", "where": [],
                           "row": {"n": set_of(&set)}})
                }
            };
            operations.push(operation);
            expected.push(result);
        }
        let results = world.ok(&Value::Array(operations).to_string());
        prop_assert_eq!(results, Value::Array(expected));
        prop_assert_eq!(
            world.rows("Root", &["map", "n", "name"]),
            [json!({"map": map_of(&map), "n": set_of(&set), "name": name})]
        );
        // Monitors are told the difference.
        let told = world.fetch(session).pop();
        let difference: BTreeSet<i64> = before.symmetric_difference(&set).copied().collect();
        match told {
            Some(told) => {
                let rows = told["params"][1]["Root"].as_object().unwrap();
                let row = rows.values().next().unwrap();
                prop_assert_eq!(&row["modify"]["n"], &set_of(&difference));
            }
            None => prop_assert!(difference.is_empty()),
        }
    }
}
