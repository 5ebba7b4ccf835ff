//! Bonding and LACP of a `Port` row.

use std::time::Duration;

use ::bond::{AggregationConfig, BondConfig, LacpConfig, LacpTime, Mode, PrimaryReselect};
use ofproto::config::BundleSettings;
use ovsdb_client::rows::Port;
use wire::EthAddr;

use crate::aggregation::{self, AGGREGATION, MIN_LINKS};
use crate::notify::NOTIFY;
use crate::option::{MAX_MS, OVS, Opt, Outside, millis, range};
use crate::policy;
use crate::probe;
use crate::section::Section;
use crate::warning::{Severity, Warning};

/// How a member's link state is found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Detect {
    /// From the carrier that the kernel reports by rtnetlink.
    #[default]
    Carrier,
    /// By asking the device (MII, otherwise ethtool) at this interval.
    Miimon(Duration),
}

/// A bond as wanted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WantBond {
    /// What the row says. `lacp`, `recirc_id` and `members` depend on devices; they are left at
    /// their defaults.
    pub config: BondConfig,
    /// `bond-detect-mode` and `bond-miimon-interval`.
    pub detect: Detect,
}

/// Keys of `Port.other_config` that configure a bond.
pub(crate) const BOND: &[Opt<WantBond>] = &[
    Opt::word(
        "bond-detect-mode",
        "how a member's link state is found out",
        &["carrier", "miimon"],
        |b: &mut WantBond, word| {
            b.detect = match word {
                "miimon" => Detect::Miimon(Duration::ZERO),
                _ => Detect::Carrier,
            }
        },
    )
    .since(OVS)
    .warned_as(|row, value| {
        format!("port {row}: unsupported bond-detect-mode {value}, defaulting to carrier")
    }),
    // After the mode, of which it is a part.
    Opt::number(
        "bond-miimon-interval",
        "interval of bond-detect-mode=miimon",
        range(1, MAX_MS, 200, "ms"),
        |b: &mut WantBond, ms| {
            if let Detect::Miimon(interval) = &mut b.detect {
                *interval = millis(ms);
            }
        },
    )
    .since(OVS),
    Opt::number(
        "bond-hash-basis",
        "seed of the hash that assigns flows to buckets",
        range(i32::MIN as i64, u32::MAX as i64, 0, ""),
        |b: &mut WantBond, n| b.config.hash_basis = n as u32,
    )
    .since(OVS)
    .modes(&[Mode::BalanceSlb, Mode::BalanceTcp]),
    Opt::number(
        "bond-rebalance-interval",
        "interval of moving buckets from loaded to idle members",
        range(1000, MAX_MS, 10_000, "ms").note("0 = off").or_zero().outside(Outside::Raise),
        |b: &mut WantBond, ms| b.config.rebalance_interval = millis(ms),
    )
    .since(OVS)
    .modes(&[Mode::BalanceSlb, Mode::BalanceTcp, Mode::BalanceTlb]),
    Opt::text(
        "bond-primary",
        "the member that is preferred as the active one",
        "an interface's name",
        |b: &mut WantBond, name| {
            b.config.primary = Some(name.to_owned());
            Ok(())
        },
    )
    .since(OVS)
    .modes(&[Mode::ActiveBackup, Mode::BalanceTlb]),
    Opt::word(
        "bond-primary-reselect",
        "when a better member takes over from a working active member",
        &["always", "better", "failure"],
        |b: &mut WantBond, word| {
            b.config.primary_reselect = match word {
                "better" => PrimaryReselect::Better,
                "failure" => PrimaryReselect::Failure,
                _ => PrimaryReselect::Always,
            }
        },
    )
    .since("0.1.0")
    .modes(&[Mode::ActiveBackup, Mode::BalanceTlb]),
    Opt::number(
        "bond-failback-delay",
        "how long a better member must have been enabled before it takes over",
        range(1, MAX_MS, 0, "ms").note("0 = none").or_zero(),
        |b: &mut WantBond, ms| b.config.failback_delay = millis(ms),
    )
    .since("0.1.0")
    .modes(&[Mode::ActiveBackup, Mode::BalanceTlb]),
    Opt::number(
        "bond-failback-limit",
        "how often in an hour a better member takes over",
        range(1, 1_000_000, 0, "per hour").note("0 = no limit").or_zero(),
        |b: &mut WantBond, n| b.config.failback_limit = n as u32,
    )
    .since("0.1.0")
    .modes(&[Mode::ActiveBackup, Mode::BalanceTlb]),
    Opt::flag(
        "bond-loop-protect",
        "hold the bond down while it makes a loop with another port",
        |b: &mut WantBond, on| b.config.loop_protect = on,
    )
    .since("0.1.0"),
    Opt::flag(
        "all-members-active",
        "accept multicast and broadcast on every member, without LACP",
        |b: &mut WantBond, on| b.config.all_members_active = on,
    )
    .since(OVS)
    .modes(&[Mode::BalanceSlb, Mode::BalanceTlb]),
    Opt::flag(
        "lb-output-action",
        "choose the member in the datapath, without recirculation",
        |b: &mut WantBond, on| b.config.lb_output = on,
    )
    .since(OVS)
    .modes(&[Mode::BalanceTcp]),
    Opt::flag(
        "lacp-fallback-ab",
        "work as active-backup while the partner does not speak LACP",
        |b: &mut WantBond, on| b.config.lacp_fallback_ab = on,
    )
    .since(OVS),
];

/// LACP of a port while it is being read.
#[derive(Default)]
pub(crate) struct LacpRow {
    active: bool,
    time: LacpTime,
    system_id: Option<EthAddr>,
    system_priority: u16,
    /// The identity cannot be used. LACP is off then: with another identity the partner could
    /// aggregate the wrong links.
    off: bool,
}

const LACP_SYSTEM_ID: &str = "lacp-system-id";
const LACP_SYSTEM_PRIORITY: &str = "lacp-system-priority";

/// Keys of `Port.other_config` that configure LACP.
pub(crate) const LACP: &[Opt<LacpRow>] = &[
    Opt::text(
        LACP_SYSTEM_ID,
        "the system's identity, by default the bridge's address",
        "an address, not zero",
        |l: &mut LacpRow, text| match text.parse() {
            Ok(mac) => {
                l.system_id = Some(mac);
                Ok(())
            }
            Err(_) => {
                l.off = true;
                Err("accepted is an address, xx:xx:xx:xx:xx:xx".to_owned())
            }
        },
    )
    .since(OVS)
    .warned_as(|row, value| {
        format!("port {row}: LACP system ID ({value}) must be an Ethernet address.")
    }),
    Opt::number(
        LACP_SYSTEM_PRIORITY,
        "the system's priority",
        range(1, 65_535, 65_534, "").note("lower is preferred"),
        |l: &mut LacpRow, n| l.system_priority = n as u16,
    )
    .since(OVS),
    Opt::word_any_case(
        "lacp-time",
        "how often the partner is asked to send: every 30 s or every second",
        &["slow", "fast"],
        |l: &mut LacpRow, word| {
            l.time = match word {
                "fast" => LacpTime::Fast,
                _ => LacpTime::Slow,
            }
        },
    )
    .since(OVS),
];

/// The bond of a port; `members` are the names of its interfaces, `vlans` what the port carries.
pub(crate) fn want(
    row: &Port,
    slb_ok: bool,
    members: &[&str],
    (vlans, lacp): (&BundleSettings, bool),
    warnings: &mut Vec<Warning>,
) -> WantBond {
    let name = &row.name;
    let mut column = |column: &str, value: String, advice: &str, text: Option<String>| {
        let warning = Warning::of_column(("port", name), column, value, advice);
        warnings.push(match text {
            Some(text) => warning.said(Severity::Warn, text),
            None => warning,
        });
    };
    let mode = match row.bond_mode.as_deref() {
        None | Some("active-backup") => Mode::ActiveBackup,
        Some("balance-slb") => Mode::BalanceSlb,
        Some("balance-tcp") => Mode::BalanceTcp,
        Some(other) => {
            column(
                "bond_mode",
                other.to_owned(),
                "accepted are active-backup, balance-slb, balance-tcp",
                Some(format!(
                    "port {name}: unknown bond_mode {other}, defaulting to active-backup"
                )),
            );
            Mode::ActiveBackup
        }
    };
    if mode == Mode::BalanceSlb && !slb_ok {
        column(
            "bond_mode",
            "balance-slb".to_owned(),
            "",
            Some(format!(
                "port {name}: SLB bonds are incompatible with flood_vlans, please use another \
                 bond type or disable flood_vlans"
            )),
        );
    }
    let mut delay = |name: &str, ms: i64| {
        if !(0..=MAX_MS).contains(&ms) {
            let (max, used) = (MAX_MS, ms.clamp(0, MAX_MS));
            let advice = format!("accepted are 0 to {max} ms; using {used}");
            column(name, ms.to_string(), &advice, None);
        }
        millis(ms.clamp(0, MAX_MS))
    };
    let updelay = delay("bond_updelay", row.bond_updelay);
    let downdelay = delay("bond_downdelay", row.bond_downdelay);
    let active_member_mac = row
        .bond_active_slave
        .as_deref()
        .and_then(|m| m.parse().ok())
        .filter(|m: &EthAddr| !m.is_zero());
    let config = BondConfig {
        name: name.clone(),
        mode,
        updelay,
        downdelay,
        active_member_mac,
        ..BondConfig::default()
    };
    let has_lacp = matches!(row.lacp.as_deref(), Some("active" | "passive"));
    let mut want = WantBond { config, detect: Detect::default() };
    let mut s = Section::other_config("port", name, &row.other_config, warnings);
    s.read(BOND, &mut want);
    policy::read(row, &mut s, &mut want.config);
    s.read(MIN_LINKS, &mut want.config.min_links);
    s.read(NOTIFY, &mut want.config.notify);
    if let Some(primary) = &want.config.primary
        && !members.contains(&primary.as_str())
    {
        let members = members.join(", ");
        s.warn("bond-primary", format!("not a member of this bond now; its members are {members}"));
    }
    aggregation::check(&mut s, &want.config, members.len(), has_lacp);
    want.config.probe = probe::want(&mut s, vlans, lacp);
    want
}

/// LACP, also of a port with one interface. `None` = off. The identity is zero where the bridge's
/// address is to be used.
pub(crate) fn lacp(row: &Port, is_bond: bool, warnings: &mut Vec<Warning>) -> Option<LacpConfig> {
    let active = match row.lacp.as_deref() {
        None | Some("off") => return None,
        Some("active") => true,
        Some("passive") => false,
        Some(other) => {
            let advice = "accepted are active, passive, off; using off";
            let warning = Warning::of_column(("port", &row.name), "lacp", other, advice);
            let text = format!("port {}: unknown LACP mode {other}", row.name);
            warnings.push(warning.said(Severity::Warn, text));
            return None;
        }
    };
    let mut want = LacpRow { active, ..LacpRow::default() };
    let mut s = Section::other_config("port", &row.name, &row.other_config, warnings);
    s.read(LACP, &mut want);
    let mut aggregation = AggregationConfig::default();
    s.read(AGGREGATION, &mut aggregation);
    if want.system_id.is_some_and(EthAddr::is_zero) {
        let text = format!("port {}: Invalid zero LACP system ID.", row.name);
        s.warn_as(LACP_SYSTEM_ID, Severity::Warn, text, "LACP is off");
        want.off = true;
    }
    // A port that cannot be aggregated yields to one that can.
    if !is_bond && !row.other_config.contains_key(LACP_SYSTEM_PRIORITY) {
        want.system_priority = u16::MAX;
    }
    (!want.off).then(|| LacpConfig {
        active: want.active,
        time: want.time,
        system_id: want.system_id.unwrap_or(EthAddr::ZERO),
        system_priority: want.system_priority,
        aggregation,
    })
}
