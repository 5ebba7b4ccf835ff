//! Options of steps that several modules take.

use openflow::OfPort;

/// How a packet goes out of a port.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct OutputOpts {
    /// Nothing is done with the packet afterwards.
    pub(super) last: bool,
    /// Sent to `TABLE`, it may end at the controllers.
    pub(super) may_packet_in: bool,
    /// This copy is truncated.
    pub(super) truncate: bool,
}

impl OutputOpts {
    /// The packet as it is. `last`: nothing is done with it afterwards.
    pub(super) fn last(last: bool) -> OutputOpts {
        OutputOpts { last, ..OutputOpts::default() }
    }
}

/// What becomes of a packet that no rule of a table matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OnMiss {
    /// What the table says; controllers may get it.
    PacketIn,
    /// What the table says, but controllers do not get it.
    NoPacketIn,
    /// The lookup ends.
    Stop,
}

/// On what a table's rules are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RunOn {
    /// On the packet itself.
    Packet,
    /// On a copy: the packet entered another bridge.
    Copy,
}

/// A visit to a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct TableVisit {
    pub(super) table: u8,
    /// The port by which rules see the packet come in.
    pub(super) in_port: OfPort,
    pub(super) on_miss: OnMiss,
    /// Nothing is done with the packet afterwards.
    pub(super) last: bool,
    pub(super) run_on: RunOn,
}

/// Octets of stack that one level of nesting never needs, and what is added when less is left.
const STACK_LEFT: usize = 128 << 10;
const STACK_MORE: usize = 2 << 20;

/// Calls `go`, on more stack if little is left: tables in ascending order may nest thousands deep,
/// which is more than a thread's stack holds.
pub(super) fn deeper<R>(go: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(STACK_LEFT, STACK_MORE, go)
}

/// Hexadecimal as C's `%#x`: no prefix for zero.
pub(super) fn hex(v: u64) -> String {
    if v == 0 { "0".to_owned() } else { format!("{v:#x}") }
}
