//! Against the reference's clustered server: three members on loopback, of which one after the
//! other is killed.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::common::{Driver, SCHEMA, TempDir, installed, quick};
use ovsdb_client::{
    Bridge, Client, Cluster, Interface, LinkError, OpenVSwitch, Options, Port, SessionEvent, Txn,
    TxnError, Unfit, Uuid,
};

struct Members {
    dir: TempDir,
    /// Where clients and where members talk to each.
    client: [u16; 3],
    raft: [u16; 3],
    children: [Option<Child>; 3],
}

fn free_ports() -> [u16; 6] {
    let listeners = [(); 6].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn run(program: &str, args: &[&str]) {
    let output = Command::new(program).args(args).output().unwrap();
    assert!(output.status.success(), "{program} {args:?}: {output:?}");
}

impl Members {
    fn start() -> Members {
        installed();
        let ports = free_ports();
        let [a, b, c, d, e, f] = ports;
        let none = || None;
        let mut members = Members {
            dir: TempDir::new(),
            client: [a, b, c],
            raft: [d, e, f],
            children: [(); 3].map(|()| none()),
        };
        let raft = members.raft.map(|port| format!("tcp:127.0.0.1:{port}"));
        let file = |at| members.file(at).display().to_string();
        run("ovsdb-tool", &["create-cluster", &file(0), SCHEMA, &raft[0]]);
        for at in [1, 2] {
            let name = "Open_vSwitch";
            run("ovsdb-tool", &["join-cluster", &file(at), name, &raft[at], &raft[0]]);
        }
        for at in 0..3 {
            members.run(at);
        }
        for at in 0..3 {
            members.until(at, "joined", |text| text.contains("Status: cluster member"));
        }
        members
    }

    fn file(&self, at: usize) -> PathBuf {
        self.dir.0.join(format!("{at}.db"))
    }

    fn control(&self, at: usize) -> PathBuf {
        self.dir.0.join(format!("{at}.ctl"))
    }

    fn run(&mut self, at: usize) {
        let child = Command::new("ovsdb-server")
            .arg(format!("--remote=ptcp:{}:127.0.0.1", self.client[at]))
            .arg(format!("--unixctl={}", self.control(at).display()))
            .args(["--no-chdir", "-vconsole:off"])
            .arg(self.file(at))
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        self.children[at] = Some(child);
    }

    fn kill(&mut self, at: usize) {
        if let Some(mut child) = self.children[at].take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn status(&self, at: usize) -> String {
        let output = Command::new("ovs-appctl")
            .arg("-t")
            .arg(self.control(at))
            .args(["-T", "5", "cluster/status", "Open_vSwitch"])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn until(&self, at: usize, what: &str, holds: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let status = self.status(at);
            if holds(&status) {
                return;
            }
            assert!(Instant::now() < deadline, "member {at} is not {what}: {status}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn remotes(&self) -> String {
        self.client.map(|port| format!("tcp:127.0.0.1:{port}")).join(",")
    }

    /// Which member a session talks to.
    fn of(&self, driver: &Driver) -> usize {
        let text = driver.session.remote().to_string();
        let port = |port: &u16| text.ends_with(&format!(":{port}"));
        self.client.iter().position(port).unwrap()
    }
}

impl Drop for Members {
    fn drop(&mut self) {
        (0..3).for_each(|at| self.kill(at));
    }
}

/// A bridge of this name, unless there is one.
fn want_bridge(driver: &mut Driver, name: &'static str) {
    let id = driver.session.retry(move |db| {
        let mut txn = Txn::new();
        if db.bridges.values().any(|bridge| bridge.name == name) {
            return txn;
        }
        let root = match db.open_vswitch.keys().next() {
            Some(root) => *root,
            None => txn.insert::<OpenVSwitch>(),
        };
        txn.read(db, root, OpenVSwitch::COL.bridges);
        let interface = txn.insert::<Interface>();
        txn.set(interface, Interface::COL.name, &name.to_owned());
        let port = txn.insert::<Port>();
        txn.set(port, Port::COL.name, &name.to_owned());
        txn.set(port, Port::COL.interfaces, &vec![interface]);
        let bridge = txn.insert::<Bridge>();
        txn.set(bridge, Bridge::COL.name, &name.to_owned());
        txn.set(bridge, Bridge::COL.ports, &vec![port]);
        txn.add(root, OpenVSwitch::COL.bridges, &[bridge]);
        txn
    });
    driver.until("the transaction", |driver| {
        driver.seen.iter().any(|event| match event {
            SessionEvent::TxnReply(of, result) if *of == id => {
                assert!(result.is_ok(), "{result:?}");
                true
            }
            _ => false,
        })
    });
}

fn driver_ends(driver: &Driver) -> usize {
    driver.count(|event| matches!(event, SessionEvent::Disconnected { .. }))
}

fn bridges(tables: &ovsdb_client::Tables) -> Vec<(Uuid, String)> {
    tables.bridges.iter().map(|(uuid, bridge)| (*uuid, bridge.name.clone())).collect()
}

#[harness::test]
fn session_follows_the_leader_after_leaders_were_killed() {
    let mut members = Members::start();
    let mut driver = Driver::new(&members.remotes(), quick());
    driver.until("the leader", |driver| driver.session.is_following());
    for (round, name) in ["br0", "br1", "br2", "br3"].into_iter().enumerate() {
        want_bridge(&mut driver, name);
        let leader = members.of(&driver);
        assert!(members.status(leader).contains("Role: leader"), "{}", members.status(leader));
        driver.session.take_changes();
        let (before, seen) = (driver.session.resumed(), driver.seen.len());
        let began = Instant::now();
        members.kill(leader);
        driver.until("the end of the connection", |driver| !driver.session.is_following());
        assert_eq!(driver.session.db().bridges.len(), round + 1, "the replica stays");
        driver.until("the next leader", |driver| driver.session.is_following());
        println!("round {round}: {} ms to the next leader", began.elapsed().as_millis());
        assert_ne!(members.of(&driver), leader);
        assert_eq!(
            driver.session.resumed(),
            before + 1,
            "fetched whole: {:?}",
            &driver.seen[seen..]
        );
        assert!(driver.session.take_changes().is_empty(), "nothing was new");
        // What the new leader has, asked for by another connection.
        let mut client = Client::connect(&driver.session.remote().to_string()).unwrap();
        assert_eq!(bridges(driver.session.db()), bridges(&client.snapshot().unwrap().db));
        members.run(leader);
        members.until(leader, "back", |text| {
            text.contains("Role: follower") && !text.contains("Leader: unknown")
        });
    }
    assert_eq!(driver.session.db().bridges.len(), 4);
    let unfit = |event: &SessionEvent| {
        matches!(
            event,
            SessionEvent::Disconnected { reason: LinkError::Unfit(Unfit::NotLeader), .. }
        )
    };
    assert!(driver.count(unfit) > 0, "followers were never tried");
}

#[harness::test]
fn session_stays_with_followers_only_if_the_option_allows_it() {
    let members = Members::start();
    let follower = (0..3).find(|at| members.status(*at).contains("Role: follower")).unwrap();
    let remote = format!("tcp:127.0.0.1:{}", members.client[follower]);

    let mut strict = Driver::new(&remote, quick());
    strict.until("two attempts", |driver| driver_ends(driver) == 2);
    assert!(!strict.session.has_data());

    let mut easy = Driver::new(&remote, Options { cluster: Cluster::Member, ..quick() });
    easy.until("contents", |driver| driver.session.has_data());
    want_bridge(&mut easy, "br0");
    let mut client = Client::connect(&remote).unwrap();
    assert_eq!(client.snapshot().unwrap().db.bridges.len(), 1);

    // A leader that hands its leadership over is left, though it lives.
    let mut all = Driver::new(&members.remotes(), quick());
    all.until("the leader", |driver| driver.session.is_following());
    let leader = members.of(&all);
    let (left, before) = (members.control(leader), driver_ends(&all));
    run("ovs-appctl", &["-t", &left.display().to_string(), "cluster/leave", "Open_vSwitch"]);
    all.until("the next leader", |driver| {
        driver_ends(driver) > before && driver.session.is_following()
    });
    assert_ne!(members.of(&all), leader);
    assert_eq!(all.session.db().bridges.len(), 1);
}

#[harness::test]
fn retry_runs_again_after_a_conflicting_write() {
    let members = Members::start();
    let mut drivers = [(); 3].map(|()| {
        let options = Options { cluster: Cluster::Member, ..quick() };
        Driver::new(&members.remotes(), Options { shuffle: Some(7), ..options })
    });
    for driver in &mut drivers {
        driver.until("contents", |driver| driver.session.has_data());
    }
    want_bridge(&mut drivers[0], "br0");
    for driver in &mut drivers {
        driver.until("br0", |driver| !driver.session.db().bridges.is_empty());
    }
    // Each adds 1 to what it reads, ten times, all at the same time.
    let mut wanted = Vec::new();
    for driver in &mut drivers {
        let ids: Vec<_> = (0..10)
            .map(|_| {
                driver.session.retry(|db| {
                    let mut txn = Txn::new();
                    let root = *db.open_vswitch.keys().next().unwrap();
                    let old = *txn.read(db, root, OpenVSwitch::COL.next_cfg).unwrap();
                    txn.set(root, OpenVSwitch::COL.next_cfg, &(old + 1));
                    txn
                })
            })
            .collect();
        wanted.push(ids);
    }
    let done = |driver: &Driver, ids: &[_]| {
        let is_done = |event: &&SessionEvent| match event {
            SessionEvent::TxnReply(id, result) if ids.contains(id) => {
                assert!(result.is_ok(), "{result:?}");
                true
            }
            _ => false,
        };
        driver.seen.iter().filter(is_done).count()
    };
    let deadline = Instant::now() + Duration::from_secs(30);
    while drivers.iter().zip(&wanted).any(|(driver, ids)| done(driver, ids) < 10) {
        assert!(Instant::now() < deadline, "not done");
        drivers.iter_mut().for_each(|driver| driver.step(Duration::from_millis(2)));
    }
    drivers[0].until("the sum", |driver| {
        driver.session.db().open_vswitch.values().next().unwrap().next_cfg == 30
    });
    // Without a second try, the loser hears why.
    let root = *drivers[0].session.db().open_vswitch.keys().next().unwrap();
    let mut txn = Txn::new();
    txn.verify(root, OpenVSwitch::COL.next_cfg, &7);
    let id = drivers[0].session.transact(&txn);
    drivers[0].until("the refusal", |driver| {
        driver.seen.iter().any(|event| match event {
            SessionEvent::TxnReply(of, Err(error)) if *of == id => {
                assert!(matches!(error, TxnError::Operation { .. }) && error.is_transient());
                true
            }
            _ => false,
        })
    });
}
