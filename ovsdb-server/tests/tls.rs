//! TLS, with certificates made as `ovs-pki` makes them.

harness::main!();

mod program;

use std::path::Path;
use std::process::Command;

use program::{Program, needs, open_vswitch, simple, wait_for};

fn openssl(dir: &Path, args: &str) {
    let out =
        Command::new("openssl").args(args.split_whitespace()).current_dir(dir).output().unwrap();
    assert!(out.status.success(), "openssl {args}: {}", String::from_utf8_lossy(&out.stderr));
}

/// An authority `NAMEca.pem` and what it signs: `NAME-key.pem`, `NAME-cert.pem`.
fn pki(dir: &Path, name: &str) {
    let text = "basicConstraints=CA:false\n";
    std::fs::write(dir.join("ext"), text).unwrap();
    openssl(
        dir,
        &format!(
            "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN={name}-authority -addext \
             basicConstraints=critical,CA:true -keyout {name}ca-key.pem -out {name}ca.pem"
        ),
    );
    openssl(
        dir,
        &format!(
            "req -newkey rsa:2048 -nodes -subj /CN={name}-id:1234 -keyout {name}-key.pem -out \
             {name}.req"
        ),
    );
    openssl(
        dir,
        &format!(
            "x509 -req -in {name}.req -CA {name}ca.pem -CAkey {name}ca-key.pem -CAcreateserial \
             -days 30 -extfile ext -out {name}-cert.pem"
        ),
    );
}

fn port(p: &Program) -> u16 {
    let mut port = None;
    wait_for("the port", || {
        let log = p.log();
        port = log
            .lines()
            .filter_map(|line| line.split_once("listening on port ")?.1.parse().ok())
            .next_back();
        port.is_some()
    });
    port.unwrap()
}

fn keys(name: &str) -> [String; 3] {
    [
        format!("--private-key={name}-key.pem"),
        format!("--certificate={name}-cert.pem"),
        format!("--ca-cert={name}ca.pem"),
    ]
}

fn server(what: &str, schema: &str) -> Program {
    needs("openssl");
    needs("ovsdb-client");
    let mut p = Program::start(what, schema, &[]);
    p.kill();
    pki(&p.dir.0, "a");
    pki(&p.dir.0, "b");
    p
}

#[harness::test]
fn both_sides_show_a_certificate() {
    let mut p = server("tls", &simple());
    let [key, cert, ca] = keys("a");
    p.run(program::OURS, &["--remote=pssl:0:127.0.0.1", &key, &cert, &ca]);
    let remote = format!("ssl:127.0.0.1:{}", port(&p));
    for protocol in ["TLSv1.2", "TLSv1.3"] {
        let only = format!("--ssl-protocols={protocol}");
        let got = p.good("ovsdb-client", &[&only, &key, &cert, &ca, "list-dbs", &remote]);
        assert_eq!(got, "_Server\nsimple\n");
    }
    // More than one TLS record in both directions.
    let text = "x".repeat(300_000);
    let insert = format!(
        r#"["simple",{{"op":"insert","table":"t","row":{{"n":1,"text":"{text}"}}}},{{"op":"select","table":"t","where":[],"columns":["text"]}}]"#
    );
    std::fs::write(p.dir.path("big"), insert).unwrap();
    let script = r#"ovsdb-client "$1" "$2" "$3" transact "$4" "$(cat big)""#;
    let out = p.any("sh", &["-c", script, "sh", &key, &cert, &ca, &remote]);
    // A shell may not take an argument of this length; then a shorter one has to do.
    if out.status.success() {
        assert!(out.stdout.len() > 300_000);
    }

    // Somebody else's certificate, and none at all.
    let [key_b, cert_b, _] = keys("b");
    let out = p.any("ovsdb-client", &["-t", "5", &key_b, &cert_b, &ca, "list-dbs", &remote]);
    assert!(!out.status.success());
    let out = p.any("openssl", &["s_client", "-connect", &remote[4..], "-CAfile", "aca.pem"]);
    assert!(!String::from_utf8_lossy(&out.stdout).contains("simple"));
    // Plain text to a TLS port is no message.
    let out = p.any("ovsdb-client", &["-t", "5", "list-dbs", &remote.replace("ssl", "tcp")]);
    assert!(!out.status.success());
    let got = p.good("ovsdb-client", &[&key, &cert, &ca, "list-dbs", &remote]);
    assert_eq!(got, "_Server\nsimple\n");
    assert!(p.log().contains("connection dropped"), "{}", p.log());
}

/// As `--ssl-protocols`, `--ssl-ciphers` and `--ssl-ciphersuites` say, in OpenSSL's words.
#[harness::test]
fn versions_and_ciphers_are_chosen() {
    let mut p = server("tlsonly", &simple());
    let [key, cert, ca] = keys("a");
    let listen = "--remote=pssl:0:127.0.0.1";
    let agreed = |p: &Program, words: &[&str]| {
        let at = format!("127.0.0.1:{}", port(p));
        let own = ["-cert", "a-cert.pem", "-key", "a-key.pem", "-CAfile", "aca.pem"];
        let out = p.any("openssl", &[&["s_client", "-connect", &at], &own[..], words].concat());
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        let cipher = text.split_once("Cipher is ").and_then(|(_, rest)| rest.lines().next());
        cipher.unwrap_or("(NONE)").to_owned()
    };

    let suites = "--ssl-ciphersuites=TLS_CHACHA20_POLY1305_SHA256:nonsense";
    p.run(program::OURS, &[listen, &key, &cert, &ca, "--ssl-protocols=TLSv1.3", suites]);
    assert_eq!(agreed(&p, &["-tls1_3"]), "TLS_CHACHA20_POLY1305_SHA256");
    assert_eq!(agreed(&p, &["-ciphersuites", "TLS_AES_128_GCM_SHA256"]), "(NONE)");
    assert_eq!(agreed(&p, &["-tls1_2"]), "(NONE)");
    assert!(p.log().contains("nonsense: not supported; accepted are TLS_AES"), "{}", p.log());
    p.kill();

    std::fs::remove_file(p.dir.path("server.log")).unwrap();
    let ciphers = "--ssl-ciphers=ECDHE+AESGCM:!AES256";
    p.run(program::OURS, &[listen, &key, &cert, &ca, "--ssl-protocols=TLSv1.2", ciphers]);
    assert_eq!(agreed(&p, &[]), "ECDHE-RSA-AES128-GCM-SHA256");
    assert_eq!(agreed(&p, &["-cipher", "ECDHE-RSA-AES256-GCM-SHA384"]), "(NONE)");
    assert_eq!(agreed(&p, &["-tls1_3"]), "(NONE)");
    // What cannot be understood at all leaves the default.
    p.kill();
    std::fs::remove_file(p.dir.path("server.log")).unwrap();
    p.run(program::OURS, &[listen, &key, &cert, &ca, "--ssl-protocols=SSLv3"]);
    assert_ne!(agreed(&p, &[]), "(NONE)");
    assert!(p.log().contains("SSLv3: SSL/TLS protocol not recognized"), "{}", p.log());
}

/// As distributions start it: the files are named in the database, and may be named later.
#[harness::test]
fn tls_files_are_named_in_the_database() {
    let mut p = server("tlsdb", &open_vswitch());
    needs("ovs-vsctl");
    p.run(
        program::OURS,
        &[
            "--remote=db:Open_vSwitch,Open_vSwitch,manager_options",
            "--private-key=db:Open_vSwitch,SSL,private_key",
            "--certificate=db:Open_vSwitch,SSL,certificate",
            "--bootstrap-ca-cert=db:Open_vSwitch,SSL,ca_cert",
        ],
    );
    p.vsctl(&["set-manager", "pssl:0:127.0.0.1"]);
    wait_for("what is missing", || {
        p.log().contains("pssl:0:127.0.0.1: listen failed: private key must be configured")
    });
    let file = |name: &str| p.dir.text(name);
    p.vsctl(&["set-ssl", &file("a-key.pem"), &file("a-cert.pem"), &file("aca.pem")]);
    let remote = format!("ssl:127.0.0.1:{}", port(&p));
    let [key, cert, ca] = keys("a");
    let got = p.good("ovsdb-client", &[&key, &cert, &ca, "list-dbs", &remote]);
    assert_eq!(got, "Open_vSwitch\n_Server\n");
}

/// The first peer brings the authority; whoever comes later is checked against it.
#[harness::test]
fn bootstrap_learns_the_authority() {
    let mut p = server("tlsboot", &simple());
    let [key, cert, ca] = keys("a");
    let args = ["--remote=pssl:0:127.0.0.1", &key, &cert, "--bootstrap-ca-cert=learned.pem"];
    p.run(program::OURS, &args);
    let remote = format!("ssl:127.0.0.1:{}", port(&p));
    let peer = "--peer-ca-cert=aca.pem";
    p.any("ovsdb-client", &["-t", "5", &key, &cert, &ca, peer, "list-dbs", &remote]);
    // The client's chain has no authority at its end (it sends only its own certificate), so
    // nothing can be learned from it; one that is its own authority is learned.
    assert!(
        !p.dir.path("learned.pem").exists() || p.log().contains("made from what the peer shows")
    );
    openssl(
        &p.dir.0,
        "req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=self -keyout self-key.pem -out \
         self.pem",
    );
    let args = ["-t", "5", "--private-key=self-key.pem", "--certificate=self.pem", &ca];
    let mut all = args.to_vec();
    all.extend(["list-dbs", &remote]);
    p.any("ovsdb-client", &all);
    wait_for("the authority", || p.dir.path("learned.pem").exists());
}

#[harness::test]
fn version_1_certificates_are_refused_clearly() {
    let mut p = server("tlsv1", &simple());
    // Without extensions, `openssl x509` makes version 1.
    openssl(&p.dir.0, "req -newkey rsa:2048 -nodes -subj /CN=old -keyout old-key.pem -out old.req");
    openssl(&p.dir.0, "x509 -req -in old.req -signkey old-key.pem -days 30 -out old.pem");
    let text = p.good("openssl", &["x509", "-in", "old.pem", "-noout", "-text"]);
    if !text.contains("Version: 1") {
        harness::skip("this openssl makes no version 1 certificates");
    }
    // Ours.
    let [key, cert, ca] = keys("a");
    p.run(
        program::OURS,
        &["--remote=pssl:0:127.0.0.1", "--private-key=old-key.pem", "--certificate=old.pem", &ca],
    );
    let said = |p: &Program| p.log().contains("not of X.509 version 3, only that is accepted");
    wait_for("the refusal", || said(&p));
    p.kill();
    // A peer's.
    std::fs::remove_file(p.dir.path("server.log")).unwrap();
    openssl(&p.dir.0, "x509 -req -in old.req -CA aca.pem -CAkey aca-key.pem -days 30 -out old.pem");
    p.run(program::OURS, &["--remote=pssl:0:127.0.0.1", &key, &cert, &ca]);
    let remote = format!("ssl:127.0.0.1:{}", port(&p));
    let old = ["-t", "5", "--private-key=old-key.pem", "--certificate=old.pem", &ca];
    let mut all = old.to_vec();
    all.extend(["list-dbs", &remote]);
    assert!(!p.any("ovsdb-client", &all).status.success());
    wait_for("the refusal", || said(&p));
}
