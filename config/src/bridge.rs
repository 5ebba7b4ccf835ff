//! Rows of `Bridge`.

use std::collections::BTreeSet;
use std::time::Duration;

use ofproto::FailMode;
use ovsdb::Uuid;
use ovsdb_client::rows::{Bridge, Tables};
use wire::EthAddr;

use crate::claims::Claims;
use crate::columns;
use crate::controller::{self, OPENFLOW, WantOpenFlow};
use crate::flow_table::{self, WantTables};
use crate::iface::{DummyPolicy, Kinds};
use crate::inert;
use crate::mirror::{self, WantMirror};
use crate::option::{OVS, Opt, Outside, keys, range};
use crate::port::{self, WantPort};
use crate::section::Section;
use crate::unsupported;
use crate::warning::{Severity, Warning};

/// A bridge as wanted.
#[derive(Clone, Debug, PartialEq)]
pub struct WantBridge {
    /// The row.
    pub uuid: Uuid,
    /// `Bridge.name`.
    pub name: String,
    /// `system`, `netdev` or `dummy`; all are the datapath in this process.
    pub datapath_type: String,
    /// Its devices are dummies, and datapath port numbers come from their names.
    pub dummy_datapath: bool,
    /// `other_config:hwaddr`.
    pub hwaddr: Option<EthAddr>,
    /// `other_config:datapath-id`.
    pub datapath_id: Option<u64>,
    /// The address when no port has a fit one: from the row's UUID, so that it stays.
    pub default_mac: EthAddr,
    /// `fail_mode`.
    pub fail_mode: FailMode,
    /// OpenFlow and its controllers.
    pub openflow: WantOpenFlow,
    /// Settings of OpenFlow tables.
    pub flow_tables: WantTables,
    /// `other_config:mac-aging-time`.
    pub mac_aging: Duration,
    /// `other_config:mac-table-size`, addresses.
    pub mac_table_size: usize,
    /// `other_config:forward-bpdu`.
    pub forward_bpdu: bool,
    /// `flood_vlans`.
    pub flood_vlans: BTreeSet<u16>,
    /// The port named like the bridge first, then by name.
    pub ports: Vec<WantPort>,
    /// By UUID.
    pub mirrors: Vec<WantMirror>,
}

/// What [`BRIDGE`] sets.
#[derive(Default)]
pub(crate) struct BridgeRow {
    hwaddr: Option<EthAddr>,
    datapath_id: Option<u64>,
    forward_bpdu: bool,
    mac_aging: Duration,
    mac_table_size: usize,
}

const HWADDR: &str = "hwaddr";

/// Keys of `Bridge.other_config` but those of OpenFlow.
pub(crate) const BRIDGE: &[Opt<BridgeRow>] = &[
    Opt::mac(
        HWADDR,
        "the bridge's address, by default the lowest of its ports'",
        |b: &mut BridgeRow, mac| {
            b.hwaddr = Some(mac);
        },
    )
    .since(OVS),
    Opt::text(
        "datapath-id",
        "the OpenFlow datapath ID, by default from the bridge's address",
        "16 hexadecimal digits, or 0x and 1 to 16",
        |b: &mut BridgeRow, text| {
            b.datapath_id = parse_datapath_id(text);
            b.datapath_id.map(drop).ok_or_else(|| {
                "accepted are 16 hexadecimal digits, or 0x and 1 to 16, not all zero".to_owned()
            })
        },
    )
    .since(OVS),
    Opt::flag(
        "forward-bpdu",
        "forward frames to reserved multicast addresses",
        |b: &mut BridgeRow, on| {
            b.forward_bpdu = on;
        },
    )
    .since(OVS),
    Opt::number(
        "mac-aging-time",
        "how long an address is kept in the MAC table",
        range(15, 3600, 300, "s").or_zero().outside(Outside::Clamp),
        |b: &mut BridgeRow, n| {
            b.mac_aging = Duration::from_secs(if n == 0 { 300 } else { n as u64 })
        },
    )
    .since(OVS),
    Opt::number(
        "mac-table-size",
        "most addresses in the MAC table",
        range(10, 1_000_000, 8192, "").or_zero().outside(Outside::Clamp),
        |b: &mut BridgeRow, n| b.mac_table_size = if n == 0 { 8192 } else { n as usize },
    )
    .since(OVS),
];

/// Whether there is such a datapath.
pub(crate) fn has_datapath(datapath_type: &str, dummy: DummyPolicy) -> bool {
    match datapath_type {
        "" | "system" | "netdev" => true,
        "dummy" => dummy != DummyPolicy::Off,
        _ => false,
    }
}

pub(crate) fn want(
    tables: &Tables,
    uuid: Uuid,
    row: &Bridge,
    dummy: DummyPolicy,
    used: &mut Claims,
    warnings: &mut Vec<Warning>,
) -> WantBridge {
    unsupported::bridge(tables, uuid, row, warnings);
    let mut s = Section::other_config("bridge", &row.name, &row.other_config, warnings);
    s.check_keys(&[keys(BRIDGE), keys(OPENFLOW)], inert::BRIDGE, &[]);
    let mut options = BridgeRow::default();
    s.read(BRIDGE, &mut options);
    if let Some(mac) = options.hwaddr.filter(|mac| mac.is_multicast() || mac.is_zero()) {
        let to = if mac.is_zero() { "zero".to_owned() } else { format!("multicast address {mac}") };
        let text = format!("bridge {}: cannot set MAC address to {to}", row.name);
        s.warn_as(HWADDR, Severity::Err, text, "");
        options.hwaddr = None;
    }
    let fail_mode = match row.fail_mode.as_deref() {
        Some("secure") => FailMode::Secure,
        None | Some(_) => FailMode::Standalone,
    };
    let flood_vlans =
        columns::vlan_set("bridge", &row.name, "flood_vlans", &row.flood_vlans, warnings);

    let openflow = controller::want(tables, row, warnings);
    let datapath_type = match row.datapath_type.as_str() {
        "" => "system",
        other => other,
    };
    let dummy_datapath = dummy.is_dummy_datapath(datapath_type);
    let kinds = Kinds { policy: dummy, dummy_datapath };
    let mut ports: Vec<WantPort> = Vec::new();
    for (uuid, port) in row.ports.iter().filter_map(|u| Some((u, tables.ports.get(u)?))) {
        if ports.iter().any(|p| p.name == port.name) {
            let warning = Warning::of_column(("bridge", &row.name), "ports", &port.name, "");
            let text = format!("bridge {}: {} specified twice as bridge port", row.name, port.name);
            warnings.push(warning.said(Severity::Warn, text));
            continue;
        }
        let slb_ok = flood_vlans.is_empty();
        ports.push(port::want(tables, &row.name, *uuid, port, slb_ok, kinds, used, warnings));
    }
    ports.sort_by(|a, b| (a.name != row.name, &a.name).cmp(&(b.name != row.name, &b.name)));
    WantBridge {
        uuid,
        name: row.name.clone(),
        datapath_type: datapath_type.to_owned(),
        dummy_datapath,
        hwaddr: options.hwaddr,
        datapath_id: options.datapath_id,
        default_mac: default_mac(uuid),
        fail_mode,
        openflow,
        flow_tables: flow_table::want(tables, row),
        mac_aging: options.mac_aging,
        mac_table_size: options.mac_table_size,
        forward_bpdu: options.forward_bpdu,
        flood_vlans,
        ports,
        mirrors: mirror::want(tables, row, warnings),
    }
}

/// The UUID's first six octets as they lie in memory on a little-endian machine (four-octet words
/// in host order, as Open vSwitch has it), made a locally administered unicast address.
fn default_mac(uuid: Uuid) -> EthAddr {
    let b = uuid.as_u128().to_be_bytes();
    let mac = [b[3], b[2], b[1], b[0], b[7], b[6]];
    EthAddr([(mac[0] & !1) | 2, mac[1], mac[2], mac[3], mac[4], mac[5]])
}

/// `0x` and 1 to 16 hexadecimal digits, or exactly 16; not 0.
fn parse_datapath_id(text: &str) -> Option<u64> {
    let digits = match text.strip_prefix("0x") {
        Some(d) if (1..=16).contains(&d.len()) => d,
        Some(_) => return None,
        None if text.len() == 16 => text,
        None => return None,
    };
    if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u64::from_str_radix(digits, 16).ok().filter(|id| *id != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn datapath_ids() {
        assert_eq!(parse_datapath_id("0x1"), Some(1));
        assert_eq!(parse_datapath_id("00000000000000ff"), Some(255));
        for bad in [
            "",
            "1",
            "0x",
            "0",
            "0000000000000000",
            "0x00112233445566778",
            "+x",
            "+000000000000001",
        ] {
            assert_eq!(parse_datapath_id(bad), None, "{bad}");
        }
    }

    /// Seen with Open vSwitch 3.1 on a little-endian machine.
    #[test]
    fn default_address_of_a_uuid() {
        let uuid: Uuid = "29e148ba-4de1-436c-bc01-890097e0663d".parse().unwrap();
        assert_eq!(default_mac(uuid).to_string(), "ba:48:e1:29:6c:43");
    }
}
