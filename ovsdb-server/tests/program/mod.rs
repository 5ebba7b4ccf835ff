//! A server of ours (or the installed one) in a directory of its own, and a client that says
//! exactly what it is told.

#![allow(dead_code, reason = "each test uses its part")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longer than anything takes on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) const OURS: &str = env!("CARGO_BIN_EXE_ovsdb-server");

/// A directory that goes away.
pub(crate) struct Scratch(pub(crate) PathBuf);

impl Scratch {
    pub(crate) fn new(what: &str) -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let n = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("braid-{what}-{}-{n}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir_all(&dir).unwrap();
        Scratch(dir)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Whether a program is installed.
pub(crate) fn installed(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).exists()))
}

/// Skips the test if a program is not installed.
pub(crate) fn needs(program: &str) {
    if !installed(program) {
        harness::skip(format!("{program} is not installed"));
    }
}

/// A file with an empty database.
pub(crate) fn create(file: &Path, schema: &str) {
    let schema = ovsdb_server::schema::Schema::parse(schema).unwrap();
    ovsdb_server::Database::create_file(file, &schema).unwrap();
}

/// The switch's schema.
pub(crate) fn open_vswitch() -> String {
    ovsdb::vswitch::DATABASE.schema().to_json()
}

/// One table of numbered texts.
pub(crate) fn simple() -> String {
    json!({
        "name": "simple", "version": "1.0.0", "tables": {
            "t": { "isRoot": true, "columns": {
                "n": {"type": "integer"}, "text": {"type": "string"},
            }}
        }
    })
    .to_string()
}

/// A running server.
pub(crate) struct Program {
    pub(crate) dir: Scratch,
    pub(crate) child: Option<Child>,
    pub(crate) socket: PathBuf,
}

impl Program {
    /// Ours, with a `conf.db` of this schema, at `db.sock`.
    pub(crate) fn start(what: &str, schema: &str, args: &[&str]) -> Program {
        let dir = Scratch::new(what);
        create(&dir.path("conf.db"), schema);
        let mut program = Program { socket: dir.path("db.sock"), dir, child: None };
        program.run(OURS, args);
        program
    }

    /// Starts a server and waits for its socket to answer.
    pub(crate) fn run(&mut self, server: &str, args: &[&str]) {
        let _ = fs::remove_file(&self.socket);
        let child = Command::new(server)
            .arg("conf.db")
            .arg(format!("--remote=punix:{}", self.socket.display()))
            .arg(format!("--unixctl={}", self.dir.text("ctl")))
            .args(["--log-file=server.log", "-vconsole:off", "-vsyslog:off"])
            .args(args)
            .current_dir(&self.dir.0)
            .envs(["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"].map(|name| (name, &self.dir.0)))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        wait_for("the server's socket", || UnixStream::connect(&self.socket).is_ok());
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    pub(crate) fn remote(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    pub(crate) fn client(&self) -> Client {
        Client::unix(&self.socket)
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.dir.path("server.log")).unwrap_or_default()
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// A program with our socket in its environment's place; its output if it succeeded.
    pub(crate) fn good(&self, program: &str, args: &[&str]) -> String {
        let out = self.any(program, args);
        let text = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(
            out.status.success(),
            "{program} {args:?}: {} {text} {} {}",
            out.status,
            String::from_utf8_lossy(&out.stderr),
            self.log()
        );
        text
    }

    pub(crate) fn any(&self, program: &str, args: &[&str]) -> Output {
        Command::new("timeout")
            .arg("60")
            .arg(program)
            .args(args)
            .current_dir(&self.dir.0)
            .envs(["OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"].map(|name| (name, &self.dir.0)))
            .output()
            .unwrap()
    }

    pub(crate) fn vsctl(&self, args: &[&str]) -> String {
        let db = format!("--db={}", self.remote());
        let mut all = vec![db.as_str(), "--timeout=30", "--no-wait"];
        all.extend(args);
        self.good("ovs-vsctl", &all)
    }

    pub(crate) fn appctl(&self, args: &[&str]) -> Output {
        let target = self.dir.text("ctl");
        let mut all = vec!["-t", target.as_str()];
        all.extend(args);
        self.any("ovs-appctl", &all)
    }

    /// Kilobytes of memory that the server uses.
    pub(crate) fn memory(&self) -> u64 {
        memory_of(self.pid())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
    }
}

pub(crate) fn memory_of(pid: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[track_caller]
pub(crate) fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < PATIENCE, "{what}: waited in vain");
        std::thread::sleep(Duration::from_millis(5));
    }
}

enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// A client that sends what it is given.
pub(crate) struct Client {
    socket: Socket,
    framer: ovsdb::Framer,
    id: u64,
}

impl Client {
    /// Sends no more, and still listens.
    pub(crate) fn end_of_requests(&self) {
        let Socket::Unix(socket) = &self.socket else {
            panic!("only a Unix socket has two halves")
        };
        socket.shutdown(std::net::Shutdown::Write).unwrap();
    }

    pub(crate) fn unix(path: &Path) -> Client {
        let socket = UnixStream::connect(path).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { socket: Socket::Unix(socket), framer: ovsdb::Framer::default(), id: 0 }
    }

    pub(crate) fn tcp(socket: TcpStream) -> Client {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_nodelay(true).unwrap();
        Client { socket: Socket::Tcp(socket), framer: ovsdb::Framer::default(), id: 0 }
    }

    pub(crate) fn send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.socket {
            Socket::Unix(socket) => socket.write_all(bytes),
            Socket::Tcp(socket) => socket.write_all(bytes),
        }
    }

    /// The next message; `None` at the end of the stream.
    pub(crate) fn receive(&mut self) -> Option<Value> {
        let bytes = self.receive_bytes()?;
        Some(serde_json::from_slice(&bytes).unwrap())
    }

    pub(crate) fn receive_bytes(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(message) = self.framer.next_message().unwrap() {
                return Some(message.to_vec());
            }
            let mut buffer = vec![0; 256 << 10];
            let read = match &mut self.socket {
                Socket::Unix(socket) => socket.read(&mut buffer),
                Socket::Tcp(socket) => socket.read(&mut buffer),
            };
            match read {
                Ok(0) => return None,
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                // A stopped process that goes on (signal(7), sockets with a time-out).
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                other => self.framer.push(&buffer[..other.unwrap()]),
            }
        }
    }

    /// Sends a request without waiting; gives its identifier.
    pub(crate) fn ask(&mut self, method: &str, params: &Value) -> std::io::Result<u64> {
        self.id += 1;
        let request = json!({"id": self.id, "method": method, "params": params});
        self.send(request.to_string().as_bytes())?;
        Ok(self.id)
    }

    /// The answer to a request; updates that come before it are dropped.
    pub(crate) fn call(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, &params).unwrap();
        loop {
            let message = self.receive().expect("an answer");
            if message["id"] == id {
                return message;
            }
        }
    }

    pub(crate) fn transact(&mut self, params: Value) -> Value {
        self.call("transact", params)["result"].take()
    }
}
