//! `--apply` on real devices: addresses and routes move to the switch, and come back when the
//! change does not work, is stopped, or the program dies in the middle of it.
//!
//! A Linux bridge stands in for the bond where the kernel has no bonding: it has ports and addresses
//! as a bond has, and configuration files say that it is one.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitCode, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::thread;
use std::time::{Duration, Instant};

use testbed::{Daemon, Netns, Switch, debian, privileges};

static PRIVILEGES: OnceLock<Result<(), String>> = OnceLock::new();

fn main() -> ExitCode {
    // While the process has one thread: an ordinary user becomes root in a namespace.
    let _ = PRIVILEGES.set(privileges::enter().map(drop).map_err(|e| e.to_string()));
    harness::run(Some(2))
}

/// What answers on the other side.
const PEER: &str = "192.0.2.1";
const HOST: &str = "192.0.2.2/24";

struct Host {
    ns: Arc<Netns>,
    _peers: [Arc<Netns>; 2],
    switch: Switch,
}

fn ip(ns: &Netns, words: &str) -> Output {
    ns.command("ip").args(words.split_whitespace()).output().unwrap()
}

fn must(ns: &Netns, words: &str) {
    let out = ip(ns, words);
    assert!(out.status.success(), "ip {words}: {}", String::from_utf8_lossy(&out.stderr));
}

impl Host {
    /// A host with bond0 over eth0 and eth1, of which the peer answers on eth0 only.
    fn new() -> Host {
        if let Some(Err(why)) = PRIVILEGES.get() {
            harness::skip(why.clone());
        }
        for tool in ["ip", "ovs-vsctl"] {
            if debian::tool(tool).is_none() {
                harness::skip(format!("{tool} is not installed"));
            }
        }
        if fs::File::options().read(true).write(true).open("/dev/net/tun").is_err() {
            harness::skip("/dev/net/tun may not be opened here");
        }
        let [ns, peer, nobody] = std::array::from_fn(|_| Arc::new(Netns::new().unwrap()));
        ns.veth("eth0", &peer, "p0").unwrap();
        ns.veth("eth1", &nobody, "p1").unwrap();
        must(&peer, &format!("address add {PEER}/24 dev p0"));
        if !ip(&ns, "link add bond0 type bridge").status.success() {
            harness::skip("this kernel has no bridges");
        }
        must(&ns, "link set eth0 master bond0");
        must(&ns, "link set bond0 up");
        must(&ns, &format!("address add {HOST} dev bond0"));
        must(&ns, "route add default via 192.0.2.1 dev bond0");
        must(&ns, "route add 198.51.100.0/24 via 192.0.2.1 dev bond0 metric 7 table 100");
        let switch = Switch::start(ns.clone(), Daemon::find().unwrap(), "import").unwrap();
        let options = "mode=1 miimon=100 primary=eth0";
        fs::write(
            switch.path("ifcfg-bond0"),
            format!("DEVICE=bond0\nBONDING_OPTS=\"{options}\"\nIPADDR=203.0.113.9\nPREFIX=24\n"),
        )
        .unwrap();
        for member in ["eth0", "eth1"] {
            fs::write(
                switch.path(&format!("ifcfg-{member}")),
                format!("DEVICE={member}\nMASTER=bond0\nSLAVE=yes\n"),
            )
            .unwrap();
        }
        Host { ns, _peers: [peer, nobody], switch }
    }

    fn journal(&self) -> PathBuf {
        self.switch.path("import.undo")
    }

    fn command(&self, arguments: &str) -> Command {
        let mut c = self.ns.command(env!("CARGO_BIN_EXE_braid-import"));
        c.envs(self.switch.environment());
        if let Some(tools) = self.switch.tools() {
            let path = std::env::var("PATH").unwrap_or_default();
            c.env("PATH", format!("{}:{path}", tools.display()));
        }
        c.args(["--journal", self.journal().to_str().unwrap()]);
        c.args(arguments.split_whitespace());
        c.stdout(Stdio::piped()).stderr(Stdio::piped());
        c
    }

    fn files(&self, c: &mut Command) {
        c.args(["ifcfg-bond0", "ifcfg-eth0", "ifcfg-eth1"].map(|f| self.switch.path(f)));
    }

    /// Starts a change.
    fn apply(&self, arguments: &str) -> Child {
        let mut c = self.command("--apply");
        self.files(&mut c);
        c.args(arguments.split_whitespace()).spawn().unwrap()
    }

    /// Makes the bond one that carries nothing: LACP, whose partner does not exist.
    fn break_it(&self) {
        let file = self.switch.path("ifcfg-bond0");
        let text = fs::read_to_string(&file).unwrap();
        let options = "mode=1 miimon=100 primary=eth0";
        let broken = text.replace(options, "mode=4 miimon=100 lacp_strict=1");
        assert_ne!(broken, text);
        fs::write(file, broken).unwrap();
    }

    fn show(&self, words: &str) -> String {
        String::from_utf8(ip(&self.ns, words).stdout).unwrap()
    }

    /// Everything is where it was at first.
    fn is_as_before(&self) {
        assert!(self.show("address show dev bond0").contains(HOST), "the address is back");
        assert!(self.show("link show dev eth0").contains("master bond0"), "the member is back");
        assert!(self.show("route show").contains("default via 192.0.2.1 dev bond0"));
        assert!(
            self.show("route show table 100").contains("198.51.100.0/24 via 192.0.2.1 dev bond0")
        );
        assert_eq!(self.switch.vsctl("list-br").unwrap(), "");
        assert!(!self.journal().exists());
        // The peer answers again.
        let ends = Instant::now() + Duration::from_secs(5);
        loop {
            let mut c = self.command("--apply --check 192.0.2.1");
            // A plan that fails after the check: the bond has no members here.
            c.arg(self.switch.path("ifcfg-bond0"));
            let text = said(&c.output().unwrap());
            if text.contains("no members here") {
                return;
            }
            assert!(Instant::now() < ends, "{text}");
        }
    }

    /// Waits until the bridge has the host's address.
    fn moved(&self) {
        let ends = Instant::now() + Duration::from_secs(20);
        while !self.show("address show dev br-bond0").contains(HOST) {
            assert!(Instant::now() < ends, "the address moves");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

fn said(out: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
}

#[harness::test]
fn a_change_that_works_moves_addresses_routes_and_members() {
    let host = Host::new();
    let out = host.apply("--check 192.0.2.1 --confirm 20").wait_with_output().unwrap();
    assert!(out.status.success(), "{}", said(&out));
    let addresses = host.show("address show dev br-bond0");
    // What the host had counts, not what the file says.
    assert!(addresses.contains(HOST) && !addresses.contains("203.0.113.9"), "{addresses}");
    assert!(host.show("route show").contains("default via 192.0.2.1 dev br-bond0"));
    let table = host.show("route show table 100");
    assert!(table.contains("198.51.100.0/24 via 192.0.2.1 dev br-bond0 metric 7"), "{table}");
    assert!(!ip(&host.ns, "link show dev bond0").status.success(), "the old device is gone");
    let bond = host.switch.appctl("bond/show bond0").unwrap();
    assert!(bond.contains("member eth0: enabled") && bond.contains("active-backup"), "{bond}");
    assert!(!host.journal().exists());
}

/// Options of Linux bonding for each mode, as many as have an effect in it.
const RICH: [&str; 7] = [
    "mode=0 miimon=100 packets_per_slave=3",
    "mode=1 arp_interval=500 arp_ip_target=192.0.2.1,192.0.2.3 arp_validate=3 arp_all_targets=1 \
     arp_missed_max=3 primary=eth0 primary_reselect=better fail_over_mac=2 num_grat_arp=3 \
     peer_notif_delay=100 updelay=100 downdelay=50 min_links=1",
    "mode=2 miimon=100 use_carrier=0 xmit_hash_policy=encap3+4",
    "mode=3 miimon=100",
    "mode=4 miimon=100 lacp_rate=1 ad_select=3 ad_actor_sys_prio=7 ad_actor_system=02:00:00:00:00:07 \
     ad_user_port_key=5 min_links=1 coupled_control=0 broadcast_neighbor=1 xmit_hash_policy=1",
    "mode=5 miimon=100 primary=eth0 tlb_dynamic_lb=0 xmit_hash_policy=2",
    "mode=6 miimon=100 primary=eth0",
];

#[harness::test]
fn every_mode_is_configured_without_a_warning() {
    let host = Host::new();
    must(&host.ns, "link set eth0 nomaster");
    let file = host.switch.path("ifcfg-bond0");
    for options in RICH {
        fs::write(&file, format!("DEVICE=bond0\nBONDING_OPTS=\"{options}\"\n")).unwrap();
        let mut c = host.command("");
        host.files(&mut c);
        let script = c.output().unwrap();
        assert!(script.status.success(), "{}", said(&script));
        let mut shell = host.switch.command("sh");
        if let Some(tools) = host.switch.tools() {
            let path = std::env::var("PATH").unwrap_or_default();
            shell.env("PATH", format!("{}:{path}", tools.display()));
        }
        let run = shell.arg("-c").arg(said(&script)).output().unwrap();
        assert!(run.status.success(), "{options}: {}\n{}", said(&script), said(&run));
        let log = host.switch.log();
        let warned: Vec<&str> =
            log.lines().filter(|l| l.contains("|WARN|") && l.contains("bond0")).collect();
        assert!(warned.is_empty(), "{options}\n{}\n{warned:#?}", said(&script));
        host.switch.vsctl("del-br br-bond0").unwrap();
    }
}

#[harness::test]
fn an_address_that_stops_answering_undoes_the_change() {
    let host = Host::new();
    host.break_it();
    let out = host.apply("--check 192.0.2.1 --confirm 3").wait_with_output().unwrap();
    let text = said(&out);
    assert!(!out.status.success(), "{text}");
    assert!(text.contains("192.0.2.1 did not answer within 3 s; everything was undone"), "{text}");
    host.is_as_before();
}

#[harness::test]
fn an_address_that_never_answered_changes_nothing() {
    let host = Host::new();
    let out = host.apply("--check 192.0.2.77").wait_with_output().unwrap();
    let text = said(&out);
    assert!(!out.status.success() && text.contains("nothing was done"), "{text}");
    host.is_as_before();
}

#[harness::test]
fn a_signal_undoes_the_change() {
    let host = Host::new();
    host.break_it();
    let child = host.apply("--check 192.0.2.1 --confirm 60");
    host.moved();
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let out = child.wait_with_output().unwrap();
    assert!(said(&out).contains("stopped by a signal; everything was undone"), "{}", said(&out));
    host.is_as_before();
}

#[harness::test]
fn a_killed_change_is_undone_later() {
    let host = Host::new();
    host.break_it();
    let mut child = host.apply("--check 192.0.2.1 --confirm 60");
    host.moved();
    child.kill().unwrap();
    child.wait().unwrap();
    let out = host.apply("").wait_with_output().unwrap();
    assert!(said(&out).contains("undo it with --undo first"), "{}", said(&out));
    let out = host.command("--undo").output().unwrap();
    assert!(out.status.success(), "{}", said(&out));
    host.is_as_before();
    let out = host.command("--undo").output().unwrap();
    assert!(said(&out).contains("no --apply was interrupted"), "{}", said(&out));
}
