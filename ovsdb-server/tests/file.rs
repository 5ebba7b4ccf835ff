//! The file: what is acknowledged is there, what is torn is left behind, and the reference's
//! programs and ours read each other's.

harness::main!();

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use common::{SMALL, World};
use ovsdb_server::schema::Schema;
use ovsdb_server::{Database, RowIds};
use serde_json::{Value, json};

/// A directory that goes with the test.
struct Dir(PathBuf);

impl Dir {
    fn new() -> Dir {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("braid-ovsdb-server-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Dir(path)
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn create(path: &Path) {
    Database::create_file(path, &Schema::parse(SMALL).unwrap()).unwrap();
}

fn open(path: &Path) -> (World, usize) {
    let (database, warnings) = Database::open(path, RowIds::random()).unwrap();
    (World::with(database), warnings.len())
}

/// All that is kept of a database.
fn contents(world: &mut World) -> Value {
    json!([
        world.rows("Root", &["_uuid", "name", "n", "map", "leaf", "weak", "real", "opt", "mode"]),
        world.rows("Leaf", &["_uuid", "k", "next"]),
        world.rows("Few", &["_uuid", "n"]),
    ])
}

const STEPS: [&str; 6] = [
    r#"[{"op":"insert","table":"Root","row":{"name":"é\"\\\n","n":["set",[1,2,3]],"leaf":["named-uuid","l"],"gone":7}},
        {"op":"insert","table":"Leaf","uuid-name":"l","row":{"k":1}},{"op":"comment","comment":"one\n\"two\""}]"#,
    r#"[{"op":"mutate","table":"Root","where":[],"mutations":[["n","insert",["set",[4,5]]],["n","delete",1],["map","insert",["map",[["a","b"],["c","d"]]]]]}]"#,
    r#"[{"op":"insert","table":"Few","row":{}},{"op":"insert","table":"Few","row":{"n":5}},{"op":"commit","durable":true}]"#,
    r#"[{"op":"update","table":"Root","where":[],"row":{"real":-0.25,"opt":3,"mode":"b","map":["map",[["a","x"]]]}}]"#,
    r#"[{"op":"update","table":"Root","where":[],"row":{"gone":8}}]"#,
    r#"[{"op":"delete","table":"Few","where":[["n","==",0]]},{"op":"update","table":"Root","where":[],"row":{"opt":["set",[]],"leaf":["set",[]]}}]"#,
];

#[harness::test]
fn written_contents_are_read_again() {
    let dir = Dir::new();
    let path = dir.file("a.db");
    create(&path);
    let mut world = open(&path).0;
    for step in STEPS {
        world.ok(step);
    }
    let before = contents(&mut world);
    drop(world);
    let (mut world, warnings) = open(&path);
    assert_eq!((contents(&mut world), warnings), (before, 0));
    // What is not kept on disk has its default again.
    assert_eq!(world.rows("Root", &["gone"]), [json!({"gone": 0})]);
    // A change of such a column alone is no record.
    assert_eq!(fs::read_to_string(&path).unwrap().matches("OVSDB JSON").count(), STEPS.len());
}

#[harness::test]
fn a_file_cut_anywhere_keeps_every_whole_record() {
    let dir = Dir::new();
    let path = dir.file("a.db");
    create(&path);
    // The length of the file after each record, and what was in it.
    let mut states = Vec::new();
    let mut world = open(&path).0;
    states.push((fs::metadata(&path).unwrap().len(), contents(&mut world)));
    for step in STEPS {
        world.ok(step);
        let length = fs::metadata(&path).unwrap().len();
        if length > states.last().unwrap().0 {
            states.push((length, contents(&mut world)));
        }
    }
    drop(world);
    let whole = fs::read(&path).unwrap();
    let cut = dir.file("cut.db");
    // Every byte of the last records, and samples of the others.
    let last = states[states.len() - 2].0;
    for length in states[0].0..=whole.len() as u64 {
        if length < last && length % 11 != 0 {
            continue;
        }
        fs::write(&cut, &whole[..length as usize]).unwrap();
        let (good, expected) = states.iter().rev().find(|(end, _)| *end <= length).unwrap();
        let (mut world, warnings) = open(&cut);
        assert_eq!(&contents(&mut world), expected, "cut at {length}");
        assert_eq!(warnings, usize::from(length != *good), "cut at {length}");
        // What comes next is written over the torn record, and is there afterwards.
        world.ok(r#"[{"op":"insert","table":"Root","row":{"name":"after"}}]"#);
        let after = contents(&mut world);
        drop(world);
        let (mut world, warnings) = open(&cut);
        assert_eq!((contents(&mut world), warnings), (after, 0), "cut at {length}");
    }
    // Cut within the schema it is no database.
    for length in (0..states[0].0).step_by(13) {
        fs::write(&cut, &whole[..length as usize]).unwrap();
        assert!(Database::open(&cut, RowIds::random()).is_err(), "cut at {length}");
    }
}

#[harness::test]
fn a_damaged_record_ends_what_is_read() {
    let dir = Dir::new();
    let path = dir.file("a.db");
    create(&path);
    let begin = fs::metadata(&path).unwrap().len() as usize;
    let mut world = open(&path).0;
    STEPS.iter().for_each(|step| drop(world.ok(step)));
    drop(world);
    let whole = fs::read(&path).unwrap();
    for at in (begin..whole.len()).step_by(7) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x15;
        fs::write(&path, &bytes).unwrap();
        let (database, warnings) = Database::open(&path, RowIds::random()).unwrap();
        assert_eq!(warnings.len(), 1, "byte {at}");
        drop(database);
    }
}

#[harness::test]
fn compaction_keeps_the_contents() {
    let dir = Dir::new();
    let path = dir.file("a.db");
    create(&path);
    let link = dir.file("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    let mut world = open(&link).0;
    STEPS.iter().for_each(|step| drop(world.ok(step)));
    let before = contents(&mut world);
    let now = world.now;
    world.server.compact("db", now).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap().matches("OVSDB JSON").count(), 2);
    assert!(link.is_symlink());
    assert_eq!(contents(&mut world), before);
    world.ok(r#"[{"op":"insert","table":"Root","row":{"name":"after"}}]"#);
    let after = contents(&mut world);
    drop(world);
    assert_eq!(contents(&mut open(&path).0), after);
}

#[harness::test]
fn transactions_commit_during_a_compaction() {
    let dir = Dir::new();
    let path = dir.file("a.db");
    create(&path);
    let mut world = open(&path).0;
    let change = r#"[{"op":"update","table":"Root","where":[],"row":{"real":N}},
                     {"op":"commit","durable":true}]"#;
    STEPS.iter().for_each(|step| drop(world.ok(step)));
    (0..100).for_each(|n| drop(world.ok(&change.replace('N', &n.to_string()))));
    let before = fs::metadata(&path).unwrap().len();
    let now = world.now;
    world.server.begin_compaction("db", now).unwrap();
    let mut n = 100;
    let compacting = |world: &World| world.server.database("db").unwrap().is_compacting();
    while compacting(&world) {
        assert!(world.server.next_deadline().is_some(), "it would never be looked at again");
        world.ok(&change.replace('N', &n.to_string()));
        n += 1;
        let now = world.now;
        world.server.run(now);
    }
    assert_eq!(world.server.compaction_error("db"), None);
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("compacting database online"));
    // The schema, the rows, and what came meanwhile.
    assert!(text.matches("OVSDB JSON").count() <= 2 + n - 100);
    assert!((text.len() as u64) < before + 1000 * (n as u64 - 100));
    assert!(!dir.file("a.db.tmp").exists());
    world.ok(&change.replace('N', "-1"));
    let after = contents(&mut world);
    drop(world);
    let (mut world, warnings) = open(&path);
    assert_eq!((contents(&mut world), warnings), (after, 0));
}

#[harness::test]
fn two_servers_do_not_share_a_file() {
    let dir = Dir::new();
    let path = dir.file("a.db");
    create(&path);
    let (database, _) = Database::open(&path, RowIds::random()).unwrap();
    assert!(dir.file(".a.db.~lock~").exists());
    let error = Database::open(&path, RowIds::random()).unwrap_err();
    assert!(error.text().contains("failed to lock lockfile"), "{error}");
    drop(database);
    Database::open(&path, RowIds::random()).unwrap();
    assert!(Database::create_file(&path, &Schema::parse(SMALL).unwrap()).is_err());
}

#[harness::test]
fn conversion_is_written_to_the_file() {
    let dir = Dir::new();
    let path = dir.file("a.db");
    create(&path);
    let mut world = open(&path).0;
    world.ok(r#"[{"op":"insert","table":"Root","row":{"name":"a","n":["set",[1]],"opt":5}}]"#);
    let session = world.connect();
    // One more number does not fit the new schema.
    let schema = SMALL
        .replace(
            r#""n":{"type":{"key":"integer","min":0,"max":"unlimited"}}"#,
            r#""n":{"type":"integer"},"new":{"type":"string"}"#,
        )
        .replace("1.0.0", "2.0.0");
    let params = json!(["db", serde_json::from_str::<Value>(&schema).unwrap()]);
    world.ok(r#"[{"op":"mutate","table":"Root","where":[],"mutations":[["n","insert",2]]}]"#);
    let answer = world.call(session, "convert", &params).pop().unwrap();
    assert_eq!(answer["error"]["error"], "syntax error", "{answer}");
    world.ok(r#"[{"op":"mutate","table":"Root","where":[],"mutations":[["n","delete",2]]}]"#);
    assert_eq!(world.result(session, "convert", &params), json!({}));
    assert!(world.server.must_close(session).is_some());
    assert_eq!(world.rows("Root", &["n", "new", "opt"]), [json!({"n":1,"new":"","opt":5})]);
    drop(world);
    let (mut world, warnings) = open(&path);
    assert_eq!(warnings, 0);
    assert_eq!(world.rows("Root", &["n", "new"]), [json!({"n":1,"new":""})]);
    let session = world.connect();
    assert_eq!(world.result(session, "get_schema", &json!(["db"]))["version"], "2.0.0");
}

/// Runs a program of the reference; skips the test if it is not installed.
fn run(program: &str, arguments: &[&str]) -> String {
    match Command::new(program).args(arguments).output() {
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{program} {arguments:?}: {error}");
            String::from_utf8(output.stdout).unwrap()
        }
        Err(error) => harness::skip(format!("{program}: {error}")),
    }
}

const QUERY: &str = r#"["db",{"op":"select","table":"Root","where":[],"columns":["name","n","map","real","opt","mode"]},{"op":"select","table":"Few","where":[],"columns":["n"]}]"#;

#[harness::test]
fn the_reference_reads_our_file_and_we_read_theirs() {
    let dir = Dir::new();
    let path = dir.file("a.db");
    create(&path);
    let mut world = open(&path).0;
    STEPS.iter().for_each(|step| drop(world.ok(step)));
    let own = |world: &mut World| {
        let mut params: Value = serde_json::from_str(QUERY).unwrap();
        params.as_array_mut().unwrap().remove(0);
        world.ok(&params.to_string())
    };
    let expected = own(&mut world);
    drop(world);
    let name = path.to_str().unwrap();
    let query = |name: &str| -> Value {
        serde_json::from_str(&run("ovsdb-tool", &["query", name, QUERY])).unwrap()
    };
    let theirs = query(name);
    assert_eq!(theirs, expected);
    assert_eq!(run("ovsdb-tool", &["db-version", name]).trim(), "1.0.0");
    assert_eq!(run("ovsdb-tool", &["db-name", name]).trim(), "db");
    let log = run("ovsdb-tool", &["show-log", "-m", name]);
    assert!(log.contains("record 0: \"db\" schema, version=\"1.0.0\""), "{log}");
    assert!(log.contains("record 1: 2023-11-14 22:13:20.000 \"one"), "{log}");
    assert!(log.contains(&format!("record {}", STEPS.len() - 1)), "{log}");
    // Theirs, written over ours: a transaction, and compaction.
    run(
        "ovsdb-tool",
        &[
            "transact",
            name,
            r#"["db",{"op":"mutate","table":"Root","where":[],"mutations":[["n","insert",99],["map","insert",["map",[["q","r"]]]]]}]"#,
        ],
    );
    let theirs = query(name);
    let (mut world, warnings) = open(&path);
    assert_eq!((own(&mut world), warnings), (theirs.clone(), 0));
    drop(world);
    run("ovsdb-tool", &["compact", name]);
    assert_eq!(own(&mut open(&path).0), theirs);
    // A file of theirs from the beginning.
    let schema = dir.file("db.ovsschema");
    fs::write(&schema, SMALL).unwrap();
    let created = dir.file("b.db");
    run("ovsdb-tool", &["create", created.to_str().unwrap(), schema.to_str().unwrap()]);
    let (mut world, warnings) = open(&created);
    assert_eq!(warnings, 0);
    STEPS.iter().for_each(|step| drop(world.ok(step)));
    let now = world.now;
    world.server.compact("db", now).unwrap();
    drop(world);
    assert_eq!(query(created.to_str().unwrap()), expected);
}
