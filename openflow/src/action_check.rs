//! Checks actions against the match they are to be used with.

use wire::{EtherType, VlanTag, ip};

use crate::action::Action;
use crate::error::OfError;
use crate::field::{Field, Match, Subfield};
use crate::ofport::OfPort;
use crate::version::Version;

/// What the switch can take.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// First port number that is refused; usually [`OfPort::MAX`].
    pub max_port: OfPort,
    /// The flow's own table, 255 if not known.
    pub table: u8,
    /// How many tables there are; 255 to accept any.
    pub n_tables: u8,
}

impl Limits {
    /// Nothing beyond what the protocol itself says.
    pub const NONE: Limits = Limits { max_port: OfPort::MAX, table: 255, n_tables: 255 };
}

/// What the packet is known to be, as actions change it on the way.
struct State {
    m: Match,
    /// Some action of the standard's cannot apply to what the flow matches. Version 1.0 lets it
    /// stand.
    inconsistent: bool,
}

/// Checks that `actions` can be done to what `m` matches. In version 1.0 an action whose
/// prerequisites the match does not assure is allowed, except for the extensions' own.
pub fn check(
    actions: &[Action],
    m: &Match,
    version: Version,
    limits: Limits,
) -> Result<(), OfError> {
    let mut state = State { m: *m, inconsistent: false };
    list(actions, &mut state, limits)?;
    if state.inconsistent && version > Version::V10 {
        return Err(OfError::BacMatchInconsistent);
    }
    Ok(())
}

fn list(actions: &[Action], state: &mut State, limits: Limits) -> Result<(), OfError> {
    actions.iter().try_for_each(|a| one(a, state, limits))
}

fn port(p: OfPort, limits: Limits) -> Result<(), OfError> {
    p.check_output()?;
    if p.is_physical() && p >= limits.max_port { Err(OfError::BacBadOutPort) } else { Ok(()) }
}

impl State {
    /// For an action of the standard's that needs something of the packet.
    fn need(&mut self, holds: bool) {
        self.inconsistent |= !holds;
    }

    fn prereq(&self, s: Subfield) -> Result<(), OfError> {
        if s.field.prereq_ok(&self.m.value) { Ok(()) } else { Err(OfError::BacMatchInconsistent) }
    }

    fn typ(&self) -> u16 {
        self.m.value.dl_type()
    }

    fn is_ip(&self) -> bool {
        matches!(self.typ(), EtherType::IPV4 | EtherType::IPV6)
    }

    fn has_vlan(&self) -> bool {
        self.m.value.key.vlan[0].tci & VlanTag::CFI != 0
    }
}

fn one(a: &Action, st: &mut State, limits: Limits) -> Result<(), OfError> {
    match a {
        Action::Output { port: p, .. } => port(*p, limits),
        Action::Enqueue { port: p, .. } => match *p {
            OfPort::IN_PORT | OfPort::LOCAL => Ok(()),
            p if p.is_physical() && p < limits.max_port => Ok(()),
            _ => Err(OfError::BacBadOutPort),
        },
        Action::OutputReg { src, .. } | Action::Push(src) => {
            src.check_src()?;
            st.prereq(*src)
        }
        Action::Pop(dst) => {
            dst.check_dst()?;
            st.prereq(*dst)
        }
        Action::Move { src, dst, .. } => {
            src.check_src()?;
            st.prereq(*src)?;
            dst.check_dst()?;
            st.prereq(*dst)
        }
        Action::SetField { field, value, .. } => {
            let known = field.prereq_ok(&st.m.value);
            if !known || (*field == Field::VlanVid && !st.has_vlan()) {
                return Err(OfError::BacMatchInconsistent);
            }
            if *field == Field::VlanTci {
                st.m.value.key.vlan[0].tci = *value as u16;
            }
            Ok(())
        }
        Action::SetVlanVid { push, .. } | Action::SetVlanPcp { push, .. } => {
            let ok = st.has_vlan() || *push;
            st.need(ok);
            st.m.value.key.vlan[0].tci |= VlanTag::CFI;
            Ok(())
        }
        Action::StripVlan { .. } => {
            let ok = st.has_vlan();
            st.need(ok);
            let tags = &mut st.m.value.key.vlan;
            *tags = [tags[1], VlanTag::default()];
            Ok(())
        }
        Action::PushVlan(tpid) => {
            let tags = &mut st.m.value.key.vlan;
            if tags[1].tci & VlanTag::CFI != 0 {
                return Err(OfError::BacBadTag);
            }
            *tags = [VlanTag { tpid: *tpid, tci: VlanTag::CFI }, tags[0]];
            Ok(())
        }
        Action::SetIpv4Src(_) | Action::SetIpv4Dst(_) => {
            let ok = st.typ() == EtherType::IPV4;
            st.need(ok);
            Ok(())
        }
        Action::SetIpDscp(_) | Action::SetIpEcn(_) | Action::SetIpTtl(_) | Action::DecTtl(_) => {
            let ok = st.is_ip();
            st.need(ok);
            Ok(())
        }
        Action::SetTpSrc(_) | Action::SetTpDst(_) => {
            let key = &st.m.value.key;
            let has_ports = matches!(key.nw_proto, ip::TCP | ip::UDP | ip::SCTP);
            let later = key.nw_frag & wire::key::FRAG_LATER != 0;
            let ok = st.is_ip() && has_ports && !later;
            st.need(ok);
            Ok(())
        }
        Action::SetMplsLabel(_)
        | Action::SetMplsTc(_)
        | Action::SetMplsTtl(_)
        | Action::DecMplsTtl => {
            let ok = st.m.value.is_mpls();
            st.need(ok);
            Ok(())
        }
        Action::PushMpls(typ) => {
            let ok = st.m.value.packet_type == 0;
            st.need(ok);
            st.m.value.key.eth_type = *typ;
            // What is inside is not known any more.
            st.m.value.key.nw_proto = 0;
            Ok(())
        }
        Action::PopMpls(typ) => {
            let ok = st.m.value.packet_type == 0 && st.m.value.is_mpls();
            st.need(ok);
            st.m.value.key.eth_type = *typ;
            Ok(())
        }
        Action::FinTimeout { .. } => {
            let ok = st.m.value.key.nw_proto == ip::TCP;
            st.need(ok);
            Ok(())
        }
        Action::Clone(inner) => {
            let mut copy = State { m: st.m, inconsistent: false };
            list(inner, &mut copy, limits)?;
            st.need(!copy.inconsistent);
            Ok(())
        }
        Action::WriteActions(inner) => {
            // When they run, the packet may be another; only what can never be is refused.
            let mut copy = State { m: st.m, inconsistent: false };
            list(inner, &mut copy, limits)
        }
        Action::Meter(0 | 0xffff_0001..) => Err(OfError::MmfcInvalidMeter),
        Action::GotoTable(t) => {
            let back = limits.table != 255 && *t <= limits.table;
            let beyond = limits.n_tables != 255 && *t >= limits.n_tables;
            if back || beyond { Err(OfError::BicBadTableId) } else { Ok(()) }
        }
        Action::OutputTrunc { .. }
        | Action::Controller(_)
        | Action::Group(_)
        | Action::SetEthSrc(_)
        | Action::SetEthDst(_)
        | Action::SetTunnel { .. }
        | Action::SetQueue(_)
        | Action::PopQueue
        | Action::Resubmit { .. }
        | Action::Conjunction { .. }
        | Action::Note(_)
        | Action::Exit
        | Action::CtClear
        | Action::DebugRecirc
        | Action::DebugSlow
        | Action::Meter(_)
        | Action::ClearActions
        | Action::WriteMetadata { .. } => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp() -> Match {
        let mut m = Match::default();
        m.set(Field::EthType, 0x800);
        m.set(Field::IpProto, 6);
        m
    }

    #[test]
    fn missing_prerequisite_is_refused_where_the_version_says() {
        let any = Match::default();
        let ttl = [Action::DecTtl(None)];
        assert_eq!(check(&ttl, &any, Version::V10, Limits::NONE), Ok(()));
        let e = Err(OfError::BacMatchInconsistent);
        assert_eq!(check(&ttl, &any, Version::V13, Limits::NONE), e);
        assert_eq!(check(&ttl, &tcp(), Version::V13, Limits::NONE), Ok(()));
        let load = Subfield::whole(Field::TcpSrc);
        let mv = [Action::Move { src: load, dst: Subfield::whole(Field::Reg(0)), onf: false }];
        assert_eq!(check(&mv, &any, Version::V10, Limits::NONE), e);
        assert_eq!(check(&mv, &tcp(), Version::V10, Limits::NONE), Ok(()));
    }

    #[test]
    fn pushed_and_popped_tags_change_the_prerequisites() {
        let pop = Action::StripVlan { pop: true };
        let push = Action::PushVlan(0x8100);
        let c = |a: &[Action]| check(a, &Match::default(), Version::V13, Limits::NONE);
        assert_eq!(c(std::slice::from_ref(&pop)), Err(OfError::BacMatchInconsistent));
        assert_eq!(c(&[push.clone(), pop.clone()]), Ok(()));
        assert_eq!(c(&[push.clone(), push.clone(), pop]), Ok(()));
        assert_eq!(c(&[push.clone(), push.clone(), push]), Err(OfError::BacBadTag));
    }

    #[test]
    fn action_check_refuses_values_beyond_limits() {
        let l = Limits { max_port: OfPort(10), table: 3, n_tables: 254 };
        let c = |a: Action| check(&[a], &Match::default(), Version::V13, l);
        assert_eq!(c(Action::output(OfPort(10))), Err(OfError::BacBadOutPort));
        assert_eq!(c(Action::output(OfPort::NORMAL)), Ok(()));
        assert_eq!(c(Action::GotoTable(3)), Err(OfError::BicBadTableId));
        assert_eq!(c(Action::GotoTable(4)), Ok(()));
        assert_eq!(c(Action::GotoTable(254)), Err(OfError::BicBadTableId));
        assert_eq!(c(Action::Meter(0)), Err(OfError::MmfcInvalidMeter));
    }
}
