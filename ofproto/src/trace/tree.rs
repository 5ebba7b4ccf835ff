//! What translation says of itself when asked: a tree of texts.

/// The kind of a node; the rendering differs by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeKind {
    /// A bridge that the packet enters: `bridge("br0")`.
    Bridge,
    /// A table in which a rule was found, or why none was.
    Table,
    /// What a recirculated packet brings along.
    Thaw,
    /// An action that is carried out.
    Action,
    /// What came of it.
    Detail,
    /// Something odd.
    Warning,
    /// Something wrong; the packet may be dropped for it.
    Error,
    /// A bucket of a group.
    Bucket,
}

/// One text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceNode {
    /// How many nodes it is inside of.
    pub depth: usize,
    /// Its kind.
    pub kind: NodeKind,
    /// Its text.
    pub text: String,
}

/// A tree that is being written. New nodes come under the innermost that was entered and not left.
///
/// Kept as a list, a node before what is in it: rules may nest thousands deep, and nothing here
/// may need stack for that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TraceTree {
    /// The nodes, each before those within it.
    pub nodes: Vec<TraceNode>,
    /// How many levels are entered, each the last node of its level.
    depth: usize,
}

impl TraceTree {
    /// Adds a node; what follows comes under it until [`TraceTree::leave`].
    pub fn enter(&mut self, kind: NodeKind, text: impl Into<String>) {
        self.note(kind, text);
        self.depth += 1;
    }

    /// Ends the innermost level. Without any it does nothing.
    pub fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Levels that are open, to [`TraceTree::leave_to`] later.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Ends all levels deeper than `depth`.
    pub fn leave_to(&mut self, depth: usize) {
        self.depth = self.depth.min(depth);
    }

    /// Adds a node without anything under it.
    pub fn note(&mut self, kind: NodeKind, text: impl Into<String>) {
        self.nodes.push(TraceNode { depth: self.depth, kind, text: text.into() });
    }

    /// For each node whether another one follows inside the same node.
    pub fn followed(&self) -> Vec<bool> {
        let mut seen = Vec::new();
        let mut followed = vec![false; self.nodes.len()];
        for (node, followed) in self.nodes.iter().zip(&mut followed).rev() {
            seen.resize(node.depth + 1, false);
            *followed = std::mem::replace(&mut seen[node.depth], true);
        }
        followed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_the_depth_at_which_they_were_noted() {
        let mut t = TraceTree::default();
        t.enter(NodeKind::Bridge, "br0");
        t.enter(NodeKind::Table, " 0. rule");
        t.note(NodeKind::Action, "drop");
        t.leave();
        t.note(NodeKind::Detail, "after");
        t.leave();
        t.leave();
        t.note(NodeKind::Bridge, "br1");
        let depths: Vec<usize> = t.nodes.iter().map(|n| n.depth).collect();
        assert_eq!(depths, [0, 1, 2, 1, 0]);
        assert_eq!(t.followed(), [true, true, false, false, false]);
    }

    #[test]
    fn leave_to_returns_to_an_outer_depth() {
        let mut t = TraceTree::default();
        t.enter(NodeKind::Bridge, "a");
        let at = t.depth();
        t.enter(NodeKind::Table, "b");
        t.enter(NodeKind::Action, "c");
        t.leave_to(at);
        t.note(NodeKind::Detail, "d");
        assert_eq!((t.nodes[3].depth, t.nodes[3].text.as_str()), (1, "d"));
        assert_eq!(t.followed(), [false, true, false, false]);
    }
}
