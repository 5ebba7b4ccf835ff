//! Frames straight from and to a link: AF_PACKET (packet(7)).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use super::{Error, Netns};

/// Octets that a receive buffer needs for any frame.
pub const BUFFER: usize = 65536 + 64;

/// A raw socket bound to one link. Sees what the link receives, not what is sent out of it.
pub struct PacketSocket {
    fd: OwnedFd,
}

impl PacketSocket {
    /// Opens a socket on the link `name` of `ns`.
    pub fn open(ns: &Netns, name: &str) -> Result<PacketSocket, Error> {
        let index = ns.rtnl().link(name)?.index;
        ns.run(|| PacketSocket::bind(index))
            .map_err(|e| Error::io(format!("cannot open a packet socket on {name}"), e))
    }

    /// As [`PacketSocket::open`], but sees what the host's other sockets send on the link too, as
    /// tcpdump(8) does.
    pub fn capture(ns: &Netns, name: &str) -> Result<PacketSocket, Error> {
        let socket = PacketSocket::open(ns, name)?;
        socket
            .option(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 0)
            .map_err(|e| Error::io(format!("cannot capture on {name}"), e))?;
        Ok(socket)
    }

    fn bind(index: u32) -> io::Result<PacketSocket> {
        let all = (libc::ETH_P_ALL as u16).to_be();
        // Protocol 0: nothing arrives before bind has chosen the link.
        // SAFETY: socket takes no pointer; a descriptor that it gives is ours alone.
        let fd = unsafe {
            let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
            match libc::socket(libc::AF_PACKET, kind, 0) {
                -1 => return Err(io::Error::last_os_error()),
                fd => OwnedFd::from_raw_fd(fd),
            }
        };
        let socket = PacketSocket { fd };
        socket.option(libc::SOL_PACKET, libc::PACKET_AUXDATA, 1)?;
        socket.option(libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1)?;
        // A receiver that does not get the processor for a while must not look like packet loss.
        let room = 16 << 20;
        if socket.option(libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, room).is_err() {
            socket.option(libc::SOL_SOCKET, libc::SO_RCVBUF, room)?;
        }
        let request = libc::packet_mreq {
            mr_ifindex: index as libc::c_int,
            mr_type: libc::PACKET_MR_PROMISC as u16,
            mr_alen: 0,
            mr_address: [0; 8],
        };
        socket.set(libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)?;
        // SAFETY: all zero is a valid sockaddr_ll.
        let mut addr: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
        addr.sll_family = libc::AF_PACKET as u16;
        addr.sll_protocol = all;
        addr.sll_ifindex = index as libc::c_int;
        // SAFETY: `addr` is a sockaddr_ll of the length given.
        let bound = unsafe {
            let len = size_of_val(&addr) as libc::socklen_t;
            libc::bind(socket.fd.as_raw_fd(), (&raw const addr).cast(), len)
        };
        if bound != 0 { Err(io::Error::last_os_error()) } else { Ok(socket) }
    }

    fn option(&self, level: i32, name: i32, value: i32) -> io::Result<()> {
        self.set(level, name, &value)
    }

    fn set<T>(&self, level: i32, name: i32, value: &T) -> io::Result<()> {
        // SAFETY: the pointer and length describe `value`.
        let r = unsafe {
            let len = size_of::<T>() as libc::socklen_t;
            libc::setsockopt(self.fd.as_raw_fd(), level, name, (&raw const *value).cast(), len)
        };
        if r != 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Sends one frame, headers included. Fails with `ENETDOWN` while the link is down.
    pub fn send(&self, frame: &[u8]) -> io::Result<()> {
        // SAFETY: the pointer and length describe `frame`.
        let n = unsafe {
            libc::send(self.fd.as_raw_fd(), frame.as_ptr().cast(), frame.len(), libc::MSG_DONTWAIT)
        };
        if n < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// The next frame, if one waits; a VLAN tag that the kernel took out is put back.
    /// `buf` holds at least [`BUFFER`] octets. That the link went down is no error.
    pub fn recv<'a>(&self, buf: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
        // The frame is read four octets into the buffer: there is the room for a tag.
        const TAG: usize = 4;
        #[repr(C, align(8))]
        struct Control([u8; 64]);
        let mut control = Control([0; 64]);
        let n = {
            let mut iov =
                libc::iovec { iov_base: buf[TAG..].as_mut_ptr().cast(), iov_len: buf.len() - TAG };
            // SAFETY: all zero is a valid msghdr.
            let mut m: libc::msghdr = unsafe { std::mem::zeroed() };
            m.msg_iov = &raw mut iov;
            m.msg_iovlen = 1;
            m.msg_control = control.0.as_mut_ptr().cast();
            m.msg_controllen = control.0.len();
            // SAFETY: `m` points at live buffers of the lengths it names.
            let n = unsafe { libc::recvmsg(self.fd.as_raw_fd(), &raw mut m, libc::MSG_DONTWAIT) };
            if n < 0 {
                let e = io::Error::last_os_error();
                return match e.raw_os_error() {
                    Some(libc::EAGAIN | libc::ENETDOWN | libc::EINTR) => Ok(None),
                    _ => Err(e),
                };
            }
            if let Some(tag) = vlan_of(&m)
                && n as usize >= 12
            {
                buf.copy_within(TAG..TAG + 12, 0);
                buf[12..16].copy_from_slice(&tag);
                return Ok(Some(&buf[..n as usize + TAG]));
            }
            n as usize
        };
        Ok(Some(&buf[TAG..TAG + n]))
    }

    /// Waits for a frame that `wanted` accepts, at most for `limit`; others are thrown away.
    pub fn recv_matching(
        &self,
        limit: Duration,
        wanted: impl FnMut(&[u8]) -> bool,
    ) -> Option<Vec<u8>> {
        recv_matching(self, limit, wanted, |buf| self.recv(buf).ok().flatten().map(<[u8]>::to_vec))
    }

    /// Every frame that has come so far and that `wanted` accepts.
    pub fn drain(&self, mut wanted: impl FnMut(&[u8]) -> bool) -> Vec<Vec<u8>> {
        let mut buf = vec![0; BUFFER];
        let mut frames = Vec::new();
        while let Ok(Some(f)) = self.recv(&mut buf) {
            if wanted(f) {
                frames.push(f.to_vec());
            }
        }
        frames
    }
}

impl AsRawFd for PacketSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.fd.as_raw_fd()
    }
}

/// Waits until `recv`, which reads from `from`, gives a frame that `wanted` accepts, at most for
/// `limit`; others are thrown away.
pub(crate) fn recv_matching(
    from: &impl AsRawFd,
    limit: Duration,
    mut wanted: impl FnMut(&[u8]) -> bool,
    mut recv: impl FnMut(&mut [u8]) -> Option<Vec<u8>>,
) -> Option<Vec<u8>> {
    let mut buf = vec![0; BUFFER];
    let end = Instant::now() + limit;
    loop {
        match recv(&mut buf) {
            Some(f) if wanted(&f) => return Some(f),
            Some(_) => {}
            None => {
                let left = end.saturating_duration_since(Instant::now());
                if left.is_zero() {
                    return None;
                }
                wait(&[from], left);
            }
        }
    }
}

/// Sleeps until one of the sockets has something to say, at most for `limit`.
pub fn wait(sockets: &[&impl AsRawFd], limit: Duration) {
    let mut fds: Vec<libc::pollfd> = sockets
        .iter()
        .map(|s| libc::pollfd { fd: s.as_raw_fd(), events: libc::POLLIN, revents: 0 })
        .collect();
    let ms = limit.as_millis().clamp(1, 60_000) as libc::c_int;
    // SAFETY: the pointer and length describe `fds`.
    unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, ms) };
}

/// The tag that the kernel took out of the frame, as it stood there.
fn vlan_of(m: &libc::msghdr) -> Option<[u8; 4]> {
    // SAFETY: recvmsg has filled `m`; the CMSG functions walk what it filled.
    unsafe {
        let mut c = libc::CMSG_FIRSTHDR(m);
        while !c.is_null() {
            if (*c).cmsg_level == libc::SOL_PACKET && (*c).cmsg_type == libc::PACKET_AUXDATA {
                let aux: libc::tpacket_auxdata =
                    std::ptr::read_unaligned(libc::CMSG_DATA(c).cast());
                if aux.tp_status & libc::TP_STATUS_VLAN_VALID == 0 {
                    return None;
                }
                let known = aux.tp_status & libc::TP_STATUS_VLAN_TPID_VALID != 0;
                let tpid = if known { aux.tp_vlan_tpid } else { wire::EtherType::VLAN };
                let ([a, b], [c, d]) = (tpid.to_be_bytes(), aux.tp_vlan_tci.to_be_bytes());
                return Some([a, b, c, d]);
            }
            c = libc::CMSG_NXTHDR(m, c);
        }
    }
    None
}
