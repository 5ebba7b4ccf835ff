//! Operators' commands.

use wire::Time;

use super::Bond;
use crate::config::Mode;
use crate::effect::RevalidateReason;
use crate::event::{Command, CommandError};
use crate::link;
use crate::notice::{Level, Topic};
use crate::pending::PendingEffects;
use crate::select;

impl Bond {
    /// Executes a command; the answer is the text that `ovs-appctl` prints.
    pub(super) fn execute(
        &mut self,
        now: Time,
        command: Command,
        pending: &mut PendingEffects,
    ) -> Result<&'static str, CommandError> {
        match command {
            Command::SetActiveMember { member } => {
                let id = self.member_by_name(&member)?;
                if !self.is_enabled(id) {
                    return Err(CommandError::ActivateDisabled);
                }
                if self.active == Some(id) {
                    self.chosen_at = Some(now);
                    return Ok("no change");
                }
                if let Some(preferred) = self.reverted_by(now, id) {
                    let name = |id| self.member(id).map_or("", |m| &m.config.name);
                    let text = format!(
                        "bond {}: active member {member} was asked for, but {} is preferred and \
                         bond-failback-delay is 0",
                        self.config.name,
                        name(preferred),
                    );
                    pending.log(Topic::Active, Level::Info, text);
                    return Ok("done");
                }
                self.activate(id, pending);
                self.chosen_at = Some(now);
                Ok("done")
            }
            Command::EnableMember { member } => {
                let id = self.member_by_name(&member)?;
                self.move_link(now, id, link::Input::Enable, pending);
                Ok("enabled")
            }
            Command::DisableMember { member } => {
                let id = self.member_by_name(&member)?;
                self.move_link(now, id, link::Input::Disable, pending);
                Ok("disabled")
            }
            Command::Migrate { bucket, member } => {
                if self.config.mode != Mode::BalanceSlb || !self.has_buckets() {
                    return Err(CommandError::NotSlb);
                }
                let id = self.member_by_name(&member)?;
                if !self.is_enabled(id) {
                    return Err(CommandError::MigrateToDisabled);
                }
                self.buckets.assign(usize::from(bucket), id);
                pending.revalidate(RevalidateReason::Rebalanced);
                Ok("migrated")
            }
            Command::Failback => {
                if !self.config.mode.has_primary() {
                    return Err(CommandError::NotActiveBackup);
                }
                let members = self.candidates();
                if let Some(to) = self.active.and_then(|a| select::preferred(&members, a)) {
                    self.activate(to, pending);
                    return Ok("done");
                }
                let active = members.iter().find(|m| Some(m.id) == self.active);
                let lowest = members.iter().map(|m| m.priority).min();
                match active {
                    Some(a) if a.primary || Some(a.priority) > lowest => Ok("no change"),
                    Some(_) | None => Err(CommandError::NoPreferredMember),
                }
            }
        }
    }
}
