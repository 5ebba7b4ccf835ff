//! One client: bytes to requests, replies to bytes.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Instant;

use mio::net::UnixStream;
use ovsdb::framer::{Framer, Limits};
use ovsdb::jsonrpc::{self, Message};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{Format, Reply};

/// Most octets of one request. Commands are short; a larger one is a mistake or an attack.
const MAX_REQUEST: usize = 1 << 20;

/// A request that arrived whole.
pub(super) struct Incoming {
    pub(super) id: Box<RawValue>,
    pub(super) method: String,
    pub(super) params: Vec<Value>,
}

/// Why a connection is closed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Closed {
    /// The client went away: not worth a line.
    #[error("connection closed")]
    Gone,
    #[error("receive error: {0}")]
    Receive(io::Error),
    #[error("send error: {0}")]
    Send(io::Error),
    #[error("error parsing stream: {0}")]
    Stream(#[from] ovsdb::framer::FrameError),
    #[error("received bad JSON-RPC message: {0}")]
    Message(String),
    #[error("received unexpected {0} message")]
    Unexpected(&'static str),
}

pub(super) struct Connection {
    /// Never used again for another connection.
    pub(super) id: u64,
    /// For the log.
    pub(super) name: String,
    pub(super) format: Format,
    pub(super) stream: UnixStream,
    /// The request that is being worked on.
    pub(super) active: Option<Box<RawValue>>,
    /// The socket may have more to read. Edge-triggered: only a read that blocks says otherwise.
    pub(super) readable: bool,
    /// When its last request came, or it itself.
    pub(super) heard: Instant,
    framer: Framer,
    out: Vec<u8>,
    /// Octets of `out` that are sent.
    sent: usize,
}

impl Connection {
    pub(super) fn new(id: u64, stream: UnixStream) -> Connection {
        Connection {
            id,
            name: format!("unix#{id}"),
            format: Format::Text,
            stream,
            active: None,
            readable: true,
            heard: Instant::now(),
            framer: Framer::new(Limits { max_bytes: MAX_REQUEST, ..Limits::default() }),
            out: Vec::new(),
            sent: 0,
        }
    }

    /// Sends what waits; true when nothing does any more.
    pub(super) fn flush(&mut self) -> Result<bool, Closed> {
        while self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(0) => return Err(Closed::Gone),
                Ok(n) => self.sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::BrokenPipe => return Err(Closed::Gone),
                Err(e) => return Err(Closed::Send(e)),
            }
        }
        // A large reply's memory is given back.
        self.out = Vec::new();
        self.sent = 0;
        Ok(true)
    }

    /// The next whole request, `None` until more octets come.
    pub(super) fn receive(&mut self) -> Result<Option<Incoming>, Closed> {
        loop {
            if let Some(message) = self.framer.next_message()? {
                return parse(message).map(Some);
            }
            if !self.readable {
                return Ok(None);
            }
            let mut buf = [0; 8192];
            match self.stream.read(&mut buf) {
                Ok(0) => return Err(Closed::Gone),
                Ok(n) => self.framer.push(&buf[..n]),
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.readable = false,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::ConnectionReset => return Err(Closed::Gone),
                Err(e) => return Err(Closed::Receive(e)),
            }
        }
    }

    /// Answers the active request.
    pub(super) fn reply(&mut self, reply: Reply) {
        let (success, body) = match reply {
            Reply::Later(_) => return,
            Reply::Error(text) => (false, Value::String(line(posix::text(text)))),
            Reply::Text(text) => match self.format {
                Format::Text => (true, Value::String(line(text))),
                Format::Json => (true, json!({ "reply-format": "plain", "reply": text })),
            },
            Reply::Json(value) => match self.format {
                Format::Text => (true, Value::String(value.to_string())),
                Format::Json => (true, value),
            },
        };
        if let Some(id) = self.active.take() {
            let push = if success { jsonrpc::push_result } else { jsonrpc::push_error };
            let mut out = Vec::new();
            push(&mut out, &id, &body.to_string());
            // The reply may repeat bytes of the request that are not UTF-8.
            let text = String::from_utf8_lossy(&out);
            match text.contains(jsonrpc::INVALID_BYTE) {
                true => self.out.extend(jsonrpc::restore_invalid(&text)),
                false => self.out.append(&mut out),
            }
        }
    }
}

/// Text for a terminal ends its last line; `ovs-appctl` prints it as it comes.
fn line(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// An argument. What is not a string is refused by every command, so that the inside of an array or
/// object, which may nest deeper than `serde_json` reads, does not matter.
fn argument(json: &RawValue) -> Result<Value, Closed> {
    match json.get().as_bytes().first() {
        Some(b'[') => Ok(Value::Array(Vec::new())),
        Some(b'{') => Ok(Value::Object(serde_json::Map::new())),
        _ => serde_json::from_str(json.get()).map_err(|e| Closed::Message(e.to_string())),
    }
}

fn parse(message: &[u8]) -> Result<Incoming, Closed> {
    let escaped = jsonrpc::escape_invalid(message);
    match jsonrpc::parse(escaped.as_deref().unwrap_or(message)) {
        Ok(Message::Request { method, params, id }) => {
            let params = serde_json::from_str::<Vec<&RawValue>>(params.get())
                .map_err(|_| Closed::Message("\"params\" must be JSON array".into()))?;
            let params = params.into_iter().map(argument).collect::<Result<_, _>>()?;
            Ok(Incoming { id: id.to_owned(), method: method.into_owned(), params })
        }
        Ok(Message::Notification { .. }) => Err(Closed::Unexpected("notification")),
        Ok(Message::Response { result: Ok(_), .. }) => Err(Closed::Unexpected("reply")),
        Ok(Message::Response { result: Err(_), .. }) => Err(Closed::Unexpected("error")),
        Err(e) => Err(Closed::Message(e.to_string())),
    }
}
