//! Reception of messages, and the periodic check of the remote points.

use std::time::Duration;

use wire::ccm::{self, Ccm};
use wire::{EthAddr, Time};

use super::Session;
use super::fault::Faults;
use super::remote::RemotePoint;
use crate::notice::Level;

/// Maximum number of remote points, so that forged messages cannot exhaust memory.
const MAX_REMOTES: usize = 256;
/// Number of checks per computation of the health.
const HEALTH_CHECKS: u32 = 6;
/// Number of intervals for which received traffic replaces continuity checks.
const DEMAND_TIMEOUT_INTERVALS: u64 = 100;

impl Session {
    pub(super) fn receive(&mut self, now: Time, source: EthAddr, payload: &[u8]) {
        let ccm = match Ccm::parse(payload) {
            Ok(ccm) => ccm,
            Err(error) => {
                self.discarded += 1;
                let name = &self.config.name;
                self.log(Level::Info, format!("{name}: CFM message discarded: {error}"));
                return;
            }
        };
        // In the standard an unexpected interval or remote point is a fault too. As in Open vSwitch
        // it is not: any station that can send a frame could disable the member.
        if ccm.maid != ccm::MAID {
            self.received.add(Faults::MAID);
            let name = &self.config.name;
            let text = format!("{name}: Received unexpected remote MAID from MAC {source}");
            self.log(Level::Warn, text);
            return;
        }
        let mpid = if self.config.extended { ccm.mpid64 } else { u64::from(ccm.mpid) };
        self.compare_interval(&ccm, mpid);
        let mut faults = Faults::NONE;
        if ccm.rdi {
            faults.add(Faults::RDI);
        }
        if !self.remotes.contains_key(&mpid) && self.remotes.len() >= MAX_REMOTES {
            let name = &self.config.name;
            let text = format!("{name}: dropped CCM with MPID {mpid} from MAC {source}");
            self.log(Level::Warn, text);
            return;
        }
        if mpid == self.config.mpid {
            faults.add(Faults::LOOPBACK);
            let name = &self.config.name;
            self.log(Level::Warn, format!("{name}: received CCM with local MPID {mpid}"));
        }
        let before = self.remotes.get(&mpid).map_or(0, |r| r.seq);
        if before != 0 && ccm.seq != before.wrapping_add(1) {
            let (name, seq) = (&self.config.name, ccm.seq);
            let text = format!(
                "{name}: (mpid {mpid}) detected sequence numbers which indicate possible \
                 connectivity problems (previous {before}) (current {seq})"
            );
            self.log(Level::Warn, text);
        }
        let remote = self.remotes.entry(mpid).or_insert(RemotePoint {
            heard: true,
            opup: true,
            seq: 0,
            good: 0,
            last_rx: now,
        });
        remote.heard = true;
        remote.opup = !(self.config.extended && ccm.opdown);
        remote.seq = ccm.seq;
        remote.last_rx = now;
        if faults == Faults::NONE {
            remote.good += 1;
            if self.config.demand() {
                let (_, ms) = self.config.interval();
                self.demand_until =
                    Some(now + Duration::from_millis(ms * DEMAND_TIMEOUT_INTERVALS));
            }
        }
        self.received.add(faults);
    }

    fn compare_interval(&mut self, ccm: &Ccm, mpid: u64) {
        let (ours, ms) = self.config.interval();
        let name = &self.config.name;
        let (code, theirs) = (ccm.interval, ccm.interval_ms);
        if code != ours {
            let text = format!(
                "{name}: received a CCM with an unexpected interval ({code}) from RMP {mpid}"
            );
            self.log(Level::Warn, text);
        } else if self.config.extended && code == 0 && u64::from(theirs) != ms {
            let text = format!(
                "{name}: received a CCM with an unexpected extended interval ({theirs}ms) from \
                 RMP {mpid}"
            );
            self.log(Level::Warn, text);
        }
    }

    /// The periodic check: sets the faults by the remote points received since the last one.
    pub(super) fn check(&mut self, now: Time) {
        let before = self.faults;
        self.faults = std::mem::take(&mut self.received);
        if self.checks == HEALTH_CHECKS {
            self.update_health();
            self.checks = 0;
        }
        self.checks += 1;
        let excused = self.config.demand()
            && self.remotes.len() == 1
            && self.packets > self.packets_at_check
            && self.demand_until.is_some_and(|until| until > now);
        self.packets_at_check = self.packets;

        let mut silent = Vec::new();
        let (mut any_up, mut any_down) = (false, false);
        self.alive.clear();
        for (&mpid, remote) in &mut self.remotes {
            if std::mem::take(&mut remote.heard) {
                any_up |= remote.opup;
                any_down |= !remote.opup;
                self.alive.push(mpid);
            } else {
                silent.push((mpid, now.since(remote.last_rx).as_millis()));
            }
        }
        for (mpid, ms) in silent {
            let name = &self.config.name;
            let text = format!("{name}: Received no CCM from RMP {mpid} in the last {ms}ms");
            self.log(Level::Info, text);
            if !excused {
                self.remotes.remove(&mpid);
            }
        }
        if any_down {
            self.remote_opup = false;
        } else if any_up {
            self.remote_opup = true;
        }
        if self.remotes.is_empty() {
            self.faults.add(Faults::RECV);
        }
        if self.faults != before {
            let (name, new) = (&self.config.name, self.faults);
            self.log(
                Level::Info,
                format!("{name}: CFM faults changed from [{before}] to [{new}]."),
            );
            if before == Faults::NONE || self.faults == Faults::NONE {
                self.flaps += 1;
            }
        }
        self.booted = true;
    }

    /// Computes the percentage of expected messages that a single remote point has sent.
    fn update_health(&mut self) {
        let expected = HEALTH_CHECKS * 7 / 2;
        self.health = if self.remotes.len() > 1 {
            None
        } else {
            let good = self.remotes.values_mut().next().map_or(0, |r| std::mem::take(&mut r.good));
            Some((good.saturating_mul(100) / expected).min(100) as u8)
        };
    }
}
