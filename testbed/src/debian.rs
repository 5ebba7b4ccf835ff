//! Debian's Open vSwitch, as far as a testbed uses it.

use std::path::{Path, PathBuf};

use super::Error;

/// Everything of Open vSwitch's that a testbed with [`Ovsdb::Debian`] uses.
const TOOLS: [&str; 4] = ["ovsdb-server", "ovsdb-tool", "ovs-vsctl", "ovs-appctl"];
const INSTALL: &str = "apt-get install openvswitch-switch";
/// The schema of the switch's database.
pub const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// Checks that Debian's tools are installed, and names those that are not.
pub fn check_tools() -> Result<(), Error> {
    let mut missing: Vec<String> =
        TOOLS.iter().filter(|t| tool(t).is_none()).map(|t| t.to_string()).collect();
    if missing.is_empty() && !Path::new(SCHEMA).is_file() {
        missing.push(SCHEMA.into());
    }
    if missing.is_empty() {
        Ok(())
    } else {
        Err(Error::Missing { programs: missing, install: INSTALL })
    }
}

/// Where a program is: on `PATH`, or in a folder that an ordinary user's `PATH` may lack.
pub fn tool(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/bin", "/sbin", "/bin"].map(PathBuf::from))
        .map(|d| d.join(name))
        .find(|p| p.is_file())
}
