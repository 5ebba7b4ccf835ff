//! The commands of `ovs-appctl -t ovsdb-server`.

mod commands;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use runtime::unixctl::Pending;

use crate::cli::Config;
use crate::net::{DbColumn, OVSDB, Service};

pub use commands::{Ask, forward, register};

/// What the commands work on.
pub struct Control {
    /// The server.
    pub service: Service,
    /// Somebody asked us to stop; the answer goes out when we have.
    pub exit: Option<Pending>,
    /// The files of the databases, by their names.
    pub files: BTreeMap<String, String>,
    /// `--config-file`.
    pub config_file: Option<PathBuf>,
    /// Where a server that `--monitor` starts again finds what was configured meanwhile.
    pub memory: Option<File>,
    /// Give memory back after compacting.
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
            trim: true,
            trim_told: false,
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
            .filter(|(_, file)| !config.databases.contains(file))
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            self.service.remove_database(&name);
            self.files.remove(&name);
        }
        for file in &config.databases {
            if self.files.values().any(|known| known == file) {
                continue;
            }
            if let Err(error) = self.open(file) {
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

    /// Opens a file and serves it.
    fn open(&mut self, file: &str) -> Result<(), String> {
        let name = self.service.open_database(file.as_ref()).map_err(|error| error.to_string())?;
        self.files.insert(name, file.to_owned());
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
    /// The first thing that is wrong.
    pub fn reload(&mut self) -> Result<(), String> {
        let Some(path) = self.config_file.clone() else { return Ok(()) };
        let parsed = std::fs::read_to_string(&path)
            .map_err(|error| error.to_string())
            .and_then(|text| Config::parse(&text).map_err(|error| error.to_string()));
        match parsed {
            Ok(config) => self.apply(&config),
            Err(error) => {
                let text = format!("failed to load configuration from {}: {error}", path.display());
                runtime::warn!(OVSDB, "{text}");
                Err(text)
            }
        }
    }
}
