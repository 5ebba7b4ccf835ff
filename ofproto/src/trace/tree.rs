//! What translation says of itself when asked: a tree of texts.

/// What a node tells of; the rendering differs by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
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

/// One text, and what happened in its course.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    pub kind: Kind,
    pub text: String,
    pub children: Vec<Node>,
}

/// A tree that is being written. New nodes come under the innermost that was entered and not left.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    pub roots: Vec<Node>,
    /// How many levels are entered, each the last node of its level.
    depth: usize,
}

impl Tree {
    /// Adds a node; what follows comes under it until [`Tree::leave`].
    pub fn enter(&mut self, kind: Kind, text: impl Into<String>) {
        self.note(kind, text);
        self.depth += 1;
    }

    /// Ends the innermost level. Without any it does nothing.
    pub fn leave(&mut self) {
        self.depth = self.depth.saturating_sub(1);
    }

    /// Levels that are open, to [`Tree::leave_to`] later.
    pub fn depth(&self) -> usize {
        self.depth
    }

    /// Ends all levels deeper than `depth`.
    pub fn leave_to(&mut self, depth: usize) {
        self.depth = self.depth.min(depth);
    }

    /// Adds a node without anything under it.
    pub fn note(&mut self, kind: Kind, text: impl Into<String>) {
        let mut level = &mut self.roots;
        for _ in 0..self.depth {
            let Some(last) = level.len().checked_sub(1) else { break };
            level = &mut level[last].children;
        }
        level.push(Node { kind, text: text.into(), children: Vec::new() });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nesting() {
        let mut t = Tree::default();
        t.enter(Kind::Bridge, "br0");
        t.enter(Kind::Table, " 0. rule");
        t.note(Kind::Action, "drop");
        t.leave();
        t.note(Kind::Detail, "after");
        t.leave();
        t.leave();
        t.note(Kind::Bridge, "br1");
        assert_eq!(t.roots.len(), 2);
        let br0 = &t.roots[0];
        assert_eq!(br0.children.len(), 2);
        assert_eq!(br0.children[0].children[0].text, "drop");
        assert_eq!(br0.children[1].text, "after");
    }

    #[test]
    fn leaving_many() {
        let mut t = Tree::default();
        t.enter(Kind::Bridge, "a");
        let at = t.depth();
        t.enter(Kind::Table, "b");
        t.enter(Kind::Action, "c");
        t.leave_to(at);
        t.note(Kind::Detail, "d");
        assert_eq!(t.roots[0].children[1].text, "d");
    }
}
