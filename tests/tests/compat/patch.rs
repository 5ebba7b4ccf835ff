//! Patch ports: what crosses them and what does not.

use crate::rig::{Bridge, DummyRig, ping, tagged_ping};

/// Two bridges: p1 and p2 on br0, p3 on br1, patched by 10 and 20.
fn two() -> DummyRig {
    let b = DummyRig::new(Bridge::Secure, 2);
    b.bridge("br1", Bridge::Secure, [3]);
    b.patch(("br0", 10), ("br1", 20));
    b
}

/// As Open vSwitch's master, which tells the datapath of changes before a copy is made; 3.1 does
/// so when the copy leaves.
#[harness::test]
fn each_bridge_has_its_own_pipeline() {
    tests::ours_only("changes told before a copy");
    let b = two();
    // Registers and metadata stay behind; what was done to the packet goes with it, and what the
    // other bridge does to its copy does not come back.
    b.flows("br0", &["in_port=1,actions=load:7->NXM_NX_REG0[],mod_vlan_vid:5,output:10,output:2"]);
    b.flows(
        "br1",
        &[
            "priority=2,reg0=7,actions=LOCAL",
            "priority=1,in_port=20,dl_vlan=5,actions=mod_vlan_vid:6,output:3",
        ],
    );
    let said = b.actions(&ping(1));
    let (br1, br0) = ("pop_vlan,push_vlan(vid=6,pcp=0),3", "pop_vlan,push_vlan(vid=5,pcp=0),2");
    assert_eq!(said, format!("push_vlan(vid=5,pcp=0),{br1},{br0}"));
    let counts = b.rig.appctl("dpif/show");
    assert!(counts.contains("patch10 10/none: (patch: peer=patch20)"), "{counts}");
}

/// The action set of the bridge behind is carried out there.
#[harness::test]
fn action_sets() {
    let b = two();
    b.ofctl(&[
        "-O",
        "OpenFlow13",
        "add-flow",
        "br1",
        "ip,actions=write_actions(pop_vlan,output:3)",
    ]);
    b.flows("br0", &["ip,actions=output:10"]);
    assert_eq!(b.actions(&tagged_ping(1, 100)), "pop_vlan,3");
    // Asked of the second bridge alone, in OpenFlow's words, which know no type of a tag.
    assert_eq!(b.actions("br1 in_port=20,dl_vlan=100,ip"), "pop_vlan,3");
}

/// Each bridge's mirrors copy for themselves. Crossing a patch port is neither an arrival nor a
/// departure.
#[harness::test]
fn mirrors_of_both() {
    let b = two();
    b.flows("br0", &["in_port=1,actions=output:10"]);
    b.flows("br1", &["in_port=20,actions=LOCAL"]);
    b.rig.vsctl(
        "--id=@p2 get port p2 -- --id=@a create mirror name=a select_all=true output_port=@p2 \
         -- set bridge br0 mirrors=@a \
         -- --id=@p3 get port p3 -- --id=@b create mirror name=b select_all=true output_port=@p3 \
         -- set bridge br1 mirrors=@b",
    );
    assert_eq!(b.actions(&ping(1)), "2,101,3");
}

/// A packet that runs in circles comes to an end, and the daemon goes on.
#[harness::test]
fn circles_end() {
    let b = two();
    b.patch(("br0", 11), ("br1", 21));
    b.flows("br0", &["actions=output:10,output:11"]);
    b.flows("br1", &["actions=output:20,output:21,output:3"]);
    let said = b.trace(&ping(1));
    assert!(said.contains("over max translation depth 64"));
    b.receive(1, &ping(1));
    b.rig.appctl("version");
    b.rig.assert_no_panic();
}
