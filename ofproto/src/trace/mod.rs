//! `ofproto/trace`: what becomes of a packet, and why.
//!
//! | file | what |
//! |---|---|
//! | `args` | options and arguments, taken apart |
//! | `target` | which bridge is meant, and with which packet |
//! | `tree` | what translation writes while it works |
//! | `render` | the tree as text |
//! | `report` | everything as text, with a part for each recirculation |

mod args;
mod render;
pub mod tree;

pub use tree::{Kind, Node, Tree};
