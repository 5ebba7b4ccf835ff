//! System devices over veth pairs, in both ways of receiving.

harness::main!();

mod common;

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use common::*;
use netdev::io::system::{self, RxMode, SystemOptions};
use netdev::{Packet, PacketIo, VnetHdr};

fn open(name: &str, rx: RxMode) -> Box<dyn PacketIo> {
    system::open(name, &SystemOptions { rx, ..SystemOptions::default() }).unwrap()
}

/// The body once for every way of receiving.
fn both(body: fn(RxMode)) -> impl FnOnce() + Send + 'static {
    move || {
        body(RxMode::Ring);
        body(RxMode::Batch);
    }
}

#[harness::test]
fn frames_arrive_whole_and_in_order() {
    isolated(
        "frames_arrive_whole_and_in_order",
        both(|rx| {
            let far = Netns::new();
            veth("near", "far", &far);
            let mut io = open("near", rx);
            // More than the ring has slots, in portions that fit.
            for round in 0..5 {
                let sent: Vec<_> = (0..300u32)
                    .map(|i| frame(round * 300 + i, 60 + (i as usize * 7) % 1440))
                    .collect();
                let copy = sent.clone();
                far.run(move || inject("far", &copy));
                let got = receive(&mut *io, sent.len());
                for (g, s) in got.iter().zip(&sent) {
                    assert_eq!(g.data(), s);
                    assert_eq!(g.vnet.flags & VnetHdr::NEEDS_CSUM, 0);
                }
            }
            let c = io.counters();
            assert!(c.rx_packets >= 1500);
            assert_eq!(c.rx_dropped, 0);
            drop(io);
            delete("near");
        }),
    );
}

#[harness::test]
fn long_frames_are_fetched_whole() {
    isolated(
        "long_frames_are_fetched_whole",
        both(|rx| {
            let far = Netns::new();
            veth("near", "far", &far);
            netdev::link::set_mtu("near", 9000).unwrap();
            far.run(|| netdev::link::set_mtu("far", 9000).unwrap());
            let mut io = open("near", rx);
            // Lengths about the end of a slot, jumbo frames, and more than one arena holds.
            let sent: Vec<_> = (0..120u32)
                .map(|i| frame(i, [1900 + i as usize, 9014, 64][i as usize % 3]))
                .collect();
            let copy = sent.clone();
            far.run(move || inject("far", &copy));
            until("frames", || readable(io.fd().unwrap(), 0));
            let got = receive(&mut *io, sent.len());
            for (g, s) in got.iter().zip(&sent) {
                assert_eq!(g.data(), s);
            }
            drop(io);
            delete("near");
        }),
    );
}

#[harness::test]
fn received_frames_keep_their_vlan_tags() {
    isolated(
        "received_frames_keep_their_vlan_tags",
        both(|rx| {
            let far = Netns::new();
            veth("near", "far", &far);
            let mut io = open("near", rx);
            let plain = frame(7, 100);
            let long = frame(9, 1500);
            let sent = vec![
                tagged(&plain, 0x8100, 0x2005),
                tagged(&plain, 0x88a8, 0x0fff),
                tagged(&tagged(&plain, 0x8100, 5), 0x88a8, 6),
                tagged(&plain, 0x8100, 0xe000),
                tagged(&long, 0x8100, 42),
                plain,
            ];
            let copy = sent.clone();
            far.run(move || inject("far", &copy));
            let got = receive(&mut *io, sent.len());
            for (g, s) in got.iter().zip(&sent) {
                assert_eq!(g.data(), s);
            }
            // And out again, as they came.
            let mut far_io = far.run(|| open("far", RxMode::Ring));
            transmit(&mut *io, &got);
            for (g, s) in receive(&mut *far_io, sent.len()).iter().zip(&sent) {
                assert_eq!(g.data(), s);
            }
            assert!(io.counters().tx_packets >= sent.len() as u64);
            drop(io);
            delete("near");
        }),
    );
}

#[harness::test]
fn own_transmissions_do_not_come_back() {
    isolated(
        "own_transmissions_do_not_come_back",
        both(|rx| {
            let far = Netns::new();
            veth("near", "far", &far);
            let mut io = open("near", rx);
            inject("near", &[frame(1, 60)]);
            transmit(&mut *io, &[Packet::new(&frame(2, 60))]);
            far.run(|| inject("far", &[frame(3, 60)]));
            let got = receive(&mut *io, 1);
            assert_eq!(got[0].data(), frame(3, 60));
            drop(io);
            delete("near");
        }),
    );
}

#[harness::test]
fn a_capture_on_the_device_sees_what_is_sent() {
    isolated(
        "a_capture_on_the_device_sees_what_is_sent",
        both(|rx| {
            let far = Netns::new();
            veth("near", "far", &far);
            let capture = Capture::new("near");
            let mut io = open("near", rx);
            transmit(&mut *io, &[Packet::new(&frame(2, 60)), Packet::new(&frame(3, 1500))]);
            assert_eq!(capture.next(), frame(2, 60));
            assert_eq!(capture.next(), frame(3, 1500));
            drop(io);
            // What the option is for: past the captures.
            let past = SystemOptions { rx, qdisc_bypass: true };
            let mut io = system::open("near", &past).unwrap();
            transmit(&mut *io, &[Packet::new(&frame(4, 60))]);
            drop(io);
            inject("near", &[frame(5, 60)]);
            assert_eq!(capture.next(), frame(5, 60));
            delete("near");
        }),
    );
}

/// A queueing discipline drops some frames of a batch: those alone are lost and counted.
#[harness::test]
fn frames_that_a_qdisc_drops_take_no_others_with_them() {
    isolated("frames_that_a_qdisc_drops_take_no_others_with_them", || {
        let far = Netns::new();
        veth("near", "far", &far);
        // It drops what is longer than its burst.
        tc("qdisc add dev near root tbf rate 1gbit burst 1000 limit 100000");
        let mut io = open("near", RxMode::Ring);
        let mut there = far.run(|| open("far", RxMode::Ring));
        let frames: Vec<_> = (0..50u32)
            .map(|i| Packet::new(&frame(i, if (10..30).contains(&i) { 1400 } else { 60 })))
            .collect();
        transmit(&mut *io, &frames);
        let good: Vec<_> = frames.iter().filter(|p| p.len() == 60).collect();
        let got = receive(&mut *there, good.len());
        assert!(got.iter().zip(&good).all(|(g, s)| g.data() == s.data()));
        let c = io.counters();
        assert_eq!((c.tx_packets, c.tx_dropped), (30, 20));
    });
}

#[harness::test]
fn a_full_ring_is_counted() {
    isolated("a_full_ring_is_counted", || {
        let far = Netns::new();
        veth("near", "far", &far);
        let mut io = open("near", RxMode::Ring);
        far.run(|| inject("far", &(0..1500).map(|i| frame(i, 60)).collect::<Vec<_>>()));
        until("losses", || io.counters().rx_dropped >= 400);
        // What the ring holds is still given out, in order.
        let got = receive(&mut *io, 900);
        for (i, p) in got.iter().enumerate() {
            assert_eq!(p.data(), frame(i as u32, 60));
        }
        let lost = io.counters().rx_dropped;
        assert!((400..=600).contains(&lost), "{lost}");
    });
}

#[harness::test]
fn frames_stay_until_release() {
    isolated(
        "frames_stay_until_release",
        both(|rx| {
            let far = Netns::new();
            veth("near", "far", &far);
            let mut io = open("near", rx);
            far.run(|| inject("far", &(0..20).map(|i| frame(i, 60)).collect::<Vec<_>>()));
            let mut held = Vec::new();
            until("frames", || {
                io.recv(&mut held, 4);
                held.iter().filter(|p| is_test_frame(p.data())).count() >= 20
            });
            // A flood cannot overwrite what has not been released.
            far.run(|| inject("far", &(100..3000).map(|i| frame(i, 60)).collect::<Vec<_>>()));
            let ours: Vec<_> = held.iter().filter(|p| is_test_frame(p.data())).collect();
            for (i, p) in ours.iter().take(20).enumerate() {
                assert_eq!(p.data(), frame(i as u32, 60));
            }
            held.clear();
            // SAFETY: nothing is held any more.
            unsafe { io.release() };
            drop(io);
            delete("near");
        }),
    );
}

#[harness::test]
fn frames_stay_when_their_device_is_dropped() {
    isolated(
        "frames_stay_when_their_device_is_dropped",
        both(|rx| {
            let far = Netns::new();
            veth("near", "far", &far);
            netdev::link::set_mtu("near", 9000).unwrap();
            far.run(|| netdev::link::set_mtu("far", 9000).unwrap());
            // The longer ones do not fit into a slot of the ring.
            let sent: Vec<_> = (0..16).map(|i| frame(i, [60, 9000][i as usize % 2])).collect();
            let copy = sent.clone();
            let mut io = open("near", rx);
            far.run(move || inject("far", &copy));
            let mut held = Vec::new();
            until("frames", || {
                io.recv(&mut held, 4);
                held.iter().filter(|p| is_test_frame(p.data())).count() >= 16
            });
            drop(io);
            // Another device of the thread gets memory of its own.
            let mut io = open("near", rx);
            far.run(|| inject("far", &(100..164).map(|i| frame(i, 9000)).collect::<Vec<_>>()));
            assert_eq!(receive(&mut *io, 64).len(), 64);
            for (p, s) in held.iter_mut().filter(|p| is_test_frame(p.data())).zip(&sent) {
                assert_eq!(p.data(), s);
                p.data_mut().fill(0);
            }
            drop(io);
            delete("near");
        }),
    );
}

#[harness::test]
fn a_device_may_go_down_and_away() {
    isolated(
        "a_device_may_go_down_and_away",
        both(|rx| {
            let far = Netns::new();
            veth("near", "far", &far);
            let mut io = open("near", rx);
            let fd = io.fd().unwrap();
            let mut none = Vec::new();
            let mut settle = |io: &mut Box<dyn PacketIo>| {
                // A thread that waits for the descriptor must not wake for ever.
                until("the descriptor to be quiet", || {
                    for _ in 0..256 {
                        io.recv(&mut none, 32);
                        none.clear();
                        // SAFETY: nothing is held.
                        unsafe { io.release() };
                    }
                    !readable(fd, 0)
                });
            };
            netdev::link::set_up("near", false).unwrap();
            settle(&mut io);
            let refused = io.counters().tx_dropped;
            transmit(&mut *io, &(0..10).map(|i| Packet::new(&frame(i, 60))).collect::<Vec<_>>());
            assert_eq!(io.counters().tx_dropped, refused + 10);
            assert!(!io.is_gone());

            netdev::link::set_up("near", true).unwrap();
            until("carrier", || netdev::link::get("near").unwrap().carrier);
            far.run(|| inject("far", &[frame(5, 60)]));
            assert_eq!(receive(&mut *io, 1)[0].data(), frame(5, 60));
            transmit(&mut *io, &[Packet::new(&frame(6, 60))]);
            assert_eq!(io.counters().tx_dropped, refused + 10);

            delete("near");
            settle(&mut io);
            until("the end to be noticed", || {
                for _ in 0..256 {
                    io.recv(&mut Vec::new(), 32);
                }
                io.is_gone()
            });
            transmit(&mut *io, &[Packet::new(&frame(6, 60))]);
            assert_eq!(io.counters().tx_dropped, refused + 11);
        }),
    );
}

#[harness::test]
fn open_error_names_the_device_and_the_reason() {
    isolated("open_error_names_the_device_and_the_reason", || {
        let says = |name: &str| match system::open(name, &SystemOptions::default()) {
            Ok(_) => panic!("{name} was opened"),
            Err(e) => e.to_string(),
        };
        assert_eq!(says("nosuch"), "could not open network device nosuch (No such device)");
        assert_eq!(
            says("a-name-too-long-for-linux"),
            "could not open network device a-name-too-long-for-linux (File name too long)"
        );
        assert_eq!(says(""), "could not open network device  (Invalid argument)");
    });
}

#[harness::test]
fn too_long_frames_are_refused_and_the_rest_goes() {
    isolated("too_long_frames_are_refused_and_the_rest_goes", || {
        let far = Netns::new();
        veth("near", "far", &far);
        let mut io = open("near", RxMode::Ring);
        let mut there = far.run(|| open("far", RxMode::Ring));
        let frames: Vec<_> = (0..100u32)
            .map(|i| Packet::new(&frame(i, if i % 3 == 0 { 4000 } else { 60 })))
            .collect();
        transmit(&mut *io, &frames);
        let good: Vec<_> = frames.iter().filter(|p| p.len() == 60).collect();
        let got = receive(&mut *there, good.len());
        assert!(got.iter().zip(&good).all(|(g, s)| g.data() == s.data()));
        assert_eq!(io.counters().tx_dropped, 34);
        assert_eq!(io.counters().tx_packets, 66);
    });
}

/// What a forwarder has seen.
#[derive(Default)]
struct Seen {
    trains: AtomicU64,
    unfinished: AtomicU64,
    stop: AtomicBool,
}

/// Forwards between two devices in a thread of its own; `change` works on every frame, with the
/// index of the device that it came from.
fn forwarder(
    mut dev: [Box<dyn PacketIo>; 2],
    change: fn(usize, &mut Packet),
) -> (Arc<Seen>, JoinHandle<[Box<dyn PacketIo>; 2]>) {
    let seen = Arc::new(Seen::default());
    let s = seen.clone();
    let thread = std::thread::spawn(move || {
        let mut packets = Vec::new();
        let end = Instant::now() + Duration::from_secs(60);
        while !s.stop.load(Ordering::Relaxed) && Instant::now() < end {
            let mut idle = true;
            for i in [0, 1] {
                let [a, b] = &mut dev;
                let (from, to) = if i == 0 { (a, b) } else { (b, a) };
                if from.recv(&mut packets, 32) == 0 {
                    continue;
                }
                idle = false;
                for p in &mut packets {
                    change(i, p);
                    s.trains.fetch_add(u64::from(p.vnet.gso_type != 0), Ordering::Relaxed);
                    let unfinished = p.vnet.flags & VnetHdr::NEEDS_CSUM != 0;
                    s.unfinished.fetch_add(u64::from(unfinished), Ordering::Relaxed);
                    // SAFETY: flushed below, before the packets go.
                    unsafe { to.send(p) };
                }
                to.flush();
                packets.clear();
                // SAFETY: the packets are gone and the other device is flushed.
                unsafe { from.release() };
            }
            if idle {
                std::thread::sleep(Duration::from_micros(200));
            }
        }
        dev
    });
    (seen, thread)
}

/// Sends 8 MiB both ways at once over TCP and checks every octet.
fn tcp_both_ways(a: &Netns, b: &Netns, address_of_b: [u8; 4]) {
    const LEN: usize = 8 << 20;
    fn octet(i: usize) -> u8 {
        (i * 131 + i / 65_521) as u8
    }
    fn exchange(s: TcpStream) {
        s.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        s.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut out = s.try_clone().unwrap();
        let writer = std::thread::spawn(move || {
            out.write_all(&(0..LEN).map(octet).collect::<Vec<_>>()).unwrap();
        });
        let mut s = s;
        let mut got = vec![0; LEN];
        s.read_exact(&mut got).unwrap();
        assert!(got.iter().enumerate().all(|(i, c)| *c == octet(i)), "octets were changed");
        writer.join().unwrap();
    }
    let listener =
        b.run(move || TcpListener::bind((std::net::Ipv4Addr::from(address_of_b), 0)).unwrap());
    let to = listener.local_addr().unwrap();
    let server = b.spawn(move || exchange(listener.accept().unwrap().0));
    let client = a
        .spawn(move || exchange(TcpStream::connect_timeout(&to, Duration::from_secs(10)).unwrap()));
    client.join().unwrap();
    server.join().unwrap();
}

fn nothing(_: usize, _: &mut Packet) {}

#[harness::test]
fn tcp_with_offloads_passes_between_veths() {
    isolated(
        "tcp_with_offloads_passes_between_veths",
        both(|rx| {
            let (a, b) = (Netns::new(), Netns::new());
            veth("pa", "a0", &a);
            veth("pb", "b0", &b);
            a.run(|| set_address("a0", [10, 9, 0, 1]));
            b.run(|| set_address("b0", [10, 9, 0, 2]));
            let (seen, thread) = forwarder([open("pa", rx), open("pb", rx)], nothing);
            tcp_both_ways(&a, &b, [10, 9, 0, 2]);
            seen.stop.store(true, Ordering::Relaxed);
            let dev = thread.join().unwrap();
            // Else the test has shown nothing about offloads.
            assert!(seen.trains.load(Ordering::Relaxed) > 10);
            assert!(seen.unfinished.load(Ordering::Relaxed) > 100);
            // No frame was refused, so none had to be sent again for our sake.
            assert_eq!(dev.each_ref().map(|d| d.counters().tx_dropped), [0, 0]);
            drop(dev);
            delete("pa");
            delete("pb");
        }),
    );
}

#[harness::test]
fn tcp_with_offloads_passes_a_tagged_trunk() {
    isolated(
        "tcp_with_offloads_passes_a_tagged_trunk",
        both(|rx| {
            let (a, b, here) = (Netns::new(), Netns::new(), Netns::current());
            veth("pa", "a0", &a);
            veth("pb", "b0", &b);
            veth("t0", "t1", &here);
            a.run(|| set_address("a0", [10, 9, 0, 1]));
            b.run(|| set_address("b0", [10, 9, 0, 2]));
            // Access port 0, trunk port 1. What the trunk's ends say for themselves is not tagged.
            let access: fn(usize, &mut Packet) = |from, p| match (from, &p.data()[12..16]) {
                (0, _) => p.push_vlan(0x8100, 100),
                (_, [0x81, 0, 0, 100]) => p.pop_vlan(),
                _ => {}
            };
            let (s0, f0) = forwarder([open("pa", rx), open("t0", rx)], access);
            let (s1, f1) = forwarder([open("pb", rx), open("t1", rx)], access);
            tcp_both_ways(&a, &b, [10, 9, 0, 2]);
            for s in [&s0, &s1] {
                s.stop.store(true, Ordering::Relaxed);
                assert!(s.trains.load(Ordering::Relaxed) > 10);
            }
            for f in [f0, f1] {
                let dev = f.join().unwrap();
                assert_eq!(dev.each_ref().map(|d| d.counters().tx_dropped), [0, 0]);
            }
            for n in ["pa", "pb", "t0"] {
                delete(n);
            }
        }),
    );
}

#[harness::test]
fn tcp_with_offloads_passes_between_tap_and_veth() {
    isolated(
        "tcp_with_offloads_passes_between_tap_and_veth",
        both(|rx| {
            taps();
            let (a, b) = (Netns::new(), Netns::new());
            let tap = netdev::io::internal::open("int0", true).unwrap();
            // A tap keeps working in the namespace of a virtual machine.
            move_to("int0", &a);
            a.run(|| {
                netdev::link::set_up("int0", true).unwrap();
                set_address("int0", [10, 9, 0, 1]);
            });
            veth("pb", "b0", &b);
            b.run(|| set_address("b0", [10, 9, 0, 2]));
            let netdev::io::internal::Internal { io, tap, .. } = tap;
            let (seen, thread) = forwarder([io, open("pb", rx)], nothing);
            tcp_both_ways(&a, &b, [10, 9, 0, 2]);
            seen.stop.store(true, Ordering::Relaxed);
            let dev = thread.join().unwrap();
            assert!(seen.trains.load(Ordering::Relaxed) > 10);
            assert_eq!(dev.each_ref().map(|d| d.counters().tx_dropped), [0, 0]);
            assert!(tap.exists(), "moved, not gone");
            drop((dev, tap));
            a.run(|| assert!(netdev::link::get("int0").is_err(), "the tap outlived the switch"));
            delete("pb");
        }),
    );
}
