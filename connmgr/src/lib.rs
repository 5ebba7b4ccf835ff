//! OpenFlow connections of all bridges: controllers, listeners, `BRIDGE.mgmt`, snoops, fail mode and
//! in-band control.
//!
//! ```text
//!   BridgeConfig ──▶ bridge ──▶ connections ──messages──▶ ofproto::controller::Agent
//!                      │            │  endpoint: listener or controller, names, reconnection
//!                      │            │  peer, socket: one connection
//!   ControllerStatus ◀─┘            ▼
//!   datapath threads ──▶ packet_queue (wakes main) ──▶ Agent::packet_in
//! ```
//!
//! Everything runs on the thread that owns the poll, and nothing blocks. The crate moves octets and
//! keeps deadlines; the protocol is implemented by `ofproto::controller`.
//!
//! | file | contents |
//! |---|---|
//! | `manager` | all bridges: the interface to the daemon |
//! | `config` | what the daemon configures; the trait by which the switch is reached |
//! | `bridge` | one bridge: configuration, fail mode, in-band control, over its connections |
//! | `connections` | one bridge's endpoints and peers, and the life of each connection |
//! | `endpoint`, `endpoints` | a controller to connect to or a listener; all of a bridge |
//! | `names` | resolving a controller's host name |
//! | `peer`, `socket` | a connection; whole messages |
//! | `fail_open`, `probe_packet_in` | `fail_mode=standalone` while no controller answers |
//! | `in_band` | flows that keep the path to controllers open |
//! | `socket_policy` | which Unix sockets a row may name |
//! | `packet_queue` | packets from datapath threads to controllers |
//! | `status` | a controller's status, for the database |
//! | `context` | what all of them need during a call; identifiers; the agent's log lines |
//! | `ends` | the key-value pairs of log lines about a connection |
//! | `modules` | names in the log |

#![warn(missing_docs)]

mod bridge;
mod config;
mod connections;
mod context;
mod endpoint;
mod endpoints;
mod ends;
mod fail_open;
mod in_band;
mod manager;
pub mod modules;
mod names;
mod packet_queue;
mod peer;
mod probe_packet_in;
mod socket;
mod socket_policy;
mod status;

pub use self::config::{BridgeConfig, Bridges, Config, OpenFlowOptions, Ports};
pub use self::manager::ConnectionManager;
pub use self::packet_queue::PacketQueue;
pub use self::peer::TOKENS;
pub use self::status::ControllerStatus;
