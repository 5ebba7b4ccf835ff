//! Stations beyond the rack's switch that answer ARP (RFC 826) and neighbour solicitations (RFC
//! 4861).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use wire::compose::{Payload, compose};
use wire::neighbour::Neighbour;
use wire::{EthAddr, FlowKey, arp};

/// What a station does when it is asked for its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It answers.
    Answers,
    /// It answers every Nth request of each asker.
    OneOf(u32),
    /// It says nothing.
    Silent,
    /// It answers with another station's address.
    Lies(IpAddr),
}

/// Stations by their addresses.
#[derive(Debug, Default)]
pub(crate) struct Stations {
    stations: BTreeMap<IpAddr, (EthAddr, Manner)>,
    /// Requests, by target and asker.
    asked: BTreeMap<(IpAddr, EthAddr), u32>,
}

impl Stations {
    pub(crate) fn set(&mut self, address: IpAddr, mac: EthAddr, manner: Manner) {
        self.stations.insert(address, (mac, manner));
    }

    /// The answer to a frame, if it asks for a station that gives one.
    pub(crate) fn answer(&mut self, frame: &[u8]) -> Option<Vec<u8>> {
        let key = wire::extract(frame, 0);
        let asked = Neighbour::of(&key).filter(|n| !n.answer)?;
        let times = self.asked.entry((asked.to, key.eth_src)).or_default();
        *times += 1;
        let (mac, says) = match self.stations.get(&asked.to)? {
            (_, Manner::Silent) => return None,
            (_, Manner::OneOf(n)) if !times.is_multiple_of(*n) => return None,
            (mac, Manner::OneOf(_)) => (*mac, asked.to),
            (mac, Manner::Answers) => (*mac, asked.to),
            (mac, Manner::Lies(other)) => (*mac, *other),
        };
        let answer = FlowKey { eth_dst: key.eth_src, eth_src: mac, nw_dst: key.nw_src, ..key };
        let answer = match says {
            IpAddr::V4(ip) => FlowKey {
                nw_proto: arp::op::REPLY,
                nw_src: ip.to_ipv6_compatible().octets(),
                arp_sha: mac,
                arp_tha: key.arp_sha,
                ..answer
            },
            IpAddr::V6(ip) => FlowKey {
                nw_src: Ipv6Addr::octets(&ip),
                nd_target: ip.octets(),
                tp_src: 136,
                arp_sha: EthAddr::ZERO,
                arp_tha: mac,
                ..answer
            },
        };
        Some(compose(&answer, &[], Payload::Octets(&[])))
    }
}
