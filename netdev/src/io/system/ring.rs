//! Receive from a ring shared with the kernel (`PACKET_RX_RING`, version 2).
//!
//! Version 3 passes blocks of frames by a timer, which costs latency; version 2 passes each frame at
//! once. Reading needs no system call: the slot's status word says which side owns it.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use crate::io::arena::{self, Arena};
use crate::packet::{Packet, VnetHdr};
use crate::sys;

/// Rings that one process opens in [`RxMode::Auto`](super::RxMode::Auto); each is 2 MiB of resident
/// memory.
pub const MAX_RINGS: usize = 32;

/// Frames that fit into a slot: an Ethernet MTU of 1500 with room to spare. Longer ones are
/// fetched from the socket's queue.
const SLOT: usize = 2048;
const SLOTS: usize = 1024;
/// The kernel allocates the ring in pieces of this size.
const BLOCK: usize = 64 << 10;
/// Added before the frame so that its layer 3 header is aligned to 16 octets.
const RESERVE: u32 = 6;
const HEADER: usize = size_of::<libc::tpacket2_hdr>();
const VNET_LEN: usize = size_of::<VnetHdr>();

static OPEN: AtomicUsize = AtomicUsize::new(0);

/// Counts a ring for as long as it exists.
pub(super) struct RingPermit(());

impl RingPermit {
    /// One of [`MAX_RINGS`] permits; `None` when all are taken. Any thread may open a device.
    pub(super) fn take() -> Option<RingPermit> {
        let one_more = |n| (n < MAX_RINGS).then_some(n + 1);
        OPEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more)
            .ok()
            .map(|_| RingPermit(()))
    }

    /// A permit beyond the limit, for [`RxMode::Ring`](super::RxMode::Ring).
    pub(super) fn beyond() -> RingPermit {
        OPEN.fetch_add(1, Ordering::Relaxed);
        RingPermit(())
    }
}

impl Drop for RingPermit {
    fn drop(&mut self) {
        OPEN.fetch_sub(1, Ordering::Relaxed);
    }
}

pub(super) struct Ring {
    map: NonNull<u8>,
    /// The next slot to read and the first not yet given back; both count up and wrap.
    head: u32,
    tail: u32,
    /// Holds frames too long for a slot, from `recv` to `release`.
    long: Option<Arena>,
    _permit: RingPermit,
}

// SAFETY: the ring owns its mapping; nothing in it is bound to a thread.
unsafe impl Send for Ring {}

impl Ring {
    /// Turns `fd`, not yet bound, into a socket with a receive ring.
    pub(super) fn new(fd: OwnedFd, permit: RingPermit) -> io::Result<(OwnedFd, Ring)> {
        let set = |opt, v: u32| sys::set_packet_option(&fd, opt, &v);
        set(libc::PACKET_VERSION, libc::tpacket_versions::TPACKET_V2 as u32)?;
        set(libc::PACKET_RESERVE, RESERVE)?;
        // Any length but 0: frames longer than a slot are queued whole on the socket as well.
        set(libc::PACKET_COPY_THRESH, SLOT as u32)?;
        // `struct tpacket_req`: size and number of blocks, size and number of frames.
        let req = [BLOCK, SLOTS * SLOT / BLOCK, SLOT, SLOTS].map(|n| n as u32);
        sys::set_packet_option(&fd, libc::PACKET_RX_RING, &req)?;
        // SAFETY: a new mapping at an address of the kernel's choice.
        let map = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                SLOT * SLOTS,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if map == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let map = NonNull::new(map.cast()).expect("the kernel maps nothing at 0");
        Ok((fd, Ring { map, head: 0, tail: 0, long: None, _permit: permit }))
    }

    fn slot(&self, i: u32) -> NonNull<u8> {
        // SAFETY: inside the mapping of SLOTS * SLOT octets.
        unsafe { self.map.add(i as usize % SLOTS * SLOT) }
    }

    fn status(&self, i: u32) -> &AtomicU32 {
        // SAFETY: the slot starts with its header, aligned; the kernel reads and writes the word
        // as one, and so do we.
        unsafe { self.slot(i).add(offset_of!(libc::tpacket2_hdr, tp_status)).cast().as_ref() }
    }

    /// Appends at most `max` frames; returns how many could not be used.
    pub(super) fn recv(&mut self, fd: BorrowedFd<'_>, out: &mut Vec<Packet>, max: usize) -> u64 {
        let mut bad = 0;
        let end = out.len() + max;
        while out.len() < end && self.head.wrapping_sub(self.tail) < SLOTS as u32 {
            let status = self.status(self.head).load(Ordering::Acquire);
            if status & libc::TP_STATUS_USER == 0 {
                break;
            }
            if status & libc::TP_STATUS_COPY != 0 && !self.long_room() {
                break;
            }
            match self.packet(fd, status) {
                Some(p) => out.push(p),
                None => bad += 1,
            }
            self.head = self.head.wrapping_add(1);
        }
        bad
    }

    /// Whether there is memory for one more long frame. If not, the ring waits for `release`.
    fn long_room(&mut self) -> bool {
        if self.long.is_none() {
            self.long = Arena::take();
        }
        self.long.as_ref().is_some_and(|a| a.room() > 0)
    }

    /// The frame of the slot at `head`, which is ours.
    #[inline]
    fn packet(&mut self, fd: BorrowedFd<'_>, status: u32) -> Option<Packet> {
        let slot = self.slot(self.head);
        // SAFETY: the kernel has written the header before it gave us the slot.
        let h = unsafe { slot.cast::<libc::tpacket2_hdr>().read() };
        let tag = arena::tag_of(status, h.tp_vlan_tci, h.tp_vlan_tpid);
        let mut p = if status & libc::TP_STATUS_COPY != 0 {
            self.long.as_mut()?.recv_one(fd).ok()??
        } else {
            let (at, len) = (h.tp_mac as usize, h.tp_snaplen as usize);
            if h.tp_len != h.tp_snaplen || at < HEADER + VNET_LEN || at + len > SLOT {
                return None;
            }
            // SAFETY: checked to lie in the slot, which is ours until `release`. The offload
            // header stands before the frame; any bytes are a valid one. The packet may grow over
            // it and over the address that the kernel put there, not over the slot's own header.
            unsafe {
                let vnet = slot.add(at - VNET_LEN).cast::<VnetHdr>().read_unaligned();
                let (cap, off) = ((SLOT - HEADER) as u32, (at - HEADER) as u32);
                Packet::from_device(slot.add(HEADER), cap, off, len as u32, vnet)
            }
        };
        if let Some((tpid, tci)) = tag {
            p.push_vlan(tpid, tci);
        }
        Some(p)
    }

    /// # Safety
    ///
    /// As [`crate::PacketIo::release`].
    pub(super) unsafe fn release(&mut self) {
        while self.tail != self.head {
            self.status(self.tail).store(libc::TP_STATUS_KERNEL, Ordering::Release);
            self.tail = self.tail.wrapping_add(1);
        }
        if let Some(a) = self.long.take() {
            // SAFETY: the caller no longer uses the packets.
            unsafe { a.put() };
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // Packets may still be in the slots that were not released: their memory stays mapped.
        if self.tail != self.head {
            return;
        }
        // SAFETY: our own mapping, and no packet is in it.
        unsafe { libc::munmap(self.map.as_ptr().cast(), SLOT * SLOTS) };
    }
}
