//! Transactions: each operation, and what is checked when they end.

mod common;

use common::World;
use serde_json::json;

#[test]
fn rows_are_inserted_updated_and_deleted() {
    let mut world = World::new();
    let results = world.ok(
        r#"[{"op":"insert","table":"Root","uuid-name":"a","row":{"name":"a","n":["set",[3,1]]}},
            {"op":"insert","table":"Root","row":{"name":"b","map":["map",[["k","v"]]]}},
            {"op":"select","table":"Root","where":[["_uuid","==",["named-uuid","a"]]],"columns":["name","n"]},
            {"op":"comment","comment":"hello"}]"#,
    );
    assert_eq!(results[2], json!({"rows":[{"n":["set",[1,3]],"name":"a"}]}));
    assert_eq!(results[3], json!({}));
    assert_eq!(
        world.ok(
            r#"[{"op":"update","table":"Root","where":[["name","==","a"]],"row":{"real":1.5}},
                {"op":"mutate","table":"Root","where":[],"mutations":[["n","insert",9],["n","+=",1]]},
                {"op":"delete","table":"Root","where":[["name","==","b"]]}]"#
        ),
        json!([{"count":1},{"count":2},{"count":1}])
    );
    assert_eq!(
        world.rows("Root", &["name", "n", "real"]),
        [json!({"name":"a","n":["set",[2,4,10]],"real":1.5})]
    );
}

#[test]
fn a_transaction_is_all_or_nothing() {
    let mut world = World::new();
    let results = world.transact(
        r#"[{"op":"insert","table":"Root","row":{"name":"a"}},{"op":"abort"},{"op":"abort"}]"#,
    );
    assert_eq!(results[1], json!({"error":"aborted","details":"aborted by request"}));
    assert_eq!(results[2], json!(null));
    // What fails at the end comes after the results.
    let results = world.transact(
        r#"[{"op":"insert","table":"Root","row":{"name":"a"}},
            {"op":"insert","table":"Root","row":{"name":"a"}}]"#,
    );
    assert_eq!(results.as_array().unwrap().len(), 3);
    assert_eq!(results[2]["error"], "constraint violation");
    assert!(world.rows("Root", &["name"]).is_empty());
}

#[test]
fn forms_are_checked_with_the_texts_of_the_reference() {
    let mut world = World::new();
    world.ok(r#"[{"op":"insert","table":"Root","row":{"name":"a"}}]"#);
    for (operation, tag, details) in [
        ("5", "syntax error", "Parsing ovsdb operation 1 of 1 failed: Object expected."),
        (
            "{}",
            "syntax error",
            "Parsing ovsdb operation 1 of 1 failed: Required 'op' member is missing.",
        ),
        (
            r#"{"op":"x"}"#,
            "syntax error",
            "Parsing ovsdb operation 1 of 1 failed: No operation \"x\"",
        ),
        (
            r#"{"op":"insert","table":"No","row":{}}"#,
            "syntax error",
            "Parsing ovsdb operation 1 of 1 failed: No table named No.",
        ),
        (
            r#"{"op":"insert","table":"Root"}"#,
            "syntax error",
            "Parsing ovsdb operation 1 of 1 failed: Required 'row' member is missing.",
        ),
        (
            r#"{"op":"insert","table":"Root","row":[]}"#,
            "syntax error",
            "Parsing ovsdb operation 1 of 1 failed: Type mismatch for member 'row'.",
        ),
        (
            r#"{"op":"abort","x":1}"#,
            "syntax error",
            "Parsing ovsdb operation 1 of 1 failed: Member 'x' is present but not allowed here.",
        ),
        (
            r#"{"op":"abort","x":1,"y":2,"z":3}"#,
            "syntax error",
            "Parsing ovsdb operation 1 of 1 failed: Member 'x' and 2 other members are present but not allowed here.",
        ),
        (
            r#"{"op":"insert","table":"Root","row":{"zz":1}}"#,
            "unknown column",
            "No column zz in table Root.",
        ),
        (r#"{"op":"insert","table":"Root","row":{"name":5}}"#, "syntax error", "expected string"),
        (
            r#"{"op":"insert","table":"Root","row":{"opt":11}}"#,
            "constraint violation",
            "11 is not in the valid range 0 to 10 (inclusive)",
        ),
        (
            r#"{"op":"insert","table":"Root","row":{"mode":"c"}}"#,
            "constraint violation",
            "c is not one of the allowed values ([\"\", a, b])",
        ),
        (
            r#"{"op":"insert","table":"Root","row":{"n":["set",[1,1]]}}"#,
            "ovsdb error",
            "set contains duplicate",
        ),
        (
            r#"{"op":"insert","table":"Root","row":{"opt":["set",[1,2]]}}"#,
            "syntax error",
            "set must have 0 to 1 members but 2 are present",
        ),
        (
            r#"{"op":"insert","table":"Root","row":{"map":["map",[["a"]]]}}"#,
            "syntax error",
            "expected 2-element array",
        ),
        (
            r#"{"op":"insert","table":"Root","row":{"leaf":["uuid","x"]}}"#,
            "syntax error",
            "\"x\" is not a valid UUID",
        ),
        (r#"{"op":"insert","table":"Root","uuid":"x","row":{}}"#, "syntax error", "bad uuid"),
        (
            r#"{"op":"update","table":"Root","where":[],"row":{"fixed":"x"}}"#,
            "constraint violation",
            "Cannot update immutable column fixed in table Root.",
        ),
        (
            r#"{"op":"mutate","table":"Root","where":[],"mutations":[["fixed","+=",1]]}"#,
            "constraint violation",
            "Cannot mutate immutable column fixed in table Root.",
        ),
        (
            r#"{"op":"mutate","table":"Root","where":[],"mutations":[["name","+=",1]]}"#,
            "syntax error",
            "Type mismatch: \"+=\" operator may not be applied to column name of type string.",
        ),
        (
            r#"{"op":"mutate","table":"Root","where":[],"mutations":[["real","%=",1]]}"#,
            "syntax error",
            "Type mismatch: \"%=\" operator may not be applied to column real of type real.",
        ),
        (
            r#"{"op":"mutate","table":"Root","where":[],"mutations":[["real","/=",0]]}"#,
            "domain error",
            "Division by zero.",
        ),
        (
            r#"{"op":"mutate","table":"Root","where":[],"mutations":[["gone","-=",1],["gone","*=",9223372036854775807],["gone","-=",2]]}"#,
            "range error",
            "Result of \"-=\" operation is out of range.",
        ),
        (
            r#"{"op":"mutate","table":"Root","where":[],"mutations":[["opt","insert",1],["opt","insert",2]]}"#,
            "constraint violation",
            "Attempted to store 2 elements in set of up to 1 integers.",
        ),
        (
            r#"{"op":"mutate","table":"Root","where":[],"mutations":[["n","~",1]]}"#,
            "unknown mutator",
            "No mutator named ~.",
        ),
        (
            r#"{"op":"select","table":"Root","where":[["name","<","a"]]}"#,
            "syntax error",
            "Type mismatch: \"<\" operator may not be applied to column name of type string.",
        ),
        (
            r#"{"op":"select","table":"Root","where":[["name","~","a"]]}"#,
            "unknown function",
            "No function named ~.",
        ),
        (
            r#"{"op":"select","table":"Root","where":[7]}"#,
            "syntax error",
            "Parse error in condition.",
        ),
        (
            r#"{"op":"select","table":"Root","where":[],"columns":["name","name"]}"#,
            "syntax error",
            "array of distinct column names expected",
        ),
        (
            r#"{"op":"wait","table":"Root","where":[],"until":"~","rows":[]}"#,
            "syntax error",
            "\"until\" must be \"==\" or \"!=\"",
        ),
        (
            r#"{"op":"wait","timeout":0,"table":"Root","where":[],"columns":["name"],"until":"==","rows":[]}"#,
            "timed out",
            "\"where\" clause test failed",
        ),
        (r#"{"op":"assert","lock":"l"}"#, "not owner", "Asserted lock l not held."),
    ] {
        let expected = (tag.to_owned(), details.to_owned());
        assert_eq!(world.err(&format!("[{operation}]")), expected, "{operation}");
    }
}

#[test]
fn uuid_name_is_valid_before_and_after_its_insert() {
    let mut world = World::new();
    world.ok(r#"[{"op":"insert","table":"Root","row":{"name":"r","leaf":["named-uuid","l"]}},
            {"op":"insert","table":"Leaf","uuid-name":"l","row":{"k":1}}]"#);
    assert_eq!(world.rows("Leaf", &["k"]).len(), 1);
    assert_eq!(
        world
            .err(
                r#"[{"op":"insert","table":"Leaf","uuid-name":"l","row":{}},
                {"op":"insert","table":"Leaf","uuid-name":"l","row":{}}]"#
            )
            .0,
        "duplicate uuid-name"
    );
    assert_eq!(
        world.err(r#"[{"op":"insert","table":"Root","row":{"leaf":["named-uuid","never"]}}]"#).0,
        "referential integrity violation"
    );
    let id = "01234567-89ab-4def-8123-456789abcdef";
    let insert = format!(r#"[{{"op":"insert","table":"Few","uuid":"{id}","row":{{}}}}]"#);
    assert_eq!(world.ok(&insert)[0], json!({"uuid":["uuid", id]}));
    assert_eq!(world.err(&insert).0, "duplicate uuid");
}

#[test]
fn rows_that_nothing_refers_to_are_collected() {
    let mut world = World::new();
    // Never referred to: gone at once.
    world.ok(r#"[{"op":"insert","table":"Leaf","row":{"k":1}}]"#);
    assert!(world.rows("Leaf", &["k"]).is_empty());
    // A chain goes with its first link.
    world.ok(
        r#"[{"op":"insert","table":"Root","row":{"name":"r","leaf":["named-uuid","a"]}},
            {"op":"insert","table":"Leaf","uuid-name":"a","row":{"k":1,"next":["named-uuid","b"]}},
            {"op":"insert","table":"Leaf","uuid-name":"b","row":{"k":2,"next":["named-uuid","c"]}},
            {"op":"insert","table":"Leaf","uuid-name":"c","row":{"k":3,"next":["named-uuid","c"]}}]"#,
    );
    assert_eq!(world.rows("Leaf", &["k"]).len(), 3);
    let (tag, details) = world.err(r#"[{"op":"delete","table":"Leaf","where":[["k","==",2]]}]"#);
    assert_eq!(tag, "referential integrity violation");
    assert!(details.starts_with("cannot delete Leaf row "), "{details}");
    assert!(details.ends_with("because of 1 remaining reference(s)"), "{details}");
    world
        .ok(r#"[{"op":"update","table":"Leaf","where":[["k","==",1]],"row":{"next":["set",[]]}}]"#);
    assert_eq!(world.rows("Leaf", &["k"]), [json!({"k":1})]);
    world.ok(r#"[{"op":"delete","table":"Root","where":[]}]"#);
    assert!(world.rows("Leaf", &["k"]).is_empty());
}

#[test]
fn weak_references_are_removed_with_their_rows() {
    let mut world = World::new();
    world.ok(
        r#"[{"op":"insert","table":"Root","row":{"name":"r","leaf":["named-uuid","a"],"weak":["named-uuid","a"]}},
            {"op":"insert","table":"Leaf","uuid-name":"a","row":{"k":1}}]"#,
    );
    world.ok(r#"[{"op":"update","table":"Root","where":[],"row":{"leaf":["set",[]]}}]"#);
    assert_eq!(world.rows("Root", &["weak"]), [json!({"weak":["set",[]]})]);
    // One to a row that never was is dropped silently, unless one must be there.
    world.ok(
        r#"[{"op":"update","table":"Root","where":[],"row":{"weak":["uuid","01234567-89ab-4def-8123-456789abcdef"]}}]"#,
    );
    assert_eq!(world.rows("Root", &["weak"]), [json!({"weak":["set",[]]})]);
    let (tag, details) = world.err(r#"[{"op":"insert","table":"Must","row":{}}]"#);
    assert_eq!(tag, "constraint violation");
    assert!(details.starts_with("Weak reference column \"to\" in \"Must\" row "), "{details}");
    world.ok(
        r#"[{"op":"insert","table":"Root","row":{"name":"s","leaf":["set",[["named-uuid","a"],["named-uuid","b"]]]}},
            {"op":"insert","table":"Leaf","uuid-name":"a","row":{"k":1}},
            {"op":"insert","table":"Leaf","uuid-name":"b","row":{"k":2}},
            {"op":"insert","table":"Must","row":{"to":["set",[["named-uuid","a"],["named-uuid","b"]]]}}]"#,
    );
    let (_, details) = world.err(
        r#"[{"op":"update","table":"Root","where":[["name","==","s"]],"row":{"leaf":["set",[]]}}]"#,
    );
    assert!(details.starts_with("Deletion of 2 weak reference(s) to deleted"), "{details}");
    assert_eq!(world.rows("Leaf", &["k"]).len(), 2);
}

#[test]
fn indexes_and_max_rows_are_enforced() {
    let mut world = World::new();
    world.ok(r#"[{"op":"insert","table":"Root","row":{"name":"a"}},{"op":"insert","table":"Root","row":{"name":"b"}}]"#);
    // Values may be exchanged within a transaction.
    world.ok(r#"[{"op":"update","table":"Root","where":[["name","==","a"]],"row":{"name":"c"}},
            {"op":"update","table":"Root","where":[["name","==","b"]],"row":{"name":"a"}},
            {"op":"update","table":"Root","where":[["name","==","c"]],"row":{"name":"b"}}]"#);
    let (tag, details) =
        world.err(r#"[{"op":"insert","table":"Root","row":{"name":"a","gone":5}}]"#);
    assert_eq!(tag, "constraint violation");
    assert!(
        details.starts_with(
            "Transaction causes multiple rows in \"Root\" table to have identical values (a) for \
             index on column \"name\".  First row, with UUID "
        ),
        "{details}"
    );
    assert!(details.contains("was inserted by this transaction."), "{details}");
    assert!(details.ends_with("existed in the database before this transaction and was not modified by the transaction."), "{details}");
    world.ok(r#"[{"op":"delete","table":"Root","where":[["name","==","a"]]},{"op":"insert","table":"Root","row":{"name":"a"}}]"#);
    let few = r#"{"op":"insert","table":"Few","row":{}}"#;
    world.ok(&format!("[{few},{few}]"));
    let (_, details) = world.err(&format!("[{few}]"));
    assert_eq!(
        details,
        "transaction causes \"Few\" table to contain 3 rows, greater than the schema-defined limit of 2 row(s)"
    );
    // What an index finds within a transaction is what the transaction made of it.
    let results = world.ok(
        r#"[{"op":"update","table":"Root","where":[["name","==","a"]],"row":{"name":"z"}},
            {"op":"select","table":"Root","where":[["name","==","a"]],"columns":["name"]},
            {"op":"select","table":"Root","where":[["name","==","z"]],"columns":["name"]}]"#,
    );
    assert_eq!(results[1], json!({"rows":[]}));
    assert_eq!(results[2], json!({"rows":[{"name":"z"}]}));
}

#[test]
fn the_version_changes_with_the_row() {
    let mut world = World::new();
    world.ok(r#"[{"op":"insert","table":"Few","row":{"n":1}}]"#);
    let before = world.rows("Few", &["_version"]);
    world.ok(r#"[{"op":"update","table":"Few","where":[],"row":{"n":1}}]"#);
    assert_eq!(world.rows("Few", &["_version"]), before);
    world.ok(r#"[{"op":"update","table":"Few","where":[],"row":{"n":2}}]"#);
    assert_ne!(world.rows("Few", &["_version"]), before);
}

#[test]
fn select_sorts_and_drops_duplicates() {
    let mut world = World::new();
    for (name, n) in [("a", 2), ("b", 1), ("c", 2)] {
        world.ok(&format!(
            r#"[{{"op":"insert","table":"Root","row":{{"name":"{name}","n":{n}}}}}]"#
        ));
    }
    assert_eq!(world.rows("Root", &["n"]), [json!({"n":1}), json!({"n":2})]);
    let results = world.ok(
        r#"[{"op":"select","table":"Root","where":[["n","includes",2]],"columns":["name","_uuid"],"sort":["name"]}]"#,
    );
    assert_eq!(results[0]["rows"].as_array().unwrap().len(), 2);
    assert_eq!(results[0]["rows"][0]["name"], "a");
}
