//! Prints every bond of a switch, and again whenever one changes, through restarts of the
//! database and changes of a cluster's leader.
//!
//! ```text
//! cargo run -p ovsdb-client --example watch_bonds -- [SERVERS]
//! ```

use std::collections::BTreeMap;
use std::time::Instant;

use ovsdb_client::{Db, Options, Session, SessionEvent, Table};

/// One line for each port of two interfaces or more, by name.
fn bonds(db: &Db) -> BTreeMap<String, String> {
    let bonds = db.ports.values().filter(|port| port.interfaces.len() > 1);
    let line = |port: &ovsdb_client::Port| {
        let mut members: Vec<String> = port
            .interfaces
            .iter()
            .filter_map(|uuid| db.interfaces.get(uuid))
            .map(|member| {
                format!("{} {}", member.name, member.link_state.as_deref().unwrap_or("unknown"))
            })
            .collect();
        // They are listed by UUID, which means nothing.
        members.sort();
        format!(
            "{}: {}, LACP {}, active {}, members: {}",
            port.name,
            port.bond_mode.as_deref().unwrap_or("active-backup"),
            port.lacp.as_deref().unwrap_or("off"),
            port.bond_active_slave.as_deref().unwrap_or("none"),
            members.join(", ")
        )
    };
    bonds.map(|port| (port.name.clone(), line(port))).collect()
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let servers = std::env::args().nth(1);
    let servers = servers.as_deref().unwrap_or("unix:/run/openvswitch/db.sock");
    // Only what is looked at is fetched.
    let options = Options { tables: vec![Table::Port, Table::Interface], ..Options::default() };
    let mut session = Session::new(servers.parse()?, options);

    let mut poll = mio::Poll::new()?;
    let mut events = mio::Events::with_capacity(16);
    session.register(poll.registry(), mio::Token(0))?;
    let start = Instant::now();
    let mut known = BTreeMap::new();
    loop {
        session.run(start.elapsed());
        while let Some(event) = session.poll_event() {
            match event {
                SessionEvent::ConnectFailed { reason, .. }
                | SessionEvent::Disconnected { reason, .. } => {
                    eprintln!("{}: {reason}", session.remote());
                }
                SessionEvent::BadValue(bad) => eprintln!("{bad}"),
                _ => {}
            }
        }
        if session.has_data() && !session.take_changes().is_empty() {
            let now = bonds(session.db());
            for (name, line) in &now {
                if known.get(name) != Some(line) {
                    println!("{line}");
                }
            }
            for name in known.keys().filter(|name| !now.contains_key(*name)) {
                println!("{name}: gone");
            }
            known = now;
        }
        let wait = session.next_deadline().map(|at| at.saturating_sub(start.elapsed()));
        match poll.poll(&mut events, wait) {
            Err(error) if error.kind() != std::io::ErrorKind::Interrupted => Err(error)?,
            Ok(()) | Err(_) => events.iter().for_each(|event| session.on_event(event)),
        }
    }
}
