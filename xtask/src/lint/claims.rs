//! The invariants of `ARCHITECTURE.md` and the tests that hold them.
//!
//! A paragraph that begins with `Invariant:` ends with `Held by` and the tests, each as
//! `FILE::NAME` in backquotes, or `cargo xtask lint` for what this program checks. A name that no
//! longer exists is an error, so that a claim does not outlive its test.

use std::fs;
use std::path::Path;

/// How the program itself is named among the tests.
const LINT: &str = "cargo xtask lint";

/// Appends what is wrong with the claims in `text`; `read` gives a file's text, if it is there.
fn claims(text: &str, read: impl Fn(&str) -> Option<String>, found: &mut Vec<String>) {
    for paragraph in text.split("\n\n").filter(|p| p.trim_start().starts_with("Invariant:")) {
        let first: String = paragraph.trim_start().chars().take(60).collect();
        let Some((_, tests)) = paragraph.split_once("Held by") else {
            found.push(format!("ARCHITECTURE.md: \"{first}\" names no test (\"Held by\")"));
            continue;
        };
        let names: Vec<&str> = tests.split('`').skip(1).step_by(2).collect();
        if names.is_empty() {
            found.push(format!("ARCHITECTURE.md: \"{first}\" names no test after \"Held by\""));
        }
        for name in names.into_iter().filter(|n| *n != LINT) {
            let held = name.split_once("::").is_some_and(|(file, test)| {
                read(file).is_some_and(|source| source.contains(&format!("fn {test}(")))
            });
            if !held {
                found.push(format!("ARCHITECTURE.md: there is no test {name}"));
            }
        }
    }
}

/// Checks `ARCHITECTURE.md` of the repository at `root`.
pub(super) fn check(root: &Path, found: &mut Vec<String>) {
    let read = |file: &str| fs::read_to_string(root.join(file)).ok();
    match read("ARCHITECTURE.md") {
        Some(text) => claims(&text, read, found),
        None => found.push("ARCHITECTURE.md cannot be read".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        let read = |file: &str| (file == "a/tests.rs").then(|| "fn holds() {}".to_owned());
        claims(text, read, &mut found);
        found
    }

    #[test]
    fn invariant_with_its_test_is_accepted() {
        let text =
            "# A\n\nInvariant: It is so.\nHeld by `a/tests.rs::holds`, `cargo xtask lint`.\n";
        assert_eq!(found(text), [] as [&str; 0]);
    }

    #[test]
    fn invariant_without_a_test_is_found() {
        assert_eq!(found("Invariant: It is so.\n\nHeld by nothing.").len(), 1);
        assert_eq!(found("Invariant: It is so. Held by faith.").len(), 1);
    }

    #[test]
    fn test_that_does_not_exist_is_found() {
        let text = "Invariant: It is so. Held by `a/tests.rs::gone`, `b.rs::holds`, `holds`.";
        assert_eq!(found(text).len(), 3);
    }
}
