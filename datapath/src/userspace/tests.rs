//! The packet path waits neither for a lock of the datapath's control side nor for its jobs. That it
//! waits for none of ofproto's either is tested there, in `ofproto/src/tests.rs`.

use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use netdev::{IoCounters, Packet, PacketIo};
use wire::{FlowKey, FlowMask, Time};

use super::Userspace;
use super::shared::COMMAND_DEPTH;
use super::tables::{TableCache, Tables};
use crate::action::Action;
use crate::port::PortNo;
use crate::table::{Bucket, BucketTable, Ingress, TableId};
use crate::upcall::{SlowPath, Translation, Upcall};
use crate::{Datapath, Execute};
use datapath_testing::memory;

struct EachItsOwn;

impl Upcall for EachItsOwn {
    fn miss(&self, _: Time, _: &Packet, key: &FlowKey) -> Translation {
        let bucket = key.eth_src.0[5];
        let actions = [Action::OutputBucket { table: TableId(1), bucket }].into();
        let mask =
            FlowMask { in_port: !0, eth_src: wire::EthAddr([0xff; 6]), ..FlowMask::default() };
        Translation { actions, mask, install: true, notes: None }
    }
    fn slow_path(&self, _: Time, _: SlowPath<'_>) {}
}

fn all_to(port: u32) -> Arc<BucketTable> {
    let buckets = [Some(PortNo(port)); Bucket::MAX as usize + 1];
    Arc::new(BucketTable {
        generation: 1,
        buckets,
        ingress: vec![],
        selection: crate::Selection::DpHash,
        sources: vec![],
    })
}

#[test]
fn packets_flow_while_every_lock_of_the_control_handle_is_held() {
    let clock = || Time::from_millis(1);
    let (dp, worker) =
        Userspace::new(Arc::new(EachItsOwn), Arc::new(clock), 1).expect("descriptors");
    let thread = std::thread::spawn(|| worker.run());
    let (io, one) = memory().expect("an eventfd");
    dp.port_add("one", Box::new(io), None).expect("room");
    let (io, two) = memory().expect("an eventfd");
    dp.port_add("two", Box::new(io), None).expect("room");
    dp.table_publish(TableId(1), all_to(2));
    let frame = |n: u8| [2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, n, 8, 0, 0, 0];
    one.push(&frame(0));

    let list = dp.shared.list.lock();
    let ports = dp.shared.ports.lock();
    let tables = dp.shared.tables.lock_changes();
    // Hits, misses, installations, a failover and the control side's own packets.
    for n in 1..=200u8 {
        one.push(&frame(n % 100));
        if n == 100 {
            dp.table_publish(TableId(1), all_to(2));
        }
        let packet = Packet::new(&frame(n));
        dp.execute(Execute {
            packet,
            in_port: PortNo(1),
            actions: vec![Action::Output(PortNo(2))],
        });
    }
    let (tell, told) = mpsc::channel();
    dp.run(Box::new(move || tell.send(()).expect("the test waits")));
    assert!(told.recv_timeout(Duration::from_secs(10)).is_ok(), "jobs run");
    let start = Instant::now();
    while two.sent_len() < 401 {
        assert!(start.elapsed() < Duration::from_secs(10), "{} of 401", two.sent_len());
        std::thread::sleep(Duration::from_millis(1));
    }
    drop((list, ports, tables));
    assert_eq!(dp.flows().len(), 100);
    drop(dp);
    thread.join().expect("the packet thread ends in order");
}

/// The packet thread is stuck in a job and the control side's queue is full: who must not wait does
/// not, and comes first afterwards.
#[test]
fn an_urgent_frame_waits_for_nobody() {
    let clock = || Time::from_millis(1);
    let (dp, worker) =
        Userspace::new(Arc::new(EachItsOwn), Arc::new(clock), 1).expect("descriptors");
    let dp = Arc::new(dp);
    let thread = std::thread::spawn(|| worker.run());
    let (io, out) = memory().expect("an eventfd");
    dp.port_add("out", Box::new(io), None).expect("room");
    let send = |n: u8| Execute {
        packet: Packet::new(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, n, 8, 0, 0, 0]),
        in_port: PortNo::NONE,
        actions: vec![Action::Output(PortNo(1))],
    };
    let (release, held) = mpsc::channel::<()>();
    let (begin, begun) = mpsc::channel();
    dp.run(Box::new(move || {
        begin.send(()).expect("the test waits");
        let _ = held.recv_timeout(Duration::from_secs(20));
    }));
    begun.recv_timeout(Duration::from_secs(10)).expect("the job runs");
    // Twice as much as there is room for: this caller waits.
    let given = Arc::new(AtomicUsize::new(0));
    let filler = {
        let (dp, given) = (dp.clone(), given.clone());
        std::thread::spawn(move || {
            for _ in 0..2 * COMMAND_DEPTH {
                dp.execute(send(1));
                given.fetch_add(1, Relaxed);
            }
        })
    };
    let start = Instant::now();
    while given.load(Relaxed) < COMMAND_DEPTH {
        assert!(start.elapsed() < Duration::from_secs(10), "the queue fills");
        std::thread::sleep(Duration::from_millis(1));
    }

    let start = Instant::now();
    let taken = (0..crate::URGENT_DEPTH + 10).filter(|_| dp.execute_urgent(send(2))).count();
    let took = start.elapsed();
    assert_eq!(taken, crate::URGENT_DEPTH);
    assert_eq!(dp.stats().urgent_dropped, 10);
    // A caller that waits for room waits for the job, which ends after 20 s.
    assert!(took < Duration::from_secs(10), "{took:?}");

    release.send(()).expect("the job waits");
    filler.join().expect("all is sent in the end");
    let all = 2 * COMMAND_DEPTH + crate::URGENT_DEPTH;
    let start = Instant::now();
    while out.sent_len() < all {
        assert!(start.elapsed() < Duration::from_secs(10), "{} of {all}", out.sent_len());
        std::thread::sleep(Duration::from_millis(1));
    }
    let sent = out.sent();
    let urgent = |p: &Packet| p.data()[11] == 2;
    assert!(sent[..crate::URGENT_DEPTH].iter().all(urgent), "urgent frames come first");
    drop(dp);
    thread.join().expect("the packet thread ends in order");
}

/// Jobs that may run before a packet that waits is looked at: two rounds' share.
const JOBS_BEFORE_A_PACKET: usize = 16;

/// Gives jobs by `give` while the packet thread is busy and a packet waits, and returns what each
/// job saw when it ran: whether that packet had been sent. A job says that it runs by calling the
/// function that `give` gets.
fn packets_among_jobs(
    give: impl FnOnce(&Arc<Userspace>, Arc<dyn Fn() + Send + Sync>),
) -> Vec<bool> {
    let clock = || Time::from_millis(1);
    let (dp, worker) =
        Userspace::new(Arc::new(EachItsOwn), Arc::new(clock), 1).expect("descriptors");
    let dp = Arc::new(dp);
    let thread = std::thread::spawn(|| worker.run());
    let (io, one) = memory().expect("an eventfd");
    dp.port_add("one", Box::new(io), None).expect("room");
    let (io, two) = memory().expect("an eventfd");
    dp.port_add("two", Box::new(io), None).expect("room");
    dp.table_publish(TableId(1), all_to(2));
    let (go, may_go) = mpsc::channel::<()>();
    dp.run(Box::new(move || may_go.recv().expect("the test says when")));
    one.push(&[2, 0, 0, 0, 0, 9, 2, 0, 0, 0, 0, 1, 8, 0, 0, 0]);
    let (tell, told) = mpsc::channel();
    give(&dp, Arc::new(move || tell.send(two.sent_len() > 0).expect("the test waits")));
    go.send(()).expect("the packet thread waits");
    let mut seen = Vec::new();
    while seen.len() < JOBS {
        seen.push(told.recv_timeout(Duration::from_secs(10)).expect("jobs run"));
    }
    drop(dp);
    thread.join().expect("the packet thread ends in order");
    seen
}

const JOBS: usize = 200;

fn came_soon(seen: &[bool]) {
    let before = seen.iter().filter(|sent| !**sent).count();
    assert!(before <= JOBS_BEFORE_A_PACKET, "{before} jobs ran before the packet");
}

#[test]
fn many_jobs_do_not_keep_packets_waiting() {
    came_soon(&packets_among_jobs(|dp, ran| {
        for _ in 0..JOBS {
            let ran = ran.clone();
            dp.run(Box::new(move || ran()));
        }
    }));
}

#[test]
fn a_job_in_slices_does_not_keep_packets_waiting() {
    fn go_on(dp: Arc<Userspace>, ran: Arc<dyn Fn() + Send + Sync>, left: usize) {
        ran();
        if left > 1 {
            let again = dp.clone();
            dp.run(Box::new(move || go_on(again, ran, left - 1)));
        }
    }
    came_soon(&packets_among_jobs(|dp, ran| {
        let again = dp.clone();
        dp.run(Box::new(move || go_on(again, ran, JOBS)));
    }));
}

#[test]
fn what_is_asked_after_a_job_in_slices_finds_it_done() {
    let order = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let told = order.clone();
    let seen = packets_among_jobs(move |dp, ran| {
        let (again, order) = (dp.clone(), told.clone());
        dp.run(Box::new(move || {
            order.lock().push("first slice");
            again.run(Box::new(move || order.lock().push("second slice")));
        }));
        for n in 0..JOBS {
            let (ran, order) = (ran.clone(), told.clone());
            dp.run(Box::new(move || {
                if n == 0 {
                    order.lock().push("question");
                }
                ran();
            }));
        }
    });
    came_soon(&seen);
    assert_eq!(*order.lock(), ["first slice", "second slice", "question"]);
}

/// A device that takes nothing, as one that has lost its link.
struct Refusing(IoCounters);

impl PacketIo for Refusing {
    fn fd(&self) -> Option<std::os::fd::RawFd> {
        None
    }

    fn recv(&mut self, _: &mut Vec<Packet>, _: usize) -> usize {
        0
    }

    unsafe fn release(&mut self) {}

    unsafe fn send(&mut self, _: &Packet) {
        self.0.tx_dropped += 1;
    }

    fn flush(&mut self) {}

    fn counters(&self) -> IoCounters {
        self.0
    }
}

#[test]
fn a_refused_send_is_told_of_at_once() {
    let clock = || Time::from_millis(1);
    let (dp, worker) =
        Userspace::new(Arc::new(EachItsOwn), Arc::new(clock), 1).expect("descriptors");
    let thread = std::thread::spawn(|| worker.run());
    dp.port_add("refusing", Box::new(Refusing(IoCounters::default())), None).expect("room");
    let (io, takes) = memory().expect("an eventfd");
    dp.port_add("taking", Box::new(io), None).expect("room");
    let (tell, told) = mpsc::channel();
    dp.on_refused_send(Box::new(move || {
        let _ = tell.send(());
    }));
    let send = |port: u32| {
        dp.execute(Execute {
            packet: Packet::new(&[0; 60]),
            in_port: PortNo::NONE,
            actions: vec![Action::Output(PortNo(port))],
        });
    };
    send(2);
    let start = Instant::now();
    while takes.sent_len() < 1 {
        assert!(start.elapsed() < Duration::from_secs(10), "a frame is sent");
        std::thread::sleep(Duration::from_millis(1));
    }
    assert!(told.try_recv().is_err(), "a frame that was taken is no refusal");
    send(1);
    told.recv_timeout(Duration::from_secs(10)).expect("the refusal is told of");
    drop(dp);
    thread.join().expect("the packet thread ends in order");
}

fn unicast_table(generation: u64, port: u32) -> Arc<BucketTable> {
    let ingress = vec![(PortNo(port), Ingress::Unicast)];
    Arc::new(BucketTable {
        generation,
        buckets: [Some(PortNo(port)); 256],
        ingress,
        selection: crate::Selection::DpHash,
        sources: vec![],
    })
}

#[test]
fn table_cache_follows_publish_remove_and_recreate() {
    let all = Arc::new(Tables::default());
    let mut cache = TableCache::new(all.clone());
    let id = TableId(1);
    assert_eq!(cache.resolve(id, 0, 60), None);
    all.publish(id, unicast_table(1, 5));
    assert_eq!(cache.resolve(id, 0, 60), Some(PortNo(5)));
    assert_eq!(cache.ingress(id, PortNo(5), wire::EthAddr::ZERO), Ingress::Unicast);
    all.publish(id, unicast_table(2, 6));
    assert_eq!(cache.resolve(id, 0, 40), Some(PortNo(6)));
    assert_eq!(all.bytes(id).map(|b| b[0]), Some(100));
    all.remove(id);
    cache.refresh(Time::ZERO);
    assert_eq!(cache.resolve(id, 0, 40), None);
    assert_eq!((all.get(id), all.bytes(id)), (None, None));
    all.publish(id, unicast_table(3, 7));
    assert_eq!(cache.resolve(id, 1, 40), Some(PortNo(7)));
    assert_eq!(all.bytes(id).map(|b| (b[0], b[1])), Some((0, 40)));
}
