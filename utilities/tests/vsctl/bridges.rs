//! Bridges, ports, bonds, and what belongs to them.

use crate::rig::{Rig, sorted};

#[harness::test]
fn bridges_ports_and_bonds_come_and_go() {
    let rig = Rig::new();
    rig.ok("add-br br0 -- add-port br0 p1 tag=7 -- add-bond br0 bond0 e1 e0 lacp=active");
    assert_eq!(rig.ok("list-br"), "br0\n");
    assert_eq!(rig.ok("list-ports br0"), "bond0\np1\n");
    assert_eq!(rig.ok("list-ifaces br0"), "e0\ne1\np1\n");
    assert_eq!(rig.ok("port-to-br bond0 -- iface-to-br e1"), "br0\nbr0\n");
    assert_eq!(rig.ok("get port p1 tag -- get port bond0 lacp"), "7\nactive\n");
    let tree = rig.ok("show");
    let (first, rest) = tree.split_once('\n').unwrap();
    assert_eq!(first.len(), 36);
    for line in [
        "    Bridge br0",
        "        Port bond0",
        "            Interface e0",
        "            tag: 7",
        "            Interface br0",
        "                type: internal",
    ] {
        assert!(rest.lines().any(|shown| shown == line), "{line}\n{tree}");
    }
    rig.ok("add-bond-iface bond0 e2 -- del-bond-iface e0");
    assert_eq!(rig.ok("list-ifaces br0"), "e1\ne2\np1\n");
    rig.ok("--with-iface del-port e1 -- del-port br0 p1");
    assert_eq!(rig.ok("list-ports br0"), "");
    rig.ok("del-br br0");
    assert_eq!(rig.ok("list-br -- list Port") + &rig.ok("list Interface"), "");
    assert_eq!(rig.ours("--no-wait br-exists br0").status, 2);
}

#[harness::test]
fn vlan_bridges() {
    let rig = Rig::new();
    rig.ok("add-br br0 -- add-br v9 br0 9 -- add-port v9 p9 -- add-port br0 p0");
    assert_eq!(rig.ok("list-br"), "br0\nv9\n");
    assert_eq!(rig.ok("--real list-br -- --fake list-br"), "br0\nv9\n");
    assert_eq!(rig.ok("br-to-vlan v9 -- br-to-parent v9 -- br-to-vlan br0"), "9\nbr0\n0\n");
    assert_eq!(rig.ok("list-ports v9 -- list-ports br0"), "p9\np0\n");
    assert_eq!(rig.ok("get port p9 tag"), "9\n");
    rig.ok("br-set-external-id v9 k v");
    assert_eq!(rig.ok("br-get-external-id v9 -- br-get-external-id v9 k"), "k=v\nv\n");
    assert_eq!(rig.ok("get port v9 external_ids"), "{fake-bridge-k=v}\n");
    assert_eq!(
        rig.refused("del-port br0 p9"),
        "bridge br0 does not have a port p9 (although its child bridge v9 does)"
    );
    assert_eq!(
        rig.refused("add-br w9 br0 9"),
        "bridge br0 already has a child VLAN bridge v9 on VLAN 9"
    );
    assert_eq!(rig.refused("set-fail-mode v9 secure"), "v9 is a fake bridge");
    rig.ok("del-br br0");
    assert_eq!(rig.ok("list-br -- list Port"), "");
}

#[harness::test]
fn what_xapi_and_proxmox_run() {
    let rig = Rig::new();
    let xapi = "--may-exist add-br xenbr0 -- --may-exist add-bond xenbr0 bond0 eth0 eth1 \
                -- set port bond0 MAC='\"00:11:22:33:44:55\"' lacp=active bond_mode=balance-tcp \
                bond_updelay=31000 bond_downdelay=200 other-config:bond-miimon-interval=100 \
                other-config:bond-detect-mode=carrier other-config:lacp-time=\"fast\" \
                -- set interface eth0 other-config:lacp-aggregation-key=7";
    rig.ok(xapi);
    let before = rig.ok("list port bond0");
    rig.ok(xapi);
    assert_eq!(rig.ok("list port bond0"), before);
    assert_eq!(rig.ok("get port bond0 mac bond-updelay"), "\"00:11:22:33:44:55\"\n31000\n");
    let proxmox = "--may-exist --fake-iface add-bond xenbr0 bond0 eth1 eth0 -- --if-exists clear \
                   port bond0 bond_active_slave bond_mode cvlans external_ids lacp mac \
                   other_config qos tag trunks vlan_mode -- --if-exists clear interface bond0 \
                   mtu_request external-ids other_config options -- set Port bond0 lacp=off";
    rig.ok(proxmox);
    assert_eq!(rig.ok("get port bond0 lacp other_config bond_mode"), "off\n{}\n[]\n");
    rig.ok("--fake-iface add-bond xenbr0 bond1 a b");
    assert_eq!(rig.ok("get port bond1 bond_fake_iface"), "true\n");
}

#[harness::test]
fn controllers_managers_and_certificates() {
    let rig = Rig::new();
    rig.ok("add-br br0 -- --inactivity-probe=500 set-controller br0 tcp:1.2.3.4 ptcp:6653");
    assert_eq!(rig.ok("get-controller br0"), "ptcp:6653\ntcp:1.2.3.4\n");
    assert_eq!(rig.ok("--bare --columns=inactivity_probe list controller"), "500\n\n500\n");
    rig.ok("set-controller br0 unix:x -- set-fail-mode br0 secure");
    assert_eq!(rig.ok("get-controller br0 -- get-fail-mode br0"), "unix:x\nsecure\n");
    rig.ok("del-controller br0 -- del-fail-mode br0");
    assert_eq!(rig.ok("get-controller br0 -- get-fail-mode br0 -- list controller"), "");
    rig.ok("set-manager ptcp:6640:127.0.0.1 tcp:1.2.3.4:5");
    assert_eq!(rig.ok("get-manager"), "ptcp:6640:127.0.0.1\ntcp:1.2.3.4:5\n");
    rig.ok("--bootstrap set-ssl k c a");
    assert_eq!(
        rig.ok("get-ssl"),
        "Private key: k\nCertificate: c\nCA Certificate: a\nBootstrap: true\n"
    );
    rig.ok("set bridge br0 other_config:hwaddr=\"00:00:00:00:00:01\" other_config:x=y");
    rig.ok("emer-reset");
    assert_eq!(rig.ok("get-manager -- get-ssl"), "");
    assert_eq!(rig.ok("get bridge br0 other_config"), "{hwaddr=\"00:00:00:00:00:01\"}\n");
    let warned = rig.ours("--no-wait set-manager nonsense:1");
    assert!(warned.err.contains("|vsctl|WARN|target type \"nonsense:1\""), "{warned:?}");
}

#[harness::test]
fn zones_and_capabilities() {
    let rig = Rig::new();
    rig.ok("--id=@d create Datapath datapath_version=0 capabilities:recirc=true -- set o . \
            datapaths:netdev=@d");
    rig.ok("add-zone-tp netdev zone=1 icmp_first=1 icmp_reply=2");
    rig.ok("--may-exist add-zone-tp netdev zone=3 icmp_first=1 icmp_reply=2");
    assert_eq!(
        rig.ok("list-zone-tp netdev"),
        "Zone:1, Timeout Policies: icmp_first=1 icmp_reply=2\n\
         Zone:3, Timeout Policies: icmp_first=1 icmp_reply=2\n"
    );
    // Equal policies are one row.
    assert_eq!(sorted(&rig.ok("--columns=_uuid list CT_Timeout_Policy")).len(), 1);
    assert_eq!(
        rig.refused("add-zone-tp netdev zone=1 icmp_first=5"),
        "zone id 1 already has a policy"
    );
    rig.ok("del-zone-tp netdev zone=1");
    assert_eq!(rig.refused("del-zone-tp netdev zone=1"), "zone id 1 does not have a policy");
    assert_eq!(rig.ok("list-dp-cap netdev"), "recirc=true\n");
}

#[harness::test]
fn names_that_are_taken_or_missing() {
    let rig = Rig::new();
    rig.ok("add-br br0 -- add-bond br0 bond0 e0 e1 -- add-br br1");
    for (line, says) in [
        (
            "add-br bond0",
            "cannot create a bridge named bond0 because a port named bond0 already \
                          exists on bridge br0",
        ),
        (
            "add-port br1 e0",
            "cannot create a port named e0 because an interface named e0 already \
                             exists on bridge br0",
        ),
        (
            "add-bond br1 x e0 y",
            "cannot create an interface named e0 because an interface named \
                                 e0 already exists on bridge br0",
        ),
        ("add-port nobr p", "no bridge named nobr"),
        ("add-bond br0 x y", "'add-bond' command requires at least 4 arguments"),
        (
            "add-bond br0 x y lacp=active",
            "add-bond requires at least 2 interfaces, but only 1 were specified",
        ),
        (
            "--may-exist add-port br1 bond0",
            "\"--may-exist add-port br1 bond0\" but bond0 is actually attached to bridge br0",
        ),
        ("del-port br1 bond0", "bridge br1 does not have a port bond0"),
        ("del-port e0", "no port named e0"),
        ("--with-iface del-port e9", "no port or interface named e9"),
        ("port-to-br br0", "no port named br0"),
        ("add-br v br9 9", "parent bridge br9 does not exist"),
        ("add-br v br0 4096", "add-br: vlan must be between 0 and 4095"),
        ("add-br v br0", "'add-br' command takes exactly 1 or 3 arguments"),
    ] {
        assert_eq!(rig.refused(line), says, "{line}");
    }
    // A refused chain leaves nothing behind.
    rig.refused("add-port br1 new -- add-port br1 e0");
    assert_eq!(rig.ok("list-ports br1"), "");
}

/// Names come before settings, and `--may-exist` leaves the settings out, as in Open vSwitch.
#[harness::test]
fn a_bad_setting_is_reported_after_the_names() {
    let rig = Rig::new();
    rig.ok("add-br br0 -- add-port br0 p1 -- add-bond br0 bond0 m0 m1");
    let column = "Port does not contain a column whose name matches \"nosuch\"";
    for (line, text) in [
        (
            "add-bond br0 b1 m0 x0 nosuch=1",
            "cannot create an interface named m0 because an interface named m0 already exists on \
             bridge br0",
        ),
        (
            "add-bond br0 bond0 x1 x0 nosuch=1",
            "cannot create a port named bond0 because a port named bond0 already exists on bridge \
             br0",
        ),
        (
            "add-bond br0 b1 x0 nosuch=1",
            "add-bond requires at least 2 interfaces, but only 1 were specified",
        ),
        ("add-port br9 p2 nosuch=1", "no bridge named br9"),
        (
            "add-port br0 p1 =1",
            "cannot create a port named p1 because a port named p1 already exists on bridge br0",
        ),
        (
            "add-port br0 p2 -- add-port br0 p2 nosuch=1",
            "cannot create a port named p2 because a port named p2 already exists on bridge br0",
        ),
        (
            "set interface nosuch type=x -- add-port br0 p2 nosuch=1",
            "no row \"nosuch\" in table Interface",
        ),
        (
            "--may-exist add-bond br0 bond0 m0 x1 nosuch=1",
            "\"--may-exist add-bond br0 bond0 m0 x1 nosuch=1\" but bond0 actually has \
             interface(s) m0, m1",
        ),
        (
            "add-port br0 p2 bond_mode=foo nosuch=1",
            "constraint violation: foo is not one of the allowed values ([active-backup, \
             balance-slb, balance-tcp])",
        ),
        ("add-bond br0 b1 x0 x1 nosuch=1", column),
        ("add-port br0 p2 nosuch=1 -- add-port br0 p1", column),
    ] {
        assert_eq!(rig.refused(line), text, "{line}");
    }
    rig.ok("--may-exist add-port br0 p1 nosuch=1");
    assert_eq!(rig.ok("list-ports br0"), "bond0\np1\n");
}
