//! `Open_vSwitch.other_config`.

use std::time::Duration;

use ovsdb_client::rows::OpenVSwitch;

use crate::options::{self, millis};
use crate::warning::{Section, Warning};

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

pub(crate) fn switch_options(root: &OpenVSwitch, warnings: &mut Vec<Warning>) -> SwitchOptions {
    let mut s = Section { table: "open_vswitch", row: ".", map: &root.other_config, warnings };
    s.keys(options::OPEN_VSWITCH);
    SwitchOptions {
        stats_interval: millis(s.number_raised(&options::STATS_UPDATE_INTERVAL)),
        flow_limit: s.number(&options::FLOW_LIMIT) as usize,
        max_idle: millis(s.number_raised(&options::MAX_IDLE)),
        max_revalidator: millis(s.number_raised(&options::MAX_REVALIDATOR)),
        min_revalidate_pps: s.number(&options::MIN_REVALIDATE_PPS) as u64,
        flow_restore_wait: s.flag(&options::FLOW_RESTORE_WAIT),
        bundle_idle: bundle_idle(s.number(&options::BUNDLE_IDLE_TIMEOUT)),
        vlan_limit: s.number(&options::VLAN_LIMIT) as u8,
    }
}

/// 0 and the default are the same.
fn bundle_idle(seconds: i64) -> Duration {
    Duration::from_secs(if seconds == 0 { 10 } else { seconds.unsigned_abs() })
}
