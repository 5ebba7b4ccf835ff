//! Probes of one member: does it reach stations beyond the first cable?
//!
//! The member asks for the hardware address of each target at an interval, by ARP or neighbour
//! solicitation, and counts how many of its requests in a row have seen no sign of life. What a sign
//! of life is, [`Validate`] says. As in Linux's ARP monitor every member answers for itself; unlike
//! there, a backup sends requests of its own instead of listening to those of the active member.
//!
//! ```text
//!   carrier    +------+  carrier up at its first report, or probing begins
//!   down ----> | Idle | ---------------------------------------------+
//!    (from     +------+                                              v
//!     any)        | carrier up again                              +----+
//!                 v                                               | Up |
//!              +------+  N answered requests in a row:            +----+
//!              | Down | ---------------------------------------->    |
//!              +------+  one after a lost carrier, else missed-max   |
//!                 ^                                                  |
//!                 +--------------------------------------------------+
//!                   missed-max requests in a row without an answer, the last of them
//!                   half an interval old
//! ```
//!
//! Counting requests and not time, a driver that was stopped and goes on finds no member silent.

mod config;
mod status;

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use wire::Time;

pub use config::{Evidence, ProbeConfig, Quorum, Role, Validate};
pub use status::{ProbeStatus, TargetStatus};

/// An input of the state machine.
#[derive(Clone, Copy, Debug)]
pub enum Event {
    /// The link state, as before or newly.
    Carrier(bool),
    /// An ARP or neighbour discovery packet was received. `answered_by` = whose answer to a request
    /// of this member it is.
    Neighbour {
        /// A target or another station; `None` = no answer to a request of this member.
        answered_by: Option<IpAddr>,
    },
    /// How many packets the member has received since its device exists.
    Traffic {
        /// A counter that decreases counts as no traffic.
        rx_packets: u64,
    },
    /// The time of [`Session::next_deadline`] has come.
    Deadline,
}

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a request for the address of this target.
    Send(IpAddr),
    /// The member may carry traffic, or may not any more.
    Verdict(bool),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// No carrier, or none reported yet (`trusted`): nothing is sent.
    Idle { trusted: bool },
    /// The member may carry traffic.
    Up,
    /// It may not until `needed` requests in a row are answered; `answered` are. `counted`: the
    /// latest request is one of them.
    Down { answered: u32, needed: u32, counted: bool },
}

/// How often a kind of sign was missed in a row, and when it was last seen.
#[derive(Clone, Copy, Debug, Default)]
struct Signs {
    missed: u32,
    seen: Option<Time>,
}

impl Signs {
    fn see(&mut self, now: Time) {
        *self = Signs { missed: 0, seen: Some(now) };
    }
}

/// The probes of one member.
#[derive(Clone, Debug)]
pub struct Session {
    config: ProbeConfig,
    role: Role,
    state: State,
    next_tx: Time,
    /// When the latest request was sent.
    sent_at: Option<Time>,
    targets: BTreeMap<IpAddr, Signs>,
    neighbours: Signs,
    traffic: Signs,
    rx_packets: Option<u64>,
    requests: u64,
    answers: u64,
    effects: VecDeque<Effect>,
}

impl Session {
    /// A session of a member whose carrier is `carrier`; `None` = not reported yet. A member that
    /// has a carrier may carry traffic until requests stay unanswered.
    pub fn new(now: Time, config: &ProbeConfig, role: Role, carrier: Option<bool>) -> Session {
        let mut session = Session {
            config: ProbeConfig::default(),
            role,
            state: match carrier {
                Some(true) => State::Up,
                Some(false) => State::Idle { trusted: false },
                None => State::Idle { trusted: true },
            },
            next_tx: now,
            sent_at: None,
            targets: BTreeMap::new(),
            neighbours: Signs::default(),
            traffic: Signs::default(),
            rx_packets: None,
            requests: 0,
            answers: 0,
            effects: VecDeque::new(),
        };
        session.configure(now, config);
        session
    }

    /// Takes over a configuration in which probing is on. Targets that stay keep what is known of
    /// them; a member that may carry traffic may do so until the new requests stay unanswered.
    pub fn configure(&mut self, now: Time, config: &ProbeConfig) {
        if self.config == *config {
            return;
        }
        self.config = config.clone();
        let mut old = std::mem::take(&mut self.targets);
        let signs = |target: &IpAddr| (*target, old.remove(target).unwrap_or_default());
        self.targets = config.targets.iter().map(signs).collect();
        self.next_tx = self.next_tx.min(now + config.interval);
        self.forgive();
    }

    /// What the member does in its bond.
    pub fn set_role(&mut self, role: Role) {
        let before = self.evidence();
        self.role = role;
        if self.evidence() != before {
            self.forgive();
        }
    }

    /// Another sign of life counts now: what was missed before is forgotten.
    fn forgive(&mut self) {
        if self.state == State::Up {
            let all = self.targets.values_mut().chain([&mut self.neighbours, &mut self.traffic]);
            all.for_each(|signs| signs.missed = 0);
        }
    }

    /// Handles an event that happened at `now`, and all deadlines up to `now`.
    pub fn handle(&mut self, now: Time, event: Event) {
        match event {
            Event::Carrier(up) => self.carrier(now, up),
            Event::Neighbour { answered_by } => self.neighbour(now, answered_by),
            Event::Traffic { rx_packets } => {
                if self.rx_packets.is_some_and(|before| rx_packets > before) {
                    self.traffic.see(now);
                }
                self.rx_packets = Some(rx_packets);
            }
            Event::Deadline => {}
        }
        self.run(now);
    }

    fn carrier(&mut self, now: Time, up: bool) {
        match (self.state, up) {
            (State::Idle { trusted: true }, true) => {
                self.state = State::Up;
                self.next_tx = now;
            }
            (State::Idle { trusted: false }, true) => {
                self.state = State::Down { answered: 0, needed: 1, counted: false };
                self.next_tx = now;
                // An answer from before the link was down is none to the next request.
                let all =
                    self.targets.values_mut().chain([&mut self.neighbours, &mut self.traffic]);
                all.for_each(|signs| signs.missed = signs.missed.max(1));
            }
            (State::Idle { .. } | State::Up | State::Down { .. }, false) => {
                self.state = State::Idle { trusted: false };
                self.rx_packets = None;
            }
            (State::Up | State::Down { .. }, true) => {}
        }
    }

    fn neighbour(&mut self, now: Time, answered_by: Option<IpAddr>) {
        self.traffic.see(now);
        self.neighbours.see(now);
        if let Some(signs) = answered_by.and_then(|station| self.targets.get_mut(&station)) {
            signs.see(now);
            self.answers += 1;
        }
    }

    fn run(&mut self, now: Time) {
        let missed = self.missed();
        match &mut self.state {
            State::Idle { .. } => return,
            State::Up => {
                if missed >= u32::from(self.config.missed_max)
                    && self.judged_at().is_some_and(|t| t <= now)
                {
                    let needed = self.config.missed_max.into();
                    self.state = State::Down { answered: 0, needed, counted: false };
                    self.effects.push_back(Effect::Verdict(false));
                }
            }
            State::Down { answered, needed, counted } => {
                if missed == 0 && !*counted {
                    (*answered, *counted) = (*answered + 1, true);
                }
                if *answered >= *needed {
                    self.state = State::Up;
                    self.effects.push_back(Effect::Verdict(true));
                }
            }
        }
        if self.next_tx <= now {
            self.request(now, missed);
        }
    }

    /// Sends a request to each target.
    fn request(&mut self, now: Time, missed: u32) {
        if let State::Down { answered, counted, .. } = &mut self.state {
            if missed > 0 {
                *answered = 0;
            }
            *counted = false;
        }
        for signs in self.targets.values_mut().chain([&mut self.neighbours, &mut self.traffic]) {
            signs.missed = signs.missed.saturating_add(1);
        }
        self.requests += 1;
        self.sent_at = Some(now);
        self.effects.extend(self.config.targets.iter().copied().map(Effect::Send));
        // On schedule, or from now if the driver is later than a whole interval.
        let next = self.next_tx + self.config.interval;
        self.next_tx = if next <= now { now + self.config.interval } else { next };
    }

    /// What counts now.
    pub fn evidence(&self) -> Evidence {
        self.config.validate.evidence(self.role)
    }

    /// Requests in a row without a sign of life. With a quorum: of the targets that are needed the
    /// one that has been silent for longest.
    fn missed(&self) -> u32 {
        match self.evidence() {
            Evidence::Traffic => self.traffic.missed,
            Evidence::Neighbours => self.neighbours.missed,
            Evidence::Answers => {
                let mut all: Vec<u32> = self.targets.values().map(|s| s.missed).collect();
                all.sort_unstable();
                all.get(self.config.needed() - 1).copied().unwrap_or(0)
            }
        }
    }

    /// When the latest request counts as unanswered.
    fn judged_at(&self) -> Option<Time> {
        Some(self.sent_at? + self.config.interval / 2)
    }

    /// The next effect; `None` = all have been taken.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call with [`Event::Deadline`] at the latest; `None` = without a carrier.
    pub fn next_deadline(&self) -> Option<Time> {
        match self.state {
            State::Idle { .. } => None,
            State::Down { .. } => Some(self.next_tx),
            State::Up if self.missed() >= u32::from(self.config.missed_max) => {
                self.judged_at().map(|t| t.min(self.next_tx))
            }
            State::Up => Some(self.next_tx),
        }
    }

    /// Whether [`Event::Traffic`] is to come before each [`Event::Deadline`].
    pub fn wants_traffic(&self) -> bool {
        !matches!(self.state, State::Idle { .. }) && self.evidence() == Evidence::Traffic
    }

    /// Whether the member may carry traffic, as far as probes are concerned.
    pub fn up(&self) -> bool {
        self.state == State::Up
    }
}
