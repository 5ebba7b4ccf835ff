//! Host name resolution on a thread of its own, because getaddrinfo(3) blocks, for many seconds when
//! no name server answers.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// A host name that is being resolved. Dropping it discards the answer; the thread ends when the
/// resolver returns.
#[derive(Debug)]
pub struct Lookup(Receiver<io::Result<Vec<SocketAddr>>>);

impl Lookup {
    /// Starts to resolve `name`, which may also be an address, with or without a zone. `done` is
    /// called on the resolving thread after the answer is available.
    ///
    /// # Errors
    ///
    /// No thread could be created.
    pub fn start(
        name: &str,
        port: u16,
        done: impl FnOnce() + Send + 'static,
    ) -> io::Result<Lookup> {
        let (tell, answer) = sync_channel(1);
        let name = name.to_owned();
        std::thread::Builder::new().name("lookup".to_owned()).spawn(move || {
            let found: io::Result<Vec<SocketAddr>> =
                (name.as_str(), port).to_socket_addrs().map(Iterator::collect);
            let found = match found {
                Ok(all) if all.is_empty() => {
                    Err(io::Error::other(format!("{name}: the name has no address")))
                }
                Ok(all) => Ok(all),
                Err(error) => Err(io::Error::other(format!("{name}: {}", crate::text(error)))),
            };
            // The `Lookup` may have been dropped.
            let _ = tell.send(found);
            done();
        })?;
        Ok(Lookup(answer))
    }

    /// The addresses, at least one, in the resolver's order (RFC 6724). `None` while they are not
    /// known. The answer is taken; a call after that returns an error.
    ///
    /// # Errors
    ///
    /// The name and the resolver's reason.
    pub fn answer(&self) -> Option<io::Result<Vec<SocketAddr>>> {
        match self.0.try_recv() {
            Ok(answer) => Some(answer),
            Err(TryRecvError::Empty) => None,
            Err(TryRecvError::Disconnected) => Some(Err(io::ErrorKind::Other.into())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(name: &str) -> io::Result<Vec<SocketAddr>> {
        let (tell, told) = sync_channel(1);
        let lookup = Lookup::start(name, 7, move || tell.send(()).unwrap()).unwrap();
        told.recv().unwrap();
        lookup.answer().expect("an answer")
    }

    #[test]
    fn lookup_resolves_addresses_and_names() {
        assert_eq!(look("127.0.0.1").unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        assert_eq!(look("::1").unwrap(), ["[::1]:7".parse().unwrap()]);
        let here = look("localhost").unwrap();
        assert!(here.iter().all(|a| a.ip().is_loopback() && a.port() == 7), "{here:?}");
        let error = look("no host has white space").unwrap_err().to_string();
        assert!(error.starts_with("no host has white space: "), "{error}");
    }
}
