//! The command line of the program `ovsdb-server`: upstream's.

mod config;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Arg, ArgAction, ArgMatches, Command};
use runtime::cli::{self, Common, Dirs, UsageError, flag, value};

use crate::net::RemoteOptions;

pub use config::{Config, ConfigError, Model};

/// What the program is called in logs, pidfiles and control sockets.
pub const PROGRAM: &str = "ovsdb-server";

/// What the command line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Remotes and databases, unless a file is to say that.
    pub config: Config,
    /// The default database, to be made if it is not there; `None` if others are named.
    pub default: Option<PathBuf>,
    /// `--config-file`.
    pub config_file: Option<PathBuf>,
    /// `--run`: a command; the server ends with it.
    pub run: Option<String>,
    /// What all daemons have.
    pub common: Common,
}

/// What the command line asks for.
pub type Parsed = cli::Parsed<Options>;

impl Options {
    /// Parses a command line, the program's name first.
    ///
    /// # Errors
    ///
    /// A text that names the option.
    pub fn parse<I, T>(args: I, dirs: &Dirs) -> Result<Parsed, UsageError>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString>,
    {
        cli::parse(command(dirs), args)?.and_then(|m| options(m, dirs))
    }
}

fn command(dirs: &Dirs) -> Command {
    let command = Command::new(PROGRAM)
        .about(format!(
            "{PROGRAM}: Open vSwitch database server\nwhere each DATABASE is a database file in \
             ovsdb format.\nThe default DATABASE, if none is given, is {}/conf.db; it is made \
             if it is not there.",
            dirs.db.display()
        ))
        .arg(Arg::new("databases").value_name("DATABASE").num_args(0..))
        .next_help_heading("JSON-RPC options (may be specified any number of times)")
        .arg(
            Arg::new("remote").long("remote").value_name("REMOTE").action(ArgAction::Append).help(
                "connect or listen to REMOTE: punix:PATH, ptcp:[PORT][:IP], pssl:[PORT][:IP], \
                     unix:PATH, tcp:IP[:PORT], ssl:IP[:PORT] or db:DB,TABLE,COLUMN",
            ),
        );
    cli::add_common(command, dirs).args([
        value("run", "COMMAND", "run COMMAND as subprocess then exit"),
        value("config-file", "PATH", "take databases and remotes from this file"),
        flag("no-dbs", "do not add default database"),
        flag("disable-file-column-diff", "accepted; whole columns are never written"),
        flag("disable-file-no-data-conversion", "accepted").hide(true),
        value("sync-from", "SERVER", "refused: replication is not supported").hide(true),
        value("sync-exclude-tables", "DB:TABLE,...", "refused").hide(true),
        flag("active", "refused").hide(true),
    ])
}

fn options(m: &ArgMatches, dirs: &Dirs) -> Result<Options, UsageError> {
    let text = |name: &str| m.get_one::<String>(name).cloned();
    if m.contains_id("sync-from") || m.contains_id("sync-exclude-tables") || m.get_flag("active") {
        return Err(UsageError(
            "--sync-from, --sync-exclude-tables, --active: replication is not supported; a \
             clustered database on upstream's ovsdb-server is the way to have several copies"
                .into(),
        ));
    }
    let all = |name: &str| -> Vec<String> {
        m.get_many::<String>(name).map(|all| all.cloned().collect()).unwrap_or_default()
    };
    let remotes: BTreeMap<String, RemoteOptions> =
        all("remote").into_iter().map(|text| (text, RemoteOptions::default())).collect();
    let mut databases = all("databases");
    // Relative to the directory of databases, not to the current directory.
    let config_file = text("config-file").map(|file| dirs.db.join(file));
    if config_file.is_some() {
        if !remotes.is_empty() {
            return Err(UsageError("--config-file is mutually exclusive with --remote".into()));
        }
        if !databases.is_empty() {
            return Err(UsageError("Databases should be specified in a config file".into()));
        }
    }
    let none = config_file.is_none() && databases.is_empty() && !m.get_flag("no-dbs");
    let default = none.then(|| dirs.db.join("conf.db"));
    databases.extend(default.as_ref().map(|file| file.display().to_string()));
    let mut common = Common::new(m, PROGRAM, dirs);
    if m.get_flag("disable-file-column-diff") {
        common.ignored.push(
            "--disable-file-column-diff has no effect: columns are written as \
                      differences, which Open vSwitch reads since 2.15"
                .into(),
        );
    }
    Ok(Options {
        config: Config {
            remotes,
            databases: databases.into_iter().map(|file| (file, Model::File)).collect(),
        },
        default,
        config_file,
        run: text("run"),
        common,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Parsed, UsageError> {
        let dirs = Dirs::from_lookup(|name| {
            ["OVS_RUNDIR", "OVS_DBDIR"].contains(&name).then(|| format!("/{name}").into())
        });
        Options::parse(std::iter::once(PROGRAM).chain(line.split_whitespace()), &dirs)
    }

    fn run(line: &str) -> Options {
        match parse(line) {
            Ok(Parsed::Run(options)) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn database_arguments_are_parsed() {
        let files = |line: &str| run(line).config.databases.into_keys().collect::<Vec<_>>();
        assert_eq!(files(""), ["/OVS_DBDIR/conf.db"]);
        assert!(run("--no-dbs").config.databases.is_empty());
        assert_eq!(files("a b"), ["a", "b"]);
        assert_eq!(run("--config-file=c.json").config_file, Some("/OVS_DBDIR/c.json".into()));
    }

    /// As Debian's ovs-ctl starts it.
    #[test]
    fn unit_file_options_are_accepted() {
        let o = run("/etc/openvswitch/conf.db -vconsole:emer -vsyslog:err -vfile:info \
             --remote=punix:/var/run/openvswitch/db.sock \
             --private-key=db:Open_vSwitch,SSL,private_key \
             --certificate=db:Open_vSwitch,SSL,certificate \
             --bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert --no-chdir \
             --log-file=/var/log/openvswitch/ovsdb-server.log \
             --pidfile=/var/run/openvswitch/ovsdb-server.pid --detach --monitor");
        assert!(o.config.databases.contains_key("/etc/openvswitch/conf.db"));
        assert!(o.config.remotes.contains_key("punix:/var/run/openvswitch/db.sock"));
        assert_eq!(o.common.tls.ca_cert, Some("db:Open_vSwitch,SSL,ca_cert".into()));
        assert!(o.common.tls.bootstrap && o.common.daemon.detach && o.common.daemon.monitor);
    }

    #[test]
    fn errors_name_the_option() {
        for (line, want) in [
            ("--sync-from=tcp:1.2.3.4", "replication is not supported"),
            ("--config-file=x --remote=punix:y", "mutually exclusive with --remote"),
            ("--config-file=x y", "Databases should be specified in a config file"),
            ("--nosuch", "--nosuch"),
        ] {
            let error = parse(line).unwrap_err().to_string();
            assert!(error.contains(want), "{line}: {error}");
        }
    }
}
