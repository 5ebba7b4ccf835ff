//! The command line.

use std::fmt;

use clap::{Parser, ValueEnum};

use crate::testbed::Ovsdb;

/// A bond with a virtual machine on one side and a top-of-rack switch on the other, all in
/// namespaces of its own: cuts a link, mends it, and tells what it cost.
#[derive(Clone, Debug, Parser)]
#[command(name = "braid-lab", version)]
pub struct Options {
    /// How the bond shares its links.
    #[arg(long, value_enum, default_value_t = Mode::ActiveBackup)]
    pub mode: Mode,

    /// The member that traffic returns to when it is well again: nic0, nic1, or none for Open
    /// vSwitch's default (active-backup only).
    #[arg(long, value_name = "MEMBER", default_value = "nic0",
          value_parser = ["nic0", "nic1", "none"])]
    pub primary: String,

    /// How long the primary must have been well before traffic returns to it.
    #[arg(long, value_name = "MS", default_value_t = 2000,
          value_parser = clap::value_parser!(u32).range(0..=3_600_000))]
    pub failback_delay: u32,

    /// Packets per second, each way.
    #[arg(long, value_name = "PPS", default_value_t = 5000,
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,

    /// What the virtual machine is plugged into.
    #[arg(long, value_enum, default_value_t = Vm::Veth)]
    pub vm: Vm,

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
    /// The configured primary, in the mode that has one.
    pub fn primary(&self) -> Option<&str> {
        match self.mode {
            Mode::ActiveBackup => Some(self.primary.as_str()).filter(|p| *p != "none"),
            Mode::BalanceSlb | Mode::BalanceTcp => None,
        }
    }
}

/// `Port.bond_mode`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    ActiveBackup,
    BalanceSlb,
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
