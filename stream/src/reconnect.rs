//! When to connect, when to probe the peer, when to give up.
//!
//! ```text
//!               Connect due                  connected
//!   ┌─────────┐ ──────────▶ ┌────────────┐ ───────────▶ ┌────────┐ silence: Probe ┌──────┐
//!   │ Backoff │ ┌─────────┐ │ Connecting │              │ Active │ ─────────────▶ │ Idle │
//!   └─────────┘▶│Resolving│▶└────────────┘              └────────┘ ◀───────────── └──────┘
//!        ▲      └─────────┘       ▲                          │        a message      │
//!        └────────────────────────┼────────── closed ────────┴──────── NoAnswer ─────┘
//!                                 │
//!          accepted (and when closed: Gone), or from Listening
//! ```
//!
//! The times are Open vSwitch's: the wait begins with `min_backoff`, doubles to `max_backoff`, and
//! begins anew after a connection that lasted. [`Rules`] say what counts as that.

use std::time::Duration;

use wire::Time;

/// Times of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timing {
    /// The shortest wait between two attempts to connect, and the shortest time that an attempt is
    /// given.
    pub min_backoff: Duration,
    /// The longest wait between two attempts to connect. A value below `min_backoff` counts as
    /// `min_backoff`.
    pub max_backoff: Duration,
    /// The longest time that [`State::Resolving`] lasts; `None`: as long as the resolver takes.
    pub resolve: Option<Duration>,
    /// Silence before a probe is sent; `None`: none is sent.
    pub probe: Option<Duration>,
}

/// How waits grow. Open vSwitch has two implementations, which differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rules {
    /// Connections to OpenFlow controllers. The wait begins anew if the socket was closed, or could
    /// not be connected, later than one wait after the attempt began.
    OpenFlow,
    /// OVSDB sessions. The wait begins anew if messages came for at least one wait. A failed attempt
    /// is no connection that ended. [`Reconnect::set_round`] attempts follow each other without a
    /// wait.
    Ovsdb,
}

/// A connection that lasted this long was admitted by the peer.
const ADMITTED_AFTER: Duration = Duration::from_secs(30);

/// Where a connection is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Waiting before the next attempt.
    Backoff,
    /// Waiting for the peer to connect.
    Listening,
    /// The peer's name is being resolved.
    Resolving,
    /// The socket is being connected, or versions are being agreed on.
    Connecting,
    /// The connection stands.
    Active,
    /// The peer was silent and a probe was sent.
    Idle,
    /// An accepted connection that is over.
    Gone,
}

impl State {
    /// The name in the database, for example in `Controller.status:state`.
    pub const fn name(self) -> &'static str {
        match self {
            State::Backoff => "BACKOFF",
            State::Listening => "LISTENING",
            State::Resolving | State::Connecting => "CONNECTING",
            State::Active => "ACTIVE",
            State::Idle => "IDLE",
            State::Gone => "DISCONNECTED",
        }
    }
}

/// What is to be done now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Open a socket and call [`Reconnect::opening`]; or [`Reconnect::resolving`] or
    /// [`Reconnect::listening`] first.
    Connect,
    /// Close the socket: resolving or connecting took too long. Then call [`Reconnect::closed`].
    TimedOut,
    /// Send a probe: the peer was silent for this long.
    Probe(Duration),
    /// Close the socket: the probe was not answered for this long. Then call [`Reconnect::closed`].
    NoAnswer(Duration),
}

/// What follows the end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Another attempt at once.
    AtOnce,
    /// Another attempt after `min_backoff`, not logged.
    Soon,
    /// Another attempt after this time, longer than the last.
    Later(Duration),
    /// The longest wait is reached: from here on attempts are not logged.
    Quietly,
    /// Another attempt after the longest wait, not logged.
    AsBefore,
    /// The connection was accepted: there is no other attempt.
    Gone,
}

/// The reconnection of one peer; see the [module](self).
#[derive(Clone, Debug)]
pub struct Reconnect {
    timing: Timing,
    rules: Rules,
    /// The connection is made again when it ends.
    reliable: bool,
    state: State,
    /// When `state` was entered.
    since: Time,
    backoff: Duration,
    /// How long the last [`State::Backoff`] lasts: `backoff`, or zero within a round.
    wait: Duration,
    /// Attempts in a round, after which there is a wait; at least 1.
    round: u32,
    /// Attempts that are left in this round.
    left: u32,
    /// [`Rules::OpenFlow`]: a connection that ends after this time begins the waits anew.
    good_after: Time,
    connected: Option<Time>,
    disconnected: Option<Time>,
    error: Option<String>,
    active: Time,
    probably_admitted: bool,
    admitted: Time,
}

impl Reconnect {
    /// For a peer to connect to; the first [`Due::Connect`] is due at once.
    pub fn active(now: Time, rules: Rules, timing: Timing) -> Reconnect {
        Reconnect::new(now, rules, timing, true)
    }

    /// For a connection that was accepted: [`State::Connecting`] until [`Reconnect::connected`] is
    /// called, for OpenFlow when versions are agreed on.
    pub fn accepted(now: Time, rules: Rules, timing: Timing) -> Reconnect {
        Reconnect { state: State::Connecting, ..Reconnect::new(now, rules, timing, false) }
    }

    fn new(now: Time, rules: Rules, timing: Timing, reliable: bool) -> Reconnect {
        Reconnect {
            timing,
            rules,
            reliable,
            state: State::Backoff,
            since: now,
            backoff: Duration::ZERO,
            wait: Duration::ZERO,
            round: 1,
            left: 1,
            good_after: Time::ZERO,
            connected: None,
            disconnected: None,
            error: None,
            active: now,
            probably_admitted: false,
            admitted: now,
        }
    }

    /// Sets the times; a wait that is longer than the new limit is shortened.
    pub fn set_timing(&mut self, timing: Timing) {
        self.timing = timing;
        if self.state == State::Backoff {
            self.backoff = self.backoff.min(timing.max_backoff);
            self.wait = self.wait.min(timing.max_backoff);
        }
    }

    /// Sets how many attempts follow each other without a wait, at least 1: the number of servers,
    /// so that each is tried before there is a wait. [`Rules::Ovsdb`] only. The default is 1.
    pub fn set_round(&mut self, attempts: u32) {
        self.round = attempts.max(1);
        self.left = self.round;
    }

    fn enter(&mut self, now: Time, state: State) {
        self.state = state;
        self.since = now;
    }

    /// How long `state` may last without an event.
    fn limit(&self) -> Option<Duration> {
        match self.state {
            State::Backoff => Some(self.wait),
            State::Resolving => self.timing.resolve,
            State::Connecting => Some(self.backoff.max(self.timing.min_backoff)),
            State::Active => {
                let probe = self.timing.probe?;
                Some(self.since.until(self.active.max(self.since)) + probe)
            }
            State::Idle => self.timing.probe,
            State::Listening | State::Gone => None,
        }
    }

    /// When [`Reconnect::poll`] is due without another event.
    pub fn next_deadline(&self) -> Option<Time> {
        Some(self.since + self.limit()?)
    }

    /// What is due. To be called until it returns `None`.
    pub fn poll(&mut self, now: Time) -> Option<Due> {
        if now < self.next_deadline()? {
            return None;
        }
        match self.state {
            State::Backoff => Some(Due::Connect),
            State::Resolving | State::Connecting => Some(Due::TimedOut),
            State::Active => {
                let silent = now.since(self.active.max(self.since));
                self.enter(now, State::Idle);
                Some(Due::Probe(silent))
            }
            State::Idle => Some(Due::NoAnswer(now.since(self.since))),
            State::Listening | State::Gone => None,
        }
    }

    /// The peer's name is being resolved.
    pub fn resolving(&mut self, now: Time) {
        self.enter(now, State::Resolving);
    }

    /// A listening socket is open, and it is the peer that connects. Waits begin anew.
    pub fn listening(&mut self, now: Time) {
        self.backoff = Duration::ZERO;
        self.wait = Duration::ZERO;
        self.left = self.round;
        self.enter(now, State::Listening);
    }

    /// A socket is being connected, to the peer's first address or, after a failure, to the next.
    pub fn opening(&mut self, now: Time) {
        self.good_after = now + self.backoff;
        self.enter(now, State::Connecting);
    }

    /// The socket is connected and, for OpenFlow, a version is agreed on.
    pub fn connected(&mut self, now: Time) {
        self.probably_admitted = false;
        self.connected = Some(now);
        self.enter(now, State::Active);
    }

    /// A message, or a part of one, was received; `admits` if it is one that a controller sends only
    /// to a switch that it has admitted.
    pub fn received(&mut self, now: Time, admits: bool) {
        let lasted = self.connected.is_some_and(|t| now.since(t) >= ADMITTED_AFTER);
        if self.probably_admitted || admits || lasted {
            self.probably_admitted = true;
            self.admitted = now;
        }
        self.active = now;
        if self.state == State::Idle {
            self.enter(now, State::Active);
        }
    }

    /// The socket took a message that had to wait for it. For [`Rules::OpenFlow`].
    pub fn sent(&mut self, now: Time) {
        self.active = now;
    }

    /// The connection has ended, or could not be made. `error` is `None` if that was requested.
    /// With [`Rules::OpenFlow`], a connection that `timed_out` does not shorten the wait however long
    /// it took.
    pub fn closed(&mut self, now: Time, error: Option<String>, timed_out: bool) -> Next {
        self.error = error;
        let ended = match (self.state, self.rules) {
            (State::Active | State::Idle, _) => true,
            (State::Connecting, Rules::OpenFlow) => true,
            (State::Connecting, Rules::Ovsdb) => false,
            (State::Backoff | State::Listening | State::Resolving | State::Gone, _) => false,
        };
        if ended || !self.reliable {
            self.disconnected = Some(now);
        }
        if !self.reliable {
            self.enter(now, State::Gone);
            return Next::Gone;
        }
        let next = match self.rules {
            Rules::OpenFlow if !timed_out && now >= self.good_after => {
                self.backoff = self.timing.min_backoff;
                Next::Soon
            }
            Rules::OpenFlow => self.back_off(),
            Rules::Ovsdb => {
                if self.has_lasted() {
                    self.backoff = Duration::ZERO;
                    self.left = self.round;
                }
                self.left -= 1;
                match self.left {
                    0 => {
                        self.left = self.round;
                        self.back_off()
                    }
                    _ => Next::AtOnce,
                }
            }
        };
        self.wait = if next == Next::AtOnce { Duration::ZERO } else { self.backoff };
        self.good_after = now + self.wait;
        self.enter(now, State::Backoff);
        next
    }

    /// [`Rules::Ovsdb`]: messages came for at least one wait. A server that closes each connection at
    /// once must not be asked again at once, hence at least `min_backoff`.
    fn has_lasted(&self) -> bool {
        let wait = self.backoff.max(self.timing.min_backoff);
        self.is_connected() && self.connected.is_some_and(|t| self.active.since(t) >= wait)
    }

    /// Doubles the wait up to the longest.
    fn back_off(&mut self) -> Next {
        let max = self.timing.max_backoff.max(self.timing.min_backoff);
        if self.backoff < max / 2 {
            self.backoff = (2 * self.backoff).max(self.timing.min_backoff);
            return Next::Later(self.backoff);
        }
        let loud = self.is_loud();
        self.backoff = max;
        if loud { Next::Quietly } else { Next::AsBefore }
    }

    /// How long the last wait before an attempt was or is; zero within a round of attempts.
    pub fn wait(&self) -> Duration {
        self.wait
    }

    /// Time since the last message, or since the connection was made.
    pub fn silent_for(&self, now: Time) -> Duration {
        now.since(self.active.max(self.connected.unwrap_or(Time::ZERO)))
    }

    /// Attempts are to be logged.
    pub fn is_loud(&self) -> bool {
        self.backoff < self.timing.max_backoff
    }

    /// Where the connection is.
    pub fn state(&self) -> State {
        self.state
    }

    /// The connection stands.
    pub fn is_connected(&self) -> bool {
        matches!(self.state, State::Active | State::Idle)
    }

    /// Connected, and the peer has probably admitted us.
    pub fn is_admitted(&self) -> bool {
        self.is_connected() && self.connected.is_some_and(|t| self.admitted >= t)
    }

    /// How long there has been no admitted connection; 0 while there is one.
    pub fn failing_for(&self, now: Time) -> Duration {
        if self.is_admitted() { Duration::ZERO } else { now.since(self.admitted) }
    }

    /// When the last connection was made.
    pub fn last_connected(&self) -> Option<Time> {
        self.connected
    }

    /// When the last connection or attempt ended.
    pub fn last_disconnected(&self) -> Option<Time> {
        self.disconnected
    }

    /// Why the last connection ended, or could not be made.
    pub fn last_error(&self) -> Option<&str> {
        self.error.as_deref()
    }
}

#[cfg(test)]
mod tests;
