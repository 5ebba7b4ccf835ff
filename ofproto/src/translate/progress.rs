//! Whether a translation goes on, and why it does not.

use openflow::Action;
use openflow::action::Controller;

use super::freeze::PendingFreeze;
use super::xlate::Failure;

/// See the module.
#[derive(Default)]
pub(super) struct Progress {
    /// The rest of the actions is not carried out.
    exit: bool,
    freeze: Option<PendingFreeze>,
    failure: Option<Failure>,
    /// The packet ran in circles over patch ports.
    looped: bool,
    /// Copies and bridges that the packet is inside of.
    nested: u32,
    in_action_set: bool,
}

impl Progress {
    /// Whether the rest of the actions is not carried out.
    pub(super) fn exits(&self) -> bool {
        self.exit
    }

    /// Ends the actions.
    pub(super) fn exit(&mut self) {
        self.exit = true;
    }

    /// Why the translation failed, if it did.
    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure
    }

    /// The translation fails.
    pub(super) fn fail(&mut self, why: Failure) {
        self.failure = Some(why);
    }

    /// Whether the packet ran in circles.
    pub(super) fn looped(&self) -> bool {
        self.looped
    }

    /// What ended in another bridge goes on in this one. A packet that runs in circles does not:
    /// it would come out of every port a thousand times.
    pub(super) fn back_from_bridge(&mut self) {
        self.exit = false;
        match self.failure {
            Some(Failure::TooDeep | Failure::TooManyResubmits) => self.looped = true,
            Some(Failure::BridgeNotFound | Failure::StackTooDeep | Failure::NoRecirculation)
            | None => self.failure = None,
        }
    }

    /// Whether the packet is inside of a copy or of another bridge.
    pub(super) fn is_nested(&self) -> bool {
        self.nested != 0
    }

    /// Begins a copy or enters another bridge, until [`Progress::end_nested`].
    pub(super) fn begin_nested(&mut self) {
        self.nested += 1;
    }

    /// Ends the innermost one.
    pub(super) fn end_nested(&mut self) {
        self.nested -= 1;
    }

    /// Whether the actions are those of the action set.
    pub(super) fn in_action_set(&self) -> bool {
        self.in_action_set
    }

    /// Says whether the actions from now on are those of the action set.
    pub(super) fn set_in_action_set(&mut self, on: bool) {
        self.in_action_set = on;
    }

    /// Stops here, to go on with another look at the packet; with `pause` once a controller hands
    /// it back.
    pub(super) fn start_freezing(&mut self, pause: Option<Controller>) {
        self.exit = true;
        self.freeze = Some(PendingFreeze::new(pause));
    }

    /// Whether the translation stops to go on later.
    pub(super) fn is_freezing(&self) -> bool {
        self.freeze.is_some()
    }

    /// Whether it does, and no action has been kept yet.
    pub(super) fn freezes_first(&self) -> bool {
        self.freeze.as_ref().is_some_and(PendingFreeze::is_empty)
    }

    /// Keeps actions of a rule in `table` with this cookie for later, if there is a later.
    pub(super) fn freeze_rest(&mut self, actions: &[Action], table: u8, cookie: u64) {
        if let Some(freeze) = &mut self.freeze {
            freeze.keep(actions, table, cookie);
        }
    }

    /// Takes what was kept.
    pub(super) fn take_freeze(&mut self) -> Option<PendingFreeze> {
        self.freeze.take()
    }
}
