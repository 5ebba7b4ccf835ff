//! What main says in the log of configurations, packets and flows.

use std::fmt::Display;
use std::sync::Weak;

use datapath::Datapath;
use datapath::format::Show;
use ovsdb_client::Uuid;
use wire::Time;

use crate::log::{Level, RateLimit};
use crate::modules::{BRIDGE, DPIF, DPIF_NETDEV, UPCALL, VSWITCHD, XLATE};
use config::{Desired, Severity, Warning};

/// What translation finds odd about packets, which whoever sends them can repeat at will.
pub(super) fn log_report(r: &ofproto::XlateReport) {
    static WARNINGS: RateLimit = RateLimit::new(1, 5);
    static NEWS: RateLimit = RateLimit::new(1, 5);
    match r.level {
        // Long, and seldom as it is.
        ofproto::ReportLevel::Warn if r.module == UPCALL.name() => {
            crate::warn!(UPCALL, "{}", r.text)
        }
        ofproto::ReportLevel::Warn => crate::warn_rl!(XLATE, WARNINGS, "{}", r.text),
        ofproto::ReportLevel::Info => crate::info_rl!(XLATE, NEWS, "{}", r.text),
    }
}

/// Each flow that is installed, for those who set `dpif_netdev:dbg`, and what the revalidator sees
/// and does of flows for those who set `dpif:dbg`.
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

/// A database server that has not answered since the start.
pub(super) struct Awaited {
    /// Attempts that have failed; `None` when there is nothing to say any more.
    failed: Option<u32>,
}

impl Awaited {
    /// After how many failed attempts it is said what the switch waits for. The first may be a
    /// matter of the order in which a host starts its services.
    const ATTEMPTS: u32 = 2;

    /// Nothing is said of the database that this process serves itself.
    pub(super) fn new(embedded: bool) -> Awaited {
        Awaited { failed: (!embedded).then_some(0) }
    }

    /// It has answered.
    pub(super) fn answered(&mut self) {
        self.failed = None;
    }

    /// An attempt has failed: says once what to do.
    pub(super) fn failed(&mut self, remote: &str) {
        let Some(failed) = &mut self.failed else { return };
        *failed += 1;
        if *failed == Awaited::ATTEMPTS {
            self.failed = None;
            crate::info!(
                VSWITCHD,
                "{remote}: no OVSDB server answers; there are no bridges until one does: start \
                 ovsdb-server, or start ovs-vswitchd with --embedded-db, which serves the database \
                 itself"
            );
        }
    }
}

/// What is wrong is said when it appears, not at every change of something else.
pub(super) fn log_new_warnings(old: &[Warning], new: &[Warning]) {
    for warning in new.iter().filter(|w| !old.contains(w)) {
        log(warning.severity, warning);
    }
}

fn log(severity: Severity, text: impl Display) {
    match severity {
        Severity::Err => crate::err!(BRIDGE, "{text}"),
        Severity::Warn => crate::warn!(BRIDGE, "{text}"),
        Severity::Info => crate::info!(BRIDGE, "{text}"),
    }
}

/// The same for rows that Open vSwitch complains of in words of its own.
pub(super) fn log_new_complaints(old: &Desired, new: &Desired) {
    let mirrors = |d: &Desired| -> Vec<(Uuid, Vec<(Severity, String)>)> {
        let all = d.bridges.iter().flat_map(|b| &b.mirrors);
        all.map(|m| (m.uuid, m.complaints.clone())).collect()
    };
    let known = mirrors(old);
    for (_, complaints) in mirrors(new).iter().filter(|m| !known.contains(m)) {
        for (severity, text) in complaints {
            log(*severity, text);
        }
    }
}
