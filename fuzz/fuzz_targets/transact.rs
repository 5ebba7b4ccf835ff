//! Whole transactions beside a model: the same errors, the same rows after each.
#![no_main]

#[path = "../../ovsdb-server/tests/common/mod.rs"]
mod common;

use std::collections::BTreeSet;

use common::World;
use common::model::{Model, Op, ROWS, state};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};

fn row(u: &mut Unstructured<'_>) -> Result<u8> {
    u.int_in_range(0..=ROWS - 1)
}

fn small(u: &mut Unstructured<'_>) -> Result<u8> {
    u.int_in_range(0..=2)
}

fn set(u: &mut Unstructured<'_>) -> Result<BTreeSet<u8>> {
    (0..u.int_in_range(0..=3)?).map(|_| row(u)).collect()
}

fn maybe(u: &mut Unstructured<'_>) -> Result<Option<u8>> {
    Ok(if u.arbitrary()? { Some(row(u)?) } else { None })
}

fn op(u: &mut Unstructured<'_>) -> Result<Op> {
    Ok(match u.int_in_range(0..=10)? {
        0 => Op::Root { id: row(u)?, name: small(u)?, leaf: set(u)?, weak: set(u)? },
        1 => Op::Leaf { id: row(u)?, k: small(u)?, next: maybe(u)? },
        2 => Op::Few { id: row(u)? },
        3 => Op::SetLeaf { name: small(u)?, leaf: set(u)? },
        4 => Op::AddWeak { id: row(u)?, weak: set(u)? },
        5 => Op::Rename { from: small(u)?, to: small(u)? },
        6 => Op::SetNext { k: small(u)?, next: maybe(u)? },
        7 => Op::DeleteRoot { name: small(u)? },
        8 => Op::DeleteLeaf { k: small(u)? },
        9 => Op::DeleteFew,
        _ => Op::Abort,
    })
}

fuzz_target!(|octets: &[u8]| {
    let mut u = Unstructured::new(octets);
    let (mut world, mut model) = (World::new(), Model::default());
    for _ in 0..24 {
        if u.is_empty() {
            return;
        }
        let count = u.int_in_range(1..=5).unwrap_or(1);
        let Ok(ops) = (0..count).map(|_| op(&mut u)).collect::<Result<Vec<Op>>>() else { return };
        let operations: Vec<Value> = ops.iter().map(Op::json).collect();
        let results = world.transact(&Value::Array(operations).to_string());
        let failed = results.as_array().and_then(|all| all.iter().find_map(|one| one.get("error")));
        match model.run(&ops) {
            Ok(after) => {
                assert_eq!(failed, None, "{ops:?}");
                model = after;
            }
            Err(tag) => assert_eq!(failed, Some(&json!(tag)), "{ops:?}"),
        }
        assert_eq!(state(&mut world), model.json(), "{ops:?}");
    }
});
