//! The tree as text.

use super::tree::{Kind, Node};

/// Columns for each level.
const INDENT: usize = 4;

/// All nodes, a line each, with a blank line before each bridge and a rule below its name.
///
/// A chain of single children of bridges and tables does not move to the right: only what has
/// something after it, or cannot have children of its own, is set in.
pub(super) fn nodes(nodes: &[Node], level: usize, out: &mut String) {
    for (i, node) in nodes.iter().enumerate() {
        let more = usize::from(i + 1 < nodes.len() || is_leaf(node.kind));
        let margin = " ".repeat((level + more) * INDENT);
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
        self::nodes(&node.children, level + more + more, out);
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
        nodes(&t.roots, 0, &mut out);
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
