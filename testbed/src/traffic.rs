//! A counted stream both ways between a machine on the bridge and a host beyond the bond.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wire::EthAddr;

use super::PacketSocket;
use super::fabric::Fabric;
use super::frame::{self, Udp};
use super::packet::{self, BUFFER};
use super::stream::{self, Ledger, MARK, Mark};

/// Stream numbers in the packets' marks.
const UP: u8 = 0;
const DOWN: u8 = 1;
/// Octets after the UDP header: at some thousand packets a second enough bytes for upstream's
/// rebalancing to care.
pub const PAYLOAD: usize = 200;

/// The host beyond the bond.
pub const HOST_MAC: EthAddr = EthAddr([0x02, 0, 0, 0, 0xfa, 0x01]);
/// The host's address.
pub const HOST_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);

/// A conversation of the machine with the host: `mac` is the last octet of the machine's addresses.
pub fn talk(mac: u8, port: u16) -> Udp {
    Udp {
        src_mac: EthAddr([0x02, 0, 0, 0, 0x55, mac]),
        dst_mac: HOST_MAC,
        vlan: None,
        src_ip: Ipv4Addr::new(10, 0, 0, mac),
        dst_ip: HOST_IP,
        src_port: port,
        dst_port: 5000,
    }
}

/// The running stream; dropping it ends it.
pub struct Traffic {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    /// From the machine to the host; an arrival's link is the fabric's port.
    pub up: Arc<Ledger>,
    /// From the host to the machine. All its arrivals are on link 0: the machine has one.
    pub down: Arc<Ledger>,
}

impl Traffic {
    /// Starts `rate` packets per second each way, in turn for each of `talks`, which are as the
    /// machine sends them. Times in the ledgers count from `start`. Runs the fabric too.
    pub fn start(
        fabric: &Arc<Fabric>,
        machine: PacketSocket,
        talks: Vec<Udp>,
        rate: u32,
        start: Instant,
    ) -> Traffic {
        let mut t = Traffic {
            stop: Arc::default(),
            threads: Vec::new(),
            up: Arc::new(Ledger::new(start)),
            down: Arc::new(Ledger::new(start)),
        };
        let machine = Arc::new(machine);

        let (f, ledger) = (fabric.clone(), t.up.clone());
        t.thread("fabric", move |stop| {
            f.run(stop, |link, frame| {
                if let Some((Mark { stream: UP, sequence }, _)) = Mark::of(frame) {
                    ledger.arrived(sequence, link as u8);
                }
            });
        });

        let (ledger, socket) = (t.down.clone(), machine.clone());
        t.thread("machine receives", move |stop| {
            let mut buf = vec![0; BUFFER];
            while !stop.load(Ordering::Relaxed) {
                packet::wait(&[&socket], Duration::from_millis(20));
                while let Ok(Some(f)) = socket.recv(&mut buf) {
                    if let Some((Mark { stream: DOWN, sequence }, _)) = Mark::of(f) {
                        ledger.arrived(sequence, 0);
                    }
                }
            }
        });

        let (ledger, f) = (t.down.clone(), fabric.clone());
        let down: Vec<Udp> = talks.iter().map(Udp::reversed).collect();
        t.thread("host sends", move |stop| {
            send(stop, rate, DOWN, &ledger, &down, |frame| {
                f.send(frame);
            });
        });

        let ledger = t.up.clone();
        t.thread("machine sends", move |stop| {
            for t in &talks {
                let _ = machine.send(&frame::gratuitous_arp(t.src_mac, t.src_ip, t.vlan));
            }
            send(stop, rate, UP, &ledger, &talks, |frame| {
                let _ = machine.send(frame);
            });
        });
        t
    }

    fn thread(&mut self, name: &str, body: impl FnOnce(&AtomicBool) + Send + 'static) {
        let stop = self.stop.clone();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || body(&stop));
        self.threads.push(thread.expect("the system has room for a thread"));
    }

    /// The time now, as the ledgers count it.
    pub fn now(&self) -> Duration {
        self.up.now()
    }
}

fn send(
    stop: &AtomicBool,
    rate: u32,
    stream: u8,
    ledger: &Ledger,
    talks: &[Udp],
    mut out: impl FnMut(&[u8]),
) {
    let mut payload = [0; PAYLOAD];
    stream::pace(rate, stop, || {
        let sequence = ledger.sent();
        payload[..MARK].copy_from_slice(&Mark { stream, sequence }.emit());
        out(&talks[sequence as usize % talks.len()].frame(&payload));
    });
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for t in self.threads.drain(..) {
            let _ = t.join();
        }
    }
}
