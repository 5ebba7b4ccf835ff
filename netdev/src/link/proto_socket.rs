//! The frames of one control protocol on one device, past the datapath: LACP must not wait for a
//! queue of user traffic.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use wire::EthAddr;

use crate::DeviceError;
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
            sys::setsockopt(raw, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, &1)?;
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
            // SAFETY: all-zero is a valid sockaddr_ll.
            let mut from: libc::sockaddr_ll = unsafe { MaybeUninit::zeroed().assume_init() };
            let mut iov =
                libc::iovec { iov_base: self.buf.as_mut_ptr().cast(), iov_len: FRAME_MAX };
            // SAFETY: all-zero is a valid msghdr.
            let mut m: libc::msghdr = unsafe { MaybeUninit::zeroed().assume_init() };
            m.msg_iov = &mut iov;
            m.msg_iovlen = 1;
            m.msg_name = (&raw mut from).cast();
            m.msg_namelen = size_of_val(&from) as _;
            // SAFETY: `m` describes `buf` and `from`, both alive and as long as it says.
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
            // By the time that a frame reaches one protocol's socket, the kernel has taken its tag
            // away and left only this mark. Frames for another station's address carry it too.
            let not_ours = from.sll_pkttype == libc::PACKET_OTHERHOST;
            if !not_ours && m.msg_flags & libc::MSG_TRUNC == 0 {
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
