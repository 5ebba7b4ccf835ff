//! `cargo xtask vm`: a kernel for the tests that need Linux bonding.

use std::fs;
use std::path::Path;
use std::process::Command;

/// Puts Debian's kernel, its modules and a static busybox into `target/vm`, without installing
/// anything.
///
/// # Errors
///
/// What failed, and what to do.
pub(crate) fn fetch(root: &Path) -> Result<(), String> {
    let folder = root.join("target/vm");
    let packages = folder.join("packages");
    fs::create_dir_all(&packages).map_err(|e| format!("{}: {e}", packages.display()))?;
    let depends = output(Command::new("apt-cache").args(["depends", "linux-image-amd64"]))?;
    // The package itself is empty: it depends on the newest kernel.
    let kernel = depends
        .lines()
        .filter_map(|l| l.trim().strip_prefix("Depends: "))
        .find(|p| p.starts_with("linux-image-"))
        .ok_or("apt-cache knows no kernel that linux-image-amd64 depends on: apt-get update")?;
    let mut download = Command::new("apt-get");
    download.current_dir(&packages).args(["download", kernel, "busybox-static"]);
    output(&mut download)?;
    for entry in fs::read_dir(&packages).map_err(|e| e.to_string())?.filter_map(Result::ok) {
        if entry.path().extension().is_some_and(|e| e == "deb") {
            output(Command::new("dpkg").arg("-x").arg(entry.path()).arg(&folder))?;
        }
    }
    println!("{} has {kernel} and busybox", folder.display());
    if Command::new("qemu-system-x86_64").arg("--version").output().is_err() {
        println!("the tests need QEMU too: apt-get install qemu-system-x86");
    }
    Ok(())
}

/// Runs a command and gives what it printed.
fn output(command: &mut Command) -> Result<String, String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.output().map_err(|e| format!("{name}: {e}; this needs a Debian host"))?;
    if out.status.success() {
        return Ok(String::from_utf8_lossy(&out.stdout).into_owned());
    }
    Err(format!("{name}: {}", String::from_utf8_lossy(&out.stderr).trim()))
}
