//! When the kernel itself told of a carrier: what a daemon could not know any earlier.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkFlags};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};
use parking_lot::Mutex;

use super::{Error, Netns};

/// Multicast group of link changes (rtnetlink(7)).
const RTNLGRP_LINK: u32 = 1;

/// A change of carrier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Since the watch's start.
    pub at: Duration,
    /// The device's name.
    pub link: String,
    /// Whether the carrier is there.
    pub up: bool,
}

/// Notes every change of carrier in a namespace until it is dropped.
pub struct Watch {
    stop: Arc<AtomicBool>,
    changes: Arc<Mutex<Vec<Change>>>,
    thread: Option<JoinHandle<()>>,
}

impl Watch {
    /// Watches `ns`; times count from `start`.
    pub fn new(ns: &Netns, start: Instant) -> Result<Watch, Error> {
        let socket = ns
            .run(|| {
                let mut socket = Socket::new(NETLINK_ROUTE)?;
                socket.bind(&SocketAddr::new(0, 0))?;
                socket.add_membership(RTNLGRP_LINK)?;
                Ok(socket)
            })
            .map_err(|e| Error::io("cannot watch links by netlink", e))?;
        let (stop, changes) = <(Arc<AtomicBool>, Arc<Mutex<Vec<Change>>>)>::default();
        let (s, c) = (stop.clone(), changes.clone());
        let thread = std::thread::Builder::new()
            .name("carrier".into())
            .spawn(move || watch(&socket, start, &s, &c))
            .map_err(|e| Error::io("cannot start a thread", e))?;
        Ok(Watch { stop, changes, thread: Some(thread) })
    }

    /// The changes since the last call.
    pub fn news(&self) -> Vec<Change> {
        std::mem::take(&mut *self.changes.lock())
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(t) = self.thread.take() {
            let _ = t.join();
        }
    }
}

fn watch(socket: &Socket, start: Instant, stop: &AtomicBool, changes: &Mutex<Vec<Change>>) {
    let mut known: BTreeMap<String, bool> = BTreeMap::new();
    while !stop.load(Ordering::Relaxed) {
        let mut fd = libc::pollfd { fd: socket.as_raw_fd(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one pollfd, of which a pointer is given.
        if unsafe { libc::poll(&raw mut fd, 1, 20) } <= 0 {
            continue;
        }
        let at = start.elapsed();
        // An overrun loses news: the time line then lacks a line, nothing worse.
        let Ok((buf, _)) = socket.recv_from_full() else { continue };
        let Ok(m) = NetlinkMessage::<RouteNetlinkMessage>::deserialize(&buf) else { continue };
        let NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) = m.payload else {
            continue;
        };
        let up = link.header.flags.contains(LinkFlags::LowerUp);
        let name = link.attributes.into_iter().find_map(|a| match a {
            LinkAttribute::IfName(n) => Some(n),
            _ => None,
        });
        let Some(name) = name else { continue };
        if known.insert(name.clone(), up).unwrap_or(!up) != up {
            let mut c = changes.lock();
            c.push(Change { at, link: name, up });
        }
    }
}
