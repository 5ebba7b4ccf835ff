//! A prompt inside the running lab.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use super::options::Options;
use super::rig::Rig;
use super::signal;
use testbed::{Error, Switch};

const PROMPT: &str = "braid-lab$ ";

/// Makes the shell show [`PROMPT`]. A shell's start-up files set a prompt of their own after the
/// environment has been read, so the prompt is set by a start-up file that runs last and reads the
/// user's first.
fn prompt(c: &mut Command, program: &Path, switch: &Switch) -> Result<(), Error> {
    let file = |name: &str, text: String| {
        let path = switch.path(name);
        fs::write(&path, text)
            .map_err(|e| Error::io(format!("cannot write {}", path.display()), e))
            .map(|()| path)
    };
    // The basename may be that of a link, such as `sh`; what matters is how the shell behaves when
    // it is called by this name.
    match program.file_name().and_then(|n| n.to_str()).unwrap_or_default() {
        "bash" => {
            let text = format!(
                "for f in /etc/bash.bashrc ~/.bashrc; do [ -r \"$f\" ] && . \"$f\"; done\n\
                 unset PROMPT_COMMAND\nPS1='{PROMPT}'\n"
            );
            c.arg("--rcfile").arg(file("lab.bashrc", text)?).arg("-i");
        }
        "zsh" => {
            let home = env::var("ZDOTDIR").or_else(|_| env::var("HOME")).unwrap_or_default();
            let text = format!(
                "ZDOTDIR='{home}'\n[ -r \"$ZDOTDIR/.zshrc\" ] && . \"$ZDOTDIR/.zshrc\"\n\
                 precmd_functions=()\nPROMPT='{PROMPT}'\n"
            );
            let path = file(".zshrc", text)?;
            c.env("ZDOTDIR", path.parent().unwrap_or(Path::new("/")));
        }
        "fish" => {
            c.arg("-C").arg(format!("function fish_prompt; echo -n '{PROMPT}'; end"));
        }
        // POSIX: an interactive shell reads the file that `ENV` names.
        _ => {
            let text = format!("PS1='{PROMPT}'\n");
            c.env("PS1", PROMPT).env("ENV", file("lab.shrc", text)?);
        }
    }
    Ok(())
}

/// Runs a shell until it ends, with the stream going on meanwhile.
pub(super) fn run(rig: &Rig, o: &Options) -> Result<(), Error> {
    println!(
        "\nThe lab goes on, {} packets/s each way. This shell is in the hypervisor's namespace:\n  \
         ovs-vsctl show; ovs-appctl bond/show; ovs-appctl fdb/show br0\n  \
         ip link set nic0 down    (if you have ip)\nexit ends the lab.",
        o.rate
    );
    let (up, down) = (rig.traffic.up.totals(), rig.traffic.down.totals());
    let program = env::var_os("SHELL").map(PathBuf::from).filter(|p| p.is_file());
    let program = program.unwrap_or_else(|| "/bin/sh".into());
    let mut c = rig.switch.command(&program.to_string_lossy());
    // An ordinary user's PATH may lack the folders that ovs-appctl's helpers are in.
    let mut path = OsString::new();
    if let Some(tools) = rig.switch.tools() {
        path.push(tools);
        path.push(":");
    }
    path.push(env::var_os("PATH").unwrap_or_default());
    path.push(":/usr/sbin:/usr/bin:/sbin:/bin");
    c.env("PATH", path);
    prompt(&mut c, &program, &rig.switch)?;
    let status =
        c.status().map_err(|e| Error::io(format!("cannot start {}", program.display()), e))?;
    // Ctrl-C was typed at the shell, not at us.
    signal::forget();
    let (up2, down2) = (rig.traffic.up.totals(), rig.traffic.down.totals());
    let lost = |a: testbed::stream::Totals, b: testbed::stream::Totals| {
        (b.sent - a.sent).saturating_sub(b.received - a.received)
    };
    println!(
        "Meanwhile lost: {} from the VM to the network, {} from the network to the VM ({status}).",
        lost(up, up2),
        lost(down, down2)
    );
    Ok(())
}
