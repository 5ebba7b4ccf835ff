//! A port of one interface with LACP becomes a bond, and a bond becomes such a port again.

use std::time::Duration;

use testbed::{Members, Switch};
use tests::Rig;
use tests::rig::{enabled, talk};

const FAST: &str = "lacp=active other_config:lacp-time=fast";
/// Longer than the short timeout of a partner that is not heard (3 s, IEEE 802.1AX-2020 6.4.13).
const PATIENCE: Duration = Duration::from_secs(20);

/// Adds an interface to the Port `nic0`.
fn add(rig: &Rig, nic: usize) {
    rig.vsctl(&format!("-- --id=@i create interface name=nic{nic} -- add port nic0 interfaces @i"));
}

/// Takes an interface out of the Port `nic0`.
fn remove(rig: &Rig, nic: usize) {
    let uuid = rig.get("interface", &format!("nic{nic}"), "_uuid");
    rig.vsctl(&format!("remove port nic0 interfaces {uuid}"));
}

/// The line of `lacp/show` with a member's state.
fn state(rig: &Rig, nic: usize) -> String {
    let start = format!("member: nic{nic}: ");
    let show = rig.appctl("lacp/show nic0");
    show.lines().find_map(|l| l.strip_prefix(&start)).unwrap_or_default().to_owned()
}

/// Waits until these members, and no others, hear their partner.
fn await_current(rig: &Rig, what: &str, nics: &[usize]) {
    for nic in nics {
        rig.wait_at_most(PATIENCE, &format!("{what}: nic{nic}"), || {
            state(rig, *nic) == "current attached"
        });
    }
}

/// Single, bond, single, several times over. `live` gives the members that the partner uses.
fn back_and_forth(rig: &Rig, live: impl Fn() -> Vec<usize>) {
    rig.vsctl(&format!("add-port br0 vnet0 -- add-port br0 nic0 -- set port nic0 {FAST}"));
    await_current(rig, "a port of one interface", &[0]);
    for round in 0..2 {
        add(rig, 1);
        rig.vsctl("set port nic0 bond_mode=balance-tcp");
        await_current(rig, &format!("round {round}, a bond"), &[0, 1]);
        rig.wait_at_most(PATIENCE, "both members, for both sides", || {
            enabled(&rig.appctl("bond/show nic0")) == 2 && live() == [0, 1]
        });
        // The one that was alone stays, or the one that came.
        let (stays, goes) = if round == 0 { (0, 1) } else { (1, 0) };
        remove(rig, goes);
        await_current(rig, &format!("round {round}, one interface again"), &[stays]);
        rig.wait_at_most(PATIENCE, "the partner's view", || live() == [stays]);
        rig.wait("lacp_current", || {
            rig.get("interface", &format!("nic{stays}"), "lacp_current") == "true"
        });
    }
}

fn with_the_fabric(members: Members) {
    let rig = Rig::of(members, 2);
    let (fabric, traffic) = rig.traffic(vec![talk(1, 40_000)], 200, true);
    back_and_forth(&rig, || fabric.live());
    // Deaf members would be found out by now, and traffic flows.
    rig.await_calm(&traffic);
    rig.assert_no_panic();
}

#[harness::test]
fn lacp_is_heard_when_a_port_becomes_a_bond_and_back_veth() {
    with_the_fabric(Members::Veth);
}

#[harness::test]
fn lacp_is_heard_when_a_port_becomes_a_bond_and_back_tap() {
    with_the_fabric(Members::Tap);
}

#[harness::test]
fn lacp_is_heard_when_a_port_becomes_a_bond_and_back_open_vswitch() {
    let rig = Rig::new(2);
    let debian = tests::debian();
    let other = Switch::start(rig.tor.clone(), debian, "braid-test").unwrap();
    other
        .vsctl(&format!(
            "add-br br1 -- set bridge br1 datapath_type=netdev \
             other_config:hwaddr=02:00:00:00:b1:00 -- add-bond br1 bond1 tor0 tor1 \
             -- set port bond1 bond_mode=balance-tcp {FAST}"
        ))
        .unwrap();
    let live = || {
        let show = other.appctl("bond/show bond1").unwrap();
        let up = |n: &usize| show.lines().any(|l| l == format!("member tor{n}: enabled"));
        (0..2).filter(up).collect()
    };
    back_and_forth(&rig, live);
    rig.assert_no_panic();
}
