//! What a translation reports: to `ofproto/trace` as a tree, else to the log.

use openflow::text::{Names, NoNames};
use openflow::{Fields, OfPort};

use crate::snapshot::Bridge;
use crate::trace::{NodeKind, TraceTree};

use super::xlate::{ReportLevel, XlateReport};

/// Reports kept of one translation.
const MAX_REPORTS: usize = 8;

/// See the module.
pub(super) struct XlateTrace<'a> {
    tree: Option<&'a mut TraceTree>,
    /// Ports are named in the tree.
    names: bool,
    /// Errors go to the log: a packet, not only a question, is translated.
    log: bool,
    reports: Vec<XlateReport>,
}

impl<'a> XlateTrace<'a> {
    /// Reports to `tree` if there is one, else to the log if `log` is set.
    pub(super) fn new(tree: Option<&'a mut TraceTree>, names: bool, log: bool) -> XlateTrace<'a> {
        XlateTrace { tree, names, log, reports: Vec::new() }
    }

    /// Whether there is a tree.
    pub(super) fn is_on(&self) -> bool {
        self.tree.is_some()
    }

    /// Adds a node to the tree.
    pub(super) fn note(&mut self, kind: NodeKind, text: impl Into<String>) {
        if let Some(t) = &mut self.tree {
            t.note(kind, text);
        }
    }

    /// As [`XlateTrace::note`]; what follows comes under it until [`XlateTrace::leave_to`].
    pub(super) fn enter(&mut self, kind: NodeKind, text: impl FnOnce() -> String) {
        if let Some(t) = &mut self.tree {
            t.enter(kind, text());
        }
    }

    /// The level of the tree that new nodes come to.
    pub(super) fn depth(&self) -> usize {
        self.tree.as_ref().map_or(0, |t| t.depth())
    }

    /// Goes back to a level.
    pub(super) fn leave_to(&mut self, depth: usize) {
        if let Some(t) = &mut self.tree {
            t.leave_to(depth);
        }
    }

    /// Something is wrong with the packet, which is now `flow`, or with a table.
    pub(super) fn error(&mut self, bridge: &Bridge, flow: &Fields, text: String) {
        self.report(NodeKind::Error, ReportLevel::Warn, bridge, flow, text);
    }

    /// Something is unusual.
    pub(super) fn info(&mut self, bridge: &Bridge, flow: &Fields, text: String) {
        self.report(NodeKind::Warning, ReportLevel::Info, bridge, flow, text);
    }

    fn report(
        &mut self,
        kind: NodeKind,
        level: ReportLevel,
        bridge: &Bridge,
        flow: &Fields,
        text: String,
    ) {
        if let Some(t) = &mut self.tree {
            t.note(kind, text);
        } else if self.log && self.reports.len() < MAX_REPORTS {
            let flow = openflow::text::print_fields(flow, &NoNames);
            let text = format!("{text} on bridge {} while processing {flow}", bridge.name);
            self.reports.push(XlateReport { level, module: "ofproto_dpif_xlate", text });
        }
    }

    /// Prints with the names of a bridge's ports, if they are wanted.
    pub(super) fn with_names<R>(&self, bridge: &Bridge, print: impl FnOnce(&dyn Names) -> R) -> R {
        if self.names { print(&PortNames(bridge)) } else { print(&NoNames) }
    }

    /// The lines for the log.
    pub(super) fn into_reports(self) -> Vec<XlateReport> {
        self.reports
    }
}

/// The ports of a bridge by name.
struct PortNames<'a>(&'a Bridge);

impl Names for PortNames<'_> {
    fn port_name(&self, port: OfPort) -> Option<String> {
        let (bundle, iface) = self.0.of_port(port)?;
        Some(self.0.bundles[bundle].ifaces[iface].name.clone())
    }
}
