//! Continuity checks (IEEE 802.1ag), as Open vSwitch's `Interface.cfm_mpid` configures them.
//!
//! One [`Session`] is the maintenance point of one link. It sends a message each interval, and
//! checks every three and a half intervals which remote points it has received. It is driven like
//! a [`crate::Bond`]: handle an event, drain the effects, call again at the deadline.
//!
//! `check` has the reception of messages and the periodic check, `status` the text of `cfm/show`
//! and the `cfm_*` columns.

mod check;
mod fault;
mod remote;
mod status;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use wire::ccm::{self, Ccm};
use wire::{EthAddr, Time};

use crate::millis::millis;
use crate::notice::{Level, Notice, Topic};
use remote::RemotePoint;

pub use fault::Faults;
pub use status::{CfmColumns, CfmStatus, RemoteStatus};

/// The intervals of codes 1 to 7 in ms (table 21-16).
const CODED_MS: [u64; 7] = [3, 10, 100, 1000, 10_000, 60_000, 600_000];

/// The largest identifier outside of extended mode (clause 14.2.1.2).
pub const MAX_MPID: u64 = 8191;

/// The VLAN of sent messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CcmVlan {
    /// No VLAN: untagged, or a priority tag if a PCP is set.
    #[default]
    None,
    /// This VLAN, 1 to 4095.
    Id(u16),
    /// A random VLAN for each message.
    Random,
}

/// `Interface.cfm_mpid` and the `cfm_*` keys, checked and with defaults filled in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// `Interface.name`.
    pub name: String,
    /// At least 1; outside of extended mode at most [`MAX_MPID`].
    pub mpid: u64,
    /// `cfm_interval` in whole milliseconds, by default 1 s. Extended mode allows 1 ms to 65.535 s;
    /// otherwise the next shorter interval that has a code is used.
    pub interval: Duration,
    /// `cfm_extended`: Open vSwitch's extended mode, with a destination address of its own, any
    /// interval and 64-bit identifiers.
    pub extended: bool,
    /// `cfm_demand`: in extended mode, received traffic replaces continuity checks, for at most 100
    /// intervals.
    pub demand: bool,
    /// `cfm_opstate`: in extended mode, tells the remote whether the link may be used.
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
            interval: Duration::from_millis(1000),
            extended: false,
            demand: false,
            opup: true,
            vlan: CcmVlan::None,
            pcp: 0,
        }
    }

    /// The interval's code, 0 for none, and its length in ms.
    fn interval(&self) -> (u8, u64) {
        let wanted = millis(self.interval);
        let shorter = CODED_MS.iter().rposition(|&ms| ms <= wanted).unwrap_or(0);
        let coded = (shorter as u8 + 1, CODED_MS[shorter]);
        if self.extended && coded.1 != wanted {
            (0, wanted.clamp(1, u64::from(u16::MAX)))
        } else {
            coded
        }
    }

    fn demand(&self) -> bool {
        self.extended && self.demand
    }

    /// The destination address of sent and received messages.
    pub fn destination(&self) -> EthAddr {
        if self.extended { ccm::DST_EXTENDED } else { ccm::DST }
    }
}

/// An input of the session.
#[derive(Clone, Debug)]
pub enum Event {
    /// New configuration.
    Configure(Box<Config>),
    /// A frame of Ethernet type 0x8902 was received.
    Frame {
        /// Destination address.
        destination: EthAddr,
        /// Source address, for log messages.
        source: EthAddr,
        /// The octets after the Ethernet type, not validated.
        payload: Vec<u8>,
    },
    /// The link's packet counter. While [`Session::wants_traffic`], the driver sends it before
    /// [`Event::Deadline`] and [`Event::Configure`].
    Traffic {
        /// Packets received by the device since it was created.
        rx_packets: u64,
    },
    /// `cfm/set-fault`: overrides the result of the session, `true` = fault; `None` = no override.
    Override(Option<bool>),
    /// The time of [`Session::next_deadline`] has come.
    Deadline,
}

/// An action for the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Send a frame of Ethernet type 0x8902.
    Send {
        /// Destination address.
        destination: EthAddr,
        /// PCP and VID of the C-tag; `None` = untagged.
        tci: Option<u16>,
        /// The octets after the Ethernet type.
        payload: Vec<u8>,
    },
    /// Whether the link may carry traffic: a bond's [`crate::Event::Monitor`].
    Up(bool),
    /// Write a line to the log.
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
    /// Faults seen since the last check.
    received: Faults,
    forced: Option<bool>,
    /// By identifier.
    remotes: BTreeMap<u64, RemotePoint>,
    /// The remote points received before the last check, sorted.
    alive: Vec<u64>,
    remote_opup: bool,
    /// Per cent; `None` = undefined.
    health: Option<u8>,
    /// Checks since the health was worked out.
    checks: u32,
    flaps: u64,
    discarded: u64,
    /// The link's packet counter now and at the last check.
    packets: u64,
    packets_at_check: u64,
    /// Until when received traffic replaces continuity checks.
    demand_until: Option<Time>,
    last_reported: bool,
    random: u64,
    effects: VecDeque<Effect>,
}

impl Session {
    /// A maintenance point that has no fault yet and sends its first message at once.
    /// `random` is the seed of random VLANs.
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

    /// Handles an event that happened at `now`, and what is due by `now`.
    pub fn handle(&mut self, now: Time, event: Event) {
        match event {
            Event::Configure(config) => self.configure(now, *config),
            Event::Frame { destination, source, payload } => {
                // A message to the other mode's address is not for this point.
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

    /// The next effect, in the order of execution; `None` = all have been taken.
    pub fn poll_effect(&mut self) -> Option<Effect> {
        self.effects.pop_front()
    }

    /// When to call with [`Event::Deadline`] at the latest.
    pub fn next_deadline(&self) -> Time {
        self.next_tx.min(self.next_check)
    }

    /// The link may carry traffic: no fault, and in extended mode the remote's state is up.
    pub fn up(&self) -> bool {
        self.shown_faults() == Faults::NONE && (self.remote_opup || !self.config.extended)
    }

    /// Whether the session uses [`Event::Traffic`].
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

    /// Three and a half intervals. In demand mode intervals count as at least 500 ms, because device
    /// counters are updated with a delay.
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
            // Extended mode does not use it; the value is Open vSwitch's.
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
            member: None,
            text,
        }));
    }
}
