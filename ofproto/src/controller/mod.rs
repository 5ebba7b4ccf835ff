//! The switch side of OpenFlow connections, without sockets and clocks.
//!
//! One [`Agent`] serves all connections of one bridge. The owner of the sockets cuts the stream into
//! messages and hands each to [`Agent::receive`]; what is to be sent, closed and logged comes out
//! of [`Agent::outbox`], which is to be emptied after every call:
//!
//! ```text
//!   socket ── message ──▶ receive ──▶ bridge's flow tables, ports, packets (SwitchOps, Ofproto)
//!     ▲                      │
//!     └──── Out::Send ◀── outbox ◀── set_ports, packet_in, run
//! ```
//!
//! The agent is made of parts that keep their fields to themselves:
//!
//! | part | what it keeps |
//! |---|---|
//! | `conn_table` | all connections, and what is to be sent, closed and logged |
//! | `conn` | one connection; its parts are `assemble` (requests of several messages), `bundle_store`, `monitor_set`, `packet_shaper` (rate limits) and `flow_log` |
//! | `roles` | which controller is primary |
//! | `port_table` | the ports as OpenFlow shows them |
//! | `bridge_tables` | the bridge's flow tables, and whether packets see all changes |
//! | `packet_outs` | packet-outs on their way through the datapath |
//!
//! Handlers work on the parts: `handshake` agrees on a version, `dispatch` hands each request to
//! `session` (the connection and its role), `ports`, `packets`, `flows`, `flow_tables`, `monitors`,
//! `bundles` or `qos` (queues, groups, meters). A handler returns an error, which goes to the peer
//! with the request that caused it.

mod agent;
mod assemble;
mod async_config;
mod bridge_tables;
mod bundle_store;
mod bundles;
mod config;
mod conn;
mod conn_table;
mod dispatch;
mod flow_log;
mod flow_tables;
mod flows;
mod handshake;
mod limit;
mod monitor_set;
mod monitors;
mod packet_check;
mod packet_outs;
mod packet_shaper;
mod packets;
mod port_table;
mod ports;
mod qos;
mod request;
mod roles;
mod session;
mod table_features;
mod table_rows;
#[cfg(test)]
mod tests;
mod types;

pub use agent::Agent;
pub use config::{ControllerConfig, Timing};
pub use types::{
    Class, CloseReason, ConnId, ConnKind, ConnSettings, ConnStatus, LogLevel, LogLine, Out,
    PACKET_IN_DEPTH, PacketInSink, Port, QueuedPacketIn, Settings, SwitchOps,
};
