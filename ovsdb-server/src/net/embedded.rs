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
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use mio::{Events, Poll, Token, Waker};
use runtime::clock::Clock;
use runtime::log::RateLimit;

use super::dbcolumn::TlsSources;
use super::remote::RemoteOptions;
use super::service::Service;
use super::{MODULES, OVSDB};
use crate::cli::Model;
use crate::control::{Ask, Control};
use crate::database::Database;
use crate::error::Error;
use crate::rowid::RowIds;
use crate::schema::Schema;

const WAKER: Token = Token(0);
const FIRST: usize = 1;

/// What may wait for the server's thread. It comes from the control socket's clients, each of which
/// waits for the answer, so that more means that the thread is stuck.
const MAX_ASKS: usize = 1024;

static RL: RateLimit = RateLimit::new(1, 1);

/// How to embed a server.
#[derive(Clone)]
pub struct Embedding {
    /// Its file, made if it is not there; `None` = in memory only.
    pub file: Option<PathBuf>,
    /// The schema of a new database, as JSON. A file with an older one is converted to it, and
    /// kept beside as `FILE.backupVERSION`.
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
    #[error("{what}: {}", posix::text(error))]
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
    asks: SyncSender<Ask>,
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
        let file = embedding.file.as_deref();
        let name = open(&mut service, file, &embedding.schema).map_err(|error| {
            EmbedError::Database { file: file.unwrap_or(Path::new("")).to_owned(), error }
        })?;
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
        // Trimming locks every arena of the allocator, and with it the program's other threads.
        let mut control = Control { trim: false, ..Control::new(service) };
        control.files.extend(file.map(|file| (name, (file.display().to_string(), Model::File))));
        let (asks, asked) = sync_channel(MAX_ASKS);
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread =
            runtime::panic::spawn_supervised("ovsdb", move || run(control, poll, &asked, &stopped))
                .map_err(system("thread"))?;
        Ok(EmbeddedServer { stop, waker, asks, thread: Some(thread), ports })
    }

    /// The TCP port of a remote as it was given, such as `ptcp:0:127.0.0.1`.
    pub fn port(&self, remote: &str) -> Option<u16> {
        self.ports.get(remote).copied()
    }

    /// False if the thread has ended by itself, which it should not.
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }

    /// Gives the server's thread something to do, such as a command of `ovs-appctl`. `ask` is dropped
    /// if the thread has ended, or if 1,024 of them wait already, which is logged: the client of a
    /// command gets an error then.
    pub fn ask(&self, ask: Ask) {
        match self.asks.try_send(ask) {
            Ok(()) => self.wake(),
            Err(TrySendError::Full(_)) => {
                runtime::warn_rl!(
                    OVSDB,
                    RL,
                    "the database's thread has {MAX_ASKS} commands waiting: another is refused"
                );
            }
            Err(TrySendError::Disconnected(_)) => {}
        }
    }

    fn wake(&self) {
        if let Err(error) = self.waker.wake() {
            runtime::err!(OVSDB, "cannot wake the database's thread: {error}");
        }
    }

    /// Stops the server; what was acknowledged is on the disk.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.wake();
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

/// Opens or makes the database; gives its name.
fn open(service: &mut Service, file: Option<&Path>, schema: &str) -> Result<String, Error> {
    let schema = Schema::parse(schema)?;
    let name = schema.name.clone();
    let Some(file) = file else {
        service.add_database(Database::create(schema, RowIds::random()))?;
        return Ok(name);
    };
    if !file.exists() {
        Database::create_file(file, &schema)?;
        runtime::info!(OVSDB, "{}: a new database", file.display());
        return service.open_database(file);
    }
    let (mut database, warnings) = Database::open(file, RowIds::random())?;
    for warning in warnings {
        runtime::warn!(OVSDB, "{}: {warning}", file.display());
    }
    if database.name() != name {
        let text = format!("it holds the database {}, not {name}", database.name());
        return Err(Error::new("ovsdb error", text));
    }
    let found = database.schema().version.clone();
    if is_older(&found, &schema.version) {
        let mut backup = file.as_os_str().to_owned();
        backup.push(format!(".backup{found}"));
        let backup = PathBuf::from(backup);
        std::fs::copy(file, &backup)
            .map_err(|error| Error::io(format!("{}: copying failed", backup.display()), &error))?;
        let wanted = schema.version.clone();
        database.convert(schema, service.engine_now())?;
        runtime::info!(
            OVSDB,
            "{}: converted from schema version {found} to {wanted}; {} is what it was",
            file.display(),
            backup.display()
        );
    }
    service.add_database(database)?;
    Ok(name)
}

/// Compares `x.y.z`; what is no such thing is older than everything.
fn is_older(version: &str, than: &str) -> bool {
    let numbers = |text: &str| -> Option<Vec<u64>> {
        text.split('.').map(|number| number.parse().ok()).collect()
    };
    numbers(version) < numbers(than)
}

fn run(mut control: Control, mut poll: Poll, asked: &Receiver<Ask>, stop: &AtomicBool) {
    let mut events = Events::with_capacity(256);
    while !stop.load(Ordering::Acquire) {
        while let Ok(ask) = asked.try_recv() {
            ask(&mut control);
        }
        control.turn();
        if let Err(error) = control.service.wait(&mut poll, &mut events, None, |_, _| {}) {
            runtime::err!(OVSDB, "poll failed: {error}");
            break;
        }
    }
    control.service.close();
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path =
                std::env::temp_dir().join(format!("braid-embedded-{}-{name}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn start(&self) -> Result<EmbeddedServer, EmbedError> {
            EmbeddedServer::start(Embedding {
                file: Some(self.0.join("conf.db")),
                remotes: vec![format!("punix:{}/db.sock", self.0.display())],
                ..Embedding::default()
            })
        }

        /// Sends a request; gives the answer as far as `until`.
        fn ask(&self, request: &str, until: &str) -> String {
            let mut socket = UnixStream::connect(self.0.join("db.sock")).unwrap();
            socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
            socket.write_all(request.as_bytes()).unwrap();
            let mut text = String::new();
            let mut buffer = [0; 4096];
            while !text.contains(until) {
                let n = socket.read(&mut buffer).unwrap();
                assert!(n > 0, "{text}");
                text += std::str::from_utf8(&buffer[..n]).unwrap();
            }
            text
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    const INSERT: &str = r#"{"id":1,"method":"transact","params":["Open_vSwitch",{"op":"insert",
        "table":"Open_vSwitch","row":{"ovs_version":"5"}},{"op":"commit","durable":true}]}"#;
    const SELECT: &str = r#"{"id":1,"method":"transact","params":["Open_vSwitch",{"op":"select",
        "table":"Open_vSwitch","where":[],"columns":["ovs_version"]}]}"#;

    #[test]
    fn a_file_is_made_locked_kept_and_converted() {
        let folder = Folder::new("file");
        let server = folder.start().unwrap();
        folder.ask(INSERT, "\"error\":null");
        let second = folder.start().err().expect("locked").to_string();
        assert!(second.contains("failed to lock lockfile"), "{second}");
        server.stop();
        assert!(!folder.0.join("db.sock").exists(), "its socket is gone");

        // The same rows under an older schema, as a file.
        let older = r#"{"name":"Open_vSwitch","version":"1.2.3","tables":{"Open_vSwitch":{
            "isRoot":true,"columns":{"ovs_version":{"type":"string"},"gone":{"type":"string"}}}}}"#;
        let file = folder.0.join("conf.db");
        std::fs::remove_file(&file).unwrap();
        Database::create_file(&file, &Schema::parse(older).unwrap()).unwrap();
        let insert = INSERT.replace("ovs_version\":", "gone\":\"x\",\"ovs_version\":");
        let old = EmbeddedServer::start(Embedding {
            file: Some(file.clone()),
            schema: older.to_owned(),
            remotes: vec![format!("punix:{}/db.sock", folder.0.display())],
            ..Embedding::default()
        })
        .unwrap();
        folder.ask(&insert, "\"error\":null");
        old.stop();
        let before = std::fs::read(&file).unwrap();
        let server = folder.start().unwrap();
        let rows = folder.ask(SELECT, "\"error\":null");
        assert!(rows.contains(r#"{"ovs_version":["set",["5"]]}"#) || rows.contains(r#""5""#));
        let schema =
            folder.ask(r#"{"id":1,"method":"get_schema","params":["Open_vSwitch"]}"#, "\"id\":1");
        assert!(schema.contains("\"Bridge\""));
        assert_eq!(std::fs::read(folder.0.join("conf.db.backup1.2.3")).unwrap(), before);
        server.stop();
        // Read again, it is not converted again.
        std::fs::remove_file(folder.0.join("conf.db.backup1.2.3")).unwrap();
        folder.start().unwrap().stop();
        assert!(!folder.0.join("conf.db.backup1.2.3").exists());
    }

    #[test]
    fn asks_run_on_the_servers_thread() {
        let server = EmbeddedServer::start(Embedding::default()).unwrap();
        let (tell, told) = mpsc::channel();
        server.ask(Box::new(move |control| {
            let names = control.service.engine().database_names().map(str::to_owned);
            tell.send(names.collect::<Vec<_>>()).unwrap();
        }));
        let names = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert!(names.contains(&"Open_vSwitch".to_owned()), "{names:?}");
        assert!(server.is_running());
    }

    #[test]
    fn asks_beyond_the_bound_are_dropped_while_the_thread_is_busy() {
        let server = EmbeddedServer::start(Embedding::default()).unwrap();
        let (go, gone) = mpsc::channel::<()>();
        let (begun, begin) = mpsc::channel();
        server.ask(Box::new(move |_| {
            begun.send(()).unwrap();
            gone.recv().unwrap();
        }));
        begin.recv_timeout(Duration::from_secs(10)).unwrap();
        let (tell, told) = mpsc::channel();
        for number in 0..MAX_ASKS + 3 {
            let tell = tell.clone();
            server.ask(Box::new(move |_| tell.send(number).unwrap()));
        }
        drop(tell);
        go.send(()).unwrap();
        assert!(told.iter().eq(0..MAX_ASKS), "in their order, and those beyond are dropped");
    }

    #[test]
    fn another_database_is_refused() {
        let folder = Folder::new("other");
        let other = Schema::parse(r#"{"name":"Other","version":"1.0.0","tables":{}}"#).unwrap();
        Database::create_file(&folder.0.join("conf.db"), &other).unwrap();
        let error = folder.start().err().expect("refused").to_string();
        assert!(error.contains("holds the database Other, not Open_vSwitch"), "{error}");
    }

    #[test]
    fn versions_compare_by_their_numbers() {
        for (version, than) in [("8.2.0", "8.3.0"), ("8.9.9", "8.10.0"), ("", "1.0.0")] {
            assert!(is_older(version, than) && !is_older(than, version), "{version} {than}");
        }
        assert!(!is_older("8.3.0", "8.3.0"));
    }
}
