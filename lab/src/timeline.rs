//! What happened, in the order that it happened in.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anstyle::{AnsiColor, Style};

use super::log::Line;

/// Whose doing or word an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Who {
    /// The lab did it.
    Lab,
    /// The kernel told of it, to us as to the daemon.
    Kernel,
    /// The daemon logged it.
    Daemon,
    /// The stream showed it.
    Traffic,
}

impl Who {
    fn name(self) -> &'static str {
        match self {
            Who::Lab => "lab",
            Who::Kernel => "kernel",
            Who::Daemon => "daemon",
            Who::Traffic => "traffic",
        }
    }

    fn style(self) -> Style {
        match self {
            Who::Lab => AnsiColor::Yellow.on_default(),
            Who::Kernel => AnsiColor::Magenta.on_default(),
            Who::Daemon => AnsiColor::Cyan.on_default(),
            Who::Traffic => AnsiColor::Green.on_default().bold(),
        }
    }
}

/// One entry.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Event {
    /// Since the lab's start, in milliseconds.
    #[serde(rename = "ms", serialize_with = "milliseconds")]
    pub at: Duration,
    pub who: Who,
    pub text: String,
}

fn milliseconds<S: serde::Serializer>(d: &Duration, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_f64((d.as_secs_f64() * 1e6).round() / 1e3)
}

/// Gathers events; prints those of a step together, in order of time.
pub(super) struct Timeline {
    start: Instant,
    /// The same moment on the wall clock, since 1970, to place log lines.
    wall: Duration,
    told: Vec<Event>,
    waiting: Vec<Event>,
    print: bool,
}

impl Timeline {
    pub(super) fn new(print: bool) -> Timeline {
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timeline { start: Instant::now(), wall, told: Vec::new(), waiting: Vec::new(), print }
    }

    pub(super) fn start(&self) -> Instant {
        self.start
    }

    /// Something that happens now.
    pub(super) fn say(&mut self, who: Who, text: impl Into<String>) {
        self.at(self.start.elapsed(), who, text);
    }

    /// Something that happened at a known time.
    pub(super) fn at(&mut self, at: Duration, who: Who, text: impl Into<String>) {
        self.waiting.push(Event { at, who, text: text.into() });
    }

    /// What the daemon logged since `from`. The log's times are cut to whole milliseconds, which
    /// must not put an effect before its cause.
    pub(super) fn logged(&mut self, from: Duration, lines: Vec<Line>) {
        let shift = |l: &Line| l.text.contains(": shift ");
        let shifts = lines.iter().filter(|l| shift(l)).count();
        let mut told = 0;
        for l in lines {
            let mut text = l.text.clone();
            if shifts > 2 && shift(&l) {
                // Rebalancing writes a line for each bucket: the first stands for all.
                told += 1;
                if told > 1 {
                    continue;
                }
                text += &format!(" and {} shifts more", shifts - 1);
            }
            let at = l.at.saturating_sub(self.wall).max(from);
            let cause = self.waiting.iter().find(|e| {
                e.who == Who::Kernel && e.at >= at && e.at - at < Duration::from_millis(1)
            });
            self.at(cause.map_or(at, |e| e.at), Who::Daemon, text);
        }
    }

    /// A step is over: prints what it gathered.
    pub(super) fn flush(&mut self) {
        self.waiting.sort_by_key(|e| e.at);
        for e in self.waiting.drain(..) {
            if self.print {
                let (s, name) = (e.who.style(), e.who.name());
                let at = e.at.as_secs_f64();
                anstream::println!("{at:9.4} s  {s}{name:<8}{s:#} {}", e.text);
            }
            self.told.push(e);
        }
    }

    /// A heading before the next step.
    pub(super) fn heading(&mut self, text: &str) {
        self.flush();
        if self.print {
            let bold = Style::new().bold();
            anstream::println!("\n{bold}{text}{bold:#}");
        }
    }

    pub(super) fn finish(&mut self) -> Vec<Event> {
        self.flush();
        std::mem::take(&mut self.told)
    }
}
