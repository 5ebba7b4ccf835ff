//! Requests whose argument is `struct ifreq`, on a socket of the current network namespace.

use std::io;
use std::os::fd::AsRawFd;

use rustix::net::{AddressFamily, SocketType};

use super::socket::{cvt, socket};

/// `struct ifreq` of `netdevice(7)`: a device's name and 24 octets whose meaning the request sets.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub(crate) struct Ifreq {
    name: [u8; libc::IFNAMSIZ],
    data: [u8; 24],
}

// 40 octets on 64 bit, the larger of the kernel's two.
const _: () = assert!(size_of::<Ifreq>() >= size_of::<libc::ifreq>());

/// Requests that read and write a `struct ifreq` without a pointer in it.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Request {
    GetIndex,
    GetFlags,
    SetFlags,
    GetHwaddr,
    SetHwaddr,
    SetMtu,
    GetMiiPhy,
    GetMiiReg,
}

impl Request {
    fn number(self) -> libc::c_ulong {
        match self {
            Request::GetIndex => libc::SIOCGIFINDEX as _,
            Request::GetFlags => libc::SIOCGIFFLAGS as _,
            Request::SetFlags => libc::SIOCSIFFLAGS as _,
            Request::GetHwaddr => libc::SIOCGIFHWADDR as _,
            Request::SetHwaddr => libc::SIOCSIFHWADDR as _,
            Request::SetMtu => libc::SIOCSIFMTU as _,
            Request::GetMiiPhy => libc::SIOCGMIIPHY as _,
            Request::GetMiiReg => libc::SIOCGMIIREG as _,
        }
    }
}

/// The ethtool commands that are used (`linux/ethtool.h`).
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
pub(crate) enum Ethtool {
    /// `struct ethtool_cmd`, 44 octets.
    Gset = 0x01,
    /// `struct ethtool_drvinfo`, 196 octets.
    Gdrvinfo = 0x03,
    /// `struct ethtool_value`, 8 octets.
    Glink = 0x0a,
    /// `struct ethtool_link_settings`, 48 octets, and three bit maps of at most 127 words.
    Glinksettings = 0x4c,
}

impl Ethtool {
    /// Octets of the longest of their structures.
    pub(crate) const MAX: usize = 48 + 3 * 4 * 127;
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
    pub(super) fn blank() -> Ifreq {
        Ifreq { name: [0; libc::IFNAMSIZ], data: [0; 24] }
    }

    /// One request on a socket of the current network namespace.
    pub(crate) fn ioctl(mut self, request: Request) -> io::Result<Ifreq> {
        let s = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        // SAFETY: `self` is laid out as `struct ifreq` and as large, which every `Request` takes;
        // none of them reads a pointer from it.
        cvt(unsafe { libc::ioctl(s.as_raw_fd(), request.number() as _, &raw mut self) })?;
        Ok(self)
    }

    /// One ethtool command. `arg` is its structure, whose first four octets this fills in.
    pub(crate) fn ethtool(
        mut self,
        command: Ethtool,
        mut arg: [u8; Ethtool::MAX],
    ) -> io::Result<[u8; Ethtool::MAX]> {
        arg[..4].copy_from_slice(&(command as u32).to_ne_bytes());
        let at = arg.as_mut_ptr();
        self.data[..size_of::<usize>()].copy_from_slice(&at.expose_provenance().to_ne_bytes());
        let s = socket(AddressFamily::INET, SocketType::DGRAM, None)?;
        // SAFETY: `self` is laid out as `struct ifreq` and as large; the pointer in it is to `arg`,
        // which is at least as large as the structure of every command.
        cvt(unsafe { libc::ioctl(s.as_raw_fd(), libc::SIOCETHTOOL as _, &raw mut self) })?;
        Ok(arg)
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

/// The index of a device of the current network namespace.
pub(crate) fn ifindex(name: &str) -> io::Result<u32> {
    Ok(Ifreq::new(name)?.ioctl(Request::GetIndex)?.u32_at(0))
}
