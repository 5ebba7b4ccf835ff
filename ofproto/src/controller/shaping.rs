//! Queues, groups and meters. The switch has none: it says how many there can be, and of each
//! that is asked for that it is not there.

use openflow::codec::Kind;
use openflow::msg::{ALL, Body, GroupFeatures, METER_ALL, MeterFeatures, QueueRequest};
use openflow::{OfError, OfPort, Version};

use super::{Agent, Request};

impl Agent {
    /// A queue's port must be there, and then there is no queue, unless all are asked for.
    fn check_queue(&self, q: QueueRequest) -> Result<(), OfError> {
        if q.port != OfPort::ANY && !self.has_port(q.port) {
            return Err(OfError::QofcBadPort);
        }
        let no_ports = q.port == OfPort::ANY && self.port_numbers().is_empty();
        if q.queue != ALL || no_ports { Err(OfError::QofcBadQueue) } else { Ok(()) }
    }

    fn empty(&mut self, r: &Request<'_>, kind: Kind) -> Result<(), OfError> {
        self.reply(r, Body::Raw { kind, body: Vec::new() });
        Ok(())
    }

    pub(super) fn queue_stats(&mut self, r: &Request<'_>, q: QueueRequest) -> Result<(), OfError> {
        self.check_queue(q)?;
        self.empty(r, Kind::QueueStatsReply)
    }

    pub(super) fn queue_config(&mut self, r: &Request<'_>, q: QueueRequest) -> Result<(), OfError> {
        self.check_queue(q)?;
        let body = match r.version {
            // The port, and padding.
            Version::V10 => [&q.port.0.to_be_bytes()[..], &[0; 6]].concat(),
            Version::V11 | Version::V12 | Version::V13 => {
                [q.port.to_wire32().to_be_bytes(), [0; 4]].concat()
            }
            Version::V14 | Version::V15 => return self.empty(r, Kind::QueueDescReply),
        };
        self.reply(r, Body::Raw { kind: Kind::QueueGetConfigReply, body });
        Ok(())
    }

    pub(super) fn group_stats(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        self.empty(r, Kind::GroupStatsReply)
    }

    pub(super) fn group_desc(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        self.empty(r, Kind::GroupDescReply)
    }

    pub(super) fn group_features(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        self.reply(r, Body::GroupFeaturesReply(GroupFeatures::default()));
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
        self.reply(r, Body::MeterFeaturesReply(MeterFeatures::default()));
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
                self.not_secondary(r)?;
                group_mod(body)
            }
            Kind::MeterMod => {
                self.not_secondary(r)?;
                meter_mod(body)
            }
            Kind::TlvTableMod => {
                self.not_secondary(r)?;
                Err(OfError::NxTtmfcTableFull)
            }
            Kind::TlvTableRequest => {
                // No room for options, no fields for them, none mapped.
                let body = vec![0; 16];
                self.reply(r, Body::Raw { kind: Kind::TlvTableReply, body });
                Ok(())
            }
            Kind::Resume => Err(OfError::NxRNotSupported),
            Kind::IpfixBridgeRequest | Kind::IpfixFlowRequest => Err(OfError::NxStNotConfigured),
            // There are no connections to forget.
            Kind::CtFlushZone | Kind::CtFlush => {
                self.not_secondary(r)?;
                Ok(())
            }
            _ => Err(OfError::BrcBadType),
        }
    }
}

/// A group's command: the first 16 bits. There is no room for one, and nothing to delete.
fn group_mod(body: &[u8]) -> Result<(), OfError> {
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
