//! The command line, and the directories that the environment sets.
//!
//! Options are those of Open vSwitch's `ovs-vswitchd`, so that service files and scripts work
//! unchanged; `--long-opt` may be abbreviated as with getopt_long(3).

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::daemon::Daemonize;

/// What the program is called in logs, pidfiles and control sockets.
pub const PROGRAM: &str = "ovs-vswitchd";

/// The release of Open vSwitch that we answer for. Hypervisors' and distributions' scripts take
/// the last word of the line with "Open vSwitch" in it.
pub const OVS_VERSION: &str = "3.1.0";

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Where the database server listens, such as `unix:/var/run/openvswitch/db.sock`.
    pub database: String,
    pub daemon: Daemonize,
    /// `--unixctl`: a path, or `none`; [`Options::unixctl_path`] knows the default.
    pub unixctl: Option<String>,
    /// `--enable-dummy[=ARG]`.
    pub dummy: Dummy,
    /// `--disable-system`: no existing devices.
    pub disable_system: bool,
    /// `--disable-system-route`: accepted; we follow no routes of the system's.
    pub disable_system_route: bool,
    pub mlockall: bool,
    pub log: LogOptions,
    /// Accepted options that do nothing here, each with the reason; to be logged as warnings.
    pub ignored: Vec<String>,
    pub tls: TlsOptions,
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

/// Where logs go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// `-v`, `--verbose`, in order; `None` = without a value.
    pub verbose: Vec<Option<String>>,
    pub file: Option<PathBuf>,
    pub syslog_method: Option<String>,
    pub syslog_target: Option<String>,
}

/// `--private-key` and the like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsOptions {
    pub private_key: Option<PathBuf>,
    pub certificate: Option<PathBuf>,
    pub ca_cert: Option<PathBuf>,
    pub peer_ca_cert: Option<PathBuf>,
    pub bootstrap_ca_cert: Option<PathBuf>,
}

/// Directories, from the environment or Debian's defaults.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dirs {
    /// `OVS_RUNDIR`: sockets and pidfiles.
    pub run: PathBuf,
    /// `OVS_LOGDIR`.
    pub log: PathBuf,
    /// `OVS_DBDIR`.
    pub db: PathBuf,
    /// `OVS_SYSCONFDIR`.
    pub sysconf: PathBuf,
}

impl Dirs {
    pub fn from_env() -> Dirs {
        Dirs::from_lookup(|name| std::env::var_os(name))
    }

    /// An empty value counts as none.
    fn from_lookup(get: impl Fn(&str) -> Option<OsString>) -> Dirs {
        let set = |name: &str| get(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let sysconf = set("OVS_SYSCONFDIR");
        Dirs {
            run: set("OVS_RUNDIR").unwrap_or_else(|| "/var/run/openvswitch".into()),
            log: set("OVS_LOGDIR").unwrap_or_else(|| "/var/log/openvswitch".into()),
            db: set("OVS_DBDIR").unwrap_or_else(|| match &sysconf {
                Some(d) => d.join("openvswitch"),
                None => "/etc/openvswitch".into(),
            }),
            sysconf: sysconf.unwrap_or_else(|| "/etc".into()),
        }
    }
}

/// What the command line asks for.
#[derive(Debug)]
pub enum Parsed {
    Run(Box<Options>),
    /// `--help`, `--version`: print this and exit with status 0.
    Print(String),
}

/// The command line is wrong; the text names the option. Print it and exit with status 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(String);

/// The text of `--version`. No later line contains "Open vSwitch": scripts look for that.
pub fn version_text() -> String {
    format!(
        "{PROGRAM} (Open vSwitch) {OVS_VERSION}\nBraid {} (a replacement in Rust)\n",
        env!("CARGO_PKG_VERSION")
    )
}

impl Options {
    /// Parses a command line, the program's name first.
    pub fn parse<I, T>(args: I, dirs: &Dirs) -> Result<Parsed, UsageError>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString>,
    {
        let matches = match command(dirs).try_get_matches_from(getopt_style(args)) {
            Ok(m) => m,
            Err(e) if e.exit_code() == 0 => return Ok(Parsed::Print(e.to_string())),
            Err(e) => {
                let text = e.to_string();
                let text = text.strip_prefix("error: ").unwrap_or(&text);
                return Err(UsageError(text.trim_end().to_owned()));
            }
        };
        if matches.get_flag("version") {
            return Ok(Parsed::Print(version_text()));
        }
        options(&matches, dirs).map(|o| Parsed::Run(Box::new(o)))
    }

    /// Where the control socket is to be, `None` for `--unixctl=none`. Ask after the last fork:
    /// the default has the process's number in it.
    pub fn unixctl_path(&self, dirs: &Dirs) -> Option<PathBuf> {
        match self.unixctl.as_deref() {
            Some("none") => None,
            Some(path) => Some(dirs.run.join(path)),
            None => Some(dirs.run.join(format!("{PROGRAM}.{}.ctl", std::process::id()))),
        }
    }
}

/// getopt_long(3) takes `-vSPEC`; clap would want `-v=SPEC` of an optional value.
fn getopt_style<I, T>(args: I) -> Vec<OsString>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let mut plain = false;
    let rewrite = |arg: T| {
        let arg: OsString = arg.into();
        plain |= arg == "--";
        match arg.to_str().and_then(|a| a.strip_prefix("-v")) {
            Some(spec) if !plain && !spec.is_empty() => format!("--verbose={spec}").into(),
            _ => arg,
        }
    };
    args.into_iter().map(rewrite).collect()
}

fn flag(name: &'static str, help: &'static str) -> Arg {
    // Given twice is as good as once, as with getopt.
    Arg::new(name).long(name).action(ArgAction::SetTrue).overrides_with(name).help(help)
}

fn value(name: &'static str, what: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(what).overrides_with(name).help(help)
}

/// `--name` or `--name=VALUE`; without a value it reads as empty.
fn optional(name: &'static str, what: &'static str, help: impl Into<String>) -> Arg {
    value(name, what, "")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("")
        .help(help.into())
}

fn command(dirs: &Dirs) -> Command {
    let (run, log) = (dirs.run.display(), dirs.log.display());
    Command::new(PROGRAM)
        .about(format!(
            "{PROGRAM}: Open vSwitch daemon\nDATABASE is a socket on which ovsdb-server is \
             listening (default: \"unix:{run}/db.sock\")"
        ))
        .infer_long_args(true)
        .disable_version_flag(true)
        .next_line_help(false)
        .arg(Arg::new("database").value_name("DATABASE").num_args(0..))
        .next_help_heading("Daemon options")
        .args([
            flag("detach", "run in background as daemon"),
            flag("monitor", "creates a process to monitor this daemon"),
            value("user", "USER[:GROUP]", "changes the effective daemon user:group"),
            flag("no-chdir", "do not chdir to '/'"),
            optional("pidfile", "FILE", format!("create pidfile (default: {run}/{PROGRAM}.pid)")),
            flag("overwrite-pidfile", "with --pidfile, start even if already running"),
            flag("no-self-confinement", "accepted; there is no such confinement here"),
        ])
        .next_help_heading("Logging options")
        .args([
            Arg::new("verbose")
                .short('v')
                .long("verbose")
                .value_name("SPEC")
                .num_args(0..=1)
                .require_equals(true)
                .default_missing_value("")
                .action(ArgAction::Append)
                .help("set logging levels (no SPEC: maximum verbosity)"),
            optional("log-file", "FILE", format!("log to FILE (default: {log}/{PROGRAM}.log)")),
            value("syslog-method", "METHOD", "libc, null, unix:FILE or udp:IP:PORT"),
            value("syslog-target", "HOST:PORT", "also send syslog msgs to HOST:PORT via UDP"),
        ])
        .next_help_heading("PKI configuration (to use SSL)")
        .args([
            value("private-key", "FILE", "file with private key").short('p'),
            value("certificate", "FILE", "file with certificate for private key").short('c'),
            value("ca-cert", "FILE", "file with peer CA certificate").short('C'),
            value("peer-ca-cert", "FILE", "file with CA certificate to send to peers"),
            value("bootstrap-ca-cert", "FILE", "file with peer CA certificate to read or create"),
            value("ssl-protocols", "PROTOS", "list of SSL protocols to enable"),
            value("ssl-ciphers", "CIPHERS", "list of SSL ciphers to enable"),
            value("ssl-ciphersuites", "SUITES", "list of TLS 1.3 ciphersuites to enable"),
        ])
        .next_help_heading("Other options")
        .args([
            value("unixctl", "SOCKET", "override default control socket name"),
            flag("mlockall", "keep all memory resident"),
            optional("enable-dummy", "ARG", "dummy devices: for tests").hide(true),
            flag("disable-system", "use no existing devices").hide(true),
            flag("disable-system-route", "follow no routes of the system").hide(true),
            optional("dpdk", "ARG", "refused").hide(true),
            value("dummy-numa", "CONFIG", "accepted").hide(true),
            flag("hw-rawio-access", "accepted").hide(true),
            flag("version", "display version information").short('V'),
        ])
}

fn options(m: &ArgMatches, dirs: &Dirs) -> Result<Options, UsageError> {
    let text = |name: &str| m.get_one::<String>(name).cloned();
    let path = |name: &str| text(name).map(PathBuf::from);
    if m.contains_id("dpdk") {
        return Err(UsageError(
            "--dpdk: DPDK is not supported; devices are used through the kernel".into(),
        ));
    }
    let database = match m.get_many::<String>("database").map(|d| d.collect::<Vec<_>>()).as_deref()
    {
        None | Some([]) => format!("unix:{}/db.sock", dirs.run.display()),
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
    let or_default = |name: &str, dir: &std::path::Path, suffix: &str| {
        text(name).map(|f| match f.as_str() {
            "" => dir.join(format!("{PROGRAM}.{suffix}")),
            f => dir.join(f),
        })
    };
    let mut ignored = Vec::new();
    for (name, why) in [
        ("ssl-protocols", "TLS 1.2 and 1.3 are always enabled, older ones never"),
        ("ssl-ciphers", "the TLS library's own list is used"),
        ("ssl-ciphersuites", "the TLS library's own list is used"),
        ("dummy-numa", "there are no NUMA nodes to pretend"),
    ] {
        if m.contains_id(name) {
            ignored.push(format!("--{name} has no effect: {why}"));
        }
    }
    if m.get_flag("hw-rawio-access") {
        ignored.push("--hw-rawio-access has no effect: no driver requires CAP_SYS_RAWIO".into());
    }
    Ok(Options {
        database,
        daemon: Daemonize {
            detach: m.get_flag("detach"),
            no_chdir: m.get_flag("no-chdir"),
            monitor: m.get_flag("monitor"),
            pidfile: or_default("pidfile", &dirs.run, "pid"),
            overwrite_pidfile: m.get_flag("overwrite-pidfile"),
            user: text("user"),
        },
        unixctl: text("unixctl"),
        dummy,
        disable_system: m.get_flag("disable-system"),
        disable_system_route: m.get_flag("disable-system-route"),
        mlockall: m.get_flag("mlockall"),
        log: LogOptions {
            verbose: m
                .get_many::<String>("verbose")
                .map(|all| all.map(|v| Some(v.clone()).filter(|v| !v.is_empty())).collect())
                .unwrap_or_default(),
            // Relative names are the current directory's, as upstream.
            file: text("log-file").map(|f| match f.as_str() {
                "" => dirs.log.join(format!("{PROGRAM}.log")),
                f => std::env::current_dir().unwrap_or_default().join(f),
            }),
            syslog_method: text("syslog-method"),
            syslog_target: text("syslog-target"),
        },
        ignored,
        tls: TlsOptions {
            private_key: path("private-key"),
            certificate: path("certificate"),
            ca_cert: path("ca-cert"),
            peer_ca_cert: path("peer-ca-cert"),
            bootstrap_ca_cert: path("bootstrap-ca-cert"),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert_eq!(o.daemon, Daemonize::default());
        assert_eq!(o.unixctl_path(&dirs()).unwrap(), {
            PathBuf::from(format!("/run/x/ovs-vswitchd.{}.ctl", std::process::id()))
        });
        assert_eq!((o.dummy, o.log.file, o.ignored.len()), (Dummy::Off, None, 0));
    }

    /// As Debian's ovs-ctl starts the daemon.
    #[test]
    fn a_service_file() {
        let o = run("unix:/var/run/openvswitch/db.sock -vconsole:emer -vsyslog:err -vfile:info \
             --mlockall --no-chdir --log-file=/var/log/openvswitch/ovs-vswitchd.log \
             --pidfile=/var/run/openvswitch/ovs-vswitchd.pid --detach --monitor");
        assert_eq!(o.database, "unix:/var/run/openvswitch/db.sock");
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(o.log.verbose, [some("console:emer"), some("syslog:err"), some("file:info")]);
        assert!(o.mlockall && o.daemon.detach && o.daemon.monitor && o.daemon.no_chdir);
        assert_eq!(o.daemon.pidfile, Some("/var/run/openvswitch/ovs-vswitchd.pid".into()));
        assert_eq!(o.log.file, Some("/var/log/openvswitch/ovs-vswitchd.log".into()));
    }

    #[test]
    fn optional_values() {
        let o = run("--pidfile --log-file -v --verbose=bond:dbg --enable-dummy tcp:1.2.3.4:6640");
        assert_eq!(o.daemon.pidfile, Some("/run/x/ovs-vswitchd.pid".into()));
        assert_eq!(o.log.file, Some("/var/log/openvswitch/ovs-vswitchd.log".into()));
        assert_eq!(o.log.verbose, [None, Some("bond:dbg".into())]);
        assert_eq!((o.dummy, o.database.as_str()), (Dummy::On, "tcp:1.2.3.4:6640"));
        let o = run("--pidfile=a.pid --pidf=b.pid --unixctl ctl --enable-dummy=override --detach \
             --detach --user ovs:ovs");
        assert_eq!(o.daemon.pidfile, Some("/run/x/b.pid".into()));
        assert_eq!(o.unixctl_path(&dirs()), Some("/run/x/ctl".into()));
        assert_eq!((o.dummy, o.daemon.user.as_deref()), (Dummy::Override, Some("ovs:ovs")));
        assert_eq!(run("--unixctl=none").unixctl_path(&dirs()), None);
        assert_eq!(run("-- -vx").database, "-vx");
        let o = run(
            "--ssl-ciphers=HIGH --hw-rawio-access -p k --bootstrap-ca-cert=ca --disable-system",
        );
        assert_eq!(o.ignored.len(), 2);
        assert!(o.ignored[0].starts_with("--ssl-ciphers has no effect: "));
        assert_eq!(o.tls.private_key, Some("k".into()));
        assert!(o.disable_system);
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
        for option in ["--detach", "--pidfile", "--unixctl", "--log-file", "-V, --version"] {
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
