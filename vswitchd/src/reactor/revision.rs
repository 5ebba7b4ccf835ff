//! Counting changes, so that a reader knows whether it has seen the latest one.

/// The number of changes of something. A reader keeps the revision that it has handled and compares;
/// nothing has to be reset, and several readers do not disturb each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Revision(u64);

impl Revision {
    /// Records a change.
    pub(super) fn bump(&mut self) {
        self.0 += 1;
    }
}
