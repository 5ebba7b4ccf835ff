//! Filters of rows and several servers, against the reference's server; and the examples.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::common::{Driver, Server, quick};
use ovsdb_client::{
    Client, ClientError, Filters, Function, Options, Port, RowFilter, SessionEvent, Txn, TxnError,
};

fn named(names: &[&str]) -> RowFilter<Port> {
    names.iter().fold(RowFilter::none(), |filter, name| {
        filter.or(Port::COL.name, Function::Equal, &(*name).to_owned())
    })
}

fn ports(driver: &Driver) -> Vec<&str> {
    let db = driver.session.db();
    let mut names: Vec<&str> = db.ports.values().map(|port| port.name.as_str()).collect();
    names.sort_unstable();
    names
}

fn filtered(driver: &Driver) -> usize {
    driver.count(|event| matches!(event, SessionEvent::Filtered))
}

#[harness::test]
fn only_rows_that_meet_the_filter_are_followed() {
    let mut server = Server::start();
    server.vsctl(&["add-br", "br0", "--", "add-port", "br0", "p1", "tag=7"]);
    server.vsctl(&["add-port", "br0", "p2", "trunks=1,2,3", "--", "add-port", "br0", "p3"]);
    let mut filters = Filters::default();
    filters.set(named(&["p1", "p2", "p4"]));
    let mut driver = Driver::new(&server.remote(), Options { filters, ..quick() });
    driver.until("contents", |driver| driver.session.has_data());
    assert_eq!(ports(&driver), ["p1", "p2"]);
    assert_eq!(driver.session.db().interfaces.len(), 4, "other tables whole");
    server.vsctl(&["add-port", "br0", "p4"]);
    driver.until("p4", |driver| ports(driver) == ["p1", "p2", "p4"]);

    // Two changes at once: the second waits for the first's answer.
    driver.session.set_filter(named(&["p3"]));
    let tagged = RowFilter::<Port>::none().or(Port::COL.tag, Function::Equal, &Some(7)).or(
        Port::COL.trunks,
        Function::Includes,
        &vec![2, 3],
    );
    driver.session.set_filter(tagged);
    driver.until("both filters", |driver| filtered(driver) == 2);
    assert_eq!(ports(&driver), ["p1", "p2"]);
    server.vsctl(&["set", "port", "p3", "tag=7", "--", "clear", "port", "p1", "tag"]);
    driver.until("the change", |driver| ports(driver) == ["p2", "p3"]);

    // Changed while there is no server: it counts from the next connection on.
    server.kill();
    driver.until("the end", |driver| !driver.session.is_following());
    driver.session.set_filter(named(&["p1"]));
    server.run();
    driver.until("contents", |driver| driver.session.is_following());
    assert_eq!(ports(&driver), ["p1"]);
    driver.session.set_filter(RowFilter::<Port>::all());
    driver.until("all", |driver| filtered(driver) == 3);
    assert_eq!(ports(&driver), ["br0", "p1", "p2", "p3", "p4"]);
    driver.session.set_filter(RowFilter::<Port>::none());
    driver.until("none", |driver| filtered(driver) == 4);
    assert_eq!(ports(&driver), [""; 0]);
}

#[harness::test]
fn the_next_server_is_tried_at_once_and_a_wait_comes_after_all() {
    let server = Server::start();
    let dead = "unix:/nonexistent/a.sock,unix:/nonexistent/b.sock";
    let mut driver = Driver::new(&format!("{dead},{}", server.remote()), quick());
    driver.until("contents", |driver| driver.session.has_data());
    let waits = |driver: &Driver| -> Vec<u128> {
        let wait = |event: &SessionEvent| match event {
            SessionEvent::ConnectFailed { retry_in, .. } => Some(retry_in.as_millis()),
            _ => None,
        };
        driver.seen.iter().filter_map(wait).collect()
    };
    assert_eq!(waits(&driver), [0, 0]);
    assert_eq!(driver.session.remote().to_string(), server.remote());

    let mut driver = Driver::new(dead, quick());
    driver.until("attempts", |driver| waits(driver).len() >= 8);
    assert_eq!(waits(&driver)[..8], [0, 20, 0, 40, 0, 80, 0, 100]);

    let mut client = Client::connect(&format!("{dead},{}", server.remote())).unwrap();
    assert_eq!(client.snapshot().unwrap().db.open_vswitch.len(), 1);
    assert!(matches!(Client::connect(dead), Err(ClientError::Connect { .. })));
}

#[harness::test]
fn retry_builds_anew_when_a_read_value_has_changed() {
    let server = Server::start();
    server.vsctl(&["add-br", "br0", "--", "set", "port", "br0", "tag=1"]);
    let mut client = Client::connect(&server.remote()).unwrap();
    let mut rounds = 0;
    let reply = client
        .retry(|db| {
            rounds += 1;
            if rounds <= 2 {
                // Another one is quicker.
                server.vsctl(&["set", "port", "br0", &format!("tag={}", 10 * rounds)]);
            }
            let mut txn = Txn::new();
            let port = *db.ports.keys().next().unwrap();
            let old = txn.read(db, port, Port::COL.tag).unwrap().unwrap();
            txn.set(port, Port::COL.tag, &Some(old + 1));
            txn
        })
        .unwrap();
    assert_eq!((rounds, reply.changed), (3, 1));
    assert_eq!(server.vsctl(&["get", "port", "br0", "tag"]), "21");
    // What no second try can mend is told at once.
    let error = client.retry(|db| {
        let mut txn = Txn::new();
        txn.set(*db.ports.keys().next().unwrap(), Port::COL.tag, &Some(9999));
        txn
    });
    assert!(matches!(error, Err(ClientError::Txn(TxnError::Operation { .. }))), "{error:?}");
}

fn example(name: &str) -> Command {
    // target/PROFILE/deps/session-…
    let mut path: PathBuf = std::env::current_exe().unwrap();
    path.pop();
    path.pop();
    Command::new(path.join("examples").join(name))
}

/// A program that ends with the test, however that ends.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[harness::test]
fn examples_watch_and_create_bonds() {
    let server = Server::start();
    server.vsctl(&["add-br", "br0"]);
    let mut watch = Running(
        example("watch_bonds")
            .arg(server.remote())
            .stdout(Stdio::piped())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap(),
    );
    let mut lines = BufReader::new(watch.0.stdout.take().unwrap()).lines();
    let create = |bridge: &str| {
        let output = example("create_bond")
            .args([&server.remote(), bridge, "bond0", "balance-slb", "eth0", "eth1"])
            .output()
            .unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.success(), text.trim_end().to_owned())
    };
    assert_eq!(create("br9"), (false, "create_bond: no bridge br9".to_owned()));
    assert_eq!(create("br0"), (true, "bond0: created on br0".to_owned()));
    assert_eq!(create("br0"), (true, "bond0: is there already".to_owned()));
    assert_eq!(
        lines.next().unwrap().unwrap(),
        "bond0: balance-slb, LACP off, active none, members: eth0 unknown, eth1 unknown"
    );
    server.vsctl(&["del-port", "bond0"]);
    assert_eq!(lines.next().unwrap().unwrap(), "bond0: gone");
}
