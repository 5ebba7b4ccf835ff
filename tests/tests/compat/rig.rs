//! A daemon with a bridge of dummies.

use testbed::process;
use tests::Rig;
use tests::rig::SOON;

/// `br0` with ports `p1`, `p2` and so on, numbered as their names say, in OpenFlow and in the
/// datapath; the bridge's own port is 100 there. Nobody controls it.
pub(crate) struct DummyRig {
    pub(crate) rig: Rig,
}

/// What a bridge does without flows.
#[derive(Clone, Copy)]
pub(crate) enum Bridge {
    /// It learns and forwards.
    Standalone,
    /// It drops.
    Secure,
}

impl DummyRig {
    /// With this many ports.
    pub(crate) fn new(kind: Bridge, ports: u32) -> DummyRig {
        tests::able();
        tests::tool("ovs-ofctl");
        let rig = Rig::with(0, tests::daemon(), &["--enable-dummy"]);
        let dummies = DummyRig { rig };
        dummies.rig.vsctl("del-br br0");
        dummies.bridge("br0", kind, 1..=ports);
        dummies
    }

    /// A further bridge with ports of these numbers.
    pub(crate) fn bridge(&self, name: &str, kind: Bridge, ports: impl IntoIterator<Item = u32>) {
        let mode = match kind {
            Bridge::Standalone => "standalone",
            Bridge::Secure => "secure",
        };
        let mut words =
            format!("add-br {name} -- set bridge {name} datapath_type=dummy fail_mode={mode}");
        for n in ports {
            words += &format!(
                " -- add-port {name} p{n} -- set interface p{n} type=dummy ofport_request={n}"
            );
        }
        self.rig.vsctl(&words);
    }

    /// A patch port on each of two bridges, with these numbers, `patchN` and `patchM`.
    pub(crate) fn patch(&self, (a, n): (&str, u32), (b, m): (&str, u32)) {
        self.rig.vsctl(&format!(
            "add-port {a} patch{n} \
             -- set interface patch{n} type=patch options:peer=patch{m} ofport_request={n} \
             -- add-port {b} patch{m} \
             -- set interface patch{m} type=patch options:peer=patch{n} ofport_request={m}"
        ));
    }

    /// `ovs-ofctl` with these arguments; panics with what it said if it fails.
    pub(crate) fn ofctl(&self, args: &[&str]) -> String {
        let mut c = self.rig.switch.command("ovs-ofctl");
        c.args(args);
        process::output(&mut c, SOON)
            .unwrap_or_else(|e| panic!("{args:?}: {e}\n{}", self.rig.switch.log()))
    }

    /// Adds flows to a bridge, by OpenFlow 1.0.
    pub(crate) fn flows(&self, bridge: &str, flows: &[&str]) {
        for flow in flows {
            self.ofctl(&["add-flow", bridge, flow]);
        }
    }

    /// What `ofproto/trace` says of these words, which have no white space in them.
    pub(crate) fn trace(&self, words: &str) -> String {
        self.rig.appctl(&format!("ofproto/trace {words}"))
    }

    /// The datapath actions that `ofproto/trace` ends with.
    pub(crate) fn actions(&self, words: &str) -> String {
        let said = self.trace(words);
        let last = said.lines().find_map(|l| l.strip_prefix("Datapath actions: "));
        last.unwrap_or_else(|| panic!("no actions in\n{said}")).to_owned()
    }

    /// The same without order: for floods.
    pub(crate) fn outputs(&self, words: &str) -> Vec<String> {
        let mut all: Vec<String> = self.actions(words).split(',').map(str::to_owned).collect();
        all.sort();
        all
    }

    /// What an `ovs-appctl` command says when it fails.
    pub(crate) fn fails(&self, words: &str) -> String {
        self.rig.switch.appctl(words).expect_err(words).to_string()
    }

    /// Lets a port receive a packet.
    pub(crate) fn receive(&self, port: u32, flow: &str) {
        self.rig.appctl(&format!("netdev-dummy/receive p{port} {flow}"));
    }

    /// The rows of `fdb/show` of a bridge, without ages and in order.
    pub(crate) fn fdb(&self, bridge: &str) -> Vec<String> {
        let show = self.rig.appctl(&format!("fdb/show {bridge}"));
        let mut rows: Vec<String> = show
            .lines()
            .skip(1)
            .map(|l| {
                let words: Vec<&str> = l.split_whitespace().collect();
                let fixed = if words.get(3) == Some(&"static") { " static" } else { "" };
                format!("{} {} {}{fixed}", words[0], words[1], words[2])
            })
            .collect();
        rows.sort();
        rows
    }
}

/// An ICMP echo request in the datapath's notation, from port `n`.
pub(crate) fn ping(n: u32) -> String {
    format!(
        "in_port({n}),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),\
         ipv4(src=192.168.0.1,dst=192.168.0.2,proto=1,tos=0,ttl=128,frag=no),icmp(type=8,code=0)"
    )
}

/// The same in a VLAN.
pub(crate) fn tagged_ping(n: u32, vid: u16) -> String {
    format!(
        "in_port({n}),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x8100),\
         vlan(vid={vid},pcp=0),encap(eth_type(0x0800),\
         ipv4(src=192.168.0.1,dst=192.168.0.2,proto=1,tos=0,ttl=128,frag=no),icmp(type=8,code=0))"
    )
}

/// A TCP segment from port `n` to port `to`.
pub(crate) fn tcp(n: u32, to: u16) -> String {
    format!(
        "in_port({n}),eth(src=50:54:00:00:00:05,dst=50:54:00:00:00:07),eth_type(0x0800),\
         ipv4(src=192.168.0.1,dst=192.168.0.2,proto=6,tos=0,ttl=128,frag=no),tcp(dst={to})"
    )
}
