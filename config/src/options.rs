//! Options as data: name, accepted form, default. Upstream's, and ours.
//!
//! Source: ovs-vswitchd.conf.db(5), and the running program where the two differ.

use std::time::Duration;

/// What an option's value may look like. The first word, or `default`, is taken when the key is
/// absent or its value is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `true` or `false`.
    Flag,
    /// A whole number in `min..=max`; `zero` allows 0 beside the range.
    Number { min: i64, max: i64, default: i64, zero: bool },
    /// One of these words; the first is the default.
    Word(&'static [&'static str]),
    /// `xx:xx:xx:xx:xx:xx`.
    Mac,
    /// Any text.
    Text,
    /// A key that programs other than the switch read; its value is not looked at here.
    Known,
    /// A key that Open vSwitch uses and this switch does not. These values, each Open vSwitch's
    /// default or what this switch does in any case, ask for nothing; any other is warned of.
    Inert(&'static [&'static str]),
}

/// One key of an `other_config` column.
#[derive(Clone, Copy, Debug)]
pub struct Opt {
    pub name: &'static str,
    pub form: Form,
    /// What the value means, with its unit; said in warnings.
    pub unit: &'static str,
}

const fn opt(name: &'static str, form: Form, unit: &'static str) -> Opt {
    Opt { name, form, unit }
}

const fn number(name: &'static str, min: i64, max: i64, default: i64, unit: &'static str) -> Opt {
    opt(name, Form::Number { min, max, default, zero: false }, unit)
}

const fn number_or_off(
    name: &'static str,
    min: i64,
    max: i64,
    default: i64,
    unit: &'static str,
) -> Opt {
    opt(name, Form::Number { min, max, default, zero: true }, unit)
}

const fn flag(name: &'static str) -> Opt {
    opt(name, Form::Flag, "")
}

const fn known(name: &'static str) -> Opt {
    opt(name, Form::Known, "")
}

const fn inert(name: &'static str, harmless: &'static [&'static str]) -> Opt {
    opt(name, Form::Inert(harmless), "")
}

/// The largest time that an option takes: 24 days, what a 32-bit count of milliseconds holds.
pub const MAX_MS: i64 = i32::MAX as i64;

// Port.other_config.
pub const BOND_DETECT_MODE: Opt = opt("bond-detect-mode", Form::Word(&["carrier", "miimon"]), "");
pub const BOND_MIIMON_INTERVAL: Opt = number("bond-miimon-interval", 1, MAX_MS, 200, "ms");
pub const BOND_HASH_BASIS: Opt = number("bond-hash-basis", i32::MIN as i64, u32::MAX as i64, 0, "");
pub const BOND_REBALANCE_INTERVAL: Opt =
    number_or_off("bond-rebalance-interval", 1000, MAX_MS, 10_000, "ms, 0 = off");
pub const BOND_PRIMARY: Opt = opt("bond-primary", Form::Text, "an interface's name");
pub const BOND_PRIMARY_RESELECT: Opt =
    opt("bond-primary-reselect", Form::Word(&["always", "better", "failure"]), "");
pub const BOND_FAILBACK_DELAY: Opt = number_or_off("bond-failback-delay", 1, MAX_MS, 0, "ms");
pub const BOND_FAILBACK_LIMIT: Opt =
    number_or_off("bond-failback-limit", 1, 1_000_000, 0, "an hour, 0 = no limit");
pub const BOND_LOOP_PROTECT: Opt = flag("bond-loop-protect");
pub const ALL_MEMBERS_ACTIVE: Opt = flag("all-members-active");
pub const LB_OUTPUT_ACTION: Opt = flag("lb-output-action");
pub const LACP_SYSTEM_ID: Opt = opt("lacp-system-id", Form::Mac, "");
pub const LACP_SYSTEM_PRIORITY: Opt =
    number("lacp-system-priority", 1, 65_535, 65_534, "lower is preferred");
pub const LACP_TIME: Opt = opt("lacp-time", Form::Word(&["slow", "fast"]), "");
pub const LACP_FALLBACK_AB: Opt = flag("lacp-fallback-ab");
pub const PRIORITY_TAGS: Opt =
    opt("priority-tags", Form::Word(&["never", "if-nonzero", "always", "true", "no", "false"]), "");
pub const QINQ_ETHTYPE: Opt = opt("qinq-ethtype", Form::Word(&["802.1ad", "802.1q"]), "");

/// `Port.other_config`.
pub const PORT: &[Opt] = &[
    BOND_DETECT_MODE,
    BOND_MIIMON_INTERVAL,
    BOND_HASH_BASIS,
    BOND_REBALANCE_INTERVAL,
    BOND_PRIMARY,
    BOND_PRIMARY_RESELECT,
    BOND_FAILBACK_DELAY,
    BOND_FAILBACK_LIMIT,
    BOND_LOOP_PROTECT,
    ALL_MEMBERS_ACTIVE,
    LB_OUTPUT_ACTION,
    LACP_SYSTEM_ID,
    LACP_SYSTEM_PRIORITY,
    LACP_TIME,
    LACP_FALLBACK_AB,
    PRIORITY_TAGS,
    QINQ_ETHTYPE,
    inert("mcast-snooping-flood", &["false"]),
    inert("mcast-snooping-flood-reports", &["false"]),
    inert("rstp-enable", &["true"]),
    inert("rstp-path-cost", &[]),
    inert("rstp-port-admin-edge", &["false"]),
    inert("rstp-port-auto-edge", &["true"]),
    inert("rstp-port-mcheck", &["false"]),
    inert("rstp-port-num", &[]),
    inert("rstp-port-priority", &["128"]),
    inert("stp-enable", &["true"]),
    inert("stp-path-cost", &[]),
    inert("stp-port-num", &[]),
    inert("stp-port-priority", &["128"]),
    known("transient"),
];

// Interface.other_config.
pub const LACP_PORT_ID: Opt = number_or_off("lacp-port-id", 1, 65_535, 0, "");
pub const LACP_PORT_PRIORITY: Opt =
    number("lacp-port-priority", 1, 65_535, 65_535, "lower is preferred");
pub const LACP_AGGREGATION_KEY: Opt = number_or_off("lacp-aggregation-key", 1, 65_535, 0, "");
pub const BOND_MEMBER_PRIORITY: Opt =
    number("bond-member-priority", i32::MIN as i64, i32::MAX as i64, 0, "higher is preferred");
pub const CFM_CCM_PCP: Opt = number("cfm_ccm_pcp", 0, 7, 0, "a priority");
pub const CFM_CCM_VLAN: Opt = opt("cfm_ccm_vlan", Form::Text, "random, or 0 to 4095");
pub const CFM_DEMAND: Opt = flag("cfm_demand");
pub const CFM_EXTENDED: Opt = flag("cfm_extended");
pub const CFM_INTERVAL: Opt = number("cfm_interval", 1, MAX_MS, 1000, "ms");
pub const CFM_OPSTATE: Opt = opt("cfm_opstate", Form::Word(&["up", "down"]), "");

/// `Interface.other_config`.
pub const INTERFACE: &[Opt] = &[
    LACP_PORT_ID,
    LACP_PORT_PRIORITY,
    LACP_AGGREGATION_KEY,
    BOND_MEMBER_PRIORITY,
    CFM_CCM_PCP,
    CFM_CCM_VLAN,
    CFM_DEMAND,
    CFM_EXTENDED,
    CFM_INTERVAL,
    CFM_OPSTATE,
    inert("emc-enable", &["true"]),
    inert("hw-offload-priority", &[]),
    inert("pmd-rxq-affinity", &[]),
    inert("tx-steering", &["thread"]),
];

// Interface.bfd.
pub const BFD_ENABLE: Opt = flag("enable");
pub const BFD_MIN_RX: Opt = number("min_rx", 1, MAX_MS, 1000, "ms");
pub const BFD_MIN_TX: Opt = number("min_tx", 1, MAX_MS, 100, "ms");
pub const BFD_DECAY_MIN_RX: Opt = number_or_off("decay_min_rx", 1, MAX_MS, 0, "ms, 0 = off");
pub const BFD_FORWARDING_IF_RX: Opt = flag("forwarding_if_rx");
pub const BFD_CPATH_DOWN: Opt = flag("cpath_down");
pub const BFD_MULT: Opt = number("mult", 1, 255, 3, "packets");
pub const BFD_LOCAL_SRC_MAC: Opt = opt("bfd_local_src_mac", Form::Mac, "");
pub const BFD_LOCAL_DST_MAC: Opt = opt("bfd_local_dst_mac", Form::Mac, "");
pub const BFD_REMOTE_DST_MAC: Opt = opt("bfd_remote_dst_mac", Form::Mac, "");
pub const BFD_SRC_IP: Opt = opt("bfd_src_ip", Form::Text, "an IPv4 address");
pub const BFD_DST_IP: Opt = opt("bfd_dst_ip", Form::Text, "an IPv4 address");

/// `Interface.bfd`.
pub const BFD: &[Opt] = &[
    BFD_ENABLE,
    BFD_MIN_RX,
    BFD_MIN_TX,
    BFD_DECAY_MIN_RX,
    BFD_FORWARDING_IF_RX,
    BFD_CPATH_DOWN,
    BFD_MULT,
    BFD_LOCAL_SRC_MAC,
    BFD_LOCAL_DST_MAC,
    BFD_REMOTE_DST_MAC,
    BFD_SRC_IP,
    BFD_DST_IP,
    // Of tunnels.
    inert("check_tnl_key", &["false"]),
    inert("oam", &["false"]),
];

// Bridge.other_config.
pub const HWADDR: Opt = opt("hwaddr", Form::Mac, "");
pub const DATAPATH_ID: Opt = opt("datapath-id", Form::Text, "16 hexadecimal digits");
pub const FORWARD_BPDU: Opt = flag("forward-bpdu");
pub const MAC_AGING_TIME: Opt = number_or_off("mac-aging-time", 15, 3600, 300, "s");
pub const MAC_TABLE_SIZE: Opt = number_or_off("mac-table-size", 10, 1_000_000, 8192, "");

pub const CONTROLLER_QUEUE_SIZE: Opt = number("controller-queue-size", 1, 512, 100, "packets");
pub const IN_BAND_QUEUE: Opt =
    number("in-band-queue", -1, u32::MAX as i64, -1, "a queue, -1 = none");
pub const DISABLE_IN_BAND: Opt = flag("disable-in-band");
pub const DP_DESC: Opt = opt("dp-desc", Form::Text, "");
pub const DP_SN: Opt = opt("dp-sn", Form::Text, "");

/// `Bridge.other_config`.
pub const BRIDGE: &[Opt] = &[
    HWADDR,
    DATAPATH_ID,
    FORWARD_BPDU,
    MAC_AGING_TIME,
    MAC_TABLE_SIZE,
    CONTROLLER_QUEUE_SIZE,
    DISABLE_IN_BAND,
    DP_DESC,
    DP_SN,
    IN_BAND_QUEUE,
    inert("mcast-snooping-aging-time", &["300"]),
    inert("mcast-snooping-disable-flood-unregistered", &["false"]),
    inert("mcast-snooping-table-size", &["2048"]),
    inert("rstp-address", &[]),
    inert("rstp-ageing-time", &["300"]),
    inert("rstp-force-protocol-version", &["2"]),
    inert("rstp-forward-delay", &["15"]),
    inert("rstp-max-age", &["20"]),
    inert("rstp-priority", &["32768"]),
    inert("rstp-transmit-hold-count", &["6"]),
    inert("stp-forward-delay", &["15"]),
    inert("stp-hello-time", &["2"]),
    inert("stp-max-age", &["20"]),
    inert("stp-priority", &["32768"]),
    inert("stp-system-id", &[]),
];

// Open_vSwitch.other_config.
pub const STATS_UPDATE_INTERVAL: Opt = number("stats-update-interval", 5000, MAX_MS, 5000, "ms");
pub const FLOW_LIMIT: Opt = number("flow-limit", 0, u32::MAX as i64, 200_000, "flows");
pub const VLAN_LIMIT: Opt = number_or_off("vlan-limit", 1, 2, 1, "tags, 0 = as many as can be");
pub const MAX_IDLE: Opt = number("max-idle", 1, MAX_MS, 10_000, "ms");
pub const MAX_REVALIDATOR: Opt = number("max-revalidator", 100, MAX_MS, 500, "ms");
pub const MIN_REVALIDATE_PPS: Opt =
    number_or_off("min-revalidate-pps", 1, u32::MAX as i64, 5, "packets in a second, 0 = off");
pub const FLOW_RESTORE_WAIT: Opt = flag("flow-restore-wait");
pub const BUNDLE_IDLE_TIMEOUT: Opt =
    number_or_off("bundle-idle-timeout", 1, u32::MAX as i64, 10, "s, 0 = the default");

/// `Open_vSwitch.other_config`.
pub const OPEN_VSWITCH: &[Opt] = &[
    STATS_UPDATE_INTERVAL,
    FLOW_LIMIT,
    VLAN_LIMIT,
    MAX_IDLE,
    MAX_REVALIDATOR,
    MIN_REVALIDATE_PPS,
    FLOW_RESTORE_WAIT,
    BUNDLE_IDLE_TIMEOUT,
    inert("dpdk-alloc-mem", &[]),
    inert("dpdk-extra", &[]),
    inert("dpdk-hugepage-dir", &[]),
    inert("dpdk-init", &["false", "try"]),
    inert("dpdk-lcore-mask", &[]),
    inert("dpdk-probe-at-init", &["false"]),
    inert("dpdk-socket-limit", &[]),
    inert("dpdk-socket-mem", &[]),
    inert("emc-insert-inv-prob", &["100"]),
    inert("enable-statistics", &["false"]),
    inert("explicit-sampled-drops", &["false"]),
    inert("hw-offload", &["false"]),
    inert("hw-offload-priority", &[]),
    inert("n-handler-threads", &["1"]),
    inert("n-offload-threads", &["1"]),
    inert("n-revalidator-threads", &["1"]),
    inert("offload-rebalance", &["false"]),
    inert("offloaded-stats-delay", &["2000"]),
    inert("per-port-memory", &["false"]),
    inert("pmd-auto-lb", &["false"]),
    inert("pmd-auto-lb-improvement-threshold", &["25"]),
    inert("pmd-auto-lb-load-threshold", &["95"]),
    inert("pmd-auto-lb-rebal-interval", &["1"]),
    inert("pmd-cpu-mask", &[]),
    // The name of `pmd-sleep-max` in 3.1.
    inert("pmd-maxsleep", &["0"]),
    inert("pmd-perf-metrics", &["false"]),
    inert("pmd-rxq-assign", &["cycles"]),
    inert("pmd-rxq-isolate", &["true"]),
    inert("pmd-sleep-max", &["0"]),
    inert("shared-mempool-config", &[]),
    inert("smc-enable", &["false"]),
    inert("tc-policy", &["none"]),
    inert("tx-flush-interval", &["0"]),
    inert("userspace-tso-enable", &["false"]),
    inert("vhost-iommu-support", &["false"]),
    inert("vhost-postcopy-support", &["false"]),
    inert("vhost-sock-dir", &[]),
    // ovs-monitor-ipsec reads these.
    known("ca_cert"),
    known("certificate"),
    known("ipsec_skb_mark"),
    known("private_key"),
];

// Controller.other_config.
pub const DSCP: Opt = number("dscp", 0, 63, 48, "a differentiated services code point");

/// `Controller.other_config`.
pub const CONTROLLER: &[Opt] = &[DSCP];

/// A time in an option; a negative one is none.
pub(crate) fn millis(ms: i64) -> Duration {
    Duration::from_millis(ms.max(0) as u64)
}

/// The nearest key of `table` to `key`: at most a third of its letters apart, and the smallest
/// distance wins, then the first of the table.
pub fn nearest(table: &[Opt], key: &str) -> Option<&'static str> {
    let folded = key.replace('_', "-").to_ascii_lowercase();
    table
        .iter()
        .map(|o| (distance(&folded, &o.name.replace('_', "-")), o.name))
        .filter(|(d, name)| *d <= (name.len() / 3).clamp(1, 6))
        .min_by_key(|(d, _)| *d)
        .map(|(_, name)| name)
}

/// Edits (insert, delete, replace, swap of neighbours) between two short words.
pub fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(80).collect(), b.chars().collect());
    let mut before = vec![0; b.len() + 1];
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut next = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            next[j] = (row[j - 1] + same).min(row[j] + 1).min(next[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                next[j] = next[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut row, next);
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, d) in [
            ("", "abc", 3),
            ("abc", "abc", 0),
            ("bond-primray", "bond-primary", 1),
            ("bond-prmary", "bond-primary", 1),
            ("kitten", "sitting", 3),
        ] {
            assert_eq!(distance(a, b), d, "{a} {b}");
        }
    }

    #[test]
    fn nearest_keys() {
        assert_eq!(nearest(PORT, "bond_primary"), Some("bond-primary"));
        assert_eq!(nearest(PORT, "bond-primry"), Some("bond-primary"));
        assert_eq!(nearest(PORT, "bond-failbackdelay"), Some("bond-failback-delay"));
        assert_eq!(nearest(PORT, "lacp-tiem"), Some("lacp-time"));
        assert_eq!(nearest(PORT, "owner"), None);
    }
}
