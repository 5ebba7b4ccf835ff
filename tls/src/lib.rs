//! TLS as Open vSwitch uses it, with the certificates that `ovs-pki` makes: both sides show one,
//! and each is checked against an authority. Names in certificates are not looked at, as upstream
//! does not.
//!
//! - [`Settings`] are what the options `--private-key`, `--certificate`, `--ca-cert`,
//!   `--bootstrap-ca-cert`, `--peer-ca-cert`, `--ssl-server-name`, `--ssl-protocols`,
//!   `--ssl-ciphers` and `--ssl-ciphersuites` say;
//! - [`Context`] keeps what is made of them until a file changes, and begins sessions;
//! - [`Tls`] is a session over a socket, blocking or not;
//! - [`Enabled`] is the language of the last three options.
//!
//! It opens no socket, starts no thread and logs nothing.

#![warn(missing_docs)]

mod certificate;
mod context;
mod enabled;
mod stream;
mod verify;

pub use context::{Begun, Context, Settings, TlsError};
pub use enabled::Enabled;
pub use stream::Tls;

/// The library's words, with what to do where they do not say it.
pub fn explain(error: &rustls::Error) -> String {
    let text = error.to_string();
    match text.contains("UnsupportedCertVersion") {
        true => format!("{text}: the certificate is not of X.509 version 3, only that is accepted"),
        false => text,
    }
}
