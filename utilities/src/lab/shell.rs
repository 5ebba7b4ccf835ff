//! A prompt inside the running lab.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

use super::bed::Bed;
use super::options::Options;
use super::signal;
use crate::testbed::Error;

/// Runs a shell until it ends, with the stream going on meanwhile.
pub(super) fn run(bed: &Bed, o: &Options) -> Result<(), Error> {
    println!(
        "\nThe lab goes on, {} packets/s each way. This shell is in the hypervisor's namespace:\n  \
         ovs-vsctl show; ovs-appctl bond/show; ovs-appctl fdb/show br0\n  \
         ip link set nic0 down    (if you have ip)\nexit ends the lab.",
        o.rate
    );
    let (up, down) = (bed.traffic.up.totals(), bed.traffic.down.totals());
    let program = env::var_os("SHELL").map(PathBuf::from).filter(|p| p.is_file());
    let program = program.unwrap_or_else(|| "/bin/sh".into());
    let mut c = bed.switch.command(&program.to_string_lossy());
    // An ordinary user's PATH may lack the folders that ovs-appctl's helpers are in.
    let mut path = OsString::new();
    if let Some(tools) = bed.switch.tools() {
        path.push(tools);
        path.push(":");
    }
    path.push(env::var_os("PATH").unwrap_or_default());
    path.push(":/usr/sbin:/usr/bin:/sbin:/bin");
    c.env("PATH", path).env("PS1", "braid-lab$ ");
    let status =
        c.status().map_err(|e| Error::io(format!("cannot start {}", program.display()), e))?;
    // Ctrl-C was typed at the shell, not at us.
    signal::forget();
    let (up2, down2) = (bed.traffic.up.totals(), bed.traffic.down.totals());
    let lost = |a: crate::testbed::stream::Totals, b: crate::testbed::stream::Totals| {
        (b.sent - a.sent).saturating_sub(b.received - a.received)
    };
    println!(
        "Meanwhile lost: {} from the VM to the network, {} from the network to the VM ({status}).",
        lost(up, up2),
        lost(down, down2)
    );
    Ok(())
}
