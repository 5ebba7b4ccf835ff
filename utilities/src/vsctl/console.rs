//! What is said on the side: warnings on standard error, and records for the system's log, in the
//! shape that daemons' log lines have (`ovs-appctl(8)`, `vlog`).

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::os::unix::net::UnixDatagram;
use std::time::{SystemTime, UNIX_EPOCH};

/// How grave a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Nothing at all passes.
    Off,
    /// The program cannot go on.
    Emer,
    /// Something failed.
    Err,
    /// Something looks wrong.
    Warn,
    /// Something happened.
    Info,
    /// For those who look for a fault.
    Dbg,
}

impl Level {
    const NAMES: [(Level, &'static str); 6] = [
        (Level::Off, "off"),
        (Level::Emer, "emer"),
        (Level::Err, "err"),
        (Level::Warn, "warn"),
        (Level::Info, "info"),
        (Level::Dbg, "dbg"),
    ];

    fn from_name(name: &str) -> Option<Level> {
        Level::NAMES.iter().find(|(_, known)| known.eq_ignore_ascii_case(name)).map(|(l, _)| *l)
    }

    fn name(self) -> String {
        let name = Level::NAMES.iter().find(|(level, _)| *level == self).map_or("", |(_, n)| *n);
        name.to_ascii_uppercase()
    }

    /// The severity of `syslog(3)`.
    const fn severity(self) -> u8 {
        match self {
            Level::Off | Level::Emer => 1,
            Level::Err => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Dbg => 7,
        }
    }
}

/// Where records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Destination {
    Console,
    Syslog,
    File,
}

impl Destination {
    const NAMES: [(Destination, &'static str); 3] = [
        (Destination::Console, "console"),
        (Destination::Syslog, "syslog"),
        (Destination::File, "file"),
    ];

    fn from_name(name: &str) -> Option<Destination> {
        Destination::NAMES.iter().find(|(_, n)| n.eq_ignore_ascii_case(name)).map(|(d, _)| *d)
    }
}

/// The program's voice.
#[derive(Debug)]
pub struct Console {
    program: &'static str,
    number: u64,
    general: BTreeMap<Destination, Level>,
    modules: BTreeMap<(Destination, String), Level>,
    patterns: BTreeMap<Destination, String>,
    file: Option<std::fs::File>,
}

/// The daemon facility of `syslog(3)`.
const FACILITY: u8 = 3 << 3;

impl Console {
    /// Warnings to the console, what happens to the system's log.
    pub fn new(program: &'static str) -> Console {
        let long = "%D{%Y-%m-%dT%H:%M:%SZ}|%05N|%c%T|%p|%m";
        Console {
            program,
            number: 0,
            general: BTreeMap::from([
                (Destination::Console, Level::Warn),
                (Destination::Syslog, Level::Info),
                (Destination::File, Level::Info),
            ]),
            modules: BTreeMap::new(),
            patterns: BTreeMap::from([
                (Destination::Console, long.to_owned()),
                (Destination::Syslog, "ovs|%05N|%c%T|%p|%m".to_owned()),
                (Destination::File, "%D{%Y-%m-%dT%H:%M:%S.###Z}|%05N|%c%T|%p|%m".to_owned()),
            ]),
            file: None,
        }
    }

    /// Writes `PROGRAM: TEXT` to standard error, whatever the levels.
    pub fn error(&self, text: &str) {
        let _ = writeln!(std::io::stderr().lock(), "{}: {text}", self.program);
    }

    /// Names the nearest known word, where a person reads: programs compare these lines.
    pub fn hint(&self, nearest: Option<&str>) {
        if let Some(word) = nearest
            && std::io::stderr().is_terminal()
        {
            self.error(&format!("did you mean \"{word}\"?"));
        }
    }

    /// Keeps records in a file too.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn open_file(&mut self, path: &str) -> std::io::Result<()> {
        self.file = Some(posix::file::open_log(std::path::Path::new(path))?.0);
        Ok(())
    }

    /// `--no-syslog`.
    pub fn quiet_syslog(&mut self) {
        self.modules.insert((Destination::Syslog, "vsctl".to_owned()), Level::Warn);
    }

    /// `-v` with its argument: `[MODULE][:DESTINATION][:LEVEL]`, `PATTERN:DESTINATION:PATTERN`.
    ///
    /// # Errors
    ///
    /// What is not understood.
    pub fn configure(&mut self, spec: Option<&str>) -> Result<(), String> {
        let spec = spec.unwrap_or("dbg");
        let words = |text: &str| -> Vec<String> {
            let parts = text.split([' ', ',', ':', '\t']);
            parts.filter(|word| !word.is_empty()).map(str::to_owned).collect()
        };
        if spec.len() > 8 && spec.is_char_boundary(8) && spec[..8].eq_ignore_ascii_case("PATTERN:")
        {
            let (to, pattern) = spec[8..].split_once(':').unwrap_or((&spec[8..], ""));
            let any = to.eq_ignore_ascii_case("any");
            match (any, Destination::from_name(to)) {
                (true, _) => {
                    for (destination, _) in Destination::NAMES {
                        self.patterns.insert(destination, pattern.to_owned());
                    }
                }
                (false, Some(destination)) => {
                    self.patterns.insert(destination, pattern.to_owned());
                }
                (false, None) => return Err(format!("unknown destination \"{to}\"")),
            }
            return Ok(());
        }
        if spec.to_ascii_uppercase().starts_with("FACILITY:") {
            return Ok(());
        }
        let (mut module, mut destination, mut level) = (None, None, None);
        for word in words(spec) {
            if word.eq_ignore_ascii_case("any") {
                continue;
            }
            if let Some(to) = Destination::from_name(&word) {
                if destination.replace(to).is_some() {
                    return Err("cannot specify multiple destinations".to_owned());
                }
            } else if let Some(given) = Level::from_name(&word) {
                if level.replace(given).is_some() {
                    return Err("cannot specify multiple levels".to_owned());
                }
            } else if module.replace(word).is_some() {
                return Err("cannot specify multiple modules".to_owned());
            }
        }
        let level = level.unwrap_or(Level::Dbg);
        for (to, _) in Destination::NAMES {
            if destination.is_some_and(|only| only != to) {
                continue;
            }
            match &module {
                Some(module) => {
                    self.modules.insert((to, module.clone()), level);
                }
                None => {
                    self.general.insert(to, level);
                    self.modules.retain(|(of, _), _| *of != to);
                }
            }
        }
        Ok(())
    }

    fn passes(&self, to: Destination, module: &str, level: Level) -> bool {
        let own = self.modules.get(&(to, module.to_owned()));
        level <= own.or_else(|| self.general.get(&to)).copied().unwrap_or(Level::Off)
    }

    /// A record.
    pub fn log(&mut self, module: &str, level: Level, text: &str) {
        if !Destination::NAMES.iter().any(|(to, _)| self.passes(*to, module, level)) {
            return;
        }
        self.number += 1;
        for (to, _) in Destination::NAMES {
            if !self.passes(to, module, level) {
                continue;
            }
            let line = self.format(to, module, level, text);
            match to {
                Destination::Console => {
                    let _ = writeln!(std::io::stderr().lock(), "{line}");
                }
                Destination::Syslog => self.send_to_syslog(level, &line),
                Destination::File => {
                    if let Some(file) = &mut self.file {
                        let _ = writeln!(file, "{line}");
                    }
                }
            }
        }
    }

    /// A record that the console does not show: the text is printed there in another form.
    pub fn log_quietly(&mut self, module: &str, level: Level, text: &str) {
        self.modules.insert((Destination::Console, module.to_owned()), Level::Off);
        self.log(module, level, text);
    }

    /// A record that something looks wrong.
    pub fn warn(&mut self, module: &str, text: &str) {
        self.log(module, Level::Warn, text);
    }

    fn send_to_syslog(&self, level: Level, line: &str) {
        // Nobody is told when there is no log to write to, as with syslog(3).
        if let Ok(socket) = UnixDatagram::unbound() {
            let priority = FACILITY | level.severity();
            let _ = socket.set_nonblocking(true);
            let message = format!("<{priority}>{}: {line}", self.program);
            let _ = socket.send_to(message.as_bytes(), "/dev/log");
        }
    }

    fn format(&self, to: Destination, module: &str, level: Level, text: &str) -> String {
        let mut out = String::new();
        let pattern = self.patterns.get(&to).map_or("%m", String::as_str);
        let mut rest = pattern.chars().peekable();
        while let Some(c) = rest.next() {
            if c != '%' {
                out.push(c);
                continue;
            }
            let left = rest.next_if_eq(&'-').is_some();
            let pad = if rest.next_if_eq(&'0').is_some() { '0' } else { ' ' };
            let mut width = 0;
            while let Some(digit) = rest.peek().and_then(|c| c.to_digit(10)) {
                width = (width * 10 + digit as usize).min(256);
                rest.next();
            }
            let field = match rest.next() {
                Some('A') => self.program.to_owned(),
                Some('B') => (FACILITY + level.severity()).to_string(),
                Some('c') => {
                    let _: Option<String> = braces_of(&mut rest);
                    module.to_owned()
                }
                Some('d' | 'D') => {
                    let form = braces_of(&mut rest);
                    time_text(form.as_deref().unwrap_or("%Y-%m-%d %H:%M:%S.###"))
                }
                Some('m') => text.trim_end_matches('\n').to_owned(),
                Some('N') => self.number.to_string(),
                Some('n') => "\n".to_owned(),
                Some('p') => level.name(),
                Some('P') => std::process::id().to_string(),
                Some('t') => "main".to_owned(),
                Some('T') | None => String::new(),
                Some(other) => other.to_string(),
            };
            let missing = width.saturating_sub(field.chars().count());
            let fill: String = std::iter::repeat_n(pad, missing).collect();
            if left {
                out.push_str(&field);
                out.push_str(&fill);
            } else {
                out.push_str(&fill);
                out.push_str(&field);
            }
        }
        out
    }
}

fn braces_of(rest: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<String> {
    rest.next_if_eq(&'{').map(|_| rest.by_ref().take_while(|c| *c != '}').collect())
}

/// The time of day in UTC; of `strftime` what log patterns use, `###` for milliseconds.
fn time_text(form: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seconds = now.as_secs();
    let (day, second) = (seconds / 86400, seconds % 86400);
    let (year, month, date) = civil(day as i64);
    let mut out = String::new();
    let mut rest = form.chars();
    while let Some(c) = rest.next() {
        match c {
            '%' => match rest.next() {
                Some('Y') => out.push_str(&year.to_string()),
                Some('m') => out.push_str(&format!("{month:02}")),
                Some('d') => out.push_str(&format!("{date:02}")),
                Some('H') => out.push_str(&format!("{:02}", second / 3600)),
                Some('M') => out.push_str(&format!("{:02}", second / 60 % 60)),
                Some('S') => out.push_str(&format!("{:02}", second % 60)),
                Some('s') => out.push_str(&seconds.to_string()),
                Some(other) => out.push(other),
                None => out.push('%'),
            },
            c => out.push(c),
        }
    }
    out.replace("###", &format!("{:03}", now.subsec_millis()))
}

/// Year, month and day of the month of a day counted from 1970-01-01 (Gregorian).
fn civil(day: i64) -> (i64, u32, u32) {
    let shifted = day + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let from_march = (5 * of_year + 2) / 153;
    let date = (of_year - (153 * from_march + 2) / 5 + 1) as u32;
    let month = (if from_march < 10 { from_march + 3 } else { from_march - 9 }) as u32;
    (year + era * 400 + i64::from(month <= 2), month, date)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_patterns() {
        let mut console = Console::new("p");
        assert!(console.passes(Destination::Console, "vsctl", Level::Warn));
        assert!(!console.passes(Destination::Console, "vsctl", Level::Info));
        console.configure(Some("vsctl:console:off")).unwrap();
        assert!(!console.passes(Destination::Console, "vsctl", Level::Emer));
        assert!(console.passes(Destination::Console, "other", Level::Warn));
        console.configure(None).unwrap();
        assert!(console.passes(Destination::Console, "vsctl", Level::Dbg));
        assert!(console.configure(Some("console:file")).is_err());
        assert!(console.configure(Some("PATTERN:nowhere:%m")).is_err());
        console.configure(Some("PATTERN:console:%-6p|%05N|%c{x}|%m%%%q")).unwrap();
        let line = console.format(Destination::Console, "vsctl", Level::Warn, "text\n");
        assert_eq!(line, "WARN  |00000|vsctl|text%q");
    }

    #[test]
    fn days() {
        assert_eq!(civil(0), (1970, 1, 1));
        assert_eq!(civil(19_782), (2024, 2, 29));
        assert_eq!(civil(20_453), (2025, 12, 31));
    }
}
