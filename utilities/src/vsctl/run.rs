//! One run: connect, do the commands as one transaction until it goes through, print, wait for the
//! switch.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use ovsdb::{Atom, DatabaseSchema, Datum, Uuid};
use ovsdb_client::Caller;
use serde_json::Value;
use stream::target::split_list;

use super::cmd::{Before, COMMANDS, Context, Stop};
use super::console::Console;
use super::db::{LinkError, Outcome, Rows, Txn, Wants, link};
use super::global::log_directory;
use super::grammar::command::Command;
use super::options::Options;
use super::output;

/// How the program ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum End {
    /// With this status.
    Status(u8),
    /// With this text and status 1.
    Fatal { text: String, nearest: Option<String> },
    /// By the signal of a timer: time is up.
    Alarm,
}

impl End {
    pub(super) fn fatal(text: impl Into<String>) -> End {
        End::Fatal { text: text.into(), nearest: None }
    }
}

impl From<Stop> for End {
    fn from(stop: Stop) -> End {
        match stop {
            Stop::Fatal { text, nearest } => End::Fatal { text, nearest },
            Stop::Exit(status) => End::Status(status),
            // Only a command that runs waits.
            Stop::Wait => End::fatal("nothing to wait for"),
        }
    }
}

/// Status when the switch reports that an interface does not work (`EX_DATAERR`, `sysexits(3)`).
const DATA_ERROR: u8 = 65;

/// Ends the process as the timer's signal would.
pub fn die_of_alarm() -> ExitCode {
    let _ = std::io::stdout().flush();
    let _ = signal_hook::low_level::emulate_default_handler(signal_hook::consts::SIGALRM);
    // Not reached; the status that a shell would show.
    ExitCode::from(142)
}

/// Prints to standard output. A reader that has gone away is no error.
pub(super) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// What one command prints.
#[derive(Debug)]
struct Printed {
    text: String,
    table: Option<output::Table>,
    created: Option<Uuid>,
}

/// What an attempt to run all commands led to.
enum Attempt {
    /// Something must change in the database first.
    Again,
    /// It is done, or nothing was to be changed.
    Done { printed: Vec<Printed>, new_interfaces: Vec<Uuid>, outcome: Outcome },
}

/// Does all commands.
pub(super) fn run(
    options: &Options,
    commands: &[Command],
    line: &str,
    console: &mut Console,
) -> End {
    let environment = std::env::var("OVS_CTL_TIMEOUT").ok().and_then(|text| text.parse().ok());
    let seconds = options.timeout.or(environment).filter(|seconds| *seconds > 0);
    if let Some(seconds) = seconds {
        // What cannot be bounded otherwise, such as looking up a name, ends a second later.
        nix::unistd::alarm::set(seconds.saturating_add(1));
    }
    let deadline = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()));
    let run = Run { options, deadline };
    match run.all(commands, line, console) {
        Ok(status) => End::Status(status),
        Err(end) => end,
    }
}

struct Run<'r> {
    options: &'r Options,
    deadline: Option<Instant>,
}

impl Run<'_> {
    fn broken(&self, error: impl Into<LinkError>) -> End {
        match error.into() {
            LinkError::Deadline => End::Alarm,
            LinkError::Broken(text) => {
                End::fatal(format!("{}: database connection failed ({text})", self.options.db))
            }
        }
    }

    fn all(&self, commands: &[Command], line: &str, console: &mut Console) -> Result<u8, End> {
        let (mut link, schema) = self.connect(self.options.retry)?;
        let mut wants = Wants::default();
        wants.table("Open_vSwitch");
        if self.options.wait {
            wants.column("Open_vSwitch", "cur_cfg");
        }
        for command in commands {
            let mut before = Before { schema: &schema, wants: &mut wants, console };
            (COMMANDS[command.index].before)(&mut before, command)?;
        }
        let mut rows = self.monitor(&mut link, &schema, &wants)?;
        loop {
            let attempt = self.attempt(&mut link, &schema, &rows, commands, line, console)?;
            let Attempt::Done { printed, new_interfaces, outcome } = attempt else {
                match link.wait_for_update().map_err(LinkError::from) {
                    Ok(()) => follow(&mut link, &schema, &mut rows)?,
                    // Nothing has been changed yet: with --retry, another connection will do.
                    Err(LinkError::Broken(_)) if self.options.retry => {
                        (link, _) = self.connect(true)?;
                        rows = self.monitor(&mut link, &schema, &wants)?;
                    }
                    Err(error) => return Err(self.broken(error)),
                }
                continue;
            };
            let (inserted, next) = match outcome {
                Outcome::Done { inserted, incremented } => (inserted, incremented),
                Outcome::TryAgain | Outcome::Refused(_) => (BTreeMap::new(), None),
            };
            self.print_all(&printed, &inserted);
            let Some(next) = next.filter(|_| !self.options.dry_run) else { return Ok(0) };
            self.wait_for_switch(link, &schema, &wants, &mut rows, next)?;
            return Ok(check_interfaces(&rows, &new_interfaces, &inserted, console));
        }
    }

    /// Connects to the first server that will do. With `retry`, tries until one does.
    fn connect(&self, retry: bool) -> Result<(Caller, DatabaseSchema), End> {
        let mut addresses = split_list(&self.options.db);
        if self.options.shuffle && addresses.len() > 1 {
            let random = super::cmd::fresh_uuid().map_err(End::fatal)?.as_u128();
            let first = random % addresses.len() as u128;
            addresses.rotate_left(first as usize);
        }
        let mut wait = Duration::from_secs(1);
        loop {
            let mut last = LinkError::Broken(String::new());
            for address in &addresses {
                match self.connect_to(address) {
                    Ok(found) => return Ok(found),
                    Err(LinkError::Deadline) => return Err(End::Alarm),
                    Err(error) => last = error,
                }
            }
            if !retry && !addresses.iter().any(|address| address.starts_with('p')) {
                return Err(self.broken(last));
            }
            let left = self.deadline.map(|at| at.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(End::Alarm);
            }
            std::thread::sleep(wait.min(left.unwrap_or(wait)));
            wait = (wait * 2).min(Duration::from_secs(8));
        }
    }

    fn connect_to(&self, address: &str) -> Result<(Caller, DatabaseSchema), LinkError> {
        let broken = |text: String| Err(LinkError::Broken(text));
        let mut link = link::open(address, &self.options.tls, self.deadline)?;
        let schema = match link.call("get_schema", "[\"Open_vSwitch\"]")? {
            Ok(schema) => schema,
            Err(error) => return broken(format!("no database Open_vSwitch: {error}")),
        };
        if self.options.leader_only && is_follower(&mut link)? {
            return broken("clustered database server is not cluster leader".to_owned());
        }
        match DatabaseSchema::parse(schema.get()) {
            Ok(schema) => Ok((link, schema)),
            Err(error) => broken(error.to_string()),
        }
    }

    /// Asks for the rows that commands look at, now and whenever they change.
    fn monitor(
        &self,
        link: &mut Caller,
        schema: &DatabaseSchema,
        wants: &Wants,
    ) -> Result<Rows, End> {
        let answer = link.call("monitor", &wants.monitor(schema, "ovs-vsctl"));
        let mut rows = Rows::default();
        match answer.map_err(|error| self.broken(error))? {
            Ok(updates) => rows.apply(schema, updates.get()).map_err(End::fatal)?,
            Err(error) => return Err(End::fatal(format!("monitor: the server answers {error}"))),
        }
        follow(link, schema, &mut rows)?;
        Ok(rows)
    }

    fn attempt(
        &self,
        link: &mut Caller,
        schema: &DatabaseSchema,
        rows: &Rows,
        commands: &[Command],
        line: &str,
        console: &mut Console,
    ) -> Result<Attempt, End> {
        let mut txn = Txn::new(schema, rows);
        txn.set_comment(comment(line));
        if self.options.dry_run {
            txn.set_dry_run();
        }
        let mut ctx = Context::new(txn, console)?;
        if self.options.wait {
            ctx.txn.set_increment(ctx.root, "next_cfg");
        }
        let mut printed = Vec::new();
        for (at, command) in commands.iter().enumerate() {
            ctx.last = at + 1 == commands.len();
            match (COMMANDS[command.index].run)(&mut ctx, command) {
                Ok(()) => {}
                Err(Stop::Wait) => return Ok(Attempt::Again),
                Err(stop) => return Err(stop.into()),
            }
            printed.push(Printed {
                text: std::mem::take(&mut ctx.out),
                table: ctx.table.take(),
                created: ctx.created.take(),
            });
        }
        ctx.symbols.check(ctx.console).map_err(End::fatal)?;
        let new_interfaces = ctx.new_interfaces;
        let nothing = Outcome::Done { inserted: BTreeMap::new(), incremented: None };
        let Some(request) = ctx.txn.encode() else {
            return Ok(Attempt::Done { printed, new_interfaces, outcome: nothing });
        };
        let answer = link.call("transact", &request.params).map_err(|error| self.broken(error))?;
        let answer = answer.as_ref().map(|text| text.get()).map_err(|text| text.get());
        match request.outcome(answer) {
            Outcome::TryAgain => Ok(Attempt::Again),
            Outcome::Refused(error) => {
                let text = format!("transaction error: {error}");
                console.warn("ovsdb_idl", &text);
                Err(End::fatal(text))
            }
            outcome @ Outcome::Done { .. } => {
                Ok(Attempt::Done { printed, new_interfaces, outcome })
            }
        }
    }

    fn print_all(&self, all: &[Printed], inserted: &BTreeMap<Uuid, Uuid>) {
        let mut first = true;
        let mut out = String::new();
        for printed in all {
            let mut text = printed.text.clone();
            if let Some(stand_in) = &printed.created {
                text.push_str(&format!("{}\n", inserted.get(stand_in).unwrap_or(stand_in)));
            }
            match &printed.table {
                Some(table) => out.push_str(&table.render(&self.options.style, &mut first)),
                None if self.options.oneline => {
                    let text = text.strip_suffix('\n').unwrap_or(&text);
                    out.push_str(&text.replace('\\', "\\\\").replace('\n', "\\n"));
                    out.push('\n');
                }
                None => out.push_str(&text),
            }
        }
        print(&out);
    }

    /// Waits until the switch has taken up configuration number `next`. The change is made: a
    /// connection that breaks is made again, as often as needed.
    fn wait_for_switch(
        &self,
        mut link: Caller,
        schema: &DatabaseSchema,
        wants: &Wants,
        rows: &mut Rows,
        next: i64,
    ) -> Result<(), End> {
        loop {
            follow(&mut link, schema, rows)?;
            let current = |uuid| match rows.row("Open_vSwitch", uuid)?.get("cur_cfg")? {
                Datum::Set(set) => set.first().cloned(),
                Datum::Map(_) => None,
            };
            let taken_up = |uuid| matches!(current(uuid), Some(Atom::Integer(at)) if at >= next);
            if rows.table("Open_vSwitch").any(taken_up) {
                return Ok(());
            }
            match link.wait_for_update().map_err(LinkError::from) {
                Ok(()) => {}
                Err(LinkError::Deadline) => return Err(End::Alarm),
                Err(LinkError::Broken(_)) => {
                    (link, _) = self.connect(true)?;
                    *rows = self.monitor(&mut link, schema, wants)?;
                }
            }
        }
    }
}

/// Takes up what the server has reported.
fn follow(link: &mut Caller, schema: &DatabaseSchema, rows: &mut Rows) -> Result<(), End> {
    for update in link.take_updates() {
        rows.apply_notification(schema, update.get()).map_err(End::fatal)?;
    }
    Ok(())
}

/// True for a server of a cluster that is not its leader (`_Server` database, `ovsdb-server(5)`).
fn is_follower(link: &mut Caller) -> Result<bool, LinkError> {
    let params = r#"["_Server",{"op":"select","table":"Database",
        "where":[["name","==","Open_vSwitch"]],"columns":["model","leader"]}]"#;
    // Servers without that database have no clusters.
    let Ok(answer) = link.call("transact", params)? else { return Ok(false) };
    let answer: Value = serde_json::from_str(answer.get()).unwrap_or_default();
    let row = &answer[0]["rows"][0];
    Ok(row["model"] == "clustered" && row["leader"] == false)
}

/// What the server's log says of the transaction: who did it.
fn comment(line: &str) -> String {
    let parent = std::os::unix::process::parent_id();
    if parent == 0 {
        return format!("ovs-vsctl (invoked by init (pid 0)): {line}");
    }
    let command = std::fs::read(format!("/proc/{parent}/cmdline")).unwrap_or_default();
    let name = command.split(|byte| *byte == 0).next().unwrap_or_default();
    let name = String::from_utf8_lossy(name);
    format!("ovs-vsctl (invoked by {name} (pid {parent})): {line}")
}

/// Says which of the new interfaces do not work; the program's status.
fn check_interfaces(
    rows: &Rows,
    added: &[Uuid],
    inserted: &BTreeMap<Uuid, Uuid>,
    console: &Console,
) -> u8 {
    let mut failed = false;
    for uuid in added.iter().filter_map(|stand_in| inserted.get(stand_in)) {
        let Some(row) = rows.row("Interface", *uuid) else { continue };
        let first = |column: &str| match row.get(column) {
            Some(Datum::Set(set)) => set.first().cloned(),
            Some(Datum::Map(_)) | None => None,
        };
        if matches!(first("ofport"), Some(Atom::Integer(port)) if port != -1) {
            continue;
        }
        let text = |column| match first(column) {
            Some(Atom::String(text)) => text,
            _ => String::new(),
        };
        let (name, mut error) = (text("name"), text("error"));
        if !error.is_empty() {
            error.insert_str(0, ": ");
        }
        console.error(&format!(
            "Error detected while setting up '{name}'{error}.  See ovs-vswitchd log for details."
        ));
        failed = true;
    }
    if failed {
        console.error(&format!("The default log directory is \"{}\".", log_directory()));
        return DATA_ERROR;
    }
    0
}
