//! Finding bridges, ports and interfaces by name.

use std::collections::BTreeSet;

use ovsdb::Uuid;

use super::topology::{Bridge, Interface, Port, Topology};
use super::{Before, Context, Done, Stop};
use crate::vsctl::db::{RowId, Wants};
use crate::vsctl::grammar::command::Command;
use crate::vsctl::grammar::words::nearest;

/// What every bridge or port command looks at.
pub(super) fn want(wants: &mut Wants) {
    wants.column("Open_vSwitch", "bridges");
    wants.columns("Bridge", &["name", "controller", "fail_mode", "ports"]);
    wants.columns("Port", &["name", "fake_bridge", "tag", "interfaces"]);
    wants.columns("Interface", &["name", "ofport", "error"]);
    wants.table("Controller");
}

/// [`want`] for a command that wants no more.
pub(super) fn before(before: &mut Before<'_, '_>, _: &Command) -> Done {
    want(before.wants);
    Ok(())
}

impl<'s> Context<'s, '_> {
    /// Everything by name, looked up when it is not known.
    pub fn topology(&mut self) -> &mut Topology<'s> {
        if self.topology.is_none() {
            let built = self.build();
            self.topology = Some(built);
        }
        self.topology.get_or_insert_with(Topology::default)
    }

    fn rows_of(&self, row: RowId<'s>, column: &str, table: &'static str) -> Vec<RowId<'s>> {
        let refs = self.refs(row, column).into_iter().map(|uuid| RowId { table, uuid });
        refs.filter(|row| self.txn.exists(*row)).collect()
    }

    /// The VLAN of a port that is a VLAN bridge.
    fn fake_vlan(&self, port: RowId<'s>) -> Option<i64> {
        let tag = self.integer(port, "tag").filter(|tag| (0..=4095).contains(tag))?;
        self.flag(port, "fake_bridge").then_some(tag)
    }

    fn build(&mut self) -> Topology<'s> {
        let mut all = Topology::default();
        let mut warnings = Vec::new();
        let bridges: Vec<(RowId<'s>, String)> = self
            .rows_of(self.root, "bridges", "Bridge")
            .into_iter()
            .map(|row| (row, self.text(row, "name")))
            .collect();
        let mut seen_ports = BTreeSet::new();
        for (row, name) in &bridges {
            if all.bridges.contains_key(name) {
                warnings.push(format!("{name}: database contains duplicate bridge name"));
                continue;
            }
            let real = Bridge { row: *row, parent: None, vlan: 0, ports: Vec::new() };
            all.bridges.insert(name.clone(), real);
            for port in self.rows_of(*row, "ports", "Port") {
                let port_name = self.text(port, "name");
                if !seen_ports.insert(port_name.clone()) || all.bridges.contains_key(&port_name) {
                    continue;
                }
                let Some(vlan) = self.fake_vlan(port) else { continue };
                if let Some(other) = all.vlan_bridge(name, vlan) {
                    warnings.push(format!(
                        "{name}: bridge has multiple VLAN bridges ({port_name} and {other}) for \
                         VLAN {vlan}, but only one is allowed"
                    ));
                } else {
                    all.vlans.insert((name.clone(), vlan), port_name.clone());
                }
                let fake =
                    Bridge { row: *row, parent: Some(name.clone()), vlan, ports: Vec::new() };
                all.bridges.insert(port_name, fake);
            }
        }
        let mut seen_bridges = BTreeSet::new();
        for (row, name) in &bridges {
            if seen_bridges.insert(name.clone()) {
                self.build_ports(&mut all, *row, name, &mut warnings);
            }
        }
        for warning in warnings {
            self.console.warn("vsctl", &warning);
        }
        all
    }

    fn build_ports(
        &self,
        all: &mut Topology<'s>,
        bridge: RowId<'s>,
        bridge_name: &str,
        warnings: &mut Vec<String>,
    ) {
        for port in self.rows_of(bridge, "ports", "Port") {
            let name = self.text(port, "name");
            if let Some(other) = all.ports.get(&name) {
                warnings.push(if other.row == port {
                    let first = &other.bridge;
                    format!("{name}: port is in multiple bridges ({bridge_name} and {first})")
                } else {
                    format!("{name}: database contains duplicate port name")
                });
                continue;
            }
            let mut interfaces = Vec::new();
            for interface in self.rows_of(port, "interfaces", "Interface") {
                let interface_name = self.text(interface, "name");
                if let Some(other) = all.interfaces.get(&interface_name) {
                    warnings.push(if other.row == interface {
                        let first = &other.port;
                        format!(
                            "{interface_name}: interface is in multiple ports ({first} and {name})"
                        )
                    } else {
                        format!("{interface_name}: database contains duplicate interface name")
                    });
                    continue;
                }
                interfaces.push((interface_name, interface));
            }
            all.add_port(bridge_name, &name, port, self.integer(port, "tag"), interfaces);
        }
    }

    /// Makes the transaction depend on which bridge has which ports, and which port has which
    /// interfaces.
    pub fn verify_ports(&mut self) {
        if self.ports_verified {
            return;
        }
        self.verify(self.root, "bridges");
        for bridge in self.txn.rows("Bridge") {
            self.verify(bridge, "ports");
        }
        for port in self.txn.rows("Port") {
            self.verify(port, "interfaces");
        }
        self.ports_verified = true;
    }

    /// Refuses a name that something has already.
    ///
    /// # Errors
    ///
    /// `problem` with what has it.
    pub fn check_free(&mut self, name: &str, problem: &str) -> Done {
        self.verify_ports();
        let all = self.topology();
        let owner = if all.bridges.contains_key(name) {
            Some(format!("a bridge named {name} already exists"))
        } else if let Some(port) = all.ports.get(name) {
            let bridge = &port.bridge;
            Some(format!("a port named {name} already exists on bridge {bridge}"))
        } else if let Some(interface) = all.interfaces.get(name) {
            let bridge = all.ports.get(&interface.port).map_or("", |port| port.bridge.as_str());
            Some(format!("an interface named {name} already exists on bridge {bridge}"))
        } else {
            None
        };
        match owner {
            None => Ok(()),
            Some(owner) => Stop::fatal(format!("{problem} because {owner}")),
        }
    }

    /// A bridge, if there is one.
    pub fn find_bridge(&mut self, name: &str) -> Option<Bridge<'s>> {
        let found = self.topology().bridges.get(name).cloned();
        self.verify(self.root, "bridges");
        found
    }

    /// A bridge that must be there.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn bridge(&mut self, name: &str) -> Result<Bridge<'s>, Stop> {
        self.find_bridge(name).ok_or_else(|| Stop::Fatal {
            text: format!("no bridge named {name}"),
            nearest: nearest(name, self.topology().bridges.keys().map(String::as_str)),
        })
    }

    /// A bridge that must be there and no VLAN bridge.
    ///
    /// # Errors
    ///
    /// It is not, or it is one.
    pub fn real_bridge(&mut self, name: &str) -> Result<Bridge<'s>, Stop> {
        let bridge = self.bridge(name)?;
        match bridge.parent {
            None => Ok(bridge),
            Some(_) => Stop::fatal(format!("{name} is a fake bridge")),
        }
    }

    /// A port, if there is one that is no bridge's own.
    pub fn find_port(&mut self, name: &str) -> Option<Port<'s>> {
        let found = self.topology().ports.get(name).filter(|port| port.bridge != name).cloned();
        self.verify_ports();
        found
    }

    /// A port that must be there.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn port(&mut self, name: &str) -> Result<Port<'s>, Stop> {
        self.find_port(name).ok_or_else(|| Stop::Fatal {
            text: format!("no port named {name}"),
            nearest: nearest(name, self.topology().ports.keys().map(String::as_str)),
        })
    }

    /// An interface with its bridge's name, if there is one that is no bridge's own.
    pub fn find_interface(&mut self, name: &str) -> Option<(Interface<'s>, String)> {
        let all = self.topology();
        let found = all.interfaces.get(name).and_then(|interface| {
            let bridge = all.ports.get(&interface.port)?.bridge.clone();
            (bridge != name).then(|| (interface.clone(), bridge))
        });
        self.verify_ports();
        found
    }

    /// An interface that must be there.
    ///
    /// # Errors
    ///
    /// It is not.
    pub fn interface(&mut self, name: &str) -> Result<(Interface<'s>, String), Stop> {
        self.find_interface(name).ok_or_else(|| Stop::Fatal {
            text: format!("no interface named {name}"),
            nearest: nearest(name, self.topology().interfaces.keys().map(String::as_str)),
        })
    }

    /// Adds a reference to a column of references.
    ///
    /// # Errors
    ///
    /// The schema has no such column.
    pub fn add_ref(&mut self, row: RowId<'s>, column: &str, uuid: Uuid) -> Done {
        let mut refs = self.refs(row, column);
        refs.push(uuid);
        self.set_refs(row, column, &refs)
    }

    /// Takes a reference out of a column of references.
    ///
    /// # Errors
    ///
    /// The schema has no such column.
    pub fn remove_ref(&mut self, row: RowId<'s>, column: &str, uuid: Uuid) -> Done {
        let mut refs = self.refs(row, column);
        refs.retain(|known| *known != uuid);
        self.set_refs(row, column, &refs)
    }
}
