//! The configuration of one LACP port.

use crate::config::{LacpConfig, LacpMemberConfig, MemberId};

/// A port's LACP, as configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// `Port.name`.
    pub name: String,
    pub config: LacpConfig,
    /// `lacp-fallback-ab`: a member without a partner may be enabled while no member has one.
    pub fallback_ab: bool,
    pub members: Vec<MemberSettings>,
}

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSettings {
    pub id: MemberId,
    /// `Interface.name`.
    pub name: String,
    pub config: LacpMemberConfig,
}
