//! An OVSDB client: session, monitor, typed rows, transactions.

pub mod column;
pub mod rows;
mod txn;

pub use rows::{
    Bridge, Controller, Interface, Manager, Mirror, OpenVSwitch, Port, Row, Ssl, Table, Tables,
};
