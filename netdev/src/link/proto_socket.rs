//! The frames of one control protocol on one device, past the datapath: LACP must not wait for a
//! queue of user traffic.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use wire::EthAddr;

use crate::DeviceError;
use crate::io::arena;
use crate::sys;

/// The longest frame taken, in octets; control frames are far shorter.
const FRAME_MAX: usize = 2048;

/// Receives and sends untagged frames of one EtherType.
///
/// Slow Protocols: `ProtoSocket::open(name, EtherType::SLOW, Some(EthAddr::SLOW_PROTOCOLS))`.
pub struct ProtoSocket {
    fd: OwnedFd,
    ifindex: u32,
    buf: Box<[u8; FRAME_MAX]>,
}

impl ProtoSocket {
    /// Opens a device of the current network namespace, by name, and has it receive `group`.
    ///
    /// # Errors
    ///
    /// No such device, no permission (`CAP_NET_RAW`).
    pub fn open(
        name: &str,
        ethertype: u16,
        group: Option<EthAddr>,
    ) -> Result<ProtoSocket, DeviceError> {
        let open = || {
            let ifindex = sys::ifindex(name)?;
            let fd = sys::socket(libc::AF_PACKET, libc::SOCK_RAW, 0)?;
            let raw = fd.as_raw_fd();
            for opt in [libc::PACKET_AUXDATA, libc::PACKET_IGNORE_OUTGOING] {
                sys::setsockopt(raw, libc::SOL_PACKET, opt, &1)?;
            }
            if let Some(g) = group {
                sys::packet_membership(raw, ifindex, libc::PACKET_MR_MULTICAST, Some(g.0))?;
            }
            sys::bind_packet(raw, ifindex, ethertype)?;
            Ok(ProtoSocket { fd, ifindex, buf: Box::new([0; FRAME_MAX]) })
        };
        open().map_err(|source| DeviceError::Open { name: name.to_owned(), source })
    }

    /// Readable when `recv` has a frame.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The device, which may have got another name since.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// The next frame, from its destination address on; `None` when there is none. Frames of a
    /// VLAN are passed over: these protocols speak for the link itself.
    pub fn recv(&mut self) -> Option<&[u8]> {
        loop {
            let mut control = [0u64; 8];
            let mut iov =
                libc::iovec { iov_base: self.buf.as_mut_ptr().cast(), iov_len: FRAME_MAX };
            // SAFETY: all-zero is a valid msghdr.
            let mut m: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
            m.msg_iov = &mut iov;
            m.msg_iovlen = 1;
            m.msg_control = control.as_mut_ptr().cast();
            m.msg_controllen = size_of_val(&control) as _;
            // SAFETY: `m` describes `buf` and `control`, both alive and as long as it says.
            let n = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &mut m, libc::MSG_DONTWAIT) };
            if n < 0 {
                match io::Error::last_os_error().raw_os_error() {
                    Some(libc::EAGAIN) => return None,
                    // A device that went down has left an error, behind which frames may wait.
                    Some(libc::EINTR | libc::ENETDOWN) => continue,
                    // A device that is gone. Taking the error stops the socket being readable.
                    _ => {
                        let fd = self.fd.as_raw_fd();
                        let _ = sys::getsockopt::<1>(fd, libc::SOL_SOCKET, libc::SO_ERROR);
                        return None;
                    }
                }
            }
            let tagged = arena::auxdata(&m)
                .and_then(|a| arena::stripped_tag(&a))
                .is_some_and(|(_, tci)| tci & 0xfff != 0);
            if !tagged && m.msg_flags & libc::MSG_TRUNC == 0 {
                return Some(&self.buf[..n as usize]);
            }
        }
    }

    /// Sends a whole frame, from its destination address on. Never blocks.
    ///
    /// # Errors
    ///
    /// What the device refuses: down, full queue, too long.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        for _ in 0..2 {
            // SAFETY: the kernel reads the frame's octets.
            let n = unsafe {
                libc::send(
                    self.fd.as_raw_fd(),
                    frame.as_ptr().cast(),
                    frame.len(),
                    libc::MSG_DONTWAIT,
                )
            };
            if n >= 0 {
                return Ok(());
            }
            // The error may be one that a device which is up again has left on the socket.
            let e = io::Error::last_os_error();
            if e.raw_os_error() != Some(libc::ENETDOWN) {
                return Err(e);
            }
        }
        Err(io::Error::from_raw_os_error(libc::ENETDOWN))
    }
}
