//! ethtool by ioctl.
use super::LinkSettings;
use crate::DeviceError;

/// Who drives the device.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DriverInfo {
    pub driver: String,
    pub version: String,
    pub firmware: String,
    pub bus_info: String,
}
/// Speed and duplex.
pub fn settings(name: &str) -> Result<LinkSettings, DeviceError> {
    Err(DeviceError::Open { name: name.into(), source: std::io::ErrorKind::Unsupported.into() })
}
pub fn driver_info(name: &str) -> Result<DriverInfo, DeviceError> {
    Err(DeviceError::Open { name: name.into(), source: std::io::ErrorKind::Unsupported.into() })
}
/// `ETHTOOL_GLINK`.
pub fn link(name: &str) -> Result<bool, DeviceError> {
    Err(DeviceError::Open { name: name.into(), source: std::io::ErrorKind::Unsupported.into() })
}
