//! Bytes under TLS.

use std::fs::OpenOptions;
use std::io::{self, IoSlice, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustls::Connection;

use crate::certificate::{is_self_issued, to_pem};
use crate::{Begun, TlsError, explain};

/// Bytes under TLS over a socket, blocking or not.
#[derive(Debug)]
pub struct Tls<S> {
    /// The socket.
    pub socket: S,
    session: Box<Connection>,
    /// Where to keep the authority that the peer shows.
    bootstrap: Option<PathBuf>,
}

fn bad_tls(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, explain(&error))
}

impl<S: Read + Write> Tls<S> {
    /// A session over a socket, which may still be connecting.
    pub fn new(socket: S, begun: Begun) -> Tls<S> {
        Tls { socket, session: Box::new(begun.session), bootstrap: begun.bootstrap }
    }

    /// Sends what the library holds back; the socket's error where it takes no more.
    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends a handshake that was only made to learn the authority: what was said before it was
    /// known is not to be trusted.
    fn settle(&mut self) -> io::Result<()> {
        if self.session.is_handshaking() {
            return Ok(());
        }
        let Some(file) = self.bootstrap.take() else { return Ok(()) };
        Err(io::Error::other(match self.keep_authority(&file) {
            Ok(()) => TlsError::Learned(file),
            Err(problem) => TlsError::File { path: file, problem },
        }))
    }

    fn keep_authority(&self, file: &Path) -> Result<(), String> {
        let shown = self.session.peer_certificates().unwrap_or_default();
        let last = shown
            .last()
            .filter(|der| is_self_issued(der))
            .ok_or("the peer shows no self-signed certificate to begin with")?;
        let keep = || -> io::Result<()> {
            let mut out = OpenOptions::new().write(true).create_new(true).mode(0o444).open(file)?;
            out.write_all(to_pem(last).as_bytes())?;
            out.sync_all()
        };
        keep().map_err(posix::text)
    }

    /// The name by which the client asked for the server (RFC 6066, section 3), where this is the
    /// server and the client said it.
    pub fn server_name(&self) -> Option<&str> {
        match &*self.session {
            Connection::Server(session) => session.server_name(),
            Connection::Client(_) => None,
        }
    }

    /// Shakes hands, as far as the socket allows it: `WouldBlock` if it has to wait for the peer. To
    /// be called again then.
    ///
    /// # Errors
    ///
    /// The socket's, or the reason for which one side does not take the other.
    pub fn shake_hands(&mut self) -> io::Result<()> {
        while self.session.is_handshaking() {
            self.session.complete_io(&mut self.socket).map_err(|error| {
                // The library's own error is inside of the one for input and output.
                match error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
                    Some(inner) => bad_tls(inner.clone()),
                    None => error,
                }
            })?;
        }
        self.settle()
    }

    fn put(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        if self.bootstrap.is_some() {
            // The connection ends after the handshake; nothing is said to a stranger.
            return Ok(parts.iter().map(|part| part.len()).sum());
        }
        // What is left over of the last time goes first: the library bounds what it holds.
        self.send()?;
        let taken = self.session.writer().write_vectored(parts)?;
        match self.send() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) if taken == 0 => Err(io::ErrorKind::WouldBlock.into()),
            Ok(()) | Err(_) => Ok(taken),
        }
    }
}

impl<S: Read + Write> Read for Tls<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A peer that goes without saying goodbye; the messages are framed, so nothing
                // can be cut off unnoticed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            let end = self.session.read_tls(&mut self.socket)? == 0;
            let understood = self.session.process_new_packets();
            // The handshake's answers, and the alert that says what is wrong. A socket that takes
            // no more takes it at the next write.
            let sent = self.send();
            understood.map_err(bad_tls)?;
            match sent {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Ok(()) | Err(_) => {}
            }
            self.settle()?;
            if end && self.session.is_handshaking() {
                return Ok(0);
            }
        }
    }
}

impl<S: Read + Write> Write for Tls<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.put(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        self.put(parts)
    }

    /// Sends what the library holds back; `WouldBlock` while some of it has to wait.
    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}
