//! Requests that come in several messages (1.3 clause 7.3.5).

use std::collections::BTreeMap;
use std::time::Duration;

use openflow::codec::{self, Header, Kind};
use openflow::{OfError, Version};
use wire::Time;

/// How long a request may wait for its next part.
const PATIENCE: Duration = Duration::from_secs(1);

/// Octets of all parts of a request. One about the features of 254 tables has about a million.
const MAX_OCTETS: usize = 4 << 20;

/// Requests that may be incomplete at a time: more of them are not the work of a controller.
const MAX_PARTIAL: usize = 64;

struct Partial {
    kind: Kind,
    until: Time,
    octets: usize,
    has_body: bool,
    frames: Vec<Vec<u8>>,
}

/// The incomplete requests of a connection, by their number.
#[derive(Default)]
pub(super) struct Assembler {
    partial: BTreeMap<u32, Partial>,
}

impl Assembler {
    /// Adds a message; the answer is the whole request when this was its last part, which for
    /// most messages is at once.
    pub(super) fn add(
        &mut self,
        now: Time,
        frame: &[u8],
        version: Version,
    ) -> Result<Option<Vec<Vec<u8>>>, OfError> {
        let Some(header) = Header::peek(frame) else { return Err(OfError::BrcBadLen) };
        if !codec::is_multipart_request(header.typ, version) {
            return Ok(Some(vec![frame.to_vec()]));
        }
        let part = codec::peek(frame, version)?;
        let has_body = part.body > 0;
        if has_body && !part.fits {
            return Err(OfError::BrcBadLen);
        }
        let more = version >= Version::V13 && part.more;
        if !self.partial.contains_key(&header.xid) {
            if !more {
                // The common case; a body that must be there and is not is found later.
                return Ok(Some(vec![frame.to_vec()]));
            }
            if self.partial.len() == MAX_PARTIAL {
                return Err(OfError::BrcMultipartBufferOverflow);
            }
        }
        let p = self.partial.entry(header.xid).or_insert_with(|| Partial {
            kind: part.kind,
            until: now,
            octets: 0,
            has_body: false,
            frames: Vec::new(),
        });
        p.until = now + PATIENCE;
        let fail = if p.kind != part.kind {
            Some(OfError::BrcBadStat)
        } else if p.octets + frame.len() > MAX_OCTETS {
            Some(OfError::BrcMultipartBufferOverflow)
        } else if !more && !p.has_body && !has_body && !part.fits {
            Some(OfError::BrcBadLen)
        } else {
            None
        };
        if let Some(e) = fail {
            self.partial.remove(&header.xid);
            return Err(e);
        }
        p.octets += frame.len();
        p.has_body |= has_body;
        // Parts without a body say nothing, but one must stay.
        if has_body || (!more && !p.has_body) || p.frames.is_empty() {
            p.frames.push(frame.to_vec());
        }
        if more {
            return Ok(None);
        }
        let mut frames = self.partial.remove(&header.xid).map(|p| p.frames).unwrap_or_default();
        if frames.len() > 1 {
            let bare = |f: &Vec<u8>| codec::peek(f, version).is_ok_and(|p| p.body == 0);
            if bare(&frames[0]) {
                frames.remove(0);
            }
        }
        Ok(Some(frames))
    }

    /// The last part of each request that has waited too long; they are given up.
    pub(super) fn expire(&mut self, now: Time) -> Vec<Vec<u8>> {
        let late: Vec<u32> =
            self.partial.iter().filter(|(_, p)| p.until <= now).map(|(xid, _)| *xid).collect();
        let gone = late.iter().filter_map(|xid| self.partial.remove(xid));
        gone.filter_map(|mut p| p.frames.pop()).collect()
    }

    pub(super) fn deadline(&self) -> Option<Time> {
        self.partial.values().map(|p| p.until).min()
    }
}
