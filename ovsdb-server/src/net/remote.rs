//! A remote: a listener with its clients, or a connection that we make.

use std::collections::{BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::time::Duration;

use stream::reconnect::{Reconnect, Rules, Timing};
use stream::{Lookup, Target};
use wire::Time;

/// How often at most an outgoing connection is tried, in milliseconds, when nothing is given.
const MAX_BACKOFF: u64 = 8_000;
/// Milliseconds of silence before a probe, when nothing is given.
const PROBE_INTERVAL: u64 = 5_000;
/// Shortest time between attempts.
pub(super) const MIN_BACKOFF: Duration = Duration::from_secs(1);
/// When a listener that could not be opened is tried again, in milliseconds.
pub(super) const LISTEN_RETRY: u64 = 1_000;

/// Settings of a remote other than its target.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteOptions {
    /// Longest time between attempts to connect, in milliseconds (default: 8000).
    pub max_backoff: Option<u64>,
    /// Milliseconds of silence before a probe, 0 = no probes (default: 5000, without TCP 0).
    pub inactivity_probe: Option<u64>,
    /// Clients may read but not change.
    pub read_only: bool,
}

/// The contents of `Manager.status` and `is_connected`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteStatus {
    /// At least one client is connected.
    pub is_connected: bool,
    /// Keys and values of the column `status`, in order.
    pub status: Vec<(&'static str, String)>,
}

/// How far a remote is.
#[derive(Debug)]
pub(super) enum State {
    /// Clients come to the slot's listener.
    Listening { slot: usize, port: Option<u16>, clients: BTreeSet<usize> },
    /// The listener is not open; it is opened at this time in milliseconds. `problem` says why the
    /// last attempt failed.
    Closed { retry: u64, problem: Option<String> },
    /// We connect.
    Connecting { reconnect: Box<Reconnect>, link: Link },
}

/// What there is of a connection that we make.
#[derive(Debug)]
pub(super) enum Link {
    /// Nothing: it waits before the next attempt.
    None,
    /// The host's name is being resolved, for as long as the system's resolver takes: one thread
    /// for each remote. The slot is reserved for its event.
    Lookup { slot: usize, lookup: Lookup },
    /// A socket, connected or not.
    Open { slot: usize },
}

#[derive(Debug)]
pub(super) struct Remote {
    pub(super) target: Target,
    pub(super) options: RemoteOptions,
    pub(super) state: State,
    /// Addresses of the host's name that were not tried in this attempt.
    pub(super) untried: VecDeque<SocketAddr>,
}

impl Remote {
    /// A remote that is listened at or connected to in the next turn.
    pub(super) fn new(target: Target, options: RemoteOptions, now: u64) -> Remote {
        let state = match target.is_passive() {
            true => State::Closed { retry: 0, problem: None },
            false => {
                let timing = timing(&target, &options);
                let reconnect = Reconnect::active(Time::from_millis(now), Rules::Ovsdb, timing);
                State::Connecting { reconnect: Box::new(reconnect), link: Link::None }
            }
        };
        Remote { target, options, state, untried: VecDeque::new() }
    }

    /// The times of its connections.
    pub(super) fn timing(&self) -> Timing {
        timing(&self.target, &self.options)
    }

    /// Reconnection of an active remote.
    pub(super) fn reconnect(&self) -> Option<&Reconnect> {
        match &self.state {
            State::Connecting { reconnect, .. } => Some(reconnect),
            State::Listening { .. } | State::Closed { .. } => None,
        }
    }

    /// As [`Remote::reconnect`], with what there is of the connection.
    pub(super) fn connecting(&mut self) -> Option<(&mut Reconnect, &mut Link)> {
        match &mut self.state {
            State::Connecting { reconnect, link } => Some((reconnect, link)),
            State::Listening { .. } | State::Closed { .. } => None,
        }
    }

    /// When it is to be listened or connected, in milliseconds; `u64::MAX` = not without an event.
    pub(super) fn deadline(&self) -> u64 {
        match &self.state {
            State::Closed { retry, .. } => *retry,
            State::Connecting { reconnect, link: Link::None } => millis(reconnect.next_deadline()),
            State::Connecting { link: Link::Lookup { .. } | Link::Open { .. }, .. }
            | State::Listening { .. } => u64::MAX,
        }
    }

    /// The slots that it uses.
    pub(super) fn slots(&self) -> Vec<usize> {
        match &self.state {
            State::Listening { slot, clients, .. } => {
                clients.iter().copied().chain([*slot]).collect()
            }
            State::Connecting { link: Link::Lookup { slot, .. } | Link::Open { slot }, .. } => {
                vec![*slot]
            }
            State::Closed { .. } | State::Connecting { link: Link::None, .. } => Vec::new(),
        }
    }
}

/// A deadline in milliseconds; `u64::MAX` = none.
pub(super) fn millis(deadline: Option<Time>) -> u64 {
    deadline.map_or(u64::MAX, Time::as_millis)
}

fn timing(target: &Target, options: &RemoteOptions) -> Timing {
    let default = if target.needs_probes() { PROBE_INTERVAL } else { 0 };
    let probe = match options.inactivity_probe.unwrap_or(default) {
        0 => None,
        // As upstream: shorter ones would be all there is on the wire.
        some => Some(Duration::from_millis(some.max(1_000))),
    };
    Timing {
        min_backoff: MIN_BACKOFF,
        max_backoff: Duration::from_millis(options.max_backoff.unwrap_or(MAX_BACKOFF)),
        resolve: None,
        probe,
    }
}
