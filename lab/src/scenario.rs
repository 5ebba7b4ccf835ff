//! Baseline, cut, failover, restore, failback.

use std::time::Duration;

use super::log::Tail;
use super::options::{Mode, Options};
use super::report::{Loss, Report, Step};
use super::rig::{LINKS, Rig};
use super::signal::pause;
use super::timeline::{Timeline, Who};
use testbed::stream::Ledger;
use testbed::{Error, Members};

const MS: Duration = Duration::from_millis(1);
/// A packet younger than this may still be on its way.
const IN_FLIGHT: Duration = Duration::from_millis(100);
/// Traffic is well when nothing was lost for this long.
const CALM: Duration = Duration::from_millis(500);
/// How long to wait for what should happen at once.
const LIMIT: Duration = Duration::from_secs(20);
/// How long to watch that nothing happens.
const WATCH: Duration = Duration::from_secs(2);

pub(super) fn run(o: &Options, rig: &mut Rig, line: &mut Timeline) -> Result<Report, Error> {
    let mut s = Scenario {
        o,
        tail: Tail::new(rig.switch.path("ovs-vswitchd.log")),
        rig,
        line,
        steps: Vec::new(),
    };
    let carrying = s.baseline()?;
    if let Some(link) = carrying {
        s.cut(link)?;
        s.restore(link)?;
    }
    let version = s.rig.switch.appctl("version")?;
    let success = carrying.is_some() && s.steps.iter().all(|s| s.failure.is_none());
    Ok(Report {
        mode: o.mode,
        members: o.members,
        rate: o.rate,
        version: version.lines().next().unwrap_or_default().trim().to_owned(),
        steps: s.steps,
        up: rig.traffic.up.totals(),
        down: rig.traffic.down.totals(),
        events: line.finish(),
        success,
    })
}

/// Milliseconds, to the microsecond.
fn ms(d: Duration) -> f64 {
    (d.as_secs_f64() * 1e6).round() / 1e3
}

struct Scenario<'a> {
    o: &'a Options,
    rig: &'a Rig,
    line: &'a mut Timeline,
    tail: Tail,
    steps: Vec<Step>,
}

impl Scenario<'_> {
    fn now(&self) -> Duration {
        self.rig.traffic.up.now()
    }

    /// Whether both directions have lost nothing lately, since `since` at the earliest.
    fn calm(&self, since: Duration) -> bool {
        let to = self.now().saturating_sub(IN_FLIGHT);
        let from = to.saturating_sub(CALM);
        from >= since
            && [&self.rig.traffic.up, &self.rig.traffic.down].into_iter().all(|l| {
                let s = l.stretch(from, to);
                s.sent > 0 && s.lost == 0
            })
    }

    /// Waits until `done`; false when it did not happen in time.
    fn wait(&self, limit: Duration, mut done: impl FnMut(&Self) -> bool) -> Result<bool, Error> {
        let end = self.now() + limit;
        while !done(self) {
            if self.now() > end {
                return Ok(false);
            }
            pause(20 * MS)?;
        }
        Ok(true)
    }

    /// Closes a step that began at `from`: what was lost, what was said.
    fn close(&mut self, name: &'static str, from: Duration, failure: Option<String>) {
        let to = self.now().saturating_sub(IN_FLIGHT);
        let up: Loss = self.rig.traffic.up.stretch(from, to).into();
        let down: Loss = self.rig.traffic.down.stretch(from, to).into();
        let much = |l: Loss| l.lost * 20 > l.sent;
        let failure = failure.or_else(|| {
            (much(up) || much(down)).then(|| "more than a twentieth of the packets was lost".into())
        });
        if let Some(f) = &failure {
            self.line.say(Who::Lab, format!("NOT AS IT SHOULD BE: {f}"));
        }
        self.steps.push(Step { name, up, down, kernel_report_ms: None, failure });
        self.kernel_reports();
        self.line.logged(from, self.tail.news());
        self.line.flush();
    }

    /// Puts what the kernel has reported since the last call into the time line. Gives the time of
    /// the first report of a lost carrier of `nic<link>`, for each link.
    fn kernel_reports(&mut self) -> [Option<Duration>; LINKS] {
        let mut lost = [None; LINKS];
        for c in self.rig.carrier.news() {
            let Some(link) = c.link.strip_prefix("nic").and_then(|n| n.parse::<usize>().ok())
            else {
                continue;
            };
            if let Some(first) = lost.get_mut(link)
                && !c.up
            {
                first.get_or_insert(c.at);
            }
            let what = if c.up { "has carrier" } else { "has lost its carrier" };
            self.line.at(c.at, Who::Kernel, format!("{} {what}", c.link));
        }
        lost
    }

    /// How much of the VM's traffic each link carried since `from`, in words.
    fn shares(&self, from: Duration) -> (Vec<u64>, String) {
        let n = self.rig.traffic.up.spread(from, self.now(), LINKS);
        let all = n.iter().sum::<u64>().max(1);
        let words: Vec<String> =
            n.iter().enumerate().map(|(i, n)| format!("nic{i} {} %", n * 100 / all)).collect();
        (n, words.join(", "))
    }

    /// Traffic flows both ways and nothing is lost. Gives the link that carries most of it.
    fn baseline(&mut self) -> Result<Option<usize>, Error> {
        let began = self.now();
        let rate = self.o.rate;
        self.line.say(Who::Lab, format!("stream of {rate} packets/s each way begins"));
        let well = self.wait(LIMIT, |s| s.calm(began))?;
        self.line.logged(Duration::ZERO, self.tail.news());
        if !well {
            let why = "packets do not get through both ways without loss".to_owned();
            self.close("baseline", self.now().saturating_sub(CALM + IN_FLIGHT), Some(why));
            return Ok(None);
        }
        self.line.heading("Baseline");
        let from = self.now();
        pause(Duration::from_secs(1))?;
        let (n, shares) = self.shares(from);
        let link = if n[1] > n[0] { 1 } else { 0 };
        self.line.say(Who::Traffic, format!("VM to network goes by {shares}"));
        pause(IN_FLIGHT)?;
        self.close("baseline", from, None);
        let b = &self.steps[0];
        if b.up.lost + b.down.lost > 0 {
            self.steps[0].failure = Some("packets were lost although nothing was wrong".into());
        }
        Ok(Some(link))
    }

    fn cut(&mut self, link: usize) -> Result<(), Error> {
        let other = LINKS - 1 - link;
        self.line.heading("Failover");
        self.rig.change_bystander()?;
        let at = self.now();
        self.rig.fabric.set_link(link, false)?;
        // The call takes as long as the kernel makes it wait; the link goes at its end.
        let cut = self.now();
        self.line.at(cut, Who::Lab, format!("link {link} cut at the far end"));
        let well = self.wait(LIMIT, |s| s.calm(cut))?;
        let failure =
            if !well { Some(format!("traffic did not move to nic{other}")) } else { None };
        if let Some(t) = self.rig.traffic.up.first_on(other as u8, at)
            && self.o.mode == Mode::ActiveBackup
        {
            let took = (t.saturating_sub(cut)).as_secs_f64() * 1e3;
            let text = format!("VM to network goes by nic{other}, {took:.1} ms after the cut");
            self.line.at(t, Who::Traffic, text);
        }
        let reported = self.kernel_reports()[link];
        let from = self.counted_from(at, cut, reported);
        self.told_loss(from);
        self.close("failover", from, failure);
        if let (Some(step), Some(t)) = (self.steps.last_mut(), reported) {
            step.kernel_report_ms = Some(ms(t.saturating_sub(cut)));
        }
        Ok(())
    }

    /// From when on the packets of a failover count as lost by the daemon. The report of a veth's
    /// lost carrier is what the daemon depends on, and a busy kernel makes it late: losses before
    /// it are told apart. A tap's carrier can be read without the report from the cut on, so there
    /// everything counts.
    fn counted_from(
        &mut self,
        at: Duration,
        cut: Duration,
        reported: Option<Duration>,
    ) -> Duration {
        let Some(t) = reported else { return at };
        let took = ms(t.saturating_sub(cut));
        let text = format!("the lost carrier was reported {took:.1} ms after the cut");
        self.line.at(t, Who::Kernel, text);
        match self.o.members {
            Members::Tap => at,
            Members::Veth => {
                let before = |l: &Ledger| l.stretch(at, t).lost;
                let (up, down) = (before(&self.rig.traffic.up), before(&self.rig.traffic.down));
                if up + down > 0 {
                    let text = format!("{up} and {down} packets were lost before that report");
                    self.line.at(t, Who::Traffic, text);
                }
                t.max(at)
            }
        }
    }

    /// Says what was lost since `from`.
    fn told_loss(&mut self, from: Duration) {
        let to = self.now().saturating_sub(IN_FLIGHT);
        for (name, ledger) in
            [("VM to network", &self.rig.traffic.up), ("network to VM", &self.rig.traffic.down)]
        {
            let s = ledger.stretch(from, to);
            let text = match s.gap {
                None => format!("{name}: nothing lost of {}", s.sent),
                Some(gap) => {
                    let ms = gap.as_secs_f64() * 1e3;
                    format!("{name}: {} lost of {}, a gap of {ms:.1} ms", s.lost, s.sent)
                }
            };
            self.line.say(Who::Traffic, text);
        }
    }

    fn restore(&mut self, link: usize) -> Result<(), Error> {
        let name = format!("nic{link}");
        let returns = match self.o.mode {
            Mode::ActiveBackup => self.o.primary() == Some(&*name),
            Mode::BalanceSlb | Mode::BalanceTcp => true,
        };
        self.line.heading(if returns { "Failback" } else { "Restore" });
        let at = self.now();
        self.line.at(at, Who::Lab, format!("link {link} mended"));
        self.rig.fabric.set_link(link, true)?;
        self.rig.restore_bystander()?;

        let mut failure = None;
        if returns {
            let limit = LIMIT + self.o.failback_delay();
            let back = |s: &Self| s.rig.traffic.up.first_on(link as u8, at);
            self.wait(limit, |s| back(s).is_some())?;
            match back(self) {
                None => failure = Some(format!("traffic did not return to {name}")),
                Some(t) => {
                    let took = t.saturating_sub(at);
                    let s = took.as_secs_f64();
                    let text =
                        format!("VM to network goes by {name} again, {s:.3} s after mending");
                    self.line.at(t, Who::Traffic, text);
                    let delay = self.o.failback_delay();
                    if self.o.primary().is_some() && took < delay {
                        failure = Some(format!("traffic returned before {} ms", delay.as_millis()));
                    }
                }
            }
            let returned = self.now();
            if !self.wait(LIMIT, |s| s.calm(returned))? {
                failure = Some("packets are still being lost".into());
            }
            let (_, shares) = self.shares(self.now().saturating_sub(CALM));
            self.line.say(Who::Traffic, format!("VM to network goes by {shares}"));
        } else {
            pause(WATCH)?;
            let (_, shares) = self.shares(self.now().saturating_sub(CALM));
            let text = format!("VM to network stays: {shares}; {name} is not the primary");
            self.line.say(Who::Traffic, text);
            if self.rig.traffic.up.first_on(link as u8, at).is_some() {
                failure = Some(format!("traffic went back to {name}, which nobody asked for"));
            }
        }
        pause(IN_FLIGHT)?;
        self.told_loss(at);
        self.close(if returns { "failback" } else { "restore" }, at, failure);
        Ok(())
    }
}
