//! Transmit in batches by `sendmmsg`.

use std::cell::RefCell;
use std::ffi::c_int;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, BorrowedFd};

use crate::IoCounters;
use crate::packet::{Packet, VnetHdr};

/// Frames in one system call.
const BATCH: usize = 64;

/// A frame that waits for `flush`.
#[derive(Clone, Copy)]
struct Queued {
    data: *const u8,
    len: u32,
    vnet: VnetHdr,
}

#[derive(Default)]
pub(super) struct Tx {
    queue: Vec<Queued>,
    packets: u64,
    bytes: u64,
    dropped: u64,
}

// SAFETY: the pointers are used between `queue` and `flush` only, while the caller keeps the
// frames valid, on whatever thread that is.
unsafe impl Send for Tx {}

/// Message headers, shared by the ports of a thread: they are filled in and used within `flush`.
struct Scratch {
    msgs: [libc::mmsghdr; BATCH],
    iovs: [[libc::iovec; 2]; BATCH],
}

thread_local! {
    static SCRATCH: RefCell<Option<Box<Scratch>>> = const { RefCell::new(None) };
}

impl Tx {
    /// # Safety
    ///
    /// The packet's bytes stay valid and unchanged until `flush` returns.
    pub(super) unsafe fn queue(&mut self, fd: BorrowedFd<'_>, p: &Packet) {
        if self.queue.len() == BATCH {
            self.flush(fd);
        }
        let d = p.data();
        self.queue.push(Queued {
            data: d.as_ptr(),
            len: d.len() as u32,
            vnet: crate::io::outgoing(&p.vnet),
        });
    }

    pub(super) fn flush(&mut self, fd: BorrowedFd<'_>) {
        if self.queue.is_empty() {
            return;
        }
        SCRATCH.with_borrow_mut(|s| {
            // SAFETY: headers of all zeros are valid: null pointers and zero lengths.
            let s =
                s.get_or_insert_with(|| unsafe { Box::new(MaybeUninit::zeroed().assume_init()) });
            self.flush_with(fd, s);
        });
        self.queue.clear();
    }

    fn flush_with(&mut self, fd: BorrowedFd<'_>, s: &mut Scratch) {
        let n = self.queue.len();
        for (i, q) in self.queue.iter().enumerate() {
            s.iovs[i] = [
                libc::iovec {
                    iov_base: (&raw const q.vnet).cast_mut().cast(),
                    iov_len: size_of::<VnetHdr>(),
                },
                libc::iovec { iov_base: q.data.cast_mut().cast(), iov_len: q.len as usize },
            ];
            s.msgs[i].msg_hdr.msg_iov = s.iovs[i].as_mut_ptr();
            s.msgs[i].msg_hdr.msg_iovlen = 2;
        }
        let mut at = 0;
        let mut failures = 0;
        while at < n {
            let msgs = &mut s.msgs[at..n];
            // SAFETY: the headers point at this queue's offload headers and at frames that the
            // caller of `queue` keeps valid; the kernel only reads them.
            let r = unsafe {
                libc::sendmmsg(
                    fd.as_raw_fd(),
                    msgs.as_mut_ptr(),
                    msgs.len() as _,
                    libc::MSG_DONTWAIT as _,
                )
            };
            if r > 0 {
                failures = 0;
                let sent = &self.queue[at..at + r as usize];
                self.packets += sent.len() as u64;
                self.bytes += sent.iter().map(|q| u64::from(q.len)).sum::<u64>();
                at += sent.len();
                continue;
            }
            let errno = io::Error::last_os_error().raw_os_error().unwrap_or(0);
            if errno == libc::EINTR {
                continue;
            }
            // The first of these frames was refused. When the reason is the device, the others
            // would be refused too. But the error may be an old one, of a device that is up again,
            // so that one more frame is tried first.
            failures += 1;
            let drop = if failures > 1 && affects_all(errno) { n - at } else { 1 };
            self.dropped += drop as u64;
            at += drop;
        }
    }

    /// The transmit side; the rest is zero.
    pub(super) fn counters(&self) -> IoCounters {
        IoCounters {
            tx_packets: self.packets,
            tx_bytes: self.bytes,
            tx_dropped: self.dropped,
            ..IoCounters::default()
        }
    }
}

/// Whether an error concerns all frames: a full send buffer, or a device that is down or gone.
/// `ENOBUFS` does not: a queueing discipline or filter refused one frame, and may take the next.
fn affects_all(errno: c_int) -> bool {
    matches!(errno, libc::EAGAIN | libc::ENOMEM | libc::ENETDOWN | libc::ENXIO | libc::ENODEV)
}
