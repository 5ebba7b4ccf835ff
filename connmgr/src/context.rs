//! What every part needs during a call.

use std::collections::BTreeMap;

use mio::Registry;
use ofproto::controller::{LogLevel as AgentLevel, LogLine, SwitchOps};
use runtime::log::{Level, RateLimit};
use wire::{EthAddr, Time};

use crate::config::OpenFlowOptions;

/// Identifiers that are never reused.
#[derive(Debug, Default)]
pub(crate) struct IdAllocator {
    last: u64,
    /// Connections accepted over Unix sockets so far.
    unix: u64,
}

impl IdAllocator {
    /// An identifier for a connection or a listener.
    pub(crate) fn allocate(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// The identifier that was allocated last.
    pub(crate) fn last(&self) -> u64 {
        self.last
    }

    /// The number that the next connection over a Unix socket is named by.
    pub(crate) fn next_unix(&self) -> u64 {
        self.unix
    }

    /// A connection over a Unix socket was accepted.
    pub(crate) fn unix_accepted(&mut self) {
        self.unix += 1;
    }
}

/// Rate limits of the agents' log lines, by module and limit (lines per minute, burst).
pub(crate) type LogLimits = BTreeMap<(&'static str, (u32, u32)), RateLimit>;

/// The environment of a call.
pub(crate) struct Ctx<'a> {
    pub(crate) now: Time,
    pub(crate) registry: &'a Registry,
    pub(crate) options: &'a OpenFlowOptions,
    pub(crate) ids: &'a mut IdAllocator,
    pub(crate) log_limits: &'a mut LogLimits,
    pub(crate) tls: &'a mut tls::Context,
    pub(crate) host: &'a dyn SwitchOps,
    /// The MAC address of the bridge's local port.
    pub(crate) local_mac: Option<EthAddr>,
}

impl Ctx<'_> {
    /// Writes one of the log lines of `bridge`'s agent.
    pub(crate) fn log(&mut self, bridge: &str, line: &LogLine) {
        let Some(module) = (self.options.log_module)(line.module) else { return };
        let level = match line.level {
            AgentLevel::Err => Level::Err,
            AgentLevel::Warn => Level::Warn,
            AgentLevel::Info => Level::Info,
            AgentLevel::Dbg => Level::Dbg,
        };
        if let Some((rate, burst)) = line.limit {
            let limit = self
                .log_limits
                .entry((line.module, (rate, burst)))
                .or_insert_with(|| RateLimit::new(rate, burst));
            if limit.should_drop(module, level) {
                return;
            }
        }
        runtime::log_at!(module, level, "{}", line.text; "bridge" => bridge);
    }
}
