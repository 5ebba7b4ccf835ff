//! Continuity checks (IEEE 802.1ag), as Open vSwitch's `Interface.cfm_mpid` configures them.
//!
//! One [`Session`] is the maintenance point of one link. It sends a message each interval, and
//! looks every three and a half intervals at whom it has heard. The contract is that of
//! [`crate::Bond`]: handle an event, drain the effects, come back at the deadline.
//!
//! | file | what |
//! |---|---|
//! | `mod` | configuration, events, effects; sending |
//! | `check` | what arrives, and the look at whom was heard: faults, health |
//! | `status` | `cfm/show` and the `cfm_*` columns |

mod check;
mod fault;
mod remote;
mod status;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use wire::ccm::{self, Ccm};
use wire::{EthAddr, Time};

use crate::notice::{Level, Notice, Topic};
use remote::RemotePoint;

pub use fault::Faults;
pub use status::{CfmColumns, CfmStatus, RemoteStatus};

/// The intervals that have a code, in ms (table 21-16): code 1 first.
const CODED_MS: [u64; 7] = [3, 10, 100, 1000, 10_000, 60_000, 600_000];

/// The largest identifier outside of extended mode (clause 14.2.1.2).
pub const MAX_MPID: u64 = 8191;

/// In which VLAN messages go out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CcmVlan {
    /// Untagged, but for a priority.
    #[default]
    None,
    /// 1 to 4095.
    Id(u16),
    /// Another one for each message.
    Random,
}

/// `Interface.cfm_mpid` and the `cfm_*` keys, checked and with defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `Interface.name`.
    pub name: String,
    /// At least 1; outside of extended mode at most [`MAX_MPID`].
    pub mpid: u64,
    /// `cfm_interval` in ms, by default 1000. Outside of extended mode the next shorter one of
    /// those that have a code is used; in it at most 65,535.
    pub interval: u64,
    /// `cfm_extended`: Open vSwitch's own address, any interval, 64-bit identifiers.
    pub extended: bool,
    /// `cfm_demand`: in extended mode, received traffic counts as continuity checks, but for 100
    /// intervals at the most.
    pub demand: bool,
    /// `cfm_opstate`: tells the other end whether to use the link; in extended mode.
    pub opup: bool,
    /// `cfm_ccm_vlan`.
    pub vlan: CcmVlan,
    /// `cfm_ccm_pcp`, 0 to 7.
    pub pcp: u8,
}

impl Config {
    /// Open vSwitch's defaults.
    pub fn new(name: &str, mpid: u64) -> Config {
        Config {
            name: name.to_owned(),
            mpid,
            interval: 1000,
            extended: false,
            demand: false,
            opup: true,
            vlan: CcmVlan::None,
            pcp: 0,
        }
    }

    /// The interval's code, 0 for none, and its length in ms.
    fn interval(&self) -> (u8, u64) {
        let shorter = CODED_MS.iter().rposition(|&ms| ms <= self.interval).unwrap_or(0);
        let coded = (shorter as u8 + 1, CODED_MS[shorter]);
        if self.extended && coded.1 != self.interval {
            (0, self.interval.clamp(1, u64::from(u16::MAX)))
        } else {
            coded
        }
    }

    fn demand(&self) -> bool {
        self.extended && self.demand
    }

    /// Where messages go and come from.
    pub fn destination(&self) -> EthAddr {
        if self.extended { ccm::DST_EXTENDED } else { ccm::DST }
    }
}

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// New configuration.
    Configure(Box<Config>),
    /// A frame of type 0x8902, what follows its type.
    Frame { destination: EthAddr, source: EthAddr, payload: Vec<u8> },
    /// How many packets the link has received since it was made. Wanted before
    /// [`Event::Deadline`] and [`Event::Configure`] while [`Session::wants_traffic`].
    Traffic { rx_packets: u64 },
    /// `cfm/set-fault`: a fault or none, whatever the session finds out; `None` = what it finds.
    Override(Option<bool>),
    /// `next_deadline` has come.
    Deadline,
}

/// What the session asks of its driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send this after the Ethernet type 0x8902, with a C-tag of this TCI (PCP and VLAN) if any.
    Send { destination: EthAddr, tci: Option<u16>, payload: Vec<u8> },
    /// Whether the link may carry traffic: a bond's [`crate::Event::Monitor`].
    Up(bool),
    /// Something worth a line in the log.
    Notice(Notice),
}

/// One maintenance point.
#[derive(Debug)]
pub struct Session {
    config: Config,
    seq: u32,
    next_tx: Time,
    last_tx: Option<Time>,
    next_check: Time,
    /// The first check is over.
    booted: bool,
    faults: Faults,
    /// What has arrived since the last check.
    received: Faults,
    forced: Option<bool>,
    /// By identifier.
    remotes: BTreeMap<u64, RemotePoint>,
    /// Those that the last check found alive, sorted.
    alive: Vec<u64>,
    remote_opup: bool,
    /// Per cent; `None` = undefined.
    health: Option<u8>,
    /// Checks since the health was worked out.
    checks: u32,
    flaps: u64,
    discarded: u64,
    /// The link's latest count of packets, and what it was at the last check.
    packets: u64,
    packets_at_check: u64,
    /// Until when traffic may stand in for continuity checks.
    demand_until: Option<Time>,
    last_reported: bool,
    random: u64,
    effects: VecDeque<Effect>,
}

impl Session {
    /// A maintenance point that has no fault yet and sends its first message at once.
    /// `random` is any number; VLANs are drawn from it.
    pub fn new(now: Time, config: Config, random: u64) -> Session {
        let mut session = Session {
            seq: 0,
            next_tx: now,
            last_tx: None,
            next_check: now,
            booted: false,
            faults: Faults::NONE,
            received: Faults::NONE,
            forced: None,
            remotes: BTreeMap::new(),
            alive: Vec::new(),
            remote_opup: true,
            health: None,
            checks: 0,
            flaps: 0,
            discarded: 0,
            packets: 0,
            packets_at_check: 0,
            demand_until: None,
            last_reported: true,
            random,
            config,
            effects: VecDeque::new(),
        };
        session.next_check = now + session.check_interval();
        session.run(now);
        session
    }

    /// Takes in an event that happened at `now`, and everything that has become due.
    pub fn handle(&mut self, now: Time, event: Event) {
        match event {
            Event::Configure(config) => self.configure(now, *config),
            Event::Frame { destination, source, payload } => {
                // The other mode's address belongs to somebody else.
                if destination == self.config.destination() {
                    self.receive(now, source, &payload);
                }
            }
            Event::Traffic { rx_packets } => self.packets = rx_packets,
            Event::Override(forced) => self.forced = forced,
            Event::Deadline => {}
        }
        self.run(now);
    }

    /// The next thing to do, in order.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call with [`Event::Deadline`] at the latest.
    pub fn next_deadline(&self) -> Time {
        self.next_tx.min(self.next_check)
    }

    /// The link may carry traffic: no fault, and the other end is fit for it.
    pub fn up(&self) -> bool {
        self.shown_faults() == Faults::NONE && (self.remote_opup || !self.config.extended)
    }

    /// Whether [`Event::Traffic`] makes a difference.
    pub fn wants_traffic(&self) -> bool {
        self.config.demand()
    }

    fn shown_faults(&self) -> Faults {
        match self.forced {
            Some(true) => Faults::OVERRIDE,
            Some(false) => Faults::NONE,
            None => self.faults,
        }
    }

    fn configure(&mut self, now: Time, config: Config) {
        let old = std::mem::replace(&mut self.config, config);
        if self.config.demand() && !old.demand() {
            self.packets_at_check = self.packets;
        }
        if self.config.interval() != old.interval() {
            self.next_tx = now;
            self.next_check = now + self.check_interval();
        }
    }

    /// Three and a half intervals. In demand mode the link's counter needs half a second.
    fn check_interval(&self) -> Duration {
        let (_, ms) = self.config.interval();
        let ms = if self.config.demand() { ms.max(500) } else { ms };
        Duration::from_millis(ms * 7 / 2)
    }

    /// Sends and checks what is due.
    fn run(&mut self, now: Time) {
        if self.next_tx <= now {
            self.send(now);
        }
        if self.next_check <= now {
            self.check(now);
            self.next_check = now + self.check_interval();
        }
        if self.up() != self.last_reported {
            self.last_reported = self.up();
            self.effects.push_front(Effect::Up(self.last_reported));
        }
    }

    fn send(&mut self, now: Time) {
        let (interval, ms) = self.config.interval();
        let Config { extended, mpid, .. } = self.config;
        self.seq = self.seq.wrapping_add(1);
        let ccm = Ccm {
            interval,
            rdi: self.booted && self.remotes.is_empty(),
            seq: self.seq,
            // Of no use in extended mode, and what Open vSwitch has there.
            mpid: if extended { wire::hash::hash_uint64(mpid, 0) as u16 } else { mpid as u16 },
            maid: ccm::MAID,
            interval_ms: if interval == 0 { ms as u16 } else { 0 },
            mpid64: if extended { mpid } else { 0 },
            opdown: extended && !self.config.opup,
        };
        let tci = self.vlan() | u16::from(self.config.pcp & 7) << 13;
        self.effects.push_back(Effect::Send {
            destination: self.config.destination(),
            tci: (tci != 0).then_some(tci),
            payload: ccm.emit(),
        });
        if let Some(last) = self.last_tx.replace(now) {
            let delay = now.since(last).as_millis();
            if delay > u128::from(ms) * 3 / 2 {
                let (name, seq) = (&self.config.name, self.seq);
                let text = format!(
                    "{name}: long delay of {delay}ms (expected {ms}ms) sending CCM seq {seq}"
                );
                self.log(Level::Info, text);
            }
        }
        self.next_tx = now + Duration::from_millis(ms);
    }

    fn vlan(&mut self) -> u16 {
        match self.config.vlan {
            CcmVlan::None => 0,
            CcmVlan::Id(vlan) => vlan & 0xfff,
            CcmVlan::Random => {
                self.random =
                    self.random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (self.random >> 33) as u16 & 0xfff
            }
        }
    }

    fn log(&mut self, level: Level, text: String) {
        self.effects.push_back(Effect::Notice(Notice {
            module: "cfm",
            topic: Topic::Monitor,
            level,
            text,
        }));
    }
}
