//! The switch at the top of the rack: what a bond's links lead to.
//!
//! It has one port for each link and a host of its own. Without LACP it is a plain learning
//! switch: it knows nothing of the bond, floods what it must, and finds out that traffic has
//! moved only by seeing a source address on another port. With LACP its ports are one group.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Mutex, MutexGuard};
use wire::lacp::{Lacpdu, PortInfo};
use wire::{EthAddr, EtherType, Time};

use super::Error;
use super::cable::{Cable, Plug};
use super::frame::{self, Header};
use super::lacp::Partner;
use super::packet::{self, BUFFER};
use super::station::{Manner, Stations};

/// The fabric's address, as LACP system and as source of its LACPDUs.
pub const SYSTEM: EthAddr = EthAddr([0x02, 0, 0, 0, 0xfa, 0xb0]);

struct Port {
    cable: Arc<Cable>,
    plug: Plug,
}

struct State {
    up: Vec<bool>,
    /// Ports that neither receive nor send, though their carrier is up.
    silent: Vec<bool>,
    stations: Stations,
    learned: BTreeMap<EthAddr, usize>,
    /// One for each port, or none at all without LACP.
    lacp: Vec<Partner>,
}

impl State {
    fn passes(&self, port: usize) -> bool {
        self.up[port] && !self.silent[port]
    }
}

/// A switch with one port for each cable.
pub struct Fabric {
    ports: Vec<Port>,
    host: EthAddr,
    start: Instant,
    state: Mutex<State>,
}

impl Fabric {
    /// Plugs in the cables, in order. Frames to `host` are the host's.
    pub fn new(cables: &[Arc<Cable>], host: EthAddr, lacp: bool) -> Result<Fabric, Error> {
        let links = cables.len();
        let mut ports = Vec::new();
        for cable in cables {
            ports.push(Port { plug: Plug::new(cable)?, cable: cable.clone() });
        }
        let partner = |i: usize| {
            Partner::new(PortInfo {
                system_priority: 32768,
                system: SYSTEM,
                key: 1,
                port_priority: 32768,
                port: i as u16 + 1,
                state: 0,
            })
        };
        let state = State {
            up: vec![true; links],
            silent: vec![false; links],
            stations: Stations::default(),
            learned: BTreeMap::new(),
            lacp: if lacp { (0..links).map(partner).collect() } else { Vec::new() },
        };
        Ok(Fabric { ports, host, start: Instant::now(), state: Mutex::new(state) })
    }

    fn now(&self) -> Time {
        Time::ZERO + self.start.elapsed()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }

    /// Cuts a link (the far end loses carrier) or mends it. As any switch, it forgets what it
    /// learned on a port that goes down.
    pub fn set_link(&self, port: usize, up: bool) -> Result<(), Error> {
        // The kernel may take its time when other namespaces come and go. Until it has done so the
        // link is as it was.
        self.ports[port].cable.set_up(up)?;
        if up {
            self.state().up[port] = true;
        } else {
            self.with_port_down(port);
        }
        Ok(())
    }

    /// Has a port drop all frames in both directions, with its carrier up, or not any more. What the
    /// switch has learned on it stays.
    pub fn set_silent(&self, port: usize, silent: bool) {
        self.state().silent[port] = silent;
    }

    /// A station beyond the switch, for those who ask for its address.
    pub fn set_station(&self, address: IpAddr, mac: EthAddr, manner: Manner) {
        self.state().stations.set(address, mac, manner);
    }

    fn with_port_down(&self, port: usize) {
        let mut s = self.state();
        s.up[port] = false;
        s.learned.retain(|_, p| *p != port);
        if let Some(l) = s.lacp.get_mut(port) {
            l.link_down();
        }
    }

    /// Sends a frame of the host's; false when it had nowhere to go.
    pub fn send(&self, frame: &[u8]) -> bool {
        let Some((h, rest)) = Header::parse(frame) else { return false };
        let to = self.ports_for(&h, rest);
        let mut sent = false;
        for p in to {
            sent |= self.ports[p].plug.send(frame).is_ok();
        }
        sent
    }

    fn ports_for(&self, h: &Header, rest: &[u8]) -> Vec<usize> {
        let now = self.now();
        let s = self.state();
        if !s.lacp.is_empty() {
            let live: Vec<usize> =
                (0..s.up.len()).filter(|i| s.up[*i] && s.lacp[*i].carrying(now)).collect();
            if live.is_empty() {
                return live;
            }
            // Any hash does, as long as one conversation keeps to one link.
            let sum: usize = rest.get(12..24).unwrap_or_default().iter().map(|b| *b as usize).sum();
            return vec![live[sum % live.len()]];
        }
        match s.learned.get(&h.dst) {
            Some(p) if s.passes(*p) => vec![*p],
            Some(p) if s.up[*p] => Vec::new(),
            _ => (0..s.up.len()).filter(|i| s.passes(*i)).collect(),
        }
    }

    /// Learns, answers LACP and passes frames on until `stop`. `deliver` gets what is for the
    /// host, with the number of the link it came on.
    pub fn run(&self, stop: &AtomicBool, mut deliver: impl FnMut(usize, &[u8])) {
        let mut buf = vec![0; BUFFER];
        let plugs: Vec<&Plug> = self.ports.iter().map(|p| &p.plug).collect();
        while !stop.load(Ordering::Relaxed) {
            packet::wait(&plugs, Duration::from_millis(20));
            for (i, p) in self.ports.iter().enumerate() {
                // Bounded, so that a busy link does not starve the others.
                for _ in 0..64 {
                    match p.plug.recv(&mut buf) {
                        Ok(Some(f)) => self.received(i, f, &mut deliver),
                        Ok(None) | Err(_) => break,
                    }
                }
            }
            self.speak();
        }
    }

    fn received(&self, from: usize, frame: &[u8], deliver: &mut impl FnMut(usize, &[u8])) {
        let Some((h, rest)) = Header::parse(frame) else { return };
        let (grouped, others, answer) = {
            let now = self.now();
            let mut s = self.state();
            if s.silent[from] {
                return;
            }
            if h.eth_type == EtherType::SLOW {
                if let (Some(l), Ok(pdu)) = (s.lacp.get_mut(from), Lacpdu::parse(rest)) {
                    l.receive(now, &pdu);
                }
                return;
            }
            if s.up[from] && !h.src.is_multicast() {
                s.learned.insert(h.src, from);
            }
            let known = s.learned.get(&h.dst).copied();
            let others: Vec<usize> = (0..s.up.len())
                .filter(|i| *i != from && s.passes(*i) && known.is_none_or(|k| k == *i))
                .collect();
            (!s.lacp.is_empty(), others, s.stations.answer(frame))
        };
        if let Some(answer) = answer {
            self.send(&answer);
        }
        if h.dst == self.host || h.dst.is_multicast() {
            deliver(from, frame);
        }
        if !grouped && h.dst != self.host {
            for p in others {
                let _: io::Result<()> = self.ports[p].plug.send(frame);
            }
        }
    }

    fn speak(&self) {
        let now = self.now();
        let mut out = Vec::new();
        {
            let mut s = self.state();
            let State { up, lacp, .. } = &mut *s;
            for (i, l) in lacp.iter_mut().enumerate() {
                if up[i]
                    && let Some(pdu) = l.poll(now)
                {
                    out.push((i, pdu));
                }
            }
        }
        for (i, pdu) in out {
            let frame = frame::slow_protocols(SYSTEM, &pdu.emit());
            let _: io::Result<()> = self.ports[i].plug.send(&frame);
        }
    }

    /// Which link the fabric has learned `mac` on.
    pub fn learned(&self, mac: EthAddr) -> Option<usize> {
        self.state().learned.get(&mac).copied()
    }

    /// Links that are up and, with LACP, in agreement with the other end.
    pub fn live(&self) -> Vec<usize> {
        let now = self.now();
        let s = self.state();
        (0..s.up.len())
            .filter(|i| s.up[*i] && s.lacp.get(*i).is_none_or(|l| l.carrying(now)))
            .collect()
    }
}
