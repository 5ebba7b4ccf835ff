//! A remote: a listener with its clients, or a connection that we make.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;

use stream::{Lookup, Target};

/// How often at most an outgoing connection is tried, in milliseconds, when nothing is given.
pub(super) const MAX_BACKOFF: u64 = 8_000;
/// Milliseconds of silence before a probe, when nothing is given.
pub(super) const PROBE_INTERVAL: u64 = 5_000;
/// Shortest time between attempts, in milliseconds.
pub(super) const MIN_BACKOFF: u64 = 1_000;
/// When a listener that could not be opened is tried again, in milliseconds.
pub(super) const LISTEN_RETRY: u64 = 1_000;

/// What may be said about a remote besides where it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteOptions {
    /// Longest time between attempts to connect, in milliseconds (default: 8000).
    pub max_backoff: Option<u64>,
    /// Milliseconds of silence before a probe, 0 = no probes (default: 5000, without TCP 0).
    pub inactivity_probe: Option<u64>,
    /// Clients may look but not change.
    pub read_only: bool,
}

/// What `Manager.status` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteStatus {
    /// A client is there.
    pub is_connected: bool,
    /// Keys and values of the column `status`, in order.
    pub status: Vec<(&'static str, String)>,
}

/// How far a remote is.
#[derive(Debug)]
pub(super) enum State {
    /// Clients come to the slot's listener.
    Listening {
        slot: usize,
        port: Option<u16>,
        clients: BTreeSet<usize>,
    },
    /// The listener could not be opened.
    Failed {
        retry: u64,
    },
    /// Waits before the next attempt to connect.
    Backoff {
        until: u64,
    },
    /// The host's name is being resolved, for as long as the system's resolver takes: one thread
    /// for each remote. The slot is reserved for its event.
    Resolving {
        slot: usize,
        lookup: Lookup,
    },
    /// An attempt is under way.
    Connecting {
        slot: usize,
        until: u64,
    },
    Connected {
        slot: usize,
    },
}

/// What an outgoing connection remembers of those before it.
#[derive(Debug, Default)]
pub(super) struct Past {
    /// Milliseconds to wait before the next attempt.
    pub(super) backoff: u64,
    pub(super) connected: Option<u64>,
    pub(super) disconnected: Option<u64>,
    pub(super) error: Option<String>,
}

#[derive(Debug)]
pub(super) struct Remote {
    pub(super) target: Target,
    pub(super) options: RemoteOptions,
    pub(super) state: State,
    pub(super) past: Past,
    /// Addresses of the host's name that were not tried in this attempt.
    pub(super) untried: VecDeque<SocketAddr>,
}

impl Remote {
    /// Milliseconds between probes; 0 = none.
    pub(super) fn probe_interval(&self) -> u64 {
        let default = if self.target.needs_probes() { PROBE_INTERVAL } else { 0 };
        match self.options.inactivity_probe.unwrap_or(default) {
            0 => 0,
            // As upstream: shorter ones would be all there is on the wire.
            some => some.max(1_000),
        }
    }

    /// When something is to be done without an event; `u64::MAX` = never.
    pub(super) fn deadline(&self) -> u64 {
        match self.state {
            State::Listening { .. } | State::Resolving { .. } | State::Connected { .. } => u64::MAX,
            State::Failed { retry } => retry,
            State::Backoff { until } | State::Connecting { until, .. } => until,
        }
    }

    /// The slots that it uses.
    pub(super) fn slots(&self) -> Vec<usize> {
        match &self.state {
            State::Listening { slot, clients, .. } => {
                clients.iter().copied().chain([*slot]).collect()
            }
            State::Resolving { slot, .. }
            | State::Connecting { slot, .. }
            | State::Connected { slot } => vec![*slot],
            State::Failed { .. } | State::Backoff { .. } => Vec::new(),
        }
    }

    /// The wait before the next attempt, which doubles each time.
    pub(super) fn next_backoff(&mut self) -> u64 {
        let max = self.options.max_backoff.unwrap_or(MAX_BACKOFF).max(MIN_BACKOFF);
        self.past.backoff = match self.past.backoff {
            0 => MIN_BACKOFF,
            last => last.saturating_mul(2).min(max),
        };
        self.past.backoff
    }
}
