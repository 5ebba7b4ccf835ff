//! Scripted connections: octets in, octets out.

mod bundles;
mod events;
mod flows;
mod handshake;
mod requests;
mod roles;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use openflow::codec::{decode, encode};
use openflow::msg::{Body, Message, PortStats};
use openflow::{OfError, OfPort, Protocol, Version, VersionSet};
use wire::{EthAddr, Time};

use super::*;
use crate::config::{BridgeConfig, OfprotoConfig};
use crate::{FailMode, Ofproto};

const ME: ConnId = ConnId(1);
const OTHER: ConnId = ConnId(2);

fn mac(n: u8) -> EthAddr {
    EthAddr([2, 0, 0, 0, 0, n])
}

fn at(ms: u64) -> Time {
    Time::from_millis(1_000_000 + ms)
}

/// A switch with a bridge of no ports, and devices that obey.
struct Lab {
    ofproto: Arc<Ofproto>,
    admin: RefCell<Vec<(OfPort, bool)>>,
    /// A device that does not obey.
    stuck: Option<OfPort>,
    counters: BTreeMap<OfPort, PortStats>,
    queues: Vec<u32>,
}

impl SwitchOps for Lab {
    fn ofproto(&self) -> &Ofproto {
        &self.ofproto
    }

    fn port_counters(&self, port: OfPort) -> Option<PortStats> {
        self.counters.get(&port).cloned()
    }

    fn queues(&self, _port: OfPort) -> Vec<u32> {
        self.queues.clone()
    }

    fn set_admin(&self, port: OfPort, up: bool) -> bool {
        self.admin.borrow_mut().push((port, up));
        self.stuck != Some(port)
    }
}

fn lab() -> Lab {
    let ofproto = Ofproto::new();
    let mut bridge = BridgeConfig::new("br0", mac(0));
    bridge.fail_mode = FailMode::Secure;
    ofproto.configure(at(0), OfprotoConfig { vlan_limit: 1, bridges: vec![bridge] });
    Lab {
        ofproto,
        admin: RefCell::default(),
        stuck: None,
        counters: BTreeMap::new(),
        queues: Vec::new(),
    }
}

/// An agent with connections, and what came out of it.
struct Script {
    lab: Lab,
    agent: Agent,
    now: Time,
    protocols: BTreeMap<ConnId, Protocol>,
}

/// What a connection was sent, read.
type Sent = Vec<(ConnId, Class, Message)>;

impl Script {
    fn new() -> Script {
        let agent = Agent::new("br0", Settings::new(0xfedc_ba98_7654_3210, "9.9.9"));
        Script { lab: lab(), agent, now: at(0), protocols: BTreeMap::new() }
    }

    /// With one connection of a version, hellos exchanged.
    fn up(version: Version, kind: ConnKind) -> Script {
        let mut s = Script::new();
        s.connect(ME, version, kind);
        s
    }

    fn connect(&mut self, id: ConnId, version: Version, kind: ConnKind) {
        let name = format!("br0<->{}", id.0);
        self.connect_as(id, version, ConnSettings::new(kind, &name));
    }

    fn connect_as(&mut self, id: ConnId, version: Version, settings: ConnSettings) {
        self.agent.connect(self.now, id, settings, &self.lab);
        self.protocols.insert(id, Protocol::new(version));
        let hello = Body::Hello { versions: VersionSet::one(version), ok: true };
        let frame = encode(&Message::new(version, 9, hello), Protocol::new(version)).unwrap();
        self.agent.receive(self.now, id, &frame[0], &self.lab);
        self.agent.outbox().for_each(drop);
        assert_eq!(self.agent.status(id).unwrap().version, Some(version));
    }

    fn octets(&self, id: ConnId, body: Body) -> Vec<u8> {
        let p = self.protocols[&id];
        encode(&Message::new(p.version, 0x77, body), p).unwrap().remove(0)
    }

    /// Sends a message; all that comes of it.
    fn tell(&mut self, id: ConnId, body: Body) -> Sent {
        let frame = self.octets(id, body);
        self.raw(id, &frame)
    }

    fn raw(&mut self, id: ConnId, frame: &[u8]) -> Sent {
        self.agent.receive(self.now, id, frame, &self.lab);
        self.sent()
    }

    fn sent(&mut self) -> Sent {
        let out: Vec<Out> = self.agent.outbox().collect();
        let mut sent = Vec::new();
        for o in out {
            let Out::Send { conn, class, frame } = o else { continue };
            let p = self.protocols[&conn];
            let m = decode(&frame, p).unwrap_or_else(|e| panic!("{e} {frame:02x?}"));
            self.agent.sent(conn, class, frame.len());
            sent.push((conn, class, m));
        }
        sent
    }

    /// Sends a message that has one answer; the answer.
    fn ask(&mut self, body: Body) -> Body {
        let mut sent = self.tell(ME, body);
        assert_eq!(sent.len(), 1, "{sent:?}");
        let (conn, class, m) = sent.remove(0);
        assert_eq!((conn, class, m.xid), (ME, Class::Reply, 0x77));
        m.body
    }

    fn refused(&mut self, body: Body) -> OfError {
        match self.ask(body) {
            Body::Error(e) => e.error.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    fn silent(&mut self, body: Body) {
        assert_eq!(self.tell(ME, body), []);
    }

    fn wait(&mut self, ms: u64) {
        self.now = self.now + Duration::from_millis(ms);
    }

    fn port(&self, n: u16) -> Port {
        Port::new(OfPort(n), &format!("p{n}"), mac(n as u8), self.now)
    }

    fn set_ports(&mut self, ports: Vec<Port>) -> Sent {
        self.agent.set_ports(self.now, ports, &self.lab);
        self.sent()
    }
}
