//! Kinds of fields.

use openflow::Field;

/// The fields that describe a tunnel.
pub(super) fn is_tunnel(field: Field) -> bool {
    matches!(
        field,
        Field::TunId
            | Field::TunSrc
            | Field::TunDst
            | Field::TunIpv6Src
            | Field::TunIpv6Dst
            | Field::TunFlags
            | Field::TunTtl
            | Field::TunTos
    )
}

/// The fields that are not in the packet's octets.
pub(super) fn is_metadata(field: Field) -> bool {
    is_tunnel(field)
        || matches!(
            field,
            Field::DpHash
                | Field::RecircId
                | Field::PacketType
                | Field::ConjId
                | Field::Metadata
                | Field::InPort
                | Field::InPortOxm
                | Field::ActsetOutput
                | Field::SkbPriority
                | Field::PktMark
                | Field::CtState
                | Field::CtZone
                | Field::CtMark
                | Field::CtLabel
                | Field::Reg(_)
                | Field::XReg(_)
                | Field::XxReg(_)
        )
}
