//! When the tables that stand by are worked out, and what happens when one was used.

use super::Thread;
use crate::known::Known;
use crate::modules::BOND;

impl Thread {
    /// Counts that were opened for the packet thread.
    pub(super) fn take_opened(&mut self) {
        for (ifindex, file) in self.prober.take_opened() {
            self.standbys.opened(ifindex, file);
            for place in self.members.by_ifindex(ifindex) {
                self.standbys.request(&place.port);
            }
        }
    }

    /// Notes the bonds that something has happened to.
    pub(super) fn request_standbys(&mut self) {
        for name in &self.later.touched {
            match self.ports.get_mut(name) {
                Some(port) => {
                    if port.take_standby_due() {
                        self.standbys.request(name);
                    }
                }
                None => self.standbys.clear(name),
            }
        }
    }

    /// Works out what is to stand by, for a few bonds at a time.
    pub(super) fn work_out_standbys(&mut self) {
        let now = self.now();
        for name in self.standbys.take_due() {
            self.standbys.clear(&name);
            let Some(port) = self.ports.get(&name) else { continue };
            let (standbys, kernel) = (&mut self.standbys, &self.kernel);
            let standby = port.standby(now, |device| {
                let ifindex = device.ifindex()?;
                let known = kernel.get(&ifindex).filter(|k| Known::up(k))?;
                standbys.link(&name, ifindex, known.info().carrier_changes)
            });
            if let Some((table, standby)) = standby {
                self.datapath.table_standby(table, standby);
            }
        }
    }

    /// The packet thread has seen a link change, and the engine has heard of it. If it has not
    /// published a table then it does not think that the link is lost.
    pub(super) fn undo_standby(&mut self, bond: &str) {
        let Some(port) = self.ports.get_mut(bond) else { return };
        if port.undo_standby(&*self.datapath) {
            runtime::dbg!(BOND, "bond {bond}: the table that stood by was not right");
        }
    }
}
