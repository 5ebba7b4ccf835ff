//! Thin wrappers over the system calls that this crate needs; errors are `errno`.

use std::ffi::c_int;
use std::io;
use std::mem::{MaybeUninit, size_of};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

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

/// `setsockopt(2)` with a plain-data value.
pub(crate) fn setsockopt<T: Copy>(fd: RawFd, level: c_int, opt: c_int, v: &T) -> io::Result<()> {
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
    Ok(Ifreq::new(name)?.ioctl(libc::SIOCGIFINDEX)?.u32_at(0))
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

/// Joins a packet socket to a membership of `netdevice(7)` kind `PACKET_MR_*`.
pub(crate) fn packet_membership(
    fd: RawFd,
    ifindex: u32,
    kind: c_int,
    addr: Option<[u8; 6]>,
) -> io::Result<()> {
    let mut m = libc::packet_mreq {
        mr_ifindex: ifindex as i32,
        mr_type: kind as u16,
        mr_alen: 0,
        mr_address: [0; 8],
    };
    if let Some(a) = addr {
        m.mr_alen = 6;
        m.mr_address[..6].copy_from_slice(&a);
    }
    setsockopt(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &m)
}

/// `struct ifreq` of `netdevice(7)`: a device's name and 24 octets whose meaning the request sets.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Ifreq {
    name: [u8; libc::IFNAMSIZ],
    pub(crate) data: [u8; 24],
}

impl Ifreq {
    /// Fails when no device can have such a name.
    pub(crate) fn new(name: &str) -> io::Result<Ifreq> {
        let mut r = Ifreq { name: [0; libc::IFNAMSIZ], data: [0; 24] };
        if name.is_empty() || name.bytes().any(|b| b == 0) {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        if name.len() >= libc::IFNAMSIZ {
            return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
        }
        r.name[..name.len()].copy_from_slice(name.as_bytes());
        Ok(r)
    }

    /// For a request that only answers.
    pub(crate) fn blank() -> Ifreq {
        Ifreq { name: [0; libc::IFNAMSIZ], data: [0; 24] }
    }

    /// One request on a socket of the current network namespace.
    pub(crate) fn ioctl(self, request: libc::c_ulong) -> io::Result<Ifreq> {
        let s = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        // SAFETY: no pointer lies in `data`: `ioctl_data` is for those requests.
        unsafe { self.ioctl_on(s.as_raw_fd(), request) }
    }

    /// A request whose argument lies in memory of its own (`ifr_data`).
    ///
    /// # Safety
    ///
    /// The kernel may read and write as much of `arg` as `request` says.
    pub(crate) unsafe fn ioctl_data(
        mut self,
        request: libc::c_ulong,
        arg: *mut u8,
    ) -> io::Result<()> {
        self.data[..size_of::<usize>()].copy_from_slice(&(arg as usize).to_ne_bytes());
        let s = socket(libc::AF_INET, libc::SOCK_DGRAM, 0)?;
        // SAFETY: the caller vouches for `arg`.
        unsafe { self.ioctl_on(s.as_raw_fd(), request) }?;
        Ok(())
    }

    /// A request on a descriptor of the caller's choice.
    ///
    /// # Safety
    ///
    /// `request` takes a `struct ifreq`, and a pointer in `data`, if it has one, is valid for it.
    pub(crate) unsafe fn ioctl_on(
        mut self,
        fd: RawFd,
        request: libc::c_ulong,
    ) -> io::Result<Ifreq> {
        // SAFETY: `self` is laid out as `struct ifreq` and as large (40 octets on 64 bit).
        cvt(unsafe { libc::ioctl(fd, request as _, &raw mut self) })?;
        Ok(self)
    }

    pub(crate) fn u16_at(&self, at: usize) -> u16 {
        u16::from_ne_bytes([self.data[at], self.data[at + 1]])
    }

    pub(crate) fn u32_at(&self, at: usize) -> u32 {
        let d = &self.data;
        u32::from_ne_bytes([d[at], d[at + 1], d[at + 2], d[at + 3]])
    }

    pub(crate) fn put(&mut self, at: usize, bytes: &[u8]) {
        self.data[at..at + bytes.len()].copy_from_slice(bytes);
    }
}
