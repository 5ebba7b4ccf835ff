//! `options bonding …` of modprobe.d(5): the defaults of bonds that say nothing themselves.

use crate::options;
use crate::profile::{Kind, Profile};

/// The name of the profile that holds options for every bond.
pub(crate) const EVERY: &str = "*";

pub(super) fn read(text: &str) -> Vec<Profile> {
    let mut profiles = Vec::new();
    for line in text.replace("\\\n", " ").lines().map(str::trim) {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("options"), Some(target)) => {
                let alias = profiles.iter().any(|p: &Profile| p.name == target);
                let name = match target {
                    "bonding" => EVERY,
                    // `alias bond0 bonding` makes the name one of the module's.
                    _ if alias => target,
                    _ => continue,
                };
                let mut p = Profile { name: name.into(), kind: Kind::Bond, ..Profile::default() };
                for word in words {
                    match word.split_once('=') {
                        Some(("max_bonds", _)) => {}
                        Some((option, value)) => options::add(&mut p, option, value),
                        None => p.remarks.push(format!("{word} is not of the form option=value.")),
                    }
                }
                profiles.push(p);
            }
            (Some("alias"), Some(name)) if words.next() == Some("bonding") => {
                profiles.push(Profile {
                    name: name.to_owned(),
                    kind: Kind::Bond,
                    ..Profile::default()
                });
            }
            _ => {}
        }
    }
    profiles
}
