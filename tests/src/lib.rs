//! What the whole-system tests share: a rack in namespaces around the real daemon.
//!
//! The daemon is the one of this workspace, built once before the first test; the environment
//! variable `BRAID_VSWITCHD` names another, such as Debian's: a test that Open vSwitch fails is
//! probably wrong. `BRAID_OVSDB` says who keeps the database, with whose tools: `embedded`, `ours`
//! or `debian`; by default Debian's where it is installed.

pub mod random;
pub mod rig;

use std::io::Write;
use std::sync::OnceLock;

pub use rig::Rig;
use testbed::{Daemon, Error, Ovsdb, privileges, switch};

/// Runs before `main`, while the test program has one thread: an ordinary user gets a user
/// namespace of its own, in which it is root.
#[used]
#[unsafe(link_section = ".init_array")]
static EARLY: extern "C" fn() = early;

static PRIVILEGES: OnceLock<Result<(), String>> = OnceLock::new();

extern "C" fn early() {
    let _ = PRIVILEGES.set(privileges::enter().map(drop).map_err(|e| e.to_string()));
}

/// Whether the whole-system tests can run here. If they cannot, says so where the test harness
/// does not swallow it, once, with the reason and the remedy.
pub fn able() -> bool {
    static ABLE: OnceLock<bool> = OnceLock::new();
    *ABLE.get_or_init(|| {
        let enter = || privileges::enter().map(drop).map_err(|e| e.to_string());
        let why = match PRIVILEGES.get_or_init(enter) {
            Err(e) => Some(e.clone()),
            Ok(()) => Ovsdb::find().and_then(Ovsdb::programs).err().map(|e| e.to_string()),
        };
        if let Some(why) = &why {
            loudly(&format!("THE WHOLE-SYSTEM TESTS DO NOT RUN HERE: {why}"));
        }
        why.is_none()
    })
}

/// Writes past the test harness, which keeps what a passing test prints to itself.
pub fn loudly(text: &str) {
    let line = format!("\n*** {text}\n\n");
    let _ = std::io::stderr().lock().write_all(line.as_bytes());
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

/// Whether what needs tap devices can run here; if not, says so loudly.
pub fn tap(what: &str) -> bool {
    let allowed = tap_allowed();
    if !allowed {
        loudly(&format!("skipped, because /dev/net/tun may not be opened here: {what}"));
    }
    allowed
}

/// Debian's daemon, to compare with and to be a partner; `None`, said loudly, if it is not here
/// or cannot run: it makes no bridge without a tap device.
pub fn debian() -> Option<Daemon> {
    if !tap("what needs Open vSwitch beside ours") {
        return None;
    }
    let found = switch::tool("ovs-vswitchd").map(Daemon::at);
    if found.is_none() {
        loudly("TESTS AGAINST OPEN VSWITCH DO NOT RUN HERE: ovs-vswitchd is not installed");
    }
    found
}

/// Skips, loudly, what another daemon than ours cannot do.
pub fn ours_only(what: &str) -> bool {
    let ours = daemon().is_ours();
    if !ours {
        loudly(&format!("skipped, because Open vSwitch has none: {what}"));
    }
    ours
}
