//! Which bridge is meant, and with which packet.

use datapath::format::parse::{self, PacketFields};
use datapath::{Packet, PortNo};
use openflow::text::{self, Names};
use openflow::{Fields, OfPort};
use wire::compose::{self, compose};
use wire::{EtherType, FlowKey, extract};

use super::args::{PacketArg, Payload};
use crate::config::{IfaceConfig, IfaceKind};
use crate::recirc::RecircTable;
use crate::snapshot::{Bridge, Snapshot};
use crate::vlan;

/// The datapath's ports by name. The daemon, which opens the devices, knows them.
pub trait PortNames {
    /// The datapath's number of the port of this name.
    fn number(&self, name: &str) -> Option<PortNo>;
    /// The name of the port of this number.
    fn name(&self, port: PortNo) -> Option<String>;
}

/// A packet, or what one would look like, and the bridge that it arrives at.
pub(super) struct Target {
    /// Index in the snapshot.
    pub(super) bridge: usize,
    pub(super) flow: Fields,
    pub(super) packet: Option<Packet>,
}

/// Reads the flow: in the datapath's notation if it is that, else in OpenFlow's.
///
/// # Errors
///
/// The text that `ovs-appctl` prints.
pub(super) fn find(
    snap: &Snapshot,
    frozen: &RecircTable,
    place: Option<&str>,
    flow: &str,
    packet: PacketArg,
    ports: &dyn PortNames,
) -> Result<Target, String> {
    let (bridge, mut flow) = match parse::packet(flow, &|name| ports.number(name)) {
        Ok(odp) => of_datapath(snap, frozen, place, odp)?,
        Err(e) => {
            let omitted = || format!("{e} (or the bridge name was omitted)");
            let name = place.ok_or_else(omitted)?;
            let found = snap.bridges.iter().position(|b| b.name == name);
            let bridge = found.ok_or_else(|| format!("{name}: unknown bridge"))?;
            let b = &snap.bridges[bridge];
            let mut fields = text::parse_exact_flow(flow, &BridgeNames(b))
                .map_err(|e| format!("Bad openflow flow syntax: {e}"))?;
            fields.key.in_port = datapath_port(b, fields.in_port).0;
            // OpenFlow knows the tag, not its type.
            if fields.key.vlan[0].is_present() {
                fields.key.vlan[0].tpid = EtherType::VLAN;
            }
            (bridge, fields)
        }
    };
    let packet = match packet {
        PacketArg::None => None,
        PacketArg::Generate(payload) => Some(generate(&flow, &payload)),
        PacketArg::Frame(frame) => {
            flow.key = received(&frame, &flow.key, snap.vlan_limit);
            Some(Packet::new(&frame))
        }
    };
    Ok(Target { bridge, flow, packet })
}

fn of_datapath(
    snap: &Snapshot,
    frozen: &RecircTable,
    place: Option<&str>,
    odp: PacketFields,
) -> Result<(usize, Fields), String> {
    if !has_datapath(snap, place) {
        return Err("Cannot find the datapath".to_owned());
    }
    let mut flow = fields(odp);
    flow.key = vlan::limited(&flow.key, snap.vlan_limit);
    if flow.key.recirc_id != 0 {
        let id = flow.key.recirc_id;
        let of_rule = frozen.get(id).and_then(|f| {
            let bridge = snap.bridges.iter().position(|b| b.name == f.state().bridge)?;
            Some((bridge, f.in_port()))
        });
        if let Some((bridge, in_port)) = of_rule {
            flow.in_port = in_port;
            flow.key.in_port = datapath_port(&snap.bridges[bridge], in_port).0;
            return Ok((bridge, flow));
        }
        let unknown = || format!("no recirculation data for recirc_id {id:#x}");
        let bridge = snap.recirc_bridge(id).ok_or_else(unknown)?;
        // The bond, not the packet, made it come round.
        flow.in_port = OfPort::NONE;
        return Ok((bridge, flow));
    }
    let port = flow.key.in_port;
    let unknown = || format!("no OpenFlow port for datapath port {port}");
    let at = snap.port(PortNo(port)).ok_or_else(unknown)?;
    flow.in_port = snap.bridges[at.bridge].bundles[at.bundle].ifaces[at.iface].of_port;
    Ok((at.bridge, flow))
}

/// Whether some bridge has a datapath of this name, with or without `ovs-` in front. Without a
/// name there must be one only.
fn has_datapath(snap: &Snapshot, place: Option<&str>) -> bool {
    let mut types: Vec<&str> = snap.bridges.iter().map(|b| b.datapath_type.as_str()).collect();
    types.sort_unstable();
    types.dedup();
    match place {
        Some(name) => types.contains(&name.strip_prefix("ovs-").unwrap_or(name)),
        None => types.len() == 1,
    }
}

fn fields(odp: PacketFields) -> Fields {
    let v4 = |a: u128| u32::try_from(a).ok();
    Fields {
        key: odp.key,
        tun_id: odp.tun_id,
        tun_src: v4(odp.tun_src).unwrap_or(0),
        tun_dst: v4(odp.tun_dst).unwrap_or(0),
        tun_ipv6_src: if v4(odp.tun_src).is_none() { odp.tun_src } else { 0 },
        tun_ipv6_dst: if v4(odp.tun_dst).is_none() { odp.tun_dst } else { 0 },
        tun_ttl: odp.tun_ttl,
        tun_tos: odp.tun_tos,
        ct_state: odp.ct_state,
        ct_zone: odp.ct_zone,
        ct_mark: odp.ct_mark,
        mpls: odp.mpls,
        ..Fields::default()
    }
}

/// The key of a frame that is given, with the metadata of the flow that is given.
fn received(frame: &[u8], metadata: &FlowKey, limit: usize) -> FlowKey {
    let (key, _) = extract::extract_layers(frame, metadata.in_port, limit);
    FlowKey {
        recirc_id: metadata.recirc_id,
        dp_hash: metadata.dp_hash,
        pkt_mark: metadata.pkt_mark,
        skb_priority: metadata.skb_priority,
        ..key
    }
}

fn generate(flow: &Fields, payload: &Payload) -> Packet {
    let counting: Vec<u8>;
    let octets = match payload {
        Payload::Octets(octets) => octets.as_slice(),
        Payload::Counting(n) => {
            counting = (0..*n).map(|i| i as u8).collect();
            &counting
        }
    };
    Packet::new(&compose(&flow.key, &flow.mpls, compose::Payload::Octets(octets)))
}

/// Where packets from this OpenFlow port come from in the datapath.
fn datapath_port(bridge: &Bridge, port: OfPort) -> PortNo {
    let found = ifaces(bridge).find(|i| i.of_port == port);
    match found.map(|i| &i.kind) {
        Some(IfaceKind::Datapath(port)) => *port,
        Some(IfaceKind::Patch { .. }) | None => PortNo::NONE,
    }
}

fn ifaces(bridge: &Bridge) -> impl Iterator<Item = &IfaceConfig> {
    bridge.bundles.iter().flat_map(|b| &b.ifaces)
}

/// The names of a bridge's interfaces.
pub(super) struct BridgeNames<'a>(pub(super) &'a Bridge);

impl Names for BridgeNames<'_> {
    fn port_name(&self, port: OfPort) -> Option<String> {
        ifaces(self.0).find(|i| i.of_port == port).map(|i| i.name.clone())
    }

    fn port_number(&self, name: &str) -> Option<OfPort> {
        ifaces(self.0).find(|i| i.name == name).map(|i| i.of_port)
    }
}
