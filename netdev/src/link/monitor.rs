//! News of devices, as the kernel multicasts them (rtnetlink(7), `RTNLGRP_LINK`).

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, RecvFlags, SocketType, bind, recv};

use super::info::{LinkEvent, LinkInfo};
use super::netlink::{self, DATAGRAM};
use super::query;
use crate::sys;

/// Octets of kernel memory for news that wait: some two thousand messages.
const RECEIVE_BUFFER: usize = 4 << 20;
/// The bit of `RTNLGRP_LINK`.
const RTMGRP_LINK: u32 = libc::RTMGRP_LINK as u32;

/// Where the list of all devices stands.
enum List {
    Complete,
    /// The whole state must be read: at the start, and after an overrun.
    Wanted,
    /// It is being read. `newer`: devices of which a message has come since.
    UnderWay {
        newer: BTreeSet<u32>,
    },
}

/// Follows the devices of the network namespace in which it was made.
///
/// The kernel drops news when the receive buffer is full, and says so; the monitor then reads the
/// whole state anew, so nothing is missed for good. A flap in between shows in
/// [`LinkInfo::carrier_changes`].
pub struct LinkMonitor {
    socket: OwnedFd,
    known: BTreeMap<u32, LinkInfo>,
    list: List,
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
        let socket = sys::socket(AddressFamily::NETLINK, SocketType::RAW, netlink::ROUTE)?;
        sys::set_receive_buffer(&socket, octets.min(i32::MAX as usize));
        bind(&socket, &SocketAddrNetlink::new(0, RTMGRP_LINK))?;
        let buf = vec![0; DATAGRAM].into_boxed_slice();
        Ok(LinkMonitor { socket, known: BTreeMap::new(), list: List::Wanted, overruns: 0, buf })
    }

    /// Readable when `poll` has something to say. Call `poll` once before waiting for it.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// How often the kernel had to drop news.
    pub fn overruns(&self) -> u64 {
        self.overruns
    }

    /// Appends all news to `out`, in the kernel's order. When there are none it returns at once;
    /// where the whole state must be read it waits for the kernel's answer.
    ///
    /// # Errors
    ///
    /// The system is out of memory or its answer does not come. What is in `out` is good; the
    /// state is read anew by the next call.
    pub fn poll(&mut self, out: &mut Vec<LinkEvent>) -> io::Result<()> {
        loop {
            self.poll_messages(out)?;
            if !self.wants_list() {
                return Ok(());
            }
            self.begin_list();
            let list = query::dump();
            self.end_list(list, out)?;
        }
    }

    /// As [`poll`](LinkMonitor::poll), but never waits: the whole state, when
    /// [`wants_list`](LinkMonitor::wants_list) says so, is for the caller to get
    /// ([`get_all`](super::get_all)) and to give to [`end_list`](LinkMonitor::end_list).
    pub fn poll_messages(&mut self, out: &mut Vec<LinkEvent>) -> io::Result<()> {
        loop {
            match recv(&self.socket, &mut self.buf[..], RecvFlags::TRUNC) {
                Ok((_, n)) if n > self.buf.len() => self.list = List::Wanted,
                Ok((n, _)) => {
                    let newer = match &mut self.list {
                        List::UnderWay { newer } => Some(newer),
                        List::Complete | List::Wanted => None,
                    };
                    take(&mut self.known, newer, &self.buf[..n], out);
                }
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(Errno::NOBUFS) => self.overrun(),
                Err(e) => {
                    self.list = List::Wanted;
                    return Err(e.into());
                }
            }
        }
    }

    /// Has the whole state read once more, although no message is known to be missing.
    pub fn want_list(&mut self) {
        if matches!(self.list, List::Complete) {
            self.list = List::Wanted;
        }
    }

    /// Whether the whole state must be read and no read of it has begun.
    pub fn wants_list(&self) -> bool {
        matches!(self.list, List::Wanted)
    }

    /// The caller begins to read the whole state. Messages that come from now on are newer.
    pub fn begin_list(&mut self) {
        self.list = List::UnderWay { newer: BTreeSet::new() };
    }

    /// The whole state as it was read after [`begin_list`](LinkMonitor::begin_list). It is not
    /// taken, and wanted again, when the kernel has dropped messages meanwhile.
    ///
    /// # Errors
    ///
    /// The given one; the list is then wanted again.
    pub fn end_list<E>(
        &mut self,
        list: Result<Vec<LinkInfo>, E>,
        out: &mut Vec<LinkEvent>,
    ) -> Result<(), E> {
        let List::UnderWay { newer } = std::mem::replace(&mut self.list, List::Wanted) else {
            return Ok(());
        };
        let now: BTreeMap<u32, LinkInfo> = list?
            .into_iter()
            .filter(|l| !newer.contains(&l.ifindex))
            .map(|l| (l.ifindex, l))
            .collect();
        self.list = List::Complete;
        self.known.retain(|&ifindex, old| {
            if newer.contains(&ifindex) {
                return true;
            }
            match now.get(&ifindex) {
                Some(l) if l.name == old.name => {}
                Some(_) => out.push(LinkEvent::Renamed { ifindex, from: old.name.clone() }),
                None => out.push(LinkEvent::Gone { ifindex, name: old.name.clone() }),
            }
            now.contains_key(&ifindex)
        });
        out.extend(now.values().cloned().map(LinkEvent::Changed));
        self.known.extend(now);
        Ok(())
    }

    /// News are missing. Those that wait are older than what is about to be read: away with them.
    fn overrun(&mut self) {
        self.overruns += 1;
        self.list = List::Wanted;
        // Bounded, in case that more come faster than they are thrown away.
        for _ in 0..100_000 {
            match recv(&self.socket, &mut self.buf[..], RecvFlags::empty()) {
                Ok(_) | Err(Errno::NOBUFS) => {}
                Err(_) => break,
            }
        }
    }
}

/// The news of one datagram. Messages that change nothing we report are left out.
fn take(
    known: &mut BTreeMap<u32, LinkInfo>,
    mut newer: Option<&mut BTreeSet<u32>>,
    datagram: &[u8],
    out: &mut Vec<LinkEvent>,
) {
    for m in netlink::messages(datagram) {
        let Some(info) = netlink::link_info(m.payload) else { continue };
        let ifindex = info.ifindex;
        if let Some(newer) = &mut newer {
            newer.insert(ifindex);
        }
        match m.kind {
            libc::RTM_NEWLINK => {
                let old = known.get(&ifindex);
                if old == Some(&info) {
                    continue;
                }
                if let Some(old) = old
                    && old.name != info.name
                {
                    out.push(LinkEvent::Renamed { ifindex, from: old.name.clone() });
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
