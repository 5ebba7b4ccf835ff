//! Hello, and agreement on a version (1.5 clause 6.3.1).

use openflow::codec::{self, Header};
use openflow::msg::{Body, ErrorMsg, Message};
use openflow::{OfError, Protocol, Version, VersionSet};

use super::agent::Agent;
use super::types::{Class, CloseReason, ConnId, ConnKind, LogLevel, SwitchOps};

/// Of every kind of complaint about a peer's messages, in a minute and at once.
const BAD_MESSAGES: Option<(u32, u32)> = Some((1, 5));

impl Agent {
    pub(super) fn say_hello(&mut self, id: ConnId, versions: VersionSet) {
        let version = versions.highest().unwrap_or(Version::V10);
        let body = Body::Hello { versions, ok: true };
        let hello = Message::new(version, 1, body);
        // A hello always fits and every version has it.
        for frame in codec::encode(&hello, Protocol::new(version)).unwrap_or_default() {
            self.conns.push(id, Class::Other, frame);
        }
    }

    pub(super) fn receive_hello(&mut self, id: ConnId, frame: &[u8], ops: &dyn SwitchOps) {
        let Some((name, versions)) =
            self.conns.get(id).map(|c| (c.name().to_owned(), c.versions()))
        else {
            return;
        };
        let header = Header::peek(frame);
        let hello = header.filter(Header::is_hello).map(|_| codec::decode_hello(frame));
        let Some(Ok((peer, clean))) = hello else {
            let typ = header.map_or(0, |h| h.typ);
            let text = format!(
                "{name}: received message while expecting hello: type {typ}, {} octets",
                frame.len()
            );
            self.conns.log(LogLevel::Warn, "vconn", text, BAD_MESSAGES);
            return self.conns.close(id, CloseReason::Protocol);
        };
        if !clean {
            let text = format!("{name}: unknown data in hello:\n{}", hex_dump(frame));
            self.conns.log(LogLevel::Warn, "vconn", text, BAD_MESSAGES);
        }
        let Some(version) = versions.agree(peer) else {
            let text = format!(
                "{name}: version negotiation failed (we support {versions}, peer supports {peer})"
            );
            self.conns.log(LogLevel::Warn, "vconn", text, BAD_MESSAGES);
            self.refuse(id, versions, peer);
            return self.conns.close(id, CloseReason::Protocol);
        };
        let text = format!(
            "{name}: negotiated OpenFlow version 0x{:02x} (we support {versions}, peer supports \
             {peer})",
            version.wire()
        );
        self.conns.log(LogLevel::Dbg, "vconn", text, None);
        if let Some(c) = self.conns.get_mut(id) {
            c.agree(version);
            if c.kind() != ConnKind::Snoop {
                self.conns.status_changed(id);
                self.update_misses(ops);
            }
        }
    }

    /// Says that there is no version to speak, in the highest that the peer has.
    fn refuse(&mut self, id: ConnId, us: VersionSet, peer: VersionSet) {
        // Open vSwitch's text ends with its 127th character.
        let mut text = format!("We support {us}, you support {peer}, no common versions.");
        text.truncate(127);
        let highest = (1..32u8).rev().find(|bit| peer.0 & 1 << bit != 0);
        let version = highest.and_then(Version::from_wire).unwrap_or(Version::V10);
        let error = ErrorMsg::reply(OfError::HfcIncompatible, text.as_bytes());
        let message = Message::new(version, 0, Body::Error(error));
        for frame in codec::encode(&message, Protocol::new(version)).unwrap_or_default() {
            self.conns.push(id, Class::Other, frame);
        }
    }
}

/// Sixteen octets to a line: offset, hexadecimal, characters.
fn hex_dump(octets: &[u8]) -> String {
    let mut out = String::new();
    for (n, line) in octets.chunks(16).enumerate() {
        let mut hex = String::new();
        for (i, o) in line.iter().enumerate() {
            let gap = if i == 8 { '-' } else { ' ' };
            hex.push_str(&format!("{gap}{o:02x}"));
        }
        let text: String = line
            .iter()
            .map(|o| if o.is_ascii_graphic() || *o == b' ' { char::from(*o) } else { '.' })
            .collect();
        out.push_str(&format!("{:08x} {hex:<48} |{text:<16}|\n", n * 16));
    }
    out
}
