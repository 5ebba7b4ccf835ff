//! Commands: words between `--`, each with options of its own before its name.

use std::collections::BTreeMap;

use super::getopt::{Opt, Takes};

/// An option of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommandOption {
    /// With its dashes.
    pub name: &'static str,
    /// Whether it takes an argument.
    pub takes: Takes,
}

/// What a command looks like.
#[derive(Debug, Clone, Copy)]
pub struct Syntax {
    /// Its name.
    pub name: &'static str,
    /// Fewest arguments.
    pub least: usize,
    /// Most arguments; `usize::MAX` means any number.
    pub most: usize,
    /// The arguments in the notation of the manual, `[X]` optional, `X...` repeated.
    pub arguments: &'static str,
    /// Its options, as `--may-exist,--id=`: a final `=` marks one with an argument.
    pub options: &'static str,
    /// May change the database.
    pub writes: bool,
}

impl Syntax {
    /// Its options.
    pub fn options(&self) -> impl Iterator<Item = CommandOption> + use<> {
        self.options.split(',').filter(|name| !name.is_empty()).map(|name| {
            match name.strip_suffix('=') {
                Some(name) => CommandOption { name, takes: Takes::Argument },
                None => CommandOption { name, takes: Takes::Nothing },
            }
        })
    }
}

/// A command as it was given.
#[derive(Debug, Clone)]
pub struct Command {
    /// Its place in the list of all commands.
    pub index: usize,
    /// What it looks like.
    pub syntax: &'static Syntax,
    /// Its name and its arguments.
    pub words: Vec<String>,
    /// Its options with dashes, and their arguments.
    pub options: BTreeMap<String, Option<String>>,
}

impl Command {
    /// The argument at `at`, counted from 1; the grammar has made sure of the first ones.
    pub fn arg(&self, at: usize) -> &str {
        self.words.get(at).map_or("", String::as_str)
    }

    /// The arguments from `at` on, counted from 1.
    pub fn args_from(&self, at: usize) -> &[String] {
        self.words.get(at..).unwrap_or_default()
    }

    /// How many arguments.
    pub fn count(&self) -> usize {
        self.words.len() - 1
    }

    /// True if an option was given.
    pub fn has(&self, option: &str) -> bool {
        self.options.contains_key(option)
    }

    /// An option's argument.
    pub fn option(&self, option: &str) -> Option<&str> {
        self.options.get(option)?.as_deref()
    }

    /// The command as one could type it, for messages.
    pub fn to_line(&self) -> String {
        let words: Vec<&str> = self
            .options
            .keys()
            .map(String::as_str)
            .chain(self.words.iter().map(String::as_str))
            .collect();
        escape(&words)
    }
}

/// The options of all commands together, for the options before the first command.
pub fn all_options(commands: &[&'static Syntax]) -> Vec<Opt> {
    let mut all: BTreeMap<&'static str, Takes> = BTreeMap::new();
    for syntax in commands {
        for option in syntax.options() {
            all.insert(option.name.trim_start_matches('-'), option.takes);
        }
    }
    all.into_iter().map(|(name, takes)| Opt { name, short: None, takes }).collect()
}

/// Words as a shell would take them: those with blanks or quotes in double quotes.
pub fn escape<S: AsRef<str>>(words: &[S]) -> String {
    let mut line = String::new();
    for (at, word) in words.iter().map(AsRef::as_ref).enumerate() {
        if at > 0 {
            line.push(' ');
        }
        if word.contains([' ', '\t', '\r', '\n', '\x0b', '\\', '\'', '"']) {
            line.push('"');
            for c in word.chars() {
                if matches!(c, '\\' | '"') {
                    line.push('\\');
                }
                line.push(c);
            }
            line.push('"');
        } else {
            line.push_str(word);
        }
    }
    line
}

/// Cuts the words after the options into commands. `options` are those of the first command that
/// were given among the program's own.
///
/// # Errors
///
/// What is wrong with which command.
pub fn parse(
    words: &[String],
    mut options: BTreeMap<String, Option<String>>,
    known: &[&'static Syntax],
) -> Result<Vec<Command>, CommandError> {
    let mut commands = Vec::new();
    for part in words.split(|word| word == "--") {
        if !part.is_empty() {
            commands.push(parse_one(part, std::mem::take(&mut options), known)?);
        } else if !options.is_empty() {
            return Err(CommandError::new(MISSING));
        }
    }
    if commands.is_empty() {
        return Err(CommandError::new(MISSING));
    }
    Ok(commands)
}

const MISSING: &str = "missing command name (use --help for help)";

/// A command line that is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct CommandError {
    /// What is wrong.
    pub text: String,
    /// The word that is not known, and what would be known in its place.
    pub unknown: Option<(String, Vec<&'static str>)>,
}

impl CommandError {
    fn new(text: impl Into<String>) -> CommandError {
        CommandError { text: text.into(), unknown: None }
    }
}

fn parse_one(
    words: &[String],
    mut options: BTreeMap<String, Option<String>>,
    known: &[&'static Syntax],
) -> Result<Command, CommandError> {
    let error = |text: String| Err(CommandError::new(text));
    let leading = words.iter().take_while(|word| word.starts_with('-')).count();
    for word in &words[..leading] {
        let (name, argument) = match word.split_once('=') {
            Some((name, argument)) => (name, Some(argument.to_owned())),
            None => (word.as_str(), None),
        };
        if options.insert(name.to_owned(), argument).is_some() {
            return error(format!("'{word}' option specified multiple times"));
        }
    }
    let Some(name) = words.get(leading) else { return error(MISSING.to_owned()) };
    let found = known.iter().enumerate().find(|(_, syntax)| syntax.name == name);
    let Some((index, &syntax)) = found else {
        return Err(CommandError {
            text: format!("unknown command '{name}'; use --help for help"),
            unknown: Some((name.clone(), known.iter().map(|syntax| syntax.name).collect())),
        });
    };
    for (option, argument) in &options {
        let takes = syntax.options().find(|known| known.name == option).map(|known| known.takes);
        match (takes, argument) {
            (None, _) => {
                return Err(CommandError {
                    text: format!("'{name}' command has no '{option}' option"),
                    unknown: Some((option.clone(), syntax.options().map(|o| o.name).collect())),
                });
            }
            (Some(Takes::Argument), None) => {
                return error(format!("missing argument to '{option}' option on '{name}' command"));
            }
            (Some(Takes::Nothing), Some(_)) => {
                return error(format!("'{option}' option on '{name}' does not accept an argument"));
            }
            (Some(_), _) => {}
        }
    }
    let arguments = &words[leading + 1..];
    if arguments.len() < syntax.least {
        let least = syntax.least;
        return error(format!("'{name}' command requires at least {least} arguments"));
    }
    if arguments.len() > syntax.most {
        let note = if arguments.iter().any(|word| word.starts_with('-')) {
            " (note that options must precede command names and follow a \"--\" argument)"
        } else {
            ""
        };
        return error(format!("'{name}' command takes at most {} arguments{note}", syntax.most));
    }
    Ok(Command { index, syntax, words: words[leading..].to_vec(), options })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADD: Syntax = Syntax {
        name: "add",
        least: 1,
        most: 2,
        arguments: "A [B]",
        options: "--may-exist,--id=",
        writes: true,
    };
    const LIST: Syntax =
        Syntax { name: "list", least: 0, most: 0, arguments: "", options: "", writes: false };

    fn read(line: &str) -> Result<Vec<Command>, CommandError> {
        let words: Vec<String> =
            line.split(' ').filter(|w| !w.is_empty()).map(str::to_owned).collect();
        parse(&words, BTreeMap::new(), &[&ADD, &LIST])
    }

    #[test]
    fn chains() {
        let commands = read("-- --may-exist --id=@x add a -- list --").unwrap();
        assert_eq!(commands.len(), 2);
        assert!(commands[0].has("--may-exist"));
        assert_eq!(commands[0].option("--id"), Some("@x"));
        assert_eq!(commands[0].to_line(), "--id --may-exist add a");
        assert_eq!(commands[1].count(), 0);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (line, says) in [
            ("", MISSING),
            ("--may-exist", MISSING),
            ("ad x", "unknown command 'ad'; use --help for help"),
            ("--id add x", "missing argument to '--id' option on 'add' command"),
            ("--may-exist=1 add x", "'--may-exist' option on 'add' does not accept an argument"),
            ("--all add x", "'add' command has no '--all' option"),
            ("--id=1 --id=2 add x", "'--id=2' option specified multiple times"),
            ("add", "'add' command requires at least 1 arguments"),
            ("add a b c", "'add' command takes at most 2 arguments"),
            (
                "list --x",
                "'list' command takes at most 0 arguments (note that options must precede command \
                 names and follow a \"--\" argument)",
            ),
        ] {
            assert_eq!(read(line).unwrap_err().text, says, "{line}");
        }
        let given = BTreeMap::from([("--may-exist".to_owned(), None)]);
        let words = ["--".to_owned(), "list".to_owned()];
        assert_eq!(parse(&words, given, &[&LIST]).unwrap_err().text, MISSING);
    }

    #[test]
    fn lines_are_quoted_where_needed() {
        assert_eq!(escape(&["a", "b c", "d\"e"]), r#"a "b c" "d\"e""#);
    }
}
