//! Settings that are kept in a database: `db:DB,TABLE,COLUMN`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use ovsdb::schema::AtomicType;
use runtime::log::RateLimit;
use tls::Settings as TlsSettings;

use super::SERVER;
use super::remote::RemoteOptions;
use crate::database::Database;
use crate::schema::{Column, TableSchema};
use crate::server::Server;
use crate::table::Row;
use crate::value::{Atom, Datum};

static RL: RateLimit = RateLimit::new(1, 1);

/// The name of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DbColumn {
    /// The database.
    pub database: String,
    /// The table.
    pub table: String,
    /// The column.
    pub column: String,
}

impl FromStr for DbColumn {
    type Err = String;

    fn from_str(text: &str) -> Result<DbColumn, String> {
        let words: Vec<&str> =
            text.strip_prefix("db:").unwrap_or("").split(',').filter(|w| !w.is_empty()).collect();
        match words[..] {
            [database, table, column] => Ok(DbColumn {
                database: database.to_owned(),
                table: table.to_owned(),
                column: column.to_owned(),
            }),
            _ => Err(format!("\"{text}\": invalid syntax")),
        }
    }
}

impl fmt::Display for DbColumn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "db:{},{},{}", self.database, self.table, self.column)
    }
}

/// A column that is there.
#[derive(Clone, Copy)]
pub(super) struct Found<'s> {
    pub(super) database: &'s Database,
    table: usize,
    column: usize,
}

impl DbColumn {
    /// Looks it up.
    ///
    /// # Errors
    ///
    /// What is not there.
    pub(super) fn find<'s>(&self, engine: &'s Server) -> Result<Found<'s>, String> {
        let DbColumn { database: db, table, column } = self;
        let database =
            engine.database(db).ok_or_else(|| format!("\"{self}\": no database named {db}"))?;
        let schema = database.schema();
        let number =
            schema.table(table).ok_or_else(|| format!("\"{self}\": no table named {table}"))?;
        let column = schema.tables[number]
            .column(column)
            .ok_or_else(|| format!("\"{self}\": table \"{table}\" has no column \"{column}\""))?;
        Ok(Found { database, table: number, column })
    }

    /// True if it can be found.
    ///
    /// # Errors
    ///
    /// What is not there.
    pub fn check(&self, engine: &Server) -> Result<(), String> {
        self.find(engine).map(drop)
    }
}

impl<'s> Found<'s> {
    fn column(&self) -> &'s Column {
        &self.database.schema().tables[self.table].columns[self.column]
    }

    fn is_text(&self) -> bool {
        let ty = &self.column().ty;
        ty.value.is_none() && ty.key.kind == AtomicType::String
    }

    /// The table that the column's values name rows of.
    fn refers(&self) -> Option<usize> {
        let ty = &self.column().ty;
        let reference = ty.key.refers.filter(|_| ty.value.is_none())?;
        Some(reference.table)
    }

    fn data(&self) -> impl Iterator<Item = &'s Datum> {
        let column = self.column;
        self.database.tables()[self.table].iter().map(move |(_, row)| &row[column])
    }

    /// The texts in the column.
    fn texts(&self) -> impl Iterator<Item = &'s str> {
        self.data().flat_map(Datum::elements).filter_map(|atom| match atom {
            Atom::String(text) => Some(&**text),
            Atom::Integer(_) | Atom::Real(_) | Atom::Boolean(_) | Atom::Uuid(_) => None,
        })
    }

    /// The rows that the column names.
    pub(super) fn rows(&self) -> Vec<RemoteRow<'s>> {
        let Some(table) = self.refers() else { return Vec::new() };
        let ids = self.data().flat_map(Datum::elements).filter_map(Atom::id);
        let schema = &self.database.schema().tables[table];
        let rows = ids.filter_map(|id| self.database.tables()[table].get(id));
        rows.map(|row| RemoteRow { schema, row }).collect()
    }

    /// The rows whose change may change what the column says.
    fn watched(&self) -> impl Iterator<Item = &'s Row> {
        let tables = self.database.tables();
        let own = tables[self.table].iter().map(|(_, row)| row);
        let others = self.refers().map(|table| tables[table].iter().map(|(_, row)| row));
        own.chain(others.into_iter().flatten())
    }
}

/// A row that describes a remote, `Manager`'s or `Connection`'s.
#[derive(Clone, Copy)]
pub(super) struct RemoteRow<'s> {
    pub(super) schema: &'s TableSchema,
    row: &'s Row,
}

impl<'s> RemoteRow<'s> {
    /// A column's value, if there is such a column.
    pub(super) fn get(&self, column: &str) -> Option<&'s Datum> {
        self.schema.column(column).map(|at| &self.row[at])
    }

    pub(super) fn text(&self, column: &str) -> Option<&'s str> {
        self.get(column)?.text()
    }

    fn number(&self, column: &str) -> Option<u64> {
        match self.get(column)?.single()? {
            Atom::Integer(number) => Some(u64::try_from(*number).unwrap_or(0)),
            Atom::Real(_) | Atom::Boolean(_) | Atom::String(_) | Atom::Uuid(_) => None,
        }
    }

    fn flag(&self, column: &str) -> bool {
        matches!(self.get(column).and_then(Datum::single), Some(Atom::Boolean(true)))
    }

    fn options(&self, target: &str) -> RemoteOptions {
        let mut read_only = self.flag("read_only");
        if self.text("role").is_some_and(|role| !role.is_empty()) && !read_only {
            // Without the role's restrictions its clients might do more than they may.
            runtime::warn_rl!(SERVER, RL, "{target}: roles are not supported, so it is read-only");
            read_only = true;
        }
        RemoteOptions {
            max_backoff: self.number("max_backoff"),
            inactivity_probe: self.number("inactivity_probe"),
            read_only,
        }
    }
}

/// What TLS is set up with: texts, or columns that hold them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsSources {
    /// `--private-key`.
    pub private_key: Option<String>,
    /// `--certificate`.
    pub certificate: Option<String>,
    /// `--ca-cert` or `--bootstrap-ca-cert`.
    pub ca_cert: Option<String>,
    /// `--peer-ca-cert`.
    pub peer_ca_cert: Option<String>,
    /// `--ssl-protocols`.
    pub protocols: Option<String>,
    /// `--ssl-ciphers`.
    pub ciphers: Option<String>,
    /// `--ssl-ciphersuites`.
    pub ciphersuites: Option<String>,
    /// `--bootstrap-ca-cert` was given.
    pub bootstrap: bool,
}

impl From<&TlsSettings> for TlsSources {
    /// What a command line says.
    fn from(settings: &TlsSettings) -> TlsSources {
        let text = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let tls::Enabled { protocols, ciphers, ciphersuites } = settings.enabled.clone();
        TlsSources {
            private_key: text(&settings.private_key),
            certificate: text(&settings.certificate),
            ca_cert: text(&settings.ca_cert),
            peer_ca_cert: text(&settings.peer_ca_cert),
            protocols,
            ciphers,
            ciphersuites,
            bootstrap: settings.bootstrap,
        }
    }
}

/// What the settings come to.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) remotes: BTreeMap<String, RemoteOptions>,
    pub(super) tls: TlsSettings,
    /// What was not found, a line for each.
    pub(super) problems: String,
}

/// Remembers the rows that the settings came from, to see when they change.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Kept, so that a new row cannot be at the same place.
    rows: Vec<Row>,
    known: bool,
}

impl Watched {
    /// The settings themselves changed.
    pub(super) fn forget(&mut self) {
        self.known = false;
    }

    /// What the settings come to, if that may have changed.
    pub(super) fn resolve(
        &mut self,
        engine: &Server,
        configured: &BTreeMap<String, RemoteOptions>,
        sources: &TlsSources,
    ) -> Option<Resolved> {
        let s = sources;
        let files = [&s.private_key, &s.certificate, &s.ca_cert, &s.peer_ca_cert];
        let words = [&s.protocols, &s.ciphers, &s.ciphersuites];
        let texts = files.into_iter().chain(words).flatten();
        let names = configured.keys().chain(texts);
        let columns: Vec<DbColumn> = names.filter_map(|name| name.parse().ok()).collect();
        if self.known {
            let found = columns.iter().filter_map(|column| column.find(engine).ok());
            let mut seen = self.rows.iter();
            let same = found
                .flat_map(|found| found.watched().collect::<Vec<_>>())
                .all(|row| seen.next().is_some_and(|known| Arc::ptr_eq(known, row)));
            if same && seen.next().is_none() {
                return None;
            }
        }
        self.known = true;
        self.rows = columns
            .iter()
            .filter_map(|column| column.find(engine).ok())
            .flat_map(|found| found.watched().cloned().collect::<Vec<_>>())
            .collect();

        let mut resolved = Resolved::default();
        for (name, options) in configured {
            match name.parse::<DbColumn>() {
                Err(_) => {
                    resolved.remotes.insert(name.clone(), options.clone());
                }
                Ok(column) => match column.find(engine) {
                    Ok(found) => add_remotes(&found, &mut resolved.remotes),
                    Err(problem) => resolved.problems += &format!("{problem}\n"),
                },
            }
        }
        let mut text = |source: &Option<String>| {
            let source = source.as_deref()?;
            let Ok(column) = source.parse::<DbColumn>() else { return Some(source.to_owned()) };
            match column.find(engine) {
                Ok(found) if found.is_text() => {
                    found.texts().find(|text| !text.is_empty()).map(str::to_owned)
                }
                Ok(_) => {
                    let DbColumn { table, column, .. } = column;
                    resolved.problems += &format!(
                        "\"{source}\": table \"{table}\" column \"{column}\" is not string or set \
                         of strings\n"
                    );
                    None
                }
                Err(problem) => {
                    resolved.problems += &format!("{problem}\n");
                    None
                }
            }
        };
        let [private_key, certificate, ca_cert, peer_ca_cert] =
            files.map(|source| text(source).map(PathBuf::from));
        let [protocols, ciphers, ciphersuites] = words.map(text);
        resolved.tls = TlsSettings {
            private_key,
            certificate,
            ca_cert,
            peer_ca_cert,
            bootstrap: s.bootstrap,
            server_name: None,
            enabled: tls::Enabled { protocols, ciphers, ciphersuites },
        };
        Some(resolved)
    }
}

fn add_remotes(found: &Found<'_>, remotes: &mut BTreeMap<String, RemoteOptions>) {
    if found.is_text() {
        for text in found.texts() {
            remotes.entry(text.to_owned()).or_default();
        }
    }
    for row in found.rows() {
        match row.text("target") {
            Some(target) => {
                let options = row.options(target);
                remotes.insert(target.to_owned(), options);
            }
            None => runtime::info_rl!(
                SERVER,
                RL,
                "Table `{}' has missing or invalid `target' column",
                row.schema.name
            ),
        }
    }
}
