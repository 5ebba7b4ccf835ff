//! Carries out plans, and undoes them.
//!
//! Before each step the commands that undo it are written to a journal. A failure, a signal or an
//! address that does not answer runs the journal backwards; after a crash `--undo` does.

pub mod address;
mod echo;
mod journal;

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::plan::{Plan, words};
use crate::profile::Route;
use address::{Address, State};
use echo::Echo;
use journal::Journal;

/// Answers in a row after which a change stays.
const ANSWERS: u32 = 3;

/// How long the switch has to make an internal port.
const PORT_PATIENCE: Duration = Duration::from_secs(10);

/// Why a change was not made, or was undone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not root.
    #[error("--apply needs root, because it moves devices, addresses and routes")]
    NotRoot,
    /// A bond in a Linux bridge.
    #[error(
        "{0} is a port of the Linux bridge {1}, whose name the new bridge takes: move the ports of \
         {1} by hand as the printed commands say, or choose another name with --bridge"
    )]
    Bridged(String, String),
    /// A plan without commands.
    #[error("{0}: {1}")]
    NoPlan(String, String),
    /// The journal.
    #[error("{}: {}", .0.display(), .1)]
    Journal(PathBuf, io::Error),
    /// An earlier change was not ended.
    #[error("{}: an earlier --apply was interrupted; undo it with --undo first", .0.display())]
    Interrupted(PathBuf),
    /// There is nothing to undo.
    #[error("{}: no --apply was interrupted", .0.display())]
    NothingToUndo(PathBuf),
    /// `ip` cannot tell what is there.
    #[error(transparent)]
    Address(#[from] address::Error),
    /// The check cannot be made.
    #[error("cannot ask {0}: {1}")]
    Echo(IpAddr, io::Error),
    /// The check fails before anything is done.
    #[error(
        "{0} does not answer now, so that it cannot tell whether the change works; nothing was done"
    )]
    Silent(IpAddr),
    /// A step failed; everything was undone.
    #[error("{0}; everything was undone")]
    Undone(String),
    /// A step failed, and so did parts of the undoing.
    #[error("{}; it was undone but for these commands:\n{}", .0, .1.join("\n"))]
    HalfUndone(String, Vec<String>),
}

/// Undoes what a journal holds.
///
/// # Errors
///
/// There is no journal, or a command failed.
pub fn undo(path: &Path) -> Result<(), Error> {
    match journal::undo(path) {
        Ok(failed) if failed.is_empty() => Ok(()),
        Ok(failed) => Err(Error::HalfUndone("undone".into(), failed)),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(Error::NothingToUndo(path.to_owned())),
        Err(e) => Err(Error::Journal(path.to_owned(), e)),
    }
}

/// Carries out the plans. With `check` the address has that long to answer three times in a row.
///
/// # Errors
///
/// Why nothing was done, or why everything was undone.
pub fn apply(
    plans: &[Plan],
    journal: &Path,
    check: Option<(IpAddr, Duration)>,
) -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    for plan in plans {
        if plan.vsctl.is_empty() {
            let why = plan.remarks.last().cloned().unwrap_or_default();
            return Err(Error::NoPlan(plan.bond.name.clone(), why));
        }
        let bridges =
            plan.bond.bridge.iter().chain(plan.bond.vlans.iter().filter_map(|v| v.bridge.as_ref()));
        for bridge in bridges {
            if bridge.name == plan.bridge || plan.bond.bridge.is_none() {
                return Err(Error::Bridged(plan.bond.name.clone(), bridge.name.clone()));
            }
        }
    }
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let _ = signal_hook::flag::register(signal, Arc::clone(&stop));
    }
    // The terminal may hang on the very link that moves: losing it must not end the program half
    // way.
    let _ = signal_hook::flag::register(signal_hook::consts::SIGHUP, Arc::default());
    let mut echo = None;
    if let Some((address, limit)) = check {
        let mut asks = Echo::new(address).map_err(|e| Error::Echo(address, e))?;
        if !(0..3).any(|_| asks.answered(Duration::from_secs(1))) {
            return Err(Error::Silent(address));
        }
        echo = Some((asks, address, limit));
    }
    let mut change = Change { journal: begin(journal)?, stop };
    let made = plans.iter().try_for_each(|plan| change.make(plan)).and_then(|()| match &mut echo {
        Some((asks, address, limit)) => change.confirm(asks, *address, *limit),
        None => Ok(()),
    });
    match made {
        Ok(()) => {
            for plan in plans {
                // The empty Linux bond would claim the name at the next look at the devices.
                let _ = journal::run(&words(&["ip", "link", "del", "dev", &plan.bond.name]));
            }
            change.journal.end().map_err(|e| Error::Journal(journal.to_owned(), e))
        }
        Err(reason) => match journal::undo(journal) {
            Ok(failed) if failed.is_empty() => Err(Error::Undone(reason)),
            Ok(failed) => Err(Error::HalfUndone(reason, failed)),
            Err(e) => Err(Error::Journal(journal.to_owned(), e)),
        },
    }
}

fn begin(path: &Path) -> Result<Journal, Error> {
    Journal::begin(path).map_err(|e| match e.kind() {
        io::ErrorKind::AlreadyExists => Error::Interrupted(path.to_owned()),
        _ => Error::Journal(path.to_owned(), e),
    })
}

/// A change in progress.
struct Change {
    journal: Journal,
    /// A signal asked for the end.
    stop: Arc<AtomicBool>,
}

impl Change {
    /// Writes down how a step is undone, then does it.
    fn step(&mut self, commands: &[Vec<String>], undo: &[Vec<String>]) -> Result<(), String> {
        if self.stop.load(Ordering::Relaxed) {
            return Err("stopped by a signal".to_owned());
        }
        self.journal.add(undo).map_err(|e| format!("the journal: {e}"))?;
        commands.iter().try_for_each(|c| journal::run(c))
    }

    /// Moves one bond.
    fn make(&mut self, plan: &Plan) -> Result<(), String> {
        let bond = &plan.bond;
        let state = |device: &str| State::of(device).map_err(|e| e.to_string());
        // What the host has now counts more than what a file says.
        let mut moves = Vec::new();
        for port in &plan.ports {
            let now = state(&port.from)?;
            let configured = !now.exists;
            moves.push(Move {
                addresses: if configured {
                    let nets = port.network.addresses.iter();
                    nets.map(|net| Address { net: *net, arguments: Vec::new() }).collect()
                } else {
                    now.addresses
                },
                routes: if configured { port.network.routes.clone() } else { now.routes },
                exists: now.exists,
                from: port.from.clone(),
                to: port.name.clone(),
            });
        }
        let before = state(&plan.bridge)?.exists;
        for vlan in &bond.vlans {
            if state(&vlan.name)?.exists {
                self.remove_vlan(bond.name.as_str(), vlan, &moves)?;
            }
        }
        for member in &bond.members {
            if state(&member.name)?.master.as_deref() == Some(&bond.name) {
                let name = &member.name;
                let link = |rest: &[&str]| {
                    let mut command = words(&["ip", "link", "set", "dev", name]);
                    command.extend(words(rest));
                    command
                };
                self.step(
                    &[link(&["nomaster"]), link(&["up"])],
                    &[link(&["down"]), link(&["master", &bond.name]), link(&["up"])],
                )?;
            }
        }
        for m in moves.iter().filter(|m| m.exists && m.from == bond.name) {
            let set = |up: &str| words(&["ip", "link", "set", "dev", &m.from, up]);
            let mut undo = vec![set("up")];
            undo.extend(m.commands(&m.from));
            let flush = words(&["ip", "address", "flush", "dev", &m.from]);
            self.step(&[flush, set("down")], &undo)?;
        }
        let mut vsctl = words(&["ovs-vsctl", "--timeout=20"]);
        vsctl.extend(plan.vsctl.iter().cloned());
        let mut undo = words(&["ovs-vsctl", "--timeout=20", "--if-exists"]);
        if before {
            let port = if bond.members.len() == 1 { &bond.members[0].name } else { &bond.name };
            undo.extend(words(&["del-port", &plan.bridge, port]));
            for vlan in &bond.vlans {
                undo.extend(words(&["--", "--if-exists", "del-port", &plan.bridge, &vlan.name]));
            }
        } else {
            undo.extend(words(&["del-br", &plan.bridge]));
        }
        self.step(&[vsctl], &[undo])?;
        for m in &moves {
            self.wait_for(&m.to)?;
            let mut commands = vec![words(&["ip", "link", "set", "dev", &m.to, "up"])];
            commands.extend(m.commands(&m.to));
            // A bridge that was there before keeps its device.
            let undo = if before { m.removal() } else { Vec::new() };
            self.step(&commands, &undo)?;
        }
        Ok(())
    }

    /// Takes a VLAN device off the bond; the internal port gets its name.
    fn remove_vlan(
        &mut self,
        bond: &str,
        vlan: &crate::bond::Vlan,
        moves: &[Move],
    ) -> Result<(), String> {
        let (name, id) = (&vlan.name, vlan.id.to_string());
        let mut undo = vec![
            words(&["ip", "link", "add", "link", bond, "name", name, "type", "vlan", "id", &id]),
            words(&["ip", "link", "set", "dev", name, "up"]),
        ];
        for m in moves.iter().filter(|m| m.from == *name) {
            undo.extend(m.commands(name));
        }
        self.step(&[words(&["ip", "link", "del", "dev", name])], &undo)
    }

    /// Waits until the switch has made a device.
    fn wait_for(&self, device: &str) -> Result<(), String> {
        let end = Instant::now() + PORT_PATIENCE;
        while !State::of(device).map_err(|e| e.to_string())?.exists {
            if Instant::now() > end {
                return Err(format!("the switch did not make {device}: does ovs-vswitchd run?"));
            }
            thread::sleep(Duration::from_millis(50));
        }
        Ok(())
    }

    /// Waits for three answers in a row.
    fn confirm(&self, echo: &mut Echo, address: IpAddr, limit: Duration) -> Result<(), String> {
        let end = Instant::now() + limit;
        let mut row = 0;
        while Instant::now() < end {
            if self.stop.load(Ordering::Relaxed) {
                return Err("stopped by a signal".to_owned());
            }
            if echo.answered(Duration::from_millis(500)) {
                row += 1;
                if row == ANSWERS {
                    return Ok(());
                }
                thread::sleep(Duration::from_millis(100));
            } else {
                row = 0;
            }
        }
        Err(format!("{address} did not answer within {} s", limit.as_secs()))
    }
}

/// What goes from one device to another.
struct Move {
    from: String,
    to: String,
    /// The device that has the addresses now exists.
    exists: bool,
    addresses: Vec<Address>,
    routes: Vec<Route>,
}

impl Move {
    /// Commands that give a device the addresses and routes.
    fn commands(&self, device: &str) -> Vec<Vec<String>> {
        let addresses = self.addresses.iter().map(|a| {
            let mut command = words(&["ip", "address", "replace", &a.net.to_string()]);
            command.extend(a.arguments.iter().cloned());
            command.extend(words(&["dev", device]));
            command
        });
        let routes = self.routes.iter().map(|r| {
            let mut command = words(if r.is_ipv6() { &["ip", "-6"] } else { &["ip"] });
            command.extend(words(&["route", "replace"]));
            command.extend(r.arguments());
            command.extend(words(&["dev", device]));
            command
        });
        addresses.chain(routes).collect()
    }

    /// Commands that take the addresses away again; the kernel drops the routes with them.
    fn removal(&self) -> Vec<Vec<String>> {
        let command =
            |a: &Address| words(&["ip", "address", "del", &a.net.to_string(), "dev", &self.to]);
        self.addresses.iter().map(command).collect()
    }
}
