//! Braid in a namespace, Linux bonding in a virtual machine, two links between them.

use std::sync::Arc;
use std::time::Duration;

use testbed::error::wait_for;
use testbed::vm::{Image, Machine, Nic};
use testbed::{Netns, Switch, Tap};

/// The address of the host behind Braid.
pub(crate) const HOST: &str = "192.0.2.1";
/// The address of the machine's bond.
const MACHINE: &str = "192.0.2.2";

/// How long a failover between two emulated machines may take.
const SOON: Duration = Duration::from_secs(30);

/// Two switches of one network, one of them a machine.
pub(crate) struct Pair {
    pub(crate) machine: Machine,
    pub(crate) switch: Switch,
    pub(crate) taps: [Tap; 2],
    _namespaces: [Arc<Netns>; 2],
}

impl Pair {
    /// `ovs` are the arguments of `ovs-vsctl` that connect `nic0` and `nic1` to br0; `options` are
    /// those of the machine's bond0, set in this order.
    pub(crate) fn new(ovs: &str, options: &[(&str, &str)]) -> Pair {
        tests::able();
        tests::tap("the links to a virtual machine");
        let image = Image::find().unwrap_or_else(|e| harness::not_applicable(e.to_string()));
        let [hv, host] = std::array::from_fn(|_| Arc::new(Netns::new().expect("a namespace")));
        let taps = ["nic0", "nic1"].map(|name| Tap::new(&hv, name).expect("a tap"));
        host.veth("eth0", &hv, "host0").expect("a veth pair");
        host.rtnl().add_address("eth0", HOST.parse().expect("an address"), 24).expect("an address");
        let switch = Switch::start(hv.clone(), tests::daemon(), "braid-test").expect("a switch");
        switch
            .vsctl(&format!(
                "add-br br0 -- set bridge br0 datapath_type=netdev -- add-port br0 host0 -- {ovs}"
            ))
            .expect("a bridge");
        let refs = [&taps[0], &taps[1]];
        let machine = Machine::start(&image, &hv, &refs, Nic::Virtio, &["bonding"]);
        let machine = machine.unwrap_or_else(|e| panic!("{e}"));
        let mut pair = Pair { machine, switch, taps, _namespaces: [hv, host] };
        for (name, value) in options {
            pair.shell(&format!("echo {value} > /sys/class/net/bond0/bonding/{name}"));
        }
        pair.shell(&format!("ip address add {MACHINE}/24 dev bond0; ip link set bond0 up"));
        for nic in ["eth0", "eth1"] {
            pair.shell(&format!("echo +{nic} > /sys/class/net/bond0/bonding/slaves"));
        }
        pair
    }

    /// A command of the machine's shell; panics with what it said if it fails.
    pub(crate) fn shell(&mut self, line: &str) -> String {
        let Pair { machine, switch, .. } = self;
        machine.shell(line).unwrap_or_else(|e| panic!("{e}\n{}", switch.log()))
    }

    /// Waits until the machine reaches the host five times in a row.
    pub(crate) fn reaches(&mut self, when: &str) {
        self.until(when, &format!("ping -q -c 5 -i 0.1 -W 1 {HOST} | grep '5 packets received'"));
    }

    /// Waits until a command of the machine succeeds.
    pub(crate) fn until(&mut self, what: &str, line: &str) {
        let machine = &mut self.machine;
        let mut last = String::new();
        let done = wait_for(what, SOON, Duration::from_millis(100), || match machine.shell(line) {
            Ok(_) => true,
            Err(e) => {
                last = e.to_string();
                false
            }
        });
        if let Err(e) = done {
            let proc = self.shell("cat /proc/net/bonding/bond0 /proc/net/dev; ip address");
            let ours = ["bond/show", "fdb/show br0"].map(|c| self.switch.appctl(c));
            let ours = ours.map(|o| o.unwrap_or_else(|e| e.to_string())).join("\n");
            panic!("{e}\n{last}\n{proc}\n{ours}\n{}", self.switch.log());
        }
    }

    /// Cuts a link so that both sides lose the carrier, or mends it.
    pub(crate) fn link(&mut self, n: usize, up: bool) {
        self.taps[n].set_carrier(up).expect("a carrier");
        // QEMU does not pass a tap's carrier on.
        self.shell(&format!("ip link set eth{n} {}", if up { "up" } else { "down" }));
    }

    /// The machine reaches the host with both links, with either alone, and with both again.
    pub(crate) fn survives(&mut self) {
        self.reaches("with both links");
        for cut in [0, 1] {
            self.link(cut, false);
            self.reaches(&format!("without link {cut}"));
            self.link(cut, true);
            self.reaches(&format!("with link {cut} again"));
        }
    }
}
