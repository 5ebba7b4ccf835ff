//! Link state, news of it, and control sockets, over veth pairs.

harness::main!();

mod common;

use std::net::IpAddr;

use common::*;
use netdev::link::carrier::SysNet;
use netdev::link::mii::LinkSource;
use netdev::link::{
    self, AddressMonitor, LinkEvent, LinkInfo, LinkModes, LinkMonitor, LinkSettings, Medium,
    ProtoSocket, ethtool, mii,
};
use wire::{EthAddr, EtherType};

/// Polls until `wanted` says yes to an event; returns what came up to it.
fn wait_for(
    m: &mut LinkMonitor,
    what: &str,
    wanted: impl Fn(&LinkEvent) -> bool,
) -> Vec<LinkEvent> {
    let mut events = Vec::new();
    until(what, || {
        readable(m.fd(), 50);
        m.poll(&mut events).unwrap();
        events.iter().any(&wanted)
    });
    events
}

fn changed(e: &LinkEvent, name: &str, test: impl Fn(&LinkInfo) -> bool) -> bool {
    matches!(e, LinkEvent::Changed(l) if l.name == name && test(l))
}

#[harness::test]
fn link_monitor_reports_devices_that_come_change_and_go() {
    isolated("link_monitor_reports_devices_that_come_change_and_go", || {
        let far = Netns::new();
        let mut m = LinkMonitor::new().unwrap();
        let first = wait_for(&mut m, "the first list", |e| changed(e, "lo", |_| true));
        assert_eq!(first.len(), 1, "{first:?}");

        veth("near", "far", &far);
        wait_for(&mut m, "the new device", |e| {
            changed(e, "near", |l| l.admin_up && l.carrier && l.kind == "veth" && l.mtu == 1500)
        });
        let before = link::get("near").unwrap();
        far.run(|| link::set_up("far", false).unwrap());
        let lost = wait_for(&mut m, "the loss", |e| changed(e, "near", |l| !l.carrier));
        assert!(lost.iter().any(|e| changed(e, "near", |l| {
            l.admin_up && l.carrier_changes == before.carrier_changes + 1
        })));
        far.run(|| link::set_up("far", true).unwrap());
        wait_for(&mut m, "the return", |e| changed(e, "near", |l| l.carrier));

        link::set_mtu("near", 1400).unwrap();
        wait_for(&mut m, "the MTU", |e| changed(e, "near", |l| l.mtu == 1400));
        let mac: EthAddr = "02:11:22:33:44:55".parse().unwrap();
        link::set_mac("near", mac).unwrap();
        wait_for(&mut m, "the address", |e| changed(e, "near", |l| l.mac == mac));
        assert_eq!(link::get("near").unwrap().mac, mac);

        rename("near", "other");
        let events = wait_for(&mut m, "the new name", |e| changed(e, "other", |_| true));
        assert!(matches!(&events[0], LinkEvent::Renamed { from, .. } if from == "near"));

        delete("other");
        wait_for(
            &mut m,
            "the end",
            |e| matches!(e, LinkEvent::Gone { name, .. } if name == "other"),
        );
        assert_eq!(m.overruns(), 0);
    });
}

#[harness::test]
fn addresses_are_followed() {
    isolated("addresses_are_followed", || {
        let far = Netns::new();
        veth("near", "far", &far);
        let ip = |args: &str| {
            let done = std::process::Command::new("ip").args(args.split(' ')).output();
            let done = done.unwrap_or_else(|e| harness::skip(format!("ip cannot be run ({e})")));
            let text = String::from_utf8_lossy(&done.stderr).into_owned();
            (done.status.success(), text)
        };
        let done = |args: &str| assert_eq!(ip(args), (true, String::new()), "ip {args}");
        // Before and after the monitor is made; without duplicate address detection.
        done("addr add 192.0.2.1/24 dev near");
        let mut m = AddressMonitor::new().unwrap();
        let index = link::get("near").unwrap().ifindex;
        let mut await_addresses = |what: &str, wanted: &[&str]| {
            let wanted: Vec<IpAddr> = wanted.iter().map(|a| a.parse().unwrap()).collect();
            until(what, || {
                readable(m.fd(), 50);
                m.poll().unwrap();
                let known = m.devices().get(&index).into_iter().flat_map(|d| &d.addresses);
                let known: Vec<_> = known
                    .filter(|a| !matches!(a, IpAddr::V6(a) if a.is_unicast_link_local()))
                    .collect();
                known == wanted.iter().collect::<Vec<_>>()
            });
        };
        await_addresses("what is there", &["192.0.2.1"]);
        done("addr add 192.0.2.2/32 dev near");
        done("addr add 2001:db8::1/64 dev near nodad");
        await_addresses("more", &["192.0.2.1", "192.0.2.2", "2001:db8::1"]);
        done("addr del 192.0.2.2/32 dev near");
        await_addresses("less", &["192.0.2.1", "2001:db8::1"]);
        // Point to point: the near end's.
        done("addr add 192.0.2.5 peer 192.0.2.6 dev near");
        await_addresses("the near end", &["192.0.2.1", "192.0.2.5", "2001:db8::1"]);
        // An address that is still tested for duplicates may not be announced.
        far.run(|| link::set_up("far", false).unwrap());
        done("addr add 2001:db8::2/64 dev near");
        await_addresses("not yet", &["192.0.2.1", "192.0.2.5", "2001:db8::1"]);
        done("addr flush dev near");
        await_addresses("none", &[]);

        let mut m = AddressMonitor::new().unwrap();
        let mac: EthAddr = "02:11:22:33:44:55".parse().unwrap();
        link::set_mac("near", mac).unwrap();
        std::fs::write("/proc/sys/net/ipv6/conf/near/forwarding", "1")
            .unwrap_or_else(|e| harness::skip(format!("no sysctl ({e})")));
        until("address and forwarding", || {
            m.poll().unwrap();
            m.devices().get(&index).is_some_and(|d| (d.mac, d.router) == (mac, true))
        });
        std::fs::write("/proc/sys/net/ipv6/conf/near/forwarding", "0").unwrap();
        until("no forwarding", || {
            m.poll().unwrap();
            !m.devices()[&index].router
        });
        // The kernel may have no 802.1Q devices.
        if ip("link add link near name near.7 type vlan id 7").0 {
            let vlan = link::get("near.7").unwrap().ifindex;
            until("the VLAN device", || {
                m.poll().unwrap();
                m.devices().get(&vlan).is_some_and(|d| d.vlan == Some((index, 7)))
            });
        }
        delete("near");
        until("the end", || {
            m.poll().unwrap();
            !m.devices().contains_key(&index)
        });
    });
}

#[harness::test]
fn link_monitor_lists_again_after_an_overrun() {
    isolated("link_monitor_lists_again_after_an_overrun", || {
        let far = Netns::new();
        veth("stays", "far0", &far);
        veth("goes", "far1", &far);
        let mut m = LinkMonitor::with_receive_buffer(2048).unwrap();
        m.poll(&mut Vec::new()).unwrap();
        for mtu in 1000..1200 {
            link::set_mtu("stays", mtu).unwrap();
        }
        delete("goes");
        veth("comes", "far2", &far);
        link::set_up("stays", false).unwrap();
        let mut events = Vec::new();
        m.poll(&mut events).unwrap();
        assert!(m.overruns() > 0, "the test has overrun nothing");
        let gone = |e: &LinkEvent| matches!(e, LinkEvent::Gone { name, .. } if name == "goes");
        assert_eq!(events.iter().filter(|e| gone(e)).count(), 1);
        assert!(events.iter().any(|e| changed(e, "comes", |l| l.admin_up)));
        let last = events.iter().rfind(|e| changed(e, "stays", |_| true)).unwrap();
        assert!(changed(last, "stays", |l| !l.admin_up && l.mtu == 1199));
        // And it goes on as before.
        link::set_up("stays", true).unwrap();
        wait_for(&mut m, "what comes after", |e| changed(e, "stays", |l| l.admin_up));
    });
}

/// A list that was read while messages came does not take back what they have said.
#[harness::test]
fn message_after_the_start_of_a_list_wins_over_the_list() {
    isolated("message_after_the_start_of_a_list_wins_over_the_list", || {
        let far = Netns::new();
        veth("near", "far0", &far);
        veth("gone", "far1", &far);
        let mut m = LinkMonitor::new().unwrap();
        assert!(m.wants_list());
        m.begin_list();
        assert!(!m.wants_list());
        let old = link::get_all();
        link::set_mtu("near", 1400).unwrap();
        delete("gone");
        veth("new", "far2", &far);
        let mut events = Vec::new();
        m.poll_messages(&mut events).unwrap();
        m.end_list(old, &mut events).unwrap();
        let last = |name: &str| {
            events.iter().rfind(|e| match e {
                LinkEvent::Changed(l) => l.name == name,
                LinkEvent::Gone { name: n, .. } | LinkEvent::Renamed { from: n, .. } => n == name,
            })
        };
        assert!(changed(last("near").unwrap(), "near", |l| l.mtu == 1400));
        assert!(matches!(last("gone"), Some(LinkEvent::Gone { .. })), "{events:?}");
        assert!(changed(last("new").unwrap(), "new", |_| true));
        assert!(changed(last("lo").unwrap(), "lo", |_| true));
        assert!(!m.wants_list());
        // A list that was not read is wanted again.
        m.begin_list();
        m.end_list(Err("no answer"), &mut Vec::new()).unwrap_err();
        assert!(m.wants_list());
    });
}

/// The count of carrier changes: of the moment, of the same device under any name, and of no other
/// namespace's.
#[harness::test]
fn carrier_changes_are_counted_without_delay() {
    isolated("carrier_changes_are_counted_without_delay", || {
        let far = Netns::new();
        veth("near", "far", &far);
        until("carrier", || link::get("near").unwrap().carrier);
        let l = link::get("near").unwrap();
        // Shows the devices of the namespace in which the machine mounted it.
        let system = SysNet::of_the_system().unwrap();
        assert!(!system.is_own());
        assert!(system.carrier_changes("near", l.ifindex, l.mac).is_err());
        let sysfs = SysNet::open().unwrap();
        if !sysfs.is_own() {
            // In a user namespace without a mount namespace of its own.
            return;
        }
        let count = sysfs.carrier_changes("near", l.ifindex, l.mac).unwrap();
        assert_eq!(count.read().unwrap(), l.carrier_changes);
        far.run(|| link::set_up("far", false).unwrap());
        assert_eq!(count.read().unwrap(), l.carrier_changes + 1);
        rename("near", "other");
        far.run(|| link::set_up("far", true).unwrap());
        assert_eq!(count.read().unwrap(), l.carrier_changes + 2);
        assert_eq!(link::get_by_index(l.ifindex).unwrap().name, "other");
        assert!(sysfs.carrier_changes("other", l.ifindex + 1, l.mac).is_err());
        assert!(sysfs.carrier_changes("../../lo", 1, l.mac).is_err());
        delete("other");
        assert_eq!(count.read().unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert!(link::get_by_index(l.ifindex).is_err());
    });
}

#[harness::test]
fn link_get_all_agrees_with_get_by_name() {
    isolated("link_get_all_agrees_with_get_by_name", || {
        let far = Netns::new();
        for i in 0..40 {
            veth(&format!("near{i}"), &format!("far{i}"), &far);
        }
        let all = link::get_all().unwrap();
        assert_eq!(all.len(), 41);
        assert!(all.is_sorted_by_key(|l| l.ifindex));
        for l in &all {
            assert_eq!(link::get(&l.name).unwrap(), *l);
        }
        let e = link::get("nosuch").unwrap_err().to_string();
        assert_eq!(e, "could not read state of network device nosuch (No such device)");
        let e = link::set_mtu("near0", 1).unwrap_err().to_string();
        assert_eq!(e, "could not set MTU of network device near0 (Invalid argument)");
        assert!(link::set_up("nosuch", true).is_err());
        assert!(link::set_mac("near0", EthAddr::BROADCAST).is_err());
    });
}

#[harness::test]
fn link_stats_count_frames_of_both_directions() {
    isolated("link_stats_count_frames_of_both_directions", || {
        let far = Netns::new();
        veth("near", "far", &far);
        let before = link::stats("near").unwrap();
        far.run(|| inject("far", &vec![frame(1, 100); 50]));
        inject("near", &vec![frame(1, 200); 20]);
        until("counters", || link::stats("near").unwrap().rx_packets >= before.rx_packets + 50);
        let s = link::stats("near").unwrap();
        assert!(s.tx_packets >= before.tx_packets + 20);
        assert!(s.rx_bytes >= before.rx_bytes + 5000 && s.tx_bytes >= before.tx_bytes + 4000);
        let other = s.swapped();
        assert_eq!((other.rx_packets, other.tx_bytes), (s.tx_packets, s.rx_bytes));
        assert!(link::stats("nosuch").is_err());
    });
}

#[harness::test]
fn ethtool_reads_settings_driver_and_link() {
    isolated("ethtool_reads_settings_driver_and_link", || {
        let far = Netns::new();
        veth("near", "far", &far);
        let modes = LinkModes { medium: Some(Medium::TwistedPair), ..LinkModes::default() };
        assert_eq!(
            ethtool::settings("near").unwrap(),
            LinkSettings { speed_mbps: 10_000, full_duplex: Some(true), modes }
        );
        let d = ethtool::driver_info("near").unwrap();
        assert_eq!(d.driver, "veth");
        assert!(!d.version.is_empty());
        assert!(ethtool::link("near").unwrap());
        // A veth has no transceiver, so the second source answers.
        assert_eq!(mii::link("near").unwrap(), (true, LinkSource::Ethtool));
        far.run(|| link::set_up("far", false).unwrap());
        assert_eq!(mii::link("near").unwrap(), (false, LinkSource::Ethtool));
        let e = mii::link("nosuch").unwrap_err().to_string();
        assert_eq!(
            e,
            "could not read link state by MII or ethtool of network device nosuch (No such device)"
        );
        let e = ethtool::settings("lo").unwrap_err().to_string();
        assert_eq!(
            e,
            "could not read link settings of network device lo (Operation not supported)"
        );
    });
}

#[harness::test]
fn proto_socket_passes_frames_of_its_protocol_only() {
    isolated("proto_socket_passes_frames_of_its_protocol_only", || {
        let far = Netns::new();
        veth("near", "far", &far);
        let slow = || (EtherType::SLOW, Some(EthAddr::SLOW_PROTOCOLS));
        let mut near = ProtoSocket::open("near", slow().0, slow().1).unwrap();
        let mut there = far.run(move || ProtoSocket::open("far", slow().0, slow().1).unwrap());
        assert_eq!(near.ifindex(), link::get("near").unwrap().ifindex);
        let lacpdu = |n: u8| {
            let mut f = EthAddr::SLOW_PROTOCOLS.0.to_vec();
            f.extend([2, 0, 0, 0, 0, 1, 0x88, 0x09, 1, 1, n]);
            f.resize(124, 0);
            f
        };
        assert_eq!(near.recv(), None);
        // Neither user traffic nor the frames of a VLAN nor our own are given out.
        let others = vec![frame(1, 100), tagged(&lacpdu(1), 0x8100, 5), lacpdu(2)];
        far.run(move || inject("far", &others));
        near.send(&lacpdu(3)).unwrap();
        assert!(readable(near.fd(), 1000));
        assert_eq!(near.recv(), Some(&lacpdu(2)[..]));
        assert_eq!(near.recv(), None);
        assert!(readable(there.fd(), 1000));
        assert_eq!(there.recv(), Some(&lacpdu(3)[..]));

        // Down and up again: nothing sticks.
        link::set_up("near", false).unwrap();
        assert_eq!(near.recv(), None);
        assert!(!readable(near.fd(), 0));
        assert!(near.send(&lacpdu(4)).is_err());
        link::set_up("near", true).unwrap();
        until("carrier", || link::get("near").unwrap().carrier);
        near.send(&lacpdu(5)).unwrap();
        until("the frame", || there.recv().is_some_and(|f| f == lacpdu(5)));
        delete("near");
        assert_eq!(near.recv(), None);
        assert!(!readable(near.fd(), 0), "a socket whose device is gone must not keep waking us");
        assert!(near.send(&lacpdu(6)).is_err());
        assert!(ProtoSocket::open("near", slow().0, slow().1).is_err());
    });
}
