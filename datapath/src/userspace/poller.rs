//! Sleeping until a port has packets or the control side wakes the thread.

use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

/// The epoll `data` of the eventfd that wakes the thread.
const WAKE: u64 = u64::MAX;

/// Consecutive wake-ups without a packet after which a descriptor is not watched for [`REST`].
const MAX_FRUITLESS: u32 = 8;

/// A device in an error state (removed, or with an error that no one reads) reports itself ready
/// for ever. Such a port is polled at this interval, so that the thread does not spin.
const REST: Duration = Duration::from_millis(100);

/// Events taken from the kernel at once. All ports are polled after a wake-up, so that events that
/// do not fit delay nothing.
const EVENTS: usize = 64;

/// The write end of a wake-up.
#[derive(Clone)]
pub(crate) struct Waker(std::sync::Arc<OwnedFd>);

impl Waker {
    pub(crate) fn wake(&self) {
        // Fails only when the counter is at its maximum: then the eventfd is readable anyway.
        let _ = rustix::io::write(&*self.0, &1u64.to_ne_bytes());
    }
}

struct Watched {
    fd: RawFd,
    /// Consecutive times that it was ready and had no packet.
    fruitless: u32,
    resting: bool,
}

/// Level-triggered epoll over the ports' descriptors and one eventfd.
pub(crate) struct Poller {
    epoll: OwnedFd,
    wake: Waker,
    /// Index: port number.
    ports: Vec<Option<Watched>>,
    resting: usize,
}

impl Poller {
    pub(crate) fn new() -> std::io::Result<Poller> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        epoll::add(&epoll, &fd, epoll::EventData::new_u64(WAKE), epoll::EventFlags::IN)?;
        Ok(Poller { epoll, wake: Waker(std::sync::Arc::new(fd)), ports: Vec::new(), resting: 0 })
    }

    pub(crate) fn waker(&self) -> Waker {
        self.wake.clone()
    }

    /// Watches the device of `port`. The device is open until `remove`.
    pub(crate) fn add(&mut self, port: usize, fd: RawFd) {
        if self.ports.len() <= port {
            self.ports.resize_with(port + 1, || None);
        }
        // The previous device's descriptor must not stay registered under this number.
        self.remove(port);
        self.watch(port, fd);
        self.ports[port] = Some(Watched { fd, fruitless: 0, resting: false });
    }

    pub(crate) fn remove(&mut self, port: usize) {
        let Some(w) = self.ports.get_mut(port).and_then(Option::take) else { return };
        if w.resting {
            self.resting -= 1;
        } else {
            self.unwatch(w.fd);
        }
    }

    fn watch(&self, port: usize, fd: RawFd) {
        // SAFETY: `add` is called with the descriptor of an open device, which stays open until
        // after `remove`.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let data = epoll::EventData::new_u64(port as u64);
        // Refused for a descriptor that cannot be polled: then the port is polled only while
        // others keep the thread awake, which `PacketIo::fd` rules out.
        let _ = epoll::add(&self.epoll, fd, data, epoll::EventFlags::IN);
    }

    fn unwatch(&self, fd: RawFd) {
        // SAFETY: as in `watch`.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// The port had packets: it is no fruitless wake-up.
    #[inline]
    pub(crate) fn had_packets(&mut self, port: usize) {
        if let Some(Some(w)) = self.ports.get_mut(port) {
            w.fruitless = 0;
        }
    }

    /// Sleeps until something is ready. Puts ports whose device reports an error into `failed`.
    pub(crate) fn sleep(&mut self, failed: &mut Vec<u32>) {
        let rest = Timespec { tv_sec: 0, tv_nsec: REST.as_nanos() as i64 };
        let timeout = if self.resting > 0 { Some(&rest) } else { None };
        let mut events = [const { MaybeUninit::uninit() }; EVENTS];
        let events: &mut [epoll::Event] = match epoll::wait(&self.epoll, &mut events[..], timeout) {
            Ok((events, _)) => events,
            // Interrupted by a signal: the caller runs a round and sleeps again.
            Err(_) => return,
        };
        if events.is_empty() {
            self.end_rest();
        }
        for e in events {
            let (data, flags) = (e.data.u64(), e.flags);
            if data == WAKE {
                let mut count = [0u8; 8];
                // Only this thread reads it, so that this cannot fail.
                let _ = rustix::io::read(&*self.wake.0, &mut count);
                continue;
            }
            if flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP) {
                failed.push(data as u32);
            }
            self.ready(data as usize, flags);
        }
    }

    fn ready(&mut self, port: usize, flags: epoll::EventFlags) {
        let Some(Some(w)) = self.ports.get_mut(port) else { return };
        let fd = w.fd;
        if flags.intersects(epoll::EventFlags::ERR | epoll::EventFlags::HUP) {
            // Collecting a socket's pending error (such as "network is down") ends its readiness.
            // SAFETY: as in `watch`.
            let fd = unsafe { BorrowedFd::borrow_raw(fd) };
            let _ = rustix::net::sockopt::socket_error(fd.as_fd());
        }
        w.fruitless += 1;
        if w.fruitless > MAX_FRUITLESS {
            w.fruitless = 0;
            w.resting = true;
            self.resting += 1;
            self.unwatch(fd);
        }
    }

    fn end_rest(&mut self) {
        for port in 0..self.ports.len() {
            let Some(w) = &mut self.ports[port] else { continue };
            if w.resting {
                w.resting = false;
                let fd = w.fd;
                self.resting -= 1;
                self.watch(port, fd);
            }
        }
    }
}
