//! What the driver reports of a device, by ethtool (`linux/ethtool.h`).

use std::io;

use super::info::{LinkModes, LinkSettings, Medium};
use crate::DeviceError;
use crate::sys::{Ethtool, Ifreq};

/// Speed and duplex not known.
const SPEED_UNKNOWN: u32 = u32::MAX;
const DUPLEX_UNKNOWN: u8 = 0xff;

/// The driver of a device. A field that the driver does not fill in is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverInfo {
    /// Its name.
    pub driver: String,
    /// Its version, or the kernel's.
    pub version: String,
    /// The firmware's version.
    pub firmware: String,
    /// The bus address, such as `0000:00:1f.6`.
    pub bus_info: String,
}

type Arg = [u8; Ethtool::MAX];

fn ethtool(name: &str, command: Ethtool) -> io::Result<Arg> {
    Ifreq::new(name)?.ethtool(command, [0; Ethtool::MAX])
}

fn u32_at(a: &[u8], at: usize) -> u32 {
    u32::from_ne_bytes([a[at], a[at + 1], a[at + 2], a[at + 3]])
}

fn result(speed: u32, duplex: u8, modes: LinkModes) -> LinkSettings {
    LinkSettings {
        speed_mbps: if speed == SPEED_UNKNOWN { 0 } else { u64::from(speed) },
        full_duplex: if duplex == DUPLEX_UNKNOWN { None } else { Some(duplex == 1) },
        modes,
    }
}

/// `PORT_*` and `AUTONEG_*`.
fn modes(port: u8, autoneg: u8) -> LinkModes {
    let medium = match port {
        0 => Some(Medium::TwistedPair),
        3 => Some(Medium::Fibre),
        _ => None,
    };
    LinkModes { medium, autoneg: autoneg == 1, ..LinkModes::default() }
}

/// `struct ethtool_link_settings`, 48 octets, and three bit maps of at most 127 words.
fn link_settings(name: &str) -> io::Result<LinkSettings> {
    const WORDS_AT: usize = 15;
    // The first request asks how long the bit maps are: the answer is minus that.
    let first = ethtool(name, Ethtool::Glinksettings)?;
    let words = first[WORDS_AT] as i8;
    if words >= 0 {
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    let mut second: Arg = [0; Ethtool::MAX];
    second[WORDS_AT] = words.unsigned_abs().min(127);
    let a = Ifreq::new(name)?.ethtool(Ethtool::Glinksettings, second)?;
    let words = usize::from(second[WORDS_AT]);
    let map = |n: usize| u32_at(&a, 48 + 4 * words * n);
    let modes = match words {
        0 => LinkModes::default(),
        _ => {
            LinkModes { supported: map(0), advertised: map(1), peer: map(2), ..modes(a[9], a[11]) }
        }
    };
    Ok(result(u32_at(&a, 4), a[8], modes))
}

/// `struct ethtool_cmd`, for drivers of old kernels.
fn old_settings(name: &str) -> io::Result<LinkSettings> {
    let a = ethtool(name, Ethtool::Gset)?;
    let low = u32::from(u16::from_ne_bytes([a[12], a[13]]));
    let high = u32::from(u16::from_ne_bytes([a[28], a[29]]));
    let speed = high << 16 | low;
    // Drivers older than the upper half report unknown as 16 ones.
    let modes = LinkModes {
        supported: u32_at(&a, 4),
        advertised: u32_at(&a, 8),
        peer: u32_at(&a, 32),
        ..modes(a[15], a[18])
    };
    Ok(result(if speed == 0xffff { SPEED_UNKNOWN } else { speed }, a[14], modes))
}

/// Speed and duplex.
///
/// # Errors
///
/// No such device, or the driver does not report them (`Operation not supported`).
pub fn settings(name: &str) -> Result<LinkSettings, DeviceError> {
    link_settings(name)
        .or_else(|_| old_settings(name))
        .map_err(|e| DeviceError::get(name, "link settings", e))
}

/// The driver, its version, the firmware's version and the bus address.
///
/// # Errors
///
/// No such device, or the driver does not report them (`Operation not supported`).
pub fn driver_info(name: &str) -> Result<DriverInfo, DeviceError> {
    let a = ethtool(name, Ethtool::Gdrvinfo).map_err(|e| DeviceError::get(name, "driver", e))?;
    let text = |at: usize| {
        let b = &a[at..at + 32];
        let end = b.iter().position(|c| *c == 0).unwrap_or(b.len());
        String::from_utf8_lossy(&b[..end]).into_owned()
    };
    Ok(DriverInfo { driver: text(4), version: text(36), firmware: text(68), bus_info: text(100) })
}

/// Whether the driver detects a link. False also while the device is administratively down.
///
/// # Errors
///
/// No such device, or the driver does not report it (`Operation not supported`).
pub fn link(name: &str) -> Result<bool, DeviceError> {
    raw_link(name).map_err(|e| DeviceError::get(name, "link state", e))
}

pub(super) fn raw_link(name: &str) -> io::Result<bool> {
    Ok(u32_at(&ethtool(name, Ethtool::Glink)?, 4) != 0)
}
