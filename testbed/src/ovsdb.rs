//! Who keeps a testbed's database.

use std::env;
use std::fmt;
use std::path::PathBuf;

use clap::ValueEnum;

use super::debian::check_tools;
use super::{Daemon, Error, ours};

/// Chooses for the whole-system tests and the benchmark: `embedded`, `ours` or `debian`.
pub const VARIABLE: &str = "BRAID_OVSDB";

/// Who keeps a switch's database, and whose `ovs-vsctl` and `ovs-appctl` drive it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Ovsdb {
    /// The daemon itself (`--embedded-db`), with our tools.
    Embedded,
    /// Our `ovsdb-server`, with our tools.
    Ours,
    /// Debian's `ovsdb-server`, with Debian's tools.
    Debian,
}

impl Ovsdb {
    /// What [`VARIABLE`] says; else Debian's where all of it is installed, and embedded
    /// elsewhere.
    ///
    /// # Errors
    ///
    /// The variable says something else.
    pub fn find() -> Result<Ovsdb, Error> {
        match env::var(VARIABLE).as_deref() {
            Err(_) | Ok("") => Ok(match check_tools() {
                Ok(()) => Ovsdb::Debian,
                Err(_) => Ovsdb::Embedded,
            }),
            Ok(word) => Ovsdb::from_str(word, false).map_err(|_| {
                Error::Daemon(format!("{VARIABLE}={word}: expected embedded, ours or debian"))
            }),
        }
    }

    /// The same, in a process of its own: it can be stopped while the daemon runs.
    #[must_use]
    pub fn apart(self) -> Ovsdb {
        match self {
            Ovsdb::Embedded | Ovsdb::Ours => Ovsdb::Ours,
            Ovsdb::Debian => Ovsdb::Debian,
        }
    }

    /// The same, as far as this daemon has it.
    #[must_use]
    pub fn beside(self, daemon: &Daemon) -> Ovsdb {
        if daemon.is_ours() { self } else { self.apart() }
    }

    /// Makes sure that the programs are there; gives the folder of ours.
    ///
    /// # Errors
    ///
    /// They are not installed, or do not build.
    pub fn programs(self) -> Result<Option<PathBuf>, Error> {
        match self {
            Ovsdb::Embedded => ours::folder(&["ovs-vsctl", "ovs-appctl"]).map(Some),
            Ovsdb::Ours => ours::folder(&["ovs-vsctl", "ovs-appctl", "ovsdb-server"]).map(Some),
            Ovsdb::Debian => check_tools().map(|()| None),
        }
    }
}

/// In a sentence: "the daemon runs with …".
impl fmt::Display for Ovsdb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Ovsdb::Embedded => "its database in it",
            Ovsdb::Ours => "our ovsdb-server",
            Ovsdb::Debian => "Debian's ovsdb-server",
        })
    }
}
