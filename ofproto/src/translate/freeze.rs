//! A translation that is about to stop, and what it keeps for later.

use openflow::action::{Controller, SetForm};
use openflow::{Action, Field, OfPort};

use crate::recirc::FrozenStep;

/// See the module.
#[derive(Debug)]
pub(super) struct PendingFreeze {
    pause: Option<Controller>,
    steps: Vec<FrozenStep>,
    from: Option<(u8, u64)>,
}

impl PendingFreeze {
    /// Stops; with `pause` until a controller hands the packet back.
    pub(super) fn new(pause: Option<Controller>) -> PendingFreeze {
        PendingFreeze { pause, steps: Vec::new(), from: None }
    }

    /// Whether no action was kept yet.
    pub(super) fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// Keeps actions of a rule in `table` with this cookie.
    pub(super) fn keep(&mut self, actions: &[Action], table: u8, cookie: u64) {
        for a in actions {
            let needs_place = match a {
                Action::OutputReg { .. }
                | Action::OutputTrunc { .. }
                | Action::Group(_)
                | Action::Output { .. }
                | Action::Controller(_)
                | Action::DecMplsTtl
                | Action::DecTtl(_) => true,
                Action::Resubmit { table, .. } => *table == 255,
                _ => false,
            };
            if needs_place && self.from != Some((table, cookie)) {
                self.from = Some((table, cookie));
                self.steps.push(FrozenStep::From { table, cookie });
            }
            let kept = match a {
                Action::Note(_) | Action::Conjunction { .. } => continue,
                // Instructions become actions that do the same.
                Action::GotoTable(table) => Action::Resubmit {
                    in_port: OfPort::IN_PORT,
                    table: *table,
                    ct: false,
                    short: false,
                },
                Action::WriteMetadata { value, mask } => Action::SetField {
                    field: Field::Metadata,
                    value: (*value).into(),
                    mask: (*mask).into(),
                    form: SetForm::SetField,
                },
                other => other.clone(),
            };
            self.steps.push(FrozenStep::Do(kept));
        }
    }

    /// The controller that is to hand the packet back, and the actions that are left.
    pub(super) fn into_parts(self) -> (Option<Controller>, Vec<FrozenStep>) {
        (self.pause, self.steps)
    }
}
