//! A member's device: its link state and where that comes from.

use std::time::Duration;

use netdev::link::mii::LinkSource;
use serde::Serialize;
use wire::Time;

use crate::settings::{LinkDevice, LinkMember};
use config::Detect;

/// Who said whether the link is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// The kernel's carrier: rtnetlink's `IFF_LOWER_UP`, and the count of its changes.
    Carrier,
    /// The device's MII registers.
    Mii,
    /// `ETHTOOL_GLINK`, because the device has no MII.
    Ethtool,
    /// miimon is configured and the device answers neither; the carrier is used.
    CarrierInstead,
    /// No kernel device.
    Virtual,
}

/// For status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LinkView {
    /// The interface.
    pub name: String,
    /// Whether the link is up.
    pub up: bool,
    /// The source of that.
    pub source: Source,
    /// How often the device itself was asked (miimon).
    pub polls: u64,
}

/// What the device itself has said of its link (miimon).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mii {
    NotAskedYet,
    Said(bool, LinkSource),
    /// It answers neither MII nor ethtool.
    Silent,
}

/// One member's device as this thread watches it.
pub(crate) struct Device {
    pub(crate) member: LinkMember,
    detect: Detect,
    /// The last thing the engine was told.
    pub(crate) up: Option<bool>,
    source: Source,
    /// What is known of the kernel's carrier.
    carrier: bool,
    mii: Mii,
    /// When to ask the device next; not before the answer of the last time.
    next_poll: Option<Time>,
    /// It is being asked.
    polling: bool,
    polls: u64,
}

impl Device {
    pub(crate) fn new(member: LinkMember, detect: Detect, now: Time) -> Device {
        let mut device = Device {
            member,
            detect,
            up: None,
            source: Source::Carrier,
            carrier: false,
            mii: Mii::NotAskedYet,
            next_poll: None,
            polling: false,
            polls: 0,
        };
        device.schedule(now);
        device
    }

    /// Takes over a changed wish without losing what is known.
    pub(crate) fn update(&mut self, member: LinkMember, detect: Detect, now: Time) {
        self.member = member;
        if self.detect != detect {
            self.detect = detect;
            self.schedule(now);
        }
    }

    fn schedule(&mut self, now: Time) {
        self.next_poll = match (self.detect, &self.member.device) {
            (Detect::Miimon(_), LinkDevice::Kernel { .. }) => Some(now),
            (Detect::Carrier, LinkDevice::Kernel { .. })
            | (_, LinkDevice::Dummy(_) | LinkDevice::Patch { .. }) => None,
        };
    }

    /// A dummy, which is looked at in every turn: its changes wake the thread, and asking it is
    /// cheap.
    pub(crate) fn is_dummy(&self) -> bool {
        matches!(self.member.device, LinkDevice::Dummy(_))
    }

    /// When the device must be asked next.
    pub(crate) fn deadline(&self) -> Option<Time> {
        self.next_poll.filter(|_| !self.polling)
    }

    /// The index of a kernel device.
    pub(crate) fn ifindex(&self) -> Option<u32> {
        match self.member.device {
            LinkDevice::Kernel { ifindex } => Some(ifindex),
            LinkDevice::Dummy(_) | LinkDevice::Patch { .. } => None,
        }
    }

    /// The kernel's carrier, as far as it is known.
    pub(crate) fn heard(&mut self, carrier: bool) {
        self.carrier = carrier;
    }

    /// Whether the engine is told what the kernel's carrier is.
    pub(crate) fn follows_carrier(&self) -> bool {
        matches!(self.source, Source::Carrier | Source::CarrierInstead)
    }

    /// The device is being asked for its own link state.
    pub(crate) fn polls(&mut self, now: Time) {
        self.polling = true;
        self.next_poll = self.next_poll.map(|_| now + self.interval());
    }

    /// It has answered; `None`: it has neither MII nor ethtool. `name` is whom the question was
    /// for: the device may have got another name since, which is then asked at once.
    pub(crate) fn polled(&mut self, now: Time, name: &str, said: Option<(bool, LinkSource)>) {
        self.polling = false;
        if name != self.member.name {
            self.next_poll = self.next_poll.map(|_| now);
            return;
        }
        self.polls += 1;
        self.mii = said.map_or(Mii::Silent, |(up, source)| Mii::Said(up, source));
        // After a slow answer it gets its rest all the same.
        if self.next_poll.is_some_and(|t| t <= now) {
            self.next_poll = Some(now + self.interval());
        }
    }

    /// The link state by its source. `Some` if it is not what the engine knows.
    pub(crate) fn read(&mut self) -> Option<bool> {
        let (up, source) = match (&self.member.device, self.detect) {
            (LinkDevice::Patch { .. }, _) => (true, Source::Virtual),
            (LinkDevice::Dummy(port), _) => (port.admin_up() && port.carrier(), Source::Virtual),
            (LinkDevice::Kernel { .. }, Detect::Carrier) => (self.carrier, Source::Carrier),
            (LinkDevice::Kernel { .. }, Detect::Miimon(_)) => match self.mii {
                Mii::NotAskedYet => return None,
                Mii::Said(up, LinkSource::Mii) => (up, Source::Mii),
                Mii::Said(up, LinkSource::Ethtool) => (up, Source::Ethtool),
                Mii::Silent => (self.carrier, Source::CarrierInstead),
            },
        };
        self.source = source;
        let news = self.up != Some(up);
        self.up = Some(up);
        news.then_some(up)
    }

    fn interval(&self) -> Duration {
        match self.detect {
            Detect::Miimon(interval) => interval,
            // Never polled.
            Detect::Carrier => Duration::MAX,
        }
    }

    /// The interval at which the device is asked, in milliseconds; 0 = it is not.
    pub(crate) fn miimon_ms(&self) -> u64 {
        match self.detect {
            Detect::Miimon(interval) => u64::try_from(interval.as_millis()).unwrap_or(u64::MAX),
            Detect::Carrier => 0,
        }
    }

    pub(crate) fn source(&self) -> Source {
        self.source
    }

    pub(crate) fn view(&self) -> LinkView {
        LinkView {
            name: self.member.name.clone(),
            up: self.up == Some(true),
            source: self.source,
            polls: self.polls,
        }
    }
}
