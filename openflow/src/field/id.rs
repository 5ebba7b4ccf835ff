//! The names of the fields.

/// A field's name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// The datapath's hash of the packet, 32 bits.
    DpHash,
    /// Recirculation identifier, 32 bits.
    RecircId,
    /// Packet type: name space and type, 32 bits (OpenFlow 1.5).
    PacketType,
    /// Conjunction identifier, 32 bits.
    ConjId,
    /// Tunnel key, 64 bits.
    TunId,
    /// IPv4 source address of the tunnel.
    TunSrc,
    /// IPv4 destination address of the tunnel.
    TunDst,
    /// IPv6 source address of the tunnel.
    TunIpv6Src,
    /// IPv6 destination address of the tunnel.
    TunIpv6Dst,
    /// Tunnel flags, 16 bits; bit 0 is OAM.
    TunFlags,
    /// Time to live of the tunnel's IP header.
    TunTtl,
    /// Type of service of the tunnel's IP header.
    TunTos,
    /// Metadata passed between tables, 64 bits (OpenFlow 1.1).
    Metadata,
    /// As OpenFlow 1.0's 16 bits.
    InPort,
    /// The same field as the 32 bits of later versions.
    InPortOxm,
    /// Port of the output action in the action set, 32 bits (OpenFlow 1.5).
    ActsetOutput,
    /// Queueing priority of Linux, 32 bits.
    SkbPriority,
    /// Packet mark of Linux, 32 bits.
    PktMark,
    /// Connection tracking state, 32 bits.
    CtState,
    /// Connection tracking zone, 16 bits.
    CtZone,
    /// Connection tracking mark, 32 bits.
    CtMark,
    /// Connection tracking label, 128 bits.
    CtLabel,
    /// 32 bits, 0 to 31.
    Reg(u8),
    /// 64 bits, 0 to 15: registers 2N (upper half) and 2N+1.
    XReg(u8),
    /// 128 bits, 0 to 7: registers 4N (uppermost) to 4N+3.
    XxReg(u8),
    /// Ethernet source address.
    EthSrc,
    /// Ethernet destination address.
    EthDst,
    /// Ethernet type, behind VLAN tags.
    EthType,
    /// The whole tag control information, 0x1000 for "a tag is present".
    VlanTci,
    /// Text only: a VLAN ID, or 0xffff for no tag.
    DlVlan,
    /// Text only.
    DlVlanPcp,
    /// VLAN ID and the bit 0x1000 for "a tag is present".
    VlanVid,
    /// VLAN priority code point, 3 bits.
    VlanPcp,
    /// Outermost MPLS label, 20 bits.
    MplsLabel,
    /// Outermost MPLS traffic class, 3 bits.
    MplsTc,
    /// Outermost MPLS bottom-of-stack bit.
    MplsBos,
    /// Outermost MPLS time to live.
    MplsTtl,
    /// IPv4 source address.
    Ipv4Src,
    /// IPv4 destination address.
    Ipv4Dst,
    /// IPv6 source address.
    Ipv6Src,
    /// IPv6 destination address.
    Ipv6Dst,
    /// IPv6 flow label, 20 bits.
    Ipv6Label,
    /// IP protocol or next header.
    IpProto,
    /// In the upper six bits, as it stands in the header.
    IpDscp,
    /// The same field in the lower six bits, as OXM has it.
    IpDscpShifted,
    /// ECN bits, 2 bits.
    IpEcn,
    /// IPv4 time to live or IPv6 hop limit.
    IpTtl,
    /// IP fragment state: bit 0 any fragment, bit 1 a later one.
    IpFrag,
    /// ARP opcode, 16 bits.
    ArpOp,
    /// ARP sender protocol address.
    ArpSpa,
    /// ARP target protocol address.
    ArpTpa,
    /// ARP sender hardware address.
    ArpSha,
    /// ARP target hardware address.
    ArpTha,
    /// TCP source port.
    TcpSrc,
    /// TCP destination port.
    TcpDst,
    /// TCP flags, 12 bits.
    TcpFlags,
    /// UDP source port.
    UdpSrc,
    /// UDP destination port.
    UdpDst,
    /// SCTP source port.
    SctpSrc,
    /// SCTP destination port.
    SctpDst,
    /// ICMP type.
    Icmpv4Type,
    /// ICMP code.
    Icmpv4Code,
    /// ICMPv6 type.
    Icmpv6Type,
    /// ICMPv6 code.
    Icmpv6Code,
    /// Target address of neighbour discovery (RFC 4861).
    NdTarget,
    /// Source link-layer address option of neighbour discovery.
    NdSll,
    /// Target link-layer address option of neighbour discovery.
    NdTll,
}
