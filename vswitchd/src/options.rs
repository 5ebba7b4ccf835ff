//! The command line, and the directories that the environment sets.
//!
//! Options are those of Open vSwitch's `ovs-vswitchd`, so that service files and scripts work
//! unchanged; `--long-opt` may be abbreviated as with getopt_long(3).

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command};
use runtime::cli::{self, Common, flag, optional, value};

const EMBEDDED: &str = "embedded-db";

pub use ovsdb_client::TlsSettings;
pub use runtime::cli::{Dirs, OVS_VERSION, UsageError};

/// The program's name in logs, pidfiles and control sockets.
pub const PROGRAM: &str = "ovs-vswitchd";

/// The options of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The address of the database server, such as `unix:/var/run/openvswitch/db.sock`.
    pub database: String,
    /// `--embedded-db`: the file of the database that this process serves itself, an absolute
    /// path.
    pub embedded_db: Option<PathBuf>,
    /// Options that all daemons share.
    pub common: Common,
    /// `--enable-dummy[=ARG]`.
    pub dummy: Dummy,
    /// `--disable-system`: devices of the kernel are not opened.
    pub disable_system: bool,
    /// `--disable-system-route`: accepted without effect; the system's routes are not read.
    pub disable_system_route: bool,
    /// `--mlockall`: memory is not swapped out.
    pub mlockall: bool,
    /// `--no-self-confinement`: rows may name Unix sockets outside of the run directory.
    pub unconfined: bool,
}

/// `--enable-dummy`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dummy {
    /// Not given.
    #[default]
    Off,
    /// Dummy devices beside the real ones.
    On,
    /// `=override`: every device is a dummy.
    Override,
    /// `=system`: system devices are dummies.
    System,
}

/// A parsed command line: a run, or a text to print.
pub type Parsed = cli::Parsed<Options>;

impl Options {
    /// Parses a command line, the program's name first.
    ///
    /// # Errors
    ///
    /// Names the option and what is accepted.
    pub fn parse<I, T>(args: I, dirs: &Dirs) -> Result<Parsed, UsageError>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString>,
    {
        cli::parse(command(dirs), args)?.and_then(|m| options(m, dirs))
    }

    /// The path of the control socket; `None` for `--unixctl=none`. To be called after the last fork:
    /// the default contains the process ID.
    pub fn unixctl_path(&self, dirs: &Dirs) -> Option<PathBuf> {
        dirs.unixctl(PROGRAM, self.common.unixctl.as_deref())
    }
}

fn command(dirs: &Dirs) -> Command {
    let command = Command::new(PROGRAM)
        .about(format!(
            "{PROGRAM}: Open vSwitch daemon\nDATABASE is a socket on which ovsdb-server is \
             listening (default: \"unix:{}/db.sock\")",
            dirs.run.display()
        ))
        .arg(Arg::new("database").value_name("DATABASE").num_args(0..));
    cli::add_common(command, dirs).args([
        optional(
            EMBEDDED,
            "FILE",
            "serve the database from this process, at the default DATABASE; FILE is made if it \
             is not there (default: conf.db in the directory of databases)",
        ),
        flag("mlockall", "keep all memory resident"),
        optional("enable-dummy", "ARG", "dummy devices: for tests").hide(true),
        flag("disable-system", "use no existing devices").hide(true),
        flag("disable-system-route", "follow no routes of the system").hide(true),
        optional("dpdk", "ARG", "refused").hide(true),
        value("dummy-numa", "CONFIG", "accepted").hide(true),
        flag("hw-rawio-access", "accepted").hide(true),
    ])
}

fn options(m: &ArgMatches, dirs: &Dirs) -> Result<Options, UsageError> {
    let text = |name: &str| m.get_one::<String>(name).cloned();
    if m.contains_id("dpdk") {
        return Err(UsageError(
            "--dpdk: DPDK is not supported; devices are used through the kernel".into(),
        ));
    }
    let embedded_db = match text(EMBEDDED) {
        None => None,
        Some(file) if file.is_empty() => Some(dirs.db.join("conf.db")),
        // The daemon changes its working directory.
        Some(file) => Some(std::path::absolute(&file).unwrap_or_else(|_| file.into())),
    };
    let default = format!("unix:{}/db.sock", dirs.run.display());
    let database = match m.get_many::<String>("database").map(|d| d.collect::<Vec<_>>()).as_deref()
    {
        None | Some([]) => default,
        Some([one]) if embedded_db.is_some() && **one != default => {
            return Err(UsageError(format!(
                "{one}: with --{EMBEDDED} the database is {default} and cannot be another one"
            )));
        }
        Some([one]) => (*one).clone(),
        Some(_) => {
            return Err(UsageError(
                "at most one non-option argument accepted; use --help for usage".into(),
            ));
        }
    };
    let dummy = match text("enable-dummy").as_deref() {
        None => Dummy::Off,
        Some("") => Dummy::On,
        Some("override") => Dummy::Override,
        Some("system") => Dummy::System,
        Some(other) => {
            return Err(UsageError(format!(
                "--enable-dummy={other}: expected nothing, \"override\" or \"system\""
            )));
        }
    };
    let mut common = Common::new(m, PROGRAM, dirs);
    common.ignored = common.tls.enabled.problems();
    // `--dummy-numa` is accepted without a message: only tests use it, and NUMA nodes have no effect
    // here.
    if m.get_flag("hw-rawio-access") {
        let text = "--hw-rawio-access has no effect: no driver requires CAP_SYS_RAWIO";
        common.ignored.push(text.into());
    }
    Ok(Options {
        database,
        embedded_db,
        common,
        dummy,
        disable_system: m.get_flag("disable-system"),
        disable_system_route: m.get_flag("disable-system-route"),
        mlockall: m.get_flag("mlockall"),
        unconfined: m.get_flag("no-self-confinement"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::daemon::Daemonize;

    fn dirs() -> Dirs {
        Dirs::from_lookup(|n| (n == "OVS_RUNDIR").then(|| "/run/x".into()))
    }

    fn parse(line: &str) -> Result<Parsed, UsageError> {
        Options::parse(std::iter::once(PROGRAM).chain(line.split_whitespace()), &dirs())
    }

    fn run(line: &str) -> Options {
        match parse(line) {
            Ok(Parsed::Run(o)) => *o,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn directories() {
        let d = dirs();
        assert_eq!(d.run, PathBuf::from("/run/x"));
        assert_eq!(d.log, PathBuf::from("/var/log/openvswitch"));
        assert_eq!(d.db, PathBuf::from("/etc/openvswitch"));
        let d = Dirs::from_lookup(|n| match n {
            "OVS_SYSCONFDIR" => Some("/s".into()),
            "OVS_LOGDIR" => Some("".into()),
            _ => None,
        });
        assert_eq!((d.db, d.sysconf), ("/s/openvswitch".into(), "/s".into()));
        assert_eq!(d.log, PathBuf::from("/var/log/openvswitch"));
    }

    #[test]
    fn nothing_given() {
        let o = run("");
        assert_eq!(o.database, "unix:/run/x/db.sock");
        assert_eq!(o.common.daemon, Daemonize::default());
        assert_eq!(o.unixctl_path(&dirs()).unwrap(), {
            PathBuf::from(format!("/run/x/ovs-vswitchd.{}.ctl", std::process::id()))
        });
        assert_eq!((o.dummy, o.common.log.file, o.common.ignored.len()), (Dummy::Off, None, 0));
    }

    /// As Debian's ovs-ctl starts the daemon.
    #[test]
    fn a_service_file() {
        let o = run("unix:/var/run/openvswitch/db.sock -vconsole:emer -vsyslog:err -vfile:info \
             --mlockall --no-chdir --log-file=/var/log/openvswitch/ovs-vswitchd.log \
             --pidfile=/var/run/openvswitch/ovs-vswitchd.pid --detach --monitor");
        assert_eq!(o.database, "unix:/var/run/openvswitch/db.sock");
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(
            o.common.log.verbose,
            [some("console:emer"), some("syslog:err"), some("file:info")]
        );
        assert!(
            o.mlockall
                && o.common.daemon.detach
                && o.common.daemon.monitor
                && o.common.daemon.no_chdir
        );
        assert_eq!(o.common.daemon.pidfile, Some("/var/run/openvswitch/ovs-vswitchd.pid".into()));
        assert_eq!(o.common.log.file, Some("/var/log/openvswitch/ovs-vswitchd.log".into()));
    }

    #[test]
    fn optional_values() {
        let o = run("--pidfile --log-file -v --verbose=bond:dbg --enable-dummy tcp:1.2.3.4:6640");
        assert_eq!(o.common.daemon.pidfile, Some("/run/x/ovs-vswitchd.pid".into()));
        assert_eq!(o.common.log.file, Some("/var/log/openvswitch/ovs-vswitchd.log".into()));
        assert_eq!(o.common.log.verbose, [None, Some("bond:dbg".into())]);
        assert_eq!((o.dummy, o.database.as_str()), (Dummy::On, "tcp:1.2.3.4:6640"));
        let o = run("--pidfile=a.pid --pidf=b.pid --unixctl ctl --enable-dummy=override --detach \
             --detach --user ovs:ovs");
        assert_eq!(o.common.daemon.pidfile, Some("/run/x/b.pid".into()));
        assert_eq!(o.unixctl_path(&dirs()), Some("/run/x/ctl".into()));
        assert_eq!((o.dummy, o.common.daemon.user.as_deref()), (Dummy::Override, Some("ovs:ovs")));
        assert_eq!(run("--unixctl=none").unixctl_path(&dirs()), None);
        assert_eq!(run("-- -vx").database, "-vx");
        let o =
            run("--ssl-ciphers=NEW --hw-rawio-access -p k --bootstrap-ca-cert=ca --disable-system");
        assert_eq!(o.common.ignored.len(), 3);
        assert!(o.common.ignored[0].starts_with("--ssl-ciphers=NEW: NEW: not supported"));
        assert_eq!(o.common.tls.private_key, Some("k".into()));
        assert!(o.disable_system);
    }

    #[test]
    fn a_database_of_its_own() {
        let file = |line: &str| run(line).embedded_db;
        assert_eq!(file(""), None);
        assert_eq!(file("--embedded-db"), Some("/etc/openvswitch/conf.db".into()));
        assert_eq!(file("--embedded-db=/x/y.db unix:/run/x/db.sock"), Some("/x/y.db".into()));
        let relative = file("--embedded-db=y.db").unwrap();
        assert_eq!(relative, std::env::current_dir().unwrap().join("y.db"));
        let Err(e) = parse("--embedded-db tcp:127.0.0.1:6640") else { panic!() };
        assert!(e.0.starts_with("tcp:127.0.0.1:6640: with --embedded-db"), "{e}");
    }

    #[test]
    fn version_and_help() {
        for line in ["--version", "-V", "-V --pidfile"] {
            let Ok(Parsed::Print(text)) = parse(line) else { panic!("{line}") };
            assert_eq!(text.lines().next(), Some("ovs-vswitchd (Open vSwitch) 3.1.0"));
            assert_eq!(text.matches("Open vSwitch").count(), 1);
            assert!(text.contains("\nBraid "));
        }
        let Ok(Parsed::Print(text)) = parse("--help") else { panic!() };
        for option in
            ["--detach", "--embedded-db", "--pidfile", "--unixctl", "--log-file", "-V, --version"]
        {
            assert!(text.contains(option), "{text}");
        }
    }

    #[test]
    fn mistakes_are_named() {
        let refused = |line: &str| match parse(line) {
            Err(UsageError(text)) => text,
            other => panic!("{line}: {other:?}"),
        };
        assert!(refused("--nosuch").contains("--nosuch"));
        assert!(refused("a b").starts_with("at most one non-option argument"));
        assert!(refused("--dpdk -c 1").contains("DPDK is not supported"));
        assert!(refused("--enable-dummy=x").contains("--enable-dummy=x"));
        assert!(refused("--unixctl").contains("--unixctl"));
        assert!(refused("--detach=yes").contains("--detach"));
    }
}
