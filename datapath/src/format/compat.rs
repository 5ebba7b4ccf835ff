//! What a flow's text needs only so that Open vSwitch's test suite passes.

use crate::flow::FlowHandle;

/// The notes of a flow that `dpctl/add-flow` got without `packet_type(..)`. Its text has none then.
/// All packets are Ethernet, so that it matches what it would match with one.
#[derive(Clone, Copy, Debug)]
pub struct WithoutPacketType;

/// Whether the flow's text leaves the packet type out.
pub(super) fn is_without_packet_type(flow: &FlowHandle) -> bool {
    (**flow.notes.load()).as_ref().is_some_and(|notes| notes.is::<WithoutPacketType>())
}
