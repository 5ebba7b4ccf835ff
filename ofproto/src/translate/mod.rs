//! From a packet's key to datapath actions and the mask of what they depend on.
//!
//! ```text
//!   parts, each with its own fields          steps: what is done with them
//!   ---------------------------------        -------------------------------------------------
//!   flow_state     packet and wildcards      pipeline       from the port to the last action
//!   output_list    datapath actions          table          lookups and the rules they lead to
//!   position       bridge, table, rule       actions        OpenFlow's actions, the action set
//!   progress       does it go on             output         to ports, floods, controllers
//!   pipeline_state stack, action set         normal         the NORMAL action
//!   limits         how much is allowed       bonds          which member of a bond
//!   mirroring      which mirrors have it     mirrors        copies for mirrors
//!   admission      may it come in            patch          into the next bridge; copies
//!   xlate_trace    what is reported          recirculation  packets that come back
//! ```
//!
//! `xlate` has input and output, `context` puts the parts together.

mod actions;
mod admission;
mod bonds;
mod context;
mod fields;
mod flow_state;
mod freeze;
mod limits;
mod mirroring;
mod mirrors;
mod normal;
mod options;
mod output;
mod output_list;
mod patch;
mod pipeline;
mod pipeline_state;
mod position;
mod progress;
mod recirculation;
mod table;
mod xlate;
mod xlate_trace;

pub use output::PacketInContext;
pub(crate) use pipeline::translate;
pub(crate) use xlate::{Failure, Learning, Source, XlateIn, XlateOut};
pub use xlate::{ReportLevel, XlateReport};
