//! Each command, with upstream's answers.

use runtime::unixctl::{Commands, Pending, Reply};

use super::{Compactions, Control};
use crate::cli::Model;
use crate::net::{DbColumn, OVSDB, RemoteOptions};

type Answer = Result<String, String>;

fn reply(answer: Answer) -> Reply {
    match answer {
        Ok(text) => Reply::Text(text),
        Err(text) => Reply::Error(text),
    }
}

fn lines<'l>(all: impl IntoIterator<Item = &'l str>) -> String {
    all.into_iter().flat_map(|line| [line, "\n"]).collect()
}

/// One command: name, usage, fewest and most arguments, what it does.
type Row = (&'static str, &'static str, usize, usize, fn(&mut Control, &[String]) -> Answer);

const COMPACT: &str = "ovsdb-server/compact";

/// All others behind `ovsdb-server/`.
const COMMANDS: &[Row] = &[
    ("memory-trim-on-compaction", "on|off", 1, 1, trim),
    ("reconnect", "", 0, 0, reconnect),
    ("reload", "", 0, 0, reload),
    ("add-remote", "REMOTE", 1, 1, add_remote),
    ("remove-remote", "REMOTE", 1, 1, remove_remote),
    ("list-remotes", "", 0, 0, list_remotes),
    ("add-db", "DB", 1, 1, add_db),
    ("remove-db", "DB", 1, 1, remove_db),
    ("list-dbs", "", 0, 0, list_dbs),
    ("get-db-storage-status", "DB", 1, 1, storage_status),
    ("sync-status", "", 0, 0, |_, _| Ok("state: active\n".to_owned())),
    ("get-active-ovsdb-server", "", 0, 0, nothing),
    ("get-sync-exclude-tables", "", 0, 0, nothing),
    ("set-active-ovsdb-server", "", 0, 1, replication),
    ("connect-active-ovsdb-server", "", 0, 1, replication),
    ("disconnect-active-ovsdb-server", "", 0, 1, replication),
    ("set-active-ovsdb-server-probe-interval", "", 0, 1, replication),
    ("set-relay-source-probe-interval", "", 0, 1, replication),
    ("set-sync-exclude-tables", "", 0, 1, replication),
    ("tlog-set", "DB:TABLE on|off", 2, 2, tlog_set),
    ("tlog-list", "", 0, 0, tlog_list),
    ("disable-monitor-cond", "", 0, 0, disable_conditions),
    ("perf-counters-show", "", 0, 0, nothing),
    ("perf-counters-clear", "", 0, 0, nothing),
];

/// Registers `ovsdb-server/*`.
pub fn register(commands: &mut Commands<Control>) {
    commands.register(COMPACT, "[DB]", 0, 1, |control, request| {
        let (pending, later) = request.defer();
        compact(control, request.args, pending);
        later
    });
    for &(name, usage, min, max, run) in COMMANDS {
        let name = format!("ovsdb-server/{name}");
        commands.register(&name, usage, min, max, move |control, request| {
            reply(run(control, request.args))
        });
    }
}

/// Work for the thread that has the [`Control`].
pub type Ask = Box<dyn FnOnce(&mut Control) + Send>;

/// Registers `ovsdb-server/*` where another thread has the [`Control`]: `ask` takes the command
/// there, and the client waits for the answer. An `Ask` that is dropped answers with an error.
pub fn forward<C>(commands: &mut Commands<C>, ask: impl Fn(&C, Ask) + Clone + 'static) {
    let compaction = ask.clone();
    commands.register(COMPACT, "[DB]", 0, 1, move |context, request| {
        let (pending, later) = request.defer();
        let args = request.args.to_vec();
        compaction(context, Box::new(move |control| compact(control, &args, pending)));
        later
    });
    for &(name, usage, min, max, run) in COMMANDS {
        let ask = ask.clone();
        let name = format!("ovsdb-server/{name}");
        commands.register(&name, usage, min, max, move |context, request| {
            let (pending, later) = request.defer();
            let args = request.args.to_vec();
            ask(context, Box::new(move |control| pending.complete(reply(run(control, &args)))));
            later
        });
    }
}

fn nothing(_: &mut Control, _: &[String]) -> Answer {
    Ok(String::new())
}

fn replication(_: &mut Control, _: &[String]) -> Answer {
    Err("replication is not supported".to_owned())
}

fn reconnect(control: &mut Control, _: &[String]) -> Answer {
    control.service.reconnect("user ran ovsdb-server/reconnect");
    Ok(String::new())
}

fn disable_conditions(control: &mut Control, _: &[String]) -> Answer {
    control.service.engine_mut().disable_conditions();
    control.service.reconnect("user ran ovsdb-server/disable-monitor-cond");
    Ok(String::new())
}

fn tlog_set(control: &mut Control, args: &[String]) -> Answer {
    let on = match args[1].to_ascii_lowercase().as_str() {
        "on" => true,
        "off" => false,
        _ => return Err("invalid command argument".to_owned()),
    };
    let (database, table) = match args[0].split_once(':') {
        Some((database, table))
            if !database.is_empty() && !table.is_empty() && !table.contains(':') =>
        {
            (database, table)
        }
        _ => return Err("invalid DB:TABLE argument".to_owned()),
    };
    control.service.engine_mut().log_table(database, table, on)?;
    Ok(String::new())
}

fn tlog_list(control: &mut Control, _: &[String]) -> Answer {
    let mut text = format!("{:<16}{:<28}logging\n", "database", "table");
    text += &format!("{:<16}{:<28}-------\n", "--------", "-----");
    for (database, tables) in control.service.engine().logged_tables() {
        text += &format!("{database:<16} \n");
        for (table, on) in tables {
            text += &format!("{:16}{table:<27} {}\n", "", if on { "ON" } else { "OFF" });
        }
    }
    Ok(text)
}

fn list_remotes(control: &mut Control, _: &[String]) -> Answer {
    Ok(lines(control.service.configured_remotes().keys().map(String::as_str)))
}

fn add_db(control: &mut Control, args: &[String]) -> Answer {
    by_hand(control)?;
    control.open(&args[0], Model::File)?;
    control.save();
    Ok(String::new())
}

fn list_dbs(control: &mut Control, _: &[String]) -> Answer {
    Ok(lines(control.service.engine().database_names()))
}

fn storage_status(control: &mut Control, args: &[String]) -> Answer {
    match control.service.engine().database(&args[0]) {
        Some(database) => Ok(match database.storage_error() {
            None => "status: ok".to_owned(),
            Some(error) => format!("status: {error}"),
        }),
        None => Err("Failed to find the database.".to_owned()),
    }
}

/// With a configuration file, it is the file that is to be changed.
fn by_hand(control: &Control) -> Result<(), String> {
    match &control.config_file {
        None => Ok(()),
        Some(path) => {
            Err(format!("Update the {} and use ovsdb-server/reload instead", path.display()))
        }
    }
}

/// Begins compactions; the client is answered when they have ended.
fn compact(control: &mut Control, args: &[String], answer: Pending) {
    let wanted = args.first();
    if wanted.is_some_and(|name| name.starts_with('_')) {
        return answer.complete(Reply::Error("cannot compact built-in databases".to_owned()));
    }
    let mut names: Vec<String> = control
        .service
        .engine()
        .database_names()
        .filter(|name| wanted.map_or(!name.starts_with('_'), |wanted| wanted == name))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return answer.complete(Reply::Error("no database by that name".to_owned()));
    }
    let mut errors = String::new();
    names.retain(|name| {
        runtime::info!(OVSDB, "compacting {name} database by user request");
        let now = control.service.engine_now();
        let begun = control.service.engine_mut().begin_compaction(name, now);
        begun.inspect_err(|error| errors += &format!("{error}\n")).is_ok()
    });
    control.compactions.push(Compactions { answer, names, errors });
}

fn trim(control: &mut Control, args: &[String]) -> Answer {
    let on = match args[0].as_str() {
        "on" => true,
        "off" => false,
        _ => return Err("invalid argument".to_owned()),
    };
    if !control.trim_told || control.trim != on {
        let what = if on { "enabled" } else { "disabled" };
        runtime::info!(OVSDB, "memory trimming after compaction {what}.");
    }
    control.trim_told = true;
    control.trim = on;
    Ok(String::new())
}

fn reload(control: &mut Control, _: &[String]) -> Answer {
    if control.config_file.is_none() {
        return Err("Configuration file was not specified on command line".to_owned());
    }
    match control.reload() {
        Ok(()) => Ok(String::new()),
        Err(_) => Err("Configuration failed.  See the log file for details.".to_owned()),
    }
}

fn add_remote(control: &mut Control, args: &[String]) -> Answer {
    by_hand(control)?;
    let remote = &args[0];
    if remote.starts_with("db:") {
        remote.parse::<DbColumn>()?.check(control.service.engine())?;
    }
    control.service.add_remote(remote, RemoteOptions::default())?;
    control.save();
    Ok(String::new())
}

fn remove_remote(control: &mut Control, args: &[String]) -> Answer {
    by_hand(control)?;
    if !control.service.remove_remote(&args[0]) {
        return Err("no such remote".to_owned());
    }
    control.save();
    Ok(String::new())
}

fn remove_db(control: &mut Control, args: &[String]) -> Answer {
    by_hand(control)?;
    let name = &args[0];
    if control.service.engine().database(name).is_none() {
        return Err("Failed to find the database.".to_owned());
    }
    if name.starts_with('_') {
        return Err("Cannot remove reserved database.".to_owned());
    }
    control.service.remove_database(name);
    control.files.remove(name);
    control.save();
    Ok(String::new())
}
