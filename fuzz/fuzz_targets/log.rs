//! The database's file: any octets, and records that are whole but hold anything. It opens or is
//! refused, a file that opened takes a transaction, and then opens again as it was left.
#![no_main]

#[path = "../../ovsdb-server/tests/common/mod.rs"]
mod common;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use common::{SMALL, World};
use libfuzzer_sys::fuzz_target;
use ovsdb_server::{Database, RowIds};
use sha1::{Digest, Sha1};

static FILE: LazyLock<PathBuf> = LazyLock::new(|| {
    let dir = std::env::temp_dir().join(format!("braid-fuzz-log-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a directory for the file");
    dir.join("db")
});

fn push_record(out: &mut Vec<u8>, body: &[u8]) {
    let hash: String = Sha1::digest(body).iter().map(|byte| format!("{byte:02x}")).collect();
    out.extend_from_slice(format!("OVSDB JSON {} {hash}\n", body.len()).as_bytes());
    out.extend_from_slice(body);
}

/// What all can see.
fn contents(world: &mut World) -> [Vec<serde_json::Value>; 4] {
    let root = &["_uuid", "name", "fixed", "n", "opt", "real", "mode", "map", "leaf", "weak"];
    [
        world.rows("Root", root),
        world.rows("Leaf", &["_uuid", "k", "next"]),
        world.rows("Must", &["_uuid", "to"]),
        world.rows("Few", &["_uuid", "n"]),
    ]
}

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let mut file = Vec::new();
    // The first line of what is written is the schema's, unless the octets are to be all there is.
    if choice & 1 == 0 {
        push_record(&mut file, SMALL.as_bytes());
    }
    if choice & 2 == 0 {
        bytes.split(|byte| *byte == b'\n').for_each(|body| push_record(&mut file, body));
    } else {
        file.extend_from_slice(bytes);
    }
    // Cut off.
    file.truncate(file.len() - usize::from(choice >> 3).min(file.len()));
    fs::write(&*FILE, &file).expect("written");
    let Ok((database, _)) = Database::open(&FILE, RowIds::seeded(1)) else { return };
    if choice & 1 != 0 {
        return;
    }
    let mut world = World::with(database);
    let known = contents(&mut world);
    // Whether it fits what is there is not the point here.
    world.transact(r#"[{"op":"insert","table":"Root","row":{"name":"fuzz"}}]"#);
    world.server.sync();
    let left = contents(&mut world);
    assert!(left == known || left[0].len() == known[0].len() + 1);
    drop(world);
    let (database, warnings) = Database::open(&FILE, RowIds::seeded(1)).expect("opens again");
    if left != known {
        assert!(warnings.is_empty(), "{warnings:?}");
    }
    assert_eq!(contents(&mut World::with(database)), left);
});
