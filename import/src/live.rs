//! The running system: `ip -d -j link`, `/proc/net/bonding`, and the addresses of what was found.

use std::path::Path;
use std::process::Command;

use crate::apply::address;
use crate::bond::merge;
use crate::profile::{Kind, Profile};
use crate::read::{self, Format};

/// Where the driver describes bonds.
const PROC: &str = "/proc/net/bonding";

/// Why the running system cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// `ip` failed.
    #[error("ip -d -j link: {0}")]
    Ip(String),
    /// A file of the driver.
    #[error(transparent)]
    Read(#[from] read::Error),
    /// Addresses or routes.
    #[error(transparent)]
    Address(#[from] address::Error),
}

/// All devices of this network namespace, bonds with their options.
pub(crate) fn read() -> Result<Vec<Profile>, Error> {
    let out = Command::new("ip").args(["-d", "-j", "link"]).output();
    let out = out.map_err(|e| Error::Ip(posix_text(&e)))?;
    if !out.status.success() {
        return Err(Error::Ip(String::from_utf8_lossy(&out.stderr).trim().to_owned()));
    }
    let text = String::from_utf8_lossy(&out.stdout);
    let mut profiles = read::text_of(Path::new("ip"), &text, Format::Link).map_err(Error::Ip)?;
    for p in &mut profiles {
        let file = Path::new(PROC).join(&p.name);
        if p.kind == Kind::Bond && file.exists() {
            // Older versions of `ip` print fewer options than the driver has.
            for more in read::path(&file, Some(Format::Proc))? {
                merge(p, more);
            }
        }
    }
    // Only what may move: a bond, a VLAN on one, a bridge.
    for p in profiles.iter_mut().filter(|p| p.kind != Kind::Device) {
        let state = address::State::of(&p.name)?;
        p.network.addresses = state.addresses.iter().map(|a| a.net).collect();
        p.network.routes = state.routes;
        p.remarks.extend(state.remarks);
    }
    Ok(profiles)
}

/// An error's text.
fn posix_text(error: &std::io::Error) -> String {
    if error.kind() == std::io::ErrorKind::NotFound {
        "the program is not installed (package iproute2)".to_owned()
    } else {
        error.to_string()
    }
}
