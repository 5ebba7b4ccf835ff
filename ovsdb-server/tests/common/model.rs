//! A model of the tables of [`SMALL`](super::SMALL) that knows no indexes, no counts and no
//! shortcuts. The fuzz target `transact` uses it, too.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::World;

/// Rows are few, so that transactions meet.
pub const ROWS: u8 = 8;

fn id(n: u8) -> String {
    format!("0000000{n}-0000-4000-8000-000000000000")
}

#[derive(Debug, Clone)]
pub enum Op {
    Root { id: u8, name: u8, leaf: BTreeSet<u8>, weak: BTreeSet<u8> },
    Leaf { id: u8, k: u8, next: Option<u8> },
    Few { id: u8 },
    SetLeaf { name: u8, leaf: BTreeSet<u8> },
    AddWeak { id: u8, weak: BTreeSet<u8> },
    Rename { from: u8, to: u8 },
    SetNext { k: u8, next: Option<u8> },
    DeleteRoot { name: u8 },
    DeleteLeaf { k: u8 },
    DeleteFew,
    Abort,
}

fn references(set: &BTreeSet<u8>) -> Value {
    json!(["set", set.iter().map(|n| json!(["uuid", id(*n)])).collect::<Vec<_>>()])
}

fn reference(next: Option<u8>) -> Value {
    references(&next.into_iter().collect())
}

impl Op {
    pub fn json(&self) -> Value {
        let name = |name: &u8| format!("r{name}");
        match self {
            Op::Root { id: n, name: own, leaf, weak } => {
                json!({"op":"insert","table":"Root","uuid":id(*n),
                    "row":{"name":name(own),"leaf":references(leaf),"weak":references(weak)}})
            }
            Op::Leaf { id: n, k, next } => json!({"op":"insert","table":"Leaf","uuid":id(*n),
                "row":{"k":k,"next":reference(*next)}}),
            Op::Few { id: n } => json!({"op":"insert","table":"Few","uuid":id(*n),"row":{}}),
            Op::SetLeaf { name: own, leaf } => json!({"op":"update","table":"Root",
                "where":[["name","==",name(own)]],"row":{"leaf":references(leaf)}}),
            Op::AddWeak { id: n, weak } => json!({"op":"mutate","table":"Root",
                "where":[["_uuid","==",["uuid",id(*n)]]],"mutations":[["weak","insert",references(weak)]]}),
            Op::Rename { from, to } => json!({"op":"update","table":"Root",
                "where":[["name","==",name(from)]],"row":{"name":name(to)}}),
            Op::SetNext { k, next } => json!({"op":"update","table":"Leaf",
                "where":[["k","==",k]],"row":{"next":reference(*next)}}),
            Op::DeleteRoot { name: own } => {
                json!({"op":"delete","table":"Root","where":[["name","==",name(own)]]})
            }
            Op::DeleteLeaf { k } => json!({"op":"delete","table":"Leaf","where":[["k","==",k]]}),
            Op::DeleteFew => json!({"op":"delete","table":"Few","where":[]}),
            Op::Abort => json!({"op":"abort"}),
        }
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub struct Model {
    /// Name, strong and weak references.
    root: BTreeMap<u8, (u8, BTreeSet<u8>, BTreeSet<u8>)>,
    leaf: BTreeMap<u8, (u8, Option<u8>)>,
    few: BTreeSet<u8>,
}

impl Model {
    /// The state after a transaction, or the tag of its error.
    pub fn run(&self, ops: &[Op]) -> Result<Model, &'static str> {
        let mut new = self.clone();
        for op in ops {
            new.step(self, op)?;
        }
        new.end()?;
        Ok(new)
    }

    fn step(&mut self, before: &Model, op: &Op) -> Result<(), &'static str> {
        let fresh = |taken: bool| if taken { Err("duplicate uuid") } else { Ok(()) };
        match op {
            Op::Root { id, name, leaf, weak } => {
                fresh(self.root.contains_key(id) || before.root.contains_key(id))?;
                self.root.insert(*id, (*name, leaf.clone(), weak.clone()));
            }
            Op::Leaf { id, k, next } => {
                fresh(self.leaf.contains_key(id) || before.leaf.contains_key(id))?;
                self.leaf.insert(*id, (*k, *next));
            }
            Op::Few { id } => {
                fresh(self.few.contains(id) || before.few.contains(id))?;
                self.few.insert(*id);
            }
            Op::SetLeaf { name, leaf } => {
                self.root
                    .values_mut()
                    .filter(|row| row.0 == *name)
                    .for_each(|row| row.1 = leaf.clone());
            }
            Op::AddWeak { id, weak } => {
                self.root.get_mut(id).into_iter().for_each(|row| row.2.extend(weak));
            }
            Op::Rename { from, to } => {
                self.root.values_mut().filter(|row| row.0 == *from).for_each(|row| row.0 = *to);
            }
            Op::SetNext { k, next } => {
                self.leaf.values_mut().filter(|row| row.0 == *k).for_each(|row| row.1 = *next);
            }
            Op::DeleteRoot { name } => self.root.retain(|_, row| row.0 != *name),
            Op::DeleteLeaf { k } => self.leaf.retain(|_, row| row.0 != *k),
            Op::DeleteFew => self.few.clear(),
            Op::Abort => return Err("aborted"),
        }
        Ok(())
    }

    /// Strong references, but those of a row to itself.
    fn strong(&self) -> BTreeSet<u8> {
        let roots = self.root.values().flat_map(|row| &row.1);
        let leaves = self.leaf.iter().filter_map(|(id, row)| row.1.filter(|next| next != id));
        roots.copied().chain(leaves).collect()
    }

    fn end(&mut self) -> Result<(), &'static str> {
        if self.strong().iter().any(|leaf| !self.leaf.contains_key(leaf)) {
            return Err("referential integrity violation");
        }
        loop {
            let kept = self.strong();
            let before = self.leaf.len();
            self.leaf.retain(|id, _| kept.contains(id));
            if self.leaf.len() == before {
                break;
            }
        }
        for row in self.root.values_mut() {
            row.2.retain(|leaf| self.leaf.contains_key(leaf));
        }
        let names: BTreeSet<u8> = self.root.values().map(|row| row.0).collect();
        if self.few.len() > 2 || names.len() < self.root.len() {
            return Err("constraint violation");
        }
        Ok(())
    }

    pub fn json(&self) -> Value {
        let root = self.root.iter().map(|(n, (name, leaf, weak))| {
            json!([
                id(*n),
                format!("r{name}"),
                leaf.iter().map(|n| id(*n)).collect::<Vec<_>>(),
                weak.iter().map(|n| id(*n)).collect::<Vec<_>>()
            ])
        });
        let leaf = self.leaf.iter().map(|(n, (k, next))| {
            json!([id(*n), k, next.iter().map(|n| id(*n)).collect::<Vec<_>>()])
        });
        let few = self.few.iter().map(|n| json!([id(*n)]));
        json!([root.collect::<Vec<_>>(), leaf.collect::<Vec<_>>(), few.collect::<Vec<_>>()])
    }
}

/// A set of references as a list.
fn list(value: &Value) -> Vec<Value> {
    match value[0].as_str() {
        Some("set") => value[1].as_array().unwrap().iter().map(|one| one[1].clone()).collect(),
        _ => vec![value[1].clone()],
    }
}

pub fn state(world: &mut World) -> Value {
    let root = world.rows("Root", &["_uuid", "name", "leaf", "weak"]);
    let root = root
        .iter()
        .map(|row| json!([row["_uuid"][1], row["name"], list(&row["leaf"]), list(&row["weak"])]));
    let root: Vec<Value> = root.collect();
    let leaf = world.rows("Leaf", &["_uuid", "k", "next"]);
    let leaf: Vec<Value> =
        leaf.iter().map(|row| json!([row["_uuid"][1], row["k"], list(&row["next"])])).collect();
    let few = world.rows("Few", &["_uuid"]);
    let few: Vec<Value> = few.iter().map(|row| json!([row["_uuid"][1]])).collect();
    json!([root, leaf, few])
}
