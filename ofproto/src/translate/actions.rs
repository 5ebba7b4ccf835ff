//! OpenFlow's actions, one after the other.

use openflow::action::{Controller, PacketInReason};
use openflow::{Action, Field, OfPort};

use crate::trace::NodeKind;

use super::context::Translator;
use super::flow_state::{DSCP, ECN, Ttl};
use super::options::{OnMiss, OutputOpts, RunOn, TableVisit, deeper, hex};

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
            if self.progress.failure().is_some() {
                break;
            }
            if self.progress.exits() {
                self.freeze_rest(&actions[i..]);
                break;
            }
            self.forget_mirror_copies(a);
            if self.trace.is_on() {
                let one = std::slice::from_ref(a);
                let text = self.with_names(|n| openflow::text::print_actions(one, n));
                self.note(NodeKind::Action, text);
            }
            if !self.act(a, last) {
                return;
            }
            // What comes after a resubmission is kept above, when its turn comes.
            let deferred = matches!(a, Action::Resubmit { .. } | Action::GotoTable(_));
            if !deferred
                && self.progress.failure().is_none()
                && self.progress.exits()
                && self.progress.freezes_first()
            {
                self.freeze_rest(rest);
                break;
            }
        }
    }

    /// One action; false when those after it in the list are not carried out.
    fn act(&mut self, a: &Action, last: bool) -> bool {
        match a {
            Action::Output { port, max_len } => {
                let to = OutputOpts { last, may_packet_in: true, truncate: false };
                self.output_action(*port, *max_len, to);
            }
            Action::OutputReg { src, max_len, .. } => {
                let port = self.flow.peek(*src);
                match u16::try_from(port) {
                    Ok(port) => {
                        self.note(NodeKind::Detail, format!("output port is {port}"));
                        self.flow.read(*src);
                        self.output_action(OfPort(port), *max_len, OutputOpts::last(last));
                    }
                    Err(_) => {
                        let text = format!("output port {port} is out of range");
                        self.note(NodeKind::Warning, text);
                    }
                }
            }
            Action::OutputTrunc { port, max_len } => self.output_trunc(*port, *max_len, last),
            Action::Controller(c) => self.controller_action(c),
            Action::Enqueue { port, queue } => self.enqueue(*port, *queue, last),
            Action::Group(_) => {
                // There are no groups, so this one is not found: its list ends.
                return false;
            }
            Action::SetField { field, value, mask, .. } => {
                self.set_field(*field, *value, *mask);
            }
            Action::SetVlanVid { vid, push } => self.flow.set_vlan_vid(*vid, *push),
            Action::SetVlanPcp { pcp, push } => self.flow.set_vlan_pcp(*pcp, *push),
            Action::StripVlan { .. } => self.flow.pop_vlan(),
            Action::PushVlan(tpid) => self.flow.push_vlan(*tpid),
            Action::SetEthSrc(mac) => self.flow.set_eth_src(*mac),
            Action::SetEthDst(mac) => self.flow.set_eth_dst(*mac),
            Action::SetIpv4Src(ip) => self.flow.set_ipv4(|k| &mut k.nw_src, *ip),
            Action::SetIpv4Dst(ip) => self.flow.set_ipv4(|k| &mut k.nw_dst, *ip),
            Action::SetIpDscp(v) => self.flow.set_tos(DSCP, *v),
            Action::SetIpEcn(v) => self.flow.set_tos(ECN, *v),
            Action::SetIpTtl(ttl) => self.flow.set_ttl(*ttl),
            Action::SetTpSrc(port) => self.flow.set_port(|k| &mut k.tp_src, *port),
            Action::SetTpDst(port) => self.flow.set_port(|k| &mut k.tp_dst, *port),
            Action::Move { src, dst, .. } => {
                self.flow.move_bits(*src, *dst);
                self.note_subfield(*dst);
            }
            Action::Push(from) => {
                let v = self.flow.read(*from);
                self.stack.push(v, from.n_bits);
            }
            Action::Pop(to) => self.pop(*to),
            Action::DecTtl(ids) => return self.dec_ttl(ids.as_deref().unwrap_or(&[0])),
            // No packet is taken apart below an MPLS header, so none has one to change; a frame
            // whose time to live cannot be read ends its list, as in Open vSwitch.
            Action::SetMplsLabel(_) | Action::SetMplsTc(_) | Action::SetMplsTtl(_) => {}
            Action::DecMplsTtl => {
                self.note(NodeKind::Warning, "MPLS decrement TTL exception");
                return false;
            }
            Action::PushMpls(_) | Action::PopMpls(_) => {
                self.info("MPLS is not carried out, dropping");
                self.progress.exit();
            }
            Action::SetTunnel { id, .. } => self.flow.set_tunnel_id(*id),
            Action::SetQueue(queue) => drop(self.flow.set_queue(*queue)),
            Action::PopQueue => {
                let queue = self.flow.orig().skb_priority;
                if self.flow.set_queue(queue) != queue {
                    let text = format!("queue = {}", hex(queue.into()));
                    self.note(NodeKind::Detail, text);
                }
            }
            Action::FinTimeout { idle, hard } => {
                self.flow.examine(|_, wc| wc.nw_proto = u8::MAX);
                self.fin_timeout(*idle, *hard);
            }
            Action::Resubmit { in_port, table, ct, .. } => {
                self.resubmit(*in_port, *table, *ct, last);
            }
            Action::GotoTable(table) => self.visit_table(TableVisit {
                table: *table,
                in_port: self.flow.in_port(),
                on_miss: OnMiss::PacketIn,
                last,
                run_on: RunOn::Packet,
            }),
            Action::Conjunction { .. } => self.error("executing no-op conjunction action"),
            Action::Note(_) | Action::Meter(_) | Action::CtClear => {}
            Action::Exit => self.progress.exit(),
            Action::Clone(body) => deeper(|| self.run_copy(body, last)),
            Action::DebugRecirc => self.progress.start_freezing(None),
            Action::DebugSlow => self.out.translate_each_packet(),
            Action::ClearActions => {
                self.note_action_set("was");
                self.action_set.clear();
                self.flow.set_actset_output(OfPort::UNSET);
            }
            Action::WriteActions(written) => {
                if let Some(port) = self.action_set.write(written) {
                    self.flow.set_actset_output(port);
                }
                self.note_action_set("is");
            }
            Action::WriteMetadata { value, mask } => self.flow.set_metadata(*value, *mask),
        }
        true
    }

    fn controller_action(&mut self, c: &Controller) {
        if c.pause {
            self.progress.start_freezing(Some(c.clone()));
        } else {
            self.output_controller(c.max_len, c.reason, c.id, &c.userdata);
        }
    }

    /// False: the time to live is over, and nothing more of this list is done.
    fn dec_ttl(&mut self, controllers: &[u16]) -> bool {
        match self.flow.dec_ttl() {
            Ttl::NotIp | Ttl::Decremented => return true,
            Ttl::Expired => {}
        }
        for id in controllers {
            self.output_controller(u16::MAX, PacketInReason::INVALID_TTL, *id, &[]);
        }
        let version = if self.flow.key().eth_type == wire::EtherType::IPV4 { 4 } else { 6 };
        self.note(NodeKind::Warning, format!("IPv{version} decrement TTL exception"));
        false
    }

    fn set_field(&mut self, field: Field, value: u128, mask: u128) {
        if !self.flow.set_field(field, value, mask) {
            let name = field.info().name;
            let text = format!("unmet prerequisites for {name}, set_field ignored");
            self.note(NodeKind::Warning, text);
        }
    }

    fn pop(&mut self, to: openflow::Subfield) {
        match self.stack.pop() {
            Some(v) => {
                self.flow.write(to, v);
                self.note_subfield(to);
            }
            None => self.error("stack underflow"),
        }
    }

    fn note_action_set(&mut self, verb: &str) {
        if !self.trace.is_on() {
            return;
        }
        let list = self.action_set.run_order();
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
        let list = self.action_set.take();
        if list.is_empty() {
            return;
        }
        self.progress.set_in_action_set(true);
        let traced = self.trace.depth();
        self.trace.enter(NodeKind::Table, || "--. Executing action set:".to_owned());
        self.run(&list, true);
        self.trace.leave_to(traced);
        self.progress.set_in_action_set(false);
    }

    /// What a mirror has got is not what it gets from now on, once the packet is changed.
    fn forget_mirror_copies(&mut self, a: &Action) {
        if self.mirroring.copied() == 0 {
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
            Action::SetField { field, .. } => self.flow.is_in_packet(*field),
            Action::SetIpv4Src(_) | Action::SetIpv4Dst(_) => {
                self.flow.key().eth_type == wire::EtherType::IPV4
            }
            Action::SetIpDscp(_) | Action::SetIpEcn(_) | Action::SetIpTtl(_) => self.flow.is_ip(),
            Action::SetTpSrc(_) | Action::SetTpDst(_) => self.flow.has_ports(),
            _ => false,
        };
        if changes {
            self.mirroring.forget_copies();
        }
    }

    /// What a field is now.
    pub(super) fn note_subfield(&mut self, s: openflow::Subfield) {
        if !self.trace.is_on() {
            return;
        }
        let name = openflow::text::print_subfield(s);
        let value = if s.ofs == 0 && s.n_bits >= s.field.info().bits {
            let v = self.flow.fields().get(s.field);
            self.with_names(|n| openflow::text::print_value(s.field, v, s.field.ones(), n))
        } else {
            // Zero has a prefix here, as upstream's `ds_put_hex` writes it.
            format!("{:#x}", self.flow.peek(s))
        };
        self.note(NodeKind::Detail, format!("{name} is now {value}"));
    }
}
