//! What exists only so that Open vSwitch's test suite runs against this daemon.
//!
//! None of it changes how packets of real devices are forwarded.
//!
//! | item | what the suite does with it |
//! |---|---|
//! | [`log_packets_as_main`], [`dpif_name`] | compares log lines about packets of dummy devices |
//! | [`dummy`] | knows a dummy device's port number and address, compares what is printed of its queues |
//! | `datapath::format::compat` | compares the text of a flow that `dpctl/add-flow` installed |
//! | [`user_datapaths`] | `dpctl/add-dp`, `del-dp`, `add-if`, `set-if` on dummy devices |
//! | [`commands::enable_ufid`], [`commands::disable_ufid`] | calls them, compares the answer |
//!
pub mod commands;
pub mod dummy;
pub mod user_datapaths;

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
