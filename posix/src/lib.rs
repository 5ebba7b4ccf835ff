//! Small things of the system that several crates need: error texts, files, names of hosts,
//! Unix sockets by path.

pub mod file;
pub mod lookup;
pub mod unix;

use std::borrow::Cow;
use std::fmt::Display;

/// What `std` puts between the system's text and the number of an error.
const BEFORE: &str = " (os error ";

/// An error's text with the system's words (strerror(3)) and without the ` (os error N)` that
/// `std::io::Error` adds: the words say the same, and Open vSwitch prints them only. Errors that
/// quote a `std::io::Error` may be given too.
pub fn text(error: impl Display) -> String {
    without_numbers(&error.to_string()).into_owned()
}

/// As [`text`], for a message that may quote several errors.
pub fn without_numbers(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut out = String::new();
    while let Some(at) = rest.find(BEFORE) {
        let (before, after) = (&rest[..at], &rest[at + BEFORE.len()..]);
        let digits = after.bytes().take_while(u8::is_ascii_digit).count();
        out.push_str(before);
        if digits > 0 && after[digits..].starts_with(')') {
            rest = &after[digits + 1..];
        } else {
            out.push_str(BEFORE);
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
    fn the_system_s_words() {
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
