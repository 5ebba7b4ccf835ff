//! The datapath: frames in, a cached flow's actions, frames out.
//!
//! [`Datapath`] is the control side's view of any backend; `userspace` is the one that ships, and
//! `datapath-testing` has test doubles. The packet path itself is in `userspace`: it takes no lock
//! that main or the links thread holds.
//!
//! A backend knows bucket tables ([`BucketTable`]), never bonds.
#![warn(missing_docs)]

mod action;
mod duplicates;
mod flow;
mod flow_actions;
pub mod format;
mod port;
pub mod set;
mod sync;
mod table;
mod upcall;
mod userspace;

use std::sync::Arc;

pub use netdev::{IoCounters, Packet, PacketIo, VnetHdr};
use wire::Time;

pub use action::{Action, Layer, Note, Notes, SetHeader, ToController, UserspaceReason};
pub use duplicates::Duplicates;
pub use flow::{FlowHandle, FlowStats};
pub use flow_actions::FlowActions;
pub use port::PortNo;
pub use table::{
    Bucket, BucketTable, Ingress, PortLink, Selected, Selection, Standby, StandbyPort, TableId,
};
pub use upcall::{SlowPath, Translation, Upcall};
pub use userspace::{Clock, DEFAULT_FLOW_LIMIT, Userspace, Worker};

/// Totals over all threads; what `dpif/show` and `dpctl/show` print.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DatapathStats {
    /// Packets that a cached flow handled.
    pub hit: u64,
    /// Packets that were translated.
    pub missed: u64,
    /// Packets that could be neither.
    pub lost: u64,
    /// Installed flows.
    pub flows: u64,
    /// Distinct masks of the installed flows.
    pub masks: u64,
    /// Translated, but not installed because the flow limit was reached.
    pub over_limit: u64,
    /// Copies for a port that was not there.
    pub no_port: u64,
    /// Reallocations of the vector that received packets are kept in. It has room for all that the
    /// packet thread asks ports for, so that only a port that gives more causes one.
    pub batches_grown: u64,
    /// Urgent frames and jobs that a full queue refused.
    pub urgent_dropped: u64,
    /// Packets that ports received.
    pub received: u64,
    /// Further looks at a packet, after a `recirc` action.
    pub recirculated: u64,
    /// Of the hits: those that the classifier found, because the signature cache did not.
    pub masked_hit: u64,
    /// Tables of one mask that these looked into.
    pub masked_lookup: u64,
    /// Packets given to ports.
    pub sent: u64,
    /// Times that a port was given packets to send in one go.
    pub sent_batches: u64,
}

/// What a packet is sent out with when the control side makes one.
#[derive(Debug)]
pub struct Execute {
    /// The packet.
    pub packet: Packet,
    /// The port it counts as received on.
    pub in_port: PortNo,
    /// The actions, run in order.
    pub actions: Vec<Action>,
}

/// Why the datapath refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DatapathError {
    /// The wanted port number is taken.
    #[error("datapath port {0} is in use")]
    PortInUse(u32),
    /// There is no port of this number.
    #[error("no datapath port {0}")]
    NoSuchPort(u32),
    /// There is no bucket table of this identity.
    #[error("no bucket table {0}")]
    NoSuchTable(u32),
    /// No port number is free.
    #[error("all datapath port numbers are in use")]
    Full,
    /// A flow with the same mask and key exists.
    #[error("a flow matches the same already")]
    FlowExists,
    /// The packet thread has ended.
    #[error("the datapath has stopped")]
    Stopped,
    /// A call that waits for the packet thread, made on that thread.
    #[error("this call waits for the packet thread and was made on it")]
    OnPacketThread,
}

/// Urgent frames and jobs that may wait for a datapath thread: what a failover of a thousand bonds
/// makes.
pub const URGENT_DEPTH: usize = 2048;

/// Port numbers are below this, so that packets find ports in an array.
pub const MAX_PORTS: u32 = 1 << 16;

/// A function to run on a datapath thread, between two batches of packets.
pub type Job = Box<dyn FnOnce() + Send>;

/// A datapath, as the control side sees it. All calls are cheap and none waits for packets,
/// except those that say so.
pub trait Datapath: Send + Sync {
    /// Adds a device. `wanted` is taken if it is free, else the lowest free number from 1 on.
    /// Waits until the datapath's threads have it.
    fn port_add(
        &self,
        name: &str,
        io: Box<dyn PacketIo>,
        wanted: Option<PortNo>,
    ) -> Result<PortNo, DatapathError>;

    /// Removes a port and closes its device. Waits until no thread uses it any more.
    fn port_del(&self, port: PortNo) -> Result<(), DatapathError>;

    /// Gives a port another number, which must be free; its device stays open. Waits as
    /// `port_add` does. Packets that the device holds meanwhile come in under the new number.
    fn port_move(&self, from: PortNo, to: PortNo) -> Result<(), DatapathError>;

    /// What the port's queues counted.
    fn port_counters(&self, port: PortNo) -> Option<IoCounters>;

    /// Makes `table` what packets use from now on: one atomic store, whatever the number of
    /// flows. Creates the table when it is new.
    fn table_publish(&self, id: TableId, table: Arc<BucketTable>);

    /// Gives a table a [`Standby`], in place of the former one. No effect without such a table.
    fn table_standby(&self, id: TableId, standby: Standby) {
        let _ = (id, standby);
    }

    /// Removes a table. Flows that refer to it drop their packets from then on.
    fn table_remove(&self, id: TableId);

    /// Bytes sent through each bucket since the table was made. Never shrinks.
    fn table_bytes(&self, id: TableId) -> Option<Box<[u64; 256]>>;

    /// The table in force, to show a flow's actions as what they do now.
    fn table(&self, id: TableId) -> Option<Arc<BucketTable>>;

    /// Every installed flow, of all threads, in order of installation.
    fn flows(&self) -> Vec<Arc<FlowHandle>>;

    /// Puts a flow in by hand; packets in its way get it from then on. Waits until the datapath's
    /// threads have it. The flow limit does not count.
    ///
    /// # Errors
    ///
    /// [`DatapathError::FlowExists`] when there is one that matches the same.
    fn flow_install(&self, flow: FlowHandle) -> Result<Arc<FlowHandle>, DatapathError>;

    /// Takes a flow out; a packet that arrives later is translated anew.
    fn flow_remove(&self, flow: &Arc<FlowHandle>);

    /// Takes all flows out.
    fn flow_flush(&self);

    /// Sends a packet of the control side's own through `actions`.
    fn execute(&self, what: Execute);

    /// As [`execute`](Datapath::execute), for a thread that must not wait, ahead of what the rest
    /// of the control side has asked for. False: dropped, because the datapath's thread has not
    /// taken the last [`URGENT_DEPTH`] such things, and counted in [`DatapathStats::urgent_dropped`].
    fn execute_urgent(&self, what: Execute) -> bool;

    /// As [`run`](Datapath::run), in the manner of `execute_urgent`.
    fn run_urgent(&self, job: Job) -> bool;

    /// Runs `job` on a datapath thread (the first, where there are several). This is how the
    /// control side reads what belongs to the packet path without a lock between them.
    fn run(&self, job: Job);

    /// `hook` is called on a datapath thread soon after a device has refused to send: it may have
    /// lost its link. It must not wait. The first one given stays.
    fn on_refused_send(&self, hook: Box<dyn Fn() + Send + Sync>) {
        let _ = hook;
    }

    /// Totals since the datapath was created.
    fn stats(&self) -> DatapathStats;

    /// Most flows that may be installed at once.
    fn set_flow_limit(&self, limit: usize);

    /// The clock for flow statistics ("used" times).
    fn now(&self) -> Time;
}
