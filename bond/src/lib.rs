//! The bond engine: which member of a bond carries which packet, and why.
//!
//! The engine does no input or output. Its driver feeds it events with the time they happened,
//! drains its effects, and calls again at its deadline:
//!
//! ```ignore
//! bond.handle(now, Event::Carrier { member, up });
//! while let Some(effect) = bond.poll_effect() { /* apply; drain before the next event */ }
//! let wake = bond.next_deadline();
//! ```
//!
//! It reads no clock, draws no random number, logs nothing itself and starts no thread: the same
//! events give the same effects, so that a recording of an incident replays.

pub mod bond;
pub mod buckets;
pub mod config;
pub mod effect;
pub mod event;
pub mod failback;
pub mod forwarding;
pub mod lacp;
pub mod link;
mod member;
pub mod notice;
pub mod rebalance;
pub mod select;
pub mod status;
mod turn;

pub use bond::Bond;
pub use config::{
    BondConfig, LacpConfig, LacpMemberConfig, LacpTime, MemberConfig, MemberId, Mode,
    PrimaryReselect,
};
pub use effect::{Effect, RevalidateReason};
pub use event::{Command, CommandError, Event, Monitor};
pub use forwarding::{Admission, BUCKETS, Bucket, Forwarding, OutputRule};
pub use lacp::Lacp;
pub use lacp::status::LacpStatus;
pub use notice::{Level, Notice};
pub use status::{BondStatus, FailbackStatus, LacpState, MemberStatus};
