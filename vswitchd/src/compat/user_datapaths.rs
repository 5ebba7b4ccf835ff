//! Datapaths that `dpctl/add-dp` creates. No bridge uses them; their ports are dummy devices, and
//! each has a packet thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use datapath::{Datapath, Packet, PortNo, SlowPath, ToController, Translation, Upcall, Userspace};
use netdev::io::dummy;
use parking_lot::Mutex;
use wire::{FlowKey, FlowMask, Time};

use crate::clock::Clock;
use crate::commands::View;

/// The datapaths, by type and name, such as `dummy@br0`.
#[derive(Clone, Default)]
pub struct UserDatapaths {
    /// Dummy devices are allowed.
    enabled: bool,
    all: Arc<Mutex<BTreeMap<String, UserDatapath>>>,
}

/// One datapath.
#[derive(Clone)]
pub struct UserDatapath {
    /// The datapath.
    pub datapath: Arc<Userspace>,
    /// Its ports.
    pub view: Arc<Mutex<View>>,
}

/// Drops packets that match no flow: there is no bridge to translate them.
struct DropUpcall;

impl Upcall for DropUpcall {
    fn miss(&self, _: Time, _: &Packet, _: &FlowKey) -> Translation {
        let actions: [datapath::Action; 0] = [];
        let mask = FlowMask::default();
        Translation { actions: actions.into(), mask, install: false, notes: None }
    }

    fn slow_path(&self, _: Time, _: SlowPath<'_>) {}

    fn to_controller(&self, _: Time, _: &ToController, _: &Packet, _: &FlowKey) {}
}

impl UserDatapaths {
    /// `enabled`: dummy devices are allowed (`--enable-dummy`).
    pub fn new(enabled: bool) -> UserDatapaths {
        UserDatapaths { enabled, all: Arc::default() }
    }

    /// Names, sorted.
    pub fn names(&self) -> Vec<String> {
        self.all.lock().keys().cloned().collect()
    }

    /// The datapath of that name.
    pub fn get(&self, name: &str) -> Option<UserDatapath> {
        self.all.lock().get(name).cloned()
    }

    /// Creates a datapath with a local port.
    ///
    /// # Errors
    ///
    /// The reason, in the system's words.
    pub(super) fn add(&self, name: &str, clock: Clock) -> Result<(), String> {
        let local = match name.split_once('@') {
            Some(("dummy", local)) if self.enabled && !local.is_empty() => local,
            _ => return Err("Address family not supported by protocol".to_owned()),
        };
        // No seed: a sender that aims at one slot of the caches needs a real device.
        let (datapath, worker) =
            Userspace::new(Arc::new(DropUpcall), Arc::new(move || clock.now()), 0)
                .map_err(posix::text)?;
        std::thread::Builder::new()
            .name("user_datapath".to_owned())
            .spawn(|| worker.run())
            .map_err(posix::text)?;
        let new = UserDatapath { datapath: Arc::new(datapath), view: Arc::default() };
        new.add(local, "dummy-internal", Some(PortNo(0)))?;
        self.all.lock().insert(name.to_owned(), new);
        Ok(())
    }

    /// Deletes a datapath; false if there is none of that name.
    pub(super) fn remove(&self, name: &str) -> bool {
        self.all.lock().remove(name).is_some()
    }

    /// `dpctl/del-if`: takes ports out.
    ///
    /// # Errors
    ///
    /// Names each port that is not there or is the datapath's own. `None`: no such datapath.
    pub fn remove_ports(&self, name: &str, ports: &[String]) -> Option<Result<(), String>> {
        let found = self.all.lock().get(name)?.clone();
        let mut errors = String::new();
        for port in ports {
            let number = found.number(port).or_else(|| port.parse().ok().map(PortNo));
            let failed = |why: &str| {
                format!("ovs-vswitchd: deleting port {port} from {name} failed ({why})\n")
            };
            match number {
                None => errors += &format!("ovs-vswitchd: no port named {port}\n"),
                Some(PortNo(0)) => errors += &failed("Invalid argument"),
                Some(number) => {
                    if found.datapath.port_del(number).is_err() {
                        errors += &failed("No such device");
                    }
                    found.view.lock().ports.remove(&number);
                }
            }
        }
        Some(if errors.is_empty() { Ok(()) } else { Err(errors) })
    }
}

impl UserDatapath {
    /// The number of a port.
    pub(super) fn number(&self, port: &str) -> Option<PortNo> {
        self.view.lock().ports.iter().find(|(_, (n, _))| n == port).map(|(number, _)| *number)
    }

    /// Adds a dummy device; the reason when it cannot.
    pub(super) fn add(&self, name: &str, kind: &str, wanted: Option<PortNo>) -> Result<(), String> {
        if self.number(name).is_some() {
            return Err("File exists".to_owned());
        }
        let (_, io) = dummy::create(name).map_err(|e| e.to_string())?;
        let number =
            self.datapath.port_add(name, io, wanted).map_err(|_| "Device or resource busy")?;
        if wanted.is_some_and(|w| w != number) {
            // The number is taken, and it was given another one.
            let _ = self.datapath.port_del(number);
            return Err("Device or resource busy".to_owned());
        }
        self.view.lock().ports.insert(number, (name.to_owned(), kind.to_owned()));
        Ok(())
    }
}
