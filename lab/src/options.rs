//! The command line.

use std::fmt;
use std::time::Duration;

use clap::{CommandFactory, Parser, ValueEnum};

use testbed::{Members, Ovsdb};

/// A bond with a virtual machine on one side and a top-of-rack switch on the other, all in
/// namespaces of its own: cuts a link, mends it, and tells what it cost.
#[derive(Clone, Debug, Parser)]
#[command(name = "braid-lab", version)]
pub struct Options {
    /// How the bond shares its links.
    #[arg(long, value_enum, default_value_t = Mode::ActiveBackup)]
    pub mode: Mode,

    /// The member that traffic returns to when its link is up again: nic0 (the default of
    /// active-backup), nic1, or none for Open vSwitch's behaviour. Refused in other modes, which
    /// have no primary.
    #[arg(long, value_name = "MEMBER", value_parser = ["nic0", "nic1", "none"])]
    primary: Option<String>,

    /// How long the primary's link must have been up before traffic returns to it, in
    /// milliseconds [default: 2000]. Refused without a primary.
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u32).range(0..=3_600_000))]
    failback_delay: Option<u32>,

    /// Packets per second, each way.
    #[arg(long, value_name = "PPS", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,

    /// What the virtual machine is plugged into.
    #[arg(long, value_enum, default_value_t = Vm::Veth)]
    pub vm: Vm,

    /// What the bond's members are. With taps the carrier of another tap changes 100 ms before
    /// the cut, so that the kernel reports the cut up to a second late, as it does for NICs.
    #[arg(long, value_enum, default_value_t = Members::Veth)]
    pub members: Members,

    /// Who keeps the database: the daemon itself, our ovsdb-server, or Debian's with Debian's
    /// ovs-vsctl and ovs-appctl.
    #[arg(long, value_enum, default_value_t = Ovsdb::Embedded)]
    pub ovsdb_server: Ovsdb,

    /// Afterwards leaves everything running, with a shell in which ovs-vsctl and ovs-appctl work.
    #[arg(long)]
    pub shell: bool,

    /// Prints one JSON document instead of a time line.
    #[arg(long, conflicts_with = "shell")]
    pub json: bool,
}

impl Options {
    /// The command line of this process; ends it with a message and status 2 when it is wrong.
    pub fn from_command_line() -> Options {
        Options::checked(std::env::args_os()).unwrap_or_else(|e| e.exit())
    }

    /// Parses and checks what depends on more than one option.
    fn checked<T: Into<std::ffi::OsString> + Clone>(
        args: impl IntoIterator<Item = T>,
    ) -> Result<Options, clap::Error> {
        let o = Options::try_parse_from(args)?;
        let refuse = |text: String| {
            Err(Options::command().error(clap::error::ErrorKind::ArgumentConflict, text))
        };
        match (o.mode, o.primary.as_deref()) {
            (Mode::BalanceSlb | Mode::BalanceTcp, Some(p)) if p != "none" => {
                return refuse(format!(
                    "--primary {p} cannot be used with --mode {}: only active-backup has a primary",
                    o.mode
                ));
            }
            _ => {}
        }
        if o.primary().is_none() && o.failback_delay.is_some() {
            return refuse(
                "--failback-delay needs a primary: --mode active-backup with --primary nic0 or nic1"
                    .to_owned(),
            );
        }
        Ok(o)
    }

    /// The configured primary, in the mode that has one.
    pub fn primary(&self) -> Option<&str> {
        match self.mode {
            Mode::ActiveBackup => {
                Some(self.primary.as_deref().unwrap_or("nic0")).filter(|p| *p != "none")
            }
            Mode::BalanceSlb | Mode::BalanceTcp => None,
        }
    }

    /// `bond-failback-delay`, which has an effect only with a primary.
    pub fn failback_delay(&self) -> Duration {
        Duration::from_millis(self.failback_delay.unwrap_or(2000).into())
    }
}

/// `Port.bond_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// One member carries all traffic.
    ActiveBackup,
    /// Flows are spread by source address and VLAN.
    BalanceSlb,
    /// Flows are spread by layers 2 to 4; needs LACP.
    BalanceTcp,
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Mode::ActiveBackup => "active-backup",
            Mode::BalanceSlb => "balance-slb",
            Mode::BalanceTcp => "balance-tcp",
        })
    }
}

/// The kind of port that the virtual machine has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Vm {
    /// A veth pair, as a container has.
    Veth,
    /// An internal port of the bridge, as a host has.
    Internal,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Result<Options, clap::Error> {
        Options::checked(std::iter::once("braid-lab").chain(words.split_whitespace()))
    }

    #[test]
    fn primary_is_refused_in_modes_without_one() {
        for mode in ["balance-slb", "balance-tcp"] {
            let e = parse(&format!("--mode {mode} --primary nic1")).unwrap_err().to_string();
            assert!(e.contains("--primary nic1") && e.contains(mode), "{e}");
            assert_eq!(parse(&format!("--mode {mode} --primary none")).unwrap().primary(), None);
            assert_eq!(parse(&format!("--mode {mode}")).unwrap().primary(), None);
        }
        assert_eq!(parse("").unwrap().primary(), Some("nic0"));
        assert_eq!(parse("--primary nic1").unwrap().primary(), Some("nic1"));
        assert_eq!(parse("--primary none").unwrap().primary(), None);
    }

    #[test]
    fn failback_delay_is_refused_without_a_primary() {
        for words in ["--primary none --failback-delay 5", "--mode balance-slb --failback-delay 5"]
        {
            let e = parse(words).unwrap_err().to_string();
            assert!(e.contains("--failback-delay needs a primary"), "{e}");
        }
        assert_eq!(parse("--failback-delay 5").unwrap().failback_delay().as_millis(), 5);
        assert_eq!(parse("").unwrap().failback_delay().as_millis(), 2000);
    }
}
