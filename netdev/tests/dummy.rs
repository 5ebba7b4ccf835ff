//! Devices in memory.

mod common;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant};

use common::{frame, readable, transmit};
use netdev::io::dummy::{self, Connection, DEPTH, DummyOptions, StreamEndpoint};
use netdev::{Packet, PacketIo};

#[test]
fn dummy_passes_injected_and_transmitted_frames() {
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
fn a_device_without_carrier_sends_nothing() {
    let (port, mut io) = dummy::create("p0").unwrap();
    let p = [Packet::new(&frame(0, 60))];
    port.set_carrier(false);
    transmit(&mut *io, &p);
    port.set_carrier(true);
    transmit(&mut *io, &p);
    assert_eq!(port.take_transmitted().len(), 1);
    assert_eq!(io.counters().tx_dropped, 1);
}

/// As in Open vSwitch: a dummy that is down only says so.
#[test]
fn dummy_reports_changes_of_its_state() {
    let (port, mut io) = dummy::create("p0").unwrap();
    let told = Arc::new(AtomicU32::new(0));
    let t = told.clone();
    port.on_change(Arc::new(move || {
        t.fetch_add(1, Relaxed);
    }));
    port.set_admin(true);
    assert_eq!(told.load(Relaxed), 0, "nothing has changed");
    port.set_admin(false);
    port.set_carrier(false);
    port.set_carrier(true);
    assert_eq!(told.load(Relaxed), 3);
    assert!(port.carrier() && !port.admin_up());
    assert!(port.inject(Packet::new(&frame(0, 60))));
    transmit(&mut *io, &[Packet::new(&frame(0, 60))]);
    assert_eq!(port.take_transmitted().len(), 1);
}

#[test]
fn dummy_drops_frames_above_its_mtu() {
    let (port, mut io) = dummy::create("p0").unwrap();
    port.configure(&DummyOptions { mtu: Some(100), ..DummyOptions::default() }).unwrap();
    let mut tagged = frame(1, 118);
    tagged[12..14].copy_from_slice(&[0x81, 0]);
    let frames = [frame(0, 114), frame(0, 115), tagged.clone(), [&tagged[..], &[0]].concat()];
    transmit(&mut *io, &frames.map(|f| Packet::new(&f)));
    let sent: Vec<usize> = port.take_transmitted().iter().map(Packet::len).collect();
    assert_eq!(sent, [114, 118]);
}

/// Receives until `n` frames are there.
fn receive(io: &mut dyn PacketIo, n: usize) -> Vec<Vec<u8>> {
    let mut got = Vec::new();
    let end = Instant::now() + Duration::from_secs(5);
    while got.len() < n && Instant::now() < end {
        readable(io.fd().unwrap(), 20);
        io.recv(&mut got, 64);
    }
    got.iter().map(|p| p.data().to_vec()).collect()
}

fn with_endpoint(endpoint: StreamEndpoint) -> DummyOptions {
    DummyOptions { endpoint: Some(endpoint), ..DummyOptions::default() }
}

#[test]
fn dummies_exchange_frames_by_a_unix_socket() {
    let dir = tempdir();
    let path = dir.join("cable");
    let (a, mut a_io) = dummy::create("a").unwrap();
    let (b, mut b_io) = dummy::create("b").unwrap();
    // Nobody listens yet: it tries again.
    a.configure(&with_endpoint(StreamEndpoint::Connect(path.clone()))).unwrap();
    assert_eq!(a.connection(), Connection::Disconnected);
    b.configure(&with_endpoint(StreamEndpoint::Listen(path.clone()))).unwrap();
    assert_eq!(b.connection(), Connection::Unknown);
    let end = Instant::now() + Duration::from_secs(5);
    while a.connection() != Connection::Connected {
        assert!(Instant::now() < end, "no connection");
        receive(&mut *a_io, 0);
        readable(a_io.fd().unwrap(), 20);
        a_io.recv(&mut Vec::new(), 1);
    }
    b_io.recv(&mut Vec::new(), 1);
    let frames: Vec<Vec<u8>> = (0..40).map(|i| frame(i, 60 + 30 * i as usize)).collect();
    transmit(&mut *a_io, &frames.iter().map(|f| Packet::new(f)).collect::<Vec<_>>());
    assert_eq!(receive(&mut *b_io, 40), frames);
    transmit(&mut *b_io, &[Packet::new(&frame(7, 60))]);
    assert_eq!(receive(&mut *a_io, 1), [frame(7, 60)]);
    // Removed at the far end.
    b.configure(&DummyOptions::default()).unwrap();
    assert!(!path.exists());
    readable(a_io.fd().unwrap(), 1000);
    a_io.recv(&mut Vec::new(), 1);
    assert_eq!(a.connection(), Connection::Disconnected);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn dummy_closes_a_socket_with_a_malformed_frame() {
    let dir = tempdir();
    let path = dir.join("cable");
    let (port, mut io) = dummy::create("a").unwrap();
    port.configure(&with_endpoint(StreamEndpoint::Listen(path.clone()))).unwrap();
    let mut peer = UnixStream::connect(&path).unwrap();
    // A whole frame in two parts, then one that is too short to be one.
    let good = [&[0, 60][..], &frame(3, 60)].concat();
    peer.write_all(&good[..20]).unwrap();
    io.recv(&mut Vec::new(), 1);
    peer.write_all(&good[20..]).unwrap();
    assert_eq!(receive(&mut *io, 1), [frame(3, 60)]);
    peer.write_all(&[0, 5, 1, 2, 3, 4, 5]).unwrap();
    assert!(receive(&mut *io, 0).is_empty());
    io.recv(&mut Vec::new(), 1);
    peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    assert_eq!(peer.read(&mut [0]).unwrap(), 0, "closed");
    let text = port
        .configure(&with_endpoint(StreamEndpoint::Listen("/nonexistent/x".into())))
        .unwrap_err();
    assert_eq!((text.len(), text[0].0), (1, "stream"));
    assert_eq!(port.endpoint(), None);
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn dummy_writes_frames_to_its_pcap_files() {
    let dir = tempdir();
    let (rx, tx) = (dir.join("rx"), dir.join("tx"));
    let (port, mut io) = dummy::create("a").unwrap();
    let options = DummyOptions {
        rx_pcap: Some(rx.clone()),
        tx_pcap: Some(tx.clone()),
        ..DummyOptions::default()
    };
    for _ in 0..2 {
        port.configure(&options).unwrap();
    }
    port.inject(Packet::new(&frame(1, 60)));
    transmit(&mut *io, &[Packet::new(&frame(2, 70)), Packet::new(&frame(3, 80))]);
    let (rx, tx) = (std::fs::read(rx).unwrap(), std::fs::read(tx).unwrap());
    assert_eq!((rx.len(), tx.len()), (24 + 16 + 60, 24 + 2 * 16 + 150));
    assert_eq!(rx[..4], 0xa1b2_c3d4_u32.to_ne_bytes());
    assert_eq!(rx[40..], frame(1, 60));
    assert_eq!(tx[24 + 8..24 + 12], 70_u32.to_ne_bytes());
    assert_eq!(tx[24 + 16 + 70 + 16..], frame(3, 80));
    std::fs::remove_dir_all(dir).unwrap();
}

fn tempdir() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let n = NEXT.fetch_add(1, Relaxed);
    let dir = std::env::temp_dir().join(format!("netdev-dummy-{}-{n}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

#[test]
fn dummy_queues_drop_frames_beyond_their_depth() {
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
