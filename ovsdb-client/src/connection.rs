//! One connection: its bytes, its requests under way, its probes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use ovsdb::jsonrpc::{self, Message, MessageError};
use ovsdb::{FrameError, Framer};
use serde_json::value::RawValue;

use crate::cluster::{ServerWatch, Unfit};
use crate::db::Format;
use crate::txn::OpInfo;
use stream::Stream;

/// Why a connection could not be made or ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The system's reason.
    #[error("{}", posix::text(.0))]
    Io(#[from] io::Error),
    /// No answer to the attempt to connect.
    #[error("connection attempt timed out")]
    ConnectTimeout,
    /// The server ended it.
    #[error("connection closed by peer")]
    Closed,
    /// The server answered no probe.
    #[error("no response to inactivity probe after {} seconds", .0.as_secs_f64())]
    Silent(Duration),
    /// The server does not read what it is sent.
    #[error("the server leaves {0} bytes unread")]
    Unread(usize),
    /// The bytes are not a stream of messages.
    #[error("{0}")]
    Frame(#[from] FrameError),
    /// A message that is none.
    #[error("{0}")]
    Message(#[from] MessageError),
    /// An update that does not fit the replica.
    #[error("update: {0}")]
    Update(String),
    /// The server refused something, or answered what was not asked.
    #[error("{0}")]
    Protocol(String),
    /// The server is there, but not one to stay with.
    #[error("{0}; trying another server")]
    Unfit(#[from] Unfit),
    /// The server came a second time to where we listen.
    #[error("a new connection replaces this one")]
    Replaced,
    /// [`crate::Session::reconnect`] was called.
    #[error("disconnected on request")]
    Asked,
}

impl LinkError {
    /// True if the replica may hold part of an update, so that it must be fetched whole.
    pub(crate) fn spoils_replica(&self) -> bool {
        match self {
            LinkError::Frame(_)
            | LinkError::Message(_)
            | LinkError::Update(_)
            | LinkError::Protocol(_) => true,
            LinkError::Io(_)
            | LinkError::ConnectTimeout
            | LinkError::Closed
            | LinkError::Silent(_)
            | LinkError::Unread(_)
            | LinkError::Unfit(_)
            | LinkError::Replaced
            | LinkError::Asked => false,
        }
    }
}

/// The ways to follow a database, the newest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MonitorMethod {
    Since,
    Cond,
    Plain,
}

impl MonitorMethod {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            MonitorMethod::Since => "monitor_cond_since",
            MonitorMethod::Cond => "monitor_cond",
            MonitorMethod::Plain => "monitor",
        }
    }

    /// What an older server may know.
    pub(crate) const fn older(self) -> Option<MonitorMethod> {
        match self {
            MonitorMethod::Since => Some(MonitorMethod::Cond),
            MonitorMethod::Cond => Some(MonitorMethod::Plain),
            MonitorMethod::Plain => None,
        }
    }
}

/// How far a connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Asked what the server is to its cluster.
    Server { id: u64 },
    /// Asked for the schema.
    Schema { id: u64 },
    /// Asked for the contents.
    Monitor { id: u64, method: MonitorMethod },
    /// The replica follows.
    Following,
}

/// The lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LockState {
    NotWanted,
    Asked { id: u64 },
    Waiting,
    Held,
}

/// What a message means for the session.
#[derive(Debug)]
pub(crate) enum Heard<'a> {
    Nothing,
    Update { params: &'a RawValue, format: Format, with_txn: bool },
    Lock { name: Cow<'a, str>, held: bool },
    MonitorCanceled,
    Reply { id: u64, result: Result<&'a RawValue, &'a RawValue> },
}

/// What reading gave.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Input {
    /// Bytes came.
    pub(crate) any: bool,
    /// The stream is at its end.
    pub(crate) ended: bool,
}

/// Bytes read in one go before others get their turn.
const READ_BUDGET: usize = 4 << 20;
/// Bytes that may wait to be sent before the server counts as stuck.
const MAX_UNSENT: usize = 64 << 20;

#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) stream: Stream,
    pub(crate) framer: Framer,
    pub(crate) phase: Phase,
    pub(crate) lock: LockState,
    /// The server follows rows by conditions.
    pub(crate) takes_conditions: bool,
    /// A change of conditions without a reply yet.
    pub(crate) conditions: Option<u64>,
    /// The row of `_Server` about the database, while it is watched.
    pub(crate) server: ServerWatch,
    /// Transactions without a reply yet.
    pub(crate) txns: BTreeMap<u64, Vec<OpInfo>>,
    /// There may be bytes to read.
    pub(crate) readable: bool,
    out: Vec<u8>,
    sent: usize,
}

impl Connection {
    pub(crate) fn new(stream: Stream, phase: Phase) -> Connection {
        Connection {
            stream,
            framer: Framer::default(),
            phase,
            lock: LockState::NotWanted,
            takes_conditions: false,
            conditions: None,
            server: ServerWatch::default(),
            txns: BTreeMap::new(),
            readable: true,
            out: Vec::new(),
            sent: 0,
        }
    }

    pub(crate) fn request(&mut self, id: u64, method: &str, params: &str) {
        jsonrpc::push_request(&mut self.out, id, method, params);
    }

    /// Reads what is there.
    pub(crate) fn read(&mut self) -> Result<Input, LinkError> {
        let mut chunk = [0; 64 << 10];
        let mut left = READ_BUDGET;
        let mut input = Input::default();
        while self.readable && left > 0 {
            match self.stream.read(&mut chunk) {
                Ok(0) => return Ok(Input { ended: true, ..input }),
                Ok(number) => {
                    self.framer.push(&chunk[..number]);
                    input.any = true;
                    left = left.saturating_sub(number);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What came before the reset still counts.
                Err(error) if error.kind() == ErrorKind::ConnectionReset => {
                    return Ok(Input { ended: true, ..input });
                }
                Err(error) => return Err(LinkError::Io(error)),
            }
        }
        Ok(input)
    }

    /// Sends what the socket takes.
    pub(crate) fn flush(&mut self) -> Result<(), LinkError> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return Err(LinkError::Closed),
                Ok(number) => self.sent += number,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let unsent = self.out.len() - self.sent;
                    if unsent > MAX_UNSENT {
                        return Err(LinkError::Unread(unsent));
                    }
                    return Ok(());
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(LinkError::Io(error)),
            }
        }
        match self.stream.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => {
                return Err(LinkError::Io(error));
            }
            Ok(()) | Err(_) => {}
        }
        self.out.clear();
        self.out.shrink_to(1 << 20);
        self.sent = 0;
        Ok(())
    }

    /// Queues a probe.
    pub(crate) fn probe(&mut self) {
        // Upstream's probes have this id too; it is no number, so it is no request of ours.
        self.out.extend_from_slice(br#"{"id":"echo","method":"echo","params":[]}"#);
    }

    /// Understands a message, and answers it if it is only a matter of this connection.
    pub(crate) fn hear<'a>(&mut self, bytes: &'a [u8]) -> Result<Heard<'a>, LinkError> {
        Ok(match jsonrpc::parse(bytes)? {
            Message::Request { method, params, id } => {
                if method == "echo" {
                    jsonrpc::push_echo_reply(&mut self.out, id, params);
                } else {
                    jsonrpc::push_error(&mut self.out, id, r#"{"error":"unknown method"}"#);
                }
                Heard::Nothing
            }
            Message::Notification { method, params } => match &*method {
                "update3" => Heard::Update { params, format: Format::Difference, with_txn: true },
                "update2" => Heard::Update { params, format: Format::Difference, with_txn: false },
                "update" => Heard::Update { params, format: Format::Whole, with_txn: false },
                "monitor_canceled" => Heard::MonitorCanceled,
                "locked" | "stolen" => {
                    let (name,): (Cow<'a, str>,) = serde_json::from_str(params.get())
                        .map_err(|error| LinkError::Protocol(format!("{method}: {error}")))?;
                    Heard::Lock { name, held: method == "locked" }
                }
                _ => Heard::Nothing,
            },
            Message::Response { id, result } => match id.get().parse() {
                Ok(id) => Heard::Reply { id, result },
                Err(_) => Heard::Nothing,
            },
        })
    }
}
