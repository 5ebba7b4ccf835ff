//! Whether a packet-out can be carried out.

use openflow::action_check::{self, Limits};
use openflow::msg::PacketOut;
use openflow::{Action, Match, OfError, Version};

/// Whether a packet and its actions go together.
pub(super) fn check_packet_out(p: &PacketOut, version: Version) -> Result<(), OfError> {
    if p.buffer_id.is_some() {
        return Err(OfError::BrcBufferUnknown);
    }
    // The actions are held against the packet as it is: everything is known of it.
    let mut flow = p.metadata.value;
    flow.key = wire::extract(&p.packet, 0);
    let mut exact = Match { value: flow, mask: p.metadata.mask };
    exact.mask.key.eth_type = 0xffff;
    exact.mask.key.nw_proto = 0xff;
    exact.mask.key.vlan[0].tci = 0xffff;
    exact.mask.key.tp_src = 0xffff;
    action_check::check(&p.actions, &exact, version, Limits { table: 0, ..Limits::NONE })
}

/// Whether the groups and meters that actions name exist. There are none.
pub(super) fn check_existing(actions: &[Action]) -> Result<(), OfError> {
    actions.iter().try_for_each(|a| match a {
        Action::Group(_) => Err(OfError::BacBadOutGroup),
        Action::Meter(_) => Err(OfError::MmfcInvalidMeter),
        Action::Clone(inner) | Action::WriteActions(inner) => check_existing(inner),
        _ => Ok(()),
    })
}
