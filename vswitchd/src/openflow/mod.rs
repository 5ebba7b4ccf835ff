//! OpenFlow's sockets: controllers that are called, listeners, tools, and what rows say of them.
//!
//! ```text
//!   Controller rows ──▶ service ──▶ peer (socket) ──messages──▶ ofproto::controller::Agent
//!                         │  reconnect: when to call, to ask,        │        │
//!                         │             to give up                   │  FlowTable, packets
//!   Controller.status ◀───┘                                          ▼
//!   packets for controllers ──▶ packets (queue, wakes main) ──▶ Agent::packet_in
//! ```
//!
//! All of it runs on main's thread, in its poll; nothing waits. The protocol is the agent's
//! business: here are octets, times and names.
//!
//! | file | what |
//! |---|---|
//! | `target` | addresses |
//! | `reconnect` | one connection's life, without sockets |
//! | `stream`, `socket` | kinds of sockets; whole messages |
//! | `peer`, `service` | a connection; where connections come from |
//! | `calls` | calling controllers: names, addresses one after the other |
//! | `bridge`, `serve` | a bridge's connections; one of them from beginning to end |
//! | `fail_open`, `standalone` | what a standalone bridge does without its controllers |
//! | `in_band` | what must pass to controllers |
//! | `confine` | which Unix sockets a row may name |
//! | `ports` | ports as OpenFlow tells them |
//! | `packets` | packets on their way to controllers |
//! | `status` | `Controller.status` |

mod bogus;
mod bridge;
mod calls;
mod confine;
mod fail_open;
mod in_band;
mod packets;
mod peer;
mod ports;
mod reconnect;
mod serve;
mod service;
mod socket;
mod standalone;
mod status;
mod stream;
pub mod target;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use mio::Registry;
use ofproto::controller::{Host, Level as AgentLevel, LogLine, Settings};
use wire::Time;

use self::bridge::Connections;
pub use self::packets::PacketQueue;
pub use self::peer::TOKENS;
pub use self::ports::{Hosts, ports};
pub use self::reconnect::Timing;
use self::stream::Stream;
use crate::config::Desired;
use crate::log::{Level, RateLimit};

/// Numbers of things that are never used twice.
#[derive(Debug, Default)]
struct Numbers {
    /// The next connection's or listener's.
    next: u64,
    /// Callers over Unix sockets so far.
    unix: u64,
}

impl Numbers {
    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }
}

/// Budgets of log lines, by module and limit.
type Limits = BTreeMap<(&'static str, (u32, u32)), RateLimit>;

/// What connections work with.
struct Env<'a> {
    now: Time,
    registry: &'a Registry,
    own: &'a Own,
    numbers: &'a mut Numbers,
    limits: &'a mut Limits,
    tls: &'a mut tls::Context,
    /// Wakes main's poll.
    main: Arc<mio::Waker>,
    host: &'a dyn Host,
    local: Option<wire::EthAddr>,
}

/// What the command line says.
#[derive(Clone, Debug, Default)]
pub struct Own {
    /// Where sockets of bridges are made.
    pub rundir: PathBuf,
    /// What the switch says it runs.
    pub version: String,
    /// The files for `ssl:`, where the database names none.
    pub tls: tls::Settings,
    /// Rows may name Unix sockets outside of `rundir` (`--no-self-confinement`).
    pub unconfined: bool,
}

/// OpenFlow of all bridges.
pub struct OpenFlow {
    registry: Registry,
    own: Own,
    numbers: Numbers,
    limits: Limits,
    tls: tls::Context,
    bridges: BTreeMap<String, Connections>,
    packets: Arc<PacketQueue>,
    /// Something is left to do at once.
    more: bool,
}

/// Each bridge's ports, by its name.
type Ports = BTreeMap<String, Vec<ofproto::controller::Port>>;

impl OpenFlow {
    /// Without bridges.
    ///
    /// # Errors
    ///
    /// The system has no descriptor to give.
    pub fn new(registry: &Registry, own: Own, packets: Arc<PacketQueue>) -> io::Result<OpenFlow> {
        Ok(OpenFlow {
            registry: registry.try_clone()?,
            numbers: Numbers::default(),
            limits: Limits::new(),
            tls: tls::Context::new(own.tls.clone()),
            own,
            bridges: BTreeMap::new(),
            packets,
            more: false,
        })
    }

    /// Calls `f` for each bridge.
    fn each(
        &mut self,
        now: Time,
        hosts: &Hosts<'_>,
        mut f: impl FnMut(&str, &mut Connections, &mut Env<'_>),
    ) {
        for (name, bridge) in &mut self.bridges {
            let host = hosts.host(name);
            let mut env = Env {
                now,
                registry: &self.registry,
                own: &self.own,
                numbers: &mut self.numbers,
                limits: &mut self.limits,
                tls: &mut self.tls,
                main: self.packets.waker(),
                host: &host,
                local: hosts.switch.bridges.get(name).map(|b| b.mac),
            };
            f(name, bridge, &mut env);
        }
    }

    /// Takes over what the rows say. To be called once the switch itself is configured. While flows
    /// are `restoring`, no controller is connected.
    pub fn configure(
        &mut self,
        now: Time,
        desired: &Desired,
        restoring: bool,
        mut ports: Ports,
        hosts: &Hosts<'_>,
    ) {
        let bundle_idle = desired.switch.bundle_idle;
        self.tls.set(desired.tls.clone().unwrap_or_else(|| self.own.tls.clone()));
        let wanted: BTreeMap<&str, _> = desired
            .bridges
            .iter()
            .filter_map(|b| {
                Some((b.name.as_str(), (b, hosts.switch.bridges.get(&b.name)?.datapath_id)))
            })
            .collect();
        self.each(now, hosts, |name, bridge, env| {
            if !wanted.contains_key(name) {
                bridge.close(env);
            }
        });
        self.bridges.retain(|name, _| wanted.contains_key(name.as_str()));
        let settings = |name: &str| {
            let (want, datapath_id) = wanted.get(name)?;
            let mut settings = Settings::new(*datapath_id, &self.own.version);
            let given = &want.openflow;
            if let Some(text) = &given.description {
                settings.datapath.clone_from(text);
            }
            if let Some(text) = &given.serial {
                settings.serial.clone_from(text);
            }
            Some((*want, settings))
        };
        let all: Vec<_> = wanted.keys().filter_map(|name| settings(name)).collect();
        for (want, settings) in &all {
            let new = || Connections::new(&want.name, settings.clone());
            self.bridges.entry(want.name.clone()).or_insert_with(new);
        }
        let mut all = all.into_iter();
        self.each(now, hosts, |name, bridge, env| {
            // Both are in the order of names.
            if let Some((want, settings)) = all.by_ref().find(|(w, _)| w.name == name) {
                bridge.set_ports(ports.remove(name).unwrap_or_default(), env);
                bridge.configure(want, settings, bundle_idle, restoring, env);
            }
        });
        self.more = true;
    }

    /// Ports may have changed.
    pub fn ports_changed(&mut self, now: Time, mut ports: Ports, hosts: &Hosts<'_>) {
        self.each(now, hosts, |name, bridge, env| {
            bridge.set_ports(ports.remove(name).unwrap_or_default(), env);
        });
    }

    /// Takes note of a poll event whose token is at or above [`TOKENS`].
    pub fn on_event(&mut self, event: &mio::event::Event) {
        let number = (event.token().0 - TOKENS) as u64;
        self.more |= self.bridges.values_mut().any(|b| b.on_event(number, event));
    }

    /// Does what can be done now. True if packets came, or something was sent that others may
    /// have to go on with.
    pub fn run(&mut self, now: Time, hosts: &Hosts<'_>) -> bool {
        let packets = self.packets.take();
        let busy = !packets.is_empty();
        let mut of: BTreeMap<Arc<str>, Vec<_>> = BTreeMap::new();
        for packet in packets {
            of.entry(packet.bridge.clone()).or_default().push(packet);
        }
        let mut more = false;
        self.each(now, hosts, |name, bridge, env| {
            for packet in of.remove(name).into_iter().flatten() {
                bridge.packet_in(packet, env);
            }
            more |= bridge.run(env);
        });
        self.more = more;
        busy || more
    }

    /// How long until [`OpenFlow::run`] has something to do; zero: at once.
    pub fn next_deadline(&self, now: Time) -> Option<Time> {
        if self.more {
            return Some(now);
        }
        self.bridges.values().filter_map(|b| b.next_deadline(now)).min()
    }

    /// What rows say may have changed since the last call.
    pub fn take_changed(&mut self) -> bool {
        self.bridges.values_mut().fold(false, |any, b| any | std::mem::take(&mut b.changed))
    }

    /// `bridge/reconnect`: for one bridge, or all.
    pub fn reconnect(&mut self, now: Time, only: Option<&str>, hosts: &Hosts<'_>) {
        self.each(now, hosts, |name, bridge, env| {
            if only.is_none_or(|o| o == name) {
                bridge.reconnect(env);
            }
        });
        self.more = true;
    }

    /// Connections, and messages that wait for them, for `memory/show`.
    pub fn usage(&self) -> (u64, u64) {
        let all = self.bridges.values().map(Connections::usage);
        all.fold((0, 0), |(c, w), (conns, waiting)| (c + conns, w + waiting))
    }
}

/// Writes one of the agent's log lines.
fn report(line: &LogLine, limits: &mut Limits) {
    let Some(module) = crate::modules::by_name(line.module) else { return };
    let level = match line.level {
        AgentLevel::Err => Level::Err,
        AgentLevel::Warn => Level::Warn,
        AgentLevel::Info => Level::Info,
        AgentLevel::Dbg => Level::Dbg,
    };
    if let Some((rate, burst)) = line.limit {
        let limit = limits
            .entry((line.module, (rate, burst)))
            .or_insert_with(|| RateLimit::new(rate, burst));
        if limit.should_drop(module, level) {
            return;
        }
    }
    crate::log_at!(module, level, "{}", line.text);
}
