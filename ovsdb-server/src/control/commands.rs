//! Each command, with upstream's answers.

use runtime::unixctl::{Commands, Reply, Request};

use super::Control;
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

/// Registers `ovsdb-server/*`.
pub fn register(commands: &mut Commands<Control>) {
    let mut add = |name: &str, usage, min, max, run: fn(&mut Control, &Request<'_>) -> Answer| {
        let name = format!("ovsdb-server/{name}");
        commands
            .register(&name, usage, min, max, move |control, request| reply(run(control, request)));
    };
    add("compact", "[DB]", 0, 1, compact);
    add("memory-trim-on-compaction", "on|off", 1, 1, trim);
    add("reconnect", "", 0, 0, |control, _| {
        control.service.reconnect("user ran ovsdb-server/reconnect");
        Ok(String::new())
    });
    add("reload", "", 0, 0, reload);
    add("add-remote", "REMOTE", 1, 1, add_remote);
    add("remove-remote", "REMOTE", 1, 1, remove_remote);
    add("list-remotes", "", 0, 0, |control, _| {
        Ok(lines(control.service.configured_remotes().keys().map(String::as_str)))
    });
    add("add-db", "DB", 1, 1, |control, request| {
        by_hand(control)?;
        control.open(&request.args[0])?;
        control.save();
        Ok(String::new())
    });
    add("remove-db", "DB", 1, 1, remove_db);
    add("list-dbs", "", 0, 0, |control, _| Ok(lines(control.service.engine().database_names())));
    add("get-db-storage-status", "DB", 1, 1, |control, request| {
        match control.service.engine().database(&request.args[0]) {
            Some(database) => Ok(match database.storage_error() {
                None => "status: ok".to_owned(),
                Some(error) => format!("status: {error}"),
            }),
            None => Err("Failed to find the database.".to_owned()),
        }
    });
    add("sync-status", "", 0, 0, |_, _| Ok("state: active\n".to_owned()));
    add("get-active-ovsdb-server", "", 0, 0, |_, _| Ok(String::new()));
    add("get-sync-exclude-tables", "", 0, 0, |_, _| Ok(String::new()));
    for name in [
        "set-active-ovsdb-server",
        "connect-active-ovsdb-server",
        "disconnect-active-ovsdb-server",
        "set-active-ovsdb-server-probe-interval",
        "set-relay-source-probe-interval",
        "set-sync-exclude-tables",
    ] {
        add(name, "", 0, 1, |_, _| Err("replication is not supported".to_owned()));
    }
    add("perf-counters-show", "", 0, 0, |_, _| Ok(String::new()));
    add("perf-counters-clear", "", 0, 0, |_, _| Ok(String::new()));
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

fn compact(control: &mut Control, request: &Request<'_>) -> Answer {
    let wanted = request.args.first();
    if wanted.is_some_and(|name| name.starts_with('_')) {
        return Err("cannot compact built-in databases".to_owned());
    }
    let names: Vec<String> = control
        .service
        .engine()
        .database_names()
        .filter(|name| wanted.map_or(!name.starts_with('_'), |wanted| wanted == name))
        .map(str::to_owned)
        .collect();
    if names.is_empty() {
        return Err("no database by that name".to_owned());
    }
    let mut errors = String::new();
    for name in names {
        runtime::info!(OVSDB, "compacting {name} database by user request");
        let now = control.service.engine_now();
        if let Err(error) = control.service.engine_mut().compact(&name, now) {
            errors += &format!("{error}\n");
        }
    }
    if control.trim {
        // SAFETY: the call takes a number and touches only memory that nobody uses.
        unsafe { libc::malloc_trim(0) };
    }
    if errors.is_empty() { Ok(String::new()) } else { Err(errors) }
}

fn trim(control: &mut Control, request: &Request<'_>) -> Answer {
    let on = match request.args[0].as_str() {
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

fn reload(control: &mut Control, _: &Request<'_>) -> Answer {
    if control.config_file.is_none() {
        return Err("Configuration file was not specified on command line".to_owned());
    }
    match control.reload() {
        Ok(()) => Ok(String::new()),
        Err(error) => {
            runtime::warn!(OVSDB, "{error}");
            Err("Configuration failed.  See the log file for details.".to_owned())
        }
    }
}

fn add_remote(control: &mut Control, request: &Request<'_>) -> Answer {
    by_hand(control)?;
    let remote = &request.args[0];
    if remote.starts_with("db:") {
        remote.parse::<DbColumn>()?.check(control.service.engine())?;
    }
    control.service.add_remote(remote, RemoteOptions::default())?;
    control.save();
    Ok(String::new())
}

fn remove_remote(control: &mut Control, request: &Request<'_>) -> Answer {
    by_hand(control)?;
    if !control.service.remove_remote(&request.args[0]) {
        return Err("no such remote".to_owned());
    }
    control.save();
    Ok(String::new())
}

fn remove_db(control: &mut Control, request: &Request<'_>) -> Answer {
    by_hand(control)?;
    let name = &request.args[0];
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
