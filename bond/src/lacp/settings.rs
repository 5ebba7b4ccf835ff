//! The configuration of one LACP port.

use crate::config::{LacpConfig, LacpMemberConfig, MemberId};

/// The LACP configuration of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `Port.name`.
    pub name: String,
    /// The port's parameters.
    pub config: LacpConfig,
    /// `lacp-fallback-ab`: a member without a partner may be enabled while no member has one.
    pub fallback_ab: bool,
    /// The port's interfaces; of several with the same identifier the first counts.
    pub members: Vec<MemberSettings>,
}

/// The LACP configuration of one interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSettings {
    /// Identifies the member in events and effects.
    pub id: MemberId,
    /// `Interface.name`.
    pub name: String,
    /// The interface's parameters.
    pub config: LacpMemberConfig,
}
