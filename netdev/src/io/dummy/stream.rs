//! A dummy device's link: a stream socket that carries frames, each behind its length.
//!
//! The format is Open vSwitch's, so that a dummy device of one daemon can be connected to that of
//! another: two octets of length in network byte order, then the frame.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::event::epoll::{self, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// How long to wait before connecting again: what Open vSwitch waits.
const RETRY_AFTER: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Frames that are queued for a peer that does not read; more are lost.
const BACKLOG: usize = 100;

/// The shortest frame: two addresses and a type.
const FRAME_MIN: usize = 14;

/// The socket that takes the place of a dummy device's link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEndpoint {
    /// `options:pstream=punix:PATH`: any number of peers connect here; each gets every frame.
    Listen(PathBuf),
    /// `options:stream=unix:PATH`: connects there, and tries again every 100 ms until it succeeds.
    Connect(PathBuf),
}

/// Whether the device has a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    /// To the peer at [`StreamEndpoint::Connect`].
    Connected,
    /// Not yet, or no longer.
    Disconnected,
    /// The device has no endpoint, or listens: any number of peers may connect.
    Unknown,
}

/// The sockets of one device. Registered with the device's epoll descriptor, so that the thread
/// that waits for frames also waits for these.
#[derive(Default)]
pub(super) struct StreamLink {
    endpoint: Option<StreamEndpoint>,
    listener: Option<UnixListener>,
    /// Fires when it is time to connect again.
    retry: Option<OwnedFd>,
    peers: Vec<Peer>,
}

struct Peer {
    stream: UnixStream,
    rx: Vec<u8>,
    tx: VecDeque<Vec<u8>>,
    /// Octets of the first of `tx` that have gone out.
    sent: usize,
    /// Registered for `EPOLLOUT` too, because frames wait.
    wants_write: bool,
}

impl StreamLink {
    pub(super) fn endpoint(&self) -> Option<&StreamEndpoint> {
        self.endpoint.as_ref()
    }

    /// Sets the endpoint, or removes it. Does nothing when it is the one in use.
    pub(super) fn set(
        &mut self,
        endpoint: Option<StreamEndpoint>,
        epoll: &OwnedFd,
    ) -> io::Result<()> {
        if self.endpoint == endpoint {
            return Ok(());
        }
        // Closing a descriptor takes it out of the epoll set.
        if let Some(StreamEndpoint::Listen(path)) = &self.endpoint {
            let _ = std::fs::remove_file(path);
        }
        *self = StreamLink::default();
        match &endpoint {
            Some(StreamEndpoint::Listen(path)) => {
                let listener = listen(path)?;
                watch(epoll, &listener)?;
                self.listener = Some(listener);
            }
            Some(StreamEndpoint::Connect(_)) => {
                let timer = timer()?;
                watch(epoll, &timer)?;
                self.retry = Some(timer);
            }
            None => {}
        }
        self.endpoint = endpoint;
        self.connect(epoll);
        Ok(())
    }

    pub(super) fn connection(&self) -> Connection {
        match &self.endpoint {
            Some(StreamEndpoint::Connect(_)) if self.peers.is_empty() => Connection::Disconnected,
            Some(StreamEndpoint::Connect(_)) => Connection::Connected,
            Some(StreamEndpoint::Listen(_)) | None => Connection::Unknown,
        }
    }

    /// Connects unless it is connected; sets the timer if that fails.
    fn connect(&mut self, epoll: &OwnedFd) {
        let Some(StreamEndpoint::Connect(path)) = &self.endpoint else { return };
        if !self.peers.is_empty() {
            return;
        }
        match UnixStream::connect(path).and_then(|stream| Peer::new(stream, epoll)) {
            Ok(peer) => self.peers.push(peer),
            Err(_) => {
                if let Some(timer) = &self.retry {
                    arm(timer);
                }
            }
        }
    }

    /// Accepts and makes connections, and reads; `frame` is called for each frame.
    pub(super) fn run(&mut self, epoll: &OwnedFd, mut frame: impl FnMut(&[u8])) {
        if self.endpoint.is_none() {
            return;
        }
        if let Some(timer) = &self.retry
            && fired(timer)
        {
            self.connect(epoll);
        }
        if let Some(listener) = &self.listener {
            while let Ok((stream, _)) = listener.accept() {
                // A peer that cannot be registered is disconnected.
                self.peers.extend(Peer::new(stream, epoll));
            }
        }
        let before = self.peers.len();
        self.peers
            .retain_mut(|peer| peer.flush(epoll).and_then(|()| peer.read(&mut frame)).is_ok());
        if self.peers.len() < before
            && let Some(timer) = &self.retry
        {
            arm(timer);
        }
    }

    /// Sends a frame to every peer. One longer than a length can say is lost.
    pub(super) fn send(&mut self, epoll: &OwnedFd, frame: &[u8]) {
        let Ok(len) = u16::try_from(frame.len()) else { return };
        for peer in &mut self.peers {
            if peer.tx.len() < BACKLOG {
                peer.tx.push_back([&len.to_be_bytes(), frame].concat());
            }
            // The next `run` gets the error again and removes the peer.
            let _ = peer.flush(epoll);
        }
    }
}

impl Drop for StreamLink {
    fn drop(&mut self) {
        if let Some(StreamEndpoint::Listen(path)) = &self.endpoint {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Peer {
    fn new(stream: UnixStream, epoll: &OwnedFd) -> io::Result<Peer> {
        stream.set_nonblocking(true)?;
        watch(epoll, &stream)?;
        Ok(Peer { stream, rx: Vec::new(), tx: VecDeque::new(), sent: 0, wants_write: false })
    }

    fn flush(&mut self, epoll: &OwnedFd) -> io::Result<()> {
        while let Some(first) = self.tx.front() {
            match self.stream.write(&first[self.sent..]) {
                Ok(n) if self.sent + n == first.len() => {
                    self.tx.pop_front();
                    self.sent = 0;
                }
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if self.wants_write == self.tx.is_empty() {
            self.wants_write = !self.wants_write;
            let mut events = EventFlags::IN;
            events.set(EventFlags::OUT, self.wants_write);
            epoll::modify(epoll, &self.stream, EventData::new_u64(0), events)?;
        }
        Ok(())
    }

    /// Reads all that has arrived. After an error, or the end of the stream, remove the peer.
    fn read(&mut self, frame: &mut impl FnMut(&[u8])) -> io::Result<()> {
        let mut buffer = [0; 16384];
        loop {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
                Ok(n) => self.rx.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
            let used = split(&self.rx, frame)?;
            self.rx.drain(..used);
        }
    }
}

/// Hands out the whole frames of `octets`; returns how many octets they took.
///
/// # Errors
///
/// A frame is shorter than an Ethernet header: the peer speaks something else.
fn split(octets: &[u8], frame: &mut impl FnMut(&[u8])) -> io::Result<usize> {
    let mut used = 0;
    while let Some((len, rest)) = octets[used..].split_first_chunk::<2>() {
        let len = usize::from(u16::from_be_bytes(*len));
        if len < FRAME_MIN {
            return Err(ErrorKind::InvalidData.into());
        }
        let Some(whole) = rest.get(..len) else { break };
        frame(whole);
        used += 2 + len;
    }
    Ok(used)
}

/// Listens, and first removes the socket file that a killed daemon left.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// Adds a descriptor to an epoll set, to be readable.
pub(super) fn watch(epoll: &OwnedFd, fd: impl AsFd) -> rustix::io::Result<()> {
    epoll::add(epoll, fd, EventData::new_u64(0), EventFlags::IN)
}

fn timer() -> rustix::io::Result<OwnedFd> {
    timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK)
}

fn arm(timer: &OwnedFd) {
    let once = Itimerspec { it_interval: Timespec::default(), it_value: RETRY_AFTER };
    // It cannot fail: the descriptor is a timer and the time is in range.
    let _ = timerfd_settime(timer, TimerfdTimerFlags::empty(), &once);
}

fn fired(timer: &OwnedFd) -> bool {
    // An error means that it has not fired.
    rustix::io::read(timer, &mut [0; 8]).is_ok()
}
