//! What a port's row says of bonding and of LACP.

use std::time::Duration;

use ::bond::{LacpTime, Mode, PrimaryReselect};
use ovsdb_client::rows::Port;
use wire::EthAddr;

use crate::iface::WantIface;
use crate::options::{self, millis};
use crate::warning::{Section, Severity, Unusable, Warning};

/// How a member's link state is found out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Detect {
    /// `rtnetlink` says when the carrier changes.
    #[default]
    Carrier,
    /// The device is asked (MII, else ethtool) at this interval.
    Miimon(Duration),
}

/// `::bond::BondConfig` without what only the devices know.
#[derive(Clone, Debug, PartialEq)]
pub struct WantBond {
    pub mode: Mode,
    pub updelay: Duration,
    pub downdelay: Duration,
    pub hash_basis: u32,
    pub primary: Option<String>,
    pub primary_reselect: PrimaryReselect,
    pub failback_delay: Duration,
    pub failback_limit: u32,
    pub all_members_active: bool,
    pub loop_protect: bool,
    pub lb_output: bool,
    pub rebalance_interval: Duration,
    pub lacp_fallback_ab: bool,
    pub active_member_mac: Option<EthAddr>,
    pub detect: Detect,
}

/// LACP of a port; the system's identity is the bridge's address unless the row names one.
#[derive(Clone, Debug, PartialEq)]
pub struct WantLacp {
    pub active: bool,
    pub time: LacpTime,
    pub system_id: Option<EthAddr>,
    pub system_priority: u16,
    pub fallback_ab: bool,
}

pub(crate) fn want(
    row: &Port,
    slb_ok: bool,
    ifaces: &[WantIface],
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
        if !(0..=options::MAX_MS).contains(&ms) {
            let (max, used) = (options::MAX_MS, ms.clamp(0, options::MAX_MS));
            let advice = format!("accepted are 0 to {max} ms; using {used}");
            column(name, ms.to_string(), &advice, None);
        }
        millis(ms.clamp(0, options::MAX_MS))
    };
    let updelay = delay("bond_updelay", row.bond_updelay);
    let downdelay = delay("bond_downdelay", row.bond_downdelay);

    let mut s = Section { table: "port", row: &row.name, map: &row.other_config, warnings };
    let interval = s.number(&options::BOND_MIIMON_INTERVAL);
    let detect = match s.word_as(&options::BOND_DETECT_MODE, |value| {
        format!("port {name}: unsupported bond-detect-mode {value}, defaulting to carrier")
    }) {
        "miimon" => Detect::Miimon(millis(interval)),
        _ => Detect::Carrier,
    };
    let lacp_fallback_ab = s.flag(&options::LACP_FALLBACK_AB);
    let lb_output = s.flag(&options::LB_OUTPUT_ACTION) && mode == Mode::BalanceTcp;
    let primary = s.text(&options::BOND_PRIMARY);
    if let Some(name) = &primary
        && ifaces.iter().all(|i| i.name != *name)
    {
        let members: Vec<&str> = ifaces.iter().map(|i| i.name.as_str()).collect();
        // It may be about to become one: a row can be written before its member is.
        s.note(
            &options::BOND_PRIMARY,
            &format!("not a member of this bond now; its members are {}", members.join(", ")),
        );
    }
    WantBond {
        mode,
        updelay,
        downdelay,
        hash_basis: s.number(&options::BOND_HASH_BASIS) as u32,
        // Upstream looks at the primary in these modes only.
        primary: primary.filter(|_| mode == Mode::ActiveBackup || lacp_fallback_ab),
        primary_reselect: match s.word(&options::BOND_PRIMARY_RESELECT, false) {
            "better" => PrimaryReselect::Better,
            "failure" => PrimaryReselect::Failure,
            _ => PrimaryReselect::Always,
        },
        failback_delay: millis(s.number(&options::BOND_FAILBACK_DELAY)),
        failback_limit: s.number(&options::BOND_FAILBACK_LIMIT) as u32,
        all_members_active: s.flag(&options::ALL_MEMBERS_ACTIVE),
        loop_protect: s.flag(&options::BOND_LOOP_PROTECT),
        lb_output,
        rebalance_interval: millis(s.number_raised(&options::BOND_REBALANCE_INTERVAL)),
        lacp_fallback_ab,
        active_member_mac: row
            .bond_active_slave
            .as_deref()
            .and_then(|m| m.parse().ok())
            .filter(|m: &EthAddr| !m.is_zero()),
        detect,
    }
}

/// LACP, also of a port with one interface. `None` = off.
pub(crate) fn lacp(row: &Port, is_bond: bool, warnings: &mut Vec<Warning>) -> Option<WantLacp> {
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
    let mut s = Section { table: "port", row: &row.name, map: &row.other_config, warnings };
    // As upstream, a bad identity turns LACP off rather than using another one.
    let system_id = match s.mac_as(&options::LACP_SYSTEM_ID, |value| {
        format!("port {}: LACP system ID ({value}) must be an Ethernet address.", row.name)
    }) {
        Ok(Some(mac)) if mac.is_zero() => {
            let text = format!("port {}: Invalid zero LACP system ID.", row.name);
            s.refuse_as(&options::LACP_SYSTEM_ID, Severity::Warn, text, "LACP is off");
            return None;
        }
        Ok(mac) => mac,
        Err(Unusable) => return None,
    };
    let given = s.map.contains_key(options::LACP_SYSTEM_PRIORITY.name);
    let priority = s.number(&options::LACP_SYSTEM_PRIORITY) as u16;
    Some(WantLacp {
        active,
        time: match s.word(&options::LACP_TIME, true) {
            "fast" => LacpTime::Fast,
            _ => LacpTime::Slow,
        },
        system_id,
        // A port that cannot be aggregated yields to one that can.
        system_priority: if given || is_bond { priority } else { u16::MAX },
        fallback_ab: s.flag(&options::LACP_FALLBACK_AB),
    })
}
