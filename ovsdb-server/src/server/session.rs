//! A client's session: its options, monitors, and messages to be sent.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use crate::database::push_error;
use crate::error::Error;
use crate::monitor::{MonitorId, Version};

/// What a session may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionOptions {
    /// Nothing may be changed or locked.
    pub read_only: bool,
}

/// Bytes to be sent.
#[derive(Debug, Clone)]
pub enum Chunk {
    /// For this session only.
    Own(Vec<u8>),
    /// The same bytes go to others.
    Shared(Arc<Vec<u8>>),
}

impl Chunk {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Chunk::Own(bytes) => bytes,
            Chunk::Shared(bytes) => bytes,
        }
    }
}

/// Something to be sent.
#[derive(Debug)]
pub(super) enum Item {
    Bytes(Chunk),
    /// The answer to a transaction, to be sent when a database is on the disk.
    Durable {
        database: String,
        id: String,
        results: Vec<u8>,
    },
}

#[derive(Debug)]
pub(super) struct Session {
    pub(super) options: SessionOptions,
    /// It asked to be told when databases come and go.
    pub(super) change_aware: bool,
    /// It sent bytes that are not UTF-8, so that answers may have to repeat them.
    pub(super) sent_invalid: bool,
    /// A transaction of this session runs in the background or waits for one that does: its next
    /// request is handled after the answer.
    pub(super) busy: bool,
    /// Why it is to be closed.
    pub(super) close: Option<String>,
    /// By the client's identifiers, as JSON text: database and monitor.
    pub(super) monitors: BTreeMap<String, (String, MonitorId)>,
    pub(super) versions: BTreeMap<MonitorId, Version>,
    pub(super) queue: VecDeque<Item>,
}

/// Shared bytes that are fewer than this are copied: one longer piece is cheaper to send than two.
const MAX_COPIED: usize = 16 << 10;

impl Session {
    pub(super) fn new(options: SessionOptions) -> Session {
        Session {
            options,
            change_aware: false,
            sent_invalid: false,
            busy: false,
            close: None,
            monitors: BTreeMap::new(),
            versions: BTreeMap::new(),
            queue: VecDeque::new(),
        }
    }

    /// A database is on the disk, or it could not be brought there.
    pub(super) fn synced(&mut self, name: &str, result: &Result<(), Error>) {
        for item in &mut self.queue {
            if let Item::Durable { database, id, results } = item
                && database == name
            {
                let mut results = std::mem::take(results);
                if let Err(error) = result {
                    push_error(&mut results, error);
                }
                *item = Item::Bytes(Chunk::Own(reply(id, results)));
            }
        }
    }

    /// Bytes that wait to be sent.
    pub(super) fn queued(&self) -> usize {
        let bytes = |item: &Item| match item {
            Item::Bytes(chunk) => chunk.bytes().len(),
            Item::Durable { results, .. } => results.len(),
        };
        self.queue.iter().map(bytes).sum()
    }

    fn restored(&self, chunk: Chunk) -> Chunk {
        match chunk {
            Chunk::Own(bytes) if self.sent_invalid => {
                let text = String::from_utf8_lossy(&bytes);
                Chunk::Own(ovsdb::jsonrpc::restore_invalid(&text))
            }
            chunk => chunk,
        }
    }

    /// Moves everything that may be sent.
    pub(super) fn take(&mut self, out: &mut Vec<Chunk>) {
        while let Some(item) = self.queue.pop_front() {
            match item {
                Item::Durable { .. } => {
                    self.queue.push_front(item);
                    return;
                }
                Item::Bytes(chunk) => match (out.last_mut(), self.restored(chunk)) {
                    (Some(Chunk::Own(last)), chunk) if chunk.bytes().len() < MAX_COPIED => {
                        last.extend_from_slice(chunk.bytes());
                    }
                    (_, Chunk::Shared(bytes)) if bytes.len() < MAX_COPIED => {
                        out.push(Chunk::Own(bytes.to_vec()));
                    }
                    (_, chunk) => out.push(chunk),
                },
            }
        }
    }
}

/// The answer to a request: `results` lack their closing bracket.
pub(super) fn reply(id: &str, mut results: Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(results.len() + id.len() + 40);
    out.extend_from_slice(b"{\"error\":null,\"id\":");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b",\"result\":");
    out.append(&mut results);
    out.extend_from_slice(b"]}");
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(chunks: &[Chunk]) -> String {
        chunks.iter().map(|chunk| String::from_utf8_lossy(chunk.bytes()).into_owned()).collect()
    }

    #[test]
    fn a_durable_answer_waits_for_the_disk_and_tells_if_it_failed() {
        let mut session = Session::new(SessionOptions::default());
        for (id, database) in [("1", "a"), ("2", "b")] {
            session.queue.push_back(Item::Durable {
                database: database.to_owned(),
                id: id.to_owned(),
                results: b"[{}".to_vec(),
            });
        }
        session.queue.push_back(Item::Bytes(Chunk::Own(b"later".to_vec())));
        let mut out = Vec::new();
        session.take(&mut out);
        assert!(out.is_empty());
        session.synced("a", &Ok(()));
        session.take(&mut out);
        assert_eq!(text(&out), r#"{"error":null,"id":1,"result":[{}]}"#);
        out.clear();
        session.synced("b", &Err(Error::new("I/O error", "x: fsync failed")));
        session.take(&mut out);
        assert_eq!(
            text(&out),
            r#"{"error":null,"id":2,"result":[{},{"details":"x: fsync failed","error":"I/O error"}]}later"#
        );
    }
}
