//! What the network is told when a bond moves traffic: by which packets, how often, in which VLAN.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use testbed::frame::Header;
use testbed::{Netns, PacketSocket, debian, process};
use tests::Rig;
use tests::rig::{HOST_MAC, hello, talk};
use wire::extract;

const MS: Duration = Duration::from_millis(1);
/// The rig's `br0`.
const OWN: &str = "02:00:00:00:b0:00";

fn run(ns: &Netns, tool: &str, words: &str) -> String {
    let mut c = ns.command(debian::tool(tool).unwrap_or_else(|| tests::tool(tool)));
    process::output(c.args(words.split_whitespace()), Duration::from_secs(20))
        .unwrap_or_else(|e| panic!("{e}"))
}

fn ip(ns: &Netns, words: &str) -> String {
    run(ns, "ip", words)
}

/// One announcement: what it says and in which VLAN (`-` = untagged).
fn announcement(frame: &[u8]) -> Option<String> {
    let (header, _) = Header::parse(frame)?;
    let key = extract(frame, 0);
    let src = header.src;
    let what = match (key.eth_type, key.nw_proto) {
        (0x8035, 3) if key.arp_sha == src && key.arp_tha == src => "rarp".to_owned(),
        // RFC 5227: the sender's address is the target's.
        (0x0806, 1) if key.nw_src == key.nw_dst && key.arp_sha == src => {
            assert!(key.arp_tha.is_zero(), "{frame:02x?}");
            format!("arp {}", std::net::Ipv4Addr::from(key.ipv4_src()))
        }
        // RFC 4861: to all nodes, hop limit 255, with the target's link-layer address; the
        // override flag is 0x20 of the octet behind the checksum.
        (0x86dd, 58) if key.tp_src == 136 => {
            let icmp = frame.len() - 32;
            assert_eq!(header.dst.to_string(), "33:33:00:00:00:01");
            assert_eq!(std::net::Ipv6Addr::from(key.nw_dst).to_string(), "ff02::1");
            assert_eq!((key.nw_ttl, frame[icmp + 4] & 0xe0, key.arp_tha), (255, 0x20, src));
            format!("nd {}", std::net::Ipv6Addr::from(key.nd_target))
        }
        _ => return None,
    };
    let vlan = header.vlan.map_or("-".to_owned(), |v| v.to_string());
    Some(format!("{what} {src} {vlan}"))
}

/// What arrives in a while, with the times.
fn capture(socket: &PacketSocket, time: Duration) -> BTreeMap<String, Vec<Duration>> {
    let (begin, mut seen) = (Instant::now(), BTreeMap::<String, Vec<Duration>>::new());
    while begin.elapsed() < time {
        testbed::packet::wait(&[socket], 20 * MS);
        let at = begin.elapsed();
        for frame in socket.drain(|_| true) {
            if let Some(text) = announcement(&frame) {
                seen.entry(text).or_default().push(at);
            }
        }
    }
    seen
}

/// Waits for quiet, makes the other member active and returns what came out of it, and how often.
fn move_and_capture(rig: &Rig, time: Duration) -> BTreeMap<String, Vec<Duration>> {
    let to = 1 - rig.active().unwrap();
    let tor = rig.tor_socket(to);
    std::thread::sleep(50 * MS);
    tor.drain(|_| true);
    rig.appctl(&format!("bond/set-active-member bond0 nic{to}"));
    rig.await_active(to);
    capture(&tor, time)
}

/// The host's own addresses on `br0`, and a virtual machine's port.
fn configured(rig: &Rig) {
    tests::tap("the bridge's own port");
    tests::tool("ip");
    let on = || std::fs::write("/proc/sys/net/ipv6/conf/br0/disable_ipv6", "0");
    rig.hv.run(on).unwrap_or_else(|e| harness::skip(format!("no IPv6 ({e})")));
    // Its link-local address is of no use to the test.
    ip(&rig.hv, "link set br0 addrgenmode none");
    ip(&rig.hv, "link set br0 up");
    ip(&rig.hv, "addr add 10.1.0.1/24 dev br0");
    ip(&rig.hv, "addr add 10.1.0.9/32 dev br0");
    ip(&rig.hv, "addr add fd00::1/64 dev br0 nodad");
}

fn keys(seen: &BTreeMap<String, Vec<Duration>>) -> Vec<&str> {
    seen.keys().map(String::as_str).collect()
}

#[harness::test]
fn own_addresses_and_attached_ones_are_announced_without_learning() {
    tests::tool("ovs-ofctl");
    let rig = Rig::new(2);
    rig.bond(
        "other_config:bond-notify=rarp,arp,nd other_config:bond-notify-count=3 \
         other_config:bond-notify-interval=200",
    );
    configured(&rig);
    rig.vsctl("set interface vnet0 external_ids:attached-mac=02:00:00:00:55:77");
    // A pipeline of a controller's flows; here of none.
    let mut c = rig.switch.command("ovs-ofctl");
    process::output(c.args(["del-flows", "br0"]), Duration::from_secs(20)).unwrap();
    // The host may have sent something before, which was learned from.
    rig.appctl("fdb/flush br0");
    rig.wait("an empty MAC table", || rig.appctl("fdb/show br0").lines().count() == 1);
    let expected = [
        format!("arp 10.1.0.1 {OWN} -"),
        format!("arp 10.1.0.9 {OWN} -"),
        format!("nd fd00::1 {OWN} -"),
        "rarp 02:00:00:00:55:77 -".to_owned(),
        format!("rarp {OWN} -"),
    ];
    let seen = move_and_capture(&rig, 1500 * MS);
    assert_eq!(keys(&seen), expected.iter().map(String::as_str).collect::<Vec<_>>());
    for (what, times) in &seen {
        assert_eq!(times.len(), 3, "{what}: {times:?}");
        // Two intervals lie between; a busy machine may see the first or the last late.
        let span = times[2] - times[0];
        assert!((250 * MS..1000 * MS).contains(&span), "{what}: {times:?}");
    }

    // Addresses are kept current, a bad attached-mac is not announced, and the log says why.
    ip(&rig.hv, "addr del 10.1.0.9/32 dev br0");
    ip(&rig.hv, "addr add 10.1.0.7/32 dev br0");
    rig.vsctl("set interface vnet0 external_ids:attached-mac=nonsense");
    std::thread::sleep(200 * MS);
    let seen = move_and_capture(&rig, 300 * MS);
    let expected = [
        format!("arp 10.1.0.1 {OWN} -"),
        format!("arp 10.1.0.7 {OWN} -"),
        format!("nd fd00::1 {OWN} -"),
        format!("rarp {OWN} -"),
    ];
    assert_eq!(keys(&seen), expected.iter().map(String::as_str).collect::<Vec<_>>());
    let log = rig.switch.log();
    assert!(log.contains("external_ids") && log.contains("nonsense"), "{log}");

    // None comes any more once the count is 0, and none where the option is bad but the default's.
    rig.vsctl("set port bond0 other_config:bond-notify-count=0");
    assert_eq!(keys(&move_and_capture(&rig, 300 * MS)), [""; 0]);
    rig.vsctl("set port bond0 other_config:bond-notify-count=1 other_config:bond-notify=garp");
    assert_eq!(keys(&move_and_capture(&rig, 300 * MS)), [""; 0], "nothing is learned");
    let log = rig.switch.log();
    assert!(log.contains("bond-notify") && log.contains("\"garp\" is unknown"), "{log}");
    rig.assert_no_panic();
}

/// Each in the VLAN that its port puts it in, and as the bond's port sends that VLAN.
#[harness::test]
fn announcements_have_the_tags_of_their_vlan() {
    let rig = Rig::new(2);
    rig.bond("other_config:bond-notify=arp,rarp");
    configured(&rig);
    ip(&rig.hv, "-6 addr flush dev br0");
    ip(&rig.hv, "addr del 10.1.0.9/32 dev br0");
    let vm = rig.vm_socket();
    rig.vsctl(
        "set interface vnet0 external_ids:attached-mac=02:00:00:00:55:77 \
         -- set port vnet0 tag=30 -- set port br0 tag=20",
    );
    rig.wait("a learned address", || {
        vm.send(&hello(1)).unwrap();
        rig.appctl("fdb/show br0").contains(" 30  02:00:00:00:55:01")
    });
    let station = talk(1, 0).src_mac;
    let of = |own: &str, vm: &str| {
        let mut rows = Vec::new();
        if !own.is_empty() {
            rows.extend([format!("arp 10.1.0.1 {OWN} {own}"), format!("rarp {OWN} {own}")]);
        }
        if !vm.is_empty() {
            rows.extend([format!("rarp {station} {vm}"), format!("rarp 02:00:00:00:55:77 {vm}")]);
        }
        rows.sort();
        rows
    };
    // Settings of the bond's port, and the tags of VLANs 20 and 30 on the wire.
    let cases = [
        ("tag=[] vlan_mode=[]", of("20", "30")),
        ("trunks=20 vlan_mode=trunk", of("20", "")),
        ("trunks=20,30 tag=20 vlan_mode=native-untagged", of("-", "30")),
        ("trunks=20,30 tag=20 vlan_mode=native-tagged", of("20", "30")),
        ("trunks=[] tag=30 vlan_mode=access", of("", "-")),
        ("tag=30 vlan_mode=access other_config:priority-tags=always", of("", "-")),
    ];
    for (settings, expected) in cases {
        rig.vsctl(&format!("set port bond0 {settings}"));
        std::thread::sleep(100 * MS);
        vm.send(&hello(1)).unwrap();
        rig.wait("the learned address", || {
            rig.appctl("fdb/show br0").contains(" 30  02:00:00:00:55:01")
        });
        let seen = move_and_capture(&rig, 200 * MS);
        assert_eq!(keys(&seen), expected, "{settings}");
    }
    rig.assert_clean_log();
}

/// A switch that learns: its entries follow, although no link goes down.
#[harness::test]
fn a_linux_bridge_moves_its_entries() {
    tests::tool("bridge");
    let rig = Rig::new(2);
    rig.bond("");
    configured(&rig);
    let made = || ip(&rig.tor, "link add sw type bridge");
    if std::panic::catch_unwind(std::panic::AssertUnwindSafe(made)).is_err() {
        harness::skip("this kernel has no bridges");
    }
    for line in ["link set tor0 master sw", "link set tor1 master sw", "link set sw up"] {
        ip(&rig.tor, line);
    }
    let port = |mac: &str| {
        let fdb = run(&rig.tor, "bridge", "fdb show br sw dynamic");
        let line = fdb.lines().find(|l| l.starts_with(mac)).map(str::to_owned);
        line.and_then(|l| l.split_whitespace().nth(2).map(str::to_owned))
    };
    let vm = rig.vm_socket();
    let stations: Vec<String> = (1..=3).map(|n| talk(n, 0).src_mac.to_string()).collect();
    let on = |nic: usize| stations.iter().all(|s| port(s).as_deref() == Some(&format!("tor{nic}")));
    rig.wait("learned stations", || {
        (1..=3).for_each(|n| vm.send(&hello(n)).unwrap());
        on(rig.active().unwrap())
    });
    for _ in 0..3 {
        let to = 1 - rig.active().unwrap();
        rig.appctl(&format!("bond/set-active-member bond0 nic{to}"));
        let took = rig.wait("entries on the other port", || on(to));
        println!("entries moved within {took:?}");
    }
    // By ARP alone: the host's own.
    rig.vsctl("set port bond0 other_config:bond-notify=arp");
    let from = rig.active().unwrap();
    for to in [1 - from, from] {
        rig.appctl(&format!("bond/set-active-member bond0 nic{to}"));
        rig.wait("the host on the other port", || port(OWN) == Some(format!("tor{to}")));
        assert!(on(from), "no IP address is known of a learned station");
    }
    assert_ne!(OWN, HOST_MAC.to_string());
    rig.assert_clean_log();
}
