//! Sockets, and the options and addresses of packet sockets (packet(7)).

use std::ffi::c_int;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::addr::{SocketAddrArg, SocketAddrLen, SocketAddrOpaque};
use rustix::net::{AddressFamily, Protocol, SocketAddrAny, SocketFlags, SocketType, sockopt};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// The result of a call that returns -1 on error.
pub(super) fn cvt(r: c_int) -> io::Result<c_int> {
    if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r) }
}

/// A non-blocking, close-on-exec socket.
pub(crate) fn socket(
    family: AddressFamily,
    kind: SocketType,
    protocol: Option<Protocol>,
) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    Ok(rustix::net::socket_with(family, kind, flags, protocol)?)
}

/// `setsockopt(2)` of a packet socket (level `SOL_PACKET`), with a value that has no padding.
pub(crate) fn set_packet_option<T: IntoBytes + Immutable>(
    fd: impl AsFd,
    option: c_int,
    value: &T,
) -> io::Result<()> {
    let value = value.as_bytes();
    // SAFETY: the kernel reads the octets of `value`.
    cvt(unsafe {
        libc::setsockopt(
            fd.as_fd().as_raw_fd(),
            libc::SOL_PACKET,
            option,
            value.as_ptr().cast(),
            value.len() as libc::socklen_t,
        )
    })?;
    Ok(())
}

/// Frames that a packet socket has seen and lost since the last call (`PACKET_STATISTICS`).
pub(crate) fn take_packet_statistics(fd: impl AsFd) -> io::Result<(u32, u32)> {
    let mut v = [0u32; 2];
    let mut len = size_of_val(&v) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` octets to `v`, which is that large.
    cvt(unsafe {
        libc::getsockopt(
            fd.as_fd().as_raw_fd(),
            libc::SOL_PACKET,
            libc::PACKET_STATISTICS,
            v.as_mut_ptr().cast(),
            &mut len,
        )
    })?;
    Ok((v[0], v[1]))
}

/// Sets a socket's receive buffer, in octets: beyond the system's limit where the process may, else
/// up to it. A smaller buffer loses more under a burst, so that a failure is no error.
pub(crate) fn set_receive_buffer(fd: impl AsFd, octets: usize) {
    if sockopt::set_socket_recv_buffer_size_force(&fd, octets).is_err() {
        let _ = sockopt::set_socket_recv_buffer_size(&fd, octets);
    }
}

/// As [`set_receive_buffer`], for the send buffer.
pub(crate) fn set_send_buffer(fd: impl AsFd, octets: usize) {
    if sockopt::set_socket_send_buffer_size_force(&fd, octets).is_err() {
        let _ = sockopt::set_socket_send_buffer_size(&fd, octets);
    }
}

/// `struct sockaddr_ll` of packet(7).
#[derive(Clone, Copy, Default, IntoBytes, FromBytes, Immutable)]
#[repr(C)]
pub(crate) struct SocketAddrPacket {
    family: u16,
    /// Network byte order.
    protocol: u16,
    pub(crate) ifindex: c_int,
    hatype: u16,
    /// `PACKET_HOST`, `PACKET_OTHERHOST` and so on, of a received frame.
    pub(crate) packet_type: u8,
    halen: u8,
    addr: [u8; 8],
}

const _: () = assert!(size_of::<SocketAddrPacket>() == size_of::<libc::sockaddr_ll>());

impl SocketAddrPacket {
    /// What the kernel has filled in. `None` when it is no address of a packet socket.
    pub(crate) fn of(address: &SocketAddrAny) -> Option<SocketAddrPacket> {
        // SAFETY: an address is initialized up to its length.
        let octets = unsafe {
            std::slice::from_raw_parts(address.as_ptr().cast::<u8>(), address.addr_len() as usize)
        };
        // The kernel leaves the last octets of the hardware address out when it has no more.
        let mut whole = [0; size_of::<SocketAddrPacket>()];
        let n = octets.len().min(whole.len());
        whole[..n].copy_from_slice(&octets[..n]);
        let a = SocketAddrPacket::read_from_bytes(&whole).ok()?;
        (a.family == libc::AF_PACKET as u16).then_some(a)
    }
}

// SAFETY: `f` gets a pointer to all of `self`, which is laid out as `struct sockaddr_ll`.
unsafe impl SocketAddrArg for SocketAddrPacket {
    unsafe fn with_sockaddr<R>(
        &self,
        f: impl FnOnce(*const SocketAddrOpaque, SocketAddrLen) -> R,
    ) -> R {
        f(std::ptr::from_ref(self).cast(), size_of::<SocketAddrPacket>() as SocketAddrLen)
    }
}

/// Binds a packet socket to a device and protocol (host byte order).
pub(crate) fn bind_packet(fd: impl AsFd, ifindex: u32, protocol: u16) -> io::Result<()> {
    let address = SocketAddrPacket {
        family: libc::AF_PACKET as u16,
        protocol: protocol.to_be(),
        ifindex: ifindex as c_int,
        ..SocketAddrPacket::default()
    };
    Ok(rustix::net::bind(fd, &address)?)
}

/// The device that a packet socket is bound to; `None` once that has been removed.
pub(crate) fn bound_device(fd: impl AsFd) -> io::Result<Option<u32>> {
    let address = SocketAddrPacket::of(&rustix::net::getsockname(fd)?);
    Ok(address.and_then(|a| u32::try_from(a.ifindex).ok()).filter(|i| *i != 0))
}

/// `struct packet_mreq` of packet(7).
#[derive(IntoBytes, Immutable)]
#[repr(C)]
struct PacketMreq {
    ifindex: c_int,
    kind: u16,
    alen: u16,
    address: [u8; 8],
}

/// Joins a packet socket to a membership of `netdevice(7)` kind `PACKET_MR_*`.
pub(crate) fn packet_membership(
    fd: impl AsFd,
    ifindex: u32,
    kind: c_int,
    addr: Option<[u8; 6]>,
) -> io::Result<()> {
    let mut m = PacketMreq { ifindex: ifindex as i32, kind: kind as u16, alen: 0, address: [0; 8] };
    if let Some(a) = addr {
        m.alen = 6;
        m.address[..6].copy_from_slice(&a);
    }
    set_packet_option(fd, libc::PACKET_ADD_MEMBERSHIP, &m)
}
