//! The connection itself: who the switch is, roles, what a controller wants to hear and in which
//! form.

use openflow::msg::{
    AsyncMasks, Body, Config, Desc, Features, PacketInFormat, Role, RoleRequest, RoleStatus,
};
use openflow::{OfError, Protocol, Version};

use super::conn::{Conn, MISS_SEND_LEN};
use super::types::{Class, ConnId, ConnKind, Out};
use super::{Agent, Request};

/// Tables that OpenFlow sees: one more is the switch's own.
pub(super) const VISIBLE_TABLES: u8 = 254;

/// Bits of the capabilities, by version.
const COMMON: u32 =
    Features::FLOW_STATS | Features::TABLE_STATS | Features::PORT_STATS | Features::QUEUE_STATS;
const BUNDLES: u32 = 1 << 9;

/// Every action that 1.0 has.
const ACTIONS_10: u32 = 0xfff;

/// The version's own features, without the ports.
fn capabilities(version: Version) -> u32 {
    match version {
        Version::V10 => COMMON | Features::ARP_MATCH_IP,
        Version::V11 => COMMON | Features::ARP_MATCH_IP | Features::GROUP_STATS,
        Version::V12 | Version::V13 => COMMON | Features::GROUP_STATS,
        Version::V14 | Version::V15 => COMMON | Features::GROUP_STATS | BUNDLES,
    }
}

impl Agent {
    pub(super) fn conn(&mut self, r: &Request<'_>) -> Result<&mut Conn, OfError> {
        // It was there when its message came.
        self.conns.get_mut(&r.conn).ok_or(OfError::BrcEperm)
    }

    /// A secondary controller may look, not touch.
    pub(super) fn not_secondary(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        match self.conn(r)?.role {
            Role::Secondary => Err(OfError::BrcIsSecondary),
            Role::NoChange | Role::Equal | Role::Primary => Ok(()),
        }
    }

    pub(super) fn features(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        // As many ports as fit into the one message: 1.3 moved them elsewhere for that reason.
        let per_port = if r.version == Version::V10 { 48 } else { 64 };
        let room = (usize::from(u16::MAX) - 32) / per_port;
        let features = Features {
            datapath_id: self.settings.datapath_id,
            n_buffers: 0,
            n_tables: VISIBLE_TABLES,
            auxiliary_id: 0,
            capabilities: capabilities(r.version),
            actions: ACTIONS_10,
            ports: self.ports.values().take(room).map(|p| p.desc()).collect(),
        };
        self.reply(r, Body::FeaturesReply(features));
        Ok(())
    }

    pub(super) fn get_config(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        let fragments = self.fragments;
        let c = self.conn(r)?;
        let ttl = r.version < Version::V13 && c.masks().invalid_ttl();
        let ttl = if ttl { Config::INVALID_TTL_TO_CONTROLLER } else { 0 };
        let config = Config { flags: fragments | ttl, miss_send_len: c.miss_send_len };
        self.reply(r, Body::GetConfigReply(config));
        Ok(())
    }

    pub(super) fn set_config(&mut self, r: &Request<'_>, config: Config) -> Result<(), OfError> {
        let c = self.conn(r)?;
        let may_change = c.settings.kind != ConnKind::Primary || c.role != Role::Secondary;
        if r.version < Version::V13 {
            let mut masks = c.masks();
            masks.set_invalid_ttl(config.flags & Config::INVALID_TTL_TO_CONTROLLER != 0);
            masks.refine(r.version);
            c.masks = Some(masks);
        }
        c.miss_send_len = config.miss_send_len;
        let fragments = config.flags & Config::FRAG_MASK;
        if may_change && fragments != self.fragments {
            // Nobody here puts fragments together.
            const REASSEMBLE: u16 = 2;
            if fragments == REASSEMBLE {
                let text =
                    format!("{}: unsupported fragment handling mode reassemble", self.bridge);
                self.log(super::LogLevel::Warn, "ofproto", text, Some((1, 5)));
            } else {
                self.fragments = fragments;
                // The bridge is gone when this fails, and so are its packets.
                let _ = r.ops.ofproto().set_frag(&self.bridge, fragments as u8);
            }
        }
        Ok(())
    }

    pub(super) fn desc(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        let s = &self.settings;
        let desc = Desc {
            manufacturer: s.manufacturer.clone(),
            hardware: s.hardware.clone(),
            software: s.software.clone(),
            serial: s.serial.clone(),
            datapath: s.datapath.clone(),
        };
        self.reply(r, Body::DescReply(desc));
        Ok(())
    }

    /// A controller asks for a role (1.5 clause 6.3.7). Only one is primary; the one before
    /// becomes secondary. Requests that come too late are known by their number.
    pub(super) fn role(&mut self, r: &Request<'_>, q: RoleRequest) -> Result<(), OfError> {
        match q.role {
            Role::NoChange => {}
            Role::Equal => self.set_role(r.conn, Role::Equal),
            role @ (Role::Primary | Role::Secondary) => {
                if let Some(new) = q.generation {
                    // Numbers wrap around: half of them lie behind.
                    let stale = |old: u64| (new.wrapping_sub(old) as i64) < 0;
                    if self.generation.is_some_and(stale) {
                        return Err(OfError::RrfcStale);
                    }
                    self.generation = Some(new);
                }
                self.set_role(r.conn, role);
            }
        }
        let role = self.conn(r)?.role;
        let reply = RoleRequest { role, generation: self.generation, nx: q.nx };
        self.reply(r, Body::RoleReply(reply));
        Ok(())
    }

    fn set_role(&mut self, id: ConnId, role: Role) {
        let before = self.conns.get(&id).map(|c| c.role);
        if role == Role::Primary && before != Some(Role::Primary) {
            let primaries: Vec<ConnId> = self
                .conns
                .iter()
                .filter(|(_, c)| c.role == Role::Primary)
                .map(|(id, _)| *id)
                .collect();
            for other in primaries {
                self.demote(other);
            }
        }
        if let Some(c) = self.conns.get_mut(&id)
            && c.role != role
        {
            c.role = role;
            self.out.push_back(Out::Status(id));
        }
    }

    /// Another one became primary. 1.3 and later are told so.
    fn demote(&mut self, id: ConnId) {
        let generation = self.generation.unwrap_or(u64::MAX);
        let Some(c) = self.conns.get_mut(&id) else { return };
        c.role = Role::Secondary;
        let version = c.protocol.version;
        self.out.push_back(Out::Status(id));
        if version >= Version::V13 {
            let status = RoleStatus { role: Role::Secondary, reason: 0, generation };
            self.send(id, Class::Other, 0, Body::RoleStatus(status));
        }
    }

    pub(super) fn get_async(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        let masks = self.conn(r)?.masks().message(r.version);
        self.reply(r, Body::GetAsyncReply(masks));
        Ok(())
    }

    pub(super) fn set_async(&mut self, r: &Request<'_>, a: AsyncMasks) -> Result<(), OfError> {
        // In the older form the message names every kind that it knows.
        let properties = match openflow::codec::peek(r.frame, r.version)?.kind {
            openflow::codec::Kind::NxSetAsync2 => true,
            openflow::codec::Kind::NxSetAsync => false,
            _ => r.version >= Version::V14,
        };
        let c = self.conn(r)?;
        let mut masks = c.masks();
        masks.set(&a, r.version, properties)?;
        c.masks = Some(masks);
        if c.settings.kind == ConnKind::Service && c.miss_send_len == 0 {
            c.miss_send_len = MISS_SEND_LEN;
        }
        Ok(())
    }

    pub(super) fn set_flow_format(&mut self, r: &Request<'_>, nxm: bool) -> Result<(), OfError> {
        self.conn(r)?.protocol.nxm = nxm;
        Ok(())
    }

    pub(super) fn flow_mod_table_id(&mut self, r: &Request<'_>, on: bool) -> Result<(), OfError> {
        let p: &mut Protocol = &mut self.conn(r)?.protocol;
        // Later versions always have it.
        p.table_id = on && p.version == Version::V10;
        Ok(())
    }

    pub(super) fn set_packet_in_format(
        &mut self,
        r: &Request<'_>,
        format: PacketInFormat,
    ) -> Result<(), OfError> {
        self.conn(r)?.format = format;
        Ok(())
    }

    pub(super) fn set_controller_id(&mut self, r: &Request<'_>, id: u16) -> Result<(), OfError> {
        self.conn(r)?.controller_id = id;
        self.update_misses(r.ops);
        Ok(())
    }
}
