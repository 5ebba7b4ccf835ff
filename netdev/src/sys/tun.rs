//! Requests on a descriptor of `/dev/net/tun` (`linux/if_tun.h`).

use std::ffi::{c_int, c_uint, c_ulong};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;

use super::ifreq::Ifreq;
use super::socket::cvt;

/// An open `/dev/net/tun`: nothing else, so that its requests mean what they say.
#[derive(Debug)]
pub(crate) struct TunFd(OwnedFd);

impl TunFd {
    /// Opens `/dev/net/tun`, not blocking.
    pub(crate) fn open() -> io::Result<TunFd> {
        let mut options = std::fs::OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NONBLOCK);
        Ok(TunFd(options.open("/dev/net/tun")?.into()))
    }

    /// Another descriptor of the same queue.
    pub(crate) fn try_clone(&self) -> io::Result<TunFd> {
        Ok(TunFd(self.0.try_clone()?))
    }

    /// `TUNSETIFF`: attaches to the device of this name. `flags`: `IFF_TAP` and so on.
    pub(crate) fn attach(&self, name: &str, flags: c_int) -> io::Result<()> {
        let mut req = Ifreq::new(name)?;
        req.put(0, &(flags as u16).to_ne_bytes());
        self.ifreq(libc::TUNSETIFF as _, req)
    }

    /// Whether the device exists (`TUNGETIFF`).
    pub(crate) fn is_attached(&self) -> bool {
        self.ifreq(libc::TUNGETIFF as _, Ifreq::blank()).is_ok()
    }

    /// `TUNSETPERSIST`.
    pub(crate) fn set_persist(&self, on: bool) -> io::Result<()> {
        self.number(libc::TUNSETPERSIST as _, c_ulong::from(on))
    }

    /// `TUNSETOWNER`.
    pub(crate) fn set_owner(&self, uid: u32) -> io::Result<()> {
        self.number(libc::TUNSETOWNER as _, c_ulong::from(uid))
    }

    /// `TUNSETOFFLOAD`: a set of `TUN_F_*`.
    pub(crate) fn set_offload(&self, offload: c_uint) -> io::Result<()> {
        self.number(libc::TUNSETOFFLOAD as _, c_ulong::from(offload))
    }

    /// `TUNDETACHFILTER`: no filter of the socket.
    pub(crate) fn detach_filter(&self) -> io::Result<()> {
        self.number(libc::TUNDETACHFILTER as _, 0)
    }

    /// `TUNSETVNETHDRSZ`: octets of the offload header.
    pub(crate) fn set_vnet_hdr_size(&self, octets: c_int) -> io::Result<()> {
        self.int(libc::TUNSETVNETHDRSZ as _, octets)
    }

    /// `TUNSETVNETLE` and `TUNSETVNETBE`: the offload header is in host byte order.
    pub(crate) fn set_vnet_host_order(&self) -> io::Result<()> {
        let little = self.int(libc::TUNSETVNETLE as _, 0);
        self.int(libc::TUNSETVNETBE as _, 0).and(little)
    }

    /// `TUNSETSNDBUF`: octets of frames that may be on their way in.
    pub(crate) fn set_send_buffer(&self, octets: c_int) -> io::Result<()> {
        self.int(libc::TUNSETSNDBUF as _, octets)
    }

    /// `TUNSETTXFILTER` with a `struct tun_filter` without flags and addresses: all frames.
    pub(crate) fn clear_address_filter(&self) -> io::Result<()> {
        self.int(libc::TUNSETTXFILTER as _, 0)
    }

    /// `TUNSETSTEERINGEBPF` and `TUNSETFILTEREBPF`: no program.
    pub(crate) fn clear_programs(&self) -> io::Result<()> {
        let steering = self.int(libc::TUNSETSTEERINGEBPF as _, -1);
        self.int(libc::TUNSETFILTEREBPF as _, -1).and(steering)
    }

    fn ifreq(&self, request: c_ulong, mut req: Ifreq) -> io::Result<()> {
        // SAFETY: the two requests that come here take a `struct ifreq` without a pointer in it,
        // which is how `Ifreq` is laid out.
        cvt(unsafe { libc::ioctl(self.0.as_raw_fd(), request as _, &raw mut req) }).map(drop)
    }

    /// A request whose argument is a number.
    fn number(&self, request: c_ulong, value: c_ulong) -> io::Result<()> {
        // SAFETY: no memory is passed: the requests that come here take a number.
        cvt(unsafe { libc::ioctl(self.0.as_raw_fd(), request as _, value) }).map(drop)
    }

    /// A request whose argument is a pointer to four octets that the kernel reads.
    fn int(&self, request: c_ulong, value: c_int) -> io::Result<()> {
        // SAFETY: the kernel reads one int: the requests that come here take that.
        cvt(unsafe { libc::ioctl(self.0.as_raw_fd(), request as _, &raw const value) }).map(drop)
    }
}

impl AsFd for TunFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for TunFd {
    fn as_raw_fd(&self) -> c_int {
        self.0.as_raw_fd()
    }
}
