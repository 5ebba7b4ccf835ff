//! Files of sections and keys, as NetworkManager and systemd write them.

use ini::{Ini, ParseOption, Properties};

/// A file of sections; sections and keys may repeat.
pub(super) struct File(Ini);

impl File {
    /// # Errors
    ///
    /// The line that is neither a section nor a key with a value.
    pub(super) fn parse(text: &str) -> Result<File, String> {
        let mut joined = String::new();
        for line in text.lines() {
            match line.strip_suffix('\\') {
                Some(start) => {
                    joined.push_str(start);
                    joined.push(' ');
                }
                None => {
                    joined.push_str(line);
                    joined.push('\n');
                }
            }
        }
        let options =
            ParseOption { enabled_quote: false, enabled_escape: false, ..ParseOption::default() };
        Ini::load_from_str_opt(&joined, options).map(File).map_err(|e| e.to_string())
    }

    /// All sections of this name.
    pub(super) fn sections<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Properties> {
        self.0.section_all(Some(name))
    }

    /// All values of a key in the sections of this name, in order.
    pub(super) fn all<'a>(&'a self, section: &'a str, key: &'a str) -> Vec<&'a str> {
        self.sections(section).flat_map(|s| s.get_all(key)).collect()
    }

    /// The last value of a key.
    pub(super) fn get<'a>(&'a self, section: &'a str, key: &'a str) -> Option<&'a str> {
        self.all(section, key).last().copied()
    }
}
