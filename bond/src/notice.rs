//! Log messages of the engine; the driver writes them to the log.

use serde::Serialize;

/// Open vSwitch's log levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// `ERR`.
    Err,
    /// `WARN`.
    Warn,
    /// `INFO`.
    Info,
    /// `DBG`.
    Dbg,
}

/// The subject of a notice. Peers can cause some of them at any rate: the driver rate-limits each
/// topic of each port on its own, so that one does not suppress the others.
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
    /// A member's probes disabled it, or allow it to be enabled again.
    Probe,
}

/// A log message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The log module: `bond`, `lacp`, `bfd` or `cfm`.
    pub module: &'static str,
    /// The subject, for rate limits.
    pub topic: Topic,
    /// The log level.
    pub level: Level,
    /// The name of the member that it is about, if it is about one.
    pub member: Option<String>,
    /// The message, without a line end.
    pub text: String,
}
