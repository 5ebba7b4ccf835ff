//! What the control socket answers on features that are not built, and on the packet thread.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::{Duration, Instant};

use testbed::Daemon;
use tests::Rig;

use crate::compat::said;

/// A daemon with a bridge of dummies, and a bond among them.
fn start(daemon: Daemon) -> Rig {
    let rig = Rig::with(0, daemon, &["--enable-dummy=override", "--disable-system-route"]);
    rig.vsctl("del-br br0 -- add-br br0 -- set bridge br0 datapath_type=dummy");
    rig.vsctl(
        "add-port br0 p1 -- set interface p1 type=dummy \
         -- add-port br0 p2 -- set interface p2 type=dummy \
         -- add-bond br0 bond0 p3 p4 -- set interface p3 type=dummy -- set interface p4 type=dummy",
    );
    rig
}

/// The same in 3.1 and master, and here.
const SAME: &[&str] = &[
    "autoattach/show-isid",
    "autoattach/statistics br0",
    "autoattach/status",
    "autoattach/status nope",
    "dpctl/cache-get-size",
    "dpctl/cache-get-size nope",
    "dpctl/ct-get-nconns",
    "dpctl/ct-stats-show",
    "dpctl/ct-stats-show -m dummy@ovs-dummy",
    "dpctl/dump-conntrack",
    "dpctl/dump-conntrack -m dummy@ovs-dummy",
    "dpctl/dump-conntrack zone=5",
    "dpctl/dump-conntrack nope",
    "dpif-netdev/pmd-rxq-show",
    "dpif-netdev/pmd-rxq-show -pmd 3",
    "dpif-netdev/pmd-rxq-show -secs 7",
    "dpif-netdev/pmd-stats-clear",
    "dpif/show-dp-features nope",
    "mdb/flush",
    "mdb/flush br0",
    "mdb/flush nope",
    "mdb/show",
    "mdb/show br0",
    "mdb/show nope",
    "ofproto/list-tunnels",
    "ovs/route/lookup 1.2.3.4",
    "ovs/route/show",
    "qos/show",
    "qos/show nope",
    "qos/show p1",
    "qos/show-types p1",
    "qos/show-types nope",
    "rstp/show",
    "rstp/show br0",
    "rstp/tcn",
    "rstp/tcn br0",
    "stp/show",
    "stp/show br0",
    "stp/tcn",
    "stp/tcn nope",
    "tnl/arp/flush",
    "tnl/arp/show",
    "tnl/neigh/flush",
    "tnl/neigh/show",
    "tnl/ports/show",
    "tnl/ports/show -v",
];

#[harness::test]
fn what_nothing_uses_is_answered_as_there() {
    tests::able();
    let debian = tests::debian();
    let (theirs, ours) = (start(debian), start(tests::daemon()));
    for command in SAME {
        assert_eq!(said(&ours, command), said(&theirs, command), "{command}");
    }
    let keys = |rig: &Rig| -> Vec<String> {
        let text = rig.appctl("dpif/show-dp-features br0");
        text.lines().filter_map(|l| Some(l.split_once(':')?.0.to_owned())).collect()
    };
    let mut known = keys(&ours);
    // Newer than 3.1.
    known.retain(|k| k != "psample action");
    assert_eq!(known, keys(&theirs));
    let memory = |rig: &Rig| -> Vec<(String, u64)> {
        let text = rig.appctl("memory/show");
        let pairs = text.split_whitespace().filter_map(|w| w.rsplit_once(':'));
        pairs.map(|(k, n)| (k.to_owned(), n.parse().unwrap())).collect()
    };
    assert_eq!(memory(&ours), memory(&theirs));
}

/// The commands that sosreport's plugin `openvswitch` runs against the daemon.
#[harness::test]
fn what_sosreport_asks_is_answered() {
    tests::ours_only("commands of master's");
    let rig = start(tests::daemon());
    let mut asked: Vec<String> = [
        "bond/list",
        "bond/show",
        "lacp/show",
        "lacp/show-stats",
        "coverage/show",
        "ovs/route/show",
        "tnl/arp/show",
        "tnl/ports/show -v",
        "upcall/show",
        "dpif-netdev/pmd-rxq-show",
        "dpif-netdev/pmd-stats-show",
        "dpif-netdev/pmd-perf-show",
        "ofproto/list-tunnels",
        "memory/show",
        "bridge/dump-flows --offload-stats br0",
        "dpif/show-dp-features br0",
        "fdb/show br0",
        "fdb/stats-show br0",
        "bond/show bond0",
    ]
    .map(str::to_owned)
    .to_vec();
    for dp in rig.appctl("dpctl/dump-dps").lines() {
        for command in [
            "dpctl/show -s",
            "dpctl/dump-flows -m",
            "dpctl/dump-conntrack -m",
            "dpctl/ct-stats-show -m",
            "dpctl/ipf-get-status",
        ] {
            asked.push(format!("{command} {dp}"));
        }
    }
    for port in ["p1", "p2"] {
        asked.push(format!("qos/show {port}"));
    }
    for command in asked {
        if let Err(e) = rig.switch.appctl(&command) {
            panic!("{command}: {e}");
        }
    }
    // These fail there, too: the bridge does not snoop, and the port is no bond.
    assert!(rig.switch.appctl("mdb/show br0").is_err());
    assert!(rig.switch.appctl("bond/show p1").is_err());
}

#[harness::test]
fn the_packet_thread_tells_what_it_did() {
    tests::ours_only("the packet thread's own counters");
    let rig = start(tests::daemon());
    let packet = "in_port(1),eth(src=50:54:00:00:00:01,dst=50:54:00:00:00:02),eth_type(0x1234)";
    let figure = |name: &str| -> u64 {
        let text = rig.appctl("dpif-netdev/pmd-perf-show");
        let line = text.lines().find(|l| l.trim_start().trim_start_matches("- ").starts_with(name));
        let line = line.unwrap_or_else(|| panic!("{name} in {text}"));
        line.split_once(':').unwrap().1.split_whitespace().next().unwrap().parse().unwrap()
    };
    let soon = |name: &str, wanted: u64| {
        let start = Instant::now();
        while figure(name) != wanted {
            assert!(start.elapsed() < Duration::from_secs(10), "{name}: {}", figure(name));
        }
    };
    soon("Rx packets", 0);
    for _ in 0..5 {
        rig.appctl(&format!("netdev-dummy/receive p1 {packet}"));
    }
    soon("Rx packets", 5);
    soon("Upcalls", 1);
    assert_eq!(figure("SMC hits") + figure("Megaflow hits"), 4);
    assert!(figure("Tx packets") >= 5);
    rig.appctl("dpif-netdev/pmd-stats-clear");
    soon("Rx packets", 0);
    rig.appctl(&format!("netdev-dummy/receive p1 {packet}"));
    soon("Rx packets", 1);
    soon("Upcalls", 0);
}

/// `revalidator/wait` while the revalidator is paused is answered when it goes on, and others are
/// answered meanwhile.
#[harness::test]
fn waiting_for_the_revalidator_holds_up_nobody() {
    tests::ours_only("a revalidator that pauses");
    let rig = start(tests::daemon());
    rig.appctl("revalidator/pause");
    let received = || -> u64 {
        let text = rig.appctl("coverage/read-counter unixctl_received");
        text.trim().parse().unwrap()
    };
    let before = received();
    let answered = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| {
            let said = rig.switch.appctl("revalidator/wait");
            answered.store(true, SeqCst);
            said
        });
        // Until the daemon has got the question.
        let start = Instant::now();
        let mut asked = 1;
        while received() == before + asked {
            asked += 1;
            assert!(start.elapsed() < Duration::from_secs(10));
        }
        for _ in 0..3 {
            rig.appctl("bond/list");
            rig.appctl("upcall/show");
        }
        assert!(!answered.load(SeqCst), "nothing goes on while it is paused");
        rig.appctl("revalidator/resume");
        waiter.join().unwrap().unwrap();
    });
}
