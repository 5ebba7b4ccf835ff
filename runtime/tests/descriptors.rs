//! A daemon that has no descriptors left for clients of its control socket: silent ones give theirs
//! up. The daemon is this program again, because the limit is a process's.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::{Events, Poll, Token, Waker};
use runtime::unixctl::{Commands, Reply, Server};

/// Names the socket, in the process that is the daemon.
const SOCKET: &str = "BRAID_TEST_SOCKET";

/// Answers until it is killed.
fn serve(path: &Path) {
    let mut poll = Poll::new().unwrap();
    let waker = Waker::new(poll.registry(), Token(0)).unwrap();
    let wake: Arc<dyn Fn() + Send + Sync> = Arc::new(move || waker.wake().unwrap());
    let mut commands: Commands<()> = Commands::new();
    commands.register("hello", "", 0, 0, |(), _| Reply::Text("hello".to_owned()));
    let mut server = Server::bind(path, poll.registry(), 1..1000, commands, wake).unwrap();
    let mut events = Events::with_capacity(16);
    loop {
        poll.poll(&mut events, server.timeout()).unwrap();
        for event in &events {
            if server.owns(event.token()) {
                server.handle_event(&mut (), poll.registry(), event.token());
            }
        }
        server.run(&mut (), poll.registry());
    }
}

struct Daemon {
    dir: PathBuf,
    child: Child,
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

#[test]
fn silent_clients_give_up_their_descriptors() {
    if let Some(path) = std::env::var_os(SOCKET) {
        return serve(Path::new(&path));
    }
    let dir = std::env::temp_dir().join(format!("braid-descriptors-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let path = dir.join("x.ctl");
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "silent_clients_give_up_their_descriptors"]).env(SOCKET, &path);
    // SAFETY: sets a limit between fork and exec; async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            let limit = libc::rlimit { rlim_cur: 32, rlim_max: 32 };
            libc::setrlimit(libc::RLIMIT_NOFILE, &limit);
            Ok(())
        });
    }
    let daemon = Daemon { dir, child: command.spawn().unwrap() };
    let end = Instant::now() + Duration::from_secs(20);
    let connect = || loop {
        match UnixStream::connect(&path) {
            Ok(stream) => break stream,
            Err(e) => assert!(Instant::now() < end, "{e}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let silent: Vec<UnixStream> = (0..100).map(|_| connect()).collect();
    let mut client = connect();
    client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    client.write_all(br#"{"id":1,"method":"hello","params":[]}"#).unwrap();
    let mut answer = [0; 256];
    let n = client.read(&mut answer).expect("an answer");
    let answer = String::from_utf8_lossy(&answer[..n]);
    assert!(answer.contains("hello"), "{answer}");
    drop(silent);
    drop(daemon);
}
