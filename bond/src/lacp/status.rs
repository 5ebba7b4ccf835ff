//! What `lacp/show` and `lacp/show-stats` print, and the same as JSON.

use std::fmt::Write;

use serde::Serialize;
use wire::EthAddr;
use wire::lacp::{PortInfo, state};

use super::Lacp;
use super::churn;
use super::mux::Mux;
use super::receive::Receive;
use super::stats::Stats;
use crate::config::{AggregationConfig, LacpTime};

/// State of LACP on a bond.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LacpState {
    /// Not configured.
    Off,
    /// Configured; no member has a partner.
    Configured,
    /// The aggregate has a partner.
    Negotiated,
}

impl LacpState {
    /// The text in `bond/show`.
    pub fn as_str(self) -> &'static str {
        match self {
            LacpState::Off => "off",
            LacpState::Configured => "configured",
            LacpState::Negotiated => "negotiated",
        }
    }
}

/// The LACP state of a port at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LacpStatus {
    /// `Port.name`.
    pub name: String,
    /// Active LACP, else passive.
    pub active: bool,
    /// The aggregate has a partner.
    pub negotiated: bool,
    /// `lacp-system-id`.
    pub system_id: EthAddr,
    /// `lacp-system-priority`; lower is preferred.
    pub system_priority: u16,
    /// `None` = there is no member to take it from.
    pub aggregation_key: Option<u16>,
    /// `lacp-time`: the period that the partner is asked to use.
    pub time: LacpTime,
    /// `lacp-fallback-ab`.
    pub fallback_ab: bool,
    /// How members form an aggregate.
    pub aggregation: AggregationConfig,
    /// Sorted by name.
    pub members: Vec<LacpMemberStatus>,
}

/// The LACP state of one member at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LacpMemberStatus {
    /// `Interface.name`.
    pub name: String,
    /// State of the receive machine.
    pub receive: Receive,
    /// State of the mux machine.
    pub mux: Mux,
    /// LACP port number.
    pub port_id: u16,
    /// `lacp-port-priority`; lower is preferred.
    pub port_priority: u16,
    /// LACP lets the member carry traffic.
    pub may_enable: bool,
    /// Our information, as sent.
    pub actor: PortInfo,
    /// The partner's information, as received.
    pub partner: PortInfo,
    /// Whether we fail to get in sync (IEEE 802.1AX-2014 clause 6.4.17).
    pub actor_churn: churn::Watch,
    /// Whether the partner fails to get in sync.
    pub partner_churn: churn::Watch,
    /// Counters.
    pub stats: Stats,
}

impl Lacp {
    /// The current state.
    pub fn status(&self) -> LacpStatus {
        let config = &self.settings.config;
        let mut members: Vec<LacpMemberStatus> = self
            .members
            .iter()
            .map(|m| LacpMemberStatus {
                name: m.settings.name.clone(),
                receive: m.receive,
                mux: m.mux,
                port_id: m.port_id,
                port_priority: m.settings.config.port_priority,
                may_enable: self.may_enable(m.settings.id),
                actor: self.actor(m),
                partner: m.partner,
                actor_churn: m.actor_churn,
                partner_churn: m.partner_churn,
                stats: m.stats,
            })
            .collect();
        members.sort_by(|a, b| a.name.cmp(&b.name));
        LacpStatus {
            name: self.settings.name.clone(),
            active: config.active,
            negotiated: self.negotiated(),
            system_id: config.system_id,
            system_priority: config.system_priority,
            aggregation_key: self.key(),
            time: config.time,
            fallback_ab: self.settings.fallback_ab,
            aggregation: config.aggregation,
            members,
        }
    }
}

impl LacpStatus {
    /// The port's part of the output of `lacp/show`, in Open vSwitch's format.
    pub fn render_show(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_show(&mut out);
        out
    }

    fn write_show(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "---- {} ----", self.name)?;
        let activity = if self.active { "active" } else { "passive" };
        let negotiated = if self.negotiated { " negotiated" } else { "" };
        writeln!(out, "  status: {activity}{negotiated}")?;
        writeln!(out, "  sys_id: {}", self.system_id)?;
        writeln!(out, "  sys_priority: {}", self.system_priority)?;
        match self.aggregation_key {
            Some(key) => writeln!(out, "  aggregation key: {key}")?,
            None => writeln!(out, "  aggregation key: none")?,
        }
        let time = match self.time {
            LacpTime::Slow => "slow",
            LacpTime::Fast => "fast",
        };
        writeln!(out, "  lacp_time: {time}")?;

        for m in &self.members {
            let attached = if m.mux.is_attached() { "attached" } else { "detached" };
            writeln!(out, "\nmember: {}: {} {attached}", m.name, m.receive.as_str())?;
            writeln!(out, "  port_id: {}", m.port_id)?;
            writeln!(out, "  port_priority: {}", m.port_priority)?;
            writeln!(out, "  may_enable: {}", m.may_enable)?;
            for (who, info) in [("actor", &m.actor), ("partner", &m.partner)] {
                writeln!(out)?;
                writeln!(out, "  {who} sys_id: {}", info.system)?;
                writeln!(out, "  {who} sys_priority: {}", info.system_priority)?;
                writeln!(out, "  {who} port_id: {}", info.port)?;
                writeln!(out, "  {who} port_priority: {}", info.port_priority)?;
                writeln!(out, "  {who} key: {}", info.key)?;
                writeln!(out, "  {who} state:{}", state_names(info.state))?;
            }
        }
        Ok(())
    }

    /// The port's part of the output of `lacp/show-stats`, in Open vSwitch's format.
    pub fn render_stats(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_stats(&mut out);
        out
    }

    fn write_stats(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "---- {} statistics ----", self.name)?;
        for m in &self.members {
            let s = &m.stats;
            writeln!(out, "\nmember: {}:", m.name)?;
            writeln!(out, "  TX PDUs: {}", s.tx_pdus)?;
            writeln!(out, "  RX PDUs: {}", s.rx_pdus)?;
            writeln!(out, "  RX Bad PDUs: {}", s.rx_bad_pdus)?;
            writeln!(out, "  RX Marker Request PDUs: {}", s.rx_marker_pdus)?;
            writeln!(out, "  Link Expired: {}", s.link_expired)?;
            writeln!(out, "  Link Defaulted: {}", s.link_defaulted)?;
            writeln!(out, "  Carrier Status Changed: {}", s.carrier_changed)?;
        }
        Ok(())
    }
}

/// The names of the bits that are set, each preceded by a space.
fn state_names(bits: u8) -> String {
    const NAMES: [(u8, &str); 8] = [
        (state::ACTIVITY, " activity"),
        (state::TIMEOUT, " timeout"),
        (state::AGGREGATION, " aggregation"),
        (state::SYNCHRONIZATION, " synchronized"),
        (state::COLLECTING, " collecting"),
        (state::DISTRIBUTING, " distributing"),
        (state::DEFAULTED, " defaulted"),
        (state::EXPIRED, " expired"),
    ];
    NAMES.iter().filter(|(bit, _)| bits & bit != 0).map(|(_, name)| *name).collect()
}
