//! Printing flows of the datapath.

use std::fmt::Write;
use std::sync::Arc;

use ::datapath::format::{FlowDump, Show};
use ::datapath::{FlowHandle, PortNo};

use super::context::Context;
use super::dpctl_options::Options;
use super::view::View;

/// Renders flows as asked for by `-m` and `--names`.
pub(super) fn dumps(
    c: &Context,
    options: Options,
    flows: &[Arc<FlowHandle>],
    view: &View,
) -> Vec<FlowDump> {
    let Options { more, names, .. } = options;
    let now = c.datapath.now();
    let table = |id| c.datapath.table(id);
    let name = |port: PortNo| view.ports.get(&port).map(|p| p.0.clone());
    let show = Show { table: &table, names: names.then_some(&name as _), more };
    flows.iter().map(|f| FlowDump::new(f, now, show)).collect()
}

/// One line for each flow.
pub(super) fn lines(dumps: &[FlowDump]) -> String {
    let mut out = String::new();
    for dump in dumps {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{dump}");
    }
    out
}
