//! Our own programs, built like the running one.

use std::collections::BTreeSet;
use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;
use parking_lot::Mutex;

/// The programs and their packages.
const PROGRAMS: [(&str, &str); 4] = [
    ("ovs-vswitchd", "vswitchd"),
    ("ovsdb-server", "ovsdb-server"),
    ("ovs-vsctl", "utilities"),
    ("ovs-appctl", "utilities"),
];

/// The folder in which these programs lie, the running one's. Under cargo they are built first,
/// once in each process, so that they are never old ones: `cargo run --bin X` and `cargo test -p
/// X` build nothing but X.
///
/// # Errors
///
/// They do not build, or are not there.
pub fn folder(names: &[&str]) -> Result<PathBuf, Error> {
    /// What this process has built already.
    static BUILT: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let exe = env::current_exe().map_err(|e| Error::io("cannot find this program", e))?;
    // A test's program lies one folder deeper, in `deps`.
    let mut folder = exe.parent().unwrap_or(Path::new("/"));
    if folder.ends_with("deps") {
        folder = folder.parent().unwrap_or(folder);
    }
    if let (Some(cargo), Some(manifest)) = (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR"))
    {
        let mut built = BUILT.lock();
        let missing: Vec<&str> = names.iter().copied().filter(|n| !built.contains(*n)).collect();
        if !missing.is_empty() {
            build(Path::new(&cargo), Path::new(&manifest), folder, &missing)?;
            built.extend(missing.into_iter().map(str::to_owned));
        }
    }
    match names.iter().map(|name| folder.join(name)).find(|path| !path.is_file()) {
        None => Ok(folder.to_owned()),
        Some(path) => Err(Error::Daemon(format!(
            "there is no {}: build it with `cargo build --release --bins`, or start this program \
             with `cargo run`",
            path.display()
        ))),
    }
}

/// Builds programs into `folder` (`target/PROFILE`), with the profile that made this program.
fn build(cargo: &Path, manifest: &Path, folder: &Path, names: &[&str]) -> Result<(), Error> {
    let (Some(profile), Some(target)) = (folder.file_name(), folder.parent()) else {
        return Ok(());
    };
    let mut c = Command::new(cargo);
    c.args(["build", "--quiet"]);
    for (name, package) in PROGRAMS.iter().filter(|(name, _)| names.contains(name)) {
        c.args(["-p", package, "--bin", name]);
    }
    // The profile `dev` lives in the folder `debug`.
    c.arg("--profile").arg(if profile == "debug" { "dev".as_ref() } else { profile });
    c.arg("--target-dir").arg(target).current_dir(manifest);
    // What cargo set for this package is not meant for another build.
    for (k, _) in env::vars_os() {
        let k = k.to_string_lossy();
        if k.starts_with("CARGO_PKG_") || k.starts_with("CARGO_MANIFEST") || k == "CARGO_BIN_NAME" {
            c.env_remove(&*k);
        }
    }
    let status = c.status().map_err(|e| Error::io("cannot run cargo", e))?;
    if status.success() {
        Ok(())
    } else {
        Err(Error::Daemon(format!("{} does not build; cargo says why above", names.join(", "))))
    }
}
