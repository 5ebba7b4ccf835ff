//! Bridges: MAC learning, VLANs, the NORMAL pipeline, and translation of a packet into datapath
//! actions. Knows the datapath only by its trait.

pub mod config;

pub use config::{
    BondHandle, BridgeConfig, BundleConfig, FailMode, IfaceConfig, IfaceKind, OfPort, SwitchConfig,
    VlanMode,
};
