//! What is heard of a partner, and for how long that counts.
//!
//! While a partner is current, a PDU of another system is not the partner's: it may come from
//! beyond a switch that does not keep LACPDUs to the link, or be forged. It is ignored, but the
//! last one is kept: if the partner says nothing more until its time is over, it has been
//! exchanged, and the other system takes its place without an interruption. A change of the
//! carrier ends that wait, since after it the first system that speaks is the partner.

use wire::Time;
use wire::lacp::{LacpError, Lacpdu, PortInfo};

use super::receive::{self, Receive};
use super::{Lacp, Member, notice};
use crate::config::{LacpTime, MemberId};
use crate::effect::Effect;
use crate::notice::{Level, Topic};

/// Another system that was heard while the partner was current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stranger {
    actor: PortInfo,
    /// What it believes of us.
    told: PortInfo,
    /// How long that counts.
    until: Time,
}

impl Lacp {
    pub(super) fn lacpdu(&mut self, now: Time, id: MemberId, pdu: &[u8]) -> bool {
        let period = match self.settings.config.time {
            LacpTime::Slow => receive::SLOW_PERIOD,
            LacpTime::Fast => receive::FAST_PERIOD,
        };
        let own = self.settings.config.system_id;
        let name = &self.settings.name;
        let Some(m) = self.members.iter_mut().find(|m| m.settings.id == id) else {
            return false;
        };
        m.stats.rx_pdus = m.stats.rx_pdus.wrapping_add(1);
        let mut say = |topic, level, text| self.effects.push_back(notice(topic, level, text));
        let pdu = match Lacpdu::parse(pdu) {
            Ok(pdu) => pdu,
            Err(LacpError::Marker) => {
                m.stats.rx_marker_pdus = m.stats.rx_marker_pdus.wrapping_add(1);
                say(Topic::Pdu, Level::Dbg, format!("{name}: received a LACP marker PDU."));
                return false;
            }
            Err(_) => {
                m.stats.rx_bad_pdus = m.stats.rx_bad_pdus.wrapping_add(1);
                let text = format!("{name}: received an unparsable LACP PDU.");
                say(Topic::Pdu, Level::Warn, text);
                return false;
            }
        };
        let name = &m.settings.name;
        if m.link_up != Some(true) {
            // The link's state is reported late. The partner is asked again as soon as it is up.
            let text = format!("{name}: carrier state is DOWN, dropping received LACP PDU.");
            say(Topic::Pdu, Level::Info, text);
            return false;
        }
        if pdu.actor.system == own {
            let port = pdu.actor.port;
            self.effects.push_back(Effect::Loopback { member: id, port });
        }
        let mut say = |topic, level, text| self.effects.push_back(notice(topic, level, text));
        let timeout = period * receive::TIMEOUT_PERIODS;
        if m.has_other_partner(&pdu.actor) {
            m.stats.rx_stranger_pdus = m.stats.rx_stranger_pdus.wrapping_add(1);
            let (partner, other) = (m.partner.system, pdu.actor.system);
            if other == own {
                let text = format!(
                    "member {name}: Loopback detected. Interface is connected to its own bond; \
                     ignored while its partner {partner} is current"
                );
                say(Topic::Loopback, Level::Warn, text);
                return false;
            }
            let text = format!(
                "member {name}: ignoring LACP PDU of system {other} while its partner {partner} \
                 is current"
            );
            say(Topic::Stranger, Level::Warn, text);
            let (actor, told) = (pdu.actor, pdu.partner);
            m.stranger = Some(Stranger { actor, told, until: now + timeout });
            return false;
        }
        m.stranger = None;
        m.told = pdu.partner;
        m.receive(now, receive::Input::Lacpdu { timeout }, Some(pdu.actor))
    }

    /// Lets time run out where it has. True if selection has to be done again.
    pub(super) fn expire(&mut self, now: Time) -> bool {
        let mut select = false;
        for m in &mut self.members {
            // A late call may find both of the states that end on the way to "defaulted" over,
            // but the second one starts only now.
            if m.receive.deadline().is_none_or(|t| t > now) {
                continue;
            }
            let before = m.receive;
            let stranger = m.stranger.take();
            select |= m.receive(now, receive::Input::Timeout, None);
            let count = match before {
                Receive::Current { .. } => &mut m.stats.link_expired,
                Receive::Expired { .. } | Receive::Defaulted => &mut m.stats.link_defaulted,
            };
            *count = count.wrapping_add(1);
            if let Some(s) = stranger.filter(|s| s.until > now) {
                m.told = s.told;
                let timeout = now.until(s.until);
                select |= m.receive(now, receive::Input::Lacpdu { timeout }, Some(s.actor));
            }
        }
        select
    }
}

impl Member {
    /// The partner is current, and this is another system.
    fn has_other_partner(&self, actor: &PortInfo) -> bool {
        match self.receive {
            Receive::Current { .. } => {
                !self.partner.system.is_zero() && self.partner.system != actor.system
            }
            Receive::Defaulted | Receive::Expired { .. } => false,
        }
    }
}
