//! TLS to a server, with the certificates that `ovs-pki` makes: both sides show one, and each is
//! checked against the authority's. Names in certificates are not looked at, as upstream does not.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::net::{IpAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use ovsdb::certificate::{is_self_issued, to_pem};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
    StreamOwned,
};

use super::target::Stream;

/// Which files to use.
#[derive(Debug, Clone, Default)]
pub struct Tls {
    /// Our key (PEM).
    pub private_key: Option<PathBuf>,
    /// Our certificate (PEM).
    pub certificate: Option<PathBuf>,
    /// The authority of the server's certificate (PEM).
    pub ca_cert: Option<PathBuf>,
    /// If there is no such file, make it from what the server shows.
    pub bootstrap: bool,
    /// Certificates to send after our own (PEM).
    pub peer_ca_cert: Option<PathBuf>,
    /// Name to ask the server for (SNI), in place of its address's.
    pub server_name: Option<String>,
}

fn other(text: impl Into<String>) -> io::Error {
    io::Error::other(text.into())
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = || -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
        CertificateDer::pem_file_iter(path)?.collect()
    };
    match read() {
        Ok(found) if found.is_empty() => Err(other(format!("{}: no certificate", path.display()))),
        Ok(found) => Ok(found),
        Err(error) => Err(other(format!("{}: {error}", path.display()))),
    }
}

fn needed<'a>(file: &'a Option<PathBuf>, what: &str, option: &str) -> io::Result<&'a Path> {
    file.as_deref().ok_or_else(|| other(format!("{what} must be given ({option}) to use SSL/TLS")))
}

impl Tls {
    /// Shakes hands over a connection to `host`.
    ///
    /// # Errors
    ///
    /// A file cannot be used, or the two sides do not trust each other.
    pub fn connect(&self, mut tcp: TcpStream, host: &str) -> io::Result<Box<dyn Stream>> {
        let key_file = needed(&self.private_key, "private key", "--private-key")?;
        let certificate = needed(&self.certificate, "certificate", "--certificate")?;
        let ca_file = needed(&self.ca_cert, "CA certificate", "--ca-cert")?;
        let key = PrivateKeyDer::from_pem_file(key_file)
            .map_err(|error| other(format!("{}: {error}", key_file.display())))?;
        let mut chain = certificates(certificate)?;
        if let Some(more) = &self.peer_ca_cert {
            chain.extend(certificates(more)?);
        }
        let bootstrap = self.bootstrap && !ca_file.exists();
        let provider = Arc::new(ring::default_provider());
        let verifier = Verifier {
            trusted: if bootstrap { None } else { Some(Trusted::load(ca_file)?) },
            provider: Arc::clone(&provider),
        };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| other(error.to_string()))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(chain, key)
            .map_err(|error| other(format!("{}: {error}", certificate.display())))?;
        let mut connection = ClientConnection::new(Arc::new(config), self.name(host)?)
            .map_err(|error| other(error.to_string()))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut tcp)?;
        }
        if bootstrap {
            return Err(save_authority(&connection, ca_file)?);
        }
        Ok(Box::new(StreamOwned::new(connection, tcp)))
    }

    fn name(&self, host: &str) -> io::Result<ServerName<'static>> {
        if let (None, Ok(address)) = (&self.server_name, host.parse::<IpAddr>()) {
            // No name is sent with an address.
            return Ok(ServerName::from(address));
        }
        let name = self.server_name.as_deref().unwrap_or(host);
        ServerName::try_from(name.to_owned()).map_err(|_| other(format!("{name}: not a host name")))
    }
}

/// Keeps the authority that the server shows. What was said before it was known is not to be
/// trusted: the result is the error that ends this connection.
fn save_authority(connection: &ClientConnection, file: &Path) -> io::Result<io::Error> {
    let shown = connection.peer_certificates().unwrap_or_default();
    let Some(last) = shown.last().filter(|der| is_self_issued(der)) else {
        return Err(other("the server shows no self-signed certificate to bootstrap from"));
    };
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o444).open(file)?;
    out.write_all(to_pem(last).as_bytes())?;
    out.sync_all()?;
    Ok(io::Error::from_raw_os_error(libc::EPROTO))
}

/// Certificates of authorities.
#[derive(Debug)]
struct Trusted {
    roots: RootCertStore,
    /// A server's own self-signed certificate may be trusted as it is.
    exact: Vec<CertificateDer<'static>>,
}

impl Trusted {
    fn load(file: &Path) -> io::Result<Trusted> {
        let exact = certificates(file)?;
        let mut roots = RootCertStore::empty();
        for der in &exact {
            roots.add(der.clone()).map_err(|error| {
                other(format!("{}: {error} (X.509 version 3 is accepted)", file.display()))
            })?;
        }
        Ok(Trusted { roots, exact })
    }
}

#[derive(Debug)]
struct Verifier {
    /// `None` while the authority is being bootstrapped: anything is taken then, and dropped.
    trusted: Option<Trusted>,
    provider: Arc<CryptoProvider>,
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(trusted) = &self.trusted else { return Ok(ServerCertVerified::assertion()) };
        if trusted.exact.iter().any(|known| known.as_ref() == end_entity.as_ref()) {
            return Ok(ServerCertVerified::assertion());
        }
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &trusted.roots,
            intermediates,
            now,
            self.provider.signature_verification_algorithms.all,
        )?;
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

impl Stream for StreamOwned<ClientConnection, TcpStream> {
    fn limit_reads(&self, time: Option<Duration>) -> io::Result<()> {
        self.sock.set_read_timeout(time)
    }
}
