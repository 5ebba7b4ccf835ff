//! What the driver tells the engine.

use wire::EthAddr;
use wire::neighbour::Neighbour;

use crate::config::{BondConfig, MemberId};
use crate::failback::Speed;
use crate::forwarding::{BUCKETS, Bucket};

/// A health check that decides, together with the carrier and LACP, whether a member may be
/// enabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Monitor {
    /// Bidirectional Forwarding Detection (`Interface.bfd`).
    Bfd,
    /// Connectivity Fault Management (`Interface.cfm_mpid`).
    Cfm,
}

/// An input of the engine.
#[derive(Clone, Debug)]
pub enum Event {
    /// New or changed configuration, members included. The engine works out the difference.
    Configure(Box<BondConfig>),
    /// The link state that the configured detection (carrier or miimon) reports.
    /// Before the first one, a member's link counts as down.
    Carrier {
        /// The member whose link it is.
        member: MemberId,
        /// Whether the link is up.
        up: bool,
    },
    /// The answer to [`Effect::QueryLink`](crate::Effect::QueryLink), or a later change of the
    /// speed: what `bond-primary-reselect=better` compares.
    LinkParams {
        /// The member whose device it is.
        member: MemberId,
        /// `None` = the device does not know its speed, or the query failed.
        speed: Option<Speed>,
    },
    /// The result of a health check changed.
    Monitor {
        /// The monitored member.
        member: MemberId,
        /// Which check.
        monitor: Monitor,
        /// Whether the link is usable; `None` = the check is not configured any more.
        up: Option<bool>,
    },
    /// An ARP or neighbour discovery packet was received that may concern the probes: an answer of a
    /// target, or with [`Evidence::Neighbours`](crate::monitor::probe::Evidence) any.
    Neighbour {
        /// The member that received it.
        member: MemberId,
        /// The packet. One of another VLAN than the probes' is ignored.
        packet: Neighbour,
    },
    /// How many packets a member has received. The driver sends it for each member before
    /// [`Event::Deadline`] while [`Bond::wants_traffic`](crate::Bond::wants_traffic).
    Traffic {
        /// The member whose device it is.
        member: MemberId,
        /// Since the device exists.
        rx_packets: u64,
    },
    /// A Slow Protocols frame was received. This event expires no partner; only
    /// [`Event::Deadline`] does, so that a late driver can first hand over all received LACPDUs.
    Lacpdu {
        /// The member that received it.
        member: MemberId,
        /// The payload from the subtype octet on, not validated.
        pdu: Vec<u8>,
    },
    /// The device's hardware address changed.
    Mac {
        /// The member whose device it is.
        member: MemberId,
        /// The new address.
        mac: EthAddr,
    },
    /// The byte counters of the buckets. The driver sends it about once a second while the bond is
    /// balanced.
    Load {
        /// Bytes sent through each bucket since the bond was created. A counter that decreases
        /// counts as no traffic.
        bytes: Box<[u64; BUCKETS]>,
    },
    /// The bond and another port of the same bridge form a loop: one of the two received what the
    /// other sent.
    Loop {
        /// Name of the other port; `None` = the other port is the one held down, so that this bond
        /// forgets the loop.
        with: Option<String>,
    },
    /// The time of [`Bond::next_deadline`](crate::Bond::next_deadline) has come.
    Deadline,
}

/// An operator's command to a running bond.
#[derive(Clone, Debug)]
pub enum Command {
    /// `bond/set-active-member`.
    SetActiveMember {
        /// Name of the interface.
        member: String,
    },
    /// `bond/enable-member`: at once, skipping what is left of an updelay. As in Open vSwitch a
    /// link that is down disables the member again, after the downdelay.
    EnableMember {
        /// Name of the interface.
        member: String,
    },
    /// `bond/disable-member`: at once, skipping what is left of a downdelay. As in Open vSwitch a
    /// link that is up enables the member again, after the updelay.
    DisableMember {
        /// Name of the interface.
        member: String,
    },
    /// `bond/migrate`: balance-slb only.
    Migrate {
        /// The bucket to move.
        bucket: Bucket,
        /// Name of the interface that gets it.
        member: String,
    },
    /// `bond/failback`: make the preferred member active now, without regard to delay and limit.
    Failback,
}

/// Why a command was refused; the text is what `ovs-appctl` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// No member has the given name.
    #[error("no such member")]
    NoSuchMember,
    /// `set-active-member` names a member that is not enabled.
    #[error("cannot make disabled member active")]
    ActivateDisabled,
    /// `migrate` names a member that is not enabled.
    #[error("cannot migrate to disabled member")]
    MigrateToDisabled,
    /// `migrate` on a bond whose mode is not balance-slb, or that works as active-backup.
    #[error("not an SLB bond")]
    NotSlb,
    /// `failback` on a bond whose mode is not active-backup.
    #[error("not an active-backup bond")]
    NotActiveBackup,
    /// `failback`, and the primary, or every member of a higher priority, is disabled.
    #[error("no preferred member is enabled")]
    NoPreferredMember,
}
