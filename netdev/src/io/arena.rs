//! Receive memory for frames that do not lie in a ring.
//!
//! Every slot is long enough for the longest train of segments, so that one read takes a frame
//! whole; only pages that were touched count as resident. Each thread keeps free arenas; a device
//! takes one in `recv` and returns it in `release`. Two thousand idle ports need one, not two
//! thousand.

use std::cell::RefCell;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::NonNull;

use rustix::net::RecvFlags;

use crate::packet::{Packet, VnetHdr};

/// Frames in one arena: as many as a datapath thread takes at a time.
pub(crate) const SLOTS: usize = 32;
/// Where the frame starts: room for tags and the offload header, and the layer 3 header aligned.
const FRAME_AT: usize = 66;
const VNET_LEN: usize = size_of::<VnetHdr>();
/// 64 KiB of IP, an Ethernet header and tags; some cache lines more, so that the starts of the
/// slots do not compete for the same cache sets.
const STRIDE: usize = FRAME_AT + 65_536 + 4096 + 254;
const FRAME_MAX: usize = STRIDE - FRAME_AT;
/// One `struct tpacket_auxdata` with its header.
const CMSG_LEN: usize = 64;
/// Arenas that a thread keeps for later.
const KEEP: usize = 2;

thread_local! {
    static FREE: RefCell<Vec<Arena>> = const { RefCell::new(Vec::new()) };
}

#[repr(C, align(8))]
struct Control([u8; CMSG_LEN]);

/// Message headers for `recvmmsg`. Their pointers are set by each call that uses them.
struct Headers {
    msgs: [libc::mmsghdr; SLOTS],
    iovs: [libc::iovec; SLOTS],
    controls: [Control; SLOTS],
}

/// The mapping: [`SLOTS`] slots of [`STRIDE`] octets. It is not unmapped when dropped.
#[derive(Clone, Copy)]
struct Mapping(NonNull<u8>);

/// Receive memory and the headers to fill it.
pub(crate) struct Arena {
    mem: Mapping,
    headers: Box<Headers>,
    /// Slots that were given to packets, counted from the first.
    used: usize,
}

// SAFETY: an arena owns its mapping. The pointers in its headers are not used after the call that
// set them.
unsafe impl Send for Arena {}

impl Mapping {
    fn new() -> io::Result<Mapping> {
        // SAFETY: a new anonymous mapping, at an address of the kernel's choice.
        let mem = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                STRIDE * SLOTS,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE,
                -1,
                0,
            )
        };
        if mem == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: our own mapping. A huge page would make all of it resident at the first touch.
        // A kernel without huge pages refuses, with the same result.
        unsafe { libc::madvise(mem, STRIDE * SLOTS, libc::MADV_NOHUGEPAGE) };
        Ok(Mapping(NonNull::new(mem.cast()).ok_or(io::ErrorKind::OutOfMemory)?))
    }

    fn slot(self, i: usize) -> NonNull<u8> {
        assert!(i < SLOTS);
        // SAFETY: inside the mapping of SLOTS * STRIDE octets.
        unsafe { self.0.add(i * STRIDE) }
    }

    /// The offload header and the frame, one after the other.
    fn iovec(self, i: usize) -> libc::iovec {
        // SAFETY: inside the slot.
        let base = unsafe { self.slot(i).add(FRAME_AT - VNET_LEN) };
        libc::iovec { iov_base: base.as_ptr().cast(), iov_len: VNET_LEN + FRAME_MAX }
    }

    /// The frame in slot `i`, of which `len` octets have been read, the offload header included.
    ///
    /// # Safety
    ///
    /// The slot is given to this packet alone, until the packet is no longer used.
    unsafe fn packet(self, i: usize, len: usize) -> Option<Packet> {
        if !(VNET_LEN..=VNET_LEN + FRAME_MAX).contains(&len) {
            return None;
        }
        let slot = self.slot(i);
        // SAFETY: the offload header lies before the frame, in the slot; any bytes are a valid
        // VnetHdr. The caller gives the slot to this packet.
        unsafe {
            let vnet = slot.add(FRAME_AT - VNET_LEN).cast::<VnetHdr>().read_unaligned();
            let len = (len - VNET_LEN) as u32;
            Some(Packet::from_device(slot, STRIDE as u32, FRAME_AT as u32, len, vnet))
        }
    }
}

impl Arena {
    /// A free one of this thread, or a new one; `None` when there is no memory.
    pub(crate) fn take() -> Option<Arena> {
        FREE.with(|f| f.borrow_mut().pop()).or_else(|| Arena::new().ok())
    }

    /// Returns an arena to the free ones of this thread, or unmaps it.
    ///
    /// # Safety
    ///
    /// No packet from this arena is used any more.
    pub(crate) unsafe fn put(mut self) {
        self.used = 0;
        // A thread that is ending has no list any more: the arena is unmapped.
        let _ = FREE.try_with(|f| {
            let mut f = f.borrow_mut();
            if f.len() < KEEP {
                f.push(self);
            }
        });
    }

    fn new() -> io::Result<Arena> {
        let mem = Mapping::new()?;
        // SAFETY: headers of all zeros are valid: null pointers and zero lengths.
        let headers = unsafe { Box::<Headers>::new(MaybeUninit::zeroed().assume_init()) };
        Ok(Arena { mem, headers, used: 0 })
    }

    /// Free slots.
    pub(crate) fn room(&self) -> usize {
        SLOTS - self.used
    }

    /// The first free slot, from the offload header on. There must be one.
    fn free_slot(&mut self) -> &mut [u8] {
        let v = self.mem.iovec(self.used);
        // SAFETY: the slot is as long as the vector says, and no packet has it.
        unsafe { std::slice::from_raw_parts_mut(v.iov_base.cast(), v.iov_len) }
    }

    /// Reads one frame from a tap; `WouldBlock` when there is none.
    pub(crate) fn read(&mut self, fd: BorrowedFd<'_>) -> io::Result<Option<Packet>> {
        let n = rustix::io::read(fd, self.free_slot())?;
        // SAFETY: the slot is free; it is counted as used when a packet has it.
        let p = unsafe { self.mem.packet(self.used, n) };
        if p.is_some() {
            self.used += 1;
        }
        Ok(p)
    }

    /// Takes up to `max` frames from a packet socket with offload headers and auxiliary data, and
    /// puts tags back that the kernel had taken off. Appends to `out`; returns how many messages
    /// were read and how many of them could not be used.
    pub(crate) fn recv(
        &mut self,
        fd: BorrowedFd<'_>,
        out: &mut Vec<Packet>,
        max: usize,
    ) -> io::Result<(usize, usize)> {
        let first = self.used;
        let want = max.min(self.room());
        if want == 0 {
            return Ok((0, 0));
        }
        let Headers { msgs, iovs, controls } = &mut *self.headers;
        for i in first..first + want {
            iovs[i] = self.mem.iovec(i);
            let m = &mut msgs[i].msg_hdr;
            m.msg_iov = &raw mut iovs[i];
            m.msg_iovlen = 1;
            m.msg_control = (&raw mut controls[i]).cast();
            m.msg_controllen = CMSG_LEN as _;
            m.msg_flags = 0;
        }
        // SAFETY: `want` headers follow; their vectors are free slots of this arena, and their
        // control buffers are as long as they say.
        let n = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                msgs[first..].as_mut_ptr(),
                want as _,
                libc::MSG_DONTWAIT as _,
                std::ptr::null_mut(),
            )
        };
        if n < 0 {
            return Err(io::Error::last_os_error());
        }
        let n = n as usize;
        let mut bad = 0;
        for (i, m) in msgs.iter().enumerate().skip(first).take(n) {
            let whole = m.msg_hdr.msg_flags & libc::MSG_TRUNC == 0;
            // SAFETY: the kernel has filled in the header and its control buffer.
            let tag = unsafe { auxdata(&m.msg_hdr) }.and_then(|a| stripped_tag(&a));
            // SAFETY: the slot was free and is counted as used below.
            match unsafe { self.mem.packet(i, m.msg_len as usize) } {
                Some(mut p) if whole => {
                    if let Some((tpid, tci)) = tag {
                        p.push_vlan(tpid, tci);
                    }
                    out.push(p);
                }
                _ => bad += 1,
            }
        }
        self.used += n;
        Ok((n, bad))
    }

    /// As `recv`, for one frame whose tag the caller knows.
    pub(crate) fn recv_one(&mut self, fd: BorrowedFd<'_>) -> io::Result<Option<Packet>> {
        let i = self.used;
        if i == SLOTS {
            return Ok(None);
        }
        // The second number is the frame's length, which may be more than the slot's.
        let (_, len) =
            rustix::net::recv(fd, self.free_slot(), RecvFlags::DONTWAIT | RecvFlags::TRUNC)?;
        self.used += 1;
        // SAFETY: the slot was free and is counted as used now.
        Ok(unsafe { self.mem.packet(i, len) })
    }
}

impl Drop for Arena {
    fn drop(&mut self) {
        // Packets may still be in the slots that were used: their memory stays mapped.
        if self.used > 0 {
            return;
        }
        // SAFETY: our own mapping, and no packet is in it.
        unsafe { libc::munmap(self.mem.0.as_ptr().cast(), STRIDE * SLOTS) };
    }
}

/// The auxiliary data of a message (`PACKET_AUXDATA`, packet(7)).
///
/// # Safety
///
/// The kernel has filled in `m` and the control buffer that it describes, which is still there.
unsafe fn auxdata(m: &libc::msghdr) -> Option<libc::tpacket_auxdata> {
    // SAFETY: the macros walk the control buffer within `msg_controllen`.
    unsafe {
        let mut c = libc::CMSG_FIRSTHDR(m);
        while !c.is_null() {
            if (*c).cmsg_level == libc::SOL_PACKET && (*c).cmsg_type == libc::PACKET_AUXDATA {
                return Some(libc::CMSG_DATA(c).cast::<libc::tpacket_auxdata>().read_unaligned());
            }
            c = libc::CMSG_NXTHDR(m, c);
        }
    }
    None
}

/// The tag that the kernel took off, as TPID and TCI.
pub(crate) fn stripped_tag(a: &libc::tpacket_auxdata) -> Option<(u16, u16)> {
    tag_of(a.tp_status, a.tp_vlan_tci, a.tp_vlan_tpid)
}

/// As `stripped_tag`, from the status word and fields of either form of header.
pub(crate) fn tag_of(status: u32, tci: u16, tpid: u16) -> Option<(u16, u16)> {
    if status & libc::TP_STATUS_VLAN_VALID == 0 {
        return None;
    }
    let known = status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
    Some((if known { tpid } else { wire::EtherType::VLAN }, tci))
}
