//! Rows of `Port`.

use std::collections::BTreeSet;

use ofproto::VlanMode;
use ofproto::config::PriorityTags;
use ovsdb::Uuid;
use ovsdb_client::rows::{Port, Tables};
use wire::EthAddr;

use crate::bond::{self, WantBond, WantLacp};
use crate::claims::Claims;
use crate::columns::{mac_column, vlan_set};
use crate::iface::{self, Kinds, WantIface};
use crate::options;
use crate::unsupported;
use crate::warning::{Section, Severity, Warning};

/// A port as wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct WantPort {
    pub uuid: Uuid,
    pub name: String,
    pub vlan_mode: VlanMode,
    /// The access or native VLAN; 0 = none.
    pub vlan: u16,
    /// Empty = all.
    pub trunks: BTreeSet<u16>,
    /// Customer VLANs of a `dot1q-tunnel` port; empty = all.
    pub cvlans: BTreeSet<u16>,
    pub priority_tags: PriorityTags,
    pub protected: bool,
    /// `mac`: the address that this port offers the bridge.
    pub mac: Option<EthAddr>,
    /// `fake_bridge`: an internal port that stands for a VLAN.
    pub fake_bridge: bool,
    /// A bond that also gets an internal device of its own name (`bond_fake_iface`).
    pub fake_iface: Option<WantIface>,
    /// The row names two or more interfaces.
    pub bond: Option<WantBond>,
    pub lacp: Option<WantLacp>,
    /// By name.
    pub ifaces: Vec<WantIface>,
}

#[allow(clippy::too_many_arguments)]
pub(crate) fn want(
    tables: &Tables,
    bridge: &str,
    uuid: Uuid,
    row: &Port,
    slb_ok: bool,
    kinds: Kinds,
    used: &mut Claims,
    warnings: &mut Vec<Warning>,
) -> WantPort {
    unsupported::port(tables, row, warnings);
    let (vlan_mode, vlan, trunks) = vlans(row, warnings);
    let cvlans = vlan_set("port", &row.name, "cvlans", &row.cvlans, warnings);
    let mut s = Section { table: "port", row: &row.name, map: &row.other_config, warnings };
    s.keys(options::PORT);
    let priority_tags = match s.word(&options::PRIORITY_TAGS, false) {
        "if-nonzero" | "true" => PriorityTags::IfNonzero,
        "always" => PriorityTags::Always,
        _ => PriorityTags::No,
    };
    let mac = mac_column("port", &row.name, row.mac.as_deref(), warnings);

    let mut ifaces = Vec::new();
    for (id, iface) in row.interfaces.iter().filter_map(|u| Some((u, tables.interfaces.get(u)?))) {
        let others = used.owners.get(id).is_some_and(|owner| *owner != uuid);
        if others || !used.interfaces.insert(iface.name.clone()) {
            let advice = "the interface belongs to another port already; it stays there";
            let of = ("port", row.name.as_str());
            warnings.push(Warning::of_column(of, "interfaces", &iface.name, advice));
            continue;
        }
        ifaces.push(iface::want(bridge, *id, iface, kinds, warnings));
    }
    ifaces.sort_by(|a, b| a.name.cmp(&b.name));
    let is_bond = ifaces.len() > 1;
    let lacp = bond::lacp(row, is_bond, warnings);
    let bond = is_bond.then(|| bond::want(row, slb_ok, &ifaces, warnings));
    WantPort {
        uuid,
        name: row.name.clone(),
        vlan_mode,
        vlan,
        trunks,
        cvlans,
        priority_tags,
        protected: row.protected,
        mac,
        fake_bridge: row.fake_bridge,
        fake_iface: (row.bond_fake_iface && is_bond)
            .then(|| WantIface::internal(uuid, &row.name, kinds))
            .filter(|f| ifaces.iter().all(|i| i.name != f.name)),
        bond,
        lacp,
        ifaces,
    }
}

/// Mode, VLAN and trunks, the mode's default worked out from the other two.
fn vlans(row: &Port, warnings: &mut Vec<Warning>) -> (VlanMode, u16, BTreeSet<u16>) {
    let name = row.name.as_str();
    let mut warn = |column: &str, value: String, advice: &str, text: &str| {
        let warning = Warning::of_column(("port", name), column, value, advice);
        warnings.push(match text {
            "" => warning,
            text => warning.said(Severity::Warn, format!("port {name}: {text}")),
        });
    };
    let tag = row.tag.and_then(|t| match u16::try_from(t) {
        Ok(t) if t <= 4095 => Some(t),
        _ => {
            warn("tag", t.to_string(), "accepted is a VLAN, 0 to 4095; using none", "");
            None
        }
    });
    let tpid = match row.other_config.get(options::QINQ_ETHTYPE.name).map(String::as_str) {
        Some("802.1q") => wire::EtherType::VLAN,
        _ => wire::EtherType::VLAN_8021AD,
    };
    let mode = match row.vlan_mode.as_deref() {
        Some("access") => VlanMode::Access,
        Some("trunk") => VlanMode::Trunk,
        Some("native-tagged") => VlanMode::NativeTagged,
        Some("native-untagged") => VlanMode::NativeUntagged,
        Some("dot1q-tunnel") => VlanMode::Dot1qTunnel { tpid },
        Some(other) => {
            warn(
                "vlan_mode",
                other.to_owned(),
                "accepted are access, trunk, native-tagged, native-untagged, dot1q-tunnel",
                &format!("unknown VLAN mode {other}, falling back to trunk mode"),
            );
            VlanMode::Trunk
        }
        None if tag.is_some() => {
            if !row.trunks.is_empty() {
                let text = "ignoring trunks in favor of implicit vlan";
                warn("trunks", format!("{:?}", row.trunks), "", text);
            }
            VlanMode::Access
        }
        None => VlanMode::Trunk,
    };
    let mut trunks = vlan_set("port", &row.name, "trunks", &row.trunks, warnings);
    if mode == VlanMode::Access {
        trunks.clear();
    }
    (mode, tag.unwrap_or(0), trunks)
}
