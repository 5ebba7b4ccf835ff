//! The benchmark's command line.

use clap::Parser;
use testbed::Members;

use crate::Mode;

/// Sends minimum-size UDP from a "VM" (veth) through a bond of two links and prints, for each
/// number of flows, how many packets per second arrive, and how long traffic stops when the link
/// that carries it is cut.
#[derive(Clone, Debug, Parser)]
#[command(name = "braid-bench", version)]
pub struct Options {
    /// How the bond shares its links.
    #[arg(long, value_enum, default_value_t = Mode::ActiveBackup)]
    pub mode: Mode,
    /// What the bond's members are. A tap's lost carrier is reported late by the kernel, as a NIC's
    /// is; its far end is the benchmark itself, so throughputs of the two kinds do not compare.
    #[arg(long, value_enum, default_value_t = Members::Veth)]
    pub members: Members,
    /// Numbers of flows to measure with.
    #[arg(long, value_delimiter = ',', default_values_t = [1, 1_000, 100_000],
          value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub flows: Vec<u32>,
    /// Seconds for each throughput measurement.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub seconds: u64,
    /// Packets per second while the link is cut.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(100..))]
    pub rate: u32,
    /// Gives each flow a datapath flow of its own instead of one for all.
    #[arg(long)]
    pub no_megaflows: bool,
    /// Measures only how soon a lost carrier moves traffic, this many times: the members are taps,
    /// and another device's carrier has changed before.
    #[arg(long, value_name = "CUTS", value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub carrier: Option<u32>,
    /// With --carrier: how many milliseconds before.
    #[arg(long, value_delimiter = ',', default_values_t = [0, 100, 1500], requires = "carrier",
          value_parser = clap::value_parser!(u64).range(..=10_000))]
    pub carrier_before: Vec<u64>,
    /// With --carrier: packets per second.
    #[arg(long, value_delimiter = ',', default_values_t = [20, 20_000], requires = "carrier",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub carrier_rate: Vec<u32>,
    /// With --carrier: links are made and deleted elsewhere all the time, so that the kernel's lock
    /// for network configuration (RTNL) is busy.
    #[arg(long, requires = "carrier")]
    pub busy_rtnl: bool,
    /// Resolves a flow's member when it is output (other_config:lb-output-action).
    #[arg(long)]
    pub lb_output: bool,
}
