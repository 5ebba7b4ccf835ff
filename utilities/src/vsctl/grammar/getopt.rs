//! Options as GNU `getopt_long(3)` reads them: short and long, long ones abbreviated, up to the
//! first word that is no option.

/// Whether an option takes an argument.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Takes {
    /// None.
    Nothing,
    /// One, after `=` or as the next word.
    Argument,
    /// One, only after `=` (or right after the letter).
    MaybeArgument,
}

/// An option that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opt {
    /// Its long name without dashes.
    pub name: &'static str,
    /// Its letter, if it has one.
    pub short: Option<char>,
    /// Whether it takes an argument.
    pub takes: Takes,
}

impl Opt {
    /// A long option without an argument.
    pub const fn flag(name: &'static str) -> Opt {
        Opt { name, short: None, takes: Takes::Nothing }
    }

    /// A long option with an argument.
    pub const fn with(name: &'static str) -> Opt {
        Opt { name, short: None, takes: Takes::Argument }
    }

    /// The same with a letter.
    pub const fn short(self, letter: char) -> Opt {
        Opt { short: Some(letter), ..self }
    }
}

/// An option that was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Its long name.
    pub name: &'static str,
    /// Its argument.
    pub argument: Option<String>,
}

/// Reads options off a command line, one after the other.
#[derive(Debug)]
pub struct Options<'a> {
    words: &'a [String],
    known: &'a [Opt],
    at: usize,
    /// Letters of a word like `-vh` that are not read yet, by byte offset.
    letters: usize,
}

impl<'a> Options<'a> {
    /// `words` without the program's name.
    pub fn new(words: &'a [String], known: &'a [Opt]) -> Options<'a> {
        Options { words, known, at: 0, letters: 0 }
    }

    /// The words after the options.
    pub fn rest(&self) -> &'a [String] {
        &self.words[self.at.min(self.words.len())..]
    }

    /// The next option; `None` where they end.
    ///
    /// # Errors
    ///
    /// The text that `getopt_long` would print, without the program's name.
    pub fn next_option(&mut self) -> Option<Result<Given, String>> {
        let word = self.words.get(self.at)?;
        if self.letters > 0 {
            return Some(self.letter(word));
        }
        if word == "--" {
            self.at += 1;
            return None;
        }
        if let Some(long) = word.strip_prefix("--") {
            self.at += 1;
            return Some(self.long(long));
        }
        if word.len() > 1 && word.starts_with('-') {
            self.letters = 1;
            return Some(self.letter(word));
        }
        None
    }

    fn long(&mut self, text: &str) -> Result<Given, String> {
        let (name, argument) = match text.split_once('=') {
            Some((name, argument)) => (name, Some(argument.to_owned())),
            None => (text, None),
        };
        let exact = self.known.iter().find(|opt| opt.name == name);
        let begin: Vec<&Opt> = self.known.iter().filter(|opt| opt.name.starts_with(name)).collect();
        let opt = match (exact, begin.as_slice()) {
            (Some(opt), _) => opt,
            (None, [opt]) => *opt,
            (None, []) => return Err(format!("unrecognized option '--{text}'")),
            (None, several) => {
                let names: Vec<String> =
                    several.iter().map(|opt| format!(" '--{}'", opt.name)).collect();
                return Err(format!(
                    "option '--{text}' is ambiguous; possibilities:{}",
                    names.concat()
                ));
            }
        };
        match (opt.takes, argument) {
            (Takes::Nothing, Some(_)) => {
                Err(format!("option '--{}' doesn't allow an argument", opt.name))
            }
            (Takes::Argument, None) => {
                let Some(next) = self.words.get(self.at) else {
                    return Err(format!("option '--{}' requires an argument", opt.name));
                };
                self.at += 1;
                Ok(Given { name: opt.name, argument: Some(next.clone()) })
            }
            (_, argument) => Ok(Given { name: opt.name, argument }),
        }
    }

    fn letter(&mut self, word: &str) -> Result<Given, String> {
        let Some(letter) = word[self.letters..].chars().next() else {
            // Not reached: `letters` is reset when a word is used up.
            self.letters = 0;
            self.at += 1;
            return Err(format!("invalid option -- '{word}'"));
        };
        let after = self.letters + letter.len_utf8();
        let rest = &word[after..];
        let mut end_word = || {
            self.letters = 0;
            self.at += 1;
        };
        let Some(opt) = self.known.iter().find(|opt| opt.short == Some(letter)) else {
            end_word();
            return Err(format!("invalid option -- '{letter}'"));
        };
        if opt.takes == Takes::Nothing {
            if rest.is_empty() {
                end_word();
            } else {
                self.letters = after;
            }
            return Ok(Given { name: opt.name, argument: None });
        }
        end_word();
        if !rest.is_empty() {
            return Ok(Given { name: opt.name, argument: Some(rest.to_owned()) });
        }
        if opt.takes == Takes::MaybeArgument {
            return Ok(Given { name: opt.name, argument: None });
        }
        match self.words.get(self.at) {
            Some(next) => {
                self.at += 1;
                Ok(Given { name: opt.name, argument: Some(next.clone()) })
            }
            None => Err(format!("option requires an argument -- '{letter}'")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: &[Opt] = &[
        Opt::with("timeout").short('t'),
        Opt::flag("no-wait"),
        Opt::flag("no-syslog"),
        Opt::flag("help").short('h'),
        Opt { name: "verbose", short: Some('v'), takes: Takes::MaybeArgument },
    ];

    type Read = Result<(String, Option<String>), String>;

    fn read(line: &str) -> (Vec<Read>, Vec<String>) {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let mut options = Options::new(&words, KNOWN);
        let mut given = Vec::new();
        while let Some(option) = options.next_option() {
            given.push(option.map(|given| (given.name.to_owned(), given.argument)));
        }
        (given, options.rest().to_vec())
    }

    fn ok(name: &str, argument: Option<&str>) -> Read {
        Ok((name.to_owned(), argument.map(str::to_owned)))
    }

    #[test]
    fn every_form_of_an_option() {
        let (given, rest) =
            read("-t5 -t 6 --timeout=7 --time 8 --no-w -hvx -v --verbose=y a --no-wait");
        let expected = vec![
            ok("timeout", Some("5")),
            ok("timeout", Some("6")),
            ok("timeout", Some("7")),
            ok("timeout", Some("8")),
            ok("no-wait", None),
            ok("help", None),
            ok("verbose", Some("x")),
            ok("verbose", None),
            ok("verbose", Some("y")),
        ];
        assert_eq!(given, expected);
        assert_eq!(rest, ["a", "--no-wait"]);
        assert_eq!(read("-- -t"), (vec![], vec!["-t".to_owned()]));
        assert_eq!(read("-"), (vec![], vec!["-".to_owned()]));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, says) in [
            ("--none", "unrecognized option '--none'"),
            ("--no", "option '--no' is ambiguous; possibilities: '--no-wait' '--no-syslog'"),
            ("--no-wait=1", "option '--no-wait' doesn't allow an argument"),
            ("--timeout", "option '--timeout' requires an argument"),
            ("-t", "option requires an argument -- 't'"),
            ("-é", "invalid option -- 'é'"),
            ("-hx", "invalid option -- 'x'"),
        ] {
            let last = read(line).0.pop().unwrap();
            assert_eq!(last, Err(says.to_owned()), "{line}");
        }
    }
}
