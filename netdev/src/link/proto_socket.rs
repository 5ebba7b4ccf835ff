//! One protocol's frames.
use crate::DeviceError;
use std::os::fd::RawFd;
use wire::EthAddr;

pub struct ProtoSocket {
    fd: RawFd,
}
impl ProtoSocket {
    /// Frames of `ethertype` on device `name`; joins `group`.
    pub fn open(
        name: &str,
        _ethertype: u16,
        _group: Option<EthAddr>,
    ) -> Result<ProtoSocket, DeviceError> {
        Err(DeviceError::Open { name: name.into(), source: std::io::ErrorKind::Unsupported.into() })
    }
    pub fn fd(&self) -> RawFd {
        self.fd
    }
    /// The next frame (whole, from the destination address on), or `None` when there is none.
    pub fn recv(&mut self) -> Option<&[u8]> {
        None
    }
    /// Sends a whole frame. Never blocks.
    pub fn send(&mut self, _frame: &[u8]) -> std::io::Result<()> {
        Ok(())
    }
}
