//! Flows as people and programs read them.
//!
//! [`FlowDump`] is one value with two faces: `Display` is a line of `ovs-appctl
//! dpctl/dump-flows`, character by character as Open vSwitch prints it, and `Serialize` is the
//! same for `--format json`.

mod actions;
mod attr;
pub mod compat;
mod fields;
pub mod parse;
pub mod parse_actions;
mod scan;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::ser::{Serialize, SerializeMap, Serializer};
use wire::{FlowKey, Time};

use crate::action::Action;
use crate::flow::FlowHandle;
pub use attr::{Attr, Show, Value};
use attr::{Attrs, commas};

/// A flow and what it has done so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowDump {
    /// Present with `-m`.
    pub ufid: Option<String>,
    /// Shown as `dpif/dump-flows` does, which says less of the datapath; false: as `dpctl`.
    pub of_bridge: bool,
    /// The match.
    pub key: Vec<Attr>,
    /// Packets that hit the flow.
    pub packets: u64,
    /// Octets of those packets.
    pub bytes: u64,
    /// Milliseconds since the last packet; `None`: none yet.
    pub used_ms: Option<u64>,
    /// As tcpdump writes them; empty: none seen.
    pub tcp_flags: String,
    /// What the flow does with a packet now. Empty: it drops.
    pub actions: Vec<String>,
}

impl FlowDump {
    /// `flow` as it is at `now`.
    pub fn new(flow: &FlowHandle, now: Time, show: Show<'_>) -> FlowDump {
        let stats = flow.stats();
        FlowDump {
            ufid: show.more.then(|| ufid(flow)),
            of_bridge: false,
            key: key(flow, show),
            packets: stats.packets,
            bytes: stats.bytes,
            used_ms: stats.used.map(|t| now.as_millis().saturating_sub(t.as_millis())),
            tcp_flags: fields::tcpdump_flags(stats.tcp_flags),
            actions: actions::list(&flow.actions.load(), &flow.packet_key, show),
        }
    }
}

impl FlowDump {
    /// The counters, as they stand in a dump.
    pub fn statistics(&self) -> String {
        let mut out = format!("packets:{}, bytes:{}, used:", self.packets, self.bytes);
        match self.used_ms {
            Some(ms) => out += &format!("{}.{:03}s", ms / 1000, ms % 1000),
            None => out += "never",
        }
        if !self.tcp_flags.is_empty() {
            out += &format!(", flags:{}", self.tcp_flags);
        }
        out
    }
}

fn key(flow: &FlowHandle, show: Show<'_>) -> Vec<Attr> {
    let mut key = fields::key(&flow.packet_key, &flow.mask, show);
    if compat::is_without_packet_type(flow)
        && let Some(at) = key.iter().position(|a| a.name == "packet_type")
    {
        // That it is Ethernet must be seen somehow.
        let ethernet = key.get(at + 1).is_some_and(|a| a.name == "eth");
        let eth = Attr { name: "eth", value: Value::Fields(Vec::new()) };
        key.splice(at..=at, (!ethernet).then_some(eth));
    }
    key
}

/// A flow that has just been installed, as Open vSwitch logs it: identities, match, actions.
pub fn installed(flow: &FlowHandle, show: Show<'_>) -> String {
    let id = ufid(flow);
    format!("ufid:{id} mega_ufid:{id} {}", Brief::of(flow, show))
}

/// A flow whose actions are others now, as Open vSwitch logs it.
pub fn modified(flow: &FlowHandle, show: Show<'_>) -> String {
    format!("ufid:{} {}", ufid(flow), Brief::of(flow, show))
}

/// A flow with its counters at `now`, as Open vSwitch logs it.
pub fn dumped(flow: &FlowHandle, now: Time, show: Show<'_>) -> String {
    FlowDump { of_bridge: true, ..FlowDump::new(flow, now, show) }.to_string()
}

/// A flow without its counters.
struct Brief(FlowDump);

impl Brief {
    fn of(flow: &FlowHandle, show: Show<'_>) -> Brief {
        Brief(FlowDump::new(flow, Time::ZERO, show))
    }
}

impl fmt::Display for Brief {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        commas(f, &self.0.key)?;
        f.write_str(", actions:")?;
        if self.0.actions.is_empty() { f.write_str("drop") } else { commas(f, &self.0.actions) }
    }
}

/// What `actions` do now with packets like `key`, as `ofproto/trace` shows it.
pub fn shown_actions(actions: &[Action], key: &FlowKey, show: Show<'_>) -> String {
    match actions::list(actions, key, show) {
        list if list.is_empty() => "drop".to_owned(),
        list => list.join(","),
    }
}

/// The flow's identity: a hash of what it matches, in the shape of a UUID.
pub fn ufid(flow: &FlowHandle) -> String {
    // Two FNV-1a runs (Fowler, Noll and Vo) from different starts: the same flow has the same
    // identity in every run of the program.
    let run = |start: u64| {
        let words = flow.key.words().iter().chain(flow.mask.words());
        words
            .flat_map(|w| w.to_le_bytes())
            .fold(start, |h, b| (h ^ u64::from(b)).wrapping_mul(0x0000_0100_0000_01b3))
    };
    let (a, b) = (run(0xcbf2_9ce4_8422_2325), run(0x9ae1_6a3b_2f90_404f));
    format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        a >> 32,
        (a >> 16) & 0xffff,
        a & 0xffff,
        b >> 48,
        b & 0xffff_ffff_ffff
    )
}

impl fmt::Display for FlowDump {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ufid) = &self.ufid {
            write!(f, "ufid:{ufid}{} ", if self.of_bridge { "" } else { "," })?;
        }
        commas(f, &self.key)?;
        write!(f, ", {}", self.statistics())?;
        if self.ufid.is_some() && !self.of_bridge {
            f.write_str(", dp:ovs")?;
        }
        f.write_str(", actions:")?;
        if self.actions.is_empty() { f.write_str("drop") } else { commas(f, &self.actions) }
    }
}

impl Serialize for FlowDump {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let mut map = s.serialize_map(None)?;
        if let Some(ufid) = &self.ufid {
            map.serialize_entry("ufid", ufid)?;
        }
        map.serialize_entry("match", &Attrs(&self.key))?;
        map.serialize_entry("packets", &self.packets)?;
        map.serialize_entry("bytes", &self.bytes)?;
        map.serialize_entry("used_ms", &self.used_ms)?;
        map.serialize_entry("tcp_flags", &self.tcp_flags)?;
        map.serialize_entry("actions", &self.actions)?;
        map.end()
    }
}
