//! Packets per second of the packet path alone: devices in memory that cost next to nothing.
//!
//! ```text
//! cargo run --release -p datapath --example pps -- --flows 100000 [--exact] [--secs 2]
//! ```
//!
//! `--exact` installs one flow per connection; else all connections share one megaflow.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use datapath::{
    Action, BucketTable, Datapath, Layer, PortNo, SetHeader, SlowPath, TableId, Translation,
    Upcall, Userspace,
};
use netdev::{IoCounters, Packet, PacketIo, VnetHdr};
use rustix::time::{ClockId, clock_gettime};
use wire::{FlowKey, FlowMask, Time};

const SLOT: usize = 2048;
const SLOTS: usize = 1024;

/// Gives UDP frames of `flows` connections in turn, in the memory of a small ring.
struct Source {
    ring: Box<[[u8; SLOT]]>,
    slot: usize,
    next: u32,
    flows: u32,
    go: Arc<AtomicU64>,
    counters: IoCounters,
}

impl Source {
    fn new(flows: u32, go: Arc<AtomicU64>) -> Source {
        let mut f = [0u8; SLOT];
        f[..12].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]);
        f[12..14].copy_from_slice(&[8, 0]);
        f[14..34]
            .copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2]);
        f[38..40].copy_from_slice(&[0, 26]);
        let ring = vec![f; SLOTS].into_boxed_slice();
        Source { ring, slot: 0, next: 0, flows, go, counters: IoCounters::default() }
    }
}

impl PacketIo for Source {
    fn fd(&self) -> Option<i32> {
        None
    }
    fn recv(&mut self, out: &mut Vec<Packet>, max: usize) -> usize {
        if self.go.load(Relaxed) == 0 {
            return 0;
        }
        for _ in 0..max {
            let f = &mut self.ring[self.slot];
            self.slot = (self.slot + 1) % SLOTS;
            // A stride that is prime to most numbers: neighbours in time are not in memory.
            self.next = (self.next + 7919) % self.flows;
            f[26..30].copy_from_slice(&(0x0a00_0000 | (self.next >> 8)).to_be_bytes());
            f[34..36].copy_from_slice(&(1024 + (self.next & 255) as u16).to_be_bytes());
            // An action may have changed it.
            f[22] = 64;
            let buf = NonNull::from(f.as_mut_slice()).cast();
            // SAFETY: the slot is this device's; it is written again only after 1,024 others,
            // and `ROUND` bounds what is in flight to that.
            out.push(unsafe { Packet::from_device(buf, SLOT as u32, 0, 60, VnetHdr::default()) });
        }
        self.counters.rx_packets += max as u64;
        max
    }
    unsafe fn release(&mut self) {}
    unsafe fn send(&mut self, _: &Packet) {}
    fn flush(&mut self) {}
    fn counters(&self) -> IoCounters {
        self.counters
    }
}

/// Counts what it is given.
#[derive(Default)]
struct Sink(IoCounters);

impl PacketIo for Sink {
    fn fd(&self) -> Option<i32> {
        None
    }
    fn recv(&mut self, _: &mut Vec<Packet>, _: usize) -> usize {
        0
    }
    unsafe fn release(&mut self) {}
    unsafe fn send(&mut self, p: &Packet) {
        self.0.tx_packets += 1;
        self.0.tx_bytes += p.len() as u64;
    }
    fn flush(&mut self) {}
    fn counters(&self) -> IoCounters {
        self.0
    }
}

struct Fixed {
    first: Mutex<Arc<[Action]>>,
    exact: bool,
}

impl Upcall for Fixed {
    fn miss(&self, _: Time, _: &Packet, key: &FlowKey) -> Translation {
        let mut mask = FlowMask { recirc_id: !0, in_port: !0, eth_type: !0, ..Default::default() };
        mask.eth_dst = wire::EthAddr([0xff; 6]);
        mask.eth_src = wire::EthAddr([0xff; 6]);
        mask.nw_frag = 0xff;
        if self.exact {
            mask = FlowMask { nw_ttl: 0, tcp_flags: 0, ..FlowMask::exact() };
        }
        let mut actions = self.first.lock().unwrap().clone();
        if key.recirc_id != 0 {
            mask.dp_hash = 0xff;
            let bucket = key.dp_hash as u8;
            actions = [Action::OutputBucket { table: TableId(1), bucket }].into();
        }
        Translation { actions, mask, install: true, notes: None }
    }
    fn slow_path(&self, _: Time, _: SlowPath<'_>) {}
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let value = |name: &str| {
        let at = args.iter().position(|a| a == name)?;
        args.get(at + 1)?.parse::<u32>().ok()
    };
    let flows: Vec<u32> = value("--flows").map_or(vec![1, 1_000, 100_000], |f| vec![f.max(1)]);
    let secs = Duration::from_secs(u64::from(value("--secs").unwrap_or(1)));
    let exact_too = [args.iter().any(|a| a == "--exact")];
    let exact: &[bool] = if args.len() == 1 { &[false, true] } else { &exact_too };
    let table = TableId(1);
    let ttl = SetHeader {
        layer: Layer::Ipv4,
        value: FlowKey { nw_ttl: 63, ..FlowKey::default() },
        mask: FlowMask { nw_ttl: !0, ..FlowMask::default() },
    };
    let cases: [(&str, Vec<Action>); 5] = [
        ("output", vec![Action::Output(PortNo(2))]),
        ("bucket", vec![Action::OutputBucket { table, bucket: 7 }]),
        ("hash,recirc", vec![Action::HashL4 { basis: 0 }, Action::Recirc(1)]),
        ("set,output", vec![Action::Set(Box::new(ttl)), Action::Output(PortNo(2))]),
        ("lb_output", vec![Action::LbOutput { table, id: 1 }]),
    ];
    for &exact in exact {
        for &flows in &flows {
            for (name, actions) in &cases {
                let Rate { pps, cpu_ns, installed } = measure(flows, exact, actions, secs);
                let kind = if exact { "exact" } else { "megaflow" };
                println!(
                    "{kind:8} {flows:>6} connections {name:12} {:6.2} Mpps {cpu_ns:6.1} CPU ns/packet ({installed} flows)",
                    pps / 1e6
                );
            }
        }
    }
}

fn measure(flows: u32, exact: bool, actions: &[Action], time: Duration) -> Rate {
    let start = Instant::now();
    let clock = move || Time::from_nanos(start.elapsed().as_nanos() as u64);
    let upcall = Fixed { first: Mutex::new(actions.to_vec().into()), exact };
    let (dp, worker) = Userspace::new(Arc::new(upcall), Arc::new(clock), 1).expect("epoll");
    dp.set_flow_limit(1_000_000);
    let buckets = [Some(PortNo(2)); 256];
    dp.table_publish(
        TableId(1),
        Arc::new(BucketTable {
            generation: 1,
            buckets,
            ingress: vec![],
            selection: datapath::Selection::DpHash,
            sources: vec![],
        }),
    );
    let thread = std::thread::spawn(|| worker.run());
    let go = Arc::new(AtomicU64::new(1));
    let source = Box::new(Source::new(flows, go.clone()));
    dp.port_add("sink", Box::<Sink>::default(), Some(PortNo(2))).expect("port 2 is free");
    dp.port_add("source", source, Some(PortNo(1))).expect("port 1 is free");
    let packets = || dp.port_counters(PortNo(2)).map_or(0, |c| c.tx_packets);
    // Until no more flows are made.
    let mut missed = u64::MAX;
    while std::mem::replace(&mut missed, dp.stats().missed) != dp.stats().missed || missed == 0 {
        std::thread::sleep(Duration::from_millis(100));
    }
    let (before, t, cpu) = (packets(), Instant::now(), cpu_time(&dp));
    std::thread::sleep(time);
    let (after, took, cpu) = (packets(), t.elapsed(), cpu_time(&dp) - cpu);
    let installed = dp.stats().flows;
    go.store(0, Relaxed);
    drop(dp);
    thread.join().expect("the packet thread");
    let n = (after - before) as f64;
    Rate { pps: n / took.as_secs_f64(), cpu_ns: cpu.as_nanos() as f64 / n, installed }
}

struct Rate {
    pps: f64,
    /// CPU time of the packet thread; on a busy machine this tells more than `pps`.
    cpu_ns: f64,
    installed: u64,
}

/// CPU time that the packet thread has used.
fn cpu_time(dp: &Userspace) -> Duration {
    let (tell, told) = mpsc::channel();
    dp.run(Box::new(move || {
        let t = clock_gettime(ClockId::ThreadCPUTime);
        let t = Duration::new(t.tv_sec.unsigned_abs(), t.tv_nsec.unsigned_abs() as u32);
        tell.send(t).expect("main waits");
    }));
    told.recv().expect("the packet thread runs jobs")
}
