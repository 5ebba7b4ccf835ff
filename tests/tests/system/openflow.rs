//! OpenFlow: flows decide what real packets do, and the bridge keeps its word without controllers.
//! Driven by Debian's `ovs-ofctl`.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use testbed::frame::Udp;
use testbed::process;
use tests::Rig;
use tests::rig::{SOON, talk};

fn rig(nics: usize) -> Rig {
    tests::tool("ovs-ofctl");
    Rig::new(nics)
}

fn ofctl_or(rig: &Rig, words: &str) -> Result<String, String> {
    let mut c = rig.switch.command("ovs-ofctl");
    c.arg("--timeout=20").args(words.split_whitespace());
    process::output(&mut c, Duration::from_secs(25)).map_err(|e| e.to_string())
}

fn ofctl(rig: &Rig, words: &str) -> String {
    ofctl_or(rig, words).unwrap_or_else(|e| panic!("{e}\n{}", rig.switch.log()))
}

/// The flows without what differs from run to run.
fn flows(rig: &Rig) -> Vec<String> {
    ofctl(rig, "--no-stats dump-flows br0").lines().map(|l| l.trim().to_owned()).collect()
}

const NORMAL: &str = "priority=0 actions=NORMAL";

/// Sends from the VM until something has come, or has not come for a while.
fn reaches(rig: &Rig, nic: usize, number: u16) -> bool {
    let (vm, far) = (rig.vm_socket(), rig.tor_socket(nic));
    let udp = talk(1, number);
    let ours = |f: &[u8]| Udp::parse(f).is_some_and(|(u, _)| u.src_port == number);
    for _ in 0..10 {
        vm.send(&udp.frame(b"hello")).unwrap();
        std::thread::sleep(Duration::from_millis(50));
        if !far.drain(ours).is_empty() {
            return true;
        }
    }
    false
}

#[harness::test]
fn flows_decide_what_packets_do() {
    let rig = rig(2);
    rig.vsctl("add-port br0 nic0 -- add-port br0 nic1 -- add-port br0 vnet0");
    let number = |name: &str| rig.get("interface", name, "ofport");
    let (vm, out) = (number("vnet0"), number("nic1"));
    assert_eq!(flows(&rig), [NORMAL]);
    rig.wait("traffic to both", || reaches(&rig, 0, 1) && reaches(&rig, 1, 2));
    ofctl(&rig, &format!("add-flow br0 priority=100,in_port={vm},actions=drop"));
    rig.wait("the flow to drop", || !reaches(&rig, 0, 3));
    ofctl(&rig, &format!("add-flow br0 priority=200,udp,tp_src=4,actions=output:{out}"));
    rig.wait("the flow to send", || reaches(&rig, 1, 4));
    assert!(!reaches(&rig, 0, 4));
    // It is counted.
    rig.wait("the flow's packets", || {
        let dump = ofctl(&rig, "dump-flows br0 udp");
        dump.split("n_packets=").nth(1).and_then(|n| n.split(',').next()?.parse().ok()) >= Some(1)
    });
    ofctl(&rig, "del-flows br0");
    assert_eq!(flows(&rig), [] as [&str; 0]);
    assert!(!reaches(&rig, 0, 5) && !reaches(&rig, 1, 5));
    ofctl(&rig, "add-flow br0 actions=normal");
    rig.wait("NORMAL again", || reaches(&rig, 0, 6));
    rig.assert_clean_log();
}

#[harness::test]
fn ports_are_shown_and_brought_down() {
    let rig = rig(1);
    rig.vsctl("add-port br0 nic0 -- add-port br0 vnet0");
    let show = ofctl(&rig, "show br0");
    assert!(show.contains("(nic0): addr:02:00:00:00:01:00"), "{show}");
    assert!(show.contains("current:    10GB-FD COPPER"), "{show}");
    let state = || {
        let show = ofctl(&rig, "show br0");
        let own = show.lines().skip_while(|l| !l.contains("(nic0)"));
        own.filter_map(|l| l.trim().strip_prefix("state:")).next().map(|s| s.trim().to_owned())
    };
    assert_eq!(state().as_deref(), Some("0"));
    rig.link(0, false);
    rig.wait("LINK_DOWN", || state().as_deref() == Some("LINK_DOWN"));
    rig.link(0, true);
    rig.wait("the link", || state().as_deref() == Some("0"));
    ofctl(&rig, "mod-port br0 nic0 down");
    rig.wait("the device down", || rig.get("interface", "nic0", "admin_state") == "down");
    assert!(!rig.hv.rtnl().link("nic0").unwrap().up);
    ofctl(&rig, "mod-port br0 nic0 up");
    rig.wait("the device up", || rig.get("interface", "nic0", "admin_state") == "up");
    rig.wait("traffic", || reaches(&rig, 0, 1));
    let stats = ofctl(&rig, "dump-ports br0 nic0");
    assert!(stats.contains("tx pkts=") && !stats.contains("tx pkts=0,"), "{stats}");
    rig.assert_clean_log();
}

#[harness::test]
fn without_controllers_fail_mode_decides() {
    let rig = rig(1);
    rig.vsctl("add-port br0 nic0 -- add-port br0 vnet0");
    assert_eq!(flows(&rig), [NORMAL]);
    rig.vsctl("set-fail-mode br0 secure");
    assert_eq!(flows(&rig), [] as [&str; 0]);
    rig.wait("silence", || !reaches(&rig, 0, 1));
    rig.vsctl("del-fail-mode br0");
    assert_eq!(flows(&rig), [NORMAL]);
    rig.wait("traffic", || reaches(&rig, 0, 2));
    // A change of what has nothing to do with it leaves flows alone.
    ofctl(&rig, "add-flow br0 priority=7,arp,actions=drop");
    rig.vsctl("set bridge br0 other_config:mac-aging-time=60");
    assert_eq!(flows(&rig), ["priority=7,arp actions=drop", NORMAL]);
}

/// A controller of few words, of OpenFlow 1.0.
struct Controller(UnixStream);

impl Controller {
    /// Waits for the bridge's call and agrees on the version.
    fn answer(at: &UnixListener) -> Controller {
        let (stream, _) = at.accept().expect("a call");
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut c = Controller(stream);
        c.say(0);
        c.hear(0);
        c
    }

    /// A message that is a header only.
    fn say(&mut self, kind: u8) {
        self.0.write_all(&[1, kind, 0, 8, 0, 0, 0, 9]).unwrap();
    }

    /// The next message of a kind.
    fn hear(&mut self, kind: u8) -> Vec<u8> {
        loop {
            let mut header = [0; 8];
            self.0.read_exact(&mut header).expect("a message");
            let len = usize::from(u16::from_be_bytes([header[2], header[3]]));
            let mut body = vec![0; len - 8];
            self.0.read_exact(&mut body).expect("the rest of it");
            if header[1] == kind {
                return body;
            }
        }
    }
}

const BARRIER_REQUEST: u8 = 18;
const BARRIER_REPLY: u8 = 19;
const PACKET_IN: u8 = 10;

#[harness::test]
fn a_controller_comes_goes_and_comes_back() {
    let rig = rig(1);
    let path = rig.switch.path("controller.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let target = format!("unix:{}", path.display());
    rig.vsctl("add-port br0 nic0 -- add-port br0 vnet0");
    rig.vsctl(&format!("set-fail-mode br0 secure -- set-controller br0 {target}"));
    // The bridge waits for what the controller says.
    assert_eq!(flows(&rig), [] as [&str; 0]);
    let mut c = Controller::answer(&listener);
    let row = |column: &str| rig.get("controller", "br0", column);
    rig.wait("is_connected", || row("is_connected") == "true");
    assert!(rig.vsctl("show").contains("is_connected: true"));
    rig.wait("a role", || row("role") == "other" && row("status:state") == "ACTIVE");
    // A packet that no flow matches goes there.
    rig.vm_socket().send(&talk(1, 77).frame(b"whither?")).unwrap();
    let packet = c.hear(PACKET_IN);
    assert!(packet.windows(8).any(|w| w == b"whither?"), "{packet:02x?}");
    ofctl(&rig, "add-flow br0 actions=normal");
    c.say(BARRIER_REQUEST);
    c.hear(BARRIER_REPLY);
    rig.wait("traffic", || reaches(&rig, 0, 1));
    // Without it all goes on, and it is called again.
    drop(c);
    rig.wait("the end", || row("is_connected") == "false");
    rig.wait("traffic", || reaches(&rig, 0, 2));
    let mut c = Controller::answer(&listener);
    rig.wait("is_connected again", || row("is_connected") == "true");
    // Another change of the row leaves the connection alone.
    rig.vsctl("set controller br0 max_backoff=2000");
    c.say(BARRIER_REQUEST);
    c.hear(BARRIER_REPLY);
    rig.appctl("bridge/reconnect br0");
    let _c = Controller::answer(&listener);
    rig.assert_no_panic();
}

/// The switch answers meanwhile, and what fails is told in the row.
#[harness::test]
fn a_controllers_name_is_looked_up() {
    tests::able();
    let rig = rig(0);
    let listener = rig.hv.run(|| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
    let port = listener.local_addr().unwrap().port();
    // A name that the resolver answers without a name server, and one that it refuses.
    rig.vsctl(&format!("set-controller br0 tcp:0x7f000001:{port}"));
    let (stream, _) = listener.accept().expect("a call");
    let row = |column: &str| rig.get("controller", "br0", column);
    assert_eq!(row("target"), format!("tcp:0x7f000001:{port}"));
    rig.wait("the state", || row("status:state") == "CONNECTING");
    // It is called again.
    drop(stream);
    let _stream = listener.accept().expect("a second call");

    let nobody = format!("{}.invalid", "x".repeat(64));
    rig.vsctl(&format!("set-controller br0 tcp:{nobody}:{port}"));
    rig.wait("the reason", || {
        let status = rig.vsctl("get controller br0 status");
        status.contains(&nobody) && status.contains("BACKOFF")
    });
    rig.assert_no_panic();
}

#[harness::test]
fn a_standalone_bridge_helps_itself() {
    let rig = rig(1);
    let path = rig.switch.path("controller.sock");
    let target = format!("unix:{}", path.display());
    rig.vsctl("add-port br0 nic0 -- add-port br0 vnet0");
    rig.vsctl(&format!(
        "set-fail-mode br0 standalone -- set-controller br0 {target} \
         -- set controller br0 inactivity_probe=1000 max_backoff=1000"
    ));
    assert_eq!(flows(&rig), [] as [&str; 0]);
    // Three times a second, and then some for a busy machine.
    rig.wait("the bridge to open", || flows(&rig) == ["priority=61680 actions=NORMAL"]);
    rig.wait("traffic", || reaches(&rig, 0, 1));
    let listener = UnixListener::bind(&path).unwrap();
    let mut c = Controller::answer(&listener);
    c.say(BARRIER_REQUEST);
    c.hear(BARRIER_REPLY);
    rig.wait("the bridge to obey again", || flows(&rig).is_empty());
    rig.assert_no_panic();
}

#[harness::test]
fn a_bond_fails_over_under_flows() {
    let rig = rig(2);
    rig.bond("bond_mode=active-backup");
    let vm = rig.get("interface", "vnet0", "ofport");
    ofctl(&rig, "del-flows br0");
    ofctl(&rig, &format!("add-flow br0 table=0,in_port={vm},actions=resubmit(,1)"));
    ofctl(&rig, "add-flow br0 table=0,priority=1,actions=normal");
    ofctl(&rig, "add-flow br0 table=1,actions=normal");
    rig.wait("an active member", || rig.active().is_some());
    let first = rig.active().unwrap();
    rig.wait("traffic", || reaches(&rig, first, 1));
    rig.link(first, false);
    rig.await_active(1 - first);
    rig.wait("traffic on the other", || reaches(&rig, 1 - first, 2));
    let dump = ofctl(&rig, "--no-stats dump-flows br0");
    assert_eq!(dump.lines().count(), 3, "{dump}");
    rig.assert_no_panic();
}

#[harness::test]
fn sockets_take_nonsense() {
    let rig = rig(0);
    let path = rig.switch.path("br0.mgmt");
    for junk in [
        &[0; 64][..],
        // A length below the header's.
        &[1, 0, 0, 7, 0, 0, 0, 0],
        // No hello first.
        &[1, 5, 0, 8, 0, 0, 0, 0],
        // A version that nobody has.
        &[0xff, 0, 0, 8, 0, 0, 0, 0],
        // A hello, and then a message of a type that there is not.
        &[1, 0, 0, 8, 0, 0, 0, 0, 1, 0xee, 0, 8, 0, 0, 0, 1],
    ] {
        let mut s = UnixStream::connect(&path).unwrap();
        s.set_read_timeout(Some(SOON)).unwrap();
        s.write_all(junk).unwrap();
        s.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        // Closed by the daemon, with or without a word.
        let _ = s.read_to_end(&mut answer);
        assert!(!answer.is_empty(), "it says hello");
    }
    // Tools that come, say nothing and stay do not keep others out.
    let silent: Vec<_> = (0..50).map(|_| UnixStream::connect(&path).unwrap()).collect();
    assert!(ofctl(&rig, "show br0").contains("OFPT_FEATURES_REPLY"));
    drop(silent);
    rig.assert_no_panic();
}

/// An authority, and what it has signed for the switch and for a tool; and another authority.
fn certificates(rig: &Rig) {
    tests::tool("openssl");
    let openssl = |words: &str| {
        let mut c = rig.switch.command("openssl");
        c.args(words.split_whitespace()).current_dir(rig.switch.path(""));
        process::output(&mut c, SOON).unwrap_or_else(|e| panic!("{e}"));
    };
    for name in ["ca", "ca2"] {
        openssl(&format!(
            "req -x509 -nodes -newkey rsa:2048 -keyout {name}.key -out {name}.pem -days 2 \
             -subj /CN={name}"
        ));
    }
    // Of version 3, as the daemon asks for.
    std::fs::write(rig.switch.path("v3"), "basicConstraints=CA:FALSE\n").unwrap();
    for name in ["switch", "tool"] {
        openssl(&format!(
            "req -nodes -newkey rsa:2048 -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 \
             -extfile v3 -out {name}.pem"
        ));
    }
}

#[harness::test]
fn over_tcp_and_tls() {
    let rig = rig(0);
    let port = |log: &str, of: &str| {
        let at = log.rfind(of)? + of.len();
        log[at..].split_whitespace().next()?.parse::<u16>().ok()
    };
    rig.vsctl("set-controller br0 ptcp:0:127.0.0.1");
    let listening = "|0:127.0.0.1: listening on port ";
    let mut tcp = None;
    rig.wait("the listener", || {
        tcp = port(&rig.switch.log().replace("|INFO|", "|"), listening);
        tcp.is_some()
    });
    let tcp = tcp.unwrap();
    rig.hv.rtnl().set_up("lo", true).expect("loopback");
    assert!(ofctl(&rig, &format!("show tcp:127.0.0.1:{tcp}")).contains("OFPT_FEATURES_REPLY"));
    certificates(&rig);
    let file = |name: &str| rig.switch.path(name).display().to_string();
    rig.vsctl(&format!(
        "set-ssl {} {} {} -- set-controller br0 pssl:0:127.0.0.1",
        file("switch.key"),
        file("switch.pem"),
        file("ca.pem")
    ));
    let mut tls = None;
    rig.wait("the other listener", || {
        tls = port(&rig.switch.log().replace("|INFO|", "|"), listening).filter(|p| *p != tcp);
        tls.is_some()
    });
    let target = format!("ssl:127.0.0.1:{}", tls.unwrap());
    let with = format!("-p {} -c {} -C {}", file("tool.key"), file("tool.pem"), file("ca.pem"));
    assert!(ofctl(&rig, &format!("{with} show {target}")).contains("OFPT_FEATURES_REPLY"));
    // One that another authority knows is not let in, and the listener of before is gone.
    let other = format!("-p {} -c {} -C {}", file("ca2.key"), file("ca2.pem"), file("ca.pem"));
    assert!(ofctl_or(&rig, &format!("{other} show {target}")).is_err());
    assert!(ofctl_or(&rig, &format!("show tcp:127.0.0.1:{tcp}")).is_err());
    rig.assert_no_panic();
}
