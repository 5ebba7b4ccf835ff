//! A panic in one of the switch's threads ends the process with its reason in the log, because a
//! switch without that thread answers and does not forward. The process is this program again.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::{Duration, Instant};

use config::DummyPolicy;
use connmgr::OpenFlowOptions;
use mio::Poll;
use ovsdb_server::net::{EmbeddedServer, Embedding};
use vswitchd::clock::Clock;
use vswitchd::identity::Identity;
use vswitchd::reactor::{self, Daemon, Setup};

/// Names the thread that is to panic, in the process that panics.
const ROLE: &str = "BRAID_TEST_PANIC";

/// Starts all threads and makes one of them panic; returns if the process outlives that.
fn panic_in(thread: &'static str) {
    runtime::log::init("ovs-vswitchd");
    runtime::panic::install_hook();
    let poll = Poll::new().unwrap();
    let waker = reactor::waker(&poll).unwrap();
    let clock = Clock::new();
    let setup = Setup {
        remotes: "unix:/nonexistent/db.sock".parse().unwrap(),
        tls: tls::Settings::default(),
        embedded: false,
        dummy: DummyPolicy::Off,
        clock: clock.clone(),
        openflow: OpenFlowOptions {
            rundir: "/nonexistent".into(),
            version: "test".to_owned(),
            tls: tls::Settings::default(),
            unconfined: false,
            log_module: vswitchd::modules::by_name,
        },
        version: "test".to_owned(),
        identity: Identity::default(),
    };
    let daemon = Daemon::start(setup, &poll, waker).unwrap();
    match thread {
        "datapath1" => daemon.context.datapath.run(Box::new(|| panic!("on purpose"))),
        "revalidator1" => {
            daemon.context.revalidator.run(|_| panic!("on purpose"));
        }
        // Threads say to the clock's driver that they have kept up with a warp.
        "links" => {
            // It takes part in a warp from its first turn on.
            assert!(daemon.context.links.sync());
            clock.set_driver(Arc::new(|| {
                if std::thread::current().name() == Some("links") {
                    panic!("on purpose")
                }
            }));
            clock.stop();
            clock.start_warp(Duration::from_secs(1), None).unwrap();
        }
        other => unreachable!("{other}"),
    }
    std::thread::sleep(Duration::from_secs(30));
}

/// Makes the thread of an embedded database panic, and starts it again.
fn panic_in_the_database() {
    runtime::log::init("ovs-vswitchd");
    runtime::panic::install_hook();
    let first = EmbeddedServer::start(Embedding::default()).unwrap();
    first.ask(Box::new(|_| panic!("on purpose")));
    let begun = Instant::now();
    while first.is_running() {
        assert!(begun.elapsed() < Duration::from_secs(20));
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(first);
    let second = EmbeddedServer::start(Embedding::default()).unwrap();
    assert!(second.is_running());
}

fn process(test: &str, thread: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture"])
        .env(ROLE, thread)
        .output()
        .unwrap()
}

#[test]
fn each_thread() {
    const THREADS: [&str; 3] = ["datapath1", "revalidator1", "links"];
    if let Ok(role) = std::env::var(ROLE) {
        return panic_in(THREADS.into_iter().find(|t| *t == role).unwrap());
    }
    for thread in THREADS {
        let out = process("each_thread", thread);
        assert_eq!(out.status.signal(), Some(libc::SIGABRT), "{thread}: {out:?}");
        let log = String::from_utf8_lossy(&out.stderr);
        let line = format!("|panic({thread})|EMER|panicked at");
        assert!(log.contains(&line) && log.contains("on purpose"), "{thread}: {log}");
    }
}

/// Main starts it again (`embedded::Embedded::tend`): the switch need not stop for it.
#[test]
fn the_database_s_thread_is_the_exception() {
    if std::env::var(ROLE).is_ok() {
        return panic_in_the_database();
    }
    let out = process("the_database_s_thread_is_the_exception", "ovsdb");
    let log = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && log.contains("|panic(ovsdb)|EMER|"), "{out:?}");
}
