//! Actions in Open vSwitch's notation.

use wire::{EtherType, FlowKey, VlanTag};

use super::attr::Show;
use super::fields;
use crate::action::{Action, ToController};
use crate::port::PortNo;

/// What the actions do now with packets like `key`. What goes through a bucket table is shown as
/// where it goes.
pub(super) fn list(actions: &[Action], key: &FlowKey, show: Show<'_>) -> Vec<String> {
    let mut out = Vec::with_capacity(actions.len());
    for action in actions {
        match *action {
            Action::Output(port) => out.push(show.port(port)),
            Action::OutputBucket { table, bucket } => {
                let port = (show.table)(table).and_then(|t| t.buckets[usize::from(bucket)]);
                out.extend(port.map(|p| show.port(p)));
            }
            Action::Gate { table } => {
                let (port, multicast) = (PortNo(key.in_port), key.eth_dst.is_multicast());
                if !(show.table)(table).is_some_and(|t| t.admits(port, multicast)) {
                    break;
                }
            }
            Action::PushVlan { tpid, tci } => {
                let vid = tci & VlanTag::VID_MASK;
                let pcp = tci >> VlanTag::PCP_SHIFT;
                out.push(if tpid == EtherType::VLAN {
                    format!("push_vlan(vid={vid},pcp={pcp})")
                } else {
                    format!("push_vlan(tpid={tpid:#06x},vid={vid},pcp={pcp})")
                });
            }
            Action::PopVlan => out.push("pop_vlan".to_owned()),
            Action::HashL4 { basis } => out.push(format!("hash(l4({basis}))")),
            Action::Recirc(id) => out.push(format!("recirc({id:#x})")),
            Action::LbOutput { id, .. } => out.push(format!("lb_output({id})")),
            Action::Userspace(reason) => {
                let reason = reason.name();
                out.push(format!("userspace(pid=0,slow_path({reason}))"));
            }
            Action::Set(ref set) => {
                let (value, show) = (set.value.masked(&set.mask), Show { more: false, ..show });
                let attr = fields::header(set.layer, &value, &set.mask, show, false);
                out.extend(attr.map(|a| format!("set({a})")));
            }
            Action::Trunc(len) => out.push(format!("trunc({len})")),
            Action::Clone(ref inner) => {
                let inner = list(inner, key, show);
                let inner = if inner.is_empty() { "drop".to_owned() } else { inner.join(",") };
                out.push(format!("clone({inner})"));
            }
            Action::Controller(ref what) => out.push(controller(what)),
            Action::Drop(_) => {
                out.push("drop".to_owned());
                break;
            }
        }
    }
    out
}

fn controller(what: &ToController) -> String {
    let bit = u8::from;
    format!(
        "userspace(pid=0,controller(reason={},dont_send={},continuation={},recirc_id={},\
         rule_cookie={},controller_id={},max_len={}))",
        what.reason,
        bit(what.dont_send),
        bit(what.continuation),
        what.recirc_id,
        super::fields::hex(what.cookie),
        what.controller_id,
        what.max_len
    )
}
