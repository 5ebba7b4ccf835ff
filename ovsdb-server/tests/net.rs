//! The program on its sockets: real clients, bad ones, slow ones, silent ones.

harness::main!();

mod program;

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use ovsdb_server::net::{EmbeddedServer, Embedding};
use program::{Client, Program, Scratch, needs, open_vswitch, simple, wait_for};
use serde_json::{Value, json};

const MANAGERS: &str = "--remote=db:Open_vSwitch,Open_vSwitch,manager_options";

fn insert(n: i64, text: &str) -> Value {
    json!(["simple", {"op": "insert", "table": "t", "row": {"n": n, "text": text}}])
}

#[harness::test]
fn ovsdb_client_of_open_vswitch_reads_and_writes() {
    needs("ovs-vsctl");
    needs("ovsdb-client");
    let p = Program::start("tools", &open_vswitch(), &[]);
    p.vsctl(&["init"]);
    p.vsctl(&["add-br", "br0", "--", "add-bond", "br0", "bond0", "eth0", "eth1", "lacp=active"]);
    p.vsctl(&["set", "port", "bond0", "bond_mode=balance-tcp", "other_config:lacp-time=fast"]);
    assert_eq!(p.vsctl(&["list-ports", "br0"]), "bond0\n");
    assert_eq!(p.vsctl(&["get", "port", "bond0", "bond_mode"]), "balance-tcp\n");
    assert!(p.vsctl(&["show"]).contains("Interface eth1"));
    let wrong =
        p.any("ovs-vsctl", &[&format!("--db={}", p.remote()), "set", "port", "bond0", "lacp=x"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("x is not one of the allowed values"));

    let remote = p.remote();
    assert_eq!(p.good("ovsdb-client", &["list-dbs", &remote]), "Open_vSwitch\n_Server\n");
    let dump = p.good("ovsdb-client", &["dump", &remote, "Open_vSwitch", "Port", "name"]);
    assert!(dump.contains("bond0") && dump.contains("br0"), "{dump}");
    let backup = p.good("ovsdb-client", &["backup", &remote, "Open_vSwitch"]);
    assert!(backup.starts_with("OVSDB JSON "));
    p.vsctl(&["del-br", "br0"]);
    assert_eq!(p.vsctl(&["list-br"]), "");
    std::fs::write(p.dir.path("backup"), backup).unwrap();
    p.good("sh", &["-c", &format!("ovsdb-client restore {remote} Open_vSwitch < backup")]);
    assert_eq!(p.vsctl(&["list-ports", "br0"]), "bond0\n");
    let schema = p.good("ovsdb-client", &["get-schema-version", &remote, "Open_vSwitch"]);
    assert_eq!(schema, "8.3.1\n");
    let mode = std::fs::metadata(&p.socket).unwrap().permissions().mode() & 0o777;
    // What is left of that is the umask's: `posix/tests/sockets.rs`.
    assert_eq!(mode & !0o770, 0);
}

#[harness::test]
fn ovsdb_client_of_open_vswitch_monitors_and_locks() {
    needs("ovsdb-client");
    let p = Program::start("monitor", &simple(), &[]);
    let out = std::fs::File::create(p.dir.path("out")).unwrap();
    let mut monitor = Command::new("ovsdb-client")
        .args(["monitor", &p.remote(), "simple", "t", "n"])
        .stdout(out)
        .spawn()
        .unwrap();
    let seen = || std::fs::read_to_string(p.dir.path("out")).unwrap();
    let mut client = p.client();
    // Its own monitor tells when it listens.
    wait_for("the monitor", || {
        client.transact(insert(1, "x"));
        seen().contains("insert")
    });
    client
        .transact(json!(["simple", {"op": "update", "table": "t", "where": [], "row": {"n": 5}}]));
    wait_for("the update", || seen().contains("new"));
    monitor.kill().unwrap();
    monitor.wait().unwrap();

    let mut other = p.client();
    assert_eq!(client.call("lock", json!(["a"]))["result"], json!({"locked": true}));
    assert_eq!(other.call("lock", json!(["a"]))["result"], json!({"locked": false}));
    drop(client);
    let told = other.receive().unwrap();
    assert_eq!((&told["method"], &told["params"]), (&json!("locked"), &json!(["a"])));
}

#[harness::test]
fn ovs_vswitchd_of_open_vswitch_is_served() {
    needs("ovs-vswitchd");
    needs("ovs-vsctl");
    let p = Program::start("switch", &open_vswitch(), &[]);
    let mut switch = Command::new("ovs-vswitchd")
        .args([&p.remote(), "--enable-dummy=override", "--disable-system", "-vconsole:off"])
        .args(["-vsyslog:off", &format!("--unixctl={}", p.dir.text("vs.ctl"))])
        .envs(["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"].map(|name| (name, &p.dir.0)))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let db = format!("--db={}", p.remote());
    // Without --no-wait: it returns when the switch has done it and said so in the database.
    for args in [
        &["add-br", "br0", "--", "set", "bridge", "br0", "datapath_type=dummy"][..],
        &["add-bond", "br0", "bond0", "p1", "p2"],
    ] {
        let mut all = vec![db.as_str(), "--timeout=30"];
        all.extend(args);
        p.good("ovs-vsctl", &all);
    }
    let port = p.vsctl(&["get", "interface", "p1", "ofport"]);
    assert!(port.trim().parse::<u32>().is_ok_and(|port| port > 0), "{port}");
    switch.kill().unwrap();
    switch.wait().unwrap();
}

#[harness::test]
fn control_commands_are_answered() {
    needs("ovs-appctl");
    let p = Program::start("control", &simple(), &[]);
    let good = |args: &[&str]| {
        let out = p.appctl(args);
        assert!(out.status.success(), "{args:?}: {out:?}");
        String::from_utf8(out.stdout).unwrap()
    };
    let bad = |args: &[&str]| {
        let out = p.appctl(args);
        assert_eq!(out.status.code(), Some(2), "{args:?}: {out:?}");
        String::from_utf8(out.stderr).unwrap()
    };
    assert_eq!(good(&["ovsdb-server/list-dbs"]), "_Server\nsimple\n");
    assert_eq!(good(&["ovsdb-server/get-db-storage-status", "simple"]), "status: ok\n");
    assert_eq!(good(&["version"]).lines().next(), Some("ovsdb-server (Open vSwitch) 3.1.0"));

    program::create(&p.dir.path("other.db"), &open_vswitch());
    good(&["ovsdb-server/add-db", "other.db"]);
    assert_eq!(good(&["ovsdb-server/list-dbs"]), "Open_vSwitch\n_Server\nsimple\n");
    assert!(bad(&["ovsdb-server/add-db", "other.db"]).contains("other.db: already open"));
    assert!(bad(&["ovsdb-server/add-db", "none.db"]).contains("none.db: open failed"));
    good(&["ovsdb-server/remove-db", "Open_vSwitch"]);
    assert!(bad(&["ovsdb-server/remove-db", "Open_vSwitch"]).contains("Failed to find"));
    assert!(bad(&["ovsdb-server/remove-db", "_Server"]).contains("Cannot remove reserved"));

    let second = format!("punix:{}", p.dir.text("second.sock"));
    good(&["ovsdb-server/add-remote", &second]);
    wait_for("the second socket", || p.dir.path("second.sock").exists());
    assert!(good(&["ovsdb-server/list-remotes"]).contains(&second));
    let client = Client::unix(&p.dir.path("second.sock"));
    good(&["ovsdb-server/remove-remote", &second]);
    wait_for("its end", || !p.dir.path("second.sock").exists());
    assert!({ client }.receive().is_none(), "its clients are disconnected");
    assert!(bad(&["ovsdb-server/remove-remote", &second]).contains("no such remote"));
    assert!(bad(&["ovsdb-server/add-remote", "quic:1.2.3.4"]).contains("accepted are"));
    assert!(bad(&["ovsdb-server/add-remote", "db:simple,t,x"]).contains("has no column \"x\""));
    assert!(bad(&["ovsdb-server/connect-active-ovsdb-server"]).contains("not supported"));

    let mut client = p.client();
    client.transact(insert(1, "x"));
    let before = std::fs::metadata(p.dir.path("conf.db")).unwrap().len();
    for n in 0..50 {
        client.transact(json!(["simple",
            {"op": "update", "table": "t", "where": [], "row": {"n": n}}]));
    }
    assert!(bad(&["ovsdb-server/tlog-set", "simple", "on"]).contains("invalid DB:TABLE"));
    assert!(bad(&["ovsdb-server/tlog-set", "simple:x", "on"]).contains("no such table"));
    good(&["ovsdb-server/tlog-set", "simple:t", "on"]);
    client.transact(insert(2, "logged"));
    good(&["ovsdb-server/tlog-set", "simple:t", "off"]);
    let shown = good(&["ovsdb-server/tlog-list"]);
    assert!(shown.lines().any(|line| line.split_whitespace().eq(["t", "OFF"])), "{shown}");
    client.transact(insert(3, "not so"));
    wait_for("the row's line", || p.log().contains("table:t,op:inserted,"));
    assert!(p.log().contains("text:logged") && !p.log().contains("not so"), "{}", p.log());
    good(&["ovsdb-server/compact"]);
    assert!(std::fs::metadata(p.dir.path("conf.db")).unwrap().len() < before * 2);
    assert!(bad(&["ovsdb-server/compact", "_Server"]).contains("cannot compact built-in"));
    let memory = good(&["memory/show"]);
    assert!(memory.contains("sessions:1") && memory.contains("n-weak-refs:0"), "{memory}");
    good(&["ovsdb-server/reconnect"]);
    assert!(client.receive().is_none());
    let mut client = p.client();
    let request = || json!(["simple", null, {"t": [{}]}]);
    assert_eq!(client.call("monitor_cond", request())["error"], json!(null));
    good(&["ovsdb-server/disable-monitor-cond"]);
    assert!(client.receive().is_none());
    let refused = p.client().call("monitor_cond", request());
    assert_eq!(refused["error"], json!("unknown method"));
    good(&["exit"]);
    wait_for("the end", || !p.dir.path("db.sock").exists());
}

#[harness::test]
fn a_configuration_that_cannot_be_served_says_why() {
    let dir = Scratch::new("config");
    let file = dir.text("db");
    program::create(&dir.path("db"), &simple());
    let source = json!({"unix:x": null});
    for (database, says) in [
        (json!({"service-model": "clustered"}), "database is standalone and not clustered"),
        (json!({"service-model": "relay", "source": source}), "relays of other servers'"),
        (
            json!({"service-model": "active-backup", "backup": true, "source": source}),
            "backups of other servers'",
        ),
        (json!({"service-model": "odd"}), "'odd' is not a valid service model"),
    ] {
        let config = json!({"databases": {&file: database}}).to_string();
        std::fs::write(dir.path("config.json"), &config).unwrap();
        let out = Command::new("timeout")
            .args(["30", program::OURS, "--no-chdir", "--unixctl=none", "-vconsole:warn"])
            .arg(format!("--config-file={}", dir.text("config.json")))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{config}: {text}");
        assert!(text.contains(says), "{config}: {text}");
        assert!(text.ends_with("ovsdb-server: server configuration failed\n"), "{config}: {text}");
    }
}

#[harness::test]
fn bad_clients_do_not_disturb_others() {
    let p = Program::start("bad", &simple(), &[]);
    let mut good = p.client();
    good.transact(insert(1, "x"));
    let deep = format!("{{\"id\":1,\"method\":\"echo\",\"params\":{}", "[".repeat(100_000));
    for bytes in [
        "hello\n",
        "[]",
        "{\"id\":1,\"method\":7,\"params\":[]}",
        "{\"id\":1,\"method\":\"echo\"}",
        "{\"id\":1,\"method\":\"echo\",\"params\":{}}",
        "{\"id\":1,\"method\":\"echo\",\"params\":[\"\\ud800\"]}",
        "{\"id\":1,\"method\":\"echo\",\"params\":[1e999]}",
        "{\"id\":1 \"method\":\"echo\",\"params\":[]}",
        &deep,
    ] {
        let mut client = p.client();
        client.send(bytes.as_bytes()).unwrap();
        let short = &bytes[..bytes.len().min(60)];
        assert_eq!(client.receive(), None, "{short}: the connection must end");
    }
    // What is well-formed and wrong is answered, and the session goes on.
    let mut client = p.client();
    assert_eq!(client.call("nosuch", json!([]))["error"], json!("unknown method"));
    for (params, want) in [
        (json!([]), "syntax error"),
        (json!(["none"]), "unknown database"),
        (json!(["simple", {"op": "insert", "table": "none", "row": {}}]), "syntax error"),
        (json!(["simple", {"op": "insert", "table": "t", "row": {"x": 1}}]), "unknown column"),
        (json!(["simple", {"op": "insert", "table": "t", "row": {"n": "x"}}]), "syntax error"),
        (json!(["simple", {"op": "fly"}]), "syntax error"),
        (json!(["simple", 7]), "syntax error"),
        (json!(["simple", {"op": "abort"}]), "aborted"),
        (json!(["simple", {"op": "assert", "lock": "l"}]), "not owner"),
        (
            json!(["simple", {"op": "mutate", "table": "t", "where": [],
                              "mutations": [["n", "/=", 0]]}]),
            "domain error",
        ),
    ] {
        let answer = client.call("transact", params.clone());
        let text = answer.to_string();
        assert!(text.contains(&format!("\"error\":\"{want}\"")), "{params}: {text}");
    }
    // A message cut anywhere, and the connection with it.
    let whole = br#"{"id":1,"method":"transact","params":["simple",{"op":"insert","table":"t","row":{"n":99}}]}"#;
    for end in 0..whole.len() {
        let mut client = p.client();
        client.send(&whole[..end]).unwrap();
    }
    let rows = good.transact(json!(["simple",
        {"op": "select", "table": "t", "where": [["n", "==", 99]]}]));
    assert_eq!(rows, json!([{"rows": []}]));
    assert_eq!(good.call("echo", json!(["still here"]))["result"], json!(["still here"]));
}

/// Many requests in one write, answered in order; and an end right behind them.
#[harness::test]
fn pipelined_requests_are_answered_in_order() {
    let p = Program::start("pipe", &simple(), &[]);
    let mut client = p.client();
    let ids: Vec<u64> =
        (0..500).map(|n| client.ask("transact", &insert(n, "x")).unwrap()).collect();
    for id in ids {
        assert_eq!(client.receive().unwrap()["id"], id);
    }
    let mut last = p.client();
    for n in 1000..1010 {
        last.ask("transact", &insert(n, "y")).unwrap();
    }
    last.end_of_requests();
    wait_for("what was sent before the end", || {
        let found = client.transact(json!(["simple",
            {"op": "select", "table": "t", "where": [["text", "==", "y"]], "columns": ["n"]}]));
        found[0]["rows"].as_array().unwrap().len() == 10
    });
}

/// A client that monitors and does not read costs little, and misses nothing.
#[harness::test]
fn slow_readers_cost_little() {
    let p = Program::start("slow", &simple(), &[]);
    let mut writer = p.client();
    writer.transact(insert(0, ""));
    let mut slow = p.client();
    slow.call("monitor", json!(["simple", null, {"t": {}}]));
    let before = p.memory();
    let text = "x".repeat(10_000);
    for n in 1..=5_000 {
        // 50 MB of updates, twice that with old values.
        writer.transact(json!(["simple", {"op": "update", "table": "t", "where": [],
                                          "row": {"n": n, "text": format!("{n}{text}")}}]));
    }
    let grown = p.memory().saturating_sub(before);
    assert!(grown < 30_000, "{grown} kB for a reader that does not read");
    let mut last = 0;
    while last < 5_000 {
        let update = slow.receive().unwrap();
        let row = update["params"][1]["t"].as_object().unwrap().values().next().unwrap();
        let n = row["new"]["n"].as_i64().unwrap();
        assert!(n > last);
        last = n;
    }
}

#[harness::test]
fn silent_clients_are_probed_and_disconnected() {
    let dir = Scratch::new("probe");
    program::create(&dir.path("conf.db"), &simple());
    let config = json!({"databases": {dir.text("conf.db"): null},
        "remotes": {"ptcp:0:127.0.0.1": {"inactivity-probe": 1000},
                    format!("punix:{}", dir.text("db.sock")): null}});
    std::fs::write(dir.path("config.json"), config.to_string()).unwrap();
    let mut child = Command::new(program::OURS)
        .arg(format!("--config-file={}", dir.text("config.json")))
        .args(["--unixctl=none", "-vconsole:off", "-vsyslog:off"])
        .arg(format!("--log-file={}", dir.text("log")))
        .spawn()
        .unwrap();
    let mut port = 0;
    wait_for("the port", || {
        let log = std::fs::read_to_string(dir.path("log")).unwrap_or_default();
        port = log
            .split("listening on port ")
            .nth(1)
            .and_then(|rest| rest.lines().next()?.parse().ok())
            .unwrap_or(0);
        port != 0
    });
    let start = Instant::now();
    let mut silent = Client::tcp(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let mut lively = Client::tcp(TcpStream::connect(("127.0.0.1", port)).unwrap());
    for _ in 0..3 {
        let probe = lively.receive().unwrap();
        assert_eq!((&probe["method"], &probe["id"]), (&json!("echo"), &json!("echo")));
        lively.send(br#"{"id":"echo","result":[],"error":null}"#).unwrap();
    }
    assert_eq!(silent.receive().unwrap()["method"], json!("echo"));
    assert_eq!(silent.receive(), None);
    assert!(start.elapsed() > Duration::from_millis(1900));
    assert_eq!(lively.call("echo", json!([1]))["result"], json!([1]));
    child.kill().unwrap();
    child.wait().unwrap();
}

#[harness::test]
fn manager_rows_are_remotes_with_status() {
    let p = Program::start("manager", &open_vswitch(), &[MANAGERS]);
    let mut client = p.client();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let out = format!("tcp:{}", listener.local_addr().unwrap());
    client.transact(json!(["Open_vSwitch",
        {"op": "insert", "table": "Manager", "uuid-name": "a", "row": {"target": "ptcp:0:127.0.0.1"}},
        {"op": "insert", "table": "Manager", "uuid-name": "b", "row": {"target": out}},
        {"op": "insert", "table": "Open_vSwitch", "row": {"manager_options":
            ["set", [["named-uuid", "a"], ["named-uuid", "b"]]]}}]));
    let (stream, _) = listener.accept().unwrap();
    let mut outgoing = Client::tcp(stream);
    assert_eq!(outgoing.call("list_dbs", json!([]))["result"][0], json!("Open_vSwitch"));

    let mut status = |target: &str| {
        let found = client.transact(json!(["Open_vSwitch", {"op": "select", "table": "Manager",
            "where": [["target", "==", target]], "columns": ["is_connected", "status"]}]));
        let row = found[0]["rows"][0].clone();
        let pairs = row["status"][1].as_array().unwrap().iter();
        let map: serde_json::Map<String, Value> =
            pairs.map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].clone())).collect();
        (row["is_connected"] == json!(true), map)
    };
    wait_for("the outgoing connection's status", || {
        let (connected, map) = status(&out);
        connected && map["state"] == "ACTIVE" && map.contains_key("sec_since_connect")
    });
    let mut port = 0;
    wait_for("the listener's status", || {
        let (_, map) = status("ptcp:0:127.0.0.1");
        port = map.get("bound_port").map_or(0, |port| port.as_str().unwrap().parse().unwrap());
        port != 0
    });
    let mut incoming = Client::tcp(TcpStream::connect(("127.0.0.1", port)).unwrap());
    assert_eq!(incoming.call("echo", json!([]))["result"], json!([]));

    // It comes back when its peer closes the connection.
    drop(outgoing);
    let (stream, _) = listener.accept().unwrap();
    assert_eq!(Client::tcp(stream).call("echo", json!([]))["result"], json!([]));

    // Both go when the managers do.
    p.client().transact(json!(["Open_vSwitch", {"op": "update", "table": "Open_vSwitch",
        "where": [], "row": {"manager_options": ["set", []]}}]));
    assert_eq!(incoming.receive(), None);
    wait_for("the port's end", || TcpStream::connect(("127.0.0.1", port)).is_err());
}

/// `127.1` is a name here and an address for the resolver (`inet_aton(3)`), so that no name server
/// is needed. A label of 64 octets is too long for one to be asked (RFC 1035 2.3.4).
#[harness::test]
fn manager_with_a_host_name_is_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let accept = || {
        let mut caller = None;
        wait_for("a connection", || {
            caller = listener.accept().ok();
            caller.is_some()
        });
        let stream = caller.unwrap().0;
        stream.set_nonblocking(false).unwrap();
        Client::tcp(stream)
    };
    let out = format!("tcp:0x7f.1:{}", listener.local_addr().unwrap().port());
    let missing = "x".repeat(64);
    let p = Program::start("names", &open_vswitch(), &[MANAGERS, &format!("--remote={out}")]);
    let mut outgoing = accept();
    assert_eq!(outgoing.call("list_dbs", json!([]))["result"][0], json!("Open_vSwitch"));
    let mut client = p.client();
    client.transact(json!(["Open_vSwitch",
        {"op": "insert", "table": "Manager", "uuid-name": "a", 
            "row": {"target": format!("tcp:{missing}:6640")}},
        {"op": "insert", "table": "Open_vSwitch", "row": {"manager_options":
            ["named-uuid", "a"]}}]));
    wait_for("the reason", || {
        let found = client.transact(json!(["Open_vSwitch", {"op": "select", "table": "Manager",
            "where": [], "columns": ["is_connected", "status"]}]));
        let row = found[0]["rows"][0].to_string();
        row.contains("\"is_connected\":false")
            && row.contains("BACKOFF")
            && row.contains(&format!("{missing}: "))
    });
    // The other goes on, and comes back by its name.
    assert_eq!(outgoing.call("echo", json!([]))["result"], json!([]));
    drop(outgoing);
    assert_eq!(accept().call("echo", json!([]))["result"], json!([]));
}

#[harness::test]
fn embedded_server_is_stopped_and_started() {
    let dir = Scratch::new("embedded");
    let remotes = vec![format!("punix:{}", dir.text("db.sock")), "ptcp:0:127.0.0.1".to_owned()];
    let memory = Embedding { remotes: remotes.clone(), ..Embedding::default() };
    let server = EmbeddedServer::start(memory).unwrap();
    let port = server.port("ptcp:0:127.0.0.1").unwrap();
    let mut client = Client::tcp(TcpStream::connect(("127.0.0.1", port)).unwrap());
    let row = json!(["Open_vSwitch", {"op": "insert", "table": "Open_vSwitch", "row": {}}]);
    assert!(client.transact(row.clone())[0]["uuid"].is_array());
    assert!(server.is_running());
    server.stop();
    assert_eq!(client.receive(), None);
    assert!(!dir.path("db.sock").exists());

    let with_file = || Embedding {
        file: Some(dir.path("conf.db")),
        remotes: remotes.clone(),
        ..Embedding::default()
    };
    let server = EmbeddedServer::start(with_file()).unwrap();
    Client::unix(&dir.path("db.sock")).transact(row);
    // The file is ours alone.
    let other = Embedding { file: Some(dir.path("conf.db")), ..Embedding::default() };
    let error = EmbeddedServer::start(other).err().unwrap().to_string();
    assert!(error.contains("lock"), "{error}");
    drop(server);
    let server = EmbeddedServer::start(with_file()).unwrap();
    let found = Client::unix(&dir.path("db.sock")).transact(json!(["Open_vSwitch",
        {"op": "select", "table": "Open_vSwitch", "where": [], "columns": ["next_cfg"]}]));
    assert_eq!(found, json!([{"rows": [{"next_cfg": 0}]}]));
    drop(server);

    let wrong = Embedding { remotes: vec!["punix:/nonexistent/x".into()], ..Embedding::default() };
    let error = EmbeddedServer::start(wrong).err().unwrap().to_string();
    assert!(error.starts_with("punix:/nonexistent/x: "), "{error}");
}

#[harness::test]
fn run_option_ends_the_server_with_its_command() {
    let dir = Scratch::new("run");
    program::create(&dir.path("conf.db"), &simple());
    let run = |command: &str| {
        Command::new(program::OURS)
            .args(["conf.db", "--remote=punix:db.sock", "--unixctl=none", "-vsyslog:off"])
            .arg(format!("--run={command}"))
            .current_dir(&dir.0)
            .env("OVS_RUNDIR", &dir.0)
            .output()
            .unwrap()
    };
    let out = run("test -S db.sock && echo there");
    assert_eq!((out.status.code(), &*out.stdout), (Some(0), &b"there\n"[..]));
    let out = run("exit 3");
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("exit 3: child exited, exit status 3"));
    assert!(!dir.path("db.sock").exists());
}

/// A client that could not be accepted for want of descriptors is as soon as others leave.
#[harness::test]
fn clients_are_accepted_when_descriptors_are_free_again() {
    use rustix::process::{Pid, Resource, Rlimit, prlimit};
    let p = Program::start("descriptors", &simple(), &[]);
    let pid = Pid::from_raw(p.pid().try_into().unwrap()).unwrap();
    let limit = Rlimit { current: Some(40), maximum: Some(40) };
    prlimit(Some(pid), Resource::Nofile, limit).unwrap();
    let mut clients: Vec<Client> = (0..60).map(|_| p.client()).collect();
    wait_for("the limit", || p.log().contains("accept failed"));
    assert_eq!(clients[0].call("echo", json!([1]))["result"], json!([1]));
    let mut last = clients.pop().unwrap();
    drop(clients);
    // Long before anything else wakes the server: its probes have 5 seconds.
    let begin = Instant::now();
    assert_eq!(last.call("echo", json!([2]))["result"], json!([2]));
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
}
