//! The commands of `ovs-appctl -t ovsdb-server`.

mod commands;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use runtime::unixctl::{Pending, Reply};

use crate::cli::{Config, Model};
use crate::net::{DbColumn, OVSDB, Service};

pub use commands::{Ask, forward, register};

/// A client that waits for the end of compactions.
pub struct Compactions {
    answer: Pending,
    /// The databases that are not ready.
    names: Vec<String>,
    /// A line for each that failed.
    errors: String,
}

/// The server and what else the commands read and change.
pub struct Control {
    /// The server.
    pub service: Service,
    /// The command `exit`; it is answered when the server has stopped.
    pub exit: Option<Pending>,
    /// The files of the databases and their service models, by database name.
    pub files: BTreeMap<String, (String, Model)>,
    /// `--config-file`.
    pub config_file: Option<PathBuf>,
    /// Where a server that `--monitor` starts again finds what was configured meanwhile.
    pub memory: Option<File>,
    /// Clients that wait for the end of compactions.
    pub compactions: Vec<Compactions>,
    /// Return free memory to the system after a compaction.
    pub trim: bool,
    /// The last change of `trim` was logged.
    pub trim_told: bool,
}

impl Control {
    /// Of a server that nothing is configured for yet.
    pub fn new(service: Service) -> Control {
        Control {
            service,
            exit: None,
            files: BTreeMap::new(),
            config_file: None,
            memory: None,
            compactions: Vec::new(),
            trim: true,
            trim_told: false,
        }
    }

    /// Does everything there is to do.
    pub fn turn(&mut self) {
        self.service.turn();
        let mut waiting = std::mem::take(&mut self.compactions);
        self.compactions.extend(waiting.extract_if(.., |waiting| !waiting.look(&self.service)));
        if !waiting.is_empty() && self.trim {
            // SAFETY: the call takes a number and touches only unused memory.
            unsafe { libc::malloc_trim(0) };
        }
        for Compactions { answer, errors, .. } in waiting {
            answer.complete(match errors.is_empty() {
                true => Reply::Text(String::new()),
                false => Reply::Error(errors),
            });
        }
    }

    /// Makes the service serve what a configuration says, and no more.
    ///
    /// # Errors
    ///
    /// The first thing that cannot be done; the rest is done.
    pub fn apply(&mut self, config: &Config) -> Result<(), String> {
        let mut failed = None;
        let gone: Vec<String> = self
            .files
            .iter()
            .filter(|(_, (file, _))| !config.databases.contains_key(file))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.service.remove_database(&name);
            self.files.remove(&name);
        }
        for (file, model) in &config.databases {
            if let Some((name, known)) = self.known(file) {
                if *model == known || (serves(*model) && serves(known)) {
                    continue;
                }
                runtime::info!(OVSDB, "service model changed for database {name}");
                self.service.remove_database(&name);
                self.files.remove(&name);
            }
            if let Err(error) = self.open(file, *model) {
                runtime::warn!(OVSDB, "failed to open database '{file}': {error}");
                failed.get_or_insert(error);
            }
        }
        if failed.is_some() {
            runtime::warn!(OVSDB, "failed to configure databases");
        }
        if let Err(error) = self.service.set_remotes(config.remotes.clone()) {
            runtime::warn!(OVSDB, "failed to configure remotes: {error}");
            failed.get_or_insert(error);
        }
        for name in config.remotes.keys().filter(|name| name.starts_with("db:")) {
            let column = name.parse::<DbColumn>();
            if let Err(error) = column.and_then(|column| column.check(self.service.engine())) {
                runtime::warn!(OVSDB, "failed to configure remotes: {error}");
                if self.config_file.is_some() {
                    failed.get_or_insert(error);
                }
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// The database of a file, with what was said of it.
    fn known(&self, file: &str) -> Option<(String, Model)> {
        let (name, (_, model)) = self.files.iter().find(|(_, (known, _))| known == file)?;
        Some((name.clone(), *model))
    }

    /// Opens a file and serves it.
    fn open(&mut self, file: &str, model: Model) -> Result<(), String> {
        if matches!(model, Model::Relay | Model::Backup) {
            let what = if model == Model::Relay { "relays" } else { "backups" };
            return Err(format!(
                "ovsdb error: {file}: {what} of other servers' databases are not supported"
            ));
        }
        let opened = self.service.open_database(file.as_ref());
        let clustered = "is a clustered database, only standalone ones are served";
        let name = match (opened, model) {
            (Ok(name), Model::Clustered) => {
                self.service.remove_database(&name);
                Err(format!("ovsdb error: {file}: database is standalone and not clustered"))
            }
            (Err(error), Model::Standalone) if error.text().ends_with(clustered) => {
                Err(format!("ovsdb error: {file}: database is clustered and not standalone"))
            }
            (opened, _) => opened.map_err(|error| error.to_string()),
        }?;
        self.files.insert(name, (file.to_owned(), model));
        Ok(())
    }

    /// What is configured now.
    fn config(&self) -> Config {
        Config {
            remotes: self.service.configured_remotes().clone(),
            databases: self.files.values().cloned().collect(),
        }
    }

    /// Remembers what is configured for the case of a crash.
    fn save(&self) {
        if let Some(file) = &self.memory
            && let Err(error) = self.config().save(file)
        {
            runtime::err!(OVSDB, "cannot save the configuration: {error}");
        }
    }

    /// Reads the configuration file again. What is wrong is in the log.
    ///
    /// # Errors
    ///
    /// That it failed.
    pub fn reload(&mut self) -> Result<(), String> {
        let Some(path) = self.config_file.clone() else { return Ok(()) };
        let failed = |error: String| {
            runtime::warn!(OVSDB, "{error}");
            let path = path.display();
            runtime::warn!(OVSDB, "failed to load configuration from {path}");
            Err(FAILED.to_owned())
        };
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => return failed(format!("{}: {error}", path.display())),
        };
        let mut warnings = Vec::new();
        let parsed = Config::parse(&text, &mut warnings);
        for warning in warnings {
            runtime::warn!(OVSDB, "{warning}");
        }
        match parsed {
            Ok(config) => self.apply(&config).map_err(|_| FAILED.to_owned()),
            Err(error) => failed(error.to_string()),
        }
    }
}

impl Compactions {
    /// True if all have ended.
    fn look(&mut self, service: &Service) -> bool {
        let engine = service.engine();
        let errors = &mut self.errors;
        self.names.retain(|name| match engine.database(name) {
            Some(database) if database.is_compacting() => true,
            Some(_) => {
                if let Some(error) = engine.compaction_error(name) {
                    *errors += &format!("{error}\n");
                }
                false
            }
            None => false,
        });
        self.names.is_empty()
    }
}

/// What a configuration file that cannot be used comes to; the log has the reasons.
const FAILED: &str = "server configuration failed";

/// True for databases with a file of their own, which can be one or the other.
fn serves(model: Model) -> bool {
    matches!(model, Model::File | Model::Standalone | Model::Active)
}
