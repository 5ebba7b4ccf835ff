//! What stands by for bonds' tables: the packet thread's view of the members' links.
//!
//! The packet thread reads the count of carrier changes of the member that it sends by, and when
//! it has changed to "lost", it publishes the table that the engine would publish
//! (`datapath::Standby`). The engine hears of it by way of [`Standbys::take`], in the turn for which
//! the packet thread wakes the links thread, and publishes its own table then.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use datapath::PortLink;
use netdev::link::carrier::CarrierChanges;

use crate::prober::Sighting;

/// Bonds worked out in one turn of the links thread; some tens of microseconds each.
const BONDS_A_TURN: usize = 8;

/// Packet threads have seen a count change. What they have seen is in the [`CountedLink`]s.
struct News {
    any: AtomicBool,
    waker: Arc<mio::Waker>,
}

/// A link that had its carrier at a known count of changes.
struct CountedLink {
    file: Arc<CarrierChanges>,
    up_at: u32,
    /// The latest count.
    seen: AtomicU32,
    /// The control side was told that it is another one.
    told: AtomicBool,
    news: Arc<News>,
}

impl PortLink for CountedLink {
    fn is_lost(&self) -> bool {
        // The device is gone: rtnetlink says so.
        let Ok(count) = self.file.read() else { return false };
        self.seen.store(count, Ordering::Relaxed);
        count.wrapping_sub(self.up_at) % 2 == 1
    }

    fn report(&self) {
        let changed = self.seen.load(Ordering::Relaxed) != self.up_at;
        if changed && !self.told.load(Ordering::Relaxed) {
            self.told.store(true, Ordering::Release);
            self.news.any.store(true, Ordering::Release);
            // Fails only when the links thread has gone.
            let _ = self.news.waker.wake();
        }
    }
}

/// The links thread's part.
pub(crate) struct Standbys {
    /// Counts for the packet thread, by device.
    files: BTreeMap<u32, Arc<CarrierChanges>>,
    /// What each bond's standby looks at, by device.
    links: BTreeMap<String, Vec<(u32, Arc<CountedLink>)>>,
    /// Bonds whose standby is to be worked out.
    due: BTreeSet<String>,
    news: Arc<News>,
}

impl Standbys {
    /// `waker` wakes the links thread.
    pub(crate) fn new(waker: Arc<mio::Waker>) -> Standbys {
        let news = Arc::new(News { any: AtomicBool::new(false), waker });
        Standbys { files: BTreeMap::new(), links: BTreeMap::new(), due: BTreeSet::new(), news }
    }

    /// A device's count has been opened.
    pub(crate) fn opened(&mut self, ifindex: u32, file: CarrierChanges) {
        self.files.insert(ifindex, Arc::new(file));
    }

    /// Closes the counts of all devices but these.
    pub(crate) fn retain(&mut self, ifindices: &BTreeSet<u32>) {
        self.files.retain(|ifindex, _| ifindices.contains(ifindex));
    }

    /// Has a bond's standby worked out in this turn or one of the next.
    pub(crate) fn request(&mut self, bond: &str) {
        self.due.insert(bond.to_owned());
    }

    /// The bonds for this turn. Wakes the thread again if there are more.
    pub(crate) fn take_due(&mut self) -> Vec<String> {
        let mut bonds = Vec::new();
        while bonds.len() < BONDS_A_TURN
            && let Some(bond) = self.due.pop_first()
        {
            bonds.push(bond);
        }
        if !self.due.is_empty() {
            // Fails only at exit.
            let _ = self.news.waker.wake();
        }
        bonds
    }

    /// Forgets what a bond's standby looks at.
    pub(crate) fn clear(&mut self, bond: &str) {
        self.links.remove(bond);
    }

    /// The link of a bond's member that has its carrier at the count `up_at`. `None` if the count
    /// cannot be read.
    pub(crate) fn link(
        &mut self,
        bond: &str,
        ifindex: u32,
        up_at: u32,
    ) -> Option<Arc<dyn PortLink>> {
        let link = Arc::new(CountedLink {
            file: self.files.get(&ifindex)?.clone(),
            up_at,
            seen: AtomicU32::new(up_at),
            told: AtomicBool::new(false),
            news: self.news.clone(),
        });
        self.links.entry(bond.to_owned()).or_default().push((ifindex, link.clone()));
        Some(link)
    }

    /// What packet threads have seen since the last call: the bond, the device and its count.
    pub(crate) fn take(&mut self) -> Vec<(String, u32, Sighting)> {
        if !self.news.any.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        let mut all = Vec::new();
        for (bond, links) in &mut self.links {
            // Each tells once.
            links.retain(|(ifindex, link)| {
                let told = link.told.load(Ordering::Acquire);
                if told {
                    let count = link.seen.load(Ordering::Relaxed);
                    all.push((bond.clone(), *ifindex, Sighting::Changes(count)));
                }
                !told
            });
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use arc_swap::ArcSwap;
    use bond::{
        BUCKETS, BondConfig, Forwarding, LacpMemberConfig, MemberConfig, MemberId, OutputRule,
    };
    use config::Detect;
    use datapath::{Datapath, PortNo, TableId};
    use datapath_testing::Fake;
    use ofproto::BondHandle;
    use wire::{EthAddr, Time};

    use super::*;
    use crate::port_driver::{Later, PortDriver};
    use crate::settings::{LinkDevice, LinkMember, LinkPort, LinkPortKind};

    struct Fine;

    impl PortLink for Fine {
        fn is_lost(&self) -> bool {
            false
        }
        fn report(&self) {}
    }

    fn bond(downdelay_ms: u64) -> LinkPort {
        let mac = |n: u32| EthAddr::from_u64(u64::from(n));
        let name = |n: u32| format!("m{n}");
        let member = |n: u32| MemberConfig {
            id: MemberId(n),
            name: name(n),
            mac: mac(n),
            priority: 0,
            lacp: LacpMemberConfig { port_id: 0, port_priority: 0, key: 0 },
        };
        let device = |n: u32| LinkMember {
            id: MemberId(n),
            name: name(n),
            mac: mac(n),
            device: LinkDevice::Kernel { ifindex: n },
            port_no: Some(PortNo(10 + n)),
            on_wire: true,
        };
        let nothing = Forwarding {
            generation: 0,
            output: OutputRule::Drop,
            buckets: [None; BUCKETS],
            admission: Vec::new(),
            sources: Vec::new(),
        };
        let handle = Arc::new(BondHandle {
            table: TableId(3),
            forwarding: ArcSwap::from_pointee(nothing),
            recirc_id: 0,
        });
        let config = Box::new(BondConfig {
            name: "bond0".to_owned(),
            downdelay: std::time::Duration::from_millis(downdelay_ms),
            members: vec![member(1), member(2)],
            ..BondConfig::default()
        });
        LinkPort {
            name: "bond0".to_owned(),
            bridge: "br0".to_owned(),
            kind: LinkPortKind::Bond { config, handle },
            detect: Detect::Carrier,
            members: vec![device(1), device(2)],
        }
    }

    fn running(wanted: &LinkPort, datapath: &Fake) -> PortDriver {
        let now = Time::from_millis(1000);
        let mut port = PortDriver::new(wanted, now);
        port.set_devices(wanted, now);
        port.configure(wanted, now);
        for n in 1..=2 {
            port.carrier(now, MemberId(n), true);
            port.drain(datapath, Instant::now(), &mut Later::default());
        }
        port
    }

    fn link() -> Option<Arc<dyn PortLink>> {
        Some(Arc::new(Fine))
    }

    #[test]
    fn only_a_member_that_carries_traffic_is_looked_at() {
        let now = Time::from_millis(1000);
        let datapath = Fake::new();
        let mut port = running(&bond(0), &datapath);
        assert!(port.take_standby_due());
        assert!(!port.take_standby_due());
        let (id, standby) = port.standby(now, |_| link()).expect("a bond");
        assert!(Arc::ptr_eq(&standby.of, &datapath.table(id).expect("published")));
        let [active] = &standby.ports[..] else { panic!("one member is active") };
        assert_eq!(active.port, PortNo(11));
        assert_eq!(active.table.buckets, [Some(PortNo(12)); 256]);
        // A count that cannot be read, and a member that stays for its downdelay.
        assert!(port.standby(now, |_| None).expect("a bond").1.ports.is_empty());
        let delayed = running(&bond(100), &datapath);
        assert!(delayed.standby(now, |_| link()).expect("a bond").1.ports.is_empty());
    }

    #[test]
    fn a_table_that_the_engine_does_not_agree_with_is_taken_back_once() {
        let now = Time::from_millis(1000);
        let datapath = Fake::new();
        let mut port = running(&bond(0), &datapath);
        let (id, standby) = port.standby(now, |_| link()).expect("a bond");
        assert!(!port.undo_standby(&datapath), "it was not used");
        datapath.table_publish(id, standby.ports[0].table.clone());
        assert!(port.undo_standby(&datapath));
        let table = datapath.table(id).expect("published");
        assert_eq!(table, standby.of);
        assert!(!Arc::ptr_eq(&table, &standby.of), "or the standby would replace it again");
        assert!(!port.undo_standby(&datapath));
    }
}
