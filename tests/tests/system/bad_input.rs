//! Bad rows, and random bytes wherever bytes come in: the daemon goes on, and says why.

use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use tests::Rig;
use tests::random::Random;
use tests::rig::talk;

/// The rest of the switch works: a packet gets from the VM to the network and back.
fn forwards(rig: &Rig) {
    let (vm, tor) = (rig.vm_socket(), [rig.tor_socket(0), rig.tor_socket(1)]);
    let active = rig.active().expect("an active member");
    let t = talk(1, 9);
    let found = |f: &[u8]| f.ends_with(b"still here");
    vm.send(&t.frame(b"still here")).unwrap();
    let limit = Duration::from_secs(3);
    assert!(tor[active].recv_matching(limit, found).is_some(), "nothing gets out");
    tor[active].send(&t.reversed().frame(b"still here")).unwrap();
    assert!(vm.recv_matching(limit, found).is_some(), "nothing gets in");
    rig.assert_no_panic();
}

#[harness::test]
fn a_device_that_does_not_exist_is_named_and_taken_when_it_comes() {
    let rig = Rig::new(2);
    rig.bond("");
    rig.vsctl("add-port br0 late0");
    let error = rig.get("interface", "late0", "error");
    assert!(error.contains("late0") && error.contains("No such device"), "{error}");
    assert_eq!(rig.get("interface", "late0", "ofport"), "-1");
    forwards(&rig);

    rig.hv.veth("late0", &rig.tor, "late1").unwrap();
    // Open vSwitch looks again at the next change of configuration.
    if !rig.switch.daemon().is_ours() {
        rig.vsctl("set open_vswitch . external_ids:look=again");
    }
    rig.wait("the late device", || {
        rig.get("interface", "late0", "error") == "[]"
            && rig.get("interface", "late0", "ofport") != "-1"
    });

    // It goes again, under the running switch.
    rig.hv.rtnl().delete("late0").unwrap();
    rig.wait("an error", || {
        rig.get("interface", "late0", "error") != "[]"
            || rig.get("interface", "late0", "ofport") == "-1"
            || rig.get("interface", "late0", "link_state") != "up"
    });
    forwards(&rig);
}

#[harness::test]
fn a_bond_with_a_missing_member_works_with_the_others() {
    let rig = Rig::new(2);
    rig.vsctl("add-bond br0 bond0 nic0 gone0 nic1 -- add-port br0 vnet0");
    rig.await_member(0, true);
    rig.await_member(1, true);
    let error = rig.get("interface", "gone0", "error");
    assert!(error.contains("gone0"), "{error}");
    forwards(&rig);
    // Mended by taking it out.
    let uuid = rig.get("interface", "gone0", "_uuid");
    rig.vsctl(&format!("remove port bond0 interfaces {uuid}"));
    forwards(&rig);
}

#[harness::test]
fn a_device_in_two_ports_is_refused_once() {
    let rig = Rig::new(3);
    rig.vsctl("add-bond br0 bond0 nic0 nic1 -- add-port br0 vnet0 -- add-port br0 nic2");
    rig.vsctl("add-br br2 -- set bridge br2 datapath_type=netdev");
    // ovs-vsctl add-port refuses; another client of the database does not.
    let uuid = rig.get("interface", "nic2", "_uuid");
    let twice =
        format!("--id=@p create port name=second interfaces={uuid} -- add bridge br2 ports @p");
    let _ = rig.switch.vsctl(&twice);
    rig.wait("an active member", || rig.active().is_some());
    forwards(&rig);
    let _ = rig.switch.vsctl("--if-exists del-port br2 second");
    forwards(&rig);
}

#[harness::test]
fn values_out_of_range_are_named_and_ignored() {
    let rig = Rig::new(2);
    rig.bond("");
    rig.vsctl(
        "set port bond0 other_config:bond-rebalance-interval=many \
         other_config:bond-miimon-interval=-7 other_config:lacp-system-priority=99999 \
         other_config:lacp-system-id=nonsense other_config:bond-hash-basis=x \
         other_config:bond-primary=nobody other_config:bond-detect-mode=guess lacp=active",
    );
    rig.vsctl("set port bond0 lacp=off");
    rig.vsctl("set bridge br0 other_config:mac-aging-time=old other_config:mac-table-size=-1");
    rig.vsctl("set interface nic0 other_config:lacp-port-id=0 other_config:lacp-port-priority=x");
    rig.wait("an active member", || rig.active().is_some());
    forwards(&rig);
    let show = rig.appctl("bond/show bond0");
    assert!(show.contains("active-backup primary: nobody (no such member)"), "{show}");
    if rig.switch.daemon().is_ours() {
        let log = rig.switch.log();
        for (key, value) in [("bond-detect-mode", "guess"), ("bond-rebalance-interval", "many")] {
            let named = |l: &str| l.contains("|WARN|") && l.contains(key) && l.contains(value);
            assert!(log.lines().any(named), "no warning names {key} and {value}:\n{log}");
        }
    }
}

#[harness::test]
fn a_misspelt_key_is_answered_with_the_right_one() {
    tests::ours_only("warnings about unknown keys");
    let rig = Rig::new(2);
    rig.bond("other_config:bond-primry=nic0");
    rig.wait("a warning", || {
        rig.switch.log().lines().any(|l| {
            l.contains("|WARN|") && l.contains("bond-primry") && l.contains("bond-primary")
        })
    });
    forwards(&rig);
}

#[harness::test]
fn random_bytes_on_the_control_socket() {
    let rig = Rig::new(2);
    rig.bond("");
    let mut random = Random::new();
    let ctl = rig.switch.path(&format!("ovs-vswitchd.{}.ctl", rig.switch.vswitchd_pid()));
    let wrong: [&[u8]; 10] = [
        b"{",
        b"{}",
        b"[]",
        b"null",
        b"{\"id\":1,\"method\":5,\"params\":[]}",
        b"{\"id\":1,\"method\":\"version\",\"params\":{}}",
        b"{\"id\":1,\"method\":\"bond/show\",\"params\":[1,2,3]}",
        b"{\"id\":null,\"method\":\"bond/show\",\"params\":[]}",
        b"{\"id\":1,\"result\":null,\"error\":null}",
        b"\"\\ud800\"",
    ];
    let deep = vec![b'['; 100_000];
    let mut inputs: Vec<Vec<u8>> = wrong.iter().map(|w| w.to_vec()).collect();
    inputs.push(deep);
    inputs.extend((0..200).map(|_| random.octets(4096)));
    for input in inputs {
        let mut s = UnixStream::connect(&ctl).expect("the daemon listens");
        s.set_write_timeout(Some(Duration::from_secs(2))).unwrap();
        // The daemon may hang up on us before it has read all: that is its right.
        let _ = s.write_all(&input);
    }
    // A client that stays and says nothing holds nobody up.
    let _idle = UnixStream::connect(&ctl).unwrap();
    forwards(&rig);
}

#[harness::test]
fn random_frames_on_the_wire() {
    let rig = Rig::new(2);
    rig.bond("bond_mode=balance-tcp lacp=passive other_config:lacp-fallback-ab=true");
    let mut random = Random::new();
    let active = rig.active().expect("an active member");
    let (vm, tor) = (rig.vm_socket(), rig.tor_socket(active));
    let slow = [0x01, 0x80, 0xc2, 0, 0, 2, 2, 0, 0, 0, 0, 9, 0x88, 0x09];
    let kinds: [&[u8]; 7] = [
        &slow,
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x08, 0x00, 0x45],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x86, 0xdd, 0x60],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x08, 0x06],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x81, 0x00],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 9, 0x88, 0xa8, 0, 1, 0x81, 0],
        &[],
    ];
    for i in 0..3000 {
        let mut f = kinds[i % kinds.len()].to_vec();
        f.extend(random.octets(1400));
        f.resize(f.len().max(15), 0);
        f.truncate(1500);
        let _ = if i % 2 == 0 { vm.send(&f) } else { tor.send(&f) };
    }
    std::thread::sleep(Duration::from_millis(300));
    rig.wait("an active member", || rig.active().is_some());
    rig.vsctl("set port bond0 lacp=off bond_mode=active-backup");
    rig.wait("an active member", || rig.active().is_some());
    forwards(&rig);
}

#[harness::test]
fn a_database_that_talks_nonsense() {
    let mut rig = Rig::with_server(2);
    rig.bond("");
    let mut random = Random::new();
    rig.switch.stop_server();
    let sock = rig.switch.path("db.sock");
    let _ = std::fs::remove_file(&sock);
    let listener = UnixListener::bind(&sock).unwrap();
    listener.set_nonblocking(true).unwrap();
    // The daemon comes back again and again, ever more slowly.
    let end = std::time::Instant::now() + Duration::from_secs(4);
    let mut answered = 0;
    while std::time::Instant::now() < end {
        let Ok((mut s, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(10));
            continue;
        };
        s.set_nonblocking(false).unwrap();
        s.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        s.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        let mut buf = [0; 4096];
        let _ = s.read(&mut buf);
        let nonsense = match answered % 4 {
            0 => random.octets(4096),
            1 => b"{\"id\":0,\"result\":[],\"error\":null}{\"id\":1,\"result\":7,\"error\":null}"
                .into(),
            2 => b"{\"id\":0,\"result\":{\"name\":5},\"error\":null}".into(),
            _ => vec![b'{'; 10_000],
        };
        let _ = s.write_all(&nonsense);
        answered += 1;
    }
    assert!(answered > 0, "the daemon did not come back");
    forwards(&rig);
    drop(listener);
    rig.switch.start_server().unwrap();
    rig.vsctl("--no-wait set port bond0 bond_updelay=9");
    rig.wait_at_most(Duration::from_secs(25), "reconnection", || {
        rig.appctl("bond/show bond0").contains("updelay: 9 ms")
    });
}
