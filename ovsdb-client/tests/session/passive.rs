//! Servers that come to us, and servers by name.

use std::time::Duration;

use crate::common::{Driver, Server, quick};
use ovsdb_client::{Client, ClientError, SessionEvent};

/// A port that nobody listens at.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[harness::test]
fn passive_session_accepts_the_server_again() {
    let port = free_port();
    let mut driver = Driver::new(&format!("ptcp:{port}:127.0.0.1"), quick());
    driver.step(Duration::from_millis(1));
    let mut server = Server::start_with(&[&format!("--remote=tcp:127.0.0.1:{port}")]);
    driver.until("contents", |driver| driver.session.has_data());
    assert_eq!(driver.count(|event| matches!(event, SessionEvent::ConnectFailed { .. })), 0);
    server.vsctl(&["add-br", "br0"]);
    driver.until("the bridge", |driver| driver.session.db().bridges.len() == 1);
    server.kill();
    driver.until("its end", |driver| !driver.session.is_following());
    server.run();
    driver.until("it again", |driver| driver.session.is_following());
    assert_eq!(driver.session.db().bridges.len(), 1);
}

#[harness::test]
fn a_second_connection_replaces_the_first() {
    let folder = crate::common::TempDir::new();
    let path = folder.0.join("door.sock");
    let mut driver = Driver::new(&format!("punix:{}", path.display()), quick());
    driver.step(Duration::from_millis(1));
    let first = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let connected = |event: &SessionEvent| matches!(event, SessionEvent::Connected);
    driver.until("the first", |driver| driver.count(connected) == 1);
    let _second = std::os::unix::net::UnixStream::connect(&path).unwrap();
    driver.until("the second", |driver| driver.count(connected) == 2);
    let gone = |event: &SessionEvent| {
        matches!(event, SessionEvent::Disconnected { reason, .. }
            if reason.to_string().contains("replaces"))
    };
    assert_eq!(driver.count(gone), 1);
    drop(first);
    drop(driver);
    assert!(!path.exists());
}

#[harness::test]
fn listening_is_tried_again_while_the_port_is_in_use() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let mut driver = Driver::new(&format!("ptcp:{port}:127.0.0.1"), quick());
    let failed = |event: &SessionEvent| {
        matches!(event, SessionEvent::ConnectFailed { reason, .. }
            if reason.to_string().contains("in use"))
    };
    driver.until("failures", |driver| driver.count(failed) >= 2);
    drop(taken);
    driver.until("a connection", |driver| {
        // Nobody listened while it was taken.
        let _ = std::net::TcpStream::connect(("127.0.0.1", port));
        driver.count(|event| matches!(event, SessionEvent::Connected)) > 0
    });
}

#[harness::test]
fn blocking_client_accepts_a_server() {
    let port = free_port();
    let _server = Server::start_with(&[&format!("--remote=tcp:127.0.0.1:{port}")]);
    let mut client = Client::connect(&format!("ptcp:{port}:127.0.0.1")).unwrap();
    assert_eq!(client.snapshot().unwrap().db.open_vswitch.len(), 1);
}

#[harness::test]
fn names_are_resolved_without_blocking() {
    let port = free_port();
    let _server = Server::start_with(&[&format!("--remote=ptcp:{port}:127.0.0.1")]);
    // In every hosts file, and no word of ours as "localhost" is. IPv6 may come first.
    let name = "ip6-localhost";
    let known = std::net::ToSocketAddrs::to_socket_addrs(&(name, port)).is_ok();
    let lookup_fails = |event: &SessionEvent| {
        matches!(event, SessionEvent::ConnectFailed { reason, .. }
            if reason.to_string().contains(".invalid"))
    };
    // With a part so long, no name server is asked.
    let nobody = format!("tcp:{}.invalid:{port}", "x".repeat(64));
    let remotes = format!("{nobody},tcp:{name}:{port},tcp:127.0.0.1:{port}");
    let mut driver = Driver::new(&remotes, quick());
    driver.step(Duration::from_millis(1));
    driver.until("contents", |driver| driver.session.has_data());
    assert_eq!(driver.count(lookup_fails), 1, "{:?}", driver.seen);
    if !known {
        eprintln!("NOT TESTED: {name} is no name here");
    }
    let error = Client::connect(&nobody).unwrap_err();
    assert!(matches!(error, ClientError::Connect { .. }), "{error}");
}
