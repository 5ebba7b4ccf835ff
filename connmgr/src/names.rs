//! Resolving a controller's host name, and trying its addresses one after the other.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;

use mio::{Interest, Registry};
use stream::Lookup;

use crate::context::IdAllocator;
use crate::peer::token;

/// The resolution of one host name.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// A look-up that has not been answered yet.
    lookup: Option<Lookup>,
    /// Addresses that have not been tried in this attempt to connect.
    untried: VecDeque<SocketAddr>,
    /// The address that was tried last: in-band control keeps the path to it open.
    last: Option<SocketAddr>,
}

impl Names {
    /// Begins a new attempt to connect.
    pub(crate) fn reset(&mut self) {
        *self = Names { last: self.last, ..Names::default() };
    }

    /// Starts to resolve a name; the poll gets an event when the answer is there.
    ///
    /// # Errors
    ///
    /// The system's, if it has no thread or no pipe for the look-up.
    pub(crate) fn resolve(
        &mut self,
        name: &str,
        port: u16,
        registry: &Registry,
        ids: &mut IdAllocator,
    ) -> io::Result<()> {
        let mut lookup = Lookup::start(name, port)?;
        registry.register(&mut lookup, token(ids.allocate()), Interest::READABLE)?;
        self.lookup = Some(lookup);
        Ok(())
    }

    /// The first address once the name is resolved; `None` before that.
    pub(crate) fn resolved(&mut self) -> Option<Result<SocketAddr, String>> {
        match self.lookup.as_ref()?.answer()? {
            Err(e) => Some(Err(posix::text(e))),
            Ok(found) => {
                self.lookup = None;
                self.untried = found.into();
                self.next().map(Ok)
            }
        }
    }

    /// Forgets a look-up that is under way.
    pub(crate) fn cancel(&mut self) {
        self.lookup = None;
    }

    /// The next address that has not been tried in this attempt.
    pub(crate) fn next(&mut self) -> Option<SocketAddr> {
        let to = self.untried.pop_front()?;
        self.last = Some(to);
        Some(to)
    }

    /// The address that was tried last.
    pub(crate) fn last(&self) -> Option<SocketAddr> {
        self.last
    }
}
