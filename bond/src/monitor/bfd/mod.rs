//! BFD in asynchronous mode (RFC 5880, RFC 5881), as Open vSwitch's `Interface.bfd` configures it.
//!
//! One [`Session`] monitors one link. It is driven like a [`crate::Bond`]: handle an event, drain
//! the effects, call again at the deadline. The driver puts each payload into a frame
//! ([`wire::bfd::Path`]) and takes received payloads out of theirs ([`wire::bfd::receive`]).

mod status;
mod traffic;

use std::collections::VecDeque;
use std::time::Duration;

use wire::Time;

use crate::millis::millis;
use crate::notice::{Level, Notice, Topic};
use traffic::Traffic;
use wire::bfd::{self as packet, Diag, Packet, State};

pub use status::{BfdColumn, BfdStatus};

/// Minimum transmission interval while a session is not up, in ms (RFC 5880 section 6.8.3).
const MIN_TX_DOWN: u64 = 1000;

/// `Interface.bfd`, checked and with defaults filled in. Intervals count in whole milliseconds, at
/// least 1 ms.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `Interface.name`.
    pub name: String,
    /// `min_tx`, by default 100 ms.
    pub min_tx: Duration,
    /// `min_rx`, by default 1 s.
    pub min_rx: Duration,
    /// `mult`, 1 to 255, by default 3.
    pub mult: u8,
    /// `cpath_down`: send the diagnostic "concatenated path down", so that the remote does not use
    /// the link.
    pub cpath_down: bool,
    /// `forwarding_if_rx`: received traffic keeps the link forwarding without control packets, for
    /// at most 100 `min_rx`.
    pub forwarding_if_rx: bool,
    /// `decay_min_rx`: replaces `min_rx` while the link is idle; ignored if 0 or below `min_rx`.
    pub decay_min_rx: Duration,
}

impl Config {
    /// Open vSwitch's defaults.
    pub fn new(name: &str) -> Config {
        Config {
            name: name.to_owned(),
            min_tx: Duration::from_millis(100),
            min_rx: Duration::from_millis(1000),
            mult: 3,
            cpath_down: false,
            forwarding_if_rx: false,
            decay_min_rx: Duration::ZERO,
        }
    }

    fn decays(&self) -> bool {
        !self.decay_min_rx.is_zero() && self.decay_min_rx >= self.min_rx
    }

    fn min_tx_ms(&self) -> u64 {
        millis(self.min_tx).max(1)
    }

    fn min_rx_ms(&self) -> u64 {
        millis(self.min_rx).max(1)
    }

    fn decay_min_rx_ms(&self) -> u64 {
        millis(self.decay_min_rx)
    }
}

/// An input of the session.
#[derive(Clone, Debug)]
pub enum Event {
    /// New configuration.
    Configure(Box<Config>),
    /// A datagram to port 3784 was received.
    Packet {
        /// The payload of the datagram, not validated.
        payload: Vec<u8>,
        /// Its IP time to live; other values than 255 are discarded.
        ttl: u8,
    },
    /// The link's packet counter. While [`Session::wants_traffic`], the driver sends it before
    /// [`Event::Deadline`] and [`Event::Configure`].
    Traffic {
        /// Packets received by the device since it was created.
        rx_packets: u64,
    },
    /// `bfd/set-forwarding`: overrides the result of the session; `None` = no override.
    Override(Option<bool>),
    /// The time of [`Session::next_deadline`] has come.
    Deadline,
}

/// An action for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a control packet with this UDP payload.
    Send(Vec<u8>),
    /// Whether the link may carry traffic: a bond's [`crate::Event::Monitor`].
    Forwarding(bool),
    /// Write a line to the log.
    Notice(Notice),
}

/// The state, and the diagnostic if it changes, after a packet whose sender is in state `remote`
/// (RFC 5880 sections 6.2 and 6.8.6). Expiry of the detection time leads from Init and Up to Down.
///
/// ```text
///                              +--+
///                              |  | remote up
///                              |  V
///                      remote +------+  remote init
///                 +-----------| Down |-------------+
///                 |      down +------+             |
///                 V            ^    ^              V
///             +------+  expiry |    |expiry,   +------+
///        +----| Init |---------+    +----------|  Up  |----+
///  remote|    +------+ remote       remote     +------+    |remote
///    down+---> |       admin down    (admin) down   ^ <----+ init, up
///              +------------------------------------+
///                        remote init, up
/// ```
pub fn next_state(state: State, remote: State) -> (State, Option<Diag>) {
    match (state, remote) {
        (State::AdminDown, State::AdminDown | State::Down | State::Init | State::Up) => {
            (State::AdminDown, None)
        }
        (State::Down, State::Down) => (State::Init, None),
        (State::Down, State::Init) => (State::Up, None),
        (State::Down, State::Up | State::AdminDown) => (State::Down, None),
        (State::Init, State::Init | State::Up) => (State::Up, None),
        (State::Init, State::Down) => (State::Init, None),
        (State::Up, State::Init | State::Up) => (State::Up, None),
        (State::Init, State::AdminDown) | (State::Up, State::Down | State::AdminDown) => {
            (State::Down, Some(Diag::REMOTE_DOWN))
        }
    }
}

/// The content of the last received packet.
#[derive(Clone, Copy, Debug)]
struct Remote {
    state: State,
    diag: Diag,
    flags: u8,
    discriminator: u32,
    min_tx: u64,
    min_rx: u64,
}

impl Remote {
    const UNKNOWN: Remote = Remote {
        state: State::Down,
        diag: Diag::NONE,
        flags: 0,
        discriminator: 0,
        min_tx: 0,
        min_rx: 1,
    };
}

/// One BFD session.
#[derive(Debug)]
pub struct Session {
    config: Config,
    /// bfd.LocalDiscr.
    discriminator: u32,
    state: State,
    diag: Diag,
    remote: Remote,
    /// Kept while the session is down.
    remote_mult: u8,
    /// Intervals in force, in milliseconds.
    min_tx: u64,
    min_rx: u64,
    /// A poll sequence runs, for these intervals (min_tx, min_rx).
    poll: Option<(u64, u64)>,
    last_tx: Option<Time>,
    next_tx: Time,
    /// When the detection time expires; applies in states Init and Up.
    detect: Option<Time>,
    /// Whether the link may carry traffic, without an override.
    forwarding: bool,
    forced: Option<bool>,
    /// The last [`Effect::Forwarding`].
    last_reported: bool,
    flaps: u64,
    /// Discarded control packets.
    discarded: u64,
    traffic: Traffic,
    jitter: u64,
    effects: VecDeque<Effect>,
}

impl Session {
    /// A session that is down and sends its first packet at once.
    ///
    /// `discriminator` is unique in the system and not 0. `jitter` is a seed, different for each
    /// session, so that sessions do not send at the same times.
    pub fn new(now: Time, config: Config, discriminator: u32, jitter: u64) -> Session {
        let mut session = Session {
            state: State::Down,
            diag: if config.cpath_down { Diag::CPATH_DOWN } else { Diag::NONE },
            remote: Remote::UNKNOWN,
            remote_mult: 0,
            min_tx: config.min_tx_ms(),
            min_rx: config.min_rx_ms(),
            poll: None,
            last_tx: None,
            next_tx: now,
            detect: None,
            forwarding: false,
            forced: None,
            last_reported: false,
            flaps: 0,
            discarded: 0,
            traffic: Traffic::new(now),
            jitter,
            discriminator,
            config,
            effects: VecDeque::new(),
        };
        session.run(now, false);
        session
    }

    /// Handles an event that happened at `now`, and what is due by `now`.
    pub fn handle(&mut self, now: Time, event: Event) {
        let answer = match event {
            Event::Configure(config) => {
                self.configure(now, *config);
                false
            }
            Event::Packet { payload, ttl } => {
                self.traffic.control_packet();
                // First what has changed by time alone.
                self.update_forwarding(now);
                if ttl == packet::TTL {
                    self.receive(now, &payload)
                } else {
                    // The sender may be more than one hop away (RFC 5881 section 5).
                    self.discarded += 1;
                    false
                }
            }
            Event::Traffic { rx_packets } => {
                let more = self.traffic.count(now, rx_packets);
                if more && self.config.forwarding_if_rx {
                    self.update_forwarding(now);
                    self.received(now);
                }
                false
            }
            Event::Override(forced) => {
                self.forced = forced;
                false
            }
            Event::Deadline => false,
        };
        self.run(now, answer);
    }

    /// The next effect, in the order of execution; `None` = all have been taken.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call with [`Event::Deadline`] at the latest.
    pub fn next_deadline(&self) -> Time {
        let session = match self.state {
            State::Init | State::Up => self.detect,
            State::AdminDown | State::Down => None,
        };
        let decay = self.traffic.decay_check().filter(|_| self.decaying());
        let sample = self.wants_traffic().then_some(self.traffic.next_sample);
        // The link is forwarding because of received traffic: when that expires.
        let expiry = match self.state {
            State::AdminDown | State::Down | State::Init
                if self.forwarding && self.forced.is_none() =>
            {
                self.traffic.usable_until()
            }
            State::AdminDown | State::Down | State::Init | State::Up => None,
        };
        let others = [session, decay, sample, expiry];
        others.into_iter().flatten().fold(self.next_tx, Time::min)
    }

    /// The link may carry traffic.
    pub fn forwarding(&self) -> bool {
        self.forced.unwrap_or(self.forwarding)
    }

    /// Whether the session uses [`Event::Traffic`].
    pub fn wants_traffic(&self) -> bool {
        self.config.forwarding_if_rx || self.config.decays()
    }

    fn decaying(&self) -> bool {
        self.state == State::Up && self.config.decays()
    }

    /// The minimum receive interval according to the configuration and the decay.
    fn wanted_min_rx(&self) -> u64 {
        if self.traffic.decayed { self.config.decay_min_rx_ms() } else { self.config.min_rx_ms() }
    }

    /// Traffic was received: it keeps the link forwarding for one detection time.
    fn received(&mut self, now: Time) {
        let silence = self.rx_interval().saturating_mul(u64::from(self.config.mult));
        self.traffic.received(now, silence);
    }

    fn configure(&mut self, now: Time, config: Config) {
        let old = std::mem::replace(&mut self.config, config);
        let (tx, rx) = (self.config.min_tx_ms(), self.config.min_rx_ms());
        let rates = (old.min_tx, old.min_rx) != (self.config.min_tx, self.config.min_rx);
        let decay =
            (old.min_rx, old.decay_min_rx) != (self.config.min_rx, self.config.decay_min_rx);
        if decay {
            self.traffic.start_window(now, self.config.decay_min_rx_ms());
            self.traffic.decayed = false;
        }
        // While the session is up, a longer transmission or a shorter receive interval needs a poll
        // sequence first (RFC 5880 section 6.8.3).
        let free = self.state != State::Up;
        if free || (self.poll.is_none() && tx < self.min_tx) {
            self.min_tx = tx;
        }
        if free || (self.poll.is_none() && rx > self.min_rx) {
            self.min_rx = rx;
        }
        let path = old.cpath_down != self.config.cpath_down;
        if path {
            self.set_state(now, self.state, Diag::NONE);
        }
        if self.config.forwarding_if_rx {
            let fresh = !old.forwarding_if_rx || old.mult != self.config.mult;
            if fresh && self.state == State::Up {
                self.received(now);
            }
        } else {
            self.traffic.clear_received();
        }
        if rates || decay || path {
            self.start_poll(now);
        }
    }

    fn start_poll(&mut self, now: Time) {
        if self.state > State::Down && self.poll.is_none() {
            self.poll = Some((self.config.min_tx_ms(), self.wanted_min_rx()));
            self.next_tx = now;
            self.log(Level::Info, format!("{}: Initiating poll sequence", self.config.name));
        }
    }

    /// Handles a control packet. True if it has the Poll bit, so that an answer is due.
    fn receive(&mut self, now: Time, payload: &[u8]) -> bool {
        let packet = match Packet::parse(payload) {
            Ok(packet) => packet,
            Err(error) => {
                self.discarded += 1;
                let name = &self.config.name;
                self.log(Level::Warn, format!("{name}: BFD control message discarded: {error}"));
                return false;
            }
        };
        if packet.your_discriminator != 0 && packet.your_discriminator != self.discriminator {
            self.discarded += 1;
            self.log(Level::Warn, format!("{}: Incorrect your_disc", self.config.name));
            return false;
        }
        let ms = |us: u32| u64::from(us / 1000).max(1);
        let slower = ms(packet.min_rx) != self.remote.min_rx;
        self.remote = Remote {
            state: packet.state,
            diag: packet.diag,
            flags: packet.flags,
            discriminator: packet.my_discriminator,
            min_tx: ms(packet.min_tx),
            min_rx: ms(packet.min_rx),
        };
        if self.remote_mult != packet.mult {
            let (name, old, new) = (&self.config.name, self.remote_mult, packet.mult);
            let text = format!("Interface {name} remote mult value {old} changed to {new}");
            self.log(Level::Info, text);
            self.remote_mult = packet.mult;
        }
        if packet.fin
            && let Some((tx, rx)) = self.poll.take()
        {
            (self.min_tx, self.min_rx) = (tx, rx);
        }
        if packet.poll {
            // A packet must not have both the Poll and the Final bit: our poll is repeated later.
            self.poll = None;
        }
        if slower && let Some(last) = self.last_tx {
            self.next_tx = last + self.jittered();
        }
        let silence = self.rx_interval().saturating_mul(u64::from(self.remote_mult));
        self.detect = Some(now + Duration::from_millis(silence));
        let (state, diag) = next_state(self.state, packet.state);
        self.set_state(now, state, diag.unwrap_or(self.diag));
        if self.config.forwarding_if_rx {
            self.traffic.control_received(now, self.config.min_rx_ms());
        }
        packet.poll
    }

    /// Expires what is due by `now`, then sends what is due.
    fn run(&mut self, now: Time, answer: bool) {
        if self.state > State::Down && self.detect.is_some_and(|t| t <= now) {
            self.set_state(now, State::Down, Diag::EXPIRED);
        }
        self.update_forwarding(now);
        self.traffic.skip_overdue_sample(now);
        if self.decaying() && self.traffic.decay_check().is_none_or(|t| t <= now) {
            self.traffic.evaluate_window(now, self.config.decay_min_rx_ms());
        }
        let agreed = (self.min_tx, self.min_rx) == (self.config.min_tx_ms(), self.wanted_min_rx());
        if !agreed && !answer {
            self.start_poll(now);
        }
        if self.forwarding() != self.last_reported {
            self.last_reported = self.forwarding();
            self.effects.push_front(Effect::Forwarding(self.last_reported));
        }
        if answer || self.next_tx <= now {
            self.send(now, answer);
        }
    }

    fn update_forwarding(&mut self, now: Time) {
        let heard = self.config.forwarding_if_rx
            && self.traffic.usable_until().is_some_and(|until| until > now);
        let forwarding = (self.state == State::Up || heard) && !self.remote.diag.path_is_down();
        // Changes during an override do not count as flaps.
        if self.forced.is_none() && forwarding != self.forwarding {
            self.forwarding = forwarding;
            self.flaps += 1;
        }
    }

    fn send(&mut self, now: Time, fin: bool) {
        self.log_late_packet(now);
        let (tx, rx) = self.poll.unwrap_or((self.effective_min_tx(), self.min_rx));
        let us = |ms: u64| u32::try_from(ms.saturating_mul(1000)).unwrap_or(u32::MAX);
        let poll = self.poll.is_some();
        let packet = Packet {
            state: self.state,
            diag: self.diag,
            poll,
            fin,
            flags: packet::flags_of(poll, fin),
            mult: self.config.mult.max(1),
            my_discriminator: self.discriminator,
            your_discriminator: self.remote.discriminator,
            min_tx: us(tx),
            min_rx: us(rx),
        };
        self.effects.push_back(Effect::Send(packet.emit()));
        self.last_tx = Some(now);
        self.next_tx = now + self.jittered();
    }

    fn log_late_packet(&mut self, now: Time) {
        let (delay, expected) = (now.since(self.next_tx).as_millis(), self.tx_interval());
        if self.last_tx.is_some() && delay > u128::from(expected) * 3 / 2 {
            let name = &self.config.name;
            let text = format!(
                "{name}: long delay of {delay}ms (expected {expected}ms) sending BFD control message"
            );
            self.log(Level::Info, text);
        }
    }

    fn effective_min_tx(&self) -> u64 {
        match self.state {
            State::Up => self.min_tx,
            State::AdminDown | State::Down | State::Init => self.min_tx.max(MIN_TX_DOWN),
        }
    }

    /// The transmission interval in use, in ms.
    fn tx_interval(&self) -> u64 {
        self.effective_min_tx().max(self.remote.min_rx)
    }

    /// The interval at which packets are expected, in ms.
    fn rx_interval(&self) -> u64 {
        self.min_rx.max(self.remote.min_tx)
    }

    /// The transmission interval, shortened at random by up to 25 %, or by 10 to 25 % with a
    /// multiplier of 1
    /// (RFC 5880 section 6.8.7).
    fn jittered(&mut self) -> Duration {
        self.jitter =
            self.jitter.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        let random = self.jitter >> 33;
        let percent = if self.config.mult <= 1 { 10 + random % 16 } else { random % 26 };
        let micros = self.tx_interval().saturating_mul(10).saturating_mul(100 - percent);
        Duration::from_micros(micros)
    }

    fn set_state(&mut self, now: Time, state: State, diag: Diag) {
        let diag = if self.config.cpath_down { Diag::CPATH_DOWN } else { diag };
        if (state, diag) == (self.state, self.diag) {
            return;
        }
        self.log(
            Level::Info,
            format!(
                "{}: BFD state change: (bfd.SessionState: {}, bfd.LocalDiag: \"{}\") -> \
                 (bfd.SessionState: {}, bfd.LocalDiag: \"{}\")",
                self.config.name,
                self.state.as_str(),
                self.diag.as_str(),
                state.as_str(),
                diag.as_str()
            ),
        );
        (self.state, self.diag) = (state, diag);
        match state {
            State::AdminDown | State::Down => {
                self.remote = Remote::UNKNOWN;
                self.poll = None;
                self.min_tx = self.config.min_tx_ms();
                self.min_rx = self.config.min_rx_ms();
                self.traffic.decayed = false;
            }
            State::Up => self.traffic.start_window(now, self.config.decay_min_rx_ms()),
            State::Init => {}
        }
    }

    fn log(&mut self, level: Level, text: String) {
        self.effects.push_back(Effect::Notice(Notice {
            module: "bfd",
            topic: Topic::Monitor,
            level,
            member: None,
            text,
        }));
    }
}
