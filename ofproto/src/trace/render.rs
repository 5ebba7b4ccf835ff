//! The tree as text.

use super::tree::{NodeKind, TraceTree};

/// Columns for each level.
const INDENT: usize = 4;

/// What is set in further stands there too: a line has an end.
const MAX_LEVEL: usize = 64;

/// All nodes, a line each, with a blank line before each bridge and a rule below its name.
///
/// A chain of single children of bridges and tables does not move to the right: only what has
/// something after it, or cannot have children of its own, is set in.
pub(super) fn nodes(tree: &TraceTree, out: &mut String) {
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
            NodeKind::Bridge => {
                let rule = "-".repeat(text.len());
                *out += &format!("\n{margin}{text}\n{margin}{rule}\n");
            }
            NodeKind::Table | NodeKind::Thaw | NodeKind::Action | NodeKind::Bucket => {
                *out += &format!("{margin}{text}\n");
            }
            NodeKind::Detail => *out += &format!("{margin} -> {text}\n"),
            NodeKind::Warning => *out += &format!("{margin} >> {text}\n"),
            NodeKind::Error => *out += &format!("{margin} >>>> {text} <<<<\n"),
        }
    }
}

fn is_leaf(kind: NodeKind) -> bool {
    match kind {
        NodeKind::Action
        | NodeKind::Detail
        | NodeKind::Warning
        | NodeKind::Error
        | NodeKind::Bucket => true,
        NodeKind::Bridge | NodeKind::Table | NodeKind::Thaw => false,
    }
}

#[cfg(test)]
mod tests {
    use super::super::TraceTree;
    use super::*;

    /// A table and a patch port with more to come after them, then what comes last: that needs no
    /// margin of its own.
    #[test]
    fn tree_is_drawn_with_margins_for_open_branches() {
        let mut t = TraceTree::default();
        t.enter(NodeKind::Bridge, "bridge(\"br0\")");
        t.enter(NodeKind::Table, " 0. in_port=1, priority 32768");
        t.note(NodeKind::Action, "resubmit(,1)");
        t.enter(NodeKind::Table, " 1. No match.");
        t.note(NodeKind::Action, "drop");
        t.leave();
        t.note(NodeKind::Action, "output:2");
        t.enter(NodeKind::Bridge, "bridge(\"br1\")");
        t.enter(NodeKind::Table, " 0. priority 0");
        t.note(NodeKind::Action, "NORMAL");
        t.note(NodeKind::Detail, "no learned MAC for destination, flooding");
        t.leave_to(2);
        t.note(NodeKind::Action, "resubmit(,2)");
        t.enter(NodeKind::Table, " 2. priority 0");
        t.note(NodeKind::Warning, "odd");
        t.note(NodeKind::Error, "dropping");
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
