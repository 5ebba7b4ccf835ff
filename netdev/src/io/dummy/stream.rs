//! A dummy device's cable: a stream socket that carries frames, each behind its length.
//!
//! The format is Open vSwitch's, so that a dummy device of one daemon can be plugged into that of
//! another: two octets of length in network byte order, then the frame.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use crate::sys;

/// How long to wait before connecting again, in milliseconds: what Open vSwitch waits.
const RETRY_MS: i64 = 100;

/// Frames that wait for a peer that does not read; more are lost, as on a wire.
const BACKLOG: usize = 100;

/// The shortest frame: two addresses and a type.
const FRAME_MIN: usize = 14;

/// Where a dummy device is plugged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plug {
    /// `options:pstream=punix:PATH`: any number of peers connect here; each gets every frame.
    Listen(PathBuf),
    /// `options:stream=unix:PATH`: connects there, again and again until it succeeds.
    Connect(PathBuf),
}

/// Whether the device has a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connection {
    Connected,
    Disconnected,
    /// It connects to nobody by itself.
    Unknown,
}

/// The sockets of one device. Registered with the device's epoll descriptor, so that the thread
/// that waits for frames also waits for these.
#[derive(Default)]
pub(super) struct Cable {
    plug: Option<Plug>,
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
    waits: bool,
}

impl Cable {
    pub(super) fn plug(&self) -> Option<&Plug> {
        self.plug.as_ref()
    }

    /// Plugs the device in, or out. Does nothing when that is how it is.
    pub(super) fn set(&mut self, plug: Option<Plug>, epoll: RawFd) -> io::Result<()> {
        if self.plug == plug {
            return Ok(());
        }
        // Closing a descriptor takes it out of the epoll set.
        if let Some(Plug::Listen(path)) = &self.plug {
            let _ = std::fs::remove_file(path);
        }
        *self = Cable::default();
        match &plug {
            Some(Plug::Listen(path)) => {
                let listener = listen(path)?;
                watch(epoll, libc::EPOLL_CTL_ADD, listener.as_raw_fd(), libc::EPOLLIN)?;
                self.listener = Some(listener);
            }
            Some(Plug::Connect(_)) => {
                let timer = timer()?;
                watch(epoll, libc::EPOLL_CTL_ADD, timer.as_raw_fd(), libc::EPOLLIN)?;
                self.retry = Some(timer);
            }
            None => {}
        }
        self.plug = plug;
        self.connect(epoll);
        Ok(())
    }

    pub(super) fn connection(&self) -> Connection {
        match &self.plug {
            Some(Plug::Connect(_)) if self.peers.is_empty() => Connection::Disconnected,
            Some(Plug::Connect(_)) => Connection::Connected,
            Some(Plug::Listen(_)) | None => Connection::Unknown,
        }
    }

    /// Connects unless it is connected; sets the timer if that fails.
    fn connect(&mut self, epoll: RawFd) {
        let Some(Plug::Connect(path)) = &self.plug else { return };
        if !self.peers.is_empty() {
            return;
        }
        match UnixStream::connect(path).and_then(|stream| Peer::new(stream, epoll)) {
            Ok(peer) => self.peers.push(peer),
            Err(_) => {
                if let Some(timer) = &self.retry {
                    arm(timer.as_raw_fd());
                }
            }
        }
    }

    /// Takes what has arrived, connections included; `frame` is called for each frame.
    pub(super) fn run(&mut self, epoll: RawFd, mut frame: impl FnMut(&[u8])) {
        if self.plug.is_none() {
            return;
        }
        if let Some(timer) = &self.retry
            && fired(timer.as_raw_fd())
        {
            self.connect(epoll);
        }
        if let Some(listener) = &self.listener {
            while let Ok((stream, _)) = listener.accept() {
                // A peer that cannot be waited for is turned away.
                self.peers.extend(Peer::new(stream, epoll));
            }
        }
        let before = self.peers.len();
        self.peers
            .retain_mut(|peer| peer.flush(epoll).and_then(|()| peer.read(&mut frame)).is_ok());
        if self.peers.len() < before
            && let Some(timer) = &self.retry
        {
            arm(timer.as_raw_fd());
        }
    }

    /// Sends a frame to every peer. One longer than a length can say is lost.
    pub(super) fn send(&mut self, epoll: RawFd, frame: &[u8]) {
        let Ok(len) = u16::try_from(frame.len()) else { return };
        for peer in &mut self.peers {
            if peer.tx.len() < BACKLOG {
                peer.tx.push_back([&len.to_be_bytes(), frame].concat());
            }
            // An error is found again by the next `run`, which then lets go of the peer.
            let _ = peer.flush(epoll);
        }
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        if let Some(Plug::Listen(path)) = &self.plug {
            let _ = std::fs::remove_file(path);
        }
    }
}

impl Peer {
    fn new(stream: UnixStream, epoll: RawFd) -> io::Result<Peer> {
        stream.set_nonblocking(true)?;
        watch(epoll, libc::EPOLL_CTL_ADD, stream.as_raw_fd(), libc::EPOLLIN)?;
        Ok(Peer { stream, rx: Vec::new(), tx: VecDeque::new(), sent: 0, waits: false })
    }

    fn flush(&mut self, epoll: RawFd) -> io::Result<()> {
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
        if self.waits == self.tx.is_empty() {
            self.waits = !self.waits;
            let events = libc::EPOLLIN | if self.waits { libc::EPOLLOUT } else { 0 };
            watch(epoll, libc::EPOLL_CTL_MOD, self.stream.as_raw_fd(), events)?;
        }
        Ok(())
    }

    /// Reads what is there. An error, the end among them: let go of the peer.
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

/// A socket left behind by a daemon that died is no obstacle.
fn listen(path: &Path) -> io::Result<UnixListener> {
    let _ = std::fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn watch(epoll: RawFd, op: i32, fd: RawFd, events: i32) -> io::Result<()> {
    let mut event = libc::epoll_event { events: events as u32, u64: 0 };
    // SAFETY: the kernel reads one event.
    sys::cvt(unsafe { libc::epoll_ctl(epoll, op, fd, &mut event) })?;
    Ok(())
}

fn timer() -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: no memory is passed.
    let fd = sys::cvt(unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn arm(timer: RawFd) {
    let once = libc::itimerspec {
        it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: libc::timespec { tv_sec: 0, tv_nsec: RETRY_MS * 1_000_000 },
    };
    // SAFETY: the kernel reads one `itimerspec` and writes none.
    unsafe { libc::timerfd_settime(timer, 0, &once, std::ptr::null_mut()) };
}

fn fired(timer: RawFd) -> bool {
    let mut count = [0u8; 8];
    // SAFETY: the kernel writes at most 8 octets to `count`. An error means that it has not fired.
    unsafe { libc::read(timer, count.as_mut_ptr().cast(), 8) == 8 }
}
