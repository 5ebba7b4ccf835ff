//! A connection to a server, with the words in which upstream says what is wrong with it.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Instant;

use ovsdb_client::{CallError, Caller, TlsError, TlsSettings};
use stream::Target;
use stream::target::{OVSDB_PORT, has_kind};

use crate::vsctl::run_directory;

/// Why a connection is of no more use.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It could not be made, or it broke.
    #[error("{0}")]
    Broken(String),
    /// The time that the user gave has passed.
    #[error("time is up")]
    Deadline,
}

/// The system's words for an error, without its number.
pub fn system_text(error: &io::Error) -> String {
    if error.kind() == ErrorKind::UnexpectedEof {
        return "End of file".to_owned();
    }
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref());
    match inner {
        // It is done with the first connection, which is not used further.
        Some(TlsError::Learned(_)) => posix::text(io::Error::from_raw_os_error(libc::EPROTO)),
        Some(_) | None => posix::text(error),
    }
}

impl From<CallError> for LinkError {
    fn from(error: CallError) -> LinkError {
        match error {
            CallError::Io(error) => LinkError::Broken(system_text(&error)),
            CallError::Frame(error) => LinkError::Broken(error.to_string()),
            CallError::Message(error) => LinkError::Broken(error.to_string()),
            CallError::Deadline => LinkError::Deadline,
        }
    }
}

/// Connects to an address, or waits for a server that comes to it. A socket's path that is not
/// absolute is in the run directory. Nothing takes longer than until `deadline`.
///
/// # Errors
///
/// [`LinkError`].
pub fn open(
    address: &str,
    tls: &TlsSettings,
    deadline: Option<Instant>,
) -> Result<Caller, LinkError> {
    let remote = Target::parse(address, OVSDB_PORT).map_err(|error| {
        LinkError::Broken(match has_kind(address) {
            true => error.problem.to_owned(),
            // What the system says of an address family that it does not have.
            false => system_text(&io::Error::from_raw_os_error(libc::EAFNOSUPPORT)),
        })
    })?;
    let remote = remote.below(Path::new(&run_directory()));
    Ok(Caller::open(&remote, tls, deadline)?)
}
