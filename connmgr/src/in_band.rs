//! In-band control: flows that let the switch reach its controllers and managers through its own
//! ports, whatever other flows there are.
//!
//! The flows are Open vSwitch's: DHCP and ARP of the local port, ARP of the next hops and of the
//! remotes, TCP to and from the remotes. Their priorities are above OpenFlow's range, so that
//! controllers neither see nor change them.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::time::Duration;

use ofproto::Ofproto;
use ofproto::tables::InternalFlow;
use openflow::{Action, Field, Match, OfPort};
use wire::{EthAddr, Time};

/// The priority of the first kind of rule; each further kind has one more.
const PRIORITY: i32 = 180_000;

/// What the flows are made of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct InBand {
    /// The MAC address of the local port.
    pub(crate) local: Option<EthAddr>,
    pub(crate) remotes: BTreeSet<SocketAddrV4>,
    /// MAC addresses of the next hops to the remotes.
    pub(crate) next_hops: BTreeSet<EthAddr>,
    /// `other_config:in-band-queue`.
    pub(crate) queue: Option<u32>,
}

/// A match on these fields.
fn matching(fields: &[(Field, u128)]) -> Match {
    let mut m = Match::default();
    for (field, value) in fields {
        m.set(*field, *value);
    }
    m
}

impl InBand {
    /// The rules; none without a remote.
    pub(crate) fn rules(&self) -> Vec<InternalFlow> {
        use Field::{ArpOp, ArpSpa, ArpTpa, EthDst, EthSrc, EthType, IpProto, Ipv4Dst, Ipv4Src};
        let ip = (EthType, 0x0800);
        let arp = |op: u128| [(EthType, 0x0806), (ArpOp, op)];
        const REQUEST: u128 = 1;
        const REPLY: u128 = 2;
        let mut rules: Vec<(i32, Match)> = Vec::new();
        let mut put = |kind: i32, fields: &[(Field, u128)]| rules.push((kind, matching(fields)));
        if let (Some(local), false) = (self.local, self.remotes.is_empty()) {
            let local = u128::from(local.to_u64());
            let port = (Field::InPort, u128::from(OfPort::LOCAL.0));
            let dhcp = [(IpProto, 17), (Field::UdpSrc, 68), (Field::UdpDst, 67)];
            put(0, &[&[port, ip, (EthSrc, local)][..], &dhcp].concat());
            put(1, &[&arp(REPLY)[..], &[(EthDst, local)]].concat());
            put(2, &[&arp(REQUEST)[..], &[(EthSrc, local)]].concat());
        }
        for hop in &self.next_hops {
            let hop = u128::from(hop.to_u64());
            put(3, &[&arp(REPLY)[..], &[(EthDst, hop)]].concat());
            put(4, &[&arp(REQUEST)[..], &[(EthSrc, hop)]].concat());
        }
        for remote in &self.remotes {
            let (at, port) = (u128::from(remote.ip().to_bits()), u128::from(remote.port()));
            put(5, &[&arp(REPLY)[..], &[(ArpTpa, at)]].concat());
            put(6, &[&arp(REQUEST)[..], &[(ArpSpa, at)]].concat());
            let tcp = [ip, (IpProto, 6)];
            put(7, &[&tcp[..], &[(Ipv4Dst, at), (Field::TcpDst, port)]].concat());
            put(8, &[&tcp[..], &[(Ipv4Src, at), (Field::TcpSrc, port)]].concat());
        }
        let normal = Action::output(OfPort::NORMAL);
        let queue = self.queue.map(Action::SetQueue);
        let actions: Vec<Action> = queue.into_iter().chain([normal]).collect();
        let rule = |(kind, matching)| InternalFlow {
            table: 0,
            matching,
            priority: PRIORITY + kind,
            actions: actions.clone(),
            hidden: true,
        };
        rules.into_iter().map(rule).collect()
    }
}

/// The flows that are installed.
#[derive(Debug, Default)]
pub(crate) struct InBandRules {
    pub(crate) wanted: InBand,
    pub(crate) installed: Vec<(Match, i32)>,
    /// When next hops are looked up again.
    pub(crate) due: Option<Time>,
}

/// The time until a known next hop is looked up again, and until an unknown one is.
const KNOWN: Duration = Duration::from_secs(10);
const UNKNOWN: Duration = Duration::from_secs(1);

impl InBandRules {
    /// Looks up next hops and updates the installed flows.
    pub(crate) fn update(
        &mut self,
        now: Time,
        bridge: &str,
        local: Option<EthAddr>,
        switch: &Ofproto,
    ) {
        self.wanted.local = local;
        let remotes = &self.wanted.remotes;
        self.due = None;
        self.wanted.next_hops.clear();
        if !remotes.is_empty() {
            // A file that cannot be read has no routes or neighbours.
            let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
            let (routes, neighbours) = (read("/proc/net/route"), read("/proc/net/arp"));
            let hops: Vec<Option<EthAddr>> =
                remotes.iter().map(|r| next_hop(bridge, *r.ip(), &routes, &neighbours)).collect();
            let all = hops.iter().all(Option::is_some);
            self.due = Some(now + if all { KNOWN } else { UNKNOWN });
            self.wanted.next_hops = hops.into_iter().flatten().collect();
        }
        let rules = self.wanted.rules();
        let wanted: Vec<(Match, i32)> = rules.iter().map(|r| (r.matching, r.priority)).collect();
        if wanted == self.installed {
            return;
        }
        let gone: Vec<(Match, i32)> =
            self.installed.iter().filter(|i| !wanted.contains(i)).copied().collect();
        let done = switch.with_flow_table(bridge, |t| {
            for (matching, priority) in &gone {
                t.remove_internal(0, matching, *priority);
            }
            for rule in rules {
                t.add_internal(now, rule);
            }
        });
        // A bridge that was deleted has no flows.
        self.installed = if done.is_ok() { wanted } else { Vec::new() };
    }
}

/// The hardware address to which a packet for `to` leaves over `device`, as far as the kernel
/// knows it. `routes` and `neighbours` are the contents of `/proc/net/route` and `/proc/net/arp`.
pub(crate) fn next_hop(
    device: &str,
    to: Ipv4Addr,
    routes: &str,
    neighbours: &str,
) -> Option<EthAddr> {
    let hop = routes.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, destination, gateway, _, _, _, _, mask, ..] = words.as_slice() else {
            return None;
        };
        // In hexadecimal, as the processor would write the octets as a number.
        let address = |text: &str| {
            let n = u32::from_str_radix(text, 16).ok()?;
            Some(u32::from_be_bytes(n.to_ne_bytes()))
        };
        let (destination, gateway, mask) =
            (address(destination)?, address(gateway)?, address(mask)?);
        let fits = *name == device && to.to_bits() & mask == destination & mask;
        let hop = if gateway == 0 { to } else { Ipv4Addr::from_bits(gateway) };
        fits.then_some(hop)
    })?;
    neighbours.lines().skip(1).find_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [address, _, _, mac, _, name] = words.as_slice() else { return None };
        let fits = *name == device && address.parse() == Ok(hop);
        mac.parse().ok().filter(|m: &EthAddr| fits && !m.is_zero())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(i: &InBand) -> Vec<String> {
        let show = |r: InternalFlow| {
            assert!(r.hidden && r.priority > 0xffff);
            let text = openflow::text::print_match(&r.matching, 0x8000, &openflow::text::NoNames);
            format!("{} {text}", r.priority - PRIORITY)
        };
        i.rules().into_iter().map(show).collect()
    }

    #[test]
    fn in_band_flows_cover_dhcp_arp_and_tcp() {
        let mut i = InBand { local: Some(EthAddr([2, 0, 0, 0, 0, 1])), ..InBand::default() };
        assert!(shown(&i).is_empty());
        i.remotes.insert("10.0.0.9:6653".parse().unwrap());
        i.next_hops.insert(EthAddr([2, 0, 0, 0, 0, 9]));
        assert_eq!(
            shown(&i),
            [
                "0 udp,in_port=LOCAL,dl_src=02:00:00:00:00:01,tp_src=68,tp_dst=67",
                "1 arp,dl_dst=02:00:00:00:00:01,arp_op=2",
                "2 arp,dl_src=02:00:00:00:00:01,arp_op=1",
                "3 arp,dl_dst=02:00:00:00:00:09,arp_op=2",
                "4 arp,dl_src=02:00:00:00:00:09,arp_op=1",
                "5 arp,arp_tpa=10.0.0.9,arp_op=2",
                "6 arp,arp_spa=10.0.0.9,arp_op=1",
                "7 tcp,nw_dst=10.0.0.9,tp_dst=6653",
                "8 tcp,nw_src=10.0.0.9,tp_src=6653",
            ]
        );
        i.queue = Some(3);
        let first = i.rules().remove(0).actions;
        assert_eq!(first, [Action::SetQueue(3), Action::output(OfPort::NORMAL)]);
    }

    const ROUTES: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t0100000A\t0003\t0\t0\t0\t00000000\t0\t0\t0
br0\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
br0\t00000000\tFE01A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
";
    const NEIGHBOURS: &str = "\
IP address       HW type     Flags       HW address            Mask     Device
192.168.1.254    0x1         0x2         02:00:00:00:00:fe     *        br0
192.168.1.7      0x1         0x0         00:00:00:00:00:00     *        br0
192.168.1.9      0x1         0x2         02:00:00:00:00:09     *        br0
";

    #[cfg(target_endian = "little")]
    #[test]
    fn next_hop_is_found_by_route_and_neighbour() {
        let hop = |device: &str, to: &str| {
            next_hop(device, to.parse().unwrap(), ROUTES, NEIGHBOURS).map(|m| m.0[5])
        };
        assert_eq!(hop("br0", "192.168.1.9"), Some(9));
        assert_eq!(hop("br0", "8.8.8.8"), Some(0xfe));
        // Not answered yet; not known; by another device.
        assert_eq!(hop("br0", "192.168.1.7"), None);
        assert_eq!(hop("br0", "192.168.1.8"), None);
        assert_eq!(hop("eth0", "8.8.8.8"), None);
        assert_eq!(next_hop("br0", Ipv4Addr::LOCALHOST, "", "x\ny"), None);
    }
}
