//! The daemon's log, as far as it explains what the bond did.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Modules whose lines say why traffic moved.
const MODULES: [&str; 2] = ["bond", "lacp"];

/// One line: when it was written (since 1970, UTC) and what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: Duration,
    pub(super) text: String,
}

/// Reads a growing log.
pub(super) struct Tail {
    path: PathBuf,
    read: usize,
}

impl Tail {
    pub(super) fn new(path: PathBuf) -> Tail {
        Tail { path, read: 0 }
    }

    /// The lines worth telling that were written since the last call.
    pub(super) fn news(&mut self) -> Vec<Line> {
        let text = fs::read(&self.path).unwrap_or_default();
        let new = text.get(self.read..).unwrap_or_default();
        // A line that is still being written is left for the next call.
        let Some(end) = new.iter().rposition(|b| *b == b'\n') else { return Vec::new() };
        self.read += end + 1;
        String::from_utf8_lossy(&new[..end]).lines().filter_map(parse).collect()
    }
}

/// `2026-01-02T03:04:05.678Z|00012|bond|INFO|text`
fn parse(line: &str) -> Option<Line> {
    let mut parts = line.splitn(5, '|');
    let at = time(parts.next()?)?;
    let (_sequence, module, level) = (parts.next()?, parts.next()?, parts.next()?);
    // A module's name may carry the thread's: `bond(links)`.
    let module = module.split('(').next()?;
    if !MODULES.contains(&module) || level == "DBG" {
        return None;
    }
    Some(Line { at, text: format!("{module}: {}", parts.next()?) })
}

/// RFC 3339 in UTC with any number of digits after the point.
fn time(text: &str) -> Option<Duration> {
    let (date, clock) = text.strip_suffix('Z')?.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<i64>);
    let (y, m, d) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let mut clock = clock.splitn(3, ':');
    let (hour, minute) = (clock.next()?.parse::<i64>().ok()?, clock.next()?.parse::<i64>().ok()?);
    let second: f64 = clock.next()?.parse().ok()?;
    // Days since 1970 in the Gregorian calendar, years counted from March.
    let (y, m) = if m <= 2 { (y - 1, m + 9) } else { (y, m - 3) };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + d - 1 - 719_468;
    let seconds = u64::try_from(days * 86_400 + hour * 3600 + minute * 60).ok()?;
    Some(Duration::from_secs(seconds) + Duration::try_from_secs_f64(second).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_the_bond_are_told() {
        let l = parse("2026-11-21T22:16:00.250Z|00012|bond(x)|INFO|member nic0: disabled").unwrap();
        assert_eq!(l.text, "bond: member nic0: disabled");
        assert_eq!(l.at, Duration::from_millis(1_795_299_360_250));
        assert_eq!(time("1970-01-01T00:00:00.000Z"), Some(Duration::ZERO));
        assert_eq!(time("2024-02-29T00:00:00Z"), Some(Duration::from_secs(1_709_164_800)));
        assert_eq!(parse("2026-11-21T22:16:00.250Z|00012|bridge|INFO|x"), None);
        assert_eq!(parse("no log line"), None);
    }
}
