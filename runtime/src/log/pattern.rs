//! Patterns: how a line is made of a message (ovs-appctl(8), "vlog/set", lists the same escapes).

use std::fmt::{self, Write};
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::RwLock;

use super::level::{Destination, Level};

/// By `Destination`; `None` = the default.
static PATTERNS: RwLock<[Option<String>; 3]> = RwLock::new([None, None, None]);

const fn default_pattern(d: Destination) -> &'static str {
    match d {
        Destination::Syslog => "ovs|%05N|%c%T|%p|%m",
        Destination::Console => "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m",
        Destination::File => "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m",
    }
}

/// Lends the pattern of a destination.
pub(super) fn with<R>(d: Destination, f: impl FnOnce(&str) -> R) -> R {
    // A panic in what is formatted is itself logged by this thread, which holds the lock already.
    f(PATTERNS.read_recursive()[d as usize].as_deref().unwrap_or(default_pattern(d)))
}

/// Sets the pattern of a destination.
pub(super) fn set(d: Destination, pattern: String) {
    PATTERNS.write()[d as usize] = Some(pattern);
}

/// What a pattern can mention.
pub(super) struct Fields<'a> {
    pub(super) program: &'a str,
    pub(super) facility: u8,
    pub(super) module: &'a str,
    pub(super) level: Level,
    /// Empty for the main thread.
    pub(super) thread: &'a str,
    /// The thread's own count of lines.
    pub(super) number: u32,
    /// Since the start of the program.
    pub(super) uptime_ms: u64,
    pub(super) wall: SystemTime,
    pub(super) text: fmt::Arguments<'a>,
}

/// Appends the line to `out`, without a newline of its own.
pub(super) fn format(pattern: &str, f: &Fields<'_>, out: &mut String) {
    let mut rest = pattern;
    while let Some(at) = rest.find('%') {
        out.push_str(&rest[..at]);
        rest = &rest[at + 1..];
        let left = strip(&mut rest, '-');
        let zero = strip(&mut rest, '0');
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        // A silly width must not eat memory.
        let width = rest[..digits].parse().unwrap_or(0).min(1024);
        rest = &rest[digits..];
        let Some(escape) = rest.chars().next() else {
            break;
        };
        rest = &rest[escape.len_utf8()..];
        let start = out.len();
        // Writing to a String cannot fail.
        let _ = match escape {
            'A' => out.write_str(f.program),
            'B' => write!(out, "{}", f.facility | f.level.syslog()),
            'c' => {
                braces(&mut rest);
                out.write_str(f.module)
            }
            'd' | 'D' => {
                let format = braces(&mut rest).unwrap_or("%Y-%m-%d %H:%M:%S.###");
                strftime(format, f.wall, escape == 'D', out);
                Ok(())
            }
            'E' => out.write_str(&host_name()),
            'm' => {
                let _ = out.write_fmt(f.text);
                let end = start + out[start..].trim_end_matches('\n').len();
                out.truncate(end);
                Ok(())
            }
            'N' => write!(out, "{}", f.number),
            'n' => out.write_char('\n'),
            'p' => out.write_str(f.level.name()),
            'P' => write!(out, "{}", std::process::id()),
            'r' => write!(out, "{}", f.uptime_ms),
            't' => out.write_str(if f.thread.is_empty() { "main" } else { f.thread }),
            'T' if f.thread.is_empty() => Ok(()),
            'T' => write!(out, "({})", f.thread),
            other => out.write_char(other),
        };
        let used = out.len() - start;
        if used < width {
            let pad = if zero && !left { "0" } else { " " }.repeat(width - used);
            out.insert_str(if left { out.len() } else { start }, &pad);
        }
    }
    out.push_str(rest);
}

fn strip(rest: &mut &str, c: char) -> bool {
    match rest.strip_prefix(c) {
        Some(r) => {
            *rest = r;
            true
        }
        None => false,
    }
}

/// The text in braces, if it comes next. A missing closing brace ends with the pattern.
fn braces<'a>(rest: &mut &'a str) -> Option<&'a str> {
    let inner = rest.strip_prefix('{')?;
    match inner.split_once('}') {
        Some((text, after)) => {
            *rest = after;
            Some(text)
        }
        None => {
            *rest = "";
            Some(inner)
        }
    }
}

fn host_name() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default().trim().to_owned()
}

/// strftime(3), in which a run of `#` stands for that many digits of the second's fraction. It is
/// libc's: patterns of `vlog/set` may have any of its directives, in local time.
pub(super) fn strftime(format: &str, wall: SystemTime, utc: bool, out: &mut String) {
    let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = libc::time_t::try_from(since.as_secs()).unwrap_or(libc::time_t::MAX);
    // The fraction goes in first, as digits; strftime leaves those alone.
    let mut with_fraction = String::with_capacity(format.len());
    let nanos = format!("{:09}", since.subsec_nanos());
    let mut digits = nanos.chars().chain(std::iter::repeat('0'));
    for c in format.chars() {
        match c {
            '#' => with_fraction.extend(digits.next()),
            // strftime wants no NUL.
            '\0' => {}
            c => with_fraction.push(c),
        }
    }
    with_fraction.push('\0');
    // SAFETY: an all-zero `tm` is a valid value of that plain C struct (its zone pointer may be
    // null), and both functions only write to it.
    let tm = unsafe {
        let mut tm: libc::tm = std::mem::zeroed();
        let done = if utc {
            libc::gmtime_r(&seconds, &mut tm)
        } else {
            libc::localtime_r(&seconds, &mut tm)
        };
        if done.is_null() {
            return;
        }
        tm
    };
    let mut buf = [0u8; 256];
    // SAFETY: the buffer's length is given, the format ends in NUL, `tm` is filled in.
    let n = unsafe {
        libc::strftime(buf.as_mut_ptr().cast(), buf.len(), with_fraction.as_ptr().cast(), &tm)
    };
    out.push_str(&String::from_utf8_lossy(&buf[..n]));
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn line(pattern: &str) -> String {
        let mut out = String::new();
        let f = Fields {
            program: "prog",
            facility: 24,
            module: "bond",
            level: Level::Warn,
            thread: "links3",
            number: 12,
            uptime_ms: 34,
            wall: UNIX_EPOCH + Duration::from_millis(1_767_323_045_678),
            text: format_args!("text {}\n\n", 1),
        };
        format(pattern, &f, &mut out);
        out
    }

    #[test]
    fn escapes() {
        let file = "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m";
        assert_eq!(line(file), "2026-01-02T03:04:05.678Z|00012|bond(links3)|WARN|text 1");
        assert_eq!(line("%A %B %r %t%n%%|%q"), "prog 28 34 links3\n%|q");
        assert_eq!(line("%D"), "2026-01-02 03:04:05.678");
        assert_eq!(line("[%-7p][%7p][%03N][%-03N]"), "[WARN   ][   WARN][012][12 ]");
        assert_eq!(line("%c{1}!"), "bond!");
        assert_eq!(line("%"), "");
        assert_eq!(line("%5"), "");
        assert_eq!(line("%D{%S"), "05");
        assert_eq!(line("%999999999p").len(), 1024);
        assert_eq!(line("%99999999999999999999999p"), "WARN");
        assert_eq!(line("é%é"), "éé");
    }

    proptest::proptest! {
        #[test]
        fn any_pattern(p in "(%[-0-9]{0,5}[a-zA-Z%]|[{}#]|.){0,20}") {
            line(&p);
        }
    }
}
