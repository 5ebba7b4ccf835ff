//! System devices.
use crate::{DeviceError, PacketIo};

/// How to receive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RxMode {
    /// A ring for the first ports of the process, batches beyond.
    #[default]
    Auto,
    Ring,
    Batch,
}

/// How to open a system device.
#[derive(Clone, Debug)]
pub struct SystemOptions {
    pub rx: RxMode,
    /// Transmit past the queueing discipline of the device.
    pub qdisc_bypass: bool,
}

impl Default for SystemOptions {
    fn default() -> Self {
        SystemOptions { rx: RxMode::Auto, qdisc_bypass: true }
    }
}

/// Opens an existing device of the current network namespace.
pub fn open(name: &str, _opts: &SystemOptions) -> Result<Box<dyn PacketIo>, DeviceError> {
    Err(DeviceError::Open { name: name.into(), source: std::io::ErrorKind::Unsupported.into() })
}
