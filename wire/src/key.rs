//! The flow key: what a packet looks like to the datapath, in one flat value.

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

use crate::EthAddr;

/// One VLAN tag, both halves in host byte order; all zero when there is none.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct VlanTag {
    /// 0x8100 or 0x88a8.
    pub tpid: u16,
    /// PCP (3 bits), `CFI` (set by us for "a tag is present", as Open vSwitch does), VID (12 bits).
    pub tci: u16,
}

impl VlanTag {
    /// Stands in `tci` for "a tag is present", so that VID 0 differs from no tag.
    pub const CFI: u16 = 0x1000;
    /// Bits of the VLAN identifier.
    pub const VID_MASK: u16 = 0x0fff;
    /// How far the priority stands from the lowest bit.
    pub const PCP_SHIFT: u16 = 13;

    /// Whether there is a tag.
    pub const fn is_present(self) -> bool {
        self.tci & VlanTag::CFI != 0
    }

    /// VLAN identifier, 0 to 4095.
    pub const fn vid(self) -> u16 {
        self.tci & VlanTag::VID_MASK
    }

    /// Priority code point, 0 to 7.
    pub const fn pcp(self) -> u8 {
        (self.tci >> VlanTag::PCP_SHIFT) as u8
    }
}

/// `nw_frag`: the packet is a fragment.
pub const FRAG_ANY: u8 = 1;
/// `nw_frag`: not the first fragment, so it has no L4 header.
pub const FRAG_LATER: u8 = 2;

/// Defines a struct with all fields that a datapath flow can match.
macro_rules! flow_struct {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Clone,
            Copy,
            Debug,
            Default,
            PartialEq,
            Eq,
            Hash,
            FromBytes,
            IntoBytes,
            Immutable,
            KnownLayout,
        )]
        #[repr(C, align(8))]
        pub struct $name {
            // Metadata.
            /// 0 for a packet fresh from a port, else the identity given to `recirc`.
            pub recirc_id: u32,
            /// The value that the `hash` action left; 0 before it.
            pub dp_hash: u32,
            /// Datapath port number.
            pub in_port: u32,
            /// Mark of the packet, as `skb->mark`.
            pub pkt_mark: u32,

            // L2.
            /// Destination Ethernet address.
            pub eth_dst: EthAddr,
            /// Source Ethernet address.
            pub eth_src: EthAddr,
            /// Outer tag first.
            pub vlan: [VlanTag; 2],
            /// The type after the tags; 0x05ff for an IEEE 802.2 frame without SNAP Ethernet type.
            pub eth_type: u16,

            // L3. IPv4 addresses stand in the last four octets, the first twelve zero.
            /// `FRAG_*` bits.
            pub nw_frag: u8,
            /// IP protocol; for ARP and RARP the low octet of the opcode.
            pub nw_proto: u8,
            /// DSCP and ECN.
            pub nw_tos: u8,
            /// IPv4 time to live or IPv6 hop limit.
            pub nw_ttl: u8,
            /// TCP flags (12 bits).
            pub tcp_flags: u16,
            /// Source IP address; for ARP and RARP the sender protocol address.
            pub nw_src: [u8; 16],
            /// Destination IP address; for ARP and RARP the target protocol address.
            pub nw_dst: [u8; 16],
            /// IPv6 flow label (20 bits).
            pub ipv6_label: u32,

            // L4; for ICMP type and code.
            /// Source port, or ICMP type.
            pub tp_src: u16,
            /// Destination port, or ICMP code.
            pub tp_dst: u16,

            // ARP and neighbour discovery.
            /// Target address of a neighbour solicitation or advertisement (RFC 4861).
            pub nd_target: [u8; 16],
            /// Sender hardware address of ARP; source link-layer address option of ND.
            pub arp_sha: EthAddr,
            /// Target hardware address of ARP; target link-layer address option of ND.
            pub arp_tha: EthAddr,
            /// Queueing priority, as `skb->priority`.
            pub skb_priority: u32,
            /// Always zero; makes the size a whole number of words. Public only so that
            /// `FlowKey { field, ..key }` works outside.
            #[doc(hidden)]
            pub pad: u32,
        }

        impl $name {
            /// Size in 64-bit words.
            pub const WORDS: usize = size_of::<$name>() / 8;

            /// All fields as words.
            pub fn words(&self) -> &[u64; $name::WORDS] {
                zerocopy::transmute_ref!(self)
            }

            /// All fields as words, to change.
            pub fn words_mut(&mut self) -> &mut [u64; $name::WORDS] {
                zerocopy::transmute_mut!(self)
            }

            /// The last four octets of `nw_src`: its IPv4 address.
            pub fn ipv4_src(&self) -> [u8; 4] {
                [self.nw_src[12], self.nw_src[13], self.nw_src[14], self.nw_src[15]]
            }

            /// The last four octets of `nw_dst`: its IPv4 address.
            pub fn ipv4_dst(&self) -> [u8; 4] {
                [self.nw_dst[12], self.nw_dst[13], self.nw_dst[14], self.nw_dst[15]]
            }
        }

        // Without padding: compared, masked and hashed as words.
        const _: () = assert!(size_of::<$name>().is_multiple_of(8));
    };
}

flow_struct! {
    /// The fields of a packet that a datapath flow can match, all integers in host byte order.
    ///
    /// Fields that a packet lacks are zero. The layout has no padding: a key compares, masks and
    /// hashes as [`FlowKey::WORDS`] words of 64 bits.
    FlowKey
}

flow_struct! {
    /// The bits of a [`FlowKey`] that a flow matches, set to 1, in the same layout.
    FlowMask
}

impl FlowKey {
    /// This key with the bits outside `mask` cleared.
    pub fn masked(&self, mask: &FlowMask) -> FlowKey {
        let mut k = *self;
        for (a, m) in k.words_mut().iter_mut().zip(mask.words()) {
            *a &= *m;
        }
        k
    }
}

impl FlowMask {
    /// Every bit set: an exact match.
    pub fn exact() -> FlowMask {
        let mut m = FlowMask::default();
        m.words_mut().fill(!0);
        m
    }

    // Conversions for callers that keep a mask in a struct made for values, and for code that
    // copies the same fields of values and of masks.

    /// The mask whose bits are those of `key`.
    pub fn from_key(key: FlowKey) -> FlowMask {
        zerocopy::transmute!(key)
    }

    /// `key` as the mask with its bits.
    pub fn from_key_mut(key: &mut FlowKey) -> &mut FlowMask {
        zerocopy::transmute_mut!(key)
    }

    /// The key whose bits are those of the mask.
    pub fn as_key(&self) -> &FlowKey {
        zerocopy::transmute_ref!(self)
    }
}
