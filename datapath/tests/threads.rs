//! The packet thread and the control side at the same time.

mod support;

use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use datapath::{
    Action, Datapath, DatapathError, Execute, IoCounters, Packet, PacketIo, PortNo, Userspace,
};
use datapath_testing::memory;
use datapath_testing::{Chaos, Faults};
use rustix::event::{EventfdFlags, eventfd};
use rustix::time::{ClockId, clock_gettime};
use support::*;

#[test]
fn nothing_is_lost_while_the_control_side_hammers() {
    const FRAMES: usize = 60_000;
    const EXECUTED: usize = 500;
    // Ports 2 and 3 take turns behind the table; port 4 takes what is executed.
    let s = Switch::new(4, |key| {
        let bucket = key.tp_src as u8;
        translation(&[Action::OutputBucket { table: TABLE, bucket }], exact())
    });
    s.table_publish(TABLE, table(1, 2));
    let done = AtomicBool::new(false);
    let rounds = AtomicUsize::new(0);
    thread::scope(|scope| {
        let every = |work: &'static (dyn Fn(&Userspace, u32) + Sync)| {
            let (s, done, rounds) = (&*s, &done, &rounds);
            scope.spawn(move || {
                for i in 0.. {
                    if done.load(SeqCst) {
                        break;
                    }
                    work(s, i);
                    rounds.fetch_add(1, SeqCst);
                }
            });
        };
        every(&|s, i| s.table_publish(TABLE, table(u64::from(i), 2 + i % 2)));
        every(&|s, i| {
            let flows = s.flows();
            if i % 8 == 7 {
                s.flow_flush();
            } else if let Some(f) = flows.get(i as usize % 97) {
                s.flow_remove(f);
            }
        });
        every(&|s, _| {
            let _ = (s.stats(), s.port_counters(PortNo(1)), s.table_bytes(TABLE), s.table(TABLE));
            s.run(Box::new(|| ()));
            thread::sleep(Duration::from_micros(50));
        });
        every(&|s, _| {
            let (io, _port) = memory().expect("an eventfd");
            let no = s.port_add("short-lived", Box::new(io), None).expect("there is room");
            assert!(s.port_del(no).is_ok());
        });
        scope.spawn(|| {
            for _ in 0..EXECUTED {
                let packet = Packet::new(&udp(1, 20));
                s.execute(Execute { packet, in_port: PortNo::NONE, actions: vec![out(4)] });
            }
        });
        for first in (0..FRAMES).step_by(500) {
            let frames: Vec<_> = (first..first + 500).map(|n| udp(n as u32 % 5000, 0)).collect();
            s.port(1).push_all(frames.iter().map(Vec::as_slice));
            wait("room", || s.port(1).waiting() < 2000);
        }
        s.settle();
        done.store(true, SeqCst);
    });
    s.settle();
    let sent = s.port(2).sent().len() + s.port(3).sent().len();
    wait("executed packets", || s.port(4).sent_len() == EXECUTED);
    assert_eq!(sent, FRAMES);
    assert!(rounds.load(SeqCst) > 20, "the control side was at work");
    let bytes = s.table_bytes(TABLE).expect("published");
    assert_eq!(bytes.iter().sum::<u64>(), (FRAMES * udp(0, 0).len()) as u64);
    assert_eq!(s.flows().len() as u64, s.stats().flows);
    assert_eq!(s.stats().no_port, 0);
}

/// A device whose closing takes until the test says so.
struct SlowToClose(mpsc::Receiver<()>);

impl Drop for SlowToClose {
    fn drop(&mut self) {
        let _ = self.0.recv_timeout(Duration::from_secs(30));
    }
}

impl PacketIo for SlowToClose {
    fn fd(&self) -> Option<RawFd> {
        None
    }
    fn recv(&mut self, _: &mut Vec<Packet>, _: usize) -> usize {
        0
    }
    unsafe fn release(&mut self) {}
    unsafe fn send(&mut self, _: &Packet) {}
    fn flush(&mut self) {}
    fn counters(&self) -> IoCounters {
        IoCounters::default()
    }
}

#[test]
fn packets_flow_while_a_device_closes() {
    let s = Switch::new(2, |_| translation(&[out(2)], l2()));
    let (close, closing) = mpsc::channel();
    let port = s.port_add("slow", Box::new(SlowToClose(closing)), None).expect("room");
    thread::scope(|scope| {
        let deletion = scope.spawn(|| s.port_del(port));
        for n in 0..50 {
            s.inject(1, &udp(n, 20));
        }
        assert_eq!(s.sent(2).len(), 50);
        assert!(!deletion.is_finished());
        close.send(()).expect("still closing");
        assert_eq!(deletion.join().expect("no panic"), Ok(()));
    });
}

#[test]
fn a_flood_does_not_starve_the_other_port() {
    let s = Switch::new(3, |_| translation(&[out(3)], l2()));
    let (hold, held) = mpsc::channel::<()>();
    // Both queues are filled while the packet thread waits here.
    s.run(Box::new(move || {
        let _ = held.recv_timeout(Duration::from_secs(20));
    }));
    let flood = udp(1, 0);
    s.port(1).push_all((0..20_000).map(|_| flood.as_slice()));
    let lone = udp(2, 99);
    s.port(2).push(&lone);
    hold.send(()).expect("the job waits");
    s.settle();
    let sent = s.sent(3);
    assert_eq!(sent.len(), 20_001);
    let at = sent.iter().position(|f| *f == lone).expect("it came through");
    assert!(at <= 1024, "at place {at} of the flood");
}

#[test]
fn jobs_run_also_when_the_queue_is_full_and_at_the_end() {
    let mut s = Switch::new(1, |_| translation(&[], l2()));
    let ran = Arc::new(AtomicUsize::new(0));
    let (hold, held) = mpsc::channel::<()>();
    s.run(Box::new(move || {
        let _ = held.recv_timeout(Duration::from_secs(20));
    }));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..5000 {
                let ran = ran.clone();
                s.run(Box::new(move || {
                    ran.fetch_add(1, SeqCst);
                }));
            }
        });
        thread::sleep(Duration::from_millis(20));
        hold.send(()).expect("the job waits");
    });
    s.stop();
    assert_eq!(ran.load(SeqCst), 5000);
}

#[test]
fn a_job_may_give_jobs_but_not_wait() {
    let s = Switch::new(1, |_| translation(&[], l2()));
    let s = Arc::new(s);
    let (tell, told) = mpsc::channel();
    let again = s.clone();
    s.run(Box::new(move || {
        let (io, _port) = memory().expect("an eventfd");
        let add = again.port_add("x", Box::new(io), None).is_err();
        let del = again.port_del(PortNo(1)).is_err();
        // More than fit the queue: a packet thread cannot wait for itself.
        let count = Arc::new(AtomicUsize::new(0));
        for _ in 0..3000 {
            let (count, tell) = (count.clone(), tell.clone());
            again.run(Box::new(move || {
                if count.fetch_add(1, SeqCst) == 2999 {
                    tell.send((add, del)).expect("the test waits");
                }
            }));
        }
        drop(again);
    }));
    assert_eq!(told.recv_timeout(Duration::from_secs(20)), Ok((true, true)));
    // The switch must not be dropped on its own packet thread.
    wait("the job to be gone", || Arc::strong_count(&s) == 1);
}

#[test]
fn calls_to_a_stopped_datapath_say_so() {
    let upcall = support::Closure {
        translate: Box::new(|_| translation(&[], l2())),
        misses: Default::default(),
        up: Default::default(),
        controllers: Default::default(),
    };
    let clock = || wire::Time::ZERO;
    let (dp, worker) = Userspace::new(Arc::new(upcall), Arc::new(clock), 1).expect("descriptors");
    drop(worker);
    let (io, _port) = memory().expect("an eventfd");
    assert_eq!(dp.port_add("p", Box::new(io), None), Err(DatapathError::Stopped));
    let (tell, told) = mpsc::channel::<()>();
    dp.run(Box::new(move || drop(tell)));
    assert!(told.recv_timeout(Duration::from_secs(5)).is_err(), "dropped, not kept for ever");
}

/// CPU time that the packet thread has used.
fn cpu_time(s: &Switch) -> Duration {
    let (tell, told) = mpsc::channel();
    s.run(Box::new(move || {
        let t = clock_gettime(ClockId::ThreadCPUTime);
        tell.send(Duration::new(t.tv_sec as u64, t.tv_nsec as u32)).expect("the test waits");
    }));
    told.recv_timeout(Duration::from_secs(20)).expect("the packet thread runs jobs")
}

fn cpu_share(s: &Switch) -> f64 {
    let (cpu, start) = (cpu_time(s), Instant::now());
    thread::sleep(Duration::from_millis(300));
    (cpu_time(s) - cpu).as_secs_f64() / start.elapsed().as_secs_f64()
}

#[test]
fn an_idle_switch_uses_no_cpu() {
    let s = Switch::new(20, |_| translation(&[out(2)], l2()));
    s.inject(1, &udp(1, 20));
    let share = cpu_share(&s);
    assert!(share < 0.02, "{share}");
    s.inject(1, &udp(1, 20));
    assert_eq!(s.sent(2).len(), 2, "and wakes");
}

/// Ready for ever, with nothing to give: what a device that failed looks like.
struct Broken(OwnedFd);

impl PacketIo for Broken {
    fn fd(&self) -> Option<RawFd> {
        Some(self.0.as_raw_fd())
    }
    fn recv(&mut self, _: &mut Vec<Packet>, _: usize) -> usize {
        0
    }
    unsafe fn release(&mut self) {}
    unsafe fn send(&mut self, _: &Packet) {}
    fn flush(&mut self) {}
    fn counters(&self) -> IoCounters {
        IoCounters::default()
    }
}

#[test]
fn a_broken_device_does_not_keep_the_thread_busy() {
    let s = Switch::new(2, |_| translation(&[out(2)], l2()));
    let fd = eventfd(1, EventfdFlags::CLOEXEC).expect("an eventfd");
    let port = s.port_add("broken", Box::new(Broken(fd)), None).expect("room");
    thread::sleep(Duration::from_millis(50));
    let share = cpu_share(&s);
    assert!(share < 0.05, "{share}");
    s.inject(1, &udp(1, 20));
    assert_eq!(s.sent(2).len(), 1);
    assert_eq!(s.port_del(port), Ok(()));
}

#[test]
fn chaos_around_the_real_thing_loses_nothing_but_what_it_says() {
    let s = Switch::new(2, |_| translation(&[out(2)], exact()));
    let faults = Faults { fail: 0, drop: 0, delay: 700, longest: 9 };
    let chaos = Chaos::new(&*s, 11, faults);
    for n in 0..200 {
        s.port(1).push(&udp(n % 10, 0));
        match n % 3 {
            0 => chaos.flow_flush(),
            1 => chaos.flows().iter().take(2).for_each(|f| chaos.flow_remove(f)),
            _ => chaos.execute(Execute {
                packet: Packet::new(&udp(1, 0)),
                in_port: PortNo(1),
                actions: vec![out(2)],
            }),
        }
    }
    chaos.settle();
    s.settle();
    wait("all frames", || s.port(2).sent_len() == 266);
    assert!(chaos.faults_injected().1 > 50);
}
