//! Names of hosts, looked up on a thread: the system's resolver blocks, for many seconds where no
//! name server answers.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};

/// A name that is being looked up. Dropping it forgets the answer; the thread ends when the resolver
/// gives up.
#[derive(Debug)]
pub struct Lookup(Receiver<io::Result<Vec<SocketAddr>>>);

impl Lookup {
    /// Begins to look up `name`, an address with a zone among them. `done` is called on the thread
    /// when the answer is there.
    ///
    /// # Errors
    ///
    /// The system has no thread to give.
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
            // Nobody may wait any more.
            let _ = tell.send(found);
            done();
        })?;
        Ok(Lookup(answer))
    }

    /// The addresses, at least one, in the resolver's order (RFC 6724), once they are known.
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
    fn addresses_and_names() {
        assert_eq!(look("127.0.0.1").unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        assert_eq!(look("::1").unwrap(), ["[::1]:7".parse().unwrap()]);
        let here = look("localhost").unwrap();
        assert!(here.iter().all(|a| a.ip().is_loopback() && a.port() == 7), "{here:?}");
        let error = look("no host has white space").unwrap_err().to_string();
        assert!(error.starts_with("no host has white space: "), "{error}");
    }
}
