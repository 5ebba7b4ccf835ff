//! The rack: namespaces, links, the switch and the two ends of the stream.
//!
//! ```text
//!   namespace vm        namespace hv                       namespace tor
//!   eth0 ────────────── vnet0 ─ br0 ─ bond0 ┬ nic0 ─────── tor0 ┬ Fabric ─ host
//!   (or the internal port vm0 of br0)       └ nic1 ─────── tor1 ┘
//! ```

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use wire::EthAddr;

use super::options::{Mode, Options, Vm};
use super::timeline::{Timeline, Who};
use crate::testbed::fabric::Fabric;
use crate::testbed::frame::{self, Udp};
use crate::testbed::packet::{self, BUFFER};
use crate::testbed::stream::{self, Ledger, MARK, Mark};
use crate::testbed::{Daemon, Error, Netns, PacketSocket, Switch};

/// How many links the bond has.
pub(super) const LINKS: usize = 2;
/// Stream numbers in the packets' marks.
const UP: u8 = 0;
const DOWN: u8 = 1;

const HOST_MAC: EthAddr = EthAddr([0x02, 0, 0, 0, 0xfa, 0x01]);
const HOST_IP: Ipv4Addr = Ipv4Addr::new(10, 0, 0, 254);
/// Octets after the UDP header: enough bytes a second for upstream's rebalancing to care.
const PAYLOAD: usize = 200;

pub(super) struct Bed {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
    pub(super) fabric: Arc<Fabric>,
    /// From the VM to the network.
    pub(super) up: Arc<Ledger>,
    /// From the network to the VM. All its arrivals are on link 0: the VM has one.
    pub(super) down: Arc<Ledger>,
    pub(super) switch: Switch,
    _vm: Arc<Netns>,
}

/// Who talks to whom: enough conversations for the mode to have something to share out.
fn conversations(mode: Mode) -> Vec<Udp> {
    let talk = |mac: u8, port: u16| Udp {
        src_mac: EthAddr([0x02, 0, 0, 0, 0x55, mac]),
        dst_mac: HOST_MAC,
        vlan: None,
        src_ip: Ipv4Addr::new(10, 0, 0, mac),
        dst_ip: HOST_IP,
        src_port: port,
        dst_port: 5000,
    };
    match mode {
        Mode::ActiveBackup => vec![talk(1, 40_000)],
        // The bucket is the hash of the source address.
        Mode::BalanceSlb => (1..=16).map(|m| talk(m, 40_000)).collect(),
        Mode::BalanceTcp => (0..64).map(|p| talk(1, 40_000 + p)).collect(),
    }
}

fn reversed(u: &Udp) -> Udp {
    Udp {
        src_mac: u.dst_mac,
        dst_mac: u.src_mac,
        vlan: u.vlan,
        src_ip: u.dst_ip,
        dst_ip: u.src_ip,
        src_port: u.dst_port,
        dst_port: u.src_port,
    }
}

impl Bed {
    /// Builds everything and starts the stream.
    pub(super) fn build(o: &Options, daemon: Daemon, line: &mut Timeline) -> Result<Bed, Error> {
        let hv = Arc::new(Netns::new()?);
        let tor = Arc::new(Netns::new()?);
        let vm = Arc::new(Netns::new()?);
        for i in 0..LINKS {
            hv.veth(&format!("nic{i}"), &tor, &format!("tor{i}"))?;
        }
        let vm_port = match o.vm {
            Vm::Veth => {
                vm.veth("eth0", &hv, "vnet0")?;
                "vnet0"
            }
            Vm::Internal => "vm0",
        };
        let lacp = o.mode == Mode::BalanceTcp;
        let fabric = Arc::new(Fabric::new(tor, LINKS, HOST_MAC, lacp)?);

        let started = Instant::now();
        let switch = Switch::start(hv, daemon, "braid-lab")?;
        let version = switch.appctl("version")?;
        line.say(
            Who::Lab,
            format!(
                "ovs-vswitchd runs ({}), {:.0} ms after its start with ovsdb-server",
                version.lines().next().unwrap_or_default().trim(),
                started.elapsed().as_secs_f64() * 1e3
            ),
        );
        switch.vsctl("add-br br0 -- set bridge br0 datapath_type=netdev")?;
        let mut add = format!("add-bond br0 bond0 nic0 nic1 -- set port bond0 bond_mode={}", o.mode);
        if let Some(primary) = o.primary() {
            add += &format!(
                " other_config:bond-primary={primary} other_config:bond-failback-delay={}",
                o.failback_delay
            );
        }
        match o.mode {
            Mode::ActiveBackup => {}
            Mode::BalanceSlb => add += " other_config:bond-rebalance-interval=1000",
            Mode::BalanceTcp => {
                add += " lacp=active other_config:lacp-time=fast \
                       other_config:bond-rebalance-interval=1000"
            }
        }
        add += &format!(" -- add-port br0 {vm_port}");
        if o.vm == Vm::Internal {
            add += &format!(" -- set interface {vm_port} type=internal");
        }
        let configured = Instant::now();
        switch.vsctl(&add)?;
        line.say(
            Who::Lab,
            format!(
                "ovs-vsctl {add}: in force after {:.0} ms",
                configured.elapsed().as_secs_f64() * 1e3
            ),
        );

        let vm_socket = match o.vm {
            Vm::Veth => PacketSocket::open(&vm, "eth0")?,
            Vm::Internal => {
                switch.namespace().rtnl().set_up(vm_port, true)?;
                PacketSocket::open(switch.namespace(), vm_port)?
            }
        };
        let start = line.start();
        let mut bed = Bed {
            stop: Arc::default(),
            threads: Vec::new(),
            fabric,
            up: Arc::new(Ledger::new(start)),
            down: Arc::new(Ledger::new(start)),
            switch,
            _vm: vm,
        };
        bed.stream(o, Arc::new(vm_socket));
        Ok(bed)
    }

    fn stream(&mut self, o: &Options, vm: Arc<PacketSocket>) {
        let talks = conversations(o.mode);
        let rate = o.rate;

        let (fabric, ledger) = (self.fabric.clone(), self.up.clone());
        self.thread("fabric", move |stop| {
            fabric.run(stop, |link, frame| {
                if let Some((Mark { stream: UP, sequence }, _)) = Mark::of(frame) {
                    ledger.arrived(sequence, link as u8);
                }
            });
        });

        let (ledger, socket) = (self.down.clone(), vm.clone());
        self.thread("vm receives", move |stop| {
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

        let (ledger, up, socket) = (self.up.clone(), talks.clone(), vm);
        self.thread("vm sends", move |stop| {
            for t in &up {
                let _ = socket.send(&frame::gratuitous_arp(t.src_mac, t.src_ip, None));
            }
            send(stop, rate, UP, &ledger, &up, |f| {
                let _ = socket.send(f);
            });
        });

        let (ledger, fabric) = (self.down.clone(), self.fabric.clone());
        let down: Vec<Udp> = talks.iter().map(reversed).collect();
        self.thread("host sends", move |stop| {
            send(stop, rate, DOWN, &ledger, &down, |f| {
                fabric.send(f);
            });
        });
    }

    fn thread(&mut self, name: &str, body: impl FnOnce(&AtomicBool) + Send + 'static) {
        let stop = self.stop.clone();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || body(&stop));
        self.threads.push(thread.expect("the system has room for a thread"));
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

impl Drop for Bed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for t in self.threads.drain(..) {
            let _ = t.join();
        }
    }
}
