//! Listening and connecting as configured.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::mem;
use std::net::SocketAddr;
use std::sync::Arc;

use mio::Interest;
use runtime::log::RateLimit;
use stream::reconnect::{Reconnect, Rules};
use stream::target::OVSDB_PORT;
use stream::{Accepted, Lookup, Stream, Target};
use wire::Time;

use super::conn::Ended;
use super::conn::Origin;
use super::remote::{LISTEN_RETRY, Link, MIN_BACKOFF, Remote, RemoteOptions, State};
use super::service::Service;
use super::slot::{Listener, Slot};
use super::{RECONNECT, SERVER, SOCKET, TLS};

static RL: RateLimit = RateLimit::new(5, 5);

impl Service {
    /// Adds a remote; one that is there keeps its options. It is opened in the next turn, and
    /// tried again later if that fails.
    ///
    /// # Errors
    ///
    /// It is no remote. A `db:` remote is only looked at for its form.
    pub fn add_remote(&mut self, text: &str, options: RemoteOptions) -> Result<(), String> {
        match text.starts_with("db:") {
            true => drop(text.parse::<super::DbColumn>()?),
            false => drop(Target::parse(text, OVSDB_PORT).map_err(|e| e.to_string())?),
        }
        self.configured.entry(text.to_owned()).or_insert(options);
        self.watched.forget();
        Ok(())
    }

    /// Removes a remote; its clients are disconnected. False if it is not there.
    pub fn remove_remote(&mut self, text: &str) -> bool {
        self.watched.forget();
        self.configured.remove(text).is_some()
    }

    /// Replaces the remotes.
    ///
    /// # Errors
    ///
    /// As [`Service::add_remote`]; then nothing is changed.
    pub fn set_remotes(&mut self, remotes: BTreeMap<String, RemoteOptions>) -> Result<(), String> {
        let before = mem::take(&mut self.configured);
        self.watched.forget();
        for (text, options) in remotes {
            if let Err(problem) = self.add_remote(&text, options) {
                self.configured = before;
                return Err(problem);
            }
        }
        Ok(())
    }

    /// The TCP port that a remote listens at.
    pub fn bound_port(&self, remote: &str) -> Option<u16> {
        match self.remotes.get(remote)?.state {
            State::Listening { port, .. } => port,
            State::Closed { .. } | State::Connecting { .. } => None,
        }
    }

    /// Why a remote that is to listen does not.
    pub fn listen_problem(&self, remote: &str) -> Option<&str> {
        match &self.remotes.get(remote)?.state {
            State::Closed { problem, .. } => problem.as_deref(),
            State::Listening { .. } | State::Connecting { .. } => None,
        }
    }

    /// Applies the configuration, and does what is due.
    pub(super) fn resolve_remotes(&mut self, now: u64) {
        if let Some(found) = self.watched.resolve(&self.engine, &self.configured, &self.tls_sources)
        {
            if found.problems != self.last_problem {
                if !found.problems.is_empty() {
                    runtime::warn!(SERVER, "{}", found.problems.trim_end());
                }
                self.last_problem = found.problems;
            }
            if self.tls.set(found.tls) {
                for problem in self.tls.settings().enabled.problems() {
                    runtime::err!(TLS, "{problem}");
                }
            }
            self.change_remotes(found.remotes, now);
        }
        let due: Vec<Arc<str>> = self
            .remotes
            .iter()
            .filter(|(_, remote)| remote.deadline() <= now)
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in due {
            self.advance(&name, now);
        }
        self.take_addresses(now);
    }

    fn change_remotes(&mut self, wanted: BTreeMap<String, RemoteOptions>, now: u64) {
        let gone: Vec<Arc<str>> =
            self.remotes.keys().filter(|name| !wanted.contains_key(&***name)).cloned().collect();
        for name in gone {
            runtime::info!(SERVER, "{name}: remote deconfigured");
            self.drop_remote(&name, &Ended::Ours("its remote was removed".to_owned()), now);
        }
        for (name, options) in wanted {
            match self.remotes.get_mut(&*name) {
                Some(known) if known.options == options => {}
                Some(known) => {
                    known.options = options;
                    let (timing, read_only) = (known.timing(), known.options.read_only);
                    if let Some((reconnect, _)) = known.connecting() {
                        reconnect.set_timing(timing);
                    }
                    for slot in known.slots() {
                        if let Some(Slot::Conn(conn)) = self.slots.get_mut(slot) {
                            if let Origin::Accepted(reconnect) = &mut conn.origin {
                                reconnect.set_timing(timing);
                            }
                            self.engine.set_read_only(conn.session, read_only);
                        }
                    }
                    self.probe_check = now;
                }
                None => match Target::parse(&name, OVSDB_PORT) {
                    Ok(target) => {
                        self.remotes.insert(name.into(), Remote::new(target, options, now));
                    }
                    Err(error) => runtime::err_rl!(SERVER, RL, "{error}"),
                },
            }
        }
    }

    fn drop_remote(&mut self, name: &Arc<str>, why: &Ended, now: u64) {
        let Some(remote) = self.remotes.get_mut(name) else { return };
        // The end of one connection begins no other.
        remote.untried.clear();
        for slot in remote.slots() {
            match &mut self.slots[slot] {
                Slot::Conn(_) => self.end(slot, why, now),
                Slot::Listener(listener) => {
                    let _ = self.registry.deregister(&mut listener.socket);
                    self.free_slot(slot);
                }
                Slot::Lookup => self.free_slot(slot),
                Slot::Free => {}
            }
        }
        self.remotes.remove(name);
    }

    /// Closes everything; unix sockets' files are removed.
    pub fn close(&mut self) {
        let now = self.now();
        for name in self.remotes.keys().cloned().collect::<Vec<_>>() {
            self.drop_remote(&name, &Ended::Eof, now);
        }
    }

    /// Something is due for a remote.
    fn advance(&mut self, name: &Arc<str>, now: u64) {
        let Some(remote) = self.remotes.get(name) else { return };
        match &remote.state {
            State::Closed { .. } => self.listen(name, now),
            State::Connecting { link: Link::None, .. } => self.connect(name, now),
            State::Connecting { link: Link::Lookup { .. } | Link::Open { .. }, .. }
            | State::Listening { .. } => {}
        }
    }

    fn listen(&mut self, name: &Arc<str>, now: u64) {
        let Some(remote) = self.remotes.get(name) else { return };
        let target = remote.target.clone();
        let opened = match &target {
            Target::ListenTcp { tls: true, .. } => {
                let usable = self.tls.check().map_err(io::Error::other);
                usable.and_then(|()| stream::Listener::open(&target, None))
            }
            _ => stream::Listener::open(&target, None),
        };
        let opened = opened.and_then(|mut socket| {
            let port = socket.port();
            let slot = self.take_slot(|registry, token| {
                registry.register(&mut socket, token, Interest::READABLE)?;
                Ok(Slot::Listener(Listener { socket, remote: Arc::clone(name), ready: true }))
            })?;
            Ok((slot, port))
        });
        let state = match opened {
            Ok((slot, port)) => {
                if let (Some(port), Some((_, rest))) = (port, name.split_once(':')) {
                    runtime::info!(SOCKET, "{rest}: listening on port {port}");
                }
                self.doors.push(slot);
                State::Listening { slot, port, clients: BTreeSet::new() }
            }
            Err(error) => {
                runtime::err_rl!(SERVER, RL, "{name}: listen failed: {error}");
                State::Closed { retry: now + LISTEN_RETRY, problem: Some(posix::text(error)) }
            }
        };
        if let Some(remote) = self.remotes.get_mut(name) {
            remote.state = state;
        }
    }

    /// Begins an attempt: a name is looked up first.
    fn connect(&mut self, name: &Arc<str>, now: u64) {
        let Some(remote) = self.remotes.get_mut(name) else { return };
        runtime::info!(RECONNECT, "{name}: connecting...");
        remote.untried.clear();
        let Target::Tcp { host, port, .. } = &remote.target else {
            return self.connect_to(name, None, now);
        };
        if let Some(ip) = host.address() {
            let to = SocketAddr::new(ip, *port);
            return self.connect_to(name, Some(to), now);
        }
        let (host, port) = (host.plain(), *port);
        match self.look_up(&host, port) {
            Ok(lookup) => {
                if let Some((reconnect, link)) =
                    self.remotes.get_mut(name).and_then(Remote::connecting)
                {
                    reconnect.resolving(Time::from_millis(now));
                    *link = lookup;
                }
            }
            Err(error) => self.back_off(name, &Ended::Io(error), now),
        }
    }

    fn look_up(&mut self, host: &str, port: u16) -> io::Result<Link> {
        let mut lookup = Lookup::start(host, port)?;
        let slot = self.take_slot(|registry, token| {
            registry.register(&mut lookup, token, Interest::READABLE)?;
            Ok(Slot::Lookup)
        })?;
        Ok(Link::Lookup { slot, lookup })
    }

    /// Goes on with the remotes whose name is known by now.
    fn take_addresses(&mut self, now: u64) {
        let mut answers = Vec::new();
        for (name, remote) in &self.remotes {
            if let State::Connecting { link: Link::Lookup { slot, lookup }, .. } = &remote.state
                && let Some(answer) = lookup.answer()
            {
                answers.push((Arc::clone(name), *slot, answer));
            }
        }
        for (name, slot, answer) in answers {
            self.free_slot(slot);
            match answer {
                Ok(addresses) => {
                    if let Some(remote) = self.remotes.get_mut(&name) {
                        remote.untried = addresses.into();
                    }
                    self.connect_next(&name, now);
                }
                Err(error) => self.back_off(&name, &Ended::Io(error), now),
            }
        }
    }

    /// Tries the next address of the name, if there is one.
    fn connect_next(&mut self, name: &Arc<str>, now: u64) {
        let next = self.remotes.get_mut(name).and_then(|remote| remote.untried.pop_front());
        if let Some(to) = next {
            runtime::info!(RECONNECT, "{name}: connecting to {to}...");
            self.connect_to(name, Some(to), now);
        }
    }

    /// Goes on with the next address of the name, or waits before the next attempt.
    fn connect_failed(&mut self, name: &Arc<str>, why: &Ended, now: u64) {
        if self.remotes.get(name).is_none_or(|remote| remote.untried.is_empty()) {
            return self.back_off(name, why, now);
        }
        runtime::info!(RECONNECT, "{name}: connection attempt failed ({why})");
        self.connect_next(name, now);
    }

    /// Opens the socket, to an address unless it is a Unix domain socket.
    fn connect_to(&mut self, name: &Arc<str>, to: Option<SocketAddr>, now: u64) {
        let Some(remote) = self.remotes.get_mut(name) else { return };
        let Some((reconnect, _)) = remote.connecting() else { return };
        reconnect.opening(Time::from_millis(now));
        let opened = Stream::connect(&remote.target, to, None, &mut self.tls);
        let begun =
            opened.and_then(|stream| self.begin(stream, name.to_string(), name, Origin::Made, now));
        match begun {
            Ok(slot) => {
                if let Some((_, link)) = self.remotes.get_mut(name).and_then(Remote::connecting) {
                    *link = Link::Open { slot };
                }
            }
            Err(error) => self.connect_failed(name, &Ended::Io(error), now),
        }
    }

    /// Checks whether an attempt to connect has succeeded or failed.
    pub(super) fn check_connecting(&mut self, slot: usize, now: u64) -> Result<(), Ended> {
        let Some(Slot::Conn(conn)) = self.slots.get_mut(slot) else { return Ok(()) };
        if !conn.stream.connected()? {
            return Ok(());
        }
        runtime::info!(RECONNECT, "{}: connected", conn.remote);
        if let Some(reconnect) = conn.reconnect(&mut self.remotes) {
            reconnect.connected(Time::from_millis(now));
        }
        self.probe_check = now;
        self.list(slot);
        Ok(())
    }

    /// Waits before the next attempt to connect.
    fn back_off(&mut self, name: &Arc<str>, why: &Ended, now: u64) {
        let Some(remote) = self.remotes.get_mut(name) else { return };
        let Some((reconnect, link)) = remote.connecting() else { return };
        *link = Link::None;
        if !reconnect.is_connected() {
            runtime::info!(RECONNECT, "{name}: connection attempt failed ({why})");
        }
        reconnect.closed(Time::from_millis(now), Some(why.to_string()), false);
        let wait = reconnect.wait();
        if wait > MIN_BACKOFF {
            let seconds = wait.as_secs_f64();
            runtime::info!(RECONNECT, "{name}: waiting {seconds} seconds before reconnect");
        }
    }

    /// A connection of this remote is gone.
    pub(super) fn ended(&mut self, name: &Arc<str>, slot: usize, why: &Ended, now: u64) {
        let Some(remote) = self.remotes.get_mut(name) else { return };
        match &mut remote.state {
            State::Listening { clients, .. } => {
                clients.remove(&slot);
            }
            State::Connecting { reconnect, link: Link::Open { .. } } => {
                match reconnect.is_connected() {
                    true => self.back_off(name, why, now),
                    false => self.connect_failed(name, why, now),
                }
            }
            State::Connecting { link: Link::Lookup { .. } | Link::None, .. }
            | State::Closed { .. } => {}
        }
    }

    /// Accepts the clients that wait at listeners.
    pub(super) fn accept_all(&mut self, now: u64) {
        self.accept_again = u64::MAX;
        for slot in mem::take(&mut self.doors) {
            while let Some(Slot::Listener(listener)) = self.slots.get_mut(slot) {
                let remote = Arc::clone(&listener.remote);
                match listener.socket.accept() {
                    Ok(accepted) => self.accepted(slot, accepted, &remote, now),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        listener.ready = false;
                        break;
                    }
                    Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                    Err(error) => {
                        runtime::warn_rl!(SERVER, RL, "{remote}: accept failed: {error}");
                        // Out of descriptors, most likely: tried again soon.
                        self.accept_again = now + 100;
                        self.doors.push(slot);
                        break;
                    }
                }
            }
        }
    }

    fn accepted(&mut self, listener: usize, accepted: Accepted, remote: &Arc<str>, now: u64) {
        let name = accepted.name(self.unix_count);
        self.unix_count += u64::from(accepted.peer.is_none());
        let stream = match accepted.into_stream(&mut self.tls) {
            Ok(stream) => stream,
            Err(error) => {
                runtime::err_rl!(TLS, RL, "{remote}: {error}");
                return;
            }
        };
        let Some(known) = self.remotes.get(remote) else { return };
        let at = Time::from_millis(now);
        let mut reconnect = Reconnect::accepted(at, Rules::Ovsdb, known.timing());
        reconnect.connected(at);
        let origin = Origin::Accepted(Box::new(reconnect));
        match self.begin(stream, name, remote, origin, now) {
            Ok(slot) => {
                if let Some(Remote { state: State::Listening { clients, slot: at, .. }, .. }) =
                    self.remotes.get_mut(remote)
                    && *at == listener
                {
                    clients.insert(slot);
                }
            }
            Err(error) => runtime::warn_rl!(SERVER, RL, "{remote}: accept failed: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use mio::{Events, Poll};
    use runtime::clock::Clock;

    use super::*;

    /// A name may have an address at which nothing answers, IPv6 before IPv4 for example.
    #[test]
    fn the_addresses_of_a_name_are_tried_in_turn() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut poll = Poll::new().unwrap();
        let registry = poll.registry().try_clone().unwrap();
        let mut service = Service::new(registry, 0, Clock::new()).unwrap();
        let name: Arc<str> = "tcp:name.invalid:1".into();
        service.add_remote(&name, RemoteOptions::default()).unwrap();
        service.turn();
        let remote = service.remotes.get_mut(&name).unwrap();
        assert!(
            matches!(&remote.state, State::Connecting { link: Link::Lookup { .. }, .. }),
            "{remote:?}"
        );
        let slot = remote.slots()[0];
        service.free_slot(slot);
        let remote = service.remotes.get_mut(&name).unwrap();
        remote.untried = [closed, listener.local_addr().unwrap()].into();
        let now = service.now();
        service.connect_next(&name, now);
        let mut events = Events::with_capacity(16);
        let deadline = service.now() + 10_000;
        while !service.remotes[&name].reconnect().unwrap().is_connected() {
            assert!(service.now() < deadline, "{:?}", service.remotes[&name]);
            let most = Some(std::time::Duration::from_millis(100));
            service.wait(&mut poll, &mut events, most, |_, _| {}).unwrap();
            service.turn();
        }
        let error = service.remotes[&name].reconnect().unwrap().last_error();
        assert_eq!(error, None, "no wait between them");
        listener.accept().unwrap();
        service.close();
    }
}
