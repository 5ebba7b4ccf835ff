//! One frame, in the memory of the device that received it or on the heap.

use std::ptr::NonNull;

use zerocopy::{Immutable, IntoBytes};

/// Room kept before a frame for two VLAN tags.
pub const HEADROOM: usize = 16;

/// Offload state that travels with a frame: Linux's `struct virtio_net_hdr`, host byte order.
///
/// A frame from a veth or tap peer may lack its L4 checksum (`NEEDS_CSUM`) or be a train of segments
/// (`gso_type`). It must be sent with this state, or be completed in software first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Immutable, IntoBytes)]
#[repr(C)]
pub struct VnetHdr {
    /// [`NEEDS_CSUM`](VnetHdr::NEEDS_CSUM), [`DATA_VALID`](VnetHdr::DATA_VALID).
    pub flags: u8,
    /// `VIRTIO_NET_HDR_GSO_*`; 0 = the frame is one segment.
    pub gso_type: u8,
    /// Octets of all headers of a train of segments; 0 = not known.
    pub hdr_len: u16,
    /// Octets of payload in each segment.
    pub gso_size: u16,
    /// Where the checksum starts, in octets from the start of the frame.
    pub csum_start: u16,
    /// Where the checksum is stored, in octets from `csum_start`.
    pub csum_offset: u16,
}

impl VnetHdr {
    /// `flags`: the checksum from `csum_start` on is still to be computed.
    pub const NEEDS_CSUM: u8 = 1;
    /// `flags`: the checksum has been verified.
    pub const DATA_VALID: u8 = 2;
}

/// One Ethernet frame and its offload state.
///
/// The bytes are either the packet's own, or in a device's receive memory. Receive memory is the
/// packet's until that device's [`PacketIo::release`](crate::PacketIo::release), whose caller
/// promises that no such packet is used afterwards; a device that is dropped earlier leaves that
/// memory mapped. A packet that is kept longer than a round is copied with
/// [`Packet::to_owned_packet`].
pub struct Packet {
    /// Start of the buffer. A raw pointer and not a `Box`, because a `Box` would claim exclusive
    /// access to bytes that are accessed through this pointer.
    buf: NonNull<u8>,
    /// Octets of the buffer.
    cap: u32,
    /// Where the frame starts in the buffer.
    off: u32,
    /// Octets of the frame.
    len: u32,
    /// The offload state.
    pub vnet: VnetHdr,
    /// The buffer is a heap allocation (`Box<[u8]>` of `cap` octets) that the packet frees.
    heap: bool,
}

// SAFETY: a packet has exclusive access to its bytes: a heap buffer is its own, and a slot of
// receive memory is given to one packet between two releases.
unsafe impl Send for Packet {}

impl Drop for Packet {
    fn drop(&mut self) {
        if self.heap {
            let bytes = std::ptr::slice_from_raw_parts_mut(self.buf.as_ptr(), self.cap as usize);
            // SAFETY: `new` took `buf` from `Box::into_raw` of a slice of `cap` octets; it is freed
            // here only.
            drop(unsafe { Box::from_raw(bytes) });
        }
    }
}

impl Packet {
    /// A copy of `frame` on the heap, with headroom.
    pub fn new(frame: &[u8]) -> Packet {
        let mut heap = vec![0; HEADROOM + frame.len()].into_boxed_slice();
        heap[HEADROOM..].copy_from_slice(frame);
        let cap = heap.len() as u32;
        Packet {
            buf: NonNull::new(Box::into_raw(heap).cast()).expect("a box is never null"),
            cap,
            off: HEADROOM as u32,
            len: frame.len() as u32,
            vnet: VnetHdr::default(),
            heap: true,
        }
    }

    /// A frame of `len` octets at `off` in device memory of `cap` octets at `buf`.
    ///
    /// # Safety
    ///
    /// `off + len <= cap`. `buf..buf + cap` may be read and written through `buf`, is not accessed
    /// by anything else, and stays so until the device's next `release`, also when the device is
    /// dropped before.
    pub unsafe fn from_device(
        buf: NonNull<u8>,
        cap: u32,
        off: u32,
        len: u32,
        vnet: VnetHdr,
    ) -> Packet {
        debug_assert!(off + len <= cap);
        Packet { buf, cap, off, len, vnet, heap: false }
    }

    /// A copy that owns its bytes.
    pub fn to_owned_packet(&self) -> Packet {
        let mut copy = Packet::new(self.data());
        copy.vnet = self.vnet;
        copy
    }

    /// The frame.
    #[inline]
    pub fn data(&self) -> &[u8] {
        // SAFETY: off + len <= cap always, and the packet has exclusive access (see the type).
        unsafe {
            std::slice::from_raw_parts(self.buf.as_ptr().add(self.off as usize), self.len as usize)
        }
    }

    /// The frame, to change.
    #[inline]
    pub fn data_mut(&mut self) -> &mut [u8] {
        // SAFETY: as in `data`, and `self` is borrowed exclusively.
        unsafe {
            std::slice::from_raw_parts_mut(
                self.buf.as_ptr().add(self.off as usize),
                self.len as usize,
            )
        }
    }

    /// Octets of the frame.
    #[inline]
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Octets free before the frame.
    pub fn headroom(&self) -> usize {
        self.off as usize
    }

    /// Octets free behind the frame.
    pub fn tailroom(&self) -> usize {
        (self.cap - self.off - self.len) as usize
    }

    /// Cuts the frame to at most `len` octets.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len as u32);
    }

    /// Inserts a VLAN tag after the addresses. Moves to the heap when there is no headroom.
    /// A frame shorter than the two addresses is left alone.
    pub fn push_vlan(&mut self, tpid: u16, tci: u16) {
        if self.len < 12 {
            return;
        }
        if self.off < 4 {
            *self = self.to_owned_packet();
        }
        self.off -= 4;
        self.len += 4;
        let d = self.data_mut();
        d.copy_within(4..16, 0);
        d[12..14].copy_from_slice(&tpid.to_be_bytes());
        d[14..16].copy_from_slice(&tci.to_be_bytes());
        self.shift_offload(4);
    }

    /// Removes the outer VLAN tag. The caller knows that there is one.
    pub fn pop_vlan(&mut self) {
        if self.len < 18 {
            return;
        }
        self.data_mut().copy_within(0..12, 4);
        self.off += 4;
        self.len -= 4;
        self.shift_offload(-4);
    }

    fn shift_offload(&mut self, by: i16) {
        if self.vnet.flags & VnetHdr::NEEDS_CSUM != 0 {
            self.vnet.csum_start = self.vnet.csum_start.wrapping_add_signed(by);
        }
        if self.vnet.hdr_len != 0 {
            self.vnet.hdr_len = self.vnet.hdr_len.wrapping_add_signed(by);
        }
    }
}

impl std::fmt::Debug for Packet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Packet({} octets, {:?})", self.len, self.vnet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(n: usize) -> Vec<u8> {
        (0..n as u32).map(|i| i as u8).collect()
    }

    #[test]
    fn push_and_pop_of_tags_restore_frame() {
        let f = bytes(100);
        let mut p = Packet::new(&f);
        p.vnet = VnetHdr {
            flags: VnetHdr::NEEDS_CSUM,
            csum_start: 34,
            csum_offset: 16,
            hdr_len: 54,
            gso_type: 1,
            gso_size: 1448,
        };
        let before = p.vnet;
        // More tags than there is room for, so that the frame has to move.
        for i in 1..=6u16 {
            p.push_vlan(0x8100, i);
            assert_eq!(p.data()[..12], f[..12]);
            assert_eq!(p.data()[12..16], [0x81, 0, 0, i as u8]);
            assert_eq!(p.data()[12 + 4 * i as usize..], f[12..]);
            assert_eq!(p.vnet.csum_start, 34 + 4 * i);
            assert_eq!(p.vnet.hdr_len, 54 + 4 * i);
        }
        for i in (1..=6u8).rev() {
            assert_eq!(p.data()[15], i);
            p.pop_vlan();
        }
        assert_eq!(p.data(), f);
        assert_eq!(p.vnet, before);
    }

    #[test]
    fn tags_leave_short_frame_unchanged() {
        for n in 0..18 {
            let f = bytes(n);
            let mut p = Packet::new(&f);
            p.pop_vlan();
            assert_eq!(p.data(), f);
            if n < 12 {
                p.push_vlan(0x8100, 1);
                assert_eq!(p.data(), f);
            }
        }
    }

    #[test]
    fn push_without_headroom_leaves_device_memory() {
        let mut memory = bytes(128);
        let start = NonNull::new(memory.as_mut_ptr()).unwrap();
        // SAFETY: the memory outlives the packet and is not used meanwhile.
        let mut p = unsafe { Packet::from_device(start, 128, 6, 100, VnetHdr::default()) };
        assert_eq!((p.headroom(), p.len(), p.tailroom()), (6, 100, 22));
        let copy = p.to_owned_packet();
        p.push_vlan(0x8100, 1);
        assert_eq!(p.headroom(), 2);
        // The second does not fit: the packet moves to the heap, the memory keeps the first.
        p.push_vlan(0x8100, 2);
        p.truncate(50);
        assert_eq!(p.len(), 50);
        assert_eq!(p.data()[12..20], [0x81, 0, 0, 2, 0x81, 0, 0, 1]);
        assert_eq!(copy.data(), &bytes(128)[6..106]);
        drop(p);
        assert_eq!(memory[14..18], [0x81, 0, 0, 1]);
    }
}
