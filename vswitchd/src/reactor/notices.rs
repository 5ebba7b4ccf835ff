//! Log lines about configurations, packets and flows.

use std::sync::Weak;

use datapath::Datapath;
use datapath::format::Show;
use ovsdb_client::Uuid;
use wire::Time;

use crate::log::{Level, RateLimit};
use crate::modules::{BRIDGE, DPIF, DPIF_NETDEV, UPCALL, VSWITCHD, XLATE};
use config::{Desired, Severity, Warning};

/// Logs what translation reports about packets. Any sender can cause these reports, so that they are
/// rate limited.
pub(super) fn log_report(r: &ofproto::XlateReport) {
    static WARNINGS: RateLimit = RateLimit::new(1, 5);
    static NEWS: RateLimit = RateLimit::new(1, 5);
    match r.level {
        // A trace of several lines, which its origin limits already.
        ofproto::ReportLevel::Warn if r.module == UPCALL.name() => {
            crate::warn!(UPCALL, "{}", r.text)
        }
        ofproto::ReportLevel::Warn => crate::warn_rl!(XLATE, WARNINGS, "{}", r.text),
        ofproto::ReportLevel::Info => crate::info_rl!(XLATE, NEWS, "{}", r.text),
    }
}

/// Logs flows: those that are installed at level DBG of `dpif_netdev`, those that the revalidator
/// dumps and modifies at level DBG of `dpif`.
pub(super) fn log_flow(
    datapath: &Weak<dyn Datapath>,
    dpif: &str,
    now: impl Fn() -> Time,
    event: ofproto::FlowEvent,
    flow: &datapath::FlowHandle,
) {
    static LIMIT: RateLimit = RateLimit::new(600, 600);
    let module = if event == ofproto::FlowEvent::Added { &DPIF_NETDEV } else { &DPIF };
    if !module.enabled(Level::Dbg) {
        return;
    }
    let table = |id| datapath.upgrade()?.table(id);
    let show = |more| Show { table: &table, names: None, more };
    match event {
        ofproto::FlowEvent::Added => {
            let shown = datapath::format::installed(flow, show(false));
            crate::dbg!(DPIF_NETDEV, "flow_add: {shown}");
        }
        ofproto::FlowEvent::Dumped => {
            let shown = datapath::format::dumped(flow, now(), show(true));
            crate::dbg_rl!(DPIF, LIMIT, "{dpif}: flow_dump {shown}");
        }
        ofproto::FlowEvent::Modified => {
            let shown = datapath::format::modified(flow, show(true));
            crate::dbg_rl!(DPIF, LIMIT, "{dpif}: put[modify] {shown}");
        }
    }
}

/// Tells the operator once that no database server has answered since the start.
pub(super) struct Awaited {
    /// Failed attempts; `None` once the message is written or a server has answered.
    failed: Option<u32>,
}

impl Awaited {
    /// The number of failed attempts after which the message is written. The first can fail because
    /// a host starts its services in parallel.
    const ATTEMPTS: u32 = 2;

    /// `embedded`: this process serves the database, and no message is written.
    pub(super) fn new(embedded: bool) -> Awaited {
        Awaited { failed: (!embedded).then_some(0) }
    }

    /// A server has answered.
    pub(super) fn answered(&mut self) {
        self.failed = None;
    }

    /// An attempt has failed.
    pub(super) fn failed(&mut self, remote: &str) {
        let Some(failed) = &mut self.failed else { return };
        *failed += 1;
        if *failed == Awaited::ATTEMPTS {
            self.failed = None;
            crate::info!(
                VSWITCHD,
                "{remote}: no OVSDB server answers; there are no bridges until one does: start \
                 ovsdb-server, or start ovs-vswitchd with --embedded-db, which serves the database \
                 itself"; "target" => remote);
        }
    }
}

/// Logs the warnings that the previous configuration did not have.
pub(super) fn log_new_warnings(old: &[Warning], new: &[Warning]) {
    for warning in new.iter().filter(|w| !old.contains(w)) {
        let Warning { table, row, column, key, value, severity, .. } = warning;
        // For example `"port":"bond0","column":"other_config","key":"bond-primary","value":"x"`.
        crate::log_at!(
            BRIDGE, level(*severity), "{warning}";
            "value" => value, "key" => key, "column" => column, *table => row
        );
    }
}

fn level(severity: Severity) -> Level {
    match severity {
        Severity::Err => Level::Err,
        Severity::Warn => Level::Warn,
        Severity::Info => Level::Info,
    }
}

/// Logs the complaints about mirrors that the previous configuration did not have.
pub(super) fn log_new_complaints(old: &Desired, new: &Desired) {
    let mirrors = |d: &Desired| -> Vec<(Uuid, Vec<(Severity, String)>)> {
        let all = d.bridges.iter().flat_map(|b| &b.mirrors);
        all.map(|m| (m.uuid, m.complaints.clone())).collect()
    };
    let known = mirrors(old);
    for bridge in &new.bridges {
        for mirror in &bridge.mirrors {
            if known.iter().any(|(u, c)| (u, c) == (&mirror.uuid, &mirror.complaints)) {
                continue;
            }
            for (severity, text) in &mirror.complaints {
                crate::log_at!(
                    BRIDGE, level(*severity), "{text}";
                    "bridge" => &bridge.name, "mirror" => mirror.uuid.to_string()
                );
            }
        }
    }
}
