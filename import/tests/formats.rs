//! Each format as people write it: what is found, and the commands that follow.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU32, Ordering};

/// A folder of configuration files that disappears with the test.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Folder {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path =
            std::env::temp_dir().join(format!("braid-import-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        for (name, text) in files {
            fs::write(path.join(name), text).unwrap();
        }
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn import(paths: &[&Path], arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_braid-import")).args(paths).args(arguments).output().unwrap()
}

/// The script for these files, without the folder's name.
fn script(files: &[(&str, &str)]) -> String {
    let folder = Folder::new(files);
    let out = import(&[&folder.0], &[]);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).unwrap().replace(&format!("{}/", folder.0.display()), "")
}

/// Lines that are no comments, with continuation lines joined.
fn commands(script: &str) -> Vec<String> {
    let joined = script.replace(" \\\n   ", "");
    joined.lines().filter(|l| !l.starts_with('#') && !l.is_empty()).map(str::to_owned).collect()
}

const ETH: [(&str, &str); 2] = [
    (
        "ifcfg-eth0",
        "DEVICE=eth0\nBOOTPROTO=none\nONBOOT=yes\nMASTER=bond0\nSLAVE=yes\nUSERCTL=no\n",
    ),
    (
        "ifcfg-eth1",
        "DEVICE=eth1\nBOOTPROTO=none\nONBOOT=yes\nMASTER=bond0\nSLAVE=yes\nUSERCTL=no\n",
    ),
];

fn ifcfg(options: &str) -> String {
    let bond = format!(
        "DEVICE=bond0\nTYPE=Bond\nBONDING_MASTER=yes\nIPADDR=192.168.50.111\nPREFIX=24\n\
         GATEWAY=192.168.50.1\nONBOOT=yes\nBOOTPROTO=none\nBONDING_OPTS=\"{options}\"\n"
    );
    script(&[("ifcfg-bond0", &bond), ETH[0], ETH[1]])
}

#[test]
fn ifcfg_active_backup_with_a_numeric_mode() {
    assert_eq!(
        ifcfg("mode=1 miimon=100 primary=eth0 primary_reselect=2"),
        "\
# bond0: active-backup (ifcfg-bond0)
# miimon=100 needs nothing here: a lost carrier is noticed at once, without an interval.
ovs-vsctl --may-exist add-br br-bond0 \\
    -- --may-exist add-bond br-bond0 bond0 eth0 eth1 \\
    -- set Port bond0 bond_mode=active-backup other_config:bond-primary=eth0 \
other_config:bond-primary-reselect=failure 'other_config:bond-notify=\"rarp,arp,nd\"'
ip link set dev br-bond0 up
ip address add 192.168.50.111/24 dev br-bond0
ip route add default via 192.168.50.1 dev br-bond0
"
    );
}

#[test]
fn ifcfg_arp_monitoring_becomes_probes() {
    let script = ifcfg(
        "mode=active-backup arp_interval=1000 arp_ip_target=192.168.50.1,192.168.50.2 \
         arp_validate=3 arp_all_targets=1",
    );
    for wanted in [
        "other_config:bond-probe-interval=1000",
        "'other_config:bond-probe-targets=\"192.168.50.1,192.168.50.2\"'",
        "other_config:bond-probe-validate=all",
        "other_config:bond-probe-quorum=all",
    ] {
        assert!(script.contains(wanted), "{wanted}\n{script}");
    }
}

#[test]
fn ifcfg_fail_over_mac_1_is_active_and_a_sentence() {
    let script = ifcfg("mode=1 miimon=100 fail_over_mac=1");
    assert!(script.contains("# fail_over_mac=active has no equal"), "{script}");
}

#[test]
fn ifcfg_802_3ad_needs_lacp_and_keeps_the_driver_s_hash() {
    let script = ifcfg("mode=4 miimon=100 lacp_rate=1 min_links=1");
    for wanted in [
        "lacp=active",
        "other_config:bond-policy=802.3ad",
        "other_config:lacp-fallback-ab=true",
        "other_config:bond-hash-policy=l2",
        "other_config:lacp-time=fast",
        "other_config:bond-min-links=1",
    ] {
        assert!(script.contains(wanted), "{wanted}\n{script}");
    }
    let script = ifcfg("mode=802.3ad xmit_hash_policy=layer3+4 ad_select=bandwidth");
    assert!(script.contains("other_config:bond-hash-policy=l3+4"), "{script}");
    assert!(script.contains("other_config:lacp-selection=bandwidth"), "{script}");
}

#[test]
fn ifcfg_all_seven_modes_by_number_and_by_name() {
    let modes = [
        "balance-rr",
        "active-backup",
        "balance-xor",
        "broadcast",
        "802.3ad",
        "balance-tlb",
        "balance-alb",
    ];
    for (number, name) in modes.iter().enumerate() {
        let by_number = ifcfg(&format!("mode={number} miimon=100"));
        assert_eq!(by_number, ifcfg(&format!("mode={name} miimon=100")));
        let wanted = match *name {
            "active-backup" => "bond_mode=active-backup".to_owned(),
            "balance-alb" => "other_config:bond-policy=balance-tlb".to_owned(),
            policy => format!("other_config:bond-policy={policy}"),
        };
        assert!(by_number.contains(&wanted), "{wanted}\n{by_number}");
    }
}

#[test]
fn ifcfg_what_has_no_equal_is_a_sentence() {
    let script = ifcfg("mode=1 lp_interval=5 mimon=100 updelay=soon");
    for wanted in [
        "# Linux bonding has no option mimon; the nearest is miimon.",
        "# updelay=soon: accepted are 0 to 2147483647.",
        "# lp_interval=5 has no equal",
        "# Neither miimon nor arp_interval is set",
    ] {
        assert!(script.contains(wanted), "{wanted}\n{script}");
    }
}

#[test]
fn ifcfg_netmask_dhcp_vlan_and_routes() {
    let script = script(&[
        (
            "ifcfg-bond0",
            "DEVICE=bond0\nBONDING_OPTS='mode=1 miimon=100'\nBOOTPROTO=dhcp\nMTU=9000\n",
        ),
        ("ifcfg-bond0.100", "DEVICE=bond0.100\nVLAN=yes\nIPADDR=10.0.0.2\nNETMASK=255.255.255.0\n"),
        ("route-bond0.100", "10.1.0.0/16 via 10.0.0.1 dev bond0.100\n"),
        ETH[0],
        ETH[1],
    ]);
    for wanted in [
        "# The address of bond0 comes by DHCP: let the DHCP client run on br-bond0.",
        "-- --may-exist add-port br-bond0 bond0.100 tag=100",
        "-- set Interface bond0.100 type=internal",
        "-- set Interface eth0 mtu_request=9000",
        "ip address add 10.0.0.2/24 dev bond0.100\n",
        "ip route add 10.1.0.0/16 via 10.0.0.1 dev bond0.100\n",
    ] {
        assert!(script.contains(wanted), "{wanted}\n{script}");
    }
}

#[test]
fn modprobe_options_are_the_defaults_of_a_bond() {
    let script = script(&[
        ("bonding.conf", "alias bond0 bonding\noptions bond0 mode=1 miimon=100\n"),
        ("ifcfg-bond0", "DEVICE=bond0\nIPADDR=192.0.2.1\nNETMASK=255.255.255.0\n"),
        ETH[0],
        ETH[1],
    ]);
    assert!(script.contains("bond_mode=active-backup"), "{script}");
    assert!(script.contains("ip address add 192.0.2.1/24 dev br-bond0"), "{script}");
}

#[test]
fn keyfiles_of_networkmanager() {
    let script = script(&[
        (
            "bond0.nmconnection",
            "[connection]\nid=Bond 0\nuuid=0f3c6e0e\ntype=bond\ninterface-name=bond0\n\n[bond]\n\
             miimon=100\nmode=active-backup\nprimary=enp1s0\nnum_grat_arp=4\npeer_notif_delay=200\n\n\
             [ipv4]\naddress1=192.0.2.7/24,192.0.2.1\nmethod=manual\nroute1=10.0.0.0/8,192.0.2.9,50\n\
             \n[ipv6]\nmethod=disabled\n",
        ),
        (
            "a.nmconnection",
            "[connection]\nid=a\ntype=ethernet\ninterface-name=enp1s0\nmaster=0f3c6e0e\n\
             slave-type=bond\n[bond-port]\nprio=10\n",
        ),
        (
            "b.nmconnection",
            "[connection]\nid=b\ntype=ethernet\ninterface-name=enp2s0\ncontroller=bond0\n\
             port-type=bond\n",
        ),
    ]);
    let lines = commands(&script);
    assert_eq!(
        lines[0],
        "ovs-vsctl --may-exist add-br br-bond0 -- --may-exist add-bond br-bond0 bond0 enp1s0 \
         enp2s0 -- set Port bond0 bond_mode=active-backup other_config:bond-primary=enp1s0 \
         'other_config:bond-notify=\"rarp,arp,nd\"' other_config:bond-notify-count=4 \
         other_config:bond-notify-interval=200 -- set Interface enp1s0 \
         other_config:bond-member-priority=10"
    );
    assert_eq!(
        lines[1..],
        [
            "ip link set dev br-bond0 up",
            "ip address add 192.0.2.7/24 dev br-bond0",
            "ip route add default via 192.0.2.1 dev br-bond0",
            "ip route add 10.0.0.0/8 via 192.0.2.9 metric 50 dev br-bond0",
        ]
    );
}

#[test]
fn debian_s_interfaces() {
    let script = script(&[(
        "interfaces",
        "auto lo\niface lo inet loopback\n\nauto bond0\niface bond0 inet static\n    address \
         10.31.1.5\n    netmask 255.255.255.0\n    gateway 10.31.1.1\n    bond-slaves eth0 eth1\n    \
         bond_mode 6\n    bond-miimon 100\n    bond-downdelay 200\n    bond-updelay 200\n    \
         bond-primary eth0\n    post-up ethtool -K bond0 gro off\n\niface bond0 inet6 static\n    \
         address 2001:db8::5/64\n\nauto bond0.7\niface bond0.7 inet manual\n\nauto br7\niface br7 \
         inet static\n    address 10.7.0.1/24\n    bridge_ports bond0.7 vnet0\n",
    )]);
    for wanted in [
        "# bond0: balance-alb (interfaces)",
        "# The command “post-up ethtool -K bond0 gro off” is not carried over.",
        "other_config:bond-policy=balance-tlb",
        "# balance-alb: receiving is not balanced here",
        "bond_updelay=200",
        "bond_downdelay=200",
        "other_config:bond-primary=eth0",
        "-- --may-exist add-br br7 br-bond0 7",
        "# bond0.7 is a port of the Linux bridge br7",
        "add-port br7: vnet0.",
        "ip address add 10.31.1.5/24 dev br-bond0",
        "ip address add 2001:db8::5/64 dev br-bond0",
        "ip address add 10.7.0.1/24 dev br7",
    ] {
        assert!(script.contains(wanted), "{wanted}\n{script}");
    }
}

#[test]
fn debian_s_members_with_bond_master() {
    let script = script(&[(
        "interfaces",
        "iface eth0 inet manual\n  bond-master bond0\n  bond-primary eth0\n\niface eth1 inet manual\n  \
         bond-master bond0\n\niface bond0 inet dhcp\n  bond-slaves none\n  bond-mode active-backup\n  \
         bond-miimon 100\n",
    )]);
    assert!(script.contains("add-bond br-bond0 bond0 eth0 eth1"), "{script}");
    assert!(script.contains("other_config:bond-primary=eth0"), "{script}");
}

#[test]
fn netplan() {
    let script = script(&[(
        "01-bond.yaml",
        "network:\n  version: 2\n  renderer: networkd\n  ethernets:\n    nic-a: {match: {macaddress: \
         '52:54:00:00:00:01'}, set-name: eth0}\n    eth1: {dhcp4: no}\n  bonds:\n    bond0:\n      \
         interfaces: [nic-a, eth1]\n      macaddress: 52:54:00:AA:BB:CC\n      addresses: \
         [192.168.1.252/24]\n      gateway4: 192.168.1.1\n      nameservers: {addresses: \
         [8.8.8.8]}\n      parameters:\n        mode: balance-xor\n        mii-monitor-interval: 1s\n        \
         transmit-hash-policy: vlan+srcmac\n        arp-ip-targets: []\n  vlans:\n    vlan9: {id: 9, \
         link: bond0, addresses: [10.9.0.1/24]}\n",
    )]);
    for wanted in [
        "add-bond br-bond0 bond0 eth0 eth1",
        "-- set Bridge br-bond0 'other_config:hwaddr=\"52:54:00:aa:bb:cc\"'",
        "other_config:bond-policy=balance-xor",
        "other_config:bond-hash-policy=vlan+srcmac",
        "# miimon=1000 needs nothing",
        "# The name servers of bond0 (8.8.8.8) are not part of a switch",
        "add-port br-bond0 vlan9 tag=9",
        "ip address add 10.9.0.1/24 dev vlan9",
        "ip route add default via 192.168.1.1 dev br-bond0",
    ] {
        assert!(script.contains(wanted), "{wanted}\n{script}");
    }
}

#[test]
fn systemd_networkd() {
    let script = script(&[
        (
            "10-bond.netdev",
            "[NetDev]\nName=bond1\nKind=bond\n\n[Bond]\nMode=802.3ad\nTransmitHashPolicy=layer3+4\n\
             MIIMonitorSec=0.1s\nUpDelaySec=200ms\nLACPTransmitRate=fast\n",
        ),
        ("10-bond.network", "[Match]\nName=bond1\n[Network]\nVLAN=vlan3\nAddress=192.0.2.3/24\n"),
        ("11-members.network", "[Match]\nName=eth2 eth3\n[Network]\nBond=bond1\n"),
        ("12-vlan.netdev", "[NetDev]\nName=vlan3\nKind=vlan\n[VLAN]\nId=3\n"),
        ("12-vlan.network", "[Match]\nName=vlan3\n[Network]\nAddress=2001:db8:3::1/64\n"),
    ]);
    for wanted in [
        "add-bond br-bond1 bond1 eth2 eth3",
        "bond_updelay=200",
        "other_config:lacp-time=fast",
        "other_config:bond-hash-policy=l3+4",
        "add-port br-bond1 vlan3 tag=3",
        "ip address add 2001:db8:3::1/64 dev vlan3",
    ] {
        assert!(script.contains(wanted), "{wanted}\n{script}");
    }
}

#[test]
fn networkd_a_pattern_is_said() {
    let script = script(&[
        ("b.netdev", "[NetDev]\nName=bond1\nKind=bond\n[Bond]\nMode=active-backup\n"),
        ("m.network", "[Match]\nName=eth*\n[Network]\nBond=bond1\n"),
    ]);
    assert!(script.contains("Name=eth* is a pattern"), "{script}");
    assert!(script.contains("# bond1 has no members here"), "{script}");
    assert!(!script.contains("ovs-vsctl"), "{script}");
}

#[test]
fn teamd() {
    let script = script(&[(
        "team0.conf",
        r#"{"device": "team0", "hwaddr": "10:20:30:40:50:60",
            "runner": {"name": "activebackup", "hwaddr_policy": "by_active"},
            "notify_peers": {"count": 3, "interval": 100},
            "link_watch": {"name": "arp_ping", "interval": 100, "missed_max": 30,
                           "source_host": "192.168.23.2", "target_host": "192.168.23.1"},
            "ports": {"eth1": {"prio": -10, "sticky": true}, "eth2": {"prio": 100}}}"#,
    )]);
    for wanted in [
        "add-bond br-team0 team0 eth1 eth2",
        "bond_mode=active-backup",
        "# fail_over_mac=active has no equal",
        "other_config:bond-probe-interval=100",
        "other_config:bond-probe-missed-max=30",
        "other_config:bond-probe-targets=192.168.23.1",
        "other_config:bond-probe-source=192.168.23.2",
        "other_config:bond-notify-count=3",
        "set Interface eth1 other_config:bond-member-priority=-10",
        "set Interface eth2 other_config:bond-member-priority=100",
        "# eth1: “sticky” holds for one port",
    ] {
        assert!(script.contains(wanted), "{wanted}\n{script}");
    }
}

#[test]
fn a_file_of_proc() {
    let script = script(&[(
        "bond0",
        "Ethernet Channel Bonding Driver: v6.1.0-41-amd64\n\nBonding Mode: fault-tolerance \
         (active-backup) (fail_over_mac active)\nPrimary Slave: eth0 (primary_reselect \
         better)\nCurrently Active Slave: eth1\nMII Status: up\nMII Polling Interval (ms): 100\nUp \
         Delay (ms): 200\nDown Delay (ms): 0\nPeer Notification Delay (ms): 0\n\nSlave Interface: \
         eth0\nMII Status: up\nSpeed: 1000 Mbps\nDuplex: full\nLink Failure Count: 0\nPermanent HW \
         addr: 52:54:00:00:00:01\nSlave queue ID: 0\n\nSlave Interface: eth1\nMII Status: up\n",
    )]);
    for wanted in [
        "add-bond br-bond0 bond0 eth0 eth1",
        "# fail_over_mac=active has no equal",
        "other_config:bond-primary=eth0",
        "other_config:bond-primary-reselect=better",
        "bond_updelay=200",
    ] {
        assert!(script.contains(wanted), "{wanted}\n{script}");
    }
}

#[test]
fn the_output_of_ip() {
    let script = script(&[(
        "links.json",
        r#"[{"ifindex": 2, "ifname": "eth0", "master": "bond0", "mtu": 1500,
             "address": "52:54:00:00:00:01",
             "linkinfo": {"info_slave_kind": "bond", "info_slave_data": {"state": "ACTIVE",
                          "prio": 5}}},
            {"ifindex": 3, "ifname": "eth1", "master": "bond0", "mtu": 1500},
            {"ifindex": 4, "ifname": "bond0", "mtu": 1500, "address": "52:54:00:00:00:01",
             "linkinfo": {"info_kind": "bond", "info_data": {"mode": "balance-tlb", "miimon": 100,
                          "updelay": 0, "use_carrier": 1, "arp_missed_max": 2, "min_links": 0,
                          "primary_reselect": "always", "xmit_hash_policy": "layer2",
                          "tlb_dynamic_lb": 0, "lp_interval": 1, "resend_igmp": 1}}},
            {"ifindex": 5, "ifname": "bond0.5", "link": "bond0", "mtu": 1500,
             "linkinfo": {"info_kind": "vlan", "info_data": {"protocol": "802.1Q", "id": 5}}}]"#,
    )]);
    assert_eq!(
        commands(&script)[0],
        "ovs-vsctl --may-exist add-br br-bond0 -- set Bridge br-bond0 \
         'other_config:hwaddr=\"52:54:00:00:00:01\"' -- --may-exist add-bond br-bond0 bond0 eth0 \
         eth1 -- set Port bond0 other_config:bond-policy=balance-tlb \
         other_config:bond-hash-policy=l2 other_config:bond-tlb-dynamic=false -- set Interface eth0 \
         other_config:bond-member-priority=5 -- --may-exist add-port br-bond0 bond0.5 tag=5 -- set \
         Interface bond0.5 type=internal"
    );
}

#[test]
fn bad_input_names_the_file_and_what_is_accepted() {
    let folder = Folder::new(&[("odd", "hello\n"), ("team.json", "{\"device\": ")]);
    for (name, wanted) in
        [("odd", "format is not recognised"), ("team.json", "EOF"), ("missing", "No such file")]
    {
        let out = import(&[&folder.0.join(name)], &[]);
        assert!(!out.status.success());
        let text = String::from_utf8_lossy(&out.stderr);
        assert!(text.contains(name) && text.contains(wanted), "{text}");
    }
    let folder = Folder::new(&[("interfaces", "iface eth0 inet dhcp\n")]);
    let out = import(&[&folder.0], &[]);
    assert!(!out.status.success());
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(text.contains("describe no bond or team"), "{text}");
}

#[test]
fn one_bond_of_several_can_be_chosen() {
    let file = "iface bond0 inet manual\n bond-slaves a b\n bond-mode 1\niface bond1 inet manual\n \
                bond-slaves c d\n bond-mode 1\n";
    let folder = Folder::new(&[("interfaces", file)]);
    let text = |arguments: &[&str]| {
        let out = import(&[&folder.0], arguments);
        format!("{}{}", String::from_utf8_lossy(&out.stdout), String::from_utf8_lossy(&out.stderr))
    };
    let one = text(&["--bond", "bond1", "--bridge", "br1"]);
    assert!(one.contains("add-bond br1 bond1 c d") && !one.contains("bond0"), "{one}");
    assert!(text(&["--bond", "bond2"]).contains("there are bond0, bond1"));
    assert!(text(&["--bridge", "br1"]).contains("choose one with --bond"));
    let json: serde_json::Value = serde_json::from_str(&text(&["--json"])).unwrap();
    assert_eq!(json["bonds"][1]["bond"]["members"][0]["name"], "c");
    assert_eq!(json["bonds"][1]["bridge"], "br-bond1");
}
