//! The switch as OpenFlow connections see it: its ports, their counters, their administrative state.

use std::cell::RefCell;
use std::collections::BTreeMap;

use datapath::Datapath;
use netdev::IoCounters;
use netdev::link::{self, LinkModes, LinkSettings};
use ofproto::controller::{Port, SwitchOps};
use openflow::OfPort;
use openflow::msg::{PortStats, features};
use wire::EthAddr;

use crate::apply::{Attached, Switch};
use crate::modules::OFPROTO;
use crate::status::Status;
use config::{Desired, DeviceKind, WantBridge};

/// The switch, for the agents of all bridges.
pub struct Hosts<'a> {
    /// Ports and bridges as they are attached.
    pub switch: &'a Switch,
    /// Bridges and their flow tables.
    pub ofproto: &'a ofproto::Ofproto,
    /// The datapath.
    pub datapath: &'a dyn Datapath,
    /// Devices whose administrative state a controller has changed, by name.
    pub admin: RefCell<Vec<(String, bool)>>,
}

impl connmgr::Bridges for Hosts<'_> {
    fn host<'a>(&'a self, bridge: &'a str) -> Box<dyn SwitchOps + 'a> {
        Box::new(SwitchHost { all: self, bridge })
    }

    fn local_mac(&self, bridge: &str) -> Option<EthAddr> {
        self.switch.bridges.get(bridge).map(|b| b.mac)
    }
}

/// The switch, for the agent of one bridge.
struct SwitchHost<'a> {
    all: &'a Hosts<'a>,
    bridge: &'a str,
}

impl SwitchHost<'_> {
    fn find(&self, port: OfPort) -> Option<(&String, &Attached)> {
        let of = |(_, a): &(&String, &Attached)| a.bridge == self.bridge && a.of_port == port;
        self.all.switch.attached.iter().find(of)
    }
}

impl SwitchOps for SwitchHost<'_> {
    fn ofproto(&self) -> &ofproto::Ofproto {
        self.all.ofproto
    }

    fn port_counters(&self, port: OfPort) -> Option<PortStats> {
        let (name, a) = self.find(port)?;
        Some(counters(port, name, a, self.all))
    }

    /// A dummy device has queue 0, as in Open vSwitch; other devices have none without QoS.
    fn queues(&self, port: OfPort) -> Vec<u32> {
        let dummy = self.find(port).is_some_and(|(_, a)| a.dummy.is_some());
        if dummy { vec![0] } else { Vec::new() }
    }

    fn set_admin(&self, port: OfPort, up: bool) -> bool {
        let Some((name, a)) = self.find(port) else { return false };
        let done = match (&a.dummy, a.ifindex()) {
            (Some(dummy), _) => {
                dummy.set_admin(up);
                Ok(())
            }
            (None, Some(_)) => link::set_up(name, up).map_err(|e| e.to_string()),
            // A patch port has no device.
            (None, None) => Err("Operation not supported".to_owned()),
        };
        match done {
            Ok(()) => {
                self.all.admin.borrow_mut().push((name.clone(), up));
                true
            }
            Err(text) => {
                crate::info!(
                    OFPROTO,
                    "interface {name}: cannot set the administrative state ({text})"; "interface" => name);
                false
            }
        }
    }
}

fn counters(port: OfPort, name: &str, a: &Attached, all: &Hosts<'_>) -> PortStats {
    let unknown = PortStats::unknown(port);
    match a.kind {
        DeviceKind::System | DeviceKind::Internal | DeviceKind::Tap if a.ifindex().is_some() => {
            let Ok(s) = link::stats(name) else { return unknown };
            // The kernel counts a tap's packets in the host's direction.
            let s = if a.tap.is_some() { s.swapped() } else { s };
            PortStats {
                rx_packets: s.rx_packets,
                tx_packets: s.tx_packets,
                rx_bytes: s.rx_bytes,
                tx_bytes: s.tx_bytes,
                rx_dropped: s.rx_dropped,
                tx_dropped: s.tx_dropped,
                rx_errors: s.rx_errors,
                tx_errors: s.tx_errors,
                rx_frame_err: s.rx_frame_err,
                rx_over_err: s.rx_over_err,
                rx_crc_err: s.rx_crc_err,
                collisions: s.collisions,
                ..unknown
            }
        }
        DeviceKind::Patch { .. } => {
            let (rx, tx) = all.ofproto.patch_counts(name).unwrap_or_default();
            PortStats {
                rx_packets: rx.packets,
                tx_packets: tx.packets,
                rx_bytes: rx.bytes,
                tx_bytes: tx.bytes,
                ..unknown
            }
        }
        // Also a tap in another network namespace.
        DeviceKind::System
        | DeviceKind::Internal
        | DeviceKind::Tap
        | DeviceKind::Dummy { .. }
        | DeviceKind::Unknown(_) => {
            let Some(c) = a.port_no.and_then(|p| all.datapath.port_counters(p)) else {
                return unknown;
            };
            PortStats {
                rx_packets: c.rx_packets,
                tx_packets: c.tx_packets,
                rx_bytes: c.rx_bytes,
                tx_bytes: c.tx_bytes,
                custom: if a.dummy.is_some() { dummy_counters(a.queues, &c) } else { Vec::new() },
                ..unknown
            }
        }
    }
}

/// The custom counters of Open vSwitch's dummy devices. All packets use the first queue.
fn dummy_counters(queues: u32, c: &IoCounters) -> Vec<(String, u64)> {
    let mut all =
        vec![("rx_custom_packets_1".to_owned(), 0), ("rx_custom_packets_2".to_owned(), 0)];
    for (way, queues, octets, packets) in
        [("rx", queues, c.rx_bytes, c.rx_packets), ("tx", 1, c.tx_bytes, c.tx_packets)]
    {
        for queue in 0..queues {
            let of = |n| if queue == 0 { n } else { 0 };
            all.push((format!("{way}_q{queue}_bytes"), of(octets)));
            all.push((format!("{way}_q{queue}_packets"), of(packets)));
        }
    }
    all
}

/// What the rows say about OpenFlow, of the bridges that exist.
pub fn config<'a>(desired: &'a Desired, switch: &Switch, restoring: bool) -> connmgr::Config<'a> {
    let one = |b: &'a WantBridge| {
        let o = &b.openflow;
        Some(connmgr::BridgeConfig {
            name: &b.name,
            datapath_id: switch.bridges.get(&b.name)?.datapath_id,
            fail_mode: b.fail_mode,
            versions: o.versions,
            controllers: o.controllers.iter().map(|c| &c.config).collect(),
            description: o.description.as_deref(),
            serial: o.serial.as_deref(),
            queue_size: o.queue_size,
            managers: &o.managers,
            in_band_queue: o.in_band_queue,
            tables: &b.flow_tables.settings,
            table_complaints: &b.flow_tables.complaints,
        })
    };
    connmgr::Config {
        bridges: desired.bridges.iter().filter_map(one).collect(),
        tls: desired.tls.clone(),
        bundle_idle: desired.switch.bundle_idle,
        restoring,
    }
}

/// Every bridge's ports as they are now, by bridge.
pub fn ports(switch: &Switch, status: &mut Status) -> BTreeMap<String, Vec<Port>> {
    let mut all: BTreeMap<String, Vec<Port>> = BTreeMap::new();
    for (name, a) in &switch.attached {
        all.entry(a.bridge.clone()).or_default().push(port(name, a, status));
    }
    all
}

fn port(name: &str, a: &Attached, status: &mut Status) -> Port {
    let settings = status.settings(a);
    let modes = settings.modes;
    // A device that is down has no link, even if its driver reports a carrier.
    let link_up = a.link.admin_up && a.link.carrier && a.dummy.as_ref().is_none_or(|d| d.carrier());
    Port {
        admin_up: a.link.admin_up,
        link_up,
        live: link_up && status.may_enable(name),
        curr: current(&settings),
        advertised: shown(modes.advertised),
        supported: shown(modes.supported),
        peer: shown(modes.peer),
        curr_speed: kbit(settings.speed_mbps),
        max_speed: kbit(fastest(shown(modes.supported))),
        ..Port::new(a.of_port, name, a.link.mac, a.created)
    }
}

fn kbit(mbps: u64) -> u32 {
    u32::try_from(mbps.saturating_mul(1000)).unwrap_or(u32::MAX)
}

fn current(s: &LinkSettings) -> u32 {
    use features::*;
    let half = s.full_duplex == Some(false);
    let speed = match s.speed_mbps {
        0 => 0,
        10 if half => TEN_MB_HD,
        10 => TEN_MB_FD,
        100 if half => HUNDRED_MB_HD,
        100 => HUNDRED_MB_FD,
        1_000 if half => ONE_GB_HD,
        1_000 => ONE_GB_FD,
        10_000 => TEN_GB_FD,
        40_000 => FORTY_GB_FD,
        100_000 => HUNDRED_GB_FD,
        1_000_000 => ONE_TB_FD,
        _ => OTHER,
    };
    let medium = match s.modes.medium {
        Some(link::Medium::TwistedPair) => COPPER,
        Some(link::Medium::Fibre) => FIBER,
        None => 0,
    };
    speed | medium | if s.modes.autoneg { AUTONEG } else { 0 }
}

/// The kernel's link modes (`linux/ethtool.h`) as OpenFlow's port features.
fn shown(modes: u32) -> u32 {
    use features::*;
    const MODES: &[(u32, &[u8])] = &[
        (TEN_MB_HD, &[0]),
        (TEN_MB_FD, &[1]),
        (HUNDRED_MB_HD, &[2]),
        (HUNDRED_MB_FD, &[3]),
        (ONE_GB_HD, &[4]),
        // 1000base-T and -KX.
        (ONE_GB_FD, &[5, 17]),
        // 10Gbase-T, -KX4, -KR, -R.
        (TEN_GB_FD, &[12, 18, 19, 20]),
        // 40Gbase-KR4, -CR4, -SR4, -LR4.
        (FORTY_GB_FD, &[23, 24, 25, 26]),
        (COPPER, &[LinkModes::TWISTED_PAIR]),
        (FIBER, &[LinkModes::FIBRE]),
        (AUTONEG, &[LinkModes::AUTONEG]),
        (PAUSE, &[13]),
        (PAUSE_ASYM, &[14]),
    ];
    let has = |bits: &[u8]| bits.iter().any(|b| modes & (1 << b) != 0);
    MODES.iter().filter(|(_, bits)| has(bits)).fold(0, |all, (bit, _)| all | bit)
}

/// Mbit/s of the fastest of these; 0 if there is none.
fn fastest(modes: u32) -> u64 {
    use features::*;
    const SPEEDS: &[(u32, u64)] = &[
        (ONE_TB_FD, 1_000_000),
        (HUNDRED_GB_FD, 100_000),
        (FORTY_GB_FD, 40_000),
        (TEN_GB_FD, 10_000),
        (ONE_GB_HD | ONE_GB_FD, 1_000),
        (HUNDRED_MB_HD | HUNDRED_MB_FD, 100),
        (TEN_MB_HD | TEN_MB_FD, 10),
    ];
    SPEEDS.iter().find(|(bits, _)| modes & bits != 0).map_or(0, |(_, mbps)| *mbps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn link_settings_give_openflow_features() {
        let veth = LinkSettings {
            speed_mbps: 10_000,
            full_duplex: Some(true),
            modes: LinkModes { medium: Some(link::Medium::TwistedPair), ..LinkModes::default() },
        };
        assert_eq!(current(&veth), features::TEN_GB_FD | features::COPPER);
        let modes = shown(1 << 5 | 1 << 3 | 1 << LinkModes::AUTONEG);
        let all = features::ONE_GB_FD | features::HUNDRED_MB_FD | features::AUTONEG;
        assert_eq!((modes, fastest(modes)), (all, 1_000));
        assert_eq!(
            current(&LinkSettings { speed_mbps: 2_500, ..veth }) & !features::COPPER,
            features::OTHER
        );
        assert_eq!((fastest(0), kbit(u64::MAX)), (0, u32::MAX));
    }
}
