//! Which port an interface belongs to.

use std::collections::{BTreeMap, BTreeSet};

use ovsdb::Uuid;
use ovsdb_client::rows::{OpenVSwitch, Tables};

/// Names that a bridge has taken already.
#[derive(Default)]
pub(crate) struct Claims {
    pub(crate) interfaces: BTreeSet<String>,
    /// Interfaces' rows that more than one port names, with the port that has each already: a
    /// mistake elsewhere takes nothing away from a port that works.
    pub(crate) owners: BTreeMap<Uuid, Uuid>,
}

/// Which of several ports keeps an interface: the one that had it before, if it still wants it.
///
/// `before` gives the interfaces' rows that had a port, with that port's row.
pub(crate) fn owners(
    tables: &Tables,
    root: &OpenVSwitch,
    before: impl Iterator<Item = (Uuid, Uuid)>,
) -> BTreeMap<Uuid, Uuid> {
    let mut claims: BTreeMap<Uuid, BTreeSet<Uuid>> = BTreeMap::new();
    let bridges = root.bridges.iter().filter_map(|u| tables.bridges.get(u));
    for port in bridges.flat_map(|b| &b.ports) {
        for iface in tables.ports.get(port).into_iter().flat_map(|p| &p.interfaces) {
            claims.entry(*iface).or_default().insert(*port);
        }
    }
    claims.retain(|_, ports| ports.len() > 1);
    before.filter(|(iface, port)| claims.get(iface).is_some_and(|c| c.contains(port))).collect()
}
