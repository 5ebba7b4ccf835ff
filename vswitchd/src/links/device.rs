//! A member's device: its link state and where that comes from, and its slow-protocol socket.

use std::time::Duration;

use netdev::link::mii::{self, LinkSource};
use netdev::link::{LinkInfo, LinkSettings, ProtoSocket, ethtool};
use serde::Serialize;
use wire::{EthAddr, EtherType, Time};

use super::{LinkDevice, LinkMember};
use crate::config::Detect;

/// Who said whether the link is up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// rtnetlink's `IFF_LOWER_UP`: the kernel's carrier.
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
    pub name: String,
    pub up: bool,
    pub source: Source,
    /// How often the device itself was asked (miimon).
    pub polls: u64,
}

/// One member's device as this thread watches it.
pub(super) struct Device {
    pub(super) member: LinkMember,
    detect: Detect,
    /// The last thing the engine was told.
    pub(super) up: Option<bool>,
    source: Source,
    /// rtnetlink's latest word.
    carrier: bool,
    next_poll: Option<Time>,
    polls: u64,
    pub(super) socket: Option<ProtoSocket>,
}

impl Device {
    pub(super) fn new(member: LinkMember, detect: Detect, now: Time) -> Device {
        let mut device = Device {
            member,
            detect,
            up: None,
            source: Source::Carrier,
            carrier: false,
            next_poll: None,
            polls: 0,
            socket: None,
        };
        device.schedule(now);
        device
    }

    /// Takes over a changed wish without losing what is known.
    pub(super) fn update(&mut self, member: LinkMember, detect: Detect, now: Time) {
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
    pub(super) fn is_dummy(&self) -> bool {
        matches!(self.member.device, LinkDevice::Dummy(_))
    }

    /// When the device must be asked next.
    pub(super) fn deadline(&self) -> Option<Time> {
        self.next_poll
    }

    /// rtnetlink spoke of this device.
    pub(super) fn heard(&mut self, info: &LinkInfo) {
        self.carrier = info.admin_up && info.carrier;
    }

    /// Reads the link state from its source. `Some` if it is not what the engine knows.
    pub(super) fn read(&mut self, now: Time) -> Option<bool> {
        let (up, source) = match (&self.member.device, self.detect) {
            (LinkDevice::Patch { .. }, _) => (true, Source::Virtual),
            (LinkDevice::Dummy(port), _) => (port.admin_up() && port.carrier(), Source::Virtual),
            (LinkDevice::Kernel { .. }, Detect::Carrier) => (self.carrier, Source::Carrier),
            (LinkDevice::Kernel { .. }, Detect::Miimon(_)) => {
                self.polls += 1;
                match mii::link(&self.member.name) {
                    Ok((up, LinkSource::Mii)) => (up, Source::Mii),
                    Ok((up, LinkSource::Ethtool)) => (up, Source::Ethtool),
                    Err(_) => (self.carrier, Source::CarrierInstead),
                }
            }
        };
        if self.next_poll.is_some_and(|t| t <= now) {
            self.next_poll = Some(now + self.interval());
        }
        let changed = self.up != Some(up) || self.source != source;
        self.source = source;
        let news = self.up != Some(up);
        self.up = Some(up);
        (changed && news).then_some(up)
    }

    fn interval(&self) -> Duration {
        match self.detect {
            Detect::Miimon(interval) => interval,
            // Never polled.
            Detect::Carrier => Duration::MAX,
        }
    }

    /// Opens or closes the slow-protocol socket as LACP is wanted or not. An error is no reason
    /// to stop: LACP then never hears its partner, which status shows.
    pub(super) fn want_slow_protocols(&mut self, wanted: bool) -> Option<String> {
        let kernel = matches!(self.member.device, LinkDevice::Kernel { .. });
        if !wanted || !kernel {
            self.socket = None;
            return None;
        }
        if self.socket.is_some() {
            return None;
        }
        let group = Some(EthAddr::SLOW_PROTOCOLS);
        match ProtoSocket::open(&self.member.name, EtherType::SLOW, group) {
            Ok(socket) => {
                self.socket = Some(socket);
                None
            }
            Err(e) => Some(e.to_string()),
        }
    }

    /// Speed and duplex; not asked before traffic has moved, because drivers may be slow.
    pub(super) fn settings(&self) -> Option<LinkSettings> {
        match self.member.device {
            LinkDevice::Kernel { .. } => ethtool::settings(&self.member.name).ok(),
            LinkDevice::Dummy(_) | LinkDevice::Patch { .. } => None,
        }
    }

    pub(super) fn source(&self) -> Source {
        self.source
    }

    pub(super) fn view(&self) -> LinkView {
        LinkView {
            name: self.member.name.clone(),
            up: self.up == Some(true),
            source: self.source,
            polls: self.polls,
        }
    }
}
