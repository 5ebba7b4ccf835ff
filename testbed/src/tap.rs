//! A link that is like a NIC: a tap whose cable the test holds.
//!
//! A veth pair over two namespaces has another device as its lower one (`ifindex` differs from
//! `iflink`), and the kernel reports its carrier at once. A NIC has none, nor has a tap: the kernel
//! reports its lost carrier at most once a second for the whole machine (`linkwatch_urgent_event`
//! in `net/core/link_watch.c`).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::time::Duration;

use super::{Error, Netns};

/// The far end of a tap device. The device is removed when this is dropped.
///
/// The kernel passes frames through a tap whatever its carrier: a test that has cut the carrier
/// must treat what [`recv`](Tap::recv) gives as lost, and must not [`send`](Tap::send).
pub struct Tap {
    name: String,
    file: File,
}

impl Tap {
    /// Makes the device `name` in `ns` and sets it up; its carrier is on.
    ///
    /// # Errors
    ///
    /// `/dev/net/tun` is not there or not allowed; the name is in use or longer than 15 octets.
    pub fn new(ns: &Netns, name: &str) -> Result<Tap, Error> {
        let what = || format!("cannot make the tap {name}");
        let file = ns.run(|| make(name)).map_err(|e| Error::io(what(), e))?;
        ns.rtnl().set_up(name, true)?;
        Ok(Tap { name: name.to_owned(), file })
    }

    /// The name that it was made with.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Takes the device's carrier away, as an unplugged cable does, or gives it back
    /// (`TUNSETCARRIER`). The kernel's own report of a loss may come up to a second later.
    pub fn set_carrier(&self, up: bool) -> Result<(), Error> {
        let value = libc::c_int::from(up);
        // SAFETY: TUNSETCARRIER reads an int through the pointer.
        let r = unsafe {
            libc::ioctl(self.file.as_raw_fd(), libc::TUNSETCARRIER as _, &raw const value)
        };
        match r {
            0 => Ok(()),
            _ => Err(Error::last_os(format!("cannot set the carrier of {}", self.name))),
        }
    }

    /// Has the device receive one frame, headers included, without VLAN offload.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        (&self.file).write(frame).map(drop)
    }

    /// The next frame that the device has sent, if one waits. `buf` holds at least
    /// [`BUFFER`](super::packet::BUFFER) octets.
    pub fn recv<'a>(&self, buf: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        match (&self.file).read(buf) {
            Ok(n) => Ok(Some(&buf[..n])),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock) => Ok(None),
            Err(e) if matches!(e.kind(), io::ErrorKind::Interrupted) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// Waits for a frame that `wanted` accepts, at most for `limit`; others are thrown away.
    pub fn recv_matching(
        &self,
        limit: Duration,
        wanted: impl FnMut(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        super::packet::recv_matching(self, limit, wanted, |buf| {
            self.recv(buf).ok().flatten().map(<[u8]>::to_vec)
        })
    }
}

impl AsRawFd for Tap {
    fn as_raw_fd(&self) -> RawFd {
        self.file.as_raw_fd()
    }
}

/// The descriptor of a new tap in the calling thread's namespace.
fn make(name: &str) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = File::options()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")?;
    if name.is_empty() || name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: all zero is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (to, from) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *to = from as libc::c_char;
    }
    // `IFF_TUN_EXCL`: an existing device of the name is somebody else's.
    let flags = libc::IFF_TAP | libc::IFF_NO_PI | libc::IFF_TUN_EXCL;
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    // SAFETY: TUNSETIFF takes a struct ifreq; no pointer in it.
    match unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) } {
        0 => Ok(file),
        _ => Err(io::Error::last_os_error()),
    }
}
