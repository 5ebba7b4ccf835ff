//! `Open_vSwitch.other_config`.

use std::path::PathBuf;
use std::time::Duration;

use ovsdb_client::rows::OpenVSwitch;

use crate::inert;
use crate::option::{MAX_MS, OVS, Opt, Outside, keys, millis, range};
use crate::proc_dir::PROC_DIR;
use crate::section::Section;
use crate::warning::Warning;

/// `Open_vSwitch.other_config`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SwitchOptions {
    /// `stats-update-interval`.
    pub stats_interval: Duration,
    /// `flow-limit`.
    pub flow_limit: usize,
    /// `max-idle`: a flow without traffic goes after this time.
    pub max_idle: Duration,
    /// `max-revalidator`: the longest time between two rounds of the revalidator.
    pub max_revalidator: Duration,
    /// `min-revalidate-pps`: a flow with fewer packets in a second is dropped rather than translated
    /// again while rounds take long; 0 = never.
    pub min_revalidate_pps: u64,
    /// `flow-restore-wait`: at a start nothing is forwarded and no controller is connected while
    /// this is set. Later it has no effect.
    pub flow_restore_wait: bool,
    /// `bundle-idle-timeout`: a bundle of OpenFlow messages that has had none for so long is
    /// discarded.
    pub bundle_idle: Duration,
    /// `vlan-limit`: VLAN tags that are looked at, 1 or 2; 0 = as many as can be.
    pub vlan_limit: u8,
}

impl Default for SwitchOptions {
    fn default() -> SwitchOptions {
        SwitchOptions {
            stats_interval: Duration::from_secs(5),
            flow_limit: 200_000,
            max_idle: Duration::from_secs(10),
            max_revalidator: Duration::from_millis(500),
            min_revalidate_pps: 5,
            flow_restore_wait: false,
            bundle_idle: Duration::from_secs(10),
            vlan_limit: 1,
        }
    }
}

impl SwitchOptions {
    /// What of them concerns the revalidator.
    pub fn revalidator(&self) -> ofproto::RevalidatorOptions {
        ofproto::RevalidatorOptions {
            flow_limit: self.flow_limit,
            max_idle: self.max_idle,
            max_revalidator: self.max_revalidator,
            min_pps: self.min_revalidate_pps,
        }
    }
}

/// Keys of `Open_vSwitch.other_config`.
pub(crate) const OPEN_VSWITCH: &[Opt<SwitchOptions>] = &[
    Opt::number(
        "stats-update-interval",
        "interval at which statistics are written to the database",
        range(5000, MAX_MS, 5000, "ms").outside(Outside::Raise),
        |s: &mut SwitchOptions, ms| s.stats_interval = millis(ms),
    )
    .since(OVS),
    Opt::number(
        "flow-limit",
        "most flows in the datapath",
        range(0, u32::MAX as i64, 200_000, "flows"),
        |s: &mut SwitchOptions, n| s.flow_limit = n as usize,
    )
    .since(OVS),
    Opt::number(
        "vlan-limit",
        "VLAN tags of a packet that are looked at",
        range(1, 2, 1, "tags").note("0 = as many as can be").or_zero(),
        |s: &mut SwitchOptions, n| s.vlan_limit = n as u8,
    )
    .since(OVS),
    Opt::number(
        "max-idle",
        "time without traffic after which a flow leaves the datapath",
        range(1, MAX_MS, 10_000, "ms").outside(Outside::Raise),
        |s: &mut SwitchOptions, ms| s.max_idle = millis(ms),
    )
    .since(OVS),
    Opt::number(
        "max-revalidator",
        "longest time between two rounds of the revalidator",
        range(100, MAX_MS, 500, "ms").outside(Outside::Raise),
        |s: &mut SwitchOptions, ms| s.max_revalidator = millis(ms),
    )
    .since(OVS),
    Opt::number(
        "min-revalidate-pps",
        "rate below which a flow is deleted rather than translated again while rounds take long",
        range(1, u32::MAX as i64, 5, "packets in a second").note("0 = off").or_zero(),
        |s: &mut SwitchOptions, n| s.min_revalidate_pps = n as u64,
    )
    .since(OVS),
    Opt::flag(
        "flow-restore-wait",
        "forward nothing and connect no controller until it is removed, at a start",
        |s: &mut SwitchOptions, on| s.flow_restore_wait = on,
    )
    .since(OVS),
    Opt::number(
        "bundle-idle-timeout",
        "time after which an OpenFlow bundle without messages is discarded",
        range(1, u32::MAX as i64, 10, "s").note("0 = the default").or_zero(),
        |s: &mut SwitchOptions, n| {
            s.bundle_idle = Duration::from_secs(if n == 0 { 10 } else { n.unsigned_abs() })
        },
    )
    .since(OVS),
];

/// `bond-proc-dir`: where a file is kept for each bond; `None` = nowhere.
pub(crate) fn bond_proc_dir(root: &OpenVSwitch, warnings: &mut Vec<Warning>) -> Option<PathBuf> {
    let mut dir = None;
    Section::other_config("open_vswitch", ".", &root.other_config, warnings)
        .read(PROC_DIR, &mut dir);
    dir
}

pub(crate) fn switch_options(root: &OpenVSwitch, warnings: &mut Vec<Warning>) -> SwitchOptions {
    let mut s = Section::other_config("open_vswitch", ".", &root.other_config, warnings);
    s.check_keys(
        &[keys(OPEN_VSWITCH), keys(PROC_DIR)],
        inert::OPEN_VSWITCH,
        inert::OPEN_VSWITCH_FOREIGN,
    );
    let mut options = SwitchOptions::default();
    s.read(OPEN_VSWITCH, &mut options);
    options
}
