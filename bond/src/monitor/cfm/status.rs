//! The state of a maintenance point as a value, which serializes to JSON, its text in `cfm/show`
//! and the `cfm_*` columns.

use std::fmt::Write;

use serde::Serialize;
use wire::Time;

use super::{Faults, Session};
use crate::millis::whole_ms;

/// The state of a maintenance point at one time. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CfmStatus {
    /// `Interface.name`.
    pub name: String,
    /// Our maintenance point identifier.
    pub mpid: u64,
    /// Open vSwitch's extended mode.
    pub extended: bool,
    /// `cfm/set-fault` is in force.
    pub forced: bool,
    /// Current faults, or the override.
    pub faults: Faults,
    /// Percentage of expected messages received; `None` = undefined, with more than one remote point
    /// or before the first computation.
    pub health: Option<u8>,
    /// Our operational state, which extended mode sends.
    pub opup: bool,
    /// The operational state of the remote points: down if any is down.
    pub remote_opup: bool,
    /// Transmission interval in use.
    pub interval_ms: u64,
    /// Time to the next message.
    pub next_tx_ms: i64,
    /// Time to the next check.
    pub next_check_ms: i64,
    /// Number of changes between fault and no fault.
    pub flap_count: u64,
    /// Number of received messages that could not be parsed.
    pub discarded: u64,
    /// By identifier.
    pub remotes: Vec<RemoteStatus>,
}

/// Another maintenance point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RemoteStatus {
    /// Its maintenance point identifier.
    pub mpid: u64,
    /// A message was received since the last check.
    pub heard: bool,
    /// Its operational state.
    pub opup: bool,
}

/// The content of the `cfm_*` columns of `Interface`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CfmColumns {
    /// `cfm_fault` is true if there is any, `cfm_fault_status` has the names.
    pub faults: Faults,
    /// `cfm_flap_count`.
    pub flap_count: u64,
    /// `cfm_health`.
    pub health: Option<u8>,
    /// `cfm_remote_mpids`, sorted.
    pub remote_mpids: Vec<u64>,
    /// `cfm_remote_opstate`; `None` outside of extended mode.
    pub remote_opup: Option<bool>,
}

impl Session {
    /// The current state.
    pub fn status(&self, now: Time) -> CfmStatus {
        let remote = |(&mpid, r): (&u64, &super::remote::RemotePoint)| RemoteStatus {
            mpid,
            heard: r.heard,
            opup: r.opup,
        };
        CfmStatus {
            name: self.config.name.clone(),
            mpid: self.config.mpid,
            extended: self.config.extended,
            forced: self.forced.is_some(),
            faults: self.shown_faults(),
            health: self.health,
            opup: self.config.opup,
            remote_opup: self.remote_opup,
            interval_ms: self.config.interval().1,
            next_tx_ms: whole_ms(now, self.next_tx),
            next_check_ms: whole_ms(now, self.next_check),
            flap_count: self.flaps,
            discarded: self.discarded,
            remotes: self.remotes.iter().map(remote).collect(),
        }
    }

    /// The content of the database columns.
    pub fn columns(&self) -> CfmColumns {
        CfmColumns {
            faults: self.shown_faults(),
            flap_count: self.flaps,
            health: self.health,
            remote_mpids: self.alive.clone(),
            remote_opup: self.config.extended.then_some(self.remote_opup),
        }
    }
}

fn up_down(up: bool) -> &'static str {
    if up { "up" } else { "down" }
}

impl CfmStatus {
    /// The point's part of `cfm/show`, in Open vSwitch's format.
    pub fn render_show(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_show(&mut out);
        out
    }

    fn write_show(&self, out: &mut String) -> std::fmt::Result {
        let flag = |on, text| if on { text } else { "" };
        writeln!(out, "---- {} ----", self.name)?;
        writeln!(
            out,
            "MPID {}:{}{}",
            self.mpid,
            flag(self.extended, " extended"),
            flag(self.forced, " fault_override")
        )?;
        if self.faults != Faults::NONE {
            writeln!(out, "  fault: {}", self.faults)?;
        }
        match self.health {
            None => writeln!(out, "  average health: undefined")?,
            Some(health) => writeln!(out, "  average health: {health}")?,
        }
        writeln!(out, "  opstate: {}", up_down(self.opup))?;
        writeln!(out, "  remote_opstate: {}", up_down(self.remote_opup))?;
        writeln!(out, "  interval: {}ms", self.interval_ms)?;
        writeln!(out, "  next CCM tx: {}ms", self.next_tx_ms)?;
        writeln!(out, "  next fault check: {}ms", self.next_check_ms)?;
        for remote in &self.remotes {
            writeln!(out, "Remote MPID {}", remote.mpid)?;
            writeln!(out, "  recv since check: {}", remote.heard)?;
            writeln!(out, "  opstate: {}", up_down(remote.opup))?;
        }
        Ok(())
    }
}
