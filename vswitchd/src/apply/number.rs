//! Port numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use datapath::{DatapathError, PortNo};
use netdev::PacketIo;
use ofproto::OfPort;
use wire::Time;

use super::{Attached, Parts};
use crate::config::WantBridge;

/// How long a datapath number that was closed is not given out again: until the revalidator has
/// surely looked at every flow that names it.
const QUARANTINE: Duration = Duration::from_secs(3);

/// The first reserved OpenFlow port number.
const OFPP_MAX: u16 = OfPort::MAX.0;

/// Numbers above this are for those who ask.
const GIVEN_MAX: u16 = 0x7fff;

/// The number asked for, else the one of the last run, else the next after `given` that is free
/// and that no other interface of the bridge asks for or had: a number that was free'd lately may
/// still be in a controller's flows.
pub(super) fn of_port(
    bridge: &WantBridge,
    asked: Option<u16>,
    last: Option<u16>,
    taken: &BTreeSet<OfPort>,
    given: &mut u16,
) -> OfPort {
    let free = |p: &u16| !taken.contains(&OfPort(*p));
    if let Some(p) = asked.filter(free).or(last.filter(free)) {
        return OfPort(p);
    }
    let others: BTreeSet<u16> = bridge
        .ports
        .iter()
        .flat_map(|p| &p.ifaces)
        .filter_map(|i| i.ofport_request.or(i.ofport))
        .collect();
    let mut next = (*given + 1..=GIVEN_MAX).chain(1..=*given);
    let next = next.find(|p| free(p) && !others.contains(p));
    if let Some(next) = next {
        *given = next;
    }
    OfPort(next.or_else(|| (1..OFPP_MAX).find(free)).unwrap_or(OFPP_MAX - 1))
}

/// The number that a datapath of dummies gives a port of this name, so that tests know it: the
/// first number in the name, from 100 on for a name that begins with `br`.
fn by_name(name: &str) -> Option<PortNo> {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let base = if name.starts_with("br") { 100 } else { 0 };
    let number = digits[..end].parse::<u16>().ok()?.checked_add(base)?;
    (number != 0).then_some(PortNo(u32::from(number)))
}

/// Adds a device to the datapath under a number that no flow can still name; under the one in its
/// name, if it is `named` and nobody has that.
pub(super) fn add(
    parts: &Parts<'_>,
    name: &str,
    named: bool,
    io: Box<dyn PacketIo>,
    attached: &BTreeMap<String, Attached>,
    doomed: &BTreeSet<PortNo>,
    quarantine: &mut BTreeMap<PortNo, Time>,
) -> Result<PortNo, DatapathError> {
    quarantine.retain(|_, since| parts.now.since(*since) < QUARANTINE);
    let used: BTreeSet<PortNo> = attached.values().filter_map(|a| a.port_no).collect();
    let free = |p: &PortNo| !used.contains(p) && !doomed.contains(p);
    let number = by_name(name)
        .filter(|p| named && free(p))
        .or_else(|| (1..).map(PortNo).find(|p| free(p) && !quarantine.contains_key(p)));
    parts.datapath.port_add(name, io, number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{DummyPolicy, desired};
    use ovsdb::Uuid;
    use ovsdb_client::rows::{Bridge, Interface, OpenVSwitch, Port, Tables};

    fn bridge(ifaces: &[(&str, Option<i64>, Option<i64>)]) -> WantBridge {
        let mut t = Tables::default();
        let id = |n: u128| Uuid::from_u128(n);
        let mut ports = Vec::new();
        for (n, (name, asked, last)) in ifaces.iter().enumerate() {
            let (p, i) = (id(100 + n as u128), id(200 + n as u128));
            ports.push(p);
            let name = (*name).to_owned();
            let iface = Interface {
                name: name.clone(),
                ofport_request: *asked,
                ofport: *last,
                ..Interface::default()
            };
            t.interfaces.insert(i, iface);
            t.ports.insert(p, Port { name, interfaces: vec![i], ..Port::default() });
        }
        t.bridges.insert(id(2), Bridge { name: "br0".into(), ports, ..Bridge::default() });
        let root = OpenVSwitch { bridges: vec![id(2)], ..OpenVSwitch::default() };
        t.open_vswitch.insert(id(1), root);
        desired(&t, DummyPolicy::Off).bridges.remove(0)
    }

    #[test]
    fn numbers_in_names() {
        let n = |name: &str| by_name(name).map(|p| p.0);
        assert_eq!((n("p1"), n("p10"), n("eth3.7")), (Some(1), Some(10), Some(3)));
        assert_eq!((n("br0"), n("br11"), n("p0"), n("p")), (Some(100), Some(111), None, None));
        assert_eq!((n("p65535"), n("br65500"), n("p99999")), (Some(65535), None, None));
    }

    #[test]
    fn openflow_numbers() {
        let br = bridge(&[("a", Some(3), None), ("b", None, Some(1)), ("c", None, None)]);
        let none = BTreeSet::new();
        let mut given = 0;
        let mut number = |asked, last, taken| of_port(&br, asked, last, taken, &mut given).0;
        assert_eq!(number(Some(3), None, &none), 3, "asked for");
        assert_eq!(number(None, Some(1), &none), 1, "of the last run");
        assert_eq!(number(None, None, &none), 2, "nobody's");
        assert_eq!(number(None, None, &none), 4, "not the same again");
        let taken = BTreeSet::from([OfPort(3), OfPort(5)]);
        assert_eq!(number(Some(3), None, &taken), 6, "taken by another");
        given = GIVEN_MAX;
        assert_eq!(of_port(&br, None, None, &taken, &mut given), OfPort(2), "from the start");
    }
}
