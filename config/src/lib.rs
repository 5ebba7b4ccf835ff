//! The configuration that the database's rows ask for, and what is wrong with the rows.
//!
//! [`desired`] is a pure function of the rows. It asks no device and changes nothing. What depends
//! on a device (hardware addresses, port numbers) is left to the daemon, which compares [`Desired`]
//! with what runs.
//!
//! | file | what |
//! |---|---|
//! | `desired` | the whole switch |
//! | `switch` | `Open_vSwitch.other_config` |
//! | `bridge`, `port`, `bond`, `iface` | one table of the database each |
//! | `policy` | the modes of Linux bonding |
//! | `monitor` | BFD and CFM of an interface |
//! | `controller` | OpenFlow of a bridge, and its controllers |
//! | `mirror` | mirrors of a bridge |
//! | `flow_table` | settings of OpenFlow tables |
//! | `columns` | columns of the same form in several tables |
//! | `claims` | which port an interface belongs to |
//! | `option` | options as data: the type of the tables in the files above |
//! | `section` | reading a column by its table |
//! | `inert` | keys that have no effect |
//! | `reference` | the list of all options |
//! | `warning` | what is wrong with a row |
//! | `unsupported` | what this switch does not do |
//! | `compat` | what exists only for Open vSwitch's test suite |
//! | `mac` | which address a bridge takes |

#![warn(missing_docs)]

mod aggregation;
mod bond;
mod bridge;
mod claims;
mod columns;
mod compat;
mod controller;
mod desired;
mod flow_table;
mod iface;
mod inert;
pub mod mac;
mod mirror;
mod monitor;
mod notify;
mod option;
mod policy;
mod port;
mod probe;
mod proc_dir;
pub mod reference;
mod section;
mod switch;
mod unsupported;
mod warning;

pub use self::bond::{Detect, WantBond};
pub use self::bridge::WantBridge;
pub use self::controller::{WantController, WantOpenFlow};
pub use self::desired::{Desired, desired, desired_after};
pub use self::flow_table::WantTables;
pub use self::iface::{DeviceKind, DummyPolicy, MemberSettings, WantIface};
pub use self::mirror::WantMirror;
pub use self::monitor::WantBfd;
pub use self::port::WantPort;
pub use self::switch::SwitchOptions;
pub use self::warning::{Severity, Warning};
