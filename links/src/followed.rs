//! The devices that main is told of: those whose names are interfaces of the configuration.
//!
//! On a host where links of containers and virtual machines come and go, main would otherwise be
//! woken, and write its status, for each of them.

use std::collections::BTreeSet;

/// See the module.
#[derive(Default)]
pub(crate) struct Followed {
    names: BTreeSet<String>,
    /// Indices of devices that have had one of the names.
    devices: BTreeSet<u32>,
}

impl Followed {
    /// Replaces the names.
    pub(crate) fn set(&mut self, names: BTreeSet<String>) {
        self.names = names;
    }

    pub(crate) fn has_name(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// A device has this name, or had it until now. True if main is to be told.
    pub(crate) fn sees(&mut self, name: &str, ifindex: u32) -> bool {
        let followed = self.names.contains(name);
        if followed {
            self.devices.insert(ifindex);
        }
        followed
    }

    /// A device was removed. True if main is to be told: it may have a socket on the device,
    /// whatever the name was at last.
    pub(crate) fn removed(&mut self, ifindex: u32) -> bool {
        self.devices.remove(&ifindex)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn renamed_device_is_followed_until_removed() {
        let mut f = Followed::default();
        assert!(!f.sees("eth0", 3));
        f.set(BTreeSet::from(["eth0".to_owned()]));
        assert!(f.sees("eth0", 3) && !f.sees("eth1", 3));
        assert!(f.removed(3) && !f.removed(3) && !f.removed(4));
    }
}
