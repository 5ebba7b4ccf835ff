//! The options that all daemons share, and the directories that the environment sets.
//!
//! Spelled as Open vSwitch spells them, so that service files and scripts work unchanged;
//! `--long-opt` may be abbreviated as with getopt_long(3).

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use clap::{Arg, ArgAction, ArgMatches, Command};

use crate::daemon::Daemonize;
use crate::log;

/// The release of Open vSwitch that we answer for. Hypervisors' and distributions' scripts take
/// the last word of the line with "Open vSwitch" in it.
pub const OVS_VERSION: &str = "3.1.0";

/// Where logs go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    /// `-v`, `--verbose`, in order; `None` = without a value.
    pub verbose: Vec<Option<String>>,
    /// `--log-file`: an absolute path; `None` = no file.
    pub file: Option<PathBuf>,
    /// `--syslog-method`: `libc`, `null`, `unix:FILE` or `udp:IP:PORT`.
    pub syslog_method: Option<String>,
    /// `--syslog-target`: `HOST:PORT`, to which lines go by UDP besides.
    pub syslog_target: Option<String>,
    /// `--log-format`: how lines for the console and the file are written.
    pub format: log::Format,
}

impl LogOptions {
    /// Sets the log up. An error names the option's value and what is accepted.
    pub fn apply(&self) -> Result<(), Box<dyn std::error::Error>> {
        log::set_format(self.format);
        for spec in &self.verbose {
            match spec {
                None => log::set_all(),
                Some(spec) => log::set_from_spec(spec)?,
            }
        }
        if let Some(method) = &self.syslog_method {
            log::set_syslog_method(method)?;
        }
        if let Some(target) = &self.syslog_target {
            log::set_syslog_target(target)?;
        }
        if let Some(path) = &self.file {
            log::set_file(path).map_err(|e| format!("{}: {}", path.display(), posix::text(e)))?;
        }
        Ok(())
    }
}

/// What all daemons take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Common {
    /// `--detach`, `--pidfile` and the like.
    pub daemon: Daemonize,
    /// `--unixctl`: a path, or `none`; [`Dirs::unixctl`] knows the default.
    pub unixctl: Option<String>,
    /// `--log-file`, `-v` and the like.
    pub log: LogOptions,
    /// `--private-key` and the like.
    pub tls: tls::Settings,
    /// Accepted options that do nothing, and what is ignored in others, each with the reason: to
    /// be logged as warnings.
    pub ignored: Vec<String>,
}

impl Common {
    /// Reads what [`add_common`] adds, for `program`.
    pub fn new(m: &ArgMatches, program: &str, dirs: &Dirs) -> Common {
        Common {
            daemon: daemonize(m, program, dirs),
            unixctl: text(m, "unixctl"),
            log: log_options(m, program, dirs),
            tls: tls_options(m),
            ignored: Vec::new(),
        }
    }
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

/// Debian's directories.
const RUN: &str = "/var/run/openvswitch";
const LOG: &str = "/var/log/openvswitch";
const SYSCONF: &str = "/etc";
/// Databases are in this directory of `OVS_SYSCONFDIR`.
const DB: &str = "openvswitch";

impl Dirs {
    /// From the environment of this process.
    pub fn from_env() -> Dirs {
        Dirs::from_lookup(|name| std::env::var_os(name))
    }

    /// As [`Dirs::from_env`] from another source of variables. An empty value counts as none.
    pub fn from_lookup(get: impl Fn(&str) -> Option<OsString>) -> Dirs {
        let set = |name: &str| get(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        let sysconf = set("OVS_SYSCONFDIR").unwrap_or_else(|| SYSCONF.into());
        Dirs {
            run: set("OVS_RUNDIR").unwrap_or_else(|| RUN.into()),
            log: set("OVS_LOGDIR").unwrap_or_else(|| LOG.into()),
            db: set("OVS_DBDIR").unwrap_or_else(|| sysconf.join(DB)),
            sysconf,
        }
    }

    /// The part of `--help` on the environment: what each variable is for, its default, and what
    /// is in force where that differs.
    fn help(&self) -> String {
        let mut text = String::from("Environment:");
        let sysconf = self.sysconf.display();
        let rows = [
            ("OVS_RUNDIR", "directory of sockets and pidfiles", RUN.to_owned(), &self.run),
            ("OVS_LOGDIR", "directory of log files", LOG.to_owned(), &self.log),
            ("OVS_DBDIR", "directory of databases", format!("{sysconf}/{DB}"), &self.db),
            ("OVS_SYSCONFDIR", "directory of configuration files", SYSCONF.to_owned(), {
                &self.sysconf
            }),
        ];
        for (name, what, default, now) in rows {
            text += &format!("\n  {name:<15} {what} (default: {default})");
            if *now != Path::new(&default) {
                text += &format!("; here {}", now.display());
            }
        }
        text
    }

    /// Where `program`'s control socket is to be for this value of `--unixctl`, `None` for
    /// `none`. Ask after the last fork: the default has the process's number in it.
    pub fn unixctl(&self, program: &str, option: Option<&str>) -> Option<PathBuf> {
        match option {
            Some("none") => None,
            Some(path) => Some(self.run.join(path)),
            None => Some(self.run.join(format!("{program}.{}.ctl", std::process::id()))),
        }
    }
}

/// What a command line asks for.
#[derive(Debug)]
pub enum Parsed<O> {
    /// Run with these options.
    Run(Box<O>),
    /// `--help`, `--version`: print this and exit with status 0.
    Print(String),
}

impl<O> Parsed<O> {
    /// What the options come to.
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub fn and_then<P>(
        self,
        make: impl FnOnce(&O) -> Result<P, UsageError>,
    ) -> Result<Parsed<P>, UsageError> {
        match self {
            Parsed::Run(options) => make(&options).map(|made| Parsed::Run(Box::new(made))),
            Parsed::Print(text) => Ok(Parsed::Print(text)),
        }
    }
}

/// The command line is wrong; the text names the option. Print it and exit with status 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct UsageError(pub String);

/// The text of `--version`. No later line contains "Open vSwitch": scripts look for that.
pub fn version_text(program: &str) -> String {
    format!(
        "{program} (Open vSwitch) {OVS_VERSION}\nBraid {} (a replacement in Rust)\n",
        env!("CARGO_PKG_VERSION")
    )
}

/// Parses a command line, the program's name first, with options of getopt_long(3)'s forms; the
/// command has `--version` added.
pub fn parse<I, T>(command: Command, args: I) -> Result<Parsed<ArgMatches>, UsageError>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString>,
{
    let program = command.get_name().to_owned();
    let command = command
        .infer_long_args(true)
        .disable_version_flag(true)
        .next_line_help(false)
        .arg(flag("version", "display version information").short('V'));
    match command.try_get_matches_from(getopt_style(args)) {
        Ok(m) if m.get_flag("version") => Ok(Parsed::Print(version_text(&program))),
        Ok(m) => Ok(Parsed::Run(Box::new(m))),
        Err(e) if e.exit_code() == 0 => Ok(Parsed::Print(e.to_string())),
        Err(e) => {
            let text = e.to_string();
            let text = text.strip_prefix("error: ").unwrap_or(&text);
            Err(UsageError(text.trim_end().to_owned()))
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

/// `--name`. Given twice is as good as once, as with getopt.
pub fn flag(name: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).action(ArgAction::SetTrue).overrides_with(name).help(help)
}

/// `--name=WHAT`; the last one counts.
pub fn value(name: &'static str, what: &'static str, help: &'static str) -> Arg {
    Arg::new(name).long(name).value_name(what).overrides_with(name).help(help)
}

/// `--name` or `--name=WHAT`; without a value it reads as empty.
pub fn optional(name: &'static str, what: &'static str, help: impl Into<String>) -> Arg {
    value(name, what, "")
        .num_args(0..=1)
        .require_equals(true)
        .default_missing_value("")
        .help(help.into())
}

/// Adds `--detach`, `--pidfile`, `--log-file`, `-v`, `--private-key`, `--unixctl` and the rest of
/// what all daemons take. Read them with [`Common::new`].
pub fn add_common(command: Command, dirs: &Dirs) -> Command {
    let program = command.get_name().to_owned();
    let (run, log) = (dirs.run.display(), dirs.log.display());
    command
        .after_help(dirs.help())
        .next_help_heading("Daemon options")
        .args([
            flag("detach", "run in background as daemon"),
            flag("monitor", "creates a process to monitor this daemon"),
            value("user", "USER[:GROUP]", "changes the effective daemon user:group"),
            flag("no-chdir", "do not chdir to '/'"),
            optional("pidfile", "FILE", format!("create pidfile (default: {run}/{program}.pid)")),
            flag("overwrite-pidfile", "with --pidfile, start even if already running"),
            flag("no-self-confinement", "controllers' sockets may be outside of the run directory"),
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
            optional("log-file", "FILE", format!("log to FILE (default: {log}/{program}.log)")),
            value("log-format", "FORMAT", "text or json: lines on the console and in the log file")
                .value_parser(log_format),
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
            value("ssl-server-name", "NAME", "name to ask servers for (SNI)"),
            value("ssl-protocols", "PROTOS", "list of SSL protocols to enable"),
            value("ssl-ciphers", "CIPHERS", "list of SSL ciphers to enable"),
            value("ssl-ciphersuites", "SUITES", "list of TLS 1.3 ciphersuites to enable"),
        ])
        .next_help_heading("Other options")
        .arg(value("unixctl", "SOCKET", "override default control socket name"))
}

fn text(m: &ArgMatches, name: &str) -> Option<String> {
    m.get_one::<String>(name).cloned()
}

/// The daemon options, for `program`.
fn daemonize(m: &ArgMatches, program: &str, dirs: &Dirs) -> Daemonize {
    Daemonize {
        detach: m.get_flag("detach"),
        no_chdir: m.get_flag("no-chdir"),
        monitor: m.get_flag("monitor"),
        pidfile: text(m, "pidfile").map(|f| match f.as_str() {
            "" => dirs.run.join(format!("{program}.pid")),
            f => dirs.run.join(f),
        }),
        overwrite_pidfile: m.get_flag("overwrite-pidfile"),
        user: text(m, "user"),
    }
}

/// The logging options, for `program`.
fn log_options(m: &ArgMatches, program: &str, dirs: &Dirs) -> LogOptions {
    LogOptions {
        verbose: m
            .get_many::<String>("verbose")
            .map(|all| all.map(|v| Some(v.clone()).filter(|v| !v.is_empty())).collect())
            .unwrap_or_default(),
        // Relative names are the current directory's, as upstream.
        file: text(m, "log-file").map(|f| match f.as_str() {
            "" => dirs.log.join(format!("{program}.log")),
            f => current_dir().join(f),
        }),
        syslog_method: text(m, "syslog-method"),
        syslog_target: text(m, "syslog-target"),
        format: m.get_one("log-format").copied().unwrap_or_default(),
    }
}

fn log_format(word: &str) -> Result<log::Format, &'static str> {
    log::Format::from_name(word).ok_or("accepted are text and json")
}

fn current_dir() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| Path::new("/").to_owned())
}

/// `--private-key` and the like. Of `--ca-cert` and `--bootstrap-ca-cert` the latter counts.
fn tls_options(m: &ArgMatches) -> tls::Settings {
    let path = |name: &str| text(m, name).map(PathBuf::from);
    let bootstrap = path("bootstrap-ca-cert");
    tls::Settings {
        private_key: path("private-key"),
        certificate: path("certificate"),
        bootstrap: bootstrap.is_some(),
        ca_cert: bootstrap.or_else(|| path("ca-cert")),
        peer_ca_cert: path("peer-ca-cert"),
        server_name: text(m, "ssl-server-name"),
        enabled: tls::Enabled {
            protocols: text(m, "ssl-protocols"),
            ciphers: text(m, "ssl-ciphers"),
            ciphersuites: text(m, "ssl-ciphersuites"),
        },
    }
}
