//! Becoming a daemon, seen from outside. This program is both the tests and, called with a name
//! and options, the daemon: forking needs a process without the test harness's threads.

use std::fmt;
use std::fs;
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, ExitStatus, Output};
use std::time::{Duration, Instant};

use clap::Command as Cli;
use mio::{Events, Poll, Token};
use runtime::cli::{self, Dirs, Parsed};
use runtime::daemon::{self, Signal, Signals};
use runtime::log::{self, Module};
use runtime::panic;

/// What the daemon is called.
const PROGRAM: &str = "ovs-vswitchd";

static LOG: Module = Module::new("test");

/// Says to this program that it is to be the daemon, and how it behaves.
const ROLE: &str = "BRAID_TEST_DAEMON";

fn main() -> ExitCode {
    if let Ok(role) = std::env::var(ROLE) {
        return be_daemon(&role);
    }
    harness::run(None)
}

/// The daemon: starts up, says so, waits for a signal.
fn be_daemon(role: &str) -> ExitCode {
    log::init(PROGRAM);
    log::register(&[&LOG]);
    let dirs = Dirs::from_env();
    let options = match cli::parse(cli::add_common(Cli::new(PROGRAM), &dirs), std::env::args_os()) {
        Ok(Parsed::Run(o)) => o,
        other => panic!("{other:?}"),
    };
    let common = cli::Common::new(&options, PROGRAM, &dirs);
    if let Err(e) = common.log.apply() {
        eprintln!("{PROGRAM}: {e}");
        return ExitCode::FAILURE;
    }
    let ready = match daemon::start(&common.daemon, daemon::Privileges::Network) {
        Ok(r) => r,
        Err(e) => {
            eprintln!("{PROGRAM}: {e}");
            return ExitCode::FAILURE;
        }
    };
    panic::install_hook();
    log::start_writer().unwrap();
    match role {
        "fail" => return ExitCode::from(7),
        "abort" => std::process::abort(),
        _ => {}
    }
    std::thread::sleep(Duration::from_millis(100));
    let mut poll = Poll::new().unwrap();
    let mut signals = Signals::new(poll.registry(), Token(0)).unwrap();
    let mut pidfile = ready.ready();
    runtime::info!(LOG, "ready");
    if let Some(how) = role.strip_prefix("panic ") {
        panic_by_role(how);
    }
    let mut events = Events::with_capacity(4);
    loop {
        match poll.poll(&mut events, None) {
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            other => other.unwrap(),
        }
        for s in signals.take() {
            match s {
                Signal::ReopenLog => log::reopen_file().unwrap().unwrap(),
                Signal::Exit(signal) => {
                    runtime::info!(LOG, "leaving");
                    drop(pidfile.take());
                    log::flush();
                    Signals::die_of(signal);
                }
            }
        }
    }
}

/// A value whose text cannot be made.
struct Unprintable;

impl fmt::Display for Unprintable {
    fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        panic!("on purpose, in a message")
    }
}

/// A value that cannot be dropped.
struct Undroppable;

impl Drop for Undroppable {
    fn drop(&mut self) {
        panic!("on purpose, in a destructor")
    }
}

/// Panics in a thread. If the process outlives that, so does the daemon.
fn panic_by_role(how: &str) {
    let thread = |name: &str, work: fn()| std::thread::Builder::new().name(name.into()).spawn(work);
    let _ = match how {
        "main" => panic!("on purpose"),
        "links" => thread("links", || panic!("on purpose")).unwrap().join(),
        "logging" => thread("links", || runtime::info!(LOG, "{Unprintable}")).unwrap().join(),
        "supervised" => panic::spawn_supervised("db", || panic!("on purpose")).unwrap().join(),
        "destructor" => panic::spawn_supervised("db", || {
            let _bad = Undroppable;
            panic!("on purpose")
        })
        .unwrap()
        .join(),
        other => unreachable!("{other}"),
    };
    runtime::info!(LOG, "the daemon lives on");
}

struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    fn new() -> Scratch {
        static COUNT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
        let n = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("braid-daemon-{}-{n}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Scratch { dir }
    }

    fn command(&self, role: &str, args: &[&str]) -> Command {
        let mut c = Command::new(std::env::current_exe().unwrap());
        c.args(args).env(ROLE, role).env("OVS_RUNDIR", &self.dir).env("OVS_LOGDIR", &self.dir);
        c.current_dir(&self.dir);
        c
    }

    fn run(&self, role: &str, args: &[&str]) -> Output {
        self.command(role, args).output().unwrap()
    }

    fn pidfile(&self) -> PathBuf {
        self.dir.join("ovs-vswitchd.pid")
    }

    fn pid(&self) -> Option<i32> {
        fs::read_to_string(self.pidfile()).ok()?.trim().parse().ok()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.join("ovs-vswitchd.log")).unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // A failed test leaves no daemon behind.
        if let Some(pid) = self.pid().filter(|&p| p > 1) {
            kill(pid, libc::SIGKILL);
        }
        let _ = fs::remove_dir_all(&self.dir);
    }
}

fn kill(pid: i32, signal: i32) {
    // SAFETY: sends a signal to a process that we started.
    unsafe { libc::kill(pid, signal) };
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let t = Instant::now();
    while !done() {
        assert!(t.elapsed() < Duration::from_secs(20), "waited too long for: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn alive(pid: i32) -> bool {
    // A zombie (nobody may reap it in a container) is not alive.
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|s| !s.rsplit(')').next().unwrap_or("").trim_start().starts_with('Z'))
}

fn stderr(o: &Output) -> String {
    String::from_utf8_lossy(&o.stderr).into_owned()
}

#[harness::test]
fn foreground() {
    let s = &Scratch::new();
    let mut child = s.command("run", &["--pidfile"]).spawn().unwrap();
    until("pidfile", || s.pid() == Some(child.id() as i32));
    // The signal handlers come after the pidfile.
    std::thread::sleep(Duration::from_millis(300));
    kill(child.id() as i32, libc::SIGTERM);
    let status: ExitStatus = child.wait().unwrap();
    assert_eq!(status.signal(), Some(libc::SIGTERM));
    assert!(!s.pidfile().exists());
}

#[harness::test]
fn detach() {
    let s = &Scratch::new();
    let t = Instant::now();
    let o = s.run("run", &["--detach", "--pidfile", "--log-file"]);
    // The parent waited for readiness, which takes the daemon 100 ms; its output is closed.
    assert!(o.status.success(), "{o:?}");
    assert!(t.elapsed() >= Duration::from_millis(100));
    let pid = s.pid().expect("the pidfile is there when the parent exits");
    assert!(alive(pid));
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), Path::new("/"));
    assert_eq!(fs::read_link(format!("/proc/{pid}/fd/2")).unwrap(), Path::new("/dev/null"));
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap().split(' ').collect();
    assert_eq!(fields[3], pid.to_string(), "a session of its own: {stat}");
    kill(pid, libc::SIGTERM);
    until("the daemon to leave", || !alive(pid));
    assert!(!s.pidfile().exists());
    assert!(s.log().contains("|test|INFO|leaving"), "{}", s.log());

    let o = s.run("run", &["--detach", "--no-chdir", "--pidfile=other.pid"]);
    assert!(o.status.success(), "{o:?}");
    let pid: i32 = fs::read_to_string(s.dir.join("other.pid")).unwrap().trim().parse().unwrap();
    assert_eq!(fs::read_link(format!("/proc/{pid}/cwd")).unwrap(), s.dir.canonicalize().unwrap());
    kill(pid, libc::SIGKILL);
    until("the daemon to die", || !alive(pid));
}

#[harness::test]
fn second() {
    let s = &Scratch::new();
    assert!(s.run("run", &["--detach", "--pidfile"]).status.success());
    let first = s.pid().unwrap();
    let o = s.run("run", &["--detach", "--pidfile"]);
    assert_eq!(o.status.code(), Some(1));
    let want = format!("ovs-vswitchd.pid: already running as pid {first}, aborting");
    assert!(stderr(&o).contains(&want), "{}", stderr(&o));
    assert!(alive(first) && s.pid() == Some(first));
    assert!(!s.dir.join("ovs-vswitchd.pid.tmp").exists());
    // By force.
    assert!(s.run("run", &["--detach", "--pidfile", "--overwrite-pidfile"]).status.success());
    let other = s.pid().unwrap();
    assert!(other != first && alive(first) && alive(other));
    kill(first, libc::SIGKILL);
    kill(other, libc::SIGKILL);
    until("both to die", || !alive(first) && !alive(other));
    // A stale file is no obstacle.
    assert_eq!(s.pid(), Some(other));
    assert!(!s.dir.join(format!("ovs-vswitchd.pid.tmp{other}")).exists());
    assert!(s.run("run", &["--detach", "--pidfile"]).status.success());
    let third = s.pid().unwrap();
    assert!(third != other && alive(third));
    // A directory that is not there.
    let o = s.run("run", &["--pidfile=/nonexistent/x.pid"]);
    assert_eq!(o.status.code(), Some(1));
    assert!(stderr(&o).contains("/nonexistent/x.pid.tmp: create failed"), "{}", stderr(&o));
}

/// A start that fails after the pidfile was looked at leaves that of a running daemon alone.
#[harness::test]
fn refused() {
    let s = &Scratch::new();
    assert!(s.run("run", &["--detach", "--pidfile"]).status.success());
    let first = s.pid().unwrap();
    for extra in [&[][..], &["--detach"], &["--detach", "--monitor"]] {
        let args = [&["--pidfile", "--overwrite-pidfile"], extra].concat();
        assert_eq!(s.run("fail", &args).status.code(), Some(7));
        assert_eq!(s.pid(), Some(first), "{args:?}");
    }
    let names = |s: &Scratch| {
        let all = fs::read_dir(&s.dir).unwrap().flatten();
        let mut names: Vec<_> = all.map(|e| e.file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    assert_eq!(names(s), ["ovs-vswitchd.pid"]);
    // The one that it replaced does not take the other's pidfile away, either.
    assert!(s.run("run", &["--detach", "--pidfile", "--overwrite-pidfile"]).status.success());
    let second = s.pid().unwrap();
    kill(first, libc::SIGTERM);
    until("the first to leave", || !alive(first));
    assert_eq!(s.pid(), Some(second));
    kill(second, libc::SIGTERM);
    until("the second to leave", || !alive(second));
    assert_eq!(names(s), [] as [&str; 0]);
    // Another daemon that is starting is named.
    let tmp = fs::File::create(s.dir.join("ovs-vswitchd.pid.tmp")).unwrap();
    posix::file::lock(&tmp).unwrap();
    let o = s.run("run", &["--pidfile"]);
    let own = format!("ovs-vswitchd.pid.tmp: locked by pid {}, which", std::process::id());
    assert!(o.status.code() == Some(1) && stderr(&o).contains(&own), "{o:?}");
}

/// Links where the daemon writes are not followed; directories may be links.
#[harness::test]
fn links() {
    let s = &Scratch::new();
    use std::os::unix::fs::symlink;
    let precious = s.dir.join("precious");
    fs::write(&precious, "precious").unwrap();
    for (name, option) in [
        ("ovs-vswitchd.pid", "--pidfile"),
        ("ovs-vswitchd.pid.tmp", "--pidfile"),
        ("ovs-vswitchd.log", "--log-file"),
    ] {
        for to in ["precious", "dangling"] {
            symlink(s.dir.join(to), s.dir.join(name)).unwrap();
            let o = s.run("run", &[option]);
            assert_eq!(o.status.code(), Some(1), "{name} -> {to}: {o:?}");
            let says = "it is a symbolic link, which is not followed; remove it";
            let said = stderr(&o);
            assert!(said.contains(says) && said.contains(name), "{said}");
            assert!(fs::read_link(s.dir.join(name)).is_ok(), "{name} is kept");
            fs::remove_file(s.dir.join(name)).unwrap();
            assert!(!s.dir.join("dangling").exists());
        }
    }
    assert_eq!(fs::read_to_string(&precious).unwrap(), "precious");
    let other = Scratch::new();
    let link = s.dir.join("link");
    symlink(&other.dir, &link).unwrap();
    let o = s
        .command("run", &["--detach", "--pidfile", "--log-file"])
        .env("OVS_RUNDIR", &link)
        .env("OVS_LOGDIR", &link)
        .output()
        .unwrap();
    assert!(o.status.success(), "{o:?}");
    let pid = other.pid().unwrap();
    kill(pid, libc::SIGTERM);
    until("the daemon to leave", || !alive(pid));
    assert!(!other.log().is_empty());
}

#[harness::test]
fn early_death() {
    let s = &Scratch::new();
    for extra in [&["--detach"][..], &["--detach", "--monitor"], &["--monitor"]] {
        let o = s.run("fail", extra);
        assert_eq!(o.status.code(), Some(7), "{extra:?}: {o:?}");
        let o = s.run("abort", extra);
        assert_eq!(o.status.code(), Some(1), "{extra:?}: {o:?}");
        assert!(stderr(&o).contains("SIGABRT"), "{}", stderr(&o));
    }
}

#[harness::test]
fn monitor() {
    let s = &Scratch::new();
    let o = s.run("run", &["--detach", "--monitor", "--pidfile", "--log-file"]);
    assert!(o.status.success(), "{o:?}");
    let first = s.pid().unwrap();
    let parent = |pid: i32| -> i32 {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
    };
    let monitor = parent(first);
    until("readiness", || s.log().contains("|test|INFO|ready"));
    // A crash is followed by a restart, at once the first time.
    kill(first, libc::SIGABRT);
    until("a restart", || s.pid().is_some_and(|p| p != first && alive(p)));
    let second = s.pid().unwrap();
    assert_eq!(parent(second), monitor);
    let log = s.log();
    let want = format!("|daemon_unix(monitor)|ERR|1 crashes: pid {first} died, killed (SIGABRT)");
    assert!(log.contains(&want), "{log}");
    // A stop is not.
    until("readiness", || s.log().matches("|test|INFO|ready").count() == 2);
    kill(second, libc::SIGTERM);
    until("the monitor to leave", || !alive(monitor));
    assert!(!alive(second));
    let want = format!("|daemon_unix(monitor)|INFO|pid {second} died, killed (SIGTERM), exiting");
    assert!(s.log().contains(&want), "{}", s.log());
}

/// `SIGKILL` is an operator's and no crash, and after the first core no more are dumped.
#[harness::test]
fn monitor_stops() {
    let s = &Scratch::new();
    // A core, if one is dumped, goes with the directory.
    let args = ["--detach", "--monitor", "--no-chdir", "--pidfile", "--log-file"];
    assert!(s.run("run", &args).status.success());
    let pid = s.pid().unwrap();
    until("readiness", || s.log().contains("|test|INFO|ready"));
    kill(pid, libc::SIGKILL);
    let line = format!("pid {pid} died, killed (SIGKILL), exiting");
    until("the monitor to leave", || s.log().contains(&line));
    assert_eq!(s.log().matches("|test|INFO|ready").count(), 1);
    assert_eq!(s.pid(), Some(pid), "nothing else was started");

    // SAFETY: sets a limit of the child's between fork and exec; async-signal-safe.
    let unlimited = |c: &mut Command| unsafe {
        c.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 1 << 20, rlim_max: 1 << 20 };
            libc::setrlimit(libc::RLIMIT_CORE, &limit);
            Ok(())
        });
    };
    let mut command = s.command("run", &args);
    unlimited(&mut command);
    assert!(command.output().unwrap().status.success());
    let first = s.pid().unwrap();
    until("readiness", || s.log().matches("|test|INFO|ready").count() == 2);
    kill(first, libc::SIGSEGV);
    until("a restart", || s.pid().is_some_and(|p| p != first && alive(p)));
    let second = s.pid().unwrap();
    until("readiness", || s.log().matches("|test|INFO|ready").count() == 3);
    let limits = fs::read_to_string(format!("/proc/{second}/limits")).unwrap();
    let limit = limits.lines().find(|l| l.starts_with("Max core file size")).unwrap();
    let limit = limit.split_whitespace().nth(4).unwrap();
    // Whether one was dumped is the system's to say (core_pattern, the directory's permissions).
    let dumped = s.log().contains("killed (SIGSEGV), core dumped");
    assert_eq!(limit == "0", dumped, "{limit}: {}", s.log());
    kill(second, libc::SIGTERM);
    until("the daemon to leave", || !alive(second));
}

#[harness::test]
fn user() {
    let s = &Scratch::new();
    // SAFETY: asks for a number.
    if unsafe { libc::getuid() } != 0 {
        harness::skip("--user needs root");
    }
    let o = s.run("run", &["--user=nosuchuser"]);
    assert_eq!(o.status.code(), Some(1));
    assert!(stderr(&o).contains("--user=nosuchuser: no user \"nosuchuser\""), "{}", stderr(&o));
    let mut open = fs::metadata(&s.dir).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut open, 0o777);
    fs::set_permissions(&s.dir, open).unwrap();
    let below = format!("--log-file={}/logs/ovs/x.log", s.dir.display());
    let o = s.run("run", &["--detach", "--pidfile", "--user=nobody", &below]);
    if !o.status.success() && stderr(&o).contains("failed (") {
        harness::skip(format!("this container does not let us change the user: {}", stderr(&o)));
    }
    let status = fs::read_to_string(format!("/proc/{}/status", s.pid().unwrap())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert_ne!(field("Uid:"), "0");
    // The log is the user's, who opens it again, and so are directories that were made for it.
    let uid: u32 = field("Uid:").parse().unwrap();
    let logs = s.dir.join("logs/ovs");
    let log = logs.join("x.log");
    for path in [&s.dir.join("logs"), &logs, &log, &s.pidfile()] {
        assert_eq!(fs::metadata(path).unwrap().uid(), uid, "{}", path.display());
    }
    let text = || fs::read_to_string(&log).unwrap_or_default();
    until("readiness", || text().contains("|test|INFO|ready"));
    fs::rename(&log, logs.join("old.log")).unwrap();
    kill(s.pid().unwrap(), libc::SIGHUP);
    until("a new log", || text().contains("opened log file"));
    assert!(alive(s.pid().unwrap()));
    // NET_BIND_SERVICE, NET_BROADCAST, NET_ADMIN, NET_RAW, IPC_LOCK.
    assert_eq!(field("CapEff:"), "0000000000007c00");
    assert_eq!(field("CapBnd:"), "0000000000007c00");
}

/// A panic in any thread ends the process, so that the monitor starts it again, with the reason in
/// the log; one in a supervised thread does not, unless it panics again while it unwinds.
#[harness::test]
fn panics() {
    let s = &Scratch::new();
    let cases = [
        ("main", "panic", "on purpose"),
        ("links", "panic(links)", "on purpose"),
        ("logging", "panic(links)", "on purpose, in a message"),
        ("destructor", "panic(db)", "on purpose, in a destructor"),
    ];
    for (role, module, reason) in cases {
        let o = s.run(&format!("panic {role}"), &["--pidfile", "--log-file"]);
        assert_eq!(o.status.signal(), Some(libc::SIGABRT), "{role}: {o:?}");
        let log = s.log();
        assert!(log.contains(&format!("|{module}|EMER|")) && log.contains(reason), "{role}: {log}");
        assert!(!log.contains("lives on"), "{role}: {log}");
        fs::remove_file(s.dir.join("ovs-vswitchd.log")).unwrap();
    }
    // A core, if one is dumped, goes with the directory.
    let args = ["--detach", "--monitor", "--no-chdir", "--pidfile", "--log-file"];
    assert!(s.run("panic links", &args).status.success());
    until("a restart", || s.log().contains("died, killed (SIGABRT), restarting"));
    until("the next daemon", || s.log().matches("|test|INFO|ready").count() > 1);
    // It will panic as well, and the monitor then waits for ten seconds.
    let line = "waiting until 10 seconds since last restart";
    until("the second crash", || s.log().contains(line));
    let log = s.log();
    let line = log.lines().find(|l| l.contains("crashes: pid")).unwrap();
    let died: i32 = line.split_once("pid ").unwrap().1.split(' ').next().unwrap().parse().unwrap();
    assert!(!alive(died), "{line}");
    kill_monitor(s);
    fs::remove_file(s.dir.join("ovs-vswitchd.log")).unwrap();

    let o = s.run("panic supervised", &["--detach", "--pidfile", "--log-file"]);
    assert!(o.status.success(), "{o:?}");
    until("it to live on", || s.log().contains("|test|INFO|the daemon lives on"));
    assert!(s.log().contains("|panic(db)|EMER|") && s.log().contains("on purpose"), "{}", s.log());
    let pid = s.pid().unwrap();
    kill(pid, libc::SIGTERM);
    until("the daemon to leave", || !alive(pid));
}

/// Ends the monitor that runs in this directory; it waits between two restarts.
fn kill_monitor(s: &Scratch) {
    let mine = |pid: &i32| {
        let dir = format!("OVS_RUNDIR={}", s.dir.display());
        let own = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        own.split(|&b| b == 0).any(|v| v == dir.as_bytes())
    };
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let pids = pids.filter_map(|e| e.file_name().to_str()?.parse().ok()).filter(mine);
    for pid in pids.collect::<Vec<i32>>() {
        kill(pid, libc::SIGKILL);
        until("the monitor to die", || !alive(pid));
    }
}

#[harness::test]
fn log_file() {
    let s = &Scratch::new();
    assert!(s.run("run", &["--detach", "--pidfile", "--log-file"]).status.success());
    let pid = s.pid().unwrap();
    let file = s.dir.join("ovs-vswitchd.log");
    until("readiness", || s.log().contains("|test|INFO|ready"));
    let log = s.log();
    let first = log.lines().next().unwrap();
    let (stamp, rest) = first.split_once('|').unwrap();
    assert_eq!((stamp.len(), stamp.as_bytes()[23]), (24, b'Z'), "{first}");
    assert_eq!(rest, format!("00001|vlog|INFO|opened log file {}", file.display()));
    // Rotation.
    fs::rename(&file, s.dir.join("old.log")).unwrap();
    kill(pid, libc::SIGHUP);
    until("a new file", || file.exists() && s.log().contains("|vlog|INFO|opened log file"));
    let mut old = String::new();
    fs::File::open(s.dir.join("old.log")).unwrap().read_to_string(&mut old).unwrap();
    assert!(old.ends_with("|vlog|INFO|closing log file\n"), "{old}");
    kill(pid, libc::SIGTERM);
    until("the daemon to leave", || !alive(pid));
    assert!(s.log().contains("|test|INFO|leaving"));
}
