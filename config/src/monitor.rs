//! `Interface.bfd`, and `Interface.cfm_mpid` with its keys in `other_config`: health checks.

use std::net::Ipv4Addr;
use std::time::Duration;

use bond::monitor::bfd;
use bond::monitor::cfm::{self, CcmVlan};
use ofproto::BfdMatch;
use ovsdb_client::rows::Interface;
use wire::EthAddr;
use wire::bfd::{DEFAULT_DST_IP, DEFAULT_DST_MAC, DEFAULT_SRC_IP};

use crate::inert;
use crate::option::{MAX_MS, OVS, Opt, Outside, keys, parse_number, range};
use crate::section::Section;
use crate::warning::Warning;

/// A BFD session as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantBfd {
    /// The session, without addresses.
    pub session: bfd::Config,
    /// `bfd_local_src_mac`; `None` = the interface's own address.
    pub src_mac: Option<EthAddr>,
    /// `bfd_local_dst_mac`.
    pub dst_mac: EthAddr,
    /// `bfd_remote_dst_mac`: only packets to this address are the session's.
    pub remote_dst_mac: Option<EthAddr>,
    /// `bfd_src_ip`; if it is not the default, only packets to this address are the session's.
    pub src_ip: Ipv4Addr,
    /// `bfd_dst_ip`.
    pub dst_ip: Ipv4Addr,
}

impl WantBfd {
    /// Which packets are the session's.
    pub fn own(&self) -> BfdMatch {
        let dst_ip = (self.src_ip != DEFAULT_SRC_IP).then_some(self.src_ip);
        BfdMatch { dst_mac: self.remote_dst_mac, dst_ip }
    }
}

/// `Interface.bfd` while it is being read.
pub(crate) struct BfdRow {
    enable: bool,
    want: WantBfd,
}

/// An address of zeros means that there is none, as in Open vSwitch.
fn not_zero(mac: EthAddr) -> Option<EthAddr> {
    (!mac.is_zero()).then_some(mac)
}

/// An IPv4 address; an empty text means `default`.
fn ip(text: &str, default: Ipv4Addr, to: &mut Ipv4Addr) -> Result<(), String> {
    if !text.is_empty() {
        *to = text.parse().map_err(|_| format!("accepted is an IPv4 address; using {default}"))?;
    }
    Ok(())
}

const DECAY_MIN_RX: &str = "decay_min_rx";

/// Keys of `Interface.bfd`.
pub(crate) const BFD: &[Opt<BfdRow>] = &[
    Opt::flag("enable", "run BFD on the interface", |b: &mut BfdRow, on| b.enable = on).since(OVS),
    Opt::number(
        "min_rx",
        "shortest interval at which control packets are accepted",
        range(1, MAX_MS, 1000, "ms").outside(Outside::Raise),
        |b: &mut BfdRow, ms| b.want.session.min_rx = Duration::from_millis(ms as u64),
    )
    .since(OVS),
    Opt::number(
        "min_tx",
        "shortest interval at which control packets are sent",
        range(1, MAX_MS, 100, "ms").outside(Outside::Raise),
        |b: &mut BfdRow, ms| b.want.session.min_tx = Duration::from_millis(ms as u64),
    )
    .since(OVS),
    Opt::number(
        DECAY_MIN_RX,
        "min_rx while there is no traffic; at least min_rx",
        range(1, MAX_MS, 0, "ms").note("0 = off").or_zero(),
        |b: &mut BfdRow, ms| b.want.session.decay_min_rx = Duration::from_millis(ms as u64),
    )
    .since(OVS),
    Opt::flag(
        "forwarding_if_rx",
        "received traffic keeps the interface usable",
        |b: &mut BfdRow, on| b.want.session.forwarding_if_rx = on,
    )
    .since(OVS),
    Opt::flag(
        "cpath_down",
        "tell the other end that the path is not to be used",
        |b: &mut BfdRow, on| b.want.session.cpath_down = on,
    )
    .since(OVS),
    Opt::number(
        "mult",
        "control packets that may be lost before the session goes down",
        range(1, 255, 3, "packets"),
        |b: &mut BfdRow, n| b.want.session.mult = n as u8,
    )
    .since(OVS),
    Opt::mac(
        "bfd_local_src_mac",
        "source address of what is sent, by default the interface's",
        |b: &mut BfdRow, mac| b.want.src_mac = not_zero(mac),
    )
    .since(OVS),
    Opt::mac("bfd_local_dst_mac", "destination address of what is sent", |b: &mut BfdRow, mac| {
        b.want.dst_mac = not_zero(mac).unwrap_or(DEFAULT_DST_MAC)
    })
    .since(OVS),
    Opt::mac("bfd_remote_dst_mac", "accept only packets to this address", |b: &mut BfdRow, mac| {
        b.want.remote_dst_mac = not_zero(mac)
    })
    .since(OVS),
    Opt::text(
        "bfd_src_ip",
        "source address of what is sent, by default 169.254.1.1",
        "an IPv4 address",
        |b: &mut BfdRow, text| ip(text, DEFAULT_SRC_IP, &mut b.want.src_ip),
    )
    .since(OVS),
    Opt::text(
        "bfd_dst_ip",
        "destination address of what is sent, by default 169.254.1.0",
        "an IPv4 address",
        |b: &mut BfdRow, text| ip(text, DEFAULT_DST_IP, &mut b.want.dst_ip),
    )
    .since(OVS),
];

/// `None` unless `bfd:enable` is true.
pub(crate) fn bfd(row: &Interface, warnings: &mut Vec<Warning>) -> Option<WantBfd> {
    let (table, column, map) = ("interface", "bfd", &row.bfd);
    let mut s = Section { table, row: &row.name, column, map, warnings };
    s.check_keys(&[keys(BFD)], inert::BFD, &[]);
    let mut want = BfdRow::new(&row.name);
    let (enable, others) = BFD.split_at(1);
    s.read(enable, &mut want);
    if !want.enable {
        return None;
    }
    s.read(others, &mut want);
    let session = &want.want.session;
    if !session.decay_min_rx.is_zero() && session.decay_min_rx < session.min_rx {
        s.warn(DECAY_MIN_RX, "must not be less than min_rx; not used");
    }
    Some(want.want)
}

impl BfdRow {
    fn new(name: &str) -> BfdRow {
        let want = WantBfd {
            session: bfd::Config::new(name),
            src_mac: None,
            dst_mac: DEFAULT_DST_MAC,
            remote_dst_mac: None,
            src_ip: DEFAULT_SRC_IP,
            dst_ip: DEFAULT_DST_IP,
        };
        BfdRow { enable: false, want }
    }
}

/// Keys of `Interface.other_config` that configure CFM.
pub(crate) const CFM: &[Opt<cfm::Config>] = &[
    Opt::number(
        "cfm_ccm_pcp",
        "priority (PCP) in the VLAN tag of what is sent",
        range(0, 7, 0, ""),
        |c: &mut cfm::Config, n| c.pcp = n as u8,
    )
    .since(OVS),
    Opt::text(
        "cfm_ccm_vlan",
        "VLAN of what is sent, by default none",
        "random, or 0 to 4095",
        |c: &mut cfm::Config, text| {
            c.vlan = match parse_number(text) {
                _ if text.eq_ignore_ascii_case("random") => CcmVlan::Random,
                Some(0) => CcmVlan::None,
                Some(vlan @ 1..=4095) => CcmVlan::Id(vlan as u16),
                _ => {
                    return Err("accepted are random and a VLAN, 0 to 4095; using none".to_owned());
                }
            };
            Ok(())
        },
    )
    .since(OVS),
    Opt::flag(
        "cfm_demand",
        "received traffic counts as continuity checks",
        |c: &mut cfm::Config, on| c.demand = on,
    )
    .since(OVS),
    Opt::flag(
        "cfm_extended",
        "extended mode: any interval, 64-bit identifiers",
        |c: &mut cfm::Config, on| c.extended = on,
    )
    .since(OVS),
    Opt::number(
        "cfm_interval",
        "interval of continuity check messages",
        range(1, MAX_MS, 1000, "ms"),
        |c: &mut cfm::Config, ms| c.interval = Duration::from_millis(ms as u64),
    )
    .since(OVS),
    Opt::word_any_case(
        "cfm_opstate",
        "the state that is told to the other end, in extended mode",
        &["up", "down"],
        |c: &mut cfm::Config, word| c.opup = word == "up",
    )
    .since(OVS),
];

/// `None` without `cfm_mpid`, or with one that cannot be used.
pub(crate) fn cfm(row: &Interface, warnings: &mut Vec<Warning>) -> Option<cfm::Config> {
    let mpid = row.cfm_mpid?;
    let mut config = cfm::Config::new(&row.name, mpid.max(0) as u64);
    let mut s = Section::other_config("interface", &row.name, &row.other_config, warnings);
    s.read(CFM, &mut config);
    if mpid >= 1 && (config.extended || config.mpid <= cfm::MAX_MPID) {
        return Some(config);
    }
    let advice = "accepted are 1 to 8191, and with cfm_extended any number from 1; CFM stays off";
    let of = ("interface", row.name.as_str());
    warnings.push(Warning::of_column(of, "cfm_mpid", mpid.to_string(), advice));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(bfd: &[(&str, &str)], mpid: Option<i64>, other: &[(&str, &str)]) -> Interface {
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
        };
        Interface {
            name: "p0".to_owned(),
            bfd: map(bfd),
            cfm_mpid: mpid,
            other_config: map(other),
            ..Interface::default()
        }
    }

    fn of_bfd(pairs: &[(&str, &str)]) -> (Option<WantBfd>, Vec<String>) {
        let mut warnings = Vec::new();
        let want = bfd(&row(pairs, None, &[]), &mut warnings);
        (want, warnings.iter().map(Warning::to_string).collect())
    }

    fn of_cfm(mpid: i64, other: &[(&str, &str)]) -> (Option<cfm::Config>, Vec<String>) {
        let mut warnings = Vec::new();
        let want = cfm(&row(&[], Some(mpid), other), &mut warnings);
        (want, warnings.iter().map(Warning::to_string).collect())
    }

    #[test]
    fn bfd_columns() {
        assert_eq!(of_bfd(&[]), (None, vec![]));
        assert_eq!(of_bfd(&[("enable", "false"), ("min_tx", "7")]), (None, vec![]));
        let (want, said) = of_bfd(&[("enable", "true")]);
        let want = want.unwrap();
        assert_eq!((want.session.clone(), said), (bfd::Config::new("p0"), vec![]));
        assert_eq!((want.src_ip, want.dst_mac), (DEFAULT_SRC_IP, DEFAULT_DST_MAC));

        let (want, said) = of_bfd(&[
            ("enable", "true"),
            ("min_rx", "-5"),
            ("min_tx", "x"),
            ("mult", "0"),
            ("decay_min_rx", "3000"),
            ("forwarding_if_rx", "true"),
            ("cpath_down", "true"),
            ("bfd_local_src_mac", "02:00:00:00:00:01"),
            ("bfd_local_dst_mac", "00:00:00:00:00:00"),
            ("bfd_remote_dst_mac", "2"),
            ("bfd_src_ip", "10.0.0.1"),
            ("bfd_dst_ip", "10.0.0"),
            ("minn_rx", "1"),
        ]);
        let want = want.unwrap();
        let session = bfd::Config {
            min_rx: Duration::from_millis(1),
            forwarding_if_rx: true,
            cpath_down: true,
            decay_min_rx: Duration::from_millis(3000),
            ..bfd::Config::new("p0")
        };
        assert_eq!(want.session, session);
        assert_eq!(want.src_mac, Some(EthAddr([2, 0, 0, 0, 0, 1])));
        assert_eq!((want.dst_mac, want.remote_dst_mac), (DEFAULT_DST_MAC, None));
        assert_eq!(want.src_ip, Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(want.dst_ip, DEFAULT_DST_IP);
        let keys: Vec<&str> = said.iter().filter_map(|w| w.split(": ").nth(1)).collect();
        assert_eq!(
            keys,
            [
                "bfd:minn_rx=1",
                "bfd:min_rx=-5",
                "bfd:min_tx=x",
                "bfd:mult=0",
                "bfd:bfd_remote_dst_mac=2",
                "bfd:bfd_dst_ip=10.0.0",
            ]
        );
    }

    #[test]
    fn cfm_columns() {
        assert_eq!(cfm(&row(&[], None, &[("cfm_interval", "3")]), &mut Vec::new()), None);
        assert_eq!(of_cfm(1, &[]), (Some(cfm::Config::new("p0", 1)), vec![]));
        let (want, said) = of_cfm(
            70_000,
            &[
                ("cfm_extended", "true"),
                ("cfm_demand", "true"),
                ("cfm_interval", "250"),
                ("cfm_opstate", "Down"),
                ("cfm_ccm_vlan", "Random"),
                ("cfm_ccm_pcp", "5"),
            ],
        );
        let config = cfm::Config {
            interval: Duration::from_millis(250),
            extended: true,
            demand: true,
            opup: false,
            vlan: CcmVlan::Random,
            pcp: 5,
            ..cfm::Config::new("p0", 70_000)
        };
        assert_eq!((want, said), (Some(config), vec![]));
        for (mpid, other) in [(0, &[][..]), (8192, &[]), (-1, &[("cfm_extended", "true")])] {
            let (want, said) = of_cfm(mpid, other);
            assert!(want.is_none() && said[0].contains(&format!("cfm_mpid={mpid}")), "{said:?}");
        }
        let (want, said) = of_cfm(1, &[("cfm_ccm_vlan", "4096"), ("cfm_interval", "0")]);
        let want = want.unwrap();
        assert_eq!(
            (want.vlan, want.interval, said.len()),
            (CcmVlan::None, Duration::from_secs(1), 2)
        );
    }
}
