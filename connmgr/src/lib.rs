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
//! | `packets` | packets on their way to controllers |
//! | `status` | what is known of a controller |
//! | `modules` | names in the log |

mod bogus;
mod bridge;
mod calls;
mod confine;
mod fail_open;
mod in_band;
pub mod modules;
mod packets;
mod peer;
mod reconnect;
mod serve;
mod service;
mod socket;
mod standalone;
mod status;
mod stream;
pub mod target;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::net::SocketAddrV4;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use mio::Registry;
use ofproto::FailMode;
use ofproto::controller::{
    ControllerConfig, LogLevel as AgentLevel, LogLine, Port, Settings, SwitchOps,
};
use ofproto::tables::TableSettings;
use openflow::VersionSet;
use runtime::log::{Level, Module, RateLimit};
use wire::{EthAddr, Time};

use self::bridge::Connections;
pub use self::packets::PacketQueue;
pub use self::peer::TOKENS;
pub use self::status::ControllerStatus;

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
    host: &'a dyn SwitchOps,
    local: Option<EthAddr>,
}

/// What the command line says.
#[derive(Clone, Debug)]
pub struct Own {
    /// Where sockets of bridges are made.
    pub rundir: PathBuf,
    /// What the switch says it runs.
    pub version: String,
    /// The files for `ssl:`, where the database names none.
    pub tls: tls::Settings,
    /// Rows may name Unix sockets outside of `rundir` (`--no-self-confinement`).
    pub unconfined: bool,
    /// Finds the log module that one of the agent's lines names.
    pub log_module: fn(&str) -> Option<&'static Module>,
}

/// What a bridge's rows say about OpenFlow.
#[derive(Clone, Debug)]
pub struct BridgeConfig<'a> {
    /// The bridge's name.
    pub name: &'a str,
    /// The datapath ID that it runs with.
    pub datapath_id: u64,
    pub fail_mode: FailMode,
    /// Versions that may be agreed on.
    pub versions: VersionSet,
    /// Controllers and listeners; their targets are unique.
    pub controllers: Vec<&'a ControllerConfig>,
    /// `other_config:dp-desc`.
    pub description: Option<&'a str>,
    /// `other_config:dp-sn`.
    pub serial: Option<&'a str>,
    /// Packets that may wait for a peer of `BRIDGE.mgmt`; 1 to 512.
    pub queue_size: usize,
    /// Managers that must be reached through the bridge's ports.
    pub managers: &'a BTreeSet<SocketAddrV4>,
    /// `other_config:in-band-queue`.
    pub in_band_queue: Option<u32>,
    /// Settings of flow tables, by table.
    pub tables: &'a BTreeMap<u8, TableSettings>,
    /// What is wrong with the rows of flow tables; logged when it changes.
    pub table_complaints: &'a [String],
}

/// What the rows say about OpenFlow.
#[derive(Clone, Debug)]
pub struct Config<'a> {
    /// The bridges that exist, sorted by name.
    pub bridges: Vec<BridgeConfig<'a>>,
    /// The files for `ssl:`, if the database names them.
    pub tls: Option<tls::Settings>,
    /// `other_config:bundle-idle-timeout`.
    pub bundle_idle: Duration,
    /// Flows are being restored (`flow-restore-wait`): no controller is connected.
    pub restoring: bool,
}

/// The switch that the connections control.
pub trait Bridges {
    /// The operations on one bridge.
    fn host<'a>(&'a self, bridge: &'a str) -> Box<dyn SwitchOps + 'a>;
    /// The address of a bridge's own port; `None` if there is no such bridge.
    fn local_mac(&self, bridge: &str) -> Option<EthAddr>;
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
pub type Ports = BTreeMap<String, Vec<Port>>;

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
        hosts: &dyn Bridges,
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
                host: &*host,
                local: hosts.local_mac(name),
            };
            f(name, bridge, &mut env);
        }
    }

    /// Takes over what the rows say. To be called once the switch itself is configured.
    pub fn configure(
        &mut self,
        now: Time,
        config: &Config<'_>,
        mut ports: Ports,
        hosts: &dyn Bridges,
    ) {
        self.tls.set(config.tls.clone().unwrap_or_else(|| self.own.tls.clone()));
        let wanted: BTreeMap<&str, (&BridgeConfig<'_>, Settings)> =
            config.bridges.iter().map(|b| (b.name, (b, self.settings(b)))).collect();
        self.each(now, hosts, |name, bridge, env| {
            if !wanted.contains_key(name) {
                bridge.close(env);
            }
        });
        self.bridges.retain(|name, _| wanted.contains_key(name.as_str()));
        for (name, (_, settings)) in &wanted {
            let new = || Connections::new(name, settings.clone());
            self.bridges.entry((*name).to_owned()).or_insert_with(new);
        }
        self.each(now, hosts, |name, bridge, env| {
            if let Some((want, settings)) = wanted.get(name) {
                bridge.set_ports(ports.remove(name).unwrap_or_default(), env);
                bridge.configure(want, settings.clone(), config, env);
            }
        });
        self.more = true;
    }

    fn settings(&self, bridge: &BridgeConfig<'_>) -> Settings {
        let mut settings = Settings::new(bridge.datapath_id, &self.own.version);
        if let Some(text) = bridge.description {
            settings.datapath = text.to_owned();
        }
        if let Some(text) = bridge.serial {
            settings.serial = text.to_owned();
        }
        settings
    }

    /// Ports may have changed.
    pub fn ports_changed(&mut self, now: Time, mut ports: Ports, hosts: &dyn Bridges) {
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
    pub fn run(&mut self, now: Time, hosts: &dyn Bridges) -> bool {
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
    pub fn reconnect(&mut self, now: Time, only: Option<&str>, hosts: &dyn Bridges) {
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
fn report(line: &LogLine, own: &Own, limits: &mut Limits) {
    let Some(module) = (own.log_module)(line.module) else { return };
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
    runtime::log_at!(module, level, "{}", line.text);
}
