//! What a packet carries through the tables beside its fields: the stack and the action set.

use openflow::{Action, OfPort, action};

/// The stack of `push` and `pop`.
#[derive(Default)]
pub(super) struct RegisterStack {
    /// Values with their widths in bits.
    values: Vec<(u128, u16)>,
    size: usize,
}

/// Octets of a value on the stack, as Open vSwitch counts them.
fn octets(bits: u16) -> usize {
    usize::from(bits.div_ceil(8)) + 1
}

impl RegisterStack {
    /// The stack of a frozen state.
    pub(super) fn of(values: &[(u128, u16)]) -> RegisterStack {
        let size = values.iter().map(|(_, bits)| octets(*bits)).sum();
        RegisterStack { values: values.to_vec(), size }
    }

    /// The values, the bottom one first.
    pub(super) fn values(&self) -> &[(u128, u16)] {
        &self.values
    }

    /// Octets that the stack takes.
    pub(super) fn size(&self) -> usize {
        self.size
    }

    /// Puts a value of `bits` bits on top.
    pub(super) fn push(&mut self, value: u128, bits: u16) {
        self.values.push((value, bits));
        self.size += octets(bits);
    }

    /// Takes the uppermost value.
    pub(super) fn pop(&mut self) -> Option<u128> {
        let (value, bits) = self.values.pop()?;
        self.size -= octets(bits);
        Some(value)
    }
}

/// The action set (OpenFlow 1.5 clause 5.6).
#[derive(Default)]
pub(super) struct ActionSet {
    /// In the order written.
    written: Vec<Action>,
    /// A group was written, so that outputs have no effect.
    has_group: bool,
}

impl ActionSet {
    /// Whether nothing was written.
    pub(super) fn is_empty(&self) -> bool {
        self.written.is_empty()
    }

    /// What was written, in that order.
    pub(super) fn written(&self) -> &[Action] {
        &self.written
    }

    /// The actions in the order in which they are carried out.
    pub(super) fn run_order(&self) -> Vec<Action> {
        action::run_order(&self.written)
    }

    /// Adds actions. Returns the port that `actset_output` has from now on, if it changes.
    pub(super) fn write(&mut self, actions: &[Action]) -> Option<OfPort> {
        let mut output = None;
        if !self.has_group {
            for a in actions {
                match a {
                    Action::Output { port, .. } => output = Some(*port),
                    Action::Group(_) => {
                        output = Some(OfPort::UNSET);
                        self.has_group = true;
                        break;
                    }
                    _ => {}
                }
            }
        }
        self.written.extend_from_slice(actions);
        output
    }

    /// Empties it (`clear_actions`).
    pub(super) fn clear(&mut self) {
        *self = ActionSet::default();
    }

    /// Takes the actions out in the order in which they are carried out. That a group was among
    /// them stays known.
    pub(super) fn take(&mut self) -> Vec<Action> {
        action::run_order(&std::mem::take(&mut self.written))
    }

    /// Takes what was written and leaves nothing, for a copy of the packet to come back to.
    pub(super) fn take_written(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.written)
    }

    /// Puts back what [`ActionSet::take_written`] gave.
    pub(super) fn put_back(&mut self, written: Vec<Action>) {
        self.written = written;
    }
}
