//! One connection: its socket and its origin.

use mio::{Registry, Token};
use ofproto::controller::{Agent, Class, ConnId};
use wire::Time;

use crate::socket::{Ended, Socket};
use stream::Stream;
use stream::reconnect::Reconnect;

/// The first of the poll's tokens that are connections and listeners.
pub const TOKENS: usize = 1 << 16;

/// Where a connection comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// An endpoint, by its target.
    Endpoint(String),
    /// The bridge's snoop socket.
    Snoop,
}

/// How far a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PeerState {
    /// The socket is being connected; the agent does not know it.
    Connecting,
    /// The agent handles its messages.
    Open,
    /// The agent has ended it: it is closed when everything is written.
    Closing,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) id: ConnId,
    pub(crate) origin: Origin,
    /// The connection's name in the log.
    pub(crate) name: String,
    pub(crate) socket: Socket,
    /// Probes of an accepted connection; those of one that the switch makes are its endpoint's.
    pub(crate) reconnect: Option<Reconnect>,
    pub(crate) state: PeerState,
}

impl Peer {
    pub(crate) fn new(id: ConnId, origin: Origin, name: String, stream: Stream) -> Peer {
        let socket = Socket::new(stream);
        Peer { id, origin, name, socket, reconnect: None, state: PeerState::Connecting }
    }

    pub(crate) fn register(&mut self, registry: &Registry) -> std::io::Result<()> {
        self.socket.register(registry, token(self.id.0))
    }

    /// Writes what the socket takes. `Some(now)` if a whole message was written.
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
pub(crate) fn token(id: u64) -> Token {
    // A daemon does not allocate 2^63 identifiers.
    Token(TOKENS + id as usize)
}

/// Whether a message shows that the controller has admitted the switch: it is none of those by which
/// a controller only finds out what the switch is.
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
    fn message_admits_switch_unless_it_is_discovery() {
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
