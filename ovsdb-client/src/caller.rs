//! A connection for one request at a time, and what the server reports meanwhile. It blocks.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use ovsdb::jsonrpc::{self, Message, MessageError};
use ovsdb::{FrameError, Framer};
use posix::unix::with_short_path;
use serde_json::value::RawValue;
use tls::{Context, Settings, Tls};

use stream::{Host, Target};

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

/// A server that is silent for this long is asked whether it is still there.
const PROBE: Duration = Duration::from_secs(5);
/// Probes without an answer until the connection counts as broken. A big transaction keeps a server
/// busy for a while.
const PATIENCE: u32 = 10;
/// Longest that one attempt to connect may take.
const CONNECT: Duration = Duration::from_secs(30);

/// A connection for one request at a time, without any knowledge of tables: [`crate::Client`] has
/// that.
#[derive(Debug)]
pub struct Caller {
    stream: Blocking,
    framer: Framer,
    deadline: Option<Instant>,
    next_id: u64,
    updates: VecDeque<Box<RawValue>>,
}

impl Caller {
    /// Connects, or listens until the server has come. Nothing takes longer than until `deadline`,
    /// but for the look-up of a name, which takes what the system's resolver takes.
    ///
    /// # Errors
    ///
    /// [`CallError::Io`], [`CallError::Deadline`].
    pub fn open(
        remote: &Target,
        tls: &Settings,
        deadline: Option<Instant>,
    ) -> Result<Caller, CallError> {
        match Blocking::open(remote, tls, deadline) {
            Ok(stream) => Ok(Caller {
                stream,
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

    /// When whatever is called must have ended.
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
        let left = self.left()?;
        self.stream.socket().set_write_timeout(left)?;
        match self.stream.write_all(bytes).and_then(|()| self.stream.flush()) {
            Err(error) if is_timeout(&error) => Err(CallError::Deadline),
            result => Ok(result?),
        }
    }

    /// Time left until the deadline, if there is one.
    fn left(&self) -> Result<Option<Duration>, CallError> {
        let Some(deadline) = self.deadline else { return Ok(None) };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(CallError::Deadline) } else { Ok(Some(left)) }
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

    /// Reads what is there, waiting for something; asks a silent server whether it lives.
    fn read_some(&mut self, probed: &mut Option<Instant>) -> Result<(), CallError> {
        let mut chunk = [0; 64 << 10];
        let wait = self.left()?.map_or(PROBE, |left| left.min(PROBE));
        self.stream.socket().set_read_timeout(Some(wait))?;
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(number) => {
                *probed = None;
                self.framer.push(&chunk[..number]);
                Ok(())
            }
            Err(error) if is_timeout(&error) => {
                let now = Instant::now();
                match *probed {
                    // Time may be up, which is found out next.
                    None if wait < PROBE => Ok(()),
                    None => {
                        *probed = Some(now);
                        self.send("echo", "[]").map(drop)
                    }
                    Some(since) if now.duration_since(since) > PROBE * PATIENCE => {
                        Err(io::Error::from_raw_os_error(TIMED_OUT).into())
                    }
                    Some(_) => Ok(()),
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// `ETIMEDOUT`, for the system's words.
const TIMED_OUT: i32 = 110;

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

/// A blocking socket.
#[derive(Debug)]
enum Blocking {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Tls<TcpStream>),
}

/// Time left until `deadline`; without one, `most`.
fn left(deadline: Option<Instant>, most: Duration) -> io::Result<Duration> {
    let Some(deadline) = deadline else { return Ok(most) };
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err(ErrorKind::TimedOut.into());
    }
    Ok(left.min(most))
}

/// Waits for one connection to a listener.
fn accept_one<T>(
    deadline: Option<Instant>,
    mut accept: impl FnMut() -> io::Result<T>,
) -> io::Result<T> {
    loop {
        match accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                std::thread::sleep(left(deadline, Duration::from_millis(20))?);
            }
            result => return result,
        }
    }
}

fn connect_tcp(host: &Host, port: u16, deadline: Option<Instant>) -> io::Result<TcpStream> {
    let mut last = ErrorKind::NotFound.into();
    let addresses: Vec<SocketAddr> = match host.address() {
        Some(address) => vec![SocketAddr::new(address, port)],
        None => (host.plain().as_str(), port).to_socket_addrs()?.collect(),
    };
    for address in addresses {
        match TcpStream::connect_timeout(&address, left(deadline, CONNECT)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Blocking {
    fn open(remote: &Target, tls: &Settings, deadline: Option<Instant>) -> io::Result<Blocking> {
        let mut tls = Context::new(tls.clone());
        let (stream, begun) = match remote {
            Target::Unix(path) => {
                let stream = with_short_path(path, |path| UnixStream::connect(path))?;
                return Ok(Blocking::Unix(stream));
            }
            Target::ListenUnix(path) => {
                let (listener, _file) = posix::unix::listen(path)?;
                let (stream, _) = accept_one(deadline, || listener.accept())?;
                stream.set_nonblocking(false)?;
                return Ok(Blocking::Unix(stream));
            }
            Target::Tcp { host, port, tls: wanted } => {
                let begun = wanted.then(|| tls.connect(&host.plain())).transpose();
                (connect_tcp(host, *port, deadline)?, begun)
            }
            Target::ListenTcp { address, tls: wanted } => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                let (stream, _) = accept_one(deadline, || listener.accept())?;
                stream.set_nonblocking(false)?;
                (stream, wanted.then(|| tls.accept()).transpose())
            }
        };
        stream.set_nodelay(true)?;
        match begun.map_err(io::Error::other)? {
            None => Ok(Blocking::Tcp(stream)),
            Some(begun) => {
                stream.set_read_timeout(Some(left(deadline, CONNECT)?))?;
                let mut stream = Tls::new(stream, begun);
                stream.shake_hands()?;
                Ok(Blocking::Tls(stream))
            }
        }
    }

    fn socket(&self) -> &dyn Timed {
        match self {
            Blocking::Unix(stream) => stream,
            Blocking::Tcp(stream) | Blocking::Tls(Tls { socket: stream, .. }) => stream,
        }
    }
}

/// A socket with limits on how long it may take.
trait Timed {
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

macro_rules! timed {
    ($($socket:ident)*) => { $(
        impl Timed for $socket {
            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                $socket::set_read_timeout(self, timeout)
            }
            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                $socket::set_write_timeout(self, timeout)
            }
        }
    )* };
}
timed!(UnixStream TcpStream);

impl Read for Blocking {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Blocking::Unix(stream) => stream.read(buffer),
            Blocking::Tcp(stream) => stream.read(buffer),
            Blocking::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Blocking {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Blocking::Unix(stream) => stream.write(bytes),
            Blocking::Tcp(stream) => stream.write(bytes),
            Blocking::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Blocking::Unix(_) | Blocking::Tcp(_) => Ok(()),
            Blocking::Tls(stream) => stream.flush(),
        }
    }
}
