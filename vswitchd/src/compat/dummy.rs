//! Dummy devices (`--enable-dummy`) as Open vSwitch's test suite expects them: port numbers that it
//! can know beforehand, addresses in a fixed order, and receive queues and NUMA nodes that are
//! printed and have no effect.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use config::{DeviceKind, WantIface};
use datapath::PortNo;
use netdev::io::dummy::{self, DummyOptions, DummyPort, StreamEndpoint};
use netdev::{DeviceError, PacketIo};
use wire::EthAddr;

use crate::modules::NETDEV_DUMMY;
use crate::options::Dirs;

/// Creates the dummy of a row.
///
/// # Errors
///
/// [`dummy::create`]'s.
pub fn open(want: &WantIface) -> Result<(DummyPort, Box<dyn PacketIo>), DeviceError> {
    let (port, io) = dummy::create(&want.name)?;
    configure(&port, want);
    Ok((port, io))
}

/// The number that a datapath of dummies gives a port of this name, so that tests know it: the
/// first number in the name, from 100 on for a name that begins with `br`.
pub fn port_number(name: &str) -> Option<PortNo> {
    let digits = name.trim_start_matches(|c: char| !c.is_ascii_digit());
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let base = if name.starts_with("br") { 100 } else { 0 };
    let number = digits[..end].parse::<u16>().ok()?.checked_add(base)?;
    (number != 0).then_some(PortNo(u32::from(number)))
}

/// Makes an open dummy what its row asks for now. What cannot be done is logged once.
pub fn configure(port: &DummyPort, want: &WantIface) {
    let option = |key: &str| want.options.get(key).map(String::as_str);
    let file = |key: &str| option("pcap").or(option(key)).map(PathBuf::from);
    let socket = |text: &str, kind: &str| match text.strip_prefix(kind) {
        Some(path) => Some(rundir().join(path)),
        None => {
            crate::warn!(NETDEV_DUMMY, "{text}: open failed (accepted is {kind}PATH)"; "interface" => &want.name);
            None
        }
    };
    let endpoint = match (option("pstream"), option("stream")) {
        (Some(p), Some(s)) => {
            crate::warn!(NETDEV_DUMMY, "Open failed: both {p} and {s} are configured"; "interface" => &want.name);
            port.endpoint()
        }
        (Some(p), None) => socket(p, "punix:").map(StreamEndpoint::Listen),
        (None, Some(s)) => socket(s, "unix:").map(StreamEndpoint::Connect),
        (None, None) => None,
    };
    let options = DummyOptions {
        endpoint,
        rx_pcap: file("rxq_pcap"),
        tx_pcap: file("tx_pcap"),
        mtu: Some(want.mtu.unwrap_or(1500)),
    };
    for (what, e) in port.configure(&options).err().into_iter().flatten() {
        let text = option(what).or(option("pstream")).unwrap_or(&want.name);
        crate::warn!(NETDEV_DUMMY, "{text}: open failed ({e})"; "interface" => &want.name);
    }
}

/// Where sockets without a directory are.
fn rundir() -> PathBuf {
    Dirs::from_env().run
}

/// What `dpif/show` and `dpctl/show` add to a dummy's type.
pub fn shown(class: &str, want: &WantIface) -> BTreeMap<String, String> {
    let given = |key: &str| want.options.get(key).map(|v| (key.to_owned(), v.clone()));
    let mut shown: BTreeMap<String, String> =
        ["ifindex", "pstream", "stream"].iter().filter_map(|k| given(k)).collect();
    if class == "dummy-pmd" {
        for (key, default) in [("n_rxq", "1"), ("n_txq", "1"), ("numa_id", "0")] {
            let value = want.options.get(key).map_or(default, String::as_str);
            shown.insert(key.to_owned(), value.to_owned());
        }
    }
    shown
}

/// The receive queues that `dpif-netdev/pmd-rxq-show` lists: a `dummy-pmd` has as many as it is told
/// (1 to 1024), every other device has one. The packet thread reads all of them as one.
pub fn queues(want: &WantIface) -> u32 {
    match &want.kind {
        DeviceKind::Dummy { class } if class == "dummy-pmd" => {
            want.options.get("n_rxq").and_then(|n| n.parse().ok()).unwrap_or(1).clamp(1, 1024)
        }
        DeviceKind::Dummy { .. }
        | DeviceKind::System
        | DeviceKind::Internal
        | DeviceKind::Tap
        | DeviceKind::Patch { .. }
        | DeviceKind::Unknown(_) => 1,
    }
}

/// Addresses of dummies, one after the other, as in Open vSwitch.
pub fn next_mac() -> EthAddr {
    static NEXT: AtomicU32 = AtomicU32::new(0xaa55_0000);
    let [a, b, c, d] = NEXT.fetch_add(1, Relaxed).to_be_bytes();
    EthAddr([0xaa, 0x55, a, b, c, d])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn port_number_is_the_first_number_in_the_name() {
        let n = |name: &str| port_number(name).map(|p| p.0);
        assert_eq!((n("p1"), n("p10"), n("eth3.7")), (Some(1), Some(10), Some(3)));
        assert_eq!((n("br0"), n("br11"), n("p0"), n("p")), (Some(100), Some(111), None, None));
        assert_eq!((n("p65535"), n("br65500"), n("p99999")), (Some(65535), None, None));
    }
}
