//! Small pieces of text that several formats share.

/// An address with a prefix length, or with a netmask in `mask`; a bare address is a host's.
pub(super) fn address(text: &str, mask: Option<&str>) -> Option<ipnet::IpNet> {
    if text.contains('/') {
        return text.parse().ok();
    }
    let ip: std::net::IpAddr = text.parse().ok()?;
    match mask {
        None => Some(ip.into()),
        Some(mask) => match mask.parse::<u8>() {
            Ok(length) => ipnet::IpNet::new(ip, length).ok(),
            Err(_) => ipnet::IpNet::with_netmask(ip, mask.parse().ok()?).ok(),
        },
    }
}

/// A device `PARENT.ID`, or `vlanID` with a parent named beside.
pub(super) fn vlan_by_name(name: &str) -> Option<(String, u16)> {
    let (parent, id) = name.rsplit_once('.')?;
    let id = id.parse().ok().filter(|id| (1..=4094).contains(id))?;
    Some((parent.to_owned(), id))
}
