//! Whole-switch tests of ofproto against a datapath that records what it is told.

mod actions;
mod bonding;
mod chaos;
mod dumps;
mod frame;
mod lab;
mod learning;
mod mac_model;
mod masks;
mod mirrors;
mod patch;
mod properties;
mod real;
mod revalidation;
mod show;
mod slow;
mod trace;
mod vlans;
