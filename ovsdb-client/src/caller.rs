//! A connection for one request at a time, and what the server reports meanwhile. It blocks.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use mio::event::Source;
use mio::{Events, Interest, Poll, Token};
use ovsdb::jsonrpc::{self, Message, MessageError};
use ovsdb::{FrameError, Framer};
use serde_json::value::RawValue;
use stream::{Listener, Lookup, Stream, Target};
use tls::{Context, Settings};

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// It could not be made, or it broke.
    #[error("{}", posix::text(.0))]
    Io(#[from] io::Error),
    /// The bytes are not a stream of messages.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A message that is none.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// The deadline has passed.
    #[error("time is up")]
    Deadline,
}

/// A result, or the server's error object.
pub type Answer = Result<Box<RawValue>, Box<RawValue>>;

/// A server that is silent for this long is probed.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);
/// A server that does not answer a probe for longer than this counts as gone. A big transaction keeps
/// a server busy for a while.
const PROBE_TIMEOUT: Duration = Duration::from_secs(50);
/// The longest time for one attempt to connect, and for a TLS handshake.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// The time between attempts to connect to a Unix socket whose queue of connections is full, of which
/// no event tells when it is not.
const FULL_QUEUE_INTERVAL: Duration = Duration::from_millis(20);

/// A connection for one request at a time, without any knowledge of tables: [`crate::Client`] has
/// that.
#[derive(Debug)]
pub struct Caller {
    stream: Stream,
    waiter: Waiter,
    framer: Framer,
    deadline: Option<Instant>,
    next_id: u64,
    updates: VecDeque<Box<RawValue>>,
}

impl Caller {
    /// Connects, or listens until the server has connected. Nothing takes longer than until
    /// `deadline`; without one, an attempt to connect and a TLS handshake may take 30 seconds each.
    ///
    /// # Errors
    ///
    /// [`CallError::Io`], [`CallError::Deadline`].
    pub fn open(
        remote: &Target,
        tls: &Settings,
        deadline: Option<Instant>,
    ) -> Result<Caller, CallError> {
        match open(remote, tls, deadline) {
            Ok((stream, waiter)) => Ok(Caller {
                stream,
                waiter,
                framer: Framer::default(),
                deadline,
                next_id: 0,
                updates: VecDeque::new(),
            }),
            Err(_) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                Err(CallError::Deadline)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sets the time by which each call ends with [`CallError::Deadline`]; `None`: never.
    pub fn set_deadline(&mut self, deadline: Option<Instant>) {
        self.deadline = deadline;
    }

    /// Sends a request and waits for its answer. `params` must be JSON.
    ///
    /// # Errors
    ///
    /// [`CallError`]: the connection is of no more use.
    pub fn call(&mut self, method: &str, params: &str) -> Result<Answer, CallError> {
        let id = self.send(method, params)?;
        let mut probed = None;
        loop {
            if let Some(answer) = self.next_answer(&id)? {
                return Ok(answer);
            }
            self.read_some(&mut probed)?;
        }
    }

    /// What the server has reported since the last time: the parameters of `update`.
    pub fn take_updates(&mut self) -> VecDeque<Box<RawValue>> {
        std::mem::take(&mut self.updates)
    }

    /// Waits until the server reports something, unless something is there already.
    ///
    /// # Errors
    ///
    /// [`CallError`].
    pub fn wait_for_update(&mut self) -> Result<(), CallError> {
        let mut probed = None;
        loop {
            while self.next_answer("")?.is_some() {}
            if !self.updates.is_empty() {
                return Ok(());
            }
            self.read_some(&mut probed)?;
        }
    }

    fn send(&mut self, method: &str, params: &str) -> Result<String, CallError> {
        self.next_id += 1;
        let mut request = Vec::new();
        jsonrpc::push_request(&mut request, self.next_id, method, params);
        self.put(&request)?;
        Ok(self.next_id.to_string())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), CallError> {
        self.check_deadline()?;
        let Caller { stream, waiter, deadline, .. } = self;
        let mut rest = bytes;
        let done = loop {
            if rest.is_empty() {
                break waiter.retry(*deadline, || stream.flush());
            }
            match waiter.retry(*deadline, || stream.write(rest)) {
                Ok(0) => break Err(ErrorKind::WriteZero.into()),
                Ok(number) => rest = &rest[number..],
                Err(error) => break Err(error),
            }
        };
        match done {
            Err(error) if error.kind() == ErrorKind::TimedOut => Err(CallError::Deadline),
            result => Ok(result?),
        }
    }

    fn check_deadline(&self) -> Result<(), CallError> {
        match self.deadline {
            Some(deadline) if deadline <= Instant::now() => Err(CallError::Deadline),
            Some(_) | None => Ok(()),
        }
    }

    /// Takes up what has been read, until the answer to `id` is there or nothing is left.
    fn next_answer(&mut self, id: &str) -> Result<Option<Answer>, CallError> {
        while let Some(bytes) = self.framer.next_message()? {
            let mut echo = Vec::new();
            match jsonrpc::parse(bytes)? {
                Message::Response { id: of, result } if of.get() == id => {
                    return Ok(Some(match result {
                        Ok(result) => Ok(result.to_owned()),
                        Err(error) => Err(error.to_owned()),
                    }));
                }
                // Some servers send notifications with an id of null.
                Message::Notification { method, params }
                | Message::Request { method, params, .. }
                    if method == "update" =>
                {
                    self.updates.push_back(params.to_owned());
                }
                Message::Request { method, params, id } if method == "echo" => {
                    jsonrpc::push_echo_reply(&mut echo, id, params);
                }
                Message::Request { .. }
                | Message::Notification { .. }
                | Message::Response { .. } => {}
            }
            if !echo.is_empty() {
                self.put(&echo)?;
            }
        }
        Ok(None)
    }

    /// Reads what is there, waiting for something; probes a silent server.
    fn read_some(&mut self, probed: &mut Option<Instant>) -> Result<(), CallError> {
        let mut chunk = [0; 64 << 10];
        self.check_deadline()?;
        let begun = Instant::now();
        let until = earlier(self.deadline, begun + PROBE_INTERVAL);
        let Caller { stream, waiter, .. } = self;
        match waiter.retry(Some(until), || stream.read(&mut chunk)) {
            Ok(0) => Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(number) => {
                *probed = None;
                self.framer.push(&chunk[..number]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => match *probed {
                // The deadline has passed, which is found out next.
                None if until < begun + PROBE_INTERVAL => Ok(()),
                None => {
                    *probed = Some(Instant::now());
                    self.send("echo", "[]").map(drop)
                }
                Some(since) if since.elapsed() > PROBE_TIMEOUT => {
                    Err(io::Error::from_raw_os_error(TIMED_OUT).into())
                }
                Some(_) => Ok(()),
            },
            Err(error) => Err(error.into()),
        }
    }
}

/// `ETIMEDOUT`, for the system's words.
const TIMED_OUT: i32 = 110;

/// The earlier of a deadline, if there is one, and another.
fn earlier(deadline: Option<Instant>, other: Instant) -> Instant {
    deadline.map_or(other, |deadline| deadline.min(other))
}

/// Connects, or waits for the server's connection, and completes the TLS handshake.
fn open(
    remote: &Target,
    tls: &Settings,
    deadline: Option<Instant>,
) -> io::Result<(Stream, Waiter)> {
    let mut tls = Context::new(tls.clone());
    let mut waiter = Waiter::new()?;
    let mut stream = match remote {
        Target::Unix(_) => loop {
            match Stream::connect(remote, None, None, &mut tls) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let next = earlier(deadline, Instant::now() + FULL_QUEUE_INTERVAL);
                    let left = next.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(error);
                    }
                    std::thread::sleep(left);
                }
                result => {
                    let mut stream = result?;
                    waiter.add(&mut stream)?;
                    break stream;
                }
            }
        },
        Target::Tcp { host, port, .. } => {
            let addresses = match host.address() {
                Some(ip) => vec![SocketAddr::new(ip, *port)],
                None => waiter.look_up(&host.plain(), *port, deadline)?,
            };
            waiter.connect_to_any(remote, &addresses, &mut tls, deadline)?
        }
        Target::ListenUnix(_) | Target::ListenTcp { .. } => {
            let mut listener = Listener::open(remote, None)?;
            waiter.add(&mut listener)?;
            let accepted = waiter.retry(deadline, || listener.accept())?;
            let mut stream = accepted.into_stream(&mut tls).map_err(io::Error::other)?;
            waiter.add(&mut stream)?;
            stream
        }
    };
    let until = earlier(deadline, Instant::now() + CONNECT_TIMEOUT);
    waiter.retry(Some(until), || stream.shake_hands())?;
    Ok((stream, waiter))
}

/// A poll by which one thing at a time is waited for.
#[derive(Debug)]
struct Waiter {
    poll: Poll,
    events: Events,
}

impl Waiter {
    fn new() -> io::Result<Waiter> {
        Ok(Waiter { poll: Poll::new()?, events: Events::with_capacity(4) })
    }

    fn add(&self, source: &mut impl Source) -> io::Result<()> {
        self.poll.registry().register(source, Token(0), Interest::READABLE | Interest::WRITABLE)
    }

    /// Calls `attempt` until it gives something else than `WouldBlock`, after each event.
    ///
    /// # Errors
    ///
    /// Those of `attempt`; `ETIMEDOUT` when `until` has passed.
    fn retry<T>(
        &mut self,
        until: Option<Instant>,
        mut attempt: impl FnMut() -> io::Result<T>,
    ) -> io::Result<T> {
        loop {
            match attempt() {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                result => return result,
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(io::Error::from_raw_os_error(TIMED_OUT));
            }
            match self.poll.poll(&mut self.events, left) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
    }

    fn look_up(
        &mut self,
        name: &str,
        port: u16,
        deadline: Option<Instant>,
    ) -> io::Result<Vec<SocketAddr>> {
        let mut lookup = Lookup::start(name, port)?;
        self.poll.registry().register(&mut lookup, Token(0), Interest::READABLE)?;
        self.retry(deadline, || lookup.answer().unwrap_or(Err(ErrorKind::WouldBlock.into())))
    }

    /// Connects to the first address that lets us; the last one's error if none does.
    fn connect_to_any(
        &mut self,
        remote: &Target,
        addresses: &[SocketAddr],
        tls: &mut Context,
        deadline: Option<Instant>,
    ) -> io::Result<Stream> {
        let mut last = ErrorKind::NotFound.into();
        for address in addresses {
            let until = earlier(deadline, Instant::now() + CONNECT_TIMEOUT);
            let connected =
                Stream::connect(remote, Some(*address), None, tls).and_then(|mut stream| {
                    self.add(&mut stream)?;
                    self.retry(Some(until), || match stream.connected()? {
                        true => Ok(()),
                        false => Err(ErrorKind::WouldBlock.into()),
                    })?;
                    Ok(stream)
                });
            match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => last = error,
            }
        }
        Err(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connecting_waits_for_room_in_the_queue_of_a_unix_socket() {
        let path = std::env::temp_dir().join(format!("braid-caller-{}", std::process::id()));
        let (listener, _file) = posix::unix::listen(&path).unwrap();
        let mut waiting = Vec::new();
        while let Ok(stream) = mio::net::UnixStream::connect(&path) {
            waiting.push(stream);
        }
        let remote = Target::Unix(path.clone());
        let soon = Instant::now() + Duration::from_millis(50);
        let error = Caller::open(&remote, &Settings::default(), Some(soon)).unwrap_err();
        assert!(matches!(error, CallError::Deadline), "{error}");
        let server = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(50));
            listener.set_nonblocking(false).unwrap();
            // This one connects when the first of these is taken out of the queue.
            for _ in 0..=waiting.len() {
                listener.accept().unwrap();
            }
        });
        let late = Instant::now() + Duration::from_secs(20);
        Caller::open(&remote, &Settings::default(), Some(late)).unwrap();
        server.join().unwrap();
    }
}
