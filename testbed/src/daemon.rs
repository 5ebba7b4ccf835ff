//! Where the daemon under test comes from.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Error, ours};

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
    /// The daemon named by [`VARIABLE`], else the one built with the running program.
    pub fn find() -> Result<Daemon, Error> {
        if let Some(path) = env::var_os(VARIABLE).filter(|p| !p.is_empty()) {
            let path = PathBuf::from(path);
            if !path.is_file() {
                return Err(Error::Daemon(format!(
                    "{VARIABLE} names {}, where there is no program",
                    path.display()
                )));
            }
            // Such as a release build: its second line names it.
            let version = Command::new(&path).arg("--version").output();
            let ours = version.is_ok_and(|o| {
                String::from_utf8_lossy(&o.stdout).lines().any(|l| l.starts_with("Braid "))
            });
            return Ok(Daemon { path, ours });
        }
        let path = ours::folder(&["ovs-vswitchd"])?.join("ovs-vswitchd");
        Ok(Daemon { path, ours: true })
    }

    /// A daemon at a known place, such as Debian's.
    pub fn at(path: impl Into<PathBuf>) -> Daemon {
        Daemon { path: path.into(), ours: false }
    }

    /// The program's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it is Braid's: built with the running program, or by what its `--version` says.
    pub fn is_ours(&self) -> bool {
        self.ours
    }
}
