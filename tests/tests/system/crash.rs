//! A daemon under `--monitor` whose thread dies: it comes back and forwards.

use std::fs;
use std::process::Stdio;

use tests::Rig;
use tests::rig::talk;

/// Ends a detached daemon and its monitor, whatever becomes of the test.
struct Monitored {
    monitor: i32,
}

impl Drop for Monitored {
    fn drop(&mut self) {
        let children = format!("/proc/{0}/task/{0}/children", self.monitor);
        let children = fs::read_to_string(children).unwrap_or_default();
        let pids = children.split_whitespace().filter_map(|pid| pid.parse().ok());
        for pid in std::iter::once(self.monitor).chain(pids) {
            // SAFETY: sends a signal to processes that this test has started.
            unsafe { libc::kill(pid, libc::SIGKILL) };
        }
    }
}

/// The parent of a process, by proc_pid_stat(5).
fn parent(pid: i32) -> i32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(") ").next().unwrap().split(' ').nth(1).unwrap().parse().unwrap()
}

/// Sends a signal to one thread of a process, found by its name.
fn kill_thread(pid: i32, name: &str, signal: libc::c_int) {
    let tasks = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let named = |task: &fs::DirEntry| {
        fs::read_to_string(task.path().join("comm")).is_ok_and(|comm| comm.trim() == name)
    };
    let task = tasks.flatten().find(named).unwrap_or_else(|| panic!("no thread {name}"));
    let tid: i32 = task.file_name().to_str().unwrap().parse().unwrap();
    // SAFETY: takes numbers only.
    let r = unsafe { libc::syscall(libc::SYS_tgkill, pid, tid, signal) };
    assert_eq!(r, 0, "tgkill: {}", std::io::Error::last_os_error());
}

/// `SIGABRT` in a thread is how its panic ends the process (`runtime::panic`).
#[harness::test]
fn a_thread_that_dies_is_followed_by_a_daemon_that_forwards() {
    let mut rig = Rig::new(2);
    rig.bond("");
    let (_fabric, traffic) = rig.traffic(vec![talk(1, 40_000)], 500, false);
    rig.await_calm(&traffic);

    rig.switch.stop_vswitchd();
    let pidfile = rig.switch.path("ovs-vswitchd.pid");
    let pid = || fs::read_to_string(&pidfile).ok()?.trim().parse::<i32>().ok();
    let program = rig.switch.daemon().path().display().to_string();
    let mut command = rig.switch.command(&program);
    command.args(["--detach", "--monitor", "--no-chdir", "-vconsole:off"]);
    command.arg(format!("--pidfile={}", pidfile.display()));
    command.arg(format!("--log-file={}", rig.switch.path("ovs-vswitchd.log").display()));
    command.arg(rig.switch.database());
    // No pipes: a sanitizer's symbolizer, which the daemon starts, would keep them open.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(command.status().unwrap().success(), "{}", rig.switch.log());
    let first = pid().expect("the pidfile of the daemon that is ready");
    let _monitored = Monitored { monitor: parent(first) };
    rig.await_calm(&traffic);

    // Open vSwitch has other threads.
    let thread = if rig.switch.daemon().is_ours() { "datapath1" } else { "ovs-vswitchd" };
    kill_thread(first, thread, libc::SIGABRT);
    rig.wait("another daemon", || pid().is_some_and(|p| p != first));
    rig.await_calm(&traffic);
    let line = format!("1 crashes: pid {first} died, killed (");
    assert!(rig.switch.log().contains(&line), "{}", rig.switch.log());
}
