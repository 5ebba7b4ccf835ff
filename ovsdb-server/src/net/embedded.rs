//! The server inside another program, on a thread of its own.
//!
//! ```no_run
//! # use ovsdb_server::net::{EmbeddedServer, Embedding};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = EmbeddedServer::start(Embedding {
//!     file: Some("/etc/openvswitch/conf.db".into()),
//!     remotes: vec!["punix:/var/run/openvswitch/db.sock".into()],
//!     ..Embedding::default()
//! })?;
//! // ... clients, also those in this process, come through the sockets ...
//! server.stop(); // Or drop it.
//! # Ok(()) }
//! ```

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use mio::{Events, Poll, Token, Waker};
use runtime::clock::Clock;

use super::dbcolumn::TlsSources;
use super::remote::RemoteOptions;
use super::service::Service;
use super::{MODULES, OVSDB};
use crate::database::Database;
use crate::error::Error;
use crate::rowid::RowIds;
use crate::schema::Schema;

const WAKER: Token = Token(0);
const FIRST: usize = 1;

/// How to embed a server.
pub struct Embedding {
    /// Its file, made if it is not there; `None` = in memory only.
    pub file: Option<PathBuf>,
    /// The schema of a new database, as JSON.
    pub schema: String,
    /// Where it listens: `punix:PATH` and so on, `db:DB,TABLE,COLUMN` too.
    pub remotes: Vec<String>,
    /// The files for TLS.
    pub tls: TlsSources,
    /// The program's clock.
    pub clock: Clock,
}

impl Default for Embedding {
    /// The `Open_vSwitch` database in memory, without remotes.
    fn default() -> Embedding {
        Embedding {
            file: None,
            schema: ovsdb::vswitch::DATABASE.schema().to_json(),
            remotes: Vec::new(),
            tls: TlsSources::default(),
            clock: Clock::new(),
        }
    }
}

/// Why there is no embedded server.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The database cannot be opened or made.
    #[error("{}: {error}", file.display())]
    Database {
        /// The file, empty if there is none.
        file: PathBuf,
        /// Why.
        error: Error,
    },
    /// A remote is none, or cannot be listened at.
    #[error("{0}")]
    Remote(String),
    /// The system refuses.
    #[error("{what}: {error}")]
    System {
        /// What we wanted.
        what: &'static str,
        /// Why not.
        error: io::Error,
    },
}

/// A server on its own thread. It stops when this is dropped.
pub struct EmbeddedServer {
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<()>>,
    ports: BTreeMap<String, u16>,
}

impl EmbeddedServer {
    /// Opens the database and the listeners, then starts the thread.
    ///
    /// # Errors
    ///
    /// The database or a listener cannot be opened.
    pub fn start(embedding: Embedding) -> Result<EmbeddedServer, EmbedError> {
        runtime::log::register(MODULES);
        let system = |what| move |error| EmbedError::System { what, error };
        let poll = Poll::new().map_err(system("poll"))?;
        let waker = Arc::new(Waker::new(poll.registry(), WAKER).map_err(system("poll"))?);
        let registry = poll.registry().try_clone().map_err(system("poll"))?;
        let mut service = Service::new(registry, FIRST, embedding.clock)
            .map_err(|error| EmbedError::Database { file: PathBuf::new(), error })?;
        open(&mut service, embedding.file, &embedding.schema)?;
        service.set_tls(embedding.tls);
        for remote in &embedding.remotes {
            service.add_remote(remote, RemoteOptions::default()).map_err(EmbedError::Remote)?;
        }
        service.turn();
        let mut ports = BTreeMap::new();
        for remote in &embedding.remotes {
            if let Some(problem) = service.listen_problem(remote) {
                return Err(EmbedError::Remote(format!("{remote}: {problem}")));
            }
            ports.extend(service.bound_port(remote).map(|port| (remote.clone(), port)));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::Builder::new()
            .name("ovsdb".to_owned())
            .spawn(move || run(service, poll, &stopped))
            .map_err(system("thread"))?;
        Ok(EmbeddedServer { stop, waker, thread: Some(thread), ports })
    }

    /// The TCP port of a remote as it was given, such as `ptcp:0:127.0.0.1`.
    pub fn port(&self, remote: &str) -> Option<u16> {
        self.ports.get(remote).copied()
    }

    /// False if the thread has ended by itself, which it should not.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Stops the server; what was acknowledged is on the disk.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Err(error) = self.waker.wake() {
            runtime::err!(OVSDB, "cannot wake the database's thread: {error}");
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            runtime::err!(OVSDB, "the database's thread has panicked");
        }
    }
}

impl Drop for EmbeddedServer {
    fn drop(&mut self) {
        if self.thread.is_some() {
            self.end();
        }
    }
}

fn open(service: &mut Service, file: Option<PathBuf>, schema: &str) -> Result<(), EmbedError> {
    let schema = Schema::parse(schema)
        .map_err(|error| EmbedError::Database { file: PathBuf::new(), error })?;
    let Some(file) = file else {
        let database = Database::create(schema, RowIds::random());
        return service
            .add_memory_database(database)
            .map_err(|error| EmbedError::Database { file: PathBuf::new(), error });
    };
    let opened = match file.exists() {
        true => Ok(()),
        false => Database::create_file(&file, &schema),
    };
    opened
        .and_then(|()| service.open_database(&file).map(drop))
        .map_err(|error| EmbedError::Database { file, error })
}

fn run(mut service: Service, mut poll: Poll, stop: &AtomicBool) {
    let mut events = Events::with_capacity(256);
    while !stop.load(Ordering::Acquire) {
        service.turn();
        if let Err(error) = service.wait(&mut poll, &mut events, None, |_, _| {}) {
            runtime::err!(OVSDB, "poll failed: {error}");
            break;
        }
    }
    service.close();
}
