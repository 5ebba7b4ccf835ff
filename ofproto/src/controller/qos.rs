//! Queues, groups and meters. A device may have queues, of which nothing is known but that they
//! are there; groups and meters there are none.

use openflow::codec::Kind;
use openflow::msg::{ALL, Body, GroupFeatures, METER_ALL, MeterFeatures, QueueRequest, QueueStats};
use openflow::{OfError, OfPort};

use super::agent::Agent;
use super::request::Request;

impl Agent {
    /// The queues that a request means. Of a port that is not there, or when nothing is found
    /// that was asked for by number, an error.
    fn queues(&self, r: &Request<'_>, q: QueueRequest) -> Result<Vec<(OfPort, u32)>, OfError> {
        let ports = match q.port {
            OfPort::ANY => self.ports.numbers(),
            port if self.ports.has(port) => vec![port],
            _ => return Err(OfError::QofcBadPort),
        };
        let of = |port: OfPort| r.ops.queues(port).into_iter().map(move |queue| (port, queue));
        let mut found = ports.iter().flat_map(|p| of(*p)).collect::<Vec<_>>();
        found.retain(|(_, queue)| q.queue == ALL || q.queue == *queue);
        if ports.is_empty() || (q.queue != ALL && found.is_empty()) {
            return Err(OfError::QofcBadQueue);
        }
        Ok(found)
    }

    fn empty(&mut self, r: &Request<'_>, kind: Kind) -> Result<(), OfError> {
        self.conns.reply(r, Body::Raw { kind, body: Vec::new() });
        Ok(())
    }

    pub(super) fn queue_stats(&mut self, r: &Request<'_>, q: QueueRequest) -> Result<(), OfError> {
        let found = self.queues(r, q)?;
        let stats = found.into_iter().map(|(port, queue)| QueueStats::unknown(port, queue));
        self.conns.reply(r, Body::QueueStatsReply(stats.collect()));
        Ok(())
    }

    pub(super) fn queue_config(&mut self, r: &Request<'_>, q: QueueRequest) -> Result<(), OfError> {
        let queues = self.queues(r, q)?;
        self.conns.reply(r, Body::QueueConfigReply { port: q.port, queues });
        Ok(())
    }

    pub(super) fn group_stats(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        self.empty(r, Kind::GroupStatsReply)
    }

    pub(super) fn group_desc(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        self.empty(r, Kind::GroupDescReply)
    }

    pub(super) fn group_features(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        self.conns.reply(r, Body::GroupFeaturesReply(GroupFeatures::default()));
        Ok(())
    }

    pub(super) fn meter_stats(&mut self, r: &Request<'_>, id: u32) -> Result<(), OfError> {
        if id != METER_ALL {
            return Err(OfError::MmfcUnknownMeter);
        }
        self.empty(r, Kind::MeterStatsReply)
    }

    pub(super) fn meter_config(&mut self, r: &Request<'_>, id: u32) -> Result<(), OfError> {
        if id != METER_ALL {
            return Err(OfError::MmfcUnknownMeter);
        }
        self.empty(r, Kind::MeterConfigReply)
    }

    pub(super) fn meter_features(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        self.conns.reply(r, Body::MeterFeaturesReply(MeterFeatures::default()));
        Ok(())
    }

    /// What exists and is not built here.
    pub(super) fn other(
        &mut self,
        r: &Request<'_>,
        kind: Kind,
        body: &[u8],
    ) -> Result<(), OfError> {
        match kind {
            Kind::GroupMod => {
                self.conns.not_secondary(r)?;
                group_mod(body)
            }
            Kind::MeterMod => {
                self.conns.not_secondary(r)?;
                meter_mod(body)
            }
            Kind::TlvTableMod => {
                self.conns.not_secondary(r)?;
                tlv_table_mod(body)
            }
            Kind::TlvTableRequest => {
                // No room for options, no fields for them, none mapped.
                let body = vec![0; 16];
                self.conns.reply(r, Body::Raw { kind: Kind::TlvTableReply, body });
                Ok(())
            }
            Kind::Resume => Err(OfError::NxRNotSupported),
            Kind::IpfixBridgeRequest | Kind::IpfixFlowRequest => Err(OfError::NxStNotConfigured),
            // There are no connections to forget.
            Kind::CtFlushZone | Kind::CtFlush => {
                self.conns.not_secondary(r)?;
                Ok(())
            }
            _ => Err(OfError::BrcBadType),
        }
    }
}

/// A group's command: the first 16 bits. There is no room for one, and nothing to delete.
pub(super) fn group_mod(body: &[u8]) -> Result<(), OfError> {
    const DELETE: u16 = 2;
    const ADD: u16 = 0;
    const ADD_OR_MODIFY: u16 = 0x8000;
    match body.first_chunk::<2>().map(|b| u16::from_be_bytes(*b)) {
        Some(DELETE) => Ok(()),
        Some(ADD | ADD_OR_MODIFY) => Err(OfError::GmfcOutOfGroups),
        Some(_) => Err(OfError::GmfcUnknownGroup),
        None => Err(OfError::BrcBadLen),
    }
}

/// A meter's command.
fn meter_mod(body: &[u8]) -> Result<(), OfError> {
    const DELETE: u16 = 2;
    match body.first_chunk::<2>().map(|b| u16::from_be_bytes(*b)) {
        Some(DELETE) => Ok(()),
        Some(0 | 1) => Err(OfError::MmfcInvalidMeter),
        Some(_) => Err(OfError::MmfcBadCommand),
        None => Err(OfError::BrcBadLen),
    }
}

/// The command of an `NXT_TLV_TABLE_MOD` and its mappings. The table of tunnel options has no room,
/// so that only what maps nothing succeeds: an empty addition (`ovs-save` writes one for each
/// bridge), any deletion (an index that is not mapped is ignored) and clearing.
fn tlv_table_mod(body: &[u8]) -> Result<(), OfError> {
    const ADD: u16 = 0;
    const DELETE: u16 = 1;
    const CLEAR: u16 = 2;
    /// The command and its padding, and each mapping.
    const LEN: usize = 8;
    /// Octets of an option, at most.
    const MAX_OPTION: u8 = 124;
    /// The fields `tun_metadata0` to `tun_metadata63`.
    const FIELDS: u16 = 64;
    let command = body.first_chunk::<2>().map(|b| u16::from_be_bytes(*b));
    let command = command.ok_or(OfError::BrcBadLen)?;
    if command > CLEAR {
        return Err(OfError::NxTtmfcBadCommand);
    }
    let mappings = body.get(LEN..).ok_or(OfError::BrcBadLen)?;
    for mapping in mappings.chunks_exact(LEN) {
        let (len, index) = (mapping[3], u16::from_be_bytes([mapping[4], mapping[5]]));
        if len % 4 != 0 || len > MAX_OPTION {
            return Err(OfError::NxTtmfcBadOptLen);
        }
        if index >= FIELDS {
            return Err(OfError::NxTtmfcBadFieldIdx);
        }
    }
    match command {
        ADD if !mappings.is_empty() => Err(OfError::NxTtmfcTableFull),
        ADD | DELETE | CLEAR => Ok(()),
        _ => Err(OfError::NxTtmfcBadCommand),
    }
}
