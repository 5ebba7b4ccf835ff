//! Where the daemon under test comes from.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::Error;

/// Names the daemon to run instead of our own: any program that takes the arguments of
/// `ovs-vswitchd`.
pub const VARIABLE: &str = "BRAID_VSWITCHD";

/// A switch daemon's program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Daemon {
    path: PathBuf,
    ours: bool,
}

impl Daemon {
    /// The daemon named by [`VARIABLE`], else the one built with the running program. Under
    /// cargo it is built first, so that it is never an old one: `cargo run --bin X` and
    /// `cargo test -p X` build nothing but X.
    pub fn find() -> Result<Daemon, Error> {
        if let Some(path) = env::var_os(VARIABLE).filter(|p| !p.is_empty()) {
            let path = PathBuf::from(path);
            if !path.is_file() {
                return Err(Error::Daemon(format!(
                    "{VARIABLE} names {}, where there is no program",
                    path.display()
                )));
            }
            return Ok(Daemon { path, ours: false });
        }
        let exe = env::current_exe().map_err(|e| Error::io("cannot find this program", e))?;
        // A test's program lies one folder deeper, in `deps`.
        let mut folder = exe.parent().unwrap_or(Path::new("/"));
        if folder.ends_with("deps") {
            folder = folder.parent().unwrap_or(folder);
        }
        if let (Some(cargo), Some(manifest)) =
            (env::var_os("CARGO"), env::var_os("CARGO_MANIFEST_DIR"))
        {
            build(Path::new(&cargo), Path::new(&manifest), folder)?;
        }
        let path = folder.join("ovs-vswitchd");
        if !path.is_file() {
            return Err(Error::Daemon(format!(
                "there is no {}: build it with `cargo build --release -p braid-vswitchd`, or \
                 start this program with `cargo run`",
                path.display()
            )));
        }
        Ok(Daemon { path, ours: true })
    }

    /// A daemon at a known place, such as Debian's.
    pub fn at(path: impl Into<PathBuf>) -> Daemon {
        Daemon { path: path.into(), ours: false }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is Braid's, as far as we know.
    pub fn is_ours(&self) -> bool {
        self.ours
    }
}

/// Builds the daemon into `folder` (`target/PROFILE`), with the profile that made this program.
fn build(cargo: &Path, manifest: &Path, folder: &Path) -> Result<(), Error> {
    let (Some(profile), Some(target)) = (folder.file_name(), folder.parent()) else {
        return Ok(());
    };
    let mut c = Command::new(cargo);
    c.args(["build", "--quiet", "-p", "braid-vswitchd", "--bin", "ovs-vswitchd"]);
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
        Err(Error::Daemon("the daemon does not build; cargo says why above".into()))
    }
}
