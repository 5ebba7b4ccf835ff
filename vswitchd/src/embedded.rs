//! `--embedded-db`: the database served from this process, on a thread of its own.
//!
//! Clients, including this daemon, connect to `db.sock`. The switch and the database share nothing
//! but that socket, so that a transaction uses the time of the database's thread only. Remotes and
//! TLS files are read from the database, as distributions configure `ovsdb-server`, so that
//! `ovs-vsctl set-manager` and `set-ssl` work. The daemon's control socket answers `ovsdb-server/*`.
//! A second control socket, `ovsdb-server.PID.ctl`, and a pidfile serve
//! `ovs-appctl -t ovsdb-server`.

use std::cell::RefCell;
use std::fs;
use std::io;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

use ovsdb_server::control::{self, Ask};
use ovsdb_server::log::LockFile;
use ovsdb_server::net::{EmbedError, EmbeddedServer, Embedding, TlsSources};
use rustix::net::sockopt;
use wire::Time;

use crate::daemon::Pidfile;
use crate::modules::VSWITCHD;
use crate::options::{Dirs, Options, PROGRAM, TlsSettings};
use crate::unixctl::{Commands, Reply, builtin};

/// The name of a separate server.
const SERVER: &str = ovsdb_server::cli::PROGRAM;

/// The time between two attempts to start the server again.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why the database cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory does not exist and cannot be created.
    #[error("{path}: cannot make this directory ({})", posix::text(error))]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why it cannot be created.
        error: io::Error,
    },
    /// Another process listens at `db.sock`.
    #[error(
        "{path}: {who} serves a database here already; stop it, or start this daemon without \
         --embedded-db to use it"
    )]
    Served {
        /// The socket.
        path: PathBuf,
        /// The process.
        who: String,
    },
    /// Another process has the file open.
    #[error(
        "{file}: {who} has this database open; stop it, or name another file with \
         --embedded-db=FILE"
    )]
    Locked {
        /// The database's file.
        file: PathBuf,
        /// The process.
        who: String,
    },
    /// The server's error.
    #[error("--embedded-db: {0}")]
    Server(#[from] EmbedError),
}

/// The database's server; it stops when this is dropped.
pub struct Embedded {
    embedding: Embedding,
    server: Option<EmbeddedServer>,
    /// The next attempt to start it again is not made before.
    retry_at: Time,
}

/// Creates the directories of sockets and of the database, which a host without Open vSwitch lacks;
/// the log's is created with the log. With `--user` the administrator must create them, because
/// their owner is not known.
///
/// # Errors
///
/// [`Error::Directory`]
pub fn make_directories(options: &Options, dirs: &Dirs) -> Result<(), Error> {
    if options.common.daemon.user.is_some() {
        return Ok(());
    }
    let parent = |path: &Option<PathBuf>| path.as_ref()?.parent().map(Path::to_owned);
    let wanted = [parent(&options.embedded_db), Some(dirs.run.clone())];
    for path in wanted.into_iter().flatten().filter(|p| !p.as_os_str().is_empty()) {
        if path.exists() {
            continue;
        }
        let made = posix::file::make_directories(&path);
        made.map_err(|error| Error::Directory { path, error })?;
    }
    Ok(())
}

impl Embedded {
    /// Opens the database and serves it on `db.sock` and on the remotes that it names. The file is
    /// created if it does not exist and converted if its schema is older than the built-in one. To
    /// be called after the last fork.
    ///
    /// # Errors
    ///
    /// Another process listens at the socket or has the file open, or the file cannot be read or
    /// created.
    pub fn start(file: &Path, options: &Options, dirs: &Dirs) -> Result<Embedded, Error> {
        let socket = dirs.run.join("db.sock");
        // The server would replace the socket of another one.
        if let Some(who) = server_of(&socket) {
            return Err(Error::Served { path: socket, who });
        }
        let embedding = Embedding {
            file: Some(file.to_owned()),
            remotes: vec![
                format!("punix:{}", socket.display()),
                "db:Open_vSwitch,Open_vSwitch,manager_options".to_owned(),
            ],
            tls: tls(&options.common.tls),
            // The server has a clock of its own: `time/stop` stops the switch, not the database.
            ..Embedding::default()
        };
        let server = EmbeddedServer::start(embedding.clone()).map_err(|e| match e {
            EmbedError::Database { file, error } if is_lock(&error) => {
                let who = match LockFile::holder(&file) {
                    Some(pid) => format!("process {pid}"),
                    None => "another process".to_owned(),
                };
                Error::Locked { file, who }
            }
            e => Error::Server(e),
        })?;
        Ok(Embedded { embedding, server: Some(server), retry_at: Time::ZERO })
    }

    /// Starts the server again if its thread has panicked. Acknowledged transactions are in the
    /// file. To be called in each iteration of the main loop.
    pub fn supervise(&mut self, now: Time) {
        if self.server.as_ref().is_some_and(EmbeddedServer::is_running) || now < self.retry_at {
            return;
        }
        // Releases the lock on the file.
        drop(self.server.take());
        self.retry_at = now + RETRY_AFTER;
        match EmbeddedServer::start(self.embedding.clone()) {
            Ok(server) => {
                crate::err!(VSWITCHD, "the database's thread had ended and was started again");
                self.server = Some(server);
            }
            Err(e) => crate::err!(VSWITCHD, "the database's thread has ended; {e}"),
        }
    }

    fn ask(&self, ask: Ask) {
        if let Some(server) = &self.server {
            server.ask(ask);
        }
    }
}

/// Adds the commands `ovsdb-server/*`, which the database's thread answers.
pub fn register<C>(commands: &mut Commands<C>, database: &Rc<RefCell<Option<Embedded>>>) {
    let database = database.clone();
    control::forward(commands, move |_, ask| {
        if let Some(database) = database.borrow().as_ref() {
            database.ask(ask);
        }
    });
}

/// The path of the second control socket, where a separate server has its own.
pub fn unixctl_path(dirs: &Dirs) -> PathBuf {
    dirs.run.join(format!("{SERVER}.{}.ctl", std::process::id()))
}

/// The commands of the second control socket: those of a separate server. `exit` is refused, because
/// it would end the switch.
pub fn commands<C: 'static>(database: &Rc<RefCell<Option<Embedded>>>) -> Commands<C> {
    let mut commands = Commands::new();
    builtin::register_common(&mut commands);
    register(&mut commands, database);
    commands.register("exit", "", 0, 1, |_, _| {
        Reply::Error(format!("the database is served by {PROGRAM}; stop that"))
    });
    let database = database.clone();
    commands.register("memory/show", "", 0, 0, move |_, request| {
        let (pending, later) = request.defer();
        if let Some(database) = database.borrow().as_ref() {
            database.ask(Box::new(move |control| {
                pending.render(&builtin::Usage::new(control.service.memory()));
            }));
        }
        later
    });
    commands
}

/// The pidfile of a separate server, by which `ovs-appctl -t ovsdb-server` finds the second control
/// socket.
pub fn pidfile(options: &Options, dirs: &Dirs) -> Option<Pidfile> {
    let path = dirs.run.join(format!("{SERVER}.pid"));
    match Pidfile::take(&path, options.common.daemon.overwrite_pidfile) {
        Ok(pidfile) => Some(pidfile),
        Err(e) => {
            crate::warn!(VSWITCHD, "ovs-appctl -t {SERVER} will not find the database: {e}");
            None
        }
    }
}

/// The process that listens at a socket, for an error message.
fn server_of(socket: &Path) -> Option<String> {
    let stream = UnixStream::connect(socket).ok()?;
    let pid = sockopt::socket_peercred(&stream).map_or(0, |c| c.pid.as_raw_nonzero().get());
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    Some(match name.trim() {
        "" => "another process".to_owned(),
        name => format!("{name} (pid {pid})"),
    })
}

fn is_lock(error: &ovsdb_server::Error) -> bool {
    error.details.as_deref().is_some_and(|d| d.ends_with("failed to lock lockfile"))
}

/// The TLS files: those of the command line, and for each that it does not name the database's.
fn tls(settings: &TlsSettings) -> TlsSources {
    let mut sources = TlsSources::from(settings);
    let columns = [
        (&mut sources.private_key, "private_key"),
        (&mut sources.certificate, "certificate"),
        (&mut sources.ca_cert, "ca_cert"),
    ];
    for (source, column) in columns {
        source.get_or_insert_with(|| format!("db:Open_vSwitch,SSL,{column}"));
    }
    sources
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::options::Parsed;

    struct Folder(PathBuf);

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// Directories below one that does not exist, and options.
    fn bare(name: &str) -> (Folder, Dirs, Options) {
        let pid = std::process::id();
        let folder = std::env::temp_dir().join(format!("braid-vswitchd-{pid}-{name}"));
        let dirs = Dirs::from_lookup(|n| {
            ["OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR"]
                .contains(&n)
                .then(|| folder.join(n).into_os_string())
        });
        let line = ["ovs-vswitchd", "--embedded-db", "--log-file"];
        let Ok(Parsed::Run(options)) = Options::parse(line, &dirs) else { panic!() };
        (Folder(folder), dirs, *options)
    }

    fn start(dirs: &Dirs, options: &Options) -> Result<Embedded, Error> {
        Embedded::start(options.embedded_db.as_deref().unwrap(), options, dirs)
    }

    #[test]
    fn start_creates_database_and_refuses_second_server() {
        let (folder, dirs, options) = bare("bare");
        make_directories(&options, &dirs).unwrap();
        for name in ["OVS_RUNDIR", "OVS_DBDIR"] {
            assert!(folder.0.join(name).is_dir(), "{name}");
        }
        let first = start(&dirs, &options).unwrap();
        let socket = dirs.run.join("db.sock");
        UnixStream::connect(&socket).expect("it listens");

        let served = start(&dirs, &options).err().expect("refused").to_string();
        let pid = format!("(pid {}) serves a database here already", std::process::id());
        assert!(served.contains(&pid), "{served}");
        UnixStream::connect(&socket).expect("the first one still listens");

        let elsewhere = Dirs { run: folder.0.clone(), ..dirs.clone() };
        let locked = start(&elsewhere, &options).err().expect("refused").to_string();
        assert!(locked.contains("conf.db: another process has this database open"), "{locked}");

        drop(first);
        assert!(!socket.exists());
        // A socket without a listener is replaced.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        drop(start(&dirs, &options).unwrap());
    }

    #[test]
    fn panicked_thread_is_started_again() {
        let (_folder, dirs, options) = bare("again");
        make_directories(&options, &dirs).unwrap();
        let mut database = start(&dirs, &options).unwrap();
        database.supervise(Time::from_millis(1));
        database.ask(Box::new(|_| panic!("as a mistake in the program would")));
        let begun = Instant::now();
        while database.server.as_ref().is_some_and(EmbeddedServer::is_running) {
            assert!(begun.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(1));
        }
        database.supervise(Time::from_millis(2));
        assert!(database.server.as_ref().is_some_and(EmbeddedServer::is_running));
        UnixStream::connect(dirs.run.join("db.sock")).expect("it listens again");
    }

    #[test]
    fn uncreatable_directory_is_an_error() {
        let (folder, dirs, options) = bare("file");
        fs::write(&folder.0, "no directory").unwrap();
        let e = make_directories(&options, &dirs).unwrap_err().to_string();
        assert!(e.contains("cannot make this directory"), "{e}");
        fs::remove_file(&folder.0).unwrap();
    }
}
