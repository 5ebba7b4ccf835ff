//! `bond/proc` and `other_config:bond-proc-dir`.

use std::path::Path;

use tests::Rig;

fn file(dir: &Path) -> String {
    std::fs::read_to_string(dir.join("bond0")).unwrap_or_default()
}

#[harness::test]
fn bond_proc_is_a_command_and_a_file() {
    tests::ours_only("bond/proc");
    let rig = Rig::new(2);
    rig.bond("bond_mode=active-backup");
    let shown = rig.appctl("bond/proc bond0");
    assert!(shown.starts_with("Ethernet Channel Bonding Driver: v"), "{shown}");
    assert!(shown.contains("Bonding Mode: fault-tolerance (active-backup)\n"), "{shown}");
    assert!(shown.contains("Currently Active Slave: nic0\nMII Status: up\n"), "{shown}");
    assert!(shown.contains("Slave Interface: nic1\nMII Status: up\nSpeed: "), "{shown}");
    assert_eq!(rig.appctl("bond/proc"), shown, "without a name: the only bond");

    let dir = std::env::temp_dir().join(format!("braid-bonding-{}", std::process::id()));
    rig.vsctl(&format!("set open_vswitch . other_config:bond-proc-dir={}", dir.display()));
    rig.wait("the file", || file(&dir) == shown);
    rig.link(0, false);
    rig.wait("failover in the file", || {
        let text = file(&dir);
        text.contains("Currently Active Slave: nic1\n")
            && text.contains("Slave Interface: nic0\nMII Status: down\n")
            && text.contains("Link Failure Count: 1\n")
    });
    assert_eq!(file(&dir), rig.appctl("bond/proc bond0"));
    rig.vsctl("del-port bond0");
    rig.wait("removal", || !dir.join("bond0").exists());
    rig.vsctl("set open_vswitch . other_config:bond-proc-dir=relative");
    rig.vsctl("add-bond br0 bond0 nic0 nic1 -- set port bond0 bond_mode=balance-slb");
    std::thread::sleep(std::time::Duration::from_millis(1500));
    assert!(!dir.join("bond0").exists(), "a relative path is refused");
    std::fs::remove_dir(&dir).unwrap();
}
