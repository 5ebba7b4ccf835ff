//! The names of the fields.

/// A field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    DpHash,
    RecircId,
    PacketType,
    ConjId,
    TunId,
    TunSrc,
    TunDst,
    TunIpv6Src,
    TunIpv6Dst,
    TunFlags,
    TunTtl,
    TunTos,
    Metadata,
    /// As OpenFlow 1.0's 16 bits.
    InPort,
    /// The same field as the 32 bits of later versions.
    InPortOxm,
    ActsetOutput,
    SkbPriority,
    PktMark,
    CtState,
    CtZone,
    CtMark,
    CtLabel,
    /// 32 bits, 0 to 31.
    Reg(u8),
    /// 64 bits, 0 to 15: registers 2N (upper half) and 2N+1.
    XReg(u8),
    /// 128 bits, 0 to 7: registers 4N (uppermost) to 4N+3.
    XxReg(u8),
    EthSrc,
    EthDst,
    EthType,
    /// The whole tag control information, 0x1000 for "a tag is present".
    VlanTci,
    /// Text only: a VLAN ID, or 0xffff for no tag.
    DlVlan,
    /// Text only.
    DlVlanPcp,
    /// VLAN ID and the bit 0x1000 for "a tag is present".
    VlanVid,
    VlanPcp,
    MplsLabel,
    MplsTc,
    MplsBos,
    MplsTtl,
    Ipv4Src,
    Ipv4Dst,
    Ipv6Src,
    Ipv6Dst,
    Ipv6Label,
    IpProto,
    /// In the upper six bits, as it stands in the header.
    IpDscp,
    /// The same field in the lower six bits, as OXM has it.
    IpDscpShifted,
    IpEcn,
    IpTtl,
    IpFrag,
    ArpOp,
    ArpSpa,
    ArpTpa,
    ArpSha,
    ArpTha,
    TcpSrc,
    TcpDst,
    TcpFlags,
    UdpSrc,
    UdpDst,
    SctpSrc,
    SctpDst,
    Icmpv4Type,
    Icmpv4Code,
    Icmpv6Type,
    Icmpv6Code,
    NdTarget,
    NdSll,
    NdTll,
}
