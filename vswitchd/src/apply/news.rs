//! What became of devices since they were opened.

use std::collections::BTreeSet;

use netdev::link;

use super::Switch;
use super::device::warn_of_master;
use config::DeviceKind;
use links::LinkChange;

impl Switch {
    /// Takes in news of a kernel device. True if [`Switch::apply`] has something to do.
    pub fn link_news(&mut self, name: &str, news: &LinkChange) -> bool {
        let stale = match (self.attached.get_mut(name), news) {
            (Some(a), LinkChange::Changed(info)) if a.ifindex() == Some(info.ifindex) => {
                if a.kind == DeviceKind::System && a.link.master != info.master {
                    warn_of_master(name, info.master);
                }
                let moved = a.link.mac != info.mac || a.link.mtu != info.mtu;
                a.link = info.clone();
                moved
            }
            // Another device under the same name, unless this is old news.
            (Some(a), LinkChange::Changed(_)) if a.ifindex().is_some() => {
                let now = link::get(name).map(|l| l.ifindex).ok();
                a.gone |= now != a.ifindex();
                a.gone
            }
            // Into the namespace of a container, mostly: it is as good as before, but the kernel
            // tells us nothing of it any more. The next daemon will not find it, so it ends with
            // this one; `Switch::apply` has it stay again when it has come back.
            (Some(a), LinkChange::Gone { ifindex })
                if a.ifindex() == Some(*ifindex) && a.moved_away() =>
            {
                a.link.ifindex = 0;
                a.end_when_closed();
                false
            }
            // It has come back.
            (Some(a), LinkChange::Changed(info))
                if a.ifindex().is_none() && a.tap.is_some() && info.mac == a.link.mac =>
            {
                a.link = info.clone();
                true
            }
            (Some(a), LinkChange::Gone { ifindex }) if a.ifindex() == Some(*ifindex) => {
                a.gone = true;
                true
            }
            (Some(_), LinkChange::Changed(_) | LinkChange::Gone { .. }) => false,
            // It has appeared, or has made room for the one that the switch is to make.
            (None, LinkChange::Changed(_) | LinkChange::Gone { .. }) => {
                self.errors.contains_key(name)
            }
        };
        self.stale |= stale;
        stale
    }

    /// Takes in that devices, by index, were deleted or left the network namespace. Their packet
    /// sockets are dead, whatever has the name and the index now. True if [`Switch::apply`] has
    /// something to do.
    pub fn devices_removed(&mut self, removed: &BTreeSet<u32>) -> bool {
        let mut stale = false;
        for a in self.attached.values_mut().filter(|a| a.kind == DeviceKind::System) {
            if a.ifindex().is_some_and(|i| removed.contains(&i)) {
                a.gone = true;
                stale = true;
            }
        }
        self.stale |= stale;
        stale
    }

    /// Takes in what was done to dummies. True if [`Switch::apply`] has something to do.
    pub fn dummies_changed(&mut self) -> bool {
        let mut stale = false;
        for a in self.attached.values_mut() {
            let Some(dummy) = &a.dummy else { continue };
            let (admin, carrier) = (dummy.admin_up(), dummy.carrier());
            if (a.link.admin_up, a.link.carrier) != (admin, carrier) {
                (a.link.admin_up, a.link.carrier) = (admin, carrier);
                stale = true;
            }
        }
        self.stale |= stale;
        stale
    }

    /// A device was brought up or down by us: the kernel will say the same in a moment.
    pub fn set_admin(&mut self, name: &str, up: bool) {
        if let Some(a) = self.attached.get_mut(name) {
            a.link.admin_up = up;
        }
    }
}
