//! `ofproto/trace` and `ofproto/trace-packet-out`.

use datapath::PortNo;
use ofproto::Ofproto;
use ofproto::trace::PortNames;
use wire::Time;

use super::context::Context;
use super::view::View;
use crate::unixctl::{Reply, Request};

impl PortNames for View {
    fn number(&self, name: &str) -> Option<PortNo> {
        self.ports.iter().find(|(_, (n, _))| n == name).map(|(port, _)| *port)
    }

    fn name(&self, port: PortNo) -> Option<String> {
        self.ports.get(&port).map(|(name, _)| name.clone())
    }
}

/// `ofproto/trace`.
pub fn trace(c: &Context, req: &Request<'_>) -> Reply {
    on_revalidator(c, req, Ofproto::trace)
}

/// `ofproto/trace-packet-out`.
pub fn packet_out(c: &Context, req: &Request<'_>) -> Reply {
    on_revalidator(c, req, Ofproto::trace_packet_out)
}

type Trace = fn(&Ofproto, Time, &[&str], &dyn PortNames) -> Result<String, String>;

/// A trace may lock MAC tables, which main does not do, and takes as long as the longest way
/// through the tables, which packets shall not wait for.
fn on_revalidator(c: &Context, req: &Request<'_>, trace: Trace) -> Reply {
    let (pending, reply) = req.defer();
    let (switch, now, view) = (c.ofproto.clone(), c.datapath.now(), c.view.lock().clone());
    let args = req.args.to_vec();
    c.revalidator.run(move |_| {
        let argv: Vec<&str> = args.iter().map(String::as_str).collect();
        let said = trace(&switch, now, &argv, &view);
        pending.complete(said.map_or_else(Reply::Error, Reply::Text));
    });
    reply
}
