//! BFD and CFM on the members of a bond, with Open vSwitch at the other end of the links.
//!
//! What only they can see: a link that loses everything while its carrier stays.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::Duration;

use testbed::packet::{self, BUFFER};
use testbed::{Daemon, Netns, PacketSocket, Switch};
use tests::Rig;
use tests::rig::talk;

const MS: Duration = Duration::from_millis(1);

/// Passes frames between `tor<i>` and `mid<i>` of one namespace, link by link, until it is told
/// to lose them. The carrier of either end never hears of it.
struct Wires {
    lossy: Arc<Vec<AtomicBool>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Wires {
    fn new(ns: &Netns, links: usize) -> Wires {
        let open = |name: String| PacketSocket::open(ns, &name).expect("a packet socket");
        let pairs: Vec<[PacketSocket; 2]> =
            (0..links).map(|i| [open(format!("tor{i}")), open(format!("mid{i}"))]).collect();
        let lossy: Arc<Vec<AtomicBool>> =
            Arc::new((0..links).map(|_| AtomicBool::new(false)).collect());
        let stop = Arc::new(AtomicBool::new(false));
        let (end, lose) = (stop.clone(), lossy.clone());
        let thread = std::thread::spawn(move || {
            let mut buf = vec![0; BUFFER];
            let all: Vec<&PacketSocket> = pairs.iter().flatten().collect();
            while !end.load(Relaxed) {
                packet::wait(&all, 20 * MS);
                for (pair, lose) in pairs.iter().zip(&*lose) {
                    for (from, to) in [(0, 1), (1, 0)] {
                        while let Ok(Some(frame)) = pair[from].recv(&mut buf) {
                            if !lose.load(Relaxed) {
                                // The other end may be down.
                                let _ = pair[to].send(frame);
                            }
                        }
                    }
                }
            }
        });
        Wires { lossy, stop, thread: Some(thread) }
    }

    fn lose(&self, link: usize, on: bool) {
        self.lossy[link].store(on, Relaxed);
    }
}

impl Drop for Wires {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("the wires' thread does not panic");
        }
    }
}

/// A second switch at the far end of the wires: Debian's, with a host behind it.
struct Other {
    switch: Switch,
    wires: Wires,
    host: Arc<Netns>,
}

impl Other {
    /// Its bond `bond1` of `far0`… is like ours: each end leaves a link by its own judgement.
    fn new(rig: &Rig, debian: Daemon) -> Other {
        let [ns, host] = [(); 2].map(|()| Arc::new(Netns::new().unwrap()));
        host.veth("eth0", &ns, "host0").unwrap();
        for i in 0..rig.nics {
            ns.veth(&format!("far{i}"), &rig.tor, &format!("mid{i}")).unwrap();
        }
        let wires = Wires::new(&rig.tor, rig.nics);
        let switch = Switch::start(ns, debian, "braid-test").unwrap();
        let nics: String = (0..rig.nics).map(|i| format!(" far{i}")).collect();
        let other = Other { switch, wires, host };
        other.vsctl(&format!(
            "add-br br1 -- set bridge br1 datapath_type=netdev \
             other_config:hwaddr=02:00:00:00:b1:00 -- add-bond br1 bond1{nics} \
             -- set port bond1 bond_mode=active-backup other_config:bond-primary=far0 \
             -- add-port br1 host0"
        ));
        other
    }

    fn vsctl(&self, words: &str) -> String {
        self.switch.vsctl(words).unwrap()
    }

    fn appctl(&self, words: &str) -> String {
        self.switch.appctl(words).unwrap()
    }
}

/// Whether a datagram of the VM's arrives at the host, and one back.
fn passes(vm: &PacketSocket, host: &PacketSocket, port: u16) -> bool {
    let (t, said) = (talk(1, port), format!("alive {port}"));
    let one_way = |from: &PacketSocket, to: &PacketSocket, frame: Vec<u8>| {
        from.send(&frame).unwrap();
        to.recv_matching(300 * MS, |f| f.ends_with(said.as_bytes())).is_some()
    };
    one_way(vm, host, t.frame(said.as_bytes()))
        && one_way(host, vm, t.reversed().frame(said.as_bytes()))
}

fn await_traffic(rig: &Rig, other: &Other, ports: &mut std::ops::RangeFrom<u16>) {
    let vm = rig.vm_socket();
    let host = PacketSocket::open(&other.host, "eth0").unwrap();
    rig.wait("traffic", || ports.next().is_some_and(|p| passes(&vm, &host, p)));
}

fn silent_loss_moves_traffic(ours: impl Fn(usize) -> String, theirs: impl Fn(usize) -> String) {
    let rig = Rig::new(2);
    let debian = tests::debian();
    let mut other = Other::new(&rig, debian);
    rig.bond_down("bond_mode=active-backup other_config:bond-primary=nic0");
    for i in 0..2 {
        rig.vsctl(&format!("set interface nic{i} {}", ours(i)));
        other.vsctl(&format!("set interface far{i} {}", theirs(i)));
    }
    let both = |show: &str| show.matches(": enabled").count() == 2;
    rig.await_member(0, true);
    rig.await_member(1, true);
    rig.wait("their view", || both(&other.appctl("bond/show bond1")));
    rig.await_active(0);
    let mut ports = 40_000..;
    await_traffic(&rig, &other, &mut ports);

    // The active link loses everything: nobody but the health check can tell.
    other.wires.lose(0, true);
    let took = rig.wait("loss of nic0", || rig.active() == Some(1));
    assert!(took < Duration::from_secs(5), "{took:?}");
    rig.await_member(0, false);
    assert_eq!(rig.get("interface", "nic0", "link_state"), "up");
    rig.wait("their view", || !both(&other.appctl("bond/show bond1")));
    await_traffic(&rig, &other, &mut ports);

    other.wires.lose(0, false);
    rig.await_member(0, true);
    rig.await_active(0);
    rig.wait("their view", || both(&other.appctl("bond/show bond1")));
    await_traffic(&rig, &other, &mut ports);

    // The partner dies, the links do not.
    other.switch.kill_vswitchd();
    rig.wait("loss of the partner", || rig.enabled() == 0);
    other.switch.start_vswitchd().unwrap();
    rig.await_member(0, true);
    rig.await_member(1, true);
    rig.assert_no_panic();

    // Without a health check the carrier is enough.
    other.wires.lose(0, true);
    rig.await_member(0, false);
    for i in 0..2 {
        rig.vsctl(&format!(
            "remove interface nic{i} bfd enable -- clear interface nic{i} cfm_mpid"
        ));
    }
    rig.await_member(0, true);
    rig.wait("empty columns", || {
        let columns = ["bfd_status", "cfm_fault", "cfm_health", "cfm_flap_count"];
        columns.iter().all(|c| matches!(rig.get("interface", "nic0", c).as_str(), "{}" | "[]"))
    });
    assert_eq!(rig.appctl("bfd/show"), "");
    assert_eq!(rig.appctl("cfm/show"), "");
}

#[harness::test]
fn bfd_notices_silent_loss() {
    let bfd = |_| "bfd:enable=true bfd:min_rx=100 bfd:min_tx=100".to_owned();
    silent_loss_moves_traffic(bfd, bfd);
}

#[harness::test]
fn cfm_notices_silent_loss() {
    let cfm = |base: usize| {
        move |i: usize| format!("cfm_mpid={} other_config:cfm_interval=100", base + i)
    };
    silent_loss_moves_traffic(cfm(1), cfm(11));
}

#[harness::test]
fn extended_cfm_notices_silent_loss() {
    let cfm = |base: usize| {
        move |i: usize| {
            format!(
                "cfm_mpid={} other_config:cfm_interval=150 other_config:cfm_extended=true",
                base + i
            )
        }
    };
    silent_loss_moves_traffic(cfm(1), cfm(100_000));
}

#[harness::test]
fn cfm_in_a_vlan() {
    let cfm = |base: usize| {
        move |i: usize| {
            format!(
                "cfm_mpid={} other_config:cfm_interval=100 other_config:cfm_ccm_vlan=7 \
                 other_config:cfm_ccm_pcp=5",
                base + i
            )
        }
    };
    silent_loss_moves_traffic(cfm(1), cfm(11));
}

/// Times and discriminators of `bfd/show` and `cfm/show`, which differ from run to run.
fn steady(show: &str) -> String {
    let vary = ["Time:", "Discriminator", "next CCM", "next fault", "recv since", "health"];
    show.lines().filter(|l| !vary.iter().any(|v| l.contains(v))).map(|l| format!("{l}\n")).collect()
}

#[harness::test]
fn both_ends_show_the_same() {
    let rig = Rig::new(2);
    let debian = tests::debian();
    let other = Other::new(&rig, debian);
    rig.bond_down("bond_mode=active-backup");
    let checks = |i: usize, dev: &str, mpid: usize| {
        let cfm = "other_config:cfm_interval=100 other_config:cfm_extended=true";
        format!(
            "set interface {dev}{i} bfd:enable=true bfd:min_rx=200 bfd:min_tx=300 bfd:mult=4 \
             cfm_mpid={mpid} {cfm}"
        )
    };
    for i in 0..2 {
        rig.vsctl(&checks(i, "nic", 1));
        other.vsctl(&checks(i, "far", 2));
    }
    let up = |show: String| {
        show.contains("Local Session State: up") && show.contains("TX Interval: Approx 300ms")
    };
    rig.wait("BFD", || up(rig.appctl("bfd/show nic0")));
    rig.wait("their BFD", || up(other.appctl("bfd/show far0")));
    let healthy = |show: String| show.contains("health: 100") || show.contains("health: 9");
    rig.wait("CFM", || healthy(rig.appctl("cfm/show nic0")));
    rig.wait("their CFM", || healthy(other.appctl("cfm/show far0")));
    rig.wait("the same BFD", || {
        steady(&rig.appctl("bfd/show nic0")) == steady(&other.appctl("bfd/show far0"))
    });
    let theirs = other.appctl("cfm/show far0");
    let theirs = theirs.replace("far0", "nic0").replace("MPID 1", "MPID x");
    let theirs = theirs.replace("MPID 2", "MPID 1").replace("MPID x", "MPID 2");
    assert_eq!(steady(&rig.appctl("cfm/show nic0")), steady(&theirs));

    // The database says the same, in the same words.
    let columns = ["bfd_status", "cfm_fault", "cfm_fault_status", "cfm_flap_count"];
    for column in columns.into_iter().chain(["cfm_remote_opstate"]) {
        rig.wait(column, || {
            let ours = rig.get("interface", "nic0", column);
            let theirs = other.vsctl(&format!("get interface far0 {column}"));
            ours == theirs.trim().trim_matches('"')
        });
    }
    assert_eq!(rig.get("interface", "nic0", "cfm_remote_mpids"), "[2]");

    // Either is enough; the operator can say no to both.
    rig.await_member(0, true);
    assert_eq!(rig.appctl("cfm/set-fault nic0 true"), "OK\n");
    std::thread::sleep(300 * MS);
    rig.await_member(0, true);
    assert_eq!(rig.appctl("bfd/set-forwarding nic0 false"), "OK\n");
    rig.await_member(0, false);
    assert!(rig.appctl("bfd/show nic0").starts_with("  Forwarding: false\n"));
    assert!(
        rig.appctl("cfm/show nic0")
            .contains("MPID 1: extended fault_override\n  fault: override\n")
    );
    rig.wait("the database", || rig.get("interface", "nic0", "cfm_fault_status") == "[override]");
    assert_eq!(rig.appctl("bfd/set-forwarding normal"), "OK\n");
    assert_eq!(rig.appctl("cfm/set-fault normal"), "OK\n");
    rig.await_member(0, true);
    for bad in [
        ("bfd/show vnet0", "no such bfd object"),
        ("bfd/set-forwarding vnet0 true", "no such BFD object"),
        ("bfd/set-forwarding perhaps", "unknown fault string"),
        ("cfm/show vnet0", "no such CFM object"),
        ("cfm/set-fault vnet0 true", "no such CFM object"),
        ("cfm/set-fault perhaps", "unknown fault string"),
    ] {
        for switch in [&rig.switch, &other.switch] {
            let said = switch.appctl(bad.0).unwrap_err().to_string();
            assert!(said.contains(bad.1), "{}: {said}", bad.0);
        }
    }
    rig.assert_no_panic();
}

#[harness::test]
fn received_traffic_counts_where_it_is_told_to() {
    let rig = Rig::new(2);
    let debian = tests::debian();
    let other = Other::new(&rig, debian);
    rig.bond_down("bond_mode=active-backup");
    rig.vsctl("set interface nic0 bfd:enable=true bfd:min_rx=200 bfd:decay_min_rx=900");
    other.vsctl("set interface far0 bfd:enable=true bfd:min_tx=200");
    rig.await_member(0, true);
    let tor = rig.tor_socket(0);
    let hears = || tor.send(&talk(9, 9).reversed().frame(b"somebody")).unwrap();
    let shows = |line: &str| rig.appctl("bfd/show nic0").lines().any(|l| l.trim() == line);

    // An idle link is checked less often, a busy one as before.
    rig.wait("decay", || shows("Local Minimum RX Interval: 900ms"));
    rig.wait("the end of it", || {
        hears();
        shows("Local Minimum RX Interval: 200ms")
    });
    rig.await_member(0, true);

    // Traffic instead of BFD. Open vSwitch counts it on tunnels and patch ports only.
    tests::ours_only("forwarding_if_rx on a NIC");
    rig.vsctl("set interface nic0 bfd:forwarding_if_rx=true");
    // It counts from a BFD packet on.
    std::thread::sleep(1000 * MS);
    other.vsctl("set interface far0 bfd:enable=false");
    let sound = || {
        hears();
        shows("Local Session State: down")
    };
    rig.wait("silence", sound);
    for _ in 0..30 {
        hears();
        std::thread::sleep(100 * MS);
        assert!(shows("Forwarding: true"));
    }
    rig.await_member(0, true);
    // Neither.
    rig.await_member(0, false);
    assert!(shows("Forwarding: false"));
    rig.assert_no_panic();
}

#[harness::test]
fn odd_values_are_named_and_defaults_used() {
    let rig = Rig::new(1);
    rig.vsctl(
        "add-port br0 nic0 -- set interface nic0 bfd:enable=true bfd:min_tx=0 bfd:mult=300 \
         bfd:bfd_src_ip=nowhere bfd:min_rxx=1 bfd:decay_min_rx=10 cfm_mpid=8192",
    );
    rig.wait("a session", || rig.appctl("bfd/show").starts_with("---- nic0 ----\n"));
    let show = rig.appctl("bfd/show nic0");
    assert!(show.contains("  Detect Multiplier: 3\n"), "{show}");
    assert_eq!(rig.appctl("cfm/show"), "");
    if tests::daemon().is_ours() {
        let log = rig.switch.log();
        for key in ["min_tx=0", "mult=300", "bfd_src_ip=nowhere", "min_rxx=1", "decay_min_rx=10"] {
            assert!(log.contains(&format!("interface nic0: bfd:{key}: ")), "{key}\n{log}");
        }
        assert!(log.contains("interface nic0: cfm_mpid=8192: "), "{log}");
    }
    rig.assert_no_panic();
}
