//! From the wanted state to devices, datapath ports, bonds and bridges.
//!
//! [`Switch::apply`] compares the wanted state with what there is and touches only what differs:
//! applying the same state twice does nothing, and members come and go without the rest of their
//! bond noticing. The order keeps packets moving:
//!
//! ```text
//!  open new devices ─▶ links: tables with the new members ─▶ ofproto: bundles, flows looked at
//!                                                            ─▶ close what is no longer wanted
//! ```
//!
//! | file | what |
//! |---|---|
//! | `device` | opening one device, and what the kernel says of it |
//! | `news` | devices that came, went or changed |
//! | `number` | OpenFlow and datapath port numbers |
//! | `want` | interfaces in their order |
//! | `snapshot` | what ofproto and the links thread are told |
//! | `lifecycle` | start and end |
//! | `taps` | internal devices from one run to the next |

mod device;
mod lifecycle;
mod news;
mod number;
mod snapshot;
mod taps;
mod want;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bond::{Forwarding, MemberId, OutputRule};
use datapath::{Datapath, PortNo, TableId};
use netdev::link;
use ofproto::{BondHandle, OfPort};
use wire::{EthAddr, Time};

pub use self::device::Attached;
use self::device::Opened;
use self::number::{AddError, Quarantine};
use self::want::{Closing, WantedIface, ordered, wanted};
use crate::compat;
use crate::modules::BRIDGE;
use config::{Desired, DeviceKind, WantIface, mac};
use links::Links;

/// The parts that a configuration is applied to.
pub struct Deps<'a> {
    /// The datapath.
    pub datapath: &'a Arc<dyn Datapath>,
    /// The links thread.
    pub links: &'a Links,
    /// Bridges and their flow tables.
    pub ofproto: &'a Arc<ofproto::Ofproto>,
    /// The time of the change.
    pub now: Time,
}

/// A bridge as it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RunningBridge {
    /// The MAC address of its local port.
    pub mac: EthAddr,
    /// `Bridge.datapath_id`.
    pub datapath_id: u64,
}

/// What there is.
#[derive(Default)]
pub struct Switch {
    /// By interface name.
    pub attached: BTreeMap<String, Attached>,
    /// Why an interface does not work, by name.
    pub errors: BTreeMap<String, String>,
    /// By name.
    pub bridges: BTreeMap<String, RunningBridge>,
    /// By port name.
    bonds: BTreeMap<String, Arc<BondHandle>>,
    /// Datapath numbers of ports that were closed lately: flows may still name them.
    quarantine: Quarantine,
    /// An interface got no number because all were in use or held back; so many rounds of the
    /// revalidator had ended then.
    out_of_numbers: Option<u64>,
    /// The number that each bridge gave to an interface last.
    last_ofport: BTreeMap<String, u16>,
    next_member: u32,
    next_table: u32,
    /// The state that was applied last, without the columns that the switch writes itself.
    applied: Option<Desired>,
    taps: taps::Taps,
    /// A device came or went since.
    stale: bool,
}

impl Switch {
    /// True if [`Switch::apply`] has something to do: an interface got no port number, and since
    /// then a round of the revalidator has ended, after which numbers may be free.
    pub fn numbers_freed(&mut self, ofproto: &ofproto::Ofproto) -> bool {
        let freed = self.out_of_numbers.is_some_and(|ended| ofproto.rounds_ended() > ended);
        self.stale |= freed;
        freed
    }

    /// An interface waits for a port number.
    pub fn is_out_of_numbers(&self) -> bool {
        self.out_of_numbers.is_some()
    }

    /// Makes the switch what `desired` says, as far as the devices allow.
    pub fn apply(&mut self, desired: &Desired, parts: &Deps<'_>) {
        if !self.stale && self.applied.as_ref() == Some(desired) {
            return;
        }
        self.begin_taps(desired);
        self.make(desired, parts);
        self.keep_taps();
    }

    fn make(&mut self, desired: &Desired, parts: &Deps<'_>) {
        self.stale = false;
        self.out_of_numbers = None;
        let wanted = wanted(desired);
        // Before devices are opened: their end must not be missed.
        parts.links.follow(wanted.keys().map(|name| (*name).to_owned()).collect());
        let closing = self.detach(&wanted, parts);
        self.renumber(&wanted);
        self.errors.retain(|name, _| wanted.contains_key(name.as_str()));
        // Numbers asked for are given out first.
        let (asked, rest): (Vec<_>, Vec<_>) =
            ordered(desired).into_iter().partition(|w| w.iface.ofport_request.is_some());
        let all = || asked.iter().chain(&rest);
        let new = all().filter(|w| !self.attached.contains_key(&w.iface.name));
        let mut opened = device::open_all(new.map(|w| w.iface).collect(), &self.errors);
        for want in all() {
            let opened = opened.remove(want.iface.name.as_str());
            self.attach(want, opened, parts, &closing);
        }
        self.addresses(desired);
        self.mtus(desired);
        self.make_bonds(desired, parts.ofproto);
        let watched = parts.links.watch(self.watched_links(desired));
        if !watched || !parts.links.configure(self.link_ports(desired)) {
            crate::err!(BRIDGE, "the links thread does not answer");
        }
        parts.ofproto.configure(parts.now, self.switch_config(desired));
        self.close_all(closing, parts);
        self.forget_bonds(desired, parts);
        self.applied = Some(desired.clone());
    }

    /// Somebody takes a device, by name or number, out of the datapath. False if there is none.
    /// Something must be applied again for it to come back.
    pub fn detach_port(
        &mut self,
        name: &str,
        number: Option<PortNo>,
        desired: &Desired,
        parts: &Deps<'_>,
    ) -> bool {
        let found = self.attached.iter().find(|(n, a)| {
            a.port_no.is_some() && (*n == name || number.is_some_and(|p| a.port_no == Some(p)))
        });
        let Some((name, port_no)) = found.and_then(|(n, a)| Some((n.clone(), a.port_no?))) else {
            return false;
        };
        if let Some(a) = self.attached.remove(&name) {
            a.end_when_closed();
        }
        self.stale = true;
        parts.links.configure(self.link_ports(desired));
        parts.ofproto.configure(parts.now, self.switch_config(desired));
        self.close(&name, port_no, parts);
        true
    }

    /// Somebody gives a datapath port another number.
    ///
    /// # Errors
    ///
    /// When there is no such port, or the number cannot be had; the text is Open vSwitch's.
    pub fn move_port(
        &mut self,
        name: &str,
        to: PortNo,
        desired: &Desired,
        parts: &Deps<'_>,
    ) -> Result<(), &'static str> {
        let attached = self.attached.get_mut(name).ok_or("unknown port")?;
        let from = attached.port_no.ok_or("unknown port")?;
        if to.0 == 0 || to == PortNo::NONE {
            return Err("bad port number");
        }
        parts.datapath.port_move(from, to).map_err(|_| "port number already in use")?;
        attached.port_no = Some(to);
        self.quarantine.closing(from);
        parts.links.configure(self.link_ports(desired));
        parts.ofproto.configure(parts.now, self.switch_config(desired));
        self.quarantine.closed(from, parts.ofproto);
        Ok(())
    }

    /// Takes out what is not wanted any more, or not like that. The datapath ports are closed
    /// later, except where the name is needed at once.
    fn detach(
        &mut self,
        wanted: &BTreeMap<&str, WantedIface<'_>>,
        parts: &Deps<'_>,
    ) -> Vec<Closing> {
        let mut closing = Vec::new();
        let gone: Vec<String> = self
            .attached
            .iter()
            .filter(|(name, a)| match wanted.get(name.as_str()) {
                Some(w) => a.gone || !a.serves(w.iface) || a.fake != w.fake,
                None => true,
            })
            .map(|(name, _)| name.clone())
            .collect();
        for name in gone {
            let Some(a) = self.attached.remove(&name) else { continue };
            a.end_when_closed();
            crate::info!(
                BRIDGE,
                "bridge {}: deleted interface {name} on port {}",
                a.bridge,
                a.of_port.0; "bridge" => &a.bridge, "interface" => &name, "port" => &a.port, "ofport" => a.of_port.0);
            if let Some(port_no) = a.port_no {
                // A dummy's number comes from its name: it may be wanted at once.
                if wanted.contains_key(name.as_str()) || a.dummy.is_some() {
                    self.close(&name, port_no, parts);
                } else {
                    closing.push(Closing { name, port_no, own: a.kind != DeviceKind::System });
                }
            }
        }
        closing
    }

    fn close(&mut self, name: &str, port_no: PortNo, parts: &Deps<'_>) {
        if let Err(e) = parts.datapath.port_del(port_no) {
            crate::warn!(BRIDGE, "interface {name}: cannot remove datapath port ({e})"; "interface" => name);
        }
        self.quarantine.closed(port_no, parts.ofproto);
    }

    /// Closes what is not wanted any more. The kernel takes tens of milliseconds to close a packet
    /// socket: nobody needs to wait for those of devices that stay, so a thread of their own does.
    fn close_all(&mut self, closing: Vec<Closing>, parts: &Deps<'_>) {
        let mut later = Vec::new();
        for d in closing {
            if d.own {
                self.close(&d.name, d.port_no, parts);
            } else {
                self.quarantine.closing(d.port_no);
                later.push(d.port_no);
            }
        }
        if later.is_empty() {
            return;
        }
        let (datapath, ofproto) = (parts.datapath.clone(), parts.ofproto.clone());
        let (ports, quarantine) = (later.clone(), self.quarantine.clone());
        let close = move || {
            for port_no in ports {
                // It has gone already.
                let _ = datapath.port_del(port_no);
                quarantine.closed(port_no, &ofproto);
            }
        };
        if std::thread::Builder::new().name("closer".to_owned()).spawn(close).is_err() {
            for port_no in later {
                let _ = parts.datapath.port_del(port_no);
                self.quarantine.closed(port_no, parts.ofproto);
            }
        }
    }

    /// Interfaces whose number was asked for otherwise, or that moved to another bridge, lose it.
    fn renumber(&mut self, wanted: &BTreeMap<&str, WantedIface<'_>>) {
        let mut used: BTreeMap<(String, OfPort), String> = BTreeMap::new();
        let mut change = Vec::new();
        for (name, a) in &self.attached {
            let Some(w) = wanted.get(name.as_str()) else { continue };
            let asked = w.iface.ofport_request.map(OfPort);
            let local = (a.of_port == OfPort::LOCAL) == w.iface.local;
            if a.bridge != w.bridge.name || !local {
                change.push((name.clone(), None));
            } else if asked.is_some_and(|p| p != a.of_port) && !w.iface.local {
                change.push((name.clone(), asked));
            } else {
                used.insert((a.bridge.clone(), a.of_port), name.clone());
            }
        }
        // Whoever asked for a number too, and has it, keeps it; the other stays where it is.
        let (stay, mut change): (Vec<_>, Vec<_>) = change.into_iter().partition(|(name, asked)| {
            let bridge = wanted.get(name.as_str()).map(|w| w.bridge.name.clone());
            let owner = bridge.zip(*asked).and_then(|at| used.get(&at));
            let theirs = owner.and_then(|o| wanted.get(o.as_str())?.iface.ofport_request);
            theirs.is_some_and(|t| *asked == Some(OfPort(t)))
        });
        for (name, _) in stay {
            if let Some(a) = self.attached.get(&name) {
                used.insert((a.bridge.clone(), a.of_port), name);
            }
        }
        // Those that ask come first, so that two can change places.
        change.sort_by_key(|(_, asked)| asked.is_none());
        let moving: Vec<String> = change.iter().map(|(name, _)| name.clone()).collect();
        for (at, (name, asked)) in change.into_iter().enumerate() {
            let Some(w) = wanted.get(name.as_str()) else { continue };
            let bridge = w.bridge.name.clone();
            if let Some(port) = asked
                && let Some(victim) = used.get(&(bridge.clone(), port)).cloned()
            {
                used.remove(&(bridge.clone(), port));
                let taken = self.numbers(&bridge, std::slice::from_ref(&victim));
                let given = self.last_ofport.entry(bridge.clone()).or_default();
                let free = number::of_port(w.bridge, None, None, &taken, given);
                if let Some(v) = self.attached.get_mut(&victim) {
                    v.of_port = free;
                }
            }
            // What those after it leave is free.
            let taken = self.numbers(&bridge, &moving[at..]);
            let number = if w.iface.local {
                OfPort::LOCAL
            } else {
                let given = self.last_ofport.entry(bridge.clone()).or_default();
                let (asked, last) = (w.iface.ofport_request, w.iface.ofport);
                number::of_port(w.bridge, asked, last, &taken, given)
            };
            if let Some(a) = self.attached.get_mut(&name) {
                a.of_port = number;
                a.bridge.clone_from(&bridge);
            }
        }
    }

    /// Numbers in use on a bridge by others than these.
    fn numbers(&self, bridge: &str, but: &[String]) -> BTreeSet<OfPort> {
        self.attached
            .iter()
            .filter(|(n, a)| a.bridge == bridge && !but.contains(n))
            .map(|(_, a)| a.of_port)
            .collect()
    }

    fn attach(
        &mut self,
        want: &WantedIface<'_>,
        opened: Option<Result<Opened, String>>,
        parts: &Deps<'_>,
        closing: &[Closing],
    ) {
        let WantedIface { bridge, port, iface, fake } = *want;
        let name = &iface.name;
        if let Some(a) = self.attached.get_mut(name) {
            a.port = port.to_owned();
            a.uuid = iface.uuid;
            if let DeviceKind::Patch { .. } = iface.kind {
                a.kind = iface.kind.clone();
            }
            if let Some(dummy) = &a.dummy {
                compat::dummy::configure(dummy, iface);
            }
            self.errors.remove(name);
            return;
        }
        let opened = match opened {
            // One that is wanted twice was given to the first.
            None => return,
            Some(Ok(opened)) => opened,
            Some(Err(text)) => {
                if self.errors.insert(name.clone(), text.clone()).as_ref() != Some(&text) {
                    crate::warn!(BRIDGE, "{text}"; "interface" => name, "port" => port, "bridge" => &bridge.name);
                }
                return;
            }
        };
        let Opened { io, link, dummy, tap } = opened;
        let port_no = match io {
            None => None,
            Some(io) => {
                let used = self.attached.values().filter_map(|a| a.port_no);
                let used = used.chain(closing.iter().map(|d| d.port_no)).collect();
                let wanted =
                    bridge.dummy_datapath.then(|| compat::dummy::port_number(name)).flatten();
                match number::add(
                    parts.datapath,
                    parts.ofproto,
                    name,
                    wanted,
                    io,
                    &used,
                    &self.quarantine,
                ) {
                    Ok(port_no) => Some(port_no),
                    Err(e) => {
                        if let AddError::Held(_) = e {
                            self.out_of_numbers = Some(parts.ofproto.rounds_ended());
                        }
                        let text = format!("could not add network device {name} to ofproto ({e})");
                        crate::warn!(BRIDGE, "{text}"; "interface" => name, "port" => port, "bridge" => &bridge.name);
                        self.errors.insert(name.clone(), text);
                        return;
                    }
                }
            }
        };
        let of_port = if iface.local {
            OfPort::LOCAL
        } else {
            let taken = self.numbers(&bridge.name, std::slice::from_ref(name));
            let given = self.last_ofport.entry(bridge.name.clone()).or_default();
            number::of_port(bridge, iface.ofport_request, iface.ofport, &taken, given)
        };
        self.next_member += 1;
        crate::info!(
            BRIDGE,
            "bridge {}: added interface {name} on port {}",
            bridge.name,
            of_port.0; "bridge" => &bridge.name, "interface" => name, "port" => port, "ofport" => of_port.0);
        self.errors.remove(name);
        if iface.kind == DeviceKind::System {
            device::warn_of_master(name, link.master);
        }
        self.attached.insert(
            name.clone(),
            Attached {
                uuid: iface.uuid,
                bridge: bridge.name.clone(),
                port: port.to_owned(),
                kind: iface.kind.clone(),
                member: MemberId(self.next_member),
                of_port,
                port_no,
                link,
                dummy,
                queues: compat::dummy::queues(iface),
                tap,
                fake,
                gone: false,
                created: parts.now,
            },
        );
    }

    /// Addresses: of the bridges, of their own ports, and of internal ports that ask for one.
    fn addresses(&mut self, desired: &Desired) {
        let mut bridges = BTreeMap::new();
        for bridge in &desired.bridges {
            let own = |name: &str| {
                let a = self.attached.get(name).filter(|a| a.bridge == bridge.name)?;
                Some(a.link.mac)
            };
            let address = mac::bridge_mac(bridge, own);
            let datapath_id = bridge.datapath_id.unwrap_or(address.to_u64());
            let mut set: Vec<(String, EthAddr)> = vec![(bridge.name.clone(), address)];
            for port in &bridge.ports {
                for iface in port.ifaces.iter().filter(|i| taps::own(&i.kind) && !i.local) {
                    let fake = || mac::fake_bridge_mac(bridge, port.bundle.vlan, own);
                    let mac = iface.mac.or_else(|| port.fake_bridge.then(fake));
                    set.extend(mac.map(|mac| (iface.name.clone(), mac)));
                }
            }
            for (name, mac) in set {
                self.set_mac(&name, mac);
            }
            let running = RunningBridge { mac: address, datapath_id };
            let before = self.bridges.get(&bridge.name);
            if before.is_none_or(|b| b.datapath_id != datapath_id) {
                crate::info!(
                    BRIDGE,
                    "bridge {}: using datapath ID {datapath_id:016x}",
                    bridge.name; "bridge" => &bridge.name);
            }
            bridges.insert(bridge.name.clone(), running);
        }
        self.last_ofport.retain(|name, _| bridges.contains_key(name));
        self.bridges = bridges;
    }

    fn set_mac(&mut self, name: &str, mac: EthAddr) {
        let Some(a) = self.attached.get_mut(name) else { return };
        if a.link.mac == mac {
            return;
        }
        if a.ifindex().is_some()
            && let Err(e) = link::set_mac(name, mac)
        {
            match a.of_port {
                OfPort::LOCAL => {
                    crate::err!(
                        BRIDGE,
                        "bridge {name}: failed to set bridge Ethernet address: {e}"; "bridge" => name);
                }
                _ => {
                    crate::err!(BRIDGE, "interface {name}: setting MAC failed ({e})"; "interface" => name)
                }
            }
            return;
        }
        a.link.mac = mac;
    }

    /// `mtu_request`; internal ports without one take the smallest MTU of the bridge's others.
    fn mtus(&mut self, desired: &Desired) {
        for bridge in &desired.bridges {
            let ifaces: Vec<&WantIface> = bridge.ports.iter().flat_map(|p| &p.ifaces).collect();
            for iface in ifaces.iter().filter(|i| i.mtu.is_some()) {
                self.set_mtu(&iface.name, iface.mtu.unwrap_or_default());
            }
            let others = ifaces.iter().filter(|i| i.kind == DeviceKind::System);
            let smallest = others
                .filter_map(|i| self.attached.get(&i.name))
                .map(|a| a.link.mtu)
                .filter(|m| *m != 0)
                .min();
            for iface in ifaces.iter().filter(|i| i.kind == DeviceKind::Internal) {
                if let (None, Some(mtu)) = (iface.mtu, smallest) {
                    self.set_mtu(&iface.name, mtu);
                }
            }
        }
    }

    fn set_mtu(&mut self, name: &str, mtu: u32) {
        let Some(a) = self.attached.get_mut(name) else { return };
        if a.link.mtu == mtu || a.ifindex().is_none() {
            return;
        }
        match link::set_mtu(name, mtu) {
            Ok(()) => a.link.mtu = mtu,
            Err(e) => {
                crate::warn!(BRIDGE, "interface {name}: setting MTU failed ({e})"; "interface" => name)
            }
        }
    }

    /// A handle for every bond that has none yet. Its table admits and sends nothing until the
    /// links thread has looked at the links.
    fn make_bonds(&mut self, desired: &Desired, ofproto: &ofproto::Ofproto) {
        for port in desired.bridges.iter().flat_map(|b| &b.ports).filter(|p| p.bond.is_some()) {
            if self.bonds.contains_key(&port.name) {
                continue;
            }
            let recirc_id = ofproto.new_recirc_id();
            self.next_table += 1;
            let handle = BondHandle {
                table: TableId(self.next_table),
                forwarding: arc_swap::ArcSwap::from_pointee(Forwarding {
                    generation: 0,
                    output: OutputRule::Drop,
                    buckets: [None; bond::BUCKETS],
                    admission: Vec::new(),
                    sources: Vec::new(),
                }),
                recirc_id,
            };
            self.bonds.insert(port.name.clone(), Arc::new(handle));
        }
    }

    fn forget_bonds(&mut self, desired: &Desired, parts: &Deps<'_>) {
        let ports = || desired.bridges.iter().flat_map(|b| &b.ports);
        self.bonds.retain(|name, handle| {
            let stays = ports().any(|p| p.name == *name && p.bond.is_some());
            if !stays {
                parts.datapath.table_remove(handle.table);
            }
            stays
        });
    }

    /// The handle of a port's bond.
    pub fn bond_handle(&self, port: &str) -> Option<&Arc<BondHandle>> {
        self.bonds.get(port)
    }
}
