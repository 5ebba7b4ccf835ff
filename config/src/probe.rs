//! Probes of a bond's members: the options `bond-probe-*`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ::bond::monitor::probe::{ProbeConfig, Quorum, Validate};
use ofproto::VlanMode;
use ofproto::config::BundleSettings;

use crate::option::{MAX_MS, Opt, Refusal, millis, range};
use crate::section::Section;

const INTERVAL: &str = "bond-probe-interval";
const TARGETS: &str = "bond-probe-targets";
const QUORUM: &str = "bond-probe-quorum";
const VALIDATE: &str = "bond-probe-validate";
const VLAN: &str = "bond-probe-vlan";
const SOURCE: &str = "bond-probe-source";

/// Targets of one address family at most, as in Linux.
const MAX_TARGETS: usize = 16;

/// The options while they are being read.
#[derive(Default)]
pub(crate) struct ProbeRow {
    probe: ProbeConfig,
    vlan: u16,
}

/// Keys of `Port.other_config` that configure probes.
pub(crate) const PROBE: &[Opt<ProbeRow>] = &[
    Opt::number(
        INTERVAL,
        "how often each member asks the targets for their address, by ARP or neighbour solicitation",
        range(1, MAX_MS, 0, "ms").note("0 = off").or_zero(),
        |r: &mut ProbeRow, ms| r.probe.interval = millis(ms),
    )
    .since("0.1.0"),
    Opt::text(
        TARGETS,
        "stations beyond the first switch that members have to reach",
        "IPv4 and IPv6 addresses, with commas or spaces between them, 16 of each at most",
        |r: &mut ProbeRow, text| {
            r.probe.targets = targets(text)?;
            Ok(())
        },
    )
    .since("0.1.0"),
    Opt::text(
        QUORUM,
        "how many targets have to answer on a member; one by default",
        "any, all, or a number of targets",
        |r: &mut ProbeRow, text| {
            r.probe.quorum = match (text, text.trim().parse()) {
                ("any", _) => Quorum::Any,
                ("all", _) => Quorum::All,
                (_, Ok(n)) if n > 0 => Quorum::Number(n),
                _ => {
                    let accepted = "accepted are any, all, or a number from 1";
                    return Err(format!("{accepted}; using any"));
                }
            };
            Ok(())
        },
    )
    .since("0.1.0"),
    Opt::word(
        VALIDATE,
        "what counts as a sign of life: answers of the targets (on the active member, on the \
         others, or on all), any ARP and neighbour discovery (filter), or any packet (none)",
        &["none", "active", "backup", "all", "filter", "filter_active", "filter_backup"],
        |r: &mut ProbeRow, word| {
            r.probe.validate = match word {
                "active" => Validate::Active,
                "backup" => Validate::Backup,
                "all" => Validate::All,
                "filter" => Validate::Filter,
                "filter_active" => Validate::FilterActive,
                "filter_backup" => Validate::FilterBackup,
                _ => Validate::None,
            }
        },
    )
    .since("0.1.0"),
    Opt::number(
        "bond-probe-missed-max",
        "probes in a row without a sign of life that disable a member, and with one that enable it \
         again",
        range(1, 255, 2, ""),
        |r: &mut ProbeRow, n| r.probe.missed_max = n as u8,
    )
    .since("0.1.0"),
    Opt::number(
        VLAN,
        "the VLAN of the probes, which the port has to carry; tagged as the port sends that VLAN",
        range(0, 4094, 0, "").note("0 = the port's untagged VLAN"),
        |r: &mut ProbeRow, n| r.vlan = n as u16,
    )
    .since("0.1.0"),
    Opt::text(
        SOURCE,
        "the address that probes come from, which no host may have; by default 0.0.0.0 (an ARP \
         probe of RFC 5227) and the member's link-local address",
        "an IPv4 address, an IPv6 address, or one of each",
        |r: &mut ProbeRow, text| {
            (r.probe.ipv4, r.probe.ipv6) = source(text)?;
            Ok(())
        },
    )
    .since("0.1.0"),
];

/// The addresses in a list.
fn addresses(text: &str) -> Result<Vec<IpAddr>, String> {
    let words = text.split([',', ' ', '\t']).filter(|w| !w.is_empty());
    words.map(|w| w.parse().map_err(|_| format!("{w} is no address"))).collect()
}

/// One station's address: neither unspecified nor that of a group.
fn is_unicast(address: IpAddr) -> bool {
    let broadcast = match address {
        IpAddr::V4(a) => a.is_broadcast(),
        IpAddr::V6(a) => a.to_ipv4_mapped().is_some(),
    };
    !address.is_unspecified() && !address.is_multicast() && !address.is_loopback() && !broadcast
}

fn targets(text: &str) -> Result<Vec<IpAddr>, Refusal> {
    let refused = |why: String| {
        format!(
            "{why}; accepted are addresses of stations, IPv4 and IPv6, with commas or spaces \
             between them, {MAX_TARGETS} of each at most; using none"
        )
    };
    let mut all: Vec<IpAddr> = Vec::new();
    for address in addresses(text).map_err(refused)? {
        if !is_unicast(address) {
            return Err(refused(format!("{address} is not the address of one station")));
        }
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let many = |v4: bool| all.iter().filter(|a| a.is_ipv4() == v4).count() > MAX_TARGETS;
    if many(true) || many(false) {
        return Err(refused(format!("{} targets", all.len())));
    }
    Ok(all)
}

fn source(text: &str) -> Result<(Ipv4Addr, Option<Ipv6Addr>), Refusal> {
    let refused = |why: String| {
        format!(
            "{why}; accepted are one IPv4 address and one IPv6 address, with a comma or a space \
             between them; using 0.0.0.0 and the member's link-local address"
        )
    };
    let (mut ipv4, mut ipv6) = (None, None);
    for address in addresses(text).map_err(refused)? {
        let twice = match address {
            IpAddr::V4(a) if a.is_unspecified() || is_unicast(address) => ipv4.replace(a).is_some(),
            IpAddr::V6(a) if a.is_unspecified() => {
                let why = ":: cannot solicit, but for duplicate address detection (RFC 4861)";
                return Err(refused(why.to_owned()));
            }
            IpAddr::V6(a) if is_unicast(address) => ipv6.replace(a).is_some(),
            IpAddr::V4(_) | IpAddr::V6(_) => {
                return Err(refused(format!("{address} is not the address of one station")));
            }
        };
        if twice {
            return Err(refused("two addresses of one family".to_owned()));
        }
    }
    Ok((ipv4.unwrap_or(Ipv4Addr::UNSPECIFIED), ipv6))
}

/// The probes of a bond, off if they cannot be sent as the row says.
pub(crate) fn want(s: &mut Section<'_>, port: &BundleSettings, lacp: bool) -> ProbeConfig {
    let mut row = ProbeRow::default();
    s.read(PROBE, &mut row);
    let ProbeRow { mut probe, vlan } = row;
    let has = |s: &Section<'_>, key: &str| s.map.contains_key(key);

    match (probe.interval.is_zero(), probe.targets.is_empty()) {
        (false, true) => {
            let how = "accepted with the addresses of stations in";
            s.warn(INTERVAL, format!("nothing is probed; {how} {TARGETS}"));
        }
        (true, false) => {
            let how = "accepted with a number of ms, from 1, in";
            s.warn(TARGETS, format!("nothing is probed; {how} {INTERVAL}"));
        }
        (true, true) | (false, false) => {}
    }
    let count = probe.targets.len();
    if let Quorum::Number(n) = probe.quorum
        && n > count
        && count > 0
    {
        s.warn(QUORUM, format!("there are {count} targets; accepted are any, all, or a number from 1 to {count}; using any"));
        probe.quorum = Quorum::Any;
    }
    if !probe.is_on() {
        return probe;
    }
    if probe.quorum != Quorum::Any && probe.validate == Validate::None {
        let with = "active, backup, all, filter_active, filter_backup";
        s.warn(
            QUORUM,
            format!("has no effect while any packet counts as a sign of life; accepted with {VALIDATE} {with}"),
        );
    }
    if has(s, SOURCE) {
        let without = |v4: bool| probe.targets.iter().all(|t| t.is_ipv4() != v4);
        let (v4, v6) = (!probe.ipv4.is_unspecified(), probe.ipv6.is_some());
        let stranger = if v4 && without(true) {
            probe.ipv4 = Ipv4Addr::UNSPECIFIED;
            Some("IPv4")
        } else if v6 && without(false) {
            probe.ipv6 = None;
            Some("IPv6")
        } else {
            None
        };
        if let Some(family) = stranger {
            s.warn(
                SOURCE,
                format!("no target has an {family} address; accepted is an address of the targets' family; using the default"),
            );
        }
        let own = [Some(IpAddr::from(probe.ipv4)), probe.ipv6.map(IpAddr::from)];
        if own.iter().flatten().any(|own| probe.targets.contains(own)) {
            s.warn(
                SOURCE,
                "is a target; accepted is an address that no station has; using the default",
            );
            (probe.ipv4, probe.ipv6) = (Ipv4Addr::UNSPECIFIED, None);
        }
    }
    if lacp {
        s.warn(
            INTERVAL,
            "nothing is probed while lacp is active or passive, since an answer may come by any \
             link of the aggregate; accepted with lacp=off",
        );
        probe.interval = std::time::Duration::ZERO;
        return probe;
    }
    match on_the_wire(port, vlan) {
        Ok(vid) => probe.vid = vid,
        Err(carried) => {
            let key = if has(s, VLAN) { VLAN } else { INTERVAL };
            s.warn(
                key,
                format!("nothing is probed, since the port does not carry VLAN {vlan}; accepted in {VLAN} is {carried}"),
            );
            probe.interval = std::time::Duration::ZERO;
        }
    }
    probe
}

/// The tag with which a port sends packets of `vlan`; `None` = untagged.
///
/// # Errors
///
/// The port does not carry it; the text says what it carries.
fn on_the_wire(port: &BundleSettings, vlan: u16) -> Result<Option<u16>, String> {
    let list = |vlans: &std::collections::BTreeSet<u16>| {
        let shown: Vec<String> = vlans.iter().map(u16::to_string).collect();
        shown.join(", ")
    };
    let native = port.vlan;
    let in_trunk = |vid: u16| port.trunks.is_empty() || port.trunks.contains(&vid);
    match port.vlan_mode {
        VlanMode::Access if vlan == 0 || vlan == native => Ok(None),
        VlanMode::Access => Err(format!("0 or {native}")),
        VlanMode::Trunk if in_trunk(vlan) => Ok(Some(vlan).filter(|v| *v != 0)),
        VlanMode::Trunk => Err(list(&port.trunks)),
        VlanMode::NativeUntagged if vlan == 0 || vlan == native => Ok(None),
        VlanMode::NativeTagged if vlan == 0 || vlan == native => {
            Ok(Some(native).filter(|v| *v != 0))
        }
        VlanMode::NativeUntagged | VlanMode::NativeTagged if in_trunk(vlan) => Ok(Some(vlan)),
        VlanMode::NativeUntagged | VlanMode::NativeTagged => {
            Err(format!("0, {native}, {}", list(&port.trunks)))
        }
        // The customers' packets, whose outer tag exists within the bridge only.
        VlanMode::Dot1qTunnel { .. } if port.cvlans.is_empty() || port.cvlans.contains(&vlan) => {
            Ok(Some(vlan).filter(|v| *v != 0))
        }
        VlanMode::Dot1qTunnel { .. } => Err(list(&port.cvlans)),
    }
}
