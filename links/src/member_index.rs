//! Where members are: by datapath port, kernel device and interface name.

use std::collections::HashMap;

use bond::MemberId;
use datapath::PortNo;

use crate::port_driver::PortDriver;

/// A member of a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) port: String,
    pub(crate) member: MemberId,
}

/// An index of every port's members, so that an event or a frame takes no search.
#[derive(Default)]
pub(crate) struct MemberIndex {
    by_port_no: HashMap<PortNo, Place>,
    /// While names change, two members may be on one device.
    by_ifindex: HashMap<u32, Vec<Place>>,
    by_name: HashMap<String, Place>,
}

impl MemberIndex {
    /// Builds the index. It does not follow changes: build another one when a port's members change.
    pub(crate) fn new<'a>(ports: impl Iterator<Item = &'a PortDriver>) -> MemberIndex {
        let mut index = MemberIndex::default();
        for port in ports {
            for device in &port.devices {
                let place = Place { port: port.name.clone(), member: device.member.id };
                if let Some(port_no) = device.member.port_no {
                    index.by_port_no.insert(port_no, place.clone());
                }
                if let Some(ifindex) = device.ifindex() {
                    index.by_ifindex.entry(ifindex).or_default().push(place.clone());
                }
                index.by_name.insert(device.member.name.clone(), place);
            }
        }
        index
    }

    pub(crate) fn by_port_no(&self, port_no: PortNo) -> Option<&Place> {
        self.by_port_no.get(&port_no)
    }

    pub(crate) fn by_ifindex(&self, ifindex: u32) -> &[Place] {
        self.by_ifindex.get(&ifindex).map_or(&[], Vec::as_slice)
    }

    pub(crate) fn by_name(&self, name: &str) -> Option<&Place> {
        self.by_name.get(name)
    }
}
