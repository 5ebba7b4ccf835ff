//! What exists only for test suites in virtual time: Open vSwitch's own, which drives the daemon
//! with `time/stop` and `time/warp`, and ours. A daemon without `--enable-dummy` has neither
//! command; its clock never stops.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use crate::clock::{Clock, WarpProgress};
use crate::unixctl::{Commands, Pending, Reply, Request};

/// `time/stop` and `time/warp`, and the warp that is under way. A clone shares its state.
#[derive(Clone)]
pub struct TimeWarp {
    clock: Clock,
    /// The requests to answer when the clock has come to rest, with their answers.
    waiting: Arc<Mutex<Vec<(Pending, Reply)>>>,
}

impl TimeWarp {
    pub(crate) fn new(clock: Clock) -> TimeWarp {
        TimeWarp { clock, waiting: Arc::default() }
    }

    pub(crate) fn register<C: 'static>(&self, commands: &mut Commands<C>) {
        let clock = self.clock.clone();
        commands.register("time/stop", "", 0, 0, move |_, _| {
            clock.stop();
            Reply::Text(String::new())
        });
        let (clock, waiting) = (self.clock.clone(), self.waiting.clone());
        commands.register("time/warp", "[large_msecs] msecs", 1, 2, move |_, req| {
            let ms = |s: &str| s.trim().parse::<u64>().unwrap_or(0);
            let (total, step) = match req.args {
                [total, step] => (ms(total), ms(step)),
                [step] => (0, ms(step)),
                _ => (0, 0),
            };
            if step == 0 {
                return Reply::Error("invalid MSECS".into());
            }
            let total = if total == 0 { step } else { total };
            let step = Duration::from_millis(step);
            match clock.start_warp(Duration::from_millis(total), Some(step)) {
                Err(e) => Reply::Error(e.to_string()),
                Ok(()) => {
                    let (pending, reply) = req.defer();
                    waiting.lock().push((pending, Reply::Text("warped".into())));
                    reply
                }
            }
        });
    }

    /// Answers with `answer` as soon as every thread has worked off what the command gave it to
    /// do, so that the next command finds the result.
    pub fn when_settled(&self, req: &Request<'_>, answer: Reply) -> Reply {
        // A warp that is under way ends with everything settled, too.
        let _ = self.clock.start_settling();
        let (pending, reply) = req.defer();
        self.waiting.lock().push((pending, answer));
        reply
    }

    /// Makes the next step of a warp and answers when it is over. To be called at the end of each
    /// turn of the main loop, when what was due is done; returns how long the reactor may sleep
    /// because of it (`None` = no warp).
    pub fn run(&self) -> Option<Duration> {
        match self.clock.poll_warp() {
            WarpProgress::Idle => None,
            WarpProgress::Moving(wait) => Some(wait),
            WarpProgress::Done => {
                for (pending, answer) in self.waiting.lock().drain(..) {
                    pending.complete(answer);
                }
                None
            }
        }
    }
}
