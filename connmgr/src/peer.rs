//! One connection: a socket, and whose it is.

use mio::{Registry, Token};
use ofproto::controller::{Agent, Class, ConnId};
use wire::Time;

use crate::reconnect::Reconnect;
use crate::socket::{Ended, Socket};
use crate::stream::Stream;

/// The first of the poll's tokens that are connections and listeners.
pub const TOKENS: usize = 1 << 16;

/// Whose connection it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// A service, by its target.
    Service(String),
    /// The bridge's snoop socket.
    Snoop,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: ConnId,
    pub(crate) owner: Owner,
    /// As logs have it.
    pub(crate) name: String,
    pub(crate) socket: Socket,
    /// Of one that was accepted; that of one that we made is its service's.
    pub(crate) life: Option<Reconnect>,
    /// The agent knows it.
    pub(crate) told: bool,
    /// The agent has ended it: it closes when everything is written.
    pub(crate) closing: bool,
}

impl Peer {
    pub(crate) fn new(id: ConnId, owner: Owner, name: String, stream: Stream) -> Peer {
        let socket = Socket::new(stream);
        Peer { id, owner, name, socket, life: None, told: false, closing: false }
    }

    pub(crate) fn register(&mut self, registry: &Registry) -> std::io::Result<()> {
        self.socket.register(registry, token(self.id.0))
    }

    /// Writes what can be written; the time if any of it was.
    pub(crate) fn flush(&mut self, now: Time, agent: &mut Agent) -> Result<Option<Time>, Ended> {
        let (id, mut any) = (self.id, None);
        self.socket.flush(|class: Option<Class>, octets| {
            any = Some(now);
            if let Some(class) = class {
                agent.sent(id, class, octets);
            }
        })?;
        Ok(any)
    }
}

/// The poll's token of a connection or listener.
pub(crate) fn token(number: u64) -> Token {
    // The numbers of a daemon's life fit.
    Token(TOKENS + number as usize)
}

/// Whether a message is one that a controller sends only to a switch that it has decided to
/// control, not one that it gets to know the switch by.
pub(crate) fn admits(frame: &[u8]) -> bool {
    let (Some(version), Some(kind)) = (frame.first(), frame.get(1)) else { return false };
    match (version, kind) {
        // Hello, error, echo, features, get and set configuration.
        (_, 0..=3 | 5..=9) => false,
        // Queues' configuration.
        (1, 20 | 21) | (2.., 22 | 23) => false,
        // Asynchronous messages' configuration.
        (4.., 26 | 27) => false,
        // Multipart: groups, table features and description.
        (2.., 18 | 19) => !matches!(frame.get(8..10), Some([0, 6..=8 | 12 | 14])),
        (_, _) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_of_a_controller_that_has_made_up_its_mind() {
        for (frame, is) in [
            (&[4u8, 0, 0, 8, 0, 0, 0, 0][..], false),
            (&[1, 5, 0, 8, 0, 0, 0, 0], false),
            (&[1, 14, 0, 8, 0, 0, 0, 0], true),
            (&[1, 18, 0, 8, 0, 0, 0, 0], true),
            (&[4, 20, 0, 8, 0, 0, 0, 0], true),
            (&[4, 26, 0, 8, 0, 0, 0, 0], false),
            (&[4, 18, 0, 16, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0], false),
            (&[4, 18, 0, 16, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0], true),
            (&[], false),
        ] {
            assert_eq!(admits(frame), is, "{frame:?}");
        }
    }
}
