//! Datapaths made by hand (`dpctl/add-dp`), which no bridge uses: dummies only, each with a packet
//! thread of its own.

use std::collections::BTreeMap;
use std::sync::Arc;

use datapath::{Datapath, Packet, PortNo, SlowPath, ToController, Translation, Upcall, Userspace};
use netdev::io::dummy;
use parking_lot::Mutex;
use wire::{FlowKey, FlowMask, Time};

use super::{Answer, Call, Context, View};

/// The datapaths, by type and name: `dummy@br0`.
#[derive(Clone, Default)]
pub struct Spares {
    /// Whether dummies may be made (`--enable-dummy`).
    enabled: bool,
    all: Arc<Mutex<BTreeMap<String, Spare>>>,
}

#[derive(Clone)]
struct Spare {
    datapath: Arc<Userspace>,
    view: Arc<Mutex<View>>,
}

/// Nobody translates: what matches no flow is dropped.
struct Nobody;

impl Upcall for Nobody {
    fn miss(&self, _: Time, _: &Packet, _: &FlowKey) -> Translation {
        let actions: [datapath::Action; 0] = [];
        let mask = FlowMask::default();
        Translation { actions: actions.into(), mask, install: false, notes: None }
    }

    fn slow_path(&self, _: Time, _: SlowPath<'_>) {}

    fn to_controller(&self, _: Time, _: &ToController, _: &Packet, _: &FlowKey) {}
}

impl Spares {
    pub fn new(enabled: bool) -> Spares {
        Spares { enabled, all: Arc::default() }
    }

    pub fn names(&self) -> Vec<String> {
        self.all.lock().keys().cloned().collect()
    }

    /// What commands ask, of this datapath instead of the switch's own.
    pub fn context(&self, c: &Context, name: &str) -> Option<Context> {
        let spare = self.all.lock().get(name)?.clone();
        Some(Context { datapath: spare.datapath, view: spare.view, ..c.clone() })
    }

    /// `dpctl/del-if`: takes ports out.
    ///
    /// # Errors
    ///
    /// Names each port that is not there or is the datapath's own. `None`: no such datapath.
    pub fn remove_ports(&self, name: &str, ports: &[String]) -> Option<Result<(), String>> {
        let spare = self.all.lock().get(name)?.clone();
        let mut errors = String::new();
        for port in ports {
            let number = spare.number(port).or_else(|| port.parse().ok().map(PortNo));
            let failed = |why: &str| {
                format!("ovs-vswitchd: deleting port {port} from {name} failed ({why})\n")
            };
            match number {
                None => errors += &format!("ovs-vswitchd: no port named {port}\n"),
                Some(PortNo(0)) => errors += &failed("Invalid argument"),
                Some(number) => {
                    if spare.datapath.port_del(number).is_err() {
                        errors += &failed("No such device");
                    }
                    spare.view.lock().ports.remove(&number);
                }
            }
        }
        Some(if errors.is_empty() { Ok(()) } else { Err(errors) })
    }
}

impl Spare {
    fn number(&self, port: &str) -> Option<PortNo> {
        self.view.lock().ports.iter().find(|(_, (n, _))| n == port).map(|(number, _)| *number)
    }

    /// Adds a dummy device; the reason when it cannot.
    fn add(&self, name: &str, kind: &str, wanted: Option<PortNo>) -> Result<(), String> {
        if self.number(name).is_some() {
            return Err("File exists".to_owned());
        }
        let (_, io) = dummy::create(name).map_err(|e| e.to_string())?;
        let number =
            self.datapath.port_add(name, io, wanted).map_err(|_| "Device or resource busy")?;
        if wanted.is_some_and(|w| w != number) {
            // It was given another, which nobody asked for.
            let _ = self.datapath.port_del(number);
            return Err("Device or resource busy".to_owned());
        }
        self.view.lock().ports.insert(number, (name.to_owned(), kind.to_owned()));
        Ok(())
    }
}

fn open(c: &Context, name: &str) -> Result<Spare, String> {
    let found = c.spares.all.lock().get(name).cloned();
    found.ok_or_else(|| "ovs-vswitchd: opening datapath (No such device)\n".to_owned())
}

pub fn add_dp(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let name = call.arg(0).unwrap_or_default();
    let failed = |why: &str| format!("ovs-vswitchd: add_dp ({why})\n");
    if super::datapath::datapaths(c).iter().any(|d| d == name) {
        return Err(failed("File exists"));
    }
    let local = match name.split_once('@') {
        Some(("dummy", local)) if c.spares.enabled && !local.is_empty() => local,
        _ => return Err(failed("Address family not supported by protocol")),
    };
    let clock = c.clock.clone();
    // The seed keeps senders from aiming at one slot of the caches: here nobody sends.
    let (datapath, worker) = Userspace::new(Arc::new(Nobody), Arc::new(move || clock.now()), 0)
        .map_err(|e| failed(&posix::text(e)))?;
    std::thread::Builder::new()
        .name("spare".to_owned())
        .spawn(|| worker.run())
        .map_err(|e| failed(&posix::text(e)))?;
    let spare = Spare { datapath: Arc::new(datapath), view: Arc::default() };
    spare.add(local, "dummy-internal", Some(PortNo(0))).map_err(|e| failed(&e))?;
    c.spares.all.lock().insert(name.to_owned(), spare);
    if call.args.len() > 1 { add_if(c, call) } else { Answer::text("") }
}

pub fn del_dp(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let name = call.arg(0).unwrap_or_default();
    if c.spares.all.lock().remove(name).is_none() {
        let used = super::datapath::datapaths(c).iter().any(|d| d == name);
        let why = if used {
            "del_dp (Device or resource busy)"
        } else {
            "opening datapath (No such device)"
        };
        return Err(format!("ovs-vswitchd: {why}\n"));
    }
    Answer::text("")
}

/// A port's name and its options, `name,key=value,..`.
fn options(arg: &str) -> (&str, impl Iterator<Item = (&str, &str)>) {
    let mut parts = arg.split(',');
    let name = parts.next().unwrap_or_default();
    (name, parts.map(|p| p.split_once('=').unwrap_or((p, ""))))
}

pub fn add_if(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let (datapath, ports) = call.args.split_first().ok_or("a datapath is to be named")?;
    let spare = open(c, datapath)?;
    let mut errors = String::new();
    for port in ports {
        let (name, options) = options(port);
        let (mut kind, mut wanted) = ("system", None);
        for (key, value) in options {
            match key {
                "type" => kind = value,
                "port_no" => wanted = Some(PortNo(value.parse().unwrap_or(0))),
                _ => {}
            }
        }
        if !matches!(kind, "dummy" | "dummy-pmd" | "dummy-internal") {
            errors += &format!(
                "ovs-vswitchd: {name}: failed to open network device \
                 (Address family not supported by protocol)\n"
            );
        } else if let Err(why) = spare.add(name, kind, wanted) {
            errors += &format!("ovs-vswitchd: adding {name} to {datapath} failed ({why})\n");
        }
    }
    if errors.is_empty() { Answer::text("") } else { Err(errors) }
}

/// Nothing of a dummy can be changed here; what is asked for must be what it is.
pub fn set_if(c: &Context, call: &Call<'_>) -> Result<Answer, String> {
    let (datapath, ports) = call.args.split_first().ok_or("a datapath is to be named")?;
    let spare = open(c, datapath)?;
    let mut errors = String::new();
    for port in ports {
        let (name, options) = options(port);
        let Some(number) = spare.number(name) else {
            errors += &format!(
                "ovs-vswitchd: {name}: failed to query port in {datapath} (No such device)\n"
            );
            continue;
        };
        let kind = spare.view.lock().ports.get(&number).map(|(_, k)| k.clone()).unwrap_or_default();
        for (key, value) in options {
            if key == "type" && value != kind {
                errors +=
                    &format!("ovs-vswitchd: {name}: can't change type from {kind} to {value}\n");
            } else if key == "port_no" && value.parse().ok() != Some(number.0) {
                errors += &format!(
                    "ovs-vswitchd: {name}: can't change port number from {number} to {value}\n"
                );
            }
        }
    }
    if errors.is_empty() { Answer::text("") } else { Err(errors) }
}
