//! The members' probes: one more condition of [`Member::may_enable`](crate::member::Member).

use wire::Time;
use wire::neighbour::Neighbour;

use super::Bond;
use crate::config::{MemberId, Mode};
use crate::effect::Effect;
use crate::monitor::probe::{self, Role, Session};
use crate::notice::{Level, Topic};
use crate::pending::PendingEffects;

impl Bond {
    /// Every member gets the configuration of the probes, or none has probes.
    pub(super) fn configure_probes(&mut self, now: Time) {
        let config = &self.config.probe;
        let roles: Vec<Role> = self.members.iter().map(|m| self.role(m.config.id)).collect();
        for (m, role) in self.members.iter_mut().zip(roles) {
            if !config.is_on() {
                m.probe = None;
                continue;
            }
            match &mut m.probe {
                Some(probe) => probe.configure(now, config),
                None => m.probe = Some(Session::new(now, config, role, m.carrier)),
            }
        }
    }

    /// Without an active member, every member is a backup.
    fn role(&self, id: MemberId) -> Role {
        let balances = self.config.mode != Mode::ActiveBackup && !self.is_falling_back();
        if balances || self.active == Some(id) { Role::Active } else { Role::Backup }
    }

    pub(super) fn set_probe_roles(&mut self) {
        if !self.config.probe.is_on() {
            return;
        }
        for i in 0..self.members.len() {
            let role = self.role(self.members[i].config.id);
            if let Some(probe) = &mut self.members[i].probe {
                probe.set_role(role);
            }
        }
    }

    /// An ARP or neighbour discovery packet that a member has received.
    pub(super) fn neighbour(&mut self, now: Time, member: MemberId, packet: &Neighbour) {
        let config = &self.config.probe;
        let Some(m) = self.members.iter_mut().find(|m| m.config.id == member) else { return };
        let Some(probe) = &mut m.probe else { return };
        if packet.vid == config.vid.unwrap_or(0) {
            let answered_by = config.asker(m.config.mac).answered_by(packet);
            probe.handle(now, probe::Event::Neighbour { answered_by });
        }
    }

    /// Deadlines of probes, and what they want sent and logged.
    pub(super) fn run_probes(&mut self, now: Time, pending: &mut PendingEffects) {
        let config = &self.config.probe;
        for m in &mut self.members {
            let Some(probe) = &mut m.probe else { continue };
            probe.handle(now, probe::Event::Deadline);
            while let Some(effect) = probe.poll_effect() {
                match effect {
                    probe::Effect::Send(target) => {
                        let frame = config.asker(m.config.mac).request(target, config.vid);
                        let member = m.config.id;
                        pending.probes.push(Effect::SendProbe { member, frame });
                    }
                    probe::Effect::Verdict(_) => {
                        let name = &m.config.name;
                        let text = format!("member {name}: {}", probe.reason());
                        pending.log_member(Topic::Probe, Level::Info, name, text);
                    }
                }
            }
        }
    }

    /// Whether [`Event::Traffic`](crate::Event::Traffic) is to come before each
    /// [`Event::Deadline`](crate::Event::Deadline).
    pub fn wants_traffic(&self) -> bool {
        self.members.iter().filter_map(|m| m.probe.as_ref()).any(Session::wants_traffic)
    }

    /// The configuration of the probes; `None` = probing is off.
    pub fn probes(&self) -> Option<&probe::ProbeConfig> {
        Some(&self.config.probe).filter(|p| p.is_on())
    }
}
