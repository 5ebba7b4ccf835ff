//! Receive by `recvmmsg` into memory that the thread's ports share.

use std::os::fd::BorrowedFd;

use crate::io::arena::Arena;
use crate::packet::Packet;

/// Has an arena only while frames in it are in use.
#[derive(Default)]
pub(super) struct Batch {
    arena: Option<Arena>,
}

impl Batch {
    /// Appends at most `max` frames; returns how many could not be used.
    pub(super) fn recv(&mut self, fd: BorrowedFd<'_>, out: &mut Vec<Packet>, max: usize) -> u64 {
        if self.arena.is_none() {
            self.arena = Arena::take();
        }
        let Some(arena) = &mut self.arena else { return 0 };
        // An error means that nothing has arrived or that the device went down.
        let (n, bad) = arena.recv(fd, out, max).unwrap_or((0, 0));
        if n == 0 && arena.room() == crate::io::arena::SLOTS {
            // SAFETY: no slot is used, so there is no packet.
            unsafe { self.release() };
        }
        bad as u64
    }

    /// # Safety
    ///
    /// As [`crate::PacketIo::release`].
    pub(super) unsafe fn release(&mut self) {
        if let Some(a) = self.arena.take() {
            // SAFETY: the caller no longer uses the packets.
            unsafe { a.put() };
        }
    }
}
