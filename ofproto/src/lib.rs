//! Bridges: MAC learning, VLANs, the NORMAL pipeline, and translation of a packet into datapath
//! actions. Knows the datapath only by its trait.
//!
//! [`Ofproto`] is the whole: it is given configurations, answers the datapath's misses
//! ([`datapath::Upcall`]) and the operator's questions. Nothing here reads a clock or starts a
//! thread.

#![warn(missing_docs, clippy::missing_errors_doc)]

pub mod config;
pub mod controller;
pub mod mac_table;
pub mod mirror;
pub mod ofproto;
pub mod revalidate;
pub mod show;
pub mod slow_path;
pub mod tables;
pub mod trace;

mod bridge_state;
mod counter;
mod datapath_link;
mod hooks;
mod ids;
mod mac_entry;
mod mac_stats;
mod mac_sweep;
mod mask;
mod notify_peers;
mod packet_in;
mod ports_by_entry_count;
mod recirc;
mod reconfigure;
mod revalidator_calls;
mod snapshot;
#[cfg(test)]
mod tests;
mod totals;
mod translate;
mod upcall;
mod vlan;
mod xlate_cache;

pub use self::ofproto::{Ofproto, QueryError};
pub use config::{
    BfdMatch, BondHandle, BridgeConfig, BundleConfig, BundleSettings, FailMode, IfaceConfig,
    IfaceKind, OfPort, OfprotoConfig, PriorityTags, VlanMode,
};
pub use counter::Count;
pub use hooks::{FlowEvent, FlowWatcher, Reporter};
pub use notify_peers::{Announcement, HostAddresses};
pub use reconfigure::ConfigChange;
pub use revalidate::{
    DEFAULT_FLOW_LIMIT, Next, Revalidator, RevalidatorOptions, RevalidatorStatus,
};
pub use slow_path::{SlowFrame, SlowPathQueue, SlowPathSink};
pub use totals::OfprotoStats;
pub use translate::{PacketInContext, ReportLevel, XlateReport};
