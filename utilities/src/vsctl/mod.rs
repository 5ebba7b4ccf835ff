//! `ovs-vsctl`: reads and changes a switch's configuration in its database.
//!
//! [`grammar`] reads the command line, [`cmd`] has the commands, [`db`] the database as they see
//! it, [`output`] prints tables, `complete` tells shells what may come next. All commands of a line are one transaction.

pub mod cmd;
mod complete;
pub mod console;
pub mod db;
mod global;
pub mod grammar;
mod help;
mod options;
pub mod output;
mod run;

use std::ffi::OsString;
use std::process::ExitCode;

use cmd::COMMANDS;
use console::{Console, Level};
use grammar::command::{self, Syntax};
use grammar::words::nearest;
use options::Request;
use run::End;

pub use global::{default_db, log_directory, run_directory};
pub use run::die_of_alarm;

/// Runs the program with its command line, the program's name first.
pub fn main(arguments: Vec<OsString>) -> ExitCode {
    let mut console = Console::new("ovs-vsctl");
    let end = match words(arguments) {
        Ok(words) => ended(&words, &mut console),
        Err(text) => End::fatal(text),
    };
    match end {
        End::Status(status) => ExitCode::from(status),
        End::Fatal { text, nearest } => {
            console.log_quietly("db_ctl_base", Level::Err, &text);
            console.error(&text);
            console.hint(nearest.as_deref());
            ExitCode::FAILURE
        }
        End::Alarm => {
            console.warn("fatal_signal", "terminating with signal 14 (Alarm clock)");
            run::die_of_alarm()
        }
    }
}

/// The command line as text.
///
/// # Errors
///
/// A word that is none: the database holds UTF-8 only.
pub fn words(arguments: Vec<OsString>) -> Result<Vec<String>, String> {
    let words = arguments.into_iter().map(|word| {
        word.into_string().map_err(|word| format!("{}: not valid UTF-8", word.to_string_lossy()))
    });
    words.collect()
}

fn ended(words: &[String], console: &mut Console) -> End {
    let commands: Vec<&'static Syntax> = COMMANDS.iter().map(|entry| &entry.syntax).collect();
    let request = match options::parse(words.get(1..).unwrap_or_default(), &commands, console) {
        Ok(request) => request,
        Err(error) => return End::Fatal { text: error.text, nearest: error.nearest },
    };
    let mut options = match request {
        Request::Run(options) => options,
        Request::Print(text) => {
            run::print(&text);
            return End::Status(0);
        }
    };
    let local = std::mem::take(&mut options.local);
    let parsed = match command::parse(&options.words, local, &commands) {
        Ok(parsed) => parsed,
        Err(error) => {
            let near =
                error.unknown.and_then(|(word, known)| nearest(&word, known.iter().copied()));
            return End::Fatal { text: error.text, nearest: near };
        }
    };
    let line = command::escape(words);
    let writes = parsed.iter().any(|command| command.syntax.writes);
    let level = if writes { Level::Info } else { Level::Dbg };
    console.log("vsctl", level, &format!("Called as {line}"));
    run::run(&options, &parsed, &line, console)
}
