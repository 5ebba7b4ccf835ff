//! Controllers, tools and ports as OpenFlow tells them.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use testbed::process;
use tests::rig::SOON;

use crate::rig::{Bridge, DummyRig};

/// A port's `config` and `state` in `show`.
fn shown(b: &DummyRig, version: &str, port: &str) -> (String, String) {
    let show = b.ofctl(&["-O", version, "show", "br0"]);
    let own: Vec<&str> = show.lines().skip_while(|l| !l.contains(&format!("({port})"))).collect();
    let field = |name: &str| {
        let line = own.iter().find_map(|l| l.trim().strip_prefix(name));
        line.unwrap_or_else(|| panic!("no {name} in\n{show}")).trim().to_owned()
    };
    (field("config:"), field("state:"))
}

fn pair(config: &str, state: &str) -> (String, String) {
    (config.to_owned(), state.to_owned())
}

fn log_has(b: &DummyRig, what: &str) {
    b.rig.wait(what, || b.rig.switch.log().contains(what));
}

/// A port without carrier is not live, nor is one whose LACP has found nobody.
#[harness::test]
fn a_port_is_live_while_it_may_carry_traffic() {
    let b = DummyRig::new(Bridge::Standalone, 2);
    b.rig.wait("p1 to be live", || shown(&b, "OpenFlow13", "p1") == pair("0", "LIVE"));
    // 1.0 has no word for it.
    assert_eq!(shown(&b, "OpenFlow10", "p1"), pair("0", "0"));
    b.rig.vsctl("set port p1 lacp=active");
    b.rig.wait("p1 not to be live", || shown(&b, "OpenFlow13", "p1") == pair("0", "0"));
    b.rig.wait("p2 to be live", || shown(&b, "OpenFlow13", "p2") == pair("0", "LIVE"));
    b.rig.vsctl("set port p1 lacp=off");
    b.rig.wait("p1 to be live", || shown(&b, "OpenFlow13", "p1") == pair("0", "LIVE"));
    b.rig.appctl("netdev-dummy/set-admin-state p1 down");
    let down = pair("PORT_DOWN", "LINK_DOWN");
    b.rig.wait("p1 to be down", || shown(&b, "OpenFlow13", "p1") == down);
}

/// What a tool did is there for the next one.
#[harness::test]
fn a_port_that_is_taken_down_has_no_link() {
    let b = DummyRig::new(Bridge::Standalone, 1);
    for (command, is) in [
        ("down", pair("PORT_DOWN", "LINK_DOWN")),
        ("up", pair("0", "0")),
        ("no-receive", pair("NO_RECV", "0")),
        ("receive", pair("0", "0")),
    ] {
        b.ofctl(&["mod-port", "br0", "p1", command]);
        assert_eq!(shown(&b, "OpenFlow10", "p1"), is, "{command}");
    }
}

/// Two ports can change places, and a number is not given to the next who comes.
#[harness::test]
fn port_numbers() {
    let b = DummyRig::new(Bridge::Standalone, 3);
    let number = |port: &str| b.rig.get("interface", port, "ofport");
    b.rig.vsctl("set interface p2 ofport_request=3 -- set interface p3 ofport_request=2");
    assert_eq!([number("p1"), number("p2"), number("p3")], ["1", "3", "2"]);
    let add = |port: &str| {
        b.rig.vsctl(&format!("add-port br0 {port} -- set interface {port} type=dummy"));
        number(port)
    };
    assert_eq!(add("p7"), "4");
    b.rig.vsctl("del-port p7");
    assert_eq!(add("p8"), "5");
}

/// Bridges and controllers whose names would lead elsewhere make no sockets there.
#[harness::test]
fn sockets_stay_in_the_run_directory() {
    let b = DummyRig::new(Bridge::Standalone, 0);
    let at = |name: &str| b.rig.switch.path(name);
    assert!(at("br0.mgmt").exists() && at("br0.snoop").exists());
    std::fs::create_dir(at("x")).unwrap();
    b.rig.vsctl("add-br x/y -- set bridge x/y datapath_type=dummy");
    log_has(&b, "ignoring bridge with invalid name");
    assert!(!at("x/y.mgmt").exists());
    b.rig.vsctl("del-br x/y");
    let own = at("br0.mine");
    b.rig.vsctl(&format!("set-controller br0 punix:{}", own.display()));
    b.rig.wait("the socket", || own.exists());
    b.rig.vsctl(&format!("set-controller br0 punix:{}/../over", own.display()));
    log_has(&b, "Not adding Unix domain socket controller");
    b.rig.wait("the socket to go", || !own.exists());
    b.rig.vsctl("set-controller br0 unix:/elsewhere/controller");
    log_has(&b, "Not connecting to socket controller");
    // With the bridge its sockets go.
    b.rig.vsctl("del-br br0");
    assert!(!at("br0.mgmt").exists() && !at("br0.snoop").exists());
}

/// Versions that the bridge does not have are not agreed on.
#[harness::test]
fn versions_are_the_bridge_s() {
    let b = DummyRig::new(Bridge::Standalone, 0);
    b.rig.vsctl("set bridge br0 protocols=OpenFlow13,OpenFlow14");
    assert!(b.ofctl(&["-O", "OpenFlow14", "show", "br0"]).contains("(OF1.4)"));
    let mut c = b.rig.switch.command("ovs-ofctl");
    c.args(["-O", "OpenFlow10", "show", "br0"]);
    let said = process::output(&mut c, SOON).expect_err("it was accepted").to_string();
    assert!(said.contains("version negotiation failed"), "{said}");
    b.rig.vsctl("clear bridge br0 protocols");
    assert!(b.ofctl(&["show", "br0"]).contains("OFPT_FEATURES_REPLY (xid="));
}

/// A controller of OpenFlow 1.0 that says hello and then nothing.
fn answer(at: &UnixListener) -> UnixStream {
    let (mut stream, _) = at.accept().expect("a call");
    stream.set_read_timeout(Some(SOON)).unwrap();
    stream.write_all(&[1, 0, 0, 8, 0, 0, 0, 1]).unwrap();
    stream
}

/// Virtual time asks a silent controller whether it is there, and gives it up.
#[harness::test]
fn a_silent_controller_is_asked_and_given_up() {
    let b = DummyRig::new(Bridge::Secure, 0);
    let path = b.rig.switch.path("silent.sock");
    let listener = UnixListener::bind(&path).unwrap();
    b.rig.appctl("vlog/set rconn:file:dbg");
    b.rig.vsctl(&format!(
        "set-controller br0 unix:{} -- set controller br0 inactivity_probe=6000",
        path.display()
    ));
    let mut silent = answer(&listener);
    b.rig.wait("it to be connected", || b.rig.get("controller", "br0", "is_connected") == "true");
    b.rig.appctl("time/stop");
    b.rig.appctl("time/warp 7000 1000");
    log_has(&b, "idle 6 seconds, sending inactivity probe");
    b.rig.appctl("time/warp 7000 1000");
    log_has(&b, "no response to inactivity probe after 6 seconds, disconnecting");
    let mut all = Vec::new();
    // Closed by the daemon: its hello and an echo request came before.
    let _ = silent.read_to_end(&mut all);
    assert_eq!(all[all.len() - 8..all.len() - 4], [1, 2, 0, 8]);
    b.rig.wait("the row", || b.rig.get("controller", "br0", "is_connected") == "false");
    assert_eq!(b.rig.get("controller", "br0", "status:last_error"), "Connection timed out");
}

/// What must pass to a controller is there, and nobody sees it in the flow table.
#[harness::test]
fn in_band_control_is_hidden() {
    let b = DummyRig::new(Bridge::Standalone, 0);
    b.rig.vsctl("set-controller br0 tcp:240.0.0.1:6653");
    let hidden = || b.rig.appctl("bridge/dump-flows br0").matches("240.0.0.1").count();
    b.rig.wait("the rules", || hidden() == 4);
    assert_eq!(b.ofctl(&["--no-stats", "dump-flows", "br0"]), "");
    b.ofctl(&["del-flows", "br0"]);
    assert_eq!(hidden(), 4);
    b.rig.vsctl("set controller br0 connection_mode=out-of-band");
    b.rig.wait("the rules to go", || hidden() == 0);
    assert!(b.rig.switch.log().contains("br0<->tcp:240.0.0.1:6653: connecting..."));
}

/// There is nothing to show without a controller; with one, what goes over its connection.
#[harness::test]
fn snoops() {
    let b = DummyRig::new(Bridge::Secure, 0);
    let snoop = || {
        let mut s = UnixStream::connect(b.rig.switch.path("br0.snoop")).unwrap();
        s.set_read_timeout(Some(SOON)).unwrap();
        // One that is turned away may find its connection closed before it has said hello.
        let hello = s.write_all(&[1, 0, 0, 8, 0, 0, 0, 1]);
        (s, hello)
    };
    let _ = snoop().0.read_to_end(&mut Vec::new());
    log_has(&b, "no controller connection to snoop");
    let path = b.rig.switch.path("c.sock");
    let listener = UnixListener::bind(&path).unwrap();
    b.rig.vsctl(&format!("set-controller br0 unix:{}", path.display()));
    let mut controller = answer(&listener);
    b.rig.wait("it to be connected", || b.rig.get("controller", "br0", "is_connected") == "true");
    let (mut s, hello) = snoop();
    hello.unwrap();
    // Its hello first, so that it is known to watch.
    let mut hello = [0; 8];
    s.read_exact(&mut hello).unwrap();
    let rest = usize::from(u16::from_be_bytes([hello[2], hello[3]])) - 8;
    s.read_exact(&mut vec![0; rest]).unwrap();
    // An echo request and its answer, as soon as it watches.
    s.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut seen = Vec::new();
    let mut xid = 0;
    b.rig.wait("something to see", || {
        if seen.is_empty() {
            xid += 1;
            controller.write_all(&[1, 2, 0, 8, 0, 0, 0, xid]).unwrap();
        }
        let mut more = [0; 16];
        let n = s.read(&mut more).unwrap_or(0);
        seen.extend_from_slice(&more[..n]);
        seen.len() >= 16
    });
    let xid = seen[7];
    assert_eq!(seen[..16], [1, 2, 0, 8, 0, 0, 0, xid, 1, 3, 0, 8, 0, 0, 0, xid]);
    drop(s);
    b.rig.assert_clean_log();
}
