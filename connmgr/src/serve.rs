//! One connection of a bridge from its first octet to its last.

use std::collections::BTreeSet;

use ofproto::controller::{CloseReason, ConnId, ConnKind, ConnSettings, Out};

use crate::bridge::Connections;
use crate::modules::RCONN;
use crate::peer::{Owner, admits};
use crate::reconnect::{Due, Next, Reconnect};
use crate::service::{Service, Source};
use crate::socket::Ended;
use crate::{Env, report};

/// Messages of one connection that are handled before others get their turn.
const BURST: usize = 50;

impl Connections {
    /// Reads and writes one connection. True if there may be more to read at once.
    pub(crate) fn serve(&mut self, id: ConnId, env: &mut Env<'_>) -> bool {
        let Some(peer) = self.peers.get_mut(&id) else { return false };
        if !peer.told && !peer.closing {
            match peer.socket.connected() {
                Ok(false) => return false,
                Ok(true) => {
                    peer.told = true;
                    let settings = match &peer.owner {
                        Owner::Snoop => ConnSettings::new(ConnKind::Snoop, &peer.name),
                        Owner::Service(target) => match self.services.get(target) {
                            Some(service) => service.settings(&peer.name),
                            None => return false,
                        },
                    };
                    self.agent.connect(env.now, id, settings, env.host);
                    self.settle(env);
                }
                Err(ended) => {
                    self.end(id, ended, false, env);
                    return false;
                }
            }
        }
        for _ in 0..BURST {
            let Some(peer) = self.peers.get_mut(&id) else { return false };
            if peer.closing || !self.agent.may_receive(id) {
                self.flush(id, env);
                return false;
            }
            match peer.socket.receive() {
                Ok(Some(frame)) => self.receive(id, &frame, env),
                Ok(None) => {
                    self.flush(id, env);
                    return false;
                }
                Err(ended) => {
                    // What was answered before may still be read.
                    self.flush(id, env);
                    self.end(id, ended, false, env);
                    return false;
                }
            }
        }
        true
    }

    pub(crate) fn receive(&mut self, id: ConnId, frame: &[u8], env: &mut Env<'_>) {
        if let Some(life) = self.life(id)
            && life.is_connected()
        {
            life.received(env.now, admits(frame));
        }
        if self.fail_open.is_open() && self.any_admitted() {
            self.recover(env);
        }
        self.agent.receive(env.now, id, frame, env.host);
        // Time-outs may have come in.
        self.agent_due = Some(env.now);
        self.settle(env);
    }

    pub(crate) fn life(&mut self, id: ConnId) -> Option<&mut Reconnect> {
        let peer = self.peers.get_mut(&id)?;
        match (&mut peer.life, &peer.owner) {
            (Some(life), _) => Some(life),
            (None, Owner::Service(target)) => match &mut self.services.get_mut(target)?.source {
                Source::Active { life, .. } => Some(life),
                Source::Passive(_) => None,
            },
            (None, Owner::Snoop) => None,
        }
    }

    /// What time has brought for one connection.
    pub(crate) fn look_at(&mut self, id: ConnId, env: &mut Env<'_>) {
        let Some(peer) = self.peers.get(&id) else { return };
        let name = peer.name.clone();
        let Some(due) = self.life(id).and_then(|life| life.poll(env.now)) else { return };
        match due {
            // Only without a connection.
            Due::Connect => {}
            Due::TimedOut => {
                self.end(id, Ended::Error("Connection timed out".to_owned()), true, env);
            }
            Due::Probe(silent) => {
                let silent = silent.as_secs();
                runtime::dbg!(RCONN, "{name}: idle {silent} seconds, sending inactivity probe");
                let version = self.agent.status(id).and_then(|s| s.version);
                let xid = (env.numbers.next() as u32).to_be_bytes();
                if let (Some(peer), Some(version)) = (self.peers.get_mut(&id), version) {
                    // An echo request.
                    let frame = [&[version.wire(), 2, 0, 8][..], &xid].concat();
                    peer.socket.queue(None, frame);
                }
                self.flush(id, env);
            }
            Due::NoAnswer(waited) => {
                runtime::err!(
                    RCONN,
                    "{name}: no response to inactivity probe after {} seconds, disconnecting",
                    waited.as_secs()
                );
                let text = "Connection timed out".to_owned();
                self.disconnect(id, Some(text), false, env);
            }
        }
    }

    pub(crate) fn flush(&mut self, id: ConnId, env: &mut Env<'_>) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match peer.flush(env.now, &mut self.agent) {
            Ok(any) => {
                let finished = peer.closing && peer.socket.waiting() == 0;
                if any.is_some()
                    && let Some(life) = self.life(id)
                    && life.is_connected()
                {
                    life.sent(env.now);
                }
                if finished {
                    self.end(id, Ended::Error("Protocol error".to_owned()), false, env);
                }
            }
            Err(ended) => self.end(id, ended, false, env),
        }
    }

    /// Does what the agent wants done.
    pub(crate) fn settle(&mut self, env: &mut Env<'_>) {
        let mut written = BTreeSet::new();
        loop {
            let out: Vec<Out> = self.agent.outbox().collect();
            if out.is_empty() {
                break;
            }
            for out in out {
                match out {
                    Out::Send { conn, class, frame } => {
                        if let Some(peer) = self.peers.get_mut(&conn) {
                            peer.socket.queue(Some(class), frame);
                            written.insert(conn);
                        }
                    }
                    Out::Close { conn, reason } => {
                        if let Some(peer) = self.peers.get_mut(&conn) {
                            peer.closing = true;
                            written.insert(conn);
                        }
                        match reason {
                            CloseReason::Protocol | CloseReason::NothingToSnoop => {}
                        }
                    }
                    Out::Status(conn) => self.agreed(conn, env),
                    Out::Log(line) => report(&line, env.own, env.limits),
                }
            }
        }
        for conn in written {
            self.flush(conn, env);
        }
    }

    /// A version is agreed on, or the role has changed.
    pub(crate) fn agreed(&mut self, id: ConnId, env: &mut Env<'_>) {
        self.changed = true;
        let Some(version) = self.agent.status(id).and_then(|s| s.version) else { return };
        let Some(peer) = self.peers.get(&id) else { return };
        let (name, ours) = (peer.name.clone(), peer.life.is_none());
        let Some(life) = self.life(id).filter(|life| !life.is_connected()) else { return };
        life.connected(env.now);
        if ours {
            runtime::info!(RCONN, "{name}: connected");
        } else {
            runtime::dbg!(RCONN, "{name}: connected ({version})");
        }
    }

    /// A connection has ended, or could not be made.
    pub(crate) fn end(&mut self, id: ConnId, ended: Ended, timed_out: bool, env: &mut Env<'_>) {
        let Some(peer) = self.peers.get(&id) else { return };
        let (name, ours) = (peer.name.clone(), peer.life.is_none());
        if peer.owner == Owner::Snoop {
            runtime::dbg!(RCONN, "{name}: closing monitor connection: {ended}");
            return self.forget(id, env);
        }
        let connected = self.life(id).is_some_and(|l| l.is_connected());
        let loud = self.life(id).is_some_and(|l| l.is_loud());
        let text = match (ended, connected) {
            (Ended::ByPeer, true) => {
                if ours {
                    runtime::info!(RCONN, "{name}: connection closed by peer");
                } else {
                    runtime::dbg!(RCONN, "{name}: connection closed by peer");
                }
                "End of file".to_owned()
            }
            (Ended::ByPeer, false) => {
                let text = "Connection reset by peer".to_owned();
                if self.call_next(id, env) {
                    return;
                }
                if loud {
                    runtime::info!(RCONN, "{name}: connection failed ({text})");
                }
                text
            }
            (Ended::Error(text), true) => {
                runtime::warn!(RCONN, "{name}: connection dropped ({text})");
                text
            }
            (Ended::Error(text), false) => {
                if !timed_out && self.call_next(id, env) {
                    runtime::dbg!(
                        RCONN,
                        "{name}: connection failed ({text}), trying the next address"
                    );
                    return;
                }
                if loud && timed_out {
                    runtime::info!(RCONN, "{name}: connection timed out");
                } else if loud {
                    runtime::info!(RCONN, "{name}: connection failed ({text})");
                }
                text
            }
        };
        self.disconnect(id, Some(text), timed_out, env);
    }

    /// Closes a connection; one that is ours is made again.
    pub(crate) fn disconnect(
        &mut self,
        id: ConnId,
        error: Option<String>,
        timed_out: bool,
        env: &mut Env<'_>,
    ) {
        let Some(peer) = self.peers.get(&id) else { return };
        let name = peer.name.clone();
        if let Some(life) = self.life(id) {
            let loud = life.is_loud();
            let next = life.closed(env.now, error, timed_out);
            say_next(&name, next, loud);
        }
        self.forget(id, env);
    }

    pub(crate) fn forget(&mut self, id: ConnId, env: &mut Env<'_>) {
        let Some(mut peer) = self.peers.remove(&id) else { return };
        peer.socket.deregister(env.registry);
        if let Owner::Service(target) = &peer.owner
            && let Some(Service { source: Source::Active { conn, .. }, .. }) =
                self.services.get_mut(target)
        {
            *conn = None;
        }
        self.changed = true;
        if peer.told {
            self.agent.disconnect(env.now, id, env.host);
            self.settle(env);
        }
    }
}

pub(crate) fn say_next(name: &str, next: Next, loud: bool) {
    match next {
        Next::Later(wait) => {
            runtime::info!(RCONN, "{name}: waiting {} seconds before reconnect", wait.as_secs());
        }
        Next::Quietly if loud => runtime::info!(
            RCONN,
            "{name}: continuing to retry connections in the background but suppressing further \
             logging"
        ),
        Next::Quietly | Next::Soon | Next::AsBefore | Next::Gone => {}
    }
}
