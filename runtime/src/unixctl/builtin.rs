//! Commands that every daemon has.

use std::fmt;

use serde::Serialize;

use super::{Commands, Pending, Reply};
use crate::clock::Clock;
use crate::compat::TimeWarp;
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
    let warp = TimeWarp::new(hooks.clock);
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
