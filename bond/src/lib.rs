//! The bond engine: link state, active member, balancing, LACP, BFD and CFM of bonded ports.
//!
//! The engine does no input or output. Its driver passes it events with their times, carries out
//! its effects, and calls again at its deadline:
//!
//! ```
//! use bond::{Bond, BondConfig, Effect, Event, LacpMemberConfig, MemberConfig, MemberId};
//! use wire::{EthAddr, Time};
//!
//! let member = |n: u32, name: &str| MemberConfig {
//!     id: MemberId(n),
//!     name: name.to_owned(),
//!     mac: EthAddr::from_u64(u64::from(n)),
//!     priority: 0,
//!     lacp: LacpMemberConfig { port_id: 0, port_priority: 65535, key: 0 },
//! };
//! let config = BondConfig {
//!     name: "bond0".to_owned(),
//!     members: vec![member(1, "eth0"), member(2, "eth1")],
//!     ..BondConfig::default()
//! };
//! let mut bond = Bond::new("bond0");
//! let events = [
//!     Event::Configure(Box::new(config)),
//!     Event::Carrier { member: MemberId(1), up: true },
//!     Event::Carrier { member: MemberId(2), up: true },
//!     Event::Carrier { member: MemberId(1), up: false },
//! ];
//! let mut carries = None;
//! for (second, event) in (0..).zip(events) {
//!     bond.handle(Time::from_millis(second * 1000), event);
//!     // Drain before the next event.
//!     while let Some(effect) = bond.poll_effect() {
//!         if let Effect::Publish(table) = effect {
//!             carries = table.buckets[0];
//!         }
//!     }
//!     let _wake_me_at = bond.next_deadline();
//! }
//! assert_eq!(carries, Some(MemberId(2)));
//! ```
//!
//! The engine is deterministic: it reads no clock, uses no random numbers and starts no thread, so
//! that the same events give the same effects.

#![warn(missing_docs)]

mod bridge_loop;
pub mod buckets;
pub mod config;
pub mod effect;
mod engine;
pub mod event;
pub mod failback;
pub mod forwarding;
pub mod lacp;
pub mod link;
mod member;
mod millis;
pub mod monitor;
pub mod notice;
pub mod notify;
mod pending;
pub mod policy;
pub mod proc;
pub mod rebalance;
pub mod select;
pub mod status;
pub mod tlb;

pub use config::{
    AggregationConfig, BondConfig, LacpConfig, LacpMemberConfig, LacpTime, MemberConfig, MemberId,
    Mode, PolicyConfig, PrimaryReselect, SelectionPolicy,
};
pub use effect::{Effect, RevalidateReason};
pub use engine::Bond;
pub use event::{Command, CommandError, Event, Monitor};
pub use failback::Speed;
pub use forwarding::{Admission, BUCKETS, Bucket, Forwarding, OutputRule, Selection};
pub use lacp::Lacp;
pub use lacp::status::{LacpState, LacpStatus};
pub use notice::{Level, Notice, Topic};
pub use notify::{NotifyConfig, NotifyPackets};
pub use status::{BondStatus, FailbackStatus, MemberStatus};
