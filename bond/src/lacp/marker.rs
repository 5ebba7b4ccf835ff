//! The marker responder: IEEE 802.1AX-2014 clause 6.5.4.

use std::time::Duration;

use wire::Time;
use wire::marker::{Marker, MarkerKind};

/// Answers within [`WINDOW`]. IEEE 802.3 annex 57A lets a Slow Protocol send ten frames in a second;
/// with three LACPDUs this leaves room.
const LIMIT: usize = 5;

/// The window of the limit.
const WINDOW: Duration = Duration::from_secs(1);

/// The responder of one port.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Responder {
    /// When the last answers were sent, oldest first; `None` = there were fewer.
    sent: [Option<Time>; LIMIT],
}

impl Responder {
    /// The answer to the PDU `octets`, which was received at `now`. `None` = it is no question, or
    /// [`LIMIT`] others have been answered within [`WINDOW`].
    pub(super) fn answer(&mut self, now: Time, octets: &[u8]) -> Option<Vec<u8>> {
        let marker = Marker::parse(octets).ok()?;
        match marker.kind {
            MarkerKind::Information => {}
            MarkerKind::Response => return None,
        }
        if self.sent[0].is_some_and(|oldest| now < oldest + WINDOW) {
            return None;
        }
        self.sent.rotate_left(1);
        self.sent[LIMIT - 1] = Some(now);
        Some(Marker { kind: MarkerKind::Response, ..marker }.emit())
    }
}
