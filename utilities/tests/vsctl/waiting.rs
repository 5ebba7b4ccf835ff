//! Waiting: for rows, and for the switch.

use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::{Ran, Rig, until};

fn ended(child: Child) -> Ran {
    child.wait_with_output().unwrap().into()
}

#[harness::test]
fn wait_until_waits() {
    let rig = Rig::new();
    let waits = rig
        .spawn("--no-wait -t 20 wait-until port p1 other_config:k=v -- get port p1 other_config:k");
    thread::sleep(Duration::from_millis(200));
    rig.ok("add-br br0 -- add-port br0 p1");
    rig.ok("set port p1 other_config:k=w");
    rig.ok("set port p1 other_config:k=v");
    assert_eq!(ended(waits), Ran { status: 0, out: "v\n".to_owned(), err: String::new() });
}

#[harness::test]
fn time_runs_out() {
    let rig = Rig::new();
    for line in ["--no-wait -t 1 wait-until bridge never", "-t 1 add-br br0"] {
        let begin = Instant::now();
        let ran = rig.ours(line);
        // 128 and the number of SIGALRM.
        assert_eq!(ran.status, 142, "{ran:?}");
        assert!(ran.err.ends_with("|fatal_signal|WARN|terminating with signal 14 (Alarm clock)\n"));
        assert!((800..4000).contains(&begin.elapsed().as_millis()), "{:?}", begin.elapsed());
    }
    let mut limited = rig.command(
        env!("CARGO_BIN_EXE_ovs-vsctl"),
        &["--no-wait".to_owned(), "wait-until".to_owned(), "b".to_owned(), "x".to_owned()],
    );
    let ran: Ran = limited.env("OVS_CTL_TIMEOUT", "1").output().unwrap().into();
    assert_eq!(ran.status, 142);
}

/// Plays the switch: takes up what is asked for, once.
fn take_up(rig: &Rig) {
    until("a change is asked for", || {
        rig.ok("get o . next_cfg cur_cfg").lines().collect::<std::collections::BTreeSet<_>>().len()
            > 1
    });
    let next = rig.ok("get o . next_cfg");
    rig.ok(&format!("set o . cur_cfg={next}"));
}

#[harness::test]
fn the_switch_is_waited_for() {
    let rig = Rig::new();
    let waits = rig.spawn("-t 20 add-br br0");
    until("the bridge is there", || rig.ok("list-br") == "br0\n");
    let mut waits = waits;
    assert!(waits.try_wait().unwrap().is_none());
    rig.ok("set interface br0 ofport=65534");
    take_up(&rig);
    assert_eq!(ended(waits), Ran { status: 0, out: String::new(), err: String::new() });
    // What changes nothing waits for nothing.
    assert_eq!(rig.ours("-t 5 --may-exist add-br br0").status, 0);
    assert_eq!(rig.ours("-t 5 set bridge br0 fail_mode=[]").status, 0);
    assert_eq!(rig.ours("-t 5 list-br").status, 0);
}

#[harness::test]
fn interfaces_that_do_not_work_are_named() {
    let rig = Rig::new();
    rig.ok("add-br br0");
    let waits = rig.spawn("-t 20 add-port br0 p9 -- add-port br0 p8 -- add-port br0 p7");
    until("the ports are there", || rig.ok("list-ports br0") == "p7\np8\np9\n");
    rig.ok("set interface p9 ofport=-1 error='\"could not open\"' -- set interface p7 ofport=3");
    take_up(&rig);
    let ran = ended(waits);
    assert_eq!(ran.status, 65);
    let log = rig.directory.display();
    assert_eq!(
        ran.err,
        format!(
            "ovs-vsctl: Error detected while setting up 'p9': could not open.  See ovs-vswitchd \
             log for details.\n\
             ovs-vsctl: Error detected while setting up 'p8'.  See ovs-vswitchd log for details.\n\
             ovs-vsctl: The default log directory is \"{log}\".\n"
        )
    );
}
