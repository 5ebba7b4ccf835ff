use super::*;

/// A database with two bridges and a bond, and a host with one device.
struct Fake;

impl Source for Fake {
    fn column(&mut self, table: &str, column: &str) -> Vec<String> {
        let names: &[&str] = match (table, column) {
            ("Bridge", "name") => &["br-int", "br0"],
            ("Port", "name") => &["bond0", "br0"],
            ("Interface", "name") => &["eth0", "eth1"],
            ("SSL", "_uuid") => &["00000000-0000-0000-0000-000000000001"],
            _ => &[],
        };
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    fn keys(&mut self, table: &str, name: Option<&str>, record: &str, column: &str) -> Vec<String> {
        let bond = ("Port", Some("name"), "bond0", "other_config");
        if (table, name, record, column) != bond {
            return Vec::new();
        }
        vec!["bond-primary".to_owned(), "mine".to_owned()]
    }

    fn devices(&mut self) -> Vec<String> {
        vec!["eth2".to_owned()]
    }
}

/// The candidates for the last word of a line; a blank at its end begins a new word.
fn after(line: &str) -> Vec<String> {
    let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
    candidates(&words, &mut Fake).into_iter().map(|candidate| candidate.text).collect()
}

#[test]
fn commands_options_and_rows_are_completed() {
    for (line, found) in [
        ("add-p", vec!["add-port"]),
        ("--no-wait add-p", vec!["add-port"]),
        ("--db=tcp:h:1 -t 5 list-i", vec!["list-ifaces"]),
        ("--no-w", vec!["--no-wait"]),
        ("--ti", vec!["--timeout="]),
        ("add-br br1 -- --may-exist add-p", vec!["add-port"]),
        ("add-br br1 -- --wi", vec!["--with-iface"]),
        // Options of the program come first; `--` ends them.
        ("add-br br1 -- --no-w", vec![]),
        ("-- --no-w", vec![]),
        ("-- list-i", vec!["list-ifaces"]),
        ("--if-exists del-p", vec!["del-port"]),
        ("--with-iface del-", vec!["del-port"]),
        ("del-br ", vec!["br-int", "br0"]),
        ("br-exists br0 ", vec![]),
        ("del-port br-int b", vec!["bond0", "br0"]),
        ("add-port br0 ", vec!["eth2"]),
        ("add-bond br0 bond1 e0 e", vec!["eth2", "external_ids:"]),
        ("set-fail-mode br0 s", vec!["secure", "standalone"]),
        ("set P", vec!["Port"]),
        ("set port ", vec!["bond0", "br0"]),
        ("list Open_vSwitch ", vec!["."]),
        ("list SSL ", vec!["."]),
        ("nonsense ", vec![]),
        ("--timeout ", vec![]),
        ("--nonsense ", vec![]),
    ] {
        assert_eq!(after(line), found, "{line}");
    }
}

#[test]
fn columns_keys_and_words_are_completed() {
    for (line, found) in [
        ("set port bond0 bond_m", vec!["bond_mode="]),
        ("set port bond0 other_c", vec!["other_config:"]),
        ("set port bond0 bond_mode=b", vec!["bond_mode=balance-slb", "bond_mode=balance-tcp"]),
        ("set bridge br0 stp_enable=", vec!["stp_enable=false", "stp_enable=true"]),
        ("set bridge br0 protocols=OpenFlow10,OpenFlow15", vec!["protocols=OpenFlow10,OpenFlow15"]),
        (
            "set port bond0 other_config:bond-primary",
            vec!["other_config:bond-primary-reselect=", "other_config:bond-primary="],
        ),
        (
            "set port bond0 other_config:bond-primary-reselect=",
            vec![
                "other_config:bond-primary-reselect=always",
                "other_config:bond-primary-reselect=better",
                "other_config:bond-primary-reselect=failure",
            ],
        ),
        (
            "set port bond0 other_config:bond-primary=",
            vec!["other_config:bond-primary=eth0", "other_config:bond-primary=eth1"],
        ),
        ("set port bond0 other:lacp-time=f", vec!["other:lacp-time=fast"]),
        ("set interface eth0 bfd:en", vec!["bfd:enable="]),
        ("set interface eth0 bfd:enable=t", vec!["bfd:enable=true"]),
        ("set Open_vSwitch . other_config:max-i", vec!["other_config:max-idle="]),
        ("add-port br0 p tag=3 -- set port p vlan_mode=ac", vec!["vlan_mode=access"]),
        (
            "add-port br0 p other_config:qinq-ethtype=",
            vec!["other_config:qinq-ethtype=802.1ad", "other_config:qinq-ethtype=802.1q"],
        ),
        ("add port bond0 other_config lb", vec!["lb-output-action="]),
        (
            "add port bond0 other_config lb-output-action=",
            vec!["lb-output-action=false", "lb-output-action=true"],
        ),
        // Keys that are there, where they are read or removed.
        ("get port bond0 other_config:", vec!["other_config:bond-primary", "other_config:mine"]),
        ("remove port bond0 other_config m", vec!["mine"]),
        ("clear port bond0 bond_f", vec!["bond_fake_iface"]),
        ("find port bond_mode=active", vec!["bond_mode=active-backup"]),
        ("set nonsense x y", vec![]),
        ("set port bond0 nonsense:x", vec![]),
    ] {
        assert_eq!(after(line), found, "{line}");
    }
}

#[test]
fn every_option_of_the_daemon_is_completed_with_its_words_and_explained() {
    for e in entries() {
        let line = format!("set {} x {}:{}", e.table, e.column, e.key);
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        let all = candidates(&words, &mut Fake);
        let text = format!("{}:{}=", e.column, e.key);
        let found = all.iter().find(|candidate| candidate.text == text);
        assert!(found.is_some_and(|c| c.about.starts_with(e.about)), "{line}: {all:?}");
        if let Values::Words(words) = e.values {
            let of: Vec<String> = after(&format!("{line}="));
            assert_eq!(of.len(), words.len(), "{line}: {of:?}");
        }
    }
}

#[test]
fn what_is_set_leaves_out_columns_that_the_daemon_writes() {
    let all = after("set interface eth0 ");
    assert!(all.contains(&"mtu_request=".to_owned()), "{all:?}");
    assert!(!all.contains(&"statistics:".to_owned()), "{all:?}");
    assert!(after("get interface eth0 stat").contains(&"statistics".to_owned()));
}
