//! The state of a bond as a value, which serializes to JSON, and its text in `bond/show` and
//! `bond/list`.

use std::fmt::Write;

use serde::Serialize;
use wire::{EthAddr, HashPolicy};

use crate::config::{Mode, PrimaryReselect};
use crate::failback::{Reason, Speed};
use crate::forwarding::Bucket;
use crate::lacp::status::LacpState;
use crate::link::Link;
use crate::monitor::probe::ProbeStatus;

/// The state of a bond at one time. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BondStatus {
    /// `Port.name`.
    pub name: String,
    /// `Port.bond_mode`, or `bond-policy`.
    pub mode: Mode,
    /// Generation of the published table; 0 = none has been published.
    pub generation: u64,
    /// Packets recirculate to be hashed (balance-tcp).
    pub may_recirc: bool,
    /// The recirculation ID; 0 in active-backup.
    pub recirc_id: u32,
    /// `bond-hash-basis`.
    pub hash_basis: u32,
    /// Packets use the datapath action `lb_output` instead of recirculation.
    pub lb_output: bool,
    /// `bond-hash-policy`; `None` in modes without one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hash_policy: Option<HashPolicy>,
    /// `bond-tlb-dynamic`; `None` unless the mode is balance-tlb.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tlb_dynamic: Option<bool>,
    /// `bond-packets-per-member`; `None` unless the mode is balance-rr.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets_per_member: Option<u16>,
    /// `all-members-active`; false unless the mode is balance-slb.
    pub all_members_active: bool,
    /// `bond_updelay`.
    pub updelay_ms: u128,
    /// `bond_downdelay`.
    pub downdelay_ms: u128,
    /// Time to the next rebalancing, negative if it is overdue; `None` = the bond does not rebalance.
    pub next_rebalance_ms: Option<i64>,
    /// State of LACP.
    pub lacp_status: LacpState,
    /// `lacp-fallback-ab`.
    pub lacp_fallback_ab: bool,
    /// It carries traffic: some member is enabled, and neither LACP nor `bond-min-links` forbids it.
    pub carries: bool,
    /// `bond-min-links`.
    pub min_links: u32,
    /// Fewer members are enabled than that: nothing is carried.
    pub below_min_links: bool,
    /// `bond-primary`; `None` = not set, or without effect in this mode.
    pub primary: Option<String>,
    /// Whether an interface of the bond has the name of the primary.
    pub primary_is_member: bool,
    /// The active member's address; zero if no member is active.
    pub active_member_mac: EthAddr,
    /// The member with that address.
    pub active_member: Option<String>,
    /// Failback options and state.
    pub failback: FailbackStatus,
    /// The loop with another port; `None` = none was detected within the last 300 s.
    pub looped: Option<LoopStatus>,
    /// Sorted by name.
    pub members: Vec<MemberStatus>,
}

/// A detected loop.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoopStatus {
    /// Name of the other port of the same bridge.
    pub with: String,
    /// Whether the bond is held down for it (`bond-loop-protect`).
    pub held: bool,
    /// Time until it is forgotten, in milliseconds.
    pub left_ms: i64,
}

/// The failback options, and the failback that waits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailbackStatus {
    /// `bond-primary-reselect`.
    pub primary_reselect: PrimaryReselect,
    /// `bond-failback-delay`.
    pub delay_ms: u128,
    /// Failbacks in any hour; 0 = no limit.
    pub limit_per_hour: u32,
    /// Failbacks in the last hour.
    pub used: u32,
    /// The preferred member that does not take over yet.
    pub waiting: Option<WaitingStatus>,
}

/// A member that would take over from the active one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitingStatus {
    /// Name of its interface.
    pub member: String,
    /// The option that prevents the failback.
    pub reason: Reason,
    /// Time until it is evaluated again, in milliseconds; `None` = when something else changes.
    pub left_ms: Option<i64>,
}

/// The state of one member at one time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberStatus {
    /// `Interface.name`.
    pub name: String,
    /// The device's hardware address.
    pub mac: EthAddr,
    /// It may carry traffic.
    pub enabled: bool,
    /// It is the active member.
    pub active: bool,
    /// Link state, with the delays.
    pub link: Link,
    /// The rest of the running updelay or downdelay, in milliseconds; `None` = none runs.
    pub delay_left_ms: Option<i64>,
    /// Carrier, LACP, probes and monitors allow it to be enabled.
    pub may_enable: bool,
    /// The link state that the device reports; false before the first report.
    pub carrier: bool,
    /// Carrier and monitors allow it to be enabled, whatever LACP says.
    pub link_ok: bool,
    /// How often the link was lost for longer than the downdelay since the member was added. It
    /// wraps around.
    pub link_failures: u32,
    /// Speed and duplex mode; `None` = not known.
    pub speed: Option<Speed>,
    /// `bond-member-priority`.
    pub priority: i32,
    /// Its probes; `None` = the bond has none (`bond-probe-interval`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe: Option<ProbeStatus>,
    /// Number of buckets that it owns, of those in use; 0 in active-backup.
    pub buckets: usize,
    /// Its buckets whose load is not zero, with the load in bytes; empty unless the bond rebalances.
    pub loads: Vec<(Bucket, u64)>,
}

impl BondStatus {
    /// The header line of `bond/list`.
    pub const LIST_HEADER: &'static str = "bond\ttype\trecircID\tmembers\n";

    /// The bond's line of `bond/list`, in Open vSwitch's format.
    pub fn render_list(&self) -> String {
        let members: Vec<&str> = self.members.iter().map(|m| m.name.as_str()).collect();
        let (mode, id) = (self.mode.as_str(), self.recirc_id);
        format!("{}\t{mode}\t{id}\t{}\n", self.name, members.join(", "))
    }

    /// The bond's part of `bond/show`, in Open vSwitch's format. Options that Open vSwitch does not
    /// have add lines after its own, and only where they are set.
    pub fn render_show(&self) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write_show(&mut out);
        out
    }

    fn write_show(&self, out: &mut String) -> std::fmt::Result {
        let id_if = |on: bool| if on { i64::from(self.recirc_id) } else { -1 };
        writeln!(out, "---- {} ----", self.name)?;
        writeln!(out, "bond_mode: {}", self.mode.as_str())?;
        let yes = if self.may_recirc { "yes" } else { "no" };
        let id = id_if(self.may_recirc);
        writeln!(out, "bond may use recirculation: {yes}, Recirc-ID : {id}")?;
        writeln!(out, "bond-hash-basis: {}", self.hash_basis)?;
        let enabled = if self.lb_output { "enabled" } else { "disabled" };
        writeln!(out, "lb_output action: {enabled}, bond-id: {}", id_if(self.lb_output))?;
        if self.mode == Mode::BalanceSlb {
            writeln!(out, "all members active: {}", self.all_members_active)?;
        }
        writeln!(out, "updelay: {} ms", self.updelay_ms)?;
        writeln!(out, "downdelay: {} ms", self.downdelay_ms)?;
        if let Some(ms) = self.next_rebalance_ms {
            writeln!(out, "next rebalance: {ms} ms")?;
        }
        writeln!(out, "lacp_status: {}", self.lacp_status.as_str())?;
        writeln!(out, "lacp_fallback_ab: {}", self.lacp_fallback_ab)?;
        let primary = self.primary.as_deref().unwrap_or("<none>");
        let stranger = self.primary.is_some() && !self.primary_is_member;
        let note = if stranger { " (no such member)" } else { "" };
        writeln!(out, "active-backup primary: {primary}{note}")?;
        let active = self.active_member.as_deref().unwrap_or("none");
        writeln!(out, "active member mac: {}({active})", self.active_member_mac)?;
        if let Some(policy) = self.hash_policy {
            writeln!(out, "bond-hash-policy: {}", policy.as_str())?;
        }
        if let Some(dynamic) = self.tlb_dynamic {
            writeln!(out, "bond-tlb-dynamic: {dynamic}")?;
        }
        match self.packets_per_member {
            None => {}
            Some(0) => writeln!(out, "bond-packets-per-member: 0 (a random member for each)")?,
            Some(n) => writeln!(out, "bond-packets-per-member: {n}")?,
        }
        self.failback.write_show(out)?;
        if self.min_links > 0 {
            let note = if self.below_min_links { " (carries nothing)" } else { "" };
            writeln!(out, "bond-min-links: {}{note}", self.min_links)?;
        }
        if let Some(l) = self.looped.as_ref().filter(|l| l.held) {
            let (with, ms) = (&l.with, l.left_ms);
            writeln!(out, "loop: held down for {ms} ms, since it leads where {with} does")?;
        }

        for m in &self.members {
            let enabled = if m.enabled { "enabled" } else { "disabled" };
            writeln!(out, "\nmember {}: {enabled}", m.name)?;
            if m.active {
                writeln!(out, "  active member")?;
            }
            if let Some(ms) = m.delay_left_ms {
                let delay = if m.enabled { "downdelay" } else { "updelay" };
                writeln!(out, "  {delay} expires in {ms} ms")?;
            }
            writeln!(out, "  may_enable: {}", m.may_enable)?;
            for &(bucket, bytes) in m.loads.iter().filter(|l| l.1 >= 1024) {
                writeln!(out, "  hash {bucket}: {} kB load", bytes / 1024)?;
            }
            if m.priority != 0 {
                writeln!(out, "  priority: {}", m.priority)?;
            }
            if let Some(probe) = &m.probe {
                probe.write_show(out)?;
            }
        }
        writeln!(out)
    }
}

impl FailbackStatus {
    fn write_show(&self, out: &mut String) -> std::fmt::Result {
        match self.primary_reselect {
            PrimaryReselect::Always => {}
            PrimaryReselect::Better => writeln!(out, "bond-primary-reselect: better")?,
            PrimaryReselect::Failure => writeln!(out, "bond-primary-reselect: failure")?,
        }
        if self.delay_ms > 0 {
            writeln!(out, "bond-failback-delay: {} ms", self.delay_ms)?;
        }
        if self.limit_per_hour > 0 {
            let (limit, used) = (self.limit_per_hour, self.used);
            writeln!(out, "bond-failback-limit: {limit} per hour, {used} used")?;
        }
        let Some(w) = &self.waiting else { return Ok(()) };
        let why = match w.reason {
            Reason::HoldDown => "until it has been stable for bond-failback-delay",
            Reason::Limit => "because bond-failback-limit is used up",
            Reason::NotBetter => "because its link is no better",
            Reason::SpeedPending => "until the speed of both links is known",
            Reason::SpeedUnknown => "because a device does not report its speed",
            Reason::OnlyOnFailure => "because the active member works",
        };
        match w.left_ms {
            Some(ms) => writeln!(out, "failback: {} waits {ms} ms {why}", w.member),
            None => writeln!(out, "failback: {} waits {why}", w.member),
        }
    }
}
