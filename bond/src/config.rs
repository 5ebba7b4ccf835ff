//! The configuration of a bond, checked and with defaults filled in.

use std::time::Duration;

use serde::Serialize;
use wire::{EthAddr, HashPolicy};

use crate::monitor::probe::ProbeConfig;
use crate::notify::NotifyConfig;

/// A member of a bond, for as long as its interface stays in the port.
///
/// The driver chooses the number, unique in the bond; the engine only compares it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct MemberId(pub u32);

/// `Port.bond_mode`, or one of Linux's modes (`other_config:bond-policy`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// `active-backup`: one member carries all traffic.
    #[default]
    ActiveBackup,
    /// `balance-slb`: members share the traffic by a hash of source MAC and VLAN.
    BalanceSlb,
    /// `balance-tcp`: members share the traffic by a hash of L2 to L4. Needs LACP.
    BalanceTcp,
    /// `balance-rr`: members take turns.
    BalanceRr,
    /// `balance-xor`: members share the traffic by one of Linux's transmit hashes.
    BalanceXor,
    /// `broadcast`: every member sends every packet.
    Broadcast,
    /// `balance-tlb`: members share unicast IP by load and speed, or by a transmit hash; the active
    /// member sends the rest and receives everything.
    BalanceTlb,
    /// `802.3ad`: as `balance-xor`, by the members that LACP has aggregated.
    #[serde(rename = "802.3ad")]
    Ieee8023ad,
}

/// When a better member takes over from a working active member (`bond-primary-reselect`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum PrimaryReselect {
    /// The primary takes over whenever it is enabled. As Open vSwitch.
    #[default]
    Always,
    /// The primary takes over if its link is faster, or as fast and full duplex where the active
    /// member's is not.
    Better,
    /// The primary takes over only when the active member fails.
    Failure,
}

/// The options of `bond-policy`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PolicyConfig {
    /// `bond-hash-policy`, in balance-xor, balance-tlb and 802.3ad.
    pub hash: HashPolicy,
    /// `bond-packets-per-member`, in balance-rr: packets that a member sends before the next one's
    /// turn; 0 = a random member for each packet. 0 to 65535, by default 1.
    pub packets_per_member: u16,
    /// `bond-tlb-dynamic`, in balance-tlb: buckets move by load. Otherwise the transmit hash
    /// decides alone. By default true.
    pub tlb_dynamic: bool,
}

impl Default for PolicyConfig {
    fn default() -> PolicyConfig {
        PolicyConfig { hash: HashPolicy::L2, packets_per_member: 1, tlb_dynamic: true }
    }
}

/// A port with several interfaces, as configured.
///
/// Times are whole milliseconds in the database. The engine takes any `Duration`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BondConfig {
    /// `Port.name`.
    pub name: String,
    /// `Port.bond_mode`, or `bond-policy`.
    pub mode: Mode,
    /// The options of `bond-policy`.
    pub policy: PolicyConfig,
    /// `bond_updelay`: how long a link must be up before the member is enabled.
    pub updelay: Duration,
    /// `bond_downdelay`: how long a link must be down before the member is disabled.
    pub downdelay: Duration,
    /// `bond-hash-basis`: the initial value of the hash in the balancing modes.
    pub hash_basis: u32,
    /// `bond-primary`: an interface's name; it need not be a member.
    pub primary: Option<String>,
    /// `bond-primary-reselect`.
    pub primary_reselect: PrimaryReselect,
    /// `bond-failback-delay`: how long a returning member must stay enabled before it takes over
    /// from a working active member; 0 = at once.
    pub failback_delay: Duration,
    /// `bond-failback-limit`: failbacks in any hour; 0 = no limit. Failbacks by command do not
    /// count.
    pub failback_limit: u32,
    /// `all-members-active`: accept multicast on every member (balance-slb without LACP).
    pub all_members_active: bool,
    /// `bond-loop-protect`: hold the bond down while it forms a loop with another port of the
    /// bridge.
    pub loop_protect: bool,
    /// `lb-output-action`: balance-tcp without recirculation, by the datapath action `lb_output`.
    pub lb_output: bool,
    /// `bond-rebalance-interval`, by default 10 s; zero turns rebalancing off.
    pub rebalance_interval: Duration,
    /// `Port.lacp`; `None` = off.
    pub lacp: Option<LacpConfig>,
    /// `lacp-fallback-ab`: work as active-backup while LACP has no partner, instead of dropping.
    pub lacp_fallback_ab: bool,
    /// `bond-min-links`: with fewer enabled members the bond carries nothing; 0 and 1 = one is
    /// enough. As `min_links` of Linux bonding, in every mode.
    pub min_links: u32,
    /// How peers are notified when traffic has moved.
    pub notify: NotifyConfig,
    /// The options `bond-probe-*`.
    pub probe: ProbeConfig,
    /// The recirculation ID of the bond, unique in the datapath and not 0. Used, and shown, only in
    /// the balancing modes.
    pub recirc_id: u32,
    /// The bridge's own address, which no member may send from while another sends it
    /// (balance-tlb); zero = none.
    pub bridge_mac: EthAddr,
    /// `Port.bond_active_slave`: the hardware address of the member that was active before the
    /// restart. Only the first configuration of a bond uses it.
    pub active_member_mac: Option<EthAddr>,
    /// In the order of the database row's interfaces, sorted by name.
    pub members: Vec<MemberConfig>,
}

impl Default for BondConfig {
    /// The database's defaults: active-backup, no delays, no LACP, no members.
    fn default() -> BondConfig {
        BondConfig {
            name: String::new(),
            mode: Mode::ActiveBackup,
            policy: PolicyConfig::default(),
            updelay: Duration::ZERO,
            downdelay: Duration::ZERO,
            hash_basis: 0,
            primary: None,
            primary_reselect: PrimaryReselect::Always,
            failback_delay: Duration::ZERO,
            failback_limit: 0,
            all_members_active: false,
            loop_protect: false,
            lb_output: false,
            rebalance_interval: Duration::from_secs(10),
            lacp: None,
            lacp_fallback_ab: false,
            min_links: 0,
            notify: NotifyConfig::default(),
            probe: ProbeConfig::default(),
            recirc_id: 0,
            bridge_mac: EthAddr::ZERO,
            active_member_mac: None,
            members: Vec::new(),
        }
    }
}

/// One interface of a bond.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberConfig {
    /// Identifies the member in events, effects and tables.
    pub id: MemberId,
    /// `Interface.name`.
    pub name: String,
    /// The device's current hardware address.
    pub mac: EthAddr,
    /// `bond-member-priority`: the enabled member of the highest priority is preferred unless the
    /// primary is enabled. By default 0.
    pub priority: i32,
    /// LACP parameters; ignored unless the bond has LACP.
    pub lacp: LacpMemberConfig,
}

/// `lacp-time`: how often the partner is asked to send.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum LacpTime {
    /// Every 30 s; time-out 90 s.
    #[default]
    Slow,
    /// Every second; time-out 3 s.
    Fast,
}

/// The LACP parameters of a port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LacpConfig {
    /// `Port.lacp`: true = active; false = passive, which sends only once a partner is known.
    pub active: bool,
    /// `lacp-time`.
    pub time: LacpTime,
    /// `lacp-system-id`, by default the bridge's address.
    pub system_id: EthAddr,
    /// `lacp-system-priority`, 1 to 65535, lower is preferred; by default 65534.
    pub system_priority: u16,
    /// How members form an aggregate.
    pub aggregation: AggregationConfig,
}

/// How the members of a port with LACP form an aggregate. The options are those of Linux bonding;
/// the default is Open vSwitch's behaviour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AggregationConfig {
    /// `lacp-strict`: without a partner no member is usable, whatever `lacp-fallback-ab` says.
    pub strict: bool,
    /// `lacp-coupled-control`: a member collects and distributes at once (IEEE 802.1AX-2014 figure
    /// 6-22); false = it distributes only when its partner collects (figure 6-21).
    pub coupled_control: bool,
    /// `lacp-selection`.
    pub selection: SelectionPolicy,
}

impl Default for AggregationConfig {
    fn default() -> AggregationConfig {
        AggregationConfig {
            strict: false,
            coupled_control: true,
            selection: SelectionPolicy::Stable,
        }
    }
}

/// Which of several possible aggregates is used, and when it is replaced (`lacp-selection`, Linux's
/// `ad_select`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SelectionPolicy {
    /// A working aggregate is kept; otherwise the link of the best priority leads. As Open vSwitch.
    #[default]
    Stable,
    /// The one of the largest bandwidth, whenever that changes.
    Bandwidth,
    /// The one of the most members, then the largest bandwidth, whenever that changes.
    Count,
    /// The one whose members' `lacp-port-priority` has the highest sum, then the most members, then
    /// the largest bandwidth, whenever that changes.
    ActorPortPriority,
}

impl SelectionPolicy {
    /// As the database and Linux's `ad_select` call it; Linux writes `actor_port_prio`.
    pub fn as_str(self) -> &'static str {
        match self {
            SelectionPolicy::Stable => "stable",
            SelectionPolicy::Bandwidth => "bandwidth",
            SelectionPolicy::Count => "count",
            SelectionPolicy::ActorPortPriority => "actor-port-priority",
        }
    }
}

/// The LACP parameters of one interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct LacpMemberConfig {
    /// `lacp-port-id`, 1 to 65535; 0 = LACP picks the lowest free number.
    pub port_id: u16,
    /// `lacp-port-priority`, 1 to 65535, lower is preferred; by default 65535.
    pub port_priority: u16,
    /// `lacp-aggregation-key`, 1 to 65535; 0 = the port number of the bond's first member.
    pub key: u16,
}

impl Mode {
    /// There is an active member that others back up: it may have a primary.
    pub fn has_primary(self) -> bool {
        match self {
            Mode::ActiveBackup | Mode::BalanceTlb => true,
            Mode::BalanceSlb
            | Mode::BalanceTcp
            | Mode::BalanceRr
            | Mode::BalanceXor
            | Mode::Broadcast
            | Mode::Ieee8023ad => false,
        }
    }

    /// As `bond_mode` and `bond-policy` call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Mode::ActiveBackup => "active-backup",
            Mode::BalanceSlb => "balance-slb",
            Mode::BalanceTcp => "balance-tcp",
            Mode::BalanceRr => "balance-rr",
            Mode::BalanceXor => "balance-xor",
            Mode::Broadcast => "broadcast",
            Mode::BalanceTlb => "balance-tlb",
            Mode::Ieee8023ad => "802.3ad",
        }
    }
}
