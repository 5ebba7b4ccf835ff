//! The modes of Linux bonding: `bond-policy` of a `Port` row and its options.
//!
//! The column `bond_mode` takes Open vSwitch's modes only. `bond-policy` takes its place where the
//! column is empty or has its default, active-backup; another mode in the column, or LACP that the
//! policy cannot have, contradicts it. Then `bond_mode` stays in force.

use bond::{BondConfig, Mode, PolicyConfig};
use ovsdb_client::rows::Port;
use wire::HashPolicy;

use crate::option::{Opt, range};
use crate::section::Section;

const POLICY_KEY: &str = "bond-policy";
const HASH: &str = "bond-hash-policy";
const PACKETS: &str = "bond-packets-per-member";
const DYNAMIC: &str = "bond-tlb-dynamic";

/// The modes that a policy can ask for.
const POLICIES: &[Mode] = &[
    Mode::ActiveBackup,
    Mode::BalanceRr,
    Mode::BalanceXor,
    Mode::Broadcast,
    Mode::BalanceTlb,
    Mode::Ieee8023ad,
];
/// Those that share the traffic by a transmit hash.
const HASHED: &[Mode] = &[Mode::BalanceXor, Mode::BalanceTlb, Mode::Ieee8023ad];
/// Those that work with LACP.
const WITH_LACP: &[Mode] = &[Mode::ActiveBackup, Mode::Ieee8023ad];
const TURNS: &[Mode] = &[Mode::BalanceRr];
const TLB: &[Mode] = &[Mode::BalanceTlb];

/// What [`POLICY`] sets.
#[derive(Default)]
pub(crate) struct PolicyRow {
    mode: Option<Mode>,
    config: PolicyConfig,
}

/// Keys of `Port.other_config` that choose one of Linux's modes.
pub(crate) const POLICY: &[Opt<PolicyRow>] = &[
    Opt::word(
        POLICY_KEY,
        "a mode of Linux bonding, in place of bond_mode; 802.3ad needs LACP",
        &[
            "none",
            "active-backup",
            "balance-rr",
            "balance-xor",
            "broadcast",
            "balance-tlb",
            "802.3ad",
        ],
        |p: &mut PolicyRow, name| {
            p.mode = POLICIES.iter().copied().find(|m| m.as_str() == name);
        },
    )
    .since("0.1.0"),
    Opt::word(
        HASH,
        "what decides, by Linux's hash, which member sends a packet",
        &["l2", "l2+3", "l3+4", "encap2+3", "encap3+4", "vlan+srcmac"],
        |p: &mut PolicyRow, name| {
            p.config.hash = HashPolicy::from_name(name).unwrap_or_default();
        },
    )
    .since("0.1.0")
    .modes(HASHED),
    Opt::number(
        PACKETS,
        "packets that a member sends before it is the next one's turn",
        range(0, u16::MAX as i64, 1, "packets").note("0 = a random member for each packet"),
        |p: &mut PolicyRow, n| p.config.packets_per_member = n as u16,
    )
    .since("0.1.0")
    .modes(TURNS),
    Opt::word(
        DYNAMIC,
        "move traffic by load and speed; otherwise the hash decides alone",
        &["true", "false"],
        |p: &mut PolicyRow, word| p.config.tlb_dynamic = word == "true",
    )
    .since("0.1.0")
    .modes(TLB),
];

fn names(modes: &[Mode]) -> String {
    modes.iter().map(|m| m.as_str()).collect::<Vec<_>>().join(", ")
}

/// Reads the policy, and puts it in place of the mode unless the two contradict each other.
pub(crate) fn read(row: &Port, s: &mut Section<'_>, config: &mut BondConfig) {
    let mut want = PolicyRow::default();
    s.read(POLICY, &mut want);
    config.policy = want.config;
    if let Some(policy) = want.mode {
        match contradiction(row, config.mode, policy) {
            None => config.mode = policy,
            Some(why) => {
                s.warn(
                    POLICY_KEY,
                    format!("{why}; bond_mode={} is in force", config.mode.as_str()),
                );
            }
        }
    }
    for (key, modes) in [(HASH, HASHED), (PACKETS, TURNS), (DYNAMIC, TLB)] {
        if s.map.contains_key(key) && !modes.contains(&config.mode) {
            let (modes, mode) = (names(modes), config.mode.as_str());
            s.warn(key, format!("has an effect with bond-policy {modes}, not with {mode}"));
        }
    }
}

/// Why a policy cannot be used with the row's other columns, and what can.
fn contradiction(row: &Port, mode: Mode, policy: Mode) -> Option<String> {
    let lacp = row.lacp.as_deref().filter(|l| matches!(*l, "active" | "passive"));
    let with_mode: &[Mode] = match mode {
        Mode::BalanceSlb => &[],
        Mode::BalanceTcp => &[Mode::Ieee8023ad],
        // The column's default asks for nothing.
        _ => POLICIES,
    };
    if !with_mode.contains(&policy) {
        let accepted = match with_mode {
            [] => "accepted with it is no policy".to_owned(),
            accepted => format!("accepted with it is {}", names(accepted)),
        };
        return Some(format!("contradicts bond_mode={}; {accepted}", mode.as_str()));
    }
    match lacp {
        Some(lacp) if !WITH_LACP.contains(&policy) => {
            let accepted = names(WITH_LACP);
            Some(format!("contradicts lacp={lacp}; accepted with it are {accepted}"))
        }
        None if policy == Mode::Ieee8023ad => {
            Some("needs LACP; accepted with it are lacp=active, lacp=passive".to_owned())
        }
        Some(_) | None => None,
    }
}
