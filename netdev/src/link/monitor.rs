//! News of devices, as the kernel multicasts them (rtnetlink(7), `RTNLGRP_LINK`).

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd, RawFd};

use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::netlink::{self, DATAGRAM};
use super::{LinkEvent, LinkInfo};
use crate::sys;

/// Octets of kernel memory for news that wait: some two thousand messages.
const RECEIVE_BUFFER: usize = 4 << 20;
const RTNLGRP_LINK: u32 = 1;

/// Follows the devices of the network namespace in which it was made.
///
/// The kernel drops news when the receive buffer is full, and says so; the monitor then reads the
/// whole state anew, so nothing is missed for good. A flap in between shows in
/// [`LinkInfo::carrier_changes`].
pub struct LinkMonitor {
    socket: Socket,
    known: BTreeMap<u32, LinkInfo>,
    /// The whole state must be read: at the start, and after an overrun.
    resync: bool,
    overruns: u64,
    buf: Box<[u8]>,
}

impl LinkMonitor {
    /// The first [`poll`](LinkMonitor::poll) reports every device that exists.
    ///
    /// # Errors
    ///
    /// No descriptor or memory is left.
    pub fn new() -> io::Result<LinkMonitor> {
        LinkMonitor::with_receive_buffer(RECEIVE_BUFFER)
    }

    /// As `new`, with another size of the receive buffer, in octets. The kernel keeps less without
    /// `CAP_NET_ADMIN`, and never less than about 2 KiB.
    pub fn with_receive_buffer(octets: usize) -> io::Result<LinkMonitor> {
        let mut socket = Socket::new(NETLINK_ROUTE)?;
        socket.bind(&SocketAddr::new(0, 0))?;
        socket.set_non_blocking(true)?;
        let size = i32::try_from(octets).unwrap_or(i32::MAX);
        sys::set_buffer(socket.as_raw_fd(), libc::SO_RCVBUFFORCE, libc::SO_RCVBUF, size);
        socket.add_membership(RTNLGRP_LINK)?;
        let buf = vec![0; DATAGRAM].into_boxed_slice();
        Ok(LinkMonitor { socket, known: BTreeMap::new(), resync: true, overruns: 0, buf })
    }

    /// Readable when `poll` has something to say. Call `poll` once before waiting for it.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// How often the kernel had to drop news.
    pub fn overruns(&self) -> u64 {
        self.overruns
    }

    /// Appends all news to `out`, in the kernel's order. Returns at once when there are none.
    ///
    /// # Errors
    ///
    /// The system is out of memory or its answer does not come. What is in `out` is good; the
    /// state is read anew by the next call.
    pub fn poll(&mut self, out: &mut Vec<LinkEvent>) -> io::Result<()> {
        loop {
            if self.resync {
                self.read_all(out)?;
                self.resync = false;
            }
            match self.socket.recv(&mut &mut self.buf[..], libc::MSG_TRUNC) {
                Ok(n) if n > self.buf.len() => self.resync = true,
                Ok(n) => take(&mut self.known, &self.buf[..n], out),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => self.overrun(),
                Err(e) => {
                    self.resync = true;
                    return Err(e);
                }
            }
        }
    }

    /// News are missing. Those that wait are older than what is about to be read: away with them.
    fn overrun(&mut self) {
        self.overruns += 1;
        self.resync = true;
        // Bounded, in case that more come faster than they are thrown away.
        for _ in 0..100_000 {
            match self.socket.recv(&mut &mut self.buf[..], 0) {
                Ok(_) => {}
                Err(e) if e.raw_os_error() == Some(libc::ENOBUFS) => {}
                Err(_) => break,
            }
        }
    }

    fn read_all(&mut self, out: &mut Vec<LinkEvent>) -> io::Result<()> {
        let now: BTreeMap<u32, LinkInfo> =
            super::dump()?.into_iter().map(|l| (l.ifindex, l)).collect();
        for (index, old) in &self.known {
            if now.get(index).is_none_or(|l| l.name != old.name) {
                out.push(LinkEvent::Gone { ifindex: *index, name: old.name.clone() });
            }
        }
        out.extend(now.values().cloned().map(LinkEvent::Changed));
        self.known = now;
        Ok(())
    }
}

/// The news of one datagram. Messages that change nothing we report are left out.
fn take(known: &mut BTreeMap<u32, LinkInfo>, datagram: &[u8], out: &mut Vec<LinkEvent>) {
    for m in netlink::messages(datagram) {
        let Some(info) = netlink::link_info(m.payload) else { continue };
        let ifindex = info.ifindex;
        match m.kind {
            libc::RTM_NEWLINK => {
                let old = known.get(&ifindex);
                if old == Some(&info) {
                    continue;
                }
                if let Some(old) = old
                    && old.name != info.name
                {
                    out.push(LinkEvent::Gone { ifindex, name: old.name.clone() });
                }
                known.insert(ifindex, info.clone());
                out.push(LinkEvent::Changed(info));
            }
            libc::RTM_DELLINK => {
                known.remove(&ifindex);
                out.push(LinkEvent::Gone { ifindex, name: info.name });
            }
            _ => {}
        }
    }
}
