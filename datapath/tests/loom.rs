//! The lock-free protocols of the userspace datapath under loom, which tries every interleaving and
//! every stale value that the C11 memory model permits.
//!
//! The modules are the product's own sources, compiled against loom's types: `sync` stands in for
//! `datapath/src/sync.rs`. Of the types that loom does not have, `ArcSwap` is an atomic index into a
//! list of values with the memory orders that arc-swap documents.
#![allow(dead_code, unreachable_pub, reason = "the modules have more than is checked here")]

mod sync {
    use std::sync::Arc;

    pub use loom::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence};

    /// All values that were stored, and the index of the current one. The list is a lock of its own
    /// that loom does not see, so that it orders nothing: only `current` does.
    pub struct ArcSwap<T> {
        values: std::sync::Mutex<Vec<Arc<T>>>,
        current: AtomicUsize,
    }

    pub struct Guard<T>(T);

    impl<T> std::ops::Deref for Guard<T> {
        type Target = T;
        fn deref(&self) -> &T {
            &self.0
        }
    }

    impl<T> ArcSwap<T> {
        pub fn new(value: Arc<T>) -> ArcSwap<T> {
            ArcSwap { values: std::sync::Mutex::new(vec![value]), current: AtomicUsize::new(0) }
        }

        pub fn from_pointee(value: T) -> ArcSwap<T> {
            ArcSwap::new(Arc::new(value))
        }

        pub fn load_full(&self) -> Arc<T> {
            let i = self.current.load(Ordering::Acquire);
            self.values.lock().unwrap()[i].clone()
        }

        pub fn load(&self) -> Guard<Arc<T>> {
            Guard(self.load_full())
        }

        pub fn store(&self, value: Arc<T>) {
            let i = {
                let mut values = self.values.lock().unwrap();
                values.push(value);
                values.len() - 1
            };
            self.current.swap(i, Ordering::AcqRel);
        }

        pub fn compare_and_swap(&self, current: &Arc<T>, new: Arc<T>) {
            let mut values = self.values.lock().unwrap();
            let Some(from) = values.iter().position(|v| Arc::ptr_eq(v, current)) else { return };
            values.push(new);
            let to = values.len() - 1;
            drop(values);
            let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
            let _ = self.current.compare_exchange(from, to, success, failure);
        }
    }

    impl<T: Default> Default for ArcSwap<T> {
        fn default() -> ArcSwap<T> {
            ArcSwap::from_pointee(T::default())
        }
    }

    pub struct Cache<A, T> {
        swap: A,
        cached: T,
    }

    impl<A: std::ops::Deref<Target = ArcSwap<T>>, T> Cache<A, Arc<T>> {
        pub fn new(swap: A) -> Cache<A, Arc<T>> {
            let cached = swap.load_full();
            Cache { swap, cached }
        }

        pub fn load(&mut self) -> &Arc<T> {
            self.cached = self.swap.load_full();
            &self.cached
        }
    }

    pub struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub fn lock(&self) -> loom::sync::MutexGuard<'_, T> {
            self.0.lock().unwrap()
        }
    }

    impl<T: Default> Default for Mutex<T> {
        fn default() -> Mutex<T> {
            Mutex(loom::sync::Mutex::new(T::default()))
        }
    }
}

mod action {
    pub use datapath::Action;
}

mod port {
    pub use datapath::PortNo;
}

mod table {
    pub use datapath::{Bucket, BucketTable, Ingress, Selection, Standby, StandbyPort, TableId};
}

#[path = "../src/flow_actions.rs"]
mod flow_actions;
#[path = "../src/userspace/tables.rs"]
mod tables;
#[path = "../src/userspace/wakeup.rs"]
mod wakeup;

use std::sync::Arc as StdArc;

use datapath::{Action, BucketTable, PortLink, PortNo, Standby, StandbyPort, TableId};
use flow_actions::FlowActions;
use loom::sync::Arc;
use loom::thread;
use sync::{AtomicBool, Ordering};
use tables::{TableCache, Tables};
use wakeup::Wakeup;
use wire::Time;

/// A sender queues work while the packet thread wants to sleep. When the packet thread sleeps, the
/// sender has woken it.
#[test]
fn no_wakeup_is_lost() {
    loom::model(|| {
        let wakeup = Arc::new(Wakeup::new());
        let queued = Arc::new(AtomicBool::new(false));
        let sender = {
            let (wakeup, queued) = (wakeup.clone(), queued.clone());
            thread::spawn(move || {
                queued.store(true, Ordering::Relaxed);
                wakeup.must_wake()
            })
        };
        let sleeps = wakeup.before_sleep(|| !queued.load(Ordering::Relaxed));
        let wakes = sender.join().unwrap();
        assert!(!sleeps || wakes, "asleep with work queued");
    });
}

/// A round that is requested while the packet thread wants to sleep takes place.
#[test]
fn no_requested_round_is_lost() {
    loom::model(|| {
        let wakeup = Arc::new(Wakeup::new());
        let requester = {
            let wakeup = wakeup.clone();
            thread::spawn(move || wakeup.request_round())
        };
        let sleeps = wakeup.before_sleep(|| true);
        let wakes = requester.join().unwrap();
        assert!(!sleeps || wakes, "asleep with a round requested");
    });
}

/// A packet thread whose copy of the actions has the current version has the current actions.
#[test]
fn current_version_means_current_actions() {
    loom::model(|| {
        let output = |n| vec![Action::Output(PortNo(n))];
        let actions = Arc::new(FlowActions::new(output(1)));
        let writer = {
            let actions = actions.clone();
            thread::spawn(move || actions.store(StdArc::new(output(2))))
        };
        // As the classifier copies them.
        let version = actions.version();
        let copy = actions.load_full();
        writer.join().unwrap();
        if actions.version() == version {
            assert_eq!(*copy, output(2), "an old list under the current version");
        }
    });
}

fn all_to(port: u32) -> StdArc<BucketTable> {
    let buckets = [Some(PortNo(port)); 256];
    StdArc::new(BucketTable {
        generation: u64::from(port),
        buckets,
        ingress: vec![],
        selection: datapath::Selection::DpHash,
        sources: vec![],
    })
}

/// A table that is published while another is created: both are there, the packet thread sees the old
/// or the new one, and the new one after `publish` has returned.
#[test]
fn published_tables_reach_the_packet_thread() {
    loom::model(|| {
        let tables = StdArc::new(Tables::default());
        let (a, b) = (TableId(1), TableId(2));
        tables.publish(a, all_to(1));
        let mut cache = TableCache::new(tables.clone());
        assert_eq!(cache.resolve(a, 0, 1), Some(PortNo(1)));
        let failover = {
            let tables = tables.clone();
            thread::spawn(move || tables.publish(a, all_to(2)))
        };
        let create = {
            let tables = tables.clone();
            thread::spawn(move || tables.publish(b, all_to(3)))
        };
        cache.refresh(Time::ZERO);
        let port = cache.resolve(a, 0, 1);
        assert!(matches!(port, Some(PortNo(1 | 2))), "{port:?}");
        failover.join().unwrap();
        create.join().unwrap();
        cache.refresh(Time::ZERO);
        assert_eq!(cache.resolve(a, 0, 1), Some(PortNo(2)));
        assert_eq!(cache.resolve(b, 0, 1), Some(PortNo(3)));
        assert_eq!(tables.bytes(a).map(|b| b[0]), Some(3), "bytes of a bucket");
    });
}

struct Lost;

impl PortLink for Lost {
    fn is_lost(&self) -> bool {
        true
    }

    fn report(&self) {}
}

/// A packet thread finds a link lost while the control side publishes: what was published stays.
#[test]
fn a_standby_table_never_replaces_a_newer_one() {
    loom::model(|| {
        let tables = StdArc::new(Tables::default());
        let id = TableId(1);
        let of = all_to(1);
        tables.publish(id, of.clone());
        let port = StandbyPort { port: PortNo(1), link: StdArc::new(Lost), table: all_to(2) };
        tables.standby(id, Standby { of, ports: vec![port] });
        let mut cache = TableCache::new(tables.clone());
        let publisher = {
            let tables = tables.clone();
            thread::spawn(move || tables.publish(id, all_to(3)))
        };
        let port = cache.resolve(id, 0, 1);
        // 1: published between the two looks at the table of this packet.
        assert!(matches!(port, Some(PortNo(1..=3))), "{port:?}");
        publisher.join().unwrap();
        assert_eq!(cache.resolve(id, 0, 1), Some(PortNo(3)));
    });
}
