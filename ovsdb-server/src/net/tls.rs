//! TLS with the certificates that `ovs-pki` makes: both sides show one, and each is checked
//! against the authority's. Names in certificates are not looked at, as upstream does not.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use ovsdb::certificate::{is_self_issued, to_pem};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{ParsedCertificate, WebPkiClientVerifier};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, DistinguishedName, RootCertStore,
    ServerConfig, ServerConnection, SignatureScheme,
};

/// Which files to use. A change of the set or of a file counts from the next connection on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our key (PEM).
    pub private_key: Option<PathBuf>,
    /// Our certificate (PEM).
    pub certificate: Option<PathBuf>,
    /// The authority of the peers' certificates (PEM); `none` = peers show no certificate.
    pub ca_cert: Option<PathBuf>,
    /// If there is no such file, make it from what the first peer shows.
    pub bootstrap: bool,
    /// Certificates to send after our own (PEM).
    pub peer_ca_cert: Option<PathBuf>,
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
    /// The library refuses.
    #[error("{0}")]
    Library(#[from] rustls::Error),
}

fn file_error(path: &Path, problem: impl ToString) -> TlsError {
    TlsError::File { path: path.to_owned(), problem: problem.to_string() }
}

/// Both sides' settings, made anew when the files change.
#[derive(Debug, Default)]
pub(super) struct TlsContext {
    files: TlsFiles,
    /// The state of the files when `made` was made.
    stamps: [Option<SystemTime>; 4],
    made: Option<Result<Made, TlsError>>,
}

#[derive(Debug, Clone)]
struct Made {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
    bootstrap: bool,
}

/// A session that can begin.
pub(super) struct Begun<S> {
    pub(super) session: S,
    /// What the peer shows is to be kept with [`TlsContext::keep_authority`] and the connection
    /// to be dropped.
    pub(super) bootstrap: bool,
}

impl TlsContext {
    /// Takes other files from now on.
    pub(super) fn set_files(&mut self, files: TlsFiles) {
        if self.files != files {
            self.files = files;
            self.made = None;
        }
    }

    /// True if the files can be used as they are.
    pub(super) fn check(&mut self) -> Result<(), TlsError> {
        self.made().map(drop)
    }

    fn made(&mut self) -> Result<Made, TlsError> {
        let f = &self.files;
        let stamp = |path: &Option<PathBuf>| fs::metadata(path.as_ref()?).ok()?.modified().ok();
        let stamps = [&f.private_key, &f.certificate, &f.ca_cert, &f.peer_ca_cert].map(stamp);
        match &self.made {
            Some(made) if stamps == self.stamps => made.clone(),
            Some(_) | None => {
                self.stamps = stamps;
                let made = make(&self.files);
                self.made = Some(made.clone());
                made
            }
        }
    }

    /// Our side of a connection that a client has made.
    pub(super) fn accept(&mut self) -> Result<Begun<ServerConnection>, TlsError> {
        let made = self.made()?;
        let session = ServerConnection::new(made.server)?;
        Ok(Begun { session, bootstrap: made.bootstrap })
    }

    /// Our side of a connection that we make.
    pub(super) fn connect(
        &mut self,
        to: std::net::IpAddr,
    ) -> Result<Begun<ClientConnection>, TlsError> {
        let made = self.made()?;
        let session = ClientConnection::new(made.client, ServerName::from(to))?;
        Ok(Begun { session, bootstrap: made.bootstrap })
    }

    /// Writes the authority that a peer shows where ours is to be. What the peer said before it
    /// was known is not to be trusted: its connection must end.
    pub(super) fn keep_authority(&self, shown: &[CertificateDer<'_>]) -> Result<(), TlsError> {
        let path = self.files.ca_cert.as_deref().unwrap_or(Path::new(""));
        let Some(last) = shown.last().filter(|der| is_self_issued(der)) else {
            return Err(file_error(
                path,
                "the peer shows no self-signed certificate to begin with",
            ));
        };
        let write = || -> std::io::Result<()> {
            let mut out = OpenOptions::new().write(true).create_new(true).mode(0o444).open(path)?;
            out.write_all(to_pem(last).as_bytes())?;
            out.sync_all()
        };
        write().map_err(|error| file_error(path, error))
    }
}

/// The library's words, with what to do where they do not say it.
pub(super) fn explain(error: &rustls::Error) -> String {
    let text = error.to_string();
    match text.contains("UnsupportedCertVersion") {
        true => format!("{text}: the certificate is not of X.509 version 3, only that is accepted"),
        false => text,
    }
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

fn make(files: &TlsFiles) -> Result<Made, TlsError> {
    fn needed<'f>(
        file: &'f Option<PathBuf>,
        what: &'static str,
        option: &'static str,
    ) -> Result<&'f Path, TlsError> {
        file.as_deref().ok_or(TlsError::Missing { what, option })
    }
    let key_file = needed(&files.private_key, "private key", "--private-key")?;
    let certificate = needed(&files.certificate, "certificate", "--certificate")?;
    let ca_file = needed(&files.ca_cert, "CA certificate", "--ca-cert")?;
    let key =
        PrivateKeyDer::from_pem_file(key_file).map_err(|error| file_error(key_file, error))?;
    let mut chain = certificates(certificate)?;
    if let Some(more) = &files.peer_ca_cert {
        chain.extend(certificates(more)?);
    }
    let open = ca_file == Path::new("none");
    let bootstrap = files.bootstrap && !open && !ca_file.exists();
    let provider = Arc::new(ring::default_provider());
    let trusted = match open || bootstrap {
        true => None,
        false => Some(Arc::new(roots(ca_file)?)),
    };
    let own = |error: rustls::Error| file_error(certificate, explain(&error));
    for der in &chain {
        // Peers would refuse it with fewer words.
        ParsedCertificate::try_from(der).map_err(own)?;
    }

    let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()?;
    let server = match &trusted {
        None if open => server.with_no_client_auth(),
        None => {
            server.with_client_cert_verifier(Arc::new(AnyPeer { provider: Arc::clone(&provider) }))
        }
        Some(roots) => server.with_client_cert_verifier(
            WebPkiClientVerifier::builder_with_provider(Arc::clone(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| file_error(ca_file, error))?,
        ),
    };
    let mut server = server.with_single_cert(chain.clone(), key.clone_key()).map_err(own)?;
    // Sessions are long; nobody comes back within a ticket's life.
    server.send_tls13_tickets = 0;

    let verifier = Chain { trusted, provider: Arc::clone(&provider) };
    let client = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_client_auth_cert(chain, key)
        .map_err(own)?;
    Ok(Made { server: Arc::new(server), client: Arc::new(client), bootstrap })
}

fn roots(ca_file: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for der in certificates(ca_file)? {
        roots.add(der).map_err(|error| file_error(ca_file, explain(&error)))?;
    }
    Ok(roots)
}

/// Checks a server's certificate against the authorities, not its name.
#[derive(Debug)]
struct Chain {
    /// `None` = anything is taken.
    trusted: Option<Arc<RootCertStore>>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Chain {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if let Some(trusted) = &self.trusted {
            verify_server_cert_signed_by_trust_anchor(
                &ParsedCertificate::try_from(end_entity)?,
                trusted,
                intermediates,
                now,
                self.provider.signature_verification_algorithms.all,
            )?;
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Takes any client's certificate, while the authority is not known yet.
#[derive(Debug)]
struct AnyPeer {
    provider: Arc<CryptoProvider>,
}

impl ClientCertVerifier for AnyPeer {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let mut context = TlsContext::default();
        let text = |context: &mut TlsContext| context.check().unwrap_err().to_string();
        assert_eq!(
            text(&mut context),
            "private key must be configured to use SSL/TLS (--private-key)"
        );
        let key = Some(PathBuf::from("/nonexistent/key.pem"));
        let files =
            TlsFiles { private_key: key.clone(), certificate: key.clone(), ..TlsFiles::default() };
        context.set_files(files.clone());
        assert!(text(&mut context).starts_with("CA certificate must be"));
        context.set_files(TlsFiles { ca_cert: key, ..files });
        assert!(text(&mut context).starts_with("/nonexistent/key.pem: "));
    }

    #[test]
    fn broken_der_is_not_self_issued() {
        for der in [&[][..], &[0x30], &[0x30, 0x82], &[0x30, 0x03, 0x30, 0x01, 0x02], &[0x30; 64]] {
            assert!(!is_self_issued(der));
        }
    }

    #[test]
    fn pem() {
        let text = to_pem(b"foob");
        assert_eq!(text, "-----BEGIN CERTIFICATE-----\nZm9vYg==\n-----END CERTIFICATE-----\n");
    }
}
