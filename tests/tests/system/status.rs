//! What goes back to the database, and when `ovs-vsctl` returns.

use std::path::Path;

use tests::Rig;
use tests::rig::nic_mac;

#[harness::test]
fn vsctl_returns_when_the_change_is_in_force() {
    let rig = Rig::new(2);
    for i in 0..10 {
        rig.vsctl("add-port br0 nic0");
        // Nobody waits here: ofport, the port itself and its device must be there already.
        let ofport: i32 = rig.get("interface", "nic0", "ofport").parse().expect("a number");
        assert!(ofport > 0, "round {i}");
        assert!(rig.appctl("dpif/show").contains("nic0 "), "round {i}");
        rig.vsctl("del-port br0 nic0");
        assert!(!rig.appctl("dpif/show").contains("nic0 "), "round {i}");
    }
    let next = rig.get("open_vswitch", ".", "next_cfg");
    assert_eq!(rig.get("open_vswitch", ".", "cur_cfg"), next);
}

#[harness::test]
fn an_interface_says_what_its_device_is_like() {
    let rig = Rig::new(2);
    rig.hv.rtnl().set_mtu("nic0", 1400).unwrap();
    rig.tor.rtnl().set_mtu("tor0", 1400).unwrap();
    rig.bond("");
    let get = |column: &str| rig.get("interface", "nic0", column);
    assert_eq!(get("admin_state"), "up");
    assert_eq!(get("link_state"), "up");
    assert_eq!(get("mac_in_use"), nic_mac(0).to_string());
    assert_eq!(get("mtu"), "1400");
    assert_eq!(get("error"), "[]");
    assert_eq!(get("link_speed"), "10000000000");
    assert_eq!(get("duplex"), "full");
    let index = rig.hv.rtnl().link("nic0").unwrap().index.to_string();
    assert_eq!(get("ifindex"), index);
    assert!(get("status").contains("driver_name=veth"), "{}", get("status"));
    rig.wait("statistics", || get("statistics").contains("rx_packets="));
    assert_eq!(rig.get("bridge", "br0", "datapath_id"), "000002000000b000");
    let types = rig.get("open_vswitch", ".", "iface_types");
    for t in ["system", "internal", "patch"] {
        assert!(types.contains(t), "{types}");
    }
    assert!(rig.get("open_vswitch", ".", "datapath_types").contains("netdev"));

    // Links change; so does what is said of them.
    let resets: u64 = get("link_resets").parse().unwrap();
    rig.link(0, false);
    rig.wait("a link that is down", || get("link_state") == "down");
    rig.link(0, true);
    rig.wait("a link that is up", || get("link_state") == "up");
    rig.wait("counted resets", || get("link_resets").parse::<u64>().is_ok_and(|n| n > resets));
    rig.vm_socket().send(&tests::rig::hello(1)).unwrap();
    let active = rig.active().unwrap();
    let get = |column: &str| rig.get("interface", &format!("nic{active}"), column);
    rig.wait("counted packets", || !get("statistics").contains("tx_packets=0"));
}

#[harness::test]
fn internal_ports_come_and_go() {
    tests::tap("internal ports");
    let rig = Rig::new(1);
    rig.vsctl("add-port br0 int0 -- set interface int0 type=internal mtu_request=1300");
    let link = rig.hv.rtnl().link("int0").expect("a device");
    assert_eq!(link.mtu, 1300);
    assert_eq!(rig.get("interface", "int0", "mac_in_use"), link.mac.to_string());
    assert_eq!(rig.hv.rtnl().link("br0").unwrap().mac, "02:00:00:00:b0:00".parse().unwrap());
    rig.vsctl("del-port br0 int0");
    assert!(rig.hv.rtnl().link("int0").is_err(), "the device is still there");
    rig.vsctl("del-br br0");
    assert!(rig.hv.rtnl().link("br0").is_err(), "the device is still there");
}

#[harness::test]
fn patch_ports_join_two_bridges() {
    let rig = Rig::new(1);
    rig.vsctl("add-port br0 vnet0");
    rig.vsctl(
        "add-br br2 -- set bridge br2 datapath_type=netdev -- add-port br2 nic0 \
         -- add-port br2 p2 -- set interface p2 type=patch options:peer=p0 \
         -- add-port br0 p0 -- set interface p0 type=patch options:peer=p2",
    );
    let (vm, tor) = (rig.vm_socket(), rig.tor_socket(0));
    vm.send(&tests::rig::hello(1)).unwrap();
    let second = std::time::Duration::from_secs(2);
    assert!(tor.recv_matching(second, |f| f[6..12] == [2, 0, 0, 0, 0x55, 1]).is_some());
}

#[harness::test]
fn the_daemon_detaches_when_it_is_ready_and_exits_when_told() {
    let mut rig = Rig::new(1);
    rig.switch.stop_vswitchd();
    let pidfile = rig.switch.path("ovs-vswitchd.pid");
    assert!(!pidfile.exists(), "the pidfile outlived the daemon");
    let mut c = rig.switch.command(&rig.switch.daemon().path().display().to_string());
    c.args(["--detach", "--no-chdir", "--pidfile", "-vconsole:off", "--log-file"]);
    c.arg(rig.switch.database());
    let status = c.status().unwrap();
    assert!(status.success());
    let pid = std::fs::read_to_string(&pidfile).unwrap().trim().to_owned();
    let appctl = |words: &[&str]| {
        let mut c = rig.switch.command("ovs-appctl");
        c.args(words).output().unwrap()
    };
    assert!(appctl(&["version"]).status.success());
    // A second one with the same pidfile is refused.
    let mut second = rig.switch.command(&rig.switch.daemon().path().display().to_string());
    second.args(["--detach", "--no-chdir", "--pidfile", "-vconsole:off"]);
    second.arg(rig.switch.database());
    assert!(!second.output().unwrap().status.success());

    assert!(appctl(&["exit"]).status.success());
    let gone = format!("/proc/{pid}");
    // The init of a container may not reap it: what counts is the pidfile.
    rig.wait("end of the daemon", || !pidfile.exists() || !Path::new(&gone).exists());
}

#[harness::test]
fn a_switch_with_nothing_to_do_does_nothing_and_is_small() {
    let rig = Rig::new(2);
    rig.bond("");
    std::thread::sleep(std::time::Duration::from_millis(500));
    let pid = rig.switch.vswitchd_pid();
    let ticks = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    std::thread::sleep(std::time::Duration::from_secs(3));
    // A tick is 10 ms of processor time: 3 % at most, also in a debug build.
    assert!(ticks() - before <= 9, "{} ticks in 3 s", ticks() - before);
    if rig.switch.daemon().is_ours() {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        // A debug build's program text is several times as large, and mapped all the same.
        let which = if cfg!(debug_assertions) { "RssAnon:" } else { "VmRSS:" };
        let rss = status.lines().find(|l| l.starts_with(which)).unwrap();
        let kb: u64 = rss.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(kb < 20 * 1024, "{rss}");
    }
}

/// As `ovs-ctl` writes them, where nobody has; a value that is there stays.
#[harness::test]
fn the_host_is_named() {
    tests::ours_only("names of the host without ovs-ctl");
    let mut rig = Rig::with_server(0);
    let id = |rig: &Rig, key: &str| {
        let got = rig.switch.vsctl(&format!("--if-exists get open_vswitch . external_ids:{key}"));
        got.map(|v| v.trim().trim_matches('"').to_owned()).unwrap_or_default()
    };
    for key in ["system-id", "rundir", "hostname"] {
        rig.wait(key, || !id(&rig, key).is_empty());
    }
    assert_eq!(id(&rig, "rundir"), rig.switch.path("").display().to_string().trim_end_matches('/'));
    let system = id(&rig, "system-id");
    assert_eq!(system.len(), 36, "a UUID: {system}");

    // The folder for it is not there: the database is where it is kept.
    rig.vsctl("set open_vswitch . external_ids:hostname=mine external_ids:other=1");
    rig.switch.stop_vswitchd();
    rig.switch.start_vswitchd().unwrap();
    rig.vsctl("set bridge br0 external_ids:test=1");
    assert_eq!(id(&rig, "system-id"), system);
    assert_eq!((id(&rig, "hostname"), id(&rig, "other")), ("mine".to_owned(), "1".to_owned()));

    // With it, a file is; another database gets the same.
    std::fs::create_dir(rig.switch.path("openvswitch")).unwrap();
    rig.switch.stop_vswitchd();
    rig.vsctl("--no-wait remove open_vswitch . external_ids system-id");
    rig.switch.start_vswitchd().unwrap();
    rig.wait("a new identity", || !id(&rig, "system-id").is_empty());
    let system = id(&rig, "system-id");
    let file = rig.switch.path("openvswitch/system-id.conf");
    assert_eq!(std::fs::read_to_string(file).unwrap().trim(), system);
    rig.vsctl("remove open_vswitch . external_ids system-id -- set bridge br0 external_ids:test=2");
    rig.wait("the same identity", || id(&rig, "system-id") == system);
    rig.assert_no_panic();
}
