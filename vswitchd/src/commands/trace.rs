//! `ofproto/trace` and `ofproto/trace-packet-out`.

use datapath::PortNo;
use ofproto::trace::PortNames;

use super::{Answer, Call, Context, View};

impl PortNames for View {
    fn number(&self, name: &str) -> Option<PortNo> {
        self.ports.iter().find(|(_, (n, _))| n == name).map(|(port, _)| *port)
    }

    fn name(&self, port: PortNo) -> Option<String> {
        self.ports.get(&port).map(|(name, _)| name.clone())
    }
}

pub fn trace(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let argv: Vec<&str> = call.args.iter().map(String::as_str).collect();
    let view = c.view.lock().clone();
    Answer::text(c.ofproto.trace(c.datapath.now(), &argv, &view)?)
}

pub fn packet_out(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let argv: Vec<&str> = call.args.iter().map(String::as_str).collect();
    let view = c.view.lock().clone();
    Answer::text(c.ofproto.trace_packet_out(c.datapath.now(), &argv, &view)?)
}
