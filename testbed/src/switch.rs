//! A private database server and switch daemon, and the tools to drive them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use super::debian::{SCHEMA, tool};
use super::error::wait_for;
use super::process::{self, Process};
use super::{Daemon, Error, Netns, Ovsdb, Scratch};

/// How long a tool, or a daemon that starts or ends, may take.
const LIMIT: Duration = Duration::from_secs(20);

/// A switch of its own: a database and a daemon in one network namespace, files in one folder. Dropping it ends both and removes the folder.
pub struct Switch {
    // Fields are dropped in this order: processes first, then their folder and namespace.
    vswitchd: Option<Process>,
    server: Option<Process>,
    /// Further arguments for the daemon.
    pub arguments: Vec<String>,
    /// Further arguments for the database server.
    pub server_arguments: Vec<String>,
    /// Where the daemon is to look for its database, in place of the server's socket.
    pub remotes: Option<String>,
    daemon: Daemon,
    ovsdb: Ovsdb,
    /// Our own tools, if they are to be used.
    tools: Option<PathBuf>,
    dir: Scratch,
    ns: Arc<Netns>,
}

impl Switch {
    /// Starts both in `ns`. The folder's name begins with `prefix`.
    pub fn start(ns: Arc<Netns>, daemon: Daemon, prefix: &str) -> Result<Switch, Error> {
        Switch::start_with(ns, daemon, prefix, &[])
    }

    /// As [`Switch::start`], with further arguments for the daemon.
    pub fn start_with(
        ns: Arc<Netns>,
        daemon: Daemon,
        prefix: &str,
        arguments: &[&str],
    ) -> Result<Switch, Error> {
        Switch::start_on(ns, daemon, Ovsdb::find()?, prefix, arguments)
    }

    /// As [`Switch::start_with`], with a choice of who keeps the database. A daemon that embeds
    /// none gets [`Ovsdb::Ours`] instead.
    pub fn start_on(
        ns: Arc<Netns>,
        daemon: Daemon,
        ovsdb: Ovsdb,
        prefix: &str,
        arguments: &[&str],
    ) -> Result<Switch, Error> {
        let ovsdb = ovsdb.beside(&daemon);
        let tools = ovsdb.programs()?;
        let arguments = arguments.iter().map(|a| a.to_string()).collect();
        let dir = Scratch::new(prefix)?;
        let mut s = Switch {
            vswitchd: None,
            server: None,
            arguments,
            server_arguments: Vec::new(),
            remotes: None,
            daemon,
            ovsdb,
            tools,
            dir,
            ns,
        };
        match ovsdb {
            Ovsdb::Embedded => {}
            // It makes its database itself.
            Ovsdb::Ours => s.start_server()?,
            Ovsdb::Debian => {
                let mut c = s.command("ovsdb-tool");
                process::output(c.arg("create").arg(s.path("conf.db")).arg(SCHEMA), LIMIT)?;
                s.start_server()?;
            }
        }
        if ovsdb == Ovsdb::Embedded {
            s.start_vswitchd()?;
            s.vsctl("--no-wait init")?;
        } else {
            s.vsctl("--no-wait init")?;
            s.start_vswitchd()?;
        }
        Ok(s)
    }

    /// A file in the switch's folder, which is also its `OVS_RUNDIR`.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// The network namespace that the daemon runs in.
    pub fn namespace(&self) -> &Arc<Netns> {
        &self.ns
    }

    /// The program that runs.
    pub fn daemon(&self) -> &Daemon {
        &self.daemon
    }

    /// Who keeps the database.
    pub fn ovsdb(&self) -> Ovsdb {
        self.ovsdb
    }

    /// What the daemon is told of its database.
    pub fn database(&self) -> String {
        match (self.ovsdb, &self.remotes) {
            (Ovsdb::Embedded, _) => format!("--embedded-db={}", self.path("conf.db").display()),
            (Ovsdb::Ours | Ovsdb::Debian, Some(remotes)) => remotes.clone(),
            (Ovsdb::Ours | Ovsdb::Debian, None) => {
                format!("unix:{}", self.path("db.sock").display())
            }
        }
    }

    /// The folder of our own tools, if they drive this switch.
    pub fn tools(&self) -> Option<&Path> {
        self.tools.as_deref()
    }

    /// The environment in which the tools find this switch and no other.
    pub fn environment(&self) -> [(&'static str, PathBuf); 4] {
        ["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR"]
            .map(|k| (k, self.dir.path().to_owned()))
    }

    /// A command in the switch's namespace and environment.
    pub fn command(&self, name: &str) -> Command {
        let ours = self.tools.as_ref().map(|d| d.join(name)).filter(|p| p.is_file());
        let program =
            if name.contains('/') { Some(name.into()) } else { ours.or_else(|| tool(name)) };
        let mut c = self.ns.command(program.unwrap_or_else(|| name.into()));
        c.envs(self.environment());
        c
    }

    fn service(&self, name: &str, program: &str, args: &[String]) -> Result<Process, Error> {
        let out = |suffix: &str| {
            let path = self.path(&format!("{name}.{suffix}"));
            fs::File::options()
                .create(true)
                .append(true)
                .open(&path)
                .map_err(|e| Error::io(format!("cannot open {}", path.display()), e))
        };
        let mut c = self.command(program);
        c.args(args).stdin(Stdio::null()).stdout(out("out")?).stderr(out("err")?);
        c.env("RUST_BACKTRACE", "1");
        Process::start(name, c)
    }

    /// Starts the database server; it must not be running, nor be the daemon's own.
    pub fn start_server(&mut self) -> Result<(), Error> {
        if self.ovsdb == Ovsdb::Embedded {
            return Err(Error::Daemon("the database is in the daemon and starts with it".into()));
        }
        let sock = self.path("db.sock");
        let _ = fs::remove_file(&sock);
        // Of the default database, in `OVS_DBDIR`.
        let mut args = vec![
            format!("--remote=punix:{}", sock.display()),
            "--no-chdir".into(),
            "-vconsole:off".into(),
            format!("--log-file={}", self.path("ovsdb-server.log").display()),
        ];
        args.extend(self.server_arguments.iter().cloned());
        self.server = Some(self.service("ovsdb-server", "ovsdb-server", &args)?);
        self.await_start("ovsdb-server", &sock, |s| s.server.as_mut())
    }

    /// Ends the database server, unless it is the daemon's own.
    pub fn stop_server(&mut self) {
        self.server = None;
    }

    /// Starts the daemon; it must not be running.
    pub fn start_vswitchd(&mut self) -> Result<(), Error> {
        let mut args = vec![
            "--no-chdir".into(),
            "-vconsole:off".into(),
            format!("--pidfile={}", self.path("ovs-vswitchd.pid").display()),
            format!("--log-file={}", self.path("ovs-vswitchd.log").display()),
        ];
        args.extend(self.arguments.iter().cloned());
        args.push(self.database());
        let program = self.daemon.path().display().to_string();
        let p = self.service("ovs-vswitchd", &program, &args)?;
        let ctl = self.path(&format!("ovs-vswitchd.{}.ctl", p.id()));
        self.vswitchd = Some(p);
        self.await_start("ovs-vswitchd", &ctl, |s| s.vswitchd.as_mut())?;
        // The socket is there before the program listens to it.
        let mut last = None;
        wait_for("answer from ovs-vswitchd", LIMIT, Duration::from_millis(10), || {
            last = self.appctl("version").err();
            last.is_none()
        })
        .map_err(|e| last.unwrap_or(e))?;
        Ok(())
    }

    fn await_start(
        &mut self,
        name: &str,
        file: &Path,
        process: impl Fn(&mut Switch) -> Option<&mut Process>,
    ) -> Result<(), Error> {
        let mut ended = None;
        let r = wait_for(name, LIMIT, Duration::from_millis(5), || {
            ended = process(self).and_then(|p| p.ended());
            file.exists() || ended.is_some()
        });
        let said = |suffix: &str| {
            fs::read_to_string(self.path(&format!("{name}.{suffix}"))).unwrap_or_default()
        };
        match (r, ended) {
            (_, Some(status)) => Err(Error::Command {
                command: name.into(),
                status: status.to_string(),
                output: said("out") + &said("err") + &said("log"),
            }),
            (Err(Error::Timeout { what, after, .. }), None) => {
                Err(Error::Timeout { what, after, detail: said("err") + &said("log") })
            }
            (Err(e), None) => Err(e),
            (Ok(_), None) => Ok(()),
        }
    }

    /// Ends the daemon as `systemctl stop` would.
    pub fn stop_vswitchd(&mut self) {
        self.vswitchd = None;
    }

    /// Ends the daemon as a crash would.
    pub fn kill_vswitchd(&mut self) {
        if let Some(mut p) = self.vswitchd.take() {
            p.kill();
        }
    }

    /// The daemon's process, while it is meant to run.
    pub fn vswitchd(&mut self) -> Option<&mut Process> {
        self.vswitchd.as_mut()
    }

    /// The pid of the daemon; 0 when it is not running.
    pub fn vswitchd_pid(&self) -> u32 {
        self.vswitchd.as_ref().map_or(0, Process::id)
    }

    /// Runs `ovs-vsctl` with these words, at most 20 s.
    pub fn vsctl(&self, words: &str) -> Result<String, Error> {
        self.vsctl_args(&words.split_whitespace().collect::<Vec<_>>())
    }

    /// As [`Switch::vsctl`], for arguments with white space in them.
    pub fn vsctl_args(&self, args: &[&str]) -> Result<String, Error> {
        let db = format!("--db=unix:{}", self.path("db.sock").display());
        let mut c = self.command("ovs-vsctl");
        c.arg("--timeout=20").arg(db).args(args);
        match process::output(&mut c, LIMIT + Duration::from_secs(5)) {
            // The database has it, an interface does not work: newer ones say so by this status.
            Err(Error::Command { status, output, .. }) if status == "exit status: 65" => Ok(output),
            result => result,
        }
    }

    /// Runs `ovs-appctl` on the daemon with these words.
    pub fn appctl(&self, words: &str) -> Result<String, Error> {
        let ctl = self.path(&format!("ovs-vswitchd.{}.ctl", self.vswitchd_pid()));
        let mut c = self.command("ovs-appctl");
        c.arg("--timeout=20").arg("-t").arg(ctl).args(words.split_whitespace());
        process::output(&mut c, LIMIT + Duration::from_secs(5))
    }

    /// What the daemon has logged.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("ovs-vswitchd.log")).unwrap_or_default()
    }

    /// What the daemon has printed on standard error: nothing, unless it panicked.
    pub fn stderr(&self) -> String {
        fs::read_to_string(self.path("ovs-vswitchd.err")).unwrap_or_default()
    }
}
