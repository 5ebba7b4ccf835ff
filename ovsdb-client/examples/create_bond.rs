//! Adds a bond to a bridge that exists, like `ovs-vsctl --may-exist add-bond`, whoever else writes
//! at the same time.
//!
//! ```text
//! cargo run -p ovsdb-client --example create_bond -- SERVERS BRIDGE BOND MODE MEMBER...
//! ```

use std::process::ExitCode;

use ovsdb_client::{Bridge, Client, ClientError, Interface, OpenVSwitch, Port, Txn, Uuid};

/// What came of it.
#[derive(Clone, Copy)]
enum Found {
    NoBridge,
    Port,
    Room,
}

fn create(
    servers: &str,
    bridge_name: &str,
    bond: &str,
    mode: &str,
    members: &[String],
) -> Result<Found, ClientError> {
    let mut client = Client::connect(servers)?;
    let mut found = Found::NoBridge;
    client.retry(|db| {
        let mut txn = Txn::new();
        let Some(bridge) =
            db.bridges.iter().find(|(_, row)| row.name == bridge_name).map(|(uuid, _)| *uuid)
        else {
            found = Found::NoBridge;
            return txn;
        };
        // Nobody else may add a port meanwhile: it could have this name.
        txn.read(db, bridge, Bridge::COL.ports);
        if db.ports.values().any(|port| port.name == bond) {
            found = Found::Port;
            return Txn::new();
        }
        found = Found::Room;
        let interfaces: Vec<Uuid> = members
            .iter()
            .map(|name| {
                let interface = txn.insert::<Interface>();
                txn.set(interface, Interface::COL.name, name);
                interface
            })
            .collect();
        let port = txn.insert::<Port>();
        txn.set(port, Port::COL.name, &bond.to_owned());
        txn.set(port, Port::COL.interfaces, &interfaces);
        txn.set(port, Port::COL.bond_mode, &Some(mode.to_owned()));
        txn.add(bridge, Bridge::COL.ports, &[port]);
        if let Some(root) = db.open_vswitch.keys().next() {
            // Asks the switch to say when it is done: it copies `next_cfg` to `cur_cfg`.
            txn.increment(*root, OpenVSwitch::COL.next_cfg, 1);
        }
        txn.comment(&format!("create_bond: {bond} on {bridge_name}"));
        txn
    })?;
    Ok(found)
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [servers, bridge, bond, mode, members @ ..] = args.as_slice() else {
        eprintln!("usage: create_bond SERVERS BRIDGE BOND MODE MEMBER MEMBER...");
        return ExitCode::FAILURE;
    };
    if members.len() < 2 {
        eprintln!("create_bond: {} members given, a bond has two or more", members.len());
        return ExitCode::FAILURE;
    }
    match create(servers, bridge, bond, mode, members) {
        Ok(Found::Room) => println!("{bond}: created on {bridge}"),
        Ok(Found::Port) => println!("{bond}: is there already"),
        Ok(Found::NoBridge) => {
            eprintln!("create_bond: no bridge {bridge}");
            return ExitCode::FAILURE;
        }
        Err(error) => {
            eprintln!("create_bond: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
