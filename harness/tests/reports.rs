//! What the harness prints and how it exits, by running the test program `outcomes`.

use std::path::PathBuf;
use std::process::{Command, Output};

/// The newest `outcomes-HASH` beside this program.
fn outcomes(arguments: &[&str], require: Option<&str>) -> Output {
    let own = std::env::current_exe().unwrap();
    let programs = own.parent().unwrap().read_dir().unwrap().map(|e| e.unwrap().path());
    let is_one = |p: &PathBuf| {
        p.extension().is_none()
            && p.file_name().is_some_and(|n| n.to_string_lossy().starts_with("outcomes-"))
    };
    let newest = programs.filter(is_one).max_by_key(|p| p.metadata().unwrap().modified().unwrap());
    let mut command = Command::new(newest.expect("cargo builds all tests of a package together"));
    command.args(arguments).env("OUTCOMES", "all").env_remove(harness::REQUIRE);
    if let Some(value) = require {
        command.env(harness::REQUIRE, value);
    }
    command.output().unwrap()
}

#[test]
fn skipped_test_is_shown_as_ignored_with_its_reason() {
    for require in [None, Some("0")] {
        let out = outcomes(&["lacks_something"], require);
        let text = String::from_utf8_lossy(&out.stdout);
        assert!(text.contains("ignored (there is no such device)"), "{text}");
        assert!(text.contains("0 passed; 0 failed; 1 ignored"), "{text}");
        assert!(out.status.success());
    }
}

#[test]
fn skipped_test_fails_where_it_is_required() {
    let out = outcomes(&["lacks_something"], Some("1"));
    assert!(!out.status.success());
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("1 failed"), "{text}");
    assert!(text.contains("there is no such device"), "{text}");
}

#[test]
fn failed_test_is_shown_with_its_message() {
    let out = outcomes(&["fails"], None);
    assert!(!out.status.success());
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains("as it was told to"), "{text}");
}
