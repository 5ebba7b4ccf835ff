//! VLANs: which port gets which frame, and with which tag.

use std::time::Duration;

use testbed::PacketSocket;
use testbed::frame::Udp;
use tests::Rig;
use tests::rig::talk;

/// Ports in the order of the NICs that they stand on.
const PORTS: [(&str, &str); 6] = [
    ("nic0", "tag=10"),
    ("nic1", "tag=20"),
    ("nic2", "trunks=10,30"),
    ("nic3", "vlan_mode=native-tagged tag=10"),
    ("nic4", "vlan_mode=native-untagged tag=10 trunks=10,20"),
    ("nic5", ""),
];

/// How a frame arrives: untagged or with a VLAN ID.
type Tag = Option<u16>;

fn rig() -> (Rig, Vec<PacketSocket>) {
    let rig = Rig::new(PORTS.len());
    let mut words = String::new();
    for (name, settings) in PORTS {
        words += &format!(" -- add-port br0 {name} {settings}");
    }
    rig.vsctl(words.trim_start_matches(" -- "));
    let sockets = (0..PORTS.len()).map(|i| rig.tor_socket(i)).collect();
    (rig, sockets)
}

/// Sends a broadcast into a port and gives what comes out of the others.
fn flood(sockets: &[PacketSocket], from: usize, vlan: Tag, n: u16) -> Vec<Option<Tag>> {
    let udp = Udp { vlan, dst_mac: wire::EthAddr::BROADCAST, ..talk(from as u8 + 1, n) };
    // A frame of one test must not be taken for another's.
    sockets[from].send(&udp.frame(&n.to_be_bytes())).unwrap();
    std::thread::sleep(Duration::from_millis(60));
    sockets
        .iter()
        .map(|s| {
            let mut got = s.drain(|f| Udp::parse(f).is_some_and(|(u, _)| u.src_port == n));
            assert!(got.len() <= 1, "a frame came twice");
            got.pop().map(|f| Udp::parse(&f).expect("just parsed").0.vlan)
        })
        .collect()
}

#[harness::test]
fn frames_keep_to_their_vlan() {
    let (_rig, sockets) = rig();
    const NO: Option<Tag> = None;
    const PLAIN: Option<Tag> = Some(None);
    const T0: Option<Tag> = Some(Some(10));
    const T2: Option<Tag> = Some(Some(20));
    const T3: Option<Tag> = Some(Some(30));
    #[rustfmt::skip]
    let cases: [(usize, Tag, [Option<Tag>; 6]); 14] = [
        // from, with,     nic0   nic1   nic2 nic3 nic4   nic5
        (0, None,         [NO,    NO,    T0,  T0,  PLAIN, T0]),
        // An access port takes no tagged frames.
        (0, Some(10),     [NO,    NO,    NO,  NO,  NO,    NO]),
        (1, None,         [NO,    NO,    NO,  T2,  T2,    T2]),
        (2, Some(10),     [PLAIN, NO,    NO,  T0,  PLAIN, T0]),
        (2, Some(30),     [NO,    NO,    NO,  T3,  NO,    T3]),
        // Not among the trunk's.
        (2, Some(20),     [NO,    NO,    NO,  NO,  NO,    NO]),
        (2, None,         [NO,    NO,    NO,  NO,  NO,    NO]),
        // Native-tagged: takes untagged frames as VLAN 10 but sends it tagged.
        (3, None,         [PLAIN, NO,    T0,  NO,  PLAIN, T0]),
        (3, Some(20),     [NO,    PLAIN, NO,  NO,  T2,    T2]),
        (4, None,         [PLAIN, NO,    T0,  T0,  NO,    T0]),
        (4, Some(20),     [NO,    PLAIN, NO,  T2,  NO,    T2]),
        (4, Some(30),     [NO,    NO,    NO,  NO,  NO,    NO]),
        // A port with no setting trunks all VLANs; untagged is VLAN 0, which a native port lacks.
        (5, None,         [NO,    NO,    NO,  NO,  NO,    NO]),
        (5, Some(20),     [NO,    PLAIN, NO,  T2,  T2,    NO]),
    ];
    for (n, (from, vlan, want)) in cases.into_iter().enumerate() {
        let got = flood(&sockets, from, vlan, 1000 + n as u16);
        assert_eq!(got, want, "from {} ({}) with {vlan:?}", PORTS[from].0, PORTS[from].1);
    }
}

#[harness::test]
fn a_port_moves_to_another_vlan_at_run_time() {
    let (rig, sockets) = rig();
    assert_eq!(flood(&sockets, 0, None, 1)[1], None);
    rig.vsctl("set port nic1 tag=10");
    assert_eq!(flood(&sockets, 0, None, 2)[1], Some(None));
    rig.vsctl("set port nic1 tag=20");
    assert_eq!(flood(&sockets, 0, None, 3)[1], None);
}

#[harness::test]
fn a_bond_carries_tagged_traffic() {
    let rig = Rig::new(2);
    rig.bond("bond_mode=balance-slb trunks=10,20");
    rig.vsctl("set port vnet0 tag=10");
    let (vm, tor) = (rig.vm_socket(), [rig.tor_socket(0), rig.tor_socket(1)]);
    let out = talk(1, 7);
    vm.send(&out.frame(b"out")).unwrap();
    let found = |f: &[u8]| Udp::parse(f).is_some_and(|(u, _)| u.vlan == Some(10));
    std::thread::sleep(Duration::from_millis(200));
    let n = [tor[0].drain(found).len(), tor[1].drain(found).len()];
    assert_eq!(n[0] + n[1], 1, "{n:?}");
    let by = if n[0] == 1 { 0 } else { 1 };

    let back = Udp { vlan: Some(10), ..out.reversed() };
    tor[by].send(&back.frame(b"in")).unwrap();
    let plain = |f: &[u8]| Udp::parse(f).is_some_and(|(u, p)| u.vlan.is_none() && p == b"in");
    assert!(vm.recv_matching(Duration::from_secs(2), plain).is_some());
    // Another VLAN's does not get in.
    let other = Udp { vlan: Some(20), ..out.reversed() };
    tor[by].send(&other.frame(b"no")).unwrap();
    let any = |f: &[u8]| f.ends_with(b"no");
    assert!(vm.recv_matching(Duration::from_millis(300), any).is_none());
}
