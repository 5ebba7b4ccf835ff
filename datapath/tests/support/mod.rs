//! A switch with devices in memory and translation by a closure.
#![allow(dead_code, unreachable_pub, reason = "each test file uses its part")]

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::sync::{Arc, Mutex, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use datapath::{
    Action, BucketTable, Datapath, Ingress, PortNo, SlowPath, TableId, ToController, Translation,
    Upcall, Userspace, UserspaceReason,
};
use datapath_testing::{MemoryPort, memory};
use netdev::Packet;
use wire::{EthAddr, FlowKey, FlowMask, Time};

pub type Translate = dyn Fn(&FlowKey) -> Translation + Send + Sync;

/// Translation by a closure; remembers what was sent up.
pub struct Closure {
    pub translate: Box<Translate>,
    pub misses: AtomicU64,
    pub up: Mutex<Vec<(UserspaceReason, PortNo, Vec<u8>)>>,
    /// What was sent to controllers: whose it is, the packet and its key.
    pub controllers: Mutex<Vec<(u16, Vec<u8>, FlowKey)>>,
}

impl Upcall for Closure {
    fn miss(&self, _: Time, _: &Packet, key: &FlowKey) -> Translation {
        self.misses.fetch_add(1, SeqCst);
        (self.translate)(key)
    }
    fn slow_path(&self, _: Time, what: SlowPath<'_>) {
        let frame = what.packet.data().to_vec();
        self.up.lock().unwrap().push((what.reason, what.in_port, frame));
    }
    fn to_controller(&self, _: Time, what: &ToController, packet: &Packet, key: &FlowKey) {
        let frame = packet.data().to_vec();
        self.controllers.lock().unwrap().push((what.controller_id, frame, *key));
    }
}

pub struct Switch {
    dp: Option<Userspace>,
    pub upcall: Arc<Closure>,
    pub now: Arc<AtomicU64>,
    /// Port `n` is at `n - 1`.
    pub ports: Vec<MemoryPort>,
    thread: Option<JoinHandle<()>>,
}

impl std::ops::Deref for Switch {
    type Target = Userspace;
    fn deref(&self) -> &Userspace {
        self.dp.as_ref().expect("not stopped yet")
    }
}

impl Switch {
    pub fn new(
        ports: u32,
        translate: impl Fn(&FlowKey) -> Translation + Send + Sync + 'static,
    ) -> Switch {
        let upcall = Arc::new(Closure {
            translate: Box::new(translate),
            misses: AtomicU64::new(0),
            up: Mutex::default(),
            controllers: Mutex::default(),
        });
        let now = Arc::new(AtomicU64::new(1_000_000));
        let clock = {
            let now = now.clone();
            move || Time::from_nanos(now.load(SeqCst))
        };
        let (dp, worker) =
            Userspace::new(upcall.clone(), Arc::new(clock), 42).expect("descriptors");
        let thread = std::thread::spawn(|| worker.run());
        let mut s = Switch { dp: Some(dp), upcall, now, ports: Vec::new(), thread: Some(thread) };
        for n in 1..=ports {
            let (io, port) = memory().expect("an eventfd");
            assert_eq!(s.port_add(&format!("p{n}"), Box::new(io), None), Ok(PortNo(n)));
            s.ports.push(port);
        }
        s
    }

    pub fn port(&self, n: usize) -> &MemoryPort {
        &self.ports[n - 1]
    }

    /// Waits until everything received so far has been through.
    pub fn settle(&self) {
        wait("the switch to take all frames", || self.ports.iter().all(|p| p.waiting() == 0));
        // Commands are taken between rounds: when this one is, the round that took the last
        // frame has flushed.
        self.barrier();
    }

    pub fn barrier(&self) {
        let (done, answer) = mpsc::channel();
        self.run(Box::new(move || done.send(()).expect("the test waits")));
        answer.recv_timeout(Duration::from_secs(20)).expect("the packet thread runs jobs");
    }

    /// Sends a frame in at port `n` and returns once it is through.
    pub fn inject(&self, n: usize, frame: &[u8]) {
        self.port(n).push(frame);
        self.settle();
    }

    /// What port `n` sent, as bytes.
    pub fn sent(&self, n: usize) -> Vec<Vec<u8>> {
        self.port(n).sent().iter().map(|p| p.data().to_vec()).collect()
    }

    pub fn misses(&self) -> u64 {
        self.upcall.misses.load(SeqCst)
    }

    /// Ends the packet thread and waits for it.
    pub fn stop(&mut self) {
        self.dp = None;
        if let Some(t) = self.thread.take() {
            t.join().expect("the packet thread ends in order");
        }
    }
}

impl Drop for Switch {
    fn drop(&mut self) {
        self.dp = None;
        if let Some(t) = self.thread.take()
            && t.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the packet thread panicked");
        }
    }
}

/// Waits, at most 30 s.
pub fn wait(what: &str, mut until: impl FnMut() -> bool) {
    let start = Instant::now();
    while !until() {
        assert!(start.elapsed() < Duration::from_secs(30), "still waiting for {what}");
        std::thread::sleep(Duration::from_micros(200));
    }
}

/// `install` with these actions, looking at `mask`.
pub fn translation(actions: &[Action], mask: FlowMask) -> Translation {
    Translation { actions: actions.into(), mask, install: true, notes: None }
}

/// What every flow must look at.
pub fn base() -> FlowMask {
    FlowMask { recirc_id: !0, in_port: !0, eth_type: !0, nw_frag: !0, ..FlowMask::default() }
}

/// Base and both addresses.
pub fn l2() -> FlowMask {
    FlowMask { eth_src: EthAddr([0xff; 6]), eth_dst: EthAddr([0xff; 6]), ..base() }
}

/// Everything that tells connections apart.
pub fn exact() -> FlowMask {
    FlowMask { nw_ttl: 0, tcp_flags: 0, ..FlowMask::exact() }
}

/// A UDP frame of connection `n`, with `payload` octets after the headers.
pub fn udp(n: u32, payload: usize) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let len = 28 + payload;
    f.extend([0x45, 0, (len >> 8) as u8, len as u8, 0, 0, 0, 0, 64, 17, 0, 0]);
    f.extend((0x0a00_0000 | (n >> 14)).to_be_bytes());
    f.extend([10, 255, 0, 2]);
    f.extend((1024 + (n & 0x3fff) as u16).to_be_bytes());
    f.extend([0, 9, ((8 + payload) >> 8) as u8, (8 + payload) as u8, 0, 0]);
    f.extend((0..payload).map(|i| i as u8));
    f
}

/// The frame with a VLAN tag.
pub fn tagged(frame: &[u8], tpid: u16, tci: u16) -> Vec<u8> {
    let mut f = frame[..12].to_vec();
    f.extend(tpid.to_be_bytes());
    f.extend(tci.to_be_bytes());
    f.extend(&frame[12..]);
    f
}

pub fn out(port: u32) -> Action {
    Action::Output(PortNo(port))
}

/// A table that sends every bucket to `port` and takes anything from it.
pub fn table(generation: u64, port: u32) -> Arc<BucketTable> {
    let ingress = vec![(PortNo(port), Ingress::Open)];
    Arc::new(BucketTable {
        generation,
        buckets: [Some(PortNo(port)); 256],
        ingress,
        selection: datapath::Selection::DpHash,
        sources: vec![],
    })
}

pub const TABLE: TableId = TableId(1);
