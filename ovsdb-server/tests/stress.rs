//! What the server does when a disk is full, JSON is strange, or it runs as another user.

harness::main!();

mod program;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Command, Stdio};

use program::{OURS, PATIENCE, Program, Scratch, create, needs, simple, wait_for};
use serde_json::json;

/// A server whose file is on a file system of 64 KiB, in a mount namespace of its own.
fn on_a_small_disk(dir: Scratch) -> Program {
    create(&dir.path("conf.db"), &simple());
    std::fs::create_dir(dir.path("full")).unwrap();
    let script = format!(
        "mount -t tmpfs -o size=64k none full && cp conf.db full/ && exec {OURS} full/conf.db \
         --remote=punix:db.sock --unixctl=none --log-file=server.log -vconsole:off -vsyslog:off"
    );
    let child = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
        .current_dir(&dir.0)
        .envs(["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"].map(|name| (name, &dir.0)))
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let program = Program { socket: dir.path("db.sock"), dir, child: Some(child) };
    wait_for("the server's socket", || UnixStream::connect(&program.socket).is_ok());
    program
}

#[harness::test]
fn a_full_disk_is_logged_and_not_too_often() {
    needs("unshare");
    let p = on_a_small_disk(Scratch::new("full-disk"));
    let mut client = p.client();
    let mut refused = 0;
    for n in 0..60 {
        let text = "x".repeat(4096);
        let answer = client.transact(json!(["simple",
            {"op": "insert", "table": "t", "row": {"n": n, "text": text}}]));
        if answer[1]["error"] == "I/O error" {
            refused += 1;
        }
    }
    assert!((20..60).contains(&refused), "{refused}");
    let says = "|ovsdb_server|WARN|simple: transaction refused: I/O error: full/conf.db: write \
                failed (No space left on device)";
    wait_for("the cause in the log", || p.log().contains(says));
    assert!(p.log().matches(says).count() <= 10, "{}", p.log());
    // What was refused is not there, and what is small fits still.
    let count = client.transact(json!(["simple",
        {"op": "select", "table": "t", "where": [], "columns": ["n"]}]));
    assert_eq!(count[0]["rows"].as_array().unwrap().len(), 60 - refused);
}

/// Sends bytes; what comes back until the answer is whole or the server closes, and whether it did.
fn say(socket: &Path, bytes: &[u8]) -> (Vec<u8>, bool) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(bytes).unwrap();
    let mut got = Vec::new();
    let mut framer = ovsdb::Framer::default();
    loop {
        let mut buffer = [0; 65536];
        match stream.read(&mut buffer) {
            Ok(0) => return (got, true),
            Ok(read) => {
                got.extend_from_slice(&buffer[..read]);
                framer.push(&buffer[..read]);
                if framer.next_message().unwrap().is_some() {
                    return (got, false);
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {
                return (got, true);
            }
            Err(error) => panic!("{error}"),
        }
    }
}

fn nested(method: &str, levels: usize) -> Vec<u8> {
    let (open, close) = ("[".repeat(levels), "]".repeat(levels));
    format!(r#"{{"method":"{method}","params":{open}{close},"id":1}}"#).into_bytes()
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

/// Requests, what their answers have, and whether Open vSwitch closes instead.
#[harness::test]
fn strange_json_is_answered_as_by_open_vswitch() {
    let p = Program::start("strange", &simple(), &[]);
    let ctl = p.dir.path("ctl");
    let not_text = br#""details":"not a valid UTF-8 string: invalid UTF-8 sequence 0xff""#;
    let db: [(&[u8], &[u8]); 10] = [
        (br#"{"method":"x","method":"echo","params":[],"id":1}"#, br#""result":[]"#),
        (br#"{"method":"echo","params":[],"id":1,"id":2}"#, br#""id":2"#),
        (b"{\"method\":\"echo\",\"params\":[\"a\xff\xfe\"],\"id\":1}", b"[\"a\xff\xfe\"]"),
        (b"{\"method\":\"echo\",\"params\":[],\"id\":\"\xc3\"}", b"\"id\":\"\xc3\""),
        (b"{\"method\":\"ec\xffho\",\"params\":[],\"id\":1}", b"unknown method"),
        (
            b"{\"method\":\"transact\",\"id\":1,\"params\":[\"simple\",{\"op\":\"insert\",\
              \"table\":\"t\",\"row\":{\"text\":\"\xff\"}}]}",
            not_text,
        ),
        (
            b"{\"method\":\"transact\",\"id\":1,\"params\":[\"simple\",{\"op\":\"select\",\
              \"table\":\"t\",\"where\":[[\"text\",\"==\",\"\xff\"]]}]}",
            not_text,
        ),
        (
            br#"{"method":"transact","id":1,"params":["simple",{"op":"abort","op":"comment","comment":"a"}]}"#,
            br#""result":[{}]"#,
        ),
        (&nested("echo", 101), b"[[[]]]"),
        (&nested("echo", 999), b"[[[]]]"),
    ];
    for (request, answer) in db {
        let (got, closed) = say(&p.socket, request);
        let shown = String::from_utf8_lossy(request);
        assert!(!closed && contains(&got, answer), "{shown}: {}", String::from_utf8_lossy(&got));
    }
    let control: [(&[u8], &[u8]); 5] = [
        (br#"{"method":"x","method":"version","params":[],"id":1}"#, b"Open vSwitch"),
        (b"{\"method\":\"ve\xffr\",\"params\":[],\"id\":1}", b"ve\xffr"),
        (b"{\"method\":\"version\",\"params\":[\"\xff\"],\"id\":\"\xfe\"}", b"\"id\":\"\xfe\""),
        (&nested("version", 101), br#""error":""#),
        (&nested("version", 999), br#""error":""#),
    ];
    for (request, answer) in control {
        let (got, closed) = say(&ctl, request);
        let shown = String::from_utf8_lossy(request);
        assert!(!closed && contains(&got, answer), "{shown}: {}", String::from_utf8_lossy(&got));
    }
    for socket in [&p.socket, &ctl] {
        for request in [&nested("echo", 1000)[..], br#"{"method":}"#, br#"["a"]"#] {
            let (got, closed) = say(socket, request);
            assert!(closed && got.is_empty(), "{}", String::from_utf8_lossy(&got));
        }
    }
}

/// Of the capabilities the server keeps those for ports below 1024 and for mlockall(2) only.
#[harness::test]
fn another_user_has_no_rights_over_the_network() {
    if !rustix::process::geteuid().is_root() {
        harness::skip("only root can change the user");
    }
    let dir = Scratch::new("user");
    create(&dir.path("conf.db"), &simple());
    let files = std::fs::read_dir(&dir.0).unwrap().map(|entry| entry.unwrap().path());
    for path in files.chain([dir.0.clone()]) {
        std::os::unix::fs::chown(&path, Some(65534), None).unwrap();
    }
    let mut program = Program { socket: dir.path("db.sock"), dir, child: None };
    program.run(OURS, &["--user=nobody"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", program.pid())).unwrap();
    for set in ["CapPrm", "CapEff", "CapBnd"] {
        let line = status.lines().find(|line| line.starts_with(set)).unwrap();
        let mask = u64::from_str_radix(line.split_whitespace().nth(1).unwrap(), 16).unwrap();
        // CAP_NET_BIND_SERVICE and CAP_IPC_LOCK (linux/capability.h).
        assert_eq!(mask & !(1 << 10 | 1 << 14), 0, "{line}");
        assert!(set == "CapBnd" || mask == 1 << 10 | 1 << 14, "{line}");
    }
}
