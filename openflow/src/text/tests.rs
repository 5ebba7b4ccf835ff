//! Texts that are not flows of a switch, and what is said of bad ones. `tests/ofctl.rs` has the
//! good ones.

use proptest::prelude::*;
use wire::{FlowKey, VlanTag, extract, ip};

use super::*;
use crate::action::Action;
use crate::field::{Field, Match};
use crate::msg::{FlowFlags, FlowModCommand, FlowStats};
use wire::compose::{COUNTING, Payload, compose};

fn flow_error(s: &str) -> String {
    parse_flow(s, FlowText::Command(FlowModCommand::Add), &NoNames).unwrap_err().0
}

#[test]
fn flow_text_error_names_what_is_wrong() {
    for (text, error) in [
        ("in_port=1", "must specify an action"),
        ("foo=1,actions=drop", "unknown keyword foo"),
        ("priority=,actions=drop", "field priority missing value"),
        ("priority=70000,actions=drop", "invalid priority \"70000\""),
        ("table=x,actions=drop", "unknown table \"x\""),
        ("cookie=1/3,actions=drop", "flow additions cannot use a cookie mask"),
        ("in_port=nope,actions=drop", "nope: invalid or unknown port for in_port"),
        ("dl_type=0x800/0xff,actions=drop", "0x800/0xff: invalid mask for field eth_type"),
        ("ip,nw_src=1.2.3,actions=drop", "1.2.3: invalid IP address"),
        ("dl_src=1:2,actions=drop", "1:2: invalid Ethernet address"),
        ("nw_ttl=256,ip,actions=drop", "256: value too large for 1-byte field nw_ttl"),
        (
            "reg0[40]=1,actions=drop",
            "reg0[40]: starting bit 40 is not valid because field is only 32 bits wide",
        ),
        ("reg0[0]=2,actions=drop", "reg0[0]: value 0x2 does not fit into 1 bits"),
        ("actions=bogus", "unknown action bogus"),
        ("actions=drop,1", "\"drop\" must not be accompanied by any other action or instruction"),
        ("actions=output:foo", "foo: output to unknown port"),
        (
            "actions=resubmit(,)",
            "at least one \"in_port\" or \"table\" must be specified on resubmit",
        ),
        ("actions=set_field:1->eth_type", "eth_type is read-only"),
        ("actions=set_field:1", "1: missing `->'"),
        (
            "actions=load:8->NXM_NX_REG0[0..2]",
            "8->NXM_NX_REG0[0..2]: value 0x8 does not fit into 3 bits",
        ),
        (
            "actions=move:NXM_NX_REG0[0..3]->NXM_NX_REG1[]",
            "NXM_NX_REG0[0..3]->NXM_NX_REG1[]: source field is 4 bits wide but destination is 32 bits wide",
        ),
        (
            "actions=goto_table:1,output:1",
            "invalid instruction ordering: apply_actions must appear before goto_table, for OpenFlow 1.1+ compatibility",
        ),
        (
            "table=5,actions=goto_table:5",
            "actions are invalid with specified match (OFPBIC_BAD_TABLE_ID)",
        ),
        (
            "actions=set_field:80->tcp_dst",
            "actions are invalid with specified match (OFPBAC_MATCH_INCONSISTENT)",
        ),
        ("actions=mod_vlan_vid:4096", "4096: not a valid VLAN VID"),
        (
            "actions=conjunction(1,3/2)",
            "clause index must be less than or equal to number of clauses",
        ),
    ] {
        assert_eq!(flow_error(text), error, "{text}");
    }
    let deep = format!("actions={}drop{}", "clone(".repeat(100), ")".repeat(100));
    assert_eq!(flow_error(&deep), "Action nested too deeply");
}

struct Two;

impl Names for Two {
    fn port_name(&self, p: OfPort) -> Option<String> {
        [(1, "p1"), (2, "vm-2")].iter().find(|(n, _)| *n == p.0).map(|(_, s)| (*s).to_owned())
    }

    fn port_number(&self, name: &str) -> Option<OfPort> {
        [(1, "p1"), (2, "vm-2")].iter().find(|(_, s)| *s == name).map(|(n, _)| OfPort(*n))
    }

    fn table_name(&self, t: u8) -> Option<String> {
        (t == 3).then(|| "three".to_owned())
    }

    fn table_number(&self, name: &str) -> Option<u8> {
        (name == "three").then_some(3)
    }
}

#[test]
fn port_names_are_read_and_quoted() {
    let text = "table=three,in_port=p1,actions=output:\"vm-2\",resubmit(p1,three)";
    let f = parse_flow(text, FlowText::WithCommand, &Two).unwrap();
    assert_eq!(f.table_id, 3);
    assert_eq!(
        print_flow_mod(&f, crate::Version::V13, &Two),
        "ADD table:three in_port=p1 actions=output:\"vm-2\",resubmit(p1,three)"
    );
    assert_eq!(
        print_flow_mod(&f, crate::Version::V13, &NoNames),
        "ADD table:3 in_port=1 actions=output:2,resubmit(1,3)"
    );
}

#[test]
fn flow_statistics_print_as_ovs_ofctl_does() {
    let mut m = Match::default();
    m.set(Field::EthType, 0x800);
    m.set(Field::IpProto, 6);
    m.set(Field::Ipv4Src, 0x0a00_0001);
    let mut f = FlowStats {
        matching: m,
        cookie: 0,
        table_id: 0,
        priority: 100,
        duration_sec: 4,
        duration_nsec: 238_000_000,
        idle_timeout: 0,
        hard_timeout: 5,
        idle_age: Some(3),
        hard_age: Some(4),
        packets: 0,
        bytes: u64::MAX,
        importance: 0,
        flags: FlowFlags::SEND_FLOW_REM,
        actions: vec![Action::output(OfPort::NORMAL)],
    };
    assert_eq!(
        print_flow_stats(&f, &NoNames, true),
        "cookie=0x0, duration=4.238s, table=0, n_packets=0, n_bytes=?, hard_timeout=5, \
         send_flow_rem idle_age=3, priority=100,tcp,nw_src=10.0.0.1 actions=NORMAL"
    );
    f.table_id = 2;
    assert_eq!(
        print_flow_stats(&f, &NoNames, false),
        "table=2, hard_timeout=5, send_flow_rem priority=100,tcp,nw_src=10.0.0.1 actions=NORMAL"
    );
    f.matching = Match::default();
    f.priority = 0x8000;
    f.flags = FlowFlags::default();
    f.hard_timeout = 0;
    assert_eq!(print_flow_stats(&f, &NoNames, false), "table=2, actions=NORMAL");
    assert_eq!(print_duration(1, 10), "1.00000001s");
    assert_eq!(print_duration(7, 0), "7s");
}

#[test]
fn exact_flow_text_gives_the_key() {
    let f =
        parse_exact_flow("in_port=3,tcp,nw_src=10.0.0.1,tp_dst=80,dl_vlan=9", &NoNames).unwrap();
    assert_eq!(f.in_port, OfPort(3));
    assert_eq!((f.key.eth_type, f.key.nw_proto, f.key.tp_dst), (0x800, 6, 80));
    assert_eq!(f.key.vlan[0].tci, 0x1009);
    assert_eq!(parse_exact_flow("", &NoNames).unwrap().in_port, OfPort::NONE);
    let error = |s: &str| parse_exact_flow(s, &NoNames).unwrap_err().0;
    assert_eq!(error("tcp,udp"), "tcp,udp: Ethernet type set multiple times");
    assert_eq!(error("nw_src=1.2.3.4"), "nw_src=1.2.3.4: prerequisites not met for setting nw_src");
    assert_eq!(
        error("ip,nw_ttl=1,nw_ttl=2"),
        "ip,nw_ttl=1,nw_ttl=2: field nw_ttl set multiple times"
    );
    assert!(error("ip,nw_src=1.0.0.0/8").contains("wildcards not allowed"));
    assert_eq!(error("bogus=1"), "bogus=1: unknown field bogus");
    let m = parse_exact_match("tcp,tcp_dst=80", &NoNames).unwrap();
    assert_eq!(print_match(&m, 0x8000, &NoNames), "tcp,tp_dst=80");
    assert!(m.is_wild(Field::InPort) && m.is_wild(Field::Ipv4Src));
}

/// Keys that a frame can have.
fn key() -> impl Strategy<Value = FlowKey> {
    let types = prop::sample::select(vec![0x800u16, 0x86dd, 0x806, 0x88cc]);
    let protos = prop::sample::select(vec![1u8, 6, 17, 58, 132, 2, 47]);
    let numbers = (any::<u16>(), any::<u16>(), any::<u8>(), any::<u8>(), 0..3u8);
    (types, protos, numbers, 0..3usize, any::<[u8; 16]>(), any::<[u8; 16]>()).prop_map(
        |(typ, proto, (src, dst, tos, ttl, frag), tags, a, b)| {
            let mut k = FlowKey { eth_type: typ, ..FlowKey::default() };
            k.eth_src = wire::EthAddr([2, a[0], 0, 0, 0, 1]);
            k.eth_dst = wire::EthAddr([2, b[0], 0, 0, 0, 2]);
            for tag in &mut k.vlan[..tags] {
                *tag = VlanTag { tpid: 0x8100, tci: 0x1000 | src & 0xefff };
            }
            match typ {
                0x806 => {
                    k.nw_proto = proto;
                    // Other packets than requests and replies are composed without addresses.
                    if matches!(proto, 1 | 2) {
                        k.nw_src[12..].copy_from_slice(&a[12..]);
                        k.nw_dst[12..].copy_from_slice(&b[12..]);
                        k.arp_sha = k.eth_src;
                        k.arp_tha = k.eth_dst;
                    }
                    return k;
                }
                0x800 => {
                    k.nw_src[12..].copy_from_slice(&a[12..]);
                    k.nw_dst[12..].copy_from_slice(&b[12..]);
                }
                0x86dd => {
                    k.nw_src = a;
                    k.nw_dst = b;
                    k.ipv6_label = u32::from(src);
                }
                _ => return k,
            }
            k.nw_proto = if typ == 0x86dd && proto == 1 { 58 } else { proto };
            k.nw_tos = tos;
            k.nw_ttl = ttl;
            k.nw_frag = [0, 1, 3][usize::from(frag)];
            if k.nw_frag == 3 {
                if typ == 0x86dd {
                    k.nw_proto = ip::FRAGMENT;
                }
                return k;
            }
            match k.nw_proto {
                6 | 17 | 132 => (k.tp_src, k.tp_dst) = (src, dst),
                58 if typ == 0x86dd => (k.tp_src, k.tp_dst) = (src & 0xff, dst & 0xff),
                1 | 2 if typ == 0x800 => (k.tp_src, k.tp_dst) = (src & 0xff, dst & 0xff),
                2 => (k.tp_src, k.tp_dst) = (src & 0xff, dst & 0xff),
                _ => {}
            }
            if k.nw_proto == 6 {
                k.tcp_flags = dst & 0xfff;
            }
            if typ == 0x86dd && k.nw_proto == 58 && matches!((k.tp_src, k.tp_dst), (135 | 136, 0)) {
                k.nd_target = a;
                k.arp_sha = k.eth_src;
            }
            k
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// A frame gives the key that it was made of, and its checksums are right.
    #[test]
    fn composed_frame_has_the_key_and_right_checksums(k in key(), counting in any::<bool>()) {
        let payload = if counting { Payload::Octets(&COUNTING) } else { Payload::UpTo(100) };
        let f = compose(&k, &[0; 3], payload);
        let first_fragment_of_v6 = k.eth_type == 0x86dd && k.nw_frag == 1;
        let got = extract(&f, 0);
        if !first_fragment_of_v6 {
            prop_assert_eq!(got, k);
        }
        if k.nw_frag == 0 && matches!(k.nw_proto, 6 | 17) && k.eth_type != 0x806 {
            prop_assert_ne!(wire::checksum::verify(&f), Some(false));
        }
        if !counting {
            prop_assert!(f.len() >= 100);
        }
    }

    /// Nothing that is typed does harm, and what is printed reads back.
    #[test]
    fn random_text_is_refused_or_prints_and_reads_back(s in "[a-z_0-9=:,()/>\\-.\\[\\]\" ]{0,60}") {
        let _ = parse_flow(&s, FlowText::WithCommand, &NoNames);
        let _ = parse_flow(&format!("actions={s}"), FlowText::WithCommand, &NoNames);
        let _ = parse_exact_flow(&s, &NoNames);
    }

    #[test]
    fn random_unicode_does_not_panic(s in any::<String>()) {
        let _ = parse_flow(&format!("{s}actions={s}"), FlowText::WithCommand, &NoNames);
    }
}
