//! The database in the daemon: what it may not cost.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use testbed::carrier::Watch;
use testbed::{Ovsdb, process};
use tests::Rig;
use tests::rig::talk;

const ROWS: usize = 20_000;
const MS: Duration = Duration::from_millis(1);

/// Starts a transaction that inserts many rows, and gives its results when they are there.
fn insert_rows(mut db: UnixStream) -> std::thread::JoinHandle<(String, Duration)> {
    let row = |i: usize| {
        format!(
            r#",{{"op":"insert","table":"Queue","row":{{"dscp":{},"external_ids":["map",[["number","{i}"],["made-by","a test of many rows"]]]}}}}"#,
            i % 64
        )
    };
    let rows: String = (0..ROWS).map(row).collect();
    let request = format!(r#"{{"id":7,"method":"transact","params":["Open_vSwitch"{rows}]}}"#);
    std::thread::spawn(move || {
        let begun = Instant::now();
        db.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        db.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        let mut buffer = [0; 1 << 16];
        // Each row's answer ends with a brace too, and so may what one read gives.
        while !answer.ends_with("}]}") || !answer.contains("\"id\":7") {
            let n = db.read(&mut buffer).unwrap();
            assert!(n > 0, "the server has closed the connection");
            answer += std::str::from_utf8(&buffer[..n]).unwrap();
        }
        (answer, begun.elapsed())
    })
}

/// While the database works on 20,000 rows, a link dies: traffic moves as it always does, and a
/// partner that has to be heard three times in three seconds is heard.
#[harness::test]
fn a_big_transaction_delays_neither_links_nor_packets() {
    tests::ours_only("a database in the daemon");
    let rig = Rig::on(3, tests::daemon(), Ovsdb::Embedded, &[]);
    // 64 conversations, so that each link has some.
    let talks = (0..64).map(|i| talk(1, 40_000 + i)).collect();
    let (fabric, traffic) = rig.traffic(talks, 1000, true);
    rig.bond("bond_mode=balance-tcp lacp=active other_config:lacp-time=fast");
    rig.await_calm(&traffic);

    let start = Instant::now();
    let watch = Watch::new(&rig.hv, start).unwrap();
    let at = traffic.now();
    let db = UnixStream::connect(rig.switch.path("db.sock")).unwrap();
    let rows = insert_rows(db);
    std::thread::sleep(5 * MS);
    let cut = traffic.now();
    let cut_by_watch = start.elapsed();
    fabric.set_link(0, false).unwrap();
    let (answer, took) = rows.join().unwrap();
    assert_eq!(answer.matches("{\"uuid\":").count(), ROWS, "{}", &answer[..300]);
    rig.await_member(0, false);
    rig.await_calm(&traffic);

    // The kernel's own delay, on a machine that runs other tests, is not the daemon's.
    let told = watch.news().into_iter().find(|c| c.link == "nic0" && !c.up).map(|c| c.at);
    let late = told.expect("the kernel tells of the carrier").saturating_sub(cut_by_watch);

    let end = traffic.now() - 150 * MS;
    for (way, ledger) in [("up", &traffic.up), ("down", &traffic.down)] {
        let early = ledger.stretch(at, cut.saturating_sub(10 * MS));
        assert_eq!(early.lost, 0, "{way}: lost before the link was cut");
        let s = ledger.stretch(at, end);
        let gap = s.gap.unwrap_or_default();
        eprintln!(
            "{way}: {} lost of {}, gap {gap:?}; {ROWS} rows in {took:?}, news after {late:?}",
            s.lost, s.sent
        );
        // A link of three: what was on its way, and no more than without the database.
        let limit = 100 + late.as_millis() as u64;
        assert!(s.lost <= limit && gap < 300 * MS + late, "{way}: {} lost in {gap:?}", s.lost);
    }
    // Longer than LACP's short time-out.
    std::thread::sleep(3500 * MS);
    assert_eq!(rig.enabled(), 2);
    let log = rig.switch.log();
    for nic in ["nic1", "nic2"] {
        assert!(!log.contains(&format!("member {nic}: disabled")), "{log}");
    }
    rig.assert_no_panic();
}

/// Commands for the database's server are answered on the daemon's control socket.
#[harness::test]
fn its_commands_and_its_file() {
    tests::ours_only("a database in the daemon");
    let mut rig = Rig::on(2, tests::daemon(), Ovsdb::Embedded, &[]);
    rig.bond("");
    assert_eq!(rig.appctl("ovsdb-server/list-dbs").trim(), "Open_vSwitch\n_Server");
    // Where scripts look for those of a server of its own, too.
    let own = |words: &str| {
        let mut command = rig.switch.command("ovs-appctl");
        command.args(["--timeout=20", "-t", "ovsdb-server"]).args(words.split(' '));
        process::output(&mut command, Duration::from_secs(25))
    };
    rig.wait("the pidfile", || rig.switch.path("ovsdb-server.pid").exists());
    assert!(own("ovsdb-server/list-remotes").unwrap().contains("db.sock"));
    assert!(own("memory/show").unwrap().contains("sessions:"));
    let refused = own("exit").unwrap_err().to_string();
    assert!(refused.contains("served by ovs-vswitchd"), "{refused}");
    let size = |rig: &Rig| std::fs::metadata(rig.switch.path("conf.db")).unwrap().len();
    for delay in 1..200 {
        rig.vsctl(&format!("--no-wait set port bond0 bond_updelay={delay}"));
    }
    let before = size(&rig);
    rig.appctl("ovsdb-server/compact");
    assert!(size(&rig) < before, "{} {before}", size(&rig));
    // A crash: what was acknowledged is there.
    rig.vsctl("--no-wait set port bond0 bond_updelay=0 bond_downdelay=77");
    rig.switch.kill_vswitchd();
    rig.switch.start_vswitchd().unwrap();
    rig.wait("the bond", || {
        rig.switch.appctl("bond/show bond0").is_ok_and(|t| t.contains("downdelay: 77 ms"))
    });
    rig.assert_no_panic();
}
