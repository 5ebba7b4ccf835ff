//! The state of a member's probes as a value, and as text.

use std::fmt::Write;
use std::net::IpAddr;

use serde::Serialize;
use wire::Time;

use super::{Evidence, Session, State};
use crate::millis::whole_ms;

/// The probes of one member at one time. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeStatus {
    /// Probes let the member carry traffic.
    pub up: bool,
    /// What counts as a sign of life of the member in its present role.
    pub evidence: Evidence,
    /// Requests in a row that have seen no sign of life, the latest included.
    pub missed: u32,
    /// Answered requests in a row since the member is down, and how many it takes; `None` = it is not
    /// down.
    pub answered: Option<(u32, u32)>,
    /// Requests sent to each target.
    pub requests: u64,
    /// Answers of targets.
    pub answers: u64,
    /// In the order of the addresses, IPv4 first.
    pub targets: Vec<TargetStatus>,
}

/// One target as a member sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TargetStatus {
    /// Its address.
    pub address: IpAddr,
    /// Requests in a row that it has not answered, the latest included.
    pub missed: u32,
    /// Time since its latest answer; `None` = it has never answered.
    pub answered_ms_ago: Option<i64>,
}

impl Session {
    /// The current state.
    pub fn status(&self, now: Time) -> ProbeStatus {
        ProbeStatus {
            up: self.up(),
            evidence: self.evidence(),
            missed: self.missed(),
            answered: match self.state {
                State::Idle { .. } | State::Up => None,
                State::Down { answered, needed, .. } => Some((answered, needed)),
            },
            requests: self.requests,
            answers: self.answers,
            targets: self
                .targets
                .iter()
                .map(|(address, signs)| TargetStatus {
                    address: *address,
                    missed: signs.missed,
                    answered_ms_ago: signs.seen.map(|t| whole_ms(t, now)),
                })
                .collect(),
        }
    }

    /// Why the member was disabled or may be enabled again, for the log.
    pub(crate) fn reason(&self) -> String {
        let names = |silent: bool| {
            let chosen = self.targets.iter().filter(|(_, s)| (s.missed > 0) == silent);
            chosen.map(|(address, _)| address.to_string()).collect::<Vec<_>>().join(", ")
        };
        let missed = self.missed();
        match (self.up(), self.evidence()) {
            (true, Evidence::Answers) => format!("probe answered by {}", names(false)),
            (true, Evidence::Neighbours) => "probe saw ARP or neighbour discovery".to_owned(),
            (true, Evidence::Traffic) => "probe saw traffic".to_owned(),
            (false, Evidence::Answers) => {
                format!("no answer to {missed} probes from {}", names(true))
            }
            (false, Evidence::Neighbours) => {
                format!("no ARP or neighbour discovery after {missed} probes")
            }
            (false, Evidence::Traffic) => format!("nothing received after {missed} probes"),
        }
    }
}

impl ProbeStatus {
    /// The lines in `bond/show`.
    pub(crate) fn write_show(&self, out: &mut String) -> std::fmt::Result {
        let (up, missed) = (if self.up { "up" } else { "down" }, self.missed);
        let evidence = match self.evidence {
            Evidence::Traffic => "traffic",
            Evidence::Neighbours => "neighbours",
            Evidence::Answers => "answers",
        };
        write!(out, "  probe: {up}, by {evidence}, missed {missed}")?;
        match self.answered {
            Some((answered, needed)) => writeln!(out, ", answered {answered} of {needed}")?,
            None => writeln!(out)?,
        }
        for t in &self.targets {
            match t.answered_ms_ago {
                Some(ms) => writeln!(out, "  probe target {}: answered {ms} ms ago", t.address)?,
                None => writeln!(out, "  probe target {}: never answered", t.address)?,
            }
        }
        Ok(())
    }
}
