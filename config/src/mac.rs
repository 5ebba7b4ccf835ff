//! Which address a bridge takes: the lowest one that is fit among its ports' addresses.

use ofproto::config::MirrorOutput;
use wire::EthAddr;

use crate::bridge::WantBridge;
use crate::port::WantPort;

/// Addresses that protocols have claimed though they are unicast (Extreme Networks' EDP and EAPS).
const RESERVED: [u64; 3] = [0x00e0_2b00_0000, 0x00e0_2b00_0004, 0x00e0_2b00_0006];

/// Whether a port's address may become the bridge's: a globally administered unicast address.
fn fit(mac: EthAddr) -> bool {
    !mac.is_multicast() && !mac.is_zero() && mac.0[0] & 2 == 0 && !RESERVED.contains(&mac.to_u64())
}

/// The bridge's address. `address` gives a working interface's own address.
pub fn bridge_mac(bridge: &WantBridge, address: impl Fn(&str) -> Option<EthAddr>) -> EthAddr {
    bridge.hwaddr.unwrap_or_else(|| lowest(bridge, None, &address))
}

/// The address of an internal port that stands for a VLAN (`fake_bridge`): from ports of the same
/// tag only.
pub fn fake_bridge_mac(
    bridge: &WantBridge,
    tag: u16,
    address: impl Fn(&str) -> Option<EthAddr>,
) -> EthAddr {
    lowest(bridge, Some(tag), &address)
}

/// Whether a port is for copies only: its link is of no use to the bridge itself.
fn is_mirror_output(bridge: &WantBridge, port: &WantPort) -> bool {
    let mut outputs = bridge.mirrors.iter().filter_map(|m| m.config.as_ref()).map(|c| &c.output);
    outputs.any(|o| matches!(o, MirrorOutput::Port(name) if *name == port.name))
}

fn lowest(
    bridge: &WantBridge,
    tag: Option<u16>,
    address: &impl Fn(&str) -> Option<EthAddr>,
) -> EthAddr {
    bridge
        .ports
        .iter()
        .filter(|port| !is_mirror_output(bridge, port))
        .filter_map(|port| {
            if port.mac.is_some() {
                return port.mac;
            }
            // The first by name stands for a bond, as Linux bonding and the scripts around it do.
            let iface = port.ifaces.iter().find(|i| address(&i.name).is_some())?;
            if iface.local || tag.is_some_and(|t| t != 0 && port.bundle.vlan != t) {
                return None;
            }
            address(&iface.name)
        })
        .filter(|mac| fit(*mac))
        .min()
        .unwrap_or(bridge.default_mac)
}
