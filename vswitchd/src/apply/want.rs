//! Interfaces in the order in which they are attached, and ports that are to be closed.

use std::collections::BTreeMap;

use datapath::PortNo;

use config::{Desired, WantBridge, WantIface};

/// A datapath port that is to be closed.
pub(super) struct Closing {
    pub(super) name: String,
    pub(super) port_no: PortNo,
    /// The switch has made the device, which ends with the port.
    pub(super) own: bool,
}

/// An interface and where it belongs.
#[derive(Clone, Copy)]
pub(super) struct WantedIface<'a> {
    pub(super) bridge: &'a WantBridge,
    pub(super) port: &'a str,
    pub(super) iface: &'a WantIface,
    /// A bond's internal device (`bond_fake_iface`): a datapath port without a row.
    pub(super) fake: bool,
}

/// In the order in which numbers are given out.
pub(super) fn ordered(desired: &Desired) -> Vec<WantedIface<'_>> {
    let mut all = Vec::new();
    for bridge in &desired.bridges {
        for port in &bridge.ports {
            let want = |iface, fake| WantedIface { bridge, port: &port.name, iface, fake };
            all.extend(port.ifaces.iter().map(|iface| want(iface, false)));
            all.extend(port.fake_iface.iter().map(|iface| want(iface, true)));
        }
    }
    all
}

pub(super) fn wanted(desired: &Desired) -> BTreeMap<&str, WantedIface<'_>> {
    let mut map = BTreeMap::new();
    for want in ordered(desired) {
        map.entry(want.iface.name.as_str()).or_insert(want);
    }
    map
}
