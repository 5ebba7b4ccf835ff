//! `braid-import`: reads what configures Linux bonds and teams, and prints or carries out the
//! commands that make bonds of a switch of them.
//!
//! Readers ([`read`]) turn files and the running system into profiles, [`bond`] puts these together,
//! [`plan`] says what is to be done, [`apply`] does it and can undo it.
#![warn(missing_docs)]

pub mod apply;
pub mod bond;
pub mod live;
pub mod options;
pub mod plan;
pub mod profile;
pub mod read;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;

use plan::Plan;

/// Linux bonds and teams as commands of Open vSwitch.
///
/// Reads configuration files, or the running system, and prints the ovs-vsctl and ip commands that
/// make bonds of a switch of them. What has no equal is said in comments.
#[derive(Parser, Debug)]
#[command(name = "braid-import", version)]
struct Arguments {
    /// Files or folders of configuration: ifcfg-*, NetworkManager keyfiles, interfaces, netplan,
    /// systemd-networkd, teamd JSON, /proc/net/bonding/*, the output of `ip -d -j link`,
    /// modprobe.d. Without one the running system is read.
    paths: Vec<PathBuf>,
    /// The format of all files, if it is not to be recognised.
    #[arg(long, value_enum)]
    format: Option<read::Format>,
    /// Only this bond. May be repeated.
    #[arg(long, value_name = "NAME")]
    bond: Vec<String>,
    /// Name of the bridge; by default br-BOND, or that of the Linux bridge that the bond is a port
    /// of. For one bond only.
    #[arg(long, value_name = "NAME")]
    bridge: Option<String>,
    /// Print JSON: what was found, the commands, the remarks.
    #[arg(long)]
    json: bool,
    /// Do it: take the members out of the Linux bond, make the bond of the switch, and move
    /// addresses and routes to its internal port. Needs root and a running switch.
    #[arg(long, conflicts_with = "json")]
    apply: bool,
    /// With --apply: an address that must answer ICMP echo before and after. If it does not answer
    /// within the time of --confirm, everything is undone.
    #[arg(long, value_name = "ADDRESS", requires = "apply")]
    check: Option<std::net::IpAddr>,
    /// With --check: how many seconds the address has to answer three times in a row.
    #[arg(long, value_name = "SECONDS", default_value = "30", requires = "check",
          value_parser = clap::value_parser!(u32).range(1..=3600))]
    confirm: u32,
    /// Undo an --apply that was interrupted.
    #[arg(long, conflicts_with_all = ["apply", "paths", "json"])]
    undo: bool,
    /// The file in which --apply keeps what is to be undone.
    #[arg(long, value_name = "FILE", default_value = "/run/braid-import.undo")]
    journal: PathBuf,
}

/// Why nothing was printed or done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file could not be read.
    #[error(transparent)]
    Read(#[from] read::Error),
    /// The running system could not be read.
    #[error(transparent)]
    Live(#[from] live::Error),
    /// Nothing was found.
    #[error("{0}")]
    Nothing(String),
    /// `--bridge` with several bonds.
    #[error("--bridge is for one bond, and there are {0}: choose one with --bond")]
    SeveralBonds(usize),
    /// The change failed.
    #[error(transparent)]
    Apply(#[from] apply::Error),
}

/// The program.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("braid-import: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), Error> {
    if arguments.undo {
        apply::undo(&arguments.journal)?;
        return Ok(());
    }
    let plans = plans(arguments)?;
    if arguments.apply {
        let check =
            arguments.check.map(|address| (address, Duration::from_secs(arguments.confirm.into())));
        apply::apply(&plans, &arguments.journal, check)?;
        return Ok(());
    }
    if arguments.json {
        println!("{:#}", serde_json::json!({ "bonds": plans }));
        return Ok(());
    }
    let scripts: Vec<String> = plans.iter().map(Plan::script).collect();
    print!("{}", scripts.join("\n"));
    Ok(())
}

/// The plan for each bond that is found and wanted.
fn plans(arguments: &Arguments) -> Result<Vec<Plan>, Error> {
    let profiles = if arguments.paths.is_empty() {
        live::read()?
    } else {
        let mut profiles = Vec::new();
        for path in &arguments.paths {
            profiles.extend(read::path(path, arguments.format)?);
        }
        profiles
    };
    let mut bonds = bond::assemble(profiles);
    let found: Vec<String> = bonds.iter().map(|b| b.name.clone()).collect();
    if let Some(unknown) = arguments.bond.iter().find(|name| !found.contains(name)) {
        return Err(Error::Nothing(if found.is_empty() {
            format!("no bond or team {unknown} was found")
        } else {
            format!("no bond or team {unknown} was found; there are {}", found.join(", "))
        }));
    }
    if !arguments.bond.is_empty() {
        bonds.retain(|b| arguments.bond.contains(&b.name));
    }
    if bonds.is_empty() {
        return Err(Error::Nothing(if arguments.paths.is_empty() {
            "this host has no Linux bond or team; name files of configuration".to_owned()
        } else {
            "these files describe no bond or team".to_owned()
        }));
    }
    if arguments.bridge.is_some() && bonds.len() > 1 {
        return Err(Error::SeveralBonds(bonds.len()));
    }
    Ok(bonds.iter().map(|b| plan::plan(b, arguments.bridge.as_deref())).collect())
}
