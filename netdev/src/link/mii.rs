//! MII link status by ioctl.
use crate::DeviceError;

/// Who answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkSource {
    Mii,
    Ethtool,
}

/// The device's own link state, read from the device.
pub fn link(name: &str) -> Result<(bool, LinkSource), DeviceError> {
    Err(DeviceError::Open { name: name.into(), source: std::io::ErrorKind::Unsupported.into() })
}
