//! Internal devices: the life of a tap, and its frames.

harness::main!();

mod common;

use std::os::fd::{AsRawFd, OwnedFd};

use common::*;
use netdev::Packet;
use netdev::io::internal;
use netdev::link::{self, tun};
use wire::EthAddr;

/// A tap as other programs make them, with what they may leave behind on it.
fn foreign(name: &str, flags: i32, set: &[(libc::Ioctl, libc::c_ulong)]) -> OwnedFd {
    let tun = std::fs::File::options().read(true).write(true).open("/dev/net/tun").unwrap();
    let mut request = [0u8; 40];
    request[..name.len()].copy_from_slice(name.as_bytes());
    request[16..18].copy_from_slice(&(flags as u16).to_ne_bytes());
    // SAFETY: the kernel reads and writes a struct ifreq, which is that large.
    assert_eq!(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF, request.as_mut_ptr()) }, 0);
    for (what, value) in set {
        // SAFETY: the callers' requests take a number.
        assert_eq!(unsafe { libc::ioctl(tun.as_raw_fd(), *what, *value) }, 0);
    }
    tun.into()
}

const TAP: i32 = libc::IFF_TAP | libc::IFF_NO_PI;

fn refusal(name: &str) -> String {
    match internal::open(name, false) {
        Ok(_) => panic!("{name} was opened"),
        Err(e) => e.to_string(),
    }
}

#[harness::test]
fn a_tap_lives_as_long_as_it_is_open_or_persistent() {
    isolated("a_tap_lives_as_long_as_it_is_open_or_persistent", || {
        taps();
        let int = internal::open("int0", true).unwrap();
        let l = link::get("int0").unwrap();
        assert_eq!((l.ifindex, l.admin_up, l.kind.as_str()), (int.ifindex, false, "tun"));
        assert!(!int.found);
        link::set_up("int0", true).unwrap();
        until("carrier", || link::get("int0").unwrap().carrier);
        drop(int);
        assert!(link::get("int0").is_err());

        let int = internal::open("int0", true).unwrap();
        int.tap.persist(true).unwrap();
        let mac: EthAddr = "02:00:00:00:00:99".parse().unwrap();
        link::set_mac("int0", mac).unwrap();
        link::set_mtu("int0", 1400).unwrap();
        link::set_up("int0", true).unwrap();
        set_address("int0", [10, 0, 0, 1]);
        let ifindex = int.ifindex;
        drop(int);
        until("no carrier", || !link::get("int0").unwrap().carrier);
        let mut int = internal::open("int0", true).unwrap();
        assert!(int.found);
        until("carrier", || link::get("int0").unwrap().carrier);
        let l = link::get("int0").unwrap();
        assert_eq!((l.mac, l.mtu, l.ifindex, l.admin_up), (mac, 1400, ifindex, true));
        inject("int0", &[frame(7, 60)]);
        assert_eq!(receive(&mut *int.io, 1)[0].data(), frame(7, 60));
        // It is not taken away from the one who has it, nor removed under them.
        let text = "could not open network device int0 (Device or resource busy)";
        let refused = refusal("int0");
        assert!(refused.starts_with(text), "{refused}");
        assert!(internal::remove("int0", ifindex).is_err());
        drop(int);
        assert!(!internal::remove("int0", ifindex + 1).unwrap());
        assert!(internal::remove("int0", ifindex).unwrap());
        assert!(link::get("int0").is_err());
        assert!(!internal::remove("int0", ifindex).unwrap());
    });
}

#[harness::test]
fn the_process_that_has_a_tap_is_named() {
    isolated("the_process_that_has_a_tap_is_named", || {
        taps();
        let _first = internal::open("int0", true).unwrap();
        let pid = std::process::id();
        let holder = tun::holder("int0");
        // The test's thread has a namespace of its own, the process another one.
        if let Some(holder) = holder {
            assert_eq!(holder.pid, pid);
        }
        // A process of this namespace.
        let mut other = std::process::Command::new("sleep");
        let fd = foreign("int1", TAP, &[(libc::TUNSETPERSIST, 1)]);
        let mut child = other.arg("60").stdin(fd).spawn().unwrap();
        drop(other);
        let want = format!("(Device or resource busy): sleep (pid {}) has it open", child.id());
        until("a sleeping process", || tun::holder("int1").is_some_and(|h| h.program == "sleep"));
        let refused = refusal("int1");
        assert!(refused.ends_with(&want), "{refused}");
        // One that ends is waited for.
        let ends = std::thread::spawn(move || {
            std::thread::sleep(std::time::Duration::from_millis(50));
            child.kill().unwrap();
            child.wait().unwrap();
        });
        until("a free tap", || internal::open("int1", true).is_ok());
        ends.join().unwrap();
    });
}

/// A persistent tap is taken over whatever program has made it, and whatever state it has left.
#[harness::test]
fn a_free_tap_is_taken_over() {
    isolated("a_free_tap_is_taken_over", || {
        taps();
        let persist = (libc::TUNSETPERSIST, 1);
        let many = TAP | libc::IFF_MULTI_QUEUE;
        // Without offload headers, as Open vSwitch 3.1; with packet information; with queues.
        for (i, flags) in [TAP, libc::IFF_TAP, many, many | libc::IFF_VNET_HDR].iter().enumerate() {
            let name = format!("int{i}");
            let tun = foreign(&name, *flags, &[persist]);
            let long = 12i32;
            // SAFETY: the kernel reads an int: QEMU has offload headers of this length.
            unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETVNETHDRSZ, &raw const long) };
            drop(tun);
            let mut int = internal::open(&name, true).unwrap();
            assert!(int.found);
            link::set_up(&name, true).unwrap();
            until("carrier", || link::get(&name).unwrap().carrier);
            inject(&name, &[frame(7, 60)]);
            assert_eq!(receive(&mut *int.io, 1)[0].data(), frame(7, 60));
            let mut host = netdev::io::system::open(&name, &Default::default()).unwrap();
            transmit(&mut *int.io, &[Packet::new(&frame(8, 60))]);
            assert_eq!(receive(&mut *host, 1)[0].data(), frame(8, 60));
            assert!(refusal(&name).contains("(Device or resource busy)"));
        }
        // Not without being asked by whom it belongs to.
        drop(foreign("int9", TAP, &[persist, (libc::TUNSETOWNER, 0)]));
        assert!(internal::open("int9", true).is_ok());
    });
}

#[harness::test]
fn a_name_that_is_taken_is_refused() {
    isolated("a_name_that_is_taken_is_refused", || {
        taps();
        let refuses = |name: &str, why: &str| {
            let want = format!("could not open network device {name} ({why}");
            let said = refusal(name);
            assert!(said.starts_with(&want), "{said}");
        };
        refuses("lo", "File exists): there is a device of this name");
        refuses("tap%d", "Invalid argument)");
        refuses("all", "Invalid argument): Linux forbids");
        refuses("", "Invalid argument)");
        refuses("sixteen-letters-", "File name too long)");
        veth("v0", "v1", &Netns::current());
        refuses("v0", "File exists): there is a device of this name (veth)");
        let tun = libc::IFF_TUN | libc::IFF_NO_PI;
        drop(foreign("tun0", tun, &[(libc::TUNSETPERSIST, 1)]));
        refuses("tun0", "File exists): there is a TUN device of this name");
        // An ordinary user has no other users in its namespace.
        if std::fs::read_to_string("/proc/self/uid_map").unwrap().contains("4294967295") {
            let other = (libc::TUNSETOWNER, 12345);
            drop(foreign("int0", TAP, &[(libc::TUNSETPERSIST, 1), other]));
            refuses("int0", "Device or resource busy): it belongs to the user 12345");
        }
    });
}

#[harness::test]
fn frames_pass_both_ways() {
    isolated("frames_pass_both_ways", || {
        taps();
        let mut int = internal::open("int0", true).unwrap();
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
