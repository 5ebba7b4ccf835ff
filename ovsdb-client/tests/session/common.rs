//! A real `ovsdb-server` in a directory of its own, and a loop that drives a session.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use ovsdb_client::{Options, Session, SessionEvent};

/// A directory that vanishes with the test.
pub(crate) struct TempDir(pub(crate) PathBuf);

impl TempDir {
    pub(crate) fn new() -> TempDir {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("braid-ovsdb-client-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).unwrap();
        TempDir(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// `ovsdb-server` on a new `Open_vSwitch` database.
pub(crate) struct Server {
    pub(crate) dir: TempDir,
    extra: Vec<String>,
    child: Option<Child>,
}

pub(crate) const SCHEMA: &str = "/usr/share/openvswitch/vswitch.ovsschema";

/// Skips the test where `ovsdb-server` is not.
pub(crate) fn installed() {
    let here =
        Path::new(SCHEMA).exists() && Command::new("ovsdb-server").arg("-V").output().is_ok();
    if !here {
        harness::skip(
            "ovsdb-server with its schema is not installed (Debian package openvswitch-switch)",
        );
    }
}

impl Server {
    /// `None`, and a loud word, where `ovsdb-server` is not installed.
    pub(crate) fn start() -> Server {
        Server::start_with(&[])
    }

    pub(crate) fn start_with(extra: &[&str]) -> Server {
        installed();
        let extra = extra.iter().map(|option| (*option).to_owned()).collect();
        let mut server = Server { dir: TempDir::new(), extra, child: None };
        let made = Command::new("ovsdb-tool")
            .arg("create")
            .arg(server.dir.0.join("conf.db"))
            .arg(SCHEMA)
            .output()
            .unwrap();
        assert!(made.status.success(), "{made:?}");
        server.run();
        server.vsctl(&["init"]);
        server
    }

    pub(crate) fn run(&mut self) {
        let _ = std::fs::remove_file(self.socket());
        let child = Command::new("ovsdb-server")
            .arg(format!("--remote=punix:{}", self.socket().display()))
            .arg(format!("--unixctl={}", self.dir.0.join("ctl").display()))
            .arg("--no-chdir")
            .args(&self.extra)
            .arg(self.dir.0.join("conf.db"))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        self.child = Some(child);
        let deadline = Instant::now() + Duration::from_secs(10);
        while std::os::unix::net::UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < deadline, "ovsdb-server did not come up");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.0.join("db.sock")
    }

    pub(crate) fn remote(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    /// Runs the real `ovs-vsctl --no-wait`; gives its output.
    pub(crate) fn vsctl(&self, args: &[&str]) -> String {
        let output = Command::new("ovs-vsctl")
            .args(["--no-wait", "--timeout=10"])
            .arg(format!("--db={}", self.remote()))
            .args(args)
            .output()
            .unwrap();
        assert!(output.status.success(), "ovs-vsctl {args:?}: {output:?}");
        String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A session with its poll.
pub(crate) struct Driver {
    pub(crate) session: Session,
    poll: mio::Poll,
    start: Instant,
    /// Every event so far.
    pub(crate) seen: Vec<SessionEvent>,
}

/// Options with short waits.
pub(crate) fn quick() -> Options {
    Options {
        min_backoff: Duration::from_millis(20),
        max_backoff: Duration::from_millis(100),
        ..Options::default()
    }
}

impl Driver {
    pub(crate) fn new(remote: &str, options: Options) -> Driver {
        let poll = mio::Poll::new().unwrap();
        let mut session = Session::new(remote.parse().unwrap(), options);
        session.register(poll.registry(), mio::Token(7)).unwrap();
        Driver { session, poll, start: Instant::now(), seen: Vec::new() }
    }

    /// Once round the loop.
    pub(crate) fn step(&mut self, longest: Duration) {
        self.session.run(self.start.elapsed());
        while let Some(event) = self.session.poll_event() {
            self.seen.push(event);
        }
        let now = self.start.elapsed();
        let wait = self.session.next_deadline().map(|at| at.saturating_sub(now));
        let mut events = mio::Events::with_capacity(8);
        self.poll.poll(&mut events, Some(wait.unwrap_or(longest).min(longest))).unwrap();
        events.iter().for_each(|event| self.session.on_event(event));
    }

    /// Goes on until the condition holds; 20 s are too long.
    pub(crate) fn until(&mut self, what: &str, condition: impl Fn(&Driver) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !condition(self) {
            let tail = self.seen.len().saturating_sub(12);
            assert!(Instant::now() < deadline, "waiting for {what}: {:?}", &self.seen[tail..]);
            self.step(Duration::from_millis(50));
        }
    }

    pub(crate) fn count(&self, wanted: impl Fn(&SessionEvent) -> bool) -> usize {
        self.seen.iter().filter(|event| wanted(event)).count()
    }
}
