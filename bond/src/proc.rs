//! A bond as `/proc/net/bonding/NAME` of Linux shows it, for programs that read that file.
//!
//! The lines, their order and their wording are those of Linux 6.16 (`bond_procfs.c`). Options that
//! Linux does not have are not shown.

use std::fmt::Write;
use std::net::{Ipv4Addr, Ipv6Addr};

use serde::Serialize;
use wire::lacp::PortInfo;
use wire::{EthAddr, HashPolicy};

use crate::config::{LacpTime, Mode, PrimaryReselect, SelectionPolicy};
use crate::lacp::status::{LacpMemberStatus, LacpStatus};
use crate::link::Link;
use crate::status::{BondStatus, MemberStatus};

/// The modes of Linux bonding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LinuxMode {
    /// Mode 0.
    BalanceRr,
    /// Mode 1.
    ActiveBackup,
    /// Mode 2.
    BalanceXor,
    /// Mode 3.
    Broadcast,
    /// Mode 4.
    #[serde(rename = "802.3ad")]
    Ieee8023ad,
    /// Mode 5.
    BalanceTlb,
}

impl LinuxMode {
    /// The mode that is nearest to that of a bond. A balancing bond with LACP is an 802.3ad bond;
    /// balance-slb and balance-tcp without LACP balance by a hash, as balance-xor does.
    fn of(mode: Mode, lacp: bool) -> LinuxMode {
        match (mode, lacp) {
            (Mode::ActiveBackup, _) => LinuxMode::ActiveBackup,
            (Mode::BalanceRr, _) => LinuxMode::BalanceRr,
            (Mode::Broadcast, _) => LinuxMode::Broadcast,
            (Mode::BalanceTlb, _) => LinuxMode::BalanceTlb,
            (Mode::BalanceSlb | Mode::BalanceTcp | Mode::BalanceXor | Mode::Ieee8023ad, true) => {
                LinuxMode::Ieee8023ad
            }
            (Mode::BalanceSlb | Mode::BalanceTcp | Mode::BalanceXor | Mode::Ieee8023ad, false) => {
                LinuxMode::BalanceXor
            }
        }
    }

    /// As the file calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            LinuxMode::BalanceRr => "load balancing (round-robin)",
            LinuxMode::ActiveBackup => "fault-tolerance (active-backup)",
            LinuxMode::BalanceXor => "load balancing (xor)",
            LinuxMode::Broadcast => "fault-tolerance (broadcast)",
            LinuxMode::Ieee8023ad => "IEEE 802.3ad Dynamic link aggregation",
            LinuxMode::BalanceTlb => "transmit load balancing",
        }
    }
}

/// The content of the file. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcStatus {
    /// `Port.name`.
    pub name: String,
    /// The mode.
    pub mode: LinuxMode,
    /// `active` or `follow`; `None` = none.
    pub fail_over_mac: Option<&'static str>,
    /// The transmit hash policy; `None` in modes without one.
    pub hash_policy: Option<HashPolicy>,
    /// The active member; `None` in modes without one.
    pub active: Option<ProcActive>,
    /// The bond carries traffic.
    pub up: bool,
    /// `bond-miimon-interval`; 0 = the kernel's carrier is used.
    pub miimon_ms: u64,
    /// `bond_updelay`.
    pub updelay_ms: u128,
    /// `bond_downdelay`.
    pub downdelay_ms: u128,
    /// Time between two announcements of the bond's addresses.
    pub peer_notification_delay_ms: u64,
    /// ARP and neighbour solicitation probes; `None` = off.
    pub probes: Option<ProcProbes>,
    /// LACP; `None` unless the mode is 802.3ad.
    pub ad: Option<ProcAd>,
    /// The members, sorted by name.
    pub members: Vec<ProcMember>,
}

/// The primary and the active member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcActive {
    /// `bond-primary`, if it is a member.
    pub primary: Option<String>,
    /// `bond-primary-reselect`.
    pub reselect: PrimaryReselect,
    /// The active member.
    pub member: Option<String>,
}

/// Probes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProcProbes {
    /// Their interval.
    pub interval_ms: u64,
    /// Intervals without an answer after which a target is lost.
    pub missed_max: u32,
    /// Targets of ARP probes.
    pub arp_targets: Vec<Ipv4Addr>,
    /// Targets of neighbour solicitations.
    pub ns_targets: Vec<Ipv6Addr>,
}

/// LACP.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcAd {
    /// Active LACP, else passive.
    pub active: bool,
    /// `lacp-time`.
    pub time: LacpTime,
    /// `bond-min-links`.
    pub min_links: u32,
    /// `lacp-selection`.
    pub selection: SelectionPolicy,
    /// `lacp-system-priority`.
    pub system_priority: u16,
    /// `lacp-system-id`.
    pub system: EthAddr,
    /// The aggregate in use; `None` = there is none.
    pub aggregator: Option<ProcAggregator>,
}

/// The aggregate in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcAggregator {
    /// Its number, from 1.
    pub id: usize,
    /// Its members.
    pub ports: usize,
    /// Our key.
    pub actor_key: u16,
    /// The partner's key.
    pub partner_key: u16,
    /// The partner; zero without one.
    pub partner: EthAddr,
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcMember {
    /// `Interface.name`.
    pub name: String,
    /// `up`, `down`, `going down` or `going back`: the link with its delays, without LACP.
    pub status: &'static str,
    /// Megabits per second; `None` = not known.
    pub mbps: Option<u64>,
    /// `None` = not known.
    pub full_duplex: Option<bool>,
    /// How often the link was lost for longer than the downdelay.
    pub failures: u32,
    /// The device's hardware address.
    pub mac: EthAddr,
    /// LACP; `None` unless the mode is 802.3ad.
    pub ad: Option<ProcPort>,
}

/// LACP of one member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProcPort {
    /// The number of the member's aggregate: the place of its first member, from 1.
    pub aggregator: usize,
    /// The state of the actor's churn machine.
    pub actor_churn: &'static str,
    /// The state of the partner's churn machine.
    pub partner_churn: &'static str,
    /// How often the actor was found churned.
    pub actor_churned: u32,
    /// How often the partner was found churned.
    pub partner_churned: u32,
    /// Our information, as sent.
    pub actor: PortInfo,
    /// The partner's information, as received.
    pub partner: PortInfo,
}

impl ProcStatus {
    /// The file of a bond; `miimon_ms` is `bond-miimon-interval`, 0 if the carrier is used instead.
    pub fn new(bond: &BondStatus, lacp: Option<&LacpStatus>, miimon_ms: u64) -> ProcStatus {
        let mode = LinuxMode::of(bond.mode, lacp.is_some());
        let lacp = lacp.filter(|_| mode == LinuxMode::Ieee8023ad);
        ProcStatus {
            name: bond.name.clone(),
            mode,
            fail_over_mac: None,
            hash_policy: hash_policy(bond),
            active: matches!(mode, LinuxMode::ActiveBackup | LinuxMode::BalanceTlb).then(|| {
                ProcActive {
                    primary: bond.primary.clone().filter(|_| bond.primary_is_member),
                    reselect: bond.failback.primary_reselect,
                    member: bond.members.iter().find(|m| m.active).map(|m| m.name.clone()),
                }
            }),
            up: bond.carries,
            miimon_ms,
            updelay_ms: bond.updelay_ms,
            downdelay_ms: bond.downdelay_ms,
            peer_notification_delay_ms: 0,
            probes: None,
            ad: lacp.map(|lacp| ProcAd {
                active: lacp.active,
                time: lacp.time,
                min_links: bond.min_links,
                selection: lacp.aggregation.selection,
                system_priority: lacp.system_priority,
                system: lacp.system_id,
                aggregator: aggregator_in_use(lacp),
            }),
            members: bond.members.iter().map(|m| ProcMember::new(m, lacp)).collect(),
        }
    }

    /// The text of the file. `version` is that of the switch, in the place of the kernel's.
    pub fn render(&self, version: &str) -> String {
        let mut out = String::new();
        // Writing to a string cannot fail.
        let _ = self.write(&mut out, version);
        out
    }

    fn write(&self, out: &mut String, version: &str) -> std::fmt::Result {
        writeln!(out, "Ethernet Channel Bonding Driver: v{version}\n")?;
        write!(out, "Bonding Mode: {}", self.mode.as_str())?;
        if let Some(policy) = self.fail_over_mac {
            write!(out, " (fail_over_mac {policy})")?;
        }
        writeln!(out)?;
        if let Some(policy) = self.hash_policy {
            let (name, number) = linux_hash_policy(policy);
            writeln!(out, "Transmit Hash Policy: {name} ({number})")?;
        }
        if let Some(active) = &self.active {
            let reselect = match active.reselect {
                PrimaryReselect::Always => "always",
                PrimaryReselect::Better => "better",
                PrimaryReselect::Failure => "failure",
            };
            match &active.primary {
                Some(name) => {
                    writeln!(out, "Primary Slave: {name} (primary_reselect {reselect})")?;
                }
                None => writeln!(out, "Primary Slave: None")?,
            }
            let member = active.member.as_deref().unwrap_or("None");
            writeln!(out, "Currently Active Slave: {member}")?;
        }
        writeln!(out, "MII Status: {}", if self.up { "up" } else { "down" })?;
        writeln!(out, "MII Polling Interval (ms): {}", self.miimon_ms)?;
        writeln!(out, "Up Delay (ms): {}", self.updelay_ms)?;
        writeln!(out, "Down Delay (ms): {}", self.downdelay_ms)?;
        writeln!(out, "Peer Notification Delay (ms): {}", self.peer_notification_delay_ms)?;
        if let Some(probes) = &self.probes {
            writeln!(out, "ARP Polling Interval (ms): {}", probes.interval_ms)?;
            writeln!(out, "ARP Missed Max: {}", probes.missed_max)?;
            let list = |targets: Vec<String>| match targets.as_slice() {
                [] => String::new(),
                some => format!(" {}", some.join(", ")),
            };
            let arp = list(probes.arp_targets.iter().map(Ipv4Addr::to_string).collect());
            writeln!(out, "ARP IP target/s (n.n.n.n form):{arp}")?;
            let ns = list(probes.ns_targets.iter().map(Ipv6Addr::to_string).collect());
            writeln!(out, "NS IPv6 target/s (xx::xx form):{ns}")?;
        }
        if let Some(ad) = &self.ad {
            ad.write(out, &self.name)?;
        }
        self.members.iter().try_for_each(|m| m.write(out))
    }
}

impl ProcAd {
    fn write(&self, out: &mut String, bond: &str) -> std::fmt::Result {
        writeln!(out, "\n802.3ad info")?;
        writeln!(out, "LACP active: {}", if self.active { "on" } else { "off" })?;
        let rate = match self.time {
            LacpTime::Slow => "slow",
            LacpTime::Fast => "fast",
        };
        writeln!(out, "LACP rate: {rate}")?;
        writeln!(out, "Min links: {}", self.min_links)?;
        let selection = match self.selection {
            SelectionPolicy::ActorPortPriority => "actor_port_prio",
            SelectionPolicy::Stable | SelectionPolicy::Bandwidth | SelectionPolicy::Count => {
                self.selection.as_str()
            }
        };
        writeln!(out, "Aggregator selection policy (ad_select): {selection}")?;
        writeln!(out, "System priority: {}", self.system_priority)?;
        writeln!(out, "System MAC address: {}", self.system)?;
        let Some(a) = &self.aggregator else {
            return writeln!(out, "bond {bond} has no active aggregator");
        };
        writeln!(out, "Active Aggregator Info:")?;
        writeln!(out, "\tAggregator ID: {}", a.id)?;
        writeln!(out, "\tNumber of ports: {}", a.ports)?;
        writeln!(out, "\tActor Key: {}", a.actor_key)?;
        writeln!(out, "\tPartner Key: {}", a.partner_key)?;
        writeln!(out, "\tPartner Mac Address: {}", a.partner)
    }
}

impl ProcMember {
    fn new(m: &MemberStatus, lacp: Option<&LacpStatus>) -> ProcMember {
        let status = match (m.link_ok, m.link) {
            (true, Link::ComingUp { .. }) => "going back",
            (true, Link::Down | Link::Up { .. } | Link::GoingDown { .. }) => "up",
            (false, Link::GoingDown { .. }) => "going down",
            (false, Link::Down | Link::ComingUp { .. } | Link::Up { .. }) => "down",
        };
        let speed = m.speed.filter(|_| m.carrier);
        let port = lacp.and_then(|l| {
            let at = l.members.iter().position(|p| p.name == m.name)?;
            Some(ProcPort::new(l, at))
        });
        ProcMember {
            name: m.name.clone(),
            status,
            mbps: speed.map(|s| s.mbps),
            full_duplex: speed.map(|s| s.full_duplex),
            failures: m.link_failures,
            mac: m.mac,
            ad: port,
        }
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "\nSlave Interface: {}", self.name)?;
        writeln!(out, "MII Status: {}", self.status)?;
        match self.mbps {
            Some(mbps) => writeln!(out, "Speed: {mbps} Mbps")?,
            None => writeln!(out, "Speed: Unknown")?,
        }
        let duplex = match self.full_duplex {
            Some(true) => "full",
            Some(false) => "half",
            None => "Unknown",
        };
        writeln!(out, "Duplex: {duplex}")?;
        writeln!(out, "Link Failure Count: {}", self.failures)?;
        writeln!(out, "Permanent HW addr: {}", self.mac)?;
        writeln!(out, "Slave queue ID: 0")?;
        self.ad.as_ref().map_or(Ok(()), |p| p.write(out))
    }
}

impl ProcPort {
    fn new(lacp: &LacpStatus, at: usize) -> ProcPort {
        let m = &lacp.members[at];
        ProcPort {
            aggregator: aggregator_of(lacp, at),
            actor_churn: m.actor_churn.churn.as_str(),
            partner_churn: m.partner_churn.churn.as_str(),
            actor_churned: m.actor_churn.count,
            partner_churned: m.partner_churn.count,
            actor: m.actor,
            partner: m.partner,
        }
    }

    fn write(&self, out: &mut String) -> std::fmt::Result {
        writeln!(out, "Aggregator ID: {}", self.aggregator)?;
        writeln!(out, "Actor Churn State: {}", self.actor_churn)?;
        writeln!(out, "Partner Churn State: {}", self.partner_churn)?;
        writeln!(out, "Actor Churned Count: {}", self.actor_churned)?;
        writeln!(out, "Partner Churned Count: {}", self.partner_churned)?;
        for (end, key, info) in
            [("actor", "port key", &self.actor), ("partner", "oper key", &self.partner)]
        {
            writeln!(out, "details {end} lacp pdu:")?;
            writeln!(out, "    system priority: {}", info.system_priority)?;
            writeln!(out, "    system mac address: {}", info.system)?;
            writeln!(out, "    {key}: {}", info.key)?;
            writeln!(out, "    port priority: {}", info.port_priority)?;
            writeln!(out, "    port number: {}", info.port)?;
            writeln!(out, "    port state: {}", info.state)?;
        }
        Ok(())
    }
}

/// The policy of Linux that is nearest to the bond's hash; `None` in modes without one.
fn hash_policy(bond: &BondStatus) -> Option<HashPolicy> {
    match bond.mode {
        Mode::ActiveBackup | Mode::BalanceRr | Mode::Broadcast => None,
        Mode::BalanceSlb => Some(HashPolicy::VlanSrcMac),
        Mode::BalanceTcp => Some(HashPolicy::L34),
        Mode::BalanceXor | Mode::Ieee8023ad | Mode::BalanceTlb => bond.hash_policy,
    }
}

/// Name and number of `xmit_hash_policy`.
fn linux_hash_policy(policy: HashPolicy) -> (&'static str, u8) {
    match policy {
        HashPolicy::L2 => ("layer2", 0),
        HashPolicy::L34 => ("layer3+4", 1),
        HashPolicy::L23 => ("layer2+3", 2),
        HashPolicy::Encap23 => ("encap2+3", 3),
        HashPolicy::Encap34 => ("encap3+4", 4),
        HashPolicy::VlanSrcMac => ("vlan+srcmac", 5),
    }
}

/// The aggregate of the member at this place: the place of the first member with the same partner,
/// from 1. A member without a partner, or whose link is individual, has an aggregate of its own.
fn aggregator_of(lacp: &LacpStatus, at: usize) -> usize {
    let lag = |m: &LacpMemberStatus| {
        let aggregates = m.partner.state & wire::lacp::state::AGGREGATION != 0;
        (aggregates && !m.partner.system.is_zero()).then_some((m.partner.system, m.partner.key))
    };
    let own = lag(&lacp.members[at]);
    let first = lacp.members.iter().position(|m| own.is_some() && lag(m) == own);
    first.unwrap_or(at) + 1
}

fn aggregator_in_use(lacp: &LacpStatus) -> Option<ProcAggregator> {
    let at = lacp.members.iter().position(|m| m.mux.is_attached())?;
    let partner = &lacp.members[at].partner;
    Some(ProcAggregator {
        id: aggregator_of(lacp, at),
        ports: lacp.members.iter().filter(|m| m.mux.is_attached()).count(),
        actor_key: lacp.members[at].actor.key,
        partner_key: partner.key,
        partner: partner.system,
    })
}
