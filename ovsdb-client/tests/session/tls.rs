//! `ssl:` against the reference's server, with certificates made for the test.

use std::path::PathBuf;
use std::process::Command;

use crate::common::{Driver, Server, TempDir, quick};
use ovsdb_client::{Client, Options, SessionEvent, TlsSettings};

/// An authority and what it has signed.
struct Authority {
    dir: TempDir,
}

impl Authority {
    /// `None`, and a loud word, where `openssl` is not installed.
    fn new(name: &str) -> Authority {
        if Command::new("openssl").arg("version").output().is_err() {
            harness::skip("openssl is not installed");
        }
        let authority = Authority { dir: TempDir::new() };
        authority.openssl(&format!(
            "req -x509 -nodes -keyout ca.key -out ca.crt -subj /CN={name} -days 9"
        ));
        std::fs::write(authority.path("v3.cnf"), "basicConstraints=CA:FALSE\n").unwrap();
        authority
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.0.join(name)
    }

    fn openssl(&self, args: &str) {
        let key: &[&str] = match args.starts_with("req") {
            true => &["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"],
            false => &[],
        };
        let mut command = Command::new("openssl");
        command.current_dir(&self.dir.0).args(args.split(' ')).args(key);
        let output = command.output().unwrap();
        assert!(output.status.success(), "openssl {args}: {output:?}");
    }

    /// A key and its certificate, of X.509 version 3 or of an older one.
    fn sign(&self, name: &str, extensions: &str) {
        self.openssl(&format!("req -nodes -keyout {name}.key -out {name}.csr -subj /CN={name}"));
        self.openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 9 \
             -out {name}.crt{extensions}"
        ));
    }

    fn files(&self, name: &str) -> TlsSettings {
        TlsSettings {
            private_key: Some(self.path(&format!("{name}.key"))),
            certificate: Some(self.path(&format!("{name}.crt"))),
            ca_cert: Some(self.path("ca.crt")),
            ..TlsSettings::default()
        }
    }
}

/// The authority, a server that shows its certificate, and how to reach it.
fn start() -> (Authority, Server, String) {
    let authority = Authority::new("ours");
    authority.sign("server", " -extfile v3.cnf");
    authority.sign("client", " -extfile v3.cnf");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let file = |option: &str, name: &str| format!("--{option}={}", authority.path(name).display());
    let extra = [
        format!("--remote=pssl:{port}:127.0.0.1"),
        file("private-key", "server.key"),
        file("certificate", "server.crt"),
        file("ca-cert", "ca.crt"),
        file("peer-ca-cert", "ca.crt"),
    ];
    let server = Server::start_with(&extra.each_ref().map(String::as_str));
    (authority, server, format!("ssl:127.0.0.1:{port}"))
}

#[harness::test]
fn both_sides_show_a_certificate() {
    let (authority, server, remote) = start();
    server.vsctl(&["add-br", "br0"]);
    let tls = authority.files("client");
    let mut client = Client::connect_with(&remote, &tls).unwrap();
    assert_eq!(client.snapshot().unwrap().db.bridges.len(), 1);
    let mut driver = Driver::new(&remote, Options { tls, ..quick() });
    driver.until("contents", |driver| driver.session.has_data());
    // Much more than one record of TLS, in one message.
    let mut args: Vec<String> = Vec::new();
    for number in 0..400 {
        args.extend(["--", "add-br"].map(str::to_owned));
        args.push(format!("br-{number}"));
    }
    server.vsctl(&args.iter().map(String::as_str).collect::<Vec<_>>());
    driver.until("all bridges", |driver| driver.session.db().bridges.len() == 401);
    assert_eq!(client.snapshot().unwrap().db.bridges.len(), 401);
}

/// Why the attempts of a session fail.
fn reason(remote: &str, tls: TlsSettings) -> String {
    let mut driver = Driver::new(remote, Options { tls, ..quick() });
    let reason = |event: &SessionEvent| match event {
        SessionEvent::ConnectFailed { reason, .. } | SessionEvent::Disconnected { reason, .. } => {
            Some(reason.to_string())
        }
        _ => None,
    };
    driver.until("a failure", |driver| driver.seen.iter().any(|event| reason(event).is_some()));
    assert!(!driver.session.has_data());
    driver.seen.iter().find_map(reason).unwrap()
}

#[harness::test]
fn unknown_certificates_are_refused_with_the_reason() {
    let (authority, _server, remote) = start();
    let good = authority.files("client");
    let stranger = Authority::new("theirs");
    stranger.sign("client", " -extfile v3.cnf");

    let text = reason(&remote, TlsSettings::default());
    assert!(text.contains("--private-key"), "{text}");
    // We do not know the server's authority.
    let text =
        reason(&remote, TlsSettings { ca_cert: Some(stranger.path("ca.crt")), ..good.clone() });
    assert!(text.contains("UnknownIssuer"), "{text}");
    // The server does not know ours.
    let own = stranger.files("client");
    let text = reason(&remote, TlsSettings { ca_cert: good.ca_cert.clone(), ..own });
    assert!(text.contains("fatal alert"), "{text}");
    // A key of somebody else.
    let text = reason(
        &remote,
        TlsSettings { private_key: Some(stranger.path("client.key")), ..good.clone() },
    );
    assert!(text.contains("client.crt"), "{text}");
    // A certificate as old tools make it.
    authority.sign("old", "");
    let shown = Command::new("openssl")
        .args(["x509", "-noout", "-text", "-in"])
        .arg(authority.path("old.crt"))
        .output()
        .unwrap();
    if String::from_utf8_lossy(&shown.stdout).contains("Version: 1 ") {
        let text = reason(&remote, authority.files("old"));
        assert!(text.contains("old.crt") && text.contains("version 3"), "{text}");
    }
    // No TLS at all on the other side.
    let plain = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("ssl:{}", plain.local_addr().unwrap());
    let thread = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let (mut stream, _) = plain.accept().unwrap();
        let _ = stream.read(&mut [0; 64]);
        let _ = stream.write_all(br#"{"method":"echo","params":[],"id":"x"}"#);
        let _ = stream.read(&mut [0; 64]);
    });
    let text = reason(&address, good);
    assert!(text.contains("corrupt message"), "{text}");
    thread.join().unwrap();
}

#[harness::test]
fn the_authority_can_be_learned_from_the_first_server() {
    let (authority, _server, remote) = start();
    let learned = authority.path("learned.crt");
    let tls = TlsSettings {
        ca_cert: Some(learned.clone()),
        bootstrap: true,
        ..authority.files("client")
    };
    let mut driver = Driver::new(&remote, Options { tls: tls.clone(), ..quick() });
    driver.until("contents", |driver| driver.session.has_data());
    let ends = |event: &SessionEvent| match event {
        SessionEvent::Disconnected { reason, .. } => Some(reason.to_string()),
        _ => None,
    };
    let reasons: Vec<String> = driver.seen.iter().filter_map(ends).collect();
    assert!(reasons.len() == 1 && reasons[0].contains("made from what the peer shows"));
    let pem = |path| std::fs::read_to_string(path).unwrap();
    assert!(pem(authority.path("ca.crt")).contains(pem(learned.clone()).trim()));
    // From now on it counts.
    let stranger = Authority::new("theirs");
    std::fs::remove_file(&learned).unwrap();
    std::fs::copy(stranger.path("ca.crt"), &learned).unwrap();
    assert!(reason(&remote, tls).contains("UnknownIssuer"));
}
