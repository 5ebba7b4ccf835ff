//! All connections of an agent, and what is to be sent on them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use openflow::codec;
use openflow::msg::{Body, ErrorMsg, Message, Role};
use openflow::{OfError, Protocol, Version};

use super::conn::Conn;
use super::request::Request;
use super::types::{Class, CloseReason, ConnId, ConnKind, LogLevel, LogLine, Out};

/// Messages that cannot be written: lines in a minute, and at once.
const UNWRITABLE: Option<(u32, u32)> = Some((60, 5));

/// See the module.
#[derive(Default)]
pub(super) struct ConnTable {
    conns: BTreeMap<ConnId, Conn>,
    /// Controllers that the switch calls, connected or not: what snoops can be shown.
    targets: BTreeSet<String>,
    out: VecDeque<Out>,
}

impl ConnTable {
    /// A connection.
    pub(super) fn get(&self, id: ConnId) -> Option<&Conn> {
        self.conns.get(&id)
    }

    /// A connection, to change.
    pub(super) fn get_mut(&mut self, id: ConnId) -> Option<&mut Conn> {
        self.conns.get_mut(&id)
    }

    /// The connection of a request.
    pub(super) fn of(&mut self, r: &Request<'_>) -> Result<&mut Conn, OfError> {
        // It was there when its message came.
        self.conns.get_mut(&r.conn).ok_or(OfError::BrcEperm)
    }

    /// A secondary controller may look, not change.
    pub(super) fn not_secondary(&mut self, r: &Request<'_>) -> Result<(), OfError> {
        match self.of(r)?.role() {
            Role::Secondary => Err(OfError::BrcIsSecondary),
            Role::NoChange | Role::Equal | Role::Primary => Ok(()),
        }
    }

    /// Adds a connection.
    pub(super) fn insert(&mut self, id: ConnId, conn: Conn) {
        self.conns.insert(id, conn);
    }

    /// Forgets a connection.
    pub(super) fn remove(&mut self, id: ConnId) -> Option<Conn> {
        self.conns.remove(&id)
    }

    /// All connections.
    pub(super) fn iter(&self) -> impl Iterator<Item = (ConnId, &Conn)> {
        self.conns.iter().map(|(id, c)| (*id, c))
    }

    /// All connections, to change.
    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = (ConnId, &mut Conn)> {
        self.conns.iter_mut().map(|(id, c)| (*id, c))
    }

    /// The connections for which `wanted` holds, by number.
    pub(super) fn ids(&self, wanted: impl Fn(ConnId, &Conn) -> bool) -> Vec<ConnId> {
        self.iter().filter(|(id, c)| wanted(*id, c)).map(|(id, _)| id).collect()
    }

    /// Takes out what is to be done, in order.
    pub(super) fn outbox(&mut self) -> impl Iterator<Item = Out> + '_ {
        self.out.drain(..)
    }

    /// Logs a line. `limit`: lines in a minute and at once; `None`: all.
    pub(super) fn log(
        &mut self,
        level: LogLevel,
        module: &'static str,
        text: String,
        limit: Option<(u32, u32)>,
    ) {
        self.out.push_back(Out::Log(LogLine { level, module, text, limit }));
    }

    /// Says that a connection's status changed.
    pub(super) fn status_changed(&mut self, id: ConnId) {
        self.out.push_back(Out::Status(id));
    }

    /// Gives a connection up.
    pub(super) fn close(&mut self, id: ConnId, reason: CloseReason) {
        self.conns.remove(&id);
        self.out.push_back(Out::Close { conn: id, reason });
    }

    /// Sends a message that is written already.
    pub(super) fn push(&mut self, id: ConnId, class: Class, frame: Vec<u8>) {
        self.copy_to_snoops(id, &frame);
        if let Some(c) = self.conns.get_mut(&id) {
            c.queued(class, frame.len());
            self.out.push_back(Out::Send { conn: id, class, frame });
        }
    }

    /// Writes and sends a message of the switch's own accord.
    pub(super) fn send(&mut self, id: ConnId, class: Class, xid: u32, body: Body) {
        if let Some(c) = self.conns.get(&id) {
            let message = Message::new(c.version(), xid, body);
            self.write(id, class, &message, c.protocol());
        }
    }

    /// Answers a request.
    pub(super) fn reply(&mut self, r: &Request<'_>, body: Body) {
        if let Some(c) = self.conns.get(&r.conn) {
            let message = Message::new(r.version, r.xid, body);
            self.write(r.conn, Class::Reply, &message, c.protocol());
        }
    }

    fn write(&mut self, id: ConnId, class: Class, message: &Message, protocol: Protocol) {
        match codec::encode(message, protocol) {
            Ok(frames) => {
                for frame in frames {
                    self.push(id, class, frame);
                }
            }
            Err(e) => {
                let name = self.conns.get(&id).map_or("", Conn::name);
                let text = format!("{name}: {e}");
                self.log(LogLevel::Warn, "connmgr", text, UNWRITABLE);
            }
        }
    }

    /// Answers a message with an error, in the message's own version as far as that is one.
    pub(super) fn send_error(&mut self, id: ConnId, error: OfError, frame: &[u8], class: Class) {
        let Some(header) = codec::Header::peek(frame) else { return };
        let version = Version::from_wire(header.version).unwrap_or(Version::V10);
        let body = Body::Error(ErrorMsg::reply(error, frame));
        let message = Message::new(version, header.xid, body);
        if let Ok(frames) = codec::encode(&message, Protocol::new(version)) {
            for frame in frames {
                self.push(id, class, frame);
            }
        }
    }

    /// Shows a message of a connection to the snoops that watch it.
    pub(super) fn copy_to_snoops(&mut self, id: ConnId, frame: &[u8]) {
        let Some(c) = self.conns.get(&id) else { return };
        if c.kind() == ConnKind::Snoop {
            return;
        }
        let name = c.name();
        let snoops = self.ids(|_, s| s.is_shown(name));
        for snoop in snoops {
            self.push(snoop, Class::Other, frame.to_vec());
        }
    }

    /// Names the controllers that the switch calls.
    pub(super) fn set_targets(&mut self, names: BTreeSet<String>) {
        self.targets = names;
    }

    /// Finds a connection for a snoop to watch; without one it is closed.
    pub(super) fn attach_snoop(&mut self, id: ConnId) -> bool {
        let rank = |name: &String| {
            let conn = self.conns.values().find(|c| c.is_up() && c.name() == *name);
            match conn.map(Conn::role) {
                Some(Role::Primary) => 3,
                Some(Role::Equal) => 2,
                Some(Role::Secondary) => 1,
                Some(Role::NoChange) | None => 0,
            }
        };
        // Of equal ones the first by name.
        let best = self.targets.iter().rev().max_by_key(|n| rank(n)).cloned();
        match best {
            Some(name) => {
                if let Some(c) = self.conns.get_mut(&id) {
                    c.watch(name);
                }
                true
            }
            None => {
                let text = "no controller connection to snoop".to_owned();
                self.log(LogLevel::Info, "connmgr", text, Some((60, 5)));
                self.close(id, CloseReason::NothingToSnoop);
                false
            }
        }
    }
}
