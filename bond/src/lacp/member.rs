//! One member: its state machines and the partner information that it has received.

use wire::Time;
use wire::lacp::{PortInfo, state};

use super::churn;
use super::marker;
use super::mux::Mux;
use super::periodic::Periodic;
use super::receive::{self, Receive};
use super::settings::MemberSettings;
use super::stats::Stats;
use super::transmit::{self, Transmit};

/// The latest LACPDU of another system, received while the partner was current.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct PendingPartner {
    pub(super) actor: PortInfo,
    /// What it has recorded about us.
    pub(super) partner_view: PortInfo,
    /// When the PDU's information times out.
    pub(super) until: Time,
}

#[derive(Clone, Debug)]
pub(super) struct Member {
    pub(super) settings: MemberSettings,
    /// The port number in use: the configured one, or the lowest free one if that is 0.
    pub(super) port_id: u16,
    pub(super) link_up: Option<bool>,
    pub(super) receive: Receive,
    pub(super) periodic: Periodic,
    pub(super) mux: Mux,
    pub(super) partner: PortInfo,
    pub(super) pending_partner: Option<PendingPartner>,
    /// What the partner has recorded about us, as far as we know: what it last sent, or what we
    /// sent since.
    pub(super) partner_view: PortInfo,
    pub(super) transmit: Transmit,
    pub(super) sent: transmit::Sent,
    /// Whether we fail to get in sync.
    pub(super) actor_churn: churn::Watch,
    /// Whether the partner fails to get in sync.
    pub(super) partner_churn: churn::Watch,
    pub(super) marker: marker::Responder,
    /// Megabits per second; 0 = not known.
    pub(super) mbps: u64,
    pub(super) stats: Stats,
    /// The state of the last [`crate::Effect::LacpCurrent`].
    pub(super) last_reported: Option<bool>,
}

impl Member {
    pub(super) fn new(settings: MemberSettings, port_id: u16) -> Member {
        Member {
            settings,
            port_id,
            link_up: None,
            receive: Receive::Defaulted,
            periodic: Periodic::NoPeriodic,
            mux: Mux::Detached,
            partner: PortInfo::default(),
            pending_partner: None,
            partner_view: PortInfo::default(),
            transmit: Transmit::Idle,
            sent: transmit::Sent::default(),
            actor_churn: churn::Watch::default(),
            partner_churn: churn::Watch::default(),
            marker: marker::Responder::default(),
            mbps: 0,
            stats: Stats::default(),
            last_reported: None,
        }
    }

    /// Feeds the receive machine; `pdu` is the actor of a received LACPDU. True if selection has to
    /// run again.
    pub(super) fn receive(
        &mut self,
        now: Time,
        input: receive::Input,
        pdu: Option<PortInfo>,
    ) -> bool {
        let (state, partner) = self.receive.next(now, input);
        self.receive = state;
        match partner {
            receive::Partner::Keep => false,
            receive::Partner::Record => match pdu {
                Some(actor) if actor != self.partner => {
                    self.partner = actor;
                    true
                }
                Some(_) | None => false,
            },
            // No new selection: the member stays attached, but stops carrying traffic.
            receive::Partner::Expire => {
                self.partner.state |= state::TIMEOUT;
                self.partner.state &= !state::SYNCHRONIZATION;
                false
            }
            receive::Partner::Default => {
                self.partner = PortInfo::default();
                true
            }
        }
    }

    pub(super) fn is_current(&self) -> bool {
        match self.receive {
            Receive::Defaulted => false,
            Receive::Expired { .. } | Receive::Current { .. } => true,
        }
    }

    /// True if the partner is current and `actor` is another system.
    pub(super) fn has_other_partner(&self, actor: &PortInfo) -> bool {
        match self.receive {
            Receive::Current { .. } => {
                !self.partner.system.is_zero() && self.partner.system != actor.system
            }
            Receive::Defaulted | Receive::Expired { .. } => false,
        }
    }
}
