//! Commands that every daemon has.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::Serialize;

use super::{Commands, Pending, Reply, Request};
use crate::clock::{Clock, WarpProgress};
use crate::coverage;

/// What the built-in commands need of the daemon.
pub struct Hooks<C> {
    /// The clock of the `time/*` commands.
    pub clock: Clock,
    /// Adds `time/stop` and `time/warp`. As upstream only with `--enable-dummy`: in production
    /// nobody should be able to freeze LACP.
    pub time_commands: bool,
    /// `exit [--cleanup]`: asks the daemon to stop. The client waits until the `Pending` is
    /// completed (or the server is dropped).
    pub exit: fn(&mut C, cleanup: bool, Pending),
    /// `memory/show`: names and counts.
    pub memory: fn(&mut C) -> Vec<(String, u64)>,
}

/// Registers `version`, `exit`, `coverage/*`, `memory/show`, `vlog/*` and, if asked, `time/*`
/// (`list-commands` and `set-options` are the server's own). Call [`TimeWarp::run`] each turn.
pub fn register<C: 'static>(commands: &mut Commands<C>, hooks: Hooks<C>) -> TimeWarp {
    register_common(commands);
    let exit = hooks.exit;
    commands.register("exit", "[--cleanup]", 0, 1, move |ctx, req| {
        let (pending, reply) = req.defer();
        exit(ctx, req.args.first().is_some_and(|a| a == "--cleanup"), pending);
        reply
    });
    let memory = hooks.memory;
    commands.register("memory/show", "", 0, 0, move |ctx, req| {
        let usage = memory(ctx);
        req.render(&Usage::new(usage))
    });
    let warp = TimeWarp { clock: hooks.clock, waiting: Arc::default() };
    if hooks.time_commands {
        warp.register(commands);
    }
    warp
}

/// Registers `version`, `coverage/*` and `vlog/*`, which need nothing of the daemon.
pub fn register_common<C: 'static>(commands: &mut Commands<C>) {
    crate::log::commands(commands);
    // Text in every format, as in Open vSwitch.
    commands.register("version", "", 0, 0, |_, _| {
        let (program, version) = (crate::log::program(), crate::cli::OVS_VERSION);
        Reply::Text(format!("{program} (Open vSwitch) {version}"))
    });
    commands.register("coverage/show", "", 0, 0, |_, req| req.render(&coverage::report()));
    commands.register("coverage/read-counter", "COUNTER", 1, 1, |_, req| {
        match coverage::read(&req.args[0]) {
            Some(n) => Reply::Text(format!("{n}\n")),
            None => Reply::Error("No such counter".into()),
        }
    });
}

/// What `memory/show` answers.
#[derive(Serialize)]
#[serde(transparent)]
pub struct Usage(std::collections::BTreeMap<String, u64>);

impl Usage {
    /// Of names and counts.
    pub fn new(counts: Vec<(String, u64)>) -> Usage {
        Usage(counts.into_iter().collect())
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<String> = self.0.iter().map(|(k, v)| format!("{k}:{v}")).collect();
        f.write_str(&all.join(" "))
    }
}

/// `time/stop` and `time/warp`, and the warp that is under way. Clones are the same.
#[derive(Clone)]
pub struct TimeWarp {
    clock: Clock,
    /// Who is answered what when the clock has come to rest.
    waiting: Arc<Mutex<Vec<(Pending, Reply)>>>,
}

impl TimeWarp {
    fn register<C: 'static>(&self, commands: &mut Commands<C>) {
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
