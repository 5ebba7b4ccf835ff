//! Calling controllers: names are looked up, each address is tried, and what fails is tried again
//! after a wait.
//!
//! ```text
//!   Connect due ──▶ name? ──▶ Lookup (a thread) ──▶ addresses ──▶ socket ──▶ connected
//!        ▲            └── address ──────────────────────┘  ▲         │
//!        │                                                 └─────────┤ failed: the next address
//!        └──────────── wait (Reconnect) ◀── none left, or timed out ─┘
//! ```

use std::collections::VecDeque;
use std::net::{SocketAddr, SocketAddrV4};

use ofproto::controller::ConnId;
use posix::lookup::Lookup;

use crate::Env;
use crate::bridge::Connections;
use crate::modules::RCONN;
use crate::peer::{Owner, Peer};
use crate::reconnect::Due;
use crate::serve::say_next;
use crate::service::{Service, Source};
use crate::stream::Stream;
use crate::target::{self, Address};

/// Where a name's look-up is.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Under way.
    lookup: Option<Lookup>,
    /// What the name stands for and was not tried in this attempt.
    untried: VecDeque<SocketAddr>,
    /// What was tried last: in-band control lets it pass.
    pub(crate) tried: Option<SocketAddr>,
}

/// What is to be done for one controller.
enum Step {
    Open(Address),
    Fail(String),
}

impl Connections {
    /// Calls the controllers whose time has come, and goes on with those whose name is known by now.
    pub(crate) fn call(&mut self, env: &mut Env<'_>) {
        let mut steps = Vec::new();
        for (target, s) in &mut self.services {
            let Source::Active { address, life, conn: None, names } = &mut s.source else {
                continue;
            };
            let name = format!("{}<->{target}", self.name);
            let step = match life.poll(env.now) {
                Some(Due::Connect) => {
                    if life.is_loud() {
                        runtime::info!(RCONN, "{name}: connecting...");
                    }
                    life.opening(env.now);
                    **names = Names { tried: names.tried, ..Names::default() };
                    match address {
                        Err(text) => Some(Step::Fail(text.clone())),
                        Ok(Address::Name { name, port, .. }) => {
                            let main = env.main.clone();
                            // Waking fails only when main has gone.
                            match Lookup::start(name, *port, move || drop(main.wake())) {
                                Ok(lookup) => {
                                    names.lookup = Some(lookup);
                                    None
                                }
                                Err(e) => Some(Step::Fail(posix::text(e))),
                            }
                        }
                        Ok(address) => Some(Step::Open(address.clone())),
                    }
                }
                // Without a connection only the look-up can have taken so long.
                Some(Due::TimedOut) => Some(Step::Fail("Connection timed out".to_owned())),
                Some(Due::Probe(_) | Due::NoAnswer(_)) | None => {
                    match names.lookup.as_ref().and_then(Lookup::answer) {
                        None => None,
                        Some(Err(e)) => Some(Step::Fail(posix::text(e))),
                        Some(Ok(found)) => {
                            names.lookup = None;
                            names.untried = found.into();
                            names.next(address).map(Step::Open)
                        }
                    }
                }
            };
            steps.extend(step.map(|step| (target.clone(), step)));
        }
        for (target, step) in steps {
            match step {
                Step::Open(address) => self.open(&target, address, env),
                Step::Fail(text) => self.call_failed(&target, text, env),
            }
        }
    }

    /// Opens a socket to an address, or to the next one of the name when that fails at once.
    fn open(&mut self, target: &str, mut to: Address, env: &mut Env<'_>) {
        loop {
            let Some(dscp) = self.services.get(target).map(|s| s.want.dscp) else { return };
            let name = format!("{}<->{target}", self.name);
            let id = ConnId(env.numbers.next());
            let opened = Stream::open(&to, dscp, env.tls).and_then(|stream| {
                let mut peer = Peer::new(id, Owner::Service(target.to_owned()), name, stream);
                peer.register(env.registry)?;
                Ok(peer)
            });
            match opened {
                Ok(peer) => {
                    if let Some(Service { source: Source::Active { conn, .. }, .. }) =
                        self.services.get_mut(target)
                    {
                        *conn = Some(peer.id);
                    }
                    self.changed = true;
                    self.peers.insert(id, peer);
                    self.set_in_band_remotes(env);
                    self.serve(id, env);
                    return;
                }
                Err(e) => match self.next_address(target) {
                    Some(next) => to = next,
                    None => return self.call_failed(target, posix::text(e), env),
                },
            }
        }
    }

    /// The next address of a controller's name that was not tried in this attempt.
    fn next_address(&mut self, target: &str) -> Option<Address> {
        match &mut self.services.get_mut(target)?.source {
            Source::Active { address, names, .. } => names.next(address),
            Source::Passive(_) => None,
        }
    }

    /// A socket did not connect: tries the name's next address. False if there is none.
    pub(crate) fn call_next(&mut self, id: ConnId, env: &mut Env<'_>) -> bool {
        let Some(Owner::Service(target)) = self.peers.get(&id).map(|p| p.owner.clone()) else {
            return false;
        };
        let Some(next) = self.next_address(&target) else { return false };
        self.forget(id, env);
        self.open(&target, next, env);
        true
    }

    fn call_failed(&mut self, target: &str, text: String, env: &mut Env<'_>) {
        let name = format!("{}<->{target}", self.name);
        let Some(Service { source: Source::Active { life, names, .. }, .. }) =
            self.services.get_mut(target)
        else {
            return;
        };
        names.lookup = None;
        runtime::warn!(RCONN, "{name}: connection failed ({text})");
        let loud = life.is_loud();
        // The wait is not made short by it.
        say_next(&name, life.closed(env.now, Some(text), true), loud);
        self.changed = true;
    }

    /// In-band control lets the controllers' and managers' addresses pass.
    pub(crate) fn set_in_band_remotes(&mut self, env: &Env<'_>) {
        let of = |s: &Service| -> Option<SocketAddrV4> {
            let named = match &s.source {
                Source::Active { names, .. } => names.tried,
                Source::Passive(_) => None,
            };
            match named {
                Some(SocketAddr::V4(at)) => Some(at),
                Some(SocketAddr::V6(_)) => None,
                None => target::ipv4(&s.want.target, target::PORT),
            }
        };
        let remotes = self.services.values().filter(|s| s.want.in_band).filter_map(of);
        let remotes = remotes.chain(self.managers.iter().copied()).collect();
        if self.in_band.wanted.remotes != remotes {
            self.in_band.wanted.remotes = remotes;
            self.in_band.due = Some(env.now);
        }
    }
}

impl Names {
    /// The next address, as `of`, the name, is to be reached.
    fn next(&mut self, of: &Result<Address, String>) -> Option<Address> {
        let Ok(Address::Name { name, tls, .. }) = of else { return None };
        let to = self.untried.pop_front()?;
        self.tried = Some(to);
        Some(match tls {
            true => Address::Ssl { to, name: Some(name.clone()) },
            false => Address::Tcp(to),
        })
    }
}
