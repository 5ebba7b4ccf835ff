//! A connection to a server: one request at a time, and what the server reports meanwhile.

use std::collections::VecDeque;
use std::io::{self, ErrorKind};
use std::time::{Duration, Instant};

use ovsdb::Framer;
use ovsdb::jsonrpc::{self, Message};
use serde_json::value::RawValue;

use super::target::{self, Stream};
use super::tls::Tls;

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It could not be made, or it broke.
    #[error("{0}")]
    Broken(String),
    /// The time that the user gave has passed.
    #[error("time is up")]
    Deadline,
}

/// The system's words for an error, without its number.
pub fn system_text(error: &io::Error) -> String {
    if error.kind() == ErrorKind::UnexpectedEof {
        return "End of file".to_owned();
    }
    let text = error.to_string();
    match text.split_once(" (os error") {
        Some((words, _)) => words.to_owned(),
        None => text,
    }
}

impl From<io::Error> for LinkError {
    fn from(error: io::Error) -> LinkError {
        LinkError::Broken(system_text(&error))
    }
}

/// A connection.
pub struct Link {
    stream: Box<dyn Stream>,
    framer: Framer,
    deadline: Option<Instant>,
    next_id: u64,
    updates: VecDeque<Box<RawValue>>,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("updates", &self.updates.len()).finish_non_exhaustive()
    }
}

/// A result, or the server's error.
pub type Answer = Result<Box<RawValue>, Box<RawValue>>;

/// A server that is silent for this long is asked whether it is still there.
const PROBE: Duration = Duration::from_secs(5);

impl Link {
    /// Connects. Nothing takes longer than until `deadline`.
    ///
    /// # Errors
    ///
    /// [`LinkError`].
    pub fn open(address: &str, tls: &Tls, deadline: Option<Instant>) -> Result<Link, LinkError> {
        match target::open(address, tls, deadline) {
            Ok(stream) => Ok(Link {
                stream,
                framer: Framer::default(),
                deadline,
                next_id: 0,
                updates: VecDeque::new(),
            }),
            Err(_) if deadline.is_some_and(|deadline| deadline <= Instant::now()) => {
                Err(LinkError::Deadline)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Sends a request and waits for its answer: a result, or the server's error.
    ///
    /// # Errors
    ///
    /// [`LinkError`].
    pub fn call(&mut self, method: &str, params: &str) -> Result<Answer, LinkError> {
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
    /// [`LinkError`].
    pub fn wait_for_update(&mut self) -> Result<(), LinkError> {
        let mut probed = None;
        loop {
            while self.next_answer("")?.is_some() {}
            if !self.updates.is_empty() {
                return Ok(());
            }
            self.read_some(&mut probed)?;
        }
    }

    fn send(&mut self, method: &str, params: &str) -> Result<String, LinkError> {
        self.next_id += 1;
        let mut request = Vec::new();
        jsonrpc::push_request(&mut request, self.next_id, method, params);
        self.stream.write_all(&request)?;
        self.stream.flush()?;
        Ok(self.next_id.to_string())
    }

    /// Takes up what has been read, until the answer to `id` is there or nothing is left.
    fn next_answer(&mut self, id: &str) -> Result<Option<Answer>, LinkError> {
        let broken = |text: String| LinkError::Broken(text);
        while let Some(bytes) = self.framer.next_message().map_err(|e| broken(e.to_string()))? {
            match jsonrpc::parse(bytes).map_err(|e| broken(e.to_string()))? {
                Message::Response { id: of, result } if of.get() == id => {
                    return Ok(Some(match result {
                        Ok(result) => Ok(result.to_owned()),
                        Err(error) => Err(error.to_owned()),
                    }));
                }
                Message::Notification { method, params } if method == "update" => {
                    self.updates.push_back(params.to_owned());
                }
                // Some servers send notifications with an id of null.
                Message::Request { method, params, .. } if method == "update" => {
                    self.updates.push_back(params.to_owned());
                }
                Message::Request { method, params, id } if method == "echo" => {
                    let mut answer = Vec::new();
                    jsonrpc::push_echo_reply(&mut answer, id, params);
                    self.stream.write_all(&answer)?;
                    self.stream.flush()?;
                }
                Message::Request { .. }
                | Message::Notification { .. }
                | Message::Response { .. } => {}
            }
        }
        Ok(None)
    }

    /// Reads what is there, waiting for something; asks a silent server whether it lives.
    fn read_some(&mut self, probed: &mut Option<Instant>) -> Result<(), LinkError> {
        let mut chunk = [0; 64 << 10];
        let now = Instant::now();
        let mut wait = PROBE;
        if let Some(deadline) = self.deadline {
            let left = deadline.saturating_duration_since(now);
            if left.is_zero() {
                return Err(LinkError::Deadline);
            }
            wait = wait.min(left);
        }
        self.stream.limit_reads(Some(wait))?;
        match self.stream.read(&mut chunk) {
            Ok(0) => Err(io::Error::from(ErrorKind::UnexpectedEof).into()),
            Ok(number) => {
                *probed = None;
                self.framer.push(&chunk[..number]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                match *probed {
                    None => {
                        *probed = Some(now);
                        self.send("echo", "[]")?;
                        Ok(())
                    }
                    // A big transaction keeps a server busy for a while; ten probes is patient.
                    Some(since) if now.duration_since(since) > PROBE * 10 => {
                        Err(LinkError::Broken("Connection timed out".to_owned()))
                    }
                    Some(_) => Ok(()),
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}
