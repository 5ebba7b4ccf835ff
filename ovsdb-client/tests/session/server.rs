//! Against the real `ovsdb-server` and `ovs-vsctl`.

use std::time::{Duration, Instant};

use crate::common::{Driver, Server, quick};
use ovsdb_client::{
    Bridge, ChangeKind, Client, ClientError, Interface, OpenVSwitch, Options, Port, SessionEvent,
    Table, Txn, TxnError, TxnReply, Uuid,
};

fn followed(server: &Server) -> Driver {
    let mut driver = Driver::new(&server.remote(), quick());
    driver.until("contents", |driver| driver.session.has_data());
    driver
}

fn transact(driver: &mut Driver, txn: &Txn) -> Result<TxnReply, TxnError> {
    let id = driver.session.transact(txn);
    let is_ours =
        |event: &SessionEvent| matches!(event, SessionEvent::TxnReply(of, _) if *of == id);
    driver.until("reply", |driver| driver.seen.iter().any(is_ours));
    let at = driver.seen.iter().position(is_ours).unwrap();
    match driver.seen.remove(at) {
        SessionEvent::TxnReply(_, result) => result,
        other => panic!("{other:?}"),
    }
}

fn port_named(driver: &Driver, name: &str) -> Option<Port> {
    driver.session.db().ports.values().find(|port| port.name == name).cloned()
}

fn root(driver: &Driver) -> Uuid {
    *driver.session.db().open_vswitch.keys().next().unwrap()
}

#[harness::test]
fn replica_follows_writes_of_ovs_vsctl() {
    let server = Server::start();
    server.vsctl(&["add-br", "br0", "--", "set", "Bridge", "br0", "other-config:mac-aging-time=9"]);
    let mut driver = followed(&server);
    let db = driver.session.db();
    let bridge = db.bridges.values().next().unwrap();
    assert_eq!((bridge.name.as_str(), bridge.ports.len()), ("br0", 1));
    assert_eq!(bridge.other_config["mac-aging-time"], "9");
    assert_eq!(db.open_vswitch.len(), 1);
    assert_eq!(driver.session.take_changes().len(), 4, "root, bridge, port, interface");

    server.vsctl(&[
        "--",
        "--fake-iface",
        "add-bond",
        "br0",
        "bond0",
        "eth0",
        "eth1",
        "eth2",
        "lacp=active",
        "bond_mode=balance-tcp",
        "bond_updelay=250",
        "other-config:lacp-time=fast",
        "--",
        "set",
        "interface",
        "eth1",
        "type=dummy",
        "options:peer=x",
        "mtu_request=9000",
        "--",
        "set",
        "port",
        "bond0",
        "trunks=3,1,2",
        "tag=7",
        "vlan_mode=native-tagged",
    ]);
    driver.until("bond", |driver| port_named(driver, "bond0").is_some());
    let bond = port_named(&driver, "bond0").unwrap();
    assert_eq!(bond.interfaces.len(), 3);
    assert_eq!(
        (bond.lacp.as_deref(), bond.bond_mode.as_deref()),
        (Some("active"), Some("balance-tcp"))
    );
    assert_eq!((bond.bond_updelay, bond.bond_fake_iface, bond.tag), (250, true, Some(7)));
    assert_eq!(bond.trunks, [1, 2, 3]);
    assert_eq!(bond.vlan_mode.as_deref(), Some("native-tagged"));
    assert_eq!(bond.other_config["lacp-time"], "fast");
    let db = driver.session.db();
    let eth1 = db.interfaces.values().find(|interface| interface.name == "eth1").unwrap();
    assert_eq!((eth1.r#type.as_str(), eth1.mtu_request), ("dummy", Some(9000)));
    assert_eq!(eth1.options["peer"], "x");
    let changes = driver.session.take_changes();
    let kinds =
        |table| changes.iter().filter(move |((of, _), _)| *of == table).map(|(_, c)| c.kind);
    assert!(kinds(Table::Interface).eq([ChangeKind::Inserted; 3]));
    assert!(kinds(Table::Bridge).eq([ChangeKind::Modified]));

    // Differences of sets, maps and optional columns.
    server.vsctl(&[
        "set",
        "port",
        "bond0",
        "trunks=2,4",
        "other-config:lacp-time=slow",
        "other-config:b=c",
        "--",
        "clear",
        "port",
        "bond0",
        "tag",
        "--",
        "remove",
        "bridge",
        "br0",
        "other_config",
        "mac-aging-time",
        "--",
        "del-bond-iface",
        "bond0",
        "eth2",
    ]);
    driver.until("change", |driver| port_named(driver, "bond0").unwrap().tag.is_none());
    let bond = port_named(&driver, "bond0").unwrap();
    assert_eq!((bond.trunks, bond.interfaces.len()), (vec![2, 4], 2));
    let pairs: Vec<_> = bond.other_config.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(pairs, ["b=c", "lacp-time=slow"]);
    assert!(driver.session.db().bridges.values().next().unwrap().other_config.is_empty());
    assert_eq!(driver.session.db().interfaces.len(), 3);

    server.vsctl(&["del-br", "br0"]);
    driver.until("removal", |driver| driver.session.db().bridges.is_empty());
    assert!(driver.session.db().ports.is_empty() && driver.session.db().interfaces.is_empty());
    assert_eq!(driver.count(|event| matches!(event, SessionEvent::BadValue(_))), 0);
    assert_eq!(driver.count(|event| matches!(event, SessionEvent::SchemaGap(_))), 0);
}

#[harness::test]
fn written_columns_read_back() {
    let server = Server::start();
    server.vsctl(&["add-br", "br0", "--", "add-port", "br0", "p0"]);
    let mut driver = followed(&server);
    let db = driver.session.db();
    let (&uuid, _) = db.interfaces.iter().find(|(_, row)| row.name == "p0").unwrap();
    let config_seqno = db.config_seqno();
    let mut txn = Txn::new();
    txn.set(uuid, Interface::COL.link_state, &Some("up".to_owned()));
    txn.set(uuid, Interface::COL.ofport, &Some(3));
    txn.set(uuid, Interface::COL.lacp_current, &Some(true));
    txn.set(uuid, Interface::COL.error, &Some("näh \"x\"\n".to_owned()));
    let statistics = [("rx_packets".to_owned(), i64::MAX), ("tx_packets".to_owned(), 0)];
    txn.set(uuid, Interface::COL.statistics, &statistics.clone().into());
    txn.comment("status");
    assert_eq!(transact(&mut driver, &txn).unwrap().changed, 1);
    // The update comes before the reply, and status is not configuration.
    let row = &driver.session.db().interfaces[&uuid];
    assert_eq!((row.link_state.as_deref(), row.ofport), (Some("up"), Some(3)));
    assert_eq!(row.statistics, statistics.into());
    assert_eq!(row.error.as_deref(), Some("näh \"x\"\n"));
    assert_eq!(driver.session.db().config_seqno(), config_seqno);
    assert_eq!(server.vsctl(&["get", "interface", "p0", "ofport", "lacp_current"]), "3\ntrue");
    assert_eq!(
        server.vsctl(&["get", "interface", "p0", "statistics:rx_packets"]),
        i64::MAX.to_string()
    );

    // Clearing, counting, keys of maps.
    let top = root(&driver);
    let mut txn = Txn::new();
    txn.set(uuid, Interface::COL.error, &None);
    txn.increment(top, OpenVSwitch::COL.next_cfg, 5);
    txn.set_key(top, OpenVSwitch::COL.external_ids, &"system-id".to_owned(), &"a b".to_owned());
    transact(&mut driver, &txn).unwrap();
    assert_eq!(server.vsctl(&["get", "interface", "p0", "error"]), "[]");
    assert_eq!(server.vsctl(&["get", "Open_vSwitch", ".", "external-ids:system-id"]), "\"a b\"");
    assert!(driver.session.db().config_seqno() > config_seqno);

    // A new bond, by stand-in UUIDs.
    let (&bridge, _) = driver.session.db().bridges.iter().next().unwrap();
    let mut txn = Txn::new();
    let members: Vec<Uuid> = ["m0", "m1"]
        .iter()
        .map(|name| {
            let member = txn.insert::<Interface>();
            txn.set(member, Interface::COL.name, &(*name).to_owned());
            member
        })
        .collect();
    let port = txn.insert::<Port>();
    txn.set(port, Port::COL.name, &"bond1".to_owned());
    txn.set(port, Port::COL.interfaces, &members);
    txn.add(bridge, Bridge::COL.ports, &[port]);
    let reply = transact(&mut driver, &txn).unwrap();
    let given = reply.inserted(port).unwrap();
    assert_eq!(driver.session.db().ports[&given].interfaces.len(), 2);
    assert_eq!(server.vsctl(&["list-ifaces", "br0"]), "m0\nm1\np0");

    // What the server refuses is named, and nothing is done.
    let mut txn = Txn::new();
    txn.set(uuid, Interface::COL.mtu, &Some(1));
    txn.set(given, Port::COL.bond_mode, &Some("sideways".to_owned()));
    let error = transact(&mut driver, &txn).unwrap_err();
    let TxnError::Operation { operation, error: word, .. } = &error else { panic!("{error:?}") };
    assert_eq!(
        (operation.op, operation.table, operation.uuid),
        ("update", Some(Table::Port), given)
    );
    assert_eq!(
        (operation.columns.as_slice(), word.as_str()),
        (&["bond_mode"][..], "constraint violation")
    );
    assert_eq!(driver.session.db().interfaces[&uuid].mtu, None);
    let mut txn = Txn::new();
    txn.verify(given, Port::COL.name, &"other".to_owned());
    let error = transact(&mut driver, &txn).unwrap_err();
    assert!(
        matches!(&error, TxnError::Operation { operation, error, .. }
        if operation.op == "wait" && error == "timed out"),
        "{error:?}"
    );
    let mut txn = Txn::new();
    let twin = txn.insert::<Port>();
    txn.set(twin, Port::COL.name, &"bond1".to_owned());
    txn.set(twin, Port::COL.interfaces, &vec![Uuid::from_random(99)]);
    txn.add(bridge, Bridge::COL.ports, &[twin]);
    let error = transact(&mut driver, &txn).unwrap_err();
    assert!(
        matches!(&error, TxnError::Commit { error, .. } if error == "referential integrity violation"),
        "{error:?}"
    );

    let mut txn = Txn::new();
    txn.remove(bridge, Bridge::COL.ports, &[given]);
    transact(&mut driver, &txn).unwrap();
    assert!(!driver.session.db().ports.contains_key(&given));
}

#[harness::test]
fn session_follows_again_after_a_restart_of_the_server() {
    let mut server = Server::start();
    server.vsctl(&["add-br", "br0", "--", "add-port", "br0", "p0"]);
    let options = Options { lock: Some("ovs_vswitchd".to_owned()), ..quick() };
    let mut driver = Driver::new(&server.remote(), options);
    driver.until("lock", |driver| driver.session.is_locked() && driver.session.has_data());
    driver.session.take_changes();
    server.kill();
    driver.until("end", |driver| !driver.session.is_following());
    assert_eq!(driver.session.db().bridges.len(), 1, "the replica is kept");
    assert_eq!(driver.count(|event| matches!(event, SessionEvent::LockLost)), 1);
    let refused = transact(&mut driver, &Txn::new()).unwrap_err();
    assert_eq!(refused, TxnError::Disconnected);
    driver.until("attempts", |driver| {
        driver.count(|event| matches!(event, SessionEvent::ConnectFailed { .. })) >= 2
    });
    server.run();
    server.vsctl(&["add-port", "br0", "p1", "--", "del-port", "br0", "p0"]);
    driver.until("contents", |driver| {
        driver.session.is_locked()
            && port_named(driver, "p1").is_some()
            && port_named(driver, "p0").is_none()
    });
    let changes = driver.session.take_changes();
    let kinds = |table| -> Vec<ChangeKind> {
        changes.iter().filter(|((of, _), _)| *of == table).map(|(_, c)| c.kind).collect()
    };
    assert_eq!(kinds(Table::Port).len(), 2, "br0's own port is as it was: {changes:?}");
    assert_eq!(kinds(Table::Bridge), [ChangeKind::Modified]);
    assert!(driver.count(|event| matches!(event, SessionEvent::InitialData)) >= 2);
}

#[harness::test]
fn two_clients_share_a_lock_one_after_the_other() {
    let server = Server::start();
    let options = Options { lock: Some("ovs_vswitchd".to_owned()), ..quick() };
    let mut first = Driver::new(&server.remote(), options.clone());
    first.until("lock", |driver| driver.session.is_locked() && driver.session.has_data());
    let mut second = Driver::new(&server.remote(), options);
    second.until("contents", |driver| {
        driver.session.has_data() && driver.count(|e| matches!(e, SessionEvent::LockBusy)) == 1
    });
    let mut txn = Txn::new();
    txn.set(root(&second), OpenVSwitch::COL.cur_cfg, &3);
    assert_eq!(transact(&mut second, &txn).unwrap_err(), TxnError::NotLocked);
    assert_eq!(transact(&mut first, &txn).unwrap().changed, 1);
    drop(first);
    second.until("lock", |driver| driver.session.is_locked());
    assert_eq!(second.session.db().open_vswitch.values().next().unwrap().cur_cfg, 3);
    assert_eq!(transact(&mut second, &txn).unwrap().changed, 1);

    // A thief is noticed, and nothing is written any more.
    let mut thief = Client::connect(&server.remote()).unwrap();
    thief.call("steal", r#"["ovs_vswitchd"]"#).unwrap();
    second.until("loss", |driver| driver.count(|e| matches!(e, SessionEvent::LockLost)) == 1);
    assert_eq!(transact(&mut second, &txn).unwrap_err(), TxnError::NotLocked);
    drop(thief);
    second.until("lock", |driver| driver.session.is_locked());
}

#[harness::test]
fn a_thousand_bonds_in_one_transaction() {
    let server = Server::start();
    server.vsctl(&["add-br", "br0"]);
    let mut driver = followed(&server);
    let (&bridge, _) = driver.session.db().bridges.iter().next().unwrap();
    let mut txn = Txn::new();
    let ports: Vec<Uuid> = (0..1000)
        .map(|number| {
            let members: Vec<Uuid> = (0..2)
                .map(|member| {
                    let interface = txn.insert::<Interface>();
                    txn.set(interface, Interface::COL.name, &format!("e{number}.{member}"));
                    interface
                })
                .collect();
            let port = txn.insert::<Port>();
            txn.set(port, Port::COL.name, &format!("bond{number}"));
            txn.set(port, Port::COL.interfaces, &members);
            port
        })
        .collect();
    txn.add(bridge, Bridge::COL.ports, &ports);
    let begin = Instant::now();
    transact(&mut driver, &txn).unwrap();
    println!("1000 bonds in one transaction and back in the replica: {:?}", begin.elapsed());
    assert_eq!(driver.session.db().ports.len(), 1001);
    assert_eq!(driver.session.db().interfaces.len(), 2001);

    let statistics = |n: i64| (0..20).map(|k| (format!("counter_{k}"), k * n)).collect();
    let mut txn = Txn::new();
    for &uuid in driver.session.db().interfaces.keys() {
        txn.set(uuid, Interface::COL.statistics, &statistics(1));
    }
    let begin = Instant::now();
    assert_eq!(transact(&mut driver, &txn).unwrap().changed, 2001);
    println!("statistics of 2001 interfaces written and read back: {:?}", begin.elapsed());
    assert!(driver.session.db().interfaces.values().all(|row| row.statistics == statistics(1)));

    let begin = Instant::now();
    let fresh = followed(&server);
    println!("first contents of a new session: {:?}", begin.elapsed());
    assert_eq!(fresh.session.db().ports, driver.session.db().ports);
}

#[harness::test]
fn the_blocking_client_reads_and_writes() {
    let server = Server::start();
    let mut client = Client::connect(&server.remote()).unwrap();
    let insert = serde_json::json!({"op": "insert", "table": "SSL", "row": {}});
    assert_eq!(client.transact_json(&[insert]).unwrap().len(), 1);
    let wrong = serde_json::json!({"op": "insert", "table": "Bridge", "row": {"name": 7}});
    assert!(matches!(client.transact_json(&[wrong]), Err(ClientError::Refused { .. })));
    assert!(matches!(client.call("nonsense", "[]"), Err(ClientError::Refused { .. })));
    server.vsctl(&["add-br", "br0"]);
    let names: Vec<_> =
        client.list("Bridge").unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["br0"]);
    assert!(client.list("Nothing").is_err());
    let contents = client.snapshot().unwrap();
    assert!(contents.bad.is_empty() && contents.gaps.is_empty());
    let (&bridge, row) = contents.db.bridges.iter().next().unwrap();
    assert_eq!(row.name, "br0");
    let mut txn = Txn::new();
    txn.set(bridge, Bridge::COL.fail_mode, &Some("secure".to_owned()));
    assert_eq!(client.transact(&txn).unwrap().changed, 1);
    assert_eq!(server.vsctl(&["get-fail-mode", "br0"]), "secure");
    let error = Client::connect("unix:/nonexistent/db.sock").unwrap_err().to_string();
    assert!(error.starts_with("unix:/nonexistent/db.sock: "), "{error}");
}

#[harness::test]
fn tcp_and_long_socket_paths_work() {
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let server = Server::start_with(&[&format!("--remote=ptcp:{free}:127.0.0.1")]);
    let mut driver = Driver::new(&format!("tcp:127.0.0.1:{free}"), quick());
    driver.until("contents", |driver| driver.session.has_data());
    assert_eq!(driver.session.db().open_vswitch.len(), 1);
    assert!(driver.session.next_deadline().is_some(), "TCP is probed");

    let deep = server.dir.0.join("d".repeat(100));
    std::os::unix::fs::symlink(&server.dir.0, &deep).unwrap();
    let remote = format!("unix:{}/db.sock", deep.display());
    let mut driver = Driver::new(&remote, quick());
    driver.until("contents", |driver| driver.session.has_data());
    driver.step(Duration::from_millis(1));
    assert!(driver.session.next_deadline().is_none(), "a Unix socket needs no probe");
    assert!(Client::connect(&remote).is_ok());
}
