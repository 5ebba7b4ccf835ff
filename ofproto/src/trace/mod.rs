//! `ofproto/trace`: what becomes of a packet, and why.

pub mod tree;

pub use tree::{Kind, Node, Tree};
