//! Members that get other names, are moved, made anew and cut, while the configuration changes too:
//! whatever the order of the news, in the end every member whose link is up carries traffic.
//!
//! `BRAID_ROUNDS=N` makes N rounds of each test instead of a few, each from a seed of its own.

use std::sync::Arc;
use std::time::Duration;

use testbed::frame;
use testbed::tap::Tap;
use testbed::{Members, Netns, PacketSocket};
use tests::Rig;
use tests::random::{self, Random};
use tests::rig::{HOST_MAC, enabled, talk};

const MS: Duration = Duration::from_millis(1);
/// The members, whatever device has the name.
const NAMES: [&str; 3] = ["m0", "m1", "m2"];
/// Changes of devices in a round.
const STEPS: usize = 8;

/// What a device leads to.
enum Far {
    /// A veth pair's other end, in the top of rack.
    Veth(String),
    Tap(Tap),
}

/// A device that has one of [`NAMES`].
struct Device {
    far: Far,
    /// The far end's carrier.
    carrier: bool,
}

/// Devices of a hypervisor that change, by name.
struct Churn {
    rig: Rig,
    side: Arc<Netns>,
    kind: Members,
    devices: Vec<Device>,
    made: usize,
    /// What was done, for the message of a failure.
    story: Vec<String>,
}

impl Churn {
    fn new(kind: Members) -> Churn {
        let rig = Rig::of(kind, 0);
        let side = Arc::new(Netns::new().unwrap());
        let mut churn = Churn { rig, side, kind, devices: Vec::new(), made: 0, story: Vec::new() };
        for name in NAMES {
            let device = churn.make(name);
            churn.devices.push(device);
        }
        churn
    }

    fn make(&mut self, name: &str) -> Device {
        self.made += 1;
        let far = match self.kind {
            Members::Veth => {
                let there = format!("f{}", self.made);
                self.rig.hv.veth(name, &self.rig.tor, &there).unwrap();
                Far::Veth(there)
            }
            Members::Tap => Far::Tap(Tap::new(&self.rig.hv, name).unwrap()),
        };
        Device { far, carrier: true }
    }

    fn set_carrier(&mut self, at: usize, up: bool) {
        let device = &mut self.devices[at];
        device.carrier = up;
        match &device.far {
            Far::Veth(there) => self.rig.tor.rtnl().set_up(there, up).unwrap(),
            Far::Tap(tap) => tap.set_carrier(up).unwrap(),
        }
    }

    fn set_up(&self, name: &str, up: bool) {
        self.rig.hv.rtnl().set_up(name, up).unwrap();
    }

    /// One change of devices; it ends with all names present and every device up.
    fn step(&mut self, random: &mut Random) {
        let a = random.below(NAMES.len());
        let b = (a + 1 + random.below(NAMES.len() - 1)) % NAMES.len();
        let (one, other) = (NAMES[a], NAMES[b]);
        let gap = random.pause(20);
        let what = random.below(7);
        self.story.push(format!("{what}: {one} {other} gap {gap:?}"));
        let wait = || std::thread::sleep(gap);
        match what {
            // Names change hands.
            0..=2 => {
                let first = if what == 0 { one } else { other };
                let second = if what == 0 { other } else { one };
                for name in [first, second] {
                    self.set_up(name, false);
                    wait();
                }
                for (from, to) in [(first, "q"), (second, first), ("q", second)] {
                    self.rig.hv.rtnl().rename(from, to).unwrap();
                    wait();
                }
                for name in [one, other] {
                    self.set_up(name, true);
                }
                self.devices.swap(a, b);
            }
            // To another namespace and back, mostly with the same index.
            3 => {
                self.rig.hv.rtnl().move_to(one, self.side.raw_fd()).unwrap();
                wait();
                self.side.rtnl().move_to(one, self.rig.hv.raw_fd()).unwrap();
                wait();
                self.set_up(one, true);
            }
            // Another device of the same name.
            4 => {
                match &self.devices[a].far {
                    Far::Veth(_) => self.rig.hv.rtnl().delete(one).unwrap(),
                    Far::Tap(_) => {
                        let other = Tap::new(&self.side, "spare").unwrap();
                        // The device goes with its descriptor.
                        self.devices[a].far = Far::Tap(other);
                    }
                }
                wait();
                self.devices[a] = self.make(one);
            }
            // Flaps.
            5 => {
                for _ in 0..=random.below(3) {
                    self.set_carrier(a, false);
                    wait();
                    self.set_carrier(a, true);
                    wait();
                }
            }
            _ => {
                self.set_up(one, false);
                wait();
                self.set_carrier(b, false);
                self.set_up(one, true);
                wait();
                self.set_carrier(b, true);
            }
        }
    }

    /// Changes the configuration, without waiting for the switch.
    fn configure(&self, random: &mut Random) -> String {
        let name = NAMES[random.below(NAMES.len())];
        let words = match random.below(5) {
            // An interface leaves the bond, and comes back later.
            0 | 1 => match self.rig.switch.vsctl(&format!("get interface {name} _uuid")) {
                Ok(uuid) => format!("remove port bond0 interfaces {}", uuid.trim()),
                Err(_) => return String::new(),
            },
            2 => "--if-exists del-port vnet0 -- add-port br0 vnet0".to_owned(),
            3 => format!("set port bond0 bond_updelay={}", random.below(2) * 5),
            _ => format!(
                "--if-exists del-port bond0 -- add-bond br0 bond0 m0 m1 m2 {}",
                mode(random)
            ),
        };
        let _ = self.rig.switch.vsctl(&format!("--no-wait -- {words}"));
        words
    }

    /// The configuration in the end: all members, and the VM's port.
    fn settle(&mut self, mode: &str) {
        let all = NAMES.join(" ");
        self.rig.vsctl(&format!(
            "--if-exists del-port bond0 -- --may-exist add-port br0 vnet0 \
             -- add-bond br0 bond0 {all} -- set port bond0 bond_mode={mode}"
        ));
    }

    fn socket(&self, at: usize) -> Option<PacketSocket> {
        match &self.devices[at].far {
            Far::Veth(there) => Some(PacketSocket::open(&self.rig.tor, there).unwrap()),
            Far::Tap(_) => None,
        }
    }

    /// Whether a frame like this comes out of the device's far end.
    fn arrives(
        &self,
        at: usize,
        socket: Option<&PacketSocket>,
        like: impl Fn(&[u8]) -> bool,
    ) -> bool {
        let limit = 500 * MS;
        match (&self.devices[at].far, socket) {
            (Far::Tap(tap), _) => tap.recv_matching(limit, like).is_some(),
            (Far::Veth(_), Some(socket)) => socket.recv_matching(limit, like).is_some(),
            (Far::Veth(_), None) => false,
        }
    }

    fn send(&self, at: usize, socket: Option<&PacketSocket>, frame: &[u8]) {
        // Fails while the link is down, which is then found out by the wait.
        let _ = match (&self.devices[at].far, socket) {
            (Far::Tap(tap), _) => tap.send(frame),
            (Far::Veth(_), Some(socket)) => socket.send(frame),
            (Far::Veth(_), None) => Ok(()),
        };
    }

    /// Every member whose link is up is enabled and carries traffic both ways; no other is.
    fn check(&self, mode: &str, seed: u64) {
        let rig = &self.rig;
        let live: Vec<usize> = (0..NAMES.len()).filter(|i| self.devices[*i].carrier).collect();
        let tale = |what: &str| format!("{what} (BRAID_SEED={seed})\n{:#?}", self.story);
        rig.wait(&tale("the members' links"), || {
            let show = rig.switch.appctl("bond/show bond0").unwrap_or_default();
            let line = |i: &usize| format!("member {}: enabled", NAMES[*i]);
            enabled(&show) == live.len() && live.iter().all(|i| show.contains(&line(i)))
        });
        let vm = rig.vm_socket();
        let sockets: Vec<_> = (0..NAMES.len()).map(|i| self.socket(i)).collect();
        for (n, i) in live.iter().enumerate() {
            let text = format!("by {}", NAMES[*i]);
            let is = |f: &[u8]| f.ends_with(text.as_bytes());
            if mode == "active-backup" {
                rig.appctl(&format!("bond/set-active-member bond0 {}", NAMES[*i]));
            }
            // In `balance-slb` the source address says which member: some will be this one's.
            let macs = if mode == "active-backup" { 1..2u8 } else { 1..97 };
            rig.wait(&tale(&format!("frames out of {}", NAMES[*i])), || {
                for mac in macs.clone() {
                    let _ = vm.send(&talk(mac, 40_000).frame(text.as_bytes()));
                }
                self.arrives(*i, sockets[*i].as_ref(), is)
            });
            if mode == "active-backup" {
                // The host beyond it moves to this link and speaks.
                let host = format!("from beyond {n}");
                let is = |f: &[u8]| f.ends_with(host.as_bytes());
                rig.wait(&tale(&format!("frames in by {}", NAMES[*i])), || {
                    let hello = frame::gratuitous_arp(HOST_MAC, talk(1, 0).dst_ip, None);
                    self.send(*i, sockets[*i].as_ref(), &hello);
                    let back = talk(1, 40_000).reversed().frame(host.as_bytes());
                    self.send(*i, sockets[*i].as_ref(), &back);
                    vm.recv_matching(500 * MS, is).is_some()
                });
            }
        }
        for (i, name) in NAMES.iter().enumerate() {
            let link = rig.hv.rtnl().link(name).unwrap();
            let state = if self.devices[i].carrier { "up" } else { "down" };
            let (index, mac) = (link.index.to_string(), link.mac.to_string());
            rig.wait(&tale(&format!("the row of {name}")), || {
                rig.get("interface", name, "ifindex") == index
                    && rig.get("interface", name, "mac_in_use") == mac
                    && rig.get("interface", name, "link_state") == state
            });
        }
        rig.assert_no_panic();
        // The comparison of engines and devices had nothing to put right.
        assert!(!rig.switch.log().contains("; corrected"), "{}", tale(&rig.switch.log()));
    }
}

fn mode(random: &mut Random) -> String {
    let mode = if random.below(2) == 0 { "active-backup" } else { "balance-slb" };
    format!("-- set port bond0 bond_mode={mode}")
}

fn rounds(default: usize) -> usize {
    std::env::var("BRAID_ROUNDS").ok().and_then(|n| n.parse().ok()).unwrap_or(default)
}

/// Changes of devices alone, or of the configuration too.
fn churn(kind: Members, mode: &str, configuring: bool) {
    let mut churn = Churn::new(kind);
    let mut seed = random::seed();
    for _ in 0..rounds(1) {
        println!("BRAID_SEED={seed}");
        let mut random = Random::seeded(seed);
        churn.story.clear();
        churn.settle(mode);
        for _ in 0..STEPS {
            churn.step(&mut random);
            if configuring {
                let words = churn.configure(&mut random);
                churn.story.push(words);
            }
        }
        if configuring {
            churn.settle(mode);
        }
        // Some links are cut in the end, not all.
        let spared = random.below(NAMES.len());
        for i in (0..NAMES.len()).filter(|i| *i != spared) {
            if random.below(3) == 0 {
                churn.set_carrier(i, false);
            }
        }
        churn.check(mode, seed);
        for i in 0..NAMES.len() {
            churn.set_carrier(i, true);
        }
        seed = random.next_u64();
    }
}

#[harness::test]
fn devices_change_under_active_backup() {
    churn(Members::Veth, "active-backup", false);
}

#[harness::test]
fn devices_change_under_balance_slb() {
    churn(Members::Veth, "balance-slb", false);
}

#[harness::test]
fn devices_and_configuration_change_under_active_backup() {
    churn(Members::Veth, "active-backup", true);
}

#[harness::test]
fn devices_and_configuration_change_under_balance_slb() {
    churn(Members::Veth, "balance-slb", true);
}

#[harness::test]
fn taps_and_configuration_change_under_active_backup() {
    churn(Members::Tap, "active-backup", true);
}

#[harness::test]
fn taps_change_under_balance_slb() {
    churn(Members::Tap, "balance-slb", false);
}

/// Two members change names, with these pauses between the six steps.
fn swaps(mode: &str, gaps: &[u64]) {
    let mut churn = Churn::new(Members::Veth);
    churn.settle(mode);
    for _ in 0..rounds(1) {
        for gap in gaps {
            let wait = || std::thread::sleep(Duration::from_millis(*gap));
            churn.story = vec![format!("m0 and m1 change names, {gap} ms between the steps")];
            for name in ["m0", "m1"] {
                churn.set_up(name, false);
                wait();
            }
            for (from, to) in [("m0", "q"), ("m1", "m0"), ("q", "m1")] {
                churn.rig.hv.rtnl().rename(from, to).unwrap();
                wait();
            }
            for name in ["m0", "m1"] {
                churn.set_up(name, true);
            }
            churn.devices.swap(0, 1);
            churn.rig.wait(&churn.story[0], || {
                enabled(&churn.rig.switch.appctl("bond/show bond0").unwrap_or_default()) == 3
            });
        }
    }
    churn.check(mode, 0);
}

#[harness::test]
fn members_that_change_names_are_used_active_backup() {
    swaps("active-backup", &[0, 1, 2, 3, 5, 8, 12, 20]);
}

#[harness::test]
fn members_that_change_names_are_used_balance_slb() {
    swaps("balance-slb", &[0, 1, 2, 3, 5, 8, 12, 20]);
}
