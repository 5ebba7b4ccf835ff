//! What the whole-system tests share: a rack in namespaces around the real daemon.
//!
//! The daemon is the one of this workspace, built once before the first test; the environment
//! variable `BRAID_VSWITCHD` names another, such as Debian's: a test that Open vSwitch fails is
//! probably wrong. `BRAID_OVSDB` says who keeps the database, with whose tools: `embedded`, `ours`
//! or `debian`; by default Debian's where it is installed.

pub mod random;
pub mod rig;

use std::path::PathBuf;
use std::sync::OnceLock;

pub use rig::Rig;
use testbed::{Daemon, Error, Ovsdb, debian, privileges};

/// Runs before `main`, while the test program has one thread: an ordinary user gets a user
/// namespace of its own, in which it is root.
#[used]
#[unsafe(link_section = ".init_array")]
static EARLY: extern "C" fn() = early;

static PRIVILEGES: OnceLock<Result<(), String>> = OnceLock::new();

extern "C" fn early() {
    let _ = PRIVILEGES.set(privileges::enter().map(drop).map_err(|e| e.to_string()));
}

/// Skips the test where no whole-system test can run.
pub fn able() {
    static ABLE: OnceLock<Result<(), String>> = OnceLock::new();
    let able = ABLE.get_or_init(|| {
        let enter = || privileges::enter().map(drop).map_err(|e| e.to_string());
        PRIVILEGES.get_or_init(enter).clone()?;
        Ovsdb::find().and_then(Ovsdb::programs).map(drop).map_err(|e| e.to_string())
    });
    if let Err(why) = able {
        harness::skip(why);
    }
}

/// A program's path; skips the test where it is not installed.
pub fn tool(name: &str) -> PathBuf {
    let found = debian::tool(name);
    found.unwrap_or_else(|| harness::skip(format!("{name} is not installed")))
}

/// The daemon under test, built if need be.
pub fn daemon() -> Daemon {
    static DAEMON: OnceLock<Result<Daemon, String>> = OnceLock::new();
    let found = DAEMON.get_or_init(|| Daemon::find().map_err(|e: Error| e.to_string()));
    found.clone().unwrap_or_else(|e| panic!("{e}"))
}

/// Whether tap devices can be made here, as bridges' own ports and internal ports are.
pub fn tap_allowed() -> bool {
    std::fs::File::options().read(true).write(true).open("/dev/net/tun").is_ok()
}

/// Skips a test of what needs tap devices where none can be made.
pub fn tap(what: &str) {
    if !tap_allowed() {
        harness::skip(format!("/dev/net/tun may not be opened here: {what}"));
    }
}

/// Debian's daemon, to compare with and to be a partner; skips the test if it is not here or
/// cannot run: it makes no bridge without a tap device.
pub fn debian() -> Daemon {
    tap("what needs Open vSwitch beside ours");
    Daemon::at(tool("ovs-vswitchd"))
}

/// Skips a test of what another daemon than ours cannot do.
pub fn ours_only(what: &str) {
    able();
    if !daemon().is_ours() {
        // Not a lack of this machine.
        harness::not_applicable(format!("Open vSwitch has none: {what}"));
    }
}
