//! Internal devices: the life of a tap, and its frames.

mod common;

use common::*;
use netdev::io::internal::{self, InternalOptions};
use netdev::{Packet, link};
use wire::EthAddr;

#[test]
fn a_tap_lives_as_long_as_it_is_open() {
    isolated("a_tap_lives_as_long_as_it_is_open", || {
        if !taps("a_tap_lives_as_long_as_it_is_open") {
            return;
        }
        let mac: EthAddr = "02:00:00:00:00:99".parse().unwrap();
        let opts = InternalOptions { mac: Some(mac), mtu: Some(1400) };
        let int = internal::create("int0", &opts).unwrap();
        let l = link::get("int0").unwrap();
        assert_eq!((l.mac, l.mtu, l.ifindex, l.admin_up), (mac, 1400, int.ifindex, false));
        assert_eq!(l.kind, "tun");
        link::set_up("int0", true).unwrap();
        until("carrier", || link::get("int0").unwrap().carrier);
        drop(int);
        assert!(link::get("int0").is_err());
    });
}

#[test]
fn a_name_that_is_taken_is_refused() {
    isolated("a_name_that_is_taken_is_refused", || {
        if !taps("a_name_that_is_taken_is_refused") {
            return;
        }
        let none = InternalOptions::default();
        let says = |name: &str| match internal::create(name, &none) {
            Ok(_) => panic!("{name} was made"),
            Err(e) => e.to_string(),
        };
        let _first = internal::create("int0", &none).unwrap();
        assert_eq!(says("int0"), "could not open network device int0 (File exists)");
        assert_eq!(says("lo"), "could not open network device lo (File exists)");
        assert_eq!(says("tap%d"), "could not open network device tap%d (Invalid argument)");
        let bad = InternalOptions { mac: Some(EthAddr::BROADCAST), mtu: None };
        let e = internal::create("int1", &bad).err().unwrap().to_string();
        let want = "could not set Ethernet address of network device int1 (Cannot assign requested address)";
        assert_eq!(e, want);
        assert!(link::get("int1").is_err(), "a failure leaves nothing behind");
    });
}

#[test]
fn frames_pass_both_ways() {
    isolated("frames_pass_both_ways", || {
        if !taps("frames_pass_both_ways") {
            return;
        }
        let mut int = internal::create("int0", &InternalOptions::default()).unwrap();
        // A device that is down takes nothing.
        transmit(&mut *int.io, &[Packet::new(&frame(1, 60))]);
        assert_eq!(int.io.counters().tx_dropped, 1);
        link::set_up("int0", true).unwrap();
        let sent: Vec<_> = (0..200).map(|i| frame(i, 60 + i as usize * 5)).collect();
        inject("int0", &sent);
        let got = receive(&mut *int.io, sent.len());
        assert!(got.iter().zip(&sent).all(|(g, s)| g.data() == s));
        // What the switch sends, the host receives: seen by a packet socket on the host's side.
        let mut host = netdev::io::system::open("int0", &Default::default()).unwrap();
        let tag = tagged(&frame(5, 60), 0x8100, 9);
        transmit(&mut *int.io, &[Packet::new(&frame(4, 60)), Packet::new(&tag)]);
        let got = receive(&mut *host, 2);
        assert_eq!(got[0].data(), frame(4, 60));
        assert_eq!(got[1].data(), tag);
        let s = link::stats("int0").unwrap().swapped();
        assert!(s.rx_packets >= 200 && s.tx_packets >= 2, "{s:?}");

        delete("int0");
        let mut none = Vec::new();
        int.io.recv(&mut none, 1);
        assert!(int.io.is_gone());
    });
}
