//! What exists only so that Open vSwitch's test suite runs against this daemon.
//!
//! None of it changes how packets of real devices are forwarded.
//!
//! | item | what the suite does with it |
//! |---|---|
//! | [`BATCH_GROWN`] | reads the counter at the end of each test |
//! | [`log_packets_as_main`], [`dpif_name`] | compares log lines about packets of dummy devices |
//! | [`user_datapaths`] | `dpctl/add-dp`, `del-dp`, `add-if`, `set-if` on dummy devices |
//! | [`commands::enable_ufid`], [`commands::disable_ufid`] | calls them, compares the answer |
//!
//! Two more pieces are where they take effect: port numbers from the digits of a dummy device's name
//! (`apply::number`), and `packet_type` in the text of a flow (`datapath::format`).

pub mod commands;
pub mod user_datapaths;

use crate::coverage::Counter;

/// Batches of packets that were reallocated. Batches of this datapath have a fixed size, so that no
/// event increments it: 0 is the true count.
pub static BATCH_GROWN: Counter = Counter::new("dp_packet_batch_grow");

/// Gives the calling thread's log lines no thread name, as main's have none. With `--enable-dummy`
/// Open vSwitch processes packets of dummy devices in its main thread; here it is the packet thread
/// that logs them.
pub fn log_packets_as_main() {
    crate::log::set_subprogram("");
}

/// The name of the datapath in log lines about flows.
pub fn dpif_name(dummies: bool) -> &'static str {
    if dummies { "dummy@ovs-dummy" } else { "system@ovs-system" }
}
