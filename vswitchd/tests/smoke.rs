//! The daemon with Debian's `ovsdb-server`, `ovs-vsctl` and `ovs-appctl`, between veth pairs in a
//! network namespace of its own.

harness::main!();

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use netdev::link::ProtoSocket;

/// An EtherType for local experiments (IEEE 802 clause 9.2.4).
const EXPERIMENT: u16 = 0x88b5;
const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// A database server and a daemon in a folder of their own; both end with it.
struct Rig {
    dir: PathBuf,
    server: Option<Child>,
    daemon: Option<Child>,
}

fn run(program: &str, args: &[&str]) -> (bool, String) {
    let out =
        Command::new(program).args(args).output().unwrap_or_else(|e| panic!("{program}: {e}"));
    let text = [out.stdout, out.stderr].concat();
    (out.status.success(), String::from_utf8_lossy(&text).into_owned())
}

fn ip(args: &str) {
    let (ok, text) = run("ip", &args.split(' ').collect::<Vec<_>>());
    assert!(ok, "ip {args}: {text}");
}

fn until<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(15);
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "{what} did not come within 15 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

impl Rig {
    /// Skips the test where this cannot run.
    fn new() -> Rig {
        if !Path::new(SCHEMA).exists() || Command::new("ovs-vsctl").arg("-V").output().is_err() {
            harness::skip("openvswitch-switch is not installed");
        }
        // SAFETY: takes flags only; this thread alone, and what it starts, move there.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            harness::skip("no network namespace can be made here; run as root");
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique = format!("{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = std::env::temp_dir().join(format!("braid-smoke-{unique}"));
        std::fs::create_dir_all(&dir).unwrap();
        let mut rig = Rig { dir, server: None, daemon: None };
        let db = rig.path("conf.db");
        let (ok, text) = run("ovsdb-tool", &["create", &db, SCHEMA]);
        assert!(ok, "{text}");
        rig.start_server();
        assert!(rig.vsctl(&["--no-wait", "init"]).0);
        rig.start_daemon();
        rig
    }

    fn path(&self, name: &str) -> String {
        self.dir.join(name).to_str().unwrap().to_owned()
    }

    fn spawn(&self, program: &str, args: &[String]) -> Child {
        let out = || std::fs::File::create(self.path("output")).unwrap();
        Command::new(program)
            .args(args)
            .env("OVS_RUNDIR", &self.dir)
            .stdout(out())
            .stderr(out())
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|e| panic!("{program}: {e}"))
    }

    fn start_server(&mut self) {
        let args = [
            format!("--remote=punix:{}", self.path("db.sock")),
            format!("--unixctl={}", self.path("db.ctl")),
            "-vconsole:off".to_owned(),
            self.path("conf.db"),
        ];
        self.server = Some(self.spawn("ovsdb-server", &args));
        let socket = self.dir.join("db.sock");
        until("the database's socket", || socket.exists().then_some(()));
    }

    fn start_daemon(&mut self) {
        let args = [
            format!("unix:{}", self.path("db.sock")),
            format!("--unixctl={}", self.path("vsw.ctl")),
            format!("--log-file={}", self.path("vsw.log")),
            format!("--pidfile={}", self.path("vsw.pid")),
            "-vconsole:off".to_owned(),
        ];
        // Such as one that is compiled for a sanitizer.
        let other = std::env::var("BRAID_VSWITCHD").ok().filter(|path| !path.is_empty());
        let program = other.as_deref().unwrap_or(env!("CARGO_BIN_EXE_ovs-vswitchd"));
        self.daemon = Some(self.spawn(program, &args));
        let socket = self.dir.join("vsw.ctl");
        until("the control socket", || socket.exists().then_some(()));
    }

    fn vsctl(&self, args: &[&str]) -> (bool, String) {
        let db = format!("--db=unix:{}", self.path("db.sock"));
        run("ovs-vsctl", &[&[db.as_str(), "-t", "15"], args].concat())
    }

    fn set(&self, words: &str) {
        let (ok, text) = self.vsctl(&words.split(' ').collect::<Vec<_>>());
        assert!(ok, "ovs-vsctl {words}: {text}");
    }

    fn get(&self, table: &str, row: &str, column: &str) -> String {
        self.vsctl(&["get", table, row, column]).1.trim().trim_matches('"').to_owned()
    }

    fn appctl(&self, command: &str) -> (bool, String) {
        let mut args =
            vec!["-t".to_owned(), self.path("vsw.ctl"), "-T".to_owned(), "10".to_owned()];
        args.extend(command.split(' ').map(str::to_owned));
        run("ovs-appctl", &args.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn active_member(&self) -> Option<String> {
        let (_, text) = self.appctl("bond/show bond0");
        let mut name = None;
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("member ") {
                name = rest.split(':').next().map(str::to_owned);
            } else if line == "  active member" {
                return name;
            }
        }
        None
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("vsw.log")).unwrap_or_default()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for child in [&mut self.daemon, &mut self.server].into_iter().flatten() {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
        if std::thread::panicking() {
            eprintln!("{}", self.log());
        }
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

/// Sends a broadcast into `from` until it arrives at one of `to`; which one, and that no other
/// got a copy.
fn carried_by<'a>(from: &str, to: &[&'a str]) -> &'a str {
    let mut sender = ProtoSocket::open(from, EXPERIMENT, None).unwrap();
    let mut receivers: Vec<ProtoSocket> =
        to.iter().map(|n| ProtoSocket::open(n, EXPERIMENT, None).unwrap()).collect();
    let mut frame = vec![0xff; 6];
    frame.extend([2, 0, 0, 0, 0, 1]);
    frame.extend(EXPERIMENT.to_be_bytes());
    frame.resize(60, 0);
    let first = until("a frame", || {
        sender.send(&frame).unwrap();
        std::thread::sleep(Duration::from_millis(10));
        receivers.iter_mut().position(|r| r.recv().is_some())
    });
    std::thread::sleep(Duration::from_millis(30));
    for (n, r) in receivers.iter_mut().enumerate() {
        assert!(n == first || r.recv().is_none(), "{} and {} got a copy", to[first], to[n]);
    }
    to[first]
}

#[harness::test]
fn a_bond_forwards_fails_over_and_survives_restarts() {
    let mut rig = Rig::new();
    for (a, b) in [("vm0", "vmp"), ("b0", "t0"), ("b1", "t1")] {
        ip(&format!("link add {a} type veth peer name {b}"));
        ip(&format!("link set {a} up"));
        ip(&format!("link set {b} up"));
    }

    // Configuration is in force when ovs-vsctl returns.
    rig.set("add-br br0 -- add-port br0 vmp -- add-bond br0 bond0 b0 b1");
    assert_eq!(rig.get("Interface", "vmp", "ofport"), "3");
    assert_eq!(rig.get("Interface", "br0", "ofport"), "65534");
    assert_eq!(rig.get("Bridge", "br0", "datapath_id").len(), 16);
    let list = rig.appctl("bond/list").1;
    assert_eq!(list, "bond\ttype\trecircID\tmembers\nbond0\tactive-backup\t0\tb0, b1\n");
    until("the first member", || rig.active_member().filter(|m| m == "b0"));
    assert_eq!(carried_by("vm0", &["t0", "t1"]), "t0");
    assert_eq!(carried_by("t0", &["vm0", "t1"]), "vm0");

    // A dead link: traffic moves, the database knows.
    ip("link set t0 down");
    until("failover", || rig.active_member().filter(|m| m == "b1"));
    assert_eq!(carried_by("vm0", &["t1"]), "t1");
    let mac = rig.get("Interface", "b1", "mac_in_use");
    until("bond_active_slave", || {
        (rig.get("Port", "bond0", "bond_active_slave") == mac).then_some(())
    });
    until("link_state", || (rig.get("Interface", "b0", "link_state") == "down").then_some(()));
    ip("link set t0 up");
    until("the link", || rig.appctl("bond/show").1.contains("member b0: enabled").then_some(()));
    assert_eq!(rig.active_member().as_deref(), Some("b1"), "no failback without a primary");

    // A device that does not exist, and then does.
    let text = rig.vsctl(&["add-port", "br0", "late"]).1;
    let error = "could not open network device late (No such device)";
    assert!(text.contains(error), "{text}");
    assert_eq!(rig.get("Interface", "late", "error"), error);
    assert_eq!(rig.get("Interface", "late", "ofport"), "-1");
    ip("link add late type veth peer name early");
    until("the device", || (rig.get("Interface", "late", "error") == "[]").then_some(()));
    ip("link del late");
    until("its end", || (rig.get("Interface", "late", "error") == error).then_some(()));
    rig.set("del-port late");
    let text = rig.vsctl(&["add-port", "br0", "ovs-netdev"]).1;
    assert!(text.contains("could not create interface ovs-netdev, name is reserved"), "{text}");
    rig.set("del-port ovs-netdev");

    let mac = rig.get("Interface", "b0", "mac_in_use");

    // The database goes: forwarding, failing over and the control socket do not care.
    let mut server = rig.server.take().unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    std::fs::remove_file(rig.dir.join("db.sock")).unwrap();
    assert_eq!(carried_by("vm0", &["t0", "t1"]), "t1");
    ip("link set t1 down");
    until("failover", || rig.active_member().filter(|m| m == "b0"));
    assert_eq!(carried_by("vm0", &["t0"]), "t0");
    ip("link set t1 up");
    rig.start_server();
    until("what happened meanwhile", || {
        (rig.get("Port", "bond0", "bond_active_slave") == mac).then_some(())
    });
    rig.set("set port bond0 other_config:bond-primary=b1");
    until("failback", || rig.active_member().filter(|m| m == "b1"));
    rig.set("remove port bond0 other_config bond-primary");
    let mac = rig.get("Interface", "b1", "mac_in_use");
    until("bond_active_slave", || {
        (rig.get("Port", "bond0", "bond_active_slave") == mac).then_some(())
    });

    // `exit` is answered; the next run prefers the member of the last one.
    assert!(rig.appctl("exit").0);
    assert!(rig.daemon.take().unwrap().wait().unwrap().success());
    assert!(!rig.dir.join("vsw.pid").exists() && !rig.dir.join("vsw.ctl").exists());
    rig.start_daemon();
    until("the member of the last run", || rig.active_member().filter(|m| m == "b1"));
    assert_eq!(carried_by("vm0", &["t0", "t1"]), "t1");

    // Noise on the control socket.
    use std::io::Write;
    for noise in [&b"\xff\x00\x13garbage"[..], b"{\"method\":3}", b"[[[[[[", b"{}{}{}"] {
        let socket = std::os::unix::net::UnixStream::connect(rig.path("vsw.ctl"));
        // It may be closed on us at any time.
        let _ = socket.unwrap().write_all(noise);
    }
    assert!(rig.appctl("version").1.starts_with("ovs-vswitchd (Open vSwitch) "));

    rig.set("del-br br0");
    assert_eq!(rig.appctl("bond/list").1, "bond\ttype\trecircID\tmembers\n");
    assert!(!run("ip", &["link", "show", "br0"]).0, "the bridge's device is gone");
    let log = rig.log();
    assert!(!log.contains("|ERR|") && !log.contains("|EMER|"), "{log}");
    let warnings: Vec<&str> = (log.lines())
        .filter(|l| l.contains("|WARN|") && !l.contains(error) && !l.contains("name is reserved"))
        .collect();
    // The noise above is warned of, nothing else.
    let odd = warnings.iter().filter(|l| !l.contains("|unixctl|") && !l.contains("|jsonrpc|"));
    assert_eq!(odd.count(), 0, "{warnings:#?}");
}

/// What an interface shows at once when it is made: statistics, or why it cannot be used.
#[harness::test]
fn interfaces_show_statistics_and_faults_at_once() {
    let mut rig = Rig::new();
    ip("link add s0 type veth peer name s1");
    ip("link add s2 type veth peer name s3");
    ip("link add lbr type bridge");
    ip("link set s2 master lbr");
    // No round of statistics comes by itself any more after the first.
    rig.set("add-br br0 -- set open . other_config:stats-update-interval=3600000");
    rig.set("add-port br0 s0");
    rig.set("add-port br0 i0 -- set interface i0 type=internal");
    rig.set("add-port br0 p0 -- set interface p0 type=patch options:peer=p1");
    rig.set("add-port br0 p1 -- set interface p1 type=patch options:peer=p0");
    for name in ["s0", "i0"] {
        let all = rig.get("Interface", name, "statistics");
        assert_eq!(all.matches('=').count(), 14, "{name}: {all}");
    }
    for name in ["p0", "p1"] {
        let zeros = "{rx_bytes=0, rx_packets=0, tx_bytes=0, tx_packets=0}";
        assert_eq!(rig.get("Interface", name, "statistics"), zeros, "{name}");
    }

    // Types that are not known, with the nearest one.
    let known = "internal, patch, system, tap";
    for (kind, why) in [
        (
            "intrenal",
            format!(
                "unknown type \\\"intrenal\\\"; known: {known}; did you mean \\\"internal\\\"?"
            ),
        ),
        ("abcdefgh", format!("unknown type \\\"abcdefgh\\\"; known: {known}")),
        (
            "vxlan",
            format!("type \\\"vxlan\\\" is not supported by this switch; supported: {known}"),
        ),
    ] {
        rig.vsctl(&[
            "add-port",
            "br0",
            "vx",
            "--",
            "set",
            "interface",
            "vx",
            &format!("type={kind}"),
        ]);
        let error = format!("could not open network device vx ({why})");
        assert_eq!(rig.get("Interface", "vx", "error"), error);
        let log = rig.log();
        let netdev = format!("netdev|WARN|could not create netdev vx of unknown type {kind}");
        assert_eq!(log.matches(&netdev).count(), 1, "{kind}");
        assert!(log.contains(&error.replace('\\', "")), "{kind}");
        rig.set("del-port vx");
    }

    // The loopback device, by itself, by another name and in a bond.
    let refused = |name: &str| {
        let error = format!("could not add network device {name} to ofproto (Invalid argument)");
        assert_eq!(rig.get("Interface", name, "error"), error);
        assert!(rig.log().contains(&format!("{name}: cannot add a loopback device")));
    };
    rig.vsctl(&["add-port", "br0", "lo"]);
    refused("lo");
    rig.set("del-port lo");
    rig.vsctl(&["add-bond", "br0", "bond0", "lo", "s3"]);
    refused("lo");
    assert_eq!(rig.get("Interface", "s3", "error"), "[]");
    rig.set("del-port bond0");

    // A port of a Linux bridge: when it is added, and when it becomes one.
    let warned = |name: &str| {
        rig.log()
            .matches(&format!("interface {name}: the device is a port of lbr (bridge)"))
            .count()
    };
    rig.set("add-port br0 s2");
    assert_eq!((warned("s2"), warned("s0")), (1, 0));
    ip("link set s0 master lbr");
    until("the warning", || (warned("s0") == 1).then_some(()));
    ip("link set s0 nomaster");
    ip("link set s0 master lbr");
    until("the second warning", || (warned("s0") == 2).then_some(()));
    assert_eq!(warned("s2"), 1);
    assert!(rig.appctl("exit").0);
    assert!(rig.daemon.take().unwrap().wait().unwrap().success());
}
