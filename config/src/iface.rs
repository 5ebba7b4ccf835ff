//! Rows of `Interface`.

use std::collections::BTreeMap;

use bond::LacpMemberConfig;
use ovsdb::Uuid;
use ovsdb_client::rows::Interface;
use wire::EthAddr;

use crate::columns::mac_column;
use crate::inert;
use crate::monitor::{self, CFM, WantBfd};
use crate::option::{OVS, Opt, keys, range};
use crate::section::Section;
use crate::unsupported;
use crate::warning::{Severity, Warning};

/// What kind of device an interface is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// An existing NIC, veth, or tap that others made.
    System,
    /// A tap that the switch makes, for the host itself.
    Internal,
    /// As internal, but `type=tap`: for a program.
    Tap,
    /// The other end is the interface of this name; empty = none given.
    Patch {
        /// `options:peer`.
        peer: String,
    },
    /// No hardware at all; for tests (`--enable-dummy`). `class` is the type that it is shown as:
    /// `dummy`, `dummy-pmd`, `dummy-internal`, or the type that it stands in for.
    Dummy {
        /// The type that is shown.
        class: String,
    },
    /// A type that this switch does not have.
    Unknown(String),
}

impl DeviceKind {
    /// As `dpif/show` has it.
    pub fn name(&self) -> &str {
        match self {
            DeviceKind::System => "system",
            DeviceKind::Internal | DeviceKind::Tap => "tap",
            DeviceKind::Patch { .. } => "patch",
            DeviceKind::Dummy { class } => class,
            DeviceKind::Unknown(t) => t,
        }
    }
}

/// `--enable-dummy[=ARG]`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DummyPolicy {
    /// `type=dummy` is unknown.
    #[default]
    Off,
    /// `type=dummy` and `type=dummy-internal` exist.
    On,
    /// System and internal devices are dummies too.
    Override,
    /// System devices are dummies too.
    OverrideSystem,
}

impl DummyPolicy {
    /// Whether bridges of this `datapath_type` are made of dummies.
    pub fn is_dummy_datapath(self, datapath_type: &str) -> bool {
        match self {
            DummyPolicy::Off => false,
            DummyPolicy::On => datapath_type == "dummy",
            DummyPolicy::OverrideSystem => matches!(datapath_type, "dummy" | "system"),
            DummyPolicy::Override => true,
        }
    }
}

/// What a bridge's interfaces are made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Kinds {
    pub(crate) policy: DummyPolicy,
    /// The bridge is on a datapath of dummies.
    pub(crate) dummy_datapath: bool,
}

impl Kinds {
    fn dummy(class: &str) -> DeviceKind {
        DeviceKind::Dummy { class: class.to_owned() }
    }

    /// A device that the switch makes.
    pub(crate) fn internal(self) -> DeviceKind {
        if self.dummy_datapath { Kinds::dummy("dummy-internal") } else { DeviceKind::Internal }
    }
}

/// An interface as a member of a bond, or as a port of its own with LACP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberSettings {
    /// `port_id` is 0 where the OpenFlow port number is to be used.
    pub lacp: LacpMemberConfig,
    /// `bond-member-priority`: the higher is preferred.
    pub priority: i32,
}

impl Default for MemberSettings {
    fn default() -> MemberSettings {
        let lacp = LacpMemberConfig { port_id: 0, port_priority: u16::MAX, key: 0 };
        MemberSettings { lacp, priority: 0 }
    }
}

/// Keys of `Interface.other_config` but those of CFM.
pub(crate) const INTERFACE: &[Opt<MemberSettings>] = &[
    Opt::number(
        "lacp-port-id",
        "LACP port number, by default the OpenFlow port number",
        range(1, 65_535, 0, "").or_zero(),
        |m: &mut MemberSettings, n| m.lacp.port_id = n as u16,
    )
    .since(OVS),
    Opt::number(
        "lacp-port-priority",
        "LACP port priority",
        range(1, 65_535, 65_535, "").note("lower is preferred"),
        |m: &mut MemberSettings, n| m.lacp.port_priority = n as u16,
    )
    .since(OVS),
    Opt::number(
        "lacp-aggregation-key",
        "LACP key, by default one of the port's own",
        range(1, 65_535, 0, "").or_zero(),
        |m: &mut MemberSettings, n| m.lacp.key = n as u16,
    )
    .since(OVS),
    Opt::number(
        "bond-member-priority",
        "rank among enabled members that are not the primary",
        range(i32::MIN as i64, i32::MAX as i64, 0, "").note("higher is preferred"),
        |m: &mut MemberSettings, n| m.priority = n as i32,
    )
    .since("0.1.0"),
];

/// An interface as wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct WantIface {
    /// The row.
    pub uuid: Uuid,
    /// `Interface.name`.
    pub name: String,
    /// What kind of device it is.
    pub kind: DeviceKind,
    /// The bridge's own port.
    pub local: bool,
    /// `mac`: for internal devices, not for the bridge's own.
    pub mac: Option<EthAddr>,
    /// `mtu_request`.
    pub mtu: Option<u32>,
    /// `ofport_request`, 1 to 65279.
    pub ofport_request: Option<u16>,
    /// `ofport` as it stands in the database: the number of the last run.
    pub ofport: Option<u16>,
    /// `options`.
    pub options: BTreeMap<String, String>,
    /// `external_ids:attached-mac`: the address of the station behind it.
    pub attached_mac: Option<EthAddr>,
    /// LACP and rank as a member of a bond.
    pub member: MemberSettings,
    /// BFD, if it is to run.
    pub bfd: Option<WantBfd>,
    /// CFM, if it is to run.
    pub cfm: Option<bond::monitor::cfm::Config>,
}

impl WantIface {
    /// An internal device without a row of its own.
    pub(crate) fn internal(uuid: Uuid, name: &str, kinds: Kinds) -> WantIface {
        WantIface {
            uuid,
            name: name.to_owned(),
            kind: kinds.internal(),
            local: false,
            mac: None,
            mtu: None,
            ofport_request: None,
            ofport: None,
            options: BTreeMap::new(),
            attached_mac: None,
            member: MemberSettings::default(),
            bfd: None,
            cfm: None,
        }
    }
}

/// The first reserved OpenFlow port number (`OFPP_MAX`, OpenFlow 1.0).
const OFPP_MAX: i64 = 0xff00;

pub(crate) fn want(
    bridge: &str,
    uuid: Uuid,
    row: &Interface,
    kinds: Kinds,
    warnings: &mut Vec<Warning>,
) -> WantIface {
    unsupported::interface(row, warnings);
    let local = row.name == bridge;
    let mac = mac_column("interface", &row.name, row.mac.as_deref(), warnings);
    let mac = mac.filter(|mac| {
        let text = if local {
            "ignoring mac in Interface record (use Bridge record to set local port's mac)"
        } else if mac.is_multicast() {
            "cannot set MAC to multicast address"
        } else if mac.is_zero() {
            "cannot set MAC to all zero address"
        } else {
            return true;
        };
        let text = format!("interface {}: {text}", row.name);
        warnings.push(column(row, "mac", mac.to_string(), "").said(Severity::Err, text));
        false
    });
    let mtu = row.mtu_request.and_then(|m| {
        let ok = u32::try_from(m).ok().filter(|m| (68..=65_535).contains(m));
        if ok.is_none() {
            let advice = "accepted are 68 to 65535 octets; left as it is";
            warnings.push(column(row, "mtu_request", m.to_string(), advice));
        }
        ok
    });
    let ofport_request = row.ofport_request.and_then(|p| {
        let ok = ofport(p);
        if ok.is_none() {
            let advice = "accepted are 1 to 65279; using a free number";
            warnings.push(column(row, "ofport_request", p.to_string(), advice));
        }
        ok
    });
    let (bfd, cfm) = (monitor::bfd(row, warnings), monitor::cfm(row, warnings));
    let mut s = Section::other_config("interface", &row.name, &row.other_config, warnings);
    s.check_keys(&[keys(INTERFACE), keys(CFM)], inert::INTERFACE, &[]);
    let mut member = MemberSettings::default();
    s.read(INTERFACE, &mut member);
    WantIface {
        uuid,
        name: row.name.clone(),
        kind: kind(row, local, kinds),
        local,
        mac,
        mtu,
        ofport_request,
        ofport: row.ofport.and_then(ofport),
        options: row.options.clone(),
        attached_mac: attached_mac(row, warnings),
        member,
        bfd,
        cfm,
    }
}

/// The key that integration bridges use (Interface table, "Virtual Machine Identifiers").
fn attached_mac(row: &Interface, warnings: &mut Vec<Warning>) -> Option<EthAddr> {
    const KEY: &str = "attached-mac";
    let text = row.external_ids.get(KEY)?;
    let mac = text.parse().ok().filter(|m: &EthAddr| !m.is_zero() && !m.is_multicast());
    if mac.is_none() {
        let advice = "accepted is a unicast address, xx:xx:xx:xx:xx:xx; it is not announced";
        let warning = column(row, "external_ids", text.clone(), advice);
        warnings.push(Warning { key: Some(KEY.to_owned()), ..warning });
    }
    mac
}

fn column(row: &Interface, column: &str, value: String, advice: &str) -> Warning {
    Warning::of_column(("interface", &row.name), column, value, advice)
}

fn ofport(p: i64) -> Option<u16> {
    (1..OFPP_MAX).contains(&p).then_some(p as u16)
}

fn kind(row: &Interface, local: bool, kinds: Kinds) -> DeviceKind {
    let (all, dummies) = (kinds.policy == DummyPolicy::Override, kinds.policy != DummyPolicy::Off);
    match row.r#type.as_str() {
        _ if local => kinds.internal(),
        "" | "system" if all || kinds.policy == DummyPolicy::OverrideSystem => {
            Kinds::dummy("system")
        }
        "" | "system" => DeviceKind::System,
        "internal" => kinds.internal(),
        "tap" if all => Kinds::dummy("tap"),
        "tap" => DeviceKind::Tap,
        "patch" => DeviceKind::Patch { peer: row.options.get("peer").cloned().unwrap_or_default() },
        class @ ("dummy" | "dummy-internal" | "dummy-pmd") if dummies => Kinds::dummy(class),
        other => DeviceKind::Unknown(other.to_owned()),
    }
}
