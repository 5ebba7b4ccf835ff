//! The tree as text.

use super::tree::{Kind, Tree};

/// Columns for each level.
const INDENT: usize = 4;

/// What is set in further stands there too: a line has an end.
const MAX_LEVEL: usize = 64;

/// All nodes, a line each, with a blank line before each bridge and a rule below its name.
///
/// A chain of single children of bridges and tables does not move to the right: only what has
/// something after it, or cannot have children of its own, is set in.
pub(super) fn nodes(tree: &Tree, out: &mut String) {
    // Of each depth, the level at which its nodes begin.
    let mut levels = vec![0];
    for (node, followed) in tree.nodes.iter().zip(tree.followed()) {
        let more = usize::from(followed || is_leaf(node.kind));
        levels.truncate(node.depth + 1);
        let level = levels.last().copied().unwrap_or(0);
        levels.push(level + more + more);
        let margin = " ".repeat((level + more).min(MAX_LEVEL) * INDENT);
        let text = &node.text;
        match node.kind {
            Kind::Bridge => {
                let rule = "-".repeat(text.len());
                *out += &format!("\n{margin}{text}\n{margin}{rule}\n");
            }
            Kind::Table | Kind::Thaw | Kind::Action | Kind::Bucket => {
                *out += &format!("{margin}{text}\n");
            }
            Kind::Detail => *out += &format!("{margin} -> {text}\n"),
            Kind::Warning => *out += &format!("{margin} >> {text}\n"),
            Kind::Error => *out += &format!("{margin} >>>> {text} <<<<\n"),
        }
    }
}

fn is_leaf(kind: Kind) -> bool {
    match kind {
        Kind::Action | Kind::Detail | Kind::Warning | Kind::Error | Kind::Bucket => true,
        Kind::Bridge | Kind::Table | Kind::Thaw => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Tree;
    use super::*;

    /// A table and a patch port with more to come after them, then what comes last: that needs no
    /// margin of its own.
    #[test]
    fn shape() {
        let mut t = Tree::default();
        t.enter(Kind::Bridge, "bridge(\"br0\")");
        t.enter(Kind::Table, " 0. in_port=1, priority 32768");
        t.note(Kind::Action, "resubmit(,1)");
        t.enter(Kind::Table, " 1. No match.");
        t.note(Kind::Action, "drop");
        t.leave();
        t.note(Kind::Action, "output:2");
        t.enter(Kind::Bridge, "bridge(\"br1\")");
        t.enter(Kind::Table, " 0. priority 0");
        t.note(Kind::Action, "NORMAL");
        t.note(Kind::Detail, "no learned MAC for destination, flooding");
        t.leave_to(2);
        t.note(Kind::Action, "resubmit(,2)");
        t.enter(Kind::Table, " 2. priority 0");
        t.note(Kind::Warning, "odd");
        t.note(Kind::Error, "dropping");
        let mut out = String::new();
        nodes(&t, &mut out);
        let want = [
            "",
            r#"bridge("br0")"#,
            "-------------",
            " 0. in_port=1, priority 32768",
            "    resubmit(,1)",
            "     1. No match.",
            "            drop",
            "    output:2",
            "",
            r#"    bridge("br1")"#,
            "    -------------",
            "         0. priority 0",
            "            NORMAL",
            "             -> no learned MAC for destination, flooding",
            "    resubmit(,2)",
            " 2. priority 0",
            "     >> odd",
            "     >>>> dropping <<<<",
            "",
        ];
        assert_eq!(out.split('\n').collect::<Vec<_>>(), want);
    }
}
