//! What a machine can check of how the project is written. Each ban names what to do instead.

pub mod circles;
mod claims;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

/// Which of our crates may depend on which: arrows point down only. The list is complete: a
/// crate that is not in it is against the rules until somebody has thought about its place.
const ARROWS: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("posix", &[]),
    ("bond", &["wire"]),
    ("netdev", &["wire", "posix"]),
    ("datapath", &["wire", "netdev"]),
    ("datapath-testing", &["wire", "netdev", "datapath"]),
    ("openflow", &["wire"]),
    ("ofproto", &["wire", "bond", "datapath", "openflow"]),
    ("tls", &["posix"]),
    ("stream", &["wire", "posix", "tls"]),
    ("ovsdb", &[]),
    ("ovsdb-client", &["wire", "posix", "tls", "stream", "ovsdb"]),
    ("runtime", &["wire", "posix", "tls", "ovsdb"]),
    ("ovsdb-server", &["wire", "posix", "tls", "stream", "ovsdb", "runtime"]),
    ("connmgr", &["wire", "posix", "tls", "stream", "runtime", "openflow", "ofproto"]),
    ("config", &["wire", "bond", "openflow", "ofproto", "tls", "stream", "ovsdb", "ovsdb-client"]),
    ("links", &["wire", "posix", "runtime", "bond", "netdev", "datapath", "ofproto", "config"]),
    (
        "vswitchd",
        &[
            "wire",
            "bond",
            "netdev",
            "datapath",
            "openflow",
            "ofproto",
            "connmgr",
            "config",
            "links",
            "posix",
            "runtime",
            "tls",
            "ovsdb",
            "ovsdb-client",
            "ovsdb-server",
        ],
    ),
    ("utilities", &["posix", "stream", "ovsdb", "ovsdb-client", "config"]),
    ("import", &[]),
    ("testbed", &["wire", "posix"]),
    ("lab", &["wire", "testbed"]),
    ("harness-macros", &[]),
    ("harness", &["harness-macros"]),
    ("tests", &["wire", "harness", "testbed"]),
    ("xtask", &["posix"]),
];

/// What a crate's tests and examples may use besides; all may use `harness`.
const TEST_ARROWS: &[(&str, &[&str])] = &[
    ("datapath", &["datapath-testing"]),
    ("ofproto", &["netdev", "datapath-testing"]),
    ("links", &["datapath-testing"]),
    ("vswitchd", &["datapath-testing"]),
    ("ovsdb-client", &["ovsdb-server"]),
    ("utilities", &["testbed"]),
    ("import", &["testbed"]),
];

/// A text that must not stand in some crates' sources, and what to do instead.
struct Ban {
    text: &'static str,
    /// Folders; empty = all.
    folders: &'static [&'static str],
    instead: &'static str,
}

/// Crates to which the time is told.
const CLOCKLESS: &[&str] = &["wire", "bond", "ofproto", "ovsdb", "config"];

// Put together at compile time, so that this file does not hold what it looks for.
const BANS: [Ban; 7] = [
    Ban {
        text: concat!("Instant::", "now"),
        folders: CLOCKLESS,
        instead: "take a `wire::Time` as a parameter; only vswitchd reads a clock",
    },
    Ban {
        text: concat!("SystemTime::", "now"),
        folders: CLOCKLESS,
        instead: "take the time as a parameter; only vswitchd reads a clock",
    },
    Ban {
        text: concat!("thread::", "sleep"),
        folders: CLOCKLESS,
        instead: "return a deadline and let the driver wait",
    },
    Ban {
        text: concat!("todo", "!("),
        folders: &[],
        instead: "write it, or return an error that says what is not supported",
    },
    Ban {
        text: concat!("unimplemented", "!("),
        folders: &[],
        instead: "write it, or return an error that says what is not supported",
    },
    Ban { text: concat!("FIX", "ME"), folders: &[], instead: "mend it, or open an issue" },
    Ban {
        text: concat!("feature = \"", "testing\""),
        folders: &[],
        instead: "inject the fake through a trait: what is tested is what ships",
    },
];

/// Longest module, in lines of any kind.
const LINES: usize = 600;

/// What a longer one says at its top, with the reason.
const EXCUSE: &str = "//! Long because";

/// Everything against the rules, one line each, in order of files.
pub fn check(root: &Path) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let metadata = metadata(root)?;
    arrows(&metadata, &mut found)?;
    let packages = folders(&metadata, root)?;
    for (folder, files) in &packages {
        for file in files {
            let text = fs::read_to_string(root.join(file))
                .map_err(|e| format!("cannot read {}: {}", file.display(), posix::text(e)))?;
            source(folder, &file.display().to_string(), &text, &mut found);
        }
        module_circles(root, folder, files, &mut found)?;
    }
    claims::check(root, &mut found);
    Ok(found)
}

/// Modules of a crate that depend on each other.
fn module_circles(
    root: &Path,
    folder: &str,
    files: &[PathBuf],
    found: &mut Vec<String>,
) -> Result<(), String> {
    let src = Path::new(folder).join("src");
    let mut sources = BTreeMap::new();
    for file in files {
        let Ok(inside) = file.strip_prefix(&src) else { continue };
        // Each of these is a crate of its own, in one file.
        if inside.starts_with("bin") {
            continue;
        }
        let text = fs::read_to_string(root.join(file))
            .map_err(|e| format!("cannot read {}: {}", file.display(), posix::text(e)))?;
        sources.insert(inside.to_owned(), text);
    }
    let circles = circles::find(&sources).map_err(|e| format!("{}/{e}", src.display()))?;
    for c in circles {
        let mut text = format!("{}: {} modules in a circle:", src.display(), c.files.len());
        for (from, to, names) in &c.arrows {
            text += &format!("\n    {} -> {}: {}", from.display(), to.display(), names.join(", "));
        }
        found.push(text);
    }
    Ok(())
}

fn metadata(root: &Path) -> Result<Value, String> {
    let out = Command::new(crate::cargo())
        .args(["metadata", "--no-deps", "--format-version", "1", "--offline"])
        .current_dir(root)
        .output()
        .map_err(|e| format!("cannot run cargo: {}", posix::text(e)))?;
    if !out.status.success() {
        return Err(String::from_utf8_lossy(&out.stderr).into_owned());
    }
    serde_json::from_slice(&out.stdout).map_err(|e| format!("cargo metadata: {e}"))
}

fn packages(metadata: &Value) -> Result<&Vec<Value>, String> {
    metadata["packages"].as_array().ok_or_else(|| "cargo metadata lists no packages".into())
}

fn arrows(metadata: &Value, found: &mut Vec<String>) -> Result<(), String> {
    let ours: Vec<&str> = packages(metadata)?.iter().filter_map(|p| p["name"].as_str()).collect();
    for p in packages(metadata)? {
        let Some(name) = p["name"].as_str() else { continue };
        let Some((_, may)) = ARROWS.iter().find(|(n, _)| *n == name) else {
            found.push(format!("{name}: not in the table of arrows in xtask/src/lint/mod.rs"));
            continue;
        };
        let in_tests = TEST_ARROWS.iter().find(|(n, _)| *n == name).map_or(&[][..], |(_, t)| t);
        for d in p["dependencies"].as_array().into_iter().flatten() {
            let Some(dep) = d["name"].as_str().filter(|d| ours.contains(d)) else { continue };
            let dev = d["kind"] == "dev";
            if !(may.contains(&dep) || dev && (dep == "harness" || in_tests.contains(&dep))) {
                found.push(format!(
                    "{name} depends on {dep}: arrows point down only; move what is shared to a \
                     crate below both, or pass it in through a trait"
                ));
            }
        }
    }
    Ok(())
}

/// The Rust sources of each of our packages, by folder.
fn folders(metadata: &Value, root: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>, String> {
    let mut all = BTreeMap::new();
    for p in packages(metadata)? {
        let Some(manifest) = p["manifest_path"].as_str() else { continue };
        let Some(folder) = Path::new(manifest).parent() else { continue };
        let Ok(folder) = folder.strip_prefix(root) else { continue };
        let mut files = Vec::new();
        for sub in ["src", "tests", "examples", "benches"] {
            sources(root, &folder.join(sub), &mut files)?;
        }
        files.sort();
        all.insert(folder.display().to_string(), files);
    }
    Ok(all)
}

fn sources(root: &Path, folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    let Ok(entries) = fs::read_dir(root.join(folder)) else { return Ok(()) };
    for e in entries {
        let e = e.map_err(|e| format!("cannot read {}: {}", folder.display(), posix::text(e)))?;
        let path = folder.join(e.file_name());
        if e.path().is_dir() {
            sources(root, &path, files)?;
        } else if path.extension().is_some_and(|x| x == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

fn source(folder: &str, file: &str, text: &str, found: &mut Vec<String>) {
    let lines = text.lines().count();
    let excused = text.lines().take_while(|l| l.starts_with("//!")).any(|l| l.starts_with(EXCUSE));
    if lines > LINES && !excused {
        found.push(format!(
            "{file}: {lines} lines; split it by topic (at most {LINES}), or say `{EXCUSE} …` at its \
             top"
        ));
    }
    // Tests may read a clock; a crate's product code is in `src`.
    let product = file.starts_with(&format!("{folder}/src/"));
    for ban in &BANS {
        if !(ban.folders.is_empty() || product && ban.folders.contains(&folder)) {
            continue;
        }
        for (n, line) in text.lines().enumerate() {
            let code = line.trim_start();
            if line.contains(ban.text) && !code.starts_with("//") {
                found.push(format!("{file}:{}: `{}`; {}", n + 1, ban.text, ban.instead));
            }
        }
    }
    if file.ends_with("src/lib.rs") && !text.starts_with("//!") {
        found.push(format!("{file}: begins with no `//!` that says what the crate is for"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repository_passes() {
        let found = check(&crate::root()).unwrap();
        assert!(found.is_empty(), "{}", found.join("\n"));
    }

    #[test]
    fn a_breach_is_found_with_its_remedy() {
        let mut found = Vec::new();
        let text = format!("fn f() {{ let t = {}(); }}\n", BANS[0].text);
        source("bond", "bond/src/x.rs", &text, &mut found);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("bond/src/x.rs:1: ") && found[0].contains("wire::Time"));

        found.clear();
        source("vswitchd", "vswitchd/src/x.rs", &text, &mut found);
        source("bond", "bond/tests/x.rs", &text, &mut found);
        assert!(found.is_empty(), "{found:?}");

        source("wire", "wire/src/x.rs", &("//\n".repeat(LINES) + "\n"), &mut found);
        assert_eq!(found.len(), 1, "{found:?}");
        found.clear();
        source("wire", "wire/src/x.rs", &"//\n".repeat(LINES), &mut found);
        assert!(found.is_empty(), "{found:?}");
        found.clear();
        let excused = format!("{EXCUSE} it is one table.\n") + &"//\n".repeat(LINES);
        source("wire", "wire/src/x.rs", &excused, &mut found);
        assert!(found.is_empty(), "{found:?}");
    }

    #[test]
    fn an_arrow_that_points_up_is_found() {
        let metadata = serde_json::json!({"packages": [
            {"name": "wire", "dependencies": [{"name": "bond", "kind": null}]},
            {"name": "bond", "dependencies": [{"name": "wire", "kind": null}]},
            {"name": "newcomer", "dependencies": []},
        ]});
        let mut found = Vec::new();
        arrows(&metadata, &mut found).unwrap();
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("wire depends on bond"));
        assert!(found[1].contains("newcomer"));
    }
}
