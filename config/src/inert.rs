//! Keys that have no effect on this switch: those that Open vSwitch uses and this switch does not,
//! and those that other programs keep in the same columns.

/// A key that Open vSwitch or Linux bonding uses and this switch does not.
pub(crate) struct Inert {
    pub(crate) key: &'static str,
    /// Values that ask for nothing: Open vSwitch's default, or what this switch does in any case.
    /// Any other is warned of.
    harmless: &'static [&'static str],
    /// Where it has an effect.
    pub(crate) known_to: &'static str,
}

impl Inert {
    /// Whether the switch behaves as the value says.
    pub(crate) fn asks_for_nothing(&self, value: &str) -> bool {
        self.harmless.iter().any(|h| h.eq_ignore_ascii_case(value.trim()))
    }
}

const fn inert(key: &'static str, harmless: &'static [&'static str]) -> Inert {
    Inert { key, harmless, known_to: "Open vSwitch" }
}

const fn of_linux(key: &'static str, harmless: &'static [&'static str]) -> Inert {
    Inert { key, harmless, known_to: "Linux bonding" }
}

/// `Port.other_config`.
pub(crate) const PORT: &[Inert] = &[
    // The number of reports that are sent again; it needs snooping.
    of_linux("bond-resend-igmp", &["0"]),
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
];

/// `Interface.other_config`.
pub(crate) const INTERFACE: &[Inert] = &[
    inert("emc-enable", &["true"]),
    inert("hw-offload-priority", &[]),
    inert("pmd-rxq-affinity", &[]),
    inert("tx-steering", &["thread"]),
];

/// `Interface.bfd`.
pub(crate) const BFD: &[Inert] = &[
    // Of tunnels.
    inert("check_tnl_key", &["false"]),
    inert("oam", &["false"]),
];

/// `Bridge.other_config`.
pub(crate) const BRIDGE: &[Inert] = &[
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

/// `Open_vSwitch.other_config`.
pub(crate) const OPEN_VSWITCH: &[Inert] = &[
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
];

/// Keys of other programs in `Port.other_config`.
pub(crate) const PORT_FOREIGN: &[&str] = &[
    // OpenStack Neutron's agent keeps its networks here.
    "net_uuid",
    "network_type",
    "physical_network",
    "segmentation_id",
    "tag",
    // `ovs-ctl` deletes ports with this key.
    "transient",
];

/// Keys of other programs in `Open_vSwitch.other_config`.
pub(crate) const OPEN_VSWITCH_FOREIGN: &[&str] = &[
    // `ovs-monitor-ipsec` reads these.
    "ca_cert",
    "certificate",
    "ipsec_skb_mark",
    "private_key",
    // OpenDaylight reads these.
    "local_ip",
    "provider_mappings",
];

/// The nearest of some keys to `key`: at most a third of its letters apart, and the smallest
/// distance wins, then the first.
pub(crate) fn nearest(keys: impl Iterator<Item = &'static str>, key: &str) -> Option<&'static str> {
    // Keys have at most some 40 letters; a value from outside may be long.
    let folded: String = key.replace('_', "-").to_ascii_lowercase().chars().take(80).collect();
    keys.map(|known| (strsim::osa_distance(&folded, &known.replace('_', "-")), known))
        .filter(|(distance, known)| *distance <= (known.len() / 3).clamp(1, 6))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bond::{BOND, LACP};
    use crate::option::keys;

    #[test]
    fn misspelt_key_finds_nearest() {
        let port = || keys(BOND).into_iter().chain(keys(LACP)).chain(PORT.iter().map(|i| i.key));
        for (key, near) in [
            ("bond_primary", Some("bond-primary")),
            ("bond-primry", Some("bond-primary")),
            ("bond-primray", Some("bond-primary")),
            ("bond-failbackdelay", Some("bond-failback-delay")),
            ("lacp-tiem", Some("lacp-time")),
            ("owner", None),
        ] {
            assert_eq!(nearest(port(), key), near, "{key}");
        }
    }
}
