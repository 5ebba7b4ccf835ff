//! The carrier thread: it reads the members' counts of carrier changes and tells the links thread
//! of each difference.
//!
//! The kernel may report a lost carrier up to a second late (`netdev::link::carrier`), so members
//! are read at a steady rate besides. A read is a microsecond or two and takes no lock of the
//! network's: it does not wait while another process holds RTNL. It is on a thread of its own
//! because its rate needs finer timers than the links thread's poll has, and so that the links
//! thread is not woken for nothing.
//!
//! | lane | members in it | a lap takes, at least |
//! |---|---|---|
//! | hot | those that carried traffic in the last second; for [`ALERT`] after any link of the machine has changed or a device has refused to send, all | [`HOT_LAP`] |
//! | cold | the others | [`COLD_LAP`] |
//!
//! Members that send are covered by the packet thread as well, which reads a count of its own before
//! it sends (`standby`).
//!
//! With many members a lap takes longer, so that reading stays below [`SHARE`] of a processor.
//! After a link event it may be [`ALERT_SHARE`] until [`PURSE`] is spent, which fills up slowly.
//!
//! A refused send is a hint only. Frames pass the device's queueing discipline, and that of a device
//! without a carrier takes frames and drops them without an error.
//!
//! Where sysfs of the network namespace cannot be had, `ETHTOOL_GLINK` is asked instead. That one
//! waits for RTNL; it delays the other members then, never the links thread.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::Thread;
use std::time::{Duration, Instant};

use datapath::{Datapath, PortNo};
use netdev::link::carrier::{CarrierChanges, SysNet};
use netdev::link::ethtool;
use parking_lot::Mutex;
use wire::EthAddr;

use crate::priority::go_first;

/// Between two reads of a member that carries traffic: a loss is seen after half of it on average.
const HOT_LAP: Duration = Duration::from_micros(400);
/// Between two reads of a member that does not.
const COLD_LAP: Duration = Duration::from_millis(50);
/// How long all members are read at the hot rate after a link event. The kernel holds the next
/// report back for a second, and needs some time to make it.
const ALERT: Duration = Duration::from_millis(1500);
/// How long after its last packet a member still counts as carrying traffic.
const TRAFFIC: Duration = Duration::from_secs(1);
/// How often to look which members carry traffic.
const SORT_EVERY: Duration = Duration::from_millis(100);
/// How often a count that could not be opened is tried again: the device had another name for a
/// moment, or descriptors were short.
const RETRY: Duration = Duration::from_secs(5);
/// Members looked at for traffic at a time.
const SORT_BATCH: usize = 256;
/// Members read at a time; other threads of the processor get their turn between two batches.
const BATCH: usize = 64;
/// The part of a processor that reading may take.
const SHARE: f64 = 0.005;
/// The same in the time after a link event, as long as there is something in the purse.
const ALERT_SHARE: f64 = 0.1;
/// Seconds of processor time, sleeping and waking included, that can be spent in such times. With
/// nothing left only members with traffic are read at the hot rate: on a host where links come and
/// go all the time the others must not cost more than these.
const PURSE: f64 = 0.2;
/// How fast that fills up: seconds a second.
const REFILL: f64 = 0.002;
/// A read's cost before one was measured, and the most that is believed: a preempted thread
/// measures the others' time too.
const READ_COST: f64 = 2e-6;
const READ_COST_MAX: f64 = 10e-6;

/// The least time between two alerts that are due to refused sends: a full queue refuses for long.
const REFUSALS: Duration = Duration::from_millis(50);

/// A member to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) ifindex: u32,
    pub(crate) name: String,
    pub(crate) mac: EthAddr,
    pub(crate) port_no: Option<PortNo>,
}

/// What a read said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sighting {
    /// The device's count of carrier changes.
    Changes(u32),
    /// `ETHTOOL_GLINK` differs from the last time.
    Link(bool),
}

/// A set of members to read.
#[derive(Default)]
struct Latest {
    targets: Vec<Target>,
    /// Those that some set since the last one taken was without: they are opened anew.
    absent: BTreeSet<u32>,
}

/// What the threads share.
struct Shared {
    /// The set that the carrier thread has not taken yet. A newer one takes its place.
    targets: Mutex<Option<Latest>>,
    /// The links thread has ended.
    ended: AtomicBool,
    /// The latest of each device that the links thread has not taken yet, by index.
    sightings: Mutex<BTreeMap<u32, Sighting>>,
    /// Counts that were opened for the packet thread and that the links thread has not taken yet.
    opened: Mutex<Vec<(u32, CarrierChanges)>>,
    /// A link of the machine has changed, or a device has refused to send.
    alert: AtomicBool,
    waker: Arc<mio::Waker>,
}

impl Shared {
    /// Opens a member's count, for this thread and once more for the packet thread: the kernel has a
    /// lock for each open file, and one thread must not wait there for the other.
    fn open(&self, sysfs: Option<&SysNet>, target: &Target) -> Probe {
        let open = |s: &SysNet| s.carrier_changes(&target.name, target.ifindex, target.mac);
        match sysfs.map(|s| (s, open(s))) {
            Some((s, Ok(file))) => {
                if let Ok(another) = open(s) {
                    self.opened.lock().push((target.ifindex, another));
                    // Fails only when the links thread has gone.
                    let _ = self.waker.wake();
                }
                Probe::Changes { file, last: None }
            }
            Some((s, Err(_))) if s.is_own() => Probe::Nothing,
            // Another namespace's sysfs, or none.
            Some((_, Err(_))) | None => Probe::Link { last: None },
        }
    }

    fn alert(&self, carrier: &Thread) {
        if !self.alert.swap(true, Ordering::AcqRel) {
            carrier.unpark();
        }
    }
}

/// The links thread's hand on the carrier thread, which ends with it.
pub(crate) struct Prober {
    shared: Arc<Shared>,
    thread: Thread,
    told: Vec<Target>,
}

impl Prober {
    /// Starts the thread; `waker` wakes the links thread.
    pub(crate) fn spawn(
        datapath: Arc<dyn Datapath>,
        waker: Arc<mio::Waker>,
    ) -> std::io::Result<Prober> {
        let shared = Arc::new(Shared {
            targets: Mutex::new(None),
            ended: AtomicBool::new(false),
            sightings: Mutex::default(),
            opened: Mutex::default(),
            alert: AtomicBool::new(false),
            waker,
        });
        let mut rounds = Rounds {
            shared: shared.clone(),
            datapath: datapath.clone(),
            sysfs: SysNet::open().ok(),
            members: Vec::new(),
            hot: Lane::default(),
            cold: Lane::default(),
            sort_at: None,
            sort_from: 0,
            alert_until: None,
            purse: PURSE,
            filled_at: Instant::now(),
            used: 0.0,
            read_cost: READ_COST,
        };
        let handle = std::thread::Builder::new().name("carrier".to_owned()).spawn(move || {
            go_first();
            // The default of 50 us would be a large part of a lap.
            // SAFETY: takes a number.
            unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, 1_000) };
            rounds.run();
        })?;
        let prober = Prober { shared, thread: handle.thread().clone(), told: Vec::new() };
        datapath.on_refused_send(prober.refusals());
        Ok(prober)
    }

    /// Replaces the members to read. One that stays is read on; one that was absent is opened anew.
    pub(crate) fn watch(&mut self, targets: Vec<Target>) {
        if targets == self.told {
            return;
        }
        let before: BTreeSet<u32> = self.told.iter().map(|t| t.ifindex).collect();
        let new = targets.iter().map(|t| t.ifindex).filter(|ifindex| !before.contains(ifindex));
        let mut latest = self.shared.targets.lock();
        let mut absent = latest.take().unwrap_or_default().absent;
        absent.extend(new);
        *latest = Some(Latest { targets: targets.clone(), absent });
        drop(latest);
        self.told = targets;
        self.thread.unpark();
    }

    /// A link of the machine has changed: reads all members now and often for a while.
    pub(crate) fn alert(&self) {
        self.shared.alert(&self.thread);
    }

    /// As [`Prober::alert`], for the packet thread: a device has refused to send.
    fn refusals(&self) -> Box<dyn Fn() + Send + Sync> {
        let (shared, thread, start) = (self.shared.clone(), self.thread.clone(), Instant::now());
        // In milliseconds from `start`.
        let next = AtomicU64::new(0);
        Box::new(move || {
            let now = start.elapsed().as_millis() as u64;
            if next.load(Ordering::Relaxed) <= now {
                next.store(now + REFUSALS.as_millis() as u64, Ordering::Relaxed);
                shared.alert(&thread);
            }
        })
    }

    /// What was read since the last call, by device.
    pub(crate) fn take(&self) -> BTreeMap<u32, Sighting> {
        std::mem::take(&mut *self.shared.sightings.lock())
    }

    /// Counts that were opened for the packet thread since the last call, by device.
    pub(crate) fn take_opened(&self) -> Vec<(u32, CarrierChanges)> {
        std::mem::take(&mut *self.shared.opened.lock())
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

/// How a member's carrier is read.
enum Probe {
    Changes {
        file: CarrierChanges,
        last: Option<u32>,
    },
    Link {
        last: Option<bool>,
    },
    /// The device is gone, or is another one: the links thread hears of that and says so.
    Nothing,
}

struct Member {
    target: Target,
    probe: Probe,
    packets: u64,
    hot_until: Option<Instant>,
    opened_at: Instant,
}

impl Member {
    fn new(shared: &Shared, sysfs: Option<&SysNet>, target: Target, now: Instant) -> Member {
        let probe = shared.open(sysfs, &target);
        Member { target, probe, packets: 0, hot_until: None, opened_at: now }
    }

    /// Tries again what could not be opened.
    fn retry(&mut self, shared: &Shared, sysfs: Option<&SysNet>, now: Instant) {
        if matches!(self.probe, Probe::Nothing) && now >= self.opened_at + RETRY {
            self.probe = shared.open(sysfs, &self.target);
            self.opened_at = now;
        }
    }

    /// Reads; `Some` if it is not as the last time.
    fn read(&mut self) -> Option<Sighting> {
        match &mut self.probe {
            Probe::Changes { file, last } => match file.read() {
                Ok(now) if *last == Some(now) => None,
                Ok(now) => {
                    *last = Some(now);
                    Some(Sighting::Changes(now))
                }
                Err(_) => {
                    self.probe = Probe::Nothing;
                    None
                }
            },
            Probe::Link { last } => {
                let now = ethtool::link(&self.target.name).ok()?;
                if *last == Some(now) {
                    return None;
                }
                *last = Some(now);
                Some(Sighting::Link(now))
            }
            Probe::Nothing => None,
        }
    }
}

/// Members that are read at one rate, in turn.
#[derive(Default)]
struct Lane {
    members: Vec<usize>,
    from: usize,
    due: Option<Instant>,
}

impl Lane {
    /// Those whose turn it is.
    fn batch(&mut self) -> Vec<usize> {
        let n = self.members.len().min(BATCH);
        let turn = (0..n).map(|i| self.members[(self.from + i) % self.members.len()]).collect();
        self.from = if n == 0 { 0 } else { (self.from + n) % self.members.len() };
        turn
    }

    fn refill(&mut self, members: Vec<usize>, now: Instant) {
        if members.is_empty() {
            self.due = None;
        } else if self.due.is_none() || members.len() > self.members.len() {
            self.due = Some(now);
        }
        self.members = members;
    }
}

/// The thread's own state.
struct Rounds {
    shared: Arc<Shared>,
    datapath: Arc<dyn Datapath>,
    sysfs: Option<SysNet>,
    members: Vec<Member>,
    hot: Lane,
    cold: Lane,
    sort_at: Option<Instant>,
    sort_from: usize,
    alert_until: Option<Instant>,
    purse: f64,
    filled_at: Instant,
    /// Processor time of this thread when it was last looked at, in seconds.
    used: f64,
    read_cost: f64,
}

impl Rounds {
    fn run(&mut self) {
        loop {
            let mut now = Instant::now();
            if self.shared.ended.load(Ordering::Acquire) {
                return;
            }
            let latest = self.shared.targets.lock().take();
            if let Some(latest) = latest {
                self.replace(latest, now);
            }
            let alert = self.is_alert(now);
            self.settle_purse(now, alert);
            if self.shared.alert.swap(false, Ordering::AcqRel) && !self.members.is_empty() {
                self.alert_until = Some(now + ALERT);
            }
            match (alert, self.is_alert(now)) {
                (false, true) => {
                    self.sort(now);
                    self.hot.due = Some(now);
                }
                (true, false) => self.sort(now),
                (false, false) | (true, true) => {}
            }
            if self.sort_at.is_some_and(|t| t <= now) {
                self.look_for_traffic(now);
                self.sort(now);
            }
            if self.hot.due.is_some_and(|t| t <= now) {
                self.read(now, true);
                now = Instant::now();
            }
            if self.cold.due.is_some_and(|t| t <= now) {
                self.read(now, false);
            }
            let next = [self.hot.due, self.cold.due, self.sort_at].into_iter().flatten().min();
            match next {
                None => std::thread::park(),
                Some(at) => {
                    let left = at.saturating_duration_since(Instant::now());
                    if !left.is_zero() {
                        std::thread::park_timeout(left);
                    }
                }
            }
        }
    }

    fn replace(&mut self, latest: Latest, now: Instant) {
        let Latest { targets, absent } = latest;
        let mut old: BTreeMap<u32, Member> =
            self.members.drain(..).map(|m| (m.target.ifindex, m)).collect();
        for target in targets {
            let kept = old
                .remove(&target.ifindex)
                .filter(|m| !matches!(m.probe, Probe::Nothing | Probe::Link { .. }))
                .filter(|m| !absent.contains(&m.target.ifindex));
            self.members.push(match kept {
                // The count is the device's, whatever its name is now.
                Some(m) => Member { target, ..m },
                None => Member::new(&self.shared, self.sysfs.as_ref(), target, now),
            });
        }
        self.sort_from = 0;
        self.sort_at = (!self.members.is_empty()).then_some(now);
        self.sort(now);
    }

    /// Notes which members have moved packets since the last look; the rest of a long list has its
    /// turn the next time.
    fn look_for_traffic(&mut self, now: Instant) {
        let n = self.members.len();
        for i in 0..n.min(SORT_BATCH) {
            let m = &mut self.members[(self.sort_from + i) % n];
            m.retry(&self.shared, self.sysfs.as_ref(), now);
            let Some(port) = m.target.port_no else { continue };
            let Some(c) = self.datapath.port_counters(port) else { continue };
            let packets = c.rx_packets.wrapping_add(c.tx_packets);
            if packets != m.packets {
                m.packets = packets;
                m.hot_until = Some(now + TRAFFIC);
            }
        }
        self.sort_from = if n == 0 { 0 } else { (self.sort_from + SORT_BATCH) % n };
        self.sort_at = (n > 0).then_some(now + SORT_EVERY);
    }

    /// Puts the members into their lanes.
    fn sort(&mut self, now: Instant) {
        let all = self.is_alert(now);
        let (hot, cold) = (0..self.members.len())
            .filter(|i| !matches!(self.members[*i].probe, Probe::Nothing))
            .partition(|i| all || self.members[*i].hot_until.is_some_and(|t| t > now));
        self.hot.refill(hot, now);
        self.cold.refill(cold, now);
    }

    /// One batch of a lane, and when the next is due.
    fn read(&mut self, now: Instant, hot: bool) {
        let alert = self.is_alert(now);
        let idle = self.hot.members.is_empty();
        let (lane, lap, share) = match hot {
            true if alert => (&mut self.hot, HOT_LAP, ALERT_SHARE),
            true => (&mut self.hot, HOT_LAP, SHARE),
            false if idle => (&mut self.cold, COLD_LAP, SHARE),
            false => (&mut self.cold, COLD_LAP, SHARE / 3.0),
        };
        let (turn, all) = (lane.batch(), lane.members.len());
        let mut news = Vec::new();
        for i in &turn {
            let member = &mut self.members[*i];
            if let Some(sighting) = member.read() {
                news.push((member.target.ifindex, sighting));
            }
        }
        let (count, end) = (turn.len() as f64, Instant::now());
        if !news.is_empty() {
            self.shared.sightings.lock().extend(news);
            // Fails only when the links thread has gone.
            let _ = self.shared.waker.wake();
        }
        if turn.is_empty() {
            lane.due = None;
            return;
        }
        let cost = ((end - now).as_secs_f64() / count).min(READ_COST_MAX);
        self.read_cost += (cost - self.read_cost) / 16.0;
        let lap = lap.max(Duration::from_secs_f64(all as f64 * self.read_cost / share));
        lane.due = Some(now + lap.mul_f64(count / all as f64));
    }

    /// A link has changed not long ago, and there is something in the purse.
    fn is_alert(&self, now: Instant) -> bool {
        self.purse > 0.0 && self.alert_until.is_some_and(|t| t > now)
    }

    /// Fills the purse, and takes out of it what this thread has used since the last time, if that
    /// was for an alert.
    fn settle_purse(&mut self, now: Instant, alert: bool) {
        let since = now.saturating_duration_since(self.filled_at).as_secs_f64();
        self.filled_at = now;
        self.purse = (self.purse + since * REFILL).min(PURSE);
        let used = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let used = used.tv_sec as f64 + used.tv_nsec as f64 * 1e-9;
        if alert {
            self.purse -= used - self.used;
        }
        self.used = used;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A long lane is read in turn, each member once in a lap.
    #[test]
    fn a_lane_leaves_nobody_out() {
        let mut lane = Lane::default();
        lane.refill((0..150).collect(), Instant::now());
        let mut read: Vec<usize> = (0..3).flat_map(|_| lane.batch()).collect();
        assert_eq!(read.len(), 3 * BATCH);
        read.truncate(150);
        read.sort_unstable();
        assert_eq!(read, (0..150).collect::<Vec<_>>());
        // It gets shorter while it is read.
        lane.refill(vec![7, 9], Instant::now());
        let mut few = lane.batch();
        few.sort_unstable();
        assert_eq!(few, [7, 9]);
        lane.refill(Vec::new(), Instant::now());
        assert!(lane.batch().is_empty());
        assert_eq!(lane.due, None);
    }
}
