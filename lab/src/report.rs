//! What a run found, as a value: printed for people, or as JSON.

use super::options::Mode;
use super::timeline::Event;
use testbed::Members;
use testbed::stream::{Stretch, Totals};

/// One direction during one step.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub struct Loss {
    pub sent: u64,
    pub lost: u64,
    /// Milliseconds between the packets before and after the hole; null when nothing was lost.
    pub gap_ms: Option<f64>,
}

impl From<Stretch> for Loss {
    fn from(s: Stretch) -> Loss {
        let gap_ms = s.gap.map(|g| (g.as_secs_f64() * 1e6).round() / 1e3);
        Loss { sent: s.sent, lost: s.lost, gap_ms }
    }
}

/// One step of the scenario.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Step {
    pub name: &'static str,
    /// From the VM to the network.
    pub up: Loss,
    /// From the network to the VM.
    pub down: Loss,
    /// Milliseconds from the cut to the kernel's report of the lost carrier; null in other steps, and
    /// when no report came before traffic was well again.
    pub kernel_report_ms: Option<f64>,
    /// What the step was meant to show, and did not.
    pub failure: Option<String>,
}

/// The whole run.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Report {
    /// The bond's mode.
    pub mode: Mode,
    /// What the bond's members are.
    pub members: Members,
    /// Packets per second each way.
    pub rate: u32,
    /// What the daemon says of itself.
    pub version: String,
    /// What was done, in order.
    pub steps: Vec<Step>,
    /// The stream from the VM to the network.
    pub up: Totals,
    /// The stream from the network to the VM.
    pub down: Totals,
    /// What was observed, in order of time.
    pub events: Vec<Event>,
    /// Whether every step showed what it was meant to show.
    pub success: bool,
}
