//! A database of one bridge, and what the switch makes of it.

use std::collections::BTreeMap;

use config::{Desired, DummyPolicy, WantPort, desired};
use ovsdb_client::Uuid;
use ovsdb_client::rows::{Bridge, Interface, OpenVSwitch, Port, Tables};

pub(crate) fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
}

/// A database of one bridge, br0, built up row by row.
pub(crate) struct Rows {
    pub(crate) tables: Tables,
    last: u128,
}

impl Rows {
    pub(crate) fn new() -> Rows {
        let mut tables = Tables::default();
        let bridge = Uuid::from_u128(2);
        let root = OpenVSwitch { bridges: vec![bridge], ..OpenVSwitch::default() };
        tables.open_vswitch.insert(Uuid::from_u128(1), root);
        tables.bridges.insert(bridge, Bridge { name: "br0".to_owned(), ..Bridge::default() });
        let mut rows = Rows { tables, last: 10 };
        rows.port(Port { name: "br0".to_owned(), ..Port::default() }, &["br0"]);
        rows
    }

    pub(crate) fn next(&mut self) -> Uuid {
        self.last += 1;
        Uuid::from_u128(self.last)
    }

    pub(crate) fn bridge(&mut self) -> &mut Bridge {
        self.tables.bridges.get_mut(&Uuid::from_u128(2)).unwrap()
    }

    pub(crate) fn iface(&mut self, row: Interface) -> Uuid {
        let uuid = self.next();
        self.tables.interfaces.insert(uuid, row);
        uuid
    }

    pub(crate) fn port_of(&mut self, row: Port, interfaces: Vec<Uuid>) {
        let uuid = self.next();
        self.tables.ports.insert(uuid, Port { interfaces, ..row });
        self.bridge().ports.push(uuid);
    }

    pub(crate) fn port(&mut self, row: Port, names: &[&str]) {
        let interfaces = names
            .iter()
            .map(|n| self.iface(Interface { name: (*n).to_owned(), ..Interface::default() }))
            .collect();
        self.port_of(row, interfaces);
    }

    pub(crate) fn wanted(&self) -> Desired {
        desired(&self.tables, DummyPolicy::Off)
    }
}

pub(crate) fn bond_row(other_config: &[(&str, &str)]) -> Port {
    Port { name: "bond0".to_owned(), other_config: map(other_config), ..Port::default() }
}

pub(crate) fn one(row: Port, names: &[&str]) -> (WantPort, Vec<String>) {
    let mut rows = Rows::new();
    let name = row.name.clone();
    rows.port(row, names);
    let wanted = rows.wanted();
    let port = wanted.bridges[0].ports.iter().find(|p| p.name == name).unwrap().clone();
    (port, wanted.warnings.iter().map(ToString::to_string).collect())
}
