//! The rack: a hypervisor with some NICs, what they lead to, and a virtual machine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use testbed::error::wait_for;
use testbed::fabric::Fabric;
use testbed::frame::{self, Udp};
use testbed::traffic::Traffic;
pub use testbed::traffic::{HOST_IP, HOST_MAC, talk};
use testbed::{Cable, Daemon, Members, Netns, Ovsdb, PacketSocket, Switch};
use wire::EthAddr;

/// How long something that should happen at once may take on a busy machine.
pub const SOON: Duration = Duration::from_secs(10);
/// How often to look.
const EVERY: Duration = Duration::from_millis(10);

/// Namespaces `hv` with NICs `nic0`…, `tor` with their other ends `tor0`…, `vm` with `eth0`
/// whose other end is `vnet0` in `hv`; a switch with the empty bridge `br0` in `hv`.
pub struct Rig {
    // The switch goes before the namespaces.
    pub switch: Switch,
    pub hv: Arc<Netns>,
    pub tor: Arc<Netns>,
    pub vm: Arc<Netns>,
    pub nics: usize,
    cables: Vec<Arc<Cable>>,
}

/// The bond's members, as `ovs-vsctl` wants them.
fn members(nics: usize) -> String {
    (0..nics).map(|i| format!(" nic{i}")).collect()
}

fn ovsdb() -> Ovsdb {
    Ovsdb::find().unwrap_or_else(|e| panic!("{e}"))
}

impl Rig {
    /// A rig with the daemon under test.
    pub fn new(nics: usize) -> Rig {
        Rig::of(Members::Veth, nics)
    }

    /// As [`Rig::new`], with NICs of a kind. Taps have no device `tor<n>` at their far end: only
    /// [`Rig::traffic`] sees what they send.
    pub fn of(members: Members, nics: usize) -> Rig {
        crate::able();
        match members {
            Members::Veth => {}
            Members::Tap => crate::tap("a bond of taps"),
        }
        Rig::build(members, nics, crate::daemon(), ovsdb(), &[])
    }

    /// As [`Rig::new`], with a database server that can be stopped while the daemon runs.
    pub fn with_server(nics: usize) -> Rig {
        crate::able();
        Rig::on(nics, crate::daemon(), ovsdb().apart(), &[])
    }

    /// A rig with a given daemon and further arguments for it.
    pub fn with(nics: usize, daemon: Daemon, arguments: &[&str]) -> Rig {
        Rig::on(nics, daemon, ovsdb(), arguments)
    }

    /// As [`Rig::with`], with a choice of who keeps the database.
    pub fn on(nics: usize, daemon: Daemon, ovsdb: Ovsdb, arguments: &[&str]) -> Rig {
        Rig::build(Members::Veth, nics, daemon, ovsdb, arguments)
    }

    fn build(
        members: Members,
        nics: usize,
        daemon: Daemon,
        ovsdb: Ovsdb,
        arguments: &[&str],
    ) -> Rig {
        let ns = || Arc::new(Netns::new().expect("a namespace"));
        let (hv, tor, vm) = (ns(), ns(), ns());
        let cables = Cable::several(nics, members, &hv, &tor).expect("the members' devices");
        vm.veth("eth0", &hv, "vnet0").expect("a veth pair");
        // Known addresses, so that two rigs print the same.
        for i in 0..nics {
            let mac = nic_mac(i);
            hv.rtnl().set_mac(&format!("nic{i}"), mac).expect("an address");
        }
        let switch = Switch::start_on(hv.clone(), daemon, ovsdb, "braid-test", arguments)
            .unwrap_or_else(|e| panic!("{e}"));
        let rig = Rig { switch, hv, tor, vm, nics, cables };
        rig.vsctl(
            "add-br br0 -- set bridge br0 datapath_type=netdev \
             other_config:hwaddr=02:00:00:00:b0:00",
        );
        rig
    }

    /// `ovs-vsctl`; panics with what it said if it fails.
    pub fn vsctl(&self, words: &str) -> String {
        self.switch.vsctl(words).unwrap_or_else(|e| panic!("{e}\n{}", self.switch.log()))
    }

    /// `ovs-appctl`; panics with what it said if it fails.
    pub fn appctl(&self, words: &str) -> String {
        self.switch.appctl(words).unwrap_or_else(|e| panic!("{e}\n{}", self.switch.log()))
    }

    /// A column, without quotes.
    pub fn get(&self, table: &str, row: &str, column: &str) -> String {
        self.vsctl(&format!("get {table} {row} {column}")).trim().trim_matches('"').to_owned()
    }

    /// `bond0` of all NICs with these settings of its Port row, and the VM's port; returns when
    /// every member is enabled.
    pub fn bond(&self, settings: &str) {
        self.bond_down(settings);
        for i in 0..self.nics {
            self.await_member(i, true);
        }
    }

    /// As `bond`, without waiting for the members.
    pub fn bond_down(&self, settings: &str) {
        // Open vSwitch warns of a bond whose mode nobody chose.
        let mode = if settings.contains("bond_mode=") { "" } else { "bond_mode=active-backup" };
        let set = format!("-- set port bond0 {mode} {settings}");
        let members = members(self.nics);
        self.vsctl(&format!("add-bond br0 bond0{members} {set} -- add-port br0 vnet0"));
    }

    /// Waits for something to become true.
    pub fn wait(&self, what: &str, done: impl FnMut() -> bool) -> Duration {
        self.wait_at_most(SOON, what, done)
    }

    pub fn wait_at_most(
        &self,
        limit: Duration,
        what: &str,
        done: impl FnMut() -> bool,
    ) -> Duration {
        wait_for(what, limit, EVERY, done).unwrap_or_else(|e| {
            let show = self.switch.appctl("bond/show").unwrap_or_else(|e| e.to_string());
            panic!("{e}\n{show}\n{}\n{}", self.switch.log(), self.switch.stderr())
        })
    }

    /// Waits for `bond/show` to call a member enabled, or not.
    pub fn await_member(&self, nic: usize, enabled: bool) {
        let word = if enabled { "enabled" } else { "disabled" };
        let line = format!("member nic{nic}: {word}");
        self.wait(&line, || self.appctl("bond/show bond0").lines().any(|l| l == line));
    }

    /// How many members `bond/show` calls enabled.
    pub fn enabled(&self) -> usize {
        enabled(&self.appctl("bond/show bond0"))
    }

    /// Waits for `bond/show` to call a member active.
    pub fn await_active(&self, nic: usize) {
        self.wait(&format!("active member nic{nic}"), || self.active() == Some(nic));
    }

    /// The active member's number.
    pub fn active(&self) -> Option<usize> {
        let show = self.appctl("bond/show bond0");
        let line = show.lines().find(|l| l.starts_with("active member mac: "))?;
        line.split_once("(nic")?.1.strip_suffix(')')?.parse().ok()
    }

    /// Cuts a NIC's link at the far end, or mends it.
    pub fn link(&self, nic: usize, up: bool) {
        self.cables[nic].set_up(up).expect("the link exists");
    }

    /// Packets that have arrived at the far end of a NIC's link, by the kernel's own count.
    pub fn arrived(&self, nic: usize) -> u64 {
        self.cables[nic].arrived().expect("the link exists")
    }

    pub fn vm_socket(&self) -> PacketSocket {
        PacketSocket::open(&self.vm, "eth0").expect("a packet socket")
    }

    pub fn tor_socket(&self, nic: usize) -> PacketSocket {
        PacketSocket::open(&self.tor, &format!("tor{nic}")).expect("a packet socket")
    }

    /// What the NICs lead to, with a counted stream through it.
    pub fn traffic(&self, talks: Vec<Udp>, rate: u32, lacp: bool) -> (Arc<Fabric>, Traffic) {
        let fabric = Fabric::new(&self.cables, HOST_MAC, lacp).expect("a fabric");
        let fabric = Arc::new(fabric);
        let vm = self.vm_socket();
        let traffic = Traffic::start(&fabric, vm, talks, rate, Instant::now());
        (fabric, traffic)
    }

    /// Waits until both directions have lost nothing for a while, from now on.
    pub fn await_calm(&self, t: &Traffic) {
        let from = t.now();
        let in_flight = Duration::from_millis(150);
        let calm = Duration::from_millis(300);
        self.wait_at_most(Duration::from_secs(20), "calm traffic", || {
            let to = t.now().saturating_sub(in_flight);
            let begin = to.saturating_sub(calm);
            begin >= from
                && [&t.up, &t.down].into_iter().all(|l| {
                    let s = l.stretch(begin, to);
                    s.sent > 0 && s.lost == 0
                })
        });
    }

    /// Fails if the daemon has printed on standard error or logged a panic.
    pub fn assert_no_panic(&self) {
        let log = self.switch.log();
        assert!(!log.contains("|panic"), "{log}");
        assert_eq!(self.switch.stderr(), "", "the daemon printed on standard error");
    }

    /// Fails if the daemon has panicked, or has logged a warning or an error.
    pub fn assert_clean_log(&self) {
        self.assert_no_panic();
        let log = self.switch.log();
        // That the bridge has no port of its own is the machine's fault, not the daemon's.
        let machine = |l: &str| !crate::tap_allowed() && l.contains("br0 (Permission denied)");
        let loud = |l: &&str| l.contains("|WARN|") || l.contains("|ERR|");
        let bad: Vec<&str> = log.lines().filter(loud).filter(|l| !machine(l)).collect();
        assert!(bad.is_empty(), "{bad:#?}");
    }
}

/// The address that a rig's NIC is given.
pub fn nic_mac(nic: usize) -> EthAddr {
    EthAddr([0x02, 0, 0, 0, 0x01, nic as u8])
}

/// A gratuitous ARP of the VM's.
pub fn hello(mac: u8) -> Vec<u8> {
    let t = talk(mac, 0);
    frame::gratuitous_arp(t.src_mac, t.src_ip, None)
}

/// How many members a bond's `bond/show` calls enabled.
pub fn enabled(show: &str) -> usize {
    show.lines().filter(|l| l.starts_with("member ") && l.ends_with(": enabled")).count()
}
