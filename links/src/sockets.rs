//! Sockets for the protocols of a link itself: LACP, CFM, BFD.
//!
//! Joining a multicast group and closing a packet socket take RTNL, and closing waits for the
//! kernel's readers (RCU) besides. So a socket is opened on the query thread and goes back there
//! to be closed. Descriptor numbers are used anew at once; a registration is therefore part of the
//! value that owns the socket, and events name it by a token that is used once.

use std::sync::Arc;
use std::sync::mpsc::Sender;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use netdev::link::ProtoSocket;

use crate::queries::Order;

/// An open socket, registered with the links thread's poll until it is dropped.
pub(crate) struct ControlSocket {
    /// `None` only while it is dropped.
    io: Option<ProtoSocket>,
    token: usize,
    registry: Arc<Registry>,
    closer: Sender<Order>,
}

impl ControlSocket {
    /// # Errors
    ///
    /// The poll's.
    pub(crate) fn register(
        io: ProtoSocket,
        token: usize,
        registry: Arc<Registry>,
        closer: Sender<Order>,
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

    pub(crate) fn token(&self) -> usize {
        self.token
    }

    pub(crate) fn recv(&mut self) -> Option<&[u8]> {
        self.io.as_mut()?.recv()
    }

    pub(crate) fn send(&mut self, frame: &[u8]) -> std::io::Result<()> {
        match &mut self.io {
            Some(io) => io.send(frame),
            None => Ok(()),
        }
    }

    /// The poll tells of a change only: asks again for frames that are there still.
    pub(crate) fn rearm(&self) {
        let _ =
            self.with_fd(|registry, fd, token| registry.reregister(fd, token, Interest::READABLE));
    }
}

impl Drop for ControlSocket {
    fn drop(&mut self) {
        // Fails only when it is not registered.
        let _ = self.with_fd(|registry, fd, _| registry.deregister(fd));
        if let Some(io) = self.io.take() {
            // Fails at exit, when it is closed here.
            let _ = self.closer.send(Order::Close(io));
        }
    }
}
