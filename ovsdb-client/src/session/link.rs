//! From one server to the next: connecting, failing, waiting; and the bytes in between.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::time::Duration;

use mio::Interest;
use mio::event::Source;
use ovsdb::Uuid;
use stream::reconnect::Due;
use stream::{Listener, Lookup, Stream, Target};
use wire::Time;

use super::{BOTH, Link, Session, SessionEvent};
use crate::cluster::{self, Cluster};
use crate::connection::{Connection, LinkError, LockState, Phase};
use crate::txn::TxnError;

/// `now` as the time since the start of the clock.
fn time(now: Duration) -> Time {
    Time::ZERO + now
}

impl Session {
    /// Does what can be done at this time without waiting.
    pub fn run(&mut self, now: Duration) {
        if matches!(self.link, Link::Backoff)
            && self.reconnect.poll(time(now)) == Some(Due::Connect)
        {
            self.connect(now);
        }
        if let Link::Lookup(lookup) = &self.link {
            match lookup.answer() {
                Some(Ok(addresses)) => self.dial(addresses, now),
                Some(Err(error)) => self.fail(now, LinkError::Io(error)),
                None => {}
            }
        }
        self.accept(now);
        if let Link::Connecting { stream, .. } = &self.link {
            match stream.connected() {
                Ok(true) => self.connected(now),
                Ok(false) => {}
                Err(error) => self.connect_failed(now, LinkError::Io(error)),
            }
        }
        if matches!(self.link, Link::Lookup(_) | Link::Connecting { .. })
            && self.reconnect.poll(time(now)) == Some(Due::TimedOut)
        {
            self.connect_failed(now, LinkError::ConnectTimeout);
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

    fn connect(&mut self, now: Duration) {
        if std::mem::take(&mut self.next_server) {
            self.at = (self.at + 1) % self.remotes.as_slice().len();
            self.reconnect.set_timing(self.options.timing(&self.remotes.as_slice()[self.at]));
        }
        let begun = match self.remote().clone() {
            Target::Tcp { host, port, .. } => match host.address() {
                Some(address) => return self.dial(vec![SocketAddr::new(address, port)], now),
                None => self.look_up(&host.plain(), port, now),
            },
            target if target.is_passive() => self.listen(&target, now),
            target => match Stream::connect(&target, None, None, &mut self.tls) {
                Ok(stream) => return self.connecting(stream, Vec::new(), now),
                Err(error) => Err(error),
            },
        };
        if let Err(error) = begun {
            self.fail(now, LinkError::Io(error));
        }
    }

    fn look_up(&mut self, host: &str, port: u16, now: Duration) -> io::Result<()> {
        let mut lookup = Lookup::start(host, port)?;
        self.add_source(&mut lookup, Interest::READABLE)?;
        self.link = Link::Lookup(lookup);
        self.reconnect.resolving(time(now));
        Ok(())
    }

    fn listen(&mut self, target: &Target, now: Duration) -> io::Result<()> {
        if let Target::ListenTcp { tls: true, .. } = target {
            self.tls.check().map_err(io::Error::other)?;
        }
        let mut listener = Listener::open(target, None)?;
        self.add_source(&mut listener, Interest::READABLE)?;
        self.listener = Some(listener);
        self.link = Link::Listening;
        self.reconnect.listening(time(now));
        Ok(())
    }

    /// Registers a source of events, if the session is registered with a poll.
    fn add_source(&self, source: &mut impl Source, interest: Interest) -> io::Result<()> {
        match &self.registry {
            Some((registry, token)) => registry.register(source, *token, interest),
            None => Ok(()),
        }
    }

    /// Waits for a socket to connect.
    fn connecting(&mut self, mut stream: Stream, others: Vec<SocketAddr>, now: Duration) {
        match self.add_source(&mut stream, BOTH) {
            Ok(()) => {
                self.link = Link::Connecting { stream, others };
                self.reconnect.opening(time(now));
            }
            Err(error) => self.fail(now, LinkError::Io(error)),
        }
    }

    /// Tries the first of a server's addresses.
    fn dial(&mut self, mut addresses: Vec<SocketAddr>, now: Duration) {
        if addresses.is_empty() {
            return self.fail(now, LinkError::Io(ErrorKind::NotFound.into()));
        }
        let first = addresses.remove(0);
        let target = &self.remotes.as_slice()[self.at];
        match Stream::connect(target, Some(first), None, &mut self.tls) {
            Ok(stream) => self.connecting(stream, addresses, now),
            Err(error) if addresses.is_empty() => self.fail(now, LinkError::Io(error)),
            Err(_) => self.dial(addresses, now),
        }
    }

    /// An attempt failed: the server's next address, or the next server.
    fn connect_failed(&mut self, now: Duration, reason: LinkError) {
        if let Link::Connecting { others, .. } = &mut self.link
            && !others.is_empty()
        {
            let others = std::mem::take(others);
            self.drop_link();
            return self.dial(others, now);
        }
        self.fail(now, reason);
    }

    /// Accepts the server's connection at a passive target. A new one replaces the one before.
    fn accept(&mut self, now: Duration) {
        while let Some(listener) = &self.listener {
            let accepted = listener
                .accept()
                .and_then(|accepted| accepted.into_stream(&mut self.tls).map_err(io::Error::other));
            match accepted {
                Ok(stream) => {
                    if !matches!(self.link, Link::Listening) {
                        self.fail(now, LinkError::Replaced);
                    }
                    self.connecting(stream, Vec::new(), now);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.close_listener();
                    return self.fail(now, LinkError::Io(error));
                }
            }
        }
    }

    fn close_listener(&mut self) {
        if let (Some(mut listener), Some((registry, _))) = (self.listener.take(), &self.registry) {
            // The socket is closed next, which takes it out of the poll in any case.
            let _ = registry.deregister(&mut listener);
        }
    }

    /// Takes the link away.
    fn drop_link(&mut self) -> Link {
        let mut link = std::mem::replace(&mut self.link, Link::Backoff);
        if let Some((registry, _)) = &self.registry {
            // The socket is closed next, which takes it out of the poll in any case.
            let _ = match &mut link {
                Link::Lookup(lookup) => registry.deregister(lookup),
                Link::Connecting { stream, .. } => registry.deregister(stream),
                Link::Connected(connection) => registry.deregister(&mut connection.stream),
                Link::Backoff | Link::Listening => Ok(()),
            };
        }
        link
    }

    fn connected(&mut self, now: Duration) {
        let id = self.next_id();
        let link = std::mem::replace(&mut self.link, Link::Backoff);
        let Link::Connecting { stream, .. } = link else {
            self.link = link;
            return;
        };
        self.reconnect.connected(time(now));
        let mut connection = Connection::new(stream, Phase::Server { id });
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

    /// Requests the schema and the lock from a server that will be used.
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
        let link = self.drop_link();
        if self.remotes.as_slice().len() > 1 {
            self.close_listener();
        }
        self.next_server = true;
        self.reconnect.closed(time(now), Some(reason.to_string()), false);
        self.link = Link::Backoff;
        if self.listener.is_some() {
            // The server decides when.
            self.link = Link::Listening;
            self.reconnect.listening(time(now));
        }
        let retry_in = self.reconnect.wait();
        match link {
            Link::Backoff | Link::Lookup(_) | Link::Listening | Link::Connecting { .. } => {
                self.events.push_back(SessionEvent::ConnectFailed { reason, retry_in });
            }
            Link::Connected(connection) => {
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
    }

    /// Reads, answers, writes and probes.
    fn converse(&mut self, now: Duration) -> Result<(), LinkError> {
        let registered = self.registry.is_some();
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        connection.readable |= !registered;
        let input = connection.read()?;
        if input.any {
            self.reconnect.received(time(now), false);
        }
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
        if input.ended {
            return Err(LinkError::Closed);
        }
        self.repeat(now);
        let Link::Connected(connection) = &mut self.link else { return Ok(()) };
        match self.reconnect.poll(time(now)) {
            Some(Due::Probe(_)) => connection.probe(),
            Some(Due::NoAnswer(_)) => {
                return Err(LinkError::Silent(self.reconnect.silent_for(time(now))));
            }
            // Not while there is a connection.
            Some(Due::Connect | Due::TimedOut) | None => {}
        }
        connection.flush()
    }
}
