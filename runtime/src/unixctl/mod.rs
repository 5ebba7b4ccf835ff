//! The control socket that `ovs-appctl` talks to.
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use runtime::unixctl::{Commands, Reply, Server};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! struct Daemon; // What handlers work on: the main thread's state.
//! # let poll = mio::Poll::new()?;
//! # let registry = poll.registry();
//! # let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(|| {});
//! # let mut daemon = Daemon;
//! # let event_token = mio::Token(0);
//! let mut commands: Commands<Daemon> = Commands::new();
//! commands.register("bond/show", "[port]", 0, 1, |_daemon, req| {
//!     // One value, two faces: `Display` for text, `Serialize` for `--format json`.
//!     if req.args.is_empty() { req.render(&"") } else { Reply::Error("no such bond".into()) }
//! });
//! commands.alias("bond/show-alias", "bond/show"); // Not listed.
//!
//! // Tokens 100..200 of the reactor are the server's: one for the listener, 99 connections.
//! let path = std::path::Path::new("/var/run/openvswitch/ovs-vswitchd.1.ctl");
//! let mut server = Server::bind(path, registry, 100..200, commands, wake)?;
//! // In the reactor, for each event:
//! if server.owns(event_token) {
//!     server.handle_event(&mut daemon, registry, event_token);
//! }
//! // And once each turn, for deferred replies and for clients that send a lot:
//! server.run(&mut daemon, registry);
//! # Ok(()) }
//! ```
//!
//! A handler that cannot answer at once calls [`Request::defer`], keeps the [`Pending`] and
//! returns the reply that comes with it; whoever completes the `Pending`, on any thread, wakes
//! the reactor. A `Pending` that is dropped answers with an error, so no client hangs.
//!
//! Protocol: JSON-RPC 1.0 over a stream, `{"id", "method", "params": [strings]}`, answered with
//! `result` or `error`, a string unless the connection asked for JSON (`set-options --format
//! json`, Open vSwitch 3.5). One request is worked on at a time for each connection; others wait
//! unread. A connection that sends anything else is closed, with one line in the log.

pub mod builtin;
mod connection;
mod server;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Display;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::{Value, json};

pub use server::{Server, UnixctlError};

/// How a connection wants its replies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// Text, as for a terminal.
    #[default]
    Text,
    /// A JSON value.
    Json,
}

impl Format {
    /// Any case.
    pub fn from_name(name: &str) -> Option<Format> {
        match name {
            n if n.eq_ignore_ascii_case("text") => Some(Format::Text),
            n if n.eq_ignore_ascii_case("json") => Some(Format::Json),
            _ => None,
        }
    }
}

/// What a handler answers.
#[derive(Debug)]
pub enum Reply {
    /// Plain text, whatever the format; a JSON connection gets it wrapped in an object.
    Text(String),
    /// A JSON value. Only for a request whose format is JSON; a text connection would be sent
    /// the value's text.
    Json(Value),
    /// Refused; `ovs-appctl` prints the text and exits with status 2.
    Error(String),
    /// The [`Pending`] that was made with it will answer.
    Later(Deferred),
}

/// Proof that a request was deferred.
#[derive(Debug)]
pub struct Deferred(());

/// One request, as its handler sees it.
pub struct Request<'a> {
    /// The command, as it was typed.
    pub name: &'a str,
    /// As many as the registration allows.
    pub args: &'a [String],
    /// The format that the connection asked for.
    pub format: Format,
    conn: u64,
    completions: &'a Arc<Completions>,
    new_format: Cell<Option<Format>>,
}

impl Request<'_> {
    /// `value` as text, or as JSON if the connection wants that.
    pub fn render<T: Display + Serialize + ?Sized>(&self, value: &T) -> Reply {
        match self.format {
            Format::Text => Reply::Text(value.to_string()),
            Format::Json => match serde_json::to_value(value) {
                Ok(v) => Reply::Json(v),
                Err(e) => Reply::Error(format!("{}: cannot be shown as JSON: {e}", self.name)),
            },
        }
    }

    /// Answers later.
    pub fn defer(&self) -> (Pending, Reply) {
        let pending =
            Pending { conn: self.conn, format: self.format, to: Some(self.completions.clone()) };
        (pending, Reply::Later(Deferred(())))
    }
}

/// The answer that a client waits for.
pub struct Pending {
    conn: u64,
    format: Format,
    to: Option<Arc<Completions>>,
}

impl Pending {
    /// Sends the answer. A client that has gone is ignored.
    pub fn complete(mut self, reply: Reply) {
        self.send(reply);
    }

    /// As [`Request::render`], then sent.
    pub fn render<T: Display + Serialize + ?Sized>(self, value: &T) {
        let reply = match self.format {
            Format::Text => Reply::Text(value.to_string()),
            Format::Json => match serde_json::to_value(value) {
                Ok(v) => Reply::Json(v),
                Err(e) => Reply::Error(format!("cannot be shown as JSON: {e}")),
            },
        };
        self.complete(reply);
    }

    /// The format that the connection asked for.
    pub fn format(&self) -> Format {
        self.format
    }

    fn send(&mut self, reply: Reply) {
        if let Some(to) = self.to.take() {
            to.done.lock().push((self.conn, reply));
            (to.wake)();
        }
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.send(Reply::Error("the command was given up".into()));
    }
}

/// Answers on their way from a `Pending` to the server. As many as there are connections at most,
/// because each waits for one.
struct Completions {
    done: Mutex<Vec<(u64, Reply)>>,
    wake: Arc<dyn Fn() + Send + Sync>,
}

type Handler<C> = Box<dyn FnMut(&mut C, &Request<'_>) -> Reply>;

struct Command<C> {
    /// `None` = not listed.
    usage: Option<String>,
    min_args: usize,
    max_args: usize,
    handler: Handler<C>,
}

/// The commands that a server answers. `C` is what handlers work on.
pub struct Commands<C> {
    by_name: BTreeMap<String, Command<C>>,
    aliases: BTreeMap<String, String>,
}

impl<C> Default for Commands<C> {
    fn default() -> Commands<C> {
        Commands::new()
    }
}

impl<C> Commands<C> {
    /// No commands.
    pub fn new() -> Commands<C> {
        Commands { by_name: BTreeMap::new(), aliases: BTreeMap::new() }
    }

    /// Adds a command. `usage` shows its arguments in `list-commands`; `max_args` may be
    /// `usize::MAX`. A second registration of a name replaces the first.
    pub fn register(
        &mut self,
        name: &str,
        usage: &str,
        min_args: usize,
        max_args: usize,
        handler: impl FnMut(&mut C, &Request<'_>) -> Reply + 'static,
    ) {
        self.add(name, Some(usage.to_owned()), min_args, max_args, Box::new(handler));
    }

    /// As [`Commands::register`], but `list-commands` does not show it.
    pub fn register_hidden(
        &mut self,
        name: &str,
        min_args: usize,
        max_args: usize,
        handler: impl FnMut(&mut C, &Request<'_>) -> Reply + 'static,
    ) {
        self.add(name, None, min_args, max_args, Box::new(handler));
    }

    /// Makes `alias` run the command `name`; it is not listed.
    pub fn alias(&mut self, alias: &str, name: &str) {
        self.aliases.insert(alias.to_owned(), name.to_owned());
    }

    fn add(
        &mut self,
        name: &str,
        usage: Option<String>,
        min_args: usize,
        max_args: usize,
        handler: Handler<C>,
    ) {
        self.by_name.insert(name.to_owned(), Command { usage, min_args, max_args, handler });
    }

    /// The listed commands and their usage, by name.
    fn listed(&self) -> BTreeMap<&str, &str> {
        self.by_name
            .iter()
            .filter_map(|(n, c)| c.usage.as_deref().map(|u| (n.as_str(), u)))
            .collect()
    }

    /// Runs a command; all that is wrong with a request becomes an error reply.
    fn run(&mut self, ctx: &mut C, req: &Request<'_>) -> Reply {
        let name = req.name;
        if name == "list-commands" && req.args.is_empty() {
            return self.list(req);
        }
        let known = self.aliases.get(name).map_or(name, String::as_str);
        match self.by_name.get_mut(known) {
            None => Reply::Error(format!(
                "\"{name}\" is not a valid command (use \"list-commands\" to see a list of valid \
                 commands)"
            )),
            Some(c) if req.args.len() < c.min_args => Reply::Error(format!(
                "\"{name}\" command requires at least {} arguments",
                c.min_args
            )),
            Some(c) if req.args.len() > c.max_args => {
                Reply::Error(format!("\"{name}\" command takes at most {} arguments", c.max_args))
            }
            Some(c) => (c.handler)(ctx, req),
        }
    }

    fn list(&self, req: &Request<'_>) -> Reply {
        match req.format {
            Format::Json => Reply::Json(json!(self.listed())),
            Format::Text => {
                let mut s = String::from("The available commands are:\n");
                for (name, usage) in self.listed() {
                    s.push_str(&format!("  {name:<23} {usage}\n"));
                }
                Reply::Text(s)
            }
        }
    }
}
