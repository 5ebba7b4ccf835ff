//! Reception of LACPDUs and expiry of the partner's information.
//!
//! While the partner is current, an LACPDU from another system is ignored: a switch in between may
//! forward LACPDUs against IEEE 802.1D, or the PDU may be forged. The last such PDU is kept as the
//! pending partner. If the partner then times out, the device at the other end was replaced, and
//! the pending partner becomes the partner at once, without an interruption. A change of the
//! carrier drops the pending partner: after it, the first system that sends is the partner.

use wire::Time;
use wire::lacp::{LacpError, Lacpdu};

use super::member::PendingPartner;
use super::receive::{self, Receive};
use super::{Lacp, notice};
use crate::config::{LacpTime, MemberId};
use crate::effect::Effect;
use crate::notice::{Level, Topic};

impl Lacp {
    /// Handles a received Slow Protocols payload. True if selection has to run again.
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
        let mut log = |topic, level, member: &str, text| {
            self.effects.push_back(notice(topic, level, member, text));
        };
        let octets = pdu;
        let pdu = match Lacpdu::parse(octets) {
            Ok(pdu) => pdu,
            Err(LacpError::Marker) => {
                m.stats.rx_marker_pdus = m.stats.rx_marker_pdus.wrapping_add(1);
                let text = format!("{name}: received a LACP marker PDU.");
                log(Topic::Pdu, Level::Dbg, &m.settings.name, text);
                if m.link_up == Some(true)
                    && let Some(pdu) = m.marker.answer(now, octets)
                {
                    m.stats.tx_marker_responses = m.stats.tx_marker_responses.wrapping_add(1);
                    self.effects.push_back(Effect::SendMarker { member: id, pdu });
                }
                return false;
            }
            Err(_) => {
                m.stats.rx_bad_pdus = m.stats.rx_bad_pdus.wrapping_add(1);
                let text = format!("{name}: received an unparsable LACP PDU.");
                log(Topic::Pdu, Level::Warn, &m.settings.name, text);
                return false;
            }
        };
        let name = &m.settings.name;
        if m.link_up != Some(true) {
            // The carrier event is late. The exchange starts again once the link is up.
            let text = format!("{name}: carrier state is DOWN, dropping received LACP PDU.");
            log(Topic::Pdu, Level::Info, name, text);
            return false;
        }
        if pdu.actor.system == own {
            let port = pdu.actor.port;
            self.effects.push_back(Effect::Loopback { member: id, port });
        }
        let mut log = |topic, level, member: &str, text| {
            self.effects.push_back(notice(topic, level, member, text));
        };
        let timeout = period * receive::TIMEOUT_PERIODS;
        if m.has_other_partner(&pdu.actor) {
            m.stats.rx_stranger_pdus = m.stats.rx_stranger_pdus.wrapping_add(1);
            let (partner, other) = (m.partner.system, pdu.actor.system);
            if other == own {
                let text = format!(
                    "member {name}: Loopback detected. Interface is connected to its own bond; \
                     ignored while its partner {partner} is current"
                );
                log(Topic::Loopback, Level::Warn, name, text);
                return false;
            }
            let text = format!(
                "member {name}: ignoring LACP PDU of system {other} while its partner {partner} \
                 is current"
            );
            log(Topic::OtherSystem, Level::Warn, name, text);
            let (actor, partner_view) = (pdu.actor, pdu.partner);
            m.pending_partner = Some(PendingPartner { actor, partner_view, until: now + timeout });
            return false;
        }
        m.pending_partner = None;
        m.partner_view = pdu.partner;
        m.receive(now, receive::Input::Lacpdu { timeout }, Some(pdu.actor))
    }

    /// Expires partner information whose timer has run out by `now`. True if selection has to run
    /// again.
    pub(super) fn expire(&mut self, now: Time) -> bool {
        let mut select = false;
        for m in &mut self.members {
            // One step per call: "expired" starts at `now`, even if the call is so late that it
            // would be over already.
            if m.receive.deadline().is_none_or(|t| t > now) {
                continue;
            }
            let before = m.receive;
            let pending = m.pending_partner.take();
            select |= m.receive(now, receive::Input::Timeout, None);
            let count = match before {
                Receive::Current { .. } => &mut m.stats.link_expired,
                Receive::Expired { .. } | Receive::Defaulted => &mut m.stats.link_defaulted,
            };
            *count = count.wrapping_add(1);
            if let Some(s) = pending.filter(|s| s.until > now) {
                m.partner_view = s.partner_view;
                let timeout = now.until(s.until);
                select |= m.receive(now, receive::Input::Lacpdu { timeout }, Some(s.actor));
            }
        }
        select
    }
}
