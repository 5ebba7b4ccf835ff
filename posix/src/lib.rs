//! What several crates need of the system: error texts, files and locks, host names, Unix sockets
//! by path.

#![warn(missing_docs)]

pub mod file;
pub mod lookup;
pub mod unix;

use std::borrow::Cow;
use std::fmt::Display;

/// A random number from the kernel (getrandom(2)); 0 in the first moments of a machine's life, when
/// the kernel has no entropy yet. For seeds and made-up addresses, not for secrets.
pub fn random() -> u64 {
    let mut octets = [0; 8];
    // Fewer octets, or none, leave zeros.
    let _ = rustix::rand::getrandom(&mut octets, rustix::rand::GetRandomFlags::NONBLOCK);
    u64::from_ne_bytes(octets)
}

/// What `std` puts between an error's text and its number.
const NUMBER_PREFIX: &str = " (os error ";

/// An error's text as strerror(3) has it, without the ` (os error N)` that `std::io::Error` appends.
/// Open vSwitch prints no such number. The number is also removed when the error quotes a
/// `std::io::Error`.
pub fn text(error: impl Display) -> String {
    without_numbers(&error.to_string()).into_owned()
}

/// As [`text`], for a message that may quote several errors.
pub fn without_numbers(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut out = String::new();
    while let Some(at) = rest.find(NUMBER_PREFIX) {
        let (before, after) = (&rest[..at], &rest[at + NUMBER_PREFIX.len()..]);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        out.push_str(before);
        if digits > 0 && after[digits..].starts_with(')') {
            rest = &after[digits + 1..];
        } else {
            out.push_str(NUMBER_PREFIX);
            rest = after;
        }
    }
    if rest.len() == text.len() {
        return Cow::Borrowed(text);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn text_of_error_has_no_number() {
        let error = || io::Error::from_raw_os_error(libc::ENOENT);
        assert_eq!(text(error()), "No such file or directory");
        assert_eq!(text(io::Error::from_raw_os_error(libc::EAGAIN)), {
            "Resource temporarily unavailable"
        });
        let two = format!("a: {}; b: {}.", error(), error());
        assert_eq!(text(two), "a: No such file or directory; b: No such file or directory.");
        assert_eq!(text(io::Error::from(io::ErrorKind::UnexpectedEof)), "unexpected end of file");
        for other in ["", "x (os error 2", "x (os error y)", "(os error 2)", "é (os error "] {
            assert_eq!(text(other), other);
        }
        assert!(matches!(without_numbers("plain"), Cow::Borrowed("plain")));
    }
}
