//! `ofproto/trace`: what becomes of a packet, and why.
//!
//! | file | what |
//! |---|---|
//! | `args` | options and arguments, taken apart |
//! | `target` | which bridge is meant, and with which packet |
//! | `tree` | what translation writes while it works |
//! | `render` | the tree as text |
//! | `report` | everything as text |

mod args;
mod render;
mod report;
mod target;
pub mod tree;

pub use target::PortNames;
pub use tree::{NodeKind, TraceNode, TraceTree};
