//! Where the daemon under test comes from.

use std::env;
use std::path::{Path, PathBuf};

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
            return Ok(Daemon { path, ours: false });
        }
        let path = ours::folder(&["ovs-vswitchd"])?.join("ovs-vswitchd");
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
