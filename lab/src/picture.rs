//! What stands above and below the time line.

use anstyle::{AnsiColor, Style};

use super::options::{Options, Vm};
use super::report::{Loss, Report};
use testbed::privileges::Privileges;
use testbed::{Daemon, Members};

pub(super) fn print(o: &Options, daemon: &Daemon, privileges: Privileges, wanted: bool) {
    if !wanted {
        return;
    }
    let bold = Style::new().bold();
    let as_whom = match privileges {
        Privileges::Root => "as root",
        Privileges::UserNamespace => "in a user namespace of its own",
    };
    let here = std::env::current_dir().unwrap_or_default();
    let path = daemon.path().strip_prefix(&here).unwrap_or(daemon.path());
    anstream::println!("{bold}braid-lab{bold:#}, {as_whom}, with {}", path.display());
    let vm = match o.vm {
        Vm::Veth => "vm ─ eth0 ──── vnet0 ─ br0",
        Vm::Internal => "vm ─────────── vm0 ─── br0",
    };
    let blank = " ".repeat(vm.chars().count());
    let far = |n| match o.members {
        Members::Veth => format!("tor{n}"),
        Members::Tap => "tap ".to_owned(),
    };
    anstream::println!(
        "\n  {vm} ─ bond0 ┬ nic0 ──── {} ┬ top of rack ─ host\
         \n  {blank}         └ nic1 ──── {} ┘\n",
        far(0),
        far(1)
    );
    let mut how = format!("bond0 is {}", o.mode);
    if let Some(p) = o.primary() {
        how += &format!(", primary {p}, failback after {} ms", o.failback_delay().as_millis());
    }
    anstream::println!("{how}\n");
}

pub(super) fn print_summary(r: &Report, wanted: bool) {
    if !wanted {
        return;
    }
    let bold = Style::new().bold();
    anstream::println!(
        "\n{bold}{:<10} {:>30}   {:>30}{bold:#}",
        "",
        "VM to network",
        "network to VM"
    );
    for s in &r.steps {
        anstream::println!("{:<10} {:>30}   {:>30}", s.name, words(s.up), words(s.down));
    }
    let (style, verdict) = if r.success {
        (AnsiColor::Green.on_default().bold(), "as it should be")
    } else {
        (AnsiColor::Red.on_default().bold(), "not as it should be")
    };
    anstream::println!("\n{style}{verdict}{style:#}");
    for s in &r.steps {
        if let Some(f) = &s.failure {
            anstream::println!("  {}: {f}", s.name);
        }
    }
}

fn words(l: Loss) -> String {
    match l.gap_ms {
        None => format!("0 of {} lost", l.sent),
        Some(gap) => format!("{} of {} lost, {gap:.1} ms", l.lost, l.sent),
    }
}
