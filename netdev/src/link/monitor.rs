//! rtnetlink monitor.
use super::LinkEvent;
use std::os::fd::RawFd;

pub struct LinkMonitor {
    fd: RawFd,
}
impl LinkMonitor {
    /// The first `poll` reports every device that exists.
    pub fn new() -> std::io::Result<LinkMonitor> {
        Err(std::io::ErrorKind::Unsupported.into())
    }
    pub fn fd(&self) -> RawFd {
        self.fd
    }
    /// Appends news to `out`; returns at once when there is none.
    pub fn poll(&mut self, _out: &mut Vec<LinkEvent>) -> std::io::Result<()> {
        Ok(())
    }
}
