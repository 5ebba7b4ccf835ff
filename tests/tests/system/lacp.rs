//! LACP with Open vSwitch as the partner, and without any.

use std::sync::Arc;
use std::time::Duration;

use testbed::{Daemon, Netns, PacketSocket, Switch};
use tests::Rig;
use tests::rig::{enabled, talk};
use wire::lacp::Lacpdu;

const MS: Duration = Duration::from_millis(1);

/// A second switch at the other end of the links: Debian's, with a host behind it.
pub(super) struct Other {
    pub(super) switch: Switch,
    pub(super) host: Arc<Netns>,
}

impl Other {
    pub(super) fn new(rig: &Rig, debian: Daemon, settings: &str) -> Other {
        let host = Arc::new(Netns::new().unwrap());
        host.veth("eth0", &rig.tor, "host0").unwrap();
        let switch = Switch::start(rig.tor.clone(), debian, "braid-test").unwrap();
        let nics: String = (0..rig.nics).map(|i| format!(" tor{i}")).collect();
        switch
            .vsctl(&format!(
                "add-br br1 -- set bridge br1 datapath_type=netdev \
                 other_config:hwaddr=02:00:00:00:b1:00 -- add-bond br1 bond1{nics} \
                 -- set port bond1 {settings} -- add-port br1 host0"
            ))
            .unwrap();
        Other { switch, host }
    }
}

/// Sends one datagram of each of many conversations and gives how many arrive.
pub(super) fn exchange(from: &PacketSocket, to: &PacketSocket, back: bool) -> usize {
    let mut n = 0;
    to.drain(|_| true);
    for port in 0..64 {
        let t = talk(1, 40_000 + port);
        let t = if back { t.reversed() } else { t };
        from.send(&t.frame(b"sixty-four")).unwrap();
        std::thread::sleep(MS);
    }
    std::thread::sleep(200 * MS);
    n += to.drain(|f| f.ends_with(b"sixty-four")).len();
    n
}

fn carries_both_ways(ours: &str, theirs: &str) {
    let rig = Rig::new(2);
    let debian = tests::debian();
    let other = Other::new(&rig, debian, &format!("bond_mode=balance-tcp {theirs}"));
    rig.bond_down(&format!("bond_mode=balance-tcp {ours}"));
    rig.wait("negotiation", || {
        let show = rig.appctl("bond/show bond0");
        show.contains("lacp_status: negotiated") && enabled(&show) == 2
    });
    rig.wait("their negotiation", || {
        let show = other.switch.appctl("bond/show bond1").unwrap();
        show.contains("lacp_status: negotiated") && enabled(&show) == 2
    });
    rig.wait("lacp_current", || rig.get("interface", "nic0", "lacp_current") == "true");

    let vm = rig.vm_socket();
    let host = PacketSocket::open(&other.host, "eth0").unwrap();
    // Both sides learn the addresses first, so that nothing is flooded.
    exchange(&vm, &host, false);
    exchange(&host, &vm, true);
    let count = |rig: &Rig| [rig.arrived(0), rig.arrived(1)];
    let before = count(&rig);
    assert_eq!(exchange(&vm, &host, false), 64, "from the VM");
    let after = count(&rig);
    assert!((0..2).all(|i| after[i] - before[i] > 10), "one link only: {before:?} {after:?}");
    assert_eq!(exchange(&host, &vm, true), 64, "to the VM");

    // A link that dies is left by both.
    rig.link(0, false);
    rig.await_member(0, false);
    rig.wait("their view", || {
        other.switch.appctl("bond/show bond1").unwrap().contains("member tor0: disabled")
    });
    let state = || {
        let theirs = other.switch.appctl("lacp/show bond1").unwrap();
        format!("{}\n{theirs}\n{}", rig.switch.log(), other.switch.log())
    };
    assert_eq!(exchange(&vm, &host, false), 64, "from the VM, by one link: {}", state());
    assert_eq!(exchange(&host, &vm, true), 64, "to the VM, by one link: {}", state());
    rig.link(0, true);
    rig.await_member(0, true);
}

#[harness::test]
fn active_and_fast_with_active_and_fast() {
    let fast = "lacp=active other_config:lacp-time=fast";
    carries_both_ways(fast, fast);
}

#[harness::test]
fn active_with_passive() {
    carries_both_ways("lacp=active other_config:lacp-time=fast", "lacp=passive");
}

#[harness::test]
fn passive_with_active() {
    carries_both_ways("lacp=passive", "lacp=active other_config:lacp-time=fast");
}

#[harness::test]
fn slow_with_slow_in_one_pass() {
    carries_both_ways("lacp=active other_config:lb-output-action=true", "lacp=active");
}

#[harness::test]
fn a_silent_partner_is_noticed_within_the_short_timeout() {
    let rig = Rig::new(2);
    let debian = tests::debian();
    let fast = "lacp=active other_config:lacp-time=fast";
    let mut other = Other::new(&rig, debian, &format!("bond_mode=balance-tcp {fast}"));
    rig.bond(&format!("bond_mode=balance-tcp {fast}"));
    // Killed, so that the links stay up and only LACP can tell.
    other.switch.kill_vswitchd();
    let took = rig.wait("loss of the partner", || rig.enabled() == 0);
    assert!(took < Duration::from_secs(8), "{took:?}");
    rig.wait("lacp_current", || rig.get("interface", "nic0", "lacp_current") == "false");
    other.switch.start_vswitchd().unwrap();
    rig.await_member(0, true);
    rig.await_member(1, true);
}

#[harness::test]
fn without_a_partner_balance_tcp_drops_unless_told_to_fall_back() {
    let rig = Rig::new(2);
    rig.bond_down("bond_mode=balance-tcp lacp=active other_config:lacp-time=fast");
    let (vm, tor) = (rig.vm_socket(), [rig.tor_socket(0), rig.tor_socket(1)]);
    let ours = |f: &[u8]| f.ends_with(b"anybody there");
    let send = || {
        vm.send(&talk(1, 1).frame(b"anybody there")).unwrap();
        std::thread::sleep(200 * MS);
        tor[0].drain(ours).len() + tor[1].drain(ours).len()
    };
    // LACPDUs do go out.
    let pdu = tor[0].recv_matching(Duration::from_secs(5), |f| {
        f[12..14] == [0x88, 0x09] && Lacpdu::parse(&f[14..]).is_ok()
    });
    let pdu = Lacpdu::parse(&pdu.expect("an LACPDU")[14..]).unwrap();
    assert_eq!(pdu.actor.system, "02:00:00:00:b0:00".parse().unwrap());
    assert_eq!(send(), 0);
    rig.vsctl("set port bond0 other_config:lacp-fallback-ab=true");
    rig.wait("an active member", || {
        rig.appctl("bond/show bond0").lines().any(|l| l == "  active member")
    });
    assert_eq!(send(), 1);
}

/// A stop of the whole daemon is shorter than the partner's short timeout: what the partner has
/// sent meanwhile is read before anyone is judged to be silent.
#[harness::test]
fn a_daemon_that_was_stopped_does_not_take_its_partner_for_silent() {
    let rig = Rig::new(2);
    let (_fabric, traffic) = rig.traffic(vec![talk(1, 40_000)], 100, true);
    rig.bond("bond_mode=balance-tcp lacp=active other_config:lacp-time=fast");
    rig.await_calm(&traffic);
    let expired = || -> Vec<String> {
        let show = rig.appctl("lacp/show-stats bond0");
        let lines = show.lines().map(str::trim);
        lines.filter(|l| l.to_lowercase().contains("expired")).map(str::to_owned).collect()
    };
    let before = expired();
    assert_eq!(before.len(), 2, "{}", rig.appctl("lacp/show-stats bond0"));
    let pid = rig.switch.vswitchd_pid() as libc::pid_t;
    for _ in 0..2 {
        // SAFETY: takes numbers; the process is this test's own.
        unsafe { libc::kill(pid, libc::SIGSTOP) };
        std::thread::sleep(2900 * MS);
        // SAFETY: as above.
        unsafe { libc::kill(pid, libc::SIGCONT) };
        rig.wait("both members", || rig.enabled() == 2);
        rig.await_calm(&traffic);
    }
    assert_eq!(expired(), before, "a partner that spoke all the time");
}
