//! What the engine has to say, typed; the driver logs it.

use serde::Serialize;

/// How loud a notice is, as Open vSwitch's log levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    Err,
    Warn,
    Info,
    Dbg,
}

/// What a notice is about. Links and peers can cause some of them at any rate; the driver limits
/// each topic of each port by itself, so that one does not silence the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Topic {
    /// A member's link changed, or a delay began or ended early.
    Link,
    /// A member was enabled or disabled.
    Member,
    /// Another member is active, or none.
    Active,
    /// Buckets were moved.
    Rebalance,
    /// An LACPDU was dropped: it cannot be read, or its link is down.
    Pdu,
    /// An LACPDU was ignored: its sender is not the partner.
    OtherSystem,
    /// An LACPDU of our own came back.
    Loopback,
    /// BFD and CFM.
    Monitor,
}

/// The log module that a notice belongs to (`bond` or `lacp`, `bfd`, `cfm`), what it is about, its
/// level and its text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    pub module: &'static str,
    pub topic: Topic,
    pub level: Level,
    pub text: String,
}
