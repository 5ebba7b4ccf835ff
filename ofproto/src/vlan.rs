//! VLANs: what a port lets in, which broadcast domain a packet is in, which tags it leaves with.
//!
//! The rules are those of Open vSwitch's `Port` table (`vlan_mode`, `tag`, `trunks`, `cvlans`,
//! `other_config:priority-tags`), which are IEEE 802.1Q's with Open vSwitch's extensions.

use std::collections::BTreeSet;

use datapath::Action;
use wire::{EtherType, FlowKey, VlanTag};

use crate::config::{BundleSettings, PriorityTags, VlanMode};

/// A set of VLAN IDs, by default all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct VlanSet(Option<Box<[u64; 64]>>);

impl VlanSet {
    /// Empty stands for all, as in the database.
    pub(crate) fn all_if_empty(vids: &BTreeSet<u16>) -> VlanSet {
        if vids.is_empty() { VlanSet(None) } else { VlanSet(Some(bits(vids))) }
    }

    /// Empty stands for none.
    pub(crate) fn exactly(vids: &BTreeSet<u16>) -> VlanSet {
        VlanSet(Some(bits(vids)))
    }

    fn set(&mut self, vid: u16, on: bool) {
        let b = self.0.get_or_insert_with(|| Box::new([u64::MAX; 64]));
        let (word, bit) = (usize::from(vid >> 6) & 63, 1 << (vid & 63));
        if on { b[word] |= bit } else { b[word] &= !bit }
    }

    pub(crate) fn contains(&self, vid: u16) -> bool {
        match &self.0 {
            None => true,
            Some(b) => b[usize::from(vid >> 6) & 63] >> (vid & 63) & 1 != 0,
        }
    }
}

fn bits(vids: &BTreeSet<u16>) -> Box<[u64; 64]> {
    let mut b = Box::new([0u64; 64]);
    for v in vids.iter().filter(|v| **v < 4096) {
        b[usize::from(v >> 6)] |= 1 << (v & 63);
    }
    b
}

/// One tag as translation sees it. `tpid` 0 = no tag was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tag {
    pub(crate) tpid: u16,
    pub(crate) vid: u16,
    /// 0 to 7.
    pub(crate) pcp: u8,
}

impl Tag {
    /// The TCI as it stands on the wire, drop eligibility clear.
    pub(crate) fn tci(self) -> u16 {
        u16::from(self.pcp) << VlanTag::PCP_SHIFT | self.vid
    }
}

/// Most tags that translation keeps apart: two of the packet and one of a tunnel port.
const DEPTH: usize = 3;

/// The tags of a packet, outer first. Tags deeper than those in the flow key stay where they are:
/// actions only ever touch what stands above them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    v: [Tag; DEPTH],
}

impl Tags {
    /// The tags in the key, at most `limit` of them.
    pub(crate) fn of_key(key: &FlowKey, limit: usize) -> Tags {
        let mut t = Tags::default();
        for (to, from) in t.v.iter_mut().zip(key.vlan.iter().take(limit)) {
            if !from.is_present() {
                break;
            }
            *to = Tag { tpid: from.tpid, vid: from.vid(), pcp: from.pcp() };
        }
        t
    }

    pub(crate) fn outer(&self) -> Tag {
        self.v[0]
    }

    /// These tags with another VLAN in the outer one, which is added if there is none.
    pub(crate) fn with_vid(mut self, vid: u16) -> Tags {
        let outer = self.v[0];
        self.v[0] = Tag { tpid: tpid_or_default(outer.tpid), vid, pcp: outer.pcp };
        self
    }

    /// The third tag, which a flow key has no room for.
    pub(crate) fn set_third(&mut self, tag: Tag) {
        self.v[DEPTH - 1] = tag;
    }

    /// As a flow key has them, and the third.
    pub(crate) fn split(&self) -> ([VlanTag; 2], Tag) {
        let tag = |t: Tag| match t.tpid {
            0 => VlanTag::default(),
            tpid => VlanTag { tpid, tci: t.tci() | VlanTag::CFI },
        };
        ([tag(self.v[0]), tag(self.v[1])], self.v[2])
    }

    /// The outermost `n`, outer first.
    pub(crate) fn outer_ones(&self, n: usize) -> impl DoubleEndedIterator<Item = Tag> + use<> {
        self.v.into_iter().take(n)
    }

    pub(crate) fn pop(&mut self) {
        self.v.rotate_left(1);
        self.v[DEPTH - 1] = Tag::default();
    }

    pub(crate) fn push(&mut self, tag: Tag) {
        self.v.rotate_right(1);
        self.v[0] = tag;
    }

    /// How many tags there are.
    pub(crate) fn count(&self) -> usize {
        self.v.iter().take_while(|t| t.tpid != 0).count()
    }

    /// How many tags to pop, and how many of `want` to push, to make these tags those.
    pub(crate) fn difference(&self, want: &Tags) -> (usize, usize) {
        let (mut have_n, mut want_n) = (self.count(), want.count());
        while have_n > 0 && want_n > 0 && self.v[have_n - 1] == want.v[want_n - 1] {
            have_n -= 1;
            want_n -= 1;
        }
        (have_n, want_n)
    }

    /// Appends the fewest actions that turn a packet with these tags into one with `want`.
    /// True when there were any.
    pub(crate) fn convert(&mut self, want: &Tags, actions: &mut Vec<Action>) -> bool {
        let (have_n, want_n) = self.difference(want);
        actions.extend((0..have_n).map(|_| Action::PopVlan));
        actions.extend(
            want.v[..want_n].iter().rev().map(|t| Action::PushVlan { tpid: t.tpid, tci: t.tci() }),
        );
        *self = *want;
        have_n + want_n > 0
    }
}

/// The VLAN side of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PortVlan {
    mode: VlanMode,
    /// Access or native VLAN.
    vlan: u16,
    trunks: VlanSet,
    cvlans: VlanSet,
    priority_tags: PriorityTags,
}

impl PortVlan {
    pub(crate) fn new(c: &BundleSettings) -> PortVlan {
        let mut trunks = VlanSet::all_if_empty(&c.trunks);
        if matches!(c.vlan_mode, VlanMode::NativeTagged | VlanMode::NativeUntagged) && c.vlan != 0 {
            // A port always carries its native VLAN, and untagged packets are in no other.
            trunks.set(c.vlan, true);
            trunks.set(0, false);
        }
        PortVlan {
            mode: c.vlan_mode,
            vlan: c.vlan,
            trunks,
            cvlans: VlanSet::all_if_empty(&c.cvlans),
            priority_tags: c.priority_tags,
        }
    }

    pub(crate) fn mode(&self) -> VlanMode {
        self.mode
    }

    /// Whether what leaves has the priority that it came with.
    pub(crate) fn copies_priority(&self) -> bool {
        self.priority_tags != PriorityTags::No
    }

    /// The access or native VLAN; 0 for none.
    pub(crate) fn vlan(&self) -> u16 {
        self.vlan
    }

    /// Whether some of the customers' VLANs are kept out.
    pub(crate) fn limits_customers(&self) -> bool {
        self.cvlans.0.is_some()
    }

    /// Whether a packet that arrives with this VLAN ID (0 = untagged or priority-tagged) may
    /// come in.
    pub(crate) fn admits(&self, vid: u16) -> bool {
        match self.mode {
            VlanMode::Access => vid == 0,
            VlanMode::Trunk => self.trunks.contains(vid),
            VlanMode::NativeTagged | VlanMode::NativeUntagged => {
                vid == 0 || self.trunks.contains(vid)
            }
            VlanMode::Dot1qTunnel { .. } => self.cvlans.contains(vid),
        }
    }

    /// The tags of an admitted packet inside the bridge. The outer VLAN ID is its broadcast
    /// domain.
    pub(crate) fn ingress(&self, received: &Tags) -> Tags {
        let outer = received.outer();
        let mut t = *received;
        match self.mode {
            VlanMode::Access => {
                t = Tags::default();
                t.v[0] = Tag { tpid: tpid_or_default(outer.tpid), vid: self.vlan, pcp: outer.pcp };
            }
            VlanMode::Trunk => {}
            VlanMode::NativeTagged | VlanMode::NativeUntagged => {
                if outer.vid == 0 {
                    t.v[0] =
                        Tag { tpid: tpid_or_default(outer.tpid), vid: self.vlan, pcp: outer.pcp };
                }
            }
            VlanMode::Dot1qTunnel { tpid } => t.push(Tag { tpid, vid: self.vlan, pcp: 0 }),
        }
        t
    }

    /// The tags inside the bridge of a packet that arrives with VLAN `vid` (0 = untagged), or `None`
    /// when the port does not admit it.
    pub(crate) fn ingress_own(&self, vid: u16) -> Option<Tags> {
        let mut received = Tags::default();
        if vid != 0 {
            received.v[0] = Tag { tpid: EtherType::VLAN, vid, pcp: 0 };
        }
        self.admits(vid).then(|| self.ingress(&received))
    }

    /// Whether the port belongs to the broadcast domain of a packet inside the bridge.
    pub(crate) fn includes(&self, t: &Tags) -> bool {
        let vid = t.v[0].vid;
        match self.mode {
            VlanMode::Access => vid == self.vlan && t.v[1].vid == 0,
            VlanMode::Trunk | VlanMode::NativeTagged | VlanMode::NativeUntagged => {
                self.trunks.contains(vid)
            }
            VlanMode::Dot1qTunnel { .. } => vid == self.vlan && self.cvlans.contains(t.v[1].vid),
        }
    }

    /// The tags that a packet leaves with, given those it has inside the bridge and the priority
    /// it was received with.
    pub(crate) fn egress(&self, inside: &Tags, received_pcp: u8) -> Tags {
        let mut t = *inside;
        match self.mode {
            VlanMode::Access => t = Tags::default(),
            VlanMode::Trunk | VlanMode::NativeTagged => {}
            VlanMode::NativeUntagged => {
                if t.v[0].vid == self.vlan {
                    t.pop();
                }
            }
            VlanMode::Dot1qTunnel { .. } => t.pop(),
        }
        if self.priority_tags != PriorityTags::No {
            t.v[0].pcp = received_pcp;
        }
        // A tag that says nothing (VID 0, priority 0) is not sent, unless asked for, or unless the
        // tag under it would then be taken for the packet's VLAN.
        let mut out = Tags::default();
        let mut n = 0;
        for (i, tag) in t.v.into_iter().enumerate() {
            let covers = t.v.get(i + 1).is_some_and(|under| under.tpid != 0);
            let asked = self.priority_tags == PriorityTags::Always;
            let keep_empty = tag.tpid != 0 && (asked || covers);
            if tag.vid != 0 || tag.pcp != 0 || keep_empty {
                out.v[n] = Tag { tpid: tpid_or_default(tag.tpid), ..tag };
                n += 1;
            }
        }
        out
    }

    /// The tags that a packet of the switch's own in VLAN `vid` leaves with, or `None` when the
    /// port does not carry that VLAN.
    pub(crate) fn egress_own(&self, vid: u16) -> Option<Tags> {
        let mut inside = Tags::default();
        if vid != 0 {
            inside.v[0] = Tag { tpid: EtherType::VLAN, vid, pcp: 0 };
        }
        self.includes(&inside).then(|| self.egress(&inside, 0))
    }
}

fn tpid_or_default(tpid: u16) -> u16 {
    if tpid == 0 { EtherType::VLAN } else { tpid }
}

/// The key of a packet that is looked into only as deep as `limit` tags: what stands under them is
/// the type of the next.
pub(crate) fn limited(key: &FlowKey, limit: usize) -> FlowKey {
    let Some(next) = key.vlan.get(limit).filter(|t| t.is_present()) else { return *key };
    let mut outside = FlowKey {
        recirc_id: key.recirc_id,
        dp_hash: key.dp_hash,
        in_port: key.in_port,
        pkt_mark: key.pkt_mark,
        skb_priority: key.skb_priority,
        eth_dst: key.eth_dst,
        eth_src: key.eth_src,
        // A flow given as text may leave the type of a tag out.
        eth_type: if next.tpid == 0 { EtherType::VLAN } else { next.tpid },
        ..FlowKey::default()
    };
    outside.vlan[..limit].copy_from_slice(&key.vlan[..limit]);
    outside
}
