//! TLS to a server, with the certificates that `ovs-pki` makes: both sides show one, and each is
//! checked against the authority's. Names in certificates are not looked at, as upstream does not.

use std::fs::OpenOptions;
use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ovsdb::certificate::{is_self_issued, to_pem};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

/// The files with which `ssl:` servers are talked to. They are read at each attempt to connect, so
/// a renewed certificate needs no restart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsFiles {
    /// Our key (PEM), `--private-key`.
    pub private_key: Option<PathBuf>,
    /// Our certificate (PEM, X.509 version 3), `--certificate`.
    pub certificate: Option<PathBuf>,
    /// The authority of the servers' certificates (PEM), `--ca-cert`.
    pub ca_cert: Option<PathBuf>,
    /// `--bootstrap-ca-cert`: if there is no file `ca_cert`, make it from what the first server
    /// shows, and connect anew.
    pub bootstrap: bool,
    /// Certificates to send after our own (PEM), `--peer-ca-cert`.
    pub peer_ca_cert: Option<PathBuf>,
}

/// What is needed to shake hands.
pub(crate) struct Begun {
    pub(crate) session: ClientConnection,
    /// Where to keep the authority that the server shows; the connection is then dropped, for what
    /// was said before it was known is not to be trusted.
    pub(crate) bootstrap: Option<PathBuf>,
}

fn other(text: impl Into<String>) -> io::Error {
    io::Error::other(text.into())
}

fn in_file(path: &Path, problem: impl std::fmt::Display) -> io::Error {
    other(format!("{}: {problem}", path.display()))
}

fn needed<'a>(file: &'a Option<PathBuf>, what: &str, option: &str) -> io::Result<&'a Path> {
    file.as_deref().ok_or_else(|| other(format!("{what} must be given for ssl: ({option})")))
}

/// The library's words, with what to do where they do not say it.
pub(crate) fn explain(error: &rustls::Error) -> String {
    let text = error.to_string();
    match text.contains("UnsupportedCertVersion") {
        true => format!("{text}: the certificate is not of X.509 version 3, only that is accepted"),
        false => text,
    }
}

fn certificates(path: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let read = || -> Result<Vec<CertificateDer<'static>>, rustls::pki_types::pem::Error> {
        CertificateDer::pem_file_iter(path)?.collect()
    };
    match read() {
        Ok(found) if found.is_empty() => Err(in_file(path, "no certificate in PEM form")),
        Ok(found) => Ok(found),
        Err(error) => Err(in_file(path, error)),
    }
}

impl TlsFiles {
    /// Our side of a connection to a server.
    pub(crate) fn begin(&self, to: SocketAddr) -> io::Result<Begun> {
        let key_file = needed(&self.private_key, "a private key", "--private-key")?;
        let certificate = needed(&self.certificate, "a certificate", "--certificate")?;
        let ca_file = needed(&self.ca_cert, "a CA certificate", "--ca-cert")?;
        let key =
            PrivateKeyDer::from_pem_file(key_file).map_err(|error| in_file(key_file, error))?;
        let mut chain = certificates(certificate)?;
        if let Some(more) = &self.peer_ca_cert {
            chain.extend(certificates(more)?);
        }
        let own = |error: rustls::Error| in_file(certificate, explain(&error));
        for der in &chain {
            // Servers would refuse it with fewer words.
            ParsedCertificate::try_from(der).map_err(own)?;
        }
        let bootstrap = self.bootstrap && !ca_file.exists();
        let provider = Arc::new(ring::default_provider());
        let trusted = if bootstrap { None } else { Some(authorities(ca_file)?) };
        let verifier = Verifier { trusted, provider: Arc::clone(&provider) };
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| other(explain(&error)))?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(verifier))
            .with_client_auth_cert(chain, key)
            .map_err(own)?;
        let session = ClientConnection::new(Arc::new(config), ServerName::from(to.ip()))
            .map_err(|error| other(explain(&error)))?;
        Ok(Begun { session, bootstrap: bootstrap.then(|| ca_file.to_owned()) })
    }
}

fn authorities(file: &Path) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for der in certificates(file)? {
        roots.add(der).map_err(|error| in_file(file, explain(&error)))?;
    }
    Ok(roots)
}

/// Bytes under TLS over a socket, blocking or not.
#[derive(Debug)]
pub(crate) struct Tls<S> {
    pub(crate) socket: S,
    session: Box<ClientConnection>,
    bootstrap: Option<PathBuf>,
}

fn bad_tls(error: rustls::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, explain(&error))
}

impl<S: Read + Write> Tls<S> {
    pub(crate) fn new(socket: S, begun: Begun) -> Tls<S> {
        Tls { socket, session: Box::new(begun.session), bootstrap: begun.bootstrap }
    }

    /// Sends what the library holds back.
    fn send(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Ends a handshake that was only made to learn the authority.
    fn settle(&mut self) -> io::Result<()> {
        if self.session.is_handshaking() {
            return Ok(());
        }
        let Some(file) = self.bootstrap.take() else { return Ok(()) };
        let shown = self.session.peer_certificates().unwrap_or_default();
        let Some(last) = shown.last().filter(|der| is_self_issued(der)) else {
            return Err(in_file(
                &file,
                "the server shows no self-signed certificate to begin with",
            ));
        };
        let keep = || -> io::Result<()> {
            let mut out =
                OpenOptions::new().write(true).create_new(true).mode(0o444).open(&file)?;
            out.write_all(to_pem(last).as_bytes())?;
            out.sync_all()
        };
        Err(match keep() {
            Ok(()) => in_file(&file, "made from what the server shows; connecting anew"),
            Err(error) => in_file(&file, error),
        })
    }

    /// Shakes hands over a blocking socket.
    pub(crate) fn shake_hands(&mut self) -> io::Result<()> {
        while self.session.is_handshaking() {
            self.session.complete_io(&mut self.socket)?;
        }
        self.settle()
    }
}

impl<S: Read + Write> Read for Tls<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // A server that goes without saying goodbye; the messages are framed, so nothing
                // can be cut off unnoticed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(0),
                other => return other,
            }
            let end = self.session.read_tls(&mut self.socket)? == 0;
            let understood = self.session.process_new_packets();
            // The handshake's answers, and the alert that says what is wrong. A socket that takes
            // no more takes it at the next write.
            let sent = self.send();
            understood.map_err(bad_tls)?;
            match sent {
                Err(error) if error.kind() != io::ErrorKind::WouldBlock => return Err(error),
                Ok(()) | Err(_) => {}
            }
            self.settle()?;
            if end && self.session.is_handshaking() {
                return Ok(0);
            }
        }
    }
}

impl<S: Read + Write> Write for Tls<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is left over of the last time goes first: the library bounds what it holds. And
        // nothing is said to a server that is not known yet.
        self.send()?;
        if self.session.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.session.writer().write(bytes)?;
        match self.send() {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            Ok(()) | Err(_) if taken == 0 => Err(io::ErrorKind::WouldBlock.into()),
            Ok(()) | Err(_) => Ok(taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()
    }
}

/// Checks a server's certificate against the authorities, not its name.
#[derive(Debug)]
struct Verifier {
    /// `None` while the authority is being learned: anything is taken then, and dropped.
    trusted: Option<RootCertStore>,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named() {
        let to = SocketAddr::from(([127, 0, 0, 1], 6640));
        let text = |files: &TlsFiles| files.begin(to).err().unwrap().to_string();
        let mut files = TlsFiles::default();
        assert_eq!(text(&files), "a private key must be given for ssl: (--private-key)");
        files.private_key = Some("/nonexistent/key.pem".into());
        assert_eq!(text(&files), "a certificate must be given for ssl: (--certificate)");
        files.certificate = files.private_key.clone();
        assert_eq!(text(&files), "a CA certificate must be given for ssl: (--ca-cert)");
        files.ca_cert = files.private_key.clone();
        assert!(text(&files).starts_with("/nonexistent/key.pem: "));
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
