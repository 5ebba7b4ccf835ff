//! OpenFlow's actions, one after the other.

use openflow::action::{Controller, PacketInReason};
use openflow::{Action, Field, Fields, OfPort, action};
use wire::VlanTag;

use crate::trace::NodeKind;
use crate::vlan::Tag;

use super::context::{Translator, VID_AND_PRESENT};
use super::fields::{DSCP, ECN};
use super::output::OutputOpts;
use super::table::{RunOn, deeper};
use super::{Failure, fields};
use datapath::UserspaceReason;

impl Translator<'_> {
    /// Carries out a list. `last`: nothing comes after it.
    pub(super) fn run(&mut self, actions: &[Action], last: bool) {
        if actions.is_empty() {
            self.note(NodeKind::Action, "drop");
            return;
        }
        for (i, a) in actions.iter().enumerate() {
            let rest = &actions[i + 1..];
            let last = last && rest.is_empty() && self.action_set.is_empty();
            if self.failure.is_some() {
                break;
            }
            if self.exit {
                self.freeze_rest(&actions[i..]);
                break;
            }
            self.forget_mirrors(a);
            if self.is_traced() {
                let one = std::slice::from_ref(a);
                let text = self.with_names(|n| openflow::text::print_actions(one, n));
                self.note(NodeKind::Action, text);
            }
            if !self.act(a, last) {
                return;
            }
            // What comes after a resubmission is kept above, when its turn comes.
            let deferred = matches!(a, Action::Resubmit { .. } | Action::GotoTable(_));
            if !deferred && self.failure.is_none() && self.exit && self.freezes_first() {
                self.freeze_rest(rest);
                break;
            }
        }
    }

    /// One action; false when those after it in the list are not carried out.
    fn act(&mut self, a: &Action, last: bool) -> bool {
        match a {
            Action::Output { port, max_len } => {
                let to = OutputOpts { may_packet_in: true, last, truncate: false };
                self.output_action(*port, *max_len, to);
            }
            Action::OutputReg { src, max_len, .. } => {
                let port = src.get(&self.flow);
                match u16::try_from(port) {
                    Ok(port) => {
                        self.note(NodeKind::Detail, format!("output port is {port}"));
                        self.look_at(*src);
                        let to = OutputOpts { may_packet_in: false, last, truncate: false };
                        self.output_action(OfPort(port), *max_len, to);
                    }
                    Err(_) => {
                        let text = format!("output port {port} is out of range");
                        self.note(NodeKind::Warning, text);
                    }
                }
            }
            Action::OutputTrunc { port, max_len } => self.output_trunc(*port, *max_len, last),
            Action::Controller(c) => self.controller_action(c),
            Action::Enqueue { port, queue } => {
                self.wc.key.skb_priority = u32::MAX;
                self.enqueue(*port, *queue, last);
            }
            Action::Group(_) => {
                // There are no groups, so this one is not found: its list ends.
                return false;
            }
            Action::SetField { field, value, mask, .. } => {
                self.set_field(*field, *value, *mask);
            }
            Action::SetVlanVid { vid, push } => {
                self.wc.key.vlan[0].tci |= VID_AND_PRESENT;
                self.set_vlan(*push, VlanTag::VID_MASK, *vid);
            }
            Action::SetVlanPcp { pcp, push } => {
                self.wc.key.vlan[0].tci |= fields::PCP | VlanTag::CFI;
                self.set_vlan(*push, fields::PCP, u16::from(*pcp) << VlanTag::PCP_SHIFT);
            }
            Action::StripVlan { .. } => self.pop_vlan(),
            Action::PushVlan(tpid) => self.push_vlan(*tpid),
            Action::SetEthSrc(mac) => {
                self.wc.key.eth_src = fields::MAC;
                self.flow.key.eth_src = *mac;
            }
            Action::SetEthDst(mac) => {
                self.wc.key.eth_dst = fields::MAC;
                self.flow.key.eth_dst = *mac;
            }
            Action::SetIpv4Src(ip) => self.set_ipv4(|k| &mut k.nw_src, *ip),
            Action::SetIpv4Dst(ip) => self.set_ipv4(|k| &mut k.nw_dst, *ip),
            Action::SetIpDscp(v) => self.set_tos(DSCP, *v),
            Action::SetIpEcn(v) => self.set_tos(ECN, *v),
            Action::SetIpTtl(ttl) => {
                if self.is_ip() {
                    self.wc.key.nw_proto = u8::MAX;
                    self.wc.key.nw_ttl = u8::MAX;
                    self.flow.key.nw_ttl = *ttl;
                }
            }
            Action::SetTpSrc(port) => self.set_port(|k| &mut k.tp_src, *port),
            Action::SetTpDst(port) => self.set_port(|k| &mut k.tp_dst, *port),
            Action::Move { src, dst, .. } => self.move_bits(*src, *dst),
            Action::Push(from) => {
                self.look_at(*from);
                let v = from.get(&self.flow);
                self.stack.push((v, from.n_bits));
                self.stack_size += usize::from(from.n_bits.div_ceil(8)) + 1;
            }
            Action::Pop(to) => self.pop(*to),
            Action::DecTtl(ids) => return self.dec_ttl(ids.as_deref().unwrap_or(&[0])),
            // No packet is taken apart below an MPLS header, so none has one to change; a frame
            // whose time to live cannot be read ends its list, as upstream has it.
            Action::SetMplsLabel(_) | Action::SetMplsTc(_) | Action::SetMplsTtl(_) => {}
            Action::DecMplsTtl => {
                self.note(NodeKind::Warning, "MPLS decrement TTL exception");
                return false;
            }
            Action::PushMpls(_) | Action::PopMpls(_) => {
                self.info("MPLS is not carried out, dropping");
                self.exit = true;
            }
            Action::SetTunnel { id, .. } => self.flow.tun_id = *id,
            Action::SetQueue(queue) => {
                self.wc.key.skb_priority = u32::MAX;
                // The queue's number is its priority in a userspace datapath.
                self.flow.key.skb_priority = *queue;
            }
            Action::PopQueue => {
                self.wc.key.skb_priority = u32::MAX;
                if self.flow.key.skb_priority != self.key.skb_priority {
                    self.flow.key.skb_priority = self.key.skb_priority;
                    let text = format!("queue = {}", hex(self.key.skb_priority.into()));
                    self.note(NodeKind::Detail, text);
                }
            }
            Action::FinTimeout { idle, hard } => {
                self.wc.key.nw_proto = u8::MAX;
                self.fin_timeout(*idle, *hard);
            }
            Action::Resubmit { in_port, table, ct, .. } => {
                self.resubmit(*in_port, *table, *ct, last);
            }
            Action::GotoTable(table) => {
                let port = self.flow.in_port;
                self.table_action(port, *table, true, true, last, RunOn::Packet);
            }
            Action::Conjunction { .. } => self.error("executing no-op conjunction action"),
            Action::Note(_) | Action::Meter(_) | Action::CtClear => {}
            Action::Exit => self.exit = true,
            Action::Clone(body) => deeper(|| self.run_copy(body, last)),
            Action::DebugRecirc => self.start_freezing(None),
            Action::DebugSlow => self.be_slow(),
            Action::ClearActions => {
                self.tell_action_set("was");
                self.action_set.clear();
                self.flow.actset_output = OfPort::UNSET;
                self.set_has_group = false;
            }
            Action::WriteActions(written) => {
                self.write_actions(written);
                self.tell_action_set("is");
            }
            Action::WriteMetadata { value, mask } => {
                self.flow.metadata = self.flow.metadata & !mask | value & mask;
            }
        }
        true
    }

    /// The datapath cannot do it: each packet is translated anew.
    pub(super) fn be_slow(&mut self) {
        if !self.slow.contains(&UserspaceReason::Action) {
            self.slow.push(UserspaceReason::Action);
        }
    }

    fn controller_action(&mut self, c: &Controller) {
        if c.pause {
            self.start_freezing(Some(c.clone()));
        } else {
            self.output_controller(c.max_len, c.reason, c.id, &c.userdata);
        }
    }

    /// False: the time to live is over, and nothing more of this list is done.
    fn dec_ttl(&mut self, controllers: &[u16]) -> bool {
        if !self.is_ip() {
            return true;
        }
        self.wc.key.nw_ttl = u8::MAX;
        self.wc.key.nw_proto = u8::MAX;
        if self.flow.key.nw_ttl > 1 {
            self.flow.key.nw_ttl -= 1;
            return true;
        }
        for id in controllers {
            self.output_controller(u16::MAX, PacketInReason::INVALID_TTL, *id, &[]);
        }
        let version = if self.flow.key.eth_type == wire::EtherType::IPV4 { 4 } else { 6 };
        self.note(NodeKind::Warning, format!("IPv{version} decrement TTL exception"));
        false
    }

    fn pop(&mut self, to: openflow::Subfield) {
        match self.stack.pop() {
            Some((v, bits)) => {
                self.stack_size -= usize::from(bits.div_ceil(8)) + 1;
                if !fields::is_tunnel(to.field) {
                    self.look_at(to);
                }
                to.set(&mut self.flow, v);
                self.fix_vlan();
                self.tell_subfield(to);
            }
            None => self.error("stack underflow"),
        }
    }

    fn set_vlan(&mut self, push: bool, bits: u16, v: u16) {
        let tag = &mut self.flow.key.vlan[0];
        if tag.is_present() || push {
            tag.tci = tag.tci & !bits | v & bits | VlanTag::CFI;
            self.fix_vlan();
        }
    }

    fn pop_vlan(&mut self) {
        let mut tags = self.tags();
        if tags.outer().tpid != 0 {
            if self.vlan_limit > 1 {
                // The tag under it is the packet's now, or there is none.
                self.wc.key.vlan[1].tci = u16::MAX;
            }
            tags.pop();
            self.set_tags(&tags);
        }
    }

    fn push_vlan(&mut self, tpid: u16) {
        for (seen, tag) in self.wc.key.vlan.iter_mut().zip(&self.flow.key.vlan) {
            if tag.is_present() {
                *seen = VlanTag { tpid: u16::MAX, tci: u16::MAX };
            }
        }
        let mut tags = self.tags();
        tags.push(Tag { tpid, vid: 0, pcp: 0 });
        self.set_tags(&tags);
    }

    fn write_actions(&mut self, written: &[Action]) {
        if !self.set_has_group {
            for a in written {
                match a {
                    Action::Output { port, .. } => self.flow.actset_output = *port,
                    Action::Group(_) => {
                        self.flow.actset_output = OfPort::UNSET;
                        self.set_has_group = true;
                        break;
                    }
                    _ => {}
                }
            }
        }
        self.action_set.extend_from_slice(written);
    }

    fn tell_action_set(&mut self, verb: &str) {
        if !self.is_traced() {
            return;
        }
        let list = action::run_order(&self.action_set);
        let text = if list.is_empty() {
            format!("action set {verb} empty")
        } else {
            let text = self.with_names(|n| openflow::text::print_actions(&list, n));
            format!("action set {verb}: {text}")
        };
        self.note(NodeKind::Detail, text);
    }

    /// Carries out the action set, which is empty then.
    pub(super) fn run_action_set(&mut self) {
        if self.action_set.is_empty() {
            return;
        }
        let list = action::run_order(&std::mem::take(&mut self.action_set));
        if list.is_empty() {
            return;
        }
        self.in_action_set = true;
        let traced = self.trace_depth();
        self.enter(NodeKind::Table, || "--. Executing action set:".to_owned());
        self.run(&list, true);
        self.leave_to(traced);
        self.in_action_set = false;
    }

    /// What a mirror has got is not what it gets from now on, once the packet is changed.
    fn forget_mirrors(&mut self, a: &Action) {
        if self.mirrors == 0 {
            return;
        }
        let changes = match a {
            Action::StripVlan { .. }
            | Action::PushVlan(_)
            | Action::SetEthSrc(_)
            | Action::SetEthDst(_)
            | Action::PushMpls(_)
            | Action::PopMpls(_)
            | Action::SetMplsLabel(_)
            | Action::SetMplsTc(_)
            | Action::SetMplsTtl(_)
            | Action::DecMplsTtl
            | Action::DecTtl(_)
            | Action::SetVlanVid { .. }
            | Action::SetVlanPcp { .. } => true,
            Action::SetField { field, .. } => {
                field.prereq_ok(&self.flow) && !fields::is_metadata(*field)
            }
            Action::SetIpv4Src(_) | Action::SetIpv4Dst(_) => {
                self.flow.key.eth_type == wire::EtherType::IPV4
            }
            Action::SetIpDscp(_) | Action::SetIpEcn(_) | Action::SetIpTtl(_) => self.is_ip(),
            Action::SetTpSrc(_) | Action::SetTpDst(_) => self.has_ports(),
            _ => false,
        };
        if changes {
            self.mirrors = 0;
        }
    }

    /// What a field is now.
    pub(super) fn tell_subfield(&mut self, s: openflow::Subfield) {
        if !self.is_traced() {
            return;
        }
        let name = openflow::text::print_subfield(s);
        let value = if s.ofs == 0 && s.n_bits >= s.field.info().bits {
            let v = self.flow.get(s.field);
            self.with_names(|n| openflow::text::print_value(s.field, v, s.field.ones(), n))
        } else {
            // Zero has a prefix here, as upstream's `ds_put_hex` writes it.
            format!("{:#x}", s.get(&self.flow))
        };
        self.note(NodeKind::Detail, format!("{name} is now {value}"));
    }
}

/// Hexadecimal as C's `%#x`: no prefix for zero.
pub(super) fn hex(v: u64) -> String {
    if v == 0 { "0".to_owned() } else { format!("{v:#x}") }
}

/// A failure that a bridge beyond a patch port does not hand back.
pub(super) fn stays(f: Failure) -> bool {
    match f {
        Failure::TooDeep | Failure::TooManyResubmits => true,
        Failure::BridgeNotFound | Failure::StackTooDeep | Failure::NoRecirculation => false,
    }
}

/// A field of the pipeline that no packet carries: all of it is forgotten in the next bridge.
pub(super) fn forget_pipeline(flow: &mut Fields) {
    flow.metadata = 0;
    flow.regs = [0; 32];
    flow.actset_output = OfPort::UNSET;
    for f in [Field::TunId, Field::TunSrc, Field::TunDst, Field::TunIpv6Src, Field::TunIpv6Dst] {
        flow.set(f, 0);
    }
    (flow.tun_flags, flow.tun_ttl, flow.tun_tos) = (0, 0, 0);
    (flow.ct_state, flow.ct_zone, flow.ct_mark, flow.ct_label) = (0, 0, 0, 0);
}
