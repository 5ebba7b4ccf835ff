//! What the driver tells the engine.

use wire::EthAddr;

use crate::config::{BondConfig, MemberId};
use crate::failback::Speed;
use crate::forwarding::{BUCKETS, Bucket};

/// A health check beside the carrier that takes part in `may_enable`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Monitor {
    Bfd,
    Cfm,
}

/// Something that happened outside.
#[derive(Clone, Debug)]
pub enum Event {
    /// New or changed configuration, members included. The engine works out the difference.
    Configure(Box<BondConfig>),
    /// The link state that the configured detection (carrier or miimon) reports.
    /// A member starts out down until the first one arrives.
    Carrier { member: MemberId, up: bool },
    /// The answer to [`Effect::QueryLink`](crate::Effect::QueryLink), or news of the same kind:
    /// what `bond-primary-reselect=better` compares. `None` = the device does not know, or
    /// cannot be asked.
    LinkParams { member: MemberId, speed: Option<Speed> },
    /// A configured health check changed its mind; `None` = not configured any more.
    Monitor { member: MemberId, monitor: Monitor, up: Option<bool> },
    /// A Slow Protocols frame's payload from its subtype octet on, as it came. It judges no
    /// partner's silence: [`Event::Deadline`] does, after all LACPDUs that wait.
    Lacpdu { member: MemberId, pdu: Vec<u8> },
    /// The device's hardware address changed.
    Mac { member: MemberId, mac: EthAddr },
    /// Bytes sent through each bucket since the bond was made: never smaller than last time.
    /// The driver sends it about once a second while the bond is balanced.
    Load { bytes: Box<[u64; BUCKETS]> },
    /// The bond and the port `with` of the same bridge lead to the same network: what one of the
    /// two sent came in by the other. `None` = the other one answers for it.
    Loop { with: Option<String> },
    /// `next_deadline` has come.
    Deadline,
}

/// What an operator asks of a running bond.
#[derive(Clone, Debug)]
pub enum Command {
    /// `bond/set-active-member`.
    SetActiveMember { member: String },
    /// `bond/enable-member`: at once, skipping what is left of an updelay. As in Open vSwitch a
    /// link that is down disables the member again, after the downdelay.
    EnableMember { member: String },
    /// `bond/disable-member`: at once, skipping what is left of a downdelay. As in Open vSwitch a
    /// link that is up enables the member again, after the updelay.
    DisableMember { member: String },
    /// `bond/migrate`.
    Migrate { bucket: Bucket, member: String },
    /// `bond/failback`: to the preferred member now, whatever delay or limit holds it back.
    Failback,
}

/// Why a command was refused; the text is what `ovs-appctl` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    #[error("no such member")]
    NoSuchMember,
    #[error("cannot make disabled member active")]
    ActivateDisabled,
    #[error("cannot migrate to disabled member")]
    MigrateToDisabled,
    #[error("not an SLB bond")]
    NotSlb,
    #[error("not an active-backup bond")]
    NotActiveBackup,
    #[error("no preferred member is enabled")]
    NoPreferredMember,
}
