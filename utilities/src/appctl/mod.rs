//! `ovs-appctl`: asks running daemons and tells them what to do, over their control sockets.
//!
//! [`target`] finds and reaches a daemon, [`terminal`] shows its answers as tables on a
//! terminal.

mod help;
pub mod target;
pub mod terminal;

use std::ffi::OsString;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::vsctl::console::Console;
use crate::vsctl::grammar::getopt::{Opt, Options, Takes};
use crate::vsctl::{die_of_alarm, output, words};
use target::{CallError, Target};

/// The options before the command.
const KNOWN: &[Opt] = &[
    Opt::with("target").short('t'),
    Opt::flag("execute").short('e'),
    Opt::with("format").short('f'),
    Opt::flag("help").short('h'),
    Opt::flag("option").short('o'),
    Opt::flag("pretty"),
    Opt::flag("version").short('V'),
    Opt::with("timeout").short('T'),
    Opt { name: "verbose", short: Some('v'), takes: Takes::MaybeArgument },
    Opt { name: "log-file", short: None, takes: Takes::MaybeArgument },
    Opt::with("syslog-method"),
    Opt::with("syslog-target"),
    Opt::with("completions"),
    Opt::flag("manual"),
];

/// How the program ends if not with an answer.
enum End {
    /// Print this and end well.
    Print(String),
    /// Print `ovs-appctl: TEXT` and end with this status.
    Error(u8, String),
    /// Time is up.
    Alarm,
}

impl From<String> for End {
    fn from(text: String) -> End {
        End::Error(1, text)
    }
}

/// What was asked for.
#[derive(Debug)]
struct Asked {
    target: String,
    json: bool,
    pretty: bool,
    timeout: Option<u32>,
    command: String,
    arguments: Vec<String>,
}

/// Runs the program with its command line, the program's name first.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let mut console = Console::new("ovs-appctl");
    let end = words(arguments).map_err(End::from).and_then(|words| {
        let asked = parse(words.get(1..).unwrap_or_default(), &mut console)?;
        run(&asked, &mut console)
    });
    match end {
        Ok(()) => ExitCode::SUCCESS,
        Err(End::Print(text)) => {
            let _ = anstream::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(End::Error(status, text)) => {
            console.error(&text);
            ExitCode::from(status)
        }
        Err(End::Alarm) => {
            console.warn("fatal_signal", "terminating with signal 14 (Alarm clock)");
            die_of_alarm()
        }
    }
}

fn parse(words: &[String], console: &mut Console) -> Result<Asked, End> {
    let mut reader = Options::new(words, KNOWN);
    let (mut json, mut pretty, mut timeout) = (false, false, None);
    let (mut targets, mut executes) = (Vec::new(), 0);
    while let Some(given) = reader.next_option() {
        let given = given?;
        let argument = given.argument.unwrap_or_default();
        match given.name {
            "target" => targets.push(argument),
            // From when the command was this option's argument.
            "execute" => executes += 1,
            "format" => match argument.as_str() {
                "text" => json = false,
                "json" => json = true,
                _ => return Err(format!("value {argument} on -f or --format is invalid").into()),
            },
            "pretty" => pretty = true,
            "timeout" => match argument.parse() {
                Ok(seconds) if seconds > 0 => timeout = Some(seconds),
                _ => return Err(format!("value {argument} on -T or --timeout is invalid").into()),
            },
            "help" => return Err(End::Print(help::usage())),
            "option" => return Err(End::Print(help::options(KNOWN))),
            "version" => return Err(End::Print(help::version())),
            "completions" => return Err(End::Print(help::completions(&argument)?)),
            "manual" => return Err(End::Print(help::manual())),
            "verbose" => {
                console.configure(Some(argument.as_str()).filter(|spec| !spec.is_empty()))?;
            }
            "log-file" if !argument.is_empty() => {
                console
                    .open_file(&argument)
                    .map_err(|error| format!("{argument}: {}", posix::text(error)))?;
            }
            // The rest is for daemons' sake: options that all programs take.
            _ => {}
        }
        if targets.len() > 1 {
            return Err("-t or --target may be specified only once".to_owned().into());
        }
        if executes > 1 {
            return Err("-e or --execute may be specified only once".to_owned().into());
        }
    }
    let [command, arguments @ ..] = reader.rest() else {
        let text = "at least one non-option argument is required (use --help for help)";
        return Err(text.to_owned().into());
    };
    if pretty && !json {
        return Err("--pretty is supported with --format json only".to_owned().into());
    }
    Ok(Asked {
        target: targets.pop().unwrap_or_else(|| "ovs-vswitchd".to_owned()),
        json,
        pretty,
        timeout,
        command: command.clone(),
        arguments: arguments.to_vec(),
    })
}

fn run(asked: &Asked, console: &mut Console) -> Result<(), End> {
    let environment = std::env::var("OVS_CTL_TIMEOUT").ok().and_then(|text| text.parse().ok());
    let seconds = asked.timeout.or(environment).filter(|seconds: &u32| *seconds > 0);
    let deadline = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let mut target = Target::open(&asked.target, deadline, console)?;
    if asked.json {
        call(&mut target, asked, "set-options", &["--format".to_owned(), "json".to_owned()])?;
    }
    let answer = call(&mut target, asked, &asked.command, &asked.arguments)?;
    let out = match (asked.json, &answer) {
        (true, answer) if asked.pretty => output::pretty(answer),
        (true, answer) => answer.to_string(),
        (false, Value::String(text)) => {
            if std::io::stdout().is_terminal()
                && let Some(table) = terminal::table(&asked.command, text)
            {
                table
            } else {
                text.clone()
            }
        }
        (false, other) => return Err(unexpected(other)),
    };
    let mut stdout = anstream::stdout().lock();
    // A reader that has gone away is no error.
    let _ = stdout.write_all(with_newline(out).as_bytes()).and_then(|()| stdout.flush());
    Ok(())
}

fn with_newline(mut text: String) -> String {
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

fn unexpected(answer: &Value) -> End {
    let kind = match answer {
        Value::Null => "null",
        Value::Bool(false) => "false",
        Value::Bool(true) => "true",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    End::Error(2, format!("Unexpected reply type in JSON rpc reply: {kind}"))
}

fn call(
    target: &mut Target,
    asked: &Asked,
    command: &str,
    arguments: &[String],
) -> Result<Value, End> {
    match target.call(command, arguments) {
        Ok(answer) => Ok(answer),
        Err(CallError::Refused(Value::String(text))) => {
            let _ = std::io::stderr().lock().write_all(with_newline(text).as_bytes());
            Err(End::Error(2, format!("{}: server returned an error", asked.target)))
        }
        Err(CallError::Refused(other)) => Err(unexpected(&other)),
        Err(CallError::Deadline) => Err(End::Alarm),
        Err(CallError::Broken(reason)) => {
            Err(format!("{}: transaction error ({reason})", asked.target).into())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Asked, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse(&words, &mut Console::new("ovs-appctl")).map_err(|end| match end {
            End::Print(text) | End::Error(_, text) => text,
            End::Alarm => "alarm".to_owned(),
        })
    }

    #[test]
    fn command_lines() {
        let asked = read("-t /x -T 5 -fjson --pretty -e bond/show bond0 -t").unwrap();
        assert_eq!((asked.target.as_str(), asked.timeout), ("/x", Some(5)));
        assert!(asked.json && asked.pretty);
        assert_eq!(asked.arguments, ["bond0", "-t"]);
        assert_eq!(read("version").unwrap().target, "ovs-vswitchd");
        for (line, says) in [
            ("", "at least one non-option argument is required (use --help for help)"),
            ("-t a -t b x", "-t or --target may be specified only once"),
            ("-e -e x", "-e or --execute may be specified only once"),
            ("-T 0 x", "value 0 on -T or --timeout is invalid"),
            ("-f yaml x", "value yaml on -f or --format is invalid"),
            ("--pretty x", "--pretty is supported with --format json only"),
            ("--tar", "option '--target' requires an argument"),
            ("-x", "invalid option -- 'x'"),
        ] {
            assert_eq!(read(line).unwrap_err(), says, "{line}");
        }
    }
}
