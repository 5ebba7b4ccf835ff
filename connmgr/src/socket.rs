//! One connection's bytes: whole messages in and out of a socket without waiting.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use mio::{Interest, Registry, Token};
use ofproto::controller::Class;
use openflow::codec::{HEADER_LEN, Header};

use stream::Stream;

/// Octets of asynchronous messages ([`Class::Other`]: port status, flow removed, copies for snoops)
/// that may wait for a peer that does not read. A further message closes the connection, because the
/// peer would miss a change without knowing it. The other classes are bounded by the agent: it stops
/// reading requests with 100 replies waiting, drops packet-ins and pauses flow monitors.
const MAX_WAITING: usize = 64 << 20;

/// Octets read at a time.
const CHUNK: usize = 16 * 1024;

/// Why a connection has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The peer closed it.
    ByPeer,
    /// The system says so.
    Error(String),
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Ended::ByPeer => "End of file",
            Ended::Error(text) => text,
        })
    }
}

impl Ended {
    pub(crate) fn io(error: &io::Error) -> Ended {
        Ended::Error(posix::text(error))
    }
}

/// Messages to and from one peer.
#[derive(Debug)]
pub(crate) struct Socket {
    stream: Stream,
    /// There may be something to read. Events come once, when that begins.
    pub(crate) readable: bool,
    writable: bool,
    /// The part of a message that has come so far; below 64 kB and a chunk.
    input: Vec<u8>,
    /// Octets of `input` that were taken.
    taken: usize,
    output: VecDeque<(Option<Class>, Vec<u8>)>,
    /// Octets of the first message that the socket has taken.
    written: usize,
    /// Octets of class [`Class::Other`] in `output`.
    other: usize,
}

impl Socket {
    pub(crate) fn new(stream: Stream) -> Socket {
        Socket {
            stream,
            readable: true,
            writable: true,
            input: Vec::new(),
            taken: 0,
            output: VecDeque::new(),
            written: 0,
            other: 0,
        }
    }

    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        registry.register(&mut self.stream, token, Interest::READABLE | Interest::WRITABLE)
    }

    pub(crate) fn deregister(&mut self, registry: &Registry) {
        // The socket is closed next, which takes it out of the poll in any case.
        let _ = registry.deregister(&mut self.stream);
    }

    pub(crate) fn on_event(&mut self, event: &mio::event::Event) {
        self.readable |= event.is_readable() || event.is_read_closed() || event.is_error();
        self.writable |= event.is_writable() || event.is_write_closed() || event.is_error();
    }

    /// `Ok(true)` once connected.
    pub(crate) fn connected(&self) -> Result<bool, Ended> {
        self.stream.connected().map_err(|e| Ended::io(&e))
    }

    /// The next whole message, `None` if there is none yet.
    pub(crate) fn receive(&mut self) -> Result<Option<Vec<u8>>, Ended> {
        loop {
            if let Some(frame) = self.cut()? {
                return Ok(Some(frame));
            }
            if !self.readable || !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Takes a message out of what was read.
    fn cut(&mut self) -> Result<Option<Vec<u8>>, Ended> {
        let rest = &self.input[self.taken..];
        let Some(header) = Header::peek(rest) else { return Ok(None) };
        let len = usize::from(header.len);
        if len < HEADER_LEN {
            // Where the next message begins nobody can say.
            let text = format!("received too-short ofp_header ({len} bytes)");
            runtime::err_rl!(crate::modules::VCONN_STREAM, RL, "{text}");
            return Err(Ended::Error("Protocol error".to_owned()));
        }
        let Some(frame) = rest.get(..len).map(<[u8]>::to_vec) else { return Ok(None) };
        self.taken += len;
        if self.taken == self.input.len() {
            self.input.clear();
            self.taken = 0;
        }
        Ok(Some(frame))
    }

    /// Reads once; false if there is nothing to read.
    fn fill(&mut self) -> Result<bool, Ended> {
        self.input.drain(..self.taken);
        self.taken = 0;
        let begin = self.input.len();
        self.input.resize(begin + CHUNK, 0);
        let read = loop {
            match self.stream.read(&mut self.input[begin..]) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        self.input.truncate(begin + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) if begin > 0 => {
                runtime::warn_rl!(
                    crate::modules::VCONN_STREAM,
                    RL,
                    "connection dropped mid-packet"
                );
                Err(Ended::Error("Protocol error".to_owned()))
            }
            Ok(0) => Err(Ended::ByPeer),
            Ok(_) => Ok(true),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Ok(false)
            }
            Err(e) => Err(Ended::io(&e)),
        }
    }

    /// Appends a message to those that wait to be written. `class` is that of one that the agent
    /// sends. False, and the message is dropped, if too many octets wait already.
    #[must_use]
    pub(crate) fn queue(&mut self, class: Option<Class>, frame: Vec<u8>) -> bool {
        if class == Some(Class::Other) {
            if self.other + frame.len() > MAX_WAITING {
                return false;
            }
            self.other += frame.len();
        }
        self.output.push_back((class, frame));
        true
    }

    /// Writes what the socket takes. `sent` is told of each message that is gone.
    pub(crate) fn flush(
        &mut self,
        mut sent: impl FnMut(Option<Class>, usize),
    ) -> Result<(), Ended> {
        while self.writable {
            let Some((class, frame)) = self.output.front() else { break };
            match self.stream.write(&frame[self.written..]) {
                Ok(n) => {
                    self.written += n;
                    if self.written == frame.len() {
                        if *class == Some(Class::Other) {
                            self.other -= frame.len();
                        }
                        sent(*class, frame.len());
                        self.output.pop_front();
                        self.written = 0;
                    }
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.writable = false,
                Err(e) => return Err(Ended::io(&e)),
            }
        }
        match self.stream.flush() {
            Err(e) if e.kind() != io::ErrorKind::WouldBlock => Err(Ended::io(&e)),
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Messages that wait to be written.
    pub(crate) fn waiting(&self) -> usize {
        self.output.len()
    }
}

static RL: runtime::log::RateLimit = runtime::log::RateLimit::new(10, 25);

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn pair() -> (Socket, UnixStream) {
        let (a, b) = UnixStream::pair().unwrap();
        a.set_nonblocking(true).unwrap();
        (Socket::new(Stream::Unix(mio::net::UnixStream::from_std(a))), b)
    }

    fn message(len: u16) -> Vec<u8> {
        let mut m = vec![1, 2, 0, 0, 0, 0, 0, 7];
        m[2..4].copy_from_slice(&len.to_be_bytes());
        m.resize(usize::from(len), 0xaa);
        m
    }

    #[test]
    fn received_pieces_are_joined_to_messages() {
        let (mut socket, mut peer) = pair();
        let (a, b) = (message(8), message(0xffff));
        let all = [a.clone(), b.clone(), a.clone()].concat();
        let mut got = Vec::new();
        for piece in all.chunks(1_009) {
            peer.write_all(piece).unwrap();
            socket.readable = true;
            while let Some(frame) = socket.receive().unwrap() {
                got.push(frame);
            }
            assert!(socket.input.len() <= 0xffff + CHUNK);
        }
        assert_eq!(got, [a.clone(), b, a]);
        drop(peer);
        socket.readable = true;
        assert_eq!(socket.receive(), Err(Ended::ByPeer));
    }

    #[test]
    fn short_length_or_end_within_a_message_is_an_error() {
        for len in [0u16, 7] {
            let (mut socket, mut peer) = pair();
            let mut m = message(8);
            m[2..4].copy_from_slice(&len.to_be_bytes());
            peer.write_all(&m).unwrap();
            assert_eq!(socket.receive(), Err(Ended::Error("Protocol error".to_owned())));
        }
        let (mut socket, mut peer) = pair();
        peer.write_all(&message(9)[..8]).unwrap();
        assert_eq!(socket.receive(), Ok(None));
        drop(peer);
        socket.readable = true;
        assert_eq!(socket.receive(), Err(Ended::Error("Protocol error".to_owned())));
    }

    #[test]
    fn output_waits_for_a_peer_that_does_not_read() {
        let (mut socket, mut peer) = pair();
        for _ in 0..100 {
            assert!(socket.queue(Some(Class::Reply), message(0xffff)));
        }
        let mut gone = 0;
        socket.flush(|_, len| gone += len).unwrap();
        assert!(gone < 100 * 0xffff && socket.waiting() > 0);
        let reader = std::thread::spawn(move || {
            let mut all = Vec::new();
            peer.read_to_end(&mut all).unwrap();
            all.len()
        });
        while socket.waiting() > 0 {
            socket.writable = true;
            socket.flush(|_, len| gone += len).unwrap();
            std::thread::yield_now();
        }
        drop(socket);
        assert_eq!((gone, reader.join().unwrap()), (100 * 0xffff, 100 * 0xffff));
    }

    #[test]
    fn asynchronous_messages_beyond_the_limit_are_refused_until_the_peer_reads() {
        let (mut socket, mut peer) = pair();
        let taken =
            (0..2_000).take_while(|_| socket.queue(Some(Class::Other), message(0xffff))).count();
        assert_eq!(taken, MAX_WAITING / 0xffff);
        assert!(socket.queue(Some(Class::Reply), message(8)), "replies have a limit of their own");
        socket.flush(|_, _| {}).unwrap();
        let mut some = [0; 0xffff];
        while !socket.queue(Some(Class::Other), message(0xffff)) {
            peer.read_exact(&mut some).unwrap();
            socket.writable = true;
            socket.flush(|_, _| {}).unwrap();
        }
    }
}
