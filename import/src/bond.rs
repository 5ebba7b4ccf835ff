//! Profiles put together: each bond with its members, VLANs and bridge.

use serde::Serialize;

use crate::profile::{BondOption, Kind, Network, Port, Profile};
use crate::read::EVERY;

/// A bond or team with all that belongs to it.
#[derive(Clone, Debug, Serialize)]
pub struct Bond {
    /// The device's name.
    pub name: String,
    /// Files or other sources.
    pub sources: Vec<String>,
    /// Options of Linux bonding, in the order of the source.
    pub options: Vec<BondOption>,
    /// Keys of `Port.other_config` for what Linux bonding has no option for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<(&'static str, String)>,
    /// The members, in the order in which the source names them.
    pub members: Vec<Member>,
    /// Addresses and the like of the bond's device.
    pub network: Network,
    /// VLAN devices on top.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub vlans: Vec<Vlan>,
    /// The Linux bridge that the bond is a port of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Bridge>,
    /// What has no equal.
    #[serde(skip)]
    pub remarks: Vec<String>,
}

/// A member of a bond.
#[derive(Clone, Debug, Serialize)]
pub struct Member {
    /// The device's name.
    pub name: String,
    /// Its settings.
    #[serde(flatten)]
    pub port: Port,
}

/// A VLAN device on a bond.
#[derive(Clone, Debug, Serialize)]
pub struct Vlan {
    /// The device's name.
    pub name: String,
    /// The VLAN ID, 1 to 4094.
    pub id: u16,
    /// Its addresses and the like.
    pub network: Network,
    /// The Linux bridge that it is a port of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bridge: Option<Bridge>,
}

/// A Linux bridge with a bond or a VLAN of a bond as a port.
#[derive(Clone, Debug, Serialize)]
pub struct Bridge {
    /// The device's name.
    pub name: String,
    /// Its addresses and the like.
    pub network: Network,
    /// Its other ports.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub other_ports: Vec<String>,
}

impl Bond {
    /// The value of an option, if it is set.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().find(|o| o.name == name).map(|o| o.value.as_str())
    }

    /// The mode by the kernel's name; balance-rr is the driver's default.
    pub fn mode(&self) -> &str {
        self.option("mode").unwrap_or("balance-rr")
    }
}

/// Adds to `into` what another profile says of the same device. What `into` says already counts.
pub fn merge(into: &mut Profile, from: Profile) {
    into.kind = match (std::mem::take(&mut into.kind), from.kind) {
        (Kind::Device, kind) => kind,
        (Kind::Vlan { parent, id }, Kind::Vlan { parent: other, id: other_id }) => Kind::Vlan {
            parent: if parent.is_empty() { other } else { parent },
            id: if id == 0 { other_id } else { id },
        },
        (kind, _) => kind,
    };
    into.aliases.extend(from.aliases);
    into.master = into.master.take().or(from.master);
    append_new(&mut into.ports, from.ports);
    for option in from.options {
        if !into.options.iter().any(|o| o.name == option.name) {
            into.options.push(option);
        }
    }
    into.extra.extend(from.extra);
    into.port.merge(&from.port);
    into.port_settings.extend(from.port_settings);
    let (network, other) = (&mut into.network, from.network);
    append_new(&mut network.addresses, other.addresses);
    append_new(&mut network.routes, other.routes);
    append_new(&mut network.dns, other.dns);
    network.dhcp |= other.dhcp;
    network.mtu = network.mtu.or(other.mtu);
    network.mac = network.mac.take().or(other.mac);
    append_new(&mut into.remarks, from.remarks);
    if !from.source.is_empty() && !into.source.split(", ").any(|s| s == from.source) {
        if !into.source.is_empty() {
            into.source.push_str(", ");
        }
        into.source.push_str(&from.source);
    }
}

fn append_new<T: PartialEq>(into: &mut Vec<T>, from: Vec<T>) {
    for one in from {
        if !into.contains(&one) {
            into.push(one);
        }
    }
}

/// Puts bonds together, in the order of the profiles.
pub fn assemble(profiles: Vec<Profile>) -> Vec<Bond> {
    let mut every = Profile::default();
    let mut devices: Vec<Profile> = Vec::new();
    for p in profiles {
        if p.name == EVERY {
            merge(&mut every, p);
        } else {
            match devices.iter_mut().find(|d| d.name == p.name) {
                Some(known) => merge(known, p),
                None => devices.push(p),
            }
        }
    }
    let bonds = devices.iter().filter(|d| d.kind == Kind::Bond);
    bonds.map(|b| bond(b, &devices, &every)).collect()
}

/// Whether `name` in another profile means this device.
fn means(device: &Profile, name: &str) -> bool {
    device.name == name || device.aliases.iter().any(|a| a == name)
}

fn bond(b: &Profile, devices: &[Profile], every: &Profile) -> Bond {
    let mut bond = Bond {
        name: b.name.clone(),
        sources: b.source.split(", ").map(str::to_owned).collect(),
        options: b.options.clone(),
        extra: b.extra.clone(),
        members: Vec::new(),
        network: b.network.clone(),
        vlans: Vec::new(),
        bridge: bridge_of(b, devices),
        remarks: b.remarks.clone(),
    };
    if bond.options.is_empty() && !every.options.is_empty() {
        bond.options = every.options.clone();
        bond.sources.push(every.source.clone());
        bond.remarks.extend(every.remarks.iter().cloned());
    }
    // The bond's own list first: its order is the order of enslaving.
    let listed = b.ports.iter().map(|port| {
        let device = devices.iter().find(|d| means(d, port));
        (device.map_or_else(|| port.clone(), |d| d.name.clone()), device)
    });
    let claimed = devices
        .iter()
        .filter(|d| d.master.as_deref().is_some_and(|m| means(b, m)))
        .map(|d| (d.name.clone(), Some(d)));
    for (name, device) in listed.chain(claimed) {
        if bond.members.iter().any(|m| m.name == name) {
            continue;
        }
        let mut port = Port::default();
        if let Some((_, settings)) = b.port_settings.iter().find(|(n, _)| *n == name) {
            port = settings.clone();
        }
        if let Some(device) = device {
            port.merge(&device.port);
            // Some formats put options of the bond beside its members.
            for option in &device.options {
                if !bond.options.iter().any(|o| o.name == option.name) {
                    bond.options.push(option.clone());
                }
            }
            append_new(&mut bond.remarks, device.remarks.clone());
            bond.network.mtu = bond.network.mtu.or(device.network.mtu);
            if !device.network.addresses.is_empty() {
                bond.remarks.push(format!(
                    "{name} has addresses of its own; a member's addresses are not used."
                ));
            }
        }
        bond.members.push(Member { name, port });
    }
    for d in devices {
        if let Kind::Vlan { parent, id } = &d.kind
            && means(b, parent)
        {
            bond.vlans.push(Vlan {
                name: d.name.clone(),
                id: *id,
                network: d.network.clone(),
                bridge: bridge_of(d, devices),
            });
            append_new(&mut bond.remarks, d.remarks.clone());
        }
    }
    bond
}

/// The Linux bridge that a device is a port of.
fn bridge_of(device: &Profile, devices: &[Profile]) -> Option<Bridge> {
    let bridge = devices.iter().filter(|d| d.kind == Kind::Bridge).find(|d| {
        d.ports.iter().any(|p| means(device, p))
            || device.master.as_deref().is_some_and(|m| means(d, m))
    });
    let Some(bridge) = bridge else {
        // A master without a profile of its own can only be a bridge.
        let name = device.master.clone()?;
        return Some(Bridge { name, network: Network::default(), other_ports: Vec::new() });
    };
    let listed = bridge.ports.iter().filter(|p| !means(device, p)).cloned();
    let claimed = devices
        .iter()
        .filter(|d| d.name != device.name && d.master.as_deref().is_some_and(|m| means(bridge, m)))
        .map(|d| d.name.clone());
    let mut other_ports: Vec<String> = Vec::new();
    append_new(&mut other_ports, listed.chain(claimed).collect());
    Some(Bridge { name: bridge.name.clone(), network: bridge.network.clone(), other_ports })
}
