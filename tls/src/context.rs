//! From files to sessions.

use std::fmt::Display;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::{
    ClientConfig, ClientConnection, Connection, RootCertStore, ServerConfig, ServerConnection,
};

use crate::enabled::Enabled;
use crate::explain;
use crate::verify::{Peers, Trusted};

/// What the options say. A change of a file counts from the next connection on, so a renewed
/// certificate needs no restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// Our key (PEM), `--private-key`.
    pub private_key: Option<PathBuf>,
    /// Our certificate (PEM, X.509 version 3), `--certificate`.
    pub certificate: Option<PathBuf>,
    /// The authority of the peers' certificates (PEM), `--ca-cert`; `none` = they are not checked.
    pub ca_cert: Option<PathBuf>,
    /// `--bootstrap-ca-cert`: if there is no file `ca_cert`, make it from what the first peer
    /// shows, and connect anew.
    pub bootstrap: bool,
    /// Certificates to send after our own (PEM), `--peer-ca-cert`.
    pub peer_ca_cert: Option<PathBuf>,
    /// The name to ask servers for (SNI) in place of their addresses', `--ssl-server-name`.
    pub server_name: Option<String>,
    /// Versions, ciphers and suites.
    pub enabled: Enabled,
}

/// Why there can be no TLS.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TlsError {
    /// An option is missing.
    #[error("{what} must be configured to use SSL/TLS ({option})")]
    Missing {
        /// What.
        what: &'static str,
        /// How to say it.
        option: &'static str,
    },
    /// A file cannot be used.
    #[error("{}: {problem}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// Why, and what is accepted.
        problem: String,
    },
    /// `--bootstrap-ca-cert` has done its work; the connection was only made for that.
    #[error("{}: made from what the peer shows; connecting anew", .0.display())]
    Learned(PathBuf),
    /// A name that no server can have.
    #[error("{0}: not a host name")]
    Name(String),
    /// The library refuses.
    #[error("{0}")]
    Library(#[from] rustls::Error),
}

fn file_error(path: &Path, problem: impl Display) -> TlsError {
    TlsError::File { path: path.to_owned(), problem: posix::text(problem) }
}

/// A session that can begin, for [`crate::Tls::new`].
#[derive(Debug)]
pub struct Begun {
    pub(crate) session: Connection,
    pub(crate) bootstrap: Option<PathBuf>,
}

/// Both sides' settings, made anew when the files change.
#[derive(Debug, Clone, Default)]
pub struct Context {
    settings: Settings,
    /// The state of the files when `made` was made.
    stamps: [Option<SystemTime>; 4],
    made: Option<Result<Made, TlsError>>,
}

#[derive(Debug, Clone)]
struct Made {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    bootstrap: Option<PathBuf>,
}

impl Context {
    /// A context of these settings. Files are read when they are needed.
    pub fn new(settings: Settings) -> Context {
        Context { settings, ..Context::default() }
    }

    /// Takes other settings from now on; true if they are others.
    pub fn set(&mut self, settings: Settings) -> bool {
        let other = self.settings != settings;
        if other {
            *self = Context::new(settings);
        }
        other
    }

    /// The settings in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// True if the files can be used as they are.
    ///
    /// # Errors
    ///
    /// [`TlsError`] says which file cannot, and why.
    pub fn check(&mut self) -> Result<(), TlsError> {
        self.made().map(drop)
    }

    fn made(&mut self) -> Result<Made, TlsError> {
        let s = &self.settings;
        let stamp = |path: &Option<PathBuf>| fs::metadata(path.as_ref()?).ok()?.modified().ok();
        let stamps = [&s.private_key, &s.certificate, &s.ca_cert, &s.peer_ca_cert].map(stamp);
        match &self.made {
            Some(made) if stamps == self.stamps => made.clone(),
            Some(_) | None => {
                self.stamps = stamps;
                let made = make(&self.settings);
                self.made = Some(made.clone());
                made
            }
        }
    }

    /// Our side of a connection that a client has made.
    ///
    /// # Errors
    ///
    /// As of [`Context::check`].
    pub fn accept(&mut self) -> Result<Begun, TlsError> {
        let Made { server, bootstrap, .. } = self.made()?;
        Ok(Begun { session: ServerConnection::new(server)?.into(), bootstrap })
    }

    /// Our side of a connection that we make to a host: a name or an address.
    ///
    /// # Errors
    ///
    /// As of [`Context::check`]; [`TlsError::Name`].
    pub fn connect(&mut self, host: &str) -> Result<Begun, TlsError> {
        let Made { client, bootstrap, .. } = self.made()?;
        let name = match (&self.settings.server_name, host.parse::<IpAddr>()) {
            // No name is sent with an address.
            (None, Ok(address)) => ServerName::from(address),
            (Some(name), _) => name_of(name)?,
            (None, Err(_)) => name_of(host)?,
        };
        Ok(Begun { session: ClientConnection::new(client, name)?.into(), bootstrap })
    }
}

fn name_of(text: &str) -> Result<ServerName<'static>, TlsError> {
    ServerName::try_from(text.to_owned()).map_err(|_| TlsError::Name(text.to_owned()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let read = || -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
        CertificateDer::pem_file_iter(path)?.collect()
    };
    match read() {
        Ok(found) if found.is_empty() => Err(file_error(path, "no certificate in PEM form")),
        Ok(found) => Ok(found),
        Err(error) => Err(file_error(path, error)),
    }
}

fn needed<'f>(
    file: &'f Option<PathBuf>,
    what: &'static str,
    option: &'static str,
) -> Result<&'f Path, TlsError> {
    file.as_deref().ok_or(TlsError::Missing { what, option })
}

fn make(settings: &Settings) -> Result<Made, TlsError> {
    let key_file = needed(&settings.private_key, "private key", "--private-key")?;
    let certificate = needed(&settings.certificate, "certificate", "--certificate")?;
    let ca_file = needed(&settings.ca_cert, "CA certificate", "--ca-cert")?;
    let key =
        PrivateKeyDer::from_pem_file(key_file).map_err(|error| file_error(key_file, error))?;
    let mut chain = certificates(certificate)?;
    if let Some(more) = &settings.peer_ca_cert {
        chain.extend(certificates(more)?);
    }
    let own = |error: rustls::Error| file_error(certificate, explain(&error));
    for der in &chain {
        // Peers would refuse it with fewer words.
        ParsedCertificate::try_from(der).map_err(own)?;
    }
    let open = ca_file == Path::new("none");
    let bootstrap = settings.bootstrap && !open && !ca_file.exists();
    let (provider, versions) = settings.enabled.provider();
    let trusted = match open || bootstrap {
        true => None,
        false => {
            let exact = certificates(ca_file)?;
            let mut roots = RootCertStore::empty();
            for der in &exact {
                let added = roots.add(der.clone());
                added.map_err(|error| file_error(ca_file, explain(&error)))?;
            }
            let trusted = Trusted::new(roots, exact, &provider);
            Some(trusted.map_err(|error| file_error(ca_file, error))?)
        }
    };
    let peers = Arc::new(Peers { trusted, provider: Arc::clone(&provider) });

    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&versions)?;
    let server = match open {
        true => server.with_no_client_auth(),
        false => server.with_client_cert_verifier(Arc::clone(&peers) as _),
    };
    let mut server = server.with_single_cert(chain.clone(), key.clone_key()).map_err(own)?;
    // Sessions are long: a client does not come back within the life of a ticket.
    server.send_tls13_tickets = 0;

    let client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&versions)?
        .dangerous()
        .with_custom_certificate_verifier(peers)
        .with_client_auth_cert(chain, key)
        .map_err(own)?;
    Ok(Made {
        server: Arc::new(server),
        client: Arc::new(client),
        bootstrap: bootstrap.then(|| ca_file.to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let text =
            |settings: &Settings| Context::new(settings.clone()).check().unwrap_err().to_string();
        let mut settings = Settings::default();
        assert_eq!(
            text(&settings),
            "private key must be configured to use SSL/TLS (--private-key)"
        );
        let key = Some(PathBuf::from("/nonexistent/key.pem"));
        settings.private_key = key.clone();
        assert_eq!(
            text(&settings),
            "certificate must be configured to use SSL/TLS (--certificate)"
        );
        settings.certificate = key.clone();
        assert_eq!(text(&settings), "CA certificate must be configured to use SSL/TLS (--ca-cert)");
        settings.ca_cert = key;
        assert!(text(&settings).starts_with("/nonexistent/key.pem: "));
    }
}
