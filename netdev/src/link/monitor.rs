//! Changes of devices, as the kernel multicasts them (rtnetlink(7), `RTNLGRP_LINK`).

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

/// Octets of kernel memory for queued messages: some two thousand.
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
/// The kernel drops messages when the receive buffer is full, and reports that; the monitor then
/// reads the whole state again, so that nothing is missed for good. A flap in between shows in
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

    /// As `new`, with another size of the receive buffer, in octets. Without `CAP_NET_ADMIN` the
    /// kernel allows at most `net.core.rmem_max`; the minimum is about 2 KiB.
    ///
    /// # Errors
    ///
    /// No descriptor or memory is left.
    pub fn with_receive_buffer(octets: usize) -> io::Result<LinkMonitor> {
        let socket = sys::socket(AddressFamily::NETLINK, SocketType::RAW, netlink::ROUTE)?;
        sys::set_receive_buffer(&socket, octets.min(i32::MAX as usize));
        bind(&socket, &SocketAddrNetlink::new(0, RTMGRP_LINK))?;
        let buf = vec![0; DATAGRAM].into_boxed_slice();
        Ok(LinkMonitor { socket, known: BTreeMap::new(), list: List::Wanted, overruns: 0, buf })
    }

    /// Readable when `poll` has events. Call `poll` once before waiting for it.
    pub fn fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// How often the kernel has dropped messages.
    pub fn overruns(&self) -> u64 {
        self.overruns
    }

    /// Appends all events to `out`, in the kernel's order. Does not block, unless the whole state must
    /// be read: then it waits for the kernel's answer.
    ///
    /// # Errors
    ///
    /// The system is out of memory or does not answer. The events in `out` are valid; the next call
    /// reads the whole state again.
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

    /// As [`poll`](LinkMonitor::poll), but never blocks: when
    /// [`wants_list`](LinkMonitor::wants_list) is true, the caller reads the whole state with
    /// [`get_all`](super::get_all) and passes it to [`end_list`](LinkMonitor::end_list).
    ///
    /// # Errors
    ///
    /// As [`poll`](LinkMonitor::poll).
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

    /// Passes the whole state as it was read after [`begin_list`](LinkMonitor::begin_list). It is
    /// ignored, and wanted again, when the kernel has dropped messages since.
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

    /// Messages are missing. Those in the queue are older than the list that will be read: they are
    /// discarded.
    fn overrun(&mut self) {
        self.overruns += 1;
        self.list = List::Wanted;
        // Bounded, in case messages arrive faster than they are discarded.
        for _ in 0..100_000 {
            match recv(&self.socket, &mut self.buf[..], RecvFlags::empty()) {
                Ok(_) | Err(Errno::NOBUFS) => {}
                Err(_) => break,
            }
        }
    }
}

/// The events of one datagram. Messages without a change in [`LinkInfo`] are skipped.
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
