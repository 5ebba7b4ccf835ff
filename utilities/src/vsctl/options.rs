//! The program's own options.

use std::collections::BTreeMap;
use std::path::PathBuf;

use ovsdb_client::TlsSettings;

use super::console::Console;
use super::global::{GLOBAL, default_db, log_directory};
use super::grammar::command::{self, Syntax};
use super::grammar::getopt::{Opt, Options as Words, Takes};
use super::grammar::words::nearest;
use super::output::Style;

/// What was asked for.
#[derive(Debug)]
pub(super) struct Options {
    /// Addresses of the server, with commas between.
    pub db: String,
    /// One line for each command.
    pub oneline: bool,
    /// Nothing is committed.
    pub dry_run: bool,
    /// Wait until the switch has taken the change up.
    pub wait: bool,
    /// Longest the program may run, in seconds.
    pub timeout: Option<u32>,
    /// Try to connect again and again.
    pub retry: bool,
    /// Of a cluster, only its leader.
    pub leader_only: bool,
    /// Try addresses in another order each time.
    pub shuffle: bool,
    /// How tables are printed.
    pub style: Style,
    /// Files for `ssl:`.
    pub tls: TlsSettings,
    /// Options of the first command.
    pub local: BTreeMap<String, Option<String>>,
    /// The words after the options.
    pub words: Vec<String>,
}

/// What to do.
#[derive(Debug)]
pub(super) enum Request {
    /// Run commands.
    Run(Box<Options>),
    /// Print this and end.
    Print(String),
}

/// A command line that is none: its text, and the nearest known word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OptionError {
    /// What is wrong.
    pub text: String,
    /// What may have been meant.
    pub nearest: Option<String>,
}

impl From<String> for OptionError {
    fn from(text: String) -> OptionError {
        OptionError { text, nearest: None }
    }
}

/// Reads a command line without the program's name.
///
/// # Errors
///
/// [`OptionError`].
pub(super) fn parse(
    words: &[String],
    commands: &[&'static Syntax],
    console: &mut Console,
) -> Result<Request, OptionError> {
    let known: Vec<Opt> = GLOBAL.iter().copied().chain(command::all_options(commands)).collect();
    let mut options = Options {
        db: String::new(),
        oneline: false,
        dry_run: false,
        wait: true,
        timeout: None,
        retry: false,
        leader_only: true,
        shuffle: true,
        style: Style::default(),
        tls: TlsSettings::default(),
        local: BTreeMap::new(),
        words: Vec::new(),
    };
    let mut reader = Words::new(words, &known);
    while let Some(given) = reader.next_option() {
        let given = given.map_err(|text| unknown_option(text, &known))?;
        let argument = given.argument.unwrap_or_default();
        match given.name {
            "db" => options.db = argument,
            "no-syslog" => console.quiet_syslog(),
            "no-wait" => options.wait = false,
            "dry-run" => options.dry_run = true,
            "oneline" => options.oneline = true,
            "timeout" => match argument.parse() {
                Ok(seconds) if seconds > 0 => options.timeout = Some(seconds),
                _ => return Err(format!("value {argument} on -t or --timeout is invalid").into()),
            },
            "retry" => options.retry = true,
            "help" => return Ok(Request::Print(super::help::usage(commands))),
            "commands" => return Ok(Request::Print(super::help::commands(commands))),
            "options" => return Ok(Request::Print(super::help::options(GLOBAL))),
            "completions" => return Ok(Request::Print(super::complete::script(&argument)?)),
            "complete" => {
                let dashes = words.iter().position(|word| word == "--");
                let typed = dashes.map_or(&[][..], |at| &words[at + 1..]);
                return Ok(Request::Print(super::complete::answer(typed)));
            }
            "manual" => return Ok(Request::Print(super::help::manual(commands))),
            "version" => return Ok(Request::Print(super::help::version())),
            "leader-only" => options.leader_only = true,
            "no-leader-only" => options.leader_only = false,
            "shuffle-remotes" => options.shuffle = true,
            "no-shuffle-remotes" => options.shuffle = false,
            "verbose" => {
                let spec = Some(argument.as_str()).filter(|spec| !spec.is_empty());
                console.configure(spec)?;
            }
            "log-file" => {
                let path = match argument.as_str() {
                    "" => format!("{}/ovs-vsctl.log", log_directory()),
                    path => path.to_owned(),
                };
                console
                    .open_file(&path)
                    .map_err(|error| format!("{path}: {}", posix::text(error)))?;
            }
            "format" => options.style.set_format(&argument)?,
            "data" => options.style.set_data(&argument)?,
            "no-headings" => options.style.headings = false,
            "pretty" => options.style.pretty = true,
            "bare" => options.style.set_bare(),
            "max-column-width" => options.style.max_width = argument.parse().unwrap_or(0),
            "private-key" => options.tls.private_key = Some(PathBuf::from(argument)),
            "certificate" => options.tls.certificate = Some(PathBuf::from(argument)),
            "ca-cert" => {
                options.tls.ca_cert = Some(PathBuf::from(argument));
                options.tls.bootstrap = false;
            }
            "bootstrap-ca-cert" => {
                options.tls.ca_cert = Some(PathBuf::from(argument));
                options.tls.bootstrap = true;
            }
            "peer-ca-cert" => options.tls.peer_ca_cert = Some(PathBuf::from(argument)),
            "ssl-server-name" => options.tls.server_name = Some(argument),
            "ssl-protocols" => options.tls.enabled.protocols = Some(argument),
            "ssl-ciphers" => options.tls.enabled.ciphers = Some(argument),
            "ssl-ciphersuites" => options.tls.enabled.ciphersuites = Some(argument),
            "syslog-method" | "syslog-target" => {}
            local => {
                let takes = known.iter().find(|opt| opt.name == local).map(|opt| opt.takes);
                let argument = (takes == Some(Takes::Argument)).then_some(argument);
                if options.local.insert(format!("--{local}"), argument).is_some() {
                    return Err(format!("'{local}' option specified multiple times").into());
                }
            }
        }
    }
    for problem in options.tls.enabled.problems() {
        console.warn("stream_ssl", &problem);
    }
    options.words = reader.rest().to_vec();
    if options.db.is_empty() {
        options.db = default_db();
    }
    Ok(Request::Run(Box::new(options)))
}

/// The text of an option error, with the nearest option if one is not known.
fn unknown_option(text: String, known: &[Opt]) -> OptionError {
    let unknown = text.strip_prefix("unrecognized option '--").and_then(|rest| {
        let name = rest.trim_end_matches('\'');
        Some(name.split_once('=').map_or(name, |(name, _)| name)).filter(|name| !name.is_empty())
    });
    let nearest = unknown.and_then(|name| nearest(name, known.iter().map(|opt| opt.name)));
    OptionError { nearest: nearest.map(|name| format!("--{name}")), text }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vsctl::cmd::COMMANDS;

    fn read(line: &str) -> Result<Request, OptionError> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let commands: Vec<&'static Syntax> = COMMANDS.iter().map(|entry| &entry.syntax).collect();
        parse(&words, &commands, &mut Console::new("ovs-vsctl"))
    }

    #[test]
    fn options_and_what_is_wrong_with_them() {
        let Ok(Request::Run(options)) =
            read("--db=tcp:h:1 -t5 --no-wait --may-exist -f csv -vx:off add-br a -- list-br")
        else {
            panic!("refused");
        };
        assert_eq!(options.db, "tcp:h:1");
        assert_eq!(options.timeout, Some(5));
        assert!(!options.wait && options.local.contains_key("--may-exist"));
        assert_eq!(options.words, ["add-br", "a", "--", "list-br"]);
        for (line, text, nearest) in [
            ("-t0 x", "value 0 on -t or --timeout is invalid", None),
            ("--if-exists --if-exists x", "'if-exists' option specified multiple times", None),
            ("-f xml x", "unknown output format \"xml\"", None),
            ("--no-wiat x", "unrecognized option '--no-wiat'", Some("--no-wait")),
        ] {
            let error = read(line).unwrap_err();
            assert_eq!((error.text.as_str(), error.nearest.as_deref()), (text, nearest), "{line}");
        }
    }

    #[test]
    fn command_options_do_not_hide_those_of_the_program() {
        let commands: Vec<&'static Syntax> = COMMANDS.iter().map(|entry| &entry.syntax).collect();
        for option in command::all_options(&commands) {
            assert!(GLOBAL.iter().all(|global| global.name != option.name), "{}", option.name);
        }
    }
}
