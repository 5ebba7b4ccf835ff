//! The control socket, with Debian's `ovs-appctl` and with raw octets.

harness::main!();

use std::fmt;
use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use proptest::prelude::*;
use runtime::clock::Clock;
use runtime::unixctl::builtin::{self, Hooks};
use runtime::unixctl::{Commands, Pending, Reply, Server};
use serde::Serialize;
use serde_json::{Value, json};

/// What handlers work on.
#[derive(Default)]
struct Ctx {
    later: Vec<Pending>,
    exit: Option<bool>,
}

#[derive(Serialize)]
struct Face {
    answer: u32,
}

impl fmt::Display for Face {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "the answer: {}", self.answer)
    }
}

fn commands() -> (Commands<Ctx>, runtime::compat::TimeWarp) {
    let mut commands: Commands<Ctx> = Commands::new();
    let time = builtin::register(
        &mut commands,
        Hooks {
            clock: Clock::new(),
            time_commands: true,
            exit: |ctx, cleanup, pending| {
                ctx.exit = Some(cleanup);
                ctx.later.push(pending);
            },
            memory: |_| vec![("ports".into(), 7), ("handlers".into(), 1)],
        },
    );
    commands.register("echo", "[arg]...", 0, 3, |_, req| Reply::Text(req.args.join("|")));
    commands.register("face", "", 0, 0, |_, req| req.render(&Face { answer: 42 }));
    commands
        .register("big", "N", 1, 1, |_, req| Reply::Text("y".repeat(req.args[0].parse().unwrap())));
    commands.register("later", "", 0, 0, |ctx, req| {
        let (pending, reply) = req.defer();
        ctx.later.push(pending);
        reply
    });
    commands.register("now", "", 0, 0, |ctx, req| {
        for p in ctx.later.drain(..) {
            p.render(&Face { answer: 43 });
        }
        req.render("")
    });
    commands.register("drop", "", 0, 0, |ctx, _| {
        ctx.later.clear();
        Reply::Text(String::new())
    });
    commands.alias("old-face", "face");
    (commands, time)
}

/// A reactor with nothing but a control socket, in a thread of its own.
struct Daemon {
    dir: PathBuf,
    path: PathBuf,
    stop: Arc<AtomicBool>,
    waker: Arc<Waker>,
    thread: Option<JoinHandle<Option<bool>>>,
}

const TOKENS: std::ops::Range<usize> = 10..14;

impl Daemon {
    fn start() -> Daemon {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("braid-unixctl-{}-{n}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let path = dir.join("x.ctl");
        Daemon::start_at(dir, path)
    }

    fn start_at(dir: PathBuf, path: PathBuf) -> Daemon {
        let stop = Arc::new(AtomicBool::new(false));
        let (s, at) = (stop.clone(), path.clone());
        let (tx, rx) = std::sync::mpsc::channel();
        // Handlers need not be `Send`, so the server is made where it runs.
        let thread = std::thread::spawn(move || {
            let mut poll = Poll::new().unwrap();
            let waker = Arc::new(Waker::new(poll.registry(), Token(0)).unwrap());
            let w = waker.clone();
            let (commands, time) = commands();
            let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || w.wake().unwrap());
            let mut server = Server::bind(&at, poll.registry(), TOKENS, commands, wake).unwrap();
            tx.send(waker).unwrap();
            let mut ctx = Ctx::default();
            let mut events = Events::with_capacity(16);
            let mut timeout = None;
            while ctx.exit.is_none() && !s.load(Ordering::Relaxed) {
                match poll.poll(&mut events, timeout) {
                    Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                    other => other.unwrap(),
                }
                for e in &events {
                    if server.owns(e.token()) {
                        server.handle_event(&mut ctx, poll.registry(), e.token());
                    }
                }
                timeout = time.run();
                server.run(&mut ctx, poll.registry());
                timeout = [timeout, server.timeout()].into_iter().flatten().min();
            }
            for p in ctx.later {
                p.complete(Reply::Text(String::new()));
            }
            drop(server);
            ctx.exit
        });
        let waker = rx.recv().unwrap();
        Daemon { dir, path, stop, waker, thread: Some(thread) }
    }

    fn connect(&self) -> Client {
        let s = UnixStream::connect(&self.path).unwrap();
        s.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        s.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
        Client(s)
    }

    fn join(&mut self) -> Option<bool> {
        self.thread.take().and_then(|t| t.join().unwrap())
    }

    fn appctl(&self, args: &[&str]) -> Output {
        Command::new("ovs-appctl").arg("-t").arg(&self.path).args(args).output().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.waker.wake().unwrap();
        self.join();
        std::fs::remove_dir_all(&self.dir).unwrap();
    }
}

struct Client(UnixStream);

impl Client {
    fn send(&mut self, v: &Value) {
        self.0.write_all(v.to_string().as_bytes()).unwrap();
    }

    /// The next JSON value on the stream; `None` when the daemon closed it.
    fn receive(&mut self) -> Option<Value> {
        let mut all = Vec::new();
        let mut byte = [0; 1];
        loop {
            if self.0.read(&mut byte).unwrap() == 0 {
                assert!(all.is_empty(), "half a reply: {all:?}");
                return None;
            }
            all.push(byte[0]);
            if byte[0] == b'}'
                && let Ok(v) = serde_json::from_slice(&all)
            {
                return Some(v);
            }
        }
    }

    fn ask(&mut self, method: &str, params: &[&str]) -> Result<Value, Value> {
        self.send(&json!({ "id": 7, "method": method, "params": params }));
        let v = self.receive().expect("a reply");
        assert_eq!(v["id"], json!(7));
        let line = |v: &Value| match v {
            // Text ends its last line; what is not empty must.
            Value::String(s) if !s.is_empty() => {
                Value::String(s.strip_suffix('\n').expect("a whole line").to_owned())
            }
            other => other.clone(),
        };
        if v["error"].is_null() { Ok(line(&v["result"])) } else { Err(line(&v["error"])) }
    }
}

#[harness::test]
fn ovs_appctl() {
    if Command::new("ovs-appctl").arg("--version").output().is_err() {
        harness::skip("ovs-appctl is not installed (Debian package openvswitch-common)");
    }
    runtime::log::init("ovs-vswitchd");
    runtime::log::register(runtime::modules::ALL);
    let mut d = Daemon::start();
    let good = |args: &[&str], want: &str| {
        let o = d.appctl(args);
        assert_eq!(String::from_utf8_lossy(&o.stdout), want, "{args:?}");
        assert!(o.status.success() && o.stderr.is_empty(), "{args:?}: {o:?}");
    };
    let bad = |args: &[&str], want: &str| {
        let o = d.appctl(args);
        assert_eq!(String::from_utf8_lossy(&o.stderr).lines().next(), Some(want), "{args:?}");
        assert_eq!((o.status.code(), o.stdout.len()), (Some(2), 0), "{args:?}");
    };
    good(&["version"], "ovs-vswitchd (Open vSwitch) 3.1.0\n");
    good(&["face"], "the answer: 42\n");
    good(&["old-face"], "the answer: 42\n");
    good(&["echo", "a", "", "ü\"\\"], "a||ü\"\\\n");
    good(&["memory/show"], "handlers:1 ports:7\n");
    good(&["time/stop"], "");
    good(&["time/warp", "1000"], "warped\n");
    good(&["time/warp", "1000", "100"], "warped\n");
    bad(&["time/warp", "x"], "invalid MSECS");
    bad(&["time/warp", "100", "x"], "invalid MSECS");
    bad(
        &["xyz"],
        "\"xyz\" is not a valid command (use \"list-commands\" to see a list of valid commands)",
    );
    bad(&["echo", "1", "2", "3", "4"], "\"echo\" command takes at most 3 arguments");
    bad(
        &["coverage/read-counter"],
        "\"coverage/read-counter\" command requires at least 1 arguments",
    );
    bad(&["coverage/read-counter", "nosuch"], "No such counter");
    bad(&["vlog/set", "foo:bar"], "no destination, level, or module \"foo\"");
    bad(&["vlog/set", "PATTERN:nowhere:%m"], "unknown destination \"nowhere\"");
    bad(&["vlog/set", "PATTERN"], "missing destination");
    bad(&["vlog/set", "dbg:info"], "cannot specify multiple levels");
    bad(&["vlog/reopen"], "Logging to file not configured");
    bad(&["vlog/disable-rate-limit", "nosuch"], "unknown module");
    good(&["vlog/enable-rate-limit", "unixctl"], "");
    good(&["vlog/message", "hello"], "");
    let o = d.appctl(&["coverage/show"]);
    let text = String::from_utf8(o.stdout).unwrap();
    assert!(text.starts_with("Event coverage, avg rate over last: 5 seconds, "), "{text}");
    assert!(text.contains("unixctl_received ") && text.ends_with(" events never hit\n"), "{text}");
    let o = d.appctl(&["list-commands"]);
    let text = String::from_utf8(o.stdout).unwrap();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("The available commands are:"));
    let names: Vec<&str> = lines.map(|l| l.split_whitespace().next().unwrap()).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert!(names.contains(&"set-options") && names.contains(&"exit"), "{names:?}");
    assert!(!names.contains(&"old-face") && !names.contains(&"vlog/message"), "{names:?}");
    assert!(text.contains("\n  echo                    [arg]...\n"), "{text}");
    let o = d.appctl(&["exit", "--cleanup"]);
    assert!(o.status.success(), "{o:?}");
    assert_eq!(d.join(), Some(true));
    assert!(!d.path.exists());
}

#[harness::test]
fn json_replies() {
    let d = Daemon::start();
    let mut c = d.connect();
    assert_eq!(c.ask("face", &[]), Ok(json!("the answer: 42")));
    assert_eq!(
        c.ask("set-options", &["--format", "xml"]),
        Err(json!("option format has invalid value xml"))
    );
    assert_eq!(
        c.ask("set-options", &["--colour", "x"]),
        Err(json!("unrecognized option '--colour'"))
    );
    assert!(c.ask("set-options", &["--format", "JSON"]).is_ok());
    assert_eq!(c.ask("face", &[]), Ok(json!({ "answer": 42 })));
    assert_eq!(c.ask("echo", &["a"]), Ok(json!({ "reply-format": "plain", "reply": "a" })));
    assert_eq!(c.ask("list-commands", &[]).unwrap()["echo"], json!("[arg]..."));
    let version = c.ask("version", &[]).unwrap();
    assert_eq!(version["reply-format"], json!("plain"));
    assert!(version["reply"].as_str().unwrap().ends_with(" (Open vSwitch) 3.1.0"), "{version}");
    assert_eq!(c.ask("memory/show", &[]), Ok(json!({ "handlers": 1, "ports": 7 })));
    assert!(c.ask("nosuch", &[]).unwrap_err().is_string());
    // Another connection has its own format.
    assert_eq!(d.connect().ask("face", &[]), Ok(json!("the answer: 42")));
    assert!(c.ask("set-options", &["--format=text"]).is_ok());
    assert_eq!(c.ask("face", &[]), Ok(json!("the answer: 42")));
}

#[harness::test]
fn deferred_replies() {
    let d = Daemon::start();
    let (mut a, mut b) = (d.connect(), d.connect());
    // A second request of the same client waits its turn.
    a.send(&json!({ "id": 1, "method": "later", "params": [] }));
    a.send(&json!({ "id": 2, "method": "echo", "params": ["x"] }));
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(b.ask("now", &[]), Ok(json!("")));
    assert_eq!(
        a.receive().unwrap(),
        json!({ "id": 1, "result": "the answer: 43\n", "error": null })
    );
    assert_eq!(a.receive().unwrap()["result"], json!("x\n"));
    // Given up, and a client that went away meanwhile.
    a.send(&json!({ "id": 3, "method": "later", "params": [] }));
    let mut gone = d.connect();
    gone.send(&json!({ "id": 4, "method": "later", "params": [] }));
    std::thread::sleep(Duration::from_millis(50));
    drop(gone);
    assert_eq!(b.ask("drop", &[]), Ok(json!("")));
    assert_eq!(a.receive().unwrap()["error"], json!("the command was given up\n"));
    assert_eq!(b.ask("echo", &["alive"]), Ok(json!("alive")));
}

#[harness::test]
fn many_requests_and_large_replies() {
    let d = Daemon::start();
    let mut c = d.connect();
    let mut all = String::new();
    for i in 0..500 {
        all += &json!({ "id": i, "method": "echo", "params": [i.to_string()] }).to_string();
    }
    let mut writer = c.0.try_clone().unwrap();
    let t = std::thread::spawn(move || writer.write_all(all.as_bytes()).unwrap());
    for i in 0..500 {
        let v = c.receive().unwrap();
        assert_eq!((&v["id"], &v["result"]), (&json!(i), &json!(format!("{i}\n"))));
    }
    t.join().unwrap();
    // A client that does not read its reply holds nobody up.
    let mut slow = d.connect();
    slow.send(&json!({ "id": 1, "method": "big", "params": ["5000000"] }));
    slow.send(&json!({ "id": 2, "method": "echo", "params": [] }));
    assert_eq!(c.ask("echo", &["x"]), Ok(json!("x")));
    let mut text = Vec::new();
    let mut buf = vec![0; 1 << 16];
    while !text.ends_with(b"\"result\":\"\"}") {
        let n = slow.0.read(&mut buf).unwrap();
        assert!(n > 0);
        text.extend_from_slice(&buf[..n]);
    }
    assert!(text.len() > 5_000_000);
}

#[harness::test]
fn more_clients_than_tokens() {
    let d = Daemon::start();
    let mut clients: Vec<Client> = (0..6).map(|_| d.connect()).collect();
    for c in &mut clients[..3] {
        assert_eq!(c.ask("echo", &["in"]), Ok(json!("in")));
    }
    let mut last = clients.pop().unwrap();
    clients.clear();
    assert_eq!(last.ask("echo", &["at last"]), Ok(json!("at last")));
}

#[harness::test]
fn silent_clients_keep_nobody_out() {
    let d = Daemon::start();
    // A hundred times as many as there are places for, each with half a request.
    let silent: Vec<Client> = (0..300).map(|_| d.connect()).collect();
    for c in &silent {
        // One that has lost its place already cannot be written to.
        let _ = (&c.0).write_all(b"{\"id\":7,");
    }
    // Each waits for 10 ms at most, and nothing else happens; `ask` waits for 10 s at most.
    assert_eq!(d.connect().ask("echo", &["in"]), Ok(json!("in")));
    drop(silent);
    assert_eq!(d.connect().ask("echo", &["still"]), Ok(json!("still")));
}

#[harness::test]
fn a_client_loses_its_place_to_another_one_only() {
    let d = Daemon::start();
    // As many as there are places for: all stay, however long they are silent.
    let mut clients: Vec<Client> = (0..3).map(|_| d.connect()).collect();
    for _ in 0..2 {
        for c in &mut clients {
            assert_eq!(c.ask("echo", &["in"]), Ok(json!("in")));
        }
        std::thread::sleep(Duration::from_millis(50));
        d.waker.wake().unwrap();
    }
    // One more, and the one that was silent longest goes.
    assert_eq!(d.connect().ask("echo", &["in"]), Ok(json!("in")));
    assert_eq!(clients[0].receive(), None);
    assert_eq!(clients[2].ask("echo", &["in"]), Ok(json!("in")));
}

#[harness::test]
fn bad_requests_close_their_connection_only() {
    let d = Daemon::start();
    let mut good = d.connect();
    let closes = |octets: &[u8]| {
        let mut c = d.connect();
        c.0.write_all(octets).unwrap();
        assert_eq!(c.receive(), None, "{octets:?}");
    };
    closes(b"hello");
    closes(b"[]");
    closes(b"{\"id\":1,\"method\":\"echo\",\"params\":}");
    closes(b"{\"id\":1,\"method\":\"echo\"}");
    closes(b"{\"id\":1,\"method\":\"echo\",\"params\":{}}");
    closes(b"{\"id\":null,\"method\":\"echo\",\"params\":[]}");
    closes(b"{\"id\":1,\"result\":1,\"error\":null}");
    closes(b"{}");
    closes(b"\xff\xfe");
    // Deeper than 1000 levels.
    closes(&b"{\"a\":[".repeat(600));
    // A request that never ends is cut off at the bound.
    let mut c = d.connect();
    let mut sent = c.0.write_all(b"{\"x\":\"");
    for _ in 0..64 {
        sent = sent.and_then(|()| c.0.write_all(&[b'x'; 1 << 15]));
    }
    match sent {
        Err(_) => {}
        Ok(()) => assert!(matches!(c.0.read(&mut [0]), Ok(0) | Err(_))),
    }
    // Wrong arguments are answered.
    good.send(&json!({ "id": [1], "method": "echo", "params": [1] }));
    let v = good.receive().unwrap();
    assert_eq!(
        (&v["id"], &v["error"]),
        (&json!([1]), &json!("\"echo\" command has non-string argument\n"))
    );
    assert_eq!(good.ask("echo", &["alive"]), Ok(json!("alive")));
}

#[harness::test]
fn the_socket_itself() {
    let d = Daemon::start();
    let m = std::fs::metadata(&d.path).unwrap();
    assert!(m.file_type().is_socket());
    // What is left of that is the umask's: `posix/tests/sockets.rs`.
    assert_eq!(m.permissions().mode() & 0o777 & !0o770, 0);
    // A path longer than the system's structure has room for, and one left by a dead daemon.
    let long = d.dir.join("d".repeat(100));
    std::fs::create_dir(&long).unwrap();
    let path = long.join("x.ctl");
    let near = |p: &Path| std::env::set_current_dir(p.parent().unwrap());
    let first = Daemon::start_at(long.clone(), path.clone());
    near(&path).unwrap();
    assert!(UnixStream::connect("x.ctl").is_ok());
    std::env::set_current_dir("/").unwrap();
    drop(first);
    std::fs::create_dir(&long).unwrap();
    drop(std::os::unix::net::UnixListener::bind(d.dir.join("stale.ctl")).unwrap());
    let other = d.dir.join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::rename(d.dir.join("stale.ctl"), other.join("stale.ctl")).unwrap();
    let second = Daemon::start_at(other.clone(), other.join("stale.ctl"));
    assert_eq!(second.connect().ask("echo", &["x"]), Ok(json!("x")));
    // Something that is not a socket is not removed.
    let file = d.dir.join("file");
    std::fs::write(&file, "precious").unwrap();
    let poll = Poll::new().unwrap();
    let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(|| {});
    let e = Server::<Ctx>::bind(&file, poll.registry(), 0..2, Commands::new(), wake.clone())
        .err()
        .unwrap();
    assert!(e.to_string().contains("file: could not initialize control socket"), "{e}");
    assert_eq!(std::fs::read(&file).unwrap(), b"precious");
    let e = Server::<Ctx>::bind(&file, poll.registry(), 0..1, Commands::new(), wake);
    assert!(e.is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// A request cut anywhere is the same request; noise never stops the daemon.
    #[harness::test]
    fn any_cut_and_any_noise(cuts in prop::collection::vec(1usize..20, 0..8), noise: Vec<u8>) {
        let d = Daemon::start();
        let mut c = d.connect();
        let text = json!({ "id": 1, "method": "echo", "params": ["{\"}", "b"] }).to_string();
        let mut rest = text.as_bytes();
        for n in cuts {
            let (now, after) = rest.split_at(n.min(rest.len()));
            c.0.write_all(now).unwrap();
            rest = after;
            std::thread::sleep(Duration::from_micros(200));
        }
        c.0.write_all(rest).unwrap();
        prop_assert_eq!(&c.receive().unwrap()["result"], &json!("{\"}|b\n"));
        let mut n = d.connect();
        n.0.write_all(&noise).unwrap();
        drop(n);
        prop_assert_eq!(c.ask("echo", &[]), Ok(json!("")));
    }
}

#[harness::test]
fn a_warp_waits_for_nobody_else() {
    let d = Daemon::start();
    let mut c = d.connect();
    assert_eq!(c.ask("time/stop", &[]), Ok(json!("")));
    let t = Instant::now();
    assert_eq!(c.ask("time/warp", &["3600000", "100000"]), Ok(json!("warped")));
    assert!(t.elapsed() < Duration::from_secs(5));
}
