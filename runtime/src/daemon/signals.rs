//! Signals as events of the reactor.

use std::io;

use mio::{Interest, Registry, Token};
use signal_hook_mio::v1_0::Signals as Source;

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// `SIGTERM`, `SIGINT`, `SIGALRM`: stop in good order, then [`die_of`](Signals::die_of) it.
    Exit(i32),
    /// `SIGHUP`: the log file was moved away.
    ReopenLog,
}

/// The signals that the daemon looks at, in a reactor.
pub struct Signals {
    source: Source,
}

impl Signals {
    /// Catches signals from now on and makes them events with `token`.
    pub fn new(registry: &Registry, token: Token) -> io::Result<Signals> {
        let mut source = Source::new([libc::SIGTERM, libc::SIGINT, libc::SIGALRM, libc::SIGHUP])?;
        registry.register(&mut source, token, Interest::READABLE)?;
        Ok(Signals { source })
    }

    /// What arrived since the last call, in no certain order.
    pub fn take(&mut self) -> Vec<Signal> {
        let what = |signal| match signal {
            libc::SIGHUP => Signal::ReopenLog,
            other => Signal::Exit(other),
        };
        self.source.pending().map(what).collect()
    }

    /// Ends the process as `signal` would have, so that whoever waits sees the truth. To be
    /// called when everything is shut down.
    pub fn die_of(signal: i32) -> ! {
        // It returns for a signal that does not end a process by default, or that is not known.
        let _ = signal_hook::low_level::emulate_default_handler(signal);
        std::process::exit(128 + signal)
    }
}
