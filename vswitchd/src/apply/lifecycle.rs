//! The switch from its start to its end: taps that were kept, and what is left when it ends.

use std::path::Path;

use ovsdb::Uuid;

use super::device::Attached;
use super::taps::{Taps, own};
use super::{Deps, Switch};
use config::Desired;

impl Switch {
    /// A switch whose internal devices outlive it; `rundir` holds what the next one has to know.
    pub fn new(rundir: &Path) -> Switch {
        Switch { taps: Taps::new(rundir), ..Switch::default() }
    }

    /// The `Open_vSwitch` row of the database that the switch is configured by.
    pub fn set_database(&mut self, row: Option<Uuid>) {
        self.taps.database = row;
    }

    /// Removes what an earlier run has left and `desired` does not want.
    pub(super) fn begin_taps(&mut self, desired: &Desired) {
        let wanted = super::wanted(desired);
        self.taps.begin(|name| wanted.get(name).is_some_and(|w| own(&w.iface.kind)));
    }

    /// Has the internal devices stay when the daemon ends.
    pub(super) fn keep_taps(&mut self) {
        let taps = self.attached.iter();
        let taps =
            taps.filter_map(|(name, a)| Some((name.as_str(), a.ifindex()?, a.tap.as_ref()?)));
        self.taps.keep(taps);
    }

    /// Lets go of everything, in an orderly way, because another daemon has the lock, which finds
    /// the internal devices as they are.
    pub fn release(&mut self, parts: &Deps<'_>) {
        self.attached.values_mut().for_each(Attached::leave);
        self.make(&Desired::default(), parts);
        self.stale = true;
        self.taps.forget();
    }

    /// Takes down everything, the internal devices among it (`exit --cleanup`).
    pub fn clear(&mut self, parts: &Deps<'_>) {
        self.make(&Desired::default(), parts);
        self.stale = true;
        self.keep_taps();
    }

    /// Closes the devices that the switch itself has made. They stay, for the next daemon.
    pub fn close_own_devices(&mut self, datapath: &dyn datapath::Datapath) {
        for a in self.attached.values_mut() {
            a.leave();
            if let (true, Some(port_no)) = (own(&a.kind), a.port_no) {
                // It has gone already.
                let _ = datapath.port_del(port_no);
            }
        }
    }
}
