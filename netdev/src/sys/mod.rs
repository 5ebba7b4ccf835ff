//! Thin wrappers over the system calls that this crate needs; errors are `errno`.
//!
//! | file | what |
//! |---|---|
//! | `ifreq` | requests about a device on a socket (`netdevice(7)`, ethtool, MII) |
//! | `tun` | requests on a descriptor of `/dev/net/tun` |

mod ifreq;
mod tun;

use std::ffi::c_int;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use zerocopy::{Immutable, IntoBytes};

pub(crate) use ifreq::{Ethtool, Ifreq, Request};
pub(crate) use tun::TunFd;

/// The result of a call that returns -1 on error.
pub(crate) fn cvt(r: c_int) -> io::Result<c_int> {
    if r < 0 { Err(io::Error::last_os_error()) } else { Ok(r) }
}

/// A non-blocking, close-on-exec socket.
pub(crate) fn socket(family: c_int, kind: c_int, protocol: c_int) -> io::Result<OwnedFd> {
    let kind = kind | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no memory is passed.
    let fd = cvt(unsafe { libc::socket(family, kind, protocol) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// `setsockopt(2)` with a value that has no padding.
pub(crate) fn setsockopt<T: IntoBytes + Immutable>(
    fd: RawFd,
    level: c_int,
    opt: c_int,
    v: &T,
) -> io::Result<()> {
    let len = size_of::<T>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` octets at `v`, which is that large.
    cvt(unsafe { libc::setsockopt(fd, level, opt, std::ptr::from_ref(v).cast(), len) })?;
    Ok(())
}

/// `getsockopt(2)` of an option whose value is `N` 32-bit words.
pub(crate) fn getsockopt<const N: usize>(
    fd: RawFd,
    level: c_int,
    opt: c_int,
) -> io::Result<[u32; N]> {
    let mut v = [0u32; N];
    let mut len = size_of::<[u32; N]>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` octets to `v`, which is that large.
    cvt(unsafe { libc::getsockopt(fd, level, opt, v.as_mut_ptr().cast(), &mut len) })?;
    Ok(v)
}

/// Sets a socket buffer beyond the system's limit where we may, else up to it.
pub(crate) fn set_buffer(fd: RawFd, force: c_int, plain: c_int, octets: c_int) {
    if setsockopt(fd, libc::SOL_SOCKET, force, &octets).is_err() {
        // A smaller buffer loses more under a burst; it is no reason not to start.
        let _ = setsockopt(fd, libc::SOL_SOCKET, plain, &octets);
    }
}

/// The index of a device of the current network namespace.
pub(crate) fn ifindex(name: &str) -> io::Result<u32> {
    Ok(Ifreq::new(name)?.ioctl(Request::GetIndex)?.u32_at(0))
}

/// Binds a packet socket to a device and protocol (host byte order).
pub(crate) fn bind_packet(fd: RawFd, ifindex: u32, protocol: u16) -> io::Result<()> {
    // SAFETY: all-zero is a valid `sockaddr_ll`.
    let mut a: libc::sockaddr_ll = unsafe { MaybeUninit::zeroed().assume_init() };
    a.sll_family = libc::AF_PACKET as u16;
    a.sll_protocol = protocol.to_be();
    a.sll_ifindex = ifindex as i32;
    let len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel reads `len` octets at `a`, which is that large.
    cvt(unsafe { libc::bind(fd, (&raw const a).cast(), len) })?;
    Ok(())
}

/// The device that a packet socket is bound to; `None` once that has been removed.
pub(crate) fn bound_device(fd: RawFd) -> io::Result<Option<u32>> {
    // SAFETY: all-zero is a valid `sockaddr_ll`.
    let mut a: libc::sockaddr_ll = unsafe { MaybeUninit::zeroed().assume_init() };
    let mut len = size_of::<libc::sockaddr_ll>() as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` octets to `a`, which is that large.
    cvt(unsafe { libc::getsockname(fd, (&raw mut a).cast(), &mut len) })?;
    Ok(u32::try_from(a.sll_ifindex).ok().filter(|i| *i != 0))
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
    fd: RawFd,
    ifindex: u32,
    kind: c_int,
    addr: Option<[u8; 6]>,
) -> io::Result<()> {
    let mut m = PacketMreq { ifindex: ifindex as i32, kind: kind as u16, alen: 0, address: [0; 8] };
    if let Some(a) = addr {
        m.alen = 6;
        m.address[..6].copy_from_slice(&a);
    }
    setsockopt(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &m)
}
