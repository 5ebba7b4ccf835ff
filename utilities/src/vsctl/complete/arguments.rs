//! Which kinds of argument may come next, by a command's notation.

/// What an argument names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Table,
    Record,
    Bridge,
    Port,
    Interface,
    /// A port that is to be made, of a device of the host.
    NewPort,
    FailMode,
    /// `COLUMN` or `COLUMN[:KEY]`.
    ColumnName,
    /// `COLUMN[:KEY]=VALUE`.
    Setting,
    /// An element of the column before it: `VALUE` or `KEY=VALUE`.
    Value,
    /// Something else, such as a new name.
    Other,
}

/// One place of a notation, such as `[COLUMN[:KEY]=VALUE]...`.
struct Slot<'s> {
    word: &'s str,
    optional: bool,
    repeated: bool,
}

impl<'s> Slot<'s> {
    fn parse(text: &'s str) -> Slot<'s> {
        let (word, repeated) = match text.strip_suffix("...") {
            Some(word) => (word, true),
            None => (text, false),
        };
        let inner = word.strip_prefix('[').and_then(|inner| inner.strip_suffix(']'));
        // `[KEY=]VALUE` and `COLUMN[:KEY]` have brackets inside.
        match inner.filter(|inner| inner.matches('[').count() == inner.matches(']').count()) {
            Some(inner) if !inner.starts_with(']') => {
                Slot { word: inner, optional: true, repeated }
            }
            _ => Slot { word, optional: false, repeated },
        }
    }

    fn kinds(&self) -> Vec<Kind> {
        match self.word {
            "TABLE" => vec![Kind::Table],
            "RECORD" => vec![Kind::Record],
            "BRIDGE" | "PARENT" => vec![Kind::Bridge],
            "PORT" | "BOND" => vec![Kind::Port],
            "IFACE" => vec![Kind::Interface],
            "PORT|IFACE" => vec![Kind::Port, Kind::Interface],
            "NEW-PORT" => vec![Kind::NewPort],
            "MODE" => vec![Kind::FailMode],
            "COLUMN" | "COLUMN[:KEY]" => vec![Kind::ColumnName],
            "COLUMN[:KEY]=VALUE" => vec![Kind::Setting],
            "[KEY=]VALUE" | "KEY|VALUE|KEY=VALUE" => vec![Kind::Value],
            _ => vec![Kind::Other],
        }
    }

    /// Whether a word may stand here: settings have `=`, names do not.
    fn takes(&self, word: &str) -> bool {
        match self.word {
            "COLUMN[:KEY]=VALUE" => word.contains(['=', '<', '>', '{']),
            "IFACE" => !word.contains('='),
            _ => true,
        }
    }
}

/// The kinds of argument that may follow `before` in a notation such as `TABLE [RECORD]...`, sorted.
pub(super) fn next(notation: &str, before: &[String]) -> Vec<Kind> {
    let slots: Vec<Slot<'_>> = notation.split_whitespace().map(Slot::parse).collect();
    // Places that the next word may take.
    let mut places = reachable(&slots, 0);
    for word in before {
        let taken = places.iter().filter(|at| slots[**at].takes(word));
        let mut after: Vec<usize> = taken
            .flat_map(|at| {
                let again = slots[*at].repeated.then_some(*at);
                again.into_iter().chain(reachable(&slots, at + 1))
            })
            .collect();
        after.sort_unstable();
        after.dedup();
        places = after;
    }
    let mut kinds: Vec<Kind> = places.into_iter().flat_map(|at| slots[at].kinds()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// The place at `from`, and those after it if it may be left out.
fn reachable(slots: &[Slot<'_>], from: usize) -> Vec<usize> {
    let mut all = Vec::new();
    for (at, slot) in slots.iter().enumerate().skip(from) {
        all.push(at);
        if !slot.optional {
            break;
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vsctl::cmd::COMMANDS;

    fn after(command: &str, line: &str) -> Vec<Kind> {
        let entry = COMMANDS.iter().find(|entry| entry.syntax.name == command).unwrap();
        let before: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        next(entry.syntax.arguments, &before)
    }

    #[test]
    fn the_kind_of_the_next_argument_follows_from_the_notation() {
        for (command, line, kinds) in [
            ("set", "", vec![Kind::Table]),
            ("set", "port", vec![Kind::Record]),
            ("set", "port p", vec![Kind::Setting]),
            ("set", "port p tag=1", vec![Kind::Setting]),
            ("get", "port p", vec![Kind::ColumnName]),
            ("add", "port p trunks", vec![Kind::Value]),
            ("add", "port p other_config a=b", vec![Kind::Value]),
            ("del-port", "", vec![Kind::Bridge, Kind::Port, Kind::Interface]),
            ("del-port", "br0", vec![Kind::Port, Kind::Interface]),
            ("add-bond", "br0 bond0", vec![Kind::Interface]),
            ("add-bond", "br0 bond0 e0", vec![Kind::Interface, Kind::Setting]),
            ("add-bond", "br0 bond0 e0 e1 lacp=active", vec![Kind::Setting]),
            ("add-port", "br0", vec![Kind::NewPort]),
            ("add-port", "br0 p0", vec![Kind::Setting]),
            ("list-br", "", vec![]),
            ("br-exists", "br0", vec![]),
        ] {
            assert_eq!(after(command, line), kinds, "{command} {line}");
        }
    }
}
