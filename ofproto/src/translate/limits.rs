//! How much one packet may cause.

use super::xlate::Failure;

/// Resubmissions to tables not after the current one, and bridges, that may be nested.
const MAX_DEPTH: u32 = 64;
/// Tables that a packet may be looked up in altogether, over all its copies.
const MAX_RESUBMITS: u32 = 4096;
/// Octets of the stack of `push`, and of actions as netlink attributes, at which a translation
/// ends.
pub(super) const MAX_SIZE: usize = 65_536;

/// Which limit was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exceeded {
    Depth,
    Resubmits,
    Actions,
    Stack,
}

impl Exceeded {
    /// Open vSwitch's text.
    pub(super) fn text(self) -> String {
        match self {
            Exceeded::Depth => format!("over max translation depth {MAX_DEPTH}"),
            Exceeded::Resubmits => format!("over {MAX_RESUBMITS} resubmit actions"),
            Exceeded::Actions => "resubmits yielded over 64 kB of actions".to_owned(),
            Exceeded::Stack => "resubmits yielded over 64 kB of stack".to_owned(),
        }
    }

    /// What the translation fails with; nothing when it only ends early and the actions so far
    /// count.
    pub(super) fn failure(self) -> Option<Failure> {
        match self {
            Exceeded::Depth => Some(Failure::TooDeep),
            Exceeded::Resubmits => Some(Failure::TooManyResubmits),
            Exceeded::Actions => None,
            Exceeded::Stack => Some(Failure::StackTooDeep),
        }
    }
}

/// The counters that are held against the limits.
#[derive(Default)]
pub(super) struct Limits {
    depth: u32,
    resubmits: u32,
}

impl Limits {
    /// Fails if a limit forbids to enter another table. `actions` and `stack` are their present sizes
    /// in octets.
    pub(super) fn check(&self, actions: usize, stack: usize) -> Result<(), Exceeded> {
        if self.depth >= MAX_DEPTH {
            Err(Exceeded::Depth)
        } else if self.resubmits >= MAX_RESUBMITS {
            Err(Exceeded::Resubmits)
        } else if actions >= MAX_SIZE {
            Err(Exceeded::Actions)
        } else if stack >= MAX_SIZE {
            Err(Exceeded::Stack)
        } else {
            Ok(())
        }
    }

    /// A table is entered. `deeper`: it does not come after the one that sends the packet there.
    /// [`Limits::leave`] takes the answer.
    pub(super) fn enter(&mut self, deeper: bool) -> u32 {
        self.resubmits += 1;
        self.depth += u32::from(deeper);
        u32::from(deeper)
    }

    /// A table is left.
    pub(super) fn leave(&mut self, entered: u32) {
        self.depth -= entered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_is_reached_at_its_value() {
        let mut l = Limits::default();
        assert_eq!(l.check(MAX_SIZE - 1, MAX_SIZE - 1), Ok(()));
        assert_eq!(l.check(MAX_SIZE, MAX_SIZE), Err(Exceeded::Actions));
        assert_eq!(l.check(0, MAX_SIZE), Err(Exceeded::Stack));
        let levels: Vec<u32> = (0..MAX_DEPTH).map(|_| l.enter(true)).collect();
        assert_eq!(l.check(0, 0), Err(Exceeded::Depth));
        levels.into_iter().for_each(|n| l.leave(n));
        assert_eq!(l.check(0, 0), Ok(()));
        for _ in MAX_DEPTH..MAX_RESUBMITS {
            let n = l.enter(false);
            l.leave(n);
        }
        assert_eq!(l.check(0, 0), Err(Exceeded::Resubmits));
    }
}
