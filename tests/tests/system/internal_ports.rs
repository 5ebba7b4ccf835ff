//! Internal ports: the host's own devices, which outlive the daemon.

use std::net::{Ipv4Addr, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use testbed::process::{self, Process};
use testbed::tap::Tap;
use testbed::{Netns, PacketSocket, debian};
use tests::Rig;

const LIMIT: Duration = Duration::from_secs(20);
const HV: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 1);
const VM: Ipv4Addr = Ipv4Addr::new(10, 1, 0, 2);

/// These tests need taps, and ip(8) to look at what the host has set.
fn able() {
    tests::able();
    tests::tap("internal ports");
    tests::tool("ip");
}

fn ip(ns: &Netns, words: &str) -> String {
    let mut c: Command = ns.command(debian::tool("ip").expect("ip(8)"));
    process::output(c.args(words.split(' ')), LIMIT).unwrap_or_else(|e| panic!("{e}"))
}

fn exists(ns: &Netns, name: &str) -> bool {
    ns.rtnl().link(name).is_ok()
}

/// What the host has set on a device: index, address, MTU, state, IP addresses and routes. Whether
/// it has a carrier is left out.
fn state(ns: &Netns, name: &str) -> String {
    let link = ip(ns, &format!("-o link show dev {name}"));
    let index = link.split(':').next().unwrap_or_default().to_owned();
    let word_after = |what: &str| {
        let mut words = link.split_whitespace().skip_while(|w| *w != what);
        words.nth(1).unwrap_or_default().to_owned()
    };
    let flags = link.split(['<', '>']).nth(1).unwrap_or_default();
    let up = flags.split(',').any(|f| f == "UP");
    let (mac, mtu) = (word_after("link/ether"), word_after("mtu"));
    let addresses = ip(ns, &format!("-4 -o addr show dev {name}"));
    let routes = ip(ns, &format!("-4 route show dev {name}")).replace(" linkdown", "");
    let v6 = ip(ns, &format!("-6 -o addr show dev {name} scope global"));
    let trim = |text: String| -> String { text.lines().map(|l| l.trim_end()).collect() };
    let (addresses, routes, v6) = (trim(addresses), trim(routes), trim(v6));
    format!("{index} {mac} {mtu} up={up}\n{addresses}\n{v6}\n{routes}")
}

/// `br0` with the VM's port and `int0`, both with all that a host may set.
fn configured(rig: &Rig) {
    rig.vsctl("add-port br0 vnet0 -- add-port br0 int0 -- set interface int0 type=internal");
    // The testbed's namespaces have IPv6 off.
    let on = || std::fs::write("/proc/sys/net/ipv6/conf/br0/disable_ipv6", "0");
    if rig.hv.run(on).is_ok() {
        ip(&rig.hv, "addr add fd00::1/64 dev br0 nodad");
    }
    // The bridge's own address is the bridge's affair, an internal port's is the host's.
    for line in [
        "link set br0 up",
        "addr add 10.1.0.1/24 dev br0",
        "route add 10.9.0.0/16 via 10.1.0.2 dev br0",
        "link set int0 address 02:00:00:00:00:77",
        "link set int0 up",
        "addr add 10.2.0.1/24 dev int0",
        "route add 10.10.0.0/16 via 10.2.0.2 dev int0",
    ] {
        ip(&rig.hv, line);
    }
    ip(&rig.vm, "addr replace 10.1.0.2/24 dev eth0");
}

/// Waits until a datagram of the VM's reaches the host by `br0`.
fn talk(rig: &Rig, what: &str) {
    let host = rig.hv.run(|| UdpSocket::bind((HV, 0)).unwrap());
    host.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let to = host.local_addr().unwrap();
    let vm = rig.vm.run(|| UdpSocket::bind((VM, 0)).unwrap());
    rig.wait(what, || {
        let _ = vm.send_to(b"hello", to);
        host.recv(&mut [0; 16]).is_ok()
    });
}

/// Waits until the database's picture of the port is right, and fails if it is in error.
fn attached(rig: &Rig, name: &str) {
    let get = |column: &str| rig.get("interface", name, column);
    rig.wait(&format!("{name} up"), || get("error") == "[]" && get("link_state") == "up");
}

#[harness::test]
fn they_keep_what_the_host_has_set_whatever_ends_the_daemon() {
    able();
    let mut rig = Rig::new(0);
    configured(&rig);
    // Set through the database: stays as well.
    rig.vsctl(
        "add-port br0 int1 -- set interface int1 type=internal mac=\"02:00:00:00:00:88\" \
         mtu_request=1400",
    );
    ip(&rig.hv, "link set int1 up");
    let names = ["br0", "int0", "int1"];
    let all = |rig: &Rig| names.map(|n| state(&rig.hv, n));
    let before = all(&rig);
    assert!(before[0].contains("up=true") && before[0].contains("10.9.0.0/16"), "{before:?}");
    assert!(before[1].contains("02:00:00:00:00:77"), "{before:?}");
    assert!(before[2].contains("02:00:00:00:00:88 1400"), "{before:?}");
    talk(&rig, "a datagram at first");
    for how in ["SIGKILL", "SIGTERM", "exit"] {
        match how {
            "SIGKILL" => rig.switch.kill_vswitchd(),
            "SIGTERM" => rig.switch.stop_vswitchd(),
            _ => {
                rig.appctl("exit");
                rig.switch.vswitchd().unwrap().wait(LIMIT).unwrap();
                rig.switch.stop_vswitchd();
            }
        }
        assert_eq!(all(&rig), before, "after {how}");
        rig.switch.start_vswitchd().unwrap();
        names.iter().for_each(|n| attached(&rig, n));
        assert_eq!(all(&rig), before, "started after {how}");
        talk(&rig, &format!("a datagram after {how}"));
    }
    rig.assert_clean_log();
}

/// A daemon below a monitor, which the end of the monitor does not end.
struct Child(PathBuf);

impl Drop for Child {
    fn drop(&mut self) {
        let pid = std::fs::read_to_string(&self.0).ok().and_then(|t| t.trim().parse().ok());
        if let Some(pid) = pid {
            // SAFETY: no memory is passed; the file goes with the daemon.
            unsafe { libc::kill(pid, libc::SIGTERM) };
        }
    }
}

/// A daemon that crashes is started anew by its monitor.
#[harness::test]
fn they_keep_it_when_a_monitored_daemon_crashes() {
    able();
    let mut rig = Rig::new(0);
    configured(&rig);
    let before = ["br0", "int0"].map(|n| state(&rig.hv, n));
    rig.switch.stop_vswitchd();
    let pidfile = rig.switch.path("ovs-vswitchd.pid");
    let mut c = rig.switch.command(&rig.switch.daemon().path().display().to_string());
    c.args(["--monitor", "--no-chdir", "-vconsole:off"]);
    c.arg(format!("--pidfile={}", pidfile.display()));
    c.arg(format!("--log-file={}", rig.switch.path("ovs-vswitchd.log").display()));
    c.arg(rig.switch.database());
    c.stdout(Stdio::null()).stderr(Stdio::null());
    let monitor = Process::start("ovs-vswitchd --monitor", c).unwrap();
    let _child = Child(pidfile.clone());
    let pid = |other: i32| -> i32 {
        let mut pid = other;
        rig.wait("a monitored daemon", || {
            let text = std::fs::read_to_string(&pidfile).unwrap_or_default();
            pid = text.trim().parse().unwrap_or(other);
            pid != other && pid != monitor.id() as i32
        });
        pid
    };
    let first = pid(0);
    let ready = "vswitchd|INFO|ovs-vswitchd (Open vSwitch)";
    rig.wait("a daemon that is ready", || rig.switch.log().matches(ready).count() == 2);
    talk(&rig, "a datagram at first");
    // SAFETY: our own grandchild.
    unsafe { libc::kill(first, libc::SIGSEGV) };
    let second = pid(first);
    assert_ne!(first, second);
    talk(&rig, "a datagram after the crash");
    assert_eq!(["br0", "int0"].map(|n| state(&rig.hv, n)), before);
    let log = rig.switch.log();
    assert!(log.contains("died, killed"), "{log}");
    drop(monitor);
}

#[harness::test]
fn they_end_with_their_port_and_when_told() {
    able();
    let mut rig = Rig::with_server(0);
    configured(&rig);
    let gone = |rig: &Rig, name: &str| assert!(!exists(&rig.hv, name), "{name} is still there");
    rig.vsctl("del-port int0");
    gone(&rig, "int0");
    rig.vsctl("add-br br1 -- set bridge br1 datapath_type=netdev -- del-br br0");
    gone(&rig, "br0");
    assert!(exists(&rig.hv, "br1"));

    // While no daemon runs: one port goes, one comes, one is another now under the same name.
    let tap = |name: &str| format!("-- add-port br1 {name} -- set interface {name} type=internal");
    rig.vsctl(&format!("show {} {} {}", tap("a0"), tap("a1"), tap("a2")));
    rig.switch.kill_vswitchd();
    rig.vsctl(&format!("--no-wait del-port a0 -- del-port a1 -- del-port a2 {}", tap("a2")));
    ip(&rig.hv, "link del a1");
    let others = Tap::new(&rig.hv, "a1").unwrap();
    rig.switch.start_vswitchd().unwrap();
    attached_down(&rig, "a2");
    gone(&rig, "a0");
    assert!(exists(&rig.hv, "a1"), "somebody else's");
    drop(others);

    if rig.switch.daemon().is_ours() {
        // The wrong database must not cost the host its addresses.
        rig.switch.stop_vswitchd();
        let old = rig.vsctl("get open_vswitch . _uuid");
        rig.vsctl("--no-wait -- emer-reset -- del-br br1");
        let mut c = rig.switch.command("ovsdb-client");
        let request = r#"["Open_vSwitch",{"op":"delete","table":"Open_vSwitch","where":[]},{"op":"insert","table":"Open_vSwitch","row":{}}]"#;
        let db = format!("unix:{}", rig.switch.path("db.sock").display());
        process::output(c.args(["transact", &db, request]), LIMIT)
            .unwrap_or_else(|e| panic!("{e}"));
        assert_ne!(rig.vsctl("get open_vswitch . _uuid"), old);
        rig.switch.start_vswitchd().unwrap();
        rig.wait("a warning", || rig.switch.log().contains("of another database"));
        assert!(exists(&rig.hv, "a2") && exists(&rig.hv, "br1"));
        rig.vsctl("add-br br1 -- set bridge br1 datapath_type=netdev");
        rig.vsctl(&format!("show {}", tap("a2")));
    }

    rig.appctl("exit --cleanup");
    let status = rig.switch.vswitchd().unwrap().wait(LIMIT).unwrap();
    assert_eq!(status.into_raw(), 0);
    rig.switch.stop_vswitchd();
    gone(&rig, "a2");
    gone(&rig, "br1");
}

/// The next daemon does not look into other namespaces: one that is there must not stay as a device
/// that carries nothing.
#[harness::test]
fn one_in_another_namespace_ends_with_the_daemon() {
    tests::ours_only("a port in another namespace");
    let mut rig = Rig::with_server(0);
    rig.vsctl("add-port br0 int0 -- set interface int0 type=internal");
    let indexed = |rig: &Rig, there: bool| {
        rig.wait("the index", || {
            let index = rig.get("interface", "int0", "ifindex");
            there == index.parse::<u32>().is_ok_and(|i| i > 0)
        });
    };
    indexed(&rig, true);
    rig.hv.rtnl().move_to("int0", rig.vm.raw_fd()).unwrap();
    indexed(&rig, false);
    // Back again, it stays.
    rig.vm.rtnl().move_to("int0", rig.hv.raw_fd()).unwrap();
    indexed(&rig, true);
    rig.switch.stop_vswitchd();
    assert!(exists(&rig.hv, "int0"), "gone with the daemon");
    rig.switch.start_vswitchd().unwrap();
    attached_down(&rig, "int0");

    rig.hv.rtnl().move_to("int0", rig.vm.raw_fd()).unwrap();
    indexed(&rig, false);
    rig.switch.kill_vswitchd();
    assert!(!exists(&rig.vm, "int0"), "left behind in the other namespace");
    rig.switch.start_vswitchd().unwrap();
    attached_down(&rig, "int0");
}

fn attached_down(rig: &Rig, name: &str) {
    let get = |column: &str| rig.get("interface", name, column);
    rig.wait(name, || get("error") == "[]" && get("admin_state") == "down");
}

/// A device that cannot be had is named with the reason, and taken as soon as it can be.
#[harness::test]
fn one_that_another_program_has_is_taken_when_it_is_free() {
    tests::ours_only("taking a device that becomes free");
    let rig = Rig::new(0);
    let error = |name: &str| rig.get("interface", name, "error");
    let held = Tap::new(&rig.hv, "int0").unwrap();
    rig.hv.veth("int1", &rig.tor, "other").unwrap();
    for name in ["int0", "int1"] {
        rig.vsctl(&format!("add-port br0 {name} -- set interface {name} type=internal"));
    }
    let open = "could not open network device";
    assert!(error("int0").starts_with(&format!("{open} int0 (Device or resource busy)")));
    let want = format!("{open} int1 (File exists): there is a device of this name (veth)");
    assert_eq!(error("int1"), want);
    drop(held);
    rig.hv.rtnl().delete("int1").unwrap();
    for name in ["int0", "int1"] {
        attached_down(&rig, name);
    }
    rig.assert_no_panic();
}

/// Over to ours from Open vSwitch's userspace datapath, and back.
#[harness::test]
fn they_are_taken_over_from_open_vswitch_and_by_it() {
    tests::ours_only("taking over from Open vSwitch");
    let debian = tests::debian();
    let mut rig = Rig::with_server(0);
    configured(&rig);
    for name in ["vnet0", "int0"] {
        rig.vsctl(&format!("del-port {name}"));
    }
    rig.vsctl("del-br br0");
    rig.switch.stop_vswitchd();
    let theirs = |rig: &Rig| {
        let mut c = rig.switch.command(&debian.path().display().to_string());
        c.args(["--no-chdir", "-vconsole:off", "--disable-system", &rig.switch.database()]);
        c.arg(format!("--log-file={}", rig.switch.path("theirs.log").display()));
        Process::start("Open vSwitch", c).unwrap()
    };
    let mut first = theirs(&rig);
    rig.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev");
    configured(&rig);
    let before = ["br0", "int0"].map(|n| state(&rig.hv, n));
    talk(&rig, "a datagram through Open vSwitch");
    first.kill();
    rig.switch.start_vswitchd().unwrap();
    attached(&rig, "int0");
    assert_eq!(["br0", "int0"].map(|n| state(&rig.hv, n)), before);
    talk(&rig, "a datagram through ours");
    rig.assert_clean_log();

    rig.switch.stop_vswitchd();
    let _second = theirs(&rig);
    attached(&rig, "int0");
    assert_eq!(["br0", "int0"].map(|n| state(&rig.hv, n)), before);
    // The host must finish its packets itself again.
    talk(&rig, "a datagram through Open vSwitch again");
    let vm = PacketSocket::open(&rig.vm, "eth0").unwrap();
    let host = rig.hv.run(|| UdpSocket::bind((HV, 0)).unwrap());
    // Long enough not to be padded.
    let text = b"a checksum that the host has to work out by itself";
    let mut frame = None;
    rig.wait("a datagram of the host's", || {
        let _ = host.send_to(text, (VM, 5555));
        let all = vm.drain(|_| true);
        frame = all.into_iter().find(|f| f.ends_with(text));
        frame.is_some()
    });
    let frame = frame.unwrap();
    assert!(udp_is_whole(&frame), "{frame:02x?}");
}

/// Whether the checksum of UDP over IPv4 without options is right.
fn udp_is_whole(frame: &[u8]) -> bool {
    let (ip, udp) = (&frame[14..34], &frame[34..]);
    let words = |b: &[u8]| -> u32 {
        b.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(*w.get(1).unwrap_or(&0))).sum()
    };
    let mut sum = words(&ip[12..20]) + 17 + udp.len() as u32 + words(udp);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum == 0xffff
}
