//! The configuration of the probes of a bond.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde::Serialize;
use wire::EthAddr;
use wire::neighbour::{Asker, link_local, stand_in};

/// How many targets have to answer on a member (`bond-probe-quorum`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Quorum {
    /// One of them.
    #[default]
    Any,
    /// All of them.
    All,
    /// This many targets, at least 1; a number above that of the targets counts as all.
    Number(usize),
}

/// What counts as a sign of life of a member (`bond-probe-validate`, Linux's `arp_validate`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Validate {
    /// Whatever is received.
    #[default]
    None,
    /// Answers of targets on the active member, whatever is received on others.
    Active,
    /// Answers of targets on the other members, whatever is received on the active one.
    Backup,
    /// Answers of targets.
    All,
    /// ARP and neighbour discovery, of any station.
    Filter,
    /// Answers of targets on the active member, ARP and neighbour discovery on others.
    FilterActive,
    /// Answers of targets on the other members, ARP and neighbour discovery on the active one.
    FilterBackup,
}

/// What a member does in its bond. In a mode that balances, every member is active.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// It carries traffic.
    Active,
    /// It carries none while the active member works.
    Backup,
}

/// What counts as a sign of life of one member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Evidence {
    /// Any packet.
    Traffic,
    /// ARP requests and replies, neighbour solicitations and advertisements.
    Neighbours,
    /// Answers of enough targets.
    Answers,
}

impl Validate {
    /// The row of the table for a role.
    pub fn evidence(self, role: Role) -> Evidence {
        use Evidence::{Answers, Neighbours, Traffic};
        match (self, role) {
            (Validate::None, Role::Active | Role::Backup)
            | (Validate::Active, Role::Backup)
            | (Validate::Backup, Role::Active) => Traffic,
            (Validate::Filter, Role::Active | Role::Backup)
            | (Validate::FilterActive, Role::Backup)
            | (Validate::FilterBackup, Role::Active) => Neighbours,
            (Validate::All, Role::Active | Role::Backup)
            | (Validate::Active | Validate::FilterActive, Role::Active)
            | (Validate::Backup | Validate::FilterBackup, Role::Backup) => Answers,
        }
    }

    /// The weakest evidence that counts for some role: what a driver has to report.
    pub fn least(self) -> Evidence {
        self.evidence(Role::Active).min(self.evidence(Role::Backup))
    }
}

/// The probes of a bond: ARP requests and neighbour solicitations that every member sends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProbeConfig {
    /// `bond-probe-interval`; zero turns probing off.
    pub interval: Duration,
    /// `bond-probe-targets`, each once; none turns probing off.
    pub targets: Vec<IpAddr>,
    /// `bond-probe-quorum`.
    pub quorum: Quorum,
    /// `bond-probe-validate`.
    pub validate: Validate,
    /// `bond-probe-missed-max`, 1 to 255: unanswered probes in a row that disable a member, and
    /// answered ones in a row that enable it again.
    pub missed_max: u8,
    /// The VLAN of the probes' tag; `None` = untagged. Follows from `bond-probe-vlan` and the port's
    /// VLAN mode.
    pub vid: Option<u16>,
    /// `bond-probe-source`: sender address of ARP requests; `0.0.0.0` = an ARP probe (RFC 5227).
    pub ipv4: Ipv4Addr,
    /// `bond-probe-source`: source of neighbour solicitations; `None` = the link-local address that
    /// follows from the hardware address.
    pub ipv6: Option<Ipv6Addr>,
    /// Hardware addresses of stations behind the bond. Probes from one of them would make switches
    /// believe that the station is behind a backup.
    pub taken: BTreeSet<EthAddr>,
}

impl Default for ProbeConfig {
    /// Off.
    fn default() -> ProbeConfig {
        ProbeConfig {
            interval: Duration::ZERO,
            targets: Vec::new(),
            quorum: Quorum::Any,
            validate: Validate::None,
            missed_max: 2,
            vid: None,
            ipv4: Ipv4Addr::UNSPECIFIED,
            ipv6: None,
            taken: BTreeSet::new(),
        }
    }
}

impl ProbeConfig {
    /// Whether members are probed.
    pub fn is_on(&self) -> bool {
        !self.interval.is_zero() && !self.targets.is_empty()
    }

    /// The addresses that a member with this hardware address probes from.
    pub fn asker(&self, mac: EthAddr) -> Asker {
        let mac = if self.taken.contains(&mac) { stand_in(mac) } else { mac };
        Asker { mac, ipv4: self.ipv4, ipv6: self.ipv6.unwrap_or_else(|| link_local(mac)) }
    }

    /// How many targets have to answer.
    pub(super) fn needed(&self) -> usize {
        let wanted = match self.quorum {
            Quorum::Any => 1,
            Quorum::All => self.targets.len(),
            Quorum::Number(n) => n,
        };
        wanted.clamp(1, self.targets.len().max(1))
    }
}
