//! Megaflows match no more than what translation looked at, and no less.

use datapath::Datapath;
use wire::{EthAddr, FlowMask, VlanTag};

use crate::frame::{BROADCAST, arp, other, udp, udp_ports};
use crate::lab::Lab;

fn only_mask(lab: &Lab) -> FlowMask {
    let flows = lab.flows();
    assert_eq!(flows.len(), 1);
    flows[0].mask
}

fn normal() -> FlowMask {
    FlowMask {
        recirc_id: u32::MAX,
        in_port: u32::MAX,
        eth_type: u16::MAX,
        eth_src: EthAddr::BROADCAST,
        eth_dst: EthAddr::BROADCAST,
        vlan: [
            VlanTag { tpid: u16::MAX, tci: VlanTag::CFI | VlanTag::VID_MASK },
            VlanTag::default(),
        ],
        ..FlowMask::default()
    }
}

#[test]
fn normal_looks_at_addresses_vlan_and_fragments() {
    let lab = Lab::new("br0:\n p1 = 1\n p2 = 2");
    lab.send(1, &other(1, 2, 0xabcd));
    assert_eq!(only_mask(&lab), normal());
    lab.dp.flow_flush();
    lab.send(1, &udp(1, 2));
    assert_eq!(only_mask(&lab), FlowMask { nw_frag: u8::MAX, ..normal() });
    lab.dp.flow_flush();
    let any = [u8::MAX; 16];
    lab.send(1, &arp(1, 1, 1, 2));
    assert_eq!(
        only_mask(&lab),
        FlowMask { nw_proto: u8::MAX, nw_src: any, nw_dst: any, ..normal() },
        "whether an ARP is gratuitous"
    );
    lab.dp.flow_flush();
    lab.send(1, &arp(1, 2, 1, 2));
    assert_eq!(only_mask(&lab), FlowMask { nw_proto: u8::MAX, ..normal() });
}

#[test]
fn priority_matters_only_where_a_tag_changes() {
    let mut lab = Lab::new("br0:\n p1 = 1\n p2 = 2\n p3 = 3 access=10");
    lab.config.vlan_limit = 1;
    lab.apply();
    lab.send(1, &other(1, 2, 0xabcd).tag(20));
    let one_tag = VlanTag { tpid: u16::MAX, tci: VlanTag::CFI };
    let outer = normal().vlan[0];
    assert_eq!(only_mask(&lab), FlowMask { vlan: [outer, one_tag], ..normal() });
    lab.dp.flow_flush();
    lab.send(1, &other(1, 2, 0xabcd).tag(10));
    assert_eq!(only_mask(&lab).vlan[0], VlanTag { tpid: u16::MAX, tci: u16::MAX });
}

#[test]
fn one_flow_for_all_connections() {
    let lab = Lab::new("br0:\n p1 = 1\n p2 = 2");
    for port in 0..100 {
        lab.send(1, &udp_ports(1, 2, port, 80));
    }
    assert_eq!(lab.flows().len(), 1);
}

#[test]
fn exact_without_megaflows() {
    let lab = Lab::new("br0:\n p1 = 1\n p2 = 2");
    lab.send(1, &udp(1, 2));
    assert_eq!(lab.ofproto.enable_megaflows(false), "megaflows disabled");
    assert_eq!(lab.flows().len(), 0, "existing flows go");
    for port in 0..100 {
        lab.send(1, &udp_ports(1, 2, port, 80));
    }
    assert_eq!(lab.flows().len(), 100);
    assert_eq!(lab.send(1, &arp(1, 1, 1, 2)), "2:-");
    let mut lab = lab;
    lab.apply();
    lab.revalidate();
    assert_eq!(lab.flows().len(), 101, "revalidation agrees with itself");
    assert_eq!(lab.ofproto.enable_megaflows(true), "megaflows enabled");
    lab.send(1, &other(5, BROADCAST, 0xabcd));
    assert_eq!(only_mask(&lab), normal());
}
