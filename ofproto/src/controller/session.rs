//! The connection itself: features, description, configuration, roles, asynchronous messages and
//! formats.

use openflow::msg::{AsyncMasks, Body, Config, Desc, Features, PacketInFormat, RoleRequest};
use openflow::{OfError, OfPort, Version};

use super::agent::Agent;
use super::request::Request;
use super::types::LogLevel;

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
            ports: self.ports.descs(OfPort::ANY).into_iter().take(room).collect(),
        };
        self.conns.reply(r, Body::FeaturesReply(features));
        Ok(())
    }

    pub(super) fn get_config(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        let fragments = self.fragments;
        let c = self.conns.of(r)?;
        let ttl = r.version < Version::V13 && c.async_config().invalid_ttl();
        let ttl = if ttl { Config::INVALID_TTL_TO_CONTROLLER } else { 0 };
        let config = Config { flags: fragments | ttl, miss_send_len: c.miss_send_len() };
        self.conns.reply(r, Body::GetConfigReply(config));
        Ok(())
    }

    pub(super) fn set_config(&mut self, r: &Request<'_>, config: Config) -> Result<(), OfError> {
        let c = self.conns.of(r)?;
        let may_change = c.may_configure();
        if r.version < Version::V13 {
            let mut masks = c.async_config();
            masks.set_invalid_ttl(config.flags & Config::INVALID_TTL_TO_CONTROLLER != 0);
            masks.refine(r.version);
            c.set_async_config(masks);
        }
        c.set_miss_send_len(config.miss_send_len);
        let fragments = config.flags & Config::FRAG_MASK;
        if may_change && fragments != self.fragments {
            // Nobody here puts fragments together.
            const REASSEMBLE: u16 = 2;
            if fragments == REASSEMBLE {
                let text =
                    format!("{}: unsupported fragment handling mode reassemble", self.bridge);
                self.conns.log(LogLevel::Warn, "ofproto", text, Some((1, 5)));
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
        self.conns.reply(r, Body::DescReply(desc));
        Ok(())
    }

    pub(super) fn role(&mut self, r: &Request<'_>, q: RoleRequest) -> Result<(), OfError> {
        let answer = self.roles.request(&mut self.conns, r.conn, q)?;
        self.conns.reply(r, Body::RoleReply(answer));
        Ok(())
    }

    pub(super) fn get_async(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        let masks = self.conns.of(r)?.async_config().message(r.version);
        self.conns.reply(r, Body::GetAsyncReply(masks));
        Ok(())
    }

    pub(super) fn set_async(&mut self, r: &Request<'_>, a: AsyncMasks) -> Result<(), OfError> {
        // In the older form the message names every kind that it knows.
        let properties = match openflow::codec::peek(r.frame, r.version)?.kind {
            openflow::codec::Kind::NxSetAsync2 => true,
            openflow::codec::Kind::NxSetAsync => false,
            _ => r.version >= Version::V14,
        };
        let c = self.conns.of(r)?;
        let mut masks = c.async_config();
        masks.set(&a, r.version, properties)?;
        c.set_async_config(masks);
        c.set_default_miss_len();
        Ok(())
    }

    pub(super) fn set_flow_format(&mut self, r: &Request<'_>, nxm: bool) -> Result<(), OfError> {
        self.conns.of(r)?.set_nxm(nxm);
        Ok(())
    }

    pub(super) fn flow_mod_table_id(&mut self, r: &Request<'_>, on: bool) -> Result<(), OfError> {
        self.conns.of(r)?.set_table_id(on);
        Ok(())
    }

    pub(super) fn set_packet_in_format(
        &mut self,
        r: &Request<'_>,
        format: PacketInFormat,
    ) -> Result<(), OfError> {
        self.conns.of(r)?.set_packet_in_format(format);
        Ok(())
    }

    pub(super) fn set_controller_id(&mut self, r: &Request<'_>, id: u16) -> Result<(), OfError> {
        self.conns.of(r)?.set_controller_id(id);
        self.update_misses(r.ops);
        Ok(())
    }
}
