//! `--embedded-db`: the database served from this process, on a thread of its own.
//!
//! Clients, this daemon among them, come through `db.sock`. Nothing but that socket joins the
//! database to the switch: a transaction takes the time of its own thread, not that of links or
//! packets. The remotes and the files for TLS are those with which a distribution starts
//! `ovsdb-server`: `ovs-vsctl set-manager` and `set-ssl` have their effect. Its control commands
//! are there too: the daemon's own socket answers `ovsdb-server/*`, and there is a second socket,
//! `ovsdb-server.PID.ctl`, with a pidfile where the daemon has one, so that
//! `ovs-appctl -t ovsdb-server` reaches it.

use std::cell::RefCell;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
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

/// What a server of its own is called.
const SERVER: &str = ovsdb_server::cli::PROGRAM;

/// How long after a database that cannot be opened again the next attempt is made.
const AGAIN: Duration = Duration::from_secs(1);

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A directory is not there and cannot be made.
    #[error("{path}: cannot make this directory ({})", posix::text(error))]
    Directory { path: PathBuf, error: io::Error },
    /// `db.sock` has a server.
    #[error(
        "{path}: {who} serves a database here already; stop it, or start this daemon without \
         --embedded-db to use it"
    )]
    Served { path: PathBuf, who: String },
    /// The file has a server.
    #[error(
        "{file}: {who} has this database open; stop it, or name another file with \
         --embedded-db=FILE"
    )]
    Locked { file: PathBuf, who: String },
    /// The server says why.
    #[error("--embedded-db: {0}")]
    Server(#[from] EmbedError),
}

/// The database's server; it stops when this is dropped.
pub struct Embedded {
    embedding: Embedding,
    server: Option<EmbeddedServer>,
    /// Not before: it could not be started again.
    again: Time,
}

/// Makes the directories that a host without Open vSwitch does not have: those of sockets and of
/// the database; the log's is made with the log. With `--user` they are the administrator's to
/// make, who knows whose they are to be.
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
        let made = DirBuilder::new().recursive(true).mode(0o755).create(&path);
        made.map_err(|error| Error::Directory { path, error })?;
    }
    Ok(())
}

impl Embedded {
    /// Opens the database, which is made if it is not there and converted if its schema is older
    /// than ours, and serves it on `db.sock` and on the remotes in it. To be called after the
    /// last fork.
    ///
    /// # Errors
    ///
    /// Somebody else serves there, or has the file open; or the file cannot be read or made.
    pub fn start(file: &Path, options: &Options, dirs: &Dirs) -> Result<Embedded, Error> {
        let socket = dirs.run.join("db.sock");
        // The server would take the place of a socket that somebody listens to.
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
            // With a clock of its own: `time/stop` stops the switch, not its database.
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
        Ok(Embedded { embedding, server: Some(server), again: Time::ZERO })
    }

    /// Starts it again if its thread has ended, which it does only by a mistake in the program:
    /// what was acknowledged is in the file.
    pub fn tend(&mut self, now: Time) {
        if self.server.as_ref().is_some_and(EmbeddedServer::is_running) || now < self.again {
            return;
        }
        // Its lock on the file goes with it.
        drop(self.server.take());
        self.again = now + AGAIN;
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

/// Registers `ovsdb-server/*`, answered by the database's thread.
pub fn register<C>(commands: &mut Commands<C>, database: &Rc<RefCell<Option<Embedded>>>) {
    let database = database.clone();
    control::forward(commands, move |_, ask| {
        if let Some(database) = database.borrow().as_ref() {
            database.ask(ask);
        }
    });
}

/// Where the control socket of a server of its own would be.
pub fn unixctl_path(dirs: &Dirs) -> PathBuf {
    dirs.run.join(format!("{SERVER}.{}.ctl", std::process::id()))
}

/// What the control socket of a server of its own would answer. `exit` is refused: it would mean
/// the switch.
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

/// The pidfile of a server of its own, by which `ovs-appctl -t ovsdb-server` finds the control
/// socket. Without it that takes the socket's path.
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

/// Who listens at a socket, in words.
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

/// The files that the command line names, each without a name where the database says.
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

    /// Directories below one that is not there yet, and what the command line says.
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
    fn on_a_bare_host_and_beside_another_server() {
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
        // What a dead server left is no obstacle.
        drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
        drop(start(&dirs, &options).unwrap());
    }

    #[test]
    fn a_thread_that_ends_is_started_again() {
        let (_folder, dirs, options) = bare("again");
        make_directories(&options, &dirs).unwrap();
        let mut database = start(&dirs, &options).unwrap();
        database.tend(Time::from_millis(1));
        database.ask(Box::new(|_| panic!("as a mistake in the program would")));
        let begun = Instant::now();
        while database.server.as_ref().is_some_and(EmbeddedServer::is_running) {
            assert!(begun.elapsed() < Duration::from_secs(10));
            std::thread::sleep(Duration::from_millis(1));
        }
        database.tend(Time::from_millis(2));
        assert!(database.server.as_ref().is_some_and(EmbeddedServer::is_running));
        UnixStream::connect(dirs.run.join("db.sock")).expect("it listens again");
    }

    #[test]
    fn a_directory_that_cannot_be_made() {
        let (folder, dirs, options) = bare("file");
        fs::write(&folder.0, "no directory").unwrap();
        let e = make_directories(&options, &dirs).unwrap_err().to_string();
        assert!(e.contains("cannot make this directory"), "{e}");
        fs::remove_file(&folder.0).unwrap();
    }
}
