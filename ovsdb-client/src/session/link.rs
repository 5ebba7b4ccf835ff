//! From one server to the next: connecting, failing, waiting; and the bytes in between.

use std::time::Duration;

use ovsdb::Uuid;

use super::{Link, Session, SessionEvent};
use crate::cluster::{self, Cluster};
use crate::connection::{Connection, LinkError, LockState, Phase};
use crate::remote::{Remote, Stream};
use crate::txn::TxnError;

impl Session {
    /// Does what can be done at this time without waiting.
    pub fn run(&mut self, now: Duration) {
        if let Link::Backoff { until } = self.link
            && now >= until
        {
            self.connect(now);
        }
        if let Link::Connecting { stream, until } = &self.link {
            match stream.connected() {
                Ok(true) => self.connected(now),
                Ok(false) if now >= *until => self.fail(now, LinkError::ConnectTimeout),
                Ok(false) => {}
                Err(error) => self.fail(now, LinkError::Io(error)),
            }
        }
        if matches!(self.link, Link::Connected(_))
            && let Err(error) = self.converse(now)
        {
            self.fail(now, error);
        }
    }

    pub(super) fn next_id(&mut self) -> u64 {
        let id = self.next_id;
        self.next_id += 1;
        id
    }

    pub(super) fn probe_interval(&self) -> Duration {
        self.options.probe_interval.unwrap_or(match self.remote() {
            Remote::Unix(_) => Duration::ZERO,
            Remote::Tcp(_) | Remote::Ssl(_) => Duration::from_secs(5),
        })
    }

    fn connect(&mut self, now: Duration) {
        if std::mem::take(&mut self.next_server) {
            self.at = (self.at + 1) % self.remotes.as_slice().len();
        }
        let opened = Stream::open(self.remote(), &self.options.tls).and_then(|mut stream| {
            if let Some((registry, token)) = &self.registry {
                stream.register(registry, *token)?;
            }
            Ok(stream)
        });
        match opened {
            Ok(stream) => {
                let until = now + self.backoff.max(self.options.min_backoff);
                self.link = Link::Connecting { stream, until };
            }
            Err(error) => self.fail(now, LinkError::Io(error)),
        }
    }

    fn connected(&mut self, now: Duration) {
        let id = self.next_id();
        let link = std::mem::replace(&mut self.link, Link::Backoff { until: now });
        let Link::Connecting { stream, .. } = link else {
            self.link = link;
            return;
        };
        let mut connection = Connection::new(stream, now, Phase::Server { id });
        let ask = self.options.cluster != Cluster::Any;
        if ask {
            let params = cluster::monitor_request(&self.options.database);
            connection.request(id, "monitor_cond", &params);
        }
        self.link = Link::Connected(Box::new(connection));
        self.events.push_back(SessionEvent::Connected);
        if !ask {
            self.begin();
        }
    }

    /// Asks a server that is good enough for the schema and the lock.
    pub(super) fn begin(&mut self) {
        let schema_id = self.next_id();
        let lock_id = self.next_id();
        let Link::Connected(connection) = &mut self.link else { return };
        let mut database = String::new();
        ovsdb::value::push_json_string(&mut database, &self.options.database);
        connection.request(schema_id, "get_schema", &format!("[{database}]"));
        connection.phase = Phase::Schema { id: schema_id };
        if let Some(lock) = &self.options.lock {
            let mut name = String::new();
            ovsdb::value::push_json_string(&mut name, lock);
            connection.request(lock_id, "lock", &format!("[{name}]"));
            connection.lock = LockState::Asked { id: lock_id };
        }
    }

    /// Gives the connection up and says when to try again, and with which server.
    pub(super) fn fail(&mut self, now: Duration, reason: LinkError) {
        let (min, max) = (self.options.min_backoff, self.options.max_backoff);
        let servers = self.remotes.as_slice().len();
        let link = std::mem::replace(&mut self.link, Link::Backoff { until: now });
        if let Link::Connected(connection) = &link {
            // A connection that held for longer than the last wait starts the waits anew.
            let lasted = connection.heard.saturating_sub(connection.since);
            if lasted >= self.backoff.max(min) {
                self.backoff = Duration::ZERO;
                self.free = servers;
            }
        }
        self.next_server = true;
        self.free = self.free.saturating_sub(1);
        let retry_in = if self.free > 0 {
            Duration::ZERO
        } else {
            self.free = servers;
            self.backoff = (self.backoff * 2).clamp(min, max.max(min));
            self.backoff
        };
        match link {
            Link::Backoff { .. } => {
                self.events.push_back(SessionEvent::ConnectFailed { reason, retry_in });
            }
            Link::Connecting { mut stream, .. } => {
                self.deregister(&mut stream);
                self.events.push_back(SessionEvent::ConnectFailed { reason, retry_in });
            }
            Link::Connected(mut connection) => {
                self.deregister(&mut connection.stream);
                if reason.spoils_replica() {
                    self.last_txn = Uuid::ZERO;
                }
                for id in connection.txns.into_keys() {
                    self.txn_done(id, Err(TxnError::Disconnected), now);
                }
                if connection.lock == LockState::Held {
                    self.events.push_back(SessionEvent::LockLost);
                }
                self.events.push_back(SessionEvent::Disconnected { reason, retry_in });
            }
        }
        self.link = Link::Backoff { until: now + retry_in };
    }

    fn deregister(&self, stream: &mut Stream) {
        if let Some((registry, _)) = &self.registry {
            stream.deregister(registry);
        }
    }

    /// Reads, answers, writes and probes.
    fn converse(&mut self, now: Duration) -> Result<(), LinkError> {
        let registered = self.registry.is_some();
        let probe_interval = self.probe_interval();
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        connection.readable |= !registered;
        let ended = connection.read(now)?;
        // The framer is taken out while its messages are handled, for they borrow from it.
        let mut framer = std::mem::take(&mut connection.framer);
        let handled = loop {
            match framer.next_message() {
                Ok(Some(bytes)) => {
                    if let Err(error) = self.handle(bytes, now) {
                        break Err(error);
                    }
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(LinkError::Frame(error)),
            }
        };
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        connection.framer = framer;
        handled?;
        if ended {
            return Err(LinkError::Closed);
        }
        self.repeat(now);
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        connection.probe(now, probe_interval)?;
        connection.flush()
    }
}
