//! What `bond/show` and `bond/list` print, and the same as JSON.

use std::fmt::Write;

use serde::Serialize;
use wire::EthAddr;

use crate::config::{Mode, PrimaryReselect};
use crate::failback::Reason;
use crate::forwarding::Bucket;
use crate::lacp::status::LacpState;
use crate::link::Link;

/// A bond at one moment. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BondStatus {
    pub name: String,
    pub mode: Mode,
    /// Of the published table.
    pub generation: u64,
    pub may_recirc: bool,
    /// 0 = the mode needs none.
    pub recirc_id: u32,
    pub hash_basis: u32,
    /// The hash is resolved in one pass.
    pub lb_output: bool,
    pub all_members_active: bool,
    pub updelay_ms: u128,
    pub downdelay_ms: u128,
    /// `None` = the bond is not balanced.
    pub next_rebalance_ms: Option<i64>,
    pub lacp_status: LacpState,
    pub lacp_fallback_ab: bool,
    pub primary: Option<String>,
    pub primary_is_member: bool,
    /// The active member's address; the last one's if there is none now.
    pub active_member_mac: EthAddr,
    /// The member with that address.
    pub active_member: Option<String>,
    pub failback: FailbackStatus,
    /// The loop that it makes with another port; `None` = none was seen lately.
    pub looped: Option<LoopStatus>,
    /// Sorted by name.
    pub members: Vec<MemberStatus>,
}

/// A loop that was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LoopStatus {
    /// The port of the same bridge that leads to the same network.
    pub with: String,
    /// Whether the bond is held down for it (`bond-loop-protect`).
    pub held: bool,
    /// How long it still counts, in milliseconds.
    pub left_ms: i64,
}

/// What holds a failback back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FailbackStatus {
    pub primary_reselect: PrimaryReselect,
    pub delay_ms: u128,
    /// Failbacks in any hour; 0 = no limit.
    pub limit_per_hour: u32,
    pub used: u32,
    /// The member that would take over.
    pub waiting: Option<WaitingStatus>,
}

/// A member that would take over from the active one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitingStatus {
    pub member: String,
    pub reason: Reason,
    /// `None` = until something else changes.
    pub left_ms: Option<i64>,
}

/// One member at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberStatus {
    pub name: String,
    pub mac: EthAddr,
    pub enabled: bool,
    pub active: bool,
    pub link: Link,
    /// What is left of the updelay or downdelay that runs.
    pub delay_left_ms: Option<i64>,
    pub may_enable: bool,
    pub carrier: bool,
    pub priority: i32,
    /// Buckets that packets leave by, in a balancing mode.
    pub buckets: usize,
    /// The buckets with load, in bytes.
    pub loads: Vec<(Bucket, u64)>,
}

impl BondStatus {
    /// The header line of `bond/list`.
    pub const LIST_HEADER: &'static str = "bond\ttype\trecircID\tmembers\n";

    /// The bond's line of `bond/list`, as Open vSwitch prints it.
    pub fn render_list(&self) -> String {
        let members: Vec<&str> = self.members.iter().map(|m| m.name.as_str()).collect();
        let (mode, id) = (self.mode.as_str(), self.recirc_id);
        format!("{}\t{mode}\t{id}\t{}\n", self.name, members.join(", "))
    }

    /// The bond's part of `bond/show`, as Open vSwitch prints it. Options that it does not have
    /// add lines behind the keys of the block, and only where they are in use.
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
        self.failback.write_show(out)?;
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
