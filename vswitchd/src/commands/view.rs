//! What main publishes for commands.

use std::collections::BTreeMap;

use config::Warning;
use datapath::PortNo;
use netdev::io::dummy::DummyPort;

/// The ports and warnings as of the last configuration.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// Datapath ports: name and type (`system` or `tap`), for `dpctl/show`.
    pub ports: BTreeMap<PortNo, (String, String)>,
    /// The datapath port of each interface, and the bridge it is on.
    pub bridges: BTreeMap<String, Vec<PortNo>>,
    /// Dummy devices by interface.
    pub dummies: BTreeMap<String, Dummy>,
    /// Errors in the database's rows.
    pub warnings: Vec<Warning>,
}

/// A dummy device.
#[derive(Clone, Debug)]
pub struct Dummy {
    /// The device.
    pub port: DummyPort,
    /// The number of receive queues that it reports.
    pub queues: u32,
}
