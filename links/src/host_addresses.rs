//! The thread that follows the host's own addresses, for the announcements after a failover.
//!
//! They have to be known when traffic moves: to ask the kernel then would wait for RTNL. The thread
//! sleeps until the kernel reports a change, works the announcements' form out and leaves it for
//! the links thread.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};
use netdev::link::{AddressMonitor, DeviceAddresses};
use ofproto::HostAddresses;
use parking_lot::Mutex;

use crate::modules::BOND;

const MONITOR: Token = Token(0);
const WAKER: Token = Token(1);
/// When the kernel did not answer it is asked again after this.
const RETRY: Duration = Duration::from_secs(1);

/// By the index of a device: its own addresses, and those of VLAN devices on top of it.
type Hosts = BTreeMap<u32, Vec<HostAddresses>>;

/// The links thread's hand on the thread, which ends with it.
pub(crate) struct AddressWatch {
    shared: Arc<Shared>,
    waker: Waker,
}

#[derive(Default)]
struct Shared {
    latest: Mutex<Arc<Hosts>>,
    ended: AtomicBool,
}

impl AddressWatch {
    /// Starts the thread.
    pub(crate) fn spawn() -> io::Result<AddressWatch> {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKER)?;
        let monitor = AddressMonitor::new()?;
        let fd = monitor.fd();
        poll.registry().register(&mut SourceFd(&fd), MONITOR, Interest::READABLE)?;
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        std::thread::Builder::new()
            .name("host_addresses".to_owned())
            .spawn(move || follow(poll, monitor, &theirs))?;
        Ok(AddressWatch { shared, waker })
    }

    /// The latest.
    pub(crate) fn latest(&self) -> Arc<Hosts> {
        self.shared.latest.lock().clone()
    }
}

impl Drop for AddressWatch {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        // Fails only when the thread has gone.
        let _ = self.waker.wake();
    }
}

fn follow(mut poll: Poll, mut monitor: AddressMonitor, shared: &Shared) {
    let mut events = Events::with_capacity(4);
    let mut failed = false;
    while !shared.ended.load(Ordering::Relaxed) {
        let result = monitor.poll();
        if let (Err(e), false) = (&result, failed) {
            runtime::warn!(BOND, "cannot read the addresses of the host ({e})");
        }
        failed = result.is_err();
        if !failed {
            let hosts = Arc::new(hosts(monitor.devices()));
            *shared.latest.lock() = hosts;
        }
        // Interrupted: around once more.
        let _ = poll.poll(&mut events, failed.then_some(RETRY));
    }
}

fn hosts(devices: &BTreeMap<u32, DeviceAddresses>) -> Hosts {
    let mut hosts = Hosts::new();
    for (&index, device) in devices {
        let (at, vlan) = device.vlan.unwrap_or((index, 0));
        hosts.entry(at).or_default().push(HostAddresses {
            vlan,
            mac: device.mac,
            router: device.router,
            addresses: device.addresses.iter().copied().collect(),
        });
    }
    hosts
}
