//! Which controller is primary (1.5 clause 6.3.7).

use openflow::msg::{Body, Role, RoleRequest, RoleStatus};
use openflow::{OfError, Version};

use super::conn_table::ConnTable;
use super::types::{Class, ConnId};

/// The roles of an agent's connections.
#[derive(Default)]
pub(super) struct Roles {
    /// Of the latest controller that became primary: requests with older ones come too late.
    generation: Option<u64>,
}

impl Roles {
    /// A controller asks for a role. Only one is primary; the one before becomes secondary.
    /// Requests that come too late are known by their generation. The answer is to be sent.
    pub(super) fn request(
        &mut self,
        conns: &mut ConnTable,
        id: ConnId,
        q: RoleRequest,
    ) -> Result<RoleRequest, OfError> {
        match q.role {
            Role::NoChange => {}
            Role::Equal => self.set(conns, id, Role::Equal),
            role @ (Role::Primary | Role::Secondary) => {
                if let Some(new) = q.generation {
                    // Numbers wrap around: half of them lie behind.
                    let stale = |old: u64| (new.wrapping_sub(old) as i64) < 0;
                    if self.generation.is_some_and(stale) {
                        return Err(OfError::RrfcStale);
                    }
                    self.generation = Some(new);
                }
                self.set(conns, id, role);
            }
        }
        let role = conns.get(id).ok_or(OfError::BrcEperm)?.role();
        Ok(RoleRequest { role, generation: self.generation, nx: q.nx })
    }

    fn set(&self, conns: &mut ConnTable, id: ConnId, role: Role) {
        let before = conns.get(id).map(|c| c.role());
        if role == Role::Primary && before != Some(Role::Primary) {
            for other in conns.ids(|_, c| c.role() == Role::Primary) {
                self.demote(conns, other);
            }
        }
        if conns.get_mut(id).is_some_and(|c| c.set_role(role)) {
            conns.status_changed(id);
        }
    }

    /// Makes a connection secondary; 1.3 and later get a role_status.
    fn demote(&self, conns: &mut ConnTable, id: ConnId) {
        let generation = self.generation.unwrap_or(u64::MAX);
        let Some(c) = conns.get_mut(id) else { return };
        c.set_role(Role::Secondary);
        let version = c.version();
        conns.status_changed(id);
        if version >= Version::V13 {
            let status = RoleStatus { role: Role::Secondary, reason: 0, generation };
            conns.send(id, Class::Other, 0, Body::RoleStatus(status));
        }
    }
}
