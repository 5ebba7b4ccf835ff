//! Callbacks into the daemon. Each is set once, before packets come; without one nothing is called.

use std::sync::{Arc, OnceLock};

use datapath::{FlowHandle, PortNo, SlowPath};
use wire::Time;

use crate::packet_in::{PacketInSink, QueuedPacketIn};
use crate::slow_path::SlowPathSink;
use crate::translate::XlateReport;

/// What happens to a flow of the datapath.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FlowEvent {
    /// A packet missed and this was made of it.
    Added,
    /// The revalidator looks at it.
    Dumped,
    /// It has other actions now.
    Modified,
}

/// Called with flows, for the log. Must not wait.
pub type FlowWatcher = Box<dyn Fn(FlowEvent, &FlowHandle) + Send + Sync>;

/// Called with lines for the log. Must not wait.
pub type Reporter = Box<dyn Fn(&XlateReport) + Send + Sync>;

/// See the module.
#[derive(Default)]
pub(crate) struct Hooks {
    slow_path: OnceLock<Arc<dyn SlowPathSink>>,
    packet_ins: OnceLock<Arc<dyn PacketInSink>>,
    watcher: OnceLock<FlowWatcher>,
    reporter: OnceLock<Reporter>,
}

impl Hooks {
    /// Sets the sink of LACP, BFD and CFM frames.
    pub(crate) fn set_slow_path(&self, sink: Arc<dyn SlowPathSink>) {
        let _ = self.slow_path.set(sink);
    }

    /// Sets the sink of packets for controllers.
    pub(crate) fn set_packet_in_sink(&self, sink: Arc<dyn PacketInSink>) {
        let _ = self.packet_ins.set(sink);
    }

    /// Sets the watcher of flows.
    pub(crate) fn set_watcher(&self, watcher: FlowWatcher) {
        let _ = self.watcher.set(watcher);
    }

    /// Sets the receiver of lines for the log.
    pub(crate) fn set_reporter(&self, reporter: Reporter) {
        let _ = self.reporter.set(reporter);
    }

    /// A frame of LACP, BFD or CFM came.
    pub(crate) fn frame(&self, now: Time, what: SlowPath<'_>) {
        if let Some(sink) = self.slow_path.get() {
            sink.frame(now, what);
        }
    }

    /// A RARP came by this port, the first of its flow.
    pub(crate) fn announced(&self, in_port: PortNo) {
        if let Some(sink) = self.slow_path.get() {
            sink.announced(in_port);
        }
    }

    /// Whether packets for controllers have a sink.
    pub(crate) fn takes_packet_ins(&self) -> bool {
        self.packet_ins.get().is_some()
    }

    /// Hands a packet for controllers on. False: the queue is full.
    pub(crate) fn packet_in(&self, packet: QueuedPacketIn) -> bool {
        self.packet_ins.get().is_none_or(|sink| sink.packet_in(packet))
    }

    /// Shows a flow to the watcher.
    pub(crate) fn flow(&self, event: FlowEvent, flow: &FlowHandle) {
        if let Some(watcher) = self.watcher.get() {
            watcher(event, flow);
        }
    }

    /// Whether lines for the log have a receiver.
    pub(crate) fn takes_reports(&self) -> bool {
        self.reporter.get().is_some()
    }

    /// Hands a line for the log on.
    pub(crate) fn report(&self, line: &XlateReport) {
        if let Some(reporter) = self.reporter.get() {
            reporter(line);
        }
    }
}
