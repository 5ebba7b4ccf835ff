//! Actions and instructions.
//!
//! As in Open vSwitch both stand in one list: an instruction is an action that may stand only in
//! one place. The list is the flow's, in order; nothing is sorted.

use wire::EthAddr;

use crate::error::OfError;
use crate::field::{Field, Subfield};
use crate::ofport::OfPort;
pub use crate::packet_in_reason::PacketInReason;
use crate::version::Version;

/// The `controller` action in its full form.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Controller {
    /// Octets of the packet to send; 0xffff: all.
    pub max_len: u16,
    /// Which controllers; 0 unless one chose another identity.
    pub id: u16,
    /// The reason that the packet-in states.
    pub reason: PacketInReason,
    /// Octets that the packet-in carries back to the controller (`NXAST_CONTROLLER2`).
    pub userdata: Vec<u8>,
    /// Wait for the controller to resume the packet.
    pub pause: bool,
    /// The meter that limits the packet-ins (`NXAST_CONTROLLER2`).
    pub meter: Option<u32>,
    /// It came in the extensible form and goes out so.
    pub extended: bool,
}

impl Default for Controller {
    fn default() -> Controller {
        Controller {
            max_len: 0xffff,
            id: 0,
            reason: PacketInReason::ACTION,
            userdata: Vec::new(),
            pause: false,
            meter: None,
            extended: false,
        }
    }
}

/// In which form a field's new value was given: it is shown and sent on in the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SetForm {
    /// `set_field`.
    SetField,
    /// `load`, to a range of bits.
    Load,
    /// Nicira's second form, which names the field as `set_field` does.
    Load2,
}

/// One action or instruction.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Send out; `max_len` only matters for the controller (0xffff: all of the packet).
    Output {
        /// The port.
        port: OfPort,
        /// Octets for the controller; 0xffff: the whole packet.
        max_len: u16,
    },
    /// Send to the port whose number is in a field.
    OutputReg {
        /// The bits that hold the port number.
        src: Subfield,
        /// Octets for the controller; 0xffff: the whole packet.
        max_len: u16,
        /// Sent as `NXAST_OUTPUT_REG2`, which names fields by their OXM header.
        form2: bool,
    },
    /// Send out the first `max_len` octets (at least 14).
    OutputTrunc {
        /// The port.
        port: OfPort,
        /// Octets to send.
        max_len: u32,
    },
    /// Send to controllers (`NXAST_CONTROLLER`, `NXAST_CONTROLLER2`).
    Controller(Controller),
    /// Send out through a queue.
    Enqueue {
        /// The port.
        port: OfPort,
        /// The queue of that port.
        queue: u32,
    },
    /// Process by a group (`OFPAT_GROUP`, 1.1).
    Group(u32),

    /// `value` and `mask` are the field's; bits outside the mask are kept and zero in `value`.
    SetField {
        /// The field to set.
        field: Field,
        /// The value, right-aligned.
        value: u128,
        /// The bits of the field to set.
        mask: u128,
        /// The form in which it was given.
        form: SetForm,
    },
    /// `push`: the 1.0 form, which adds a tag where there is none (`mod_vlan_vid`).
    SetVlanVid {
        /// VLAN identifier, 0 to 4095.
        vid: u16,
        /// Adds a tag to an untagged packet.
        push: bool,
    },
    /// Set the priority of the outermost tag.
    SetVlanPcp {
        /// Priority code point, 0 to 7.
        pcp: u8,
        /// Adds a tag to an untagged packet (the 1.0 form, `mod_vlan_pcp`).
        push: bool,
    },
    /// `pop`: it is shown as `pop_vlan`, else `strip_vlan`.
    StripVlan {
        /// Shown as `pop_vlan`.
        pop: bool,
    },
    /// Add a VLAN tag with this tag protocol identifier (`OFPAT_PUSH_VLAN`, 1.1).
    PushVlan(u16),
    /// Set the Ethernet source address.
    SetEthSrc(EthAddr),
    /// Set the Ethernet destination address.
    SetEthDst(EthAddr),
    /// Set the IPv4 source address.
    SetIpv4Src([u8; 4]),
    /// Set the IPv4 destination address.
    SetIpv4Dst([u8; 4]),
    /// In the upper six bits.
    SetIpDscp(u8),
    /// Set the ECN bits of IPv4 or IPv6, 0 to 3.
    SetIpEcn(u8),
    /// Set the time to live or hop limit.
    SetIpTtl(u8),
    /// Set the TCP, UDP or SCTP source port.
    SetTpSrc(u16),
    /// Set the TCP, UDP or SCTP destination port.
    SetTpDst(u16),
    /// Copy bits from one field to another (`NXAST_REG_MOVE`; `OFPAT_COPY_FIELD`, 1.5).
    Move {
        /// The bits to copy.
        src: Subfield,
        /// The bits to write, as many as `src`.
        dst: Subfield,
        /// Sent in the ONF extension's form for 1.3.
        onf: bool,
    },
    /// Push bits on the pipeline's stack (`NXAST_STACK_PUSH`).
    Push(Subfield),
    /// Pop bits from the pipeline's stack (`NXAST_STACK_POP`).
    Pop(Subfield),
    /// With the controllers to tell when the time to live is over; without: those with identity 0.
    DecTtl(Option<Vec<u16>>),
    /// Set the outermost MPLS label, 20 bits.
    SetMplsLabel(u32),
    /// Set the outermost MPLS traffic class, 0 to 7.
    SetMplsTc(u8),
    /// Set the outermost MPLS time to live.
    SetMplsTtl(u8),
    /// Decrement the outermost MPLS time to live.
    DecMplsTtl,
    /// Push an MPLS label stack entry; the new Ethernet type.
    PushMpls(u16),
    /// Pop the outermost MPLS label stack entry; the Ethernet type of what follows.
    PopMpls(u16),

    /// `wide`: the 64-bit form.
    SetTunnel {
        /// The tunnel key.
        id: u64,
        /// Sent as `NXAST_SET_TUNNEL64`.
        wide: bool,
    },
    /// Select the queue of later outputs.
    SetQueue(u32),
    /// Select the default queue again (`NXAST_POP_QUEUE`).
    PopQueue,
    /// Shorter time-outs once a TCP connection ends, in seconds; 0 leaves one as it is.
    FinTimeout {
        /// Idle time-out in seconds; 0: unchanged.
        idle: u16,
        /// Hard time-out in seconds; 0: unchanged.
        hard: u16,
    },

    /// Look the packet up again. `in_port` [`OfPort::IN_PORT`] keeps the port, `table` 255 the
    /// table. `ct`: with the original direction of its connection. `short`: the form without a
    /// table.
    Resubmit {
        /// The input port for the lookup.
        in_port: OfPort,
        /// The table to look up.
        table: u8,
        /// Looks up with the original direction's tuple of the tracked connection.
        ct: bool,
        /// Sent as `NXAST_RESUBMIT`, which has no table.
        short: bool,
    },
    /// Part `clause` (from 0) of `n_clauses`.
    Conjunction {
        /// The conjunction's identity, which flows match as `conj_id`.
        id: u32,
        /// Index of the clause, from 0.
        clause: u8,
        /// Number of clauses, 2 to 64.
        n_clauses: u8,
    },
    /// Octets that do nothing (`NXAST_NOTE`).
    Note(Vec<u8>),
    /// Stop processing the packet (`NXAST_EXIT`).
    Exit,
    /// Actions on a copy of the packet.
    Clone(Vec<Action>),
    /// Forget the connection tracking state (`NXAST_CT_CLEAR`).
    CtClear,
    /// Recirculate, for tests (`NXAST_DEBUG_RECIRC`).
    DebugRecirc,
    /// Process each packet in the slow path, for tests (`NXAST_DEBUG_SLOW`).
    DebugSlow,

    /// An instruction in 1.3 and 1.4, an action in 1.5.
    Meter(u32),
    /// Empty the action set (`OFPIT_CLEAR_ACTIONS`, 1.1).
    ClearActions,
    /// Merge actions into the action set (`OFPIT_WRITE_ACTIONS`, 1.1).
    WriteActions(Vec<Action>),
    /// Set bits of the metadata field (`OFPIT_WRITE_METADATA`, 1.1).
    WriteMetadata {
        /// The value.
        value: u64,
        /// The bits to set.
        mask: u64,
    },
    /// Continue in a later table (`OFPIT_GOTO_TABLE`, 1.1).
    GotoTable(u8),
}

/// Where something stands among the instructions, in the order that is allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Instruction {
    /// `OFPIT_METER` (1.3 and 1.4).
    Meter,
    /// `OFPIT_APPLY_ACTIONS`: a list of actions.
    ApplyActions,
    /// `OFPIT_CLEAR_ACTIONS`.
    ClearActions,
    /// `OFPIT_WRITE_ACTIONS`.
    WriteActions,
    /// `OFPIT_WRITE_METADATA`.
    WriteMetadata,
    /// `OFPIT_GOTO_TABLE`.
    GotoTable,
}

impl Instruction {
    /// As in commands.
    pub const fn name(self) -> &'static str {
        match self {
            Instruction::Meter => "meter",
            Instruction::ApplyActions => "apply_actions",
            Instruction::ClearActions => "clear_actions",
            Instruction::WriteActions => "write_actions",
            Instruction::WriteMetadata => "write_metadata",
            Instruction::GotoTable => "goto_table",
        }
    }
}

/// What an action does in an action set.
enum InSet {
    /// One of each kind, the last one written counts; they run in this order.
    Slot(u8),
    /// All of them run, in the order written.
    SetOrMove,
    /// Only the one with the highest number runs, last.
    Final(u8),
    /// May not be there.
    Never,
}

impl Action {
    /// A plain output.
    pub fn output(port: OfPort) -> Action {
        let max_len = if port == OfPort::CONTROLLER { 0xffff } else { 0 };
        Action::Output { port, max_len }
    }

    /// The instruction that it is or is part of.
    pub fn instruction(&self, version: Version) -> Instruction {
        match self {
            Action::Meter(_) if version < Version::V15 => Instruction::Meter,
            Action::ClearActions => Instruction::ClearActions,
            Action::WriteActions(_) => Instruction::WriteActions,
            Action::WriteMetadata { .. } => Instruction::WriteMetadata,
            Action::GotoTable(_) => Instruction::GotoTable,
            _ => Instruction::ApplyActions,
        }
    }

    /// As in commands.
    pub const fn name(&self) -> &'static str {
        match self {
            Action::Output { .. } => "output",
            Action::OutputReg { .. } => "output_reg",
            Action::OutputTrunc { .. } => "output_trunc",
            Action::Controller(_) => "controller",
            Action::Enqueue { .. } => "enqueue",
            Action::Group(_) => "group",
            Action::SetField { .. } => "set_field",
            Action::SetVlanVid { .. } => "set_vlan_vid",
            Action::SetVlanPcp { .. } => "set_vlan_pcp",
            Action::StripVlan { .. } => "strip_vlan",
            Action::PushVlan(_) => "push_vlan",
            Action::SetEthSrc(_) => "mod_dl_src",
            Action::SetEthDst(_) => "mod_dl_dst",
            Action::SetIpv4Src(_) => "mod_nw_src",
            Action::SetIpv4Dst(_) => "mod_nw_dst",
            Action::SetIpDscp(_) => "mod_nw_tos",
            Action::SetIpEcn(_) => "mod_nw_ecn",
            Action::SetIpTtl(_) => "mod_nw_ttl",
            Action::SetTpSrc(_) => "mod_tp_src",
            Action::SetTpDst(_) => "mod_tp_dst",
            Action::Move { .. } => "move",
            Action::Push(_) => "push",
            Action::Pop(_) => "pop",
            Action::DecTtl(_) => "dec_ttl",
            Action::SetMplsLabel(_) => "set_mpls_label",
            Action::SetMplsTc(_) => "set_mpls_tc",
            Action::SetMplsTtl(_) => "set_mpls_ttl",
            Action::DecMplsTtl => "dec_mpls_ttl",
            Action::PushMpls(_) => "push_mpls",
            Action::PopMpls(_) => "pop_mpls",
            Action::SetTunnel { .. } => "set_tunnel",
            Action::SetQueue(_) => "set_queue",
            Action::PopQueue => "pop_queue",
            Action::FinTimeout { .. } => "fin_timeout",
            Action::Resubmit { .. } => "resubmit",
            Action::Conjunction { .. } => "conjunction",
            Action::Note(_) => "note",
            Action::Exit => "exit",
            Action::Clone(_) => "clone",
            Action::CtClear => "ct_clear",
            Action::DebugRecirc => "debug_recirc",
            Action::DebugSlow => "debug_slow",
            Action::Meter(_) => "meter",
            Action::ClearActions => "clear_actions",
            Action::WriteActions(_) => "write_actions",
            Action::WriteMetadata { .. } => "write_metadata",
            Action::GotoTable(_) => "goto_table",
        }
    }

    fn in_set(&self) -> InSet {
        match self {
            Action::StripVlan { .. } => InSet::Slot(0),
            Action::PopMpls(_) => InSet::Slot(1),
            Action::PushMpls(_) => InSet::Slot(2),
            Action::PushVlan(_) => InSet::Slot(3),
            Action::DecTtl(_) => InSet::Slot(4),
            Action::DecMplsTtl => InSet::Slot(5),
            Action::SetField { .. }
            | Action::Move { .. }
            | Action::SetVlanVid { .. }
            | Action::SetVlanPcp { .. }
            | Action::SetEthSrc(_)
            | Action::SetEthDst(_)
            | Action::SetIpv4Src(_)
            | Action::SetIpv4Dst(_)
            | Action::SetIpDscp(_)
            | Action::SetIpEcn(_)
            | Action::SetIpTtl(_)
            | Action::SetTpSrc(_)
            | Action::SetTpDst(_)
            | Action::SetMplsLabel(_)
            | Action::SetMplsTc(_)
            | Action::SetMplsTtl(_)
            | Action::SetQueue(_)
            | Action::SetTunnel { .. } => InSet::SetOrMove,
            Action::CtClear => InSet::Final(0),
            Action::Resubmit { .. } => InSet::Final(1),
            Action::Output { .. } => InSet::Final(2),
            Action::Group(_) => InSet::Final(3),
            Action::OutputReg { .. }
            | Action::OutputTrunc { .. }
            | Action::Controller(_)
            | Action::Enqueue { .. }
            | Action::Push(_)
            | Action::Pop(_)
            | Action::PopQueue
            | Action::FinTimeout { .. }
            | Action::Conjunction { .. }
            | Action::Note(_)
            | Action::Exit
            | Action::Clone(_)
            | Action::DebugRecirc
            | Action::DebugSlow
            | Action::Meter(_)
            | Action::ClearActions
            | Action::WriteActions(_)
            | Action::WriteMetadata { .. }
            | Action::GotoTable(_) => InSet::Never,
        }
    }

    /// Whether it may stand in an action set.
    pub fn allowed_in_set(&self) -> bool {
        !matches!(self.in_set(), InSet::Never)
    }

    /// The field it writes, where it names one.
    pub(crate) fn dst_field(&self) -> Option<Field> {
        match self {
            Action::SetField { field, .. } => Some(*field),
            Action::Move { dst, .. } => Some(dst.field),
            Action::Pop(dst) => Some(dst.field),
            _ => None,
        }
    }
}

/// The order in which an action set runs (OpenFlow 1.5 clause 5.6). `written` is all that was
/// written to the set, in order, since it was last cleared. Without an output, a group or a
/// resubmission a set does nothing.
pub fn run_order(written: &[Action]) -> Vec<Action> {
    let mut slots: [Option<&Action>; 6] = [None; 6];
    let mut set_or_move = Vec::new();
    let mut last: Option<(u8, &Action)> = None;
    for a in written {
        match a.in_set() {
            InSet::Slot(n) => slots[usize::from(n)] = Some(a),
            InSet::SetOrMove => set_or_move.push(a),
            InSet::Final(n) if last.is_none_or(|(m, _)| n >= m) => last = Some((n, a)),
            InSet::Final(_) | InSet::Never => {}
        }
    }
    let Some((_, last)) = last else { return Vec::new() };
    slots.into_iter().flatten().chain(set_or_move).chain([last]).cloned().collect()
}

/// Why a list of actions cannot be: the error to send, and the sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct OrderError {
    /// The error to send.
    pub error: OfError,
    /// The text for a person.
    pub text: String,
}

/// In what a list of actions stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Within {
    /// A flow: instructions are allowed.
    Flow,
    /// A packet-out or bucket: no instructions.
    List,
    /// `write_actions`.
    WriteActions,
    /// `clone`.
    Clone,
}

/// Checks the order of a list: instructions in their place and once only.
pub fn verify(actions: &[Action], version: Version, within: Within) -> Result<(), OrderError> {
    let fail = |error, text: String| Err(OrderError { error, text });
    let mut inst = Instruction::Meter;
    for (i, a) in actions.iter().enumerate() {
        if matches!(a, Action::Conjunction { .. }) {
            let other =
                actions.iter().find(|a| !matches!(a, Action::Conjunction { .. } | Action::Note(_)));
            return match other {
                None => Ok(()),
                Some(other) => fail(
                    OfError::NxBacBadConjunction,
                    format!(
                        "\"conjunction\" actions may be used along with \"note\" but not any \
                         other kind of action (such as the \"{}\" action used here)",
                        other.name()
                    ),
                ),
            };
        }
        if matches!(a.dst_field(), Some(Field::CtMark | Field::CtLabel)) {
            let text = "cannot set CT fields outside of ct action".to_owned();
            return fail(OfError::BacBadSetArgument, text);
        }
        let outer = match within {
            Within::WriteActions => Some("write_actions"),
            Within::Clone => Some("clone"),
            Within::Flow | Within::List => None,
        };
        if let (Action::Meter(_), Some(outer)) = (a, outer) {
            let text = format!("{outer} action doesn't support nested action meter");
            return fail(OfError::BacBadArgument, text);
        }
        let next = a.instruction(version);
        let repeats = inst != Instruction::ApplyActions && next == inst;
        if i > 0 && (next < inst || repeats) {
            let text = if next == inst {
                format!(
                    "duplicate {} instruction not allowed, for OpenFlow 1.1+ compatibility",
                    inst.name()
                )
            } else {
                format!(
                    "invalid instruction ordering: {} must appear before {}, for OpenFlow 1.1+ \
                     compatibility",
                    next.name(),
                    inst.name()
                )
            };
            return fail(OfError::BacUnsupportedOrder, text);
        }
        let allowed = within == Within::Flow
            || matches!(next, Instruction::ApplyActions | Instruction::Meter);
        if !allowed {
            let text = format!("{} instruction not allowed here", next.name());
            return fail(OfError::BicUnsupInst, text);
        }
        inst = next;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(actions: &[Action]) -> Result<(), OfError> {
        verify(actions, Version::V13, Within::Flow).map_err(|e| e.error)
    }

    #[test]
    fn instructions_out_of_order_are_refused() {
        let out = Action::output(OfPort(1));
        let meta = Action::WriteMetadata { value: 1, mask: u64::MAX };
        let goto = Action::GotoTable(1);
        assert_eq!(order(&[out.clone(), out.clone(), meta.clone(), goto.clone()]), Ok(()));
        assert_eq!(order(&[goto.clone(), out.clone()]), Err(OfError::BacUnsupportedOrder));
        assert_eq!(order(&[goto.clone(), goto.clone()]), Err(OfError::BacUnsupportedOrder));
        assert_eq!(order(&[Action::Meter(1), out.clone()]), Ok(()));
        assert_eq!(order(&[out.clone(), Action::Meter(1)]), Err(OfError::BacUnsupportedOrder));
        let conj = Action::Conjunction { id: 1, clause: 0, n_clauses: 2 };
        assert_eq!(order(&[conj.clone(), Action::Note(vec![])]), Ok(()));
        assert_eq!(order(&[conj, out.clone()]), Err(OfError::NxBacBadConjunction));
        let e = verify(&[goto], Version::V13, Within::List).unwrap_err();
        assert_eq!(e.error, OfError::BicUnsupInst);
        assert_eq!(e.text, "goto_table instruction not allowed here");
        let e = verify(&[meta.clone(), meta], Version::V11, Within::Flow).unwrap_err();
        assert!(e.text.starts_with("duplicate write_metadata"), "{e}");
    }

    #[test]
    fn action_set_is_sorted_as_the_specification_says() {
        let set = [
            Action::output(OfPort(1)),
            Action::SetIpTtl(3),
            Action::PushVlan(0x8100),
            Action::output(OfPort(2)),
            Action::StripVlan { pop: true },
        ];
        let order = [&set[4], &set[2], &set[1], &set[3]].map(Clone::clone);
        assert_eq!(run_order(&set), order);
        assert_eq!(run_order(&set[1..3]), []);
        let mut with_group = set.to_vec();
        with_group.insert(0, Action::Group(7));
        assert_eq!(run_order(&with_group).last(), Some(&Action::Group(7)));
    }

    #[test]
    fn packet_in_reason_depends_on_version() {
        assert_eq!(PacketInReason::from_name("invalid_ttl"), Some(PacketInReason::INVALID_TTL));
        assert_eq!(PacketInReason(9).to_string(), "9");
        let r = PacketInReason::IMPLICIT_MISS.for_version(Version::V10);
        assert_eq!(r, PacketInReason::NO_MATCH);
        let r = PacketInReason::PACKET_OUT.for_version(Version::V13);
        assert_eq!(r, PacketInReason::ACTION);
    }
}
