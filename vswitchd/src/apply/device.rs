//! Opening one device.

use std::collections::{BTreeMap, BTreeSet};

use bond::MemberId;
use datapath::PortNo;
use netdev::io::dummy::DummyPort;
use netdev::io::internal::{self, TapHandle};
use netdev::io::system::{self, SystemOptions};
use netdev::link::{self, LinkInfo};
use netdev::{DeviceError, PacketIo};
use ofproto::OfPort;
use ovsdb::Uuid;
use wire::{EthAddr, Time};

use crate::compat::dummy;
use crate::modules::{BRIDGE, DPIF_NETDEV, NETDEV};
use crate::status::IFACE_TYPES;
use config::{DeviceKind, WantIface};

/// An interface that works.
pub struct Attached {
    /// Its row; of no meaning for a `fake` one.
    pub uuid: Uuid,
    /// The name of its bridge.
    pub bridge: String,
    /// The name of its port.
    pub port: String,
    /// The kind of device.
    pub kind: DeviceKind,
    /// The engine's name for it, for as long as it stays.
    pub member: MemberId,
    /// Its OpenFlow port number.
    pub of_port: OfPort,
    /// `None` for a patch port.
    pub port_no: Option<PortNo>,
    /// The kernel's latest word; made up for devices that the kernel does not know.
    pub link: LinkInfo,
    /// The device, if it is a dummy.
    pub dummy: Option<DummyPort>,
    /// Receive queues, of a dummy.
    pub queues: u32,
    /// Of a device that the switch has made.
    pub tap: Option<TapHandle>,
    /// `bond_fake_iface`: there is no row.
    pub fake: bool,
    /// The device has vanished.
    pub gone: bool,
    /// Since when it is here.
    pub created: Time,
}

impl Attached {
    /// The kernel's number, if the kernel knows the device.
    pub fn ifindex(&self) -> Option<u32> {
        (self.link.ifindex != 0).then_some(self.link.ifindex)
    }

    /// A device of the switch's own that left this network namespace and still works.
    pub(super) fn moved_away(&self) -> bool {
        self.tap.as_ref().is_some_and(TapHandle::exists)
    }

    /// Whether the open device is what the row asks for now.
    pub(super) fn serves(&self, want: &WantIface) -> bool {
        match (&self.kind, &want.kind) {
            (DeviceKind::Patch { .. }, DeviceKind::Patch { peer }) => {
                !peer.is_empty() && *peer != want.name
            }
            (a, b) => a == b,
        }
    }
}

/// A device that has just been opened.
pub(super) struct Opened {
    pub(super) io: Option<Box<dyn PacketIo>>,
    pub(super) link: LinkInfo,
    pub(super) dummy: Option<DummyPort>,
    pub(super) tap: Option<TapHandle>,
}

/// Threads that open devices at the same time.
const OPENERS: usize = 16;

/// Opens devices, by name. The kernel takes milliseconds over each, most of them waiting, so that
/// many are opened side by side.
///
/// A device for which `errors` has one of an earlier try is not waited for.
pub(super) fn open_all<'a>(
    wanted: Vec<&'a WantIface>,
    errors: &BTreeMap<String, String>,
) -> BTreeMap<&'a str, Result<Opened, String>> {
    let mut seen = BTreeSet::new();
    let wanted: Vec<&WantIface> =
        wanted.into_iter().filter(|w| seen.insert(w.name.as_str())).collect();
    let one = |w: &&'a WantIface| (w.name.as_str(), open(w, !errors.contains_key(&w.name)));
    let share = wanted.len() / OPENERS + 1;
    // Dummies cost nothing, and are numbered as they are opened.
    let dummies = wanted.iter().any(|w| matches!(w.kind, DeviceKind::Dummy { .. }));
    if wanted.len() < 4 || dummies {
        return wanted.iter().map(one).collect();
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = wanted
            .chunks(share)
            .map(|part| {
                let work = move || part.iter().map(one).collect::<Vec<_>>();
                let thread = std::thread::Builder::new().name("opener".to_owned());
                thread.spawn_scoped(scope, work).map_err(|_| part)
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|thread| match thread.map(|t| t.join()) {
                Ok(Ok(opened)) => opened,
                // No thread to be had, or one that failed: here, then.
                Err(part) => part.iter().map(one).collect(),
                Ok(Err(_)) => Vec::new(),
            })
            .collect()
    })
}

/// Opens the device. The error is what `Interface.error` shows.
pub(super) fn open(want: &WantIface, patient: bool) -> Result<Opened, String> {
    let name = &want.name;
    let made_up = || LinkInfo {
        name: name.clone(),
        mac: local_mac(want.uuid),
        admin_up: true,
        carrier: true,
        ..LinkInfo::default()
    };
    // Open vSwitch's names for its datapaths.
    if matches!(name.as_str(), "ovs-system" | "ovs-netdev") {
        return Err(format!("could not create interface {name}, name is reserved"));
    }
    match &want.kind {
        DeviceKind::System => {
            let (io, link) = open_system(name, patient)?;
            Ok(Opened { io: Some(io), link, dummy: None, tap: None })
        }
        DeviceKind::Internal | DeviceKind::Tap => {
            let made = internal::open(name, patient).map_err(|e| e.to_string())?;
            let link = link::get(name).map_err(|e| e.to_string())?;
            Ok(Opened { io: Some(made.io), link, dummy: None, tap: Some(made.tap) })
        }
        DeviceKind::Patch { peer } if peer.is_empty() => {
            Err(format!("{name}: patch type requires valid 'peer' argument"))
        }
        DeviceKind::Patch { peer } if peer == name => {
            Err(format!("{name}: patch peer must not be self"))
        }
        DeviceKind::Patch { .. } => {
            Ok(Opened { io: None, link: made_up(), dummy: None, tap: None })
        }
        DeviceKind::Dummy { .. } => {
            let (port, io) = dummy::open(want).map_err(|e| e.to_string())?;
            let (mtu, mac) = (want.mtu.unwrap_or(1500), dummy::next_mac());
            let link = LinkInfo { mtu, mac, ..made_up() };
            Ok(Opened { io: Some(io), link, dummy: Some(port), tap: None })
        }
        DeviceKind::Unknown(kind) => {
            if patient {
                crate::warn!(NETDEV, "could not create netdev {name} of unknown type {kind}"; "interface" => name, "type" => kind);
            }
            Err(unknown_type(name, kind))
        }
    }
}

/// `Interface.type`s of Open vSwitch 3.1 and later that this switch does not have, sorted.
const NOT_BUILT: [&str; 16] = [
    "afxdp",
    "afxdp-nonpmd",
    "bareudp",
    "dpdk",
    "dpdkvhostuser",
    "dpdkvhostuserclient",
    "erspan",
    "geneve",
    "gre",
    "gtpu",
    "ip6erspan",
    "ip6gre",
    "lisp",
    "srv6",
    "stt",
    "vxlan",
];

/// The error of an interface whose type this switch does not have.
fn unknown_type(name: &str, kind: &str) -> String {
    let folded = kind.to_lowercase();
    let known = IFACE_TYPES.join(", ");
    let why = if NOT_BUILT.contains(&folded.as_str()) {
        format!("type \"{kind}\" is not supported by this switch; supported: {known}")
    } else {
        let nearest = IFACE_TYPES
            .iter()
            .map(|known| (strsim::osa_distance(&folded, known), known))
            .filter(|(d, known)| *d <= (known.len() / 3).max(1))
            .min();
        let hint = nearest.map(|(_, n)| format!("; did you mean \"{n}\"?")).unwrap_or_default();
        format!("unknown type \"{kind}\"; known: {known}{hint}")
    };
    format!("could not open network device {name} ({why})")
}

/// Opens an existing device. The name may pass to another device meanwhile, so what is returned is
/// the state of the very device that the queues are bound to, and that had the name after binding.
fn open_system(name: &str, patient: bool) -> Result<(Box<dyn PacketIo>, LinkInfo), String> {
    /// Renames that may come between the two steps.
    const TRIES: usize = 5;
    for _ in 0..TRIES {
        let io = system::open(name, &SystemOptions::default()).map_err(|e| {
            if patient && matches!(e, DeviceError::Add { .. }) {
                crate::err!(DPIF_NETDEV, "{name}: cannot add a loopback device"; "interface" => name);
            }
            e.to_string()
        })?;
        let Some(ifindex) = io.ifindex() else { break };
        match link::get_by_index(ifindex) {
            Ok(link) if link.name == name => return Ok((io, link)),
            Ok(_) => {}
            Err(e) if e.is_absent() => {}
            Err(e) => return Err(e.to_string()),
        }
    }
    Err(format!("could not open network device {name} (its name passes from device to device)"))
}

/// A locally administered address that stays with the row.
fn local_mac(uuid: Uuid) -> EthAddr {
    let b = uuid.as_u128().to_be_bytes();
    EthAddr([(b[0] & !1) | 2, b[1], b[2], b[3], b[4], b[5]])
}

/// Logs that a device is a port of another one, whose rules then also see or take its frames.
/// `master` is an interface index; 0 = none.
pub(super) fn warn_of_master(name: &str, master: u32) {
    if master == 0 {
        return;
    }
    let text = match link::get_by_index(master) {
        Ok(m) if m.kind.is_empty() => m.name,
        Ok(m) => format!("{} ({})", m.name, m.kind),
        Err(_) => format!("the device with index {master}"),
    };
    crate::warn!(
        BRIDGE,
        "interface {name}: the device is a port of {text}, which may forward or take its frames; \
         remove it there (ip link set {name} nomaster)"; "interface" => name, "master" => &text);
}
