//! Bridges, VLAN bridges, ports and interfaces, as the bridge and port commands see them.

use std::collections::BTreeMap;

use crate::vsctl::db::RowId;

/// A bridge.
#[derive(Debug, Clone)]
pub struct Bridge<'s> {
    /// Its row; of a VLAN bridge its parent's.
    pub row: RowId<'s>,
    /// Of a VLAN bridge: the bridge it is a part of.
    pub parent: Option<String>,
    /// Of a VLAN bridge: its VLAN; else 0.
    pub vlan: i64,
    /// Names of its ports.
    pub ports: Vec<String>,
}

/// A port.
#[derive(Debug, Clone)]
pub struct Port<'s> {
    /// Its row.
    pub row: RowId<'s>,
    /// Its bridge, or the VLAN bridge of its VLAN.
    pub bridge: String,
    /// Names of its interfaces.
    pub interfaces: Vec<String>,
}

/// An interface.
#[derive(Debug, Clone)]
pub struct Interface<'s> {
    /// Its row.
    pub row: RowId<'s>,
    /// Its port's name.
    pub port: String,
}

/// All of them by name.
#[derive(Debug, Clone, Default)]
pub struct Topology<'s> {
    /// Bridges and VLAN bridges.
    pub bridges: BTreeMap<String, Bridge<'s>>,
    /// Ports, the local ones too.
    pub ports: BTreeMap<String, Port<'s>>,
    /// Interfaces, the local ones too.
    pub interfaces: BTreeMap<String, Interface<'s>>,
    pub(super) vlans: BTreeMap<(String, i64), String>,
}

impl<'s> Topology<'s> {
    /// The VLAN bridge of a bridge and a VLAN.
    pub fn vlan_bridge(&self, parent: &str, vlan: i64) -> Option<&String> {
        self.vlans.get(&(parent.to_owned(), vlan))
    }

    /// Names of the VLAN bridges of a bridge.
    pub fn children(&self, parent: &str) -> Vec<String> {
        let of_parent =
            |(_, bridge): &(&String, &Bridge<'s>)| bridge.parent.as_deref() == Some(parent);
        self.bridges.iter().filter(of_parent).map(|(name, _)| name.clone()).collect()
    }

    /// Adds a port with its interfaces. `tag` moves it to a VLAN bridge, if there is one.
    pub fn add_port(
        &mut self,
        bridge: &str,
        name: &str,
        row: RowId<'s>,
        tag: Option<i64>,
        interfaces: Vec<(String, RowId<'s>)>,
    ) {
        let vlan = tag.filter(|tag| (0..=4095).contains(tag));
        let bridge = vlan
            .and_then(|vlan| self.vlan_bridge(bridge, vlan).cloned())
            .unwrap_or_else(|| bridge.to_owned());
        if let Some(bridge) = self.bridges.get_mut(&bridge) {
            bridge.ports.push(name.to_owned());
        }
        let names = interfaces.iter().map(|(name, _)| name.clone()).collect();
        self.ports.insert(name.to_owned(), Port { row, bridge, interfaces: names });
        for (interface, row) in interfaces {
            self.interfaces.insert(interface, Interface { row, port: name.to_owned() });
        }
    }
}
