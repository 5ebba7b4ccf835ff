//! `flow-restore-wait`, and what a restart leaves of flows and port numbers.

use std::io::ErrorKind;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use testbed::frame::Udp;
use testbed::process;
use tests::Rig;
use tests::rig::talk;

/// A rig whose database outlives the daemon.
fn rig(nics: usize) -> Rig {
    tests::tool("ovs-ofctl");
    Rig::with_server(nics)
}

fn ofctl(rig: &Rig, words: &str) -> String {
    let mut c = rig.switch.command("ovs-ofctl");
    c.arg("--timeout=20").args(words.split_whitespace());
    process::output(&mut c, Duration::from_secs(25))
        .unwrap_or_else(|e| panic!("{e}\n{}", rig.switch.log()))
}

fn flows(rig: &Rig) -> Vec<String> {
    ofctl(rig, "--no-stats dump-flows br0").lines().map(|l| l.trim().to_owned()).collect()
}

/// Sends 20 frames from the VM; whether one of them has come to this NIC's far end.
fn reaches(rig: &Rig, nic: usize, number: u16) -> bool {
    let (vm, far) = (rig.vm_socket(), rig.tor_socket(nic));
    let udp = talk(1, number);
    let ours = |f: &[u8]| Udp::parse(f).is_some_and(|(u, _)| u.src_port == number);
    (0..20).any(|_| {
        vm.send(&udp.frame(b"hello")).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        !far.drain(ours).is_empty()
    })
}

const WAIT: &str = "open_vswitch . other_config:flow-restore-wait";

#[harness::test]
fn nothing_is_forwarded_and_no_controller_called_until_flows_are_restored() {
    let mut rig = rig(1);
    let path = rig.switch.path("controller.sock");
    let listener = UnixListener::bind(&path).unwrap();
    listener.set_nonblocking(true).unwrap();
    let called = || match listener.accept() {
        Ok(_) => true,
        Err(e) if e.kind() == ErrorKind::WouldBlock => false,
        Err(e) => panic!("{e}"),
    };
    rig.vsctl("add-port br0 nic0 -- add-port br0 vnet0");
    rig.wait("traffic", || reaches(&rig, 0, 1));
    // On a running switch it changes nothing.
    rig.vsctl(&format!("set {WAIT}=TRUE"));
    assert!(reaches(&rig, 0, 2));
    rig.vsctl(&format!("set-controller br0 unix:{}", path.display()));
    rig.wait("a call", called);

    rig.switch.stop_vswitchd();
    while called() {}
    rig.switch.start_vswitchd().unwrap();
    rig.wait("the ports", || rig.switch.appctl("dpif/show").is_ok_and(|s| s.contains("vnet0")));
    // A command that waits for the configuration to be in force.
    rig.vsctl("set bridge br0 external_ids:test=1");
    assert!(!reaches(&rig, 0, 3), "{}", rig.switch.log());
    assert!(!called());
    ofctl(&rig, "add-flow br0 priority=5,udp,tp_src=5,actions=drop");
    ofctl(&rig, "add-flow br0 priority=4,actions=normal");
    let restored = flows(&rig);
    assert!(!reaches(&rig, 0, 4) && !called());
    assert!(!rig.appctl("fdb/show br0").contains("50:"), "nothing is learned");

    rig.vsctl("remove open_vswitch . other_config flow-restore-wait");
    rig.wait("traffic", || reaches(&rig, 0, 6));
    assert!(!reaches(&rig, 0, 5), "by the restored flows");
    rig.wait("a call", called);
    assert_eq!(flows(&rig), restored, "the controller's coming flushes nothing");
    // Once over it is over.
    rig.vsctl(&format!("set {WAIT}=true"));
    assert!(reaches(&rig, 0, 7));
    rig.assert_no_panic();
}

/// The numbers of the datapath's ports, by name.
fn number(rig: &Rig, name: &str) -> Option<u32> {
    let show = rig.appctl("dpctl/show");
    let port = |l: &str| l.trim().strip_prefix("port ").map(str::to_owned);
    let mut ports = show.lines().filter_map(port);
    let end = format!(": {name}");
    ports.find(|p| p.ends_with(&end))?.strip_suffix(&end)?.parse().ok()
}

#[harness::test]
fn a_ports_number_is_free_when_the_revalidator_has_looked_at_every_flow() {
    tests::ours_only("port numbers that are held back");
    let rig = rig(3);
    rig.vsctl("add-port br0 nic0 -- add-port br0 nic1");
    let old = number(&rig, "nic1").expect("a port");
    // No round ends meanwhile, however long that takes.
    rig.appctl("revalidator/pause");
    rig.vsctl("del-port nic1");
    std::thread::sleep(Duration::from_millis(3200));
    rig.vsctl("add-port br0 nic2");
    let other = number(&rig, "nic2").expect("a port");
    assert_ne!(other, old, "held back");
    rig.appctl("revalidator/resume");
    rig.appctl("revalidator/wait");
    // Devices are closed by a thread of their own.
    rig.wait("the number", || {
        rig.vsctl("--if-exists del-port nic1");
        rig.vsctl("add-port br0 nic1");
        number(&rig, "nic1") == Some(old)
    });
    rig.assert_clean_log();
}
