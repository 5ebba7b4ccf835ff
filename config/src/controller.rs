//! Rows of `Controller`, and what a bridge says of OpenFlow.

use std::collections::BTreeSet;
use std::net::SocketAddrV4;
use std::time::Duration;

use ofproto::controller::{ControllerConfig, Timing};
use openflow::{Version, VersionSet};
use ovsdb::Uuid;
use ovsdb_client::rows::{Bridge, Controller, OpenVSwitch, Tables};
use stream::target;

use crate::option::{OVS, Opt, keys, millis, range};
use crate::section::Section;
use crate::unsupported;
use crate::warning::{Severity, Warning};

/// OVSDB's port (IANA).
const OVSDB_PORT: u16 = 6640;
/// The database's defaults.
const MAX_BACKOFF: Duration = Duration::from_secs(8);
const PROBE: Duration = Duration::from_secs(5);

/// OpenFlow of one bridge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantOpenFlow {
    /// `protocols`; all versions when that is empty.
    pub versions: VersionSet,
    /// In the order of their targets, which are unique.
    pub controllers: Vec<WantController>,
    /// `other_config:dp-desc`.
    pub description: Option<String>,
    /// `other_config:dp-sn`.
    pub serial: Option<String>,
    /// `other_config:controller-queue-size`, for those that say nothing themselves and for tools.
    pub queue_size: usize,
    /// Managers that must be reached through the bridge's ports.
    pub managers: BTreeSet<SocketAddrV4>,
    /// `other_config:in-band-queue`.
    pub in_band_queue: Option<u32>,
}

/// A row of `Controller`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantController {
    /// The row.
    pub uuid: Uuid,
    /// What the row says.
    pub config: ControllerConfig,
}

/// What [`OPENFLOW`] sets.
#[derive(Default)]
pub(crate) struct OpenFlowRow {
    queue_size: usize,
    disable_in_band: bool,
    description: Option<String>,
    serial: Option<String>,
    in_band_queue: Option<u32>,
}

/// Keys of `Bridge.other_config` that configure OpenFlow.
pub(crate) const OPENFLOW: &[Opt<OpenFlowRow>] = &[
    Opt::number(
        "controller-queue-size",
        "packets that may wait for a controller",
        range(1, 512, 100, "packets"),
        |o: &mut OpenFlowRow, n| o.queue_size = n as usize,
    )
    .since(OVS),
    Opt::flag("disable-in-band", "no in-band control", |o: &mut OpenFlowRow, on| {
        o.disable_in_band = on
    })
    .since(OVS),
    Opt::text(
        "dp-desc",
        "the datapath's description in OpenFlow",
        "any text",
        |o: &mut OpenFlowRow, text| {
            o.description = Some(text.to_owned());
            Ok(())
        },
    )
    .since(OVS),
    Opt::text("dp-sn", "the serial number in OpenFlow", "any text", |o: &mut OpenFlowRow, text| {
        o.serial = Some(text.to_owned());
        Ok(())
    })
    .since(OVS),
    Opt::number(
        "in-band-queue",
        "queue of in-band control traffic",
        range(-1, u32::MAX as i64, -1, "").note("-1 = none"),
        |o: &mut OpenFlowRow, n| o.in_band_queue = u32::try_from(n).ok(),
    )
    .since(OVS),
];

/// Keys of `Controller.other_config`.
pub(crate) const CONTROLLER: &[Opt<u8>] = &[Opt::number(
    "dscp",
    "differentiated services code point of the connection's packets",
    range(0, 63, 48, ""),
    |dscp: &mut u8, n| *dscp = n as u8,
)
.since(OVS)];

/// Reads what concerns OpenFlow in a bridge's row and its controllers'.
pub(crate) fn want(tables: &Tables, row: &Bridge, warnings: &mut Vec<Warning>) -> WantOpenFlow {
    let mut versions: VersionSet =
        row.protocols.iter().filter_map(|p| Version::from_name(p)).collect();
    if versions.is_empty() {
        versions = VersionSet::ALL;
    }
    let mut s = Section::other_config("bridge", &row.name, &row.other_config, warnings);
    let mut options = OpenFlowRow::default();
    s.read(OPENFLOW, &mut options);
    let OpenFlowRow { queue_size, disable_in_band, description, serial, in_band_queue } = options;
    let rows: Vec<(Uuid, &Controller)> =
        row.controller.iter().filter_map(|u| Some((*u, tables.controllers.get(u)?))).collect();
    let none = matches!(rows.as_slice(), [(_, only)] if only.target == "none");
    let mut controllers: Vec<WantController> = Vec::new();
    for (uuid, c) in rows.into_iter().filter(|_| !none) {
        if controllers.iter().any(|other| other.config.target == c.target) {
            let warning = Warning::of_column(("bridge", &row.name), "controller", &c.target, "");
            let text = format!("bridge {}: Duplicate controllers \"{}\".", row.name, c.target);
            warnings.push(warning.said(Severity::Warn, text));
            continue;
        }
        unsupported::controller(c, warnings);
        let config = one(c, queue_size, disable_in_band, warnings);
        controllers.push(WantController { uuid, config });
    }
    controllers.sort_by(|a, b| a.config.target.cmp(&b.config.target));
    let managers = if disable_in_band { BTreeSet::new() } else { managers(tables) };
    WantOpenFlow { versions, controllers, description, serial, queue_size, managers, in_band_queue }
}

/// In-band managers elsewhere.
fn managers(tables: &Tables) -> BTreeSet<SocketAddrV4> {
    let root = tables.open_vswitch.values().flat_map(|root| &root.manager_options);
    let rows = root.filter_map(|uuid| tables.managers.get(uuid));
    rows.filter(|m| m.connection_mode.as_deref() != Some("out-of-band"))
        .filter_map(|m| target::ipv4(&m.target, OVSDB_PORT))
        .filter(|at| !at.ip().is_loopback())
        .collect()
}

fn one(
    c: &Controller,
    queue_size: usize,
    disable_in_band: bool,
    warnings: &mut Vec<Warning>,
) -> ControllerConfig {
    let max_backoff = c.max_backoff.map_or(MAX_BACKOFF, |ms| whole_seconds(ms).max(SECOND));
    let probe = match c.inactivity_probe {
        None => PROBE,
        Some(0) => Duration::ZERO,
        Some(ms) => whole_seconds(ms).max(SECOND),
    };
    let mut s = Section::other_config("controller", &c.target, &c.other_config, warnings);
    s.check_keys(&[keys(CONTROLLER)], &[], &[]);
    let mut dscp = 0;
    s.read(CONTROLLER, &mut dscp);
    ControllerConfig {
        target: c.target.clone(),
        primary: match c.r#type.as_deref() {
            Some("primary") => true,
            Some("service") => false,
            Some(_) | None => target::is_active(&c.target),
        },
        timing: Timing { max_backoff, probe: (!probe.is_zero()).then(|| probe.max(PROBE)) },
        probe,
        in_band: !disable_in_band && c.connection_mode.as_deref() != Some("out-of-band"),
        async_messages: c.enable_async_messages.unwrap_or(true),
        rate_limit: number(c.controller_rate_limit),
        burst_limit: number(c.controller_burst_limit),
        queue_size: c
            .controller_queue_size
            .and_then(|n| usize::try_from(n).ok())
            .filter(|n| (1..=512).contains(n))
            .unwrap_or(queue_size),
        dscp,
    }
}

/// The files that the `SSL` row names.
pub(crate) fn tls(tables: &Tables, root: &OpenVSwitch) -> Option<tls::Settings> {
    let row = tables.ssls.get(&root.ssl?)?;
    let path = |text: &str| (!text.is_empty()).then(|| text.into());
    Some(tls::Settings {
        private_key: path(&row.private_key),
        certificate: path(&row.certificate),
        ca_cert: path(&row.ca_cert),
        bootstrap: row.bootstrap_ca_cert,
        ..tls::Settings::default()
    })
}

const SECOND: Duration = Duration::from_secs(1);

fn whole_seconds(ms: i64) -> Duration {
    Duration::from_secs(millis(ms).as_secs())
}

fn number(n: Option<i64>) -> u32 {
    n.map_or(0, |n| u32::try_from(n.max(0)).unwrap_or(u32::MAX))
}
