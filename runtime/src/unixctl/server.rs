//! The listening socket and its clients, driven by the reactor.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::net::{UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use parking_lot::Mutex;
use posix::unix::SocketFile;
use serde_json::Value;

use super::connection::{Closed, Connection, Incoming};
use super::{Commands, Completions, Format, Reply, Request};
use crate::coverage::Counter;
use crate::log::RateLimit;
use crate::modules::{JSONRPC, UNIXCTL as LOG};

/// How long a client may be silent when others wait for its place: long enough for the request of
/// one that has just connected, and short, because in a flood each client waits its turn for it.
const GRACE: Duration = Duration::from_millis(10);
/// When accepting is tried again after an error, such as that there are no descriptors left.
const AGAIN: Duration = Duration::from_millis(100);
static RL: RateLimit = RateLimit::new(5, 5);

static RECEIVED: Counter = Counter::new("unixctl_received");
static REPLIED: Counter = Counter::new("unixctl_replied");

/// Requests of one client that are run before others get their turn.
const BURST: usize = 10;

/// Why there is no control socket.
#[derive(Debug, thiserror::Error)]
pub enum UnixctlError {
    /// The socket cannot be made.
    #[error("{path}: could not initialize control socket ({})", posix::text(error))]
    Bind {
        /// Its path.
        path: PathBuf,
        /// The system's reason.
        error: io::Error,
    },
    /// [`Server::bind`] needs a token for the listener and one for a client.
    #[error("control socket needs at least two event tokens")]
    Tokens,
}

/// The control socket; see the [module](super).
pub struct Server<C> {
    listener: UnixListener,
    path: PathBuf,
    /// Goes with the listener.
    _file: SocketFile,
    tokens: Range<usize>,
    connections: BTreeMap<usize, Connection>,
    /// The listener may have more to accept.
    acceptable: bool,
    /// A client that has been accepted and waits for a place.
    waiting: Option<UnixStream>,
    /// Not before: accepting failed.
    accept_at: Option<Instant>,
    next_id: u64,
    commands: Commands<C>,
    completions: Arc<Completions>,
}

impl<C> Server<C> {
    /// Listens at `path`; a socket that a dead daemon left there is replaced. The first of
    /// `tokens` is the listener's, the others bound the number of clients at a time: one more takes
    /// the place of the one that has been silent longest. `wake` makes the reactor's poll return; any thread may call it.
    pub fn bind(
        path: &Path,
        registry: &Registry,
        tokens: Range<usize>,
        mut commands: Commands<C>,
        wake: Arc<dyn Fn() + Send + Sync>,
    ) -> Result<Server<C>, UnixctlError> {
        if tokens.len() < 2 {
            return Err(UnixctlError::Tokens);
        }
        crate::coverage::register(&[&RECEIVED, &REPLIED]);
        let failed = |error| UnixctlError::Bind { path: path.to_owned(), error };
        let (listener, file) = posix::unix::listen(path).map_err(failed)?;
        let mut listener = UnixListener::from_std(listener);
        registry
            .register(&mut listener, Token(tokens.start), Interest::READABLE)
            .map_err(failed)?;
        commands.register("list-commands", "", 0, 0, |_, _| Reply::Text(String::new()));
        commands.register("set-options", "[--format text|json]", 1, 2, |_, req| set_options(req));
        Ok(Server {
            listener,
            path: path.to_owned(),
            _file: file,
            tokens,
            connections: BTreeMap::new(),
            acceptable: true,
            waiting: None,
            accept_at: None,
            next_id: 0,
            commands,
            completions: Arc::new(Completions { done: Mutex::new(Vec::new()), wake }),
        })
    }

    /// The socket's path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// True if an event with this token is ours.
    pub fn owns(&self, token: Token) -> bool {
        self.tokens.contains(&token.0)
    }

    /// Something happened at one of our sockets.
    pub fn handle_event(&mut self, ctx: &mut C, registry: &Registry, token: Token) {
        if token.0 == self.tokens.start {
            self.acceptable = true;
            self.accept(ctx, registry);
        } else if let Some(c) = self.connections.get_mut(&token.0) {
            c.readable = true;
            self.serve(ctx, registry, token.0);
        }
    }

    /// Sends deferred replies and goes on with clients that had to wait for their turn. To be
    /// called once each turn of the reactor.
    pub fn run(&mut self, ctx: &mut C, registry: &Registry) {
        let done = std::mem::take(&mut *self.completions.done.lock());
        for (id, reply) in done {
            let Some((&token, c)) = self.connections.iter_mut().find(|(_, c)| c.id == id) else {
                continue;
            };
            REPLIED.add(1);
            c.reply(reply);
            self.serve(ctx, registry, token);
        }
        let waiting: Vec<usize> =
            self.connections.iter().filter(|(_, c)| c.readable).map(|(t, _)| *t).collect();
        for token in waiting {
            self.serve(ctx, registry, token);
        }
        self.accept(ctx, registry);
    }

    /// How long the reactor may sleep before [`Server::run`] is to be called again, if an event
    /// does not come first.
    pub fn timeout(&self) -> Option<Duration> {
        let place = match (&self.waiting, self.longest_silent()) {
            (Some(_), Some((_, since))) => Some(since + GRACE),
            (Some(_) | None, Some(_) | None) => None,
        };
        let next = [place, self.accept_at].into_iter().flatten().min();
        next.map(|at| at.saturating_duration_since(Instant::now()))
    }

    fn accept(&mut self, ctx: &mut C, registry: &Registry) {
        if self.accept_at.take_if(|at| *at <= Instant::now()).is_some() {
            self.acceptable = true;
        }
        while let Some(mut stream) = self.next_client() {
            let Some(token) = self.place() else {
                self.waiting = Some(stream);
                return;
            };
            let both = Interest::READABLE | Interest::WRITABLE;
            if let Err(e) = registry.register(&mut stream, Token(token), both) {
                crate::warn_rl!(LOG, RL, "{}: cannot poll: {e}", self.path.display());
                continue;
            }
            self.connections.insert(token, Connection::new(self.next_id, stream));
            self.next_id += 1;
            self.serve(ctx, registry, token);
        }
    }

    /// The client that waits for a place, or else the next of the listener's.
    fn next_client(&mut self) -> Option<UnixStream> {
        if self.waiting.is_some() {
            return self.waiting.take();
        }
        while self.acceptable {
            match self.listener.accept() {
                Ok((stream, _)) => return Some(stream),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => self.acceptable = false,
                Err(e) if e.kind() == io::ErrorKind::ConnectionAborted => {}
                // Out of descriptors: those of silent clients are the first that can be spared.
                Err(e) if is_exhausted(&e) && self.evict().is_some() => {}
                Err(e) => {
                    let path = self.path.display();
                    crate::warn_rl!(LOG, RL, "punix:{path}: accept failed: {e}");
                    // No event tells that it would succeed now.
                    self.acceptable = false;
                    self.accept_at = Some(Instant::now() + AGAIN);
                }
            }
        }
        None
    }

    /// The client that has been silent longest, and since when. Those whose command is being
    /// worked on are not silent.
    fn longest_silent(&self) -> Option<(usize, Instant)> {
        let silent = self.connections.iter().filter(|(_, c)| c.active.is_none());
        let (token, c) = silent.min_by_key(|(_, c)| (c.heard, c.id))?;
        Some((*token, c.heard))
    }

    /// A place for one more connection. Clients that stay and ask for nothing must not keep others
    /// out: when all places are taken, the one that has been silent longest loses its own.
    fn place(&mut self) -> Option<usize> {
        let mut tokens = self.tokens.start + 1..self.tokens.end;
        if let Some(free) = tokens.find(|t| !self.connections.contains_key(t)) {
            return Some(free);
        }
        self.evict()
    }

    /// Closes the connection that has been silent longest, if its time is over; gives its token.
    fn evict(&mut self) -> Option<usize> {
        let (oldest, since) = self.longest_silent()?;
        if since.elapsed() < GRACE {
            return None;
        }
        // Closing the descriptor takes it out of the poll as well.
        self.connections.remove(&oldest);
        Some(oldest)
    }

    fn serve(&mut self, ctx: &mut C, registry: &Registry, token: usize) {
        let Some(c) = self.connections.get_mut(&token) else {
            return;
        };
        let Err(why) = serve(c, &mut self.commands, ctx, &self.completions) else {
            return;
        };
        match why {
            Closed::Gone => {}
            Closed::Unexpected(_) => crate::warn_rl!(LOG, RL, "{}: {why}", c.name),
            Closed::Receive(_) | Closed::Send(_) | Closed::Stream(_) | Closed::Message(_) => {
                crate::warn_rl!(JSONRPC, RL, "{}: {why}", c.name);
            }
        }
        if let Some(mut c) = self.connections.remove(&token) {
            // Closing the descriptor takes it out of the poll as well.
            let _ = registry.deregister(&mut c.stream);
        }
    }
}

impl<C> Drop for Server<C> {
    fn drop(&mut self) {
        // Last replies, `exit`'s above all.
        for (id, reply) in std::mem::take(&mut *self.completions.done.lock()) {
            if let Some(c) = self.connections.values_mut().find(|c| c.id == id) {
                c.reply(reply);
            }
        }
        for c in self.connections.values_mut() {
            let _ = c.flush();
        }
    }
}

/// Whether this process or the system has no descriptors, or no memory for one.
fn is_exhausted(error: &io::Error) -> bool {
    let numbers = [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM];
    error.raw_os_error().is_some_and(|number| numbers.contains(&number))
}

/// Works on one connection until it has to wait.
fn serve<C>(
    c: &mut Connection,
    commands: &mut Commands<C>,
    ctx: &mut C,
    completions: &Arc<Completions>,
) -> Result<(), Closed> {
    for _ in 0..BURST {
        // A client that does not take its reply gets no further ones.
        if !c.flush()? || c.active.is_some() {
            return Ok(());
        }
        let Some(Incoming { id, method, params }) = c.receive()? else {
            return Ok(());
        };
        RECEIVED.add(1);
        let shown = serde_json::to_string(&params).unwrap_or_default();
        crate::dbg!(LOG, "received request {method}{shown}, id={id}");
        c.active = Some(id);
        c.heard = Instant::now();
        let args: Option<Vec<String>> = params
            .into_iter()
            .map(|p| match p {
                Value::String(s) => Some(s),
                _ => None,
            })
            .collect();
        let reply = match args {
            None => Reply::Error(format!("\"{method}\" command has non-string argument")),
            Some(args) => {
                let req = Request {
                    name: &method,
                    args: &args,
                    format: c.format,
                    conn: c.id,
                    completions,
                    new_format: None.into(),
                };
                let reply = commands.run(ctx, &req);
                c.format = req.new_format.take().unwrap_or(c.format);
                reply
            }
        };
        if !matches!(reply, Reply::Later(_)) {
            REPLIED.add(1);
        }
        c.reply(reply);
    }
    if c.flush()? {
        // There may be more in the buffers, of which no event will tell.
        (completions.wake)();
        c.readable = true;
    }
    Ok(())
}

/// `set-options --format text|json`: for the rest of the connection.
fn set_options(req: &Request<'_>) -> Reply {
    let value = match req.args {
        [one] => match one.strip_prefix("--format=") {
            Some(v) => v,
            None if one == "--format" => {
                return Reply::Error("option '--format' requires an argument".into());
            }
            None => return Reply::Error(format!("unrecognized option '{one}'")),
        },
        [name, v] if name == "--format" => v.as_str(),
        other => {
            let first = other.first().map_or("", String::as_str);
            return Reply::Error(format!("unrecognized option '{first}'"));
        }
    };
    match Format::from_name(value) {
        Some(f) => {
            req.new_format.set(Some(f));
            Reply::Text(String::new())
        }
        None => Reply::Error(format!("option format has invalid value {value}")),
    }
}
