//! Internal devices: a tap.
use wire::EthAddr;

use crate::{DeviceError, PacketIo};

/// What to give a new internal device.
#[derive(Clone, Debug, Default)]
pub struct InternalOptions {
    pub mac: Option<EthAddr>,
    pub mtu: Option<u32>,
}

/// A new internal device; the kernel removes it when `io` is dropped.
pub struct Internal {
    pub name: String,
    pub ifindex: u32,
    pub io: Box<dyn PacketIo>,
}

/// Makes a tap device in the current network namespace. It starts down.
pub fn create(name: &str, _opts: &InternalOptions) -> Result<Internal, DeviceError> {
    Err(DeviceError::Open { name: name.into(), source: std::io::ErrorKind::Unsupported.into() })
}
