//! How soon a lost carrier of a device that is like a NIC moves traffic.
//!
//! Two figures for each cut. "noticed": from the cut to the daemon's log line that the member is
//! disabled, which comes after traffic has moved, and by way of the log's own thread. "gap": the
//! longest time without a packet arriving, which is exact to the time between two packets, and so
//! says little at a low rate. What the gap is when nothing is cut stands beside it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::options::Options;
use super::rig::{Bench, LINKS};
use testbed::error::wait_for;
use testbed::frame;
use testbed::stream::Stretch;
use testbed::traffic::Traffic;
use testbed::{Daemon, Error, Members, Netns, PacketSocket};

/// Packets that are under way when a stretch of time is looked at.
const IN_FLIGHT: Duration = Duration::from_millis(150);
/// The kernel has made the reports that it held back.
const QUIET: Duration = Duration::from_millis(1200);
const LIMIT: Duration = Duration::from_secs(30);

pub(super) fn run(o: &Options, daemon: &Daemon, cuts: u32) -> Result<(), Error> {
    println!(
        "{} in {} with two taps{}, {cuts} cuts each",
        daemon.path().display(),
        o.mode,
        if o.busy_rtnl { ", RTNL busy" } else { "" },
    );
    println!(
        "{:>9} {:>10} {:>20} {:>20} {:>20} {:>12}",
        "packets/s",
        "before",
        "noticed (median/max)",
        "gap (median/max)",
        "without a cut",
        "lost (max)"
    );
    let busy = o.busy_rtnl.then(Busy::start).transpose()?;
    for &rate in &o.carrier_rate {
        for &before in &o.carrier_before {
            let options = Options { members: Members::Tap, ..o.clone() };
            let bench = Bench::new(&options, daemon.clone(), 64)?;
            let all = bench.cuts(rate, Duration::from_millis(before), cuts)?;
            let of = |f: fn(&Cut) -> Duration| {
                let mut v: Vec<Duration> = all.iter().map(f).collect();
                v.sort_unstable();
                let ms = |d: Duration| d.as_secs_f64() * 1e3;
                format!("{:.2}/{:.2} ms", ms(v[v.len() / 2]), ms(v[v.len() - 1]))
            };
            let lost = all.iter().map(|c| c.lost).max().unwrap_or_default();
            println!(
                "{rate:>9} {before:>7} ms {:>20} {:>20} {:>20} {lost:>12}",
                of(|c| c.noticed),
                of(|c| c.gap),
                of(|c| c.before),
            );
        }
    }
    drop(busy);
    println!(
        "before: how long before the cut another device lost its carrier; without a cut: the \
         longest time without a packet in as long a time before it"
    );
    Ok(())
}

struct Cut {
    /// The longest gap in as long a time before the cut: what the measure itself adds.
    before: Duration,
    noticed: Duration,
    gap: Duration,
    lost: u64,
}

impl Bench {
    /// Cuts the busier link `cuts` times, each time `before` after another device's carrier.
    fn cuts(&self, rate: u32, before: Duration, cuts: u32) -> Result<Vec<Cut>, Error> {
        let socket = PacketSocket::open(&self.vm, "eth0")?;
        for t in &self.talks {
            let _ = socket.send(&frame::gratuitous_arp(t.src_mac, t.src_ip, None));
        }
        let start = Instant::now();
        let traffic = Traffic::start(&self.fabric, socket, self.talks.clone(), rate, start);
        let mut all = Vec::new();
        for _ in 0..cuts {
            wait_for("two members", LIMIT, Duration::from_millis(100), || {
                let show = self.switch.appctl("bond/show bond0").unwrap_or_default();
                show.lines()
                    .filter(|l| l.starts_with("member ") && l.ends_with(": enabled"))
                    .count()
                    == LINKS
            })?;
            std::thread::sleep(QUIET);
            all.push(self.cut(&traffic, before)?);
        }
        Ok(all)
    }

    fn cut(&self, traffic: &Traffic, before: Duration) -> Result<Cut, Error> {
        let now = traffic.now();
        let n = traffic.up.spread(now.saturating_sub(QUIET), now, LINKS);
        let busier = if n[1] > n[0] { 1 } else { 0 };
        let calm = traffic.up.stretch(now.saturating_sub(3 * IN_FLIGHT), now - IN_FLIGHT);
        let mut log = Tail::open(&self.switch.path("ovs-vswitchd.log"))?;
        if let Some(tap) = &self.bystander {
            tap.set_carrier(false)?;
            std::thread::sleep(before);
        }
        let at = traffic.now();
        let cut = Instant::now();
        self.fabric.set_link(busier, false)?;
        let line = format!("member nic{busier}: disabled");
        wait_for(&line, LIMIT, Duration::from_micros(150), || log.has(&line))?;
        let noticed = cut.elapsed();
        std::thread::sleep(2 * IN_FLIGHT);
        let s = traffic.up.stretch(at, traffic.now() - IN_FLIGHT);
        self.fabric.set_link(busier, true)?;
        if let Some(tap) = &self.bystander {
            tap.set_carrier(true)?;
        }
        let gap = |s: &Stretch| s.gap.unwrap_or_default();
        Ok(Cut { before: gap(&calm), noticed, gap: gap(&s), lost: s.lost })
    }
}

/// What is written to a file from now on.
struct Tail {
    file: File,
    text: Vec<u8>,
}

impl Tail {
    fn open(path: &std::path::Path) -> Result<Tail, Error> {
        let open = || {
            let mut file = File::open(path)?;
            file.seek(SeekFrom::End(0))?;
            Ok(Tail { file, text: Vec::new() })
        };
        open().map_err(|e| Error::io(format!("cannot read {}", path.display()), e))
    }

    fn has(&mut self, line: &str) -> bool {
        // What cannot be read now is read the next time.
        let _ = self.file.read_to_end(&mut self.text);
        String::from_utf8_lossy(&self.text).contains(line)
    }
}

/// A thread that keeps the kernel's lock for network configuration busy: it makes and deletes
/// links in namespaces of its own.
struct Busy {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Busy {
    fn start() -> Result<Busy, Error> {
        let (one, other) = (Netns::new()?, Netns::new()?);
        let stop = Arc::new(AtomicBool::new(false));
        let ended = stop.clone();
        let thread = std::thread::Builder::new().name("busy".into()).spawn(move || {
            while !ended.load(Ordering::Relaxed) {
                // A failure keeps the lock busy as well.
                let _ = one.veth("d0", &other, "d1");
                let _ = one.rtnl().delete("d0");
            }
        });
        let thread = thread.map_err(|e| Error::io("cannot start a thread", e))?;
        Ok(Busy { stop, thread: Some(thread) })
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}
