//! Port numbers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datapath::{Datapath, DatapathError, MAX_PORTS, PortNo};
use netdev::PacketIo;
use ofproto::{OfPort, Ofproto};
use parking_lot::Mutex;

use config::WantBridge;

/// Datapath numbers that are not given out, because a flow may still name them: from the moment
/// that a port is to be closed until a round of the revalidator that began after that has looked at
/// every flow.
#[derive(Clone, Default)]
pub(super) struct Quarantine(Arc<Mutex<BTreeMap<PortNo, Held>>>);

/// Why a number is held back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Held {
    /// Its port is being closed.
    Closing,
    /// The port is gone; so many rounds had begun then.
    Rounds(u64),
}

impl Quarantine {
    /// The port of this number is to be closed, by another thread perhaps.
    pub(super) fn closing(&self, port: PortNo) {
        self.0.lock().insert(port, Held::Closing);
    }

    /// The port of this number is gone, and so is its number from the configuration: no flow that
    /// names it is made any more.
    pub(super) fn closed(&self, port: PortNo, ofproto: &ofproto::Ofproto) {
        self.0.lock().insert(port, Held::Rounds(ofproto.rounds_begun()));
    }

    /// The numbers that are still held back.
    fn held(&self, ofproto: &ofproto::Ofproto) -> BTreeSet<PortNo> {
        let ended = ofproto.rounds_ended();
        let mut all = self.0.lock();
        all.retain(|_, held| match held {
            Held::Closing => true,
            Held::Rounds(begun) => ended <= *begun,
        });
        all.keys().copied().collect()
    }
}

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
    last_ofport: &mut u16,
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
    let mut next = (*last_ofport + 1..=GIVEN_MAX).chain(1..=*last_ofport);
    let next = next.find(|p| free(p) && !others.contains(p));
    if let Some(next) = next {
        *last_ofport = next;
    }
    OfPort(next.or_else(|| (1..OFPP_MAX).find(free)).unwrap_or(OFPP_MAX - 1))
}

/// Why a device has no port in the datapath.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum AddError {
    #[error("{0}")]
    Datapath(#[from] DatapathError),
    /// Every number is in use or held back. Some are free again when the revalidator's next round
    /// has ended.
    #[error("no port number is free; {0} are held back until no flow names them")]
    Held(usize),
}

/// Adds a device to the datapath under a number that no flow can still name; under
/// `wanted`, unless another device has it.
pub(super) fn add(
    datapath: &Arc<dyn Datapath>,
    ofproto: &Ofproto,
    name: &str,
    wanted: Option<PortNo>,
    io: Box<dyn PacketIo>,
    used: &BTreeSet<PortNo>,
    quarantine: &Quarantine,
) -> Result<PortNo, AddError> {
    let number = pick(wanted, used, &quarantine.held(ofproto))?;
    Ok(datapath.port_add(name, io, Some(number))?)
}

/// `wanted` if it is not in use, else the lowest number that is neither in use nor held back.
fn pick(
    wanted: Option<PortNo>,
    used: &BTreeSet<PortNo>,
    held: &BTreeSet<PortNo>,
) -> Result<PortNo, AddError> {
    let free = |p: &PortNo| !used.contains(p);
    let wanted = wanted.filter(free);
    let lowest = || (1..MAX_PORTS).map(PortNo).find(|p| free(p) && !held.contains(p));
    wanted.or_else(lowest).ok_or(AddError::Held(held.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use config::{DummyPolicy, desired};
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

    /// A number is held back until a round that began after its port was gone has ended.
    #[test]
    fn a_number_is_free_after_a_round_that_saw_its_port_gone() {
        use datapath::Datapath;
        use datapath_testing::Fake;

        let (ofproto, dp) = (ofproto::Ofproto::new(), Arc::new(Fake::new()));
        let datapath: Arc<dyn Datapath> = dp.clone();
        ofproto.attach(datapath.clone());
        let mut revalidator = ofproto::Revalidator::new(ofproto.clone(), datapath);
        let q = Quarantine::default();
        let held = || q.held(&ofproto).into_iter().map(|p| p.0).collect::<Vec<_>>();
        let now = dp.now();

        q.closing(PortNo(7));
        revalidator.run(now, &[]);
        assert_eq!(held(), [7], "a port that is being closed still has its number");
        q.closed(PortNo(7), &ofproto);
        assert_eq!(held(), [7]);
        revalidator.run(now, &[]);
        assert!(held().is_empty(), "{:?}", held());
    }

    #[test]
    fn numbers_run_out_without_taking_one_that_is_held_back() {
        let all: BTreeSet<PortNo> = (1..MAX_PORTS).map(PortNo).collect();
        let used: BTreeSet<PortNo> = all.iter().copied().filter(|p| p.0 > 3).collect();
        let held = BTreeSet::from([PortNo(1), PortNo(3)]);
        assert_eq!(pick(None, &used, &held), Ok(PortNo(2)));
        assert_eq!(pick(Some(PortNo(3)), &used, &held), Ok(PortNo(3)), "a dummy's");
        assert_eq!(pick(None, &used, &all), Err(AddError::Held(65_535)));
        assert_eq!(pick(Some(PortNo(4)), &all, &BTreeSet::new()), Err(AddError::Held(0)));
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
