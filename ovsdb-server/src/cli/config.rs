//! Which databases to serve where: `--config-file`, and what a restarted server remembers.
//!
//! ```json
//! { "databases": { "conf.db": { "service-model": "standalone" } },
//!   "remotes": { "punix:db.sock": {}, "pssl:6640": { "inactivity-probe": 0, "read-only": true } } }
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use ovsdb::value::push_json_string;

use crate::json::{Json, member};
use crate::net::RemoteOptions;
use crate::parser::{Kind, Members};

/// How a database is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Model {
    /// As its file says.
    #[default]
    File,
    /// A standalone database.
    Standalone,
    /// Part of a cluster: refused when it is opened.
    Clustered,
    /// A copy of another server's, without a file: refused when it is opened.
    Relay,
    /// A standalone database that another server replicates.
    Active,
    /// A copy of another server's, with a file: refused when it is opened.
    Backup,
}

impl Model {
    /// The word for it in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Model::File => "undefined",
            Model::Standalone => "standalone",
            Model::Clustered => "clustered",
            Model::Relay => "relay",
            Model::Active | Model::Backup => "active-backup",
        }
    }
}

/// Databases and remotes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// Remotes, `db:` included.
    pub remotes: BTreeMap<String, RemoteOptions>,
    /// Files.
    pub databases: BTreeMap<String, Model>,
}

/// What is wrong with a configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// It cannot be read.
    #[error("{}", posix::text(.0))]
    Io(#[from] io::Error),
    /// Not JSON, or not of the right form.
    #[error("{0}")]
    Form(String),
}

/// JSON that is not JSON, as the reference reports it: everything is counted from zero.
fn not_json(text: &str, error: &serde_json::Error) -> ConfigError {
    let (line, column) = (error.line().saturating_sub(1), error.column().saturating_sub(1));
    let before: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let byte = (before + column).min(text.len());
    let says = error.to_string();
    let says = says.split(" at line ").next().unwrap_or_default();
    let says = match (says, text.as_bytes().get(byte)) {
        ("trailing comma", Some(b'}')) | ("key must be a string", _) => {
            "syntax error parsing object expecting string"
        }
        ("trailing comma", _) => "syntax error expecting value",
        (says, _) => says,
    };
    ConfigError::Form(format!(
        "config: reading JSON failed (line {line}, column {column}, byte {byte}: {says})"
    ))
}

/// A time in milliseconds; what is below zero is zero.
fn milliseconds(json: Option<&Json<'_>>) -> Option<u64> {
    match json {
        Some(Json::Integer(number)) => Some(u64::try_from(*number).unwrap_or(0)),
        _ => None,
    }
}

/// Reads a remote's options. Errors are reported, and the valid options are used.
fn remote(json: &Json<'_>, source: bool, warnings: &mut Vec<String>) -> (RemoteOptions, bool) {
    let what = || "JSON-RPC options".to_owned();
    let members = Members::new(json, &what);
    let mut options = RemoteOptions {
        max_backoff: milliseconds(members.optional("max-backoff", Kind::Integer)),
        inactivity_probe: milliseconds(members.optional("inactivity-probe", Kind::Integer)),
        read_only: false,
    };
    // The system's default is used.
    members.optional("dscp", Kind::Integer);
    let mut role = false;
    if !source {
        options.read_only = members.optional("read-only", Kind::Boolean) == Some(&Json::Bool(true));
        let given = members.optional("role", Kind::String).and_then(Json::as_str);
        role = given.is_some_and(|role| !role.is_empty());
    }
    warnings.extend(members.finish().err().map(|error| error.text()));
    (options, role)
}

fn remotes(json: &Json<'_>, warnings: &mut Vec<String>) -> Option<BTreeMap<String, RemoteOptions>> {
    let mut remotes = BTreeMap::new();
    let Some(members) = json.as_object() else {
        warnings.push("config: 'remotes' is not a JSON object".to_owned());
        return None;
    };
    for (name, json) in members {
        let options = match json {
            Json::Null => RemoteOptions::default(),
            Json::Object(_) => {
                let (mut options, role) = remote(json, false, warnings);
                if role && !options.read_only {
                    // Without the role's restrictions its clients might do more than they may.
                    warnings.push(format!("{name}: roles are not supported, so it is read-only"));
                    options.read_only = true;
                }
                options
            }
            _ => {
                let text = format!("{name}: JSON-RPC options are not a JSON object or null");
                warnings.push(text);
                return None;
            }
        };
        remotes.insert(name.to_string(), options);
    }
    Some(remotes)
}

fn model(name: &str, json: &Json<'_>, warnings: &mut Vec<String>) -> Option<Model> {
    if json == &Json::Null {
        return Some(Model::File);
    }
    let what = || format!("database {name}");
    let members = Members::new(json, &what);
    let mut model = match members.optional("service-model", Kind::String).and_then(Json::as_str) {
        None => Model::File,
        Some("standalone") => Model::Standalone,
        Some("clustered") => Model::Clustered,
        Some("relay") => Model::Relay,
        Some("active-backup") => Model::Active,
        Some(other) => {
            warnings.push(format!("Unrecognized database service model: '{other}'"));
            members.raise(format!("'{other}' is not a valid service model"));
            Model::File
        }
    };
    if model == Model::Active {
        if members.required("backup", Kind::Boolean) == Some(&Json::Bool(true)) {
            model = Model::Backup;
        }
        let tables = members.optional("exclude-tables", Kind::Array).and_then(Json::as_array);
        if tables.unwrap_or_default().iter().any(|table| table.as_str().is_none()) {
            members.raise("'exclude-tables' must contain strings");
        }
    }
    let source = match model {
        Model::Relay | Model::Backup => members.required("source", Kind::Object),
        Model::Active => members.optional("source", Kind::Object),
        Model::File | Model::Standalone | Model::Clustered => None,
    };
    match source.and_then(Json::as_object) {
        None | Some([(_, Json::Null)]) => {}
        Some([(_, options @ Json::Object(_))]) => {
            remote(options, true, warnings);
        }
        Some([_]) => members.raise("JSON-RPC options is not a JSON object or null"),
        Some(_) => members.raise("'source' should be an object with exactly one element"),
    }
    match members.finish() {
        Ok(()) => Some(model),
        Err(error) => {
            warnings.push(error.text());
            None
        }
    }
}

impl Config {
    /// Reads a configuration. Warnings go to `warnings`, a line for each.
    ///
    /// # Errors
    ///
    /// [`ConfigError`]: what could not be read. The reasons are in `warnings` then.
    pub fn parse(text: &str, warnings: &mut Vec<String>) -> Result<Config, ConfigError> {
        let json = Json::parse(text).map_err(|error| not_json(text, &error))?;
        let Some(members) = json.as_object() else {
            let text = "configuration in a file must be a JSON object";
            return Err(ConfigError::Form(text.to_owned()));
        };
        let failed = |name: &str| ConfigError::Form(format!("config: failed to parse '{name}'"));
        let remotes = match member(members, "remotes") {
            None | Some(Json::Null) => BTreeMap::new(),
            Some(json) => remotes(json, warnings).ok_or_else(|| failed("remotes"))?,
        };
        let mut databases = BTreeMap::new();
        match member(members, "databases") {
            None | Some(Json::Null) => {}
            Some(Json::Object(members)) => {
                for (name, json) in members {
                    let model = model(name, json, warnings);
                    databases.insert(name.to_string(), model.ok_or_else(|| failed("databases"))?);
                }
            }
            Some(_) => {
                warnings.push("config: 'databases' is not a JSON object or null".to_owned());
                return Err(failed("databases"));
            }
        }
        for (name, _) in members {
            if !["remotes", "databases"].contains(&&**name) {
                warnings.push(format!(
                    "config: '{name}' is not known; it has \"databases\" and \"remotes\""
                ));
            }
        }
        Ok(Config { remotes, databases })
    }

    /// The configuration as text.
    pub fn to_text(&self) -> String {
        let mut out = String::from("{\"databases\":{");
        for (at, (name, model)) in self.databases.iter().enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            push_json_string(&mut out, name);
            let (model, more) = match model {
                Model::File => {
                    out.push_str(":null");
                    continue;
                }
                Model::Active => (model.name(), ",\"backup\":false"),
                // Those with a source are never served, so they are never remembered.
                other => (other.name(), ""),
            };
            out.push_str(&format!(":{{\"service-model\":\"{model}\"{more}}}"));
        }
        out.push_str("},\"remotes\":{");
        for (at, (name, options)) in self.remotes.iter().enumerate() {
            out.push_str(if at > 0 { "," } else { "" });
            push_json_string(&mut out, name);
            out.push_str(&format!(":{{\"read-only\":{}", options.read_only));
            let numbers = [
                ("max-backoff", options.max_backoff),
                ("inactivity-probe", options.inactivity_probe),
            ];
            for (name, number) in numbers {
                if let Some(number) = number {
                    out.push_str(&format!(",\"{name}\":{number}"));
                }
            }
            out.push('}');
        }
        out.push_str("}}");
        out
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
        Config::parse(&text, &mut Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Result<Config, String>, Vec<String>) {
        let mut warnings = Vec::new();
        let config = Config::parse(text, &mut warnings).map_err(|error| error.to_string());
        (config, warnings)
    }

    #[test]
    fn written_configuration_reads_back() {
        let text = r#"{"remotes":{"punix:a":null,"pssl:1":{"inactivity-probe":0,"read-only":true}},
                       "databases":{"x.db":{"service-model":"standalone"},"y.db":null,
                                    "z":{"service-model":"active-backup","backup":false}}}"#;
        let (config, warnings) = parse(text);
        let config = config.unwrap();
        assert_eq!(warnings, [""; 0]);
        let models: Vec<_> = config.databases.values().copied().collect();
        assert_eq!(models, [Model::Standalone, Model::File, Model::Active]);
        assert!(config.remotes["pssl:1"].read_only);
        assert_eq!(config.remotes["pssl:1"].inactivity_probe, Some(0));
        assert_eq!(parse(&config.to_text()), (Ok(config), vec![]));
    }

    #[test]
    fn errors_name_the_member() {
        let of_database = |text: &str| format!(r#"{{"databases":{{"x":{text}}}}}"#);
        for (text, last, first) in [
            ("{".to_owned(), "(line 0, column 0, byte 0: EOF", ""),
            (
                "\n{\n  \"remotes\": {}, }".to_owned(),
                "(line 2, column 17, byte 20: syntax error parsing object expecting string)",
                "",
            ),
            ("[]".to_owned(), "must be a JSON object", ""),
            (
                of_database(r#"{"service-model":"odd"}"#),
                "config: failed to parse 'databases'",
                "Unrecognized database service model: 'odd'",
            ),
            (
                of_database(r#"{"service-model":"relay"}"#),
                "config: failed to parse 'databases'",
                "Parsing database x failed: Required 'source' member is missing.",
            ),
            (
                of_database(r#"{"odd":1}"#),
                "config: failed to parse 'databases'",
                "Member 'odd' is present but not allowed here.",
            ),
            (
                r#"{"remotes":{"x":1}}"#.to_owned(),
                "config: failed to parse 'remotes'",
                "x: JSON-RPC options are not a JSON object or null",
            ),
        ] {
            let (config, warnings) = parse(&text);
            let error = config.unwrap_err();
            assert!(error.contains(last), "{text}: {error}");
            let warning = warnings.first().map_or("", String::as_str);
            assert!(warning.contains(first), "{text}: {warning}");
        }
    }

    #[test]
    fn a_role_makes_a_remote_read_only() {
        let (config, warnings) = parse(r#"{"remotes":{"ptcp:":{"role":"r"}},"more":1}"#);
        assert!(config.unwrap().remotes["ptcp:"].read_only);
        assert!(warnings[0].contains("roles are not supported"), "{warnings:?}");
        assert!(warnings[1].contains("'more' is not known"), "{warnings:?}");
    }
}
