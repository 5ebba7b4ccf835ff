//! `Interface.bfd`, and `Interface.cfm_mpid` with its keys in `other_config`: health checks.

use std::net::Ipv4Addr;

use bond::monitor::bfd;
use bond::monitor::cfm::{self, CcmVlan};
use ofproto::BfdMatch;
use ovsdb_client::rows::Interface;
use wire::EthAddr;
use wire::bfd::{DEFAULT_DST_IP, DEFAULT_DST_MAC, DEFAULT_SRC_IP};

use crate::options::{self, Opt};
use crate::warning::{Section, Warning, parse_number};

/// A BFD session as wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantBfd {
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

/// `None` unless `bfd:enable` is true.
pub(crate) fn bfd(row: &Interface, warnings: &mut Vec<Warning>) -> Option<WantBfd> {
    let mut said = Vec::new();
    let mut s = Section { table: "interface", row: &row.name, map: &row.bfd, warnings: &mut said };
    s.keys(options::BFD);
    let want = s.flag(&options::BFD_ENABLE).then(|| session(&row.name, &mut s));
    warnings.extend(said.into_iter().map(|w| Warning { column: "bfd".to_owned(), ..w }));
    want
}

fn session(name: &str, s: &mut Section<'_>) -> WantBfd {
    let min_rx = s.number_raised(&options::BFD_MIN_RX);
    let decay_min_rx = match s.number(&options::BFD_DECAY_MIN_RX) {
        decay if decay != 0 && decay < min_rx => {
            s.refuse(&options::BFD_DECAY_MIN_RX, "must not be less than min_rx; not used");
            0
        }
        decay => decay,
    };
    let session = bfd::Config {
        min_tx: s.number_raised(&options::BFD_MIN_TX) as u64,
        min_rx: min_rx as u64,
        mult: s.number(&options::BFD_MULT) as u8,
        cpath_down: s.flag(&options::BFD_CPATH_DOWN),
        forwarding_if_rx: s.flag(&options::BFD_FORWARDING_IF_RX),
        decay_min_rx: decay_min_rx as u64,
        ..bfd::Config::new(name)
    };
    // An address of zeros is none, as upstream.
    let mut mac = |opt: &Opt| s.mac(opt).ok().flatten().filter(|mac| !mac.is_zero());
    let src_mac = mac(&options::BFD_LOCAL_SRC_MAC);
    let dst_mac = mac(&options::BFD_LOCAL_DST_MAC).unwrap_or(DEFAULT_DST_MAC);
    let remote_dst_mac = mac(&options::BFD_REMOTE_DST_MAC);
    let src_ip = ip(s, &options::BFD_SRC_IP, DEFAULT_SRC_IP);
    let dst_ip = ip(s, &options::BFD_DST_IP, DEFAULT_DST_IP);
    WantBfd { session, src_mac, dst_mac, remote_dst_mac, src_ip, dst_ip }
}

fn ip(s: &mut Section<'_>, opt: &Opt, default: Ipv4Addr) -> Ipv4Addr {
    match s.text(opt).filter(|t| !t.is_empty()).map(|t| t.parse()) {
        None => default,
        Some(Ok(ip)) => ip,
        Some(Err(_)) => {
            s.refuse(opt, &format!("accepted is an IPv4 address; using {default}"));
            default
        }
    }
}

/// `None` without `cfm_mpid`, or with one that cannot be used.
pub(crate) fn cfm(row: &Interface, warnings: &mut Vec<Warning>) -> Option<cfm::Config> {
    let mpid = row.cfm_mpid?;
    let mut s = Section { table: "interface", row: &row.name, map: &row.other_config, warnings };
    let extended = s.flag(&options::CFM_EXTENDED);
    let config = cfm::Config {
        interval: s.number(&options::CFM_INTERVAL) as u64,
        extended,
        demand: s.flag(&options::CFM_DEMAND),
        opup: s.word(&options::CFM_OPSTATE, true) == "up",
        vlan: ccm_vlan(&mut s),
        pcp: s.number(&options::CFM_CCM_PCP) as u8,
        ..cfm::Config::new(&row.name, mpid.max(0) as u64)
    };
    if mpid >= 1 && (extended || config.mpid <= cfm::MAX_MPID) {
        return Some(config);
    }
    let advice = "accepted are 1 to 8191, and with cfm_extended any number from 1; CFM stays off";
    let of = ("interface", row.name.as_str());
    warnings.push(Warning::of_column(of, "cfm_mpid", mpid.to_string(), advice));
    None
}

fn ccm_vlan(s: &mut Section<'_>) -> CcmVlan {
    let Some(text) = s.text(&options::CFM_CCM_VLAN) else { return CcmVlan::None };
    if text.eq_ignore_ascii_case("random") {
        return CcmVlan::Random;
    }
    match parse_number(&text) {
        Some(0) => CcmVlan::None,
        Some(vlan @ 1..=4095) => CcmVlan::Id(vlan as u16),
        _ => {
            let why = "accepted are random and a VLAN, 0 to 4095; using none";
            s.refuse(&options::CFM_CCM_VLAN, why);
            CcmVlan::None
        }
    }
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
            min_rx: 1,
            forwarding_if_rx: true,
            cpath_down: true,
            decay_min_rx: 3000,
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
            interval: 250,
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
        assert_eq!((want.vlan, want.interval, said.len()), (CcmVlan::None, 1000, 2));
    }
}
