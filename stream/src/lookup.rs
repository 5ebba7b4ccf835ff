//! A host name that is being resolved.

use std::io;
use std::net::SocketAddr;

use mio::event::Source;
use mio::unix::pipe;
use mio::{Interest, Registry, Token};

/// The resolution of a host name on a thread of its own, because the system's resolver blocks. It
/// becomes readable when the answer is known.
#[derive(Debug)]
pub struct Lookup {
    lookup: posix::lookup::Lookup,
    /// The thread closes the other end when it has the answer.
    done: pipe::Receiver,
}

impl Lookup {
    /// Starts to resolve `name`, which may be an IPv6 address with a zone.
    ///
    /// # Errors
    ///
    /// The system's, if it gives no thread or no pipe.
    pub fn start(name: &str, port: u16) -> io::Result<Lookup> {
        let (end, done) = pipe::new()?;
        let lookup = posix::lookup::Lookup::start(name, port, move || drop(end))?;
        Ok(Lookup { lookup, done })
    }

    /// The addresses, at least one, in the resolver's order; `None` until they are known.
    pub fn answer(&self) -> Option<io::Result<Vec<SocketAddr>>> {
        self.lookup.answer()
    }
}

impl Source for Lookup {
    fn register(&mut self, registry: &Registry, token: Token, on: Interest) -> io::Result<()> {
        self.done.register(registry, token, on)
    }

    fn reregister(&mut self, registry: &Registry, token: Token, on: Interest) -> io::Result<()> {
        self.done.reregister(registry, token, on)
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        self.done.deregister(registry)
    }
}
