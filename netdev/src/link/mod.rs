//! Link state and parameters of kernel devices.
//!
//! | file | what |
//! |---|---|
//! | `info` | link state, counters and settings as plain data |
//! | `netlink` | rtnetlink(7): requests, and what is read from the answers |
//! | `query` | one device, or all, by rtnetlink |
//! | `monitor` | changes as the kernel multicasts them |
//! | `addresses` | the host's IP addresses, kept current |
//! | `carrier` | the carrier from sysfs, without the kernel's lock |
//! | `ethtool`, `mii` | what the driver and the transceiver report |
//! | `tun` | what the kernel reports of TUN and TAP devices |
//! | `proto_socket` | the frames of one control protocol on one device |

use wire::EthAddr;

mod addresses;
pub mod carrier;
pub mod ethtool;
mod info;
pub mod mii;
mod monitor;
mod netlink;
mod proto_socket;
mod query;
pub mod tun;

use crate::DeviceError;
use crate::sys::{Ifreq, Request};
pub use addresses::{AddressMonitor, DeviceAddresses};
pub use info::{LinkEvent, LinkInfo, LinkModes, LinkSettings, LinkStats, Medium};
pub use monitor::LinkMonitor;
pub use proto_socket::ProtoSocket;
pub use query::{get, get_all, get_by_index, stats};

/// Sets or clears `IFF_UP`.
///
/// # Errors
///
/// No such device, no permission (`CAP_NET_ADMIN`), or the driver's.
pub fn set_up(name: &str, up: bool) -> Result<(), DeviceError> {
    let set = || {
        let mut r = Ifreq::new(name)?.ioctl(Request::GetFlags)?;
        let bit = libc::IFF_UP as u16;
        let old = r.u16_at(0);
        let new = if up { old | bit } else { old & !bit };
        if new != old {
            r.put(0, &new.to_ne_bytes());
            r.ioctl(Request::SetFlags)?;
        }
        Ok(())
    };
    set().map_err(|source| DeviceError::Set { name: name.to_owned(), what: "flags", source })
}

/// Sets the device's Ethernet address. Some devices must be down for that.
///
/// # Errors
///
/// No such device, no permission (`CAP_NET_ADMIN`), `EBUSY` when it must be down, or the driver's.
pub fn set_mac(name: &str, mac: EthAddr) -> Result<(), DeviceError> {
    let set = || {
        let mut r = Ifreq::new(name)?.ioctl(Request::GetHwaddr)?;
        // The address family of the answer stays.
        r.put(2, &mac.0);
        r.ioctl(Request::SetHwaddr)
    };
    let what = "Ethernet address";
    set().map_err(|source| DeviceError::Set { name: name.to_owned(), what, source })?;
    Ok(())
}

/// Sets the device's MTU, in octets; the range is the driver's.
///
/// # Errors
///
/// No such device, no permission (`CAP_NET_ADMIN`), or `EINVAL` beyond the range.
pub fn set_mtu(name: &str, mtu: u32) -> Result<(), DeviceError> {
    let set = || {
        let mut r = Ifreq::new(name)?;
        r.put(0, &mtu.to_ne_bytes());
        r.ioctl(Request::SetMtu)
    };
    set().map_err(|source| DeviceError::Set { name: name.to_owned(), what: "MTU", source })?;
    Ok(())
}
