//! The frames of one control protocol on one device. They bypass the datapath, because LACP must not
//! queue behind user traffic.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketType};
use wire::EthAddr;

use crate::DeviceError;
use crate::sys::{self, SocketAddrPacket};

/// The longest frame taken, in octets; control frames are far shorter.
const FRAME_MAX: usize = 2048;

/// Receives and sends untagged frames of one EtherType.
///
/// Slow Protocols: `ProtoSocket::open(name, EtherType::SLOW, Some(EthAddr::SLOW_PROTOCOLS))`.
pub struct ProtoSocket {
    fd: OwnedFd,
    ifindex: u32,
    /// Frames to other stations, and tagged ones, are taken too.
    others: bool,
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
        let open = || -> io::Result<ProtoSocket> {
            let ifindex = sys::ifindex(name)?;
            let fd = sys::socket(AddressFamily::PACKET, SocketType::RAW, None)?;
            sys::set_packet_option(&fd, libc::PACKET_IGNORE_OUTGOING, &1)?;
            if let Some(g) = group {
                sys::packet_membership(&fd, ifindex, libc::PACKET_MR_MULTICAST, Some(g.0))?;
            }
            sys::bind_packet(&fd, ifindex, ethertype)?;
            Ok(ProtoSocket { fd, ifindex, others: false, buf: Box::new([0; FRAME_MAX]) })
        };
        open().map_err(|source| DeviceError::Open { name: name.to_owned(), source })
    }

    /// Opens a device for the answers to probes: ARP replies (RFC 826) and neighbour advertisements
    /// (RFC 4861) to any station in the VLAN `vid`, and with `requests` also ARP requests and
    /// neighbour solicitations. The kernel hands frames over without the tag; `vid` 0 = untagged.
    ///
    /// # Errors
    ///
    /// No such device, no permission (`CAP_NET_RAW`).
    pub fn open_neighbours(
        name: &str,
        vid: u16,
        requests: bool,
    ) -> Result<ProtoSocket, DeviceError> {
        let open = || -> io::Result<ProtoSocket> {
            let ifindex = sys::ifindex(name)?;
            let fd = sys::socket(AddressFamily::PACKET, SocketType::RAW, None)?;
            sys::set_packet_option(&fd, libc::PACKET_IGNORE_OUTGOING, &1)?;
            sys::attach_filter(&fd, &mut sys::neighbours(vid, requests))?;
            // A socket of one protocol is not told of which VLAN a frame was.
            sys::bind_packet(&fd, ifindex, libc::ETH_P_ALL as u16)?;
            Ok(ProtoSocket { fd, ifindex, others: true, buf: Box::new([0; FRAME_MAX]) })
        };
        open().map_err(|source| DeviceError::Open { name: name.to_owned(), source })
    }

    /// Readable when `recv` has a frame.
    pub fn fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The device's index. Its name may have changed since.
    pub fn ifindex(&self) -> u32 {
        self.ifindex
    }

    /// The next frame, from its destination address on; `None` when there is none. But for
    /// [`ProtoSocket::open_neighbours`], tagged frames are skipped: the protocols are about the link,
    /// not about a VLAN.
    pub fn recv(&mut self) -> Option<&[u8]> {
        loop {
            let flags = RecvFlags::DONTWAIT | RecvFlags::TRUNC;
            let (n, from) = match rustix::net::recvfrom(&self.fd, &mut self.buf[..], flags) {
                // The length is the frame's, also when it is more than the buffer's.
                Ok((_, n, from)) => (n, from),
                Err(Errno::AGAIN) => return None,
                // A device that went down has left an error, behind which frames may wait.
                Err(Errno::INTR | Errno::NETDOWN) => continue,
                // A device that is gone. Reading the error stops the socket being readable.
                Err(_) => {
                    let _ = rustix::net::sockopt::socket_error(&self.fd);
                    return None;
                }
            };
            let from = from.and_then(|a| SocketAddrPacket::of(&a));
            // A frame of a VLAN reaches the socket of one protocol without its tag, marked as for
            // another host. Frames to another station's address have the mark too.
            let not_ours = from.is_some_and(|a| a.packet_type == libc::PACKET_OTHERHOST);
            if (self.others || !not_ours) && n <= FRAME_MAX {
                return Some(&self.buf[..n]);
            }
        }
    }

    /// Sends a whole frame, from its destination address on. Never blocks.
    ///
    /// # Errors
    ///
    /// The device refused the frame: it is down, its queue is full, or the frame is too long.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        let send = || rustix::net::send(&self.fd, frame, SendFlags::DONTWAIT);
        match send() {
            // The error may be one that a device which is up again has left on the socket.
            Err(Errno::NETDOWN) => send()?,
            result => result?,
        };
        Ok(())
    }
}
