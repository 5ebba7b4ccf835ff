//! The same setup on Open vSwitch and here must print the same, byte for byte.

use tests::Rig;
use tests::rig::hello;

/// A rig with our daemon and one with Debian's, set up alike.
fn two(nics: usize, set_up: impl Fn(&Rig)) -> [Rig; 2] {
    let ours = Rig::new(nics);
    let theirs = Rig::with(nics, tests::debian(), &[]);
    set_up(&ours);
    set_up(&theirs);
    [ours, theirs]
}

/// What a command prints, whether it succeeds or not.
pub(crate) fn said(rig: &Rig, words: &str) -> String {
    match rig.switch.appctl(words) {
        Ok(text) => text,
        // The tool names the socket; both say it.
        Err(testbed::Error::Command { output, .. }) => {
            let socket =
                rig.switch.path(&format!("ovs-vswitchd.{}.ctl", rig.switch.vswitchd_pid()));
            format!("FAILED: {}", output.replace(&socket.display().to_string(), "SOCKET"))
        }
        Err(e) => panic!("{e}"),
    }
}

fn assert_same(rigs: &[Rig; 2], words: &str, clean: impl Fn(String) -> String) {
    let [ours, theirs] = [0, 1].map(|i| clean(said(&rigs[i], words)));
    assert_eq!(ours, theirs, "`ovs-appctl {words}`: ours, then theirs");
}

/// Drops lines of ours that Open vSwitch 3.1 lacks, and numbers that count time.
fn bond_show(text: String) -> String {
    text.lines()
        // Open vSwitch master prints this for balance-slb; 3.1 does not yet.
        .filter(|l| !l.starts_with("all members active: "))
        // And names the bridge that there is not.
        .map(|l| l.replace("no such bridge nosuch", "no such bridge"))
        .map(|l| match l.split_once("next rebalance: ") {
            Some(_) => "next rebalance: N ms\n".to_owned(),
            None => format!("{}\n", members_sorted(&l)),
        })
        .collect()
}

/// A line of `bond/list` with its members in order: Open vSwitch's come out of a hash table.
fn members_sorted(line: &str) -> String {
    let mut fields: Vec<String> = line.split('\t').map(str::to_owned).collect();
    if let [_, _, _, members] = &mut fields[..] {
        let mut m: Vec<&str> = members.split(", ").collect();
        m.sort();
        *members = m.join(", ");
    }
    fields.join("\t")
}

fn same(text: String) -> String {
    text
}

#[harness::test]
fn an_active_backup_bond() {
    let set_up = |rig: &Rig| {
        rig.bond(
            "bond_downdelay=100 other_config:bond-primary=nic1 other_config:bond-hash-basis=7",
        );
        rig.await_active(1);
    };
    let rigs = two(2, set_up);
    for words in ["bond/list", "bond/show", "bond/show bond0", "lacp/show", "lacp/show-stats"] {
        assert_same(&rigs, words, bond_show);
    }
    for words in [
        "bond/show nosuch",
        "bond/set-active-member bond0 nosuch",
        "bond/set-active-slave nosuch nic0",
        "bond/migrate bond0 1 nic0",
        "bond/enable-member bond0 nosuch",
        "bond/disable-member bond0",
        "bond/set-active-member bond0 nic1",
        "bond/set-active-member bond0 nic0",
        "bond/disable-slave bond0 nic1",
        "bond/show",
        "bond/enable-slave bond0 nic1",
        "bond/show",
        "bond/hash aa:55:aa:55:00:07",
        "bond/hash aa:55:aa:55:00:07 12",
        "bond/hash aa:55:aa:55:00:07 12 99",
        "bond/hash nonsense",
        "lacp/show nosuch",
        "no/such-command",
        "fdb/show nosuch",
        "bond/hash",
    ] {
        assert_same(&rigs, words, bond_show);
    }
}

#[harness::test]
fn a_balanced_bond_and_what_it_learned() {
    let set_up = |rig: &Rig| {
        rig.bond("bond_mode=balance-slb bond_downdelay=20");
        // Numbers of ports come out of a hash table there.
        rig.vsctl("set interface vnet0 ofport_request=7 -- set port vnet0 tag=5");
        rig.appctl("bond/set-active-member bond0 nic1");
        rig.vm_socket().send(&hello(1)).unwrap();
        rig.wait("a learned address", || rig.appctl("fdb/show br0").contains("02:00:00:00:55:01"));
    };
    let rigs = two(2, set_up);
    for words in ["bond/list", "bond/show", "bond/migrate bond0 17 nic0", "bond/migrate bond0 x y"]
    {
        assert_same(&rigs, words, bond_show);
    }
    // The age of an entry depends on when one looks.
    let ages = |text: String| -> String {
        // Master's table begins with a capital letter.
        let text = text.replace(" Port  VLAN", " port  VLAN");
        text.lines()
            .map(|l| {
                let young = l.ends_with("    0") || l.ends_with("    1") || l.ends_with("    2");
                let cut = if young { l.len() - 1 } else { l.len() };
                format!("{}\n", &l[..cut])
            })
            .collect()
    };
    assert_same(&rigs, "fdb/show br0", ages);
    assert_same(&rigs, "fdb/flush br0", same);
    assert_same(&rigs, "fdb/show br0", ages);
}

#[harness::test]
fn ports_and_their_numbers() {
    let set_up = |rig: &Rig| {
        rig.bond("");
        rig.vsctl("add-port br0 int0 -- set interface int0 type=internal ofport_request=9");
        rig.vsctl("add-port br0 nothere0");
    };
    let rigs = two(2, set_up);
    // Which of several new ports comes first is a matter of hashing there, of order here: the
    // lines are compared without their numbers, sorted.
    let lines = |text: String| -> String {
        let mut lines: Vec<String> = text
            .lines()
            .filter(|l| !l.contains("hit:"))
            .map(|l| l.replace(|c: char| c.is_ascii_digit(), "N"))
            .collect();
        lines.sort();
        lines.join("\n")
    };
    assert_same(&rigs, "dpif/show", lines);
    for rig in &rigs {
        assert_eq!(rig.get("interface", "int0", "ofport"), "9");
        assert_eq!(rig.get("interface", "nothere0", "ofport"), "-1");
    }
    assert_eq!(
        rigs[0].get("interface", "nothere0", "error"),
        rigs[1].get("interface", "nothere0", "error")
    );
}

#[harness::test]
fn what_xapi_and_friends_type() {
    let rig = Rig::new(2);
    rig.vsctl(
        "-- --may-exist add-bond br0 bond0 nic0 nic1 lacp=active bond_mode=balance-slb \
         bond_updelay=310 bond_downdelay=200 other-config:bond-miimon-interval=100 \
         other-config:bond-detect-mode=carrier other-config:bond-rebalance-interval=1800000 \
         other-config:lacp-time=slow other-config:lacp-fallback-ab=true \
         -- set interface nic0 other-config:lacp-aggregation-key=1",
    );
    rig.wait("both members", || rig.appctl("bond/show bond0").matches(": enabled").count() == 2);
    // The second apply, and ifupdown2's way, must not cost a failover.
    let active = rig.active();
    rig.vsctl("--may-exist add-bond br0 bond0 nic0 nic1 lacp=active bond_mode=balance-slb");
    rig.vsctl(
        "-- --if-exists clear port bond0 bond_active_slave bond_mode cvlans external_ids lacp mac \
         other_config qos tag trunks vlan_mode \
         -- set port bond0 bond_mode=active-backup",
    );
    assert_eq!(rig.active(), active);
    let list = rig.appctl("bond/list");
    assert_eq!(list.lines().next(), Some("bond\ttype\trecircID\tmembers"));
    let second = list.lines().nth(1).map(members_sorted);
    assert_eq!(second.as_deref(), Some("bond0\tactive-backup\t0\tnic0, nic1"));
    rig.vsctl("-- --fake-iface add-bond br0 bond9 nic8 nic9");
    rig.vsctl("--if-exists del-port br0 bond9");
    rig.assert_no_panic();
}
