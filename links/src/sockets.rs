//! The sockets for the protocols of a link itself (LACP, CFM, BFD), and how their frames are sent.
//!
//! [`Sockets`] owns every socket and its registration with the poll. Joining a multicast group and
//! closing a packet socket take RTNL, and closing waits for the kernel's readers (RCU) besides. So a
//! socket is opened on the query thread and goes back there to be closed. The system reuses a
//! descriptor's number at once; events therefore name a socket by a token that is used once.

use std::collections::BTreeMap;
use std::sync::Arc;

use datapath::{Action, Datapath, Execute, PortNo};
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use netdev::Packet;
use netdev::link::ProtoSocket;

use crate::queries::{Closer, Purpose};

/// The device that a socket is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BoundTo {
    pub(crate) name: String,
    pub(crate) ifindex: u32,
    /// Tells a re-created device from the old one: it may have the same index, but another port number.
    pub(crate) port_no: Option<PortNo>,
}

/// What became of a frame.
#[derive(Debug)]
pub(crate) enum Sent {
    /// It was sent by a socket or handed to the datapath, which drops it while its queue is full.
    Done,
    /// The device refused it.
    Refused(std::io::Error),
    /// There is neither a socket nor a datapath port.
    NoPath,
}

/// Every socket by what it is for.
pub(crate) struct Sockets {
    wanted: BTreeMap<Purpose, BoundTo>,
    open: BTreeMap<Purpose, ControlSocket>,
    /// By token.
    purposes: BTreeMap<usize, Purpose>,
    next_token: usize,
    registry: Arc<Registry>,
    closer: Closer,
    datapath: Arc<dyn Datapath>,
}

impl Sockets {
    /// Tokens are `first_token` and above.
    pub(crate) fn new(
        registry: Registry,
        first_token: usize,
        closer: Closer,
        datapath: Arc<dyn Datapath>,
    ) -> Sockets {
        Sockets {
            wanted: BTreeMap::new(),
            open: BTreeMap::new(),
            purposes: BTreeMap::new(),
            next_token: first_token,
            registry: Arc::new(registry),
            closer,
            datapath,
        }
    }

    /// Replaces the set of wanted sockets and closes those that are not in it. Gives those that are
    /// to be opened; [`Sockets::opened`] takes them.
    pub(crate) fn want(&mut self, wanted: BTreeMap<Purpose, BoundTo>) -> Vec<(Purpose, BoundTo)> {
        let old = std::mem::replace(&mut self.wanted, wanted);
        let stays = |purpose: &Purpose| {
            self.wanted.get(purpose).is_some_and(|to| old.get(purpose) == Some(to))
        };
        self.open.retain(|purpose, _| stays(purpose));
        self.purposes.retain(|_, purpose| self.open.contains_key(purpose));
        let missing = self.wanted.iter().filter(|(purpose, _)| !self.open.contains_key(purpose));
        missing.map(|(purpose, to)| (purpose.clone(), to.clone())).collect()
    }

    /// Takes a socket that was opened, if it is still wanted.
    ///
    /// # Errors
    ///
    /// The poll's.
    pub(crate) fn opened(&mut self, purpose: Purpose, socket: ProtoSocket) -> std::io::Result<()> {
        let to = self.wanted.get(&purpose);
        // The name may have passed to another device since.
        if to.is_none_or(|to| to.ifindex != socket.ifindex()) || self.open.contains_key(&purpose) {
            self.closer.close(socket);
            return Ok(());
        }
        let token = self.next_token;
        self.next_token += 1;
        let (registry, closer) = (self.registry.clone(), self.closer.clone());
        let socket = ControlSocket::register(socket, token, registry, closer)?;
        self.open.insert(purpose.clone(), socket);
        self.purposes.insert(token, purpose);
        Ok(())
    }

    /// What the socket with this token is for; `None` if it has been closed.
    pub(crate) fn purpose(&self, token: usize) -> Option<&Purpose> {
        self.purposes.get(&token)
    }

    /// Whether there is a socket for this.
    pub(crate) fn is_open(&self, purpose: &Purpose) -> bool {
        self.open.contains_key(purpose)
    }

    /// The next frame that has arrived.
    pub(crate) fn recv(&mut self, purpose: &Purpose) -> Option<&[u8]> {
        self.open.get_mut(purpose)?.recv()
    }

    /// Enables the next event. Call it after the last [`Sockets::recv`] of a turn; frames that have
    /// arrived before the call raise the event too.
    pub(crate) fn rearm(&self, purpose: &Purpose) {
        if let Some(socket) = self.open.get(purpose) {
            socket.rearm();
        }
    }

    /// Sends a frame by the socket for `purpose`, otherwise by the datapath port. Waits for
    /// nothing.
    pub(crate) fn send(
        &mut self,
        purpose: &Purpose,
        port_no: Option<PortNo>,
        frame: &[u8],
    ) -> Sent {
        match (self.open.get_mut(purpose), port_no) {
            (Some(socket), _) => match socket.send(frame) {
                Ok(()) => Sent::Done,
                Err(e) => Sent::Refused(e),
            },
            (None, Some(port_no)) => {
                let _ = self.datapath.execute_urgent(Execute {
                    packet: Packet::new(frame),
                    in_port: PortNo::NONE,
                    actions: vec![Action::Output(port_no)],
                });
                Sent::Done
            }
            (None, None) => Sent::NoPath,
        }
    }
}

/// An open socket, registered with the links thread's poll until it is dropped.
struct ControlSocket {
    /// `None` only while it is dropped.
    io: Option<ProtoSocket>,
    token: usize,
    registry: Arc<Registry>,
    closer: Closer,
}

impl ControlSocket {
    fn register(
        io: ProtoSocket,
        token: usize,
        registry: Arc<Registry>,
        closer: Closer,
    ) -> std::io::Result<ControlSocket> {
        let socket = ControlSocket { io: Some(io), token, registry, closer };
        socket.with_fd(|registry, fd, token| registry.register(fd, token, Interest::READABLE))?;
        Ok(socket)
    }

    fn with_fd(
        &self,
        call: impl FnOnce(&Registry, &mut SourceFd<'_>, Token) -> std::io::Result<()>,
    ) -> std::io::Result<()> {
        match &self.io {
            Some(io) => call(&self.registry, &mut SourceFd(&io.fd()), Token(self.token)),
            None => Ok(()),
        }
    }

    fn recv(&mut self) -> Option<&[u8]> {
        self.io.as_mut()?.recv()
    }

    fn send(&mut self, frame: &[u8]) -> std::io::Result<()> {
        match &mut self.io {
            Some(io) => io.send(frame),
            None => Ok(()),
        }
    }

    /// The poll is edge-triggered: asks again for frames that are there.
    fn rearm(&self) {
        let _ =
            self.with_fd(|registry, fd, token| registry.reregister(fd, token, Interest::READABLE));
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Fails only when it is not registered.
        let _ = self.with_fd(|registry, fd, _| registry.deregister(fd));
        if let Some(io) = self.io.take() {
            self.closer.close(io);
        }
    }
}
