//! Devices in memory.

mod common;

use common::{frame, readable, transmit};
use netdev::Packet;
use netdev::io::dummy::{self, DEPTH};

#[test]
fn frames_in_and_out() {
    let (port, mut io) = dummy::create("p0").unwrap();
    let fd = io.fd().unwrap();
    assert!(!readable(fd, 0));
    for i in 0..5 {
        assert!(port.inject(Packet::new(&frame(i, 60))));
    }
    assert!(readable(fd, 0));
    let mut got = Vec::new();
    assert_eq!(io.recv(&mut got, 3), 3);
    assert!(readable(fd, 0), "two frames still wait");
    assert_eq!(io.recv(&mut got, 3), 2);
    assert!(!readable(fd, 0));
    for (i, p) in got.iter().enumerate() {
        assert_eq!(p.data(), frame(i as u32, 60));
    }
    transmit(&mut *io, &got);
    let sent = port.take_transmitted();
    assert_eq!(sent.len(), 5);
    assert_eq!(sent[4].data(), frame(4, 60));
    assert!(port.take_transmitted().is_empty());
    let c = port.counters();
    assert_eq!((c.rx_packets, c.rx_bytes, c.tx_packets, c.tx_bytes), (5, 300, 5, 300));
}

#[test]
fn a_device_without_link_sends_nothing() {
    let (port, mut io) = dummy::create("p0").unwrap();
    let p = [Packet::new(&frame(0, 60))];
    port.set_carrier(false);
    transmit(&mut *io, &p);
    port.set_carrier(true);
    port.set_admin(false);
    transmit(&mut *io, &p);
    assert!(!port.inject(Packet::new(&frame(0, 60))));
    assert!(port.carrier() && !port.admin_up());
    port.set_admin(true);
    transmit(&mut *io, &p);
    assert_eq!(port.take_transmitted().len(), 1);
    assert_eq!(io.counters().tx_dropped, 2);
}

#[test]
fn queues_are_bounded() {
    let (port, mut io) = dummy::create("p0").unwrap();
    let taken = (0..DEPTH as u32 + 9).filter(|i| port.inject(Packet::new(&frame(*i, 18)))).count();
    assert_eq!(taken, DEPTH);
    assert_eq!(io.counters().rx_dropped, 9);
    for i in 0..DEPTH as u32 + 9 {
        transmit(&mut *io, &[Packet::new(&frame(i, 18))]);
    }
    let sent = port.take_transmitted();
    assert_eq!((sent.len(), sent[0].data()), (DEPTH, &frame(9, 18)[..]));
}
