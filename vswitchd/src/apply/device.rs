//! Opening one device.

use std::collections::{BTreeMap, BTreeSet};

use bond::MemberId;
use datapath::PortNo;
use netdev::PacketIo;
use netdev::io::dummy::{self, DummyPort};
use netdev::io::internal::{self, InternalOptions, TapHandle};
use netdev::io::system::{self, SystemOptions};
use netdev::link::{self, LinkInfo};
use ofproto::OfPort;
use ovsdb::Uuid;
use wire::EthAddr;

use crate::config::{DeviceKind, WantIface};

/// An interface that works.
pub struct Attached {
    /// Its row; of no meaning for a `fake` one.
    pub uuid: Uuid,
    pub bridge: String,
    pub port: String,
    pub kind: DeviceKind,
    /// The engine's name for it, for as long as it stays.
    pub member: MemberId,
    pub of_port: OfPort,
    /// `None` for a patch port.
    pub port_no: Option<PortNo>,
    /// The kernel's latest word; made up for devices that the kernel does not know.
    pub link: LinkInfo,
    pub dummy: Option<DummyPort>,
    /// Of a device that the switch has made.
    pub tap: Option<TapHandle>,
    /// `bond_fake_iface`: there is no row.
    pub fake: bool,
    /// The device has vanished.
    pub gone: bool,
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
pub(super) fn open_all<'a>(
    wanted: Vec<&'a WantIface>,
) -> BTreeMap<&'a str, Result<Opened, String>> {
    let mut seen = BTreeSet::new();
    let wanted: Vec<&WantIface> =
        wanted.into_iter().filter(|w| seen.insert(w.name.as_str())).collect();
    let one = |w: &&'a WantIface| (w.name.as_str(), open(w));
    let share = wanted.len() / OPENERS + 1;
    if wanted.len() < 4 {
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
pub(super) fn open(want: &WantIface) -> Result<Opened, String> {
    let name = &want.name;
    let made_up = || LinkInfo {
        name: name.clone(),
        mac: local_mac(want.uuid),
        admin_up: true,
        carrier: true,
        ..LinkInfo::default()
    };
    match &want.kind {
        DeviceKind::System => {
            let io = system::open(name, &SystemOptions::default()).map_err(|e| e.to_string())?;
            let link = link::get(name).map_err(|e| e.to_string())?;
            Ok(Opened { io: Some(io), link, dummy: None, tap: None })
        }
        DeviceKind::Internal | DeviceKind::Tap => {
            let options = InternalOptions { mac: want.mac, mtu: want.mtu };
            let made = internal::create(name, &options).map_err(|e| e.to_string())?;
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
        DeviceKind::Dummy => {
            let (port, io) = dummy::create(name).map_err(|e| e.to_string())?;
            let link = LinkInfo { mtu: want.mtu.unwrap_or(1500), ..made_up() };
            Ok(Opened { io: Some(io), link, dummy: Some(port), tap: None })
        }
        // The words of Open vSwitch for a type that it does not have.
        DeviceKind::Unknown(_) => Err(format!(
            "could not open network device {name} (Address family not supported by protocol)"
        )),
    }
}

/// A locally administered address that stays with the row.
fn local_mac(uuid: Uuid) -> EthAddr {
    let b = uuid.as_u128().to_be_bytes();
    EthAddr([(b[0] & !1) | 2, b[1], b[2], b[3], b[4], b[5]])
}
