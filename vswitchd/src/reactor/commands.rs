//! The control socket's commands that change what main owns.

use datapath::PortNo;

use super::forwarding::Forwarding;
use super::openflow::OpenFlow;
use crate::commands::Context;
use crate::unixctl::{Commands, Reply};

/// What the commands work with.
pub(super) struct Deps<'a> {
    pub(super) forwarding: &'a mut Forwarding,
    pub(super) openflow: &'a mut OpenFlow,
    pub(super) context: &'a Context,
}

/// Adds the commands. `parts` finds what they work with in the daemon's state.
pub(super) fn register<C: 'static>(commands: &mut Commands<C>, parts: fn(&mut C) -> Deps<'_>) {
    commands.register("dpctl/del-if", "dp iface...", 2, usize::MAX, move |daemon, req| {
        match remove_ports(parts(daemon), &req.args[0], &req.args[1..]) {
            Ok(()) => Reply::Text(String::new()),
            Err(text) => Reply::Error(text),
        }
    });
    commands.register(
        "dpif-dummy/change-port-number",
        "dp port new-number",
        3,
        3,
        move |daemon, req| match renumber_port(
            parts(daemon),
            &req.args[0],
            &req.args[1],
            &req.args[2],
        ) {
            Ok(()) => Reply::Text(String::new()),
            Err(text) => Reply::Error(text.to_owned()),
        },
    );
    commands.register("bridge/reconnect", "[bridge]", 0, 1, move |daemon, req| {
        let Deps { forwarding, openflow, context } = parts(daemon);
        match req.args.first() {
            Some(name) if !context.ofproto.list().contains(name) => {
                Reply::Error("Unknown bridge".to_owned())
            }
            only => {
                let now = context.clock.now();
                openflow.reconnect(now, only.map(String::as_str), forwarding, context);
                Reply::Text(String::new())
            }
        }
    });
}

fn remove_ports(parts: Deps<'_>, datapath: &str, ports: &[String]) -> Result<(), String> {
    let Deps { forwarding, context, .. } = parts;
    if let Some(done) = context.user_datapaths.remove_ports(datapath, ports) {
        return done;
    }
    if !context.ofproto.dpif_show().iter().any(|d| d.name == datapath) {
        return Err("ovs-vswitchd: opening datapath (No such device)\n".to_owned());
    }
    forwarding.remove_ports(ports, context)
}

fn renumber_port(
    parts: Deps<'_>,
    datapath: &str,
    port: &str,
    number: &str,
) -> Result<(), &'static str> {
    let Deps { forwarding, context, .. } = parts;
    let dummy = forwarding.has_dummies() && datapath == "ovs-dummy";
    if !dummy || context.ofproto.dpif_show().is_empty() {
        return Err("unknown datapath or not a dummy");
    }
    // Open vSwitch reads a text that is no number as 0.
    forwarding.renumber_port(port, PortNo(number.parse().unwrap_or(0)), context)
}
