//! What the tests of the engine share.
#![allow(dead_code, unreachable_pub, reason = "each test uses a part of it")]

use std::borrow::Cow;
use std::time::Duration;

use bond::{
    AggregationConfig, Bond, BondConfig, BondStatus, Command, CommandError, Effect, Event,
    Forwarding, LacpConfig, LacpMemberConfig, LacpTime, MemberConfig, MemberId, Mode,
    RevalidateReason,
};
use wire::lacp::{Lacpdu, PortInfo, state};
use wire::{EthAddr, Time};

pub fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// The address of member `n`.
pub fn mac(n: u32) -> EthAddr {
    EthAddr::from_u64(0x0200_0000_0000 | u64::from(n))
}

/// Member `n`: `p1`, `p2` and so on.
pub fn member(n: u32) -> MemberConfig {
    MemberConfig {
        id: MemberId(n),
        name: format!("p{n}"),
        mac: mac(n),
        priority: 0,
        lacp: LacpMemberConfig { port_id: u16::try_from(n).unwrap(), port_priority: 65535, key: 0 },
    }
}

/// `bond0` with the members 1 to `n`.
pub fn config(mode: Mode, n: u32) -> BondConfig {
    BondConfig {
        name: "bond0".to_owned(),
        mode,
        recirc_id: 7,
        members: (1..=n).map(member).collect(),
        ..BondConfig::default()
    }
}

pub fn lacp(active: bool, time: LacpTime) -> LacpConfig {
    LacpConfig {
        active,
        time,
        system_id: "aa:55:aa:55:00:00".parse().unwrap(),
        system_priority: 65534,
        aggregation: AggregationConfig::default(),
    }
}

/// A bond with a clock that the test moves.
pub struct Rig {
    pub bond: Bond,
    pub now: Time,
    /// All effects so far, in order.
    pub effects: Vec<Effect>,
}

impl Rig {
    /// A bond that has just been configured; no carrier has been reported.
    pub fn new(config: BondConfig) -> Rig {
        let mut rig = Rig {
            bond: Bond::new(&config.name),
            now: Time::from_millis(1_000),
            effects: Vec::new(),
        };
        rig.configure(config);
        rig
    }

    /// The same with all members up.
    pub fn up(config: BondConfig) -> Rig {
        let ids: Vec<u32> = config.members.iter().map(|m| m.id.0).collect();
        let mut rig = Rig::new(config);
        for id in ids {
            rig.carrier(id, true);
        }
        rig.effects.clear();
        rig
    }

    pub fn handle(&mut self, event: Event) -> Vec<Effect> {
        self.bond.handle(self.now, event);
        self.drain()
    }

    fn drain(&mut self) -> Vec<Effect> {
        let new: Vec<Effect> = std::iter::from_fn(|| self.bond.poll_effect()).collect();
        self.effects.extend(new.iter().cloned());
        new
    }

    pub fn configure(&mut self, config: BondConfig) -> Vec<Effect> {
        self.handle(Event::Configure(Box::new(config)))
    }

    pub fn carrier(&mut self, member: u32, up: bool) -> Vec<Effect> {
        self.handle(Event::Carrier { member: MemberId(member), up })
    }

    pub fn command(&mut self, command: Command) -> Result<Cow<'static, str>, CommandError> {
        let answer = self.bond.command(self.now, command);
        self.drain();
        answer
    }

    /// Lets time pass, waking the bond at each of its deadlines.
    pub fn wait(&mut self, millis: u64) -> Vec<Effect> {
        let end = self.now + ms(millis);
        let mut new = Vec::new();
        while let Some(at) = self.bond.next_deadline().filter(|&t| t <= end) {
            self.now = at.max(self.now);
            new.extend(self.handle(Event::Deadline));
            assert!(
                self.bond.next_deadline().is_none_or(|t| t > self.now),
                "the deadline did not move on"
            );
        }
        self.now = end;
        new
    }

    pub fn status(&self) -> BondStatus {
        self.bond.status(self.now)
    }

    /// The active member's name.
    pub fn active(&self) -> Option<String> {
        self.status().members.into_iter().find(|m| m.active).map(|m| m.name)
    }

    pub fn table(&self) -> Forwarding {
        (**self.bond.forwarding().expect("configured")).clone()
    }

    /// How many buckets each of the members 1 to `n` has.
    pub fn counts(&self, n: u32) -> Vec<usize> {
        let table = self.table();
        let of = |n| table.buckets.iter().filter(|&&b| b == Some(MemberId(n))).count();
        (1..=n).map(of).collect()
    }
}

/// The texts of the notices among `effects`.
pub fn texts(effects: &[Effect]) -> Vec<String> {
    let text = |e: &Effect| match e {
        Effect::Notice(n) => Some(n.text.clone()),
        _ => None,
    };
    effects.iter().filter_map(text).collect()
}

pub fn reasons(effects: &[Effect]) -> Vec<RevalidateReason> {
    let reason = |e: &Effect| match e {
        Effect::Revalidate(r) => Some(*r),
        _ => None,
    };
    effects.iter().filter_map(reason).collect()
}

pub fn learns(effects: &[Effect]) -> bool {
    effects.iter().any(|e| matches!(e, Effect::NotifyPeers(_)))
}

pub fn published(effects: &[Effect]) -> Option<&Forwarding> {
    effects.iter().find_map(|e| match e {
        Effect::Publish(table) => Some(&**table),
        _ => None,
    })
}

/// A balance-tcp bond of two members with active LACP and without rebalancing.
pub fn tcp(time: LacpTime) -> BondConfig {
    BondConfig {
        lacp: Some(lacp(true, time)),
        rebalance_interval: ms(0),
        ..config(Mode::BalanceTcp, 2)
    }
}

/// An LACPDU of a partner that is in sync, collects and distributes.
pub fn partner_pdu(system: &str, key: u16, port: u16) -> Lacpdu {
    Lacpdu {
        actor: PortInfo {
            system_priority: 100,
            system: system.parse().unwrap(),
            key,
            port_priority: 1,
            port,
            state: state::ACTIVITY
                | state::TIMEOUT
                | state::AGGREGATION
                | state::SYNCHRONIZATION
                | state::COLLECTING
                | state::DISTRIBUTING,
        },
        ..Lacpdu::default()
    }
}

/// Lets `member` receive `pdu`.
pub fn receive_pdu(rig: &mut Rig, member: u32, pdu: &Lacpdu) -> Vec<Effect> {
    rig.handle(Event::Lacpdu { member: MemberId(member), pdu: pdu.emit() })
}

/// Whether each member is enabled, sorted by name.
pub fn enabled(rig: &Rig) -> Vec<bool> {
    rig.status().members.iter().map(|m| m.enabled).collect()
}
