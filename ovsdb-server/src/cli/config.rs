//! Which databases to serve where: `--config-file`, and what a restarted server remembers.
//!
//! ```json
//! { "databases": { "conf.db": { "service-model": "standalone" } },
//!   "remotes": { "punix:db.sock": {}, "pssl:6640": { "inactivity-probe": 0, "read-only": true } } }
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use serde::{Deserialize, Serialize};

use crate::net::RemoteOptions;

/// Databases and remotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Remotes, `db:` included.
    pub remotes: BTreeMap<String, RemoteOptions>,
    /// Files.
    pub databases: Vec<String>,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// Not JSON of the right form.
    #[error("{0}")]
    Json(#[from] serde_json::Error),
    /// Something that is not supported.
    #[error("{0}")]
    Unsupported(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Text {
    #[serde(default)]
    remotes: BTreeMap<String, Option<Remote>>,
    #[serde(default)]
    databases: BTreeMap<String, Option<Database>>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Remote {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_backoff: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    inactivity_probe: Option<u64>,
    #[serde(default)]
    read_only: bool,
    /// Accepted; the system's default is used.
    #[serde(default, skip_serializing)]
    #[allow(dead_code, reason = "accepted and checked, but the default is used")]
    dscp: Option<u8>,
    #[serde(default, skip_serializing)]
    role: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Database {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service_model: Option<String>,
}

impl Config {
    /// Reads a configuration.
    ///
    /// # Errors
    ///
    /// [`ConfigError`], which names the place.
    pub fn parse(text: &str) -> Result<Config, ConfigError> {
        let text: Text = serde_json::from_str(text)?;
        let unsupported = |text: String| Err(ConfigError::Unsupported(text));
        let mut remotes = BTreeMap::new();
        for (name, remote) in text.remotes {
            let Some(remote) = remote else {
                remotes.insert(name, RemoteOptions::default());
                continue;
            };
            if remote.role.is_some_and(|role| !role.is_empty()) {
                return unsupported(format!("remote {name}: \"role\" is not supported"));
            }
            let options = RemoteOptions {
                max_backoff: remote.max_backoff,
                inactivity_probe: remote.inactivity_probe,
                read_only: remote.read_only,
            };
            remotes.insert(name, options);
        }
        for (name, database) in &text.databases {
            match database.as_ref().and_then(|database| database.service_model.as_deref()) {
                None | Some("standalone") => {}
                Some(model) => {
                    return unsupported(format!(
                        "database {name}: service-model \"{model}\" is not supported, only \
                         \"standalone\" is"
                    ));
                }
            }
        }
        Ok(Config { remotes, databases: text.databases.into_keys().collect() })
    }

    /// The configuration as text.
    pub fn to_text(&self) -> String {
        let remote = |options: &RemoteOptions| Remote {
            max_backoff: options.max_backoff,
            inactivity_probe: options.inactivity_probe,
            read_only: options.read_only,
            dscp: None,
            role: None,
        };
        let text = Text {
            remotes: self
                .remotes
                .iter()
                .map(|(name, options)| (name.clone(), Some(remote(options))))
                .collect(),
            databases: self.databases.iter().map(|name| (name.clone(), None)).collect(),
        };
        // Maps of texts and numbers can always be written.
        serde_json::to_string(&text).unwrap_or_default()
    }

    /// Writes it over what a file holds.
    pub fn save(&self, mut file: &File) -> io::Result<()> {
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(self.to_text().as_bytes())
    }

    /// Reads what [`Config::save`] wrote.
    pub fn load(mut file: &File) -> Result<Config, ConfigError> {
        let mut text = String::new();
        file.seek(SeekFrom::Start(0))?;
        file.read_to_string(&mut text)?;
        Config::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        let text = r#"{"remotes":{"punix:a":null,"pssl:1":{"inactivity-probe":0,"read-only":true}},
                       "databases":{"x.db":{"service-model":"standalone"},"y.db":null}}"#;
        let config = Config::parse(text).unwrap();
        assert_eq!(config.databases, ["x.db", "y.db"]);
        assert!(config.remotes["pssl:1"].read_only);
        assert_eq!(config.remotes["pssl:1"].inactivity_probe, Some(0));
        assert_eq!(Config::parse(&config.to_text()).unwrap(), config);
    }

    #[test]
    fn mistakes() {
        for (text, want) in [
            ("{", "EOF"),
            (r#"{"remote":{}}"#, "unknown field `remote`"),
            (r#"{"databases":{"x":{"service-model":"relay"}}}"#, "\"relay\" is not supported"),
            (r#"{"remotes":{"x":{"role":"r"}}}"#, "\"role\" is not supported"),
        ] {
            let error = Config::parse(text).unwrap_err().to_string();
            assert!(error.contains(want), "{text}: {error}");
        }
    }
}
