//! `ofproto/trace` against the switch itself: it tells what would happen, and bad words harm
//! nobody.

use datapath::{Datapath, PortNo};
use ofproto::trace::PortNames;
use proptest::prelude::*;

use crate::frame::udp;
use crate::lab::Lab;

struct NoPortNames;

impl PortNames for NoPortNames {
    fn number(&self, _: &str) -> Option<PortNo> {
        None
    }

    fn name(&self, _: PortNo) -> Option<String> {
        None
    }
}

const TOPOLOGY: &str = "
br0:
  p1 = 1
  bond0 = 3+4
  pa = patch:pb
br1:
  p2 = 2
  pb = patch:pa
";

fn trace(lab: &Lab, argv: &[&str]) -> Result<String, String> {
    lab.ofproto.trace(lab.dp.now(), argv, &NoPortNames)
}

fn actions(said: &str) -> &str {
    said.lines().find_map(|l| l.strip_prefix("Datapath actions: ")).unwrap()
}

/// What is said is what happens to a packet, over a bond by the member that is active now.
#[test]
fn trace_predicts_what_happens_to_the_packet() {
    let lab = Lab::new(TOPOLOGY);
    lab.active("bond0", 3, &[3, 4]);
    let flow = "in_port=1,udp,dl_src=00:00:00:00:00:01,dl_dst=00:00:00:00:00:02";
    let said = trace(&lab, &["br0", flow]).unwrap();
    assert_eq!(lab.fdb("br0"), "", "nothing has passed");
    let mut outs: Vec<&str> = actions(&said).split(',').collect();
    outs.sort_unstable();
    assert_eq!(outs, ["2", "3"], "{said}");
    let sent: Vec<u32> = lab.outs(1, &udp(1, 2)).iter().map(|(p, _)| p.0).collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    lab.active("bond0", 4, &[3, 4]);
    let said = trace(&lab, &["br0", flow]).unwrap();
    assert!(actions(&said).split(',').any(|out| out == "4"), "{said}");
}

#[test]
fn trace_sends_no_packet() {
    let lab = Lab::new(TOPOLOGY);
    lab.dp.sent();
    let flow = "in_port=1,udp,dl_src=00:00:00:00:00:01";
    trace(&lab, &["br0", flow, "-generate"]).unwrap();
    assert_eq!(lab.fdb("br0"), "1@1/0");
    assert!(lab.dp.sent().is_empty());
    assert_eq!(lab.flows().len(), 0, "nor kept");
}

/// Words such as people type, whole or in pieces.
fn word() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "br0",
        "br1",
        "ovs-system",
        "system",
        "-generate",
        "--names",
        "--l7",
        "--l7-len",
        "12",
        "-consistent",
        "--ct-next",
        "trk,new",
        "in_port=1",
        "in_port=NONE",
        "in_port(1)",
        "in_port(1),eth(src=00:00:00:00:00:01),eth_type(0x800),ipv4(frag=later)",
        "in_port(2),eth_type(0x8100),vlan(vid=1,pcp=7),encap(eth_type(0x8100),vlan(vid=2),encap())",
        "recirc_id(1),dp_hash(7)",
        "mpls,mpls_label=3",
        "icmp6,nd_target=::1",
        "ipv6,nw_ttl=0",
        "000000000001000000000002",
        "00000000000100000000000208004500",
        "ufid:",
        "normal",
        "output:1,resubmit(,3),push:NXM_NX_REG0[],pop:NXM_NX_REG1[],dec_ttl,controller",
    ]);
    prop_oneof![
        8 => known.clone().prop_map(str::to_owned),
        2 => (known, any::<prop::sample::Index>()).prop_map(|(w, at)| {
            let at = at.index(w.len());
            w.get(..at).unwrap_or(w).to_owned()
        }),
        1 => "\\PC{0,12}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn any_words_get_an_answer(words in prop::collection::vec(word(), 0..6)) {
        let lab = Lab::new(TOPOLOGY);
        lab.active("bond0", 3, &[3, 4]);
        let argv: Vec<&str> = words.iter().map(String::as_str).collect();
        for said in [
            trace(&lab, &argv),
            lab.ofproto.trace_packet_out(lab.dp.now(), &argv, &NoPortNames),
        ] {
            match said {
                Ok(text) => prop_assert!(text.starts_with("Flow: ") && text.contains("Datapath actions: ")),
                Err(text) => prop_assert!(!text.is_empty()),
            }
        }
    }
}
