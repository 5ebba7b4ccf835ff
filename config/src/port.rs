//! Rows of `Port`.

use ::bond::LacpConfig;
use ofproto::VlanMode;
use ofproto::config::{BundleSettings, PriorityTags};
use ovsdb::Uuid;
use ovsdb_client::rows::{Port, Tables};
use wire::EthAddr;

use crate::aggregation::{AGGREGATION, MIN_LINKS};
use crate::bond::{self, BOND, LACP, WantBond};
use crate::claims::Claims;
use crate::columns::{mac_column, vlan_set};
use crate::iface::{self, Kinds, WantIface};
use crate::inert;
use crate::notify::NOTIFY;
use crate::option::{OVS, Opt, keys};
use crate::policy::POLICY;
use crate::probe::PROBE;
use crate::section::Section;
use crate::unsupported;
use crate::warning::{Severity, Warning};

/// A port as wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct WantPort {
    /// The row.
    pub uuid: Uuid,
    /// `Port.name`.
    pub name: String,
    /// VLANs and protection.
    pub bundle: BundleSettings,
    /// `mac`: the address that this port offers the bridge.
    pub mac: Option<EthAddr>,
    /// `fake_bridge`: an internal port that stands for a VLAN.
    pub fake_bridge: bool,
    /// A bond that also gets an internal device of its own name (`bond_fake_iface`).
    pub fake_iface: Option<WantIface>,
    /// The row names two or more interfaces.
    pub bond: Option<WantBond>,
    /// `system_id` is zero where the bridge's address is to be used.
    pub lacp: Option<LacpConfig>,
    /// By name.
    pub ifaces: Vec<WantIface>,
}

/// Keys of `Port.other_config` that configure neither a bond nor LACP.
pub(crate) const PORT: &[Opt<PortRow>] = &[
    Opt::word(
        "priority-tags",
        "when an untagged packet leaves with a tag of VLAN 0",
        &["never", "if-nonzero", "always", "true", "no", "false"],
        |p: &mut PortRow, word| {
            p.priority_tags = match word {
                "if-nonzero" | "true" => PriorityTags::IfNonzero,
                "always" => PriorityTags::Always,
                _ => PriorityTags::No,
            }
        },
    )
    .since(OVS),
    Opt::word(
        "qinq-ethtype",
        "the Ethernet type of the outer tag of vlan_mode=dot1q-tunnel",
        &["802.1ad", "802.1q"],
        |p: &mut PortRow, word| {
            p.tpid = match word {
                "802.1q" => wire::EtherType::VLAN,
                _ => wire::EtherType::VLAN_8021AD,
            }
        },
    )
    .since(OVS),
];

/// What [`PORT`] sets.
#[derive(Default)]
pub(crate) struct PortRow {
    priority_tags: PriorityTags,
    tpid: u16,
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
    let mut s = Section::other_config("port", &row.name, &row.other_config, warnings);
    let known = [
        keys(BOND),
        keys(POLICY),
        keys(MIN_LINKS),
        keys(NOTIFY),
        keys(PROBE),
        keys(LACP),
        keys(AGGREGATION),
        keys(PORT),
    ];
    s.check_keys(&known, inert::PORT, inert::PORT_FOREIGN);
    let mut options = PortRow::default();
    s.read(PORT, &mut options);
    let bundle = bundle(row, &options, warnings);
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
    let bond = is_bond.then(|| {
        let members: Vec<&str> = ifaces.iter().map(|i| i.name.as_str()).collect();
        bond::want(row, slb_ok, &members, (&bundle, lacp.is_some()), warnings)
    });
    WantPort {
        uuid,
        name: row.name.clone(),
        bundle,
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

/// VLANs and protection; the mode's default follows from `tag` and `trunks`.
fn bundle(row: &Port, options: &PortRow, warnings: &mut Vec<Warning>) -> BundleSettings {
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
    let mode = match row.vlan_mode.as_deref() {
        Some("access") => VlanMode::Access,
        Some("trunk") => VlanMode::Trunk,
        Some("native-tagged") => VlanMode::NativeTagged,
        Some("native-untagged") => VlanMode::NativeUntagged,
        Some("dot1q-tunnel") => VlanMode::Dot1qTunnel { tpid: options.tpid },
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
    BundleSettings {
        vlan_mode: mode,
        vlan: tag.unwrap_or(0),
        trunks,
        cvlans: vlan_set("port", &row.name, "cvlans", &row.cvlans, warnings),
        priority_tags: options.priority_tags,
        protected: row.protected,
    }
}
